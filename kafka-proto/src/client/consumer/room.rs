//! The byte budget of fetched data: what is asked for, what the application still holds and what was inflated of it stay within
//! `fetch.buffer.bytes`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::client::metrics::Metrics;

/// A budget of bytes, shared by the fetchers of a process.
///
/// Counted are the bytes of fetches under way and of frames that somebody holds a batch or a record of, and the inflated copies of
/// compressed batches. One batch may go beyond it: one that is larger than all of it would never come otherwise.
#[derive(Clone, Debug)]
pub struct FetchBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// Part of `used`: inflated copies that records are held of.
    inflated: AtomicUsize,
    readers: AtomicUsize,
    /// It stands among the metrics.
    shown: AtomicBool,
    freed: Notify,
}

impl FetchBudget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Budget {
            limit,
            used: AtomicUsize::new(0),
            inflated: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            shown: AtomicBool::new(false),
            freed: Notify::new(),
        }))
    }

    /// The budget.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bytes asked for or held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    /// Bytes that nobody has asked for or holds.
    pub(super) fn left(&self) -> usize {
        self.0.limit.saturating_sub(self.used())
    }

    /// Puts it among the metrics of the first client that uses it.
    pub(super) fn show(&self, metrics: &Metrics) {
        if self.0.shown.swap(true, Ordering::AcqRel) {
            return;
        }
        let budget = Arc::downgrade(&self.0);
        let taken = move || {
            let used = budget.upgrade()?.used.load(Ordering::Acquire);
            Some(used as u64)
        };
        let limit = self.0.limit as u64;
        metrics.budgets.watch("fetch.buffer.bytes", limit, taken);
    }

    /// Counts one more who fetches; the count goes down when it is dropped.
    pub(super) fn reader(&self) -> Reader {
        self.0.readers.fetch_add(1, Ordering::AcqRel);
        Reader(self.clone())
    }

    /// What one fetch may take at most: for each reader there is one under way and one being processed, and as much again for what is
    /// inflated.
    pub(super) fn share(&self) -> usize {
        self.0.limit / 3 / self.0.readers.load(Ordering::Acquire).max(1)
    }

    /// Takes up to `most` bytes, at least `least`; all that is left or more if nothing is taken yet, so that a limit that is
    /// smaller than a batch does not stop a fetch for ever.
    pub(super) fn take(&self, least: usize, most: usize) -> Option<Room> {
        let mut used = self.used();
        loop {
            let left = self.0.limit.saturating_sub(used);
            let bytes = if used == 0 {
                left.max(least).min(most)
            } else {
                left.min(most)
            };
            if bytes < least {
                return None;
            }
            match self.0.used.compare_exchange_weak(
                used,
                used + bytes,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    return Some(Room {
                        budget: self.clone(),
                        bytes,
                        inflated: AtomicUsize::new(0),
                        copied: AtomicUsize::new(0),
                    });
                }
                Err(now) => used = now,
            }
        }
    }

    /// Whether another batch may be inflated to be kept: always one at least, or records that are held would wait for themselves.
    pub(super) fn may_inflate(&self) -> bool {
        self.0.inflated.load(Ordering::Acquire) == 0 || self.used() < self.0.limit
    }

    /// Counts an inflated copy until it is dropped.
    pub(super) fn inflated(&self, bytes: usize) -> Inflated {
        self.0.used.fetch_add(bytes, Ordering::AcqRel);
        self.0.inflated.fetch_add(bytes, Ordering::AcqRel);
        Inflated {
            budget: self.clone(),
            bytes,
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::AcqRel);
        self.0.freed.notify_waiters();
    }

    /// Resolves when room may have come free since this was first polled.
    pub(super) fn freed(&self) -> impl Future<Output = ()> + Send + use<> {
        let budget = Arc::clone(&self.0);
        async move { budget.freed.notified().await }
    }
}

/// One who fetches.
#[derive(Debug)]
pub(super) struct Reader(FetchBudget);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.0.readers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Bytes taken from a budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    budget: FetchBudget,
    bytes: usize,
    /// The largest that was inflated of them, in the one buffer of their reader.
    inflated: AtomicUsize,
    /// Copies of batches, beside the frame.
    copied: AtomicUsize,
}

