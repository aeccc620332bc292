//! What one worker keeps for one operator between the calls of the plan.

use super::{Answers, Partials, Port};
use crate::{
    batch::{Outbox, Rows, Scratch, by_topic::ByTopic},
    state::KeyedState,
    time::{Clock, UnitCheck},
};

/// What an operator has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Of a source: records read. Of a keyed operator: rows taken into its state.
    pub records: u64,
    /// Records or rows that were refused, null values and what a sink cannot write included; they were left out.
    pub bad: u64,
    /// Of a keyed operator: rows left out because their key is null (`None`).
    pub null_keys: u64,
    /// Of a windowed operator: rows that came after all of their windows, and the allowed lateness, had passed. Of `in_order`: rows that
    /// came after their time had.
    pub late: u64,
}

impl Counters {
    /// Counts rows that were folded into others here, and takes back what the owners of their keys count for them.
    pub(crate) fn fold(&mut self, saved: i64) {
        self.records = self.records.saturating_add_signed(saved);
    }
}

/// State, outgoing rows and batches of one operator.
#[derive(Default)]
pub(crate) struct Slot {
    /// Of a keyed operator: rows on their way to its other half, by worker.
    pub(crate) rows: Vec<Rows>,
    /// Of a keyed operator: its table.
    pub(crate) state: Option<Box<dyn KeyedState>>,
    /// Of a keyed operator: partial values for other workers.
    pub(crate) partials: Partials,
    /// Of `enrich`: rows that wait for answers.
    pub(crate) answers: Option<Box<dyn Answers>>,
    /// Of an operator with a topic for dead letters: their batches.
    pub(crate) letters: Option<Outbox>,
    /// Of a sink: the batches it fills.
    pub(crate) outbox: Option<Outbox>,
    /// Of a sink whose records name their topics: the batches of each.
    pub(crate) by_topic: Option<ByTopic>,
    pub(crate) counters: Counters,
    /// Of a source and of `with_timestamps`: how far its partitions have come.
    pub(crate) clock: Clock,
    /// Of a source and of `with_timestamps`: whether its times are in another unit.
    pub(crate) units: UnitCheck,
    /// Of a source, and of a process function: the operator that cannot do without the times of what it gives out.
    pub(crate) is_timed_for: Option<usize>,
    /// Of a keyed operator: the watermark that it has acted upon; rows are late against this one.
    pub(crate) watermark: Option<i64>,
    /// Of a windowed operator, and of `in_order`: rows that came too late, on their way to `late`.
    pub(crate) late: Rows,
    /// Of a windowed operator: results on their way to its other half.
    pub(crate) fired: Rows,
    /// Encoded value and key on their way.
    pub(crate) scratch: Scratch,
}

impl Slot {
    /// Swaps out results that wait for the operator's other half, or rows that came too late for it.
    pub(crate) fn take_results(&mut self, rows: &mut Rows) -> Option<Port> {
        if !self.fired.is_empty() {
            std::mem::swap(rows, &mut self.fired);
            Some(Port::Fired)
        } else if !self.late.is_empty() {
            std::mem::swap(rows, &mut self.late);
            Some(Port::Late)
        } else {
            None
        }
    }
}
