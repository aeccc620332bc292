//! Other people's clients against the in-process cluster: kcat (librdkafka) and Kafka's own Java tools.
//! Where one is missing its tests say so and pass; with `CI` set a missing Java is a failure.
#![cfg(all(feature = "mock", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use kafka_proto::messages::ApiKey;
use kafka_proto::mock::{Cluster, Record};
use test_support::kafka::{java_tool, skip_without_kafka, skipped};

async fn cluster() -> Cluster {
    let builder = Cluster::builder().brokers(2).topic("lines", 4);
    builder.start().await.unwrap()
}

/// Whether kcat is there; says so where it is not. Debian's package is called kcat.
fn kcat_is_missing(test: &str) -> bool {
    let missing = Command::new("kcat")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err();
    if missing {
        skipped(test, "no `kcat` on the PATH (Debian: apt-get install kcat)");
    }
    missing
}

/// Runs kcat against the cluster and gives what it printed.
fn kcat(cluster: &Cluster, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("kcat")
        .args(["-b", &cluster.bootstrap_servers()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    });
    assert!(
        output.status.success(),
        "kcat {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs one of Kafka's tools and gives what it printed; they all end well here.
fn java(class: &str, arguments: &[&str], input: &str) -> String {
    let output = java_tool(class, arguments, input.as_bytes());
    assert!(
        output.success,
        "{class} {arguments:?}:\n{}\n{}",
        output.stdout, output.stderr
    );
    output.stdout
}

fn numbers(count: usize) -> String {
    (0..count).map(|n| format!("line {n}\n")).collect()
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

fn all_records(cluster: &Cluster, topic: &str) -> Vec<Record> {
    (0..cluster.partition_count(topic))
        .flat_map(|partition| cluster.records(topic, partition).unwrap())
        .collect()
}

fn data_values(records: &[Record]) -> BTreeSet<&str> {
    let data = records.iter().filter(|record| !record.control);
    let values = data.map(|record| record.value.as_deref().unwrap());
    values
        .map(|value| std::str::from_utf8(value).unwrap())
        .collect()
}

#[tokio::test]
async fn kcat_reads_what_it_wrote_with_every_codec() {
    if kcat_is_missing("kcat_reads_what_it_wrote_with_every_codec") {
        return;
    }
    let cluster = cluster().await;
    let mut written = String::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let input: String = (0..2000).map(|n| format!("{codec} {n}\n")).collect();
        kcat(&cluster, &["-P", "-t", "lines", "-z", codec], &input);
        written.push_str(&input);
    }
    // What the records layer reads is what was sent.
    let records = all_records(&cluster, "lines");
    assert_eq!(records.len(), 10_000);
    assert_eq!(data_values(&records), lines(&written));
    let read = kcat(&cluster, &["-C", "-t", "lines", "-e", "-q"], "");
    assert_eq!(lines(&read), lines(&written));
}

#[tokio::test]
async fn kcat_keeps_keys_headers_and_tombstones() {
    if kcat_is_missing("kcat_keeps_keys_headers_and_tombstones") {
        return;
    }
    let cluster = cluster().await;
    let produce = [
        "-P",
        "-t",
        "lines",
        "-p",
        "1",
        "-K",
        ":",
        "-Z",
        "-H",
        "colour=blue",
    ];
    kcat(&cluster, &produce, "a:1\nb:\n");
    let records = cluster.records("lines", 1).unwrap();
    assert_eq!(records[0].key.as_deref(), Some(&b"a"[..]));
    assert_eq!(records[1].value, None);
    let header = (String::from("colour"), Some(bytes::Bytes::from("blue")));
    assert_eq!(records[0].headers, [header]);
    let consume = [
        "-C",
        "-t",
        "lines",
        "-p",
        "1",
        "-e",
        "-q",
        "-Z",
        "-f",
        "%k=%s %h %o\n",
    ];
    let read = kcat(&cluster, &consume, "");
    assert_eq!(read, "a=1 colour=blue 0\nb=NULL colour=blue 1\n");
}

#[tokio::test]
async fn kcat_sees_brokers_topics_and_leaders() {
    if kcat_is_missing("kcat_sees_brokers_topics_and_leaders") {
        return;
    }
    let cluster = cluster().await;
    let listed = kcat(&cluster, &["-L"], "");
    for part in [
        "2 brokers:",
        "topic \"lines\" with 4 partitions:",
        "partition 0, leader 1, replicas: 1,2, isrs: 1,2",
        "partition 1, leader 2, replicas: 2,1, isrs: 2,1",
    ] {
        assert!(listed.contains(part), "{part:?} is not in\n{listed}");
    }
}

#[tokio::test]
async fn a_kcat_group_goes_on_where_it_stopped() {
    if kcat_is_missing("a_kcat_group_goes_on_where_it_stopped") {
        return;
    }
    let cluster = cluster().await;
    kcat(&cluster, &["-P", "-t", "lines"], &numbers(1000));
    let group = [
        "-X",
        "auto.offset.reset=earliest",
        "-e",
        "-q",
        "-G",
        "readers",
        "lines",
    ];
    let first = kcat(&cluster, &group, "");
    assert_eq!(lines(&first), lines(&numbers(1000)));
    let committed: i64 = (0..4)
        .filter_map(|partition| cluster.committed_offset("readers", "lines", partition))
        .sum();
    assert_eq!(committed, 1000);
    kcat(&cluster, &["-P", "-t", "lines"], "more\n");
    assert_eq!(kcat(&cluster, &group, ""), "more\n");
    assert_eq!(cluster.group_state("readers"), Some("Empty"));
}

#[tokio::test]
async fn a_kcat_transaction_is_read_once_it_is_committed() {
    if kcat_is_missing("a_kcat_transaction_is_read_once_it_is_committed") {
        return;
    }
    let cluster = cluster().await;
    let produce = ["-P", "-t", "lines", "-X", "transactional.id=kcat"];
    kcat(&cluster, &produce, &numbers(500));
    assert_eq!(cluster.transaction_state("kcat"), Some("CompleteCommit"));
    let committed = [
        "-C",
        "-t",
        "lines",
        "-e",
        "-q",
        "-X",
        "isolation.level=read_committed",
    ];
    assert_eq!(lines(&kcat(&cluster, &committed, "")), lines(&numbers(500)));
}

#[tokio::test]
async fn javas_console_tools_read_what_they_wrote() {
    if skip_without_kafka("javas_console_tools_read_what_they_wrote").is_none() {
        return;
    }
    let cluster = cluster().await;
    let servers = cluster.bootstrap_servers();
    let producer = "org.apache.kafka.tools.ConsoleProducer";
    let consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let lz4 = [
        "--topic",
        "lines",
        "--bootstrap-server",
        &servers,
        "--compression-codec",
        "lz4",
    ];
    java(producer, &lz4, &numbers(100));
    let records = all_records(&cluster, "lines");
    assert_eq!(data_values(&records), lines(&numbers(100)));
    // Without a group: one partition from its start.
    let partition = (0..4)
        .find(|partition| cluster.end_offset("lines", *partition).unwrap() > 0)
        .unwrap();
    let count = cluster.end_offset("lines", partition).unwrap();
    let arguments = [
        "--bootstrap-server",
        &servers,
        "--topic",
        "lines",
        "--partition",
        &partition.to_string(),
        "--offset",
        "earliest",
        "--max-messages",
        &count.to_string(),
        "--timeout-ms",
        "20000",
    ];
    let read = java(consumer, &arguments, "");
    let stored = cluster.records("lines", partition).unwrap();
    assert_eq!(lines(&read), data_values(&stored));
    // With a group, and what Kafka's group tool says of it.
    let arguments = [
        "--bootstrap-server",
        &servers,
        "--topic",
        "lines",
        "--group",
        "readers",
        "--from-beginning",
        "--max-messages",
        "100",
        "--timeout-ms",
        "20000",
    ];
    let read = java(consumer, &arguments, "");
    assert_eq!(lines(&read), lines(&numbers(100)));
    let tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let arguments = [
        "--bootstrap-server",
        &servers,
        "--describe",
        "--group",
        "readers",
    ];
    let described = java(tool, &arguments, "");
    let lag: i64 = described
        .lines()
        .filter(|line| line.starts_with("readers"))
        .map(|line| {
            line.split_whitespace()
                .nth(5)
                .unwrap()
                .parse::<i64>()
                .unwrap_or(0)
        })
        .sum();
    assert_eq!(lag, 0, "{described}");
    let committed: i64 = (0..4)
        .filter_map(|partition| cluster.committed_offset("readers", "lines", partition))
        .sum();
    assert_eq!(committed, 100);
}

#[tokio::test]
async fn javas_transactional_producer_works_with_both_transaction_versions() {
    let name = "javas_transactional_producer_works_with_both_transaction_versions";
    if skip_without_kafka(name).is_none() {
        return;
    }
    for level in [1, 2] {
        let cluster = Cluster::builder()
            .topic("lines", 2)
            .transaction_version(level)
            .start()
            .await
            .unwrap();
        let servers = format!("bootstrap.servers={}", cluster.bootstrap_servers());
        let arguments = [
            "--topic",
            "lines",
            "--num-records",
            "2000",
            "--record-size",
            "100",
            "--throughput",
            "4000",
            "--transactional-id",
            "perf",
            "--transaction-duration-ms",
            "100",
            "--command-property",
            &servers,
        ];
        java("org.apache.kafka.tools.ProducerPerformance", &arguments, "");
        assert_eq!(cluster.transaction_state("perf"), Some("CompleteCommit"));
        let records = all_records(&cluster, "lines");
        let data = records.iter().filter(|record| !record.control);
        assert_eq!(data.count(), 2000);
        let markers = records.iter().filter(|record| record.control).count();
        assert!(markers > 1, "{markers} markers");
        for partition in 0..2 {
            let end = cluster.end_offset("lines", partition).unwrap();
            assert_eq!(cluster.last_stable_offset("lines", partition).unwrap(), end);
        }
        let adds = cluster.received_count(ApiKey::ADD_PARTITIONS_TO_TXN);
        assert_eq!(adds > 0, level < 2, "{adds} requests with version {level}");
    }
}

#[tokio::test]
async fn javas_admin_tools_make_describe_and_change_topics() {
    if skip_without_kafka("javas_admin_tools_make_describe_and_change_topics").is_none() {
        return;
    }
    let cluster = cluster().await;
    let servers = cluster.bootstrap_servers();
    let topics = |arguments: &[&str]| {
        let all = [&["--bootstrap-server", &servers], arguments].concat();
        java("org.apache.kafka.tools.TopicCommand", &all, "")
    };
    topics(&[
        "--create",
        "--topic",
        "made",
        "--partitions",
        "3",
        "--config",
        "cleanup.policy=compact",
    ]);
    assert_eq!(cluster.partition_count("made"), 3);
    topics(&["--alter", "--topic", "made", "--partitions", "5"]);
    let described = topics(&["--describe", "--topic", "made"]);
    assert!(described.contains("PartitionCount: 5"), "{described}");
    assert!(described.contains("cleanup.policy=compact"), "{described}");
    let alter = [
        "--bootstrap-server",
        &servers,
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        "made",
        "--add-config",
        "max.message.bytes=2000",
    ];
    java("org.apache.kafka.tools.ConfigCommand", &alter, "");
    let size = cluster.topic_config("made", "max.message.bytes");
    assert_eq!(size.as_deref(), Some("2000"));
    topics(&["--delete", "--topic", "made"]);
    assert_eq!(cluster.topics(), ["lines"]);
}
