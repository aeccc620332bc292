//! Membership by the newer group protocol (KIP-848): the member's task, which carries heartbeats and tells the application.

mod state;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    client::{
        Cluster, Purpose,
        cluster::OwnConnections,
        error::{Error, Result},
    },
    messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ErrorCode},
    wire::{Text, Uuid},
};

use super::{
    Command, GroupEvent, GroupMembershipOperation, Happened, Loss, Polls, Revocation,
    notes::Notes,
    offsets::Refusal,
    state::{Identity, LostWhy, Told},
    subscribed::Subscribed,
    task::{
        BoxFuture, Events, LEAVE_TIMEOUT, acknowledged, connection, end, is_end, publish,
        sleep_until,
    },
};

use state::{Member, Phase};
pub(super) use state::{Settings, Subscription};

/// From here on the coordinator matches patterns.
const FIRST_WITH_PATTERNS: i16 = 1;

/// How a membership by this protocol ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Over,
    /// The coordinator does not speak it: nothing has happened yet.
    NotSpoken,
}

enum Reply {
    Beaten(Instant, Result<ConsumerGroupHeartbeatResponse>),
    /// The coordinator's highest version is too low; `None`: it has none.
    Lacking(Option<i16>),
}

pub(super) struct Task {
    cluster: Cluster,
    group: Arc<str>,
    own: Arc<OwnConnections>,
    member: Member,
    identity: watch::Sender<Option<Identity>>,
    polls: Arc<Polls>,
    poll_interval_max: Option<Duration>,
    pending: Option<BoxFuture<Reply>>,
    revoking: Option<oneshot::Receiver<()>>,
    /// Asks for the metadata of topics that have no name yet.
    naming: Option<BoxFuture<()>>,
    /// How often in a row the answer did not have the names.
    nameless: u32,
    subscribed: Subscribed,
    joined_before: bool,
    notes: Notes,
}

