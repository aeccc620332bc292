//! Against a real Apache Kafka: what is produced here, record by record, by lent batches and as relayed batches, is read by Kafka's
//! console consumer, in each codec.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/reading.rs"]
mod reading;

use kafka_proto::client::{Cluster, Config, Fetcher, Producer, ProducerRecord, Start};
use kafka_proto::partition::partition_for_key;
use kafka_proto::records::Codec;
use reading::{LIMIT, read_all};
use test_support::kafka::Broker;
use test_support::require_kafka;

const CODECS: [(Codec, &str); 5] = [
    (Codec::None, "none"),
    (Codec::Gzip, "gzip"),
    (Codec::Snappy, "snappy"),
    (Codec::Lz4, "lz4"),
    (Codec::Zstd, "zstd"),
];

/// What the console consumer prints of one record.
fn line(
    partition: i32,
    offset: i64,
    timestamp: i64,
    headers: &str,
    key: &str,
    value: &str,
) -> String {
    format!(
        "CreateTime:{timestamp}\tPartition:{partition}\tOffset:{offset}\t{headers}\t{key}\t{value}"
    )
}

/// Everything that Kafka's console consumer shows of a topic, in order.
fn read_by_java(kafka: &Broker, topic: &str, partitions: i32) -> Vec<String> {
    let shown = ["timestamp", "partition", "offset", "headers", "key"];
    let shown: Vec<String> = shown
        .iter()
        .map(|what| format!("print.{what}=true"))
        .collect();
    let mut options = vec!["--formatter-property", "null.literal=NULL"];
    for property in &shown {
        options.extend(["--formatter-property", property]);
    }
    let mut lines = kafka.read_all(topic, partitions, &options);
    let place = |line: &String| -> Vec<i64> {
        let fields = line.split('\t').filter_map(|field| field.split_once(':'));
        let numbers = fields.filter(|(name, _)| matches!(*name, "Partition" | "Offset"));
        numbers.map(|(_, number)| number.parse().unwrap()).collect()
    };
    lines.sort_by_key(place);
    lines
}

/// Equal, or the first line that is not.
fn must_be_equal(found: &[String], expected: &[String], what: &str) {
    let lines = found.len().max(expected.len());
    let differs = (0..lines).find(|&at| found.get(at) != expected.get(at));
    if let Some(at) = differs {
        let (found_count, expected_count) = (found.len(), expected.len());
        panic!(
            "{what}: line {at} of {found_count} is {:?}, expected {:?} of {expected_count}",
            found.get(at),
            expected.get(at)
        );
    }
}

fn config(kafka: &Broker, properties: &[(&str, &str)]) -> Config {
    let mut config = Config::new(&kafka.bootstrap_servers());
    for (name, value) in properties {
        config.set(name, value).unwrap();
    }
    config
}

#[tokio::test]
async fn sent_records_are_read_by_javas_console_consumer_in_each_codec() {
    let kafka = require_kafka!();
    for (codec, name) in CODECS {
        let topic = format!("sent-{name}");
        kafka.create_topic(&topic, 3, &[]);
        let producer = Producer::connect(config(
            kafka,
            &[("compression.type", name), ("linger.ms", "5")],
        ))
        .await
        .unwrap();
        let mut expected = Vec::new();
        let mut next_offset = [0; 3];
        for n in 0..400 {
            let timestamp = 1_700_000_000_000 + n;
            let (key, value) = (
                format!("key-{}", n % 50),
                "word ".repeat(usize::try_from(n % 60).unwrap()),
            );
            let value = (n % 13 != 0).then_some(value);
            let partition = partition_for_key(key.as_bytes(), 3);
            let number = n.to_string();
            let headers = [
                ("n", Some(number.as_bytes())),
                ("n", Some(b"again".as_slice())),
            ];
            let delivery = producer.enqueue(ProducerRecord {
                topic: &topic,
                partition: None,
                timestamp: Some(timestamp),
                key: Some(key.as_bytes()),
                value: value.as_ref().map(String::as_bytes),
                headers: &headers,
            });
            let delivery = delivery.await.unwrap();
            let offset = &mut next_offset[usize::try_from(partition).unwrap()];
            let shown = value.as_deref().unwrap_or("NULL");
            expected.push((
                partition,
                *offset,
                line(
                    partition,
                    *offset,
                    timestamp,
                    &format!("n:{n},n:again"),
                    &key,
                    shown,
                ),
            ));
            *offset += 1;
            if n == 399 {
                let place = delivery.await.unwrap();
                assert_eq!(
                    (place.partition, place.offset),
                    (partition, Some(*offset - 1)),
                    "{name}"
                );
            }
        }
        producer.flush().await.unwrap();
        producer.close_within(LIMIT).await.unwrap();
        expected.sort();
        let expected: Vec<String> = expected.into_iter().map(|(_, _, line)| line).collect();
        must_be_equal(&read_by_java(kafka, &topic, 3), &expected, name);
        let ours = read_all(config(kafka, &[]), &topic, 3).await;
        assert!(
            ours.len() == 400 && ours.iter().all(|record| record.codec == codec),
            "{name}"
        );
    }
}

