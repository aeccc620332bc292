//! The producer's byte budget: `buffer.memory` is its bound, and a part of it what a producer takes as long as its brokers keep up.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

/// What a batch takes beside its bytes: its place in queues, its completion, its part of a request.
pub(super) const BATCH_OVERHEAD: usize = 512;

/// Without progress for so long, the brokers are stalled rather than slow.
const STALLED_AFTER: Duration = Duration::from_millis(100);

/// The budget. All of it is there for bursts and stalls; while batches are acknowledged, senders wait once a window of them is on its
/// way: more would only lie in a queue, and memory that is not touched need not be there. Who waits goes on when half of the window has
/// ended, and not with each batch: a sender on another thread is woken up for many batches, and these leave together.
#[derive(Debug)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    max: usize,
    traffic: Arc<Traffic>,
}

/// The batches on their way.
#[derive(Debug)]
struct Traffic {
    window: usize,
    bytes: AtomicUsize,
    begin: Instant,
    /// When a batch ended last, or the first one began: microseconds since `begin`.
    progress: AtomicU64,
    ended: Notify,
}

impl Memory {
    pub(super) fn new(max: usize, window: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(max)),
            max,
            traffic: Arc::new(Traffic {
                window,
                bytes: AtomicUsize::new(0),
                begin: Instant::now(),
                progress: AtomicU64::new(0),
                ended: Notify::new(),
            }),
        }
    }

    /// All of it, in bytes.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Tells the bytes taken, for as long as the budget is there.
    pub(super) fn gauge(&self) -> impl Fn() -> Option<u64> + Send + Sync + 'static {
        let (free, max) = (Arc::downgrade(&self.free), self.max);
        move || Some(max.saturating_sub(free.upgrade()?.available_permits()) as u64)
    }

    /// A share of so many bytes, if they are free now and nobody waits for them.
    pub(super) fn try_reserve(&self, bytes: usize) -> Option<Share> {
        if !self.traffic.flows() {
            return None;
        }
        let free = Arc::clone(&self.free);
        let permit = free.try_acquire_many_owned(permits(bytes.min(self.max)));
        Some(self.share(permit.ok()?))
    }

    /// A share of so many bytes, or `None` when the time is over. If there is no room soon, `urge` is called once, to have what can
    /// be sent sent. Dropped before it is done, nothing is taken.
    pub(super) async fn reserve(
        &self,
        bytes: usize,
        deadline: Instant,
        urge: impl FnOnce(),
    ) -> Option<Share> {
        // When the time is over, the budget itself decides.
        let _ = timeout_at(deadline, self.traffic.flowing()).await;
        let wanted = permits(bytes.min(self.max));
        let mut acquire = std::pin::pin!(Arc::clone(&self.free).acquire_many_owned(wanted));
        let soon = deadline.min(Instant::now() + LINGER_UNDER_PRESSURE);
        let permit = match timeout_at(soon, acquire.as_mut()).await {
            Ok(permit) => permit,
            Err(_) => {
                urge();
                timeout_at(deadline, acquire).await.ok()?
            }
        };
        // The semaphore is never closed.
        Some(self.share(permit.ok()?))
    }

    /// Waits until [`Memory::try_reserve`] is worth a try.
    pub(super) async fn ready(&self, bytes: usize) {
        self.traffic.flowing().await;
        let wanted = permits(bytes.min(self.max));
        drop(self.free.acquire_many(wanted).await);
    }

    fn share(&self, permit: OwnedSemaphorePermit) -> Share {
        Share {
            permit,
            on_its_way: 0,
            traffic: Arc::clone(&self.traffic),
        }
    }
}

/// How long batches go on lingering while somebody waits for memory.
const LINGER_UNDER_PRESSURE: Duration = Duration::from_millis(20);

impl Traffic {
    /// Whether another batch may come: the window has room, or nothing moves and all of the budget may be used.
    fn flows(&self) -> bool {
        self.is_within(self.window)
    }

    fn is_within(&self, bytes: usize) -> bool {
        self.bytes.load(SeqCst) <= bytes || self.stalled_from() <= Instant::now()
    }

    fn stalled_from(&self) -> Instant {
        self.begin + Duration::from_micros(self.progress.load(Relaxed)) + STALLED_AFTER
    }

