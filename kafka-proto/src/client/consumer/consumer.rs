//! The consumer: a fetcher, and with a `group.id` a membership and commits.
//!
//! Like the fetcher it is driven by whoever polls. What a poll delivered counts as processed when the next poll begins: that is what is
//! committed by itself, and before partitions are given up.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    client::{
        Cluster, Config, IsolationLevel,
        error::{ConfigError, Error, Result},
        group::{
            Assignment, CommittedOffset, GroupEvent, GroupOffsets, GroupOptions, Membership,
            OffsetToCommit, Revocation, TopicPartition,
        },
    },
    records::Decompressor,
    wire::Text,
};

use super::{
    batches::{FetchedBatches, FetchedPartition},
    fetcher::{Fetcher, Progress, Start},
    records::{ConsumerRecord, owned},
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Rebalances that are kept for an application that does not ask for them.
const REBALANCES_KEPT: usize = 64;

/// What a rebalance did to this consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rebalance {
    /// These partitions are read from now on.
    Assigned(Vec<TopicPartition>),
    /// These partitions will be given up when the next poll begins. Until then they can be committed.
    Revoked(Vec<TopicPartition>),
    /// These partitions are another consumer's already, and why.
    Lost(Vec<TopicPartition>, std::sync::Arc<str>),
}

/// Reads topics, alone or as a member of a group.
///
/// Not shared: one task polls it. Dropping it leaves the group without a commit; [`Consumer::close`] commits and waits.
#[derive(Debug)]
pub struct Consumer {
    cluster: Cluster,
    fetcher: Fetcher,
    membership: Option<Membership>,
    offsets: Option<GroupOffsets>,
    /// Assigned, and their start is not known yet.
    unplaced: Vec<TopicPartition>,
    lookup: Lookup,
    rebalances: VecDeque<Rebalance>,
    /// To be given up when the next poll begins.
    revocation: Option<Revocation>,
    /// The commit before partitions are given up.
    last_commit: Committing,
    auto_commit: Option<AutoCommit>,
    /// Fetched, and not handed out as records yet.
    queued: VecDeque<FetchedPartition>,
    records: VecDeque<ConsumerRecord>,
    decompressor: Decompressor,
}

/// The question for committed offsets.
struct Lookup(Option<BoxFuture<Result<Vec<Option<CommittedOffset>>>>>);

struct Committing(Option<BoxFuture<Result<()>>>);

#[derive(Debug)]
struct AutoCommit {
    interval: Duration,
    next: Instant,
    running: Committing,
    committed: BTreeMap<TopicPartition, i64>,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lookup(running: {})", self.0.is_some())
    }
}

impl std::fmt::Debug for Committing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Committing(running: {})", self.0.is_some())
    }
}

/// What a poll woke up for.
enum Woken {
    Fetched(Result<FetchedBatches>),
    Group(Result<GroupEvent>),
    Looked(Result<Vec<Option<CommittedOffset>>>),
    Committed(Result<()>),
}

