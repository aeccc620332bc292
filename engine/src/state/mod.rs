//! Keyed state: the hash that spreads keys over key groups, and the table that holds a value for each key.
//!
//! It knows neither operators nor topics: what leaves it are key bytes and encoded values.

pub mod hash;
mod key;
pub mod table;
mod timers;

pub use hash::{Hasher, KeyGroups};
pub(crate) use key::Key;
pub(crate) use table::{CHUNK, KeyedState, Pending};
pub use table::{RestoreError, State, Table};
pub(crate) use timers::Timers;
