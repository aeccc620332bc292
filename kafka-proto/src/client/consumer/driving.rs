//! What happens while a consumer is polled: rebalances, commits by themselves, committed offsets that are looked up, fetched batches.
//!
//! Everything that was begun is kept in the consumer, so that a future that waits may be dropped anywhere.

use std::{
    collections::BTreeMap,
    fmt,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{
    client::{
        error::Result,
        group::{Assignment, CommittedOffset, GroupEvent, TopicPartition},
        metrics::Metrics,
    },
    wire::Text,
};

use super::{
    batches::FetchedBatches,
    consumer::{Consumer, Rebalance, last_commit},
    fetcher::Start,
    link::BoxFuture,
    records::ConsumerRecord,
};

/// Rebalances that are kept for an application that does not ask for them.
const REBALANCES_KEPT: usize = 64;

/// A future that goes on from poll to poll, whoever waits.
pub(super) struct Kept<T>(Option<BoxFuture<T>>);

impl<T> Kept<T> {
    pub(super) const fn none() -> Self {
        Self(None)
    }

    pub(super) fn of(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }

    pub(super) const fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// What came of it, once; pending if there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.0 else {
            return Poll::Pending;
        };
        let result = ready!(future.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept(running: {})", self.is_running())
    }
}

/// Commits by themselves (`enable.auto.commit`).
#[derive(Debug)]
pub(super) struct AutoCommit {
    interval: Duration,
    next: Instant,
    running: Kept<Result<()>>,
    committed: BTreeMap<TopicPartition, i64>,
    /// When positions that have not moved are committed all the same.
    all_at: Instant,
}

/// How seldom an unchanged position is committed again. A group without members (partitions assigned by hand) loses offsets that are older than
/// `offsets.retention.minutes`, and with them its place.
const UNCHANGED: Duration = Duration::from_secs(600);

impl AutoCommit {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            next: Instant::now() + interval,
            running: Kept::none(),
            committed: BTreeMap::new(),
            all_at: Instant::now() + UNCHANGED,
        }
    }
}

/// When the application polls, for the metrics. Cheap enough for each record: what is shorter than a millisecond is not counted.
#[derive(Debug, Default)]
pub(super) struct Polls {
    last: Option<Instant>,
    noted: Option<Instant>,
}

impl Polls {
    fn note(&mut self, now: Instant, metrics: &Metrics) {
        const COUNTED: Duration = Duration::from_millis(1);
        let last = self.last.replace(now);
        if let Some(last) = last
            && now - last >= COUNTED
        {
            metrics.poll_interval_us.record_time(now - last);
        }
        if self.noted.is_none_or(|noted| now - noted >= COUNTED) {
            metrics.last_poll.now();
            self.noted = Some(now);
        }
    }
}

impl Consumer {
    /// What every poll begins with: the application is alive, what was delivered is processed, what was announced is given up.
    ///
    /// Whether to let others run first: with records at hand polls never wait, and on a runtime of one thread the member's task would not run
    /// until the queue is empty.
    pub(super) fn begin(&mut self) -> bool {
        /// A small part of any heartbeat's interval.
        const BUSY: Duration = Duration::from_millis(10);
        let now = Instant::now();
        self.polls.note(now, self.cluster.counters());
        if let Some(membership) = &self.membership {
            membership.polled_at(now);
        }
        if !self.last_commit.is_running() {
            self.give_up();
        }
        self.commit_by_itself(now);
        let yields = self.membership.is_some() && now - self.yielded_at >= BUSY;
        if yields {
            self.yielded_at = now;
        }
        yields
    }

    fn commit_by_itself(&mut self, now: Instant) {
        let (Some(auto), Some(offsets)) = (&self.auto_commit, &self.offsets) else {
            return;
        };
        if auto.next > now || auto.running.is_running() {
            return;
        }
        let (mut positions, offsets) = (self.positions_of_known(), offsets.clone());
        let Some(auto) = &mut self.auto_commit else {
            return;
        };
        auto.next = now + auto.interval;
        if auto.all_at <= now {
            auto.all_at = now + UNCHANGED;
            auto.committed.clear();
        }
        positions.retain(|of| auto.committed.get(&of.partition) != Some(&of.offset));
        if !positions.is_empty() {
            auto.running = Kept::of(offsets.commit(&positions));
            auto.committed
                .extend(positions.into_iter().map(|of| (of.partition, of.offset)));
        }
    }

