//! The client against brokers that offer what Kafka 2.8 and 3.9 do: everything is negotiated down, and nothing is missing that they have.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::time::Duration;

use kafka_proto::client::{
    Admin, Cluster, CompressionType, Config, Consumer, Error, IsolationLevel, NewTopic, OffsetSpec,
    OffsetToCommit, Producer, ProducerRecord,
};
use kafka_proto::messages::{ApiKey, ErrorCode, Versions};
use kafka_proto::mock;

/// The highest versions that Kafka 2.8 answers, from its own message definitions.
const KAFKA_2_8: [(ApiKey, i16); 24] = [
    (ApiKey::PRODUCE, 9),
    (ApiKey::FETCH, 12),
    (ApiKey::LIST_OFFSETS, 6),
    (ApiKey::METADATA, 11),
    (ApiKey::OFFSET_COMMIT, 8),
    (ApiKey::OFFSET_FETCH, 7),
    (ApiKey::FIND_COORDINATOR, 3),
    (ApiKey::JOIN_GROUP, 7),
    (ApiKey::HEARTBEAT, 4),
    (ApiKey::LEAVE_GROUP, 4),
    (ApiKey::SYNC_GROUP, 5),
    (ApiKey::DESCRIBE_GROUPS, 5),
    (ApiKey::LIST_GROUPS, 4),
    (ApiKey::API_VERSIONS, 3),
    (ApiKey::CREATE_TOPICS, 7),
    (ApiKey::DELETE_TOPICS, 6),
    (ApiKey::DELETE_RECORDS, 2),
    (ApiKey::INIT_PRODUCER_ID, 4),
    (ApiKey::OFFSET_FOR_LEADER_EPOCH, 4),
    (ApiKey::DESCRIBE_CONFIGS, 4),
    (ApiKey::CREATE_PARTITIONS, 3),
    (ApiKey::DELETE_GROUPS, 2),
    (ApiKey::INCREMENTAL_ALTER_CONFIGS, 1),
    (ApiKey::DESCRIBE_CLUSTER, 0),
];

/// The same of Kafka 3.9, where it is more.
const KAFKA_3_9: [(ApiKey, i16); 12] = [
    (ApiKey::PRODUCE, 11),
    (ApiKey::FETCH, 17),
    (ApiKey::LIST_OFFSETS, 9),
    (ApiKey::METADATA, 12),
    (ApiKey::OFFSET_COMMIT, 9),
    (ApiKey::OFFSET_FETCH, 9),
    (ApiKey::FIND_COORDINATOR, 6),
    (ApiKey::JOIN_GROUP, 9),
    (ApiKey::LEAVE_GROUP, 5),
    (ApiKey::LIST_GROUPS, 5),
    (ApiKey::INIT_PRODUCER_ID, 5),
    (ApiKey::DESCRIBE_CLUSTER, 1),
];

/// Before Kafka 1.0: no flexible versions, no leader epochs, no idempotent retries beyond the basics, no zstd.
const ANCIENT: [(ApiKey, i16); 12] = [
    (ApiKey::PRODUCE, 3),
    (ApiKey::FETCH, 4),
    (ApiKey::LIST_OFFSETS, 1),
    (ApiKey::METADATA, 4),
    (ApiKey::OFFSET_COMMIT, 3),
    (ApiKey::OFFSET_FETCH, 3),
    (ApiKey::FIND_COORDINATOR, 1),
    (ApiKey::JOIN_GROUP, 2),
    (ApiKey::HEARTBEAT, 1),
    (ApiKey::API_VERSIONS, 1),
    (ApiKey::CREATE_TOPICS, 2),
    (ApiKey::INIT_PRODUCER_ID, 0),
];

async fn broker(tables: &[&[(ApiKey, i16)]], without: &[ApiKey]) -> mock::Cluster {
    let mut builder = mock::Cluster::builder()
        .topic("t", 2)
        .transaction_version(0);
    for (api, max) in tables.iter().copied().flatten() {
        builder = builder.versions(*api, Versions::new(0, *max));
    }
    for api in without {
        builder = builder.without(*api);
    }
    builder.start().await.unwrap()
}

