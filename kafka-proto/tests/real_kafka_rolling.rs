//! Three real nodes that are restarted in turn, in order or by SIGKILL, while an idempotent producer writes and consumers join and leave: what
//! was acknowledged is in the log once and in order, every group reads all of it, and nothing stands still for longer than the timeouts
//! explain. In the classic group Java's consumer and librdkafka's (kcat) are members beside ours.
//!
//! `KAFKA_ROLLING_SECONDS` says how long; 25 by default.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/rolling.rs"]
mod rolling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kafka_proto::client::{Cluster, Config, Consumer, Producer, ProducerRecord, TopicPartition};
use kafka_proto::messages::ApiKey;
use rolling::{Group, Member, Process, TOPIC};
use test_support::kafka::{Broker, Options};
use test_support::require_kafka;
use tokio::sync::mpsc;

const PARTITIONS: i32 = 6;
/// Between two records: about 600 a second.
const PACE: Duration = Duration::from_micros(1_600);
/// On top of what the brokers needed to move the leaders of a lost node (`broker.session.timeout.ms` after SIGKILL): linger, the pauses
/// between retries (`retry.backoff.max.ms`), replication, and a machine that runs four JVMs on two cores.
const SLACK: Duration = Duration::from_secs(8);
/// For groups: a coordinator is elected and loaded, the group is joined anew, and a member that a JVM's pause kept from its heartbeats is
/// waited for until its session is over.
const GROUP_SLACK: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Acknowledged {
    /// By partition: number of the record and its offset, in the order of sending.
    by_partition: BTreeMap<i32, Vec<(u64, i64)>>,
    slowest: Duration,
    failures: Vec<String>,
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_doubled_or_reordered_while_brokers_restart() {
    let options = Options {
        heap_mb: 320,
        ..Options::nodes(3)
    };
    // Leaders go back to the preferred replicas soon: that moves them without any restart.
    let options = options
        .property("leader.imbalance.check.interval.seconds", "3")
        .property("leader.imbalance.per.broker.percentage", "0")
        .property("group.consumer.min.heartbeat.interval.ms", "1000")
        .property("group.consumer.heartbeat.interval.ms", "1000");
    let kafka = Arc::new(require_kafka!(options));
    let seconds = std::env::var("KAFKA_ROLLING_SECONDS").map_or(25, |text| text.parse().unwrap());
    let duration = Duration::from_secs(seconds);
    kafka.create_topic(TOPIC, PARTITIONS, &[("min.insync.replicas", "2")]);

    let stop = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(produce(kafka.bootstrap_servers(), Arc::clone(&stop)));
    let restarting = tokio::task::spawn_blocking({
        let (kafka, stop) = (Arc::clone(&kafka), Arc::clone(&stop));
        move || restart_in_turn(&kafka, &stop)
    });
    let mut groups = vec![Group::new("classic", PARTITIONS)];
    if offers_consumer_groups(&kafka.bootstrap_servers()).await {
        groups.push(Group::new("consumer", PARTITIONS));
    }
    let mut others = vec![Process::java(&kafka, &groups[0])];
    others.extend(Process::kcat(&kafka, &groups[0]));

    come_and_go(&kafka, &groups, duration).await;

    stop.store(true, Ordering::Relaxed);
    let restarts = restarting.await.unwrap();
    let acknowledged = producing.await.unwrap();
    assert_eq!(acknowledged.failures, Vec::<String>::new());
    let total: usize = acknowledged.by_partition.values().map(Vec::len).sum();
    println!(
        "{total} records acknowledged in {seconds} s, the slowest after {:.1} s; {} restarts, {} leader moves, the slowest fail-over {:.1} s",
        acknowledged.slowest.as_secs_f64(),
        restarts.count,
        restarts.moves,
        restarts.failover.as_secs_f64()
    );
    check_the_log(&kafka, &acknowledged).await;
    let ends: Vec<i64> = kafka_ends(&acknowledged);
    for group in &groups {
        group.wait_for_all(&ends).await;
        println!("{}", group.report());
    }
    for process in others {
        println!("{}", process.end());
    }
    assert!(restarts.count >= 2 && restarts.moves > 0);
    let explained = restarts.failover + SLACK;
    assert!(
        acknowledged.slowest < explained,
        "{:?}",
        acknowledged.slowest
    );
    for group in &groups {
        let stall = group.longest_stall();
        assert!(
            stall < explained + GROUP_SLACK,
            "group {}: {stall:?}",
            group.name()
        );
    }
}

/// Every partition gets its share in turn, so that each has an order of its own.
async fn produce(servers: String, stop: Arc<AtomicBool>) -> Acknowledged {
    let producer = Producer::connect(Config::new(&servers)).await.unwrap();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let collecting = tokio::spawn(async move {
        let mut acknowledged = Acknowledged::default();
        let mut waiting = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                sent = receiver.recv() => match sent {
                    Some((n, since, delivery)) => {
                        let delivery: kafka_proto::client::RecordDelivery = delivery;
                        let since: Instant = since;
                        waiting.spawn(async move { (n, delivery.await, since.elapsed()) });
                    }
                    None => break,
                },
                Some(done) = waiting.join_next() => note(&mut acknowledged, done.unwrap()),
            }
        }
        while let Some(done) = waiting.join_next().await {
            note(&mut acknowledged, done.unwrap());
        }
        for partition in acknowledged.by_partition.values_mut() {
            partition.sort_unstable();
        }
        acknowledged
    });
    let mut n = 0_u64;
    let mut tick = tokio::time::interval(PACE);
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let value = n.to_string();
        let record = ProducerRecord {
            topic: TOPIC,
            partition: Some((n % PARTITIONS as u64) as i32),
            value: Some(value.as_bytes()),
            ..Default::default()
        };
        let since = Instant::now();
        let delivery = producer.enqueue(record).await.unwrap();
        sender.send((n, since, delivery)).unwrap();
        n += 1;
    }
    producer
        .close_within(Duration::from_secs(150))
        .await
        .unwrap();
    drop(sender);
    collecting.await.unwrap()
}

