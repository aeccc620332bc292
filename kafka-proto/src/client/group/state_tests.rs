//! The classic protocol's state machine, event by event.

use super::super::MemberAssignment;
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
        delays: Delays {
            backoff: Backoff::new(BACKOFF, 10 * BACKOFF),
            spread: 0.5,
        },
        cooperative: false,
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
        assignment: protocol::assignment(&MemberAssignment {
            partitions: vec![(Text::from("t"), vec![0, 1])],
            ..MemberAssignment::default()
        }),
        ..SyncGroupResponse::default()
    }
}

fn partitions(of: &[i32]) -> Vec<TopicPartition> {
    of.iter().map(|of| TopicPartition::new("t", *of)).collect()
}

/// The member joins as `generation` and is given these partitions of `t`.
fn joins(member: &mut Member, generation: i32, given: &[i32], now: Instant) {
    assert_eq!(member.next(now), Step::Join);
    member.join_request(Vec::new());
    member.joined(joined(ErrorCode::NONE, "m1", "other", generation), now);
    let assignment = protocol::assignment(&MemberAssignment {
        partitions: vec![(Text::from("t"), given.to_vec())],
        ..MemberAssignment::default()
    });
    member.synced(
        SyncGroupResponse {
            assignment,
            ..SyncGroupResponse::default()
        },
        now,
    );
}

fn cooperative() -> Member {
    let settings = Settings {
        cooperative: true,
        ..settings(None)
    };
    Member::new(settings, None)
}

fn told_assigned(member: &mut Member) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
    match member.tell() {
        Some(Told::Assigned(Assignment {
            partitions, added, ..
        })) => (partitions, added),
        told => panic!("{told:?}"),
    }
}

#[test]
fn a_cooperative_member_joins_with_what_it_has_and_gives_up_only_what_it_loses() {
    let now = Instant::now();
    let mut member = cooperative();
    joins(&mut member, 1, &[0, 1, 2], now);
    assert_eq!(told_assigned(&mut member).1, partitions(&[0, 1, 2]));

    member.heard(ErrorCode::REBALANCE_IN_PROGRESS, 1, now);
    assert_eq!(member.tell(), None, "nothing is given up before it joins");
    assert_eq!(member.owned_by_topic(), [(Text::from("t"), vec![0, 1, 2])]);
    joins(&mut member, 2, &[0, 3], now);
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[1, 2]))));
    assert_eq!(member.tell(), None, "what is new comes after that");
    assert!(matches!(member.next(now + HEARTBEAT), Step::Heartbeat(_)));
    member.revoked();
    assert_eq!(
        told_assigned(&mut member),
        (partitions(&[0, 3]), partitions(&[3]))
    );
    // Once more, so that the two can go to others.
    assert_eq!(member.owned_by_topic(), [(Text::from("t"), vec![0, 3])]);
    joins(&mut member, 3, &[0, 3], now);
    assert_eq!(
        told_assigned(&mut member),
        (partitions(&[0, 3]), partitions(&[]))
    );
    assert_eq!(member.phase(), Phase::Stable);
}

#[test]
fn a_cooperative_member_that_is_taken_for_dead_while_it_joins_loses_what_it_had() {
    let now = Instant::now();
    let mut member = cooperative();
    joins(&mut member, 1, &[0, 1], now);
    member.tell();
    member.rebalance(&[]);
    member.join_request(Vec::new());
    member.joined(joined(ErrorCode::UNKNOWN_MEMBER_ID, "", "", -1), now);
    assert_eq!(
        member.tell(),
        Some(Told::Lost {
            partitions: partitions(&[0, 1]),
            why: LostWhy::Refused(ErrorCode::UNKNOWN_MEMBER_ID)
        })
    );
    assert_eq!((member.owned_by_topic(), member.tell()), (Vec::new(), None));
}

#[test]
fn partitions_of_a_topic_that_is_no_longer_subscribed_are_given_up_before_joining() {
    let now = Instant::now();
    let mut member = cooperative();
    joins(&mut member, 1, &[0], now);
    member.tell();
    member.rebalance(&[Text::from("t")]);
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[0]))));
    member.revoked();
    assert_eq!(
        (member.next(now), member.owned_by_topic()),
        (Step::Join, Vec::new())
    );
}

#[test]
fn a_subscription_that_changes_while_joining_joins_once_more() {
    let now = Instant::now();
    let mut member = Member::new(settings(None), None);
    member.join_request(Vec::new());
    member.rebalance(&[]);
    member.joined(joined(ErrorCode::NONE, "m1", "other", 1), now);
    member.synced(synced(ErrorCode::NONE), now);
    told_assigned(&mut member);
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[0, 1]))));
}

