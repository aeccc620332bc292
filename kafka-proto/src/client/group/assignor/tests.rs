//! Kafka's assignors beside Java's answers. The vectors themselves are checked by `check_goldens` and `tests/goldens.rs`.

use super::*;

fn text(text: &str) -> Text {
    Text::from(text)
}

fn member(id: &str, topics: &[&str]) -> GroupMember {
    GroupMember {
        member_id: text(id),
        topics: topics.iter().map(|topic| text(topic)).collect(),
        generation: -1,
        ..GroupMember::default()
    }
}

fn owning(mut member: GroupMember, generation: i32, owned: &[(&str, &[i32])]) -> GroupMember {
    member.generation = generation;
    member.owned = owned
        .iter()
        .map(|(topic, of)| (text(topic), of.to_vec()))
        .collect();
    member
}

fn given(assignments: &[MemberAssignment], id: &str) -> Vec<(String, Vec<i32>)> {
    let of = assignments.iter().find(|of| of.member_id == *id).unwrap();
    of.partitions
        .iter()
        .map(|(topic, of)| (topic.to_string(), of.clone()))
        .collect()
}

#[test]
fn a_topic_without_takers_is_left_out() {
    for name in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
        let assignor = assignor_named(name).unwrap();
        assert_eq!(assignor.name(), name);
        let topics = [TopicLayout::new("t", 3), TopicLayout::new("u", 1)];
        let members = [member("m", &["u"]), member("n", &[])];
        let assignment = assignor.assign(&members, &topics);
        assert_eq!(
            given(&assignment, "m"),
            [("u".to_owned(), vec![0])],
            "{name}"
        );
        assert_eq!(given(&assignment, "n"), [], "{name}");
        assert_eq!(
            assignor.assign(&[], &[TopicLayout::new("t", 3)]),
            [],
            "{name}"
        );
    }
}

#[test]
fn assignors_are_found_by_the_names_of_their_java_classes() {
    let name = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    assert_eq!(assignor_named(name).unwrap().name(), "cooperative-sticky");
    assert!(assignor_named("org.example.Mine").is_none());
}

#[test]
fn a_partition_that_changes_hands_is_nobodys_for_one_generation() {
    let topics = [TopicLayout::new("t", 4)];
    let first = owning(member("a", &["t"]), 1, &[("t", &[0, 1, 2, 3])]);
    let second = member("b", &["t"]);
    let one = CooperativeStickyAssignor.assign(&[first, second], &topics);
    assert_eq!(given(&one, "a"), [("t".to_owned(), vec![0, 1])]);
    assert_eq!(given(&one, "b"), []);

    let first = owning(member("a", &["t"]), 2, &[("t", &[0, 1])]);
    let second = owning(member("b", &["t"]), 2, &[]);
    let two = CooperativeStickyAssignor.assign(&[first, second], &topics);
    assert_eq!(given(&two, "a"), [("t".to_owned(), vec![0, 1])]);
    assert_eq!(given(&two, "b"), [("t".to_owned(), vec![2, 3])]);
}

#[test]
fn a_partition_that_changes_hands_is_nobodys_also_where_subscriptions_differ() {
    let topics = [TopicLayout::new("t", 4), TopicLayout::new("u", 1)];
    let first = owning(
        member("a", &["t", "u"]),
        1,
        &[("t", &[0, 1, 2, 3]), ("u", &[0])],
    );
    let second = member("b", &["t"]);
    let one = CooperativeStickyAssignor.assign(&[first, second], &topics);
    assert_eq!(given(&one, "b"), []);
    let kept: usize = given(&one, "a").iter().map(|(_, of)| of.len()).sum();
    assert!(kept < 5);
}

#[test]
fn of_two_claims_the_later_generation_counts_and_of_equal_ones_none() {
    let topics = [TopicLayout::new("t", 2)];
    let late = owning(member("b", &["t"]), 4, &[("t", &[0])]);
    let early = owning(member("a", &["t"]), 3, &[("t", &[0])]);
    let of = CooperativeStickyAssignor.assign(&[early, late.clone()], &topics);
    assert_eq!(given(&of, "b"), [("t".to_owned(), vec![0])]);
    let same = owning(member("a", &["t"]), 4, &[("t", &[0])]);
    let of = CooperativeStickyAssignor.assign(&[same, late], &topics);
    assert!(
        of.iter()
            .all(|of| of.partitions.iter().all(|(_, of)| !of.contains(&0))),
        "{of:?}"
    );
}

#[test]
fn sticky_members_say_what_they_had_and_get_it_again() {
    let last = |generation, partitions: &[i32]| LastAssignment {
        generation,
        partitions: vec![(text("t"), partitions.to_vec())],
    };
    let topics = [TopicLayout::new("t", 4)];
    let mut a = member("a", &["t"]);
    let mut b = member("b", &["t"]);
    a.userdata = StickyAssignor.userdata(Some(&last(7, &[1, 3])));
    b.userdata = StickyAssignor.userdata(Some(&last(7, &[0, 2])));
    let of = StickyAssignor.assign(&[a.clone(), b.clone()], &topics);
    assert_eq!(given(&of, "a"), [("t".to_owned(), vec![1, 3])]);
    assert_eq!(given(&of, "b"), [("t".to_owned(), vec![0, 2])]);
    assert_eq!(StickyAssignor.userdata(None), None);

    // Version 0 has no generation; bytes that cannot be read count as nothing owned.
    let v1 = a.userdata.clone().unwrap();
    a.userdata = Some(v1.slice(..v1.len() - 4));
    b.userdata = None;
    let of = StickyAssignor.assign(&[a.clone(), b.clone()], &topics);
    assert_eq!(given(&of, "a"), [("t".to_owned(), vec![1, 3])]);
    a.userdata = Some(Bytes::from_static(b"\x7f\xff\xff\xff\0\x01"));
    let of = StickyAssignor.assign(&[a, b], &topics);
    assert_eq!(given(&of, "a"), [("t".to_owned(), vec![0, 2])]);
}

#[test]
fn a_large_group_with_different_topics_is_divided_in_no_time() {
    let names: Vec<String> = (0..20).map(|topic| format!("t{topic}")).collect();
    let topics: Vec<TopicLayout> = names
        .iter()
        .map(|name| TopicLayout::new(name.as_str(), 50))
        .collect();
    let mut members: Vec<GroupMember> = (0..100)
        .map(|number| {
            let of: Vec<&str> = names.iter().skip(number % 3).map(String::as_str).collect();
            member(&format!("m{number:03}"), &of)
        })
        .collect();
    let of = CooperativeStickyAssignor.assign(&members, &topics);
    for (member, of) in members.iter_mut().zip(&of) {
        member.owned.clone_from(&of.partitions);
        member.generation = 1;
    }
    let again = CooperativeStickyAssignor.assign(&members, &topics);
    assert_eq!(of, again, "nothing moves without need");
    let counts = again
        .iter()
        .map(|of| of.partitions.iter().map(|(_, of)| of.len()).sum::<usize>());
    assert_eq!(counts.sum::<usize>(), 1000);
}
