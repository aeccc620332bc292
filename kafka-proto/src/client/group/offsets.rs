//! A group's committed offsets: commits in their order, and what is committed.
//!
//! Commits go through one task (`commits`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    client::{
        Cluster,
        cluster::CoordinatorKind,
        deadline::Deadline,
        error::{Error, Result},
    },
    messages::{
        ErrorCode, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
        OffsetFetchResponse,
        offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch::{
            OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
        },
    },
    wire::{Text, Uuid},
};

use super::{
    TopicPartition,
    commits::{Commit, Queue},
    state::Identity,
};

/// The last versions that name topics by name. Later ones name them by id, all of a request's topics or none: where the metadata
/// lacks an id, the last of these is spoken.
const LAST_BY_NAME: i16 = 9;
/// From here on the members of the newer protocol can ask (KIP-848).
const FIRST_WITH_EPOCH: i16 = 9;
/// From here on several groups are asked at once.
const FIRST_WITH_GROUPS: i16 = 8;
/// From here on a broker can wait for transactions to be decided (KIP-447).
const FIRST_STABLE: i16 = 7;

/// An offset to commit: where reading goes on after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetToCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The position: the offset behind the last processed record.
    pub offset: i64,
    /// Leader epoch of the last processed record, −1 if unknown (KIP-320).
    pub leader_epoch: i32,
    /// Anything, kept beside the offset; brokers limit its length (`offset.metadata.max.bytes`).
    pub metadata: Text,
}

impl OffsetToCommit {
    /// A position of a partition, without an epoch or metadata.
    pub fn new(topic: impl Into<Text>, partition: i32, offset: i64) -> Self {
        let partition = TopicPartition {
            topic: topic.into(),
            partition,
        };
        Self {
            partition,
            offset,
            leader_epoch: -1,
            metadata: Text::EMPTY,
        }
    }
}

/// An offset that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// Where reading goes on.
    pub offset: i64,
    /// Leader epoch of the record before it, −1 if unknown.
    pub leader_epoch: i32,
    /// What was committed beside it.
    pub metadata: Text,
}

/// The committed offsets of one group. Cheap to clone; clones share the order of commits.
///
/// Works also outside a membership: then commits carry no generation, and are refused while the group has members.
#[derive(Clone, Debug)]
pub struct GroupOffsets {
    cluster: Cluster,
    group: Arc<str>,
    identity: watch::Receiver<Option<Identity>>,
    instance_id: Option<Text>,
    /// Who the member is as far as the application has taken up what happened to it: commits are made under that. `None` where commits are
    /// not a member's.
    standing: Option<Arc<Mutex<Option<Identity>>>>,
    queue: Arc<Queue>,
}

/// Why a commit is refused that was made under another assignment.
const MOVED_ON: &str = "the group has moved on and the partitions are not this member's any more, or were another's in between; the records \
    since the last commit will be read again";

/// What membership learns from a refused commit.
pub(super) type Refusal = (ErrorCode, i32);

impl GroupOffsets {
    /// Offsets of a group that this process is no member of.
    ///
    /// Must be called inside a tokio runtime: a task for the commits runs on it.
    pub fn new(cluster: &Cluster, group: &str) -> Self {
        let (_, nobody) = watch::channel(None);
        Self::start(cluster, group, None, nobody, None)
    }

