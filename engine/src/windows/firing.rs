//! A window that is made of slices, on its way out, in pieces.

use crate::state::Place;

/// A window that is being given out.
pub(super) struct Firing {
    pub(super) end: i64,
    /// The slices of it that are joined already, and where to go on.
    pub(super) joined: usize,
    pub(super) place: Place,
    pub(super) stage: Stage,
}

/// What is done with the slices of a window.
pub(super) enum Stage {
    /// They are joined in memory.
    Join,
    /// The one slice, or what was joined, is given out.
    Emit,
    /// All of them are moved to the disk, to be joined there.
    Settle,
    /// They are joined key by key as they lie there, up to this key.
    Merge(Option<Vec<u8>>),
}
