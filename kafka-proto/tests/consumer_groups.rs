//! Groups against the in-process cluster with scripted faults: heartbeats, rebalances, commits in their order.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use kafka_proto::{
    client::{
        Assignment, Assignor, Cluster, Config, Consumer, ConsumerRecord, CooperativeStickyAssignor,
        GroupEvent, GroupMember, GroupOffsets, GroupOptions, LastAssignment, MemberAssignment,
        Membership, OffsetToCommit, Rebalance, TopicLayout, TopicPartition,
    },
    messages::{ApiKey, ErrorCode, Versions},
    mock,
};

/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(30);
/// Long enough for an answer that is already on its way.
const SHORT: Duration = Duration::from_millis(20);

async fn cluster(mock: &mock::Cluster, properties: &[(&str, &str)]) -> Cluster {
    let mut config = Config::new(&mock.bootstrap_servers());
    let quick = [
        ("auto.offset.reset", "earliest"),
        ("fetch.max.wait.ms", "20"),
        ("retry.backoff.ms", "2"),
        ("retry.backoff.max.ms", "20"),
        ("heartbeat.interval.ms", "10"),
    ];
    for (name, value) in quick.iter().chain(properties) {
        config.set(name, value).unwrap();
    }
    Cluster::connect(config).await.unwrap()
}

async fn start() -> mock::Cluster {
    let builder = mock::Cluster::builder()
        .brokers(3)
        .topic("t", 4)
        .initial_rebalance_delay(Duration::ZERO);
    builder
        .session_timeouts(Duration::from_millis(1), Duration::from_secs(600))
        .start()
        .await
        .unwrap()
}

async fn event(member: &mut Membership) -> GroupEvent {
    tokio::time::timeout(LIMIT, member.next_event())
        .await
        .expect("an event")
        .unwrap()
}

async fn assigned(member: &mut Membership) -> Assignment {
    match event(member).await {
        GroupEvent::Assigned(assignment) => assignment,
        other => panic!("{other:?}"),
    }
}

async fn revoked(member: &mut Membership) -> Vec<TopicPartition> {
    match event(member).await {
        GroupEvent::Revoked(revocation) => {
            let partitions = revocation.partitions().to_vec();
            revocation.done();
            partitions
        }
        other => panic!("{other:?}"),
    }
}

fn set(partitions: &[TopicPartition]) -> BTreeSet<TopicPartition> {
    partitions.iter().cloned().collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect(what);
}

#[tokio::test]
async fn members_of_one_process_divide_the_partitions_between_them() {
    let mock = start().await;
    let cluster = cluster(&mock, &[]).await;
    let mut first = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    assert_eq!(assigned(&mut first).await.partitions.len(), 4);
    let mut second = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    assert_eq!(revoked(&mut first).await.len(), 4);
    let (one, two) = (assigned(&mut first).await, assigned(&mut second).await);
    assert_eq!(
        (one.generation, one.partitions.len(), two.partitions.len()),
        (two.generation, 2, 2)
    );
    assert!(set(&one.partitions).is_disjoint(&set(&two.partitions)));
    assert_eq!(mock.group_members("g").len(), 2);
    second.leave().await;
    revoked(&mut first).await;
    assert_eq!(assigned(&mut first).await.partitions.len(), 4);
    first.leave().await;
    assert_eq!(mock.group_members("g").len(), 0);
}

#[tokio::test]
async fn heartbeats_go_on_while_the_application_computes_and_while_a_revocation_is_pending() {
    let mock = start().await;
    let cluster = cluster(&mock, &[("session.timeout.ms", "200")]).await;
    let mut first = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    assigned(&mut first).await;
    let before = mock.received_count(ApiKey::HEARTBEAT);
    until("heartbeats", || {
        mock.received_count(ApiKey::HEARTBEAT) > before + 30
    })
    .await;
    let mut second = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    let GroupEvent::Revoked(revocation) = event(&mut first).await else {
        panic!("a rebalance")
    };
    // Longer than the session: the application commits slowly.
    let before = mock.received_count(ApiKey::HEARTBEAT);
    until("heartbeats", || {
        mock.received_count(ApiKey::HEARTBEAT) > before + 30
    })
    .await;
    first
        .offsets()
        .commit(&[OffsetToCommit::new("t", 0, 5)])
        .await
        .expect("still a member");
    revocation.done();
    assigned(&mut first).await;
    assigned(&mut second).await;
    assert_eq!(mock.committed_offset("g", "t", 0), Some(5));
}

