//! Our client as a benchmark arm: `consume TOPIC COUNT batches|records`, `produce TOPIC COUNT SIZE lent|send`, `first TOPIC`,
//! `latency TOPIC RATE SECONDS`; `BOOTSTRAP` names the broker. Default settings, but for the linger and batch size that all arms share.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use kafka_proto::client::{Cluster, Config, Consumer, Fetcher, OpenBatch, Producer, ProducerRecord, Start, TopicPartition};
use kafka_proto::partition::partition_for_key;

const PARTITIONS: usize = 4;
const BATCH_BYTES: usize = 128 * 1024;
const POLL: Duration = Duration::from_secs(1);

fn config() -> Config {
    let servers = std::env::var("BOOTSTRAP").unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    let mut config = Config::new(&servers);
    config.set("auto.offset.reset", "earliest").unwrap();
    config
}

fn key(number: u64) -> [u8; 8] {
    let digits = b"0123456789abcdef";
    std::array::from_fn(|at| digits[(number >> (4 * (7 - at))) as usize & 15])
}

/// Random printable values, the same in every arm.
fn values(size: usize) -> Vec<Vec<u8>> {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        b'!' + (seed % 93) as u8
    };
    (0..4096)
        .map(|_| (0..size).map(|_| next()).collect())
        .collect()
}

async fn fetcher(topic: &str) -> Fetcher {
    let cluster = Cluster::connect_for(config(), &[topic]).await.unwrap();
    let mut fetcher = Fetcher::new(&cluster);
    for partition in 0..cluster.topic(topic, POLL).await.unwrap().partitions.len() {
        fetcher.assign(topic, partition as i32, Start::Earliest);
    }
    fetcher
}

async fn consume_batches(topic: &str, wanted: u64) -> (u64, u64) {
    let mut fetcher = fetcher(topic).await;
    let mut decompressor = fetcher.decompressor();
    let (mut count, mut bytes) = (0, 0);
    while count < wanted {
        for mut partition in fetcher.poll_batches(POLL).await.unwrap() {
            while let Some(batch) = partition.next_batch().unwrap() {
                for record in batch.records(&mut decompressor).unwrap() {
                    count += 1;
                    bytes += record.unwrap().value.map_or(0, <[u8]>::len) as u64;
                }
            }
        }
    }
    (count, bytes)
}

async fn consume_records(topic: &str, wanted: u64) -> (u64, u64) {
    let cluster = Cluster::connect(config()).await.unwrap();
    let mut consumer = Consumer::new(&cluster);
    let partitions = cluster.topic(topic, POLL).await.unwrap().partitions.len();
    let partitions: Vec<_> = (0..partitions)
        .map(|p| TopicPartition::new(topic, p as i32))
        .collect();
    consumer.assign(&partitions).unwrap();
    let (mut count, mut bytes) = (0, 0);
    while count < wanted {
        for record in consumer.poll(POLL).await.unwrap() {
            count += 1;
            bytes += record.value().map_or(0, <[u8]>::len) as u64;
        }
    }
    (count, bytes)
}

async fn first(topic: &str) {
    let mut fetcher = fetcher(topic).await;
    let mut decompressor = fetcher.decompressor();
    loop {
        for mut partition in fetcher.poll_batches(POLL).await.unwrap() {
            while let Some(batch) = partition.next_batch().unwrap() {
                if batch.records(&mut decompressor).unwrap().next().is_some() {
                    return println!("FIRST");
                }
            }
        }
    }
}

