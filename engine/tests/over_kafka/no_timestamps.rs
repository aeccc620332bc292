//! Records without a timestamp, and timestamps in another unit, as workers of a run meet them at default settings.

use engine::connectors::{Collected, OffsetSpec, Topics};
use engine::windows::Tumbling;
use kafka_proto::records::{BatchBuilder, Compression, Stamp};

use super::*;

/// Appends a batch with these timestamps.
fn append(cluster: &Cluster, partition: i32, timestamps: &[i64]) {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for timestamp in timestamps {
        builder.append(*timestamp, None, Some(b"x"), &[]).unwrap();
    }
    let bytes = builder.finish(Stamp::NONE).unwrap();
    cluster.append_raw("lines", partition, &bytes).unwrap();
}

async fn cluster() -> Cluster {
    Cluster::builder().topic("lines", 2).start().await.unwrap()
}

fn config_of(cluster: &Cluster, workers: usize) -> Config {
    let properties = [
        ("bootstrap.servers", cluster.bootstrap_servers()),
        ("application.id", "app".to_owned()),
        ("num.stream.threads", workers.to_string()),
    ];
    Config::from_properties(properties).unwrap().until_end(true)
}

/// Rows of a second, counted.
fn counting(topics: Topics, out: &Collected) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let out = out.clone();
    move |s| {
        s.source(&topics)
            .bytes()
            .key_by(|_| "all")
            .window(Tumbling::of(Duration::from_secs(1)))
            .count()
            .map(|(_, window, n)| (window.start.to_string(), n))
            .sink(&out);
    }
}

fn counts_of(out: &Collected) -> BTreeMap<i64, u64> {
    let count = |r: engine::testing::OutRecord| {
        let start = r.key_str().unwrap().parse().unwrap();
        (start, r.value_u64().unwrap())
    };
    out.take().into_iter().map(count).collect()
}

/// 2023.
const NOW: i64 = 1_700_000_000_000;

#[tokio::test]
async fn records_without_a_timestamp_are_skipped_and_counted_and_make_none_late() {
    for workers in [1, 2, 4] {
        let cluster = cluster().await;
        for n in 0..50 {
            for partition in 0..2 {
                append(&cluster, partition, &[NOW + n * 100, -1]);
                append(&cluster, partition, &[-1]);
            }
        }
        let out = Collected::new();
        let plan = counting(Topics::list(["lines"]), &out);
        let snapshot = run(plan, &config_of(&cluster, workers)).await.unwrap();
        assert_eq!((snapshot.records_skipped, snapshot.rows_late), (200, 0));
        let want = (0..5).map(|second| (NOW + second * 1000, 20)).collect();
        assert_eq!(counts_of(&out), want, "{workers} workers");
        assert_eq!(snapshot.warnings, [""; 0]);
    }
}

#[tokio::test]
async fn timestamps_in_another_unit_are_warned_of_once_by_all_workers_together() {
    for (unit, at) in [
        ("seconds: multiply by 1000", NOW / 1000),
        ("microseconds: divide by 1000", NOW * 1000),
        ("nanoseconds: divide by 1000000", NOW * 1_000_000),
    ] {
        for workers in [1, 2, 4] {
            let cluster = cluster().await;
            for n in 0..10 {
                append(&cluster, 0, &[at + n]);
                append(&cluster, 1, &[at + n]);
            }
            let out = Collected::new();
            let plan = counting(Topics::list(["lines"]), &out);
            let snapshot = run(plan, &config_of(&cluster, workers)).await.unwrap();
            assert_eq!(snapshot.warnings.len(), 1, "{:?}", snapshot.warnings);
            assert!(
                snapshot.warnings[0].ends_with(unit),
                "{:?}",
                snapshot.warnings
            );
        }
    }
}

#[tokio::test]
async fn a_start_before_1970_is_the_first_record_and_not_what_kafka_means_by_negative_times() {
    for start in [-1, -2, -3, -4, i64::MIN] {
        let cluster = cluster().await;
        append(&cluster, 0, &[NOW, NOW + 1]);
        let out = Collected::new();
        let topics = Topics::list(["lines"]).start(OffsetSpec::Timestamp(start));
        run(counting(topics, &out), &config_of(&cluster, 1))
            .await
            .unwrap();
        assert_eq!(counts_of(&out), BTreeMap::from([(NOW, 2)]), "{start}");
    }
}
