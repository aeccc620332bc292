//! The classic group protocol as a member sees it: a state machine without I/O or clock. Events and answers go in, what to
//! do next comes out.
//!
//! ```text
//! Outside ──join──▶ Joining ──answer──▶ Syncing ──assignment──▶ Stable ──rebalance──▶ Revoking ──given up──▶ Outside
//!    ▲                 │ retriable error    │ rebalance            │ unknown member
//!    ├─────────────────┴────────────────────┴──────────────────────┘            any ──leave, fenced──▶ Ended
//!    └──error taken up── Refused ◀──any other error── Joining, Syncing
//! ```
//! What one request is refused is that request's business: a heartbeat that is refused for another reason than membership is an error for the
//! application and is sent again; a join that is refused is tried again when the application has taken the error up. Only a member that another one with the same
//! `group.instance.id` has replaced ends.
//! So the eager protocol: everything is given up before a member joins again. Under the cooperative one (KIP-429) it joins with what it has, from
//! Stable straight to Outside; if the assignment then lacks something that it has, it gives that up (Revoking), takes what is new, and
//! joins once more, so that what it gave up can go to others.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    client::{Backoff, pace::Pace},
    messages::{
        ErrorCode, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
        SyncGroupRequest, SyncGroupResponse,
        join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember},
        leave_group::MemberIdentity,
        sync_group::SyncGroupRequestAssignment,
    },
    wire::{DecodeError, Text},
};

use super::{
    Assignment, GroupMembershipOperation, TopicPartition,
    assignor::LastAssignment,
    protocol::{self, ByTopic},
};

/// The protocol type of every group of consumers.
const CONSUMER: Text = Text::from_static("consumer");

/// What does not change while a member lives.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) group_id: Text,
    pub(crate) instance_id: Option<Text>,
    pub(crate) session_timeout: Duration,
    /// How long members may take to give up their partitions and join again: `max.poll.interval.ms`.
    pub(crate) rebalance_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) delays: Delays,
    /// Whether the member keeps its partitions while it joins again: all of its assignors allow it.
    pub(crate) cooperative: bool,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Wants to join, no request is out.
    Outside,
    /// JoinGroup is out: the coordinator answers when all members have joined.
    Joining,
    /// JoinGroup was answered; the leader's assignment is wanted.
    Syncing,
    /// Has an assignment.
    Stable,
    /// The application is giving up partitions. Heartbeats go on.
    Revoking,
    /// The application polls too seldom: outside, and joins only when it polls again.
    Lapsed,
    /// A join was refused: outside, and joins again when the application has taken the error up.
    Refused,
    /// Left, or fenced by another member with the same `group.instance.id`.
    Ended,
}

/// How long a member waits between tries that bring it no further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delays {
    pub(crate) backoff: Backoff,
    /// Where in the span of the jitter its delays lie, from 0 to 1: drawn once, so that the members of a group do not all come at once.
    pub(crate) spread: f64,
}

impl Delays {
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        self.backoff.delay(failures, self.spread)
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Send JoinGroup with the subscriptions of the moment ([`Member::join_request`]).
    Join,
    /// Send SyncGroup; with an assignment if this member leads ([`Member::sync_request`]).
    Sync,
    /// Send this heartbeat.
    Heartbeat(HeartbeatRequest),
    /// Nothing before then, or before an event.
    Wait(Option<Instant>),
}

/// What the application is to be told, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// What the member has from now on.
    Assigned(Assignment),
    /// Give up these partitions, then acknowledge.
    Revoke(Vec<TopicPartition>),
    /// These partitions are another's already; committing for them is refused.
    Lost {
        partitions: Vec<TopicPartition>,
        why: LostWhy,
    },
    /// A request was refused; the end only if the member's phase says so.
    Failed(ErrorCode),
    /// The leader's bytes are no assignment.
    Malformed(DecodeError),
}

/// Why partitions were lost without being asked back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostWhy {
    /// The coordinator answered so.
    Refused(ErrorCode),
    /// Joining failed for another reason than the coordinator's answer; an error follows.
    Failed,
    /// `max.poll.interval.ms` passed without a poll.
    PolledTooSeldom,
}

