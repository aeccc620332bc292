//! A group's committed offsets: commits in their order, and what is committed.
//!
//! Commits go through one task, one at a time with all retries, so that an older one never lands after a newer one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    client::{
        Cluster,
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
    wire::Text,
};

use super::{TopicPartition, state::Identity};

/// The last versions that name topics by name: they need no ids, and tell the same.
const LAST_BY_NAME: i16 = 9;
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
    /// Commits are a member's: none while there is no membership.
    is_member: bool,
    jobs: mpsc::UnboundedSender<Job>,
}

struct Job {
    /// `None` waits for all that were queued before.
    request: Option<OffsetCommitRequest>,
    done: oneshot::Sender<Result<()>>,
}

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
        let (jobs, queue) = mpsc::unbounded_channel();
        let group: Arc<str> = group.into();
        let is_member = refusals.is_some();
        tokio::spawn(commit_in_order(
            cluster.clone(),
            Arc::clone(&group),
            queue,
            refusals,
        ));
        Self {
            cluster: cluster.clone(),
            group,
            identity,
            instance_id,
            is_member,
            jobs,
        }
    }

    /// Commits offsets, behind all commits that were started before, and waits until the group has them.
    ///
    /// The commit is started when this is called, and carries the membership of that moment. Safe to drop: the commit goes on.
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
        let identity = self.identity.borrow().clone();
        if offsets.is_empty() {
            let _ = done.send(Ok(()));
        } else if self.is_member
            && identity
                .as_ref()
                .is_none_or(|identity| identity.generation < 0)
        {
            // Sent without a generation it would count as a commit from outside, which an empty group accepts.
            let what = format!("committing offsets for group {}", self.group);
            let hint = Some("this consumer is not a member of the group at present");
            let _ = done.send(Err(Error::broker(what, ErrorCode::UNKNOWN_MEMBER_ID, hint)));
        } else {
            // With the task gone the sender is dropped, which the answer tells.
            drop(self.jobs.send(Job {
                request: Some(self.request(offsets, identity)),
                done,
            }));
        }
        async move {
            answer.await.unwrap_or(Err(Error::Closed {
                what: "group's commit task",
            }))
        }
    }

    /// Waits until all commits that were started before have ended. Safe to drop.
    pub async fn settled(&self) {
        let (done, answer) = oneshot::channel();
        drop(self.jobs.send(Job {
            request: None,
            done,
        }));
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

    /// What is committed for these partitions, in their order; `None` where nothing is. With `require_stable`, offsets of transactions
    /// that are not decided yet are waited for (KIP-447).
    ///
    /// Safe to drop.
    ///
    /// # Errors
    /// [`Error::Broker`], and after `default.api.timeout.ms` what stood in the way. An error is never read as "nothing is committed".
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
        require_stable: bool,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut attempts = Attempts::new(&self.cluster, &self.group);
        loop {
            let error = match self.try_committed(partitions, require_stable).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            attempts.pause(error).await?;
        }
    }

    async fn try_committed(
        &self,
        partitions: &[TopicPartition],
        require_stable: bool,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let (_, connection) = self.cluster.coordinator(&self.group).await?;
        let version = connection.version_at_most::<OffsetFetchRequest>(LAST_BY_NAME)?;
        let request = self.fetch_request(partitions, require_stable, version);
        let timeout = self.cluster.config().request_timeout();
        let response = connection.call_at_most(&request, version, timeout).await?;
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
        let group = OffsetFetchRequestGroup {
            group_id,
            topics,
            ..OffsetFetchRequestGroup::default()
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
    deadline: Instant,
    failures: u32,
}

impl<'a> Attempts<'a> {
    fn new(cluster: &'a Cluster, group: &'a str) -> Self {
        let timeout = Duration::from_millis(cluster.config().default_api_timeout_ms);
        Self {
            cluster,
            group,
            deadline: Instant::now() + timeout,
            failures: 0,
        }
    }

    async fn pause(&mut self, error: Error) -> Result<()> {
        match error.code() {
            None if error.is_retriable() => self.cluster.forget_coordinator(self.group),
            Some(
                ErrorCode::NOT_COORDINATOR
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::REQUEST_TIMED_OUT,
            ) => {
                self.cluster.forget_coordinator(self.group);
            }
            _ if error.is_retriable() => {}
            _ => return Err(error),
        }
        self.failures += 1;
        self.cluster
            .pause(self.failures, self.deadline, || error)
            .await
    }
}

/// The task that commits, until the last handle is gone and the queue is empty.
async fn commit_in_order(
    cluster: Cluster,
    group: Arc<str>,
    mut queue: mpsc::UnboundedReceiver<Job>,
    refusals: Option<mpsc::UnboundedSender<Refusal>>,
) {
    while let Some(Job { request, done }) = queue.recv().await {
        let Some(request) = request else {
            let _ = done.send(Ok(()));
            continue;
        };
        let mut attempts = Attempts::new(&cluster, &group);
        let result = loop {
            let Err(error) = try_commit(&cluster, &group, &request).await else {
                break Ok(());
            };
            if let Err(error) = attempts.pause(error).await {
                break Err(error);
            }
        };
        if let (Some(refusals), Some(code)) =
            (&refusals, result.as_ref().err().and_then(Error::code))
        {
            // Who is told may be gone already.
            let _ = refusals.send((code, request.generation_id_or_member_epoch));
        }
        if let Err(error) = &result {
            tracing::debug!(%group, %error, "a commit failed");
        }
        // Who started it may not want to know.
        let _ = done.send(result);
    }
}

async fn try_commit(cluster: &Cluster, group: &str, request: &OffsetCommitRequest) -> Result<()> {
    let (_, connection) = cluster.coordinator(group).await?;
    let timeout = cluster.config().request_timeout();
    let response: OffsetCommitResponse = connection
        .call_at_most(request, LAST_BY_NAME, timeout)
        .await?;
    let failed = response.topics.iter().find_map(|topic| {
        let partition = topic
            .partitions
            .iter()
            .find(|p| p.error_code != ErrorCode::NONE)?;
        Some((topic, partition))
    });
    let Some((topic, partition)) = failed else {
        return Ok(());
    };
    let hint = match partition.error_code {
        ErrorCode::ILLEGAL_GENERATION | ErrorCode::UNKNOWN_MEMBER_ID => Some(
            "the group has rebalanced and given the partitions to others; the records since the last commit will be read again. If this \
             happens often, poll more often or raise `max.poll.interval.ms`",
        ),
        _ => None,
    };
    let what = format!(
        "committing offset of {}-{} for group {group}",
        topic.name, partition.partition_index
    );
    Err(Error::broker(what, partition.error_code, hint))
}
