//! The group coordinator, driven with times and tickets of the test's own.
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn groups(initial_delay: Duration) -> Groups {
    Groups::new(Settings {
        initial_rebalance_delay: initial_delay,
        session_timeout_min: SECOND,
        session_timeout_max: 1800 * SECOND,
        size_max: 3,
        modern_session_timeout: 45 * SECOND,
        heartbeat_interval: 5 * SECOND,
    })
}

fn join(member_id: &str) -> Join {
    Join {
        group_id: "g".into(),
        member_id: member_id.into(),
        client_id: "client".into(),
        protocol_type: "consumer".into(),
        protocols: vec![
            ("range".into(), Bytes::from_static(b"topics")),
            ("sticky".into(), Bytes::new()),
        ],
        session_timeout: 10 * SECOND,
        rebalance_timeout: 60 * SECOND,
        ..Join::default()
    }
}

fn static_join(member_id: &str, instance_id: &str) -> Join {
    Join {
        instance_id: Some(instance_id.into()),
        ..join(member_id)
    }
}

fn member(id: &str, generation: i32) -> MemberOf {
    MemberOf {
        group_id: "g".into(),
        generation,
        member_id: id.into(),
        instance_id: None,
    }
}

fn sync(id: &str, generation: i32, assignments: &[(&str, &'static [u8])]) -> Sync {
    Sync {
        member: member(id, generation),
        assignments: assignments
            .iter()
            .map(|(id, bytes)| ((*id).to_owned(), Bytes::from_static(bytes)))
            .collect(),
        ..Sync::default()
    }
}

fn joined(replies: &[Reply], ticket: Ticket) -> Joined {
    let found = replies.iter().find_map(|reply| match reply {
        Reply::Join(of, joined) if *of == ticket => Some(joined.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no answer to join {ticket} in {replies:?}"))
}

fn synced(replies: &[Reply], ticket: Ticket) -> Synced {
    let found = replies.iter().find_map(|reply| match reply {
        Reply::Sync(of, synced) if *of == ticket => Some(synced.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no answer to sync {ticket} in {replies:?}"))
}

/// A group of one with generation 1, stable.
fn stable(groups: &mut Groups, join: Join) -> String {
    groups.join(at(0), join, 900);
    let leader = joined(&groups.take_replies(), 900);
    assert_eq!(leader.error, ErrorCode::NONE);
    groups.sync(at(0), sync(&leader.member_id, 1, &[]), 901);
    // A static member's sync needs its instance id; tests of those sync by hand.
    groups.take_replies();
    leader.member_id
}

#[test]
fn a_new_dynamic_member_is_told_its_id_first() {
    let mut groups = groups(Duration::ZERO);
    let asked = Join {
        id_required: true,
        ..join("")
    };
    groups.join(at(0), asked.clone(), 1);
    let told = joined(&groups.take_replies(), 1);
    assert_eq!(told.error, ErrorCode::MEMBER_ID_REQUIRED);
    assert!(told.member_id.starts_with("client-"));
    let again = Join {
        member_id: told.member_id.clone(),
        ..asked
    };
    groups.join(at(1), again, 2);
    let joined = joined(&groups.take_replies(), 2);
    assert_eq!((joined.error, joined.generation), (ErrorCode::NONE, 1));
    assert_eq!(joined.leader, told.member_id);
    assert_eq!(joined.protocol.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn followers_get_what_the_leader_assigned() {
    let mut groups = groups(3 * SECOND);
    groups.join(at(0), join(""), 1);
    groups.join(at(1), join(""), 2);
    assert_eq!(groups.take_replies(), []);
    groups.tick(at(3));
    // Someone came since: the wait is put off once more.
    assert_eq!(groups.take_replies(), []);
    groups.tick(at(6));
    let replies = groups.take_replies();
    let (leader, follower) = (joined(&replies, 1), joined(&replies, 2));
    assert_eq!(leader.members.len(), 2);
    assert_eq!(follower.members, []);
    assert_eq!(follower.leader, leader.member_id);
    groups.sync(at(6), sync(&follower.member_id, 1, &[]), 3);
    assert_eq!(groups.take_replies(), []);
    assert_eq!(groups.view("g").unwrap().state, "CompletingRebalance");
    let both: &[(&str, &'static [u8])] = &[(&leader.member_id, b"0"), (&follower.member_id, b"1")];
    groups.sync(at(6), sync(&leader.member_id, 1, both), 4);
    let replies = groups.take_replies();
    assert_eq!(synced(&replies, 3).assignment, "1");
    assert_eq!(synced(&replies, 4).assignment, "0");
    assert_eq!(groups.view("g").unwrap().state, "Stable");
    assert_eq!(
        groups.heartbeat(at(7), &member(&follower.member_id, 1)),
        ErrorCode::NONE
    );
}

#[test]
fn a_second_member_makes_the_first_rejoin() {
    let mut groups = groups(Duration::ZERO);
    let first = stable(&mut groups, join(""));
    groups.join(at(1), join(""), 1);
    assert_eq!(groups.take_replies(), []);
    assert_eq!(
        groups.heartbeat(at(2), &member(&first, 1)),
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    groups.sync(at(2), sync(&first, 1, &[]), 2);
    assert_eq!(
        synced(&groups.take_replies(), 2).error,
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    groups.join(at(2), join(&first), 3);
    let replies = groups.take_replies();
    assert_eq!(joined(&replies, 1).generation, 2);
    assert_eq!(joined(&replies, 3).leader, first);
    assert_eq!(
        groups.heartbeat(at(3), &member(&first, 1)),
        ErrorCode::ILLEGAL_GENERATION
    );
}

#[test]
fn who_does_not_rejoin_in_time_is_left_behind() {
    let mut groups = groups(Duration::ZERO);
    let first = stable(&mut groups, join(""));
    groups.join(at(1), join(""), 1);
    for second in (2..61).step_by(5) {
        groups.tick(at(second));
        groups.heartbeat(at(second), &member(&first, 1));
    }
    assert_eq!(groups.take_replies(), []);
    assert_eq!(groups.next_deadline(), Some(at(61)));
    groups.tick(at(61));
    let second = joined(&groups.take_replies(), 1);
    assert_eq!((second.generation, second.members.len()), (2, 1));
    assert_eq!(
        groups.heartbeat(at(61), &member(&first, 1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn a_silent_member_is_gone_after_its_session_timeout() {
    let mut groups = groups(Duration::ZERO);
    let first = stable(&mut groups, join(""));
    assert_eq!(groups.next_deadline(), Some(at(10)));
    groups.tick(at(9));
    assert_eq!(groups.heartbeat(at(9), &member(&first, 1)), ErrorCode::NONE);
    groups.tick(at(18));
    assert_eq!(groups.view("g").unwrap().members.len(), 1);
    groups.tick(at(19));
    let view = groups.view("g").unwrap();
    assert_eq!((view.state, view.members.len()), ("Empty", 0));
    assert_eq!(groups.next_deadline(), None);
}

#[test]
fn a_leader_that_never_assigns_is_removed() {
    let mut groups = groups(Duration::ZERO);
    groups.join(at(0), join(""), 1);
    let leader = joined(&groups.take_replies(), 1).member_id;
    for second in (5..60).step_by(5) {
        groups.heartbeat(at(second), &member(&leader, 1));
        groups.tick(at(second));
    }
    assert_eq!(groups.view("g").unwrap().members.len(), 1);
    groups.tick(at(60));
    assert_eq!(groups.view("g").unwrap().state, "Empty");
}

#[test]
fn a_static_member_returns_without_a_rebalance() {
    let mut groups = groups(Duration::ZERO);
    groups.join(at(0), static_join("", "one"), 1);
    let first = joined(&groups.take_replies(), 1).member_id;
    let mut assign = sync(&first, 1, &[(&first, b"all")]);
    assign.member.instance_id = Some("one".into());
    groups.sync(at(0), assign, 2);
    assert_eq!(synced(&groups.take_replies(), 2).assignment, "all");
    groups.join(at(5), static_join("", "one"), 3);
    let back = joined(&groups.take_replies(), 3);
    assert_eq!((back.error, back.generation), (ErrorCode::NONE, 1));
    assert_ne!(back.member_id, first);
    assert_eq!(back.members, [], "it must not assign anew");
    let mut old = member(&first, 1);
    old.instance_id = Some("one".into());
    assert_eq!(groups.heartbeat(at(5), &old), ErrorCode::FENCED_INSTANCE_ID);
    let mut fetch = sync(&back.member_id, 1, &[]);
    fetch.member.instance_id = Some("one".into());
    groups.sync(at(6), fetch, 4);
    assert_eq!(synced(&groups.take_replies(), 4).assignment, "all");
}

#[test]
fn a_static_leader_that_can_skip_the_assignment_is_told_so() {
    let mut groups = groups(Duration::ZERO);
    let first = {
        groups.join(at(0), static_join("", "one"), 1);
        joined(&groups.take_replies(), 1).member_id
    };
    let mut assign = sync(&first, 1, &[]);
    assign.member.instance_id = Some("one".into());
    groups.sync(at(0), assign, 2);
    groups.take_replies();
    let skips = Join {
        can_skip_assignment: true,
        ..static_join("", "one")
    };
    groups.join(at(1), skips, 3);
    let back = joined(&groups.take_replies(), 3);
    assert!(back.skip_assignment);
    assert_eq!(back.leader, back.member_id);
    assert_eq!(back.members.len(), 1);
}

#[test]
fn leaving_empties_the_group_and_keeps_its_offsets() {
    let mut groups = groups(Duration::ZERO);
    let first = stable(&mut groups, join(""));
    assert_eq!(groups.may_commit(at(1), &member(&first, 1), false), Ok(()));
    let committed = Committed {
        offset: 5,
        leader_epoch: 0,
        metadata: String::new(),
    };
    let of = (String::from("t"), 0);
    groups.commit("g", of.clone(), committed.clone());
    assert_eq!(groups.leave(at(1), "g", &first, None), ErrorCode::NONE);
    assert_eq!(groups.view("g").unwrap().state, "Empty");
    assert_eq!(groups.committed("g", &of), (Some(&committed), false));
    assert_eq!(
        groups.leave(at(1), "g", &first, None),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    assert_eq!(
        groups.may_commit(at(1), &member(&first, 1), false),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
    assert_eq!(groups.may_commit(at(1), &member("", -1), false), Ok(()));
    assert_eq!(groups.delete("g"), ErrorCode::NONE);
    assert_eq!(groups.delete("g"), ErrorCode::GROUP_ID_NOT_FOUND);
}

#[test]
fn commits_are_refused_while_the_assignment_is_awaited() {
    let mut groups = groups(Duration::ZERO);
    groups.join(at(0), join(""), 1);
    let leader = joined(&groups.take_replies(), 1).member_id;
    assert_eq!(
        groups.may_commit(at(0), &member(&leader, 1), false),
        Err(ErrorCode::REBALANCE_IN_PROGRESS)
    );
    assert_eq!(
        groups.may_commit(at(0), &member("", -1), false),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
    assert_eq!(
        groups.may_commit(at(0), &member(&leader, 0), false),
        Err(ErrorCode::ILLEGAL_GENERATION)
    );
}

#[test]
fn offsets_in_a_transaction_count_once_it_commits() {
    let mut groups = groups(Duration::ZERO);
    let of = (String::from("t"), 0);
    let offset = |offset| Committed {
        offset,
        leader_epoch: -1,
        metadata: String::new(),
    };
    groups.commit_in_transaction("g", 7, of.clone(), offset(3));
    assert_eq!(groups.committed("g", &of), (None, true));
    groups.end_transaction("g", 7, false);
    assert_eq!(groups.committed("g", &of), (None, false));
    groups.commit_in_transaction("g", 7, of.clone(), offset(4));
    groups.end_transaction("g", 7, true);
    assert_eq!(groups.committed("g", &of), (Some(&offset(4)), false));
}

#[test]
fn joins_that_cannot_fit_are_refused() {
    let mut groups = groups(Duration::ZERO);
    let refused = |groups: &mut Groups, join: Join| {
        groups.join(at(0), join, 5);
        joined(&groups.take_replies(), 5).error
    };
    let mut nameless = join("");
    nameless.group_id.clear();
    assert_eq!(refused(&mut groups, nameless), ErrorCode::INVALID_GROUP_ID);
    assert_eq!(
        refused(&mut groups, join("ghost")),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    let hasty = Join {
        session_timeout: Duration::from_millis(10),
        ..join("")
    };
    assert_eq!(
        refused(&mut groups, hasty),
        ErrorCode::INVALID_SESSION_TIMEOUT
    );
    stable(&mut groups, join(""));
    let other = Join {
        protocols: vec![("mine".into(), Bytes::new())],
        ..join("")
    };
    assert_eq!(
        refused(&mut groups, other),
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL
    );
    assert_eq!(
        refused(&mut groups, join("ghost")),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    groups.join(at(0), join(""), 6);
    groups.join(at(0), join(""), 7);
    assert_eq!(
        refused(&mut groups, join("")),
        ErrorCode::GROUP_MAX_SIZE_REACHED
    );
}