    /// The cluster that the group is in.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(super) fn of_member(
        cluster: &Cluster,
        group: &str,
        instance_id: Option<Text>,
        identity: watch::Receiver<Option<Identity>>,
        refusals: mpsc::UnboundedSender<Refusal>,
    ) -> Self {
        Self::start(cluster, group, instance_id, identity, Some(refusals))
    }

    fn start(
        cluster: &Cluster,
        group: &str,
        instance_id: Option<Text>,
        identity: watch::Receiver<Option<Identity>>,
        refusals: Option<mpsc::UnboundedSender<Refusal>>,
    ) -> Self {
        let group: Arc<str> = group.into();
        let standing = refusals.as_ref().map(|_| Arc::default());
        let committing = Committing {
            cluster: cluster.clone(),
            group: Arc::clone(&group),
            identity: identity.clone(),
            refusals,
        };
        Self {
            cluster: cluster.clone(),
            group,
            identity,
            instance_id,
            standing,
            queue: Arc::new(Queue::start(committing)),
        }
    }

    /// What the application has taken up makes this of the member.
    pub(super) fn stands(&self, identity: Option<Identity>) {
        if let Some(standing) = &self.standing {
            *standing.lock().unwrap_or_else(PoisonError::into_inner) = identity;
        }
    }

    /// As whom to commit these offsets: what they were read under, and who the member is at present if that is the same to them.
    fn stamp(&self, offsets: &[OffsetToCommit]) -> Result<Option<(Identity, Identity)>> {
        let Some(standing) = &self.standing else {
            return Ok(None);
        };
        let standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.identity.borrow().clone();
        let present = present.filter(|of| of.generation >= 0);
        let what = || format!("committing offsets for group {}", self.group);
        let (Some(standing), Some(present)) = (standing.clone(), present) else {
            // Sent without a generation it would count as a commit from outside, which an empty group accepts.
            let hint = Some("this consumer is not a member of the group at present");
            return Err(Error::broker(what(), ErrorCode::UNKNOWN_MEMBER_ID, hint));
        };
        let partitions = offsets.iter().map(|of| of.partition.clone());
        if !present.continues(&standing, partitions) {
            let code = match present.is_modern {
                true => ErrorCode::STALE_MEMBER_EPOCH,
                false => ErrorCode::ILLEGAL_GENERATION,
            };
            return Err(Error::broker(what(), code, Some(MOVED_ON)));
        }
        Ok(Some((standing, present)))
    }

    /// Commits offsets, behind all commits that were started before, and waits until the group has them.
    ///
    /// While it waits for those, a newer commit of the same assignment that has all of its partitions takes its place, and both end together.
    ///
    /// The commit is started when this is called. A member commits under the assignment that it has taken up last ([`Membership::next_event`];
    /// a [`Consumer`](crate::client::Consumer) does so when it polls): what was lost meanwhile is refused here, also if it is the member's again
    /// by now, since who had it in between may have committed more. Safe to drop: the commit goes on.
    ///
    /// [`Membership::next_event`]: super::Membership::next_event
    ///
    /// # Errors
    /// [`Error::Broker`]: `ILLEGAL_GENERATION`, `UNKNOWN_MEMBER_ID` and `REBALANCE_IN_PROGRESS` mean that the group has given the
    /// partitions to others or is about to, and nothing was committed. What may pass (a coordinator that moves or loads) is tried again
    /// for `default.api.timeout.ms`. After [`Error::Timeout`] or [`Error::Disconnected`] the offsets may be committed or not.
    pub fn commit(
        &self,
        offsets: &[OffsetToCommit],
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let (done, answer) = oneshot::channel();
        let deadline = Deadline::of_api(self.cluster.config());
        match self.stamp(offsets) {
            _ if offsets.is_empty() => drop(done.send(Ok(()))),
            Err(error) => drop(done.send(Err(error))),
            Ok(stamp) => {
                let (standing, present) = stamp.unzip();
                // With the task gone the sender is dropped, which the answer tells.
                let commit = Commit {
                    request: self.request(offsets, present),
                    partitions: offsets.iter().map(|of| of.partition.clone()).collect(),
                    standing,
                    started: Instant::now(),
                    deadline,
                };
                self.queue.push(Some(commit), done);
            }
        }
        let group = Arc::clone(&self.group);
        async move {
            let what = || format!("committing offsets for group {group}");
            let answer = async {
                answer.await.unwrap_or(Err(Error::Closed {
                    what: "group's commit task",
                }))
            };
            // A newer commit, with more time, may have taken its place.
            deadline.bound(what, answer).await
        }
    }

    /// Waits until all commits that were started before have ended. Safe to drop.
    pub async fn settled(&self) {
        let (done, answer) = oneshot::channel();
        self.queue.push(None, done);
        drop(answer.await);
    }

    fn request(
        &self,
        offsets: &[OffsetToCommit],
        identity: Option<Identity>,
    ) -> OffsetCommitRequest {
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        let mut places: HashMap<&Text, usize> = HashMap::new();
        for offset in offsets {
            let place = *places.entry(&offset.partition.topic).or_insert_with(|| {
                let name = offset.partition.topic.clone();
                topics.push(OffsetCommitRequestTopic {
                    name,
                    ..OffsetCommitRequestTopic::default()
                });
                topics.len() - 1
            });
            topics[place].partitions.push(OffsetCommitRequestPartition {
                partition_index: offset.partition.partition,
                committed_offset: offset.offset,
                committed_leader_epoch: offset.leader_epoch,
                committed_metadata: Some(offset.metadata.clone()),
            });
        }
        let (member_id, generation) =
            identity.map_or((Text::EMPTY, -1), |of| (of.member_id, of.generation));
        OffsetCommitRequest {
            group_id: Text::from(&*self.group),
            generation_id_or_member_epoch: generation,
            group_instance_id: self.instance_id.clone().filter(|_| !member_id.is_empty()),
            member_id,
            topics,
            ..OffsetCommitRequest::default()
        }
    }

    /// What is committed for these partitions, in their order; `None` where nothing is. Offsets that a transaction commits which is not decided
    /// yet are waited for (KIP-447): whoever began at the ones before would process again what the transaction has processed.
    ///
    /// Safe to drop.
    ///
    /// # Errors
    /// [`Error::Broker`], and after `default.api.timeout.ms` what stood in the way. An error is never read as "nothing is committed".
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let deadline = Deadline::of_api(self.cluster.config());
        self.committed_with(partitions, true, deadline).await
    }

    /// As [`GroupOffsets::committed`], and says whether to wait for transactions. Only who looks at a group from outside may not.
    pub(in crate::client) async fn committed_with(
        &self,
        partitions: &[TopicPartition],
        require_stable: bool,
        deadline: Deadline,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut attempts = Attempts::new(&self.cluster, &self.group, deadline);
        let what = || format!("reading the committed offsets of group {}", self.group);
        loop {
            let trying = self.try_committed(partitions, require_stable, deadline);
            let error = match deadline.bound(what, trying).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if error.code() == Some(ErrorCode::UNKNOWN_MEMBER_ID) && self.standing.is_some() {
                // It was thrown out, learns that from its next heartbeat, and joins again by itself.
                attempts.wait(error).await?;
                continue;
            }
            let topics = partitions.iter().map(|of| &of.topic);
            attempts.pause(error, topics).await?;
        }
    }

    async fn try_committed(
        &self,
        partitions: &[TopicPartition],
        require_stable: bool,
        deadline: Deadline,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let kind = CoordinatorKind::Group;
        let found = self.cluster.coordinator_by(kind, &self.group, deadline);
        let (_, connection) = found.await?;
        let metadata = self.cluster.metadata();
        let id = |of: &TopicPartition| metadata.topic(&of.topic).map(|topic| topic.id);
        let ids_known = partitions
            .iter()
            .all(|of| id(of).is_some_and(|id| !id.is_zero()));
        let highest = if ids_known { i16::MAX } else { LAST_BY_NAME };
        let version = connection.version_at_most::<OffsetFetchRequest>(highest)?;
        let mut request = self.fetch_request(partitions, require_stable, version);
        for group in &mut request.groups {
            for topic in group.topics.iter_mut().flatten() {
                let known = metadata
                    .topic(&topic.name)
                    .filter(|_| version > LAST_BY_NAME);
                topic.topic_id = known.map_or(Uuid::ZERO, |topic| topic.id);
            }
        }
        let timeout = self.cluster.config().request_timeout();
        let mut response = connection.call_at_most(&request, version, timeout).await?;
        if version > LAST_BY_NAME {
            let asked = request
                .groups
                .first()
                .and_then(|group| group.topics.as_deref());
            for topic in response
                .groups
                .iter_mut()
                .flat_map(|group| &mut group.topics)
            {
                let asked = asked.into_iter().flatten();
                let asked = asked
                    .into_iter()
                    .find(|asked| asked.topic_id == topic.topic_id);
                topic.name = asked.map(|asked| asked.name.clone()).unwrap_or_default();
            }
        }
        self.read(response, partitions, version)
    }

    fn fetch_request(
        &self,
        partitions: &[TopicPartition],
        require_stable: bool,
        version: i16,
    ) -> OffsetFetchRequest {
        let mut by_topic: HashMap<&Text, Vec<i32>> = HashMap::new();
        for TopicPartition { topic, partition } in partitions {
            by_topic.entry(topic).or_default().push(*partition);
        }
        let by_topic = by_topic
            .into_iter()
            .map(|(name, indexes)| (name.clone(), indexes));
        let group_id = Text::from(&*self.group);
        let require_stable = require_stable && version >= FIRST_STABLE;
        if version < FIRST_WITH_GROUPS {
            let topic = |(name, partition_indexes)| OffsetFetchRequestTopic {
                name,
                partition_indexes,
            };
            let topics = Some(by_topic.map(topic).collect());
            return OffsetFetchRequest {
                group_id,
                topics,
                require_stable,
                ..OffsetFetchRequest::default()
            };
        }
        let topic = |(name, partition_indexes)| OffsetFetchRequestTopics {
            name,
            partition_indexes,
            ..OffsetFetchRequestTopics::default()
        };
        let topics = Some(by_topic.map(topic).collect());
        let identity = self.identity.borrow().clone();
        let member =
            identity.filter(|of| version >= FIRST_WITH_EPOCH && of.is_modern && of.generation >= 0);
        let group = OffsetFetchRequestGroup {
            group_id,
            member_epoch: member.as_ref().map_or(-1, |of| of.generation),
            member_id: member.map(|of| of.member_id),
            topics,
        };
        OffsetFetchRequest {
            groups: vec![group],
            require_stable,
            ..OffsetFetchRequest::default()
        }
    }

    fn read(
        &self,
        response: OffsetFetchResponse,
        partitions: &[TopicPartition],
        version: i16,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let what = || format!("reading the committed offsets of group {}", self.group);
        let mut found: HashMap<(&str, i32), (ErrorCode, CommittedOffset)> = HashMap::new();
        let code = if version < FIRST_WITH_GROUPS {
            for topic in &response.topics {
                for p in &topic.partitions {
                    let offset = committed(
                        p.committed_offset,
                        p.committed_leader_epoch,
                        p.metadata.as_ref(),
                    );
                    found.insert((&topic.name, p.partition_index), (p.error_code, offset));
                }
            }
            response.error_code
        } else {
            let Some(group) = response
                .groups
                .iter()
                .find(|group| group.group_id == *self.group)
            else {
                return Err(Error::broker(
                    what(),
                    ErrorCode::UNKNOWN_SERVER_ERROR,
                    Some("the answer is about another group"),
                ));
            };
            for topic in &group.topics {
                for p in &topic.partitions {
                    let offset = committed(
                        p.committed_offset,
                        p.committed_leader_epoch,
                        p.metadata.as_ref(),
                    );
                    found.insert((&topic.name, p.partition_index), (p.error_code, offset));
                }
            }
            group.error_code
        };
        if code != ErrorCode::NONE {
            return Err(Error::broker(what(), code, None));
        }
        let of = |wanted: &TopicPartition| match found.get(&(&*wanted.topic, wanted.partition)) {
            Some((ErrorCode::NONE, offset)) => Ok((offset.offset >= 0).then(|| offset.clone())),
            Some((code, _)) => Err(Error::broker(
                format!("{} for {wanted}", what()),
                *code,
                None,
            )),
            None => Err(Error::broker(
                what(),
                ErrorCode::UNKNOWN_SERVER_ERROR,
                Some("a partition is missing in the answer"),
            )),
        };
        partitions.iter().map(of).collect()
    }
}

