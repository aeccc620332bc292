//! The member's task: sends what the state machine wants, on the coordinator's connection, and tells the application.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    client::{
        Cluster, Connection, Purpose, TopicPartition,
        cluster::{Held, OwnConnections},
        error::{Error, Result},
    },
    messages::{
        ErrorCode, HeartbeatRequest, HeartbeatResponse, JoinGroupResponse, LeaveGroupRequest,
        SyncGroupResponse, join_group::JoinGroupResponseMember,
    },
    wire::Text,
};

use super::{
    Assignor, Command, GroupEvent, GroupMembershipOperation, GroupOptions, Happened, Loss, Polls,
    Revocation,
    assignor::{GroupMember, MemberAssignment, TopicLayout},
    notes::Notes,
    offsets::Refusal,
    protocol,
    state::{Identity, Joined, LostWhy, Member, Phase, Step, Told},
    subscribed::Subscribed,
};

pub(super) type Events = mpsc::UnboundedSender<Happened>;
pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What JoinGroup may take beyond the rebalance timeout, as in Java's client.
const JOIN_LAPSE: Duration = Duration::from_secs(5);
/// What leaving may take: the group gets over it without an answer, too.
pub(super) const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to the one request that is under way.
enum Reply {
    Joined(Result<JoinGroupResponse>),
    /// The assignments of all members, and the sizes of their topics.
    Divided(Result<(Vec<(Text, bytes::Bytes)>, Layout)>),
    Synced(Result<SyncGroupResponse>),
    Beaten(i32, Instant, Result<HeartbeatResponse>),
}

/// The topics that the leader divided; held, so that changes are seen.
type Layout = Vec<Watched>;

/// A topic as the leader divided it.
struct Watched {
    topic: Text,
    /// `None`: it was not there.
    shape: Option<Shape>,
    /// Since when it is not there any more.
    gone_since: Option<Instant>,
    _held: Held,
}

/// For each partition the racks of its replicas, sorted; empty unless the leader has a rack itself, as in Java.
type Shape = Vec<Vec<Text>>;

/// So long a topic must be gone before the group gives its partitions up: one broker that lags behind is no reason.
const GONE_AFTER: Duration = Duration::from_secs(5);

pub(super) struct Task {
    cluster: Cluster,
    group: Arc<str>,
    /// The member's own connection: a JoinGroup may wait there for minutes.
    own: Arc<OwnConnections>,
    member: Member,
    topics: Vec<Text>,
    subscribed: Subscribed,
    assignors: Vec<Arc<dyn Assignor>>,
    identity: watch::Sender<Option<Identity>>,
    polls: Arc<Polls>,
    poll_interval_max: Option<Duration>,
    pending: Option<BoxFuture<Reply>>,
    /// What the next SyncGroup carries.
    assignments: Vec<(Text, bytes::Bytes)>,
    /// As the leader.
    layout: Option<Layout>,
    revoking: Option<oneshot::Receiver<()>>,
    notes: Notes,
}

impl Task {
    pub(super) fn new(
        cluster: Cluster,
        group: Arc<str>,
        member: Member,
        options: GroupOptions,
        identity: watch::Sender<Option<Identity>>,
        polls: Arc<Polls>,
    ) -> Self {
        Self {
            notes: Notes::new(&cluster, &group),
            subscribed: Subscribed::new(&cluster, &group),
            own: Arc::new(OwnConnections::new(&cluster, Purpose::Member)),
            cluster,
            group,
            member,
            topics: options.topics.iter().map(Text::from).collect(),
            assignors: options.assignors,
            identity,
            polls,
            poll_interval_max: options.poll_interval_max,
            pending: None,
            assignments: Vec::new(),
            layout: None,
            revoking: None,
        }
    }

