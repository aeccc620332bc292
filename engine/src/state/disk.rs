//! State on disk: [`Cold`] over `fjall`, a log-structured store in Rust.
//!
//! The folder is scratch space: what it holds is in the changelog too. While it is in use nothing is synchronised to the disk, and what a crash
//! leaves behind is never looked at. At an orderly end it is sealed with a mark of what is in it, and taken up again by who expects just that.

use std::fmt;
use std::fs::TryLockError;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PartitioningPolicy},
};

use super::store::{Cold, Scanned, StoreError};

/// Longer keys cannot be stored: fjall counts their bytes in 16 bits.
const KEY_BYTES_MAX: usize = u16::MAX as usize;
/// Memory for blocks read back.
const CACHE_BYTES: u64 = 32 << 20;
/// Memory for writes before they become a file.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The least that fjall takes.
const JOURNAL_BYTES: u64 = 64 << 20;
/// The mark of an orderly end, and then its note. No key of a table or queue begins so.
const SEAL: &[u8] = &[0xfe];

/// One operator's state in one worker.
pub(crate) struct Disk {
    path: PathBuf,
    database: Database,
    values: Keyspace,
    /// Keys that were moved here between a change and its drain, with the time of the change.
    changed: Keyspace,
    batch: OwnedWriteBatch,
    note: Option<Vec<u8>>,
    /// Behind the database: it goes when that is closed.
    folder: Arc<Folder>,
}

/// Removes the folder at the end, unless it was sealed.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    is_sealed: AtomicBool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_sealed.load(Ordering::Relaxed) {
            // What is left is emptied before its next use.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A folder among the system's temporary files that nobody else in this process uses.
pub(crate) fn temporary_folder(name: &str) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (process, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(format!("kafka-engine-state-{process}-{n}-{name}"))
}

impl Disk {
    /// Uses the folder as it is, if it was sealed with this mark; else empties it. It is removed at the end, unless it is sealed.
    ///
    /// # Errors
    /// When the folder cannot be made or used, or another process uses it.
    pub(crate) fn open(path: &Path, mark: Option<&[u8]>) -> Result<Self, StoreError> {
        // As fjall itself does, but before anything is removed.
        if let Ok(lock) = std::fs::File::open(path.join("lock"))
            && matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
        {
            return Err(refused(path, &fjall::Error::Locked));
        }
        if let Some(mark) = mark
            && path.exists()
        {
            // One that cannot be used as it is can still be emptied.
            if let Ok(disk) = Self::open_as_it_is(path)
                && let Ok(Some(disk)) = disk.unseal(mark)
            {
                return Ok(disk);
            }
        }
        let begin = || {
            match std::fs::remove_dir_all(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
            Ok(std::fs::create_dir_all(path)?)
        };
        begin().map_err(|error: fjall::Error| refused(path, &error))?;
        Self::open_as_it_is(path)
    }

    /// Breaks the seal, durably: what comes after it is not what the mark says. `None`: there is none, or another one.
    fn unseal(mut self, mark: &[u8]) -> Result<Option<Self>, fjall::Error> {
        let Some(seal) = self.values.get(SEAL)? else {
            return Ok(None);
        };
        let Some(note) = seal.strip_prefix(mark) else {
            return Ok(None);
        };
        self.note = Some(note.to_vec());
        self.values.remove(SEAL)?;
        self.database.persist(PersistMode::SyncAll)?;
        Ok(Some(self))
    }

    fn open_as_it_is(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| refused(path, &error);
        let database = Database::builder(path)
            .worker_threads(1)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .manual_journal_persist(true)
            .open()
            .map_err(failed)?;
        let options = |bits: f32| {
            let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(bits));
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(MEMTABLE_BYTES)
                .filter_policy(FilterPolicy::all(filter))
                // Whole filters and indexes are megabytes: read and checked for each key once they do not fit into the cache.
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
        };
        let values = database.keyspace("values", || options(10.0));
        let changed = database.keyspace("changed", || options(1.0));
        Ok(Self {
            path: path.to_owned(),
            values: values.map_err(failed)?,
            changed: changed.map_err(failed)?,
            batch: database.batch(),
            database,
            note: None,
            folder: Arc::new(Folder {
                path: path.to_owned(),
                is_sealed: AtomicBool::new(false),
            }),
        })
    }

    fn failed(&self, error: fjall::Error) -> StoreError {
        refused(&self.path, &error)
    }
}

