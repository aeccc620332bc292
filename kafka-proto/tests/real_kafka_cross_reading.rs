//! Against a real Apache Kafka: what one client writes, the others read the same. Ours, Java's, and librdkafka by Python's confluent-kafka; each
//! codec, headers, nulls, tombstones, timestamps; and the same keys go to the same partitions.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use kafka_proto::client::{Config, Consumer, Producer, ProducerRecord, TopicPartition};
use test_support::kafka::{Broker, ToolOutput, confluent_kafka, run, skipped};
use test_support::require_kafka;

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const PARTITIONS: i32 = 4;
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq)]
struct Case {
    codec: &'static str,
    /// None: by the key.
    partition: Option<i32>,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(&'static str, Option<Vec<u8>>)>,
}

/// With each codec: keys and values of all kinds into fixed partitions, and keys that choose their partition themselves.
fn cases() -> Vec<Case> {
    let fields = [
        None,
        Some(Vec::new()),
        Some(b"text".to_vec()),
        Some("ü€".into()),
        Some(vec![0, 255, 10, 9]),
    ];
    let headers = [
        vec![],
        vec![
            ("one", Some(b"1".to_vec())),
            ("null", None),
            ("empty", Some(Vec::new())),
        ],
        vec![
            ("twice", Some(b"a".to_vec())),
            ("Größe", Some(vec![0, 200])),
            ("twice", Some(b"b".to_vec())),
        ],
    ];
    let mut cases = Vec::new();
    for codec in CODECS {
        for (n, key) in fields.iter().enumerate() {
            for (m, value) in fields.iter().enumerate() {
                cases.push(Case {
                    codec,
                    partition: Some(cases.len() as i32 % PARTITIONS),
                    timestamp: 1_600_000_000_000 + (n * 7919 + m * 104_729) as i64,
                    key: key.clone(),
                    value: value.clone(),
                    headers: headers[(n + m) % 3].clone(),
                });
            }
        }
        for n in 0..60_usize {
            cases.push(Case {
                codec,
                partition: None,
                // 0 is an ordinary time for Java; librdkafka takes it for none, so it stays out.
                timestamp: 1 + n as i64,
                key: Some(format!("key-{n}").repeat(n % 5 + 1).into_bytes()),
                value: Some(vec![b'v'; n * 40]),
                headers: Vec::new(),
            });
        }
    }
    cases
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(
        || "-".to_owned(),
        |bytes| {
            bytes.iter().fold(String::from("x"), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            })
        },
    )
}

impl Case {
    /// Timestamp, key, value, headers, as the programs print them.
    fn content(&self) -> String {
        let header =
            |(name, value): &(&str, Option<Vec<u8>>)| format!("{name}={}", text(value.as_deref()));
        let headers: Vec<_> = self.headers.iter().map(header).collect();
        let (key, value) = (text(self.key.as_deref()), text(self.value.as_deref()));
        format!("{}\t{key}\t{value}\t{}", self.timestamp, headers.join(" "))
    }

    fn line(&self) -> String {
        let partition = self
            .partition
            .map_or_else(|| "-".to_owned(), |partition| partition.to_string());
        format!("{}\t{partition}\t{}\n", self.codec, self.content())
    }
}

/// Partition and offset of each case, in their order.
type Places = Vec<(i32, i64)>;

fn places(printed: &str) -> Places {
    let place = |line: &str| {
        let (partition, offset) = line.split_once('\t').unwrap();
        (partition.parse().unwrap(), offset.parse().unwrap())
    };
    printed.lines().map(place).collect()
}

