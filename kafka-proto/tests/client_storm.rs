//! A producer and a fetcher while brokers go and come back, leaders move, connections break and answers are lost: every
//! record is in the log once and in order, and is read once and in order.
//!
//! What goes wrong, and after how many records, follows from a seed; `STORM_SEED=n` runs one alone. How it meets what is
//! on the wire depends on timing, so a seed repeats the storm, not every interleaving.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use kafka_proto::client::{Cluster, Config, Error, Fetcher, Producer, ProducerRecord, Start};
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;
use kafka_proto::records::batches;
use test_support::random::SplitMix64;

/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "numbers";
const PARTITIONS: i32 = 4;
const RECORDS: u64 = 3_000;
const RECORDS_BETWEEN_FAULTS: u64 = 60;
const BROKERS: u16 = 3;

fn config(mock: &mock::Cluster) -> Config {
    let mut config = Config::new(&mock.bootstrap_servers());
    for (name, value) in [
        ("linger.ms", "1"),
        ("batch.size", "256"),
        ("fetch.max.wait.ms", "20"),
        ("retry.backoff.ms", "2"),
        ("retry.backoff.max.ms", "20"),
        ("reconnect.backoff.ms", "2"),
        ("reconnect.backoff.max.ms", "20"),
    ] {
        config.set(name, value).unwrap();
    }
    config
}

/// What goes wrong next.
struct Storm<'a> {
    mock: &'a mock::Cluster,
    random: SplitMix64,
    down: Option<i32>,
    seen: Vec<String>,
}

impl Storm<'_> {
    fn broker(&mut self) -> i32 {
        1 + self.random.below(u64::from(BROKERS)) as i32
    }

    fn partition(&mut self) -> i32 {
        self.random.below(PARTITIONS as u64) as i32
    }

    async fn blow(&mut self) {
        let faults = self.mock.faults();
        let apis = [ApiKey::PRODUCE, ApiKey::FETCH, ApiKey::METADATA];
        let api = apis[self.random.below(3) as usize];
        let partition = self.partition();
        let what = match self.random.below(9) {
            0 => {
                faults.on(api).drop_connection();
                format!("{api} is hung up on")
            }
            1 => {
                faults.on(api).applied().drop_connection();
                format!("{api} is served and hung up on")
            }
            2 => {
                let bytes = self.random.below(60) as usize;
                faults.on(api).cut_response(bytes);
                format!("the answer to {api} ends after {bytes} bytes")
            }
            3 => {
                let errors = [
                    ErrorCode::NOT_LEADER_OR_FOLLOWER,
                    ErrorCode::NOT_ENOUGH_REPLICAS,
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    ErrorCode::KAFKA_STORAGE_ERROR,
                ];
                let code = errors[self.random.below(4) as usize];
                faults
                    .on(ApiKey::PRODUCE)
                    .partition(TOPIC, partition)
                    .times(2)
                    .error(code);
                format!("Produce to {partition} fails twice with {code}")
            }
            4 => {
                let after = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
                faults
                    .on(ApiKey::PRODUCE)
                    .partition(TOPIC, partition)
                    .applied()
                    .error(after);
                format!("Produce to {partition} is written and fails with {after}")
            }
            5 => {
                let errors = [
                    ErrorCode::NOT_LEADER_OR_FOLLOWER,
                    ErrorCode::OFFSET_NOT_AVAILABLE,
                ];
                let code = errors[self.random.below(2) as usize];
                faults
                    .on(ApiKey::FETCH)
                    .partition(TOPIC, partition)
                    .error(code);
                format!("Fetch of {partition} fails with {code}")
            }
            6 => {
                let broker = self.broker();
                if self.down == Some(broker) {
                    return;
                }
                self.mock.move_leader(TOPIC, partition, broker).unwrap();
                format!("partition {partition} moves to broker {broker}")
            }
            7 => {
                let broker = self.broker();
                self.mock.drop_connections(broker).await.unwrap();
                format!("broker {broker} drops its connections")
            }
            _ => match self.down.take() {
                Some(broker) => {
                    self.mock.start_broker(broker).await.unwrap();
                    format!("broker {broker} is back")
                }
                None => {
                    let broker = self.broker();
                    self.mock.stop_broker(broker).await.unwrap();
                    self.down = Some(broker);
                    format!("broker {broker} stops")
                }
            },
        };
        self.seen.push(what);
    }
}

/// Writes all records through the storm; each partition gets every fourth number.
/// Gives the offsets at which they are.
async fn write(
    producer: &Producer,
    storm: &mut Storm<'_>,
    progress: &Cell<usize>,
) -> Vec<Result<i64, Error>> {
    let mut deliveries = Vec::new();
    for n in 0..RECORDS {
        if n % RECORDS_BETWEEN_FAULTS == 0 {
            storm.blow().await;
        }
        let value = n.to_string();
        let record = ProducerRecord {
            topic: TOPIC,
            partition: Some((n % PARTITIONS as u64) as i32),
            value: Some(value.as_bytes()),
            ..ProducerRecord::default()
        };
        deliveries.push(producer.enqueue(record).await.unwrap());
        // Lets the tasks come in between, so that faults meet requests on their way.
        tokio::task::yield_now().await;
    }
    if let Some(broker) = storm.down.take() {
        storm.mock.start_broker(broker).await.unwrap();
    }
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(delivery.await.map(|delivered| delivered.offset.unwrap()));
        progress.set(offsets.len());
    }
    offsets
}