    pub(super) async fn run(
        mut self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        events: &Events,
        refused: &mut mpsc::UnboundedReceiver<Refusal>,
    ) {
        let mut changes = self.cluster.changes();
        self.want_topics();
        loop {
            publish(&self.identity, self.member.identity());
            self.tell(events);
            for error in self.subscribed.refused() {
                drop(events.send(Happened::of(Err(error))));
            }
            if self.member.phase() == Phase::Ended {
                return self.disconnect();
            }
            if self.member.take_coordinator_lost() {
                self.cluster.forget_coordinator(&self.group);
            }
            let wake = if self.pending.is_some() {
                None
            } else {
                self.step()
            };
            let wake = [wake, self.lapses_at(), self.gone_at()];
            let wake = wake.into_iter().flatten().min();
            tokio::select! {
                reply = wait(&mut self.pending) => self.replied(reply, events),
                () = acknowledged(&mut self.revoking) => self.member.revoked(),
                command = commands.recv() => match command {
                    Some(Command::Subscribe(_, Some(pattern))) => {
                        tracing::error!(group = %self.group, %pattern, "the classic protocol knows no patterns; the subscription stays as it is");
                    }
                    Some(Command::Subscribe(topics, None)) => {
                        let mut before = std::mem::replace(&mut self.topics, topics);
                        before.retain(|topic| !self.topics.contains(topic));
                        self.want_topics();
                        self.member.rebalance(&before);
                    }
                    Some(Command::Polled) => self.member.polled(),
                    Some(Command::Resume) => self.member.resumed(Instant::now().into_std()),
                    Some(Command::Leave(how, done)) => {
                        self.leave(how).await;
                        let _ = done.send(());
                        return;
                    }
                    // The handle was dropped.
                    None => return self.leave(GroupMembershipOperation::Default).await,
                },
                Some((code, generation)) = refused.recv() => {
                    let now = Instant::now().into_std();
                    self.member.commit_refused(code, generation, now);
                }
                Ok(()) = changes.changed() => self.check_layout(),
                () = sleep_until(wake) => {
                    self.check_polls();
                    self.check_layout();
                }
            }
        }
    }

    fn want_topics(&mut self) {
        self.subscribed.change(self.topics.iter());
    }

    /// Begins what the state machine wants; otherwise when to ask it again.
    fn step(&mut self) -> Option<Instant> {
        let now = Instant::now();
        match self.member.next(now.into_std()) {
            Step::Join => {
                self.notes.joins(self.member.identity());
                self.pending = Some(self.join());
            }
            Step::Sync => self.pending = Some(self.sync()),
            Step::Heartbeat(request) => {
                self.member.heartbeat_sent(now.into_std());
                self.pending = Some(self.heartbeat(request));
            }
            Step::Wait(at) => return at.map(Instant::from_std),
        }
        None
    }

    fn join(&mut self) -> BoxFuture<Reply> {
        let rack = Some(self.cluster.config().client_rack.as_str())
            .filter(|rack| !rack.is_empty())
            .map(Text::from);
        let generation = self.member.identity().generation;
        let owned = self.member.owned_by_topic();
        let protocols = self.assignors.iter().map(|assignor| {
            let subscription = protocol::Subscription {
                topics: &self.topics,
                userdata: assignor.userdata(self.member.last()),
                owned: owned.clone(),
                generation,
                rack: rack.clone(),
            };
            (
                Text::from(assignor.name()),
                protocol::subscription(&subscription),
            )
        });
        let protocols = protocols.collect();
        let request = self.member.join_request(protocols);
        let (cluster, group, own) = (
            self.cluster.clone(),
            Arc::clone(&self.group),
            Arc::clone(&self.own),
        );
        let config = cluster.config();
        let rebalance = Duration::from_millis(config.max_poll_interval_ms) + JOIN_LAPSE;
        let timeout = config.request_timeout().max(rebalance);
        self.layout = None;
        Box::pin(async move {
            let answer = async {
                let connection = connection(&cluster, &group, &own).await?;
                connection.call(&request, timeout).await
            };
            Reply::Joined(answer.await)
        })
    }

