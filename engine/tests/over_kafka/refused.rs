//! What topics do not take: results and dead letters that are too large, of a wrong time, for topics that there cannot be. A policy
//! leaves out these alone, whatever else is in their batches, and a run without one ends.

use engine::flow::OnBad;
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock::Record;
use kafka_proto::records::{BatchBuilder, Compression, Stamp};

use super::*;

fn header(record: &Record, name: &str) -> Option<String> {
    let mut headers = record.headers.iter();
    let found = headers.find(|header| header.0 == name)?;
    found
        .1
        .as_ref()
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

fn all(cluster: &Cluster, topic: &str) -> Vec<Record> {
    let partitions = 0..cluster.partition_count(topic);
    partitions
        .flat_map(|p| cluster.records(topic, p).unwrap())
        .collect()
}

fn values(records: &[Record]) -> Vec<String> {
    let text =
        |record: &Record| String::from_utf8_lossy(record.value.as_ref().unwrap()).into_owned();
    records.iter().map(text).collect()
}

/// Records without keys that were given one by one, a batch each.
fn feed<'a>(cluster: &Cluster, partition: i32, lines: impl IntoIterator<Item = &'a str>) {
    for line in lines {
        cluster
            .append("lines", partition, [(None, Some(line.as_bytes()))])
            .unwrap();
    }
}

fn config_with(cluster: &Cluster, settings: &[(&str, &str)]) -> Config {
    let mut config = config(cluster);
    for (name, value) in settings {
        config.set(name, value).unwrap();
    }
    config
}

#[tokio::test]
async fn a_result_that_is_too_large_for_its_topic_becomes_a_dead_letter_and_the_others_stay_in_order()
 {
    for workers in ["1", "2", "4"] {
        let cluster = Cluster::builder()
            .topic("lines", 4)
            .topic_with("out", 4, &[("max.message.bytes", "2000")])
            .start()
            .await
            .unwrap();
        let line = |n: usize| match n % 50 {
            7 => format!("{n} {}", "x".repeat(3000)),
            _ => format!("{n} of many"),
        };
        let lines: Vec<String> = (0..400).map(line).collect();
        for (n, line) in lines.iter().enumerate() {
            feed(&cluster, (n % 4) as i32, [line.as_str()]);
        }
        let plan = |s: Scope<'_>| {
            // Without the policy whole batches would be relayed.
            let lines = s.source("lines").record();
            lines.then_dead_letters("bad").sink("out");
        };
        let config = config_with(&cluster, &[("num.stream.threads", workers)]);
        let snapshot = run(plan, &config).await.unwrap();
        for partition in 0..4 {
            let mine = lines.iter().skip(partition).step_by(4);
            let fits: Vec<_> = mine.filter(|l| l.len() < 1000).cloned().collect();
            let out = cluster.records("out", partition as i32).unwrap();
            assert_eq!(
                values(&out),
                fits,
                "{workers} workers, partition {partition}"
            );
        }
        let letters = all(&cluster, "bad");
        assert_eq!(letters.len(), 8, "{workers} workers");
        for letter in &letters {
            assert_eq!(header(letter, "__errors.sink").as_deref(), Some("out"));
            assert_eq!(
                header(letter, "__errors.operator").as_deref(),
                Some("sink-1")
            );
            let message = header(letter, "__errors.message").unwrap();
            assert!(message.contains("max.message.bytes"), "{message}");
            assert_eq!(header(letter, "__errors.truncated"), None);
        }
        assert_eq!(
            (snapshot.records_skipped, snapshot.dead_letters_lost),
            (8, 0)
        );
        assert_eq!(committed(&cluster), [Some(100); 4]);
    }
}

#[tokio::test]
async fn without_a_policy_a_result_that_is_too_large_ends_the_run_and_says_so() {
    let cluster = Cluster::builder()
        .topic("lines", 1)
        .topic_with("out", 1, &[("max.message.bytes", "2000")])
        .start()
        .await
        .unwrap();
    let long = "x".repeat(3000);
    feed(&cluster, 0, ["a", long.as_str(), "b"]);
    let plan = |s: Scope<'_>| s.source("lines").utf8().map(|l| ((), l)).sink("out");
    let error = run(plan, &config(&cluster)).await.unwrap_err().to_string();
    assert!(
        error.contains("out-0") && error.contains("MESSAGE_TOO_LARGE"),
        "{error}"
    );
    // Where it begins may be committed: the first barrier may come before the first record.
    let committed = cluster.committed_offset("app", "lines", 0);
    assert!(committed.is_none_or(|at| at == 0), "{committed:?}");
}

