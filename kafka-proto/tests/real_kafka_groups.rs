//! Against a real Apache Kafka: consumers share a topic as members of a group, with each other and with Java's consumer, and Kafka's
//! group tool shows what they committed.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_proto::client::{Config, Consumer, Error, Rebalance};
use kafka_proto::messages::ErrorCode;
use test_support::kafka::Broker;
use test_support::require_kafka;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(90);

/// What the members of a group have seen together: how often each value came.
type Seen = Arc<Mutex<HashMap<String, u32>>>;

/// What a group is to be: a name for it, and the settings of its members.
type Kind = (&'static str, &'static [(&'static str, &'static str)]);

const EAGER: Kind = ("eager", &[("partition.assignment.strategy", "range")]);
const STICKY: Kind = ("sticky", &[("partition.assignment.strategy", "sticky")]);
const COOPERATIVE: Kind = (
    "cooperative",
    &[("partition.assignment.strategy", "cooperative-sticky")],
);
const MODERN: Kind = ("modern", &[("group.protocol", "consumer")]);

fn consumer_config(kafka: &Broker, group: &str, (_, kind): Kind) -> Config {
    let mut config = Config::new(&kafka.bootstrap_servers());
    let all = [
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("heartbeat.interval.ms", "300"),
    ];
    for (name, value) in all.iter().chain(kind) {
        config.set(name, value).unwrap();
    }
    config
}

