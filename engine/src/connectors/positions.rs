//! Positions of sources that are not Kafka's, kept as a whole at each commit: where state is, because they are right only together.
//!
//! Of a plan whose state is in Kafka they are in a topic there ([`Log::keep_positions`](crate::checkpoint::log::Log::keep_positions)), so that
//! a process with an empty state directory goes on. Otherwise they are a file, because what is read is local to the machine too:
//! `<state.dir>/<application id>/positions`; `positions.lock` beside it is held by the process that reads these sources.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::checkpoint::home::disk;

/// Version of the form.
const VERSION: u32 = 1;

/// A position as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Offset of the next record.
    pub(super) offset: i64,
    /// The part of the source that it lies in: where that begins, and its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) segment: Option<(i64, String)>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    /// By source and partition.
    positions: BTreeMap<String, BTreeMap<i32, Kept>>,
}

/// The positions of one application.
#[derive(Debug)]
pub(super) struct Positions {
    file: Option<InFile>,
    kept: BTreeMap<String, BTreeMap<i32, Kept>>,
}

/// The file that they are in.
#[derive(Debug)]
struct InFile {
    path: PathBuf,
    /// Held as long as this lives.
    _lock: File,
}

impl Positions {
    /// What a log has kept.
    ///
    /// # Errors
    /// When it is of another version or damaged.
    pub(super) fn in_log(kept: Option<&[u8]>) -> Result<Self, Error> {
        let kept = match kept {
            Some(bytes) => parse(
                "what is kept of positions beside the state",
                "`kafka-engine reset`",
                bytes,
            )?,
            None => BTreeMap::new(),
        };
        Ok(Self { file: None, kept })
    }

    /// Reads what is kept, and keeps other processes away.
    ///
    /// # Errors
    /// When the folder cannot be used, another process reads these sources, or the file is of another version or damaged.
    pub(super) fn enter(state_dir: &Path, application_id: &str) -> Result<Self, Error> {
        let folder = state_dir.join(application_id);
        std::fs::create_dir_all(&folder)
            .map_err(|source| disk("creating state directory", &folder, source))?;
        let path = folder.join("positions.lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| disk("opening", &path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::State(format!(
                    "another process of {application_id} reads its files and other sources already: {} is locked; stop it, or give this one another application.id or state.dir",
                    path.display()
                )));
            }
            Err(TryLockError::Error(source)) => return Err(disk("locking", &path, source)),
        }
        let path = folder.join("positions");
        let kept = match std::fs::read(&path) {
            Ok(bytes) => parse(&path.display().to_string(), "deleting it", &bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(disk("reading", &path, source)),
        };
        let file = Some(InFile { path, _lock: lock });
        Ok(Self { file, kept })
    }

    /// Where a partition goes on.
    pub(super) fn of(&self, source: &str, partition: i32) -> Option<&Kept> {
        self.kept.get(source)?.get(&partition)
    }

    /// Keeps positions: when this returns they are on the disk, or what is returned is for the log to keep.
    ///
    /// # Errors
    /// [`Error::Disk`], for example when the disk is full; what was kept before stays.
    pub(super) fn keep<'a>(
        &mut self,
        positions: impl IntoIterator<Item = (&'a str, i32, Kept)>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut is_new = false;
        for (source, partition, position) in positions {
            let of = self.kept.entry(source.to_owned()).or_default();
            is_new |= of.get(&partition) != Some(&position);
            of.insert(partition, position);
        }
        if !is_new {
            return Ok(None);
        }
        let form = Form {
            version: VERSION,
            positions: self.kept.clone(),
        };
        let text = serde_json::to_vec(&form)
            .map_err(|e| Error::State(format!("positions cannot be written: {e}")))?;
        let Some(InFile { path, .. }) = &self.file else {
            return Ok(Some(text));
        };
        // Another name first: a crash in between leaves the old one whole.
        let next = path.with_extension("next");
        let write = || {
            let mut file = File::create(&next)?;
            file.write_all(&text)?;
            file.sync_data()?;
            std::fs::rename(&next, path)
        };
        write().map_err(|source| disk("writing", &next, source))?;
        Ok(None)
    }
}