/// Reads until every partition has given its share.
async fn read(cluster: &Cluster, progress: &RefCell<Vec<usize>>) -> Vec<Vec<u64>> {
    let mut fetcher = Fetcher::new(cluster);
    for partition in 0..PARTITIONS {
        fetcher.assign(TOPIC, partition, Start::Earliest);
    }
    let mut decompressor = fetcher.decompressor();
    let mut numbers = vec![Vec::new(); PARTITIONS as usize];
    while numbers.iter().map(Vec::len).sum::<usize>() < RECORDS as usize {
        *progress.borrow_mut() = numbers.iter().map(Vec::len).collect();
        for mut fetched in fetcher.poll_batches(LIMIT).await.unwrap() {
            let of = &mut numbers[fetched.partition() as usize];
            while let Some(batch) = fetched.next_batch().unwrap() {
                for record in batch.records(&mut decompressor).unwrap() {
                    let text = std::str::from_utf8(record.unwrap().value.unwrap()).unwrap();
                    of.push(text.parse().unwrap());
                }
            }
        }
    }
    numbers
}

async fn run(seed: u64) {
    let mock = mock::Cluster::builder()
        .brokers(BROKERS)
        .topic(TOPIC, PARTITIONS)
        .start()
        .await
        .unwrap();
    let mut storm = Storm {
        mock: &mock,
        random: SplitMix64::new(seed),
        down: None,
        seen: Vec::new(),
    };
    let producer = Producer::connect(config(&mock)).await.unwrap();
    let cluster = Cluster::connect(config(&mock)).await.unwrap();
    let (acknowledged, seen) = (Cell::new(0), RefCell::default());
    let both = async {
        tokio::join!(
            write(&producer, &mut storm, &acknowledged),
            read(&cluster, &seen)
        )
    };
    let outcome = tokio::time::timeout(LIMIT, both).await;
    let story = storm.seen.join("\n  ");
    let Ok((offsets, numbers)) = outcome else {
        let ends: Vec<i64> = (0..PARTITIONS)
            .map(|partition| mock.end_offset(TOPIC, partition).unwrap())
            .collect();
        panic!(
            "seed {seed}: nothing moves any more; {} acknowledged, {:?} read of {ends:?}, after\n  {story}",
            acknowledged.get(),
            seen.borrow(),
        );
    };
    for partition in 0..PARTITIONS {
        let expected: Vec<u64> = (0..RECORDS)
            .filter(|n| (n % PARTITIONS as u64) as i32 == partition)
            .collect();
        let stored = stored(&mock, partition);
        let parted = stored.iter().zip(&expected).position(|(a, b)| a != b);
        assert!(
            stored == expected,
            "seed {seed}: partition {partition} is right up to offset {parted:?} and has {} instead of {} records:\n{}\nin\n  {story}",
            stored.len(),
            expected.len(),
            batches_around(&mock, partition, parted.unwrap_or(expected.len()) as i64),
        );
        let read = &numbers[partition as usize];
        assert!(
            *read == expected,
            "seed {seed}: read wrongly from {partition} in\n  {story}"
        );
    }
    for (offset, n) in offsets.into_iter().zip(0u64..) {
        let offset =
            offset.unwrap_or_else(|error| panic!("seed {seed}: {n}: {error} in\n  {story}"));
        assert_eq!(
            offset,
            (n / PARTITIONS as u64) as i64,
            "seed {seed}: {n} in\n  {story}"
        );
    }
}

fn stored(mock: &mock::Cluster, partition: i32) -> Vec<u64> {
    let records = mock.records(TOPIC, partition).unwrap();
    let values = records
        .iter()
        .map(|record| record.value.as_deref().unwrap());
    values
        .map(|value| std::str::from_utf8(value).unwrap().parse().unwrap())
        .collect()
}

/// The headers of the batches near an offset, for whoever has to find out what happened.
fn batches_around(mock: &mock::Cluster, partition: i32, offset: i64) -> String {
    let all = mock.raw(TOPIC, partition).unwrap();
    let all = all.into_iter().flat_map(batches).map(Result::unwrap);
    let near = all.filter(|batch| (batch.base_offset() - offset).abs() < 40);
    near.map(|batch| {
        format!(
            "  offset {} to {}, producer {} epoch {} sequence {}\n",
            batch.base_offset(),
            batch.last_offset(),
            batch.producer_id(),
            batch.producer_epoch(),
            batch.base_sequence(),
        )
    })
    .collect()
}

#[tokio::test]
async fn a_storm_of_faults_neither_loses_nor_doubles_nor_reorders_a_record() {
    let alone = std::env::var("STORM_SEED").ok();
    let seeds = match alone.map(|seed| seed.parse::<u64>().unwrap()) {
        Some(seed) => seed..seed + 1,
        None => 0..6,
    };
    for seed in seeds {
        let before = std::time::Instant::now();
        run(seed).await;
        println!("seed {seed}: {:?}", before.elapsed());
    }
}
