//! The newer protocol's state machine, heartbeat by heartbeat.

use crate::messages::consumer_group_heartbeat::Assignment as Given;

use super::*;

const BACKOFF: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_secs(3);

fn settings(instance_id: Option<&str>) -> Settings {
    Settings {
        group_id: Text::from("g"),
        instance_id: instance_id.map(Text::from),
        rack: Some(Text::from("rack")),
        assignor: Some(Text::from("range")),
        rebalance_timeout: Duration::from_secs(300),
        delays: Delays {
            backoff: crate::client::Backoff::new(BACKOFF, 10 * BACKOFF),
            spread: 0.5,
        },
    }
}

fn id(of: u8) -> Uuid {
    Uuid([of; 16])
}

fn name(of: Uuid) -> Option<Text> {
    (of == id(1)).then(|| Text::from("t"))
}

fn topics(names: &[&str]) -> Subscription {
    Subscription {
        topics: names.iter().map(|name| Text::from(*name)).collect(),
        pattern: None,
    }
}

fn new() -> Member {
    Member::new(settings(None), Text::from("me"), topics(&["t"]))
}

fn answer(epoch: i32, given: Option<&[i32]>) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        member_epoch: epoch,
        heartbeat_interval_ms: INTERVAL.as_millis() as i32,
        assignment: given.map(|given| Given {
            topic_partitions: vec![TopicPartitions {
                topic_id: id(1),
                partitions: given.to_vec(),
            }],
        }),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn error(error_code: ErrorCode) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code,
        error_message: Some(Text::from("in words")),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn beat(
    member: &mut Member,
    now: Instant,
    answer: ConsumerGroupHeartbeatResponse,
) -> ConsumerGroupHeartbeatRequest {
    let request = member.heartbeat(now);
    member.answered(answer, now, name);
    request
}

fn partitions(of: &[i32]) -> Vec<TopicPartition> {
    of.iter().map(|of| TopicPartition::new("t", *of)).collect()
}

fn owned(request: &ConsumerGroupHeartbeatRequest) -> Option<Vec<i32>> {
    let topics = request.topic_partitions.as_ref()?;
    Some(
        topics
            .iter()
            .flat_map(|topic| topic.partitions.clone())
            .collect(),
    )
}

fn told_assigned(member: &mut Member) -> (i32, Vec<TopicPartition>, Vec<TopicPartition>) {
    match member.tell() {
        Some(Told::Assigned(of)) => (of.generation, of.partitions, of.added),
        told => panic!("{told:?}"),
    }
}

/// A member with partitions 0, 1 and 2 in epoch 1, which it has said.
fn stable(now: Instant) -> Member {
    let mut member = new();
    beat(&mut member, now, answer(1, Some(&[0, 1, 2])));
    told_assigned(&mut member);
    beat(&mut member, now, answer(1, None));
    member
}

#[test]
fn the_first_heartbeat_says_everything_and_later_ones_what_changed() {
    let now = Instant::now();
    let mut member = new();
    assert_eq!(member.next(now), Some(now));
    let first = beat(&mut member, now, answer(1, Some(&[0])));
    assert_eq!((first.member_epoch, &*first.member_id), (0, "me"));
    assert_eq!(first.rebalance_timeout_ms, 300_000);
    assert_eq!(first.subscribed_topic_names, Some(vec![Text::from("t")]));
    assert_eq!(first.server_assignor.as_deref(), Some("range"));
    assert_eq!(first.rack_id.as_deref(), Some("rack"));
    assert_eq!(owned(&first), Some(vec![]), "nothing is owned by who joins");
    assert_eq!(
        told_assigned(&mut member),
        (1, partitions(&[0]), partitions(&[0]))
    );

    assert_eq!(member.next(now), Some(now), "what it has is said at once");
    let second = beat(&mut member, now, answer(1, None));
    assert_eq!((second.member_epoch, owned(&second)), (1, Some(vec![0])));
    assert_eq!(
        (second.rebalance_timeout_ms, second.subscribed_topic_names),
        (-1, None)
    );
    assert_eq!((second.server_assignor, second.rack_id), (None, None));

    assert_eq!(member.next(now), Some(now + INTERVAL));
    let third = beat(&mut member, now + INTERVAL, answer(1, None));
    assert_eq!(owned(&third), None, "nothing changed");
    assert_eq!(member.tell(), None);
}

