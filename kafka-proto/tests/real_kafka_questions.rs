//! The in-process cluster and a real Apache Kafka are asked the same questions, one request after the other,
//! and their answers compared: errors, settings, offsets, states. Words, addresses, ids, clock times and the
//! order in a list are not. Where they differ on purpose a table says why, and the test fails too when they no longer do.
#![cfg(all(feature = "mock", feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "questions/groups.rs"]
mod groups;
#[path = "questions/logs.rs"]
mod logs;
#[path = "raw/mod.rs"]
mod raw;
#[path = "questions/topics.rs"]
mod topics;
#[path = "questions/transactions.rs"]
mod transactions;

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_proto::messages::metadata::MetadataRequestTopic;
use kafka_proto::messages::{FindCoordinatorRequest, Message, MetadataRequest, Request};
use kafka_proto::mock::Cluster;
use kafka_proto::wire::Uuid;
use raw::{GUARD, Raw};
use serde_json::Value;
use test_support::kafka::Options;
use test_support::require_kafka;

/// Questions whose answers differ, each with the reason.
const ON_PURPOSE: &[(&str, &str)] = &[
    (
        "alter: an operation that is none",
        "Kafka trips over it (UNKNOWN_SERVER_ERROR); what is wrong with the request is said here",
    ),
    (
        "produce an unknown codec",
        "Kafka trips over it (UNKNOWN_SERVER_ERROR); what is wrong with the batch is said here",
    ),
    (
        "classic join of a consumer group",
        "groups are not converted between the protocols here",
    ),
    (
        "describe a setting of a broker",
        "settings of the builder are the brokers' static ones, and have no documentation",
    ),
];

/// One side: a connection, and what it has answered so far.
struct Asker {
    address: String,
    raw: Raw,
    answers: BTreeMap<String, Value>,
}

impl Asker {
    async fn connect(address: &str) -> Self {
        let mut asker = Self {
            address: address.to_owned(),
            raw: Raw::connect_address(address).await,
            answers: BTreeMap::new(),
        };
        // The first one who asks makes the topics that coordinators need.
        for key_type in [0, 1] {
            let request = FindCoordinatorRequest {
                key_type,
                coordinator_keys: vec!["any".into()],
                ..Default::default()
            };
            asker.settled(request, 6).await;
        }
        asker
    }

    /// Asks, and keeps the answer under this name. If the broker hangs up instead, that is the answer.
    async fn ask<R: Request + Clone>(
        &mut self,
        name: &str,
        request: R,
        version: i16,
    ) -> R::Response {
        let asked = tokio::time::timeout(GUARD, self.answer(request, version)).await;
        let response = asked.unwrap_or_else(|_| panic!("{name}: never answered or never settled"));
        let answer = match &response {
            Some(response) => normalised(response.to_json(version).unwrap()),
            None => "hung up".into(),
        };
        let before = self.answers.insert(name.to_owned(), answer);
        assert!(before.is_none(), "two questions have the name {name}");
        response.unwrap_or_default()
    }

    /// Asks what is no question but has to be done.
    async fn settled<R: Request + Clone>(&mut self, request: R, version: i16) -> R::Response {
        let answer = self.answer(request, version).await;
        answer.expect("the broker hung up")
    }

    /// Asks until the cluster has settled: coordinators load, leaders are elected, markers are written. `None` if the broker
    /// hangs up.
    async fn answer<R: Request + Clone>(
        &mut self,
        request: R,
        version: i16,
    ) -> Option<R::Response> {
        loop {
            self.raw.send(&request, version).await;
            let Some(response) = self.raw.receive::<R>(version).await else {
                self.raw = Raw::connect_address(&self.address).await;
                return None;
            };
            if !is_unsettled(&response.to_json(version).unwrap()) {
                return Some(response);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the broker leads so many partitions of the topic.
    async fn ready(&mut self, topic: &str, partitions: usize) -> Uuid {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                topic_id: Uuid::ZERO,
                name: Some(topic.into()),
            }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let mut id = None;
        for _ in 0..1000 {
            let response = self.settled(request.clone(), 12).await;
            let of = &response.topics[0];
            if of.partitions.len() == partitions
                && of.partitions.iter().all(|one| one.leader_id >= 0)
            {
                id = Some(of.topic_id);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        id.expect("the topic is there in the end")
    }
}

/// Errors that pass by themselves: LEADER_NOT_AVAILABLE, coordinators that load, CONCURRENT_TRANSACTIONS.
fn is_unsettled(answer: &Value) -> bool {
    match answer {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let code = value.as_i64().filter(|_| name == "errorCode");
            code.is_some_and(|code| matches!(code, 5 | 14 | 15 | 16 | 51)) || is_unsettled(value)
        }),
        Value::Array(items) => items.iter().any(is_unsettled),
        _ => false,
    }
}

/// The answer without what differs between any two clusters, lists in an order of ours.
fn normalised(answer: Value) -> Value {
    match answer {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(name, value)| {
                let value = field(&name, value)?;
                Some((name, value))
            });
            fields.collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(normalised).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        other => other,
    }
}

fn field(name: &str, value: Value) -> Option<Value> {
    let some = |known: &Value| {
        if *known == value {
            value.clone()
        } else {
            "some".into()
        }
    };
    Some(match name {
        "throttleTimeMs"
        | "host"
        | "port"
        | "clusterId"
        | "clientHost"
        | "sessionId"
        | "errorMessage"
        | "batchIndexErrorMessage"
        | "memberEpoch" => return None,
        "topicId" => some(&Uuid::ZERO.to_string().into()),
        "memberId" | "leader" if value.is_string() => some(&"".into()),
        "documentation" => some(&Value::Null),
        "producerId" | "lastTimestamp" | "transactionStartTimeMs" | "logAppendTimeMs" => {
            some(&(-1).into())
        }
        _ => normalised(value),
    })
}

async fn questions(address: &str) -> BTreeMap<String, Value> {
    let mut asker = Asker::connect(address).await;
    topics::ask(&mut asker).await;
    logs::ask(&mut asker).await;
    groups::ask(&mut asker).await;
    transactions::ask(&mut asker).await;
    asker.answers
}

#[tokio::test]
async fn the_in_process_cluster_answers_as_kafka_does() {
    let kafka = require_kafka!(Options::default().property("offsets.topic.num.partitions", "50"));
    let cluster = Cluster::builder().start().await.unwrap();
    let theirs = questions(&kafka.bootstrap_servers()).await;
    let ours = questions(&cluster.bootstrap_servers()).await;
    assert_eq!(
        theirs.keys().collect::<Vec<_>>(),
        ours.keys().collect::<Vec<_>>()
    );
    assert!(ours.len() >= 100, "only {} questions", ours.len());
    let mut wrong = Vec::new();
    for (name, kafka) in &theirs {
        let reason = ON_PURPOSE.iter().find(|(known, _)| known == name);
        match (ours[name] == *kafka, reason) {
            (false, None) => {
                wrong.push(format!("{name}\n  Kafka: {kafka}\n  ours:  {}", ours[name]))
            }
            (true, Some((_, reason))) => {
                wrong.push(format!("{name} differs no longer, although {reason}"));
            }
            _ => {}
        }
    }
    for (name, _) in ON_PURPOSE {
        assert!(ours.contains_key(*name), "there is no question {name}");
    }
    let (count, text) = (wrong.len(), wrong.join("\n"));
    assert!(
        wrong.is_empty(),
        "{count} of {} answers differ:\n{text}",
        ours.len()
    );
}
