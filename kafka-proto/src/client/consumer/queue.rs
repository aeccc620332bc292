//! What was fetched and is not handed out as records yet: partitions in the order they came, the first of them perhaps begun.

use std::collections::VecDeque;

use crate::{client::error::Result, records::Decompressor};

use super::{
    batches::{FetchedBatches, FetchedPartition},
    records::{ConsumerRecord, OpenBatch},
    room::FetchBudget,
};

/// Fetched partitions on their way to the application.
#[derive(Debug)]
pub(super) struct Queue {
    partitions: VecDeque<FetchedPartition>,
    /// The first batch of the first partition, if records were taken out of it.
    open: Option<OpenBatch>,
    decompressor: Decompressor,
}

impl Queue {
    pub(super) const fn new(decompressor: Decompressor) -> Self {
        Self {
            partitions: VecDeque::new(),
            open: None,
            decompressor,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    pub(super) fn extend(&mut self, fetched: FetchedBatches) {
        self.partitions.extend(fetched);
    }

    /// Takes up to `most` records; none if there are none, or while the budget has no room for another inflated batch.
    pub(super) fn take(&mut self, most: usize) -> Result<Vec<ConsumerRecord>> {
        let mut records = Vec::with_capacity(self.count(most));
        while records.len() < most {
            match self.take_from_first(most, &mut records) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // The position goes back to what is bad; what came before it is delivered first, the error comes again.
                    if let Some(bad) = self.partitions.pop_front() {
                        drop(self.remove(bad.topic(), bad.partition()));
                    }
                    self.open = None;
                    if records.is_empty() {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(records)
    }

    /// About how many records are here, `most` at most: so that the result is one piece of memory, not one that grows from batch to batch.
    fn count(&self, most: usize) -> usize {
        let mut batches = self
            .partitions
            .iter()
            .flat_map(|queued| queued.batches.as_slice());
        let mut count = 0;
        while count < most
            && let Some(batch) = batches.next()
        {
            // The count is a claim of the peer's: a record takes 7 bytes at least.
            count += (batch.record_count() as usize).min(batch.size_bytes() / 7 + 1);
        }
        count.min(most)
    }

    /// Whether there may be more.
    fn take_from_first(&mut self, most: usize, records: &mut Vec<ConsumerRecord>) -> Result<bool> {
        let Some(partition) = self.partitions.front_mut() else {
            return Ok(false);
        };
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let Some(batch) = partition.peek_batch()? else {
                    self.partitions.pop_front();
                    return Ok(true);
                };
                if batch.is_compressed() && !batch.budget().may_inflate() {
                    return Ok(false);
                }
                none.insert(OpenBatch::open(batch, &mut self.decompressor)?)
            }
        };
        let done = open.take(most, records)?;
        let (offset, epoch) = open.position();
        if done {
            self.open = None;
            partition.take_batch();
        } else {
            partition.take_to(offset, epoch);
        }
        Ok(true)
    }

    /// The budget to wait for, if there are records that it has no room for.
    pub(super) fn waits_for(&self) -> Option<&FetchBudget> {
        if self.open.is_some() {
            return None;
        }
        self.partitions.front().map(FetchedPartition::budget)
    }

    /// Behind the last record that was taken of a partition, with its leader epoch, if more of it is here.
    pub(super) fn position(&self, topic: &str, partition: i32) -> Option<(i64, i32)> {
        let mut queued = self.partitions.iter();
        queued
            .find(|queued| queued.is_of(topic, partition))
            .map(FetchedPartition::next)
    }

    /// Takes out what is left of a partition.
    pub(super) fn remove(&mut self, topic: &str, partition: i32) -> Vec<FetchedPartition> {
        let of = |queued: &FetchedPartition| queued.is_of(topic, partition);
        if self.partitions.front().is_some_and(of) {
            self.open = None;
        }
        let (removed, kept): (Vec<_>, Vec<_>) = self.partitions.drain(..).partition(of);
        self.partitions = kept.into();
        removed
    }

    /// Takes out all that is left; a batch that was begun is there again, from the first record that was not taken.
    pub(super) fn drain(&mut self) -> FetchedBatches {
        self.open = None;
        FetchedBatches::new(self.partitions.drain(..).collect())
    }

    pub(super) fn clear(&mut self) {
        self.open = None;
        self.partitions.clear();
    }
}
