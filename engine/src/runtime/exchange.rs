//! Row batches on their way between the workers of one process: bounded queues that never block a sender.
//!
//! Every worker owns an inbox with one queue for each (level, sender). A level is the depth of the operator that the rows are for: rows
//! handled at level `k` make rows for levels above `k` only, so a worker that drains the highest level first and starts no work at a
//! level below a full one cannot stand in a circle with others (the highest level needs no room anywhere).
//!
//! The worker asks level by level ([`Exchange::receive`]); the rule is its own. `send` always succeeds. A queue may therefore overrun its limit by what one bounded plan call makes; the sender asks
//! [`Exchange::room_above`] before the next call.
//!
//! How much an inbox holds follows from how fast its worker is: bytes for a fast one, time for a slow one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How many bytes an item occupies in a queue.
pub(crate) trait Weigh {
    fn weight(&self) -> usize;
}

/// What comes out of an inbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<T> {
    /// Rows or a mark from one worker.
    Item { from: usize, item: T },
    /// Every worker has passed the barrier of this level: nothing of this epoch is still to come for it.
    Aligned,
}

enum Message<T> {
    Item(T),
    Barrier,
}

struct Inbox<T> {
    /// Indexed `level * workers + sender`.
    queues: Mutex<Vec<VecDeque<Message<T>>>>,
    /// Bytes sent and not yet handled, one a level.
    bytes: Vec<AtomicUsize>,
    /// Bytes at which senders stop, one a level: what its worker handles in a short time.
    limits: Vec<AtomicUsize>,
    wake: Notify,
    /// Emptied items on their way back to be filled again.
    spare: Mutex<Vec<T>>,
}

impl<T> Inbox<T> {
    fn queues(&self) -> MutexGuard<'_, Vec<VecDeque<Message<T>>>> {
        // A worker that panics with the lock held leaves whole messages behind; the run ends with its error anyway.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One worker's end of the exchange.
pub(crate) struct Exchange<T> {
    me: usize,
    levels: usize,
    /// The most that the limit of a level may be.
    limit: usize,
    /// By level, what was handled here since the limit was last set.
    handled: Vec<(usize, Duration)>,
    inboxes: Arc<[Inbox<T>]>,
    /// Taken from my inbox under one lock, not yet handled; indexed like its queues.
    taken: Vec<VecDeque<Message<T>>>,
    /// Which (level, sender) has passed its barrier and is held back until the others have.
    passed: Vec<bool>,
    /// The sender looked at first: they take turns, so that none of them fills its queue while another is served.
    turn: usize,
}

/// The connected ends for `workers` workers and operators of `levels` levels, each inbox holding about `limit` bytes a level.
pub(crate) fn connect<T>(workers: usize, levels: usize, limit: usize) -> Vec<Exchange<T>> {
    assert!(workers > 0 && limit > 0, "an exchange has workers and room");
    let inboxes: Arc<[Inbox<T>]> = (0..workers)
        .map(|_| Inbox {
            queues: Mutex::new((0..levels * workers).map(|_| VecDeque::new()).collect()),
            bytes: (0..levels).map(|_| AtomicUsize::new(0)).collect(),
            limits: (0..levels).map(|_| AtomicUsize::new(limit)).collect(),
            wake: Notify::new(),
            spare: Mutex::new(Vec::new()),
        })
        .collect();
    (0..workers)
        .map(|me| Exchange {
            me,
            levels,
            limit,
            handled: vec![(0, Duration::ZERO); levels],
            inboxes: Arc::clone(&inboxes),
            taken: (0..levels * workers).map(|_| VecDeque::new()).collect(),
            passed: vec![false; levels * workers],
            turn: 0,
        })
        .collect()
}

impl<T: Weigh> Exchange<T> {
    /// This worker's number.
    pub(crate) fn me(&self) -> usize {
        self.me
    }

    /// Puts `item` into the inbox of `to`. Never waits.
    pub(crate) fn send(&self, to: usize, level: usize, item: T) {
        let inbox = &self.inboxes[to];
        inbox.bytes[level].fetch_add(item.weight(), Ordering::Relaxed);
        let was_empty = {
            let queue = &mut inbox.queues()[level * self.inboxes.len() + self.me];
            queue.push_back(Message::Item(item));
            queue.len() == 1
        };
        if was_empty {
            inbox.wake.notify_one();
        }
    }

    /// Tells every worker, this one included, that nothing more of this epoch comes from here for `level`.
    pub(crate) fn pass_barrier(&self, level: usize) {
        for inbox in self.inboxes.iter() {
            inbox.queues()[level * self.inboxes.len() + self.me].push_back(Message::Barrier);
            inbox.wake.notify_one();
        }
    }