type Done = (
    u64,
    kafka_proto::client::Result<kafka_proto::client::RecordMetadata>,
    Duration,
);

fn note(acknowledged: &mut Acknowledged, (n, outcome, took): Done) {
    match outcome {
        Ok(at) => {
            let partition = acknowledged.by_partition.entry(at.partition).or_default();
            partition.push((n, at.offset.unwrap()));
            acknowledged.slowest = acknowledged.slowest.max(took);
        }
        Err(error) => acknowledged.failures.push(format!("record {n}: {error}")),
    }
}

/// What the brokers went through.
#[derive(Default)]
struct Restarts {
    count: u32,
    /// How often a partition's leader was another one than before.
    moves: usize,
    /// The longest time from a node's end until others led all its partitions.
    failover: Duration,
}

/// Restarts one node after the other, every third time by SIGKILL.
fn restart_in_turn(kafka: &Broker, stop: &AtomicBool) -> Restarts {
    let mut restarts = Restarts::default();
    let mut leaders = kafka.leaders(TOPIC);
    let mut look = |moves: &mut usize| {
        let now = kafka.leaders(TOPIC);
        let moved = now.iter().zip(&leaders).filter(|(now, then)| now != then);
        *moves += moved.count();
        leaders = now;
    };
    while !stop.load(Ordering::Relaxed) {
        let node = i32::try_from(restarts.count % 3).unwrap() + 1;
        let begin = Instant::now();
        if restarts.count % 3 == 2 {
            kafka.kill(node);
        } else {
            kafka.shut_down(node);
        }
        while kafka
            .leaders(TOPIC)
            .iter()
            .any(|leader| [-1, node].contains(leader))
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        restarts.failover = restarts.failover.max(begin.elapsed());
        look(&mut restarts.moves);
        kafka.restart(node);
        for topic in [TOPIC, "__consumer_offsets"] {
            kafka.wait_in_sync(topic);
        }
        restarts.count += 1;
        // Time for the leaders to go back.
        std::thread::sleep(Duration::from_secs(4));
        look(&mut restarts.moves);
    }
    restarts
}

/// In each group one member stays, and a second one comes and goes.
async fn come_and_go(kafka: &Broker, groups: &[Group], duration: Duration) {
    let begin = Instant::now();
    let servers = kafka.bootstrap_servers();
    let mut stay = Vec::new();
    for group in groups {
        stay.push(Member::join(&servers, group).await);
    }
    while begin.elapsed() < duration {
        let mut guests = Vec::new();
        for group in groups {
            guests.push(Member::join(&servers, group).await);
        }
        tokio::time::sleep(Duration::from_secs(7)).await;
        for guest in guests {
            guest.leave().await;
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    // They read on until the test is over.
    stay.into_iter().for_each(Member::detach);
}

async fn offers_consumer_groups(servers: &str) -> bool {
    if Config::default().value("group.protocol").is_none() {
        return false;
    }
    let cluster = Cluster::connect(Config::new(servers)).await.unwrap();
    let connection = cluster.any_connection().await.unwrap();
    let versions = connection.versions().unwrap();
    versions.range(ApiKey::CONSUMER_GROUP_HEARTBEAT).is_some()
}

fn kafka_ends(acknowledged: &Acknowledged) -> Vec<i64> {
    let last = |partition| {
        acknowledged
            .by_partition
            .get(&partition)
            .and_then(|all| all.last())
    };
    (0..PARTITIONS)
        .map(|partition| last(partition).map_or(0, |(_, offset)| offset + 1))
        .collect()
}

/// Reads the whole log anew: each acknowledged record at its offset, no number twice, the numbers of a partition in order.
async fn check_the_log(kafka: &Broker, acknowledged: &Acknowledged) {
    let mut config = Config::new(&kafka.bootstrap_servers());
    config.set("auto.offset.reset", "earliest").unwrap();
    let mut consumer = Consumer::connect(config).await.unwrap();
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|partition| TopicPartition::new(TOPIC, partition))
        .collect();
    consumer.assign(&partitions).unwrap();
    let ends = kafka_ends(acknowledged);
    let mut log: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    while partitions.iter().zip(&ends).any(|(of, end)| {
        consumer
            .position(TOPIC, of.partition)
            .is_none_or(|at| at < *end)
    }) {
        for record in consumer.poll(Duration::from_secs(1)).await.unwrap() {
            let numbers = log.entry(record.partition()).or_default();
            assert_eq!(
                numbers.len() as i64,
                record.offset(),
                "nothing is missing in between"
            );
            let n: u64 = str::from_utf8(record.value().unwrap())
                .unwrap()
                .parse()
                .unwrap();
            assert!(
                numbers.last().is_none_or(|last| *last < n),
                "{n} comes after {:?}",
                numbers.last()
            );
            numbers.push(n);
        }
    }
    for (partition, acknowledged) in &acknowledged.by_partition {
        let log = &log[partition];
        for (n, offset) in acknowledged {
            assert_eq!(
                log.get(*offset as usize),
                Some(n),
                "offset {offset} of partition {partition}"
            );
        }
    }
}
