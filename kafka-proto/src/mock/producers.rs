//! What a partition remembers of idempotent producers: epoch and the last five batches of each. Pure.
//! The rules are those of Kafka's ProducerAppendInfo.
use std::collections::{HashMap, VecDeque};

/// Batches remembered for each producer; as many as a producer may have in flight.
const BATCHES_KEPT: usize = 5;

/// The producer fields of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequenced {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) last_offset_delta: i32,
}

impl Sequenced {
    /// Sequences run from 0 to `i32::MAX` and begin again at 0.
    fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        if last > i64::from(i32::MAX) {
            (last - i64::from(i32::MAX) - 1) as i32
        } else {
            last as i32
        }
    }
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is the next one: append it.
    Next,
    /// It is one of the last five: answer as the first time.
    Duplicate { base_offset: i64 },
}

/// Why a batch does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceError {
    /// A newer instance of this producer wrote here.
    InvalidEpoch { known: i16, got: i16 },
    /// A gap, or a batch older than the last five.
    OutOfOrder { last: i32, got: i32 },
}

/// A producer as an administrator sees it (KIP-664).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// -1 if there is only a marker.
    pub(crate) last_sequence: i32,
    /// -1 if there is only a marker.
    pub(crate) last_timestamp: i64,
    /// Of the coordinator that wrote the latest marker, which never moves to another one here; -1 if there is none.
    pub(crate) coordinator_epoch: i32,
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    base_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

#[derive(Debug, Clone)]
struct Producer {
    epoch: i16,
    /// Of its latest batch; -1 if there is only a marker.
    last_timestamp: i64,
    /// A marker was written.
    is_marked: bool,
    batches: VecDeque<Batch>,
}

/// All producers that wrote to one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
}

impl Producers {
    pub(crate) fn check(&self, batch: Sequenced) -> Result<Admission, SequenceError> {
        let Some(producer) = self.by_id.get(&batch.producer_id) else {
            // Never seen, or forgotten by retention: any sequence will do.
            return Ok(Admission::Next);
        };
        if batch.epoch < producer.epoch {
            return Err(SequenceError::InvalidEpoch {
                known: producer.epoch,
                got: batch.epoch,
            });
        }
        if batch.epoch > producer.epoch {
            return if batch.base_sequence == 0 {
                Ok(Admission::Next)
            } else {
                Err(SequenceError::OutOfOrder {
                    last: -1,
                    got: batch.base_sequence,
                })
            };
        }
        let duplicate = producer.batches.iter().find(|known| {
            known.base_sequence == batch.base_sequence
                && known.last_sequence == batch.last_sequence()
        });
        if let Some(known) = duplicate {
            return Ok(Admission::Duplicate {
                base_offset: known.base_offset,
            });
        }
        let last = producer
            .batches
            .back()
            .map_or(-1, |known| known.last_sequence);
        let expected = if last == i32::MAX { 0 } else { last + 1 };
        if batch.base_sequence == expected {
            Ok(Admission::Next)
        } else {
            Err(SequenceError::OutOfOrder {
                last,
                got: batch.base_sequence,
            })
        }
    }

    pub(crate) fn append(&mut self, batch: Sequenced, base_offset: i64, timestamp: i64) {
        let producer = self
            .by_id
            .entry(batch.producer_id)
            .or_insert_with(|| Producer {
                epoch: batch.epoch,
                last_timestamp: -1,
                is_marked: false,
                batches: VecDeque::with_capacity(BATCHES_KEPT),
            });
        if producer.epoch != batch.epoch {
            producer.epoch = batch.epoch;
            producer.batches.clear();
        }
        producer.last_timestamp = timestamp;
        if producer.batches.len() == BATCHES_KEPT {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Batch {
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
        });
    }

    /// A transaction marker with this epoch: older instances of the producer are shut out.
    pub(crate) fn fence(&mut self, producer_id: i64, epoch: i16) {
        let producer = self.by_id.entry(producer_id).or_insert_with(|| Producer {
            epoch,
            last_timestamp: -1,
            is_marked: true,
            batches: VecDeque::new(),
        });
        producer.is_marked = true;
        if epoch > producer.epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
    }