#[test]
fn an_empty_assignment_is_told_once() {
    let now = Instant::now();
    let mut member = new();
    beat(&mut member, now, answer(1, Some(&[])));
    assert_eq!(told_assigned(&mut member), (1, vec![], vec![]));
    beat(&mut member, now, answer(2, Some(&[])));
    assert_eq!(member.tell(), None);
}

#[test]
fn what_is_not_in_the_assignment_is_given_up_before_anything_new_is_taken() {
    let now = Instant::now();
    let mut member = stable(now);
    beat(&mut member, now, answer(1, Some(&[0, 3])));
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[1, 2]))));
    assert_eq!(member.tell(), None);
    // The application takes its time: heartbeats go on, and say nothing of what it still has.
    let meanwhile = beat(&mut member, now + INTERVAL, answer(1, None));
    assert_eq!((owned(&meanwhile), member.tell()), (None, None));
    member.revoked(name);
    assert_eq!(
        told_assigned(&mut member),
        (1, partitions(&[0, 3]), partitions(&[3]))
    );
    assert_eq!(member.next(now), Some(now), "the others wait for it");
    assert_eq!(owned(&member.heartbeat(now)), Some(vec![0, 3]));
}

#[test]
fn an_assignment_that_changes_while_partitions_are_given_up_is_taken_up_afterwards() {
    let now = Instant::now();
    let mut member = stable(now);
    beat(&mut member, now, answer(1, Some(&[0, 1])));
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[2]))));
    beat(&mut member, now, answer(1, Some(&[0])));
    assert_eq!(member.tell(), None);
    member.revoked(name);
    assert_eq!(member.tell(), Some(Told::Revoke(partitions(&[1]))));
    member.revoked(name);
    assert_eq!(owned(&member.heartbeat(now)), Some(vec![0]));
}

/// Behaviour 32.
#[test]
fn an_assigned_topic_that_has_no_name_yet_is_kept_and_taken_when_it_has() {
    let now = Instant::now();
    let mut member = new();
    let mut given = answer(1, Some(&[0]));
    given
        .assignment
        .as_mut()
        .unwrap()
        .topic_partitions
        .push(TopicPartitions {
            topic_id: id(2),
            partitions: vec![5],
        });
    beat(&mut member, now, given);
    assert_eq!(told_assigned(&mut member).1, partitions(&[0]));
    assert!(member.has_nameless());
    assert_eq!(
        owned(&member.heartbeat(now)),
        Some(vec![0]),
        "what it took is what it has"
    );
    member.answered(answer(1, None), now, name);
    member.reconcile(|of| name(of).or_else(|| Some(Text::from("later"))));
    let (_, all, added) = told_assigned(&mut member);
    assert_eq!(
        (all.len(), added),
        (2, vec![TopicPartition::new("later", 5)])
    );
    assert!(!member.has_nameless());
}

/// Behaviour 32.
#[test]
fn a_fenced_or_unknown_member_loses_everything_and_joins_anew_with_everything() {
    for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
        let now = Instant::now();
        let mut member = stable(now);
        beat(&mut member, now, error(code));
        assert_eq!(
            member.tell(),
            Some(Told::Lost {
                partitions: partitions(&[0, 1, 2]),
                why: LostWhy::Refused(code)
            })
        );
        assert_eq!(
            member.identity().generation,
            NO_GENERATION,
            "no commit may go out"
        );
        assert_eq!(member.next(now), Some(now));
        let again = beat(&mut member, now, answer(5, Some(&[1])));
        assert_eq!((again.member_epoch, &*again.member_id), (0, "me"));
        assert_eq!(
            (owned(&again), again.rebalance_timeout_ms),
            (Some(vec![]), 300_000)
        );
        assert_eq!(
            told_assigned(&mut member),
            (5, partitions(&[1]), partitions(&[1]))
        );
    }
}

#[test]
fn a_revocation_that_is_overtaken_by_a_loss_changes_nothing_any_more() {
    let now = Instant::now();
    let mut member = stable(now);
    beat(&mut member, now, answer(1, Some(&[0])));
    member.tell();
    beat(&mut member, now, error(ErrorCode::FENCED_MEMBER_EPOCH));
    assert!(matches!(member.tell(), Some(Told::Lost { partitions, .. }) if partitions.len() == 3));
    member.revoked(name);
    assert_eq!(member.tell(), None);
}

#[test]
fn after_an_answer_that_never_came_everything_is_said_again() {
    let now = Instant::now();
    let mut member = stable(now);
    member.heartbeat(now);
    member.unanswered(now);
    assert!(member.take_coordinator_lost());
    assert_eq!(member.next(now), Some(now + BACKOFF));
    let again = member.heartbeat(now + BACKOFF);
    assert_eq!(
        (again.member_epoch, owned(&again)),
        (1, Some(vec![0, 1, 2]))
    );
    assert_eq!(again.subscribed_topic_names, Some(vec![Text::from("t")]));
    assert_eq!(member.tell(), None, "nothing is lost");
}

