//! Where an operator keeps its state, and what its table needs of a place outside of memory.

use std::fmt;

use thiserror::Error;

/// Where an operator keeps its state; see [`Keyed::state_store`](crate::flow::Keyed::state_store). The changelog is the same for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Store {
    /// In memory; the default. An existing key costs some ten to a hundred nanoseconds.
    #[default]
    Memory,
    /// On disk, the keys in use in memory: for more keys than fit there. A key that is not in memory costs some microseconds.
    #[cfg(feature = "fjall")]
    Disk {
        /// Bytes of memory for each worker's part of the operator's state, from 64 KiB on. What values own elsewhere is estimated from
        /// their encoded size. The store's own buffers come to it: about 50 MiB.
        cache_bytes: usize,
    },
}

impl Store {
    /// On disk, with 64 MiB of memory for each worker.
    #[cfg(feature = "fjall")]
    #[must_use]
    pub const fn disk() -> Self {
        Self::Disk {
            cache_bytes: 64 << 20,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("state in memory"),
            #[cfg(feature = "fjall")]
            Self::Disk { cache_bytes } => {
                write!(
                    f,
                    "state on disk, {} MiB of it in memory",
                    cache_bytes >> 20
                )
            }
        }
    }
}

/// State on disk cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("state in {path}: {reason}")]
pub struct StoreError {
    /// The folder.
    pub path: String,
    /// What went wrong, and what to do about it.
    pub reason: String,
}

/// Where a table is to have its keys: in memory, or in a place beside it too, with so many bytes in memory.
#[derive(Debug, Default)]
pub struct Place(pub(crate) Option<(Box<dyn Cold>, usize)>);

impl Place {
    /// The same place, for hints beside the table: an eighth of its memory.
    pub(crate) fn for_hints(&self) -> Option<(Box<dyn Cold>, usize)> {
        let (cold, bytes) = self.0.as_ref()?;
        Some((cold.share(), bytes / 8))
    }
}

/// A key that is elsewhere, behind its prefix, and its encoded value.
pub(crate) type Scanned = Result<(Vec<u8>, Vec<u8>), StoreError>;

/// Keys and encoded values outside of memory. A key is the prefix of its table, if that has one, its group's number, 4 bytes big-endian, and
/// its bytes.
pub(crate) trait Cold: Send + fmt::Debug {
    /// The same place, for another table in it.
    fn share(&self) -> Box<dyn Cold>;
    /// Reads a value; false when there is none.
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StoreError>;
    /// Writes a value with the next [`Cold::flush`]; with a timestamp it was changed since the last drain.
    fn put(&mut self, key: &[u8], value: &[u8], changed: Option<i64>) -> Result<(), StoreError>;
    /// Removes a key with the next [`Cold::flush`].
    fn remove(&mut self, key: &[u8]);
    /// Notes with the next [`Cold::flush`] that a key's change was drained.
    fn drained(&mut self, key: &[u8]);
    fn flush(&mut self) -> Result<(), StoreError>;
    /// Keeps everything for the next life, durably: only under this mark, and with this note.
    fn seal(&mut self, mark: &[u8], note: &[u8]) -> Result<(), StoreError>;
    /// The note of the former life, if this is its continuation.
    fn take_note(&mut self) -> Option<Vec<u8>>;
    /// Lets go of all keys that begin with this prefix or a smaller one. Some may be there for a while: they must not be looked at any more.
    fn drop_until(&self, prefix: &[u8]) -> Result<(), StoreError>;
    /// Calls `f` with the keys that begin with `prefix`, were changed, and come after `after`, and the time, until it says false.
    fn each_changed(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        f: &mut dyn FnMut(&[u8], i64) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;
    /// The keys that begin with `prefix` and come after `after`, in their order.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>) -> Box<dyn Iterator<Item = Scanned> + '_>;
}