    /// Whether every worker has room at all levels from `level` on: the condition for starting work that makes rows for them.
    pub(crate) fn room_above(&self, level: usize) -> bool {
        let from = level.min(self.levels);
        self.inboxes.iter().all(|inbox| {
            let limits = inbox.limits[from..].iter();
            inbox.bytes[from..]
                .iter()
                .zip(limits)
                .all(|(b, limit)| b.load(Ordering::Relaxed) < limit.load(Ordering::Relaxed))
        })
    }

    /// Bytes that one worker may add to the inbox that holds least, so that all of them together overrun no limit by more than itself.
    pub(crate) fn share(&self) -> usize {
        let limits = self.inboxes.iter().flat_map(|inbox| &inbox.limits);
        let least = limits.map(|limit| limit.load(Ordering::Relaxed)).min();
        (least.unwrap_or(self.limit) / self.inboxes.len()).max(SHARE_LEAST)
    }

    /// Notes how long this worker took to handle so many bytes of a level. Its inbox holds no more than is handled in [`INBOX_TIME`]: a
    /// barrier comes behind what is in there, and so does not wait longer, however slow an operator is.
    pub(crate) fn took(&mut self, level: usize, bytes: usize, took: Duration) {
        let (all_bytes, all_took) = &mut self.handled[level];
        (*all_bytes, *all_took) = (*all_bytes + bytes, *all_took + took);
        // A single row says little, unless it is a slow one.
        if *all_bytes < SAMPLE_BYTES && *all_took < INBOX_TIME / 4 || *all_bytes == 0 {
            return;
        }
        let fits = *all_bytes as u128 * INBOX_TIME.as_nanos() / all_took.as_nanos().max(1);
        // The half of it is what was known before.
        (*all_bytes, *all_took) = (*all_bytes / 2, *all_took / 2);
        let limit = usize::try_from(fits).unwrap_or(usize::MAX);
        let limit = limit.max(LIMIT_LEAST).min(self.limit);
        let inbox = &self.inboxes[self.me];
        let before = inbox.limits[level].swap(limit, Ordering::Relaxed);
        if (before..limit).contains(&inbox.bytes[level].load(Ordering::Relaxed)) {
            self.wake_others();
        }
    }

    /// The next thing to handle at `level`. `None`: nothing has arrived there.
    pub(crate) fn receive(&mut self, level: usize) -> Option<Received<T>> {
        let workers = self.inboxes.len();
        let row = level * workers..(level + 1) * workers;
        let mut taken_now = false;
        loop {
            if self.passed[row.clone()].iter().all(|passed| *passed) {
                self.passed[row.clone()].fill(false);
                return Some(Received::Aligned);
            }
            // The senders take turns; one that has passed its barrier is held back until the others have.
            let next = (0..workers)
                .map(|i| row.start + (self.turn + i) % workers)
                .find(|at| !self.passed[*at] && !self.taken[*at].is_empty());
            let Some(at) = next else {
                if std::mem::replace(&mut taken_now, true) {
                    return None;
                }
                self.take();
                continue;
            };
            match self.taken[at].pop_front() {
                Some(Message::Item(item)) => {
                    self.handled(level, item.weight());
                    self.turn = (at + 1) % workers;
                    return Some(Received::Item {
                        from: at % workers,
                        item,
                    });
                }
                Some(Message::Barrier) => self.passed[at] = true,
                None => return None,
            }
        }
    }

    /// Waits until something has arrived or room was made. May return early; dropping it loses nothing.
    pub(crate) async fn ready(&self) {
        self.inboxes[self.me].wake.notified().await;
    }

    /// Wakes another worker, for example because a shared condition has changed.
    pub(crate) fn wake(&self, worker: usize) {
        self.inboxes[worker].wake.notify_one();
    }

    /// An emptied item goes back to the worker that filled it.
    pub(crate) fn give_back(&self, to: usize, item: T) {
        let mut spare = self.inboxes[to]
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            spare.push(item);
        }
    }

