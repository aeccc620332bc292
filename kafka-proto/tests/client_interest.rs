//! What a client keeps and asks for has an end: topics that nobody uses, topics that are gone, commits that newer ones cover. Paused time.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use kafka_proto::{
    client::{
        Cluster, Config, Consumer, ConsumerRecord, GroupOffsets, OffsetToCommit, Producer,
        ProducerRecord, TopicPartition,
    },
    messages::{ApiKey, ErrorCode},
    mock,
    net::Memory,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

struct Bench {
    mock: mock::Cluster,
    network: Memory,
}

async fn bench() -> Bench {
    let network = Memory::default();
    let builder = mock::Cluster::builder().topic("t", 2).topic("u", 2);
    let builder = builder.no_auto_create_topics().on_this_runtime();
    Bench {
        mock: builder.in_memory(&network).start().await.unwrap(),
        network,
    }
}

impl Bench {
    async fn cluster(&self, properties: &[(&str, &str)]) -> Cluster {
        let mut config = Config::new(&self.mock.bootstrap_servers());
        let all = [("group.id", "g"), ("auto.offset.reset", "earliest")];
        for (name, value) in all.iter().chain(properties) {
            config.set(name, value).unwrap();
        }
        let connect = Arc::new(self.network.clone());
        Cluster::connect_by(config, connect).await.unwrap()
    }
}