async fn write_ours(
    kafka: &Broker,
    topic: &str,
    cases: &[Case],
    properties: &[(&str, &str)],
) -> Places {
    let mut places = Vec::new();
    for codec in CODECS {
        let mut config = Config::new(&kafka.bootstrap_servers());
        config.set("compression.type", codec).unwrap();
        for (name, value) in properties {
            config.set(name, value).unwrap();
        }
        let producer = Producer::connect(config).await.unwrap();
        let mut deliveries = Vec::new();
        for case in cases.iter().filter(|case| case.codec == codec) {
            let header =
                |(name, value): &'_ (&'static str, Option<Vec<u8>>)| (*name, value.clone());
            let headers: Vec<_> = case.headers.iter().map(header).collect();
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_deref()))
                .collect();
            let record = ProducerRecord {
                topic,
                partition: case.partition,
                timestamp: Some(case.timestamp),
                key: case.key.as_deref(),
                value: case.value.as_deref(),
                headers: &headers,
            };
            deliveries.push(producer.enqueue(record).await.unwrap());
        }
        for delivery in deliveries {
            let at = delivery.await.unwrap();
            places.push((at.partition, at.offset.unwrap()));
        }
        producer.close_within(LIMIT).await.unwrap();
    }
    places
}

/// Every record of the topic as a line, in the order of partitions and offsets.
async fn read_ours(kafka: &Broker, topic: &str, count: usize) -> Vec<String> {
    let mut config = Config::new(&kafka.bootstrap_servers());
    config.set("auto.offset.reset", "earliest").unwrap();
    let mut consumer = Consumer::connect(config).await.unwrap();
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|partition| TopicPartition::new(topic, partition))
        .collect();
    consumer.assign(&partitions).unwrap();
    let mut lines = Vec::new();
    while lines.len() < count {
        for record in consumer.poll(LIMIT).await.unwrap() {
            let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
            let headers: Vec<_> = record
                .headers()
                .map(|header| format!("{}={}", name(header.name_bytes()), text(header.value())))
                .collect();
            let fields = [
                topic.to_owned(),
                record.partition().to_string(),
                record.offset().to_string(),
                record.timestamp().to_string(),
                text(record.key()),
                text(record.value()),
                headers.join(" "),
            ];
            lines.push(fields.join("\t"));
        }
    }
    sorted(lines)
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    let place = |line: &String| {
        let fields: Vec<&str> = line.split('\t').collect();
        (
            fields[1].parse::<i32>().unwrap(),
            fields[2].parse::<i64>().unwrap(),
        )
    };
    lines.sort_by_key(place);
    lines
}

/// What must be read: each case where its writer said it is.
fn expected(topic: &str, cases: &[Case], places: &Places) -> Vec<String> {
    assert_eq!(cases.len(), places.len());
    let line = |(case, (partition, offset)): (&Case, &(i32, i64))| {
        format!("{topic}\t{partition}\t{offset}\t{}", case.content())
    };
    sorted(cases.iter().zip(places).map(line).collect())
}

fn must_be_equal(found: &[String], expected: &[String], what: &str) {
    let first = found
        .iter()
        .zip(expected)
        .find(|(found, expected)| found != expected);
    assert!(
        first.is_none() && found.len() == expected.len(),
        "{what}: {} of {} lines, the first other one: {first:?}",
        found.len(),
        expected.len()
    );
}

fn input(cases: &[Case]) -> String {
    cases.iter().map(Case::line).collect()
}

fn by_key(cases: &[Case], places: &Places) -> Vec<i32> {
    let chosen = cases
        .iter()
        .zip(places)
        .filter(|(case, _)| case.partition.is_none());
    chosen.map(|(_, (partition, _))| *partition).collect()
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/kafka")).join(name)
}