/// A consumer that polls in a task of its own until it is told to close.
struct Member {
    partitions: Arc<Mutex<Vec<i32>>>,
    /// How many partitions were taken from it, one by one or all at once.
    taken: Arc<Mutex<usize>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Member {
    async fn start(config: Config, topic: &str, seen: &Seen) -> Self {
        let consumer = Consumer::connect(config).await.unwrap();
        Self::start_with(consumer, topic, seen)
    }

    fn start_with(mut consumer: Consumer, topic: &str, seen: &Seen) -> Self {
        consumer.subscribe(&[topic]).unwrap();
        let partitions = Arc::new(Mutex::new(Vec::new()));
        let (stop, mut stopped) = oneshot::channel();
        let (shown, seen) = (Arc::clone(&partitions), Arc::clone(seen));
        let taken = Arc::new(Mutex::new(0));
        let count = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            loop {
                let records = tokio::select! {
                    _ = &mut stopped => break,
                    records = consumer.poll(Duration::from_millis(100)) => records?,
                };
                *shown.lock().unwrap() = consumer
                    .assignment()
                    .iter()
                    .map(|(place, _)| place.partition)
                    .collect();
                while let Some(rebalance) = consumer.next_rebalance() {
                    match rebalance {
                        Rebalance::Revoked(of) => *count.lock().unwrap() += of.len(),
                        Rebalance::Lost(of, reason) => panic!("lost {of:?}: {reason}"),
                        _ => {}
                    }
                }
                for record in records {
                    let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
                    *seen.lock().unwrap().entry(value).or_default() += 1;
                }
            }
            consumer.close().await
        });
        Self {
            partitions,
            taken,
            stop,
            task,
        }
    }

    fn partition_count(&self) -> usize {
        self.partitions.lock().unwrap().len()
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
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

/// Two members share a topic, one takes over from the other; nothing is lost and nothing comes twice. Gives how many partitions were taken
/// from the first one.
async fn share(kafka: &'static Broker, kind: Kind) -> usize {
    let (topic, group) = (format!("shared-{}", kind.0), format!("sharing-{}", kind.0));
    kafka.create_topic(&topic, 6, &[]);
    let seen = Seen::default();
    send(kafka, &topic, 0..300);
    let first = Member::start(consumer_config(kafka, &group, kind), &topic, &seen).await;
    until("all records at the first member", || {
        seen.lock().unwrap().len() == 300
    })
    .await;
    assert_eq!(first.partition_count(), 6);

    let second = Member::start(consumer_config(kafka, &group, kind), &topic, &seen).await;
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
    send(kafka, &topic, 300..600);
    until("all records at both members", || {
        seen.lock().unwrap().len() == 600
    })
    .await;
    let taken = *first.taken.lock().unwrap();

    first.close().await;
    until("all partitions at the second member", || {
        second.partition_count() == 6
    })
    .await;
    send(kafka, &topic, 600..800);
    until("all records at the second member", || {
        seen.lock().unwrap().len() == 800
    })
    .await;
    second.close().await;

    // What was delivered was committed at each rebalance and at each close, so that nothing came twice.
    each_came_once(&seen, 800);
    let (committed, ends) = (
        kafka.committed(&group, &topic),
        kafka.end_offsets(&topic, 6),
    );
    assert_eq!(committed, (0..).zip(ends).collect::<Vec<(i32, i64)>>());
    let state = kafka.tool(
        "consumer.group.ConsumerGroupCommand",
        &["--describe", "--group", &group, "--state"],
    );
    assert!(state.contains("Empty"), "both members have left: {state}");
    taken
}

#[tokio::test]
async fn two_consumers_share_a_topic_and_take_over_from_each_other() {
    let kafka = require_kafka!();
    assert_eq!(share(kafka, EAGER).await, 6, "all are given up");
    assert_eq!(share(kafka, STICKY).await, 6, "all are given up");
}

#[tokio::test]
async fn members_of_a_cooperative_group_give_up_only_what_others_get() {
    let kafka = require_kafka!();
    assert_eq!(share(kafka, COOPERATIVE).await, 3);
}

#[tokio::test]
async fn members_of_a_group_of_the_newer_protocol_give_up_only_what_others_get() {
    let kafka = require_kafka!();
    assert_eq!(share(kafka, MODERN).await, 3);
}

/// What a callback was told, with what the group had committed for each partition when it ended.
#[derive(Debug, Clone, PartialEq)]
struct Called {
    assigned: bool,
    committed: HashMap<i32, i64>,
}

/// A consumer that commits in its callback and nowhere else.
async fn with_callback(config: Config, calls: &Arc<Mutex<Vec<Called>>>) -> Consumer {
    let mut consumer = Consumer::connect(config).await.unwrap();
    let calls = Arc::clone(calls);
    consumer.on_rebalance(move |rebalancing| {
        let calls = Arc::clone(&calls);
        async move {
            let partitions = rebalancing.partitions();
            let assigned = match rebalancing.what() {
                Rebalance::Assigned(_) => true,
                Rebalance::Revoked(_) => {
                    rebalancing.commit().await.unwrap();
                    false
                }
                other => panic!("{other:?}"),
            };
            // It has the cluster, and may ask the group: both take their time.
            let topic = &partitions.first().map(|of| of.topic.clone());
            if let Some(topic) = topic {
                let topic = rebalancing.cluster().topic(topic, LIMIT).await.unwrap();
                assert_eq!(topic.partitions.len(), 6);
            }
            let committed = rebalancing.committed(partitions).await.unwrap();
            let committed = partitions
                .iter()
                .zip(committed)
                .filter_map(|(of, committed)| Some((of.partition, committed?.offset)));
            let committed = committed.collect();
            calls.lock().unwrap().push(Called {
                assigned,
                committed,
            });
        }
    });
    consumer
}

/// Two members that commit in their callbacks alone, one takes over from the other.
async fn commit_in_callbacks(kafka: &'static Broker, kind: Kind) {
    let (topic, group) = (format!("called-{}", kind.0), format!("calling-{}", kind.0));
    kafka.create_topic(&topic, 6, &[]);
    let seen = Seen::default();
    send(kafka, &topic, 0..300);
    let member = async |calls: &Arc<Mutex<Vec<Called>>>| {
        let mut config = consumer_config(kafka, &group, kind);
        config.set("enable.auto.commit", "false").unwrap();
        Member::start_with(with_callback(config, calls).await, &topic, &seen)
    };
    let (calls, calls_of_second) = (Arc::default(), Arc::default());
    let first = member(&calls).await;
    until("all records at the first member", || {
        seen.lock().unwrap().len() == 300
    })
    .await;
    assert!(
        kafka.committed(&group, &topic).is_empty(),
        "no callback has committed"
    );
    let second = member(&calls_of_second).await;
    until("three partitions each", || {
        first.partition_count() == 3 && second.partition_count() == 3
    })
    .await;
    let of_second = second.partitions.lock().unwrap().clone();
    let given_up: HashMap<i32, i64> = calls
        .lock()
        .unwrap()
        .iter()
        .filter(|call| !call.assigned)
        .flat_map(|call| call.committed.clone())
        .collect();
    let ends: HashMap<i32, i64> = (0..).zip(kafka.end_offsets(&topic, 6)).collect();
    // The first one's commit was there before the second one's callback began.
    let taken: HashMap<i32, i64> = calls_of_second
        .lock()
        .unwrap()
        .iter()
        .filter(|call| call.assigned)
        .flat_map(|call| call.committed.clone())
        .collect();
    for partition in &of_second {
        assert_eq!(given_up.get(partition), ends.get(partition), "{kind:?}");
        assert_eq!(taken.get(partition), ends.get(partition), "{kind:?}");
    }
    send(kafka, &topic, 300..600);
    until("all records at both members", || {
        seen.lock().unwrap().len() == 600
    })
    .await;
    // Closing calls it as well.
    first.close().await;
    until("all partitions at the second member", || {
        second.partition_count() == 6
    })
    .await;
    second.close().await;
    each_came_once(&seen, 600);
    let ends = kafka.end_offsets(&topic, 6);
    assert_eq!(
        kafka.committed(&group, &topic),
        (0..).zip(ends).collect::<Vec<(i32, i64)>>()
    );
}

#[tokio::test]
async fn callbacks_commit_what_is_revoked_before_the_next_owner_starts_in_each_protocol() {
    let kafka = require_kafka!();
    for kind in [EAGER, COOPERATIVE, MODERN] {
        commit_in_callbacks(kafka, kind).await;
    }
}

/// KIP-345: a static member that comes back finds its partitions, and nobody else notices; a double is refused.
async fn come_back(kafka: &'static Broker, kind: Kind) {
    let (topic, group) = (format!("static-{}", kind.0), format!("standing-{}", kind.0));
    kafka.create_topic(&topic, 4, &[]);
    let named = |name: &str| {
        let mut config = consumer_config(kafka, &group, kind);
        config.set("group.instance.id", name).unwrap();
        config
    };
    let seen = Seen::default();
    let first = Member::start(named("one"), &topic, &seen).await;
    let second = Member::start(named("two"), &topic, &seen).await;
    until("two partitions each", || {
        first.partition_count() == 2 && second.partition_count() == 2
    })
    .await;
    let had = first.partitions.lock().unwrap().clone();
    let taken = *second.taken.lock().unwrap();
    first.close().await;
    send(kafka, &topic, 0..100);
    let again = Member::start(named("one"), &topic, &seen).await;
    until("its partitions again", || again.partition_count() == 2).await;
    assert_eq!(*again.partitions.lock().unwrap(), had);
    until("all records", || seen.lock().unwrap().len() == 100).await;
    assert_eq!(*second.taken.lock().unwrap(), taken, "nobody noticed");
    assert_eq!(second.partition_count(), 2);

    let mut double = Consumer::connect(named("two")).await.unwrap();
    double.subscribe(&[&topic]).unwrap();
    if kind == MODERN {
        let refused = double.poll(LIMIT).await.unwrap_err();
        assert!(
            refused.to_string().contains("group.instance.id"),
            "{refused}"
        );
    } else {
        // Here the older one is fenced.
        let reading = tokio::spawn(async move { double.poll(LIMIT).await.map(drop) });
        let fenced = second.task.await.unwrap().unwrap_err();
        assert_eq!(fenced.code(), Some(ErrorCode::FENCED_INSTANCE_ID));
        reading.abort();
    }
    again.close().await;
}

#[tokio::test]
async fn a_static_member_comes_back_to_its_partitions_in_each_protocol() {
    let kafka = require_kafka!();
    for kind in [EAGER, COOPERATIVE, MODERN] {
        come_back(kafka, kind).await;
    }
}

#[tokio::test]
async fn our_consumer_and_javas_share_a_group_in_each_protocol() {
    let kafka = require_kafka!();
    let strategy = "partition.assignment.strategy=org.apache.kafka.clients.consumer.";
    mix(kafka, EAGER, &format!("{strategy}RangeAssignor")).await;
    mix(kafka, STICKY, &format!("{strategy}StickyAssignor")).await;
    mix(
        kafka,
        COOPERATIVE,
        &format!("{strategy}CooperativeStickyAssignor"),
    )
    .await;
    mix(kafka, MODERN, "group.protocol=consumer").await;
}

async fn mix(kafka: &'static Broker, kind: Kind, property: &str) {
    let (topic, group) = (format!("mixed-{}", kind.0), format!("mixing-{}", kind.0));
    let (mixed, mixing, property) = (topic.clone(), group.clone(), property.to_owned());
    kafka.create_topic(&topic, 4, &[]);
    let seen = Seen::default();
    let ours = Member::start(consumer_config(kafka, &group, kind), &topic, &seen).await;
    until("all partitions", || ours.partition_count() == 4).await;
    let java = std::thread::spawn(move || {
        let group = [
            "--topic",
            &mixed,
            "--group",
            &mixing,
            "--timeout-ms",
            "15000",
            "--command-property",
            &property,
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
    send(kafka, &topic, 0..400);
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
            .committed(&group, &topic)
            .iter()
            .map(|(_, offset)| offset)
            .sum::<i64>(),
        400
    );
}