    /// Records, at most so many; none at all when the poll has to return early.
    pub(super) fn poll_records(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Result<Vec<ConsumerRecord>>> {
        loop {
            // First what the group has decided, whatever is queued.
            if self.poll_group(cx)? {
                return Poll::Ready(Ok(Vec::new()));
            }
            let records = self.queue.take(most)?;
            if !records.is_empty() {
                return Poll::Ready(Ok(records));
            }
            if let Some(budget) = self.queue.waits_for() {
                if !self.room.is_running() {
                    self.room = Kept::of(budget.freed());
                }
                // Room may have come free before the waiting began.
                if self.room.poll(cx).is_ready() || budget.may_inflate() {
                    continue;
                }
            }
            let fetched = ready!(self.poll_fetched(cx))?;
            if fetched.is_empty() {
                return Poll::Ready(Ok(records));
            }
            self.queue.extend(fetched);
        }
    }

    /// All that is queued; nothing at all when the poll has to return early.
    pub(super) fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<FetchedBatches>> {
        if self.poll_group(cx)? {
            return Poll::Ready(Ok(FetchedBatches::default()));
        }
        let queued = self.queue.drain();
        if !queued.is_empty() {
            return Poll::Ready(Ok(queued));
        }
        self.poll_fetched(cx)
    }

    /// The core of every poll: fetched batches, with all that happens beside fetching. Nothing at all when the poll has to return early, so
    /// that the application may commit before partitions are given up.
    fn poll_fetched(&mut self, cx: &mut Context<'_>) -> Poll<Result<FetchedBatches>> {
        loop {
            if self.poll_group(cx)? {
                return Poll::Ready(Ok(FetchedBatches::default()));
            }
            if let Poll::Ready(fetched) = self.fetcher.poll_ready(cx) {
                return Poll::Ready(fetched);
            }
            ready!(self.poll_tick(cx));
        }
    }

    /// Takes up what has happened beside fetching, before anything fetched is handed out. Whether the poll has to return early.
    fn poll_group(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        loop {
            if let Poll::Ready(committed) = self.last_commit.poll(cx) {
                if let Err(error) = committed {
                    tracing::warn!(%error, "the commit before a rebalance failed; records will be read again");
                }
                self.give_up();
                continue;
            }
            if let Some(listener) = &mut self.listener
                && listener.running.poll(cx).is_ready()
            {
                self.called_back();
                continue;
            }
            if let Poll::Ready(looked) = self.poll_pattern(cx) {
                looked?;
                continue;
            }
            // With records at hand nobody waits to be woken: looking is enough, and costs less.
            let is_waiting = self.queue.is_empty();
            if !self.is_calling()
                && let Some(membership) = &mut self.membership
                && (is_waiting || membership.has_event())
                && let Poll::Ready(event) = membership.poll_event(cx)
            {
                if self.group_event(event?) {
                    return Ok(true);
                }
                continue;
            }
            self.look_up();
            if let Poll::Ready(found) = self.lookup.poll(cx) {
                match found {
                    Ok(found) => {
                        self.lookup_pace.gets_on();
                        self.placed(found);
                    }
                    Err(error) => {
                        let delay = |failures| self.cluster.retry_delay(failures);
                        let now = Instant::now().into_std();
                        self.lookup_pace.falter(0, now, delay);
                        return Err(error);
                    }
                }
                continue;
            }
            if let Some(auto) = &mut self.auto_commit
                && let Poll::Ready(committed) = auto.running.poll(cx)
            {
                if let Err(error) = committed {
                    tracing::warn!(%error, "a commit failed");
                    auto.committed.clear();
                }
                continue;
            }
            return Ok(false);
        }
    }

    /// A long wait is no silence to the group, and what was delivered before it is committed when its time has come.
    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.tick.is_running() {
            let config = self.cluster.config();
            let alive = self.membership.as_ref().map(|_| {
                let slice = Duration::from_millis(config.max_poll_interval_ms / 3);
                Instant::now() + slice.max(Duration::from_millis(1))
            });
            let commit = self
                .auto_commit
                .as_ref()
                .filter(|auto| self.offsets.is_some() && !auto.running.is_running())
                .map(|auto| auto.next.max(Instant::now() + Duration::from_millis(1)));
            let Some(at) = alive.into_iter().chain(commit).min() else {
                return Poll::Pending;
            };
            self.tick = Kept::of(sleep_until(at));
        }
        ready!(self.tick.poll(cx));
        let now = Instant::now();
        if let Some(membership) = &self.membership {
            membership.polled_at(now);
        }
        self.commit_by_itself(now);
        Poll::Ready(())
    }