#[tokio::test]
async fn java_and_ours_read_each_others_records_and_agree_on_partitions() {
    let kafka = require_kafka!();
    let cases = cases();
    for topic in ["java-writes", "we-write-for-java"] {
        kafka.create_topic(topic, PARTITIONS, &[]);
    }
    kafka.create_topic(
        "java-stamped",
        PARTITIONS,
        &[("message.timestamp.type", "LogAppendTime")],
    );
    let java = testdata("Cross.java");
    let written =
        kafka.java_source_with_input(&java, &["write", "java-writes"], input(&cases).as_bytes());
    let javas = places(&written);
    let ours = write_ours(kafka, "we-write-for-java", &cases, &[]).await;
    write_ours(kafka, "java-stamped", &cases, &[]).await;
    assert_eq!(by_key(&cases, &ours), by_key(&cases, &javas), "murmur2");
    let count = cases.len().to_string();
    let topics = ["java-writes", "we-write-for-java", "java-stamped"];
    let arguments: Vec<&str> = ["read"]
        .into_iter()
        .chain(topics.iter().flat_map(|topic| [*topic, &count]))
        .collect();
    let read = kafka.java_source(&java, &arguments);
    let read_by_java = |topic: &str| {
        sorted(
            read.lines()
                .filter(|line| line.starts_with(topic))
                .map(str::to_owned)
                .collect(),
        )
    };
    must_be_equal(
        &read_by_java("java-writes"),
        &expected("java-writes", &cases, &javas),
        "Java reads its own",
    );
    must_be_equal(
        &read_by_java("we-write"),
        &expected("we-write-for-java", &cases, &ours),
        "Java reads ours",
    );
    let found = read_ours(kafka, "java-writes", cases.len()).await;
    must_be_equal(
        &found,
        &expected("java-writes", &cases, &javas),
        "we read Java's",
    );
    let found = read_ours(kafka, "java-stamped", cases.len()).await;
    must_be_equal(
        &found,
        &read_by_java("java-stamped"),
        "records that the broker stamped",
    );
}

#[tokio::test]
async fn librdkafka_and_ours_read_each_others_records_and_agree_on_partitions() {
    let kafka = require_kafka!();
    let python = || -> Option<std::process::Command> {
        confluent_kafka()
            .map_err(|reason| {
                skipped(
                    "librdkafka_and_ours_read_each_others_records_and_agree_on_partitions",
                    &reason,
                )
            })
            .ok()
    };
    let call = |arguments: &[&str], input: &str| {
        let mut python = python()?;
        python
            .arg(testdata("cross.py"))
            .arg(kafka.bootstrap_servers())
            .args(arguments);
        let ToolOutput {
            success,
            stdout,
            stderr,
        } = run(python, input.as_bytes());
        assert!(success, "{arguments:?}: {stderr}");
        Some(stdout)
    };
    let cases = cases();
    for topic in ["rd-writes", "we-write-for-rd"] {
        kafka.create_topic(topic, PARTITIONS, &[]);
    }
    let Some(written) = call(&["write", "rd-writes"], &input(&cases)) else {
        return;
    };
    let theirs = places(&written);
    // librdkafka's own default: CRC32 of the key.
    let ours = write_ours(
        kafka,
        "we-write-for-rd",
        &cases,
        &[("partitioner", "consistent_random")],
    )
    .await;
    assert_eq!(by_key(&cases, &ours), by_key(&cases, &theirs), "CRC32");
    let count = cases.len().to_string();
    let read = call(
        &["read", "rd-writes", &count, "we-write-for-rd", &count],
        "",
    )
    .unwrap();
    let read_by_them = |topic: &str| {
        sorted(
            read.lines()
                .filter(|line| line.starts_with(topic))
                .map(str::to_owned)
                .collect(),
        )
    };
    must_be_equal(
        &read_by_them("rd-writes"),
        &expected("rd-writes", &cases, &theirs),
        "librdkafka reads its own",
    );
    must_be_equal(
        &read_by_them("we-write"),
        &expected("we-write-for-rd", &cases, &ours),
        "librdkafka reads ours",
    );
    let found = read_ours(kafka, "rd-writes", cases.len()).await;
    must_be_equal(
        &found,
        &expected("rd-writes", &cases, &theirs),
        "we read librdkafka's",
    );
}