impl Task {
    pub(super) fn new(
        cluster: &Cluster,
        group: &Arc<str>,
        settings: Settings,
        member_id: Text,
        subscription: Subscription,
        polls: &Arc<Polls>,
        poll_interval_max: Option<Duration>,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            group: Arc::clone(group),
            own: Arc::new(OwnConnections::new(cluster, Purpose::Member)),
            member: Member::new(settings, member_id, subscription),
            identity: watch::Sender::new(None),
            polls: Arc::clone(polls),
            poll_interval_max,
            pending: None,
            revoking: None,
            naming: None,
            nameless: 0,
            subscribed: Subscribed::new(cluster, group),
            joined_before: false,
            notes: Notes::new(cluster, group),
        }
    }

    pub(super) async fn run(
        mut self,
        identity: &watch::Sender<Option<Identity>>,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        events: &Events,
        refused: &mut mpsc::UnboundedReceiver<Refusal>,
    ) -> Ended {
        self.identity = identity.clone();
        let mut changes = self.cluster.changes();
        self.want_topics();
        loop {
            publish(&self.identity, self.member.identity());
            self.tell(events);
            for error in self.subscribed.refused() {
                drop(events.send(Happened::of(Err(error))));
            }
            if self.member.phase() == Phase::Ended {
                self.disconnect();
                return Ended::Over;
            }
            if self.member.take_coordinator_lost() {
                self.cluster.forget_coordinator(&self.group);
            }
            let wake = [self.step(), self.lapses_at()].into_iter().flatten().min();
            self.name_topics();
            tokio::select! {
                reply = wait(&mut self.pending) => match self.replied(reply, events) {
                    Some(Ended::NotSpoken) => return Ended::NotSpoken,
                    _ => continue,
                },
                () = acknowledged(&mut self.revoking) => {
                    let cluster = self.cluster.clone();
                    self.member.revoked(|id| name(&cluster, id));
                }
                command = commands.recv() => match command {
                    Some(Command::Subscribe(topics, pattern)) => {
                        let subscription = Subscription {
                            topics: topics.into_iter().collect(),
                            pattern,
                        };
                        self.member.subscribe(subscription);
                        self.want_topics();
                    }
                    Some(Command::Polled) => self.member.polled(),
                    Some(Command::Resume) => self.member.resumed(),
                    Some(Command::Leave(how, done)) => {
                        self.leave(how).await;
                        let _ = done.send(());
                        return Ended::Over;
                    }
                    // The handle was dropped.
                    None => {
                        self.leave(GroupMembershipOperation::Default).await;
                        return Ended::Over;
                    }
                },
                Some((code, epoch)) = refused.recv() => self.member.heard(code, epoch),
                Ok(()) = changes.changed() => {
                    let cluster = self.cluster.clone();
                    self.member.reconcile(|id| name(&cluster, id));
                }
                () = wait_for(&mut self.naming) => {}
                () = sleep_until(wake) => self.check_polls(),
            }
        }
    }

    fn want_topics(&mut self) {
        self.subscribed
            .change(self.member.subscription().topics.iter());
    }

    /// Sends the heartbeat that is due; otherwise when the next one is.
    fn step(&mut self) -> Option<Instant> {
        if self.pending.is_some() {
            return None;
        }
        let now = Instant::now();
        let at = Instant::from_std(self.member.next(now.into_std())?);
        if at > now {
            return Some(at);
        }
        if self.member.phase() == Phase::Joining {
            self.notes.joins(self.member.identity());
        }
        let request = self.member.heartbeat(now.into_std());
        let (cluster, group, own) = (
            self.cluster.clone(),
            Arc::clone(&self.group),
            Arc::clone(&self.own),
        );
        let timeout = cluster.config().request_timeout();
        let joins = !self.joined_before;
        self.pending = Some(Box::pin(async move {
            let connection = match connection(&cluster, &group, &own).await {
                Ok(connection) => connection,
                Err(error) => return Reply::Beaten(now, Err(error)),
            };
            if joins {
                let version = connection.version_for::<ConsumerGroupHeartbeatRequest>();
                let needs = match request.subscribed_topic_regex {
                    Some(_) => FIRST_WITH_PATTERNS,
                    None => 0,
                };
                if version.is_none_or(|version| version < needs) {
                    return Reply::Lacking(version);
                }
            }
            Reply::Beaten(now, connection.call(&request, timeout).await)
        }));
        None
    }

    fn replied(&mut self, reply: Reply, events: &Events) -> Option<Ended> {
        self.pending = None;
        let now = Instant::now().into_std();
        match reply {
            Reply::Lacking(None) if self.member.subscription().pattern.is_none() => {
                return Some(Ended::NotSpoken);
            }
            Reply::Lacking(_) => {
                let text = "the group's coordinator does not match patterns (Kafka 4.0 and later do, with `group.protocol=consumer`); subscribe to names";
                end(self.member.abandon(), Error::usage(text), events);
            }
            // Kafka 3.7 to 3.9 offer the API and have the protocol turned off (`group.coordinator.rebalance.protocols`).
            Reply::Beaten(_, Ok(answer))
                if answer.error_code == ErrorCode::UNSUPPORTED_VERSION
                    && !self.joined_before
                    && self.member.subscription().pattern.is_none() =>
            {
                return Some(Ended::NotSpoken);
            }
            Reply::Beaten(sent, Ok(answer)) => {
                self.notes
                    .heartbeat(sent.elapsed(), answer.error_code == ErrorCode::NONE);
                self.joined_before |= answer.error_code == ErrorCode::NONE;
                let cluster = self.cluster.clone();
                self.member.answered(answer, now, |id| name(&cluster, id));
            }
            Reply::Beaten(sent, Err(error)) if error.is_retriable() => {
                self.notes.unanswered(&error, self.member.gets_on());
                self.notes.heartbeat(sent.elapsed(), false);
                self.member.unanswered(now);
            }
            Reply::Beaten(_, Err(error)) if is_end(&error) => {
                end(self.member.abandon(), error, events);
            }
            Reply::Beaten(sent, Err(error)) => {
                self.notes.heartbeat(sent.elapsed(), false);
                self.member.unanswered(now);
                if self.member.complains() {
                    tracing::error!(group = %self.group, %error, "a heartbeat failed");
                    drop(events.send(Happened::of(Err(error))));
                }
            }
        }
        None
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
                    let reason = reason(&self.group, why, self.poll_interval_max);
                    Ok(GroupEvent::Lost(Loss {
                        partitions,
                        reason: reason.into(),
                    }))
                }
                Told::Failed(code) => Err(self.failed(code)),
                Told::Malformed(source) => Err(Error::Malformed {
                    broker: format!("the coordinator of group {}", self.group).into(),
                    what: "assignment".into(),
                    source,
                }),
            };
            self.notes.told(&event, self.member.identity());
            // A dropped handle shows in the commands, too.
            let identity = Some(self.member.identity().clone());
            drop(events.send(Happened { event, identity }));
        }
    }

    fn failed(&mut self, code: ErrorCode) -> Error {
        let mut what = format!("being a member of group {}", self.group);
        if let Some(words) = self.member.take_words() {
            what = format!("{what} (the coordinator says: {words})");
        }
        Error::broker(what, code, hint(code))
    }

    /// Topics that the coordinator knows and the metadata does not: all are asked for, since only ids are known.
    fn name_topics(&mut self) {
        if !self.member.has_nameless() {
            self.naming = None;
            self.nameless = 0;
        } else if self.naming.is_none() {
            let cluster = self.cluster.clone();
            self.nameless += 1;
            let pause = cluster.retry_delay(self.nameless);
            self.naming = Some(Box::pin(async move {
                if let Err(error) = cluster.refresh_all().await {
                    tracing::debug!(%error, "asking for the names of assigned topics failed; trying again");
                }
                tokio::time::sleep(pause).await;
            }));
        }
    }

    /// When the application counts as silent, if it may.
    fn lapses_at(&self) -> Option<Instant> {
        let member = self.member.phase() == Phase::Member;
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
        let why = reason(
            &self.group,
            LostWhy::PolledTooSeldom,
            self.poll_interval_max,
        );
        tracing::warn!(group = %self.group, "{why}");
        if let Some(request) = request {
            let (cluster, group, own) = (
                self.cluster.clone(),
                Arc::clone(&self.group),
                Arc::clone(&self.own),
            );
            tokio::spawn(async move { send_leave(&cluster, &group, &own, request).await });
        }
    }

    /// Nobody else uses the member's connections.
    fn disconnect(&self) {
        super::task::disconnect(&self.cluster, &self.own);
    }

    async fn leave(&mut self, how: GroupMembershipOperation) {
        self.pending = None;
        let request = self.member.leave(how);
        publish(&self.identity, self.member.identity());
        if let Some(request) = request {
            send_leave(&self.cluster, &self.group, &self.own, request).await;
        }
        self.disconnect();
    }
}