#[tokio::test]
async fn a_bad_record_near_the_largest_request_is_cut_and_does_not_end_the_run() {
    for codec in ["none", "lz4"] {
        let cluster = Cluster::builder().topic("lines", 1).start().await.unwrap();
        // Bytes that do not shrink, so that compression is of no help.
        let mut random = 1u32;
        let noise = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8 | 0x80
        };
        let bad: Vec<u8> = std::iter::repeat_with(noise).take(1_048_400).collect();
        let trace = [("trace", Some(&b"abc"[..]))];
        let mut builder = BatchBuilder::new(Compression::NONE, 1 << 20);
        builder.append(7, Some(b"key"), Some(&bad), &trace).unwrap();
        let batch = builder.finish(Stamp::NONE).unwrap();
        cluster.append_raw("lines", 0, &batch).unwrap();
        feed(&cluster, 0, ["fine"]);
        let plan = |s: Scope<'_>| {
            s.source("lines")
                .dead_letters("bad")
                .utf8()
                .map(|l| ((), l))
                .sink("out");
        };
        let config = config_with(&cluster, &[("compression.type", codec)]);
        let snapshot = run(plan, &config).await.unwrap();
        assert_eq!(values(&all(&cluster, "out")), ["fine"]);
        let letters = all(&cluster, "bad");
        let [letter] = &letters[..] else {
            panic!("{} letters", letters.len())
        };
        assert_eq!(
            (letter.key.as_deref(), letter.timestamp),
            (Some(&b"key"[..]), 7)
        );
        let value = letter.value.as_deref().unwrap();
        assert!(
            value.len() > 1_000_000 && bad.starts_with(value),
            "{codec}: {}",
            value.len()
        );
        let is = |name: &str| header(letter, name);
        assert_eq!(is("trace").as_deref(), Some("abc"));
        assert_eq!(is("__errors.truncated").as_deref(), Some("1048400"));
        assert_eq!(is("__errors.topic").as_deref(), Some("lines"));
        assert_eq!(is("__errors.offset").as_deref(), Some("0"));
        assert_eq!(
            (snapshot.records_skipped, snapshot.dead_letters_lost),
            (1, 0)
        );
    }
}

#[tokio::test]
async fn a_dead_letter_is_cut_to_what_its_topic_takes_and_one_that_it_does_not_take_at_all_is_counted()
 {
    for (limit, kept) in [("4000", true), ("100", false)] {
        let cluster = Cluster::builder()
            .topic("lines", 1)
            .topic_with("bad", 1, &[("max.message.bytes", limit)])
            .start()
            .await
            .unwrap();
        let long = format!("no number: {}", "x".repeat(10_000));
        feed(&cluster, 0, ["1", long.as_str(), "2"]);
        let plan = |s: Scope<'_>| {
            s.source("lines")
                .utf8()
                .try_map(|l| {
                    l.parse::<u64>()
                        .map_err(|e| format!("{l} is no number: {e}"))
                })
                .dead_letters("bad")
                .map(|n| ((), n.to_string()))
                .sink("out");
        };
        let snapshot = run(plan, &config(&cluster)).await.unwrap();
        assert_eq!(values(&all(&cluster, "out")), ["1", "2"]);
        let letters = all(&cluster, "bad");
        assert_eq!(letters.len(), usize::from(kept), "{limit}");
        if let Some(letter) = letters.first() {
            let value = letter.value.as_deref().unwrap();
            assert!((1000..4000).contains(&value.len()) && long.as_bytes().starts_with(value));
            assert_eq!(
                header(letter, "__errors.truncated"),
                Some(long.len().to_string())
            );
        }
        assert_eq!(snapshot.records_skipped, 1);
        assert_eq!(snapshot.dead_letters_lost, u64::from(!kept), "{limit}");
    }
}