/// Produces, reads as a group, commits.
async fn produce_and_consume(mock: &mock::Cluster) {
    let config = Config::new(&mock.bootstrap_servers())
        .group_id("readers")
        .compression_type(CompressionType::Lz4)
        .auto_offset_reset(kafka_proto::client::OffsetReset::Earliest);
    let cluster = Cluster::connect(config.clone()).await.unwrap();
    let producer = Producer::new(&cluster).unwrap();
    for n in 0..10_u8 {
        let record = ProducerRecord {
            topic: "t",
            partition: Some(i32::from(n % 2)),
            value: Some(&[n]),
            headers: &[("h", None)],
            ..Default::default()
        };
        producer.send(record).await.unwrap();
    }
    let mut consumer = Consumer::connect(config).await.unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 10 {
        for record in consumer.poll(Duration::from_millis(100)).await.unwrap() {
            seen.push(record.value().unwrap()[0]);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<u8>>());
    consumer.close().await.unwrap();
    let committed = Admin::new(&cluster).group_offsets("readers").await.unwrap();
    assert_eq!(
        committed.values().map(|offset| offset.offset).sum::<i64>(),
        10
    );
    let questions = [("t", 0, OffsetSpec::Latest), ("t", 1, OffsetSpec::Earliest)];
    let isolation = IsolationLevel::ReadUncommitted;
    let offsets = Admin::new(&cluster)
        .list_offsets(&questions, isolation)
        .await
        .unwrap();
    let offsets: Vec<_> = offsets
        .into_iter()
        .map(|answer| answer.unwrap().offset)
        .collect();
    assert_eq!(offsets, [Some(5), Some(0)]);
}

async fn administer(mock: &mock::Cluster) {
    let admin = Admin::connect(Config::new(&mock.bootstrap_servers()))
        .await
        .unwrap();
    admin
        .create_topic(&NewTopic::new("new").partitions(1))
        .await
        .unwrap();
    admin.create_partitions("new", 2).await.unwrap();
    assert_eq!(
        admin.describe_topic("new").await.unwrap().partitions.len(),
        2
    );
    admin
        .alter_topic_configs("new", &[("retention.ms", Some("5"))])
        .await
        .unwrap();
    assert!(admin.topic_configs("new").await.unwrap()["retention.ms"].is_own);
    assert_eq!(admin.describe_cluster().await.unwrap().brokers.len(), 1);
    assert_eq!(
        *admin.delete_records(&[("new", 0, 0)]).await.unwrap()[0]
            .as_ref()
            .unwrap(),
        0
    );
    admin
        .alter_group_offsets("g", &[OffsetToCommit::new("t", 0, 1)])
        .await
        .unwrap();
    assert_eq!(admin.describe_group("g").await.unwrap().state, "Empty");
    assert!(
        admin
            .list_groups()
            .await
            .unwrap()
            .iter()
            .any(|group| group.group_id == "g")
    );
    assert!(admin.delete_groups(&["g"]).await.remove(0).is_ok());
    assert!(
        admin
            .delete_topics(&["new"])
            .await
            .unwrap()
            .remove(0)
            .is_ok()
    );
}

const NEWER_GROUPS: [ApiKey; 2] = [
    ApiKey::CONSUMER_GROUP_HEARTBEAT,
    ApiKey::CONSUMER_GROUP_DESCRIBE,
];

#[tokio::test]
async fn kafka_2_8_is_spoken_to_in_its_versions() {
    let mock = broker(&[&KAFKA_2_8], &NEWER_GROUPS).await;
    produce_and_consume(&mock).await;
    administer(&mock).await;
}

#[tokio::test]
async fn kafka_3_9_is_spoken_to_in_its_versions() {
    let mock = broker(&[&KAFKA_2_8, &KAFKA_3_9], &NEWER_GROUPS).await;
    produce_and_consume(&mock).await;
    administer(&mock).await;
}

#[tokio::test]
async fn the_first_version_of_each_api_that_still_has_record_batches_is_enough() {
    let mock = broker(&[&ANCIENT], &NEWER_GROUPS).await;
    produce_and_consume(&mock).await;
}

#[tokio::test]
async fn what_an_old_broker_lacks_is_named_and_not_worked_around() {
    let mock = broker(
        &[&ANCIENT],
        &[ApiKey::INCREMENTAL_ALTER_CONFIGS, ApiKey::INIT_PRODUCER_ID],
    )
    .await;
    let admin = Admin::connect(Config::new(&mock.bootstrap_servers()))
        .await
        .unwrap();
    let error = admin
        .alter_topic_configs("t", &[("retention.ms", None)])
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(
        error.to_string().contains("IncrementalAlterConfigs"),
        "{error}"
    );
    // Without producer ids there is no idempotence: that is said, and that the setting switches it off.
    let record = ProducerRecord {
        topic: "t",
        ..Default::default()
    };
    let config = Config::new(&mock.bootstrap_servers());
    let producer = Producer::connect(config.clone()).await.unwrap();
    let error = producer.send(record).await.unwrap_err();
    assert!(error.to_string().contains("InitProducerId"), "{error}");
    assert_eq!(error.maybe_written(), Some(false));
    let producer = Producer::connect(config.enable_idempotence(false))
        .await
        .unwrap();
    producer.send(record).await.unwrap();
    let missing = admin.describe_topic("missing").await.unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}
