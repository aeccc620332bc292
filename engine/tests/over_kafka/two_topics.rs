//! Event time over a source of several topics, at default settings: windows close while all of them flow, and no row is lost or late.

use engine::connectors::{Collected, Topics};
use engine::time::Watermarks;
use engine::windows::Tumbling;

use super::*;

/// Three partitions in two topics: two of them have the same number.
const PARTITIONS: [(&str, i32); 3] = [("a", 0), ("a", 1), ("b", 0)];

async fn cluster() -> Cluster {
    let topics = Cluster::builder().topic("a", 2).topic("b", 1);
    topics.start().await.unwrap()
}

/// Everything as users have it, but the name and the number of workers.
fn defaults(cluster: &Cluster, workers: usize) -> Config {
    let properties = [
        ("bootstrap.servers", cluster.bootstrap_servers()),
        ("application.id", "app".to_owned()),
        ("num.stream.threads", workers.to_string()),
    ];
    Config::from_properties(properties).unwrap()
}

/// A row of the given millisecond in each partition.
fn append_rows(cluster: &Cluster, partitions: &[(&str, i32)], ms: i64) {
    let text = ms.to_string();
    for (topic, partition) in partitions {
        let row = [(None, Some(text.as_bytes()))];
        cluster.append(topic, *partition, row).unwrap();
    }
}

/// Counts of a second, whatever the partition.
fn counting(
    topics: Topics,
    watermarks: Watermarks,
    in_order: bool,
    out: &Collected,
) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let out = out.clone();
    move |s| {
        let rows = s
            .source(&topics)
            .utf8()
            .try_map(str::parse::<i64>)
            .with_timestamps(|t| *t, watermarks)
            .key_by(|t| t % 7);
        if in_order {
            rows.in_order()
                .window(Tumbling::of(Duration::from_secs(1)))
                .count()
                .map(|(_, window, n)| (window.start.to_string(), n))
                .sink(&out);
        } else {
            rows.window(Tumbling::of(Duration::from_secs(1)))
                .count()
                .map(|(_, window, n)| (window.start.to_string(), n))
                .sink(&out);
        }
    }
}

/// The rows of each window, over all keys.
fn add_counts(out: &Collected, counts: &mut BTreeMap<i64, u64>) {
    for record in out.take() {
        let start = record.key_str().unwrap().parse().unwrap();
        *counts.entry(start).or_default() += record.value_u64().unwrap();
    }
}

fn shapes() -> [Topics; 2] {
    [Topics::list(["b", "a"]), Topics::pattern("a|b")]
}

/// Each second's window closes by the rows of the next second, while rows come from all partitions, so that none is ever idle.
async fn windows_close_while_all_flow(workers: usize, watermarks: Watermarks, in_order: bool) {
    for topics in shapes() {
        let cluster = cluster().await;
        let out = Collected::new();
        let (mut counts, mut truth) = (BTreeMap::new(), BTreeMap::new());
        let script = async {
            for second in 0..6 {
                for tenth in 0..10 {
                    append_rows(&cluster, &PARTITIONS, second * 1000 + tenth * 100);
                }
                truth.insert(second * 1000, 30);
                let before = (second - 1) * 1000;
                while counts.get(&before) != truth.get(&before) {
                    append_rows(&cluster, &PARTITIONS, second * 1000 + 999);
                    *truth.entry(second * 1000).or_default() += 3;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    add_counts(&out, &mut counts);
                }
            }
        };
        let plan = counting(topics.clone(), watermarks, in_order, &out);
        let snapshot = run_until(plan, &defaults(&cluster, workers), script).await;
        assert_eq!(snapshot.unwrap().rows_late, 0);
        truth.pop_last();
        assert_eq!(counts, truth, "{topics:?}, {workers} workers");
    }
}

#[tokio::test]
async fn windows_close_while_two_topics_of_one_source_flow() {
    for workers in [1, 2, 4] {
        let watermarks = Watermarks::bounded(Duration::ZERO);
        windows_close_while_all_flow(workers, watermarks, false).await;
    }
}

#[tokio::test]
async fn rows_of_two_topics_in_order_are_all_there() {
    for workers in [1, 2, 4] {
        let watermarks = Watermarks::bounded(Duration::ZERO);
        windows_close_while_all_flow(workers, watermarks, true).await;
    }
}

#[tokio::test]
async fn aligned_topics_of_one_source_wait_for_each_other_and_lose_nothing() {
    for workers in [1, 2, 4] {
        for topics in shapes() {
            let cluster = cluster().await;
            // One topic begins where the others end, so that alignment has to hold it.
            for n in 0..200 {
                append_rows(&cluster, &PARTITIONS[..2], n * 100);
            }
            for n in 0..200 {
                append_rows(&cluster, &PARTITIONS[2..], 20_000 + n * 100);
            }
            let out = Collected::new();
            let watermarks = Watermarks::bounded(Duration::ZERO);
            let watermarks = watermarks.aligned("all", Duration::from_secs(1));
            let plan = counting(topics.clone(), watermarks, false, &out);
            let config = defaults(&cluster, workers).until_end(true);
            let snapshot = run(plan, &config).await.unwrap();
            assert_eq!(
                (snapshot.records_in, snapshot.rows_late),
                (600, 0),
                "{topics:?}, {workers} workers"
            );
            let mut counts = BTreeMap::new();
            add_counts(&out, &mut counts);
            let rows = |second: i64| if second < 20 { 20 } else { 10 };
            let want: BTreeMap<i64, u64> = (0..40).map(|s| (s * 1000, rows(s))).collect();
            assert_eq!(counts, want, "{topics:?}, {workers} workers");
        }
    }
}

/// One partition has a single old row and then nothing, the others flow: windows close, and with alignment, too.
async fn windows_close_although_one_is_idle(workers: usize, watermarks: Watermarks) {
    for topics in shapes() {
        let cluster = cluster().await;
        let out = Collected::new();
        let script = async {
            append_rows(&cluster, &PARTITIONS[2..], 0);
            let mut ms = 0;
            while out.len() < 20 {
                append_rows(&cluster, &PARTITIONS[..2], ms);
                ms += 50;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let plan = counting(topics.clone(), watermarks, false, &out);
        let snapshot = run_until(plan, &defaults(&cluster, workers), script).await;
        assert_eq!(
            snapshot.unwrap().rows_late,
            0,
            "{topics:?}, {workers} workers"
        );
    }
}

#[tokio::test]
async fn an_idle_partition_of_another_topic_holds_no_window_up() {
    for workers in [1, 2, 4] {
        let watermarks = Watermarks::bounded(Duration::ZERO);
        windows_close_although_one_is_idle(workers, watermarks).await;
        let aligned = watermarks.aligned("all", Duration::from_secs(1));
        windows_close_although_one_is_idle(workers, aligned).await;
    }
}
