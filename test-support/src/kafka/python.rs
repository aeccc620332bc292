//! librdkafka as Python's confluent-kafka has it, brought by pip into the target directory once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::jars;

/// Python with the module `confluent_kafka`, or why there is none; it is fetched from `PyPI` where pip is installed.
///
/// # Errors
/// A phrase that says what is missing.
pub fn confluent_kafka() -> Result<Command, String> {
    static MODULES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let modules = MODULES.get_or_init(fetch).clone()?;
    Ok(python(&modules))
}

fn python(modules: &Path) -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", modules);
    python
}

/// Whether the module is there, in the folder or anywhere else where Python looks.
fn is_there(modules: &Path) -> bool {
    let mut import = python(modules);
    import.args(["-c", "import confluent_kafka"]);
    import.stdout(Stdio::null()).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}

fn fetch() -> Result<PathBuf, String> {
    let home = jars::target_dir()?.join("kafka");
    let modules = home.join("python");
    if is_there(&modules) {
        return Ok(modules);
    }
    let io = |error: std::io::Error| format!("preparing {}: {error}", home.display());
    fs::create_dir_all(&home).map_err(io)?;
    let lock = File::create(home.join("python-lock")).map_err(io)?;
    lock.lock().map_err(io)?;
    if is_there(&modules) {
        return Ok(modules);
    }
    let pip = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
        ])
        .arg(&modules)
        .arg("confluent-kafka")
        .output()
        .map_err(|error| format!("no `python3` on the PATH ({error})"))?;
    if is_there(&modules) {
        return Ok(modules);
    }
    let text = String::from_utf8_lossy(&pip.stderr);
    Err(format!(
        "Python has no module confluent_kafka, and pip could not fetch it: {}",
        text.trim().lines().last().unwrap_or_default()
    ))
}
