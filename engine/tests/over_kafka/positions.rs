//! Which topics and partitions a source reads, where it begins and where it ends.

use std::sync::{Arc, Mutex};

use engine::connectors::{Collected, OffsetSpec, Topics};
use kafka_proto::records::{BatchBuilder, Compression, Stamp};

use super::*;

/// Appends records with these timestamps, each a batch, whose values are their offsets.
fn append_at(cluster: &Cluster, topic: &str, partition: i32, timestamps: &[i64]) {
    for timestamp in timestamps {
        let end = cluster.end_offset(topic, partition).unwrap();
        let mut builder = BatchBuilder::new(Compression::NONE, 64);
        let value = format!("{topic}-{partition}@{end}");
        builder
            .append(*timestamp, None, Some(value.as_bytes()), &[])
            .unwrap();
        let bytes = builder.finish(Stamp::NONE).unwrap();
        cluster.append_raw(topic, partition, &bytes).unwrap();
    }
}

/// Topics a and b with 2 partitions of 4 records each, 1 s to 4 s after 1970, and b-0 with a fifth.
async fn two_topics() -> Cluster {
    let cluster = Cluster::builder()
        .topic("a", 2)
        .topic("b", 2)
        .topic("other", 1)
        .start()
        .await
        .unwrap();
    for topic in ["a", "b"] {
        for partition in 0..2 {
            append_at(&cluster, topic, partition, &[1000, 2000, 3000, 4000]);
        }
    }
    append_at(&cluster, "b", 0, &[5000]);
    append_at(&cluster, "other", 0, &[1000]);
    cluster
}

/// What is read, as it says of itself; and what the engine says of it must be the same.
async fn read(topics: Topics, config: &Config) -> Result<Vec<String>, Error> {
    let out = Collected::new();
    let to = out.clone();
    let plan = move |s: Scope<'_>| {
        s.source(&topics)
            .record()
            .map(|r| {
                let place = format!("{}-{}@{}", r.topic, r.partition.unwrap(), r.offset);
                (place, r.value)
            })
            .sink(&to);
    };
    run(plan, config).await?;
    let mut read = Vec::new();
    for record in out.take() {
        assert_eq!(record.key_str(), record.value_str());
        read.push(record.value_str().unwrap().to_owned());
    }
    read.sort();
    Ok(read)
}

