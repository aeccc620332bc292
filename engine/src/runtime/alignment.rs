//! Fast partitions wait for slow ones: how far the slowest of each group is, over all workers of the process.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// What the workers of a process tell each other.
#[derive(Debug, Default)]
pub(super) struct Alignment {
    /// By group and worker: the least watermark of the partitions that go on; `i64::MAX`: there are none.
    least: Mutex<Vec<Vec<i64>>>,
    changed: watch::Sender<()>,
}

impl Alignment {
    pub(super) fn new(groups: usize, workers: usize) -> Self {
        Self {
            // Until a worker has said something it may have a partition at the beginning of time.
            least: Mutex::new(vec![vec![i64::MIN; workers]; groups]),
            changed: watch::Sender::new(()),
        }
    }

    /// Notes what one worker says, and tells the least over all of them, both by group.
    pub(super) fn publish(&self, worker: usize, mine: &[i64]) -> Vec<i64> {
        let mut least = self.least.lock().unwrap_or_else(PoisonError::into_inner);
        let mut has_changed = false;
        let of = |(group, mine): (&mut Vec<i64>, &i64)| {
            has_changed |= std::mem::replace(&mut group[worker], *mine) != *mine;
            group.iter().copied().min().unwrap_or(i64::MAX)
        };
        let all = least.iter_mut().zip(mine).map(of).collect();
        drop(least);
        if has_changed {
            self.changed.send_replace(());
        }
        all
    }

    /// Tells when another worker has come further.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// Whether a partition is to be held: it is too far ahead. One that is held goes on when it is within half of that, so that it does not
/// stop and go with each batch.
pub(super) fn is_ahead(at: i64, least: i64, drift_max_ms: i64, is_held: bool) -> bool {
    let drift_ms = if is_held {
        drift_max_ms / 2
    } else {
        drift_max_ms
    };
    at > least.saturating_add(drift_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_all_workers_counts_and_those_without_partitions_do_not() {
        let alignment = Alignment::new(1, 3);
        assert_eq!(
            alignment.publish(0, &[100]),
            [i64::MIN],
            "the others have said nothing"
        );
        alignment.publish(1, &[i64::MAX]);
        assert_eq!(alignment.publish(2, &[40]), [40]);
        let changes = alignment.changes();
        assert_eq!(alignment.publish(2, &[40]), [40]);
        assert!(!changes.has_changed().unwrap());
        assert_eq!(alignment.publish(2, &[i64::MAX]), [100], "it is at its end");
        assert!(changes.has_changed().unwrap());
    }

    #[test]
    fn a_change_in_any_group_is_reported() {
        let alignment = Alignment::new(2, 1);
        alignment.publish(0, &[1, 2]);
        for mine in [[5, 2], [5, 9]] {
            let changes = alignment.changes();
            alignment.publish(0, &mine);
            assert!(changes.has_changed().unwrap(), "{mine:?}");
        }
    }

    #[test]
    fn a_partition_that_is_held_goes_on_when_it_is_within_half_of_the_drift() {
        assert!(!is_ahead(110, 100, 10, false) && is_ahead(111, 100, 10, false));
        assert!(is_ahead(106, 100, 10, true) && !is_ahead(105, 100, 10, true));
        assert!(
            !is_ahead(i64::MAX - 1, i64::MAX, 10, true),
            "nobody is waited for"
        );
        assert!(
            !is_ahead(i64::MIN, i64::MIN, 10, false),
            "who knows nothing is read"
        );
        assert!(is_ahead(0, i64::MIN, 10, false));
    }
}
