//! Consumer groups: membership by the classic protocol, assignors, committed offsets.
//!
//! [`Membership`] is one per process; what reads the partitions it is given ([`Fetcher`](super::Fetcher)) is apart from it, so that several
//! threads may read for one member.

mod assignor;
mod offsets;
pub(super) mod protocol;
mod state;
mod task;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

pub use assignor::{
    Assignor, CooperativeStickyAssignor, GroupMember, LastAssignment, MemberAssignment,
    RangeAssignor, RoundRobinAssignor, StickyAssignor, TopicLayout, assignor_named,
};
pub use offsets::{CommittedOffset, GroupOffsets, OffsetToCommit};

use crate::{
    client::{
        Cluster,
        error::{ConfigError, Error, Result},
    },
    wire::Text,
};

use state::{Identity, Member, Settings};

/// A partition of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Text,
    /// The partition, counted from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// A partition of a topic.
    pub fn new(topic: impl Into<Text>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// How to be a member; the timeouts and `group.instance.id` come from the cluster's settings.
pub struct GroupOptions {
    /// The group's name.
    pub group: String,
    /// The topics to get partitions of.
    pub topics: Vec<String>,
    /// How partitions may be divided, the preferred way first. All members need one in common.
    pub assignors: Vec<Arc<dyn Assignor>>,
    /// The member id of an earlier life of this process, if it was kept: a process that was killed comes back as the same member,
    /// instead of waiting until its former self is taken for dead.
    pub member_id: Option<String>,
    /// How seldom [`Membership::polled`] may be called before the member leaves; `None`: it never leaves by itself.
    pub poll_interval_max: Option<Duration>,
}

impl GroupOptions {
    /// A member that uses Kafka's range assignor and need not poll.
    pub fn new(group: &str, topics: &[&str]) -> Self {
        Self {
            group: group.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            assignors: vec![Arc::new(RangeAssignor)],
            member_id: None,
            poll_interval_max: None,
        }
    }
}

impl fmt::Debug for GroupOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let assignors: Vec<&str> = self
            .assignors
            .iter()
            .map(|assignor| assignor.name())
            .collect();
        f.debug_struct("GroupOptions")
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("assignors", &assignors)
            .field("member_id", &self.member_id)
            .field("poll_interval_max", &self.poll_interval_max)
            .finish()
    }
}

/// What happens to a member.
#[derive(Debug)]
pub enum GroupEvent {
    /// These are its partitions from now on. What it had before and has no more was revoked or lost before.
    Assigned(Assignment),
    /// Give these partitions up: all under the eager protocol, under the cooperative one and KIP-848 those that others get. The member
    /// stays in the group, and commits are accepted, until [`Revocation::done`] is called or the revocation is dropped.
    Revoked(Revocation),
    /// These partitions, all that it had, are another member's already: stop, and do not commit. What was being revoked is
    /// among them.
    Lost(Loss),
}

/// Partitions given to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assignment {
    /// Which round of the group this is: the generation, under KIP-848 the member's epoch.
    pub generation: i32,
    /// The member's id, to be kept for [`GroupOptions::member_id`].
    pub member_id: Text,
    /// All partitions that the member has now, possibly none.
    pub partitions: Vec<TopicPartition>,
    /// Those among them that it did not have before: all under the eager protocol.
    pub added: Vec<TopicPartition>,
    /// What the leader's assignor said to this member.
    pub userdata: Option<Bytes>,
}

/// Partitions to give up.
#[derive(Debug)]
pub struct Revocation {
    partitions: Vec<TopicPartition>,
    /// Dropped means done.
    _done: oneshot::Sender<()>,
}

impl Revocation {
    /// The partitions.
    pub fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }

    /// They are given up, what was to be committed is committed. Dropping does the same.
    pub fn done(self) {}
}

/// Partitions that were lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loss {
    /// The partitions.
    pub partitions: Vec<TopicPartition>,
    /// Why, for a person.
    pub reason: Arc<str>,
}

/// What the handle asks of the task.
enum Command {
    Subscribe(Vec<Text>),
    /// Polled again after the interval had passed.
    Polled,
    Leave(oneshot::Sender<()>),
}

/// A member of a group. Heartbeats, joining and leaving are a task's business, on the coordinator's own connection.
///
/// Dropping it leaves the group, without waiting for the answer; [`Membership::leave`] waits.
#[derive(Debug)]
pub struct Membership {
    group: Arc<str>,
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<Result<GroupEvent>>,
    identity: watch::Receiver<Option<Identity>>,
    offsets: GroupOffsets,
    polls: Arc<Polls>,
}

/// When the application polled last.
#[derive(Debug)]
struct Polls {
    start: Instant,
    /// Milliseconds since `start`.
    last: AtomicU64,
    /// 1 once the interval has passed and the member left.
    lapsed: AtomicU64,
}

impl Polls {
    fn note(&self) {
        self.last
            .store(self.start.elapsed().as_millis() as u64, Ordering::Release);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Acquire))
    }
}