/// `a-0@0-3` and so on: the offsets of partitions, from and to.
fn places(of: &[(&str, i32, std::ops::Range<i64>)]) -> Vec<String> {
    let mut all: Vec<String> = of
        .iter()
        .flat_map(|(topic, partition, offsets)| {
            offsets
                .clone()
                .map(move |o| format!("{topic}-{partition}@{o}"))
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_list_of_topics_is_one_source_whose_records_say_where_they_come_from() {
    let cluster = two_topics().await;
    let read = read(Topics::list(["b", "a"]), &config(&cluster))
        .await
        .unwrap();
    assert_eq!(
        read,
        places(&[
            ("a", 0, 0..4),
            ("a", 1, 0..4),
            ("b", 0, 0..5),
            ("b", 1, 0..4)
        ])
    );
    assert_eq!(cluster.committed_offset("app", "b", 0), Some(5));
    assert_eq!(cluster.committed_offset("app", "a", 1), Some(4));
}

#[tokio::test]
async fn partitions_that_are_named_are_read_and_no_others() {
    let cluster = two_topics().await;
    let topics = Topics::list(["a", "b"]).partitions([1]);
    let read = read(topics, &config(&cluster)).await.unwrap();
    assert_eq!(read, places(&[("a", 1, 0..4), ("b", 1, 0..4)]));
    assert_eq!(cluster.committed_offset("app", "a", 0), None);
}

#[tokio::test]
async fn every_start_is_taken_where_nothing_is_committed() {
    let given = vec![("a".to_owned(), 0, 3), ("b".to_owned(), 0, 4)];
    let everything = [
        ("a", 0, 0..4),
        ("a", 1, 0..4),
        ("b", 0, 0..5),
        ("b", 1, 0..4),
    ];
    let cases = [
        (OffsetSpec::Committed, places(&everything)),
        (OffsetSpec::Earliest, places(&everything)),
        (OffsetSpec::Latest, Vec::new()),
        (
            OffsetSpec::Timestamp(2500),
            places(&[
                ("a", 0, 2..4),
                ("a", 1, 2..4),
                ("b", 0, 2..5),
                ("b", 1, 2..4),
            ]),
        ),
        // Only b-0 has a record as young as that; the others begin behind their last.
        (OffsetSpec::Timestamp(4500), places(&[("b", 0, 4..5)])),
        (
            OffsetSpec::Offsets(given),
            places(&[
                ("a", 0, 3..4),
                ("a", 1, 0..4),
                ("b", 0, 4..5),
                ("b", 1, 0..4),
            ]),
        ),
    ];
    for (start, expected) in cases {
        let cluster = two_topics().await;
        let topics = Topics::list(["a", "b"]).start(start.clone());
        let read = read(topics, &config(&cluster)).await.unwrap();
        assert_eq!(read, expected, "{start:?}");
        assert_eq!(
            cluster.committed_offset("app", "a", 0),
            Some(4),
            "{start:?}"
        );
    }
}

#[tokio::test]
async fn a_committed_position_goes_before_every_start() {
    for start in [
        OffsetSpec::Earliest,
        OffsetSpec::Latest,
        OffsetSpec::Timestamp(0),
        OffsetSpec::Offsets(vec![("a".to_owned(), 0, 1)]),
    ] {
        let cluster = two_topics().await;
        read(Topics::list(["a"]), &config(&cluster)).await.unwrap();
        append_at(&cluster, "a", 0, &[6000]);
        let topics = Topics::list(["a"]).start(start);
        let again = read(topics, &config(&cluster)).await;
        assert_eq!(again.unwrap(), ["a-0@4"]);
    }
}

#[tokio::test]
async fn auto_offset_reset_says_where_a_group_without_positions_begins() {
    let cluster = two_topics().await;
    let mut config = config(&cluster);
    config.set("auto.offset.reset", "latest").unwrap();
    assert!(read(Topics::list(["a"]), &config).await.unwrap().is_empty());
    let cluster = two_topics().await;
    config = super::config(&cluster);
    config.set("auto.offset.reset", "none").unwrap();
    let error = read(Topics::list(["a"]), &config).await.unwrap_err();
    assert!(error.to_string().contains("auto.offset.reset"), "{error}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_millis() as i64;
    let hours = |n: i64| now - n * 3_600_000;
    append_at(&cluster, "a", 1, &[hours(5), hours(2), hours(1)]);
    config.set("auto.offset.reset", "by_duration:PT3H").unwrap();
    let of_three_hours = read(Topics::list(["a"]), &config).await.unwrap();
    assert_eq!(of_three_hours, places(&[("a", 1, 5..7)]));
}

#[tokio::test]
async fn every_end_bounds_the_run_without_until_end() {
    let given = vec![("a".to_owned(), 0, 1)];
    for (until, expected) in [
        (
            OffsetSpec::Latest,
            places(&[("a", 0, 0..4), ("a", 1, 0..4)]),
        ),
        (
            OffsetSpec::Timestamp(2500),
            places(&[("a", 0, 0..2), ("a", 1, 0..2)]),
        ),
        (
            OffsetSpec::Timestamp(9000),
            places(&[("a", 0, 0..4), ("a", 1, 0..4)]),
        ),
        (
            OffsetSpec::Offsets(given),
            places(&[("a", 0, 0..1), ("a", 1, 0..4)]),
        ),
    ] {
        let cluster = two_topics().await;
        let topics = Topics::list(["a"]).until(until.clone());
        let config = config(&cluster).until_end(false);
        let read = read(topics, &config).await.unwrap();
        // A plan without time may read on to the end of what was fetched; nothing before the end is missing.
        for place in &expected {
            assert!(
                read.contains(place),
                "{until:?}: {place} is missing in {read:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_pattern_reads_what_matches_and_finds_topics_that_are_made_later() {
    let cluster = Cluster::builder()
        .topic("sensor-1", 2)
        .topic("my-sensor-1", 1)
        .start()
        .await
        .unwrap();
    append_at(&cluster, "sensor-1", 1, &[1000]);
    append_at(&cluster, "my-sensor-1", 0, &[1000]);
    let mut config = config(&cluster).until_end(false);
    config.set("metadata.max.age.ms", "20").unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&seen);
    // Latest is for what was there at the start: of a topic that is found later nothing is passed over.
    let topics = Topics::pattern("sensor-.*").start(OffsetSpec::Timestamp(1));
    let plan = move |s: Scope<'_>| {
        s.source(&topics)
            .record()
            .for_each(|r| to.lock().unwrap().push(format!("{}@{}", r.topic, r.offset)));
    };
    let script = async {
        let wait_for = |n: usize| {
            let seen = Arc::clone(&seen);
            until(move || seen.lock().unwrap().len() >= n)
        };
        wait_for(1).await;
        cluster.create_topic("sensor-2", 1).unwrap();
        append_at(&cluster, "sensor-2", 0, &[1000, 2000]);
        wait_for(3).await;
        // And partitions that are added to a topic.
        cluster.add_partitions("sensor-2", 3).unwrap();
        append_at(&cluster, "sensor-2", 2, &[3000]);
        wait_for(4).await;
    };
    run_until(plan, &config, script).await.unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(
        seen,
        ["sensor-1@0", "sensor-2@0", "sensor-2@0", "sensor-2@1"]
    );
    assert_eq!(cluster.committed_offset("app", "sensor-2", 0), Some(2));
    assert_eq!(cluster.committed_offset("app", "sensor-2", 2), Some(1));
    assert_eq!(cluster.committed_offset("app", "my-sensor-1", 0), None);
}

#[tokio::test]
async fn a_topic_that_is_found_while_latest_was_asked_for_is_read_from_its_first_record() {
    let cluster = Cluster::builder()
        .topic("sensor-1", 1)
        .start()
        .await
        .unwrap();
    append_at(&cluster, "sensor-1", 0, &[1000]);
    let mut config = config(&cluster).until_end(false);
    config.set("metadata.max.age.ms", "20").unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&seen);
    let topics = Topics::pattern("sensor-.*").start(OffsetSpec::Latest);
    let plan = move |s: Scope<'_>| {
        s.source(&topics)
            .record()
            .for_each(|r| to.lock().unwrap().push(format!("{}@{}", r.topic, r.offset)));
    };
    let script = async {
        until(|| cluster.committed_offset("app", "sensor-1", 0).is_some()).await;
        cluster.create_topic("sensor-2", 1).unwrap();
        append_at(&cluster, "sensor-2", 0, &[1000]);
        until(|| !seen.lock().unwrap().is_empty()).await;
    };
    run_until(plan, &config, script).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["sensor-2@0"]);
}

#[tokio::test]
async fn given_offsets_may_be_the_ends_of_a_partition_or_of_topics_to_come() {
    let cluster = two_topics().await;
    let of = |topic: &str, offset| (topic.to_owned(), 0, offset);
    for (offset, count) in [(0, 4), (3, 1), (4, 0)] {
        for topics in [Topics::list(["a"]), Topics::pattern("a|later")] {
            let mut given = vec![of("a", offset)];
            if topics == Topics::pattern("a|later") {
                given.push(of("later", 7));
            }
            let mut config = config(&cluster);
            config.application_id = Some(format!("app-{offset}-{}", given.len()));
            let topics = topics.partitions([0]).start(OffsetSpec::Offsets(given));
            assert_eq!(
                read(topics, &config).await.unwrap().len(),
                count,
                "from {offset}"
            );
        }
    }
}

/// The text of the error that a source ends with.
async fn refused(topics: Topics, config: &Config) -> String {
    read(topics, config).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_cannot_be_read_is_one_clear_line() {
    let cluster = two_topics().await;
    let config = config(&cluster);
    let list = || Topics::list(["a"]);
    let ahead = 1000 * 1_700_000_000_000;
    for (topics, parts) in [
        (
            Topics::pattern("nothing-.*"),
            ["no topic matches the pattern", "nothing-.*"],
        ),
        (Topics::pattern("("), ["`(`", "no regular expression"]),
        (
            list().partitions([0, 2]),
            ["topic a has 2 partitions", "no partition 2"],
        ),
        (
            list().start(OffsetSpec::Offsets(vec![("a".to_owned(), 0, 9)])),
            ["start of a-0: offset 9 is out of range", "0 to 4"],
        ),
        (
            list().start(OffsetSpec::Offsets(vec![("b".to_owned(), 0, 1)])),
            ["b-0", "not read by this source"],
        ),
        (
            list().start(OffsetSpec::Timestamp(ahead)),
            ["lies ahead of the clock", "milliseconds since 1970"],
        ),
        (
            list().until(OffsetSpec::Committed),
            ["until of a-0", "no committed position"],
        ),
    ] {
        let error = refused(topics, &config).await;
        for part in parts {
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }
    let twice = |s: Scope<'_>| {
        let a = s.source("a").bytes();
        a.union(s.source(Topics::list(["a", "b"])).bytes())
            .map(|v| ((), v))
            .sink("out");
    };
    let error = run(twice, &config).await.unwrap_err().to_string();
    assert!(error.contains("topic a is read by two sources"), "{error}");
    let circle = |s: Scope<'_>| s.source(Topics::pattern("o.*")).record().sink("other");
    let error = run(circle, &config).await.unwrap_err().to_string();
    assert!(
        error.contains("matches topic other, which this application writes"),
        "{error}"
    );
}
