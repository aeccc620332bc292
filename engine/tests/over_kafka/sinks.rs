//! What sinks write beside a key and a value: topics by record, headers, timestamps, partitions, tombstones.

use engine::connectors::elements;
use engine::formats::ProducerRecord;

use super::*;

fn text(bytes: Option<impl AsRef<[u8]>>) -> Option<String> {
    bytes.map(|b| String::from_utf8(b.as_ref().to_vec()).unwrap())
}

#[tokio::test]
async fn rows_go_to_the_topics_that_they_name_and_missing_ones_are_created() {
    let (cluster, _) = filled(400).await;
    cluster.create_topic("lines-3", 3).unwrap();
    let plan = |s: Scope<'_>| {
        s.source("lines")
            .record()
            .map(|r| ((r.offset % 4) as i32, r.value))
            .sink_by(|(n, _)| &*s.scratch().alloc_str(&format!("lines-{n}")));
    };
    let snapshot = run(plan, &config(&cluster)).await.unwrap();
    assert_eq!(snapshot.records_out, 400);
    assert_eq!(cluster.partition_count("lines-3"), 3, "it was there");
    assert_eq!(
        cluster.partition_count("lines-1"),
        4,
        "as many as the input"
    );
    for n in 0..4 {
        let topic = format!("lines-{n}");
        let partitions = 0..cluster.partition_count(&topic);
        let found: usize = partitions
            .map(|p| cluster.records(&topic, p).unwrap().len())
            .sum();
        assert_eq!(found, 100, "none of {topic} is lost or doubled");
    }
    assert_eq!(committed(&cluster), [Some(100); 4]);
}

#[tokio::test]
async fn a_row_that_names_the_input_or_a_topic_that_may_not_be_made_ends_the_run() {
    let (cluster, _) = filled(8).await;
    let circle = |s: Scope<'_>| s.source("lines").record().sink_by(|_| "lines");
    let error = run(circle, &config(&cluster))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("topic lines, which this application reads"),
        "{error}"
    );
    let cluster = Cluster::builder()
        .topic("lines", 1)
        .no_auto_create_topics()
        .start()
        .await
        .unwrap();
    cluster
        .append("lines", 0, [(None, Some(&b"a"[..]))])
        .unwrap();
    let plan = |s: Scope<'_>| s.source("lines").record().sink_by(|_| "elsewhere");
    let error = run(plan, &config(&cluster)).await.unwrap_err().to_string();
    assert!(error.contains("topic elsewhere does not exist"), "{error}");
    assert_ne!(cluster.committed_offset("app", "lines", 0), Some(1));
}

#[tokio::test]
async fn headers_timestamps_and_partitions_are_written_as_they_are_given() {
    let cluster = Cluster::builder().topic("out", 3).start().await.unwrap();
    let plan = |s: Scope<'_>| {
        s.source(elements(["a", "b"]))
            .utf8()
            .map(|v| {
                let trace = s
                    .scratch()
                    .alloc_slice_copy(&[("trace", Some(v.as_bytes())), ("trace", None)]);
                ProducerRecord::new(v, v)
                    .headers(trace)
                    .timestamp(77)
                    .partition(2)
            })
            .sink("out");
    };
    run(plan, &config(&cluster)).await.unwrap();
    let records = cluster.records("out", 2).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].timestamp, 77);
    let headers: Vec<_> = records[1]
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value.clone())))
        .collect();
    let trace = || "trace".to_owned();
    assert_eq!(headers, [(trace(), Some("b".to_owned())), (trace(), None)]);
    let plan = |s: Scope<'_>| {
        s.source(elements(["a"]))
            .utf8()
            .map(|v| ProducerRecord::new(v, v).partition(3))
            .sink("out");
    };
    let error = run(plan, &config(&cluster)).await.unwrap_err().to_string();
    assert!(
        error.contains("partition 3") && error.contains("has 3"),
        "{error}"
    );
}

#[tokio::test]
async fn upserts_and_tombstones_are_an_option_of_a_value() {
    let cluster = Cluster::builder().topic("out", 1).start().await.unwrap();
    let plan = |s: Scope<'_>| {
        s.source(elements(["a=1", "b=2", "a="]))
            .utf8()
            .map(|line| line.split_once('=').unwrap_or((line, "")))
            .map(|(key, value)| (key, Some(value).filter(|v| !v.is_empty())))
            .sink("out");
    };
    run(plan, &config(&cluster)).await.unwrap();
    let records = cluster.records("out", 0).unwrap();
    let pairs: Vec<_> = records
        .into_iter()
        .map(|r| (text(r.key).unwrap(), text(r.value)))
        .collect();
    let is = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    assert_eq!(
        pairs,
        [is("a", Some("1")), is("b", Some("2")), is("a", None)]
    );
}

#[tokio::test]
async fn rows_behind_share_wait_for_their_topic_too() {
    let (cluster, _) = filled(40).await;
    let plan = |s: Scope<'_>| {
        let rows = s.source("lines").utf8().share();
        rows.clone().map(|l| ((), l)).sink_by(|_| "left");
        rows.map(|l| ((), l))
            .sink_by(|(_, l)| if l.len() % 2 == 0 { "even" } else { "odd" });
    };
    run(plan, &config(&cluster)).await.unwrap();
    let count = |topic: &str| -> usize {
        let partitions = 0..cluster.partition_count(topic);
        partitions
            .map(|p| cluster.records(topic, p).unwrap().len())
            .sum()
    };
    assert_eq!(count("left"), 40);
    assert_eq!(count("even") + count("odd"), 40);
}
