//! Administration against the in-process cluster: topics, partitions, settings, groups and their offsets; and what dropping a call leaves.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use kafka_proto::client::{
    Admin, BrokerId, Cluster, Config, ConfigResource, Consumer, Error, IsolationLevel, NewTopic,
    OffsetSpec, OffsetToCommit, Producer, ProducerRecord, TopicPartition,
};
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;

async fn mock() -> mock::Cluster {
    mock::Cluster::builder()
        .brokers(2)
        .topic("t", 2)
        .on_this_runtime()
        .start()
        .await
        .unwrap()
}

async fn admin(mock: &mock::Cluster) -> Admin {
    Admin::connect(Config::new(&mock.bootstrap_servers()))
        .await
        .unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code().unwrap()
}

#[tokio::test(start_paused = true)]
async fn topics_are_created_described_grown_listed_and_deleted() {
    let mock = mock().await;
    let admin = admin(&mock).await;
    let topic = NewTopic::new("new")
        .partitions(3)
        .config("cleanup.policy", "compact");
    admin.create_topic(&topic).await.unwrap();
    assert_eq!(
        code(admin.create_topic(&topic).await),
        ErrorCode::TOPIC_ALREADY_EXISTS
    );
    let described = admin.describe_topic("new").await.unwrap();
    assert_eq!((&*described.name, described.partitions.len()), ("new", 3));
    assert!(
        described
            .partitions
            .iter()
            .all(|partition| partition.leader.is_some())
    );
    admin.create_partitions("new", 5).await.unwrap();
    assert_eq!(
        admin.describe_topic("new").await.unwrap().partitions.len(),
        5
    );
    assert_eq!(
        code(admin.create_partitions("new", 5).await),
        ErrorCode::INVALID_PARTITIONS
    );
    assert_eq!(admin.list_topics().await.unwrap(), ["new", "t"]);
    let all = admin.list_all_topics().await.unwrap();
    assert!(
        ["new", "t"]
            .iter()
            .all(|name| all.iter().any(|of| of == name))
    );
    let deleted = admin.delete_topics(&["new", "missing"]).await.unwrap();
    assert!(deleted[0].is_ok());
    assert_eq!(
        code(deleted[1].clone()),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    assert_eq!(admin.list_topics().await.unwrap(), ["t"]);
    // To describe what is not there does not create it.
    assert_eq!(
        code(admin.describe_topic("new").await),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    assert_eq!(admin.list_topics().await.unwrap(), ["t"]);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_connections_of_ones_own_and_leaves_those_of_a_shared_cluster() {
    let mock = mock().await;
    let own = admin(&mock).await;
    let clone = own.clone();
    own.close().await.unwrap();
    let error = clone.list_topics().await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    let cluster = Cluster::connect(Config::new(&mock.bootstrap_servers()));
    let cluster = cluster.await.unwrap();
    let shared = Admin::new(&cluster);
    shared.close_within(Duration::ZERO).await.unwrap();
    assert_eq!(Admin::new(&cluster).list_topics().await.unwrap(), ["t"]);
}

#[tokio::test(start_paused = true)]
async fn settings_are_read_changed_and_taken_away() {
    let mock = mock().await;
    let admin = admin(&mock).await;
    let topic = ConfigResource::Topic("t");
    admin
        .alter_configs(topic, &[("max.message.bytes", Some("1000"))])
        .await
        .unwrap();
    let entry = admin
        .configs(topic)
        .await
        .unwrap()
        .remove("max.message.bytes")
        .unwrap();
    assert_eq!((entry.value.as_deref(), entry.is_own), (Some("1000"), true));
    admin
        .alter_topic_configs("t", &[("max.message.bytes", None)])
        .await
        .unwrap();
    let entry = admin
        .topic_configs("t")
        .await
        .unwrap()
        .remove("max.message.bytes")
        .unwrap();
    assert!(!entry.is_own);
    let wrong = admin
        .alter_configs(topic, &[("no.such.setting", Some("1"))])
        .await;
    assert_eq!(code(wrong), ErrorCode::INVALID_CONFIG);
}

#[tokio::test(start_paused = true)]
async fn records_are_deleted_up_to_an_offset_and_offsets_are_told() {
    let mock = mock().await;
    let admin = admin(&mock).await;
    let producer = Producer::new(admin.cluster()).unwrap();
    for partition in [0, 0, 0, 1] {
        let record = ProducerRecord {
            topic: "t",
            partition: Some(partition),
            timestamp: Some(77),
            ..Default::default()
        };
        producer.send(record).await.unwrap();
    }
    let begins = admin
        .delete_records(&[("t", 1, -1), ("t", 0, 2), ("t", 9, 0)])
        .await
        .unwrap();
    assert_eq!(*begins[0].as_ref().unwrap(), 1);
    assert_eq!(*begins[1].as_ref().unwrap(), 2);
    assert!(begins[2].is_err());
    let questions = [
        ("t", 0, OffsetSpec::Earliest),
        ("t", 0, OffsetSpec::Latest),
        ("t", 0, OffsetSpec::AtOrAfter(77)),
        ("t", 0, OffsetSpec::AtOrAfter(78)),
    ];
    let isolation = IsolationLevel::ReadUncommitted;
    let offsets = admin.list_offsets(&questions, isolation).await.unwrap();
    let offsets: Vec<_> = offsets
        .into_iter()
        .map(|answer| answer.unwrap().offset)
        .collect();
    assert_eq!(offsets, [Some(2), Some(3), Some(2), None]);
    assert_eq!(
        code(
            admin
                .delete_records(&[("t", 0, 99)])
                .await
                .unwrap()
                .remove(0)
        ),
        ErrorCode::OFFSET_OUT_OF_RANGE
    );
}

#[tokio::test]
async fn groups_are_listed_described_and_deleted_with_their_offsets() {
    let mock = mock().await;
    let admin = admin(&mock).await;
    let config = Config::new(&mock.bootstrap_servers())
        .group_id("readers")
        .client_id("reader");
    let mut consumer = Consumer::connect(config).await.unwrap();
    consumer.subscribe(&["t"]).unwrap();
    while consumer.assignment().is_empty() {
        consumer.poll(Duration::from_millis(10)).await.unwrap();
    }
    let listed = admin.list_groups().await.unwrap();
    assert_eq!(
        (&*listed[0].group_id, &*listed[0].protocol_type),
        ("readers", "consumer")
    );
    let described = admin.describe_group("readers").await.unwrap();
    assert_eq!((&*described.state, described.members.len()), ("Stable", 1));
    let member = &described.members[0];
    assert_eq!(member.client_id, "reader");
    assert_eq!(member.assignment.len(), 2);
    assert_eq!(described.coordinator, listed[0].coordinator);
    assert_eq!(
        code(admin.delete_groups(&["readers"]).await.remove(0)),
        ErrorCode::NON_EMPTY_GROUP
    );
    consumer.close().await.unwrap();
    let offsets = [
        OffsetToCommit::new("t", 0, 5),
        OffsetToCommit::new("t", 1, 6),
    ];
    admin
        .alter_group_offsets("readers", &offsets)
        .await
        .unwrap();
    let committed = admin.group_offsets("readers").await.unwrap();
    let committed: Vec<_> = committed
        .iter()
        .map(|(at, offset)| (at.partition, offset.offset))
        .collect();
    assert_eq!(committed, [(0, 5), (1, 6)]);
    assert!(admin.group_offsets("another").await.unwrap().is_empty());
    assert!(admin.delete_groups(&["readers"]).await.remove(0).is_ok());
    assert!(admin.group_offsets("readers").await.unwrap().is_empty());
    assert!(admin.list_groups().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_a_coordinator_that_moved_is_found() {
    let mock = mock().await;
    let admin = admin(&mock).await;
    let faults = mock.faults();
    faults.on(ApiKey::CREATE_TOPICS).times(3).drop_connection();
    admin.create_topic(&NewTopic::new("new")).await.unwrap();
    admin
        .alter_group_offsets("g", &[OffsetToCommit::new("t", 0, 1)])
        .await
        .unwrap();
    faults
        .on(ApiKey::DESCRIBE_GROUPS)
        .times(2)
        .error(ErrorCode::NOT_COORDINATOR);
    assert_eq!(admin.describe_group("g").await.unwrap().state, "Empty");
    assert!(
        admin
            .cluster()
            .metrics()
            .errors
            .contains_key(&ErrorCode::NOT_COORDINATOR)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_await_leaves_all_or_nothing_and_the_next_one_works() {
    let mock = mock().await;
    let cluster = Cluster::connect(Config::new(&mock.bootstrap_servers()))
        .await
        .unwrap();
    let admin = Admin::new(&cluster);
    let mut created = 0;
    for polls in 0..12 {
        let name = format!("dropped-{polls}");
        let topic = NewTopic::new(&name).partitions(2);
        {
            let mut call = pin!(admin.create_topic(&topic));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if call.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        match admin.describe_topic(&name).await {
            Ok(topic) => {
                assert_eq!(topic.partitions.len(), 2);
                created += 1;
            }
            Err(error) => assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
        }
        let other = NewTopic::new(&format!("whole-{polls}"));
        admin.create_topic(&other).await.unwrap();
    }
    assert!((1..12).contains(&created), "{created}");
    // The same of questions to a leader and to a coordinator.
    for polls in 0..8 {
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut call = pin!(admin.delete_records(&[("t", 0, 0)]));
            let _ = (0..polls).any(|_| call.as_mut().poll(&mut context).is_ready());
            let mut call = pin!(admin.describe_group("g"));
            let _ = (0..polls).any(|_| call.as_mut().poll(&mut context).is_ready());
            let mut call = pin!(admin.group_offsets("g"));
            let _ = (0..polls).any(|_| call.as_mut().poll(&mut context).is_ready());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(admin.delete_records(&[("t", 0, 0)]).await.unwrap()[0].is_ok());
        assert!(admin.group_offsets("g").await.unwrap().is_empty());
    }
    let broker = mock.broker_ids()[0];
    assert!(cluster.metadata().broker(BrokerId(broker)).is_some());
    let committed = admin.group_offsets("g").await.unwrap();
    assert!(!committed.contains_key(&TopicPartition::new("t", 0)));
}

#[tokio::test(start_paused = true)]
async fn coordinators_that_send_us_on_for_ever_cost_a_request_a_back_off() {
    let mock = mock().await;
    let admin = admin(&mock).await;
    let faults = mock.faults();
    let moved = faults
        .on(ApiKey::DESCRIBE_GROUPS)
        .always()
        .error(ErrorCode::NOT_COORDINATOR);
    let begin = tokio::time::Instant::now();
    let error = admin.describe_group("g").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NOT_COORDINATOR));
    assert!(begin.elapsed() <= Duration::from_secs(60));
    assert!((20..80).contains(&moved.hits()), "{}", moved.hits());
}
