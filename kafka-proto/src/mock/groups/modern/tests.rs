//! The coordinator of the newer protocol, heartbeat by heartbeat.
use proptest::prelude::*;

use super::*;

const SESSION: Duration = Duration::from_secs(45);

fn groups() -> Groups {
    Groups::new(Settings {
        initial_rebalance_delay: Duration::ZERO,
        session_timeout_min: Duration::ZERO,
        session_timeout_max: Duration::from_secs(3600),
        size_max: 100,
        modern_session_timeout: SESSION,
        heartbeat_interval: Duration::from_secs(5),
    })
}

fn id(of: u8) -> Uuid {
    Uuid([of; 16])
}

fn layout(partitions: i32) -> Layout {
    Layout::from([("t".to_owned(), (id(1), partitions))])
}

fn join(member: &str) -> Beat {
    Beat {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        rebalance_timeout: Some(Duration::from_secs(300)),
        topics: Some(vec!["t".to_owned()]),
        owned: Some(Partitions::new()),
        ..Beat::default()
    }
}

fn alive(member: &str, epoch: i32) -> Beat {
    Beat {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        epoch,
        ..Beat::default()
    }
}

fn owning(member: &str, epoch: i32, partitions: &[i32]) -> Beat {
    Beat {
        owned: Some(of(partitions)),
        ..alive(member, epoch)
    }
}

fn of(partitions: &[i32]) -> Partitions {
    partitions
        .iter()
        .map(|partition| (id(1), *partition))
        .collect()
}

fn beat(groups: &mut Groups, beat: Beat) -> Result<Beaten, ErrorCode> {
    groups
        .beat(Duration::ZERO, beat, &layout(4))
        .map_err(|(error, _)| error)
}

#[test]
fn members_of_both_protocols_are_refused_and_told_why() {
    let mut groups = groups();
    let classic = super::super::Join {
        group_id: "g".to_owned(),
        member_id: String::new(),
        instance_id: None,
        client_id: "c".to_owned(),
        client_host: "h".to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), bytes::Bytes::new())],
        session_timeout: SESSION,
        rebalance_timeout: SESSION,
        id_required: false,
        can_skip_assignment: false,
    };
    groups.join(Duration::ZERO, classic, 1);
    let (code, text) = groups
        .beat(Duration::ZERO, join("a"), &layout(4))
        .unwrap_err();
    assert_eq!(code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert!(text.contains("does not convert groups"), "{text}");
}

#[test]
fn a_partition_waits_for_the_member_that_has_it() {
    let mut groups = groups();
    let a = beat(&mut groups, join("a")).unwrap();
    assert_eq!((a.epoch, a.assignment), (1, Some(of(&[0, 1, 2, 3]))));
    let b = beat(&mut groups, join("b")).unwrap();
    assert_eq!(
        (b.epoch, b.assignment),
        (2, Some(of(&[]))),
        "nothing is free"
    );
    let a = beat(&mut groups, alive("a", 1)).unwrap();
    assert_eq!(
        (a.epoch, a.assignment.clone()),
        (1, Some(of(&[0, 1]))),
        "two are to be given up"
    );
    assert_eq!(groups.modern_view("g").unwrap().state, "Reconciling");
    // Still having them, and saying nothing about it, changes nothing.
    assert_eq!(beat(&mut groups, alive("a", 1)).unwrap().epoch, 1);
    let b = beat(&mut groups, alive("b", 2)).unwrap();
    assert_eq!(b.assignment, None);
    let a = beat(&mut groups, owning("a", 1, &[0, 1])).unwrap();
    assert_eq!((a.epoch, a.assignment), (2, None));
    let b = beat(&mut groups, alive("b", 2)).unwrap();
    assert_eq!((b.epoch, b.assignment), (2, Some(of(&[2, 3]))));
    assert_eq!(groups.modern_view("g").unwrap().state, "Stable");
}

