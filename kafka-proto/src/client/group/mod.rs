//! Consumer groups: membership by the classic protocol and by the newer one (KIP-848), assignors, committed offsets.
//!
//! [`Membership`] is one per process; what reads the partitions it is given ([`Fetcher`](super::Fetcher)) is apart from it, so that several
//! threads may read for one member.

mod assignor;
mod commits;
mod modern;
mod notes;
mod offsets;
pub(super) mod protocol;
mod state;
mod subscribed;
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
        Backoff, Cluster, Config, GroupProtocol, Jitter,
        deadline::Deadline,
        error::{ConfigError, Error, Result},
    },
    wire::{Text, Uuid},
};

use state::{Delays, Identity, Member, Settings};

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
    /// Who divides partitions: the members, or the coordinator (KIP-848). Where the coordinator does not speak the newer protocol
    /// the classic one is used, with `assignors`.
    pub protocol: GroupProtocol,
    /// Under [`GroupProtocol::Consumer`] the coordinator's assignor, `uniform` or `range`; `None` leaves it to the coordinator.
    pub remote_assignor: Option<String>,
    /// Under [`GroupProtocol::Consumer`] a pattern in RE2's syntax, beside `topics`: the coordinator matches it with whole names of topics,
    /// also with those that are made later.
    pub pattern: Option<String>,
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
            protocol: GroupProtocol::Classic,
            remote_assignor: None,
            pattern: None,
        }
    }

    /// A member as the settings say: `group.id`, `group.protocol`, `group.remote.assignor`, `partition.assignment.strategy` and
    /// `max.poll.interval.ms`.
    ///
    /// # Errors
    /// [`ConfigError`] without a `group.id`, or when `partition.assignment.strategy` names an assignor that is not one of Kafka's.
    pub fn configured(config: &Config, topics: &[&str]) -> Result<Self, ConfigError> {
        let group = config.group_id.as_deref();
        let group = group.ok_or(ConfigError::Missing("group.id"))?;
        let assignor = |name: &String| {
            assignor_named(name).ok_or_else(|| ConfigError::Invalid {
                name: "partition.assignment.strategy",
                value: name.clone(),
                expected: "`range`, `roundrobin`, `sticky`, `cooperative-sticky`, or the names of their Java classes".to_owned(),
            })
        };
        let names = &config.partition_assignment_strategy;
        Ok(Self {
            assignors: names.iter().map(assignor).collect::<Result<_, _>>()?,
            poll_interval_max: Some(Duration::from_millis(config.max_poll_interval_ms)),
            protocol: config.group_protocol,
            remote_assignor: config.group_remote_assignor.clone(),
            ..Self::new(group, topics)
        })
    }
}

/// Whether a member that goes leaves its group (KIP-1092).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupMembershipOperation {
    /// Dynamic members leave; static ones (`group.instance.id`) stay until their session ends, so that they may return.
    #[default]
    Default,
    /// Leaves, also as a static member: its partitions go to others at once.
    Leave,
    /// Stays until the session ends: a member that comes back soon under the same id spares the group two rebalances.
    Remain,
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
            .field("protocol", &self.protocol)
            .field("remote_assignor", &self.remote_assignor)
            .field("pattern", &self.pattern)
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
    Subscribe(Vec<Text>, Option<Text>),
    /// Polled again after the interval had passed.
    Polled,
    /// An error was taken up.
    Resume,
    Leave(GroupMembershipOperation, oneshot::Sender<()>),
}

/// An event on its way to the application, with who the member is by it.
struct Happened {
    event: Result<GroupEvent>,
    identity: Option<Identity>,
}

impl Happened {
    const fn of(event: Result<GroupEvent>) -> Self {
        Self {
            event,
            identity: None,
        }
    }
}

