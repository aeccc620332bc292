//! Against a real Apache Kafka: groups, commits, seeks, resets, compaction gaps.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{collections::BTreeSet, time::Duration};

use kafka_proto::{
    client::{
        Cluster, Config, Consumer, Error, Fetcher, GroupEvent, GroupOffsets, GroupOptions,
        Membership, OffsetReset, OffsetToCommit, Purpose, Rebalance, Start, TopicPartition,
    },
    messages::{
        ErrorCode, ProduceRequest,
        produce::{PartitionProduceData, TopicProduceData},
    },
    records::{BatchBuilder, Compression, Stamp},
};
use test_support::{kafka::Broker, require_kafka};

/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(300);

fn config(kafka: &Broker, properties: &[(&str, &str)]) -> Config {
    let mut config = Config::new(&kafka.bootstrap_servers());
    for (name, value) in [("auto.offset.reset", "earliest")].iter().chain(properties) {
        config.set(name, value).unwrap();
    }
    config
}

/// Appends one batch of values.
async fn produce(cluster: &Cluster, topic: &str, partition: i32, values: &[String]) {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for value in values {
        builder
            .append(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[])
            .unwrap();
    }
    let records = builder.finish(Stamp::NONE).unwrap();
    let delivered = async {
        loop {
            let topic_id = cluster.topic(topic, LIMIT).await.unwrap().id;
            if let Some((leader, _)) = cluster.metadata().leader(topic, partition) {
                let records = Some(records.clone().into());
                let partition_data = vec![PartitionProduceData {
                    index: partition,
                    records,
                }];
                let topic_data = vec![TopicProduceData {
                    name: topic.into(),
                    topic_id,
                    partition_data,
                }];
                let request = ProduceRequest {
                    acks: -1,
                    timeout_ms: 30_000,
                    topic_data,
                    ..ProduceRequest::default()
                };
                let connection = cluster.connection(leader, Purpose::Produce).await.unwrap();
                let response = connection.call(&request, LIMIT).await.unwrap();
                let code = response.responses[0].partition_responses[0].error_code;
                assert!(code.is_ok() || code.is_retriable(), "{code}");
                if code.is_ok() {
                    return;
                }
            }
            // A leader that was elected a moment ago does not know it yet.
            cluster.refresh(&[topic]).await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, delivered)
        .await
        .expect("the broker takes it");
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Polls until so many records came.
async fn values(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    let reading = async {
        while values.len() < count {
            for record in consumer.poll(LIMIT).await.unwrap() {
                values.push(String::from_utf8(record.value().unwrap().to_vec()).unwrap());
            }
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("the records come");
    values
}

#[tokio::test]
async fn a_group_of_one_reads_commits_and_its_successor_goes_on() {
    let kafka = require_kafka!();
    kafka.create_topic("resume", 2, &[]);
    let config = config(
        kafka,
        &[
            ("group.id", "resume-group"),
            ("enable.auto.commit", "false"),
        ],
    );
    let cluster = Cluster::connect(config.clone()).await.unwrap();
    produce(&cluster, "resume", 0, &numbers(0..10)).await;
    produce(&cluster, "resume", 1, &numbers(10..20)).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe(&["resume"]).unwrap();
    let mut read = values(&mut consumer, 20).await;
    read.sort_by_key(|value| value.parse::<usize>().unwrap());
    assert_eq!(read, numbers(0..20));
    assert!(
        matches!(consumer.next_rebalance(), Some(Rebalance::Assigned(partitions)) if partitions.len() == 2)
    );
    consumer.commit().await.unwrap();
    let partitions = [
        TopicPartition::new("resume", 0),
        TopicPartition::new("resume", 1),
    ];
    let committed = consumer.committed(&partitions).await.unwrap();
    assert!(committed.iter().all(|at| {
        at.as_ref()
            .is_some_and(|at| at.offset == 10 && at.leader_epoch >= 0)
    }));
    assert_eq!(
        kafka.committed("resume-group", "resume"),
        [(0, 10), (1, 10)],
        "as Kafka's own tool sees it"
    );
    consumer.close().await.unwrap();

    produce(&cluster, "resume", 0, &numbers(20..25)).await;
    let mut successor = Consumer::connect(config).await.unwrap();
    successor.subscribe(&["resume"]).unwrap();
    assert_eq!(values(&mut successor, 5).await, numbers(20..25));
    successor.close().await.unwrap();
}

#[tokio::test]
async fn closing_commits_what_was_delivered_and_not_more() {
    let kafka = require_kafka!();
    kafka.create_topic("close", 1, &[]);
    let config = config(
        kafka,
        &[("group.id", "close-group"), ("max.poll.records", "7")],
    );
    let cluster = Cluster::connect(config).await.unwrap();
    produce(&cluster, "close", 0, &numbers(0..20)).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe(&["close"]).unwrap();
    assert_eq!(values(&mut consumer, 1).await, numbers(0..7));
    assert_eq!(consumer.position("close", 0), Some(7));
    consumer.close().await.unwrap();
    let offsets = GroupOffsets::new(&cluster, "close-group");
    let committed = offsets
        .committed(&[TopicPartition::new("close", 0)])
        .await
        .unwrap();
    assert_eq!(committed[0].as_ref().unwrap().offset, 7);
}

#[tokio::test]
async fn two_consumers_share_the_partitions_and_the_survivor_takes_over() {
    let kafka = require_kafka!();
    kafka.create_topic("shared", 4, &[]);
    let config = config(
        kafka,
        &[
            ("group.id", "shared-group"),
            ("heartbeat.interval.ms", "200"),
        ],
    );
    let cluster = Cluster::connect(config).await.unwrap();
    for partition in 0..4 {
        produce(&cluster, "shared", partition, &numbers(0..10)).await;
    }
    let mut first = Consumer::new(&cluster);
    first.subscribe(&["shared"]).unwrap();
    values(&mut first, 40).await;
    assert_eq!(first.assignment().len(), 4);

    let mut second = Consumer::new(&cluster);
    second.subscribe(&["shared"]).unwrap();
    let both = async {
        while first.assignment().len() != 2 || second.assignment().len() != 2 {
            let (one, two) = tokio::join!(first.poll(SOON), second.poll(SOON));
            // What the first had read was committed when it gave its partitions up.
            assert!(one.unwrap().is_empty() && two.unwrap().is_empty());
        }
    };
    tokio::time::timeout(LIMIT, both)
        .await
        .expect("each has two partitions");
    let owned = |consumer: &Consumer| {
        consumer
            .assignment()
            .into_iter()
            .map(|(of, _)| of)
            .collect::<BTreeSet<_>>()
    };
    assert!(owned(&first).is_disjoint(&owned(&second)));
    second.close().await.unwrap();
    let alone = async {
        while first.assignment().len() != 4 {
            assert!(first.poll(SOON).await.unwrap().is_empty());
        }
    };
    tokio::time::timeout(LIMIT, alone)
        .await
        .expect("the survivor has all");
    first.close().await.unwrap();
}

#[tokio::test]
async fn without_auto_commit_a_revocation_waits_until_the_application_committed() {
    let kafka = require_kafka!();
    kafka.create_topic("revoke", 2, &[]);
    let config = config(
        kafka,
        &[
            ("group.id", "revoke-group"),
            ("heartbeat.interval.ms", "200"),
            ("enable.auto.commit", "false"),
        ],
    );
    let cluster = Cluster::connect(config).await.unwrap();
    produce(&cluster, "revoke", 0, &numbers(0..10)).await;
    produce(&cluster, "revoke", 1, &numbers(0..10)).await;
    let mut first = Consumer::new(&cluster);
    first.subscribe(&["revoke"]).unwrap();
    values(&mut first, 20).await;
    first.next_rebalance().unwrap();
    let mut second = Consumer::new(&cluster);
    second.subscribe(&["revoke"]).unwrap();
    let revoked = async {
        loop {
            let (one, two) = tokio::join!(first.poll(SOON), second.poll(SOON));
            assert!(one.unwrap().is_empty() && two.unwrap().is_empty());
            if let Some(Rebalance::Revoked(partitions)) = first.next_rebalance() {
                return partitions;
            }
        }
    };
    let revoked = tokio::time::timeout(LIMIT, revoked)
        .await
        .expect("a revocation");
    assert_eq!(revoked.len(), 2);
    first.commit().await.expect("still a member");
    let both = async {
        while first.assignment().len() != 1 || second.assignment().len() != 1 {
            let (one, two) = tokio::join!(first.poll(SOON), second.poll(SOON));
            assert!(
                one.unwrap().is_empty() && two.unwrap().is_empty(),
                "nothing is read twice"
            );
        }
    };
    tokio::time::timeout(LIMIT, both)
        .await
        .expect("each has one partition");
}

#[tokio::test]
async fn seeking_reads_again_and_skips() {
    let kafka = require_kafka!();
    kafka.create_topic("seek", 1, &[]);
    let cluster = Cluster::connect(config(kafka, &[])).await.unwrap();
    produce(&cluster, "seek", 0, &numbers(0..10)).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.assign(&[TopicPartition::new("seek", 0)]).unwrap();
    assert_eq!(values(&mut consumer, 10).await, numbers(0..10));
    // Into the middle of a batch: what lies before it is not delivered.
    consumer.seek("seek", 0, Start::Offset(7)).unwrap();
    assert_eq!(values(&mut consumer, 3).await, numbers(7..10));
    consumer.seek("seek", 0, Start::Earliest).unwrap();
    assert_eq!(values(&mut consumer, 10).await.len(), 10);
    consumer.seek("seek", 0, Start::Latest).unwrap();
    assert!(consumer.poll(SOON).await.unwrap().is_empty());
    assert_eq!(
        (consumer.position("seek", 0), consumer.lag("seek", 0)),
        (Some(10), Some(0))
    );
    produce(&cluster, "seek", 0, &numbers(10..12)).await;
    assert_eq!(values(&mut consumer, 2).await, numbers(10..12));
}

#[tokio::test]
async fn a_position_outside_the_log_follows_the_reset_policy() {
    let kafka = require_kafka!();
    kafka.create_topic("outside", 1, &[]);
    let cluster = Cluster::connect(config(kafka, &[])).await.unwrap();
    produce(&cluster, "outside", 0, &numbers(0..5)).await;
    let mut earliest = Fetcher::new(&cluster);
    earliest.assign("outside", 0, Start::Offset(1000));
    let fetched = loop {
        let fetched = earliest.poll_batches(LIMIT).await.unwrap();
        if fetched
            .partitions()
            .iter()
            .any(|partition| partition.position() == 5)
        {
            break fetched;
        }
    };
    assert_eq!(fetched.partitions()[0].start(), 0);
    assert!(fetched.partitions()[0].reached_end());

    let mut none = Fetcher::new(&cluster).with_reset(OffsetReset::None);
    none.assign("outside", 0, Start::Offset(1000));
    let error = none.poll_batches(LIMIT).await.unwrap_err();
    assert!(
        matches!(error, Error::PositionLost { offset: 1000, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("auto.offset.reset"), "{error}");
    none.seek("outside", 0, Start::Offset(4)).unwrap();
    let fetched = none.poll_batches(LIMIT).await.unwrap();
    assert_eq!(fetched.partitions()[0].position(), 5);
}

#[tokio::test]
async fn a_missing_topic_is_an_error_that_says_so() {
    let kafka = require_kafka!();
    let config = config(
        kafka,
        &[
            ("allow.auto.create.topics", "false"),
            ("default.api.timeout.ms", "1000"),
        ],
    );
    let cluster = Cluster::connect(config).await.unwrap();
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("no-such-topic", 0, Start::Earliest);
    let error = fetcher.poll_batches(LIMIT).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("no-such-topic"), "{error}");
}

#[tokio::test]
async fn a_member_that_returns_with_its_id_is_the_same_member() {
    let kafka = require_kafka!();
    kafka.create_topic("same", 1, &[]);
    let cluster = Cluster::connect(config(kafka, &[])).await.unwrap();
    let options = || GroupOptions::new("same-group", &["same"]);
    let mut first = Membership::join(&cluster, options()).unwrap();
    let GroupEvent::Assigned(assignment) = first.next_event().await.unwrap() else {
        panic!("the only member")
    };
    assert_eq!(assignment.partitions, [TopicPartition::new("same", 0)]);
    let id = assignment.member_id.to_string();
    // As after kill -9: the coordinator has heard nothing.
    std::mem::forget(first);
    let again = GroupOptions {
        member_id: Some(id.clone()),
        ..options()
    };
    let mut second = Membership::join(&cluster, again).unwrap();
    let event = tokio::time::timeout(Duration::from_secs(20), second.next_event()).await;
    let GroupEvent::Assigned(assignment) = event.expect("without waiting for the session").unwrap()
    else {
        panic!("assigned")
    };
    assert_eq!(
        (
            assignment.member_id.to_string(),
            assignment.partitions.len()
        ),
        (id, 1)
    );
    second.leave().await;
}

#[tokio::test]
async fn a_commit_of_a_stale_generation_is_refused() {
    let kafka = require_kafka!();
    kafka.create_topic("stale", 1, &[]);
    let cluster = Cluster::connect(config(kafka, &[("heartbeat.interval.ms", "60")]))
        .await
        .unwrap();
    let mut first =
        Membership::join(&cluster, GroupOptions::new("stale-group", &["stale"])).unwrap();
    assert!(matches!(
        first.next_event().await.unwrap(),
        GroupEvent::Assigned(_)
    ));
    let offsets = first.offsets().clone();
    offsets
        .commit(&[OffsetToCommit::new("stale", 0, 3)])
        .await
        .unwrap();
    first.leave().await;
    let refused = offsets
        .commit(&[OffsetToCommit::new("stale", 0, 1)])
        .await
        .unwrap_err();
    assert!(
        matches!(refused.code(), Some(ErrorCode::UNKNOWN_MEMBER_ID)),
        "{refused}"
    );
    let committed = offsets
        .committed(&[TopicPartition::new("stale", 0)])
        .await
        .unwrap();
    assert_eq!(committed[0].as_ref().unwrap().offset, 3);
}