#[test]
fn bytes_that_are_no_assignment_are_told_and_the_member_joins_again_when_that_is_taken_up() {
    let now = Instant::now();
    let mut member = Member::new(settings(None), None);
    member.join_request(Vec::new());
    member.joined(joined(ErrorCode::NONE, "m1", "other", 1), now);
    let mut answer = synced(ErrorCode::NONE);
    answer.assignment = Bytes::from_static(b"\0\x01nonsense");
    member.synced(answer, now);
    assert!(matches!(member.tell(), Some(Told::Malformed(_))));
    assert_eq!(member.next(now), Step::Wait(None));
    member.resumed(now);
    assert_eq!(member.next(now), Step::Wait(Some(now + BACKOFF)));
    assert_eq!(member.next(now + BACKOFF), Step::Join);
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
        Some(Told::Assigned(Assignment { generation: 5, .. }))
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
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[0, 1]))));
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
            Phase::Stable,
            false,
            true,
            false,
        ),
        (
            ErrorCode::UNKNOWN_SERVER_ERROR,
            Phase::Stable,
            false,
            true,
            false,
        ),
    ];
    let now = Instant::now();
    for (code, phase, lost, kept, sought) in table {
        let mut member = stable(now);
        member.heard(code, 5, now);
        assert_eq!(member.phase(), phase, "{code}");
        let told = if lost { member.tell() } else { None };
        assert_eq!(
            matches!(told, Some(Told::Lost { .. })),
            lost,
            "{code}: {told:?}"
        );
        assert_eq!(member.identity().member_id == "m1", kept, "{code}");
        assert_eq!(member.take_coordinator_lost(), sought, "{code}");
        let is_told = phase == Phase::Ended || (phase == Phase::Stable && !code.is_retriable());
        let failed = (is_told && code != ErrorCode::NONE).then_some(Told::Failed(code));
        assert_eq!(member.tell(), failed, "{code}");
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
            partitions: partitions(&[0, 1]),
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
    assert_eq!(member.leave(GroupMembershipOperation::Default), None);
    assert_eq!(member.phase(), Phase::Ended);
}

#[test]
fn a_static_member_leaves_when_it_is_told_to_and_a_dynamic_one_stays() {
    let now = Instant::now();
    let mut member = Member::new(settings(Some("a")), None);
    member.join_request(Vec::new());
    member.joined(joined(ErrorCode::NONE, "m1", "x", 1), now);
    let leave = member.leave(GroupMembershipOperation::Leave).unwrap();
    let identity = &leave.members[0];
    assert_eq!(&*identity.member_id, "m1");
    assert_eq!(identity.group_instance_id.as_deref(), Some("a"));
    assert_eq!(stable(now).leave(GroupMembershipOperation::Remain), None);
}

#[test]
fn leaving_names_the_member_once() {
    let mut member = stable(Instant::now());
    assert!(member.leave(GroupMembershipOperation::Default).is_some());
    assert_eq!(member.leave(GroupMembershipOperation::Default), None);
    assert_eq!(member.next(Instant::now()), Step::Wait(None));
}

#[test]
fn an_answer_to_a_join_after_leaving_changes_nothing() {
    let now = Instant::now();
    let mut member = Member::new(settings(None), None);
    member.join_request(Vec::new());
    member.leave(GroupMembershipOperation::Default);
    assert_eq!(
        member.joined(joined(ErrorCode::NONE, "m1", "m1", 1), now),
        Joined::Not
    );
    assert_eq!(member.phase(), Phase::Ended);
}

#[test]
fn what_asked_for_another_join_is_settled_by_the_next_one() {
    let now = Instant::now();
    let mut member = Member::new(settings(None), None);
    member.join_request(Vec::new());
    // The subscription changes; the request that does not know of it fails, and the next one does.
    member.rebalance(&[]);
    let code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    member.joined(joined(code, "", "", -1), now);
    member.join_request(Vec::new());
    member.joined(joined(ErrorCode::NONE, "m1", "other", 1), now);
    member.synced(synced(ErrorCode::NONE), now);
    told_assigned(&mut member);
    assert_eq!((member.phase(), member.tell()), (Phase::Stable, None));
}

#[test]
fn what_an_eager_member_gave_up_is_not_lost_as_well() {
    let now = Instant::now();
    let mut member = stable(now);
    member.heard(ErrorCode::REBALANCE_IN_PROGRESS, 5, now);
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[0, 1]))));
    member.revoked();
    member.join_request(Vec::new());
    member.joined(joined(ErrorCode::UNKNOWN_MEMBER_ID, "", "", -1), now);
    assert_eq!(member.tell(), None);
}

#[test]
fn a_member_that_leaves_for_silence_drops_what_nobody_has_taken() {
    let now = Instant::now();
    let mut member = stable(now);
    member.heard(ErrorCode::REBALANCE_IN_PROGRESS, 5, now);
    // The revocation still stands in the queue.
    member.lapse();
    let lost = Told::Lost {
        partitions: partitions(&[0, 1]),
        why: LostWhy::PolledTooSeldom,
    };
    assert_eq!((member.tell(), member.tell()), (Some(lost), None));
}