    /// The leader's work: every member's topics, divided. With `keep` the coordinator has an assignment already (KIP-814), and the topics
    /// are only to be watched.
    fn divide(
        &self,
        protocol: &Text,
        members: Vec<JoinGroupResponseMember>,
        keep: bool,
    ) -> BoxFuture<Reply> {
        let assignor = self
            .assignors
            .iter()
            .find(|assignor| protocol == assignor.name())
            .map(Arc::clone);
        let (cluster, group, protocol) = (
            self.cluster.clone(),
            Arc::clone(&self.group),
            protocol.clone(),
        );
        Box::pin(async move {
            let divided = async {
                let Some(assignor) = assignor else {
                    let text = format!(
                        "group {group} chose the assignor {protocol}, which this member does not have"
                    );
                    return Err(Error::usage(text));
                };
                let members = members
                    .into_iter()
                    .map(protocol::member)
                    .collect::<Result<Vec<_>, _>>();
                let members = members.map_err(|source| Error::Malformed {
                    broker: format!("a member of group {group}").into(),
                    what: "subscription".into(),
                    source,
                })?;
                let topics: BTreeSet<&Text> =
                    members.iter().flat_map(|member| &member.topics).collect();
                cluster.look_at(topics.iter().copied(), true).await?;
                let layouts = layouts(&cluster, &topics);
                let watched = topics.iter().map(|topic| {
                    let found = layouts.iter().find(|layout| layout.name == **topic);
                    Watched {
                        topic: (*topic).clone(),
                        shape: found.map(|layout| shape(&cluster, layout)),
                        gone_since: None,
                        _held: cluster.hold_topic(topic),
                    }
                });
                let watched = watched.collect();
                let mut assignments = Vec::new();
                if !keep {
                    assignments = assignor.assign(&members, &layouts);
                    if assignor.is_cooperative() {
                        withhold_owned(&members, &mut assignments);
                    }
                }
                let bytes = assignments
                    .iter()
                    .map(|of| (of.member_id.clone(), protocol::assignment(of)))
                    .collect();
                Ok((bytes, watched))
            };
            Reply::Divided(divided.await)
        })
    }

