//! Histograms with fixed buckets: four to each power of two, so that a quantile is right within an eighth. No lock, no allocation.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets: values from 0 to 2³⁶ − 1 are told apart (as microseconds: 19 hours); what is larger counts as that.
const BUCKETS: usize = 140;
const VALUE_MAX: u64 = (1 << 36) - 1;

/// Values that were counted, by size. Counting is two additions without a lock.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts a value.
    pub(crate) fn record(&self, value: u64) {
        self.buckets[bucket(value)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        if value > self.max.load(Relaxed) {
            self.max.fetch_max(value, Relaxed);
        }
    }

    /// Counts a time, in microseconds.
    pub(crate) fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: self.buckets.iter().map(|n| n.load(Relaxed)).collect(),
            sum: self.sum.load(Relaxed),
            max: self.max.load(Relaxed),
        }
    }
}

/// What a histogram stood at. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistogramSnapshot {
    buckets: Box<[u64]>,
    sum: u64,
    max: u64,
}

impl HistogramSnapshot {
    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest value since the client was made; 0 if there was none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean; 0 if there was no value.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean is no exact number")]
    pub fn mean(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum as f64 / count as f64,
        }
    }

    /// The value that this share (0 to 1) of all values does not exceed, rounded up by at most a quarter; 0 if there was no value.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a rank is a whole number again after rounding"
    )]
    pub fn quantile(&self, share: f64) -> u64 {
        let count = self.count();
        let rank = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut below = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            below += bucket;
            if below >= rank {
                return last_of(index).min(self.max);
            }
        }
        0
    }

    /// What was counted since an earlier snapshot of the same histogram. The maximum stays that of all time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |index: usize| earlier.buckets.get(index).copied().unwrap_or_default();
        Self {
            buckets: (0..)
                .zip(&self.buckets)
                .map(|(index, n)| n.saturating_sub(before(index)))
                .collect(),
            sum: self.sum.saturating_sub(earlier.sum),
            max: self.max,
        }
    }
}

/// Where a value is counted: 0 to 3 each have a bucket, then four for each power of two.
fn bucket(value: u64) -> usize {
    let value = value.min(VALUE_MAX);
    if value < 4 {
        return value as usize;
    }
    let power = value.ilog2() as usize;
    (power - 1) * 4 + (value >> (power - 2)) as usize % 4
}

/// The largest value of a bucket.
fn last_of(index: usize) -> u64 {
    if index < 4 {
        return index as u64;
    }
    let power = index / 4 + 1;
    let quarter = 1_u64 << (power - 2);
    (4 + index as u64 % 4 + 1) * quarter - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        for index in 0..BUCKETS {
            assert_eq!(bucket(last_of(index)), index);
            if index + 1 < BUCKETS {
                assert_eq!(bucket(last_of(index) + 1), index + 1);
            }
        }
        assert_eq!(last_of(BUCKETS - 1), VALUE_MAX);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_within_a_quarter() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile(0.5), 0);
        (1..=1000).for_each(|value| histogram.record(value));
        let all = histogram.snapshot();
        assert_eq!((all.count(), all.sum(), all.max()), (1000, 500_500, 1000));
        for (share, exact) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let found = all.quantile(share);
            assert!(
                (exact..=exact + exact / 4).contains(&found),
                "{share}: {found}"
            );
        }
        histogram.record_time(Duration::from_millis(1));
        let new = histogram.snapshot().since(&all);
        assert_eq!((new.count(), new.sum()), (1, 1000));
    }
}
