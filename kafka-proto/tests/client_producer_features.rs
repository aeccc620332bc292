//! What a producer can besides sending: batches split, partitioners, interceptors, compression by topic, back-pressure; against the
//! in-process cluster and a paused clock.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_proto::client::{
    AddedHeaders, Admin, Cluster, CompressionType, Config, Delivered, Interceptor, Partitioner,
    Producer, ProducerOptions, ProducerRecord, Result,
};
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;
use kafka_proto::partition::{
    partition_for_key, partition_for_key_by_crc32, partition_for_key_by_fnv1a,
};
use kafka_proto::records::{Batch, Codec, batches};
use tokio::time::Instant;

async fn mock(partitions: i32) -> mock::Cluster {
    mock::Cluster::builder()
        .topic("t", partitions)
        .topic("other", partitions)
        .on_this_runtime()
        .start()
        .await
        .unwrap()
}

fn config(mock: &mock::Cluster) -> Config {
    Config::new(&mock.bootstrap_servers())
}

fn record<'a>(key: Option<&'a [u8]>, value: &'a str) -> ProducerRecord<'a> {
    ProducerRecord {
        topic: "t",
        key,
        value: Some(value.as_bytes()),
        ..Default::default()
    }
}

fn values(mock: &mock::Cluster, partition: i32) -> Vec<String> {
    let records = mock.records("t", partition).unwrap();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    records
        .iter()
        .map(|record| text(record.value.as_deref().unwrap()))
        .collect()
}