#[test]
fn a_join_that_is_refused_waits_until_that_is_taken_up_and_longer_each_time() {
    let now = Instant::now();
    let mut member = Member::new(settings(None), None);
    for delay in [BACKOFF, 2 * BACKOFF, 4 * BACKOFF] {
        member.join_request(Vec::new());
        let code = ErrorCode::GROUP_AUTHORIZATION_FAILED;
        member.joined(joined(code, "", "", -1), now);
        assert_eq!(member.tell(), Some(Told::Failed(code)));
        assert_eq!(member.next(now), Step::Wait(None));
        member.resumed(now);
        assert_eq!(member.next(now), Step::Wait(Some(now + delay)));
    }
}

#[test]
fn a_refused_commit_concerns_the_membership_only_if_its_code_does() {
    let now = Instant::now();
    for code in ErrorCode::ALL {
        let mut member = stable(now);
        member.commit_refused(*code, 5, now);
        let phase = match *code {
            ErrorCode::REBALANCE_IN_PROGRESS => Phase::Revoking,
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => Phase::Outside,
            ErrorCode::FENCED_INSTANCE_ID => Phase::Ended,
            _ => Phase::Stable,
        };
        assert_eq!(member.phase(), phase, "{code}");
        assert_eq!(member.tell().is_none(), phase == Phase::Stable, "{code}");
    }
}

#[test]
fn a_commit_from_before_a_loss_does_not_count_although_the_partition_came_back() {
    let now = Instant::now();
    let mut member = cooperative();
    joins(&mut member, 1, &[0, 1], now);
    let before = member.identity().clone();
    let fits = |member: &Member, of: &[i32]| {
        let identity = member.identity();
        identity.continues(&before, partitions(of).into_iter())
    };
    assert!(fits(&member, &[0, 1]));
    member.rebalance(&[]);
    joins(&mut member, 2, &[0], now);
    assert!(fits(&member, &[0]), "kept through the rebalance");
    member.revoked();
    assert!(!fits(&member, &[1]), "given up");
    joins(&mut member, 3, &[0, 1], now);
    assert!(fits(&member, &[0]));
    assert!(!fits(&member, &[0, 1]), "another had it in between");
    member.heard(ErrorCode::UNKNOWN_MEMBER_ID, 3, now);
    joins(&mut member, 4, &[0], now);
    assert!(!fits(&member, &[0]), "lost, and back");
}

#[test]
fn what_another_member_processed_is_not_this_ones_to_commit() {
    let mut one = Identity::of_classic(Text::from("m1"));
    one.generation = 3;
    let other = Identity {
        member_id: Text::from("m2"),
        ..one.clone()
    };
    let all = || partitions(&[0, 1]).into_iter();
    assert!(one.continues(&one, all()));
    assert!(!other.continues(&one, all()));
}

#[test]
fn an_id_that_is_demanded_again_and_again_is_brought_later_each_time() {
    let now = Instant::now();
    let mut member = Member::new(settings(None), None);
    for delay in [None, Some(BACKOFF), Some(2 * BACKOFF)] {
        member.join_request(Vec::new());
        member.joined(joined(ErrorCode::MEMBER_ID_REQUIRED, "m1", "", -1), now);
        let next = delay.map_or(Step::Join, |delay| Step::Wait(Some(now + delay)));
        assert_eq!(member.next(now), next);
    }
}

#[test]
fn a_member_that_gets_on_begins_anew_with_its_pauses_and_its_complaints() {
    let now = Instant::now();
    let mut member = stable(now);
    let code = ErrorCode::GROUP_AUTHORIZATION_FAILED;
    for _ in 0..2 {
        member.heard(code, 5, now);
        assert_eq!(member.tell(), Some(Told::Failed(code)));
        member.heard(code, 5, now);
        assert_eq!(member.tell(), None, "said once");
        member.heard(ErrorCode::NONE, 5, now);
    }
    let mut member = Member::new(settings(None), None);
    member.join_request(Vec::new());
    member.unanswered(now);
    assert_eq!(member.next(now), Step::Wait(Some(now + BACKOFF)));
    joins(&mut member, 1, &[0], now + BACKOFF);
    assert!(member.gets_on());
    member.polled();
    assert_eq!(member.phase(), Phase::Stable, "a poll is no reason to join");
}

#[test]
fn an_assignment_that_waited_for_a_revocation_is_lost_with_the_rest() {
    let now = Instant::now();
    let mut member = cooperative();
    joins(&mut member, 1, &[0, 1], now);
    member.heard(ErrorCode::REBALANCE_IN_PROGRESS, 1, now);
    joins(&mut member, 2, &[0], now);
    member.heard(ErrorCode::UNKNOWN_MEMBER_ID, 2, now);
    joins(&mut member, 3, &[0], now);
    while member.tell().is_some() {}
    member.rebalance(&[Text::from("t")]);
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[0]))));
    member.revoked();
    assert_eq!(member.tell(), None);
    assert!(member.owned_by_topic().is_empty());
}
