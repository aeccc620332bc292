//! The identity of a process in its state directory. A restart finds it again and takes its work up at once, instead of waiting until the
//! group has noticed that the former process is dead.
//!
//! `<state.dir>/<application id>/instance-<n>` holds a name drawn once. The process that has it locked is the one that bears it; several
//! processes that share a folder bear different ones, and the lock of a killed process is gone with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;

/// More processes than this do not share one folder.
const INSTANCES_MAX: u32 = 1000;
const NAME_LEN: usize = 16;

/// A locked identity; the lock ends with it.
#[derive(Debug)]
pub(crate) struct Home {
    instance_id: String,
    _lock: File,
}

impl Home {
    /// Takes the first identity under `state_dir` that no living process bears, drawing a new one where there is none.
    ///
    /// # Errors
    /// [`Error::Disk`] when the folder cannot be made or written (no space, no permission).
    pub(crate) fn enter(state_dir: &Path, application_id: &str) -> Result<Self, Error> {
        let folder = state_dir.join(application_id);
        std::fs::create_dir_all(&folder)
            .map_err(|source| disk("creating state directory", &folder, source))?;
        for n in 0..INSTANCES_MAX {
            let path = folder.join(format!("instance-{n}"));
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|source| disk("opening", &path, source))?;
            match file.try_lock() {
                Ok(()) => {
                    let instance_id = name_in(&mut file, &path)?;
                    return Ok(Self {
                        instance_id,
                        _lock: file,
                    });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(disk("locking", &path, source)),
            }
        }
        Err(Error::State(format!(
            "{} is in use by {INSTANCES_MAX} processes; give this one another state.dir",
            folder.display()
        )))
    }

    /// The name of this process in its group (`group.instance.id`).
    pub(crate) fn instance_id(&self) -> &str {
        &self.instance_id
    }
}

/// The name in the file, or a new one written there. A torn or foreign content is replaced: the name only saves waiting.
fn name_in(file: &mut File, path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = (&*file).take(NAME_LEN as u64 + 1).read_to_string(&mut text);
    if read.is_ok() && text.len() == NAME_LEN && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text);
    }
    let name = format!("{:016x}", drawn());
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(name.as_bytes())?;
        file.sync_data()
    };
    write(file).map_err(|source| disk("writing", path, source))?;
    Ok(name)
}

/// A number that no other process draws, from the randomness that the standard library seeds its hash maps with.
pub(crate) fn drawn() -> u64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn disk(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Disk {
        doing,
        path: PathBuf::from(path),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);
    impl Folder {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("engine-home-{name}-{:x}", drawn())))
        }
    }
    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_restart_bears_the_same_name() {
        let folder = Folder::new("restart");
        let first = Home::enter(&folder.0, "app")
            .unwrap()
            .instance_id()
            .to_owned();
        assert_eq!(Home::enter(&folder.0, "app").unwrap().instance_id(), first);
    }

    #[test]
    fn two_processes_on_one_folder_bear_different_names() {
        let folder = Folder::new("two");
        let one = Home::enter(&folder.0, "app").unwrap();
        let two = Home::enter(&folder.0, "app").unwrap();
        assert_ne!(one.instance_id(), two.instance_id());
        let other = Home::enter(&folder.0, "other").unwrap();
        assert_ne!(one.instance_id(), other.instance_id());
    }

    #[test]
    fn a_torn_name_is_drawn_again() {
        let folder = Folder::new("torn");
        drop(Home::enter(&folder.0, "app").unwrap());
        std::fs::write(folder.0.join("app/instance-0"), "abc").unwrap();
        let name = Home::enter(&folder.0, "app")
            .unwrap()
            .instance_id()
            .to_owned();
        assert_eq!(name.len(), NAME_LEN);
        assert_eq!(Home::enter(&folder.0, "app").unwrap().instance_id(), name);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_in_the_error() {
        let file = Folder::new("file");
        std::fs::write(&file.0, "").unwrap();
        let error = Home::enter(&file.0, "app").unwrap_err().to_string();
        std::fs::remove_file(&file.0).unwrap();
        assert!(error.contains(&*file.0.display().to_string()), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_one_clear_error() {
        let mut full = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/full")
            .unwrap();
        let error = name_in(&mut full, Path::new("/dev/full"));
        // Reading /dev/full gives zeros without end, writing says that no space is left.
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("writing /dev/full: "), "{error}");
    }
}
