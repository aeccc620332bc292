//! Kafka's jars, brought by Maven into the target directory once; `KAFKA_LIBS` names a folder that has the newest ones already.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pom that names the artifacts and their version.
const POM: &str = include_str!("../../../testdata/kafka/pom.xml");

/// The pom of a broker alone, of whatever version.
const BROKER_POM: &str = include_str!("../../../testdata/kafka/broker-pom.xml");

/// The folder of the newest version's jars, fetched if it is not there yet. Safe when several processes ask at once.
pub(super) fn fetch() -> Result<PathBuf, String> {
    std::env::var_os("KAFKA_LIBS")
        .map_or_else(|| fetch_by(POM, None), |libs| Ok(PathBuf::from(libs)))
}

/// The same for the broker of another version.
pub(super) fn fetch_version(version: &str) -> Result<PathBuf, String> {
    fetch_by(BROKER_POM, Some(version))
}

fn fetch_by(pom_text: &str, version: Option<&str>) -> Result<PathBuf, String> {
    let mut hash = DefaultHasher::new();
    (pom_text, version).hash(&mut hash);
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
    fs::write(&pom, pom_text).map_err(|error| io("writing the pom into", error))?;
    let _ = fs::remove_dir_all(&fresh);
    let maven = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .args(version.map(|version| format!("-Dkafka.version={version}")))
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