/// An inflated copy of a batch.
#[derive(Debug)]
pub(super) struct Inflated {
    budget: FetchBudget,
    bytes: usize,
}

impl Drop for Inflated {
    fn drop(&mut self) {
        self.budget
            .0
            .inflated
            .fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.give_back(self.bytes);
    }
}

/// Bytes that count in a budget for as long as anybody has a slice of them, whoever that is.
struct Counted<C> {
    bytes: Bytes,
    _counts: C,
}

impl<C> AsRef<[u8]> for Counted<C> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// These bytes, and `counts` kept until the last slice of them is gone.
pub(super) fn counted(bytes: Bytes, counts: impl Send + 'static) -> Bytes {
    if bytes.is_empty() {
        return bytes;
    }
    Bytes::from_owner(Counted {
        bytes,
        _counts: counts,
    })
}

impl Room {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was asked for came as `bytes`, mostly fewer.
    pub(super) fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            let used = &self.budget.0.used;
            used.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    pub(super) const fn budget(&self) -> &FetchBudget {
        &self.budget
    }

    /// Copies of so many bytes were made of batches, which live as long.
    pub(super) fn copied(&self, bytes: usize) {
        self.copied.fetch_add(bytes, Ordering::AcqRel);
        self.budget.0.used.fetch_add(bytes, Ordering::AcqRel);
    }

    /// A batch of these bytes was inflated, into a buffer that the next one will be inflated into as well: the largest counts.
    pub(super) fn inflates_to(&self, bytes: usize) {
        let before = self.inflated.fetch_max(bytes, Ordering::AcqRel);
        if bytes > before {
            let used = &self.budget.0.used;
            used.fetch_add(bytes - before, Ordering::AcqRel);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let inflated = self.inflated.load(Ordering::Acquire);
        let copied = self.copied.load(Ordering::Acquire);
        self.budget.give_back(self.bytes + inflated + copied);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_batches_count_as_long_as_their_frame() {
        let budget = FetchBudget::new(1000);
        let room = budget.take(100, 100).unwrap();
        room.copied(300);
        room.copied(200);
        assert_eq!((budget.used(), budget.left()), (600, 400));
        drop(room);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_full_budget_gives_nothing_until_room_comes_free() {
        let budget = FetchBudget::new(100);
        let mut first = budget.take(10, 80).unwrap();
        assert_eq!(first.bytes(), 80);
        assert_eq!(budget.take(10, 80).unwrap().bytes(), 20);
        let second = budget.take(10, 15).unwrap();
        assert!(budget.take(10, 80).is_none());
        first.resize(50);
        assert_eq!(budget.used(), 65);
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_budget_smaller_than_a_batch_still_lets_one_through() {
        let budget = FetchBudget::new(5);
        let only = budget.take(10, 80).unwrap();
        assert_eq!(only.bytes(), 10);
        assert!(budget.take(10, 80).is_none());
    }

    #[test]
    fn an_oversized_batch_counts_with_all_its_bytes() {
        let budget = FetchBudget::new(100);
        let mut room = budget.take(10, 50).unwrap();
        room.resize(300);
        assert!(budget.take(1, 50).is_none());
        drop(room);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_largest_batch_inflated_of_a_frame_counts_until_the_frame_is_gone() {
        let budget = FetchBudget::new(100);
        let room = budget.take(10, 50).unwrap();
        room.inflates_to(30);
        room.inflates_to(20);
        assert_eq!(budget.used(), 80);
        drop(room);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn inflated_copies_count_and_one_may_always_be_made() {
        let budget = FetchBudget::new(100);
        let _frame = budget.take(10, 100).unwrap();
        assert!(budget.may_inflate(), "or its records would never come");
        let copy = budget.inflated(70);
        assert!(!budget.may_inflate() && budget.used() == 170);
        drop(copy);
        assert!(budget.may_inflate() && budget.used() == 100);
    }
}