    /// Whether the poll has to return, so that the application may commit.
    fn group_event(&mut self, event: GroupEvent) -> bool {
        match event {
            GroupEvent::Assigned(Assignment { added, .. }) => {
                // A question under way does not know of the new ones.
                self.lookup = Kept::none();
                self.unplaced.extend(added.iter().cloned());
                self.happened(Rebalance::Assigned(added));
                false
            }
            GroupEvent::Revoked(revocation) => {
                let partitions = revocation.partitions().to_vec();
                for of in &partitions {
                    // Those without a start yet are not the fetcher's.
                    drop(self.pause(&of.topic, of.partition));
                }
                let revoked = Rebalance::Revoked(partitions);
                let commit = match (&self.auto_commit, &self.offsets) {
                    (Some(_), Some(offsets)) => Some(last_commit(offsets, &self.positions())),
                    _ => None,
                };
                let called = self.called(&revoked);
                self.note(revoked);
                self.revocation = Some(revocation);
                if commit.is_none() && called.is_none() {
                    return true;
                }
                self.last_commit = Kept::of(async move {
                    let committed = match commit {
                        Some(commit) => commit.await,
                        None => Ok(()),
                    };
                    if let Some(called) = called {
                        called.await;
                    }
                    committed
                });
                false
            }
            GroupEvent::Lost(loss) => {
                tracing::warn!(reason = %loss.reason, "partitions are lost");
                self.revocation = None;
                self.last_commit = Kept::none();
                self.happened(Rebalance::Lost(loss.partitions.clone(), loss.reason));
                self.drop_these(&loss.partitions);
                false
            }
        }
    }

    /// Tells the application, and has the callback called.
    fn happened(&mut self, rebalance: Rebalance) {
        let called = self.called(&rebalance);
        if let (Some(called), Some(listener)) = (called, &mut self.listener) {
            listener.running = Kept::of(called);
        }
        self.note(rebalance);
    }

    fn note(&mut self, rebalance: Rebalance) {
        if self.rebalances.len() == REBALANCES_KEPT {
            self.rebalances.pop_front();
        }
        self.rebalances.push_back(rebalance);
    }

    /// Asks for the committed offsets of what was assigned, if nobody has.
    fn look_up(&mut self) {
        // A callback may still say where to start.
        if self.unplaced.is_empty() || self.lookup.is_running() || self.is_calling() {
            return;
        }
        let Some(offsets) = self.offsets.clone() else {
            return;
        };
        let partitions = self.unplaced.clone();
        let due = self.lookup_pace.due_at().map(Instant::from_std);
        self.lookup = Kept::of(async move {
            if let Some(due) = due {
                sleep_until(due).await;
            }
            offsets.committed(&partitions).await
        });
    }

    fn placed(&mut self, found: Vec<Option<CommittedOffset>>) {
        for (of, committed) in std::mem::take(&mut self.unplaced).into_iter().zip(found) {
            if let (Some(auto), Some(at)) = (&mut self.auto_commit, &committed) {
                auto.committed.insert(of.clone(), at.offset);
            }
            let start = committed.map_or(Start::Reset, |at| {
                Start::OffsetInEpoch(at.offset, at.leader_epoch)
            });
            self.fetcher.assign(&of.topic, of.partition, start);
        }
    }

    /// What was revoked is read no more, and the group may have it.
    fn give_up(&mut self) {
        if let Some(revocation) = self.revocation.take() {
            self.drop_these(revocation.partitions());
        }
    }

    fn drop_these(&mut self, partitions: &[TopicPartition]) {
        self.lookup = Kept::none();
        for of in partitions {
            self.unplaced.retain(|unplaced| unplaced != of);
            self.queue.remove(&of.topic, of.partition);
            self.fetcher.unassign(&of.topic, of.partition);
            if let Some(auto) = &mut self.auto_commit {
                auto.committed.remove(of);
            }
        }
    }

    /// Nothing is assigned any more.
    pub(super) fn drop_all(&mut self) {
        self.unplaced.clear();
        self.lookup = Kept::none();
        self.queue.clear();
        let all: Vec<(Text, i32)> = self
            .fetcher
            .assignment()
            .map(|(topic, partition, _)| (topic.clone(), partition))
            .collect();
        for (topic, partition) in all {
            self.fetcher.unassign(&topic, partition);
        }
        if let Some(auto) = &mut self.auto_commit {
            auto.committed.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_follows_within_a_millisecond_is_not_counted() {
        let metrics = Metrics::default();
        let (mut polls, begin) = (Polls::default(), Instant::now());
        assert_eq!(metrics.snapshot().last_poll, None);
        for micros in [0, 400, 800, 7_800] {
            polls.note(begin + Duration::from_micros(micros), &metrics);
        }
        let seen = metrics.snapshot();
        assert_eq!(seen.poll_interval_us.count(), 1);
        assert_eq!(seen.poll_interval_us.sum(), 7_000);
        assert!(seen.last_poll.is_some());
    }
}