    async fn flowing(&self) {
        if self.flows() {
            return;
        }
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.is_within(self.window / 2) {
                return;
            }
            tokio::select! {
                () = ended => {}
                () = sleep_until(self.stalled_from()) => {}
            }
        }
    }

    fn note_progress(&self) {
        let since = self.begin.elapsed().as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.progress.store(since, Relaxed);
    }
}

/// A part of the budget; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    permit: OwnedSemaphorePermit,
    /// What of it is on its way to a broker.
    on_its_way: usize,
    traffic: Arc<Traffic>,
}

impl Share {
    /// A batch of so many bytes is on its way now; what is reserved beyond that is free again.
    pub(super) fn send(mut self, bytes: usize) -> Self {
        let surplus = self.permit.num_permits().saturating_sub(bytes);
        drop(self.permit.split(surplus));
        self.on_its_way = self.permit.num_permits();
        if self.traffic.bytes.fetch_add(self.on_its_way, Relaxed) == 0 {
            self.traffic.note_progress();
        }
        self
    }

    /// Two shares of about half each, for a batch that is sent as two.
    pub(super) fn halves(mut self) -> (Self, Option<Self>) {
        let half = self.on_its_way / 2;
        let other = self.permit.split(half).map(|permit| Self {
            on_its_way: permit.num_permits(),
            permit,
            traffic: Arc::clone(&self.traffic),
        });
        self.on_its_way -= other.as_ref().map_or(0, |other| other.on_its_way);
        (self, other)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.on_its_way == 0 {
            return;
        }
        let before = self.traffic.bytes.fetch_sub(self.on_its_way, SeqCst);
        self.traffic.note_progress();
        let enough = self.traffic.window / 2;
        if before > enough && before.saturating_sub(self.on_its_way) <= enough {
            self.traffic.ended.notify_waiters();
        }
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn reserve(memory: &Memory, bytes: usize) -> Option<Share> {
        memory.reserve(bytes, Instant::now() + LONG, || {}).await
    }

    #[tokio::test(start_paused = true)]
    async fn while_batches_end_senders_wait_for_the_window_and_not_for_the_whole_budget() {
        let memory = Memory::new(1000, 200);
        let mut sent: Vec<Share> = Vec::new();
        for _ in 0..3 {
            sent.push(reserve(&memory, 100).await.unwrap().send(100));
        }
        assert!(memory.try_reserve(100).is_none(), "300 are on their way");
        // Something ends every 50 ms: the fourth comes when half of the window has.
        let begin = Instant::now();
        let two_end = async {
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                sent.pop();
            }
        };
        let (fourth, ()) = tokio::join!(reserve(&memory, 100), two_end);
        assert_eq!(begin.elapsed(), Duration::from_millis(100));
        assert_eq!(memory.gauge()(), Some(200));
        // There is room for more of them at once.
        let fifth = reserve(&memory, 100).await;
        assert!(fifth.is_some() && begin.elapsed() == Duration::from_millis(100));
        drop(fourth);
    }

    #[tokio::test(start_paused = true)]
    async fn when_nothing_ends_all_of_the_budget_is_used_and_no_more() {
        let memory = Memory::new(1000, 200);
        let mut sent: Vec<Share> = Vec::new();
        let begin = Instant::now();
        for _ in 0..10 {
            sent.push(reserve(&memory, 100).await.unwrap().send(100));
        }
        assert_eq!(begin.elapsed(), STALLED_AFTER);
        assert!(memory.try_reserve(1).is_none());
        let mut urged = false;
        let deadline = Instant::now() + LONG;
        let none = memory.reserve(1, deadline, || urged = true).await;
        assert!(none.is_none() && urged);
        assert_eq!(Instant::now(), deadline);
        drop(sent);
        assert!(memory.try_reserve(1000).is_some());
        assert_eq!(memory.gauge()(), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_free_at_once_and_halves_end_each_on_its_own() {
        let memory = Memory::new(1000, 1000);
        let share = memory.try_reserve(600).unwrap().send(101);
        assert_eq!(memory.gauge()(), Some(101));
        let (one, other) = share.halves();
        drop(one);
        assert_eq!(memory.gauge()(), Some(50));
        drop(other);
        assert_eq!(memory.gauge()(), Some(0));
        assert_eq!(memory.traffic.bytes.load(Relaxed), 0);
    }
}
