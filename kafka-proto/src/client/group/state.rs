//! The classic group protocol as a member sees it: a state machine without I/O or clock. Events and answers go in, what to
//! do next comes out.
//!
//! ```text
//! Outside ──join──▶ Joining ──answer──▶ Syncing ──assignment──▶ Stable ──rebalance──▶ Revoking ──given up──▶ Outside
//!    ▲                 │ retriable error    │ rebalance            │ fenced, unknown member
//!    └─────────────────┴────────────────────┴──────────────────────┘            any ──leave, fatal──▶ Ended
//! ```

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    messages::{
        ErrorCode, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
        SyncGroupRequest, SyncGroupResponse,
        join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember},
        leave_group::MemberIdentity,
        sync_group::SyncGroupRequestAssignment,
    },
    wire::Text,
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
    pub(crate) retry_backoff: Duration,
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
    /// The group rebalances; the application is giving up its partitions. Heartbeats go on.
    Revoking,
    /// The application polls too seldom: outside, and joins only when it polls again.
    Lapsed,
    /// Left, or refused for good.
    Ended,
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
    /// These are the member's partitions from now on, as the leader's bytes.
    Assigned { generation: i32, assignment: Bytes },
    /// Give up all partitions, then acknowledge.
    Revoke,
    /// The partitions are another's already; committing for them is refused.
    Lost { why: LostWhy },
    /// The end: joining again makes no sense.
    Failed(ErrorCode),
}

/// Why partitions were lost without being asked back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostWhy {
    /// The coordinator answered so.
    Refused(ErrorCode),
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
    pub(crate) generation: i32,
}

const NO_GENERATION: i32 = -1;

/// A member of a classic group.
#[derive(Debug)]
pub(crate) struct Member {
    settings: Settings,
    phase: Phase,
    identity: Identity,
    protocol: Option<Text>,
    /// Whether the application holds partitions that it was told of.
    owns: bool,
    /// The coordinator has to be found (again) before the next request.
    coordinator_lost: bool,
    not_before: Option<Instant>,
    heartbeat_at: Option<Instant>,
    told: VecDeque<Told>,
}