    fn sync(&mut self) -> BoxFuture<Reply> {
        let request = self
            .member
            .sync_request(std::mem::take(&mut self.assignments));
        let (cluster, group, own) = (
            self.cluster.clone(),
            Arc::clone(&self.group),
            Arc::clone(&self.own),
        );
        // Followers wait for the leader's assignment as long as a rebalance may take.
        let config = cluster.config();
        let rebalance = Duration::from_millis(config.max_poll_interval_ms) + JOIN_LAPSE;
        let timeout = config.request_timeout().max(rebalance);
        Box::pin(async move {
            let answer = async {
                let connection = connection(&cluster, &group, &own).await?;
                connection.call(&request, timeout).await
            };
            Reply::Synced(answer.await)
        })
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<Reply> {
        let (cluster, group, own) = (
            self.cluster.clone(),
            Arc::clone(&self.group),
            Arc::clone(&self.own),
        );
        Box::pin(async move {
            let config = cluster.config();
            let timeout = config
                .request_timeout()
                .min(Duration::from_millis(config.session_timeout_ms));
            let (generation, sent) = (request.generation_id, Instant::now());
            let answer = async {
                let connection = connection(&cluster, &group, &own).await?;
                connection.call(&request, timeout).await
            };
            Reply::Beaten(generation, sent, answer.await)
        })
    }

    fn replied(&mut self, reply: Reply, events: &Events) {
        self.pending = None;
        let now = Instant::now().into_std();
        match reply {
            Reply::Joined(Ok(answer)) => match self.member.joined(answer, now) {
                Joined::Not | Joined::Follower => {}
                Joined::Leader {
                    protocol,
                    members,
                    keep,
                } => self.pending = Some(self.divide(&protocol, members, keep)),
            },
            Reply::Divided(Ok((assignments, layout))) => {
                self.assignments = assignments;
                self.layout = Some(layout);
            }
            Reply::Synced(Ok(answer)) => self.member.synced(answer, now),
            Reply::Beaten(generation, sent, Ok(answer)) => {
                self.notes
                    .heartbeat(sent.elapsed(), answer.error_code == ErrorCode::NONE);
                self.member.heard(answer.error_code, generation, now);
            }
            Reply::Joined(Err(error))
            | Reply::Divided(Err(error))
            | Reply::Synced(Err(error))
            | Reply::Beaten(_, _, Err(error))
                if error.is_retriable() =>
            {
                self.notes.unanswered(&error, self.member.gets_on());
                self.member.unanswered(now);
            }
            Reply::Joined(Err(error))
            | Reply::Divided(Err(error))
            | Reply::Synced(Err(error))
            | Reply::Beaten(_, _, Err(error))
                if is_end(&error) =>
            {
                end(self.member.abandon(), error, events);
            }
            Reply::Beaten(_, _, Err(error)) => {
                self.member.unanswered(now);
                if self.member.complains() {
                    tracing::error!(group = %self.group, %error, "a heartbeat failed");
                    drop(events.send(Happened::of(Err(error))));
                }
            }
            // Finding the coordinator was refused, an answer cannot be read, or what another member wants.
            Reply::Joined(Err(error)) | Reply::Divided(Err(error)) | Reply::Synced(Err(error)) => {
                tracing::error!(group = %self.group, %error, "joining failed");
                self.member.refuse(LostWhy::Failed);
                self.tell(events);
                drop(events.send(Happened::of(Err(error))));
            }
        }
    }

    /// Gives the application what it is to be told.
    fn tell(&mut self, events: &Events) {
        while let Some(told) = self.member.tell() {
            let event = match told {
                Told::Assigned(assignment) => Ok(GroupEvent::Assigned(assignment)),
                Told::Revoke(partitions) => {
                    let (done, acknowledged) = oneshot::channel();
                    self.revoking = Some(acknowledged);
                    Ok(GroupEvent::Revoked(Revocation {
                        partitions,
                        _done: done,
                    }))
                }
                Told::Lost { partitions, why } => {
                    self.revoking = None;
                    Ok(GroupEvent::Lost(Loss {
                        partitions,
                        reason: self.reason(why).into(),
                    }))
                }
                Told::Malformed(source) => Err(Error::Malformed {
                    broker: format!("the leader of group {}", self.group).into(),
                    what: "assignment".into(),
                    source,
                }),
                Told::Failed(code) => Err(Error::broker(
                    format!("being a member of group {}", self.group),
                    code,
                    hint(code),
                )),
            };
            self.notes.told(&event, self.member.identity());
            // A dropped handle shows in the commands, too.
            let identity = Some(self.member.identity().clone());
            drop(events.send(Happened { event, identity }));
        }
    }

    fn reason(&self, why: LostWhy) -> String {
        reason(&self.group, why, self.poll_interval_max)
    }

    /// Has the group rebalance if the topics are not any more what the leader divided.
    fn check_layout(&mut self) {
        let Some(layout) = &mut self.layout else {
            return;
        };
        let now = Instant::now();
        let is_other = |watched: &mut Watched| {
            let found = layouts(&self.cluster, &[&watched.topic].into());
            let found = found.first().map(|layout| shape(&self.cluster, layout));
            let is_gone = watched.shape.is_some() && found.is_none();
            let since = watched.gone_since.unwrap_or(now);
            watched.gone_since = is_gone.then_some(since);
            match is_gone {
                true => now.saturating_duration_since(since) >= GONE_AFTER,
                false => watched.shape != found,
            }
        };
        // All of them are looked at.
        let others = layout
            .iter_mut()
            .filter_map(|of| is_other(of).then_some(&of.topic));
        let others: Vec<Text> = others.cloned().collect();
        if !others.is_empty() {
            tracing::info!(group = %self.group, topics = ?others, "these have other partitions or racks now, or are gone; the group rebalances");
            self.layout = None;
            self.member.rebalance(&[]);
        }
    }

    /// When a topic has been gone for long enough.
    fn gone_at(&self) -> Option<Instant> {
        let gone = self.layout.iter().flatten().filter_map(|of| of.gone_since);
        gone.min().map(|since| since + GONE_AFTER)
    }

    /// When the application counts as silent, if it may.
    fn lapses_at(&self) -> Option<Instant> {
        let member = matches!(self.member.phase(), Phase::Stable | Phase::Revoking);
        self.poll_interval_max
            .filter(|_| member)
            .map(|interval| self.polls.last() + interval)
    }

    fn check_polls(&mut self) {
        if self.lapses_at().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let request = self.member.lapse();
        self.polls.lapsed.store(1, Ordering::Release);
        self.pending = None;
        self.layout = None;
        tracing::warn!(group = %self.group, "{}", self.reason(LostWhy::PolledTooSeldom));
        if let Some(request) = request {
            let (cluster, group) = (self.cluster.clone(), Arc::clone(&self.group));
            tokio::spawn(async move { send_leave(&cluster, &group, request).await });
        }
    }

    fn disconnect(&self) {
        disconnect(&self.cluster, &self.own);
    }

    async fn leave(&mut self, how: GroupMembershipOperation) {
        self.pending = None;
        if let Some(request) = self.member.leave(how) {
            send_leave(&self.cluster, &self.group, request).await;
        }
        self.disconnect();
    }
}

/// Why partitions were lost, for a person.
pub(super) fn reason(group: &str, why: LostWhy, poll_interval_max: Option<Duration>) -> String {
    match why {
        LostWhy::Refused(code) => format!(
            "the coordinator of group {group} answered {code}: it took this member for dead or rebalanced without it"
        ),
        LostWhy::Failed => format!("joining group {group} failed"),
        LostWhy::PolledTooSeldom => format!(
            "the application did not poll for {} ms (`max.poll.interval.ms`), so it left group {group}; poll more often, process less between \
             two polls, or raise the setting",
            poll_interval_max.unwrap_or_default().as_millis(),
        ),
    }
}

/// Closes the member's connections: nobody else uses them.
pub(super) fn disconnect(cluster: &Cluster, own: &OwnConnections) {
    for broker in cluster.metadata().brokers() {
        if let Some(connection) = cluster.open_connection(broker.id, own.purpose()) {
            connection.close();
        }
    }
}

/// The member's own connection to the coordinator.
pub(super) async fn connection(
    cluster: &Cluster,
    group: &str,
    own: &OwnConnections,
) -> Result<Connection> {
    let (broker, _) = cluster.coordinator(group).await?;
    cluster.connection(broker, own.purpose()).await
}

/// Not on the member's connection: a JoinGroup may wait there, and brokers answer in order.
async fn send_leave(cluster: &Cluster, group: &str, mut request: LeaveGroupRequest) {
    let left = async {
        let (_, connection) = cluster.coordinator(group).await?;
        if connection.version_for::<LeaveGroupRequest>() >= Some(3) {
            request.member_id = Text::EMPTY;
        } else {
            request.members = Vec::new();
        }
        connection.call(&request, LEAVE_TIMEOUT).await
    };
    match tokio::time::timeout(LEAVE_TIMEOUT, left).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(%group, %error, "leaving was not answered; the session will end by itself")
        }
        Err(_) => {
            tracing::debug!(%group, "leaving was not answered in time; the session will end by itself")
        }
    }
}