/// How the answer to JoinGroup goes on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Joined {
    /// Wait, or join again: ask [`Member::next`].
    Not,
    /// A follower: sync with nothing.
    Follower,
    /// The leader: divide the partitions with this protocol, then sync. With `keep` the coordinator has the assignment
    /// already (a static leader came back, KIP-814) and none is to be sent.
    Leader {
        protocol: Text,
        members: Vec<JoinGroupResponseMember>,
        keep: bool,
    },
}

/// Who the member is to the coordinator; what commits carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) member_id: Text,
    /// The generation, under KIP-848 the member's epoch; −1 outside.
    pub(crate) generation: i32,
    /// Whether the generation is an epoch (KIP-848).
    pub(crate) is_modern: bool,
    /// How many assignments the application was given.
    assignments: u64,
    /// What the member has, and which assignment brought it.
    owned: Arc<BTreeMap<TopicPartition, u64>>,
    /// How many assignments there had been when something was taken away for the last time.
    taken_away_at: u64,
}

impl Identity {
    fn of_classic(member_id: Text) -> Self {
        Self {
            member_id,
            generation: NO_GENERATION,
            is_modern: false,
            assignments: 0,
            owned: Arc::default(),
            taken_away_at: 0,
        }
    }

    pub(crate) fn of_modern(member_id: Text) -> Self {
        Self {
            is_modern: true,
            ..Self::of_classic(member_id)
        }
    }

    #[cfg(test)]
    pub(crate) fn owned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.owned.keys()
    }

    /// The application is given another assignment.
    pub(crate) fn assigns(&mut self) {
        self.assignments += 1;
    }

    /// What the member has now.
    pub(crate) fn owns(&mut self, partitions: impl Iterator<Item = TopicPartition>) {
        let with_since = |of| {
            let since = self.owned.get(&of).copied();
            (of, since.unwrap_or(self.assignments))
        };
        let partitions: BTreeMap<_, _> = partitions.map(with_since).collect();
        let mut before = self.owned.keys();
        if before.any(|of| !partitions.contains_key(of)) {
            self.taken_away_at = self.assignments;
        }
        if *self.owned != partitions {
            self.owned = Arc::new(partitions);
        }
    }

    /// Whether what was processed while the member stood as `before` may be committed as it stands now: it is the same member, and the partitions
    /// have been its own without a break since. Else the commit could overwrite that of an owner in between.
    pub(crate) fn continues(
        &self,
        before: &Self,
        mut partitions: impl Iterator<Item = TopicPartition>,
    ) -> bool {
        let is_kept = |of| match self.owned.get(&of) {
            Some(since) => *since <= before.assignments,
            // Never the member's: Kafka lets it commit for any.
            None => self.generation == before.generation || self.taken_away_at < before.assignments,
        };
        self.generation >= 0 && self.member_id == before.member_id && partitions.all(is_kept)
    }
}

pub(crate) const NO_GENERATION: i32 = -1;

/// A member of a classic group.
#[derive(Debug)]
pub(crate) struct Member {
    settings: Settings,
    phase: Phase,
    identity: Identity,
    protocol: Option<Text>,
    /// What the application has been told that it has.
    owned: BTreeSet<TopicPartition>,
    /// Whether it has been told anything at all: it may have been given nothing.
    told_assignment: bool,
    /// What it is being asked to give up.
    revoking: Vec<TopicPartition>,
    /// What it is given when that is done.
    after_revocation: Option<Assignment>,
    last: Option<LastAssignment>,
    /// Something changed while it joined: join once more.
    rejoin: bool,
    /// The coordinator has to be found (again) before the next request.
    coordinator_lost: bool,
    not_before: Option<Instant>,
    heartbeat_at: Option<Instant>,
    /// How many answers in a row brought the member no further.
    pace: Pace,
    /// Whether the application has the error of a refused heartbeat already.
    complained: bool,
    told: VecDeque<Told>,
}

