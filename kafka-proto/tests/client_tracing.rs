//! What the client tells through `tracing`: events with topic, partition, broker and offsets, inside spans, at levels that can be left on.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/lines.rs"]
mod lines;

use kafka_proto::client::{Config, Consumer, Producer, ProducerRecord};
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;

use self::lines::Lines;

#[tokio::test]
async fn events_name_topic_partition_broker_and_offsets() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    let config = Config::new(&mock.bootstrap_servers()).client_id("me");
    let producer = Producer::connect(config).await.unwrap();
    let record = ProducerRecord {
        topic: "t",
        ..Default::default()
    };
    producer.send(record).await.unwrap();
    mock.faults()
        .on(ApiKey::PRODUCE)
        .error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    producer.send(record).await.unwrap();
    mock.faults()
        .on(ApiKey::PRODUCE)
        .error(ErrorCode::INVALID_RECORD);
    producer.send(record).await.unwrap_err();
    for parts in [
        &["span DEBUG producer", "client_id=me"][..],
        &["span DEBUG connection", "broker=broker 1 ("],
        &["event DEBUG", "connected", "broker="],
        &["event DEBUG", "metadata", "topics=1", "brokers=1"],
        &["event TRACE", "request", "api=Produce", "correlation="],
        &["event TRACE", "response", "api=Produce", "took="],
        &[
            "event TRACE",
            "batch acknowledged",
            "topic=t",
            "partition=0",
            "base_offset=0",
            "records=1",
        ],
        &[
            "event DEBUG",
            "batch refused",
            "topic=t",
            "partition=0",
            "broker=1",
            "(NOT_LEADER_OR_FOLLOWER)",
        ],
        &["event WARN", "batch not delivered", "INVALID_RECORD"],
    ] {
        let found = lines.with(parts);
        assert!(
            !found.is_empty(),
            "{parts:?} is not in\n{}",
            lines.with(&[]).join("\n")
        );
    }
    // What goes well is told at debug and below.
    assert_eq!(lines.with(&["event WARN"]).len(), 1);
    assert!(lines.with(&["event ERROR"]).is_empty());
}

#[tokio::test]
async fn settings_that_the_group_protocol_ignores_are_named_when_a_group_is_joined() {
    let mock = mock::Cluster::builder().topic("t", 1).on_this_runtime();
    let mock = mock.start().await.unwrap();
    for (protocol, ignored) in [
        ("classic", "group.remote.assignor"),
        ("consumer", "session.timeout.ms, heartbeat.interval.ms"),
    ] {
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let mut config = Config::new(&mock.bootstrap_servers()).group_id("g");
        for (name, value) in [
            ("group.protocol", protocol),
            ("session.timeout.ms", "9000"),
            ("heartbeat.interval.ms", "1000"),
            ("group.remote.assignor", "range"),
        ] {
            config.set(name, value).unwrap();
        }
        let mut consumer = Consumer::connect(config).await.unwrap();
        consumer.subscribe(&["t"]).unwrap();
        let said = lines.with(&["event WARN", "no effect", ignored]);
        assert_eq!(said.len(), 1, "{protocol}: {}", lines.with(&[]).join("\n"));
        consumer.close().await.unwrap();
    }
}
