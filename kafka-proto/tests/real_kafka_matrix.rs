//! Against real brokers of several versions: create and describe a topic, produce, consume, a group of each protocol, commit, delete.
//!
//! `KAFKA_MATRIX` names the versions, with commas, or is `all`; by default the oldest, the first of the new major version, and the two newest.
//! `KAFKA_MATRIX_AT=HOST:PORT` tests a broker that runs already, of whatever version.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_proto::client::{
    Admin, Cluster, Config, Consumer, NewTopic, Producer, ProducerRecord, TopicPartition,
};
use kafka_proto::messages::ErrorCode;
use test_support::kafka::{Broker, Options, skip_without_kafka};

const ALL: [&str; 6] = ["3.9.2", "4.0.1", "4.1.1", "4.2.0", "4.3.1", "4.4.0"];
const DEFAULT: [&str; 4] = ["3.9.2", "4.0.1", "4.3.1", "4.4.0"];
const LIMIT: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 3;
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const RECORDS_EACH: usize = 200;

type Records = BTreeMap<String, (Option<String>, Vec<(String, Option<String>)>)>;

#[tokio::test]
async fn every_version_of_the_broker_works() {
    if let Ok(address) = std::env::var("KAFKA_MATRIX_AT") {
        return everything(&address, &address).await;
    }
    if skip_without_kafka("every_version_of_the_broker_works").is_none() {
        return;
    }
    let named = std::env::var("KAFKA_MATRIX").unwrap_or_default();
    let versions: Vec<&str> = match &*named {
        "" => DEFAULT.to_vec(),
        "all" => ALL.to_vec(),
        named => named.split(',').map(str::trim).collect(),
    };
    // One after the other: each is a JVM.
    for version in versions {
        let kafka = Broker::start_with(&Options::version(version));
        everything(version, &kafka.bootstrap_servers()).await;
    }
}

async fn everything(version: &str, servers: &str) {
    let begin = std::time::Instant::now();
    let cluster = Cluster::connect(Config::new(servers)).await.unwrap();
    let admin = Admin::new(&cluster);
    topic_is_created_and_described(&admin).await;
    let mut written = Records::new();
    for codec in CODECS {
        produce(servers, codec, &mut written).await;
    }
    assert_eq!(read_assigned(servers).await, written, "{version}");
    // Where the broker lacks the newer one (3.9 has it turned off), the client falls back by itself.
    let mut protocols = vec!["classic"];
    if Config::default().value("group.protocol").is_some() && offers_consumer_groups(&cluster).await
    {
        protocols.push("consumer");
    }
    for protocol in &protocols {
        assert_eq!(
            read_as_group(servers, protocol).await,
            written,
            "{version}, {protocol}"
        );
    }
    topic_is_deleted(&admin).await;
    println!(
        "{version}: {protocols:?} in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
}

async fn topic_is_created_and_described(admin: &Admin) {
    let topic = NewTopic::new("matrix")
        .partitions(PARTITIONS)
        .replication_factor(1);
    let topic = topic.config("retention.ms", "7200000");
    admin.create_topic(&topic).await.unwrap();
    let again = admin.create_topic(&topic).await.unwrap_err();
    assert_eq!(
        again.code(),
        Some(ErrorCode::TOPIC_ALREADY_EXISTS),
        "{again}"
    );
    let described = admin.cluster().topic("matrix", LIMIT).await.unwrap();
    assert_eq!(described.partitions.len() as i32, PARTITIONS);
    let configs = admin.topic_configs("matrix").await.unwrap();
    assert_eq!(configs["retention.ms"].value.as_deref(), Some("7200000"));
    let cluster = admin.describe_cluster().await.unwrap();
    assert!(!cluster.cluster_id.is_empty());
}

/// Keys, values, nulls and headers; every record has a name in its first header.
async fn produce(servers: &str, codec: &str, written: &mut Records) {
    let mut config = Config::new(servers);
    config.set("compression.type", codec).unwrap();
    let producer = Producer::connect(config).await.unwrap();
    let mut deliveries = Vec::new();
    for n in 0..RECORDS_EACH {
        let name = format!("{codec}-{n}");
        let value = (n % 10 != 0).then(|| format!("value {n} of {codec}").repeat(1 + n % 7));
        let headers = [
            ("name", Some(name.as_bytes())),
            ("null", None),
            ("empty", Some(&b""[..])),
        ];
        let record = ProducerRecord {
            topic: "matrix",
            key: Some(name.as_bytes()),
            value: value.as_ref().map(String::as_bytes),
            headers: &headers,
            ..Default::default()
        };
        deliveries.push(producer.enqueue(record).await.unwrap());
        let text =
            |value: Option<&[u8]>| value.map(|value| String::from_utf8(value.to_vec()).unwrap());
        let headers = headers.map(|(key, value)| (key.to_owned(), text(value)));
        written.insert(name, (value, headers.into()));
    }
    for delivery in deliveries {
        assert!(delivery.await.unwrap().offset.is_some());
    }
    producer.close_within(LIMIT).await.unwrap();
}

/// Polls until as many records came as were written; a record that comes twice is a failure.
async fn read(consumer: &mut Consumer) -> Records {
    let mut records = Records::new();
    let work = async {
        while records.len() < CODECS.len() * RECORDS_EACH {
            for record in consumer.poll(Duration::from_secs(1)).await.unwrap() {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let headers: Vec<_> = record
                    .headers()
                    .map(|header| (text(header.name_bytes()), header.value().map(text)))
                    .collect();
                let key = record.key().map(text).unwrap();
                assert_eq!(headers[0].1.as_deref(), Some(&*key));
                let before = records.insert(key, (record.value().map(text), headers));
                assert_eq!(before, None, "twice");
            }
        }
    };
    tokio::time::timeout(LIMIT, work)
        .await
        .expect("all records come");
    records
}

async fn read_assigned(servers: &str) -> Records {
    let mut config = Config::new(servers);
    config.set("auto.offset.reset", "earliest").unwrap();
    let mut consumer = Consumer::connect(config).await.unwrap();
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|partition| TopicPartition::new("matrix", partition))
        .collect();
    consumer.assign(&partitions).unwrap();
    let records = read(&mut consumer).await;
    consumer.close().await.unwrap();
    records
}