#[tokio::test]
async fn a_coordinator_that_moves_or_loads_is_followed() {
    let mock = start().await;
    let cluster = cluster(&mock, &[]).await;
    let faults = mock.faults();
    faults
        .on(ApiKey::FIND_COORDINATOR)
        .times(2)
        .error(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    faults
        .on(ApiKey::JOIN_GROUP)
        .times(2)
        .error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    faults
        .on(ApiKey::SYNC_GROUP)
        .error(ErrorCode::NOT_COORDINATOR);
    let mut member = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    assigned(&mut member).await;
    for code in [
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::REQUEST_TIMED_OUT,
    ] {
        let fault = faults.on(ApiKey::OFFSET_COMMIT).times(2).error(code);
        member
            .offsets()
            .commit(&[OffsetToCommit::new("t", 1, 7)])
            .await
            .unwrap();
        assert_eq!(fault.hits(), 2, "{code}");
    }
    let old = mock.coordinator("g").unwrap();
    mock.move_coordinator("g", old % 3 + 1).unwrap();
    member
        .offsets()
        .commit(&[OffsetToCommit::new("t", 1, 8)])
        .await
        .unwrap();
    let found = member
        .offsets()
        .committed(&[TopicPartition::new("t", 1), TopicPartition::new("t", 2)])
        .await
        .unwrap();
    assert_eq!(found[0].as_ref().map(|at| at.offset), Some(8));
    assert_eq!(found[1], None);
    let before = mock.received_count(ApiKey::HEARTBEAT);
    until("heartbeats", || {
        mock.received_count(ApiKey::HEARTBEAT) > before + 3
    })
    .await;
    assert!(
        member.try_next_event().unwrap().is_none(),
        "the membership survived"
    );
}

#[tokio::test]
async fn an_older_commit_never_lands_after_a_newer_one() {
    let mock = start().await;
    let cluster = cluster(&mock, &[]).await;
    let offsets = GroupOffsets::new(&cluster, "g");
    let fault = mock
        .faults()
        .on(ApiKey::OFFSET_COMMIT)
        .times(3)
        .error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    // The first is refused and tried again; the futures of both are dropped or awaited in the wrong order.
    drop(offsets.commit(&[OffsetToCommit::new("t", 0, 1)]));
    let second = offsets.commit(&[OffsetToCommit::new("t", 0, 2)]);
    let third = offsets.commit(&[OffsetToCommit::new("t", 0, 3)]);
    third.await.unwrap();
    second.await.unwrap();
    offsets.settled().await;
    assert_eq!(
        (mock.committed_offset("g", "t", 0), fault.hits()),
        (Some(3), 3)
    );
}

#[tokio::test]
async fn a_commit_for_a_topic_that_was_deleted_ends_with_its_name_and_not_with_the_time() {
    let mock = start().await;
    let cluster = cluster(&mock, &[("default.api.timeout.ms", "3600000")]).await;
    let offsets = GroupOffsets::new(&cluster, "g");
    let commit = |partition| offsets.commit(&[OffsetToCommit::new("t", partition, 1)]);
    cluster.topic("t", LIMIT).await.unwrap();
    commit(0).await.unwrap();
    let error = commit(9).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    mock.delete_topic("t").unwrap();
    let error = tokio::time::timeout(LIMIT, commit(0)).await.unwrap();
    let error = error.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("offsets of t"), "{error}");
    // The coordinator may hear later of a new topic than others.
    mock.create_topic("t", 1).unwrap();
    mock.faults()
        .on(ApiKey::OFFSET_COMMIT)
        .times(3)
        .error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    commit(0).await.unwrap();
}

