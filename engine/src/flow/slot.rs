//! What one worker keeps for one operator between the calls of the plan.

use crate::{
    batch::{Outbox, Rows, Scratch},
    state::{KeyedState, Pending},
};

/// What an operator has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Of a source: records read. Of a keyed operator: rows taken into its state.
    pub records: u64,
    /// Records or rows that could not be read, null values included; they were left out.
    pub bad: u64,
    /// Of a keyed operator: rows left out because their key is null (`None`).
    pub null_keys: u64,
}

/// State, outgoing rows and batches of one operator.
#[derive(Default)]
pub(crate) struct Slot {
    /// Of a keyed operator: rows on their way to its other half, by worker.
    pub(crate) rows: Vec<Rows>,
    /// Of a keyed operator: its table.
    pub(crate) state: Option<Box<dyn KeyedState>>,
    /// Of a keyed operator: updates of keys that this worker owns.
    pub(crate) pending: Pending,
    /// Of a sink: the batches it fills.
    pub(crate) outbox: Option<Outbox>,
    pub(crate) counters: Counters,
    /// Encoded value and key on their way.
    pub(crate) scratch: Scratch,
}