impl Consumer {
    /// Connects to the cluster.
    ///
    /// Safe to drop: nothing stays behind.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect(config: Config) -> Result<Self> {
        Ok(Self::new(&Cluster::connect(config).await?))
    }

    /// A consumer that shares a cluster's metadata with others. It has connections of its own for fetching.
    pub fn new(cluster: &Cluster) -> Self {
        let config = cluster.config();
        let fetcher = Fetcher::new(cluster);
        let auto_commit = config.enable_auto_commit.then(|| {
            let interval = Duration::from_millis(config.auto_commit_interval_ms);
            AutoCommit {
                interval,
                next: Instant::now() + interval,
                running: Committing(None),
                committed: BTreeMap::new(),
            }
        });
        Self {
            offsets: None,
            membership: None,
            unplaced: Vec::new(),
            lookup: Lookup(None),
            rebalances: VecDeque::new(),
            revocation: None,
            last_commit: Committing(None),
            auto_commit,
            queued: VecDeque::new(),
            records: VecDeque::new(),
            decompressor: fetcher.decompressor(),
            fetcher,
            cluster: cluster.clone(),
        }
    }

    /// What [`FetchedBatch::records`](super::FetchedBatch::records) inflates with: see [`Fetcher::decompressor`].
    pub fn decompressor(&self) -> Decompressor {
        self.fetcher.decompressor()
    }

    /// The cluster that is read.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Joins the group of `group.id` for these topics, with Kafka's range assignor; called again, it changes the topics.
    ///
    /// # Errors
    /// [`Error::Config`] without a `group.id`; [`Error::Usage`] if partitions are assigned by hand.
    pub fn subscribe(&mut self, topics: &[&str]) -> Result<()> {
        if let Some(membership) = &self.membership {
            membership.subscribe(topics);
            return Ok(());
        }
        let group = self
            .cluster
            .config()
            .group_id
            .clone()
            .ok_or(ConfigError::Missing("group.id"))?;
        self.subscribe_with(GroupOptions::new(&group, topics))
    }

    /// Joins a group with assignors, member id and topics as `options` say. `max.poll.interval.ms` applies.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is subscribed already, or partitions are assigned by hand.
    pub fn subscribe_with(&mut self, mut options: GroupOptions) -> Result<()> {
        if self.membership.is_some() {
            return Err(Error::usage("the consumer is subscribed already"));
        }
        if self.fetcher.assignment().next().is_some() || !self.unplaced.is_empty() {
            return Err(Error::usage(
                "a consumer is either assigned partitions by hand or subscribed to topics, not both",
            ));
        }
        let interval = Duration::from_millis(self.cluster.config().max_poll_interval_ms);
        options.poll_interval_max.get_or_insert(interval);
        let membership = Membership::join(&self.cluster, options)?;
        self.offsets = Some(membership.offsets().clone());
        self.membership = Some(membership);
        Ok(())
    }

    /// Reads exactly these partitions, without being a member of a group. They start at the group's committed offsets where `group.id` is
    /// set and something is committed, else where `auto.offset.reset` says; [`Consumer::seek`] overrides that.
    ///
    /// # Errors
    /// [`Error::Usage`] if the consumer is subscribed.
    pub fn assign(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if self.membership.is_some() {
            return Err(Error::usage(
                "a consumer is either assigned partitions by hand or subscribed to topics, not both",
            ));
        }
        self.drop_all();
        if self.offsets.is_none() {
            self.offsets = self
                .cluster
                .config()
                .group_id
                .as_deref()
                .map(|group| GroupOffsets::new(&self.cluster, group));
        }
        match self.offsets {
            Some(_) => self.unplaced = partitions.to_vec(),
            None => partitions
                .iter()
                .for_each(|p| self.fetcher.assign(&p.topic, p.partition, Start::Reset)),
        }
        Ok(())
    }

    /// The partitions that are read, and how far.
    pub fn assignment(&self) -> Vec<(TopicPartition, Progress)> {
        self.fetcher
            .assignment()
            .map(|(topic, partition, mut progress)| {
                let of = TopicPartition {
                    topic: topic.clone(),
                    partition,
                };
                if let Some((offset, epoch)) = self.queued_position(&of) {
                    (progress.position, progress.leader_epoch) = (Some(offset), epoch);
                }
                (of, progress)
            })
            .collect()
    }

    /// Behind the last record that a poll delivered of this partition; `None` if it is not assigned or its start is not found yet.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let of = TopicPartition::new(topic, partition);
        self.queued_position(&of)
            .map(|(offset, _)| offset)
            .or_else(|| self.fetcher.position(topic, partition))
    }

    /// How many offsets lie between the position and the end that can be read; `None` until both are known.
    pub fn lag(&self, topic: &str, partition: i32) -> Option<i64> {
        let end = self.fetcher.progress(topic, partition)?.end;
        let position = self.position(topic, partition)?;
        (end >= 0).then(|| (end - position).max(0))
    }

    /// Reads a partition on from elsewhere.
    ///
    /// # Errors
    /// [`Error::Usage`] if the partition is not assigned.
    pub fn seek(&mut self, topic: &str, partition: i32, start: Start) -> Result<()> {
        let of = TopicPartition::new(topic, partition);
        if let Some(index) = self.unplaced.iter().position(|p| *p == of) {
            // A lookup under way answers for the others; what it says of this one no longer counts.
            self.unplaced.swap_remove(index);
            self.lookup = Lookup(None);
            self.fetcher.assign(topic, partition, start);
            return Ok(());
        }
        self.fetcher.seek(topic, partition, start)?;
        self.forget_queued(&of);
        Ok(())
    }

    /// Stops fetching a partition.
    ///
    /// # Errors
    /// [`Error::Usage`] if the partition is not assigned.
    pub fn pause(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.fetcher.pause(topic, partition)?;
        let of = TopicPartition::new(topic, partition);
        if let Some((offset, epoch)) = self.queued_position(&of) {
            self.forget_queued(&of);
            self.fetcher
                .seek(topic, partition, Start::OffsetInEpoch(offset, epoch))?;
        }
        Ok(())
    }

    /// Fetches a paused partition again.
    ///
    /// # Errors
    /// [`Error::Usage`] if the partition is not assigned.
    pub fn resume(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.fetcher.resume(topic, partition)
    }

    /// The next thing that a rebalance did, in order; the oldest are forgotten if nobody asks.
    pub fn next_rebalance(&mut self) -> Option<Rebalance> {
        self.rebalances.pop_front()
    }

    /// Waits for fetched batches, at most for `timeout`, and delivers all that has come: the fast interface, see [`FetchedBatches`]. What the
    /// poll before delivered counts as processed.
    ///
    /// It returns early and empty when partitions are about to be revoked and nothing commits them by itself
    /// (`enable.auto.commit`): [`Consumer::next_rebalance`] tells, [`Consumer::commit`] commits, the next poll gives them up.
    ///
    /// Safe to drop: nothing is lost and nothing is delivered twice.
    ///
    /// # Errors
    /// As [`Fetcher::poll_batches`] and [`Membership::next_event`].
    pub async fn poll_batches(&mut self, timeout: Duration) -> Result<FetchedBatches> {
        self.begin();
        if let Some(queued) = self.take_queued() {
            return Ok(queued);
        }
        self.wait(timeout).await
    }

    /// Waits for records, at most for `timeout`; delivers at most `max.poll.records` of them, in the order of each partition. What the poll
    /// before delivered counts as processed.
    ///
    /// Safe to drop: nothing is lost and nothing is delivered twice.
    ///
    /// # Errors
    /// As [`Consumer::poll_batches`].
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord>> {
        self.begin();
        let deadline = Instant::now() + timeout;
        let most = self.cluster.config().max_poll_records;
        loop {
            self.unpack(most)?;
            if !self.records.is_empty() {
                let n = most.min(self.records.len());
                return Ok(self.records.drain(..n).collect());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let fetched = self.wait(left).await?;
            if fetched.is_empty() {
                return Ok(Vec::new());
            }
            self.queued.extend(fetched);
        }
    }

    /// Waits for the next record, however long that takes. See [`Consumer::poll`], which takes many at once and is cheaper.
    ///
    /// Safe to drop: nothing is lost and nothing is delivered twice.
    ///
    /// # Errors
    /// As [`Consumer::poll_batches`].
    pub async fn recv(&mut self) -> Result<ConsumerRecord> {
        self.begin();
        loop {
            if let Some(record) = self.records.pop_front() {
                return Ok(record);
            }
            self.unpack(1)?;
            if self.records.is_empty() {
                let fetched = self.wait(Duration::from_secs(3600)).await?;
                self.queued.extend(fetched);
            }
        }
    }

    /// Commits the positions of all assigned partitions: what was delivered. The commit is started when this is called, behind those that
    /// were started before; the future waits for its end. Safe to drop: the commit goes on.
    ///
    /// # Errors
    /// As [`GroupOffsets::commit`]; [`Error::Config`] without a `group.id`.
    pub fn commit(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        self.commit_offsets(&self.positions())
    }

    /// Commits these offsets: the position behind the last processed record of each partition.
    ///
    /// # Errors
    /// As [`Consumer::commit`].
    pub fn commit_offsets(
        &self,
        offsets: &[OffsetToCommit],
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let commit = self.offsets.as_ref().map(|group| group.commit(offsets));
        async move {
            match commit {
                Some(commit) => commit.await,
                None => Err(ConfigError::Missing("group.id").into()),
            }
        }
    }

    /// What the group has committed for these partitions, in their order. Safe to drop.
    ///
    /// # Errors
    /// As [`GroupOffsets::committed`]; [`Error::Config`] without a `group.id`.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let offsets = self
            .offsets
            .as_ref()
            .ok_or(ConfigError::Missing("group.id"))?;
        offsets.committed(partitions, self.require_stable()).await
    }

    /// The member's id and generation, if the consumer is a member of a group.
    pub fn member(&self) -> Option<(Text, i32)> {
        let membership = self.membership.as_ref()?;
        Some((membership.member_id()?, membership.generation()?))
    }

    /// Commits what was delivered (`enable.auto.commit`), and leaves the group.
    ///
    /// Dropped before it has ended, it leaves all the same; the last commit may be missing.
    ///
    /// # Errors
    /// If the last commit failed; the group is left in any case.
    pub async fn close(mut self) -> Result<()> {
        let committed = match (&self.auto_commit, &self.offsets) {
            (Some(_), Some(offsets)) => offsets.commit(&self.positions()).await,
            _ => Ok(()),
        };
        self.revocation = None;
        if let Some(membership) = self.membership.take() {
            membership.leave().await;
        }
        committed
    }

    /// What every poll begins with: the application is alive, what was delivered is processed, what was announced is given up.
    fn begin(&mut self) {
        if let Some(membership) = &self.membership {
            membership.polled();
        }
        if self.last_commit.0.is_none() && self.revocation.take().is_some() {
            self.drop_all();
        }
        self.auto_commit();
    }

    fn auto_commit(&mut self) {
        let now = Instant::now();
        if self
            .auto_commit
            .as_ref()
            .is_none_or(|auto| auto.next > now || auto.running.0.is_some())
        {
            return;
        }
        let mut positions = self.positions();
        let (Some(auto), Some(offsets)) = (&mut self.auto_commit, &self.offsets) else {
            return;
        };
        auto.next = now + auto.interval;
        positions.retain(|of| auto.committed.get(&of.partition) != Some(&of.offset));
        if !positions.is_empty() {
            auto.running = Committing(Some(Box::pin(offsets.commit(&positions))));
            auto.committed
                .extend(positions.into_iter().map(|of| (of.partition, of.offset)));
        }
    }

    /// The core of every poll: fetches, with all that happens beside it.
    async fn wait(&mut self, timeout: Duration) -> Result<FetchedBatches> {
        let deadline = Instant::now() + timeout;
        let slice = Duration::from_millis(self.cluster.config().max_poll_interval_ms / 3)
            .max(Duration::from_millis(1));
        loop {
            self.look_up();
            let left = deadline.saturating_duration_since(Instant::now());
            let auto = self.auto_commit.as_mut().map(|auto| &mut auto.running.0);
            let woken = tokio::select! {
                biased;
                committed = run(Some(&mut self.last_commit.0)) => Woken::Committed(committed),
                event = next_event(&mut self.membership) => Woken::Group(event),
                looked = run(Some(&mut self.lookup.0)) => Woken::Looked(looked),
                committed = run(auto) => {
                    self.auto_committed(committed);
                    continue;
                }
                // In slices, so that a long wait is no silence to the group.
                fetched = self.fetcher.poll_batches(left.min(slice)) => Woken::Fetched(fetched),
            };
            match woken {
                Woken::Fetched(Ok(fetched)) if fetched.is_empty() => {
                    if let Some(membership) = &self.membership {
                        membership.polled();
                    }
                    self.auto_commit();
                    if Instant::now() >= deadline {
                        return Ok(fetched);
                    }
                }
                Woken::Fetched(fetched) => return fetched,
                Woken::Group(event) => {
                    if self.group_event(event?) {
                        return Ok(FetchedBatches::default());
                    }
                }
                Woken::Looked(found) => self.placed(found?),
                Woken::Committed(result) => {
                    if let Err(error) = result {
                        tracing::warn!(%error, "the commit before a rebalance failed; records will be read again");
                    }
                    self.revocation = None;
                    self.drop_all();
                }
            }
        }
    }

    /// Whether the poll has to return, so that the application may commit.
    fn group_event(&mut self, event: GroupEvent) -> bool {
        match event {
            GroupEvent::Assigned(Assignment { partitions, .. }) => {
                self.drop_all();
                self.unplaced.clone_from(&partitions);
                self.note(Rebalance::Assigned(partitions));
                false
            }
            GroupEvent::Revoked(revocation) => {
                let partitions = revocation.partitions().to_vec();
                for of in &partitions {
                    // Those without a start yet are not the fetcher's.
                    drop(self.pause(&of.topic, of.partition));
                }
                self.note(Rebalance::Revoked(partitions));
                self.revocation = Some(revocation);
                match (&self.auto_commit, &self.offsets) {
                    (Some(_), Some(offsets)) => {
                        self.last_commit =
                            Committing(Some(Box::pin(offsets.commit(&self.positions()))));
                        false
                    }
                    _ => true,
                }
            }
            GroupEvent::Lost(loss) => {
                tracing::warn!(reason = %loss.reason, "partitions are lost");
                self.revocation = None;
                self.last_commit = Committing(None);
                self.drop_all();
                self.note(Rebalance::Lost(loss.partitions, loss.reason));
                false
            }
        }
    }

    fn note(&mut self, rebalance: Rebalance) {
        if self.rebalances.len() == REBALANCES_KEPT {
            self.rebalances.pop_front();
        }
        self.rebalances.push_back(rebalance);
    }

    fn auto_committed(&mut self, result: Result<()>) {
        if let Err(error) = result
            && let Some(auto) = &mut self.auto_commit
        {
            tracing::warn!(%error, "a commit failed");
            auto.committed.clear();
        }
    }

    /// Asks for the committed offsets of what was assigned, if nobody has.
    fn look_up(&mut self) {
        if self.unplaced.is_empty() || self.lookup.0.is_some() {
            return;
        }
        let Some(offsets) = self.offsets.clone() else {
            return;
        };
        let (partitions, stable) = (self.unplaced.clone(), self.require_stable());
        self.lookup = Lookup(Some(Box::pin(async move {
            offsets.committed(&partitions, stable).await
        })));
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

    fn require_stable(&self) -> bool {
        self.cluster.config().isolation_level == IsolationLevel::ReadCommitted
    }

    /// Nothing is assigned any more.
    fn drop_all(&mut self) {
        self.unplaced.clear();
        self.lookup = Lookup(None);
        self.queued.clear();
        self.records.clear();
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

    /// What was delivered of every partition.
    fn positions(&self) -> Vec<OffsetToCommit> {
        let of = |(partition, progress): (TopicPartition, Progress)| {
            let (offset, leader_epoch) = (progress.position?, progress.leader_epoch);
            Some(OffsetToCommit {
                partition,
                offset,
                leader_epoch,
                metadata: Text::EMPTY,
            })
        };
        self.assignment().into_iter().filter_map(of).collect()
    }

    /// The position of a partition whose records are not all handed out yet.
    fn queued_position(&self, of: &TopicPartition) -> Option<(i64, i32)> {
        let same = |topic: &Text, partition| *topic == of.topic && partition == of.partition;
        if let Some(record) = self
            .records
            .iter()
            .find(|record| same(record.topic(), record.partition()))
        {
            return Some((record.offset(), -1));
        }
        let queued = self
            .queued
            .iter()
            .find(|queued| same(queued.topic(), queued.partition()))?;
        queued.next_offset().map(|offset| (offset, -1))
    }

    fn forget_queued(&mut self, of: &TopicPartition) {
        let same = |topic: &Text, partition| *topic == of.topic && partition == of.partition;
        self.records
            .retain(|record| !same(record.topic(), record.partition()));
        self.queued
            .retain(|queued| !same(queued.topic(), queued.partition()));
    }

    /// What the record interface left over, for the batch interface. Records of a batch that was begun are fetched again.
    fn take_queued(&mut self) -> Option<FetchedBatches> {
        if let Some(first) = self.records.front() {
            let (of, offset) = (
                TopicPartition {
                    topic: first.topic().clone(),
                    partition: first.partition(),
                },
                first.offset(),
            );
            self.forget_queued(&of);
            drop(
                self.fetcher
                    .seek(&of.topic, of.partition, Start::Offset(offset)),
            );
        }
        let queued = std::mem::take(&mut self.queued);
        (!queued.is_empty()).then(|| FetchedBatches::new(queued.into()))
    }

    /// Turns fetched batches into at least `most` records, as far as there are any.
    fn unpack(&mut self, most: usize) -> Result<()> {
        while self.records.len() < most {
            let Some(partition) = self.queued.front_mut() else {
                break;
            };
            let records = &mut self.records;
            let unpacked = match partition.next_batch() {
                Ok(Some(batch)) => owned(batch, &mut self.decompressor, |record| {
                    records.push_back(record)
                }),
                Ok(None) => {
                    self.queued.pop_front();
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = unpacked {
                // The position went back to the batch; what came before it is delivered first, the error comes again.
                self.queued.pop_front();
                if self.records.is_empty() {
                    return Err(error);
                }
                break;
            }
        }
        Ok(())
    }
}

async fn next_event(membership: &mut Option<Membership>) -> Result<GroupEvent> {
    match membership {
        Some(membership) => membership.next_event().await,
        None => std::future::pending().await,
    }
}

/// Runs a future that is kept elsewhere, so that dropping this loses nothing.
async fn run<T>(kept: Option<&mut Option<BoxFuture<T>>>) -> T {
    match kept {
        Some(slot @ Some(_)) => {
            let result = match slot {
                Some(future) => future.await,
                None => std::future::pending().await,
            };
            *slot = None;
            result
        }
        _ => std::future::pending().await,
    }
}