/// The batches of a partition as they are in the log.
fn stored(mock: &mock::Cluster, topic: &str, partition: i32) -> Vec<Batch> {
    let raw = mock.raw(topic, partition).unwrap();
    raw.into_iter()
        .flat_map(batches)
        .map(|batch| batch.unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_too_large_for_its_topic_is_split_until_it_fits_in_order_and_once() {
    for compression in [CompressionType::None, CompressionType::Zstd] {
        let mock = mock(1).await;
        let config = config(&mock)
            .linger_ms(1000_u64)
            .compression_type(compression);
        let cluster = Cluster::connect(config).await.unwrap();
        let changes = [("max.message.bytes", Some("600"))];
        Admin::new(&cluster)
            .alter_topic_configs("t", &changes)
            .await
            .unwrap();
        let producer = Producer::new(&cluster).unwrap();
        // Values that do not compress, so that compressed batches are too large as well.
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + (seed >> 33) as u8 % 90)
        };
        let sent: Vec<String> = (0..20)
            .map(|_| (0..100).map(|_| random()).collect())
            .collect();
        let mut deliveries = Vec::new();
        for value in &sent {
            deliveries.push(producer.enqueue(record(None, value)).await.unwrap());
        }
        producer.flush().await.unwrap();
        for (n, delivery) in (0..).zip(deliveries) {
            assert_eq!(delivery.await.unwrap().offset, Some(n), "{compression}");
        }
        assert_eq!(values(&mock, 0), sent, "{compression}");
        let in_log = stored(&mock, "t", 0);
        assert!(in_log.len() >= 4 && in_log.iter().all(|batch| batch.size_bytes() <= 600));
        // The same producer epoch, the sequences without a gap.
        let mut next = 0;
        for batch in &in_log {
            assert_eq!((batch.producer_epoch(), batch.base_sequence()), (0, next));
            next += batch.record_count() as i32;
        }
        let metrics = cluster.metrics();
        assert_eq!(metrics.batch_splits as usize, in_log.len() - 1);
        assert_eq!(metrics.budgets[0].taken, 0);
        // A record that is too large alone fails, and what follows does not.
        let huge = "x".repeat(700);
        let huge = if compression == CompressionType::None {
            huge
        } else {
            sent.concat()
        };
        let error = producer.send(record(None, &huge)).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
        assert_eq!(error.maybe_written(), Some(false));
        producer.send(record(None, "last")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_split_batch_tells_where_each_record_went_and_whether_all_did() {
    let mock = mock(1).await;
    let producer = Producer::connect(config(&mock)).await.unwrap();
    producer.send(record(None, "first")).await.unwrap();
    let lent = |n: usize| {
        let mut batch = producer.open_batch("t", 0);
        for n in 0..n {
            batch
                .append(1, None, Some(n.to_string().as_bytes()), &[])
                .unwrap();
        }
        batch
    };
    let faults = mock.faults();
    faults
        .on(ApiKey::PRODUCE)
        .error(ErrorCode::MESSAGE_TOO_LARGE);
    let whole = producer.submit(lent(5)).await.unwrap().await.unwrap();
    assert_eq!((whole.base_offset, whole.record_count), (Some(1), 5));
    assert_eq!(values(&mock, 0), ["first", "0", "1", "2", "3", "4"]);
    // The second half fails for good: the batch failed, and some of it is in the log.
    faults
        .on(ApiKey::PRODUCE)
        .error(ErrorCode::MESSAGE_TOO_LARGE);
    faults
        .on(ApiKey::PRODUCE)
        .after(2)
        .error(ErrorCode::INVALID_RECORD);
    let error = producer.submit(lent(5)).await.unwrap().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD));
    assert_eq!(error.maybe_written(), Some(true));
    assert_eq!(values(&mock, 0).len(), 8);
}

#[tokio::test(start_paused = true)]
async fn keys_go_where_java_or_librdkafka_sends_them() {
    let mock = mock(7).await;
    for (partitioner, by) in [
        (
            "murmur2_random",
            partition_for_key as fn(&[u8], usize) -> i32,
        ),
        ("consistent_random", partition_for_key_by_crc32),
        ("fnv1a_random", partition_for_key_by_fnv1a),
    ] {
        let mut config = config(&mock);
        config.set("partitioner", partitioner).unwrap();
        let producer = Producer::connect(config).await.unwrap();
        for key in ["a", "kafka", "0123456789", "käse"] {
            let sent = producer
                .send(record(Some(key.as_bytes()), "v"))
                .await
                .unwrap();
            assert_eq!(sent.partition, by(key.as_bytes(), 7), "{partitioner} {key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_move_on_after_a_batchs_worth_even_if_no_batch_is_ever_full() {
    let mock = mock(3).await;
    let config = config(&mock).batch_size(1000_usize).linger_ms(0_u64);
    let producer = Producer::connect(config).await.unwrap();
    let value = "x".repeat(100);
    let mut runs: Vec<(i32, usize)> = Vec::new();
    for _ in 0..300 {
        let partition = producer.send(record(None, &value)).await.unwrap().partition;
        match runs.last_mut() {
            Some((last, count)) if *last == partition => *count += 1,
            _ => runs.push((partition, 1)),
        }
    }
    let seen: BTreeSet<i32> = runs.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(seen.len(), 3, "{runs:?}");
    // About two batches' worth each, more where chance chose the same again; the last run was cut off.
    runs.pop();
    assert!(runs.iter().all(|(_, count)| *count >= 5), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_where_batches_pile_up_gets_less_of_the_records_without_a_key() {
    let mock = mock::Cluster::builder()
        .brokers(2)
        .topic("t", 2)
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    let [fast, slow] = mock.broker_ids()[..] else {
        panic!()
    };
    mock.move_leader("t", 0, fast).unwrap();
    mock.move_leader("t", 1, slow).unwrap();
    let config = config(&mock).batch_size(500_usize).linger_ms(0_u64);
    let producer = Producer::connect(config).await.unwrap();
    for partition in [0, 1] {
        let first = ProducerRecord {
            partition: Some(partition),
            ..record(None, "first")
        };
        producer.send(first).await.unwrap();
    }
    mock.pause_broker(slow);
    let value = "x".repeat(100);
    for _ in 0..2000 {
        drop(producer.enqueue(record(None, &value)).await.unwrap());
        tokio::task::yield_now().await;
    }
    mock.resume_broker(slow);
    producer.flush().await.unwrap();
    let counts = [0, 1].map(|partition| values(&mock, partition).len());
    assert!(counts[0] > 2 * counts[1], "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_for_too_long_gets_no_records_without_a_key() {
    let mock = mock::Cluster::builder()
        .brokers(2)
        .topic("t", 4)
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    let [good, stuck] = mock.broker_ids()[..] else {
        panic!()
    };
    for (partition, broker) in [(0, good), (1, good), (2, stuck), (3, stuck)] {
        mock.move_leader("t", partition, broker).unwrap();
    }
    let mut config = config(&mock).batch_size(500_usize).linger_ms(0_u64);
    config
        .set("partitioner.availability.timeout.ms", "1000")
        .unwrap();
    let producer = Producer::connect(config).await.unwrap();
    let value = "x".repeat(100);
    let send = async |count: usize| {
        let mut deliveries = Vec::new();
        for _ in 0..count {
            deliveries.push(producer.enqueue(record(None, &value)).await.unwrap());
            tokio::task::yield_now().await;
        }
        deliveries
    };
    for partition in 0..4 {
        let partition = Some(partition);
        let first = record(None, "first");
        let first = ProducerRecord { partition, ..first };
        producer.send(first).await.unwrap();
    }
    mock.pause_broker(stuck);
    drop(send(500).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The present run ends where it began.
    drop(send(10).await);
    let later = send(2000).await;
    mock.resume_broker(stuck);
    for delivery in later {
        let partition = delivery.await.unwrap().partition;
        assert!(partition < 2, "{partition} is the stuck broker's");
    }
    // It takes records again, and gets them.
    let mut partitions = BTreeSet::new();
    for delivery in send(500).await {
        partitions.insert(delivery.await.unwrap().partition);
    }
    assert_eq!(partitions.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_custom_partitioner_decides_and_one_out_of_range_is_an_error() {
    #[derive(Debug)]
    struct ByLength;
    impl Partitioner for ByLength {
        fn partition(&self, record: &ProducerRecord<'_>, partitions: usize) -> Option<i32> {
            assert_eq!(partitions, 3);
            record.key.map(|key| key.len() as i32)
        }
    }
    let mock = mock(3).await;
    let cluster = Cluster::connect(config(&mock)).await.unwrap();
    let producer =
        Producer::with(&cluster, ProducerOptions::default().partitioner(ByLength)).unwrap();
    let sent = producer.send(record(Some(b"xx"), "v")).await.unwrap();
    assert_eq!(sent.partition, 2);
    let explicit = ProducerRecord {
        partition: Some(1),
        ..record(Some(b"xx"), "v")
    };
    assert_eq!(producer.send(explicit).await.unwrap().partition, 1);
    producer.send(record(None, "anywhere")).await.unwrap();
    let error = producer.send(record(Some(b"xxx"), "v")).await.unwrap_err();
    assert!(error.to_string().contains("no partition 3"), "{error}");
}

#[derive(Debug, Default, Clone)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Interceptor for Seen {
    fn on_send(&self, record: &ProducerRecord<'_>, added: &mut AddedHeaders) {
        added.add("trace", Some(b"7"));
        self.0
            .lock()
            .unwrap()
            .push(format!("sent to {}", record.topic));
    }

    fn on_acknowledgement(&self, batch: &Result<Delivered>) {
        self.0.lock().unwrap().push(match batch {
            Ok(batch) => format!("{} records at {:?}", batch.record_count, batch.base_offset),
            Err(error) => format!("failed with {}", error.code().unwrap()),
        });
    }
}

#[tokio::test(start_paused = true)]
async fn interceptors_add_headers_and_see_the_end_of_each_batch() {
    let mock = mock(1).await;
    let cluster = Cluster::connect(config(&mock)).await.unwrap();
    let seen = Seen::default();
    let options = ProducerOptions::default().interceptor(seen.clone());
    let producer = Producer::with(&cluster, options).unwrap();
    let own = ProducerRecord {
        headers: &[("own", None)],
        ..record(None, "a")
    };
    producer.send(own).await.unwrap();
    mock.faults()
        .on(ApiKey::PRODUCE)
        .error(ErrorCode::INVALID_RECORD);
    assert!(producer.send(record(None, "b")).await.is_err());
    let records = mock.records("t", 0).unwrap();
    let names: Vec<&str> = records[0].headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["own", "trace"]);
    assert_eq!(
        *seen.0.lock().unwrap(),
        [
            "sent to t",
            "1 records at Some(0)",
            "sent to t",
            &format!("failed with {}", ErrorCode::INVALID_RECORD),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn topics_are_compressed_as_each_is_told() {
    let mock = mock(1).await;
    let config = config(&mock).compression_type(CompressionType::Lz4);
    let cluster = Cluster::connect(config).await.unwrap();
    let options = ProducerOptions::default().compression("other", CompressionType::Gzip, Some(9));
    let producer = Producer::with(&cluster, options).unwrap();
    for (topic, codec) in [("t", Codec::Lz4), ("other", Codec::Gzip), ("t", Codec::Lz4)] {
        producer
            .send(ProducerRecord {
                topic,
                ..record(None, "v")
            })
            .await
            .unwrap();
        let mut lent = producer.open_batch(topic, 0);
        lent.append(1, None, Some(b"lent"), &[]).unwrap();
        producer.submit(lent).await.unwrap().await.unwrap();
        assert!(
            stored(&mock, topic, 0)
                .iter()
                .all(|batch| batch.compression() == codec)
        );
    }
    let wrong = ProducerOptions::default().compression("t", CompressionType::Gzip, Some(77));
    let error = Producer::with(&cluster, wrong).unwrap_err();
    assert!(error.to_string().contains("77"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn while_a_partition_is_backed_up_records_go_on_filling_its_open_batch() {
    let mock = mock(1).await;
    let producer = Producer::connect(config(&mock).linger_ms(1_u64))
        .await
        .unwrap();
    producer.send(record(None, "first")).await.unwrap();
    mock.pause_broker(mock.broker_ids()[0]);
    let before = producer.cluster().metrics().batches_sent;
    for n in 0..100 {
        drop(
            producer
                .enqueue(record(None, &n.to_string()))
                .await
                .unwrap(),
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    mock.resume_broker(mock.broker_ids()[0]);
    producer.flush().await.unwrap();
    // Five on their way, one waiting, one that took all the rest.
    let batches = producer.cluster().metrics().batches_sent - before;
    assert!((2..=7).contains(&batches), "{batches}");
    assert_eq!(values(&mock, 0).len(), 101);
}

#[tokio::test(start_paused = true)]
async fn timestamps_are_the_callers_or_now_and_the_brokers_where_the_topic_says_so() {
    let mock = mock(1).await;
    let cluster = Cluster::connect(config(&mock)).await.unwrap();
    let producer = Producer::new(&cluster).unwrap();
    let own = ProducerRecord {
        timestamp: Some(5),
        ..record(None, "own")
    };
    let sent = producer.send(own).await.unwrap();
    assert_eq!((sent.timestamp, sent.log_append_time), (5, None));
    let now = producer.send(record(None, "now")).await.unwrap();
    let records = mock.records("t", 0).unwrap();
    assert_eq!(records[0].timestamp, 5);
    assert!(records[1].timestamp > 1_600_000_000_000);
    assert_eq!(now.timestamp, records[1].timestamp);
    let changes = [("message.timestamp.type", Some("LogAppendTime"))];
    Admin::new(&cluster)
        .alter_topic_configs("t", &changes)
        .await
        .unwrap();
    let theirs = ProducerRecord {
        timestamp: Some(5),
        ..record(None, "theirs")
    };
    let sent = producer.send(theirs).await.unwrap();
    assert_eq!(Some(sent.timestamp), sent.log_append_time);
    assert_eq!(mock.records("t", 0).unwrap()[2].timestamp, sent.timestamp);
}

#[tokio::test(start_paused = true)]
async fn threads_fill_one_producer_and_each_keeps_its_order() {
    let mock = mock(4).await;
    let producer = Producer::connect(config(&mock).batch_size(300_usize))
        .await
        .unwrap();
    let fill = |of: usize| {
        let producer = producer.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for n in 0..500 {
                    let value = format!("{of} {n}");
                    let sent = ProducerRecord {
                        partition: Some(n % 4),
                        ..record(None, &value)
                    };
                    drop(producer.enqueue(sent).await.unwrap());
                }
            });
        }
    };
    let threads: Vec<_> = (0..3).map(|of| std::thread::spawn(fill(of))).collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        tokio::task::yield_now().await;
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let begin = Instant::now();
    producer.flush().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60));
    for partition in 0..4 {
        let all = values(&mock, partition);
        assert_eq!(all.len(), 375);
        for of in 0..3 {
            let mine = all
                .iter()
                .filter_map(|value| value.strip_prefix(&format!("{of} ")));
            let mine: Vec<i32> = mine.map(|n| n.parse().unwrap()).collect();
            assert!(
                mine.is_sorted() && mine.len() == 125,
                "thread {of}: {mine:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_producer_holds_back_and_nothing_times_out_by_it() {
    let mock = mock(1).await;
    let config = config(&mock).request_timeout_ms(2000_u64).linger_ms(0_u64);
    let producer = Producer::connect(config).await.unwrap();
    let pause = Duration::from_secs(10);
    mock.faults().on(ApiKey::PRODUCE).throttle(pause);
    producer.send(record(None, "throttles")).await.unwrap();
    let begin = Instant::now();
    producer.send(record(None, "waits")).await.unwrap();
    assert!(begin.elapsed() >= pause - Duration::from_millis(100));
    let metrics = producer.cluster().metrics();
    assert_eq!(
        (metrics.throttle_ms, metrics.timeouts, metrics.batch_retries),
        (10_000, 0, 0)
    );
    // The wait is in the time before the request was written, not in the broker's.
    let (_, broker) = metrics.brokers.last_key_value().unwrap();
    assert!(broker.queue_us.max() > 9_000_000 && broker.produce_us.max() < 5_000_000);
}

#[tokio::test(start_paused = true)]
async fn each_topic_counts_what_is_produced_to_it_and_each_broker_what_is_in_flight() {
    let mock = mock(1).await;
    let cluster = Cluster::connect(config(&mock)).await.unwrap();
    let producer = Producer::new(&cluster).unwrap();
    producer.send(record(None, "a")).await.unwrap();
    let other = ProducerRecord {
        topic: "other",
        ..record(None, "bb")
    };
    producer.send(other).await.unwrap();
    producer.send(other).await.unwrap();
    let faults = mock.faults();
    faults
        .on(ApiKey::PRODUCE)
        .error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    producer.send(record(None, "c")).await.unwrap_err();
    let now = cluster.metrics();
    let (t, other) = (&now.topics["t"], &now.topics["other"]);
    assert_eq!((t.records_sent, t.records_failed), (1, 1));
    assert_eq!((other.records_sent, other.batches_sent), (2, 2));
    assert_eq!(
        t.batch_bytes_sent + other.batch_bytes_sent,
        now.batch_bytes_sent
    );
    assert_eq!(now.requests_in_flight(), 0);
    mock.pause_broker(mock.broker_ids()[0]);
    let delivery = producer.enqueue(record(None, "d")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.metrics().requests_in_flight(), 1);
    mock.resume_broker(mock.broker_ids()[0]);
    delivery.await.unwrap();
    assert_eq!(cluster.metrics().requests_in_flight(), 0);
}