#[tokio::test]
async fn of_a_batch_that_brokers_refuse_only_the_records_that_are_refused_alone_are_left_out() {
    for code in [ErrorCode::INVALID_TIMESTAMP, ErrorCode::INVALID_RECORD] {
        let cluster = Cluster::builder()
            .topic("lines", 1)
            .topic("out", 1)
            .start()
            .await
            .unwrap();
        let lines: Vec<String> = (0..8).map(|n| n.to_string()).collect();
        let records = lines.iter().map(|l| (Some(&b"k"[..]), Some(l.as_bytes())));
        cluster.append("lines", 0, records).unwrap();
        // The batch of eight, its first half, the first half of that, and the first record.
        let refusals = cluster
            .faults()
            .on(ApiKey::PRODUCE)
            .partition("out", 0)
            .times(4)
            .error(code);
        let plan = |s: Scope<'_>| {
            let rows = s.source("lines").utf8().map(|l| ("k", l));
            rows.then_dead_letters("bad").sink("out");
        };
        let snapshot = run(plan, &config(&cluster)).await.unwrap();
        assert_eq!(refusals.hits(), 4);
        assert_eq!(values(&all(&cluster, "out")), lines[1..], "{code}");
        let letters = all(&cluster, "bad");
        assert_eq!(values(&letters), ["0"]);
        assert_eq!(letters[0].key.as_deref(), Some(&b"k"[..]));
        let message = header(&letters[0], "__errors.message").unwrap();
        assert!(message.contains(&code.to_string()), "{message}");
        assert_eq!(snapshot.records_skipped, 1);
        assert_eq!(cluster.committed_offset("app", "lines", 0), Some(8));
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_is_not_overtaken_by_the_next_one_of_its_partition() {
    let cluster = Cluster::builder()
        .topic("lines", 1)
        .topic("out", 1)
        .start()
        .await
        .unwrap();
    let lines: Vec<String> = (0..100).map(|n| format!("line {n} of a hundred")).collect();
    let records = lines.iter().map(|l| (Some(&b"k"[..]), Some(l.as_bytes())));
    cluster.append("lines", 0, records).unwrap();
    // The first batch is refused once: its halves are taken.
    let refusals = cluster
        .faults()
        .on(ApiKey::PRODUCE)
        .partition("out", 0)
        .error(ErrorCode::INVALID_RECORD);
    let plan = |s: Scope<'_>| {
        let rows = s.source("lines").utf8().map(|l| ("k", l));
        rows.then_on_bad(OnBad::Skip).sink("out");
    };
    let config = config_with(&cluster, &[("batch.size", "300")]);
    let snapshot = run(plan, &config).await.unwrap();
    assert_eq!(refusals.hits(), 1);
    assert_eq!(values(&all(&cluster, "out")), lines);
    assert_eq!(snapshot.records_skipped, 0);
}

#[tokio::test]
async fn what_is_not_about_the_rows_ends_the_run_whatever_the_policy_is() {
    let cluster = Cluster::builder()
        .topic("lines", 1)
        .topic("out", 1)
        .start()
        .await
        .unwrap();
    feed(&cluster, 0, ["a"]);
    let faults = cluster.faults();
    faults
        .on(ApiKey::PRODUCE)
        .partition("out", 0)
        .error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let plan = |s: Scope<'_>| {
        s.on_bad(OnBad::Skip)
            .source("lines")
            .utf8()
            .map(|l| ((), l))
            .sink("out")
    };
    let error = run(plan, &config(&cluster)).await.unwrap_err().to_string();
    assert!(error.contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
    // Where it begins may be committed: the first barrier may come before the first record.
    let committed = cluster.committed_offset("app", "lines", 0);
    assert!(committed.is_none_or(|at| at == 0), "{committed:?}");
}