fn record(topic: &str) -> ProducerRecord<'_> {
    ProducerRecord {
        topic,
        partition: Some(0),
        value: Some(b"v"),
        ..ProducerRecord::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_a_producer_does_not_use_any_more_is_not_asked_for_for_ever() {
    for way in ["deleted", "idle", "refused"] {
        let bench = bench().await;
        let cluster = bench.cluster(&[]).await;
        let producer = Producer::new(&cluster).unwrap();
        producer.send(record("t")).await.unwrap();
        producer.send(record("u")).await.unwrap();
        let faults = bench.mock.faults();
        match way {
            "deleted" => bench.mock.delete_topic("t").unwrap(),
            "refused" => {
                let refuse = faults.on(ApiKey::METADATA).topic("t").always();
                refuse.error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
            }
            _ => {}
        }
        drop(cluster.refresh(&["t"]).await);
        // Another topic is used all the time, and looked after.
        for _ in 0..25 {
            sleep(MINUTE).await;
            producer.send(record("u")).await.unwrap();
        }
        let asks = |topic: &str| faults.on(ApiKey::METADATA).topic(topic).always();
        let (t, u) = (asks("t").delay(SECOND / 100), asks("u").delay(SECOND / 100));
        for _ in 0..60 {
            sleep(MINUTE).await;
            producer.send(record("u")).await.unwrap();
        }
        assert_eq!(t.hits(), 0, "{way}");
        assert!(u.hits() >= 10, "{way}: {}", u.hits());
        assert!(cluster.metadata().topic("t").is_none());
        // Whoever comes back finds it, and nothing is lost or taken for an old batch.
        faults.clear();
        if way == "deleted" {
            bench.mock.create_topic("t", 2).unwrap();
        }
        for _ in 0..3 {
            producer.send(record("t")).await.unwrap();
        }
        let kept = if way == "deleted" { 0 } else { 1 };
        assert_eq!(bench.mock.records("t", 0).unwrap().len(), kept + 3, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_missing_is_asked_for_half_a_minute_apart_in_the_end_and_found_when_it_is_there()
 {
    let bench = bench().await;
    let cluster = bench.cluster(&[]).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe(&["later"]).unwrap();
    let asks = bench.mock.faults().on(ApiKey::METADATA).topic("later");
    let asks = asks.always().delay(SECOND / 100);
    let begin = Instant::now();
    while begin.elapsed() < 60 * MINUTE {
        drop(consumer.poll(MINUTE).await);
    }
    assert!((60..200).contains(&asks.hits()), "{}", asks.hits());
    // What is new beside it is found as soon as ever.
    let topic = cluster.topic("sooner", MINUTE);
    let make = async {
        sleep(2 * SECOND).await;
        bench.mock.create_topic("sooner", 1).unwrap();
        Instant::now()
    };
    let (topic, made) = tokio::join!(topic, make);
    topic.unwrap();
    assert!(made.elapsed() < 2 * SECOND, "{:?}", made.elapsed());
    bench.mock.create_topic("later", 1).unwrap();
    let made = Instant::now();
    while consumer.assignment().is_empty() {
        drop(consumer.poll(SECOND).await);
        assert!(made.elapsed() < MINUTE, "never found");
    }
}

#[tokio::test(start_paused = true)]
async fn a_classic_group_gives_the_partitions_of_a_deleted_topic_back() {
    let bench = bench().await;
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let mut consumer = Consumer::new(&bench.cluster(&[]).await);
        consumer.subscribe(&["t", "u"]).unwrap();
        consumers.push(consumer);
    }
    let assigned = |consumers: &[Consumer]| {
        let all = consumers.iter().flat_map(Consumer::assignment);
        let names = all.map(|(partition, _)| partition.to_string());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let until = async |consumers: &mut [Consumer], wanted: &[&str], limit: Duration| {
        let begin = Instant::now();
        while assigned(consumers) != wanted {
            for consumer in consumers.iter_mut() {
                drop(consumer.poll(SECOND / 10).await);
            }
            let now = assigned(consumers);
            assert!(begin.elapsed() < limit, "{wanted:?} instead of {now:?}");
        }
    };
    let all = ["t-0", "t-1", "u-0", "u-1"];
    until(&mut consumers, &all, MINUTE).await;
    let settle = async |consumers: &mut [Consumer]| {
        let begin = Instant::now();
        while begin.elapsed() < 2 * MINUTE {
            for consumer in consumers.iter_mut() {
                drop(consumer.poll(SECOND).await);
            }
        }
    };
    settle(&mut consumers).await;
    // One answer without it is no reason.
    let generation = bench.mock.group_generation("g");
    let unknown = bench.mock.faults().on(ApiKey::METADATA).topic("u").times(2);
    unknown.error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    settle(&mut consumers).await;
    settle(&mut consumers).await;
    settle(&mut consumers).await;
    assert_eq!(bench.mock.group_generation("g"), generation);
    bench.mock.delete_topic("u").unwrap();
    // The metadata is five minutes old at most, unless somebody reads it and is refused.
    until(&mut consumers, &all[..2], 30 * SECOND).await;
    bench.mock.create_topic("u", 2).unwrap();
    until(&mut consumers, &all, 2 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn commits_that_wait_for_a_coordinator_are_covered_by_newer_ones() {
    let bench = bench().await;
    let cluster = bench.cluster(&[]).await;
    let offsets = GroupOffsets::new(&cluster, "g");
    offsets
        .commit(&[OffsetToCommit::new("t", 0, 1)])
        .await
        .unwrap();
    let before = bench.mock.received_count(ApiKey::OFFSET_COMMIT);
    bench
        .mock
        .faults()
        .on(ApiKey::OFFSET_COMMIT)
        .delay(10 * SECOND);
    for n in 0..20_000 {
        // Nobody waits for it.
        drop(offsets.commit(&[OffsetToCommit::new("t", (n % 2) as i32, n)]));
    }
    let last = offsets.commit(&[OffsetToCommit::new("t", 0, 30_000)]);
    let earlier = offsets.commit(&[OffsetToCommit::new("t", 1, 20_000)]);
    let (last, earlier, ()) = tokio::join!(last, earlier, offsets.settled());
    assert!(last.is_ok() && earlier.is_ok());
    let sent = bench.mock.received_count(ApiKey::OFFSET_COMMIT) - before;
    assert!(sent <= 4, "{sent} of 20,002");
    let committed = |partition| bench.mock.committed_offset("g", "t", partition);
    assert_eq!((committed(0), committed(1)), (Some(30_000), Some(20_000)));
    // A partition that the newer commit does not have is committed all the same.
    let both = ["t", "u"].map(|topic| OffsetToCommit::new(topic, 0, 5));
    bench.mock.faults().on(ApiKey::OFFSET_COMMIT).delay(SECOND);
    drop(offsets.commit(&[OffsetToCommit::new("t", 1, 6)]));
    drop(offsets.commit(&both));
    offsets
        .commit(&[OffsetToCommit::new("t", 0, 7)])
        .await
        .unwrap();
    let u = bench.mock.committed_offset("g", "u", 0);
    assert_eq!((committed(0), committed(1), u), (Some(7), Some(6), Some(5)));
    assert_eq!(TopicPartition::new("t", 0).to_string(), "t-0");
}

#[tokio::test(start_paused = true)]
async fn names_of_assigned_topics_that_metadata_does_not_have_are_asked_for_ever_more_seldom() {
    let bench = bench().await;
    let cluster = bench.cluster(&[("group.protocol", "consumer")]).await;
    let fault = bench.mock.faults().on(ApiKey::METADATA).always();
    let fault = fault.error(ErrorCode::LEADER_NOT_AVAILABLE);
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe_server_pattern("t").unwrap();
    let mut seconds = Vec::new();
    for _ in 0..20 {
        let before = fault.hits();
        drop(consumer.poll(SECOND).await);
        seconds.push(fault.hits() - before);
    }
    assert!(seconds[0] <= 10, "{seconds:?}");
    assert!(seconds[10..].iter().all(|n| *n <= 2), "{seconds:?}");
    assert!(seconds[10..].iter().sum::<u64>() > 0, "{seconds:?}");
    fault.remove();
    while consumer.assignment().len() != 2 {
        drop(consumer.poll(SECOND).await);
    }
}

/// What is kept of each record that is.
enum Kept {
    Record(ConsumerRecord),
    Value(Bytes),
}

#[tokio::test(start_paused = true)]
async fn what_an_application_keeps_counts_in_the_buffer_and_what_it_detaches_does_not() {
    for way in ["record", "value", "detached"] {
        for codec in ["none", "lz4"] {
            let bench = bench().await;
            let cluster = bench.cluster(&[("compression.type", codec)]).await;
            let producer = Producer::new(&cluster).unwrap();
            let value: Vec<u8> = (0..10_000_u32).map(|n| ((n * n) >> 3) as u8).collect();
            for _ in 0..200 {
                let record = ProducerRecord {
                    value: Some(&value),
                    ..record("t")
                };
                producer.send(record).await.unwrap();
            }
            let set = [
                ("fetch.buffer.bytes", "300000"),
                ("max.partition.fetch.bytes", "50000"),
            ];
            let mut consumer = Consumer::new(&bench.cluster(&set).await);
            consumer.assign(&[TopicPartition::new("t", 0)]).unwrap();
            let mut kept = Vec::new();
            let (mut read, mut silent) = (0, 0);
            while read < 200 && silent < 30 {
                let records = consumer.poll(SECOND).await.unwrap();
                silent = if records.is_empty() { silent + 1 } else { 0 };
                read += records.len();
                // One of five holds the frame of all.
                kept.extend(records.into_iter().step_by(5).map(|record| match way {
                    "record" => Kept::Record(record),
                    "value" => Kept::Value(record.value_bytes().unwrap()),
                    _ => Kept::Record(record.detach()),
                }));
            }
            let is_all = read == 200;
            assert_eq!(
                is_all,
                way == "detached",
                "{way}, {codec}: {read} were read"
            );
            for one in &kept {
                let bytes = match one {
                    Kept::Record(record) => record.value().unwrap(),
                    Kept::Value(bytes) => bytes,
                };
                assert_eq!(bytes, value);
            }
            // Once it is dropped, all goes on.
            kept.clear();
            while read < 200 {
                let records = consumer.poll(SECOND).await.unwrap();
                read += records.len();
                silent += 1;
                assert!(silent < 100, "{way}, {codec}: {read}");
            }
        }
    }
}
