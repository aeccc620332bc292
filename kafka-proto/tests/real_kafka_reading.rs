//! Against a real Apache Kafka: what Java's clients write is read here, in each codec and under both isolation levels.
#![cfg(all(feature = "client", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/reading.rs"]
mod reading;

use std::path::PathBuf;

use kafka_proto::client::Config;
use kafka_proto::records::Codec;
use reading::read_all;
use test_support::require_kafka;

#[tokio::test]
async fn what_javas_console_producer_writes_is_read_in_each_codec() {
    let kafka = require_kafka!();
    for (codec, name) in [
        (Codec::None, "none"),
        (Codec::Gzip, "gzip"),
        (Codec::Snappy, "snappy"),
        (Codec::Lz4, "lz4"),
        (Codec::Zstd, "zstd"),
    ] {
        let topic = format!("java-{name}");
        kafka.create_topic(&topic, 1, &[]);
        let expected: Vec<_> = (0..300)
            .map(|n| {
                let headers = vec![
                    ("number".to_owned(), Some(n.to_string())),
                    ("same".to_owned(), Some("x".to_owned())),
                ];
                (
                    headers,
                    (n % 7 != 0).then(|| format!("key {n}")),
                    (n % 11 != 0).then(|| "Wert ".repeat(n % 40 + 1)),
                )
            })
            .collect();
        let lines: String = expected
            .iter()
            .map(|(headers, key, value)| {
                let headers: Vec<_> = headers
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", value.as_ref().unwrap()))
                    .collect();
                let null = "NULL".to_owned();
                format!(
                    "{}\t{}\t{}\n",
                    headers.join(","),
                    key.as_ref().unwrap_or(&null),
                    value.as_ref().unwrap_or(&null)
                )
            })
            .collect();
        let options = [
            "--topic",
            &topic,
            "--compression-codec",
            name,
            "--reader-property",
            "parse.key=true",
        ];
        let more = [
            "--reader-property",
            "parse.headers=true",
            "--reader-property",
            "null.marker=NULL",
        ];
        kafka.tool_with_input(
            "ConsoleProducer",
            &[&options[..], &more].concat(),
            lines.as_bytes(),
        );
        let read = read_all(Config::new(&kafka.bootstrap_servers()), &topic, 1).await;
        assert!(
            read.iter().all(|record| record.codec == codec),
            "{name}: {:?}",
            read[0].codec
        );
        assert!(
            read.iter()
                .all(|record| record.timestamp > 1_600_000_000_000),
            "{name}: {:?}",
            read[0]
        );
        let offsets: Vec<_> = read.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..300).collect::<Vec<i64>>(), "{name}");
        let found: Vec<_> = read
            .into_iter()
            .map(|record| (record.headers, record.key, record.value))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn aborted_transactions_of_javas_producer_are_hidden_under_read_committed_only() {
    let kafka = require_kafka!();
    kafka.create_topic("transactions", 3, &[]);
    let source =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka/Transactions.java");
    let (rounds, written) = (12, 12 * (20 + 5 + 15 + 10));
    let printed = kafka.java_source(&source, &["transactions", "3", &rounds.to_string()]);
    let mut committed: Vec<(i32, i64, String, String)> = printed
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            (
                fields[0].parse().unwrap(),
                fields[1].parse().unwrap(),
                fields[2].to_owned(),
                fields[3].to_owned(),
            )
        })
        .collect();
    committed.sort_unstable();
    let mut config = Config::new(&kafka.bootstrap_servers());
    config.set("isolation.level", "read_committed").unwrap();
    let read = read_all(config.clone(), "transactions", 3).await;
    let found: Vec<_> = read
        .into_iter()
        .map(|record| {
            (
                record.partition,
                record.offset,
                record.key.unwrap(),
                record.value.unwrap(),
            )
        })
        .collect();
    assert_eq!(found.len(), committed.len());
    assert_eq!(found, committed);
    assert!(found.len() < written);
    config.set("isolation.level", "read_uncommitted").unwrap();
    assert_eq!(read_all(config, "transactions", 3).await.len(), written);
}