#[test]
fn epochs_that_are_not_the_members_are_fenced_but_a_lost_answer_is_forgiven() {
    let mut groups = groups();
    beat(&mut groups, join("a")).unwrap();
    beat(&mut groups, join("b")).unwrap();
    beat(&mut groups, alive("a", 1)).unwrap();
    beat(&mut groups, owning("a", 1, &[0, 1])).unwrap();
    // The answer with epoch 2 was lost: it comes with 1 again.
    assert_eq!(beat(&mut groups, owning("a", 1, &[0, 1])).unwrap().epoch, 2);
    assert_eq!(
        beat(&mut groups, owning("a", 1, &[0, 1, 2])),
        Err(ErrorCode::FENCED_MEMBER_EPOCH)
    );
    assert_eq!(
        beat(&mut groups, alive("a", 7)),
        Err(ErrorCode::FENCED_MEMBER_EPOCH)
    );
    assert_eq!(
        beat(&mut groups, alive("nobody", 1)),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
}

#[test]
fn a_member_that_is_silent_or_gives_nothing_up_is_out() {
    let mut groups = groups();
    beat(&mut groups, join("a")).unwrap();
    beat(&mut groups, join("b")).unwrap();
    beat(&mut groups, alive("a", 1)).unwrap();
    assert_eq!(groups.next_deadline(), Some(SESSION));
    groups.tick(SESSION);
    assert_eq!(groups.modern_view("g").unwrap().members.len(), 0);

    let slow = Beat {
        rebalance_timeout: Some(Duration::from_secs(1)),
        ..join("a")
    };
    beat(&mut groups, slow).unwrap();
    beat(&mut groups, join("b")).unwrap();
    let epoch = groups.modern_view("g").unwrap().members[0].epoch;
    beat(&mut groups, alive("a", epoch)).unwrap();
    groups.tick(Duration::from_secs(1));
    let left = groups.modern_view("g").unwrap().members;
    assert_eq!(left.len(), 1);
    let b = beat(&mut groups, alive("b", left[0].epoch)).unwrap();
    assert_eq!(b.assignment, Some(of(&[0, 1, 2, 3])));
}

#[test]
fn a_static_member_that_comes_back_finds_its_partitions_and_a_double_is_refused() {
    let mut groups = groups();
    let named = |member: &str| Beat {
        instance_id: Some("one".to_owned()),
        ..join(member)
    };
    beat(&mut groups, named("a")).unwrap();
    assert_eq!(
        beat(&mut groups, named("double")),
        Err(ErrorCode::UNRELEASED_INSTANCE_ID)
    );
    let leave = Beat {
        instance_id: Some("one".to_owned()),
        ..alive("a", -2)
    };
    assert_eq!(beat(&mut groups, leave).unwrap().epoch, -2);
    beat(&mut groups, join("b")).unwrap();
    let again = beat(&mut groups, named("again")).unwrap();
    assert_eq!(
        again.assignment,
        Some(of(&[0, 1])),
        "and not what it had before b came"
    );
    let fenced = Beat {
        instance_id: Some("one".to_owned()),
        ..alive("a", again.epoch)
    };
    assert_eq!(
        beat(&mut groups, fenced),
        Err(ErrorCode::FENCED_INSTANCE_ID)
    );
}

#[test]
fn patterns_match_whole_names_and_new_topics_bump_the_epoch() {
    let mut groups = groups();
    let pattern = Beat {
        topics: None,
        pattern: Some("t|u.".to_owned()),
        ..join("a")
    };
    let mut topics = layout(1);
    topics.insert("tt".to_owned(), (id(2), 1));
    let now = Duration::ZERO;
    let a = groups.beat(now, pattern, &topics).unwrap();
    assert_eq!(a.assignment, Some(of(&[0])));
    topics.insert("u1".to_owned(), (id(3), 1));
    let a = groups.beat(now, alive("a", a.epoch), &topics).unwrap();
    assert_eq!(a.assignment.unwrap().len(), 2);
    let broken = Beat {
        pattern: Some("(".to_owned()),
        ..join("b")
    };
    let (error, text) = groups.beat(now, broken, &topics).unwrap_err();
    assert_eq!(error, ErrorCode::INVALID_REGULAR_EXPRESSION, "{text}");
}

#[test]
fn offsets_carry_the_members_epoch() {
    let mut groups = groups();
    beat(&mut groups, join("a")).unwrap();
    let mut of = |member_id: &str, generation| {
        let member = super::super::MemberOf {
            group_id: "g".to_owned(),
            member_id: member_id.to_owned(),
            generation,
            instance_id: None,
        };
        groups.may_commit(Duration::ZERO, &member, false)
    };
    assert_eq!(of("a", 1), Ok(()));
    assert_eq!(of("a", 0), Err(ErrorCode::STALE_MEMBER_EPOCH));
    assert_eq!(of("b", 1), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(
        of("", -1),
        Err(ErrorCode::UNKNOWN_MEMBER_ID),
        "it has members"
    );
    assert_eq!(groups.may_fetch("g", None, -1), Ok(()));
    assert_eq!(
        groups.may_fetch("g", Some("a"), 3),
        Err(ErrorCode::STALE_MEMBER_EPOCH)
    );
}

proptest! {
    /// Members join, beat and leave as it comes; each gives up what it is told to before it says so.
    #[test]
    fn no_partition_ever_has_two_owners_and_in_the_end_all_have_one(
        steps in prop::collection::vec((0..4_usize, 0..6_u8), 1..80),
        assignor in prop::sample::select(vec!["uniform", "range"]),
    ) {
        let mut groups = groups();
        // What each member has: none while it is no member.
        let mut members: Vec<Option<(i32, Partitions)>> = vec![None; 4];
        let speak = |groups: &mut Groups, members: &mut Vec<Option<(i32, Partitions)>>, at: usize| {
            let name = format!("m{at}");
            let request = match &members[at] {
                None => Beat { assignor: Some(assignor.to_owned()), ..join(&name) },
                Some((epoch, owned)) => Beat { owned: Some(owned.clone()), ..alive(&name, *epoch) },
            };
            let answer = beat(groups, request).expect("nobody is fenced");
            let (epoch, owned) = members[at].get_or_insert_default();
            *epoch = answer.epoch;
            if let Some(assignment) = answer.assignment {
                *owned = assignment;
            }
        };
        let disjoint = |members: &[Option<(i32, Partitions)>]| {
            let all: Vec<_> = members.iter().flatten().flat_map(|(_, owned)| owned).collect();
            let distinct: BTreeSet<_> = all.iter().collect();
            all.len() == distinct.len()
        };
        for (at, what) in steps {
            if what == 0 && members[at].take().is_some() {
                beat(&mut groups, alive(&format!("m{at}"), -1)).unwrap();
            } else {
                speak(&mut groups, &mut members, at);
            }
            prop_assert!(disjoint(&members), "{members:?}");
        }
        for _ in 0..8 {
            for at in 0..members.len() {
                if members[at].is_some() {
                    speak(&mut groups, &mut members, at);
                }
            }
        }
        let counts: Vec<usize> = members.iter().flatten().map(|(_, owned)| owned.len()).collect();
        if !counts.is_empty() {
            prop_assert_eq!(counts.iter().sum::<usize>(), 4);
            prop_assert_eq!(groups.modern_view("g").unwrap().state, "Stable");
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
    }
}
