//! Which batches of a fetch an application may see: the read_committed filter.
//!
//! The broker sends all batches up to the last stable offset, and beside them the aborted transactions among them: producer and first
//! offset. A batch is void if its producer is inside an aborted transaction, from that first offset to the producer's next ABORT marker.

use std::collections::HashSet;

use super::{batch::Batch, control::ControlType, error::RecordError};

/// An entry of a fetch response's list of aborted transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer whose transaction it was.
    pub producer_id: i64,
    /// Offset of the transaction's first record in the partition.
    pub first_offset: i64,
}

/// What to do with a batch. The position moves behind it in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its records are the application's.
    Deliver,
    /// It is a marker: skip it.
    Control,
    /// Its transaction was aborted: skip it.
    Aborted,
}

/// Judges the batches of one partition in one fetch response, in their order.
///
/// The list is valid for its own response only; a new fetch brings a new one that reaches back as far as it must.
#[derive(Clone, Debug, Default)]
pub struct AbortedFilter {
    /// Transactions not reached yet, the next one last.
    ahead: Vec<AbortedTransaction>,
    /// Producers inside an aborted transaction.
    aborting: HashSet<i64>,
}

impl AbortedFilter {
    /// Takes the list of a fetch response, in any order: Redpanda does not sort it.
    pub fn new(aborted: impl IntoIterator<Item = AbortedTransaction>) -> Self {
        let mut ahead: Vec<_> = aborted.into_iter().collect();
        ahead.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self {
            ahead,
            aborting: HashSet::new(),
        }
    }

    /// The filter of read_uncommitted: skips markers and nothing else.
    pub fn read_uncommitted() -> Self {
        Self::default()
    }

    /// Says what to do with the next batch.
    ///
    /// # Errors
    /// When a control batch is malformed.
    #[inline]
    pub fn judge(&mut self, batch: &Batch) -> Result<Verdict, RecordError> {
        while let Some(next) = self
            .ahead
            .pop_if(|next| next.first_offset <= batch.last_offset())
        {
            self.aborting.insert(next.producer_id);
        }
        if batch.is_control() {
            // Only an abort ends an aborted transaction: a commit here belongs to an earlier one of the same producer.
            if !self.aborting.is_empty() && batch.control_type()? == Some(ControlType::Abort) {
                self.aborting.remove(&batch.producer_id());
            }
            return Ok(Verdict::Control);
        }
        let void = batch.is_transactional()
            && !self.aborting.is_empty()
            && self.aborting.contains(&batch.producer_id());
        Ok(if void {
            Verdict::Aborted
        } else {
            Verdict::Deliver
        })
    }
}
