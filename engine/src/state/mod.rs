//! Keyed state: the hash that spreads keys over key groups, and the table that holds a value for each key.
//!
//! It knows neither operators nor topics: what leaves it are key bytes and encoded values.

mod entries;
pub mod hash;
mod key;
mod keyed;
mod segment;
pub mod table;
mod timers;

pub(crate) use entries::{Entries, Entry, WALL_TIMER, add, take};
pub use hash::{Hasher, KeyGroups};
pub(crate) use key::Key;
pub(crate) use keyed::KeyedState;
pub use keyed::RestoreError;
pub(crate) use table::{CHUNK, Pending};
pub use table::{State, Table};
pub(crate) use timers::Timers;