/// Reads all as a member, commits, and a second member finds nothing left.
async fn read_as_group(servers: &str, protocol: &str) -> Records {
    let mut config = Config::new(servers);
    config.set("auto.offset.reset", "earliest").unwrap();
    config.set("enable.auto.commit", "false").unwrap();
    config
        .set("group.id", &format!("matrix-{protocol}"))
        .unwrap();
    if protocol != "classic" {
        config.set("group.protocol", protocol).unwrap();
    }
    let mut consumer = Consumer::connect(config.clone()).await.unwrap();
    consumer.subscribe(&["matrix"]).unwrap();
    let records = read(&mut consumer).await;
    consumer.commit().await.unwrap();
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|partition| TopicPartition::new("matrix", partition))
        .collect();
    let committed = consumer.committed(&partitions).await.unwrap();
    let sum: i64 = committed
        .iter()
        .flatten()
        .map(|committed| committed.offset)
        .sum();
    assert_eq!(sum as usize, records.len());
    consumer.close().await.unwrap();
    let mut next = Consumer::connect(config).await.unwrap();
    next.subscribe(&["matrix"]).unwrap();
    let assigned = async {
        while next.assignment().len() < PARTITIONS as usize
            || next
                .assignment()
                .iter()
                .any(|(_, progress)| progress.position.is_none())
        {
            assert!(
                next.poll(Duration::from_millis(100))
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
    };
    tokio::time::timeout(LIMIT, assigned)
        .await
        .expect("the next member gets the partitions");
    let positions: i64 = next
        .assignment()
        .iter()
        .filter_map(|(_, progress)| progress.position)
        .sum();
    assert_eq!(positions as usize, records.len());
    next.close().await.unwrap();
    records
}

async fn offers_consumer_groups(cluster: &Cluster) -> bool {
    let connection = cluster.any_connection().await.unwrap();
    let heartbeat = kafka_proto::messages::ApiKey::CONSUMER_GROUP_HEARTBEAT;
    connection.versions().unwrap().range(heartbeat).is_some()
}

async fn topic_is_deleted(admin: &Admin) {
    for outcome in admin.delete_topics(&["matrix"]).await.unwrap() {
        outcome.unwrap();
    }
    let gone = async {
        loop {
            let metadata = admin.cluster().refresh_all().await.unwrap();
            if metadata.topic("matrix").is_none() {
                break;
            }
        }
    };
    tokio::time::timeout(LIMIT, gone)
        .await
        .expect("the topic goes");
}