/// The system's own words, where there are some, and what to do.
fn refused(path: &Path, error: &fjall::Error) -> StoreError {
    use std::io::ErrorKind;
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut io = None;
    while let Some(error) = source {
        io = io.or_else(|| error.downcast_ref::<std::io::Error>());
        source = error.source();
    }
    let what_to_do = match (error, io.map(std::io::Error::kind)) {
        (fjall::Error::Locked, _) => {
            "another process uses this folder: end it, or give this one another state.dir"
        }
        (_, Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)) => {
            "make the folder writable for this user, or set state.dir to one that is"
        }
        (_, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) => {
            "free space there, or set state.dir to a larger disk; nothing that was committed is lost"
        }
        (fjall::Error::Poisoned, _) => {
            "an earlier write failed (is the disk full?); nothing that was committed is lost"
        }
        _ => {
            "nothing that was committed is lost: the changelog has it; set state.dir to another disk if this one is broken"
        }
    };
    let said = match (error, io) {
        (fjall::Error::Locked | fjall::Error::Poisoned, _) => String::new(),
        (_, Some(io)) => format!("{io}: "),
        (other, None) => format!("{other}: "),
    };
    StoreError {
        path: path.display().to_string(),
        reason: format!("{said}{what_to_do}"),
    }
}

/// The first key that does not begin with the prefix or a smaller one.
fn behind(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => {
            *last += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    }
}

impl Disk {
    /// What a keyspace has behind a prefix, from behind a key on.
    fn range(&self, of: &Keyspace, prefix: &[u8], after: Option<&[u8]>) -> fjall::Iter {
        let from = match after {
            Some(after) => Bound::Excluded(after.to_vec()),
            None => Bound::Included(prefix.to_vec()),
        };
        of.range::<Vec<u8>, _>((from, behind(prefix)))
    }
}

impl Cold for Disk {
    fn share(&self) -> Box<dyn Cold> {
        Box::new(Self {
            path: self.path.clone(),
            database: self.database.clone(),
            values: self.values.clone(),
            changed: self.changed.clone(),
            batch: self.database.batch(),
            note: None,
            folder: Arc::clone(&self.folder),
        })
    }

    fn seal(&mut self, mark: &[u8], note: &[u8]) -> Result<(), StoreError> {
        self.batch.insert(&self.values, SEAL, [mark, note].concat());
        self.flush()?;
        let persisted = self.database.persist(PersistMode::SyncAll);
        persisted.map_err(|e| self.failed(e))?;
        self.folder.is_sealed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn take_note(&mut self) -> Option<Vec<u8>> {
        self.note.take()
    }

    fn drop_until(&self, prefix: &[u8]) -> Result<(), StoreError> {
        for keyspace in [&self.values, &self.changed] {
            let range = (Bound::Unbounded, behind(prefix));
            // fjall has no name of its own for it. Whole files go, without being read; what is in memory there goes with a later range.
            let dropped = keyspace.tree.drop_range::<Vec<u8>, _>(range);
            dropped.map_err(|e| self.failed(e.into()))?;
        }
        Ok(())
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StoreError> {
        value.clear();
        let found = self.values.get(key).map_err(|e| self.failed(e))?;
        if let Some(found) = &found {
            value.extend_from_slice(found);
        }
        Ok(found.is_some())
    }

    fn put(&mut self, key: &[u8], value: &[u8], changed: Option<i64>) -> Result<(), StoreError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(StoreError {
                path: self.path.display().to_string(),
                reason: format!(
                    "a key that takes {} bytes there is longer than the {KEY_BYTES_MAX} that it can take: use Store::Memory, or a hash of the key",
                    key.len(),
                ),
            });
        }
        self.batch.insert(&self.values, key, value);
        if let Some(timestamp) = changed {
            self.batch
                .insert(&self.changed, key, timestamp.to_be_bytes());
        }
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) {
        self.batch.remove(&self.values, key);
    }

    fn drained(&mut self, key: &[u8]) {
        self.batch.remove(&self.changed, key);
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::replace(&mut self.batch, self.database.batch());
        batch.commit().map_err(|e| self.failed(e))
    }