impl Member {
    /// `member_id` of an earlier life, if known: after a crash it returns without waiting for its own session to end.
    pub(crate) fn new(settings: Settings, member_id: Option<Text>) -> Self {
        Self {
            settings,
            phase: Phase::Outside,
            identity: Identity::of_classic(member_id.unwrap_or_default()),
            protocol: None,
            owned: BTreeSet::new(),
            told_assignment: false,
            revoking: Vec::new(),
            after_revocation: None,
            last: None,
            rejoin: false,
            coordinator_lost: false,
            not_before: None,
            heartbeat_at: None,
            pace: Pace::default(),
            complained: false,
            told: VecDeque::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What this member was given last, for its assignors.
    pub(crate) fn last(&self) -> Option<&LastAssignment> {
        self.last.as_ref()
    }

    /// What the member comes with when it joins, by topic: nothing under the eager protocol.
    pub(crate) fn owned_by_topic(&self) -> ByTopic {
        let mut by_topic = ByTopic::new();
        for TopicPartition { topic, partition } in &self.owned {
            match by_topic.last_mut() {
                Some((last, partitions)) if last == topic => partitions.push(*partition),
                _ => by_topic.push((topic.clone(), vec![*partition])),
            }
        }
        by_topic
    }

    /// The next thing that the application is to be told.
    pub(crate) fn tell(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// Whether the coordinator has to be found anew; asking clears it.
    pub(crate) fn take_coordinator_lost(&mut self) -> bool {
        std::mem::take(&mut self.coordinator_lost)
    }

    /// What to do now.
    pub(crate) fn next(&self, now: Instant) -> Step {
        let due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        match self.phase {
            Phase::Outside if due(self.not_before) => Step::Join,
            Phase::Syncing if due(self.not_before) => Step::Sync,
            Phase::Outside | Phase::Syncing => Step::Wait(self.not_before),
            Phase::Stable | Phase::Revoking if due(self.heartbeat_at) => {
                Step::Heartbeat(self.heartbeat())
            }
            Phase::Stable | Phase::Revoking => Step::Wait(self.heartbeat_at),
            Phase::Joining | Phase::Lapsed | Phase::Refused | Phase::Ended => Step::Wait(None),
        }
    }

    fn heartbeat(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.settings.group_id.clone(),
            generation_id: self.identity.generation,
            member_id: self.identity.member_id.clone(),
            group_instance_id: self.settings.instance_id.clone(),
        }
    }

    /// The request to join with these protocols (assignor name and subscription), the preferred one first.
    pub(crate) fn join_request(&mut self, protocols: Vec<(Text, Bytes)>) -> JoinGroupRequest {
        self.phase = Phase::Joining;
        self.not_before = None;
        self.rejoin = false;
        JoinGroupRequest {
            group_id: self.settings.group_id.clone(),
            session_timeout_ms: millis(self.settings.session_timeout),
            rebalance_timeout_ms: millis(self.settings.rebalance_timeout),
            member_id: self.identity.member_id.clone(),
            group_instance_id: self.settings.instance_id.clone(),
            protocol_type: CONSUMER,
            protocols: protocols
                .into_iter()
                .map(|(name, metadata)| JoinGroupRequestProtocol { name, metadata })
                .collect(),
            reason: None,
        }
    }

    /// JoinGroup was answered.
    pub(crate) fn joined(&mut self, answer: JoinGroupResponse, now: Instant) -> Joined {
        if self.phase != Phase::Joining {
            return Joined::Not;
        }
        match answer.error_code {
            ErrorCode::NONE => {
                self.identity.member_id = answer.member_id.detach();
                self.identity.generation = answer.generation_id;
                self.protocol = answer.protocol_name.as_ref().map(Text::detach);
                self.phase = Phase::Syncing;
                self.heartbeat_at = Some(now + self.settings.heartbeat_interval);
                if answer.leader != answer.member_id {
                    return Joined::Follower;
                }
                Joined::Leader {
                    protocol: self.protocol.clone().unwrap_or_default(),
                    members: answer.members,
                    keep: answer.skip_assignment,
                }
            }
            ErrorCode::MEMBER_ID_REQUIRED => {
                // KIP-394: the id first, so that a member that dies while joining leaves nothing behind.
                let at = match self.identity.member_id.is_empty() {
                    true => None,
                    false => self.later(now),
                };
                self.identity.member_id = answer.member_id.detach();
                self.outside(at);
                Joined::Not
            }
            code => {
                self.join_failed(code, now);
                Joined::Not
            }
        }
    }

    fn join_failed(&mut self, code: ErrorCode, now: Instant) {
        match code {
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.lose(LostWhy::Refused(code));
                let at = match self.identity.member_id.is_empty() {
                    true => self.later(now),
                    false => self.again(now),
                };
                self.identity.member_id = Text::EMPTY;
                self.outside(at);
            }
            ErrorCode::ILLEGAL_GENERATION => {
                self.lose(LostWhy::Refused(code));
                let at = self.again(now);
                self.outside(at);
            }
            // To a SyncGroup it means: join at once. To a JoinGroup: not now.
            ErrorCode::REBALANCE_IN_PROGRESS if self.phase == Phase::Syncing => {
                let at = self.again(now);
                self.outside(at);
            }
            ErrorCode::FENCED_INSTANCE_ID => self.fail(code),
            code if code == ErrorCode::REBALANCE_IN_PROGRESS || code.is_retriable() => {
                self.coordinator_lost |= is_elsewhere(code);
                let at = self.later(now);
                self.outside(at);
            }
            code => {
                self.refuse(LostWhy::Refused(code));
                self.told.push_back(Told::Failed(code));
            }
        }
    }

    /// When to try again what has just brought the member no further: later each time.
    fn later(&mut self, now: Instant) -> Option<Instant> {
        let delays = self.settings.delays;
        self.pace.falter(0, now, |failures| delays.delay(failures));
        self.pace.due_at()
    }

    /// As [`Member::later`], the first time at once.
    fn again(&mut self, now: Instant) -> Option<Instant> {
        let delays = self.settings.delays;
        self.pace.falter(1, now, |failures| delays.delay(failures));
        self.pace.due_at()
    }

    /// Joining makes no sense until the application has taken the error up.
    pub(crate) fn refuse(&mut self, why: LostWhy) {
        self.lose(why);
        self.outside(None);
        self.phase = Phase::Refused;
    }

    /// The application has taken an error up, and goes on.
    pub(crate) fn resumed(&mut self, now: Instant) {
        if self.phase == Phase::Refused {
            let at = self.later(now);
            self.outside(at);
        }
    }

    fn outside(&mut self, not_before: Option<Instant>) {
        self.phase = Phase::Outside;
        self.not_before = not_before;
        self.heartbeat_at = None;
    }

    fn fail(&mut self, code: ErrorCode) {
        self.lose(LostWhy::Refused(code));
        self.phase = Phase::Ended;
        self.told.push_back(Told::Failed(code));
    }

    fn lose(&mut self, why: LostWhy) {
        // What is being given up is lost with the rest.
        self.revoking.clear();
        self.after_revocation = None;
        self.identity.generation = NO_GENERATION;
        self.identity.owns(std::iter::empty());
        if std::mem::take(&mut self.told_assignment) {
            let partitions = std::mem::take(&mut self.owned).into_iter().collect();
            self.told.push_back(Told::Lost { partitions, why });
        }
    }

    /// The request for the assignment, with everyone's if this member leads.
    pub(crate) fn sync_request(&self, assignments: Vec<(Text, Bytes)>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.settings.group_id.clone(),
            generation_id: self.identity.generation,
            member_id: self.identity.member_id.clone(),
            group_instance_id: self.settings.instance_id.clone(),
            protocol_type: Some(CONSUMER),
            protocol_name: self.protocol.clone(),
            assignments: assignments
                .into_iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                    member_id,
                    assignment,
                })
                .collect(),
        }
    }

    /// SyncGroup was answered.
    pub(crate) fn synced(&mut self, answer: SyncGroupResponse, now: Instant) {
        if self.phase != Phase::Syncing {
            return;
        }
        if answer.error_code != ErrorCode::NONE {
            return self.join_failed(answer.error_code, now);
        }
        self.heartbeat_at = Some(now + self.settings.heartbeat_interval);
        // The bytes are detached: the frame goes back to where it came from.
        let read = protocol::assigned(Bytes::copy_from_slice(&answer.assignment));
        let (partitions, userdata) = match read {
            Ok(read) => read,
            Err(error) => {
                self.refuse(LostWhy::Refused(ErrorCode::CORRUPT_MESSAGE));
                self.told.push_back(Told::Malformed(error));
                return;
            }
        };
        self.phase = Phase::Stable;
        self.pace.gets_on();
        self.given(partitions, userdata);
    }

    fn given(&mut self, by_topic: ByTopic, userdata: Option<Bytes>) {
        let mut given = BTreeSet::new();
        for (topic, partitions) in &by_topic {
            given.extend(partitions.iter().map(|partition| TopicPartition {
                topic: topic.clone(),
                partition: *partition,
            }));
        }
        self.last = Some(LastAssignment {
            generation: self.identity.generation,
            partitions: by_topic,
        });
        let assignment = Assignment {
            generation: self.identity.generation,
            member_id: self.identity.member_id.clone(),
            added: given.difference(&self.owned).cloned().collect(),
            partitions: given.iter().cloned().collect(),
            userdata,
        };
        let gone: Vec<TopicPartition> = self.owned.difference(&given).cloned().collect();
        if gone.is_empty() {
            self.take(assignment);
            if std::mem::take(&mut self.rejoin) {
                self.rebalance(&[]);
            }
        } else {
            self.after_revocation = Some(assignment);
            self.revoke(gone);
        }
    }

    fn take(&mut self, assignment: Assignment) {
        self.owned = assignment.partitions.iter().cloned().collect();
        self.identity.assigns();
        self.identity.owns(self.owned.iter().cloned());
        self.told_assignment = true;
        self.told.push_back(Told::Assigned(assignment));
    }

    fn revoke(&mut self, partitions: Vec<TopicPartition>) {
        self.phase = Phase::Revoking;
        self.revoking.clone_from(&partitions);
        self.told.push_back(Told::Revoke(partitions));
    }

    /// A heartbeat leaves now.
    pub(crate) fn heartbeat_sent(&mut self, now: Instant) {
        self.heartbeat_at = Some(now + self.settings.heartbeat_interval);
    }

    /// A heartbeat was answered.
    pub(crate) fn heard(&mut self, code: ErrorCode, generation: i32, now: Instant) {
        if !matches!(self.phase, Phase::Stable | Phase::Revoking)
            || generation != self.identity.generation
        {
            return;
        }
        match code {
            ErrorCode::NONE => {
                self.pace.gets_on();
                self.complained = false;
            }
            ErrorCode::REBALANCE_IN_PROGRESS => self.rebalance(&[]),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                self.join_failed(code, now);
            }
            ErrorCode::FENCED_INSTANCE_ID => self.fail(code),
            // A member until its session ends, whatever this heartbeat was refused for.
            code => {
                self.coordinator_lost |= is_elsewhere(code);
                self.heartbeat_at = self.later(now);
                if !code.is_retriable() && self.complains() {
                    self.told.push_back(Told::Failed(code));
                }
            }
        }
    }

    /// Whether the application is to get the error of a refused heartbeat: once, until one is answered well.
    pub(crate) fn complains(&mut self) -> bool {
        !std::mem::replace(&mut self.complained, true)
    }

    /// A commit of this generation was refused. Most reasons concern the commit alone.
    pub(crate) fn commit_refused(&mut self, code: ErrorCode, generation: i32, now: Instant) {
        let concerns = matches!(
            code,
            ErrorCode::REBALANCE_IN_PROGRESS
                | ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::FENCED_INSTANCE_ID
        );
        if concerns {
            self.heard(code, generation, now);
        }
    }

    /// A request got no answer: the connection is gone, or it took too long.
    pub(crate) fn unanswered(&mut self, now: Instant) {
        self.coordinator_lost = true;
        let later = self.later(now);
        match self.phase {
            Phase::Joining | Phase::Syncing | Phase::Outside => self.outside(later),
            // Still a member until the session ends: find the coordinator and go on.
            Phase::Stable | Phase::Revoking => self.heartbeat_at = later,
            Phase::Lapsed | Phase::Refused | Phase::Ended => {}
        }
    }

    /// Whether the last answer brought the member further.
    pub(crate) fn gets_on(&self) -> bool {
        self.pace.failures() == 0
    }

    /// Joins again: the group rebalances, or the partitions of its topics are others now. The eager protocol gives up everything first, the
    /// cooperative one what belongs to topics that are no longer subscribed.
    pub(crate) fn rebalance(&mut self, unsubscribed: &[Text]) {
        match self.phase {
            Phase::Stable => {}
            // The request that is out may be of the past already.
            Phase::Joining | Phase::Syncing => return self.rejoin = true,
            // Another subscription may be what was wanting.
            Phase::Refused => return self.outside(None),
            _ => return,
        }
        let give_up: Vec<TopicPartition> = self
            .owned
            .iter()
            .filter(|of| !self.settings.cooperative || unsubscribed.contains(&of.topic))
            .cloned()
            .collect();
        let eager_and_told = !self.settings.cooperative && self.told_assignment;
        if eager_and_told || !give_up.is_empty() {
            self.revoke(give_up);
        } else {
            self.outside(None);
        }
    }

    /// The application has given up what it was asked to.
    pub(crate) fn revoked(&mut self) {
        if self.phase != Phase::Revoking {
            return;
        }
        for partition in std::mem::take(&mut self.revoking) {
            self.owned.remove(&partition);
        }
        self.identity.owns(self.owned.iter().cloned());
        if let Some(assignment) = self.after_revocation.take() {
            self.take(assignment);
        }
        self.told_assignment &= self.settings.cooperative;
        self.outside(None);
    }

    /// The application polls too seldom: leave, tell it once, and wait for its next poll. The request to send, if the
    /// coordinator is to know.
    pub(crate) fn lapse(&mut self) -> Option<LeaveGroupRequest> {
        if !matches!(self.phase, Phase::Stable | Phase::Revoking) {
            return None;
        }
        let leave = self.leave_request(
            GroupMembershipOperation::Default,
            "max.poll.interval.ms passed without a poll",
        );
        // Whatever stood in the queue is of the past; nobody has taken it.
        self.told.clear();
        self.lose(LostWhy::PolledTooSeldom);
        self.phase = Phase::Lapsed;
        self.heartbeat_at = None;
        if leave.is_some() {
            self.identity.member_id = Text::EMPTY;
        }
        leave
    }

    /// The application polls again.
    pub(crate) fn polled(&mut self) {
        if self.phase == Phase::Lapsed {
            self.outside(None);
        }
    }

    /// Ends membership. The request to send, if there is a membership to end: by default static members stay (KIP-345).
    pub(crate) fn leave(&mut self, how: GroupMembershipOperation) -> Option<LeaveGroupRequest> {
        let member = !matches!(self.phase, Phase::Ended | Phase::Lapsed);
        self.phase = Phase::Ended;
        self.owned.clear();
        self.told.clear();
        if member {
            self.leave_request(how, "the consumer was closed")
        } else {
            None
        }
    }

    /// The membership cannot go on: what the application had, and has lost.
    pub(crate) fn abandon(&mut self) -> Vec<TopicPartition> {
        let owned = std::mem::take(&mut self.owned);
        self.phase = Phase::Ended;
        self.told.clear();
        self.identity.generation = NO_GENERATION;
        owned.into_iter().collect()
    }

    fn leave_request(
        &self,
        how: GroupMembershipOperation,
        reason: &'static str,
    ) -> Option<LeaveGroupRequest> {
        let stays = match how {
            GroupMembershipOperation::Default => self.settings.instance_id.is_some(),
            GroupMembershipOperation::Leave => false,
            GroupMembershipOperation::Remain => true,
        };
        if stays || self.identity.member_id.is_empty() {
            return None;
        }
        let member_id = self.identity.member_id.clone();
        Some(LeaveGroupRequest {
            group_id: self.settings.group_id.clone(),
            // Versions below 3 name the one member here, later ones in the list.
            member_id: member_id.clone(),
            members: vec![MemberIdentity {
                member_id,
                group_instance_id: self.settings.instance_id.clone(),
                reason: Some(Text::from_static(reason)),
            }],
        })
    }
}

/// Whether another broker is to be asked.
fn is_elsewhere(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE
    )
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
