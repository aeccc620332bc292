//! Batches that are larger than their topic allows: each goes on as two, in its place and under its sequence numbers (as KIP-126 has it).

use std::time::Instant;

use super::{Batch, Effects, Sender, sequence_after};
use crate::client::error::Error;
use crate::records::Stamp;

/// A batch that the broker found too large, and why it fails if it cannot be sent as two.
#[derive(Debug)]
pub(in super::super) struct TooLarge<R, T> {
    pub(super) at: usize,
    pub(super) batch: Batch<R, T>,
    pub(super) error: Error,
}

impl<R, T> TooLarge<R, T> {
    pub(in super::super) fn records(&self) -> &R {
        &self.batch.records
    }

    /// What it carries.
    pub(in super::super) fn take(self) -> (Whole, R, Option<T>) {
        let Batch {
            records,
            ticket,
            deadline,
            order,
            stamp,
            maybe_written,
            ..
        } = self.batch;
        let whole = Whole {
            at: self.at,
            deadline,
            order,
            stamp,
            maybe_written,
        };
        (whole, records, ticket)
    }
}

/// What the two halves of a batch have in common.
#[derive(Debug)]
pub(in super::super) struct Whole {
    at: usize,
    deadline: Instant,
    order: u64,
    stamp: Option<Stamp>,
    maybe_written: bool,
}

impl<R, T> Sender<R, T> {
    /// Takes the two halves of a batch that was too large in its place. Together they have its sequence numbers: none of them was used.
    pub(in super::super) fn split(&mut self, whole: &Whole, halves: [(R, T, u32, usize); 2]) {
        let mut first_record = 0;
        for (records, ticket, count, bytes) in halves {
            let stamp = whole.stamp.map(|stamp| Stamp {
                base_sequence: if first_record == 0 {
                    stamp.base_sequence
                } else {
                    sequence_after(stamp.base_sequence, first_record)
                },
                ..stamp
            });
            let part = Batch {
                records,
                ticket: Some(ticket),
                count,
                bytes,
                deadline: whole.deadline,
                order: whole.order + u64::from(first_record),
                stamp,
                request: 0,
                attempts: 1,
                maybe_written: whole.maybe_written,
                is_purged: false,
                last_error: None,
            };
            let queue = &mut self.partitions[whole.at].queue;
            let place = queue.partition_point(|queued| queued.order < part.order);
            queue.insert(place, part);
            first_record += count;
        }
        self.outstanding += 1;
        let next = self
            .next_expiry
            .map_or(whole.deadline, |next| next.min(whole.deadline));
        self.next_expiry = Some(next);
        self.make_ready(whole.at);
    }

    /// Gives a batch up that was too large and cannot be split.
    pub(in super::super) fn refuse(
        &mut self,
        too_large: TooLarge<R, T>,
        effects: &mut Effects<R, T>,
    ) {
        let TooLarge { at, batch, error } = too_large;
        self.fail(at, batch, error, effects);
    }
}