fn committed(offset: i64, leader_epoch: i32, metadata: Option<&Text>) -> CommittedOffset {
    CommittedOffset {
        offset,
        leader_epoch,
        metadata: metadata.map(Text::detach).unwrap_or_default(),
    }
}

/// Tries again what may pass, until `default.api.timeout.ms` is over.
struct Attempts<'a> {
    cluster: &'a Cluster,
    group: &'a str,
    deadline: Deadline,
    failures: u32,
}

impl<'a> Attempts<'a> {
    const fn new(cluster: &'a Cluster, group: &'a str, deadline: Deadline) -> Self {
        Self {
            cluster,
            group,
            deadline,
            failures: 0,
        }
    }

    /// Waits before the next try, if there is to be one. `topics` are those of the request.
    async fn pause<'t>(
        &mut self,
        error: Error,
        topics: impl Iterator<Item = &'t Text>,
    ) -> Result<()> {
        match error.code() {
            None if error.is_retriable() => self.cluster.forget_coordinator(self.group),
            Some(
                ErrorCode::NOT_COORDINATOR
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::REQUEST_TIMED_OUT,
            ) => {
                self.cluster.forget_coordinator(self.group);
            }
            Some(ErrorCode::UNKNOWN_TOPIC_ID) => {
                // Of these topics: nobody else may be interested in them.
                let looking = tokio::time::timeout_at(
                    self.deadline.at(),
                    self.cluster.look_at(topics, false),
                );
                // What fails here shows at the next try.
                drop(looking.await);
            }
            // The member's epoch has moved on, or is about to be learnt.
            Some(ErrorCode::STALE_MEMBER_EPOCH) => {}
            _ if error.is_retriable() => {}
            _ => return Err(error),
        }
        self.wait(error).await
    }

    async fn wait(&mut self, error: Error) -> Result<()> {
        self.failures += 1;
        self.cluster
            .pause(self.failures, self.deadline.at(), || error)
            .await
    }
}

