//! What is written: dead letters, topics that rows name, tombstones.

use kafka_proto::client::ProducerRecord;

use super::*;

#[tokio::test]
async fn dead_letters_carry_the_record_and_where_it_came_from_and_why() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "letters").await;
    job.create("rows", 2);
    job.write("rows", 1, &[(10, "1"), (20, "2")]).await;
    let bad = ProducerRecord {
        timestamp: Some(30),
        key: Some(b"key"),
        value: Some(b"three"),
        headers: &[("trace", Some(b"abc"))],
        ..ProducerRecord::default()
    };
    job.send("rows", 1, bad).await;
    let no_text = ProducerRecord {
        timestamp: Some(40),
        value: Some(&[0xff, 0xfe]),
        ..ProducerRecord::default()
    };
    job.send("rows", 0, no_text).await;
    let [input, output, letters] = ["rows", "out", "bad"].map(|what| job.topic(what));
    let plan = move |s: Scope<'_>| {
        s.source(&*input)
            .utf8()
            .dead_letters(&letters)
            .try_map(str::parse::<u64>)
            .dead_letters(&letters)
            .map(|n| ((), n))
            .sink(&*output);
    };
    let seen = run(plan, &job.config()).await.unwrap();
    assert_eq!((seen.records_in, seen.records_skipped), (4, 2));
    let good: u64 = job.read("out").await.iter().map(broker::Read::number).sum();
    assert_eq!(good, 3);
    let letters = job.read("bad").await;
    assert_eq!(letters.len(), 2);
    for (value, key, timestamp, partition, offset) in [
        (&b"three"[..], Some(&b"key"[..]), 30, "1", "2"),
        (&[0xff, 0xfe], None, 40, "0", "0"),
    ] {
        let is_it = |l: &&broker::Read| l.value.as_deref() == Some(value);
        let letter = letters.iter().find(is_it).unwrap();
        assert_eq!(letter.key.as_deref(), key);
        assert_eq!(letter.timestamp, timestamp);
        let header = |what: &str| letter.headers[&format!("__errors.{what}")].clone();
        assert_eq!(header("topic"), job.topic("rows"));
        assert_eq!(
            (&*header("partition"), &*header("offset")),
            (partition, offset)
        );
        assert!(!header("message").is_empty());
        let own = letter.headers.get("trace").map(String::as_str);
        assert_eq!(own, key.and(Some("abc")), "its own headers stay");
    }
    assert_eq!(
        job.committed("rows").await,
        BTreeMap::from([(0, 1), (1, 3)])
    );
}

#[tokio::test]
async fn rows_name_their_topics_which_are_created_as_wide_as_the_input() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "by-topic").await;
    job.create("rows", 3);
    job.create("of-0", 2);
    for partition in 0..3i64 {
        let values: Vec<_> = (0..100)
            .map(|n| (0, format!("{}", n * 3 + partition)))
            .collect();
        job.write("rows", partition as i32, &values).await;
    }
    let (input, prefix) = (job.topic("rows"), job.topic("of-"));
    let plan = move |s: Scope<'_>| {
        let prefix = &prefix;
        s.source(&*input)
            .utf8()
            .try_map(str::parse::<u64>)
            .map(|n| (n, n))
            .sink_by(move |(n, _)| &*s.scratch().alloc_str(&format!("{prefix}{}", n % 5)));
    };
    let seen = run(plan, &job.config()).await.unwrap();
    assert_eq!(seen.records_out, 300);
    for of in 0..5 {
        let what = format!("of-{of}");
        let width = if of == 0 { 2 } else { 3 };
        assert_eq!(job.partitions(&what).await, width, "{what}");
        let mut found: Vec<_> = job
            .read(&what)
            .await
            .iter()
            .map(broker::Read::number)
            .collect();
        found.sort_unstable();
        let truth: Vec<u64> = (0..300).filter(|n| n % 5 == of).collect();
        assert_eq!(found, truth, "{what}: none is lost or doubled");
    }
}

/// Keys come and go; what is left in a compacted output is the table of those that are there.
#[tokio::test]
async fn tombstones_take_keys_out_of_a_compacted_output() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "upserts").await;
    job.create("rows", 1);
    job.create_compacted("table", 2);
    let mut table = BTreeMap::new();
    let mut rows = Vec::new();
    for n in 0..500u64 {
        let key = n * n % 23;
        if n % 3 == 0 {
            table.remove(&key);
            rows.push((0, format!("{key}=")));
        } else {
            table.insert(key, n);
            rows.push((0, format!("{key}={n}")));
        }
    }
    job.write("rows", 0, &rows).await;
    let (input, output) = (job.topic("rows"), job.topic("table"));
    let plan = move |s: Scope<'_>| {
        s.source(&*input)
            .utf8()
            .map(|line| line.split_once('=').unwrap_or((line, "")))
            .map(|(key, value)| (key, Some(value).filter(|v| !v.is_empty())))
            .sink(&*output);
    };
    run(plan, &job.config()).await.unwrap();
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    let mut tombstones = 0;
    for record in job.read("table").await {
        let key = record.key_text().parse().unwrap();
        if record.value.is_some() {
            found.insert(key, record.text().parse().unwrap());
        } else {
            tombstones += 1;
            found.remove(&key);
        }
    }
    assert_eq!((found, tombstones), (table, 167));
}

#[tokio::test]
async fn a_record_that_a_compacted_topic_cannot_take_ends_the_run_with_its_name() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "keyless").await;
    job.create("rows", 1);
    job.create_compacted("table", 1);
    job.write("rows", 0, &[(0, "no key")]).await;
    let (input, output) = (job.topic("rows"), job.topic("table"));
    let plan = move |s: Scope<'_>| s.source(&*input).utf8().map(|l| ((), l)).sink(&*output);
    let error = run(plan, &job.config()).await.unwrap_err().to_string();
    assert!(error.contains("keyless-table"), "{error}");
    assert_ne!(job.committed("rows").await.get(&0), Some(&1), "{error}");
}