#[tokio::test]
async fn an_unknown_commit_is_an_error_and_not_the_beginning() {
    let mock = start().await;
    let cluster = cluster(&mock, &[("default.api.timeout.ms", "50")]).await;
    let offsets = GroupOffsets::new(&cluster, "g");
    mock.faults()
        .on(ApiKey::OFFSET_FETCH)
        .always()
        .error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    assert!(
        offsets
            .committed(&[TopicPartition::new("t", 0)])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn every_version_of_the_group_apis_works() {
    for (join, sync, heartbeat, leave, commit, fetch) in [
        (0, 0, 0, 0, 2, 1),
        (3, 1, 1, 1, 4, 3),
        (5, 3, 3, 3, 7, 5),
        (6, 4, 4, 4, 8, 7),
        (9, 5, 4, 5, 9, 8),
        (9, 5, 4, 5, 10, 10),
    ] {
        let mock = mock::Cluster::builder()
            .topic("t", 2)
            .initial_rebalance_delay(Duration::ZERO)
            .versions(ApiKey::JOIN_GROUP, Versions::new(0, join))
            .versions(ApiKey::SYNC_GROUP, Versions::new(0, sync))
            .versions(ApiKey::HEARTBEAT, Versions::new(0, heartbeat))
            .versions(ApiKey::LEAVE_GROUP, Versions::new(0, leave))
            .versions(ApiKey::OFFSET_COMMIT, Versions::new(2, commit))
            .versions(ApiKey::OFFSET_FETCH, Versions::new(1, fetch))
            .start()
            .await
            .unwrap();
        let cluster = cluster(&mock, &[]).await;
        let mut member = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
        assert_eq!(
            assigned(&mut member).await.partitions.len(),
            2,
            "JoinGroup {join}"
        );
        let offset = OffsetToCommit {
            metadata: "note".into(),
            ..OffsetToCommit::new("t", 1, 42)
        };
        member.offsets().commit(&[offset]).await.unwrap();
        let found = member
            .offsets()
            .committed(&[TopicPartition::new("t", 1)])
            .await
            .unwrap();
        let found = found[0].as_ref().unwrap();
        assert_eq!(
            (found.offset, &*found.metadata),
            (42, "note"),
            "OffsetFetch {fetch}"
        );
        let before = mock.received_count(ApiKey::HEARTBEAT);
        until("heartbeats", || {
            mock.received_count(ApiKey::HEARTBEAT) > before + 2
        })
        .await;
        member.leave().await;
        assert_eq!(mock.group_members("g").len(), 0, "LeaveGroup {leave}");
    }
}

#[tokio::test]
async fn a_member_that_the_coordinator_forgot_loses_its_partitions_and_joins_again() {
    let mock = start().await;
    let cluster = cluster(&mock, &[("session.timeout.ms", "200")]).await;
    let mut member = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    assigned(&mut member).await;
    mock.faults()
        .on(ApiKey::HEARTBEAT)
        .error(ErrorCode::UNKNOWN_MEMBER_ID);
    let GroupEvent::Lost(loss) = event(&mut member).await else {
        panic!("lost")
    };
    assert_eq!(loss.partitions.len(), 4);
    assert!(loss.reason.contains("UNKNOWN_MEMBER_ID"), "{}", loss.reason);
    assert_eq!(assigned(&mut member).await.partitions.len(), 4);
}

#[tokio::test]
async fn a_static_member_returns_to_its_partitions_without_a_rebalance_and_its_double_is_fenced() {
    let mock = start().await;
    let cluster = cluster(&mock, &[("group.id", "g"), ("group.instance.id", "one")]).await;
    let mut first = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    let before = assigned(&mut first).await;
    let mut double = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    let after = assigned(&mut double).await;
    assert_eq!(
        (after.generation, &after.partitions),
        (before.generation, &before.partitions)
    );
    assert!(matches!(event(&mut first).await, GroupEvent::Lost(_)));
    let error = first.next_event().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::FENCED_INSTANCE_ID));
    assert!(error.to_string().contains("group.instance.id"), "{error}");
    double.leave().await;
    assert_eq!(
        mock.group_members("g").len(),
        1,
        "static members stay until their session ends"
    );
}