fn parse(
    of: &str,
    remedy: &str,
    bytes: &[u8],
) -> Result<BTreeMap<String, BTreeMap<i32, Kept>>, Error> {
    let damaged = |what: String| {
        Error::State(format!(
            "{of} {what}; {remedy} begins anew: the sources are read from their beginning again"
        ))
    };
    let form: Form =
        serde_json::from_slice(bytes).map_err(|e| damaged(format!("holds no positions: {e}")))?;
    if form.version != VERSION {
        return Err(damaged(format!(
            "has version {}, this program knows version {VERSION}",
            form.version
        )));
    }
    Ok(form.positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);
    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("engine-positions-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }
    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn at(offset: i64) -> Kept {
        Kept {
            offset,
            segment: Some((5, "inode 7".into())),
        }
    }

    #[test]
    fn positions_come_back_after_a_restart_and_one_process_has_them() {
        let folder = Folder::new("restart");
        let mut positions = Positions::enter(&folder.0, "app").unwrap();
        assert_eq!(positions.of("a.csv", 0), None);
        positions
            .keep([("a.csv", 0, at(7)), ("a.csv", 1, at(8))])
            .unwrap();
        positions.keep([("a.csv", 1, at(9))]).unwrap();
        let error = Positions::enter(&folder.0, "app").unwrap_err().to_string();
        assert!(error.contains("another process of app"), "{error}");
        drop(positions);
        let again = Positions::enter(&folder.0, "app").unwrap();
        assert_eq!(again.of("a.csv", 0), Some(&at(7)));
        assert_eq!(again.of("a.csv", 1), Some(&at(9)));
        assert_eq!(again.of("b.csv", 0), None);
    }

    #[test]
    fn what_a_log_has_kept_is_read_as_it_was_given_out() {
        let mut positions = Positions::in_log(None).unwrap();
        let kept = positions.keep([("a.csv", 0, at(7))]).unwrap().unwrap();
        assert_eq!(positions.keep([("a.csv", 0, at(7))]).unwrap(), None);
        let again = Positions::in_log(Some(&kept)).unwrap();
        assert_eq!(again.of("a.csv", 0), Some(&at(7)));
        let error = Positions::in_log(Some(b"{")).unwrap_err().to_string();
        assert!(error.contains("kafka-engine reset"), "{error}");
    }

    #[test]
    fn a_source_that_moved_is_kept_beside_others_that_stood_still() {
        let folder = Folder::new("beside");
        let mut positions = Positions::enter(&folder.0, "app").unwrap();
        positions
            .keep([("a.csv", 0, at(1)), ("b.csv", 0, at(1))])
            .unwrap();
        for moved in [[2, 1], [2, 3]] {
            let [a, b] = moved.map(at);
            positions
                .keep([("a.csv", 0, a.clone()), ("b.csv", 0, b.clone())])
                .unwrap();
            drop(positions);
            positions = Positions::enter(&folder.0, "app").unwrap();
            assert_eq!(
                (positions.of("a.csv", 0), positions.of("b.csv", 0)),
                (Some(&a), Some(&b))
            );
        }
    }

    #[test]
    fn a_damaged_file_and_one_of_another_version_are_refused_with_their_path() {
        let folder = Folder::new("damaged");
        drop(Positions::enter(&folder.0, "app").unwrap());
        for text in ["", "{\"version\":1,", "{\"version\":9,\"positions\":{}}"] {
            std::fs::write(folder.0.join("app/positions"), text).unwrap();
            let error = Positions::enter(&folder.0, "app").unwrap_err().to_string();
            assert!(
                error.contains("app/positions") && error.contains("deleting it"),
                "{error}"
            );
        }
    }
}