/// What a member of the latest generation comes with goes to nobody else before that member has given it up (KIP-429), whatever the
/// assignor says.
fn withhold_owned(members: &[GroupMember], assignments: &mut [MemberAssignment]) {
    let latest = members.iter().map(|member| member.generation).max();
    let mut owners: HashMap<(&Text, i32), &Text> = HashMap::new();
    let current = members
        .iter()
        .filter(|of| Some(of.generation) == latest && of.generation >= 0);
    for member in current {
        for (topic, partitions) in &member.owned {
            for partition in partitions {
                owners.insert((topic, *partition), &member.member_id);
            }
        }
    }
    for MemberAssignment {
        member_id,
        partitions,
        ..
    } in assignments
    {
        for (topic, of) in partitions.iter_mut() {
            let before = of.len();
            of.retain(|partition| {
                owners
                    .get(&(&*topic, *partition))
                    .is_none_or(|owner| *owner == member_id)
            });
            if of.len() < before {
                tracing::warn!(%member_id, %topic, "the assignor gave away partitions that still have an owner; they wait for it");
            }
        }
        partitions.retain(|(_, of)| !of.is_empty());
    }
}

fn layouts(cluster: &Cluster, topics: &BTreeSet<&Text>) -> Vec<TopicLayout> {
    let metadata = cluster.metadata();
    let rack = |id: &crate::client::BrokerId| {
        metadata
            .broker(*id)
            .and_then(|broker| broker.rack.as_deref())
            .map(Text::from)
    };
    topics
        .iter()
        .filter_map(|name| {
            let topic = metadata.topic(name)?;
            let racks = topic
                .partitions
                .iter()
                .map(|p| p.replicas.iter().filter_map(rack).collect());
            Some(TopicLayout {
                name: (*name).clone(),
                partitions: racks.collect(),
            })
        })
        .collect()
}