#[tokio::test]
async fn rows_for_topics_that_cannot_be_opened_are_for_the_policy_and_the_others_go_on() {
    for workers in ["1", "2", "4"] {
        let cluster = Cluster::builder()
            .topic("lines", 4)
            .topic("fine", 2)
            .topic("bad", 1)
            .no_auto_create_topics()
            .start()
            .await
            .unwrap();
        for partition in 0..4 {
            feed(
                &cluster,
                partition,
                ["fine", "missing", "lines", "no topic", "fine", "missing"],
            );
        }
        let plan = |s: Scope<'_>| {
            let rows = s.source("lines").utf8().map(|l| (l, l));
            rows.then_dead_letters("bad").sink_by(|(name, _)| *name);
        };
        let config = config_with(&cluster, &[("num.stream.threads", workers)]);
        let snapshot = run(plan, &config).await.unwrap();
        assert_eq!(all(&cluster, "fine").len(), 8);
        let letters = all(&cluster, "bad");
        let mut found = values(&letters);
        found.sort();
        let mut wanted = ["lines", "missing", "missing", "no topic"].repeat(4);
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{workers} workers");
        assert_eq!(snapshot.records_skipped, 16);
        assert_eq!(committed(&cluster), [Some(6); 4]);
    }
}

#[tokio::test]
async fn rows_without_a_key_are_spread_over_partitions_although_no_batch_is_ever_full() {
    for workers in ["1", "2", "4"] {
        let cluster = Cluster::builder()
            .topic("lines", 4)
            .topic("out", 5)
            .start()
            .await
            .unwrap();
        let inspector = Inspector::new();
        let plan = |s: Scope<'_>| {
            let lines = s.source("lines").utf8();
            lines.map(|l| ((), l)).sink("out");
        };
        let app = App::new("app", plan).unwrap();
        let mut config = config_with(&cluster, &[("num.stream.threads", workers)]);
        config = config.until_end(false);
        let run = app.run_until(
            &config,
            async {
                // One row, and the next when it is there: each goes with a commit of its own, or the flush before one.
                for n in 0..20 {
                    feed(&cluster, n % 4, ["row"]);
                    until(|| all(&cluster, "out").len() > n as usize).await;
                }
            },
            &inspector,
        );
        tokio::time::timeout(GUARD, run)
            .await
            .expect("the run hangs")
            .unwrap();
        for partition in 0..5 {
            let rows = cluster.records("out", partition).unwrap().len();
            assert!(
                (1..=8).contains(&rows),
                "{workers} workers: {rows} in {partition}"
            );
        }
    }
}

#[tokio::test]
async fn rows_for_topics_that_brokers_do_not_let_be_made_or_written_are_for_the_policy() {
    let refusals = [
        (ApiKey::CREATE_TOPICS, ErrorCode::INVALID_TOPIC_EXCEPTION),
        (ApiKey::CREATE_TOPICS, ErrorCode::POLICY_VIOLATION),
        (ApiKey::CREATE_TOPICS, ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        (ApiKey::METADATA, ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        (ApiKey::PRODUCE, ErrorCode::TOPIC_AUTHORIZATION_FAILED),
    ];
    for (api, code) in refusals {
        let cluster = Cluster::builder()
            .topic("lines", 1)
            .topic("bad", 1)
            .start()
            .await
            .unwrap();
        let lines = ["fine", "not.ours", "not.ours", "fine", "not.ours", "fine"];
        feed(&cluster, 0, lines);
        let faults = cluster.faults();
        let refusal = faults.on(api).topic("not.ours").always().error(code);
        let plan = |s: Scope<'_>| {
            let rows = s.source("lines").utf8().map(|l| (l, l));
            rows.then_dead_letters("bad").sink_by(|(name, _)| *name);
        };
        let snapshot = run(plan, &config(&cluster)).await.unwrap();
        assert!(refusal.hits() > 0, "{api:?} {code}");
        assert_eq!(all(&cluster, "fine").len(), 3, "{api:?} {code}");
        assert_eq!(
            values(&all(&cluster, "bad")),
            ["not.ours"; 3],
            "{api:?} {code}"
        );
        assert_eq!(snapshot.records_skipped, 3, "{api:?} {code}");
        assert_eq!(committed(&cluster), [Some(6)], "{api:?} {code}");
        // By default the run ends, and says why.
        let plan = |s: Scope<'_>| {
            let rows = s.source("lines").utf8().map(|l| (l, l));
            rows.sink_by(|(name, _)| *name);
        };
        let other = config_with(&cluster, &[("application.id", "other")]);
        let error = run(plan, &other).await.unwrap_err().to_string();
        assert!(error.contains("not.ours"), "{error}");
    }
}