fn is_unknown(code: Option<ErrorCode>) -> bool {
    matches!(
        code,
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID)
    )
}

/// Sends commits.
pub(super) struct Committing {
    cluster: Cluster,
    group: Arc<str>,
    identity: watch::Receiver<Option<Identity>>,
    refusals: Option<mpsc::UnboundedSender<Refusal>>,
}

impl Committing {
    /// Commits, with all retries.
    pub(super) async fn commit(&self, commit: Commit) -> Result<()> {
        let metrics = self.cluster.counters().groups.entry(&self.group);
        let started = commit.started;
        let result = self.try_commit(commit).await;
        match &result {
            Ok(()) => {
                metrics.commits.add(1);
                metrics.commit_us.record_time(started.elapsed());
            }
            Err(error) => {
                metrics.commits_failed.add(1);
                tracing::debug!(group = %self.group, %error, "a commit failed");
            }
        }
        result
    }

    async fn try_commit(&self, commit: Commit) -> Result<()> {
        let Commit {
            mut request,
            standing,
            deadline,
            ..
        } = commit;
        let standing = standing.as_ref();
        let mut attempts = Attempts::new(&self.cluster, &self.group, deadline);
        let what = || format!("committing offsets for group {}", self.group);
        let mut gone = Ok(());
        loop {
            if gone.is_err() && request.topics.is_empty() {
                return gone;
            }
            let trying = self.try_once(&mut request, deadline);
            let Err(error) = deadline.bound(what, trying).await else {
                return gone;
            };
            let (code, generation) = (error.code(), request.generation_id_or_member_epoch);
            // The coordinator may not have heard yet of a topic that was just made: so not at the first time.
            if is_unknown(code)
                && attempts.failures > 0
                && let Ok(Some((topic, error))) =
                    tokio::time::timeout_at(deadline.at(), self.missing(&request)).await
            {
                // What is committed of the others is not to wait for it.
                request.topics.retain(|of| of.name != topic);
                gone = Err(error);
                continue;
            }
            let stale = code == Some(ErrorCode::STALE_MEMBER_EPOCH);
            if stale {
                self.refused(code, generation);
            }
            // The member has joined again meanwhile, and kept the partitions.
            if code == Some(ErrorCode::ILLEGAL_GENERATION)
                && self.restamp(&mut request, standing).is_ok()
                && request.generation_id_or_member_epoch > generation
            {
                continue;
            }
            let topics = request.topics.iter().map(|topic| &topic.name);
            if let Err(error) = attempts.pause(error, topics).await {
                self.refused(code, generation);
                return Err(error);
            }
            if stale {
                self.restamp(&mut request, standing)?;
            }
        }
    }