fn shape(cluster: &Cluster, layout: &TopicLayout) -> Shape {
    if cluster.config().client_rack.is_empty() {
        return vec![Vec::new(); layout.partitions.len()];
    }
    let mut shape = layout.partitions.clone();
    shape.iter_mut().for_each(|racks| racks.sort_unstable());
    shape
}

pub(super) fn hint(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => Some(
            "its members have no assignor in common with this one, or it is not a group of consumers",
        ),
        ErrorCode::FENCED_INSTANCE_ID => Some("another member has the same `group.instance.id`"),
        ErrorCode::INVALID_SESSION_TIMEOUT => Some(
            "`session.timeout.ms` lies outside what the broker allows (`group.min.session.timeout.ms`, `group.max.session.timeout.ms`)",
        ),
        ErrorCode::GROUP_MAX_SIZE_REACHED => {
            Some("the broker allows no more members (`group.max.size`)")
        }
        _ => None,
    }
}

async fn wait(pending: &mut Option<BoxFuture<Reply>>) -> Reply {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

/// Lets commits and the handle know who the member is now.
pub(super) fn publish(identity: &watch::Sender<Option<Identity>>, now: &Identity) {
    identity.send_if_modified(|known| {
        let news = known.as_ref() != Some(now);
        if news {
            *known = Some(now.clone());
        }
        news
    });
}

/// Whether an error ends a membership: it was replaced by another one with the same name, or the cluster is closed. Whatever else a request is
/// refused for may pass, or be mended by somebody, while the application goes on.
pub(super) fn is_end(error: &Error) -> bool {
    matches!(error, Error::Closed { .. } | Error::Config(_))
        || error.code() == Some(ErrorCode::FENCED_INSTANCE_ID)
}

/// Tells of what a membership that ended had, and why it ended.
pub(super) fn end(partitions: Vec<TopicPartition>, error: Error, events: &Events) {
    if !partitions.is_empty() {
        let reason = error.to_string().into();
        let lost = GroupEvent::Lost(Loss { partitions, reason });
        drop(events.send(Happened::of(Ok(lost))));
    }
    drop(events.send(Happened::of(Err(error))));
}

pub(super) async fn acknowledged(revoking: &mut Option<oneshot::Receiver<()>>) {
    match revoking {
        Some(receiver) => {
            drop(receiver.await);
            *revoking = None;
        }
        None => std::future::pending().await,
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
