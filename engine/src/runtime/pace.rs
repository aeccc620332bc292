//! How many records or rows one call of the plan takes: as many as were done in ten milliseconds, so that nothing waits long for a call to end.

use std::time::{Duration, Instant};

use crate::flow::{Error, Input, Position};
use crate::plan::Task;

/// A call is to take about this long at most.
const CALL: Duration = Duration::from_millis(10);
/// Records of the first call of each entrance: what they cost is not known yet.
const FIRST: u32 = 64;
/// The most records of a call.
const MOST: u32 = 1 << 16;

/// By entrance of the plan, how many records or rows a call takes.
#[derive(Debug)]
pub(super) struct Pace(Vec<u32>);

impl Pace {
    pub(super) fn new(operators: usize) -> Self {
        Self(vec![FIRST; 2 * operators])
    }

    /// Calls the plan as [`Task::call`] does, with no more records than are done in a short time, and no more than `records_max`.
    pub(super) fn call(
        &mut self,
        task: &mut Task,
        input: Input<'_>,
        from: Position,
        records_max: u32,
    ) -> Result<Option<Position>, Error> {
        let (entrance, records) = match input {
            Input::Frame { source, frame } => (2 * source, frame.batch().record_count()),
            Input::Rows {
                operator,
                port,
                rows,
            } => {
                let is_sent = port == crate::flow::Port::Sent;
                (2 * operator + usize::from(!is_sent), rows.len() as u32)
            }
            Input::Tick => return task.call(input, from),
        };
        let limit = self.0[entrance];
        task.limit_records(limit.min(records_max));
        let began = Instant::now();
        let stopped = task.call(input, from)?;
        let done = stopped.map_or(records, Position::index) - from.index().min(records);
        self.0[entrance] = next_limit(limit, done, began.elapsed());
        Ok(stopped)
    }
}

/// How many bytes of rows for inboxes a record becomes.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    records: u64,
    bytes: u64,
}

impl Outflow {
    /// So many records were read.
    pub(super) fn read(&mut self, records: u32) {
        self.records += u64::from(records);
        if self.records > 1 << 16 {
            (self.records, self.bytes) = (self.records / 2, self.bytes / 2);
        }
    }

    /// So many bytes were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// How many records become about so many bytes.
    pub(super) fn records_of(&self, bytes: usize) -> u32 {
        if self.bytes == 0 {
            return u32::MAX;
        }
        let records = u128::from(self.records) * bytes as u128 / u128::from(self.bytes);
        u32::try_from(records).unwrap_or(u32::MAX).max(1)
    }
}

/// How many records the next call takes, when this one was allowed `limit` and did so many in this time.
fn next_limit(limit: u32, done: u32, took: Duration) -> u32 {
    if took > CALL && done > 0 {
        let fit = u128::from(done) * CALL.as_nanos() / took.as_nanos().max(1);
        (fit.min(u128::from(limit)) as u32).max(1)
    } else if took < CALL / 2 && done >= limit {
        limit.saturating_mul(2).min(MOST)
    } else {
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls with records that take this long, until the limit stands; the limit, and the longest call but the first.
    fn settled(record: Duration) -> (u32, Duration) {
        let (mut limit, mut longest) = (FIRST, Duration::ZERO);
        for call in 0..40 {
            let took = record * limit;
            if call > 0 {
                longest = longest.max(took);
            }
            limit = next_limit(limit, limit, took);
        }
        (limit, longest)
    }

    #[test]
    fn calls_are_as_long_as_they_may_be_and_no_longer() {
        assert_eq!(settled(Duration::from_nanos(100)).0, MOST);
        for micros in [1, 20, 300] {
            let record = Duration::from_micros(micros);
            let (limit, longest) = settled(record);
            let took = record * limit;
            assert!(took >= CALL / 2 && took <= CALL, "{took:?}");
            assert!(longest <= CALL, "{longest:?}");
        }
    }

    #[test]
    fn records_are_read_as_their_rows_find_room() {
        let mut outflow = Outflow::default();
        assert_eq!(outflow.records_of(1000), u32::MAX);
        for _ in 0..100_000 {
            outflow.read(10);
            outflow.sent(500);
        }
        assert!((19..=20).contains(&outflow.records_of(1000)));
        assert_eq!(outflow.records_of(1), 1);
    }

    #[test]
    fn a_call_that_was_too_long_is_followed_by_a_short_one() {
        let slow = next_limit(MOST, MOST, Duration::from_secs(2));
        assert!((300..400).contains(&slow), "{slow}");
        assert_eq!(next_limit(2, 1, Duration::from_secs(1)), 1);
    }

    #[test]
    fn short_batches_say_nothing_of_longer_ones() {
        assert_eq!(next_limit(64, 10, Duration::from_micros(1)), 64);
        assert_eq!(
            next_limit(64, 0, Duration::from_secs(1)),
            64,
            "one record that became many"
        );
    }
}