#[tokio::test]
async fn lent_batches_are_read_by_javas_console_consumer() {
    let kafka = require_kafka!();
    kafka.create_topic("lent", 2, &[]);
    let producer = Producer::connect(config(kafka, &[("compression.type", "zstd")]))
        .await
        .unwrap();
    let (mut expected, mut deliveries) = (Vec::new(), Vec::new());
    for batch_number in 0..20 {
        let partition = batch_number % 2;
        let mut batch = producer.open_batch("lent", partition);
        for n in 0..50 {
            let value = format!("value {batch_number} {n}");
            let delta = batch
                .append(1_700_000_000_000, None, Some(value.as_bytes()), &[])
                .unwrap();
            assert_eq!(delta, n);
            let offset = i64::from(batch_number / 2 * 50 + n);
            expected.push((
                partition,
                offset,
                line(
                    partition,
                    offset,
                    1_700_000_000_000,
                    "NO_HEADERS",
                    "NULL",
                    &value,
                ),
            ));
        }
        deliveries.push(producer.submit(batch).await.unwrap());
    }
    for (batch_number, delivery) in deliveries.into_iter().enumerate() {
        let place = delivery.await.unwrap();
        assert_eq!(
            place.base_offset,
            Some(i64::try_from(batch_number / 2 * 50).unwrap())
        );
        assert_eq!(place.record_count, 50);
    }
    expected.sort();
    let expected: Vec<String> = expected.into_iter().map(|(_, _, line)| line).collect();
    must_be_equal(&read_by_java(kafka, "lent", 2), &expected, "lent");
}

#[tokio::test]
async fn relayed_batches_of_javas_producer_read_the_same_to_java() {
    let kafka = require_kafka!();
    for topic in ["relay-in", "relay-out"] {
        kafka.create_topic(topic, 1, &[]);
    }
    let lines: String = (0..2000)
        .map(|n| format!("h:{n}\tkey {n}\tvalue {n}\n"))
        .collect();
    for codec in ["lz4", "none"] {
        let options = [
            "--topic",
            "relay-in",
            "--compression-codec",
            codec,
            "--reader-property",
            "parse.key=true",
        ];
        let more = ["--reader-property", "parse.headers=true"];
        kafka.tool_with_input(
            "ConsoleProducer",
            &[&options[..], &more].concat(),
            lines.as_bytes(),
        );
    }
    let cluster = Cluster::connect(config(kafka, &[])).await.unwrap();
    let producer = Producer::new(&cluster).unwrap();
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("relay-in", 0, Start::Earliest);
    let (mut relayed, mut batches) = (0, 0);
    while relayed < 4000 {
        for mut fetched in fetcher.poll_batches(LIMIT).await.unwrap() {
            while let Some(batch) = fetched.next_batch().unwrap() {
                relayed += batch.batch().record_count();
                batches += 1;
                let position = batch.first_offset();
                let delivery = producer
                    .submit_relay("relay-out", 0, batch.batch(), position)
                    .await
                    .unwrap();
                delivery.await.unwrap();
            }
        }
    }
    assert!(batches > 1);
    let (before, after) = (
        read_by_java(kafka, "relay-in", 1),
        read_by_java(kafka, "relay-out", 1),
    );
    assert_eq!(before.len(), 4000);
    must_be_equal(&after, &before, "relayed");
}

#[tokio::test]
async fn batches_that_kafka_finds_too_large_are_split_once_and_in_order_with_five_on_their_way() {
    let kafka = require_kafka!();
    kafka.create_topic("split", 2, &[("max.message.bytes", "5000")]);
    let properties = [("batch.size", "20000"), ("linger.ms", "20")];
    let cluster = Cluster::connect(config(kafka, &properties)).await.unwrap();
    let producer = Producer::new(&cluster).unwrap();
    // The leader knows the producer before several batches are on their way at once.
    let mut expected = vec![Vec::new(); 2];
    let mut deliveries = Vec::new();
    for n in 0..4000_usize {
        let value = format!("{n:0>100}");
        let record = ProducerRecord {
            topic: "split",
            partition: Some((n % 2) as i32),
            value: Some(value.as_bytes()),
            ..Default::default()
        };
        deliveries.push(producer.enqueue(record).await.unwrap());
        expected[n % 2].push(value);
    }
    for (n, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.await.unwrap().offset, Some(n as i64 / 2), "{n}");
    }
    let metrics = cluster.metrics();
    assert!(metrics.batch_splits > 10, "{metrics}");
    assert_eq!(metrics.epoch_bumps, 0, "{metrics}");
    let mut fetcher = Fetcher::new(&cluster);
    for partition in 0..2 {
        fetcher.assign("split", partition, Start::Earliest);
    }
    let mut decompressor = fetcher.decompressor();
    let mut found = vec![Vec::new(); 2];
    while found.iter().map(Vec::len).sum::<usize>() < 4000 {
        for mut fetched in fetcher.poll_batches(LIMIT).await.unwrap() {
            let of = &mut found[fetched.partition() as usize];
            while let Some(batch) = fetched.next_batch().unwrap() {
                for record in batch.records(&mut decompressor).unwrap() {
                    let value = record.unwrap().value.unwrap().to_vec();
                    of.push(String::from_utf8(value).unwrap());
                }
            }
        }
    }
    assert!(found == expected, "not what was sent, in its order");
}