#[tokio::test]
async fn new_partitions_and_topics_lead_to_a_rebalance() {
    let mock = start().await;
    let cluster = cluster(
        &mock,
        &[
            ("metadata.max.age.ms", "20"),
            ("allow.auto.create.topics", "false"),
        ],
    )
    .await;
    let mut member = Membership::join(&cluster, GroupOptions::new("g", &["t", "later"])).unwrap();
    assert_eq!(assigned(&mut member).await.partitions.len(), 4);
    mock.add_partitions("t", 6).unwrap();
    revoked(&mut member).await;
    assert_eq!(assigned(&mut member).await.partitions.len(), 6);
    mock.create_topic("later", 3).unwrap();
    revoked(&mut member).await;
    assert_eq!(assigned(&mut member).await.partitions.len(), 9);
    member.subscribe(&["later"]);
    revoked(&mut member).await;
    assert_eq!(assigned(&mut member).await.partitions.len(), 3);
}

/// Everything to the member whose userdata is greatest.
struct OneOwner(u8);

impl Assignor for OneOwner {
    fn name(&self) -> &str {
        "one-owner"
    }

    fn userdata(&self, _: Option<&LastAssignment>) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(&[self.0]))
    }

    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment> {
        let owner = members
            .iter()
            .max_by_key(|member| member.userdata.clone())
            .unwrap();
        let partitions = topics.iter().map(|topic| {
            (
                topic.name.clone(),
                (0..topic.partitions.len() as i32).collect(),
            )
        });
        vec![MemberAssignment {
            member_id: owner.member_id.clone(),
            partitions: partitions.collect(),
            userdata: Some(Bytes::from_static(b"yours")),
        }]
    }
}

#[tokio::test]
async fn an_assignor_of_the_applications_own_decides() {
    let mock = start().await;
    let cluster = cluster(&mock, &[]).await;
    let options = |rank| GroupOptions {
        assignors: vec![Arc::new(OneOwner(rank))],
        ..GroupOptions::new("g", &["t"])
    };
    let mut low = Membership::join(&cluster, options(1)).unwrap();
    assert_eq!(assigned(&mut low).await.partitions.len(), 4);
    let mut high = Membership::join(&cluster, options(2)).unwrap();
    revoked(&mut low).await;
    let (low, high) = (assigned(&mut low).await, assigned(&mut high).await);
    assert_eq!((low.partitions.len(), high.partitions.len()), (0, 4));
    assert_eq!(
        (low.userdata, high.userdata.as_deref()),
        (None, Some(&b"yours"[..]))
    );
}

/// Hands every partition to the member that was not first, whoever owns it.
struct Grabbing;

impl Assignor for Grabbing {
    fn name(&self) -> &str {
        "grabbing"
    }

    fn is_cooperative(&self) -> bool {
        true
    }

    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment> {
        let whole = topics.iter().map(|topic| {
            let partitions = (0..topic.partitions.len() as i32).collect();
            (topic.name.clone(), partitions)
        });
        vec![MemberAssignment {
            member_id: members.last().unwrap().member_id.clone(),
            partitions: whole.collect(),
            userdata: None,
        }]
    }
}

fn cooperative(assignor: impl Assignor + 'static) -> GroupOptions {
    GroupOptions {
        assignors: vec![Arc::new(assignor)],
        ..GroupOptions::new("g", &["t"])
    }
}

