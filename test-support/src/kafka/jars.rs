//! Kafka's jars, brought by Maven into the target directory once; `KAFKA_LIBS` names a folder that has them already.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pom that names the artifacts and their version.
const POM: &str = include_str!("../../../testdata/kafka/pom.xml");

/// The folder of jars, fetched if it is not there yet. Safe when several processes ask at once.
pub(super) fn fetch() -> Result<PathBuf, String> {
    if let Some(libs) = std::env::var_os("KAFKA_LIBS") {
        return Ok(PathBuf::from(libs));
    }
    let mut hash = DefaultHasher::new();
    POM.hash(&mut hash);
    let home = target_dir()?.join("kafka");
    let libs = home.join(format!("libs-{:016x}", hash.finish()));
    if libs.is_dir() {
        return Ok(libs);
    }
    let io = |doing: &str, error: std::io::Error| format!("{doing} {}: {error}", home.display());
    fs::create_dir_all(&home).map_err(|error| io("creating", error))?;
    let lock =
        File::create(home.join("lock")).map_err(|error| io("creating a lock file in", error))?;
    lock.lock().map_err(|error| io("locking", error))?;
    if libs.is_dir() {
        return Ok(libs);
    }
    let (pom, fresh) = (home.join("pom.xml"), home.join("fresh"));
    fs::write(&pom, POM).map_err(|error| io("writing the pom into", error))?;
    let _ = fs::remove_dir_all(&fresh);
    let maven = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", fresh.display()))
        .output()
        .map_err(|error| {
            format!(
                "no `mvn` on the PATH ({error}), and KAFKA_LIBS names no folder of Kafka's jars"
            )
        })?;
    if !maven.status.success() {
        return Err(format!(
            "Maven could not fetch Kafka: {}",
            String::from_utf8_lossy(&maven.stdout).trim()
        ));
    }
    // Renamed only when complete: a killed Maven leaves nothing that looks finished.
    fs::rename(&fresh, &libs).map_err(|error| io("finishing", error))?;
    Ok(libs)
}

/// Cargo's target directory: the one above this executable that carries Cargo's cache mark.
pub(super) fn target_dir() -> Result<PathBuf, String> {
    let executable =
        std::env::current_exe().map_err(|error| format!("finding this executable: {error}"))?;
    let marked = executable
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map(Path::to_owned);
    Ok(marked.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")))
}