#[test]
fn what_the_coordinator_answers_decides_what_becomes_of_the_member() {
    // (answer, phase, next heartbeat in, coordinator sought)
    let table = [
        (
            ErrorCode::NOT_COORDINATOR,
            Phase::Member,
            Some(BACKOFF),
            true,
        ),
        (
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            Phase::Member,
            Some(BACKOFF),
            true,
        ),
        (
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            Phase::Member,
            Some(BACKOFF),
            false,
        ),
        (
            ErrorCode::GROUP_ID_NOT_FOUND,
            Phase::Joining,
            Some(Duration::ZERO),
            false,
        ),
        (ErrorCode::FENCED_INSTANCE_ID, Phase::Ended, None, false),
    ];
    let refused = [
        ErrorCode::UNRELEASED_INSTANCE_ID,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode::UNSUPPORTED_ASSIGNOR,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ];
    let now = Instant::now();
    for (code, phase, wait, sought) in table {
        let mut member = stable(now);
        beat(&mut member, now, error(code));
        assert_eq!(member.phase(), phase, "{code}");
        assert_eq!(member.next(now), wait.map(|wait| now + wait), "{code}");
        assert_eq!(member.take_coordinator_lost(), sought, "{code}");
        if phase == Phase::Ended {
            assert!(matches!(member.tell(), Some(Told::Lost { .. })), "{code}");
            assert_eq!(member.tell(), Some(Told::Failed(code)));
            assert_eq!(member.take_words().as_deref(), Some("in words"));
        }
    }
    for code in refused {
        let mut member = stable(now);
        beat(&mut member, now, error(code));
        assert_eq!(member.phase(), Phase::Member, "{code}");
        assert_eq!(member.next(now), Some(now + BACKOFF), "{code}");
        assert_eq!(member.tell(), Some(Told::Failed(code)));
        assert_eq!(member.take_words().as_deref(), Some("in words"));
        beat(&mut member, now, error(code));
        assert_eq!(member.next(now), Some(now + 2 * BACKOFF), "{code}");
        assert_eq!(member.tell(), None, "once");
        // All is said again, and the next refusal is news.
        let request = beat(&mut member, now, answer(1, None));
        assert_eq!(owned(&request), Some(vec![0, 1, 2]));
        beat(&mut member, now, error(code));
        assert_eq!(member.tell(), Some(Told::Failed(code)));
    }
    // One that joins waits until the application has taken that up. Not found: a classic group that has members.
    for code in refused.into_iter().chain([ErrorCode::GROUP_ID_NOT_FOUND]) {
        let mut joining = new();
        beat(&mut joining, now, error(code));
        assert_eq!(joining.tell(), Some(Told::Failed(code)));
        assert_eq!(joining.next(now), None, "{code}");
        joining.resumed();
        assert_eq!(joining.next(now), Some(now + BACKOFF), "{code}");
    }
}

#[test]
fn a_subscription_that_changes_is_said_at_once_and_a_pattern_is_taken_away_by_an_empty_one() {
    let now = Instant::now();
    let mut member = stable(now);
    member.subscribe(Subscription {
        topics: BTreeSet::new(),
        pattern: Some(Text::from("t.*")),
    });
    assert_eq!(member.next(now), Some(now));
    let request = member.heartbeat(now);
    assert_eq!(request.subscribed_topic_names, Some(vec![]));
    assert_eq!(request.subscribed_topic_regex.as_deref(), Some("t.*"));
    // It changes again while the heartbeat is under way.
    member.subscribe(topics(&["u"]));
    member.answered(answer(2, None), now, name);
    assert_eq!(member.next(now), Some(now));
    let request = member.heartbeat(now);
    assert_eq!(request.subscribed_topic_names, Some(vec![Text::from("u")]));
    assert_eq!(request.subscribed_topic_regex.as_deref(), Some(""));
}

/// Behaviour 33.
#[test]
fn polling_too_seldom_leaves_once_and_joins_at_the_next_poll() {
    let now = Instant::now();
    let mut member = stable(now);
    let leave = member.lapse().expect("the coordinator is told");
    assert_eq!((leave.member_epoch, &*leave.member_id), (-1, "me"));
    assert_eq!(
        member.tell(),
        Some(Told::Lost {
            partitions: partitions(&[0, 1, 2]),
            why: LostWhy::PolledTooSeldom
        })
    );
    assert_eq!(
        (member.lapse(), member.tell(), member.next(now)),
        (None, None, None)
    );
    member.polled();
    assert_eq!(member.heartbeat(now).member_epoch, 0);
}