/// Behaviour 31.
#[tokio::test]
async fn a_cooperative_member_keeps_what_it_has_and_no_partition_has_two_owners() {
    let mock = start().await;
    let cluster = cluster(&mock, &[]).await;
    let options = || cooperative(CooperativeStickyAssignor);
    let mut first = Membership::join(&cluster, options()).unwrap();
    let one = assigned(&mut first).await;
    assert_eq!((one.partitions.len(), one.added.len()), (4, 4));

    let mut second = Membership::join(&cluster, options()).unwrap();
    // The generation in which the first still has them gives the second nothing.
    let GroupEvent::Revoked(revocation) = event(&mut first).await else {
        panic!("two partitions are to be given up")
    };
    assert_eq!(revocation.partitions().len(), 2);
    let two = assigned(&mut second).await;
    assert_eq!((two.generation, two.partitions.len()), (2, 0));
    // It is still a member, and commits what it gives up.
    let given_up = revocation.partitions().to_vec();
    let last = OffsetToCommit {
        partition: given_up[0].clone(),
        ..OffsetToCommit::new("t", 0, 7)
    };
    first.offsets().commit(&[last]).await.unwrap();
    revocation.done();
    let one = assigned(&mut first).await;
    assert_eq!(
        (one.generation, one.partitions.len(), one.added.len()),
        (2, 2, 0)
    );
    let one = assigned(&mut first).await;
    let two = assigned(&mut second).await;
    assert_eq!((one.generation, two.generation), (3, 3));
    assert_eq!((one.partitions.len(), one.added.len()), (2, 0));
    assert_eq!(set(&two.added), set(&given_up));

    second.leave().await;
    let one = assigned(&mut first).await;
    assert_eq!(
        (one.partitions.len(), set(&one.added)),
        (4, set(&given_up)),
        "nothing was revoked"
    );
}

#[tokio::test]
async fn an_assignor_that_gives_away_what_has_an_owner_is_held_back_for_one_generation() {
    let mock = start().await;
    let cluster = cluster(&mock, &[]).await;
    let mut first = Membership::join(&cluster, cooperative(Grabbing)).unwrap();
    assert_eq!(assigned(&mut first).await.added.len(), 4);
    let mut second = Membership::join(&cluster, cooperative(Grabbing)).unwrap();
    let GroupEvent::Revoked(revocation) = event(&mut first).await else {
        panic!("all four are to be given up")
    };
    assert_eq!(assigned(&mut second).await.partitions, []);
    assert_eq!(revocation.partitions().len(), 4);
    revocation.done();
    assert_eq!(assigned(&mut second).await.added.len(), 4);
}

#[tokio::test]
async fn a_cooperative_member_that_the_group_forgot_loses_everything_and_joins_anew() {
    let mock = start().await;
    let cluster = cluster(&mock, &[("session.timeout.ms", "200")]).await;
    let mut member = Membership::join(&cluster, cooperative(CooperativeStickyAssignor)).unwrap();
    assigned(&mut member).await;
    mock.faults()
        .on(ApiKey::HEARTBEAT)
        .error(ErrorCode::UNKNOWN_MEMBER_ID);
    let GroupEvent::Lost(loss) = event(&mut member).await else {
        panic!("lost")
    };
    assert_eq!(loss.partitions.len(), 4);
    assert_eq!(assigned(&mut member).await.added.len(), 4);
}

#[tokio::test]
async fn a_group_of_another_kind_is_refused_with_words() {
    let mock = start().await;
    let cluster = cluster(&mock, &[]).await;
    let mut range = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    assigned(&mut range).await;
    let options = GroupOptions {
        assignors: vec![Arc::new(OneOwner(1))],
        ..GroupOptions::new("g", &["t"])
    };
    let mut other = Membership::join(&cluster, options).unwrap();
    let error = tokio::time::timeout(LIMIT, other.next_event())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
    assert!(error.to_string().contains("assignor"), "{error}");
}

