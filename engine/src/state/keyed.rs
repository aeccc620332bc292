//! What the runtime sees of the state of any keyed operator, and why an entry of a changelog is refused.

use std::any::Any;

use thiserror::Error;

use super::StoreError;
use crate::batch::Rows;

/// What the runtime sees of an operator's state: key bytes and encoded values, no types.
pub(crate) trait KeyedState: Any + Send {
    /// Number of keys.
    fn len(&self) -> usize;
    /// Bytes held.
    fn memory_bytes(&self) -> usize;
    /// Number of keys changed since they were drained.
    fn changed(&self) -> usize;
    /// Moves changed keys of a group, with their values encoded, to `rows`, until those hold `limit` bytes. True when some are left.
    fn drain_changed(&mut self, group: u32, rows: &mut Rows, limit: usize) -> bool;
    /// Moves what is due at this watermark, and at this time of the wall clock, to `rows`, until those hold about `limit` bytes. Nothing
    /// moved: nothing more is due.
    fn due(&mut self, _watermark: i64, _now_ms: i64, _rows: &mut Rows, _limit: usize) {}
    /// When the clock that `due` is given next makes something due.
    fn next_due_ms(&self) -> Option<i64> {
        None
    }
    /// Whether `due` is given the time of a clock that nobody sets instead of the wall clock's: it measures durations.
    fn measures_durations(&self) -> bool {
        false
    }
    /// Another round begins: timers that timers have set may be due from now on. True when there are any.
    fn begin_round(&mut self) -> bool {
        false
    }
    /// Whether a timer that waits for the next round is due at this watermark: time does not pass it.
    fn holds_time(&self, _watermark: i64) -> bool {
        false
    }
    /// Moves what a commit makes due, beside what time has, to `rows`. Nothing moved: nothing more is due.
    fn updates(&mut self, _rows: &mut Rows, _limit: usize) {}
    /// Moves keys of entries that are gone to `rows`, until those hold `limit` bytes. True when some are left.
    fn drain_removed(&mut self, _rows: &mut Rows, _limit: usize) -> bool {
        false
    }
    /// Takes back the watermark that the operator had acted upon.
    fn restore_watermark(&mut self, _at: i64) {}
    /// Takes an entry of the changelog: sets the key's value, or removes the key.
    fn restore(&mut self, group: u32, key: &[u8], value: Option<&[u8]>)
    -> Result<(), RestoreError>;
    /// Why state outside of memory cannot be read or written, if so: what was done since is worth nothing.
    fn take_error(&mut self) -> Option<StoreError> {
        None
    }
    /// At an orderly end, when all that has changed is drained: keeps what is outside of memory for the next life, under a mark of what it
    /// is. False when it cannot be kept, and is read back from the changelog.
    fn keep(&mut self, _mark: &[u8]) -> bool {
        false
    }
    /// Whether it was kept from the former life, so that nothing is to be read back.
    fn is_kept(&self) -> bool {
        false
    }
    /// Drops all of a group.
    fn drop_group(&mut self, group: u32);
    /// Calls `f` with each key of a group and its encoded value.
    fn each_encoded(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8]));
}

/// A changelog entry that this application cannot have written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The key hashes to another group.
    #[error(
        "a key of key group {actual} stands in group {group}: the state was written with another seed or another number of key groups"
    )]
    WrongGroup {
        /// Where the entry was found.
        group: u32,
        /// Where it belongs.
        actual: u32,
    },
    /// The value is not one of this operator.
    #[error(
        "a value of {bytes} bytes cannot be read as this operator's state: the state was written by another version of the plan"
    )]
    Value {
        /// Its size.
        bytes: usize,
    },
}