    /// Forgets batches at or behind `end_offset`, and producers that have none left.
    pub(crate) fn truncate(&mut self, end_offset: i64) {
        self.by_id.retain(|_, producer| {
            producer
                .batches
                .retain(|batch| batch.base_offset < end_offset);
            !producer.batches.is_empty()
        });
    }

    /// All that are remembered, in the order of their ids.
    pub(crate) fn active(&self) -> impl Iterator<Item = Active> {
        let mut all: Vec<Active> = self
            .by_id
            .iter()
            .map(|(&producer_id, producer)| Active {
                producer_id,
                epoch: producer.epoch,
                last_sequence: producer
                    .batches
                    .back()
                    .map_or(-1, |last| last.last_sequence),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: if producer.is_marked { 0 } else { -1 },
            })
            .collect();
        all.sort_unstable_by_key(|active| active.producer_id);
        all.into_iter()
    }

    /// Forgets a producer, as a broker does when its id has expired.
    pub(crate) fn forget(&mut self, producer_id: i64) {
        self.by_id.remove(&producer_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, count: i32) -> Sequenced {
        Sequenced {
            producer_id: 7,
            epoch,
            base_sequence,
            last_offset_delta: count - 1,
        }
    }

    fn appended(batches: &[Sequenced]) -> Producers {
        let mut producers = Producers::default();
        let mut offset = 100;
        for &batch in batches {
            assert_eq!(producers.check(batch), Ok(Admission::Next));
            producers.append(batch, offset, 5);
            offset += i64::from(batch.last_offset_delta) + 1;
        }
        producers
    }

    #[test]
    fn a_batch_sent_again_is_found_with_its_first_offset() {
        let producers = appended(&[batch(0, 0, 3), batch(0, 3, 2)]);
        assert_eq!(
            producers.check(batch(0, 0, 3)),
            Ok(Admission::Duplicate { base_offset: 100 })
        );
        assert_eq!(
            producers.check(batch(0, 3, 2)),
            Ok(Admission::Duplicate { base_offset: 103 })
        );
        assert_eq!(producers.check(batch(0, 5, 1)), Ok(Admission::Next));
    }

    #[test]
    fn a_gap_and_a_batch_older_than_five_are_out_of_order() {
        let batches: Vec<_> = (0..6).map(|n| batch(0, n, 1)).collect();
        let producers = appended(&batches);
        let out_of_order = |got| Err(SequenceError::OutOfOrder { last: 5, got });
        assert_eq!(producers.check(batch(0, 7, 1)), out_of_order(7));
        assert_eq!(producers.check(batch(0, 0, 1)), out_of_order(0));
        assert!(matches!(
            producers.check(batch(0, 1, 1)),
            Ok(Admission::Duplicate { .. })
        ));
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_shuts_the_old_one_out() {
        let mut producers = appended(&[batch(3, 0, 2)]);
        assert_eq!(
            producers.check(batch(4, 2, 1)),
            Err(SequenceError::OutOfOrder { last: -1, got: 2 })
        );
        assert_eq!(producers.check(batch(4, 0, 1)), Ok(Admission::Next));
        producers.fence(7, 4);
        assert_eq!(
            producers.check(batch(3, 2, 1)),
            Err(SequenceError::InvalidEpoch { known: 4, got: 3 })
        );
        assert_eq!(producers.check(batch(4, 0, 1)), Ok(Admission::Next));
    }

    #[test]
    fn the_sequence_wraps_to_zero() {
        let producers = appended(&[batch(0, i32::MAX - 1, 2)]);
        assert_eq!(producers.check(batch(0, 0, 1)), Ok(Admission::Next));
        let producers = appended(&[batch(0, i32::MAX, 2)]);
        assert_eq!(producers.check(batch(0, 1, 1)), Ok(Admission::Next));
    }
}
