//! Removing what an application keeps, so that it begins anew: committed positions, changelogs and other internal topics, its folder in
//! the state directory.
//!
//! **Positions go first.** Kafka refuses to delete the offsets of a group that has a member, so nothing else is touched while somebody
//! works. And what an interruption leaves is state without positions, which a run refuses to go on with; positions without state would be
//! taken for those of a plan with a new operator, and what was counted before would be missing from the results.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::kafka_reset::Remote;
use crate::Error;
use crate::batch::names;
use crate::checkpoint::home::disk;

/// What removing the state of an application would remove: looked up by [`Reset::look`], removed by [`Reset::execute`].
///
/// These are the group's committed offsets, the internal topics that name this application in their first record, and what the engine
/// has made in the state directory of this machine. Topics that the application reads or writes are never touched: results that were
/// written before stay, and are written again.
///
/// It is safe to repeat: what is gone already is passed over, so one that was interrupted is completed by the next.
///
/// ```no_run
/// # async fn f() -> Result<(), engine::Error> {
/// let config = engine::Config::from_properties([
///     ("bootstrap.servers", "localhost:9092"),
///     ("application.id", "wordcount"),
/// ])?;
/// let reset = engine::Reset::look(&config).await?; // an error while a process of it runs
/// println!("{reset}");
/// reset.execute().await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is removed before `execute`"]
pub struct Reset {
    application_id: String,
    remote: Option<Remote>,
    folder: Folder,
}

impl Reset {
    /// Looks at what there is, without the cluster where there is none.
    pub(crate) async fn of(
        application_id: &str,
        state_dir: &Path,
        remote: Option<Remote>,
    ) -> Result<Self, Error> {
        if let Some(expected) = names::expected(application_id) {
            return Err(Error::Settings(format!(
                "application.id={application_id}: expected {expected}"
            )));
        }
        let mut remote = remote;
        if let Some(remote) = &mut remote {
            remote.look(application_id).await?;
        }
        let folder = Folder::look(&state_dir.join(application_id))?;
        drop(folder.locked(application_id)?);
        Ok(Self {
            application_id: application_id.to_owned(),
            remote,
            folder,
        })
    }

    /// The application.
    #[must_use]
    pub fn application_id(&self) -> &str {
        &self.application_id
    }

    /// Whether there is nothing to remove.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folder.ours.is_empty() && self.remote.as_ref().is_none_or(Remote::is_empty)
    }

    /// Committed offsets of the group: topic, number of partitions.
    #[must_use]
    pub fn positions(&self) -> Vec<(&str, usize)> {
        self.remote
            .as_ref()
            .map_or_else(Vec::new, Remote::positions)
    }

    /// The topics to be deleted, sorted.
    #[must_use]
    pub fn topics(&self) -> Vec<&str> {
        let topics = self.remote.iter().flat_map(|remote| &remote.topics);
        topics.map(String::as_str).collect()
    }

    /// Topics whose names could be this application's, and why they are kept.
    #[must_use]
    pub fn kept_topics(&self) -> Vec<(&str, &str)> {
        let kept = self.remote.iter().flat_map(|remote| &remote.kept);
        kept.map(|(topic, why)| (topic.as_str(), why.as_str()))
            .collect()
    }

    /// The files and folders to be removed, sorted.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.folder.ours
    }

    /// Removes it: positions, then topics, then files. Dropped before it is done, what is left is removed by another reset.
    ///
    /// # Errors
    /// When a process of the application has started meanwhile (then nothing is removed), or something cannot be removed: it is named,
    /// and repeating the reset goes on there.
    pub async fn execute(self) -> Result<(), Error> {
        // Held until the end: a process that starts meanwhile takes no file that is about to go.
        let _locks = self.folder.locked(&self.application_id)?;
        if let Some(remote) = &self.remote {
            remote.remove(&self.application_id).await?;
        }
        self.folder.remove()
    }
}