/// A member of a group. Heartbeats, joining and leaving are a task's business, on the coordinator's own connection.
///
/// Dropping it leaves the group, without waiting for the answer; [`Membership::leave`] waits.
#[derive(Debug)]
pub struct Membership {
    group: Arc<str>,
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<Happened>,
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
    fn note(&self, now: Instant) {
        let since = now.saturating_duration_since(self.start);
        self.last.store(since.as_millis() as u64, Ordering::Release);
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
        if options.protocol == GroupProtocol::Classic && options.pattern.is_some() {
            return Err(Error::usage(
                "a pattern is matched by the coordinator with `group.protocol=consumer` only; subscribe to names",
            ));
        }
        let config = cluster.config();
        let ignored = config.without_effect();
        if !ignored.is_empty() {
            tracing::warn!(
                group = options.group,
                ignored = ignored.join(", "),
                "with this `group.protocol` these settings have no effect (the coordinator's settings of the group take their place), unless its \
                 brokers lack the protocol"
            );
        }
        let instance_id = config.group_instance_id.as_deref().map(Text::from);
        let rebalance_timeout = Duration::from_millis(config.max_poll_interval_ms);
        let delays = Delays {
            backoff: Backoff::new(
                Duration::from_millis(config.retry_backoff_ms.max(1)),
                Duration::from_millis(config.retry_backoff_max_ms.max(1)),
            ),
            spread: Jitter::default().fraction(),
        };
        let settings = Settings {
            group_id: Text::from(&options.group),
            instance_id: instance_id.clone(),
            session_timeout: Duration::from_millis(config.session_timeout_ms),
            rebalance_timeout,
            heartbeat_interval: Duration::from_millis(config.heartbeat_interval_ms),
            delays,
            cooperative: options.assignors.iter().all(|of| of.is_cooperative()),
        };
        let (commands, mut received) = mpsc::unbounded_channel();
        let (told, events) = mpsc::unbounded_channel();
        let (refusals, mut refused) = mpsc::unbounded_channel();
        let (identities, identity) = watch::channel(None);
        let polls = Arc::new(Polls {
            start: Instant::now(),
            last: AtomicU64::new(0),
            lapsed: AtomicU64::new(0),
        });
        let group: Arc<str> = options.group.as_str().into();
        let modern = (options.protocol == GroupProtocol::Consumer).then(|| {
            let settings = modern::Settings {
                group_id: Text::from(&options.group),
                instance_id: instance_id.clone(),
                rack: Some(Text::from(&config.client_rack)).filter(|rack| !rack.is_empty()),
                assignor: options.remote_assignor.as_deref().map(Text::from),
                rebalance_timeout,
                delays,
            };
            let subscription = modern::Subscription {
                topics: options.topics.iter().map(Text::from).collect(),
                pattern: options.pattern.as_deref().map(Text::from),
            };
            let member_id = options.member_id.as_deref().map(Text::from);
            modern::Task::new(
                cluster,
                &group,
                settings,
                member_id.unwrap_or_else(new_member_id),
                subscription,
                &polls,
                options.poll_interval_max,
            )
        });
        let member = Member::new(settings, options.member_id.as_deref().map(Text::from));
        let classic = task::Task::new(
            cluster.clone(),
            Arc::clone(&group),
            member,
            options,
            identities.clone(),
            Arc::clone(&polls),
        );
        let name = Arc::clone(&group);
        tokio::spawn(async move {
            if let Some(modern) = modern {
                let ended = modern.run(&identities, &mut received, &told, &mut refused);
                if ended.await == modern::Ended::Over {
                    return;
                }
                tracing::warn!(group = %name, "the coordinator does not speak the protocol of `group.protocol=consumer`; joining by the classic one");
            }
            classic.run(&mut received, &told, &mut refused).await;
        });
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
    /// Commits carry the membership of the last event that was taken here: an assignment that waits to be taken does not count yet, and
    /// partitions that were lost meanwhile cannot be committed.
    ///
    /// # Errors
    /// When a request of the member was refused or its answer cannot be read: not authorized, settings that do not fit the group's, another
    /// member's subscription. As in Java the membership goes on: whoever goes on asking for events has the member try again, after
    /// `retry.backoff.ms` and longer each time. Only `FENCED_INSTANCE_ID` ends it: another member with the same `group.instance.id` took its
    /// place; afterwards [`Error::Closed`].
    pub async fn next_event(&mut self) -> Result<GroupEvent> {
        let happened = self.events.recv().await;
        self.taken(happened)
    }

    /// The application knows of it from here on.
    fn taken(&self, happened: Option<Happened>) -> Result<GroupEvent> {
        let Some(Happened { event, identity }) = happened else {
            return Err(self.closed());
        };
        match &event {
            Ok(GroupEvent::Assigned(_)) => self.offsets.stands(identity),
            Ok(GroupEvent::Lost(_)) => self.offsets.stands(None),
            // Until it is given up, it may be committed.
            Ok(GroupEvent::Revoked(_)) => {}
            Err(_) => drop(self.commands.send(Command::Resume)),
        }
        event
    }

    /// Whether an event waits to be taken.
    pub(super) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// As [`Membership::next_event`], for those who write their own futures.
    ///
    /// # Errors
    /// As there.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<GroupEvent>> {
        let happened = ready!(self.events.poll_recv(cx));
        Poll::Ready(self.taken(happened))
    }

    /// The next event if there is one already.
    ///
    /// # Errors
    /// As [`Membership::next_event`].
    pub fn try_next_event(&mut self) -> Result<Option<GroupEvent>> {
        match self.events.try_recv() {
            Ok(happened) => self.taken(Some(happened)).map(Some),
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
        drop(self.commands.send(Command::Subscribe(topics, None)));
    }

    /// Subscribes to the topics whose whole names match a pattern in RE2's syntax, which the coordinator does
    /// ([`GroupProtocol::Consumer`] only; under the classic protocol it changes nothing).
    pub fn subscribe_pattern(&self, pattern: &str) {
        let pattern = Some(Text::from(pattern));
        drop(self.commands.send(Command::Subscribe(Vec::new(), pattern)));
    }

    /// Says that the application is alive ([`GroupOptions::poll_interval_max`]); after it had been silent for too long, joins again.
    pub fn polled(&self) {
        self.polled_at(Instant::now());
    }

    pub(super) fn polled_at(&self, now: Instant) {
        self.polls.note(now);
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
        self.leave_with(GroupMembershipOperation::Default).await;
    }

    /// As [`Membership::leave`], and says whether the group is left (KIP-1092).
    pub async fn leave_with(self, how: GroupMembershipOperation) {
        let settled = self.offsets.settled();
        settled.await;
        self.left(how).await;
    }

    /// As [`Membership::leave_with`], and waits no longer than that; the member leaves all the same.
    pub(super) async fn leave_by(self, how: GroupMembershipOperation, deadline: Deadline) {
        drop(tokio::time::timeout_at(deadline.at(), self.offsets.settled()).await);
        drop(tokio::time::timeout_at(deadline.at(), self.left(how)).await);
    }

    async fn left(&self, how: GroupMembershipOperation) {
        let (done, left) = oneshot::channel();
        drop(self.commands.send(Command::Leave(how, done)));
        // An ended task has left already.
        drop(left.await);
    }
}

/// A member of the newer protocol makes its id itself (KIP-848): a random UUID of version 4.
fn new_member_id() -> Text {
    let (mut high, mut low) = (Jitter::default(), Jitter::default());
    let bits = (u128::from(high.bits()) << 64) | u128::from(low.bits());
    let bits = bits & !(0xf000 << 64) & !(0xc << 60) | (0x4000 << 64) | (0x8 << 60);
    Text::from(Uuid(bits.to_be_bytes()).to_string())
}