impl Member {
    /// `member_id` of an earlier life, if known: after a crash it returns without waiting for its own session to end.
    pub(crate) fn new(settings: Settings, member_id: Option<Text>) -> Self {
        Self {
            settings,
            phase: Phase::Outside,
            identity: Identity {
                member_id: member_id.unwrap_or_default(),
                generation: NO_GENERATION,
            },
            protocol: None,
            owns: false,
            coordinator_lost: false,
            not_before: None,
            heartbeat_at: None,
            told: VecDeque::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
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
            Phase::Joining | Phase::Lapsed | Phase::Ended => Step::Wait(None),
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
                self.identity = Identity {
                    member_id: answer.member_id.detach(),
                    generation: answer.generation_id,
                };
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
                self.identity.member_id = answer.member_id.detach();
                self.outside(None);
                Joined::Not
            }
            code => {
                self.join_failed(code, now);
                Joined::Not
            }
        }
    }

    fn join_failed(&mut self, code: ErrorCode, now: Instant) {
        let later = Some(now + self.settings.retry_backoff);
        match code {
            ErrorCode::UNKNOWN_MEMBER_ID => {
                let at_once = !self.identity.member_id.is_empty();
                self.identity = Identity {
                    member_id: Text::EMPTY,
                    generation: NO_GENERATION,
                };
                self.outside(if at_once { None } else { later });
            }
            ErrorCode::ILLEGAL_GENERATION => {
                self.identity.generation = NO_GENERATION;
                self.outside(None);
            }
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                self.coordinator_lost = true;
                self.outside(later);
            }
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => self.outside(later),
            // To a SyncGroup it means: join at once. To a JoinGroup: not now.
            ErrorCode::REBALANCE_IN_PROGRESS if self.phase == Phase::Syncing => self.outside(None),
            ErrorCode::REBALANCE_IN_PROGRESS => self.outside(later),
            code if code.is_retriable() => self.outside(later),
            code => self.fail(code),
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
        if std::mem::take(&mut self.owns) {
            self.told.push_back(Told::Lost { why });
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
        self.phase = Phase::Stable;
        self.heartbeat_at = Some(now + self.settings.heartbeat_interval);
        self.owns = true;
        self.told.push_back(Told::Assigned {
            generation: self.identity.generation,
            // A copy, so that the frame goes back to where it came from.
            assignment: Bytes::copy_from_slice(&answer.assignment),
        });
    }

    /// A heartbeat leaves now.
    pub(crate) fn heartbeat_sent(&mut self, now: Instant) {
        self.heartbeat_at = Some(now + self.settings.heartbeat_interval);
    }

    /// A heartbeat was answered, or a commit with an error that concerns membership.
    pub(crate) fn heard(&mut self, code: ErrorCode, generation: i32, now: Instant) {
        if !matches!(self.phase, Phase::Stable | Phase::Revoking)
            || generation != self.identity.generation
        {
            return;
        }
        match code {
            ErrorCode::NONE => {}
            ErrorCode::REBALANCE_IN_PROGRESS => self.rebalance(),
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                self.coordinator_lost = true;
                self.heartbeat_at = Some(now + self.settings.retry_backoff);
            }
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                self.lose(LostWhy::Refused(code));
                self.join_failed(code, now);
            }
            code if code.is_retriable() => {
                self.heartbeat_at = Some(now + self.settings.retry_backoff)
            }
            code => self.fail(code),
        }
    }

    /// A request got no answer: the connection is gone, or it took too long.
    pub(crate) fn unanswered(&mut self, now: Instant) {
        self.coordinator_lost = true;
        let later = Some(now + self.settings.retry_backoff);
        match self.phase {
            Phase::Joining | Phase::Syncing | Phase::Outside => self.outside(later),
            // Still a member until the session ends: find the coordinator and go on.
            Phase::Stable | Phase::Revoking => self.heartbeat_at = later,
            Phase::Lapsed | Phase::Ended => {}
        }
    }

    /// Joins again: the subscription or the partitions of its topics are others now. The eager protocol gives up everything first.
    pub(crate) fn rebalance(&mut self) {
        match self.phase {
            Phase::Stable if self.owns => {
                self.phase = Phase::Revoking;
                self.told.push_back(Told::Revoke);
            }
            Phase::Stable => self.outside(None),
            _ => {}
        }
    }

    /// The application has given up what it was asked to.
    pub(crate) fn revoked(&mut self) {
        if self.phase == Phase::Revoking {
            self.owns = false;
            self.outside(None);
        }
    }

    /// The application polls too seldom: leave, tell it once, and wait for its next poll. The request to send, if the
    /// coordinator is to know.
    pub(crate) fn lapse(&mut self) -> Option<LeaveGroupRequest> {
        if !matches!(self.phase, Phase::Stable | Phase::Revoking) {
            return None;
        }
        let leave = self.leave_request("max.poll.interval.ms passed without a poll");
        // Whatever stood in the queue is of the past; nobody has taken it.
        self.told.clear();
        self.lose(LostWhy::PolledTooSeldom);
        self.phase = Phase::Lapsed;
        self.heartbeat_at = None;
        self.identity.generation = NO_GENERATION;
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

    /// Ends membership. The request to send, if there is a membership to end: static members stay (KIP-345).
    pub(crate) fn leave(&mut self) -> Option<LeaveGroupRequest> {
        let member = !matches!(self.phase, Phase::Ended | Phase::Lapsed);
        self.phase = Phase::Ended;
        self.owns = false;
        self.told.clear();
        if member {
            self.leave_request("the consumer was closed")
        } else {
            None
        }
    }

    fn leave_request(&self, reason: &'static str) -> Option<LeaveGroupRequest> {
        if self.settings.instance_id.is_some() || self.identity.member_id.is_empty() {
            return None;
        }
        let member_id = self.identity.member_id.clone();
        Some(LeaveGroupRequest {
            group_id: self.settings.group_id.clone(),
            // Versions below 3 name the one member here, later ones in the list.
            member_id: member_id.clone(),
            members: vec![MemberIdentity {
                member_id,
                group_instance_id: None,
                reason: Some(Text::from_static(reason)),
            }],
        })
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Duration = Duration::from_millis(100);
    const HEARTBEAT: Duration = Duration::from_secs(3);

    fn settings(instance_id: Option<&str>) -> Settings {
        Settings {
            group_id: Text::from("g"),
            instance_id: instance_id.map(Text::from),
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            heartbeat_interval: HEARTBEAT,
            retry_backoff: BACKOFF,
        }
    }

    fn joined(
        error_code: ErrorCode,
        member: &str,
        leader: &str,
        generation_id: i32,
    ) -> JoinGroupResponse {
        JoinGroupResponse {
            error_code,
            member_id: Text::from(member),
            leader: Text::from(leader),
            generation_id,
            protocol_name: Some(Text::from("range")),
            ..JoinGroupResponse::default()
        }
    }

    fn synced(error_code: ErrorCode) -> SyncGroupResponse {
        SyncGroupResponse {
            error_code,
            assignment: Bytes::from_static(b"mine"),
            ..SyncGroupResponse::default()
        }
    }

    fn stable(now: Instant) -> Member {
        let mut member = Member::new(settings(None), None);
        member.join_request(Vec::new());
        assert_eq!(
            member.joined(joined(ErrorCode::NONE, "m1", "other", 5), now),
            Joined::Follower
        );
        member.synced(synced(ErrorCode::NONE), now);
        assert!(matches!(
            member.tell(),
            Some(Told::Assigned { generation: 5, .. })
        ));
        member
    }

    #[test]
    fn a_first_join_asks_for_an_id_and_comes_back_with_it() {
        let now = Instant::now();
        let mut member = Member::new(settings(None), None);
        assert_eq!(member.next(now), Step::Join);
        assert_eq!(member.join_request(Vec::new()).member_id, "");
        assert_eq!(member.next(now), Step::Wait(None));
        assert_eq!(
            member.joined(joined(ErrorCode::MEMBER_ID_REQUIRED, "m1", "", -1), now),
            Joined::Not
        );
        assert_eq!(member.next(now), Step::Join, "at once");
        assert_eq!(member.join_request(Vec::new()).member_id, "m1");
    }

    #[test]
    fn a_supplied_member_id_is_used_until_the_coordinator_denies_it() {
        let now = Instant::now();
        let mut member = Member::new(settings(None), Some(Text::from("old")));
        assert_eq!(member.join_request(Vec::new()).member_id, "old");
        member.joined(joined(ErrorCode::UNKNOWN_MEMBER_ID, "", "", -1), now);
        assert_eq!(member.join_request(Vec::new()).member_id, "");
    }

    #[test]
    fn the_leader_gets_the_members_and_a_static_one_may_keep_its_assignment() {
        let now = Instant::now();
        let mut member = Member::new(settings(Some("a")), None);
        member.join_request(Vec::new());
        let mut answer = joined(ErrorCode::NONE, "m1", "m1", 1);
        answer.members = vec![JoinGroupResponseMember::default()];
        answer.skip_assignment = true;
        let Joined::Leader {
            protocol,
            members,
            keep,
        } = member.joined(answer, now)
        else {
            panic!("it leads");
        };
        assert_eq!((&*protocol, members.len(), keep), ("range", 1, true));
        assert_eq!(member.next(now), Step::Sync);
        let sync = member.sync_request(Vec::new());
        assert_eq!((sync.generation_id, &*sync.member_id), (1, "m1"));
    }

    #[test]
    fn heartbeats_follow_the_interval() {
        let now = Instant::now();
        let mut member = stable(now);
        assert_eq!(member.next(now), Step::Wait(Some(now + HEARTBEAT)));
        let then = now + HEARTBEAT;
        let Step::Heartbeat(heartbeat) = member.next(then) else {
            panic!("due")
        };
        assert_eq!((heartbeat.generation_id, &*heartbeat.member_id), (5, "m1"));
        member.heartbeat_sent(then);
        assert_eq!(member.next(then), Step::Wait(Some(then + HEARTBEAT)));
    }

    #[test]
    fn a_rebalance_revokes_first_with_heartbeats_going_on_and_joins_after_the_acknowledgement() {
        let now = Instant::now();
        let mut member = stable(now);
        member.heard(ErrorCode::REBALANCE_IN_PROGRESS, 5, now);
        assert_eq!(member.tell(), Some(Told::Revoke));
        assert_eq!(member.phase(), Phase::Revoking);
        assert!(matches!(member.next(now + HEARTBEAT), Step::Heartbeat(_)));
        member.heard(ErrorCode::REBALANCE_IN_PROGRESS, 5, now);
        assert_eq!(member.tell(), None, "told once");
        member.revoked();
        assert_eq!(member.next(now), Step::Join);
        assert_eq!(
            member.join_request(Vec::new()).member_id,
            "m1",
            "the same member"
        );
    }

    #[test]
    fn heartbeat_answers_of_an_earlier_generation_change_nothing() {
        let now = Instant::now();
        let mut member = stable(now);
        member.heard(ErrorCode::ILLEGAL_GENERATION, 4, now);
        assert_eq!((member.phase(), member.tell()), (Phase::Stable, None));
    }

    #[test]
    fn what_the_coordinator_answers_decides_whether_partitions_are_lost() {
        // (answer to a heartbeat, phase after it, partitions lost, member id kept, coordinator sought)
        let table = [
            (ErrorCode::NONE, Phase::Stable, false, true, false),
            (
                ErrorCode::UNKNOWN_MEMBER_ID,
                Phase::Outside,
                true,
                false,
                false,
            ),
            (
                ErrorCode::ILLEGAL_GENERATION,
                Phase::Outside,
                true,
                true,
                false,
            ),
            (ErrorCode::NOT_COORDINATOR, Phase::Stable, false, true, true),
            (
                ErrorCode::COORDINATOR_NOT_AVAILABLE,
                Phase::Stable,
                false,
                true,
                true,
            ),
            (
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                Phase::Stable,
                false,
                true,
                false,
            ),
            (
                ErrorCode::FENCED_INSTANCE_ID,
                Phase::Ended,
                true,
                true,
                false,
            ),
            (
                ErrorCode::GROUP_AUTHORIZATION_FAILED,
                Phase::Ended,
                true,
                true,
                false,
            ),
        ];
        let now = Instant::now();
        for (code, phase, lost, kept, sought) in table {
            let mut member = stable(now);
            member.heard(code, 5, now);
            assert_eq!(member.phase(), phase, "{code}");
            let told = member.tell();
            assert_eq!(
                matches!(told, Some(Told::Lost { .. })),
                lost,
                "{code}: {told:?}"
            );
            assert_eq!(member.identity().member_id == "m1", kept, "{code}");
            assert_eq!(member.take_coordinator_lost(), sought, "{code}");
            if phase == Phase::Ended {
                assert_eq!(member.tell(), Some(Told::Failed(code)));
            }
        }
    }

    #[test]
    fn what_the_coordinator_answers_to_a_join_decides_when_to_try_again() {
        let now = Instant::now();
        // (answer, wait, coordinator sought)
        let table = [
            (
                ErrorCode::UNKNOWN_MEMBER_ID,
                Step::Wait(Some(now + BACKOFF)),
                false,
            ),
            (
                ErrorCode::REBALANCE_IN_PROGRESS,
                Step::Wait(Some(now + BACKOFF)),
                false,
            ),
            (
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                Step::Wait(Some(now + BACKOFF)),
                false,
            ),
            (
                ErrorCode::NOT_COORDINATOR,
                Step::Wait(Some(now + BACKOFF)),
                true,
            ),
            (
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                Step::Wait(None),
                false,
            ),
            (ErrorCode::FENCED_INSTANCE_ID, Step::Wait(None), false),
        ];
        for (code, step, sought) in table {
            let mut member = Member::new(settings(None), None);
            member.join_request(Vec::new());
            member.joined(joined(code, "", "", -1), now);
            assert_eq!(member.next(now), step, "{code}");
            assert_eq!(member.take_coordinator_lost(), sought, "{code}");
        }
    }

    #[test]
    fn a_rebalance_during_sync_joins_again_without_a_revocation() {
        let now = Instant::now();
        let mut member = Member::new(settings(None), None);
        member.join_request(Vec::new());
        member.joined(joined(ErrorCode::NONE, "m1", "x", 1), now);
        member.synced(synced(ErrorCode::REBALANCE_IN_PROGRESS), now);
        assert_eq!((member.next(now), member.tell()), (Step::Join, None));
    }

    #[test]
    fn a_lost_connection_keeps_a_stable_member_and_its_partitions() {
        let now = Instant::now();
        let mut member = stable(now);
        member.unanswered(now);
        assert!(member.take_coordinator_lost());
        assert_eq!((member.phase(), member.tell()), (Phase::Stable, None));
        assert_eq!(member.next(now), Step::Wait(Some(now + BACKOFF)));
    }

    #[test]
    fn polling_too_seldom_leaves_once_and_joins_at_the_next_poll() {
        let now = Instant::now();
        let mut member = stable(now);
        let leave = member.lapse().expect("the coordinator is told");
        assert_eq!(leave.members[0].member_id, "m1");
        assert_eq!(
            member.tell(),
            Some(Told::Lost {
                why: LostWhy::PolledTooSeldom
            })
        );
        assert_eq!((member.lapse(), member.tell()), (None, None));
        assert_eq!(member.next(now), Step::Wait(None));
        member.polled();
        assert_eq!(member.next(now), Step::Join);
        assert_eq!(
            member.join_request(Vec::new()).member_id,
            "",
            "the old membership was left"
        );
    }

    #[test]
    fn static_members_do_not_leave() {
        let now = Instant::now();
        let mut member = Member::new(settings(Some("a")), None);
        member.join_request(Vec::new());
        member.joined(joined(ErrorCode::NONE, "m1", "x", 1), now);
        member.synced(synced(ErrorCode::NONE), now);
        assert_eq!(member.leave(), None);
        assert_eq!(member.phase(), Phase::Ended);
    }

    #[test]
    fn leaving_names_the_member_once() {
        let mut member = stable(Instant::now());
        assert!(member.leave().is_some());
        assert_eq!(member.leave(), None);
        assert_eq!(member.next(Instant::now()), Step::Wait(None));
    }

    #[test]
    fn an_answer_to_a_join_after_leaving_changes_nothing() {
        let now = Instant::now();
        let mut member = Member::new(settings(None), None);
        member.join_request(Vec::new());
        member.leave();
        assert_eq!(
            member.joined(joined(ErrorCode::NONE, "m1", "m1", 1), now),
            Joined::Not
        );
        assert_eq!(member.phase(), Phase::Ended);
    }
}
