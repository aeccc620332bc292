//! What is given up on request: all that is not on its way to a broker. What is ends with its answer and is not sent again.

use super::{Effects, Identity, Sender};
use crate::client::error::Error;

impl<R, T> Sender<R, T> {
    /// Gives up what waits, and never sends again what is unanswered.
    ///
    /// Sequence numbers that were used for batches which may never arrive are not used any more: partitions that had such go on under the
    /// next epoch, from 0, once everything under this one is answered. So nothing waits for a gap, and what a broker may still
    /// get of the old epoch it refuses as soon as it has something of the new one.
    pub(in super::super) fn purge(&mut self, effects: &mut Effects<R, T>) {
        for at in 0..self.partitions.len() {
            let mut has_numbers = !self.partitions[at].unanswered.is_empty();
            while let Some(batch) = self.partitions[at].queue.pop_front() {
                has_numbers |= batch.stamp.is_some();
                self.fail(at, batch, Error::Purged, effects);
            }
            let partition = &mut self.partitions[at];
            for batch in &mut partition.unanswered {
                batch.is_purged = true;
            }
            partition.pace.gets_on();
            if !has_numbers || partition.identity.is_none() {
                continue;
            }
            partition.renumber = true;
            // Once: partitions that wait for new numbers already do so under the raised epoch.
            if partition.identity == self.identity {
                self.identity = self.identity.and_then(Identity::next);
                effects.bumps += 1;
            }
        }
    }
}