    fn each_changed(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        f: &mut dyn FnMut(&[u8], i64) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for entry in self.range(&self.changed, prefix, after) {
            let (key, time) = entry.into_inner().map_err(|e| self.failed(e))?;
            let time = time
                .first_chunk()
                .map_or(0, |time| i64::from_be_bytes(*time));
            if !f(&key, time)? {
                break;
            }
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>) -> Box<dyn Iterator<Item = Scanned> + '_> {
        let entries = self.range(&self.values, prefix, after);
        Box::new(entries.map(|entry| {
            let (key, value) = entry.into_inner().map_err(|e| self.failed(e))?;
            Ok((key.to_vec(), value.to_vec()))
        }))
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_full_disk_a_read_only_one_and_a_locked_one_are_told_apart_and_each_says_what_to_do() {
        let text = |error: fjall::Error| refused(Path::new("/state/app"), &error).to_string();
        let io = |kind: ErrorKind| text(Error::from(kind).into());
        for (error, wanted) in [
            (io(ErrorKind::StorageFull), "free space there"),
            (
                io(ErrorKind::ReadOnlyFilesystem),
                "make the folder writable",
            ),
            (io(ErrorKind::PermissionDenied), "make the folder writable"),
            (
                text(fjall::Error::Locked),
                "another process uses this folder",
            ),
            (text(fjall::Error::Poisoned), "is the disk full?"),
            (text(fjall::Error::InvalidTrailer), "another disk"),
        ] {
            assert!(error.starts_with("state in /state/app: "), "{error}");
            assert!(
                error.contains(wanted) && !error.contains("FjallError: Io"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_key_too_long_for_the_disk_is_refused_before_it_is_written() {
        let path = temporary_folder("long-key");
        let mut disk = Disk::open(&path, None).unwrap();
        let error = disk
            .put(&vec![0; 70_000], b"", None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("70000 bytes") && error.contains("Store::Memory"),
            "{error}"
        );
    }

    #[test]
    fn a_range_that_is_dropped_gives_its_files_back() {
        let path = temporary_folder("ranges");
        let mut disk = Disk::open(&path, None).unwrap();
        let mut other = disk.share();
        // What comes behind the range stays.
        other.put(&[0xff], b"stays", None).unwrap();
        other.flush().unwrap();
        let value = vec![7; 64 << 10];
        for slice in 0..8u64 {
            for n in 0..400u32 {
                let key = [&slice.to_be_bytes()[..], &n.to_be_bytes()].concat();
                disk.put(&key, &value, Some(1)).unwrap();
                disk.flush().unwrap();
            }
            for keyspace in [&disk.values, &disk.changed] {
                keyspace.rotate_memtable_and_wait().unwrap();
            }
            disk.drop_until(&slice.to_be_bytes()).unwrap();
        }
        let mut value = Vec::new();
        assert!(disk.get(&[0xff], &mut value).unwrap());
        let written = 8 * 400 * (64 << 10);
        // A file that is being compacted stays for now, and goes with a later slice.
        let began = std::time::Instant::now();
        loop {
            let left = bytes_in(&path.join("keyspaces"));
            if left < written / 2 {
                break;
            }
            let is_patient = began.elapsed().as_secs() < 60;
            assert!(is_patient, "{left} bytes of {written} are left");
            std::thread::yield_now();
            disk.drop_until(&7u64.to_be_bytes()).unwrap();
        }
    }

    fn bytes_in(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let of = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(of) if of.is_dir() => bytes_in(&entry.path()),
            Ok(of) => of.len(),
            // Files go at any time.
            Err(_) => 0,
        };
        entries.map(of).sum()
    }

    /// What a kill leaves behind: a copy of the folder while it is in use.
    fn as_if_killed(path: &Path) -> PathBuf {
        fn copy(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
                let to = to.join(entry.file_name());
                if entry.metadata().unwrap().is_dir() {
                    copy(&entry.path(), &to);
                } else {
                    std::fs::copy(entry.path(), to).unwrap();
                }
            }
        }
        let to = temporary_folder("killed");
        copy(path, &to);
        to
    }

    #[test]
    fn a_seal_counts_once_and_for_its_mark_only() {
        let path = temporary_folder("sealed");
        let life = |mark: &[u8], seal: Option<&[u8]>| {
            let mut disk = Disk::open(&path, Some(mark)).unwrap();
            let found = disk.take_note();
            let mut value = Vec::new();
            let is_there = disk.get(b"0000key", &mut value).unwrap();
            assert_eq!(is_there, found.is_some(), "all or nothing");
            disk.put(b"0000key", b"value", None).unwrap();
            disk.flush().unwrap();
            if let Some(seal) = seal {
                disk.seal(seal, b"note").unwrap();
            }
            found
        };
        assert_eq!(life(b"one", Some(b"one")), None, "there was nothing");
        assert_eq!(life(b"one", Some(b"two")), Some(b"note".to_vec()));
        assert_eq!(life(b"one", Some(b"two")), None, "another mark");
        assert_eq!(life(b"two", None), Some(b"note".to_vec()));
        assert_eq!(life(b"two", Some(b"two")), None, "it was not sealed");
        let disk = Disk::open(&path, Some(b"two")).unwrap();
        let killed = as_if_killed(&path);
        drop(disk);
        let mut disk = Disk::open(&killed, Some(b"two")).unwrap();
        assert_eq!(disk.take_note(), None, "it was in use");
        assert!(!disk.get(b"0000key", &mut Vec::new()).unwrap());
    }
}