#[tokio::test]
async fn who_polls_too_seldom_leaves_is_told_once_and_joins_at_the_next_poll() {
    let mock = start().await;
    let cluster = cluster(&mock, &[("group.id", "g"), ("max.poll.interval.ms", "100")]).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe(&["t"]).unwrap();
    let joining = async {
        while consumer.assignment().is_empty() {
            consumer.poll_batches(SHORT).await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, joining).await.unwrap();
    assert!(matches!(
        consumer.next_rebalance(),
        Some(Rebalance::Assigned(_))
    ));
    // A poll that waits longer than the interval is no silence.
    consumer
        .poll_batches(Duration::from_millis(300))
        .await
        .unwrap();
    assert_eq!(
        (mock.group_members("g").len(), consumer.next_rebalance()),
        (1, None)
    );
    until("the member leaves", || mock.group_members("g").is_empty()).await;
    let lost = async {
        loop {
            consumer.poll_batches(SHORT).await.unwrap();
            match consumer.next_rebalance() {
                Some(Rebalance::Lost(partitions, reason)) => return (partitions, reason),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
    };
    let (partitions, reason) = tokio::time::timeout(LIMIT, lost).await.unwrap();
    assert_eq!(partitions.len(), 4);
    assert!(reason.contains("max.poll.interval.ms"), "{reason}");
    let again = async {
        while consumer.assignment().is_empty() {
            consumer.poll_batches(SHORT).await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, again).await.unwrap();
    assert!(matches!(
        consumer.next_rebalance(),
        Some(Rebalance::Assigned(_))
    ));
    assert_eq!(consumer.next_rebalance(), None, "lost once");
}

#[tokio::test]
async fn a_record_is_committed_by_itself_and_by_its_topic() {
    let mock = start().await;
    for partition in 0..2 {
        let values = std::iter::repeat_n((None, Some(b"v".as_slice())), 3);
        mock.append("t", partition, values).unwrap();
    }
    let properties = [("group.id", "g"), ("enable.auto.commit", "false")];
    let mut consumer = Consumer::new(&cluster(&mock, &properties).await);
    consumer.subscribe(&["t"]).unwrap();
    let mut records = Vec::new();
    while records.len() < 6 {
        records.extend(consumer.poll(LIMIT).await.unwrap());
    }
    let record = |partition, offset| {
        let mut all = records.iter();
        all.find(|record| (record.partition(), record.offset()) == (partition, offset))
            .unwrap()
    };
    consumer.commit_record(record(0, 1)).await.unwrap();
    assert_eq!(mock.committed_offset("g", "t", 0), Some(2));
    assert_eq!(mock.committed_offset("g", "t", 1), None, "only its own");
    let last = record(1, 2);
    let offset = OffsetToCommit::new(last.topic(), last.partition(), last.offset() + 1);
    consumer.commit_offsets(&[offset]).await.unwrap();
    assert_eq!(mock.committed_offset("g", "t", 1), Some(3));
    let committed = TopicPartition::new(last.topic(), last.partition());
    let committed = consumer.committed(&[committed]).await.unwrap();
    assert_eq!(committed[0].as_ref().map(|of| of.offset), Some(3));
    let of_record = OffsetToCommit::from(last);
    assert_eq!(
        (of_record.offset, of_record.leader_epoch),
        (3, last.leader_epoch())
    );
    consumer.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn commits_rebalances_and_polls_are_counted() {
    let builder = mock::Cluster::builder().topic("t", 1).on_this_runtime();
    let builder = builder.initial_rebalance_delay(Duration::ZERO);
    let mock = builder.start().await.unwrap();
    mock.append("t", 0, [(None, Some(b"v".as_slice()))])
        .unwrap();
    let properties = [("group.id", "g"), ("enable.auto.commit", "false")];
    let cluster = Cluster::connect(properties.iter().fold(
        Config::new(&mock.bootstrap_servers()).auto_offset_reset("earliest"),
        |mut config, (name, value)| {
            config.set(name, value).unwrap();
            config
        },
    ));
    let cluster = cluster.await.unwrap();
    let mut consumer = Consumer::new(&cluster);
    let refuse = |api, code| mock.faults().on(api).error(code);
    refuse(ApiKey::JOIN_GROUP, ErrorCode::GROUP_AUTHORIZATION_FAILED);
    consumer.subscribe(&["t"]).unwrap();
    consumer.poll(LIMIT).await.unwrap_err();
    let of_group = || cluster.metrics().groups["g"].clone();
    let refused = of_group();
    assert_eq!((refused.rebalances, refused.rebalances_failed), (0, 1));
    assert_eq!(refused.last_rebalance, None);
    while consumer.poll(LIMIT).await.unwrap().is_empty() {}
    let joined = of_group();
    assert_eq!((joined.rebalances, joined.rebalances_failed), (1, 1));
    assert!(joined.last_rebalance.is_some());
    consumer.commit().await.unwrap();
    refuse(ApiKey::OFFSET_COMMIT, ErrorCode::GROUP_AUTHORIZATION_FAILED);
    consumer.commit().await.unwrap_err();
    let committed = of_group();
    assert_eq!((committed.commits, committed.commits_failed), (1, 1));
    assert_eq!(committed.commit_us.count(), 1);
    assert!(cluster.metrics().last_poll.is_some());
    tokio::time::sleep(Duration::from_secs(100)).await;
    consumer.poll(Duration::ZERO).await.unwrap();
    let polls = cluster.metrics().poll_interval_us;
    assert!(polls.max() >= 100_000_000, "{polls:?}");
    assert_eq!(cluster.metrics().records_lag_max(), Some(0));
}

#[tokio::test]
async fn auto_commit_commits_what_the_poll_before_delivered() {
    let mock = start().await;
    for _ in 0..3 {
        mock.append("t", 0, [(None, Some(b"v".as_slice()))])
            .unwrap();
    }
    let properties = [
        ("group.id", "g"),
        ("auto.commit.interval.ms", "1"),
        ("max.poll.records", "1"),
    ];
    let cluster = cluster(&mock, &properties).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe(&["t"]).unwrap();
    for delivered in 1..=3 {
        assert_eq!(consumer.poll(LIMIT).await.unwrap().len(), 1);
        assert!(
            mock.committed_offset("g", "t", 0).unwrap_or(0) < delivered,
            "not what is being processed"
        );
    }
    let committing = async {
        while mock.committed_offset("g", "t", 0) != Some(3) {
            consumer.poll(SHORT).await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, committing)
        .await
        .expect("the last poll's records are committed by a later one");
    drop(consumer);
    until("a dropped consumer leaves its group", || {
        mock.group_members("g").is_empty()
    })
    .await;
}

/// Behaviour 31: reading goes on through a cooperative rebalance.
#[tokio::test]
async fn a_consumer_reads_on_what_it_keeps_while_the_group_rebalances() {
    let mock = start().await;
    for partition in 0..4 {
        for _ in 0..50 {
            mock.append("t", partition, [(None, Some(b"v".as_slice()))])
                .unwrap();
        }
    }
    let properties = [("max.poll.records", "1"), ("enable.auto.commit", "false")];
    let cluster = cluster(&mock, &properties).await;
    let mut first = Consumer::new(&cluster);
    first
        .subscribe_with(cooperative(CooperativeStickyAssignor))
        .unwrap();
    let mut delivered = BTreeSet::new();
    let mut double = Vec::new();
    let mut note = |records: Vec<ConsumerRecord>| {
        for record in records {
            let of = (record.topic().clone(), record.partition(), record.offset());
            if !delivered.insert(of.clone()) {
                double.push(of);
            }
        }
        delivered.len()
    };
    while note(first.poll(LIMIT).await.unwrap()) < 20 {}
    let mut second = Consumer::new(&cluster);
    second
        .subscribe_with(cooperative(CooperativeStickyAssignor))
        .unwrap();
    let rebalancing = async {
        let (mut revoked, mut kept_on) = (Vec::new(), 0);
        while second.assignment().len() < 2 {
            note(second.poll(Duration::ZERO).await.unwrap());
            let records = first.poll(SHORT).await.unwrap();
            kept_on += records.len();
            note(records);
            while let Some(rebalance) = first.next_rebalance() {
                if let Rebalance::Revoked(partitions) = rebalance {
                    first.commit().await.unwrap();
                    revoked.extend(partitions);
                }
            }
        }
        (revoked, kept_on)
    };
    let (revoked, kept_on) = tokio::time::timeout(LIMIT, rebalancing).await.unwrap();
    assert_eq!((revoked.len(), first.assignment().len()), (2, 2));
    assert!(kept_on > 0, "it read on");
    let reading = async {
        while note(first.poll(SHORT).await.unwrap()) < 200 {
            note(second.poll(SHORT).await.unwrap());
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap();
    assert_eq!(double, [], "committed before it was given up");
}
