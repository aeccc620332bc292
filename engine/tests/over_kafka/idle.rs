//! Idle partitions at default settings, under traffic on the others, with one, two and four workers.

use engine::connectors::Collected;
use engine::time::Watermarks;
use engine::windows::Tumbling;

use super::*;

/// Values that are seconds of event time, counted in windows of ten.
fn counting(out: &Collected, watermarks: Watermarks) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let out = out.clone();
    move |s| {
        s.source("lines")
            .utf8()
            .try_map(str::parse::<i64>)
            .with_timestamps(
                |second| if *second < 0 { -1 } else { second * 1000 },
                watermarks,
            )
            .key_by(|second| second.rem_euclid(3))
            .window(Tumbling::of(Duration::from_secs(10)))
            .count()
            .map(|(_, window, n)| ((), format!("{}: {n}", window.start / 1000)))
            .sink(&out);
    }
}

fn second(cluster: &Cluster, partition: i32, second: i64) {
    let text = second.to_string();
    cluster
        .append("lines", partition, [(None, Some(text.as_bytes()))])
        .unwrap();
}

/// Seven partitions get a row each few milliseconds, the eighth has one at the beginning. Traffic ends when `is_done`.
async fn traffic(cluster: &Cluster, from: i64, is_done: impl FnMut() -> bool) -> i64 {
    second(cluster, 7, from);
    traffic_of_seven(cluster, from, is_done).await
}

async fn traffic_of_seven(cluster: &Cluster, from: i64, mut is_done: impl FnMut() -> bool) -> i64 {
    for now in from.. {
        if is_done() {
            return now;
        }
        assert!(
            now < from + 3000,
            "one partition says nothing of time, and no window closes"
        );
        for partition in 0..7 {
            second(cluster, partition, now);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("it counts on")
}

#[tokio::test]
async fn one_idle_partition_holds_no_window_open_however_many_workers_there_are() {
    for workers in [1, 2, 4] {
        let cluster = Cluster::builder().topic("lines", 8).start().await.unwrap();
        let out = Collected::new();
        let script = async {
            let now = traffic(&cluster, 1, || out.len() >= 30).await;
            // It had something once more.
            traffic(&cluster, now, || out.len() >= 60).await;
        };
        let watermarks = Watermarks::bounded(Duration::ZERO);
        let config = by_default(&cluster, workers);
        let snapshot = run_until(counting(&out, watermarks), &config, script)
            .await
            .unwrap();
        assert_eq!(snapshot.rows_late, 0, "{workers} workers");
    }
}

/// The eighth partition is never idle, and no row of it has a time.
#[tokio::test]
async fn a_partition_whose_rows_have_no_time_holds_no_window_open_however_many_workers_there_are() {
    for workers in [1, 2, 4] {
        let cluster = Cluster::builder().topic("lines", 8).start().await.unwrap();
        let out = Collected::new();
        let script = async {
            let is_done = || {
                second(&cluster, 7, -1);
                out.len() >= 30
            };
            traffic_of_seven(&cluster, 1, is_done).await;
        };
        let watermarks = Watermarks::bounded(Duration::ZERO);
        let config = by_default(&cluster, workers);
        let snapshot = run_until(counting(&out, watermarks), &config, script)
            .await
            .unwrap();
        assert_eq!(snapshot.rows_late, 0, "{workers} workers");
        assert!(snapshot.records_skipped > 0, "{workers} workers");
    }
}

#[tokio::test]
async fn one_idle_partition_does_not_stop_those_that_are_aligned_with_it() {
    for workers in [1, 2, 4] {
        let cluster = Cluster::builder().topic("lines", 8).start().await.unwrap();
        let out = Collected::new();
        let script = async {
            let end = traffic(&cluster, 1, || out.len() >= 30).await;
            // What was held is read, too.
            let all_read = || {
                let of = |p| cluster.committed_offset("app", "lines", p);
                (0..7).all(|p| of(p) == Some(end - 1)) && of(7) == Some(1)
            };
            until(all_read).await;
        };
        let watermarks =
            Watermarks::bounded(Duration::ZERO).aligned("all", Duration::from_secs(20));
        let config = by_default(&cluster, workers);
        let snapshot = run_until(counting(&out, watermarks), &config, script)
            .await
            .unwrap();
        assert_eq!(snapshot.rows_late, 0, "{workers} workers");
    }
}

/// One fetch brings many batches of a partition: when it is held after the first of them, the others are not read on.
#[tokio::test]
async fn what_a_fetch_has_brought_of_a_partition_that_is_held_waits_too() {
    let cluster = Cluster::builder().topic("lines", 2).start().await.unwrap();
    for n in 1..=300 {
        second(&cluster, 0, n * 100);
    }
    second(&cluster, 1, 1);
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::<i64>::new()));
    let log = std::sync::Arc::clone(&seen);
    let plan = move |s: Scope<'_>| {
        let watermarks =
            Watermarks::bounded(Duration::ZERO).aligned("all", Duration::from_secs(20));
        s.source("lines")
            .utf8()
            .try_map(str::parse::<i64>)
            .with_timestamps(|second| second * 1000, watermarks)
            .inspect(|second| log.lock().unwrap().push(*second))
            .key_by(|_| "all")
            .count()
            .map(|(_, n)| ((), n))
            .sink("counts");
    };
    let config = by_default(&cluster, 1).until_end(true);
    run(plan, &config).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 301, "each once");
    let slow = seen.iter().position(|second| *second == 1).unwrap();
    assert!(slow <= 1, "{slow} batches of the fast one come before");
}
