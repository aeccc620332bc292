//! The cluster's clock: session timeouts, rebalance timers, transaction timeouts and record timestamps go by it. A test
//! can hold it and move it on by hand. Built on tokio's time alone, so that it also follows a paused runtime.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::Instant;

/// The cluster's clock. Clones are the same clock.
///
/// It runs until it is held. While it is held no session ends and no rebalance or transaction times out, except by
/// [`advance`](Self::advance). Long polls, delays and throttling go by tokio's time and do not stop with it.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Lock for a few instructions only.
    hands: Mutex<Hands>,
    moved: Notify,
    unix_start: Duration,
}

#[derive(Debug)]
struct Hands {
    /// What the clock showed at `since`.
    shown: Duration,
    /// `None` while it is held.
    since: Option<Instant>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let hands = Hands {
            shown: Duration::ZERO,
            since: Some(Instant::now()),
        };
        let unix_start = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            inner: Arc::new(Inner {
                hands: Mutex::new(hands),
                moved: Notify::new(),
                unix_start,
            }),
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.inner
            .hands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the cluster was started, as this clock counts it.
    pub fn now(&self) -> Duration {
        let hands = self.hands();
        hands.shown + hands.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The same as milliseconds since 1970: what records are stamped with.
    pub(crate) fn unix_ms(&self) -> i64 {
        (self.inner.unix_start + self.now()).as_millis() as i64
    }

    /// Stops the clock.
    pub fn hold(&self) {
        let shown = self.now();
        *self.hands() = Hands { shown, since: None };
        self.inner.moved.notify_waiters();
    }

    /// Lets the clock run on from where it was held.
    pub fn release(&self) {
        self.hands().since.get_or_insert_with(Instant::now);
        self.inner.moved.notify_waiters();
    }

    /// Moves the clock on, whether it is held or not; timers that are due then go off.
    pub fn advance(&self, by: Duration) {
        self.hands().shown += by;
        self.inner.moved.notify_waiters();
    }

    /// Waits until the clock shows `deadline`. Safe to drop.
    pub(crate) async fn sleep_until(&self, deadline: Duration) {
        loop {
            let moved = self.inner.moved.notified();
            tokio::pin!(moved);
            // Registers before the clock is read: a move in between is not missed.
            moved.as_mut().enable();
            let now = self.now();
            if now >= deadline {
                return;
            }
            let running = self.hands().since.is_some();
            if running {
                let _ = tokio::time::timeout(deadline - now, moved).await;
            } else {
                moved.await;
            }
        }
    }
}