    /// Says what is to be committed of a topic or partition that is not there, if the brokers agree.
    async fn missing(&self, request: &OffsetCommitRequest) -> Option<(Text, Error)> {
        let names = request.topics.iter().map(|topic| &topic.name);
        let metadata = self.cluster.look_at(names, false).await.ok()?;
        let missing = |topic: &&OffsetCommitRequestTopic| match metadata.topic(&topic.name) {
            Some(known) => {
                let count = known.partitions.len() as i64;
                let mut asked = topic.partitions.iter();
                asked.any(|asked| i64::from(asked.partition_index) >= count)
            }
            None => is_unknown(metadata.topic_error(&topic.name)),
        };
        let topic = request.topics.iter().find(missing)?;
        let what = format!(
            "committing offsets of {} for group {}",
            topic.name, self.group
        );
        let hint = "the topic, or a partition of it, does not exist or was deleted; the offsets of others in the same commit are committed";
        let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let error = Error::broker(what, code, Some(hint));
        Some((topic.name.clone(), error))
    }

    /// Membership is told of what concerns it.
    fn refused(&self, code: Option<ErrorCode>, generation: i32) {
        if let (Some(refusals), Some(code)) = (&self.refusals, code) {
            // Who is told may be gone already.
            let _ = refusals.send((code, generation));
        }
    }

