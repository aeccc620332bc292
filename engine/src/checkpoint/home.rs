//! The identity of a process in its state directory. A restart finds it again and takes its work up at once, instead of waiting until the
//! group has noticed that the former process is dead.
//!
//! `<state.dir>/<application id>/member-<n>` holds the member id that the group's coordinator gave. The process that has it locked is
//! the one that bears it; several processes that share a folder bear different ones, and the lock of a killed process is gone with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;

/// More processes than this do not share one folder.
const PROCESSES_MAX: u32 = 1000;
/// Kafka's member ids are the client id and a UUID.
const MEMBER_ID_BYTES_MAX: usize = 1000;

/// A locked identity; the lock ends with it.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    file: File,
    member_id: Option<String>,
}

impl Home {
    /// Takes the first identity under `state_dir` that no living process bears, or begins a new one where there is none.
    ///
    /// # Errors
    /// [`Error::Disk`] when the folder cannot be made or used (no space, no permission).
    pub(crate) fn enter(state_dir: &Path, application_id: &str) -> Result<Self, Error> {
        let (path, file) = lock_first(state_dir, application_id, "member")?;
        let member_id = member_id_in(&file);
        Ok(Self {
            path,
            file,
            member_id,
        })
    }

    /// The member id that this process had in its former life.
    pub(crate) fn member_id(&self) -> Option<&str> {
        self.member_id.as_deref()
    }

    /// Keeps the member id for the next life.
    ///
    /// # Errors
    /// [`Error::Disk`], for example when the disk is full.
    pub(crate) fn remember(&mut self, member_id: &str) -> Result<(), Error> {
        if self.member_id.as_deref() == Some(member_id) {
            return Ok(());
        }
        self.write(member_id)
            .map_err(|source| disk("writing", &self.path, source))?;
        self.member_id = Some(member_id.to_owned());
        Ok(())
    }

    /// The member has left: there is nothing to come back to.
    pub(crate) fn forget(&mut self) {
        // If it stays there, the next life asks for it in vain and gets a new one.
        let _ = self.write("");
        self.member_id = None;
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        // The newline says that the id is whole.
        self.file.write_all(
            if text.is_empty() {
                String::new()
            } else {
                format!("{text}\n")
            }
            .as_bytes(),
        )?;
        self.file.sync_data()
    }
}

/// Makes the application's folder, and locks the first file of this name and a number that no living process has locked.
fn lock_first(
    state_dir: &Path,
    application_id: &str,
    name: &str,
) -> Result<(PathBuf, File), Error> {
    let folder = state_dir.join(application_id);
    std::fs::create_dir_all(&folder)
        .map_err(|source| disk("creating state directory", &folder, source))?;
    for n in 0..PROCESSES_MAX {
        let path = folder.join(format!("{name}-{n}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| disk("opening", &path, source))?;
        match file.try_lock() {
            Ok(()) => return Ok((path, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(disk("locking", &path, source)),
        }
    }
    Err(Error::State(format!(
        "{} is in use by {PROCESSES_MAX} processes; give this one another state.dir",
        folder.display()
    )))
}

/// Where state directories are when nobody says.
pub(crate) fn default_dir() -> PathBuf {
    std::env::temp_dir().join("kafka-engine")
}

/// A folder for state on disk, of this process alone: `<state.dir>/<application id>/store-<n>.d`, while `store-<n>` is locked. What a
/// killed process has left there is overwritten by the next one that gets it.
#[derive(Debug)]
pub(crate) struct Stores {
    path: PathBuf,
    /// The lock ends with it.
    _lock: File,
}

impl Stores {
    /// Takes the first such folder that no living process uses.
    ///
    /// # Errors
    /// [`Error::Disk`] when the folder cannot be made or used.
    pub(crate) fn enter(state_dir: &Path, application_id: &str) -> Result<Self, Error> {
        let (lock, file) = lock_first(state_dir, application_id, "store")?;
        let path = lock.with_added_extension("d");
        std::fs::create_dir_all(&path)
            .map_err(|source| disk("creating state directory", &path, source))?;
        Ok(Self { path, _lock: file })
    }

    /// The part of one worker.
    pub(crate) fn of_worker(&self, worker: usize) -> PathBuf {
        self.path.join(format!("worker-{worker}"))
    }
}

/// The member id in the file; `None` if there is none, or a torn one: it only saves waiting.
fn member_id_in(file: &File) -> Option<String> {
    let mut text = String::new();
    file.take(MEMBER_ID_BYTES_MAX as u64)
        .read_to_string(&mut text)
        .ok()?;
    let id = text.strip_suffix('\n')?;
    (!id.is_empty() && !id.contains('\n')).then(|| id.to_owned())
}

/// A number that no other process draws, from the randomness that the standard library seeds its hash maps with.
pub(crate) fn drawn() -> u64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// What went wrong with a file or folder of the state directory.
pub(crate) fn disk(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
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
    fn a_restart_finds_its_member_id_again() {
        let folder = Folder::new("restart");
        let mut home = Home::enter(&folder.0, "app").unwrap();
        assert_eq!(home.member_id(), None);
        home.remember("client-2a").unwrap();
        home.remember("client-1").unwrap();
        drop(home);
        assert_eq!(
            Home::enter(&folder.0, "app").unwrap().member_id(),
            Some("client-1")
        );
    }

    #[test]
    fn two_processes_on_one_folder_bear_different_ids() {
        let folder = Folder::new("two");
        let mut one = Home::enter(&folder.0, "app").unwrap();
        one.remember("one").unwrap();
        let two = Home::enter(&folder.0, "app").unwrap();
        assert_eq!(two.member_id(), None);
        assert_eq!(Home::enter(&folder.0, "other").unwrap().member_id(), None);
    }

    #[test]
    fn two_processes_that_share_a_state_directory_keep_their_stores_apart() {
        let folder = Folder::new("stores");
        let one = Stores::enter(&folder.0, "app").unwrap();
        let two = Stores::enter(&folder.0, "app").unwrap();
        assert_ne!(one.of_worker(0), two.of_worker(0));
        let path = one.of_worker(3);
        drop(one);
        let next = Stores::enter(&folder.0, "app").unwrap();
        assert_eq!(
            next.of_worker(3),
            path,
            "the next one takes over what is left"
        );
    }

    #[test]
    fn a_member_that_left_and_a_torn_id_are_not_asked_for_again() {
        let folder = Folder::new("torn");
        let mut home = Home::enter(&folder.0, "app").unwrap();
        home.remember("one").unwrap();
        home.forget();
        drop(home);
        assert_eq!(Home::enter(&folder.0, "app").unwrap().member_id(), None);
        std::fs::write(folder.0.join("app/member-0"), "client-2").unwrap();
        assert_eq!(Home::enter(&folder.0, "app").unwrap().member_id(), None);
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
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let error = Home {
            path,
            file,
            member_id: None,
        }
        .remember("one")
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("writing /dev/full: "), "{error}");
    }
}