    /// An emptied item to fill again, if one has come back.
    pub(crate) fn spare(&self) -> Option<T> {
        self.inboxes[self.me]
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn take(&mut self) {
        let mut queues = self.inboxes[self.me].queues();
        for (from, to) in queues.iter_mut().zip(&mut self.taken) {
            if to.is_empty() {
                std::mem::swap(from, to);
            } else {
                to.append(from);
            }
        }
    }

    fn handled(&self, level: usize, bytes: usize) {
        let inbox = &self.inboxes[self.me];
        let limit = inbox.limits[level].load(Ordering::Relaxed);
        let before = inbox.bytes[level].fetch_sub(bytes, Ordering::Relaxed);
        if before >= limit && before - bytes < limit {
            self.wake_others();
        }
    }

    /// There is room here.
    fn wake_others(&self) {
        for peer in (0..self.inboxes.len()).filter(|peer| *peer != self.me) {
            self.wake(peer);
        }
    }
}

/// An inbox holds what its worker handles in about this time, at each level.
const INBOX_TIME: Duration = Duration::from_millis(10);
/// Bytes of rows by which the cost of a level is judged.
const SAMPLE_BYTES: usize = 16 << 10;
/// The least that an inbox may hold, however slow its worker is.
const LIMIT_LEAST: usize = 16 << 10;
/// The least that one worker adds to an inbox at once.
const SHARE_LEAST: usize = 2 << 10;

/// Emptied buffers kept for one worker; more than this is given back to the allocator.
const SPARE_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Rows(u32, usize);
    impl Weigh for Rows {
        fn weight(&self) -> usize {
            self.1
        }
    }

    fn item(from: usize, rows: Rows) -> Option<Received<Rows>> {
        Some(Received::Item { from, item: rows })
    }

    /// What a worker does: the highest level first, and none that makes rows for a full one.
    fn next(end: &mut Exchange<Rows>) -> Option<(usize, Received<Rows>)> {
        (0..end.levels)
            .rev()
            .filter(|level| end.room_above(level + 1))
            .collect::<Vec<_>>()
            .into_iter()
            .find_map(|level| end.receive(level).map(|received| (level, received)))
    }

    #[test]
    fn rows_of_one_sender_stay_in_order() {
        let mut ends = connect::<Rows>(2, 1, 100);
        ends[0].send(1, 0, Rows(1, 1));
        ends[0].send(1, 0, Rows(2, 1));
        assert_eq!(ends[1].receive(0), item(0, Rows(1, 1)));
        ends[0].send(1, 0, Rows(3, 1));
        assert_eq!(ends[1].receive(0), item(0, Rows(2, 1)));
        assert_eq!(ends[1].receive(0), item(0, Rows(3, 1)));
        assert_eq!(ends[1].receive(0), None);
    }