    /// A commit whose generation or epoch was not the member's any more goes out again with the present one, if all of its partitions have been
    /// the member's ever since: else it could overwrite what their owner in between committed.
    fn restamp(
        &self,
        request: &mut OffsetCommitRequest,
        standing: Option<&Identity>,
    ) -> Result<()> {
        let identity = self.identity.borrow();
        let present = identity.as_ref().filter(|present| {
            let partitions = request.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|of| TopicPartition::new(topic.name.clone(), of.partition_index))
            });
            standing.is_some_and(|standing| present.continues(standing, partitions))
        });
        let Some(present) = present else {
            let what = format!("committing offsets for group {}", self.group);
            let code = ErrorCode::STALE_MEMBER_EPOCH;
            return Err(Error::broker(what, code, Some(MOVED_ON)));
        };
        request.generation_id_or_member_epoch = present.generation;
        Ok(())
    }

    async fn try_once(&self, request: &mut OffsetCommitRequest, deadline: Deadline) -> Result<()> {
        let kind = CoordinatorKind::Group;
        let found = self.cluster.coordinator_by(kind, &self.group, deadline);
        let (_, connection) = found.await?;
        let metadata = self.cluster.metadata();
        for topic in &mut request.topics {
            let known = metadata.topic(&topic.name);
            topic.topic_id = known.map_or(Uuid::ZERO, |topic| topic.id);
        }
        let ids_known = request.topics.iter().all(|topic| !topic.topic_id.is_zero());
        let highest = if ids_known { i16::MAX } else { LAST_BY_NAME };
        let timeout = self.cluster.config().request_timeout();
        let response: OffsetCommitResponse =
            connection.call_at_most(&*request, highest, timeout).await?;
        committed_all(&self.group, request, &response)
    }
}

/// Whether everything that was to be committed is.
fn committed_all(
    group: &str,
    request: &OffsetCommitRequest,
    response: &OffsetCommitResponse,
) -> Result<()> {
    let failed = response.topics.iter().find_map(|topic| {
        let mut partitions = topic.partitions.iter();
        Some((topic, partitions.find(|p| p.error_code != ErrorCode::NONE)?))
    });
    let Some((topic, partition)) = failed else {
        let answered: usize = response.topics.iter().map(|of| of.partitions.len()).sum();
        let asked: usize = request.topics.iter().map(|of| of.partitions.len()).sum();
        if answered < asked {
            let what = format!("committing offsets for group {}", group);
            let code = ErrorCode::UNKNOWN_SERVER_ERROR;
            let hint = Some("a partition is missing in the answer");
            return Err(Error::broker(what, code, hint));
        }
        return Ok(());
    };
    let by_id = |asked: &&OffsetCommitRequestTopic| {
        topic.name.is_empty() && asked.topic_id == topic.topic_id
    };
    let asked = request.topics.iter().find(by_id);
    let hint = match partition.error_code {
        ErrorCode::ILLEGAL_GENERATION | ErrorCode::UNKNOWN_MEMBER_ID => Some(
            "the group has rebalanced and given the partitions to others; the records since the last commit will be read again. If this \
             happens often, poll more often or raise `max.poll.interval.ms`",
        ),
        _ => None,
    };
    let what = format!(
        "committing offset of {}-{} for group {}",
        asked.map_or(&topic.name, |asked| &asked.name),
        partition.partition_index,
        group
    );
    Err(Error::broker(what, partition.error_code, hint))
}

#[cfg(test)]
#[path = "offsets_tests.rs"]
mod tests;