async fn produce(topic: &str, count: u64, size: usize, lent: bool) -> u64 {
    let mut config = config();
    for (name, value) in [("linger.ms", "5"), ("batch.size", "131072")] {
        config.set(name, value).unwrap();
    }
    let producer = Producer::connect(config).await.unwrap();
    let values = values(size);
    let mut failed = 0;
    if lent {
        let mut deliveries = Vec::new();
        let mut open: Vec<OpenBatch> = (0..PARTITIONS)
            .map(|p| producer.open_batch(topic, p as i32))
            .collect();
        for number in 0..count {
            let key = key(number);
            let partition = partition_for_key(&key, PARTITIONS) as usize;
            let batch = &mut open[partition];
            batch
                .append(
                    now(number),
                    Some(&key),
                    Some(&values[number as usize & 4095]),
                    &[],
                )
                .unwrap();
            if batch.size_bytes() + size + 24 > BATCH_BYTES {
                let full = std::mem::replace(batch, producer.open_batch(topic, partition as i32));
                deliveries.push(producer.submit(full).await.unwrap());
            }
        }
        for batch in open.into_iter().filter(|batch| !batch.is_empty()) {
            deliveries.push(producer.submit(batch).await.unwrap());
        }
        for delivery in deliveries {
            failed += u64::from(delivery.await.is_err());
        }
    } else {
        for number in 0..count {
            let (key, value) = (key(number), &values[number as usize & 4095]);
            let record = ProducerRecord {
                topic,
                key: Some(&key),
                value: Some(value),
                ..Default::default()
            };
            drop(producer.enqueue(record).await.unwrap());
        }
        failed += u64::from(producer.flush().await.is_err());
    }
    failed
}

/// The time, read once in a thousand records: as often as a batch begins.
fn now(number: u64) -> i64 {
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
    static NOW: AtomicI64 = AtomicI64::new(0);
    if number % 1024 == 0 {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        NOW.store(since.as_millis() as i64, Relaxed);
    }
    NOW.load(Relaxed)
}

async fn latency(topic: &str, rate: u64, seconds: u64) {
    let (start, total) = (Instant::now(), rate * (seconds + 2));
    let mut config = config();
    config.set("linger.ms", "0").unwrap();
    let producer = Producer::connect(config).await.unwrap();
    let mut fetcher = fetcher(topic).await;
    let mut decompressor = fetcher.decompressor();
    let name = topic.to_owned();
    let sender = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begin = Instant::now();
        let mut value = [b'x'; 100];
        for number in 0..total {
            let due = begin + Duration::from_nanos(number * 1_000_000_000 / rate);
            tokio::time::sleep_until(due.into()).await;
            value[..8].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_be_bytes());
            let record = ProducerRecord {
                topic: &name,
                key: Some(&key(number)),
                value: Some(&value),
                ..Default::default()
            };
            drop(producer.enqueue(record).await.unwrap());
        }
        producer.flush().await.unwrap();
    });
    let (mut count, mut times) = (0, Vec::new());
    while count < total {
        for mut partition in fetcher.poll_batches(POLL).await.unwrap() {
            while let Some(batch) = partition.next_batch().unwrap() {
                for record in batch.records(&mut decompressor).unwrap() {
                    let value = record.unwrap().value.unwrap();
                    let sent = u64::from_be_bytes(value[..8].try_into().unwrap());
                    count += 1;
                    if count > 2 * rate {
                        times.push(start.elapsed().as_nanos() as u64 - sent);
                    }
                }
            }
        }
    }
    sender.await.unwrap();
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1e6;
    println!(
        "{{\"count\":{},\"bytes\":0,\"p50_ms\":{:.3},\"p99_ms\":{:.3},\"max_ms\":{:.3}}}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let start = Instant::now();
    match *arguments {
        ["consume", topic, count, how @ ("batches" | "records")] => {
            let count = count.parse().unwrap();
            let (count, bytes) = match how {
                "batches" => consume_batches(topic, count).await,
                _ => consume_records(topic, count).await,
            };
            println!(
                "{{\"count\":{count},\"bytes\":{bytes},\"inner_s\":{:.4}}}",
                start.elapsed().as_secs_f64()
            );
        }
        ["produce", topic, count, size, how @ ("lent" | "send")] => {
            let count = count.parse().unwrap();
            let failed = produce(topic, count, size.parse().unwrap(), how == "lent").await;
            println!(
                "{{\"count\":{count},\"failed\":{failed},\"inner_s\":{:.4}}}",
                start.elapsed().as_secs_f64()
            );
        }
        ["first", topic] => first(topic).await,
        ["latency", topic, rate, seconds] => {
            latency(topic, rate.parse().unwrap(), seconds.parse().unwrap()).await;
        }
        _ => panic!("unknown command {arguments:?}"),
    }
}
