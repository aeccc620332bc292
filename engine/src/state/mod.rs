//! Keyed state: the hash that spreads keys over key groups, and the table that holds a value for each key.
//!
//! It knows neither operators nor topics: what leaves it are key bytes and encoded values.

#[cfg(feature = "fjall")]
mod disk;
mod entries;
pub mod hash;
mod held;
mod held_cold;
mod key;
mod keyed;
mod segment;
mod store;
pub mod table;
mod timers;

#[cfg(feature = "fjall")]
pub(crate) use disk::{Disk, temporary_folder};
pub(crate) use entries::{Entries, Entry, SetBy, WALL_TIMER};
pub use hash::{Hasher, KeyGroups};
pub(crate) use held::{HeldRows, Tie};
pub(crate) use key::Key;
pub(crate) use keyed::KeyedState;
pub use keyed::RestoreError;
pub(crate) use store::Cold;
#[doc(hidden)]
pub use store::Place as StorePlace;
pub use store::{Store, StoreError};
pub(crate) use table::{CHUNK, Place, merge_cold};
pub use table::{State, Table};
pub(crate) use timers::Timers;
