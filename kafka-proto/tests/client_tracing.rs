//! What the client tells through `tracing`: events with topic, partition, broker and offsets, inside spans, at levels that can be left on.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use kafka_proto::client::{Config, Producer, ProducerRecord};
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps every event and span as a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Lines {
    fn push(&self, kind: &str, metadata: &Metadata<'_>, fields: impl FnOnce(&mut Text)) {
        if !metadata.target().starts_with("kafka_proto::client") {
            return;
        }
        let mut text = Text(format!("{kind} {}", metadata.level()));
        fields(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    /// The lines that hold all of these.
    fn with(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let found = lines
            .iter()
            .filter(|line| parts.iter().all(|part| line.contains(part)));
        found.cloned().collect()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.push("span", span.metadata(), |text| {
            write!(text.0, " {}", span.metadata().name()).unwrap();
            span.record(text);
        });
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.push("event", event.metadata(), |text| event.record(text));
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

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