    #[test]
    fn senders_take_turns() {
        let mut ends = connect::<Rows>(3, 1, 100);
        for end in &ends[..2] {
            for n in 0..3 {
                end.send(2, 0, Rows(n, 1));
            }
        }
        let order: Vec<_> = std::iter::from_fn(|| ends[2].receive(0))
            .map(|r| match r {
                Received::Item { from, .. } => from,
                Received::Aligned => unreachable!("no barrier was passed"),
            })
            .collect();
        assert_eq!(order, [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn a_full_queue_stops_sources_and_lower_levels_but_not_itself() {
        let mut ends = connect::<Rows>(2, 2, 10);
        ends[0].send(1, 1, Rows(1, 10));
        ends[1].send(0, 0, Rows(2, 1));
        assert!(!ends[0].room_above(0), "sources must stop");
        assert_eq!(
            next(&mut ends[0]),
            None,
            "level 0 feeds level 1, which is full at worker 1"
        );
        assert_eq!(
            next(&mut ends[1]),
            item(0, Rows(1, 10)).map(|i| (1, i)),
            "the full level itself is drained"
        );
        assert_eq!(next(&mut ends[0]), item(1, Rows(2, 1)).map(|i| (0, i)));
        assert!(ends[0].room_above(0));
    }

    #[test]
    fn rows_behind_a_barrier_wait_until_every_sender_has_passed() {
        let mut ends = connect::<Rows>(3, 1, 100);
        ends[0].send(2, 0, Rows(1, 1));
        ends[0].pass_barrier(0);
        ends[0].send(2, 0, Rows(2, 1)); // of the next epoch
        ends[1].send(2, 0, Rows(3, 1));
        assert_eq!(ends[2].receive(0), item(0, Rows(1, 1)));
        assert_eq!(ends[2].receive(0), item(1, Rows(3, 1)));
        assert_eq!(ends[2].receive(0), None);
        ends[1].pass_barrier(0);
        assert_eq!(
            ends[2].receive(0),
            None,
            "worker 2 has not passed its own barrier"
        );
        ends[2].pass_barrier(0);
        assert_eq!(ends[2].receive(0), Some(Received::Aligned));
        assert_eq!(ends[2].receive(0), item(0, Rows(2, 1)));
        assert_eq!(ends[2].receive(0), None);
    }

    #[test]
    fn rows_that_come_while_others_wait_for_a_barrier_stay_after_them() {
        let mut ends = connect::<Rows>(2, 1, 100);
        ends[0].pass_barrier(0);
        ends[0].send(1, 0, Rows(1, 1));
        assert_eq!(ends[1].receive(0), None);
        ends[0].send(1, 0, Rows(2, 1));
        assert_eq!(ends[1].receive(0), None);
        ends[1].pass_barrier(0);
        assert_eq!(ends[1].receive(0), Some(Received::Aligned));
        assert_eq!(ends[1].receive(0), item(0, Rows(1, 1)));
        assert_eq!(ends[1].receive(0), item(0, Rows(2, 1)));
    }

    #[test]
    fn a_barrier_wakes_every_worker_that_waits() {
        let ends = connect::<Rows>(2, 1, 100);
        let is_woken = |end: &Exchange<Rows>| {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(end.ready()).poll(&mut cx).is_ready()
        };
        assert!(!ends.iter().any(is_woken));
        ends[0].pass_barrier(0);
        assert!(ends.iter().all(is_woken));
    }

    #[test]
    fn full_queues_in_a_circle_do_not_stand_still() {
        // Two workers send to each other at both levels until everything is full; draining in turn must empty all of it.
        let mut ends = connect::<Rows>(2, 2, 10);
        for _ in 0..5 {
            for (from, to) in [(0, 1), (1, 0)] {
                ends[from].send(to, 0, Rows(0, 10));
                ends[from].send(to, 1, Rows(1, 10));
            }
        }
        let (mut handled, mut idle) = (0, 0);
        while idle < 2 {
            for (me, end) in ends.iter_mut().enumerate() {
                match next(end) {
                    Some((level, Received::Item { .. })) => {
                        (handled, idle) = (handled + 1, 0);
                        if level == 0 {
                            end.send(1 - me, 1, Rows(1, 10)); // work at level 0 makes work at level 1
                        }
                    }
                    Some((_, Received::Aligned)) => unreachable!("no barrier was passed"),
                    None => idle += 1,
                }
            }
        }
        assert_eq!(handled, 20 + 10);
    }

    #[test]
    fn emptied_buffers_come_back_to_the_worker_that_filled_them() {
        let ends = connect::<Rows>(2, 1, 10);
        ends[1].give_back(0, Rows(7, 0));
        assert_eq!(ends[0].spare(), Some(Rows(7, 0)));
        assert_eq!(ends[0].spare(), None);
        assert_eq!(ends[1].spare(), None);
    }

    #[test]
    fn an_inbox_holds_what_is_handled_in_a_short_time() {
        let mut ends = connect::<Rows>(2, 2, 4 << 20);
        assert_eq!(ends[0].share(), 2 << 20);
        // 48 bytes in 20 us: 24 KB in 10 ms.
        for _ in 0..100 {
            ends[1].took(0, 48 * 50, Duration::from_millis(1));
        }
        assert!(
            (11_000..13_000).contains(&ends[0].share()),
            "{}",
            ends[0].share()
        );
        ends[0].send(1, 0, Rows(1, 30_000));
        assert!(!ends[0].room_above(0) && ends[0].room_above(1));
        // And more again when it is faster.
        for _ in 0..100 {
            ends[1].took(0, 1 << 20, Duration::from_millis(1));
        }
        assert!(ends[0].room_above(0));
        assert_eq!(ends[0].share(), 2 << 20);
    }

    #[tokio::test]
    async fn a_limit_that_rises_wakes_the_senders() {
        let mut ends = connect::<Rows>(2, 1, 4 << 20);
        ends[1].took(0, 1000, Duration::from_secs(1));
        ends[0].send(1, 0, Rows(1, 30_000));
        let mut receiver = ends.pop().unwrap();
        let sender = ends.pop().unwrap();
        assert!(!sender.room_above(0));
        let wait = tokio::spawn(async move {
            while !sender.room_above(0) {
                sender.ready().await;
            }
        });
        tokio::task::yield_now().await;
        for _ in 0..100 {
            receiver.took(0, 1 << 20, Duration::from_millis(1));
        }
        let guard = Duration::from_secs(60);
        tokio::time::timeout(guard, wait).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn making_room_wakes_the_senders() {
        let mut ends = connect::<Rows>(2, 1, 10);
        ends[0].send(1, 0, Rows(1, 10));
        let mut receiver = ends.pop().unwrap();
        let sender = ends.pop().unwrap();
        let wait = tokio::spawn(async move {
            while !sender.room_above(0) {
                sender.ready().await;
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(receiver.receive(0), item(0, Rows(1, 10)));
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap()
            .unwrap();
    }
}