impl fmt::Debug for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reset")
            .field("application_id", &self.application_id)
            .field("topics", &self.topics())
            .field("files", &self.files())
            .finish_non_exhaustive()
    }
}

/// A line for each thing that is removed, and for each that is kept although it looks like one.
impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(remote) = &self.remote {
            match &remote.group {
                None => writeln!(
                    f,
                    "positions  none: there is no group {}",
                    self.application_id
                )?,
                Some(positions) if positions.is_empty() => {
                    writeln!(f, "group      {}, without positions", self.application_id)?;
                }
                Some(_) => {
                    for (topic, partitions) in remote.positions() {
                        writeln!(
                            f,
                            "positions  of group {} in {topic}, {partitions} partitions",
                            self.application_id
                        )?;
                    }
                }
            }
            for topic in &remote.topics {
                writeln!(f, "topic      {topic}")?;
            }
            for (topic, why) in &remote.kept {
                writeln!(f, "kept       topic {topic}: {why}")?;
            }
        }
        for path in &self.folder.ours {
            writeln!(f, "file       {}", path.display())?;
        }
        for path in &self.folder.foreign {
            writeln!(f, "kept       {}: not made by the engine", path.display())?;
        }
        Ok(())
    }
}

/// The application's folder in the state directory of this machine.
struct Folder {
    path: PathBuf,
    /// What the engine has made there.
    ours: Vec<PathBuf>,
    /// Anything else.
    foreign: Vec<PathBuf>,
}

/// Whether the engine gives a file or folder this name.
fn is_ours(name: &str) -> bool {
    let numbered = |prefix: &str| {
        let number = name.strip_prefix(prefix)?;
        let number = number.strip_suffix(".d").unwrap_or(number);
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        (digits && !number.is_empty()).then_some(())
    };
    matches!(name, "positions" | "positions.lock" | "positions.next")
        || numbered("member-").is_some()
        || numbered("store-").is_some()
}

impl Folder {
    fn look(path: &Path) -> Result<Self, Error> {
        let mut folder = Self {
            path: path.to_owned(),
            ours: Vec::new(),
            foreign: Vec::new(),
        };
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(folder),
            Err(source) => return Err(disk("reading", path, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| disk("reading", path, source))?;
            let is_ours = entry.file_name().to_str().is_some_and(is_ours);
            let list = if is_ours {
                &mut folder.ours
            } else {
                &mut folder.foreign
            };
            list.push(entry.path());
        }
        folder.ours.sort_unstable();
        folder.foreign.sort_unstable();
        Ok(folder)
    }

    /// Locks what running processes lock.
    ///
    /// # Errors
    /// When one of them is running.
    fn locked(&self, application_id: &str) -> Result<Vec<File>, Error> {
        let mut locks = Vec::new();
        for path in self.ours.iter().filter(|path| path.is_file()) {
            let file = match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(disk("opening", path, source)),
            };
            match file.try_lock() {
                Ok(()) => locks.push(file),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::State(format!(
                        "a process of {application_id} is running on this machine ({} is locked): stop it before its state is removed",
                        path.display()
                    )));
                }
                Err(TryLockError::Error(source)) => return Err(disk("locking", path, source)),
            }
        }
        Ok(locks)
    }

    fn remove(&self) -> Result<(), Error> {
        for path in &self.ours {
            // A link is removed, not what it leads to.
            let is_folder = path.symlink_metadata().is_ok_and(|data| data.is_dir());
            let removed = if is_folder {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(disk("removing", path, error));
                }
                _ => {}
            }
        }
        if self.foreign.is_empty() && !self.ours.is_empty() {
            // Something may have been put there meanwhile: then it stays.
            let _ = std::fs::remove_dir(&self.path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_makes_in_its_folder_is_known_by_name_and_nothing_else_is() {
        for ours in [
            "positions",
            "positions.lock",
            "positions.next",
            "member-0",
            "member-12",
            "store-0",
            "store-0.d",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "",
            "member-",
            "store-x",
            "store-0.d.old",
            "notes",
            "position",
            "member-1a",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
