//! The consumer: a fetcher, and with a `group.id` a membership and commits.
//!
//! Like the fetcher it is driven by whoever polls. What a poll delivered counts as processed when the next poll begins: that is what is
//! committed by itself, and before partitions are given up.

use std::{collections::VecDeque, future::poll_fn, time::Duration};

use tokio::time::Instant;

use crate::{
    client::{
        Cluster, Config,
        deadline::Deadline,
        error::{ConfigError, Error, Result},
        group::{
            CommittedOffset, GroupMembershipOperation, GroupOffsets, GroupOptions, Membership,
            OffsetToCommit, Revocation, TopicPartition,
        },
        pace::Pace,
    },
    messages::ErrorCode,
    records::Decompressor,
    wire::Text,
};

use super::{
    batches::FetchedBatches,
    driving::{AutoCommit, Kept, Polls},
    fetcher::{Fetcher, Progress, Start},
    pattern::PatternSubscription,
    queue::Queue,
    rebalance::Listener,
    records::ConsumerRecord,
};

/// What a rebalance did to this consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rebalance {
    /// These partitions are read from now on, beside those that were kept.
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
    pub(super) cluster: Cluster,
    pub(super) fetcher: Fetcher,
    pub(super) membership: Option<Membership>,
    pub(super) offsets: Option<GroupOffsets>,
    pub(super) pattern: Option<PatternSubscription>,
    /// The topics that it is subscribed to now.
    pub(super) subscription: Vec<String>,
    /// Assigned, and their start is not known yet.
    pub(super) unplaced: Vec<TopicPartition>,
    /// The question for committed offsets.
    pub(super) lookup: Kept<Result<Vec<Option<CommittedOffset>>>>,
    /// A poll that gets its error is followed by the next one at once.
    pub(super) lookup_pace: Pace,
    pub(super) rebalances: VecDeque<Rebalance>,
    pub(super) listener: Option<Listener>,
    /// To be given up when the next poll begins.
    pub(super) revocation: Option<Revocation>,
    /// The commit before partitions are given up.
    pub(super) last_commit: Kept<Result<()>>,
    pub(super) auto_commit: Option<AutoCommit>,
    /// Fetched, and not handed out as records yet.
    pub(super) queue: Queue,
    /// Resolves when there may be room for what waits in the queue.
    pub(super) room: Kept<()>,
    /// Ends when the group is to be told that a long wait is no silence, or a commit by itself is due.
    pub(super) tick: Kept<()>,
    pub(super) polls: Polls,
    /// When a poll let others run last.
    pub(super) yielded_at: Instant,
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
        let interval = Duration::from_millis(config.auto_commit_interval_ms);
        let auto_commit = config.enable_auto_commit.then(|| AutoCommit::new(interval));
        Self {
            offsets: None,
            membership: None,
            pattern: None,
            subscription: Vec::new(),
            unplaced: Vec::new(),
            lookup: Kept::none(),
            lookup_pace: Pace::default(),
            rebalances: VecDeque::new(),
            listener: None,
            revocation: None,
            last_commit: Kept::none(),
            auto_commit,
            queue: Queue::new(fetcher.decompressor()),
            room: Kept::none(),
            tick: Kept::none(),
            polls: Polls::default(),
            yielded_at: Instant::now(),
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

    /// Joins the group of `group.id` for these topics, as `group.protocol` and `partition.assignment.strategy` say; called again, it changes the
    /// topics.
    ///
    /// # Errors
    /// [`Error::Config`] without a `group.id` or with an assignor that is not one of Kafka's; [`Error::Usage`] if partitions are assigned by
    /// hand, or for a name that begins with `^`: what is a pattern to librdkafka goes to [`Consumer::subscribe_pattern`] here. A name that
    /// brokers refuse is an error of a later poll.
    pub fn subscribe(&mut self, topics: &[&str]) -> Result<()> {
        if let Some(pattern) = topics.iter().find(|topic| topic.starts_with('^')) {
            return Err(Error::usage(format!(
                "`{pattern}` is a pattern and no topic: use `subscribe_pattern`, which takes one regular expression for the whole name, with \
                 `|` between several"
            )));
        }
        if self.pattern.is_some() {
            return Err(Error::usage(
                "the consumer is subscribed to a pattern; unsubscribe first",
            ));
        }
        if let Some(membership) = &self.membership {
            membership.subscribe(topics);
            self.subscription = topics.iter().map(|topic| (*topic).to_owned()).collect();
            return Ok(());
        }
        self.subscribe_with(GroupOptions::configured(self.cluster.config(), topics)?)
    }

    /// Joins a group with assignors, member id and topics as `options` say. `max.poll.interval.ms` applies.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is subscribed already, or partitions are assigned by hand.
    pub fn subscribe_with(&mut self, options: GroupOptions) -> Result<()> {
        self.may_subscribe()?;
        self.join(options)
    }

    pub(super) fn may_subscribe(&self) -> Result<()> {
        if self.membership.is_some() || self.pattern.is_some() {
            return Err(Error::usage("the consumer is subscribed already"));
        }
        if self.fetcher.assignment().next().is_some() || !self.unplaced.is_empty() {
            return Err(Error::usage(
                "a consumer is either assigned partitions by hand or subscribed to topics, not both",
            ));
        }
        Ok(())
    }

    pub(super) fn join(&mut self, mut options: GroupOptions) -> Result<()> {
        let interval = Duration::from_millis(self.cluster.config().max_poll_interval_ms);
        options.poll_interval_max.get_or_insert(interval);
        let topics = options.topics.clone();
        let membership = Membership::join(&self.cluster, options)?;
        self.subscription = topics;
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
        if self.membership.is_some() || self.pattern.is_some() {
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

    /// The topics that it is subscribed to: those of [`Consumer::subscribe`], or those that match the pattern of
    /// [`Consumer::subscribe_pattern`] now. Empty without a subscription, before matching topics were looked up, and where the coordinator
    /// matches.
    pub fn subscription(&self) -> &[String] {
        &self.subscription
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
                if let Some((offset, epoch)) = self.queue.position(&of.topic, of.partition) {
                    (progress.position, progress.leader_epoch) = (Some(offset), epoch);
                }
                (of, progress)
            })
            .collect()
    }

    /// Behind the last record that a poll delivered of this partition; `None` if it is not assigned or its start is not found yet.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.queue
            .position(topic, partition)
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
            self.lookup = Kept::none();
            self.fetcher.assign(topic, partition, start);
            return Ok(());
        }
        self.fetcher.seek(topic, partition, start)?;
        drop(self.queue.remove(topic, partition));
        Ok(())
    }

    /// Stops fetching and delivering a partition. What was fetched of it waits for [`Consumer::resume`]; if others need its room in
    /// `fetch.buffer.bytes`, it is given up and fetched again then.
    ///
    /// # Errors
    /// [`Error::Usage`] if the partition is not assigned.
    pub fn pause(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.fetcher.pause(topic, partition)?;
        let left = self.queue.remove(topic, partition);
        self.fetcher.take_back(left);
        Ok(())
    }

    /// Whether a partition is paused.
    pub fn is_paused(&self, topic: &str, partition: i32) -> bool {
        self.fetcher.is_paused(topic, partition)
    }

    /// Fetches and delivers a paused partition again, from where it was left.
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
        if self.begin() {
            tokio::task::yield_now().await;
        }
        let fetched = poll_fn(|cx| self.poll_drained(cx));
        tokio::time::timeout(timeout, fetched)
            .await
            .unwrap_or_else(|_| Ok(FetchedBatches::default()))
    }

    /// Waits for records, at most for `timeout`; delivers at most `max.poll.records` of them, in the order of each partition. What the poll
    /// before delivered counts as processed.
    ///
    /// Safe to drop: nothing is lost and nothing is delivered twice.
    ///
    /// # Errors
    /// As [`Consumer::poll_batches`].
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord>> {
        if self.begin() {
            tokio::task::yield_now().await;
        }
        let most = self.cluster.config().max_poll_records;
        let records = poll_fn(|cx| self.poll_records(cx, most));
        tokio::time::timeout(timeout, records)
            .await
            .unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Commits the positions of all assigned partitions: what was delivered. The commit is started when this is called, behind those that
    /// were started before; the future waits for its end. Safe to drop: the commit goes on.
    ///
    /// # Errors
    /// As [`GroupOffsets::commit`]; [`Error::Config`] without a `group.id`.
    pub fn commit(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        self.commit_offsets(&self.positions())
    }

    /// Commits the position behind a record, of its partition alone: it and all before it count as processed.
    ///
    /// ```no_run
    /// # async fn example(consumer: &mut kafka_proto::client::Consumer) -> kafka_proto::client::Result<()> {
    /// let record = consumer.recv().await?;
    /// // … processes it …
    /// consumer.commit_record(&record).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::commit`].
    pub fn commit_record(
        &self,
        record: &ConsumerRecord,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        self.commit_offsets(&[OffsetToCommit::from(record)])
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
        offsets.committed(partitions).await
    }

    /// The member's id and generation, if the consumer is a member of a group.
    pub fn member(&self) -> Option<(Text, i32)> {
        let membership = self.membership.as_ref()?;
        Some((membership.member_id()?, membership.generation()?))
    }

    /// Commits what was delivered (`enable.auto.commit`), leaves the group, and gives up all partitions; afterwards the consumer may be
    /// subscribed or assigned anew.
    ///
    /// It takes `default.api.timeout.ms` at most, whatever the brokers do. Dropped before it has ended, it leaves all the same; the last commit may
    /// be missing.
    ///
    /// # Errors
    /// If the last commit failed; the group is left in any case.
    pub async fn unsubscribe(&mut self) -> Result<()> {
        let deadline = Deadline::of_api(self.cluster.config());
        self.unsubscribe_with(GroupMembershipOperation::Default, deadline)
            .await
    }

    async fn unsubscribe_with(
        &mut self,
        how: GroupMembershipOperation,
        deadline: Deadline,
    ) -> Result<()> {
        let commit = match (&self.auto_commit, &self.offsets) {
            (Some(_), Some(offsets)) => Some(last_commit(offsets, &self.positions())),
            _ => None,
        };
        let owned: Vec<TopicPartition> = self.assignment().into_iter().map(|(of, _)| of).collect();
        let is_member = self.membership.is_some();
        let called = self
            .called(&Rebalance::Revoked(owned))
            .filter(|_| is_member);
        // What was announced is given up with everything else.
        (self.pattern, self.revocation) = (None, None);
        self.subscription = Vec::new();
        self.last_commit = Kept::none();
        self.drop_all();
        let (membership, _offsets) = (self.membership.take(), self.offsets.take());
        let committed = match commit {
            Some(commit) => {
                let what = || "the last commit".to_owned();
                deadline.bound(what, commit).await
            }
            None => Ok(()),
        };
        if let Some(called) = called {
            drop(tokio::time::timeout_at(deadline.at(), called).await);
        }
        if let Some(membership) = membership {
            membership.leave_by(how, deadline).await;
        }
        committed
    }

    /// [`Consumer::unsubscribe`], for good.
    ///
    /// Dropped before it has ended, it leaves all the same; the last commit may be missing.
    ///
    /// # Errors
    /// As [`Consumer::unsubscribe`].
    pub async fn close(mut self) -> Result<()> {
        self.unsubscribe().await
    }

    /// As [`Consumer::close`], within another time than `default.api.timeout.ms`.
    ///
    /// # Errors
    /// As [`Consumer::close`]; [`Error::Timeout`] if the last commit was not answered by then.
    pub async fn close_within(mut self, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(timeout, "the timeout of `close_within`");
        self.unsubscribe_with(GroupMembershipOperation::Default, deadline)
            .await
    }

    /// As [`Consumer::close`], and says whether the group is left (KIP-1092).
    ///
    /// # Errors
    /// As [`Consumer::close`].
    pub async fn close_with(mut self, how: GroupMembershipOperation) -> Result<()> {
        let deadline = Deadline::of_api(self.cluster.config());
        self.unsubscribe_with(how, deadline).await
    }

    /// What is to be committed by itself, again and again: what metadata does not list now can be committed the next time.
    pub(super) fn positions_of_known(&self) -> Vec<OffsetToCommit> {
        let metadata = self.cluster.metadata();
        let mut positions = self.positions();
        positions.retain(|of| metadata.topic(&of.partition.topic).is_some());
        positions
    }

    /// What was delivered of every partition.
    pub(super) fn positions(&self) -> Vec<OffsetToCommit> {
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
}

/// The commit before partitions are given up. Metadata is not asked which topics there are: a broker that lags behind would have the offsets of
/// one left out. That a topic was deleted is no failure.
pub(super) fn last_commit(
    offsets: &GroupOffsets,
    positions: &[OffsetToCommit],
) -> impl Future<Output = Result<()>> + Send + use<> {
    let commit = offsets.commit(positions);
    async move {
        match commit.await {
            Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                tracing::debug!(%error, "nothing is left to be committed of a topic");
                Ok(())
            }
            result => result,
        }
    }
}
