//! The byte budget of fetched data: what is asked for and what the application still holds stays within `fetch.buffer.bytes`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// A budget of bytes, shared by the fetchers of a process.
#[derive(Clone, Debug)]
pub struct FetchBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    limit: usize,
    used: AtomicUsize,
    readers: AtomicUsize,
    freed: Notify,
}

impl FetchBudget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Budget {
            limit,
            used: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            freed: Notify::new(),
        }))
    }

    /// Bytes asked for or held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    /// Counts one more who fetches; the count goes down when it is dropped.
    pub(super) fn reader(&self) -> Reader {
        self.0.readers.fetch_add(1, Ordering::AcqRel);
        Reader(self.clone())
    }

    /// What one fetch may take at most: one fetch under way and one being processed for each reader.
    pub(super) fn share(&self) -> usize {
        self.0.limit / 2 / self.0.readers.load(Ordering::Acquire).max(1)
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
                    });
                }
                Err(now) => used = now,
            }
        }
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
}

impl Room {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was asked for came as `bytes`, mostly fewer.
    pub(super) fn resize(&mut self, bytes: usize) {
        let used = &self.budget.0.used;
        if bytes > self.bytes {
            used.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else {
            used.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
            self.budget.0.freed.notify_waiters();
        }
        self.bytes = bytes;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
