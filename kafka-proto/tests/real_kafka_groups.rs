//! Against a real Apache Kafka: consumers share a topic as members of a group, with each other and with Java's consumer, and Kafka's
//! group tool shows what they committed.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_proto::client::{Config, Consumer};
use test_support::kafka::Broker;
use test_support::require_kafka;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(90);

/// What the members of a group have seen together: how often each value came.
type Seen = Arc<Mutex<HashMap<String, u32>>>;

fn consumer_config(kafka: &Broker, group: &str) -> Config {
    let mut config = Config::new(&kafka.bootstrap_servers());
    for (name, value) in [
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("heartbeat.interval.ms", "300"),
    ] {
        config.set(name, value).unwrap();
    }
    config
}

/// A consumer that polls in a task of its own until it is told to close.
struct Member {
    partitions: Arc<Mutex<Vec<i32>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Member {
    async fn start(config: Config, topic: &'static str, seen: &Seen) -> Self {
        let mut consumer = Consumer::connect(config).await.unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let partitions = Arc::new(Mutex::new(Vec::new()));
        let (stop, mut stopped) = oneshot::channel();
        let (shown, seen) = (Arc::clone(&partitions), Arc::clone(seen));
        let task = tokio::spawn(async move {
            loop {
                let records = tokio::select! {
                    _ = &mut stopped => break,
                    records = consumer.poll(Duration::from_millis(100)) => records.unwrap(),
                };
                *shown.lock().unwrap() = consumer
                    .assignment()
                    .iter()
                    .map(|(place, _)| place.partition)
                    .collect();
                for record in records {
                    let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
                    *seen.lock().unwrap().entry(value).or_default() += 1;
                }
            }
            consumer.close().await.unwrap();
        });
        Self {
            partitions,
            stop,
            task,
        }
    }

    fn partition_count(&self) -> usize {
        self.partitions.lock().unwrap().len()
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(LIMIT, waiting).await.is_err() {
        panic!("{what} did not come");
    }
}

/// Sends lines with Kafka's console producer, spread over the partitions by their keys.
fn send(kafka: &Broker, topic: &str, numbers: std::ops::Range<u32>) {
    let lines: String = numbers.map(|n| format!("{n}\tvalue {n}\n")).collect();
    kafka.tool_with_input(
        "ConsoleProducer",
        &["--topic", topic, "--reader-property", "parse.key=true"],
        lines.as_bytes(),
    );
}

fn each_came_once(seen: &Seen, count: u32) {
    let seen = seen.lock().unwrap();
    let wrong: Vec<_> = seen.iter().filter(|(_, times)| **times != 1).collect();
    assert!(wrong.is_empty(), "came more than once: {wrong:?}");
    assert_eq!(seen.len(), count as usize);
}

#[tokio::test]
async fn two_consumers_share_a_topic_and_take_over_from_each_other() {
    let kafka = require_kafka!();
    kafka.create_topic("shared", 6, &[]);
    let seen = Seen::default();
    send(kafka, "shared", 0..300);
    let first = Member::start(consumer_config(kafka, "sharing"), "shared", &seen).await;
    until("all records at the first member", || {
        seen.lock().unwrap().len() == 300
    })
    .await;
    assert_eq!(first.partition_count(), 6);

    let second = Member::start(consumer_config(kafka, "sharing"), "shared", &seen).await;
    until("three partitions each", || {
        first.partition_count() == 3 && second.partition_count() == 3
    })
    .await;
    let mut all = [
        first.partitions.lock().unwrap().clone(),
        second.partitions.lock().unwrap().clone(),
    ]
    .concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    send(kafka, "shared", 300..600);
    until("all records at both members", || {
        seen.lock().unwrap().len() == 600
    })
    .await;

    first.close().await;
    until("all partitions at the second member", || {
        second.partition_count() == 6
    })
    .await;
    send(kafka, "shared", 600..800);
    until("all records at the second member", || {
        seen.lock().unwrap().len() == 800
    })
    .await;
    second.close().await;

    // What was delivered was committed at each rebalance and at each close, so that nothing came twice.
    each_came_once(&seen, 800);
    let (committed, ends) = (
        kafka.committed("sharing", "shared"),
        kafka.end_offsets("shared", 6),
    );
    assert_eq!(committed, (0..).zip(ends).collect::<Vec<(i32, i64)>>());
    let state = kafka.tool(
        "consumer.group.ConsumerGroupCommand",
        &["--describe", "--group", "sharing", "--state"],
    );
    assert!(state.contains("Empty"), "both members have left: {state}");
}

#[tokio::test]
async fn our_consumer_and_javas_share_a_group() {
    let kafka = require_kafka!();
    kafka.create_topic("mixed", 4, &[]);
    let seen = Seen::default();
    let ours = Member::start(consumer_config(kafka, "mixing"), "mixed", &seen).await;
    until("all partitions", || ours.partition_count() == 4).await;
    let java = std::thread::spawn(move || {
        let group = [
            "--topic",
            "mixed",
            "--group",
            "mixing",
            "--timeout-ms",
            "15000",
        ];
        kafka.tool(
            "consumer.ConsoleConsumer",
            &[&group[..], &["--from-beginning"]].concat(),
        )
    });
    until("two partitions, two are Java's", || {
        ours.partition_count() == 2
    })
    .await;
    send(kafka, "mixed", 0..400);
    let printed = tokio::task::spawn_blocking(|| java.join().unwrap())
        .await
        .unwrap();
    // It has left, all is ours again.
    until("all partitions again", || ours.partition_count() == 4).await;
    ours.close().await;
    let of_java: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("value "))
        .collect();
    let of_ours = seen.lock().unwrap().len();
    assert!(
        !of_java.is_empty() && of_ours > 0,
        "Java has {}, we have {of_ours}",
        of_java.len()
    );
    for value in of_java {
        *seen.lock().unwrap().entry(value.to_owned()).or_default() += 1;
    }
    each_came_once(&seen, 400);
    assert_eq!(
        kafka
            .committed("mixing", "mixed")
            .iter()
            .map(|(_, offset)| offset)
            .sum::<i64>(),
        400
    );
}