/// On the member's connection: behind a heartbeat that joins, it is not overtaken by it.
async fn send_leave(
    cluster: &Cluster,
    group: &str,
    own: &OwnConnections,
    request: ConsumerGroupHeartbeatRequest,
) {
    let left = async {
        let connection = connection(cluster, group, own).await?;
        connection.call(&request, LEAVE_TIMEOUT).await
    };
    if !matches!(tokio::time::timeout(LEAVE_TIMEOUT, left).await, Ok(Ok(_))) {
        tracing::debug!(%group, "leaving was not answered; the session will end by itself");
    }
}

fn name(cluster: &Cluster, id: Uuid) -> Option<Text> {
    let metadata = cluster.metadata();
    metadata
        .topic_by_id(id)
        .map(|topic| Text::from(&*topic.name))
}

fn reason(group: &str, why: LostWhy, poll_interval_max: Option<Duration>) -> String {
    super::task::reason(group, why, poll_interval_max)
}

fn hint(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::UNRELEASED_INSTANCE_ID => Some(
            "another member has the same `group.instance.id`; or it was killed, and holds it until its session ends",
        ),
        ErrorCode::GROUP_ID_NOT_FOUND => Some(
            "the group has members that speak the classic protocol and cannot be converted; use `group.protocol=classic`, or stop them first",
        ),
        ErrorCode::UNSUPPORTED_ASSIGNOR => Some(
            "`group.remote.assignor` names no assignor that the broker has (`group.consumer.assignors`: by default uniform and range)",
        ),
        code => super::task::hint(code),
    }
}

async fn wait(pending: &mut Option<BoxFuture<Reply>>) -> Reply {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

async fn wait_for(kept: &mut Option<BoxFuture<()>>) {
    match kept {
        Some(future) => {
            future.await;
            *kept = None;
        }
        None => std::future::pending().await,
    }
}