/// Behaviours 32 and 35, and KIP-1092.
#[test]
fn who_leaves_and_how_is_the_epoch_of_its_last_heartbeat() {
    let table = [
        (None, GroupMembershipOperation::Default, Some(-1)),
        (None, GroupMembershipOperation::Leave, Some(-1)),
        (None, GroupMembershipOperation::Remain, None),
        (Some("i"), GroupMembershipOperation::Default, Some(-2)),
        (Some("i"), GroupMembershipOperation::Leave, Some(-1)),
        (Some("i"), GroupMembershipOperation::Remain, Some(-2)),
    ];
    let now = Instant::now();
    for (instance_id, how, epoch) in table {
        let mut member = Member::new(settings(instance_id), Text::from("me"), topics(&["t"]));
        beat(&mut member, now, answer(1, Some(&[0])));
        let leave = member.leave(how);
        assert_eq!(
            leave.as_ref().map(|leave| leave.member_epoch),
            epoch,
            "{how:?}"
        );
        let instance_id = instance_id.filter(|_| epoch.is_some());
        assert_eq!(
            leave.and_then(|leave| leave.instance_id).as_deref(),
            instance_id
        );
        assert_eq!(member.leave(how), None, "once");
    }
}

#[test]
fn commits_carry_the_epoch_and_know_what_is_the_members() {
    let now = Instant::now();
    let mut member = stable(now);
    let has = |member: &Member| {
        (
            member.identity().generation,
            member.identity().owned().cloned().collect::<Vec<_>>(),
        )
    };
    assert_eq!(has(&member), (1, partitions(&[0, 1, 2])));
    beat(&mut member, now, answer(2, Some(&[0])));
    assert_eq!(
        has(&member),
        (2, partitions(&[0, 1, 2])),
        "not given up yet"
    );
    member.revoked(name);
    assert_eq!(has(&member), (2, partitions(&[0])));
    member.heard(ErrorCode::STALE_MEMBER_EPOCH, 2);
    assert_eq!(member.next(now), Some(now), "a heartbeat learns the epoch");
}

#[test]
fn a_member_that_leaves_for_silence_drops_what_nobody_has_taken() {
    let now = Instant::now();
    let mut member = stable(now);
    beat(&mut member, now, answer(2, Some(&[0])));
    // The revocation still stands in the queue.
    member.lapse();
    let lost = Told::Lost {
        partitions: partitions(&[0, 1, 2]),
        why: LostWhy::PolledTooSeldom,
    };
    assert_eq!((member.tell(), member.tell()), (Some(lost), None));
}

#[test]
fn a_commit_from_before_a_loss_does_not_count_although_the_member_keeps_its_id() {
    let now = Instant::now();
    let mut member = stable(now);
    let before = member.identity().clone();
    let fits = |member: &Member, of: &[i32]| {
        let identity = member.identity();
        identity.continues(&before, partitions(of).into_iter())
    };
    beat(&mut member, now, answer(2, None));
    assert!(fits(&member, &[0, 1, 2]), "only the epoch moved");
    beat(&mut member, now, error(ErrorCode::FENCED_MEMBER_EPOCH));
    assert!(!fits(&member, &[0]));
    beat(&mut member, now, answer(3, Some(&[0])));
    assert!(!fits(&member, &[0]), "lost, and back");
}

#[test]
fn a_refusal_of_an_earlier_epoch_changes_nothing() {
    let now = Instant::now();
    let mut member = stable(now);
    beat(&mut member, now, answer(2, None));
    member.heard(ErrorCode::UNKNOWN_MEMBER_ID, 1);
    assert_eq!((member.phase(), member.tell()), (Phase::Member, None));
    member.heard(ErrorCode::UNKNOWN_MEMBER_ID, 2);
    assert_eq!(member.phase(), Phase::Joining);
}

#[test]
fn a_member_that_may_have_joined_without_knowing_it_leaves() {
    let mut member = new();
    let how = GroupMembershipOperation::Default;
    assert_eq!(new().leave(how), None, "it has said nothing yet");
    member.heartbeat(Instant::now());
    assert_eq!(member.leave(how).map(|leave| leave.member_epoch), Some(-1));
}