impl Membership {
    /// Begins to join a group; the first event says what came of it.
    ///
    /// Must be called inside a tokio runtime: the member's task runs on it, and needs it to run at least every
    /// `heartbeat.interval.ms`.
    ///
    /// # Errors
    /// [`Error::Config`] if the group has no name or there is no assignor.
    pub fn join(cluster: &Cluster, options: GroupOptions) -> Result<Self> {
        if options.group.is_empty() {
            return Err(ConfigError::Missing("group.id").into());
        }
        if options.assignors.is_empty() {
            return Err(Error::usage("a group needs at least one assignor"));
        }
        let config = cluster.config();
        let instance_id = config.group_instance_id.as_deref().map(Text::from);
        let settings = Settings {
            group_id: Text::from(&options.group),
            instance_id: instance_id.clone(),
            session_timeout: Duration::from_millis(config.session_timeout_ms),
            rebalance_timeout: Duration::from_millis(config.max_poll_interval_ms),
            heartbeat_interval: Duration::from_millis(config.heartbeat_interval_ms),
            retry_backoff: Duration::from_millis(config.retry_backoff_ms.max(1)),
            cooperative: options.assignors.iter().all(|of| of.is_cooperative()),
        };
        let (commands, received) = mpsc::unbounded_channel();
        let (told, events) = mpsc::unbounded_channel();
        let (refusals, refused) = mpsc::unbounded_channel();
        let (identities, identity) = watch::channel(None);
        let polls = Arc::new(Polls {
            start: Instant::now(),
            last: AtomicU64::new(0),
            lapsed: AtomicU64::new(0),
        });
        let group: Arc<str> = options.group.as_str().into();
        let member = Member::new(settings, options.member_id.as_deref().map(Text::from));
        let task = task::Task::new(
            cluster.clone(),
            Arc::clone(&group),
            member,
            options,
            identities,
            Arc::clone(&polls),
        );
        tokio::spawn(task.run(received, told, refused));
        let offsets =
            GroupOffsets::of_member(cluster, &group, instance_id, identity.clone(), refusals);
        Ok(Self {
            group,
            commands,
            events,
            identity,
            offsets,
            polls,
        })
    }

    /// The group's name.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Waits for the next event. Safe to drop: no event is lost.
    ///
    /// # Errors
    /// When the membership has ended for good: refused by the coordinator (fenced by another member with the same `group.instance.id`, not
    /// authorized, settings that do not fit the group's), with the reason; afterwards [`Error::Closed`].
    pub async fn next_event(&mut self) -> Result<GroupEvent> {
        self.events
            .recv()
            .await
            .unwrap_or_else(|| Err(self.closed()))
    }

    /// As [`Membership::next_event`], for those who write their own futures.
    ///
    /// # Errors
    /// As there.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<GroupEvent>> {
        let event = ready!(self.events.poll_recv(cx));
        Poll::Ready(event.unwrap_or_else(|| Err(self.closed())))
    }

    /// The next event if there is one already.
    ///
    /// # Errors
    /// As [`Membership::next_event`].
    pub fn try_next_event(&mut self) -> Result<Option<GroupEvent>> {
        match self.events.try_recv() {
            Ok(event) => event.map(Some),
            Err(mpsc::error::TryRecvError::Empty) => Ok(None),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(self.closed()),
        }
    }

    fn closed(&self) -> Error {
        Error::Closed {
            what: "group membership",
        }
    }

    /// Subscribes to other topics; the group rebalances.
    pub fn subscribe(&self, topics: &[&str]) {
        let topics = topics.iter().map(|topic| Text::from(*topic)).collect();
        drop(self.commands.send(Command::Subscribe(topics)));
    }

    /// Says that the application is alive ([`GroupOptions::poll_interval_max`]); after it had been silent for too long, joins again.
    pub fn polled(&self) {
        self.polls.note();
        if self.polls.lapsed.swap(0, Ordering::AcqRel) == 1 {
            drop(self.commands.send(Command::Polled));
        }
    }

    /// The member's id, once the coordinator has given one; to be kept for [`GroupOptions::member_id`].
    pub fn member_id(&self) -> Option<Text> {
        self.identity
            .borrow()
            .as_ref()
            .map(|identity| identity.member_id.clone())
            .filter(|id| !id.is_empty())
    }

    /// The generation of the present membership, if there is one.
    pub fn generation(&self) -> Option<i32> {
        self.identity
            .borrow()
            .as_ref()
            .map(|identity| identity.generation)
            .filter(|generation| *generation >= 0)
    }

    /// The group's committed offsets, as this member commits and reads them.
    pub const fn offsets(&self) -> &GroupOffsets {
        &self.offsets
    }

    /// Leaves the group, behind the commits that were started before, and waits for the coordinator's answer. A static member stays a
    /// member until its session ends (KIP-345), so that it may return.
    ///
    /// Safe to drop: the member leaves all the same.
    pub async fn leave(self) {
        self.offsets.settled().await;
        let (done, left) = oneshot::channel();
        drop(self.commands.send(Command::Leave(done)));
        // An ended task has left already.
        drop(left.await);
    }
}
