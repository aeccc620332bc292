//! Windows, sessions and process functions with their changelogs on a broker: a run that was stopped in the middle and one that goes on
//! give what a single computation over all of the input gives.

use std::collections::BTreeSet;

use engine::operators::Event;
use engine::windows::{Session, Tumbling, Window};

use super::*;

const GAP: i64 = 20;

/// The row with this number: key and time, at most 50 ms out of order.
fn row(n: i64) -> (String, i64) {
    (format!("k{}", n % 5), n * 5 + n * 37 % 45)
}

fn add_rows(cluster: &Cluster, numbers: std::ops::Range<i64>) {
    for n in numbers {
        let (key, ts) = row(n);
        let line = format!("{key} {ts}");
        let lines = [(None, Some(line.as_bytes()))];
        cluster.append("lines", (n % 4) as i32, lines).unwrap();
    }
}

fn plan(s: Scope<'_>) {
    let rows = s
        .source("lines")
        .utf8()
        .try_map(|line| {
            let (key, ts) = line.split_once(' ').ok_or("no time")?;
            Ok::<_, &str>((key, ts.parse::<i64>().map_err(|_| "no number")?))
        })
        .with_timestamps(|r| r.1, Duration::from_millis(50))
        .share();
    let named = |what: &str, key: &str, w: Window| format!("{what} {key} {}", w.start);
    rows.clone()
        .key_by(|r| r.0)
        .window(Tumbling::of(Duration::from_secs(1)))
        .count()
        .map(move |(key, w, n)| (named("tumbling", key, w), n))
        .sink("counts");
    rows.clone()
        .key_by(|r| r.0)
        .window(Session::gap(Duration::from_millis(GAP as u64)))
        .count()
        .map(move |(key, w, n)| (named("session", key, w), n))
        .sink("counts");
    // All rows of a key, told when time is over: state and timer must last.
    rows.key_by(|r| r.0)
        .process(0u64, |cx, key, event, out| match event {
            Event::Row(_) => {
                *cx.state += 1;
                cx.timer_at(1 << 40);
            }
            Event::Timer(_) => out.push((format!("process {key}"), *cx.state)),
            Event::WallTimer(_) => {}
        })
        .sink("counts");
}

fn truth(rows: i64) -> BTreeMap<String, u64> {
    let mut truth = BTreeMap::new();
    let mut times: BTreeMap<String, BTreeSet<(i64, i64)>> = BTreeMap::new();
    for n in 0..rows {
        let (key, ts) = row(n);
        *truth.entry(format!("process {key}")).or_default() += 1;
        let window = format!("tumbling {key} {}", ts / 1000 * 1000);
        *truth.entry(window).or_default() += 1;
        times.entry(key).or_default().insert((ts, n));
    }
    for (key, times) in times {
        let (mut start, mut last) = (i64::MIN, i64::MIN);
        for (ts, _) in times {
            if start == i64::MIN || ts > last + GAP {
                start = ts;
            }
            last = ts;
            *truth.entry(format!("session {key} {start}")).or_default() += 1;
        }
    }
    truth
}

#[tokio::test]
async fn windows_sessions_and_timers_go_on_after_a_restart_in_the_middle() {
    let (cluster, _) = filled(0).await;
    add_rows(&cluster, 0..900);
    let half = until(|| committed(&cluster).iter().flatten().sum::<i64>() == 900);
    let running = config(&cluster).until_end(false);
    let first = run_until(plan, &running, half).await.unwrap();
    assert_eq!(first.records_in, 900);
    let before = counts(&cluster);
    assert!(before.keys().all(|k| !k.starts_with("process")));
    add_rows(&cluster, 900..1800);
    let second = run(plan, &config(&cluster)).await.unwrap();
    assert_eq!((second.records_in, second.rows_late), (900, 0));
    assert!(second.records_restored > 0);
    assert_eq!(counts(&cluster), truth(1800));
    let written: usize = (0..2)
        .map(|p| cluster.records("counts", p).unwrap().len())
        .sum();
    assert_eq!(written, truth(1800).len(), "each result is written once");
}

/// Tumbling windows, sessions and process functions over pieces of an input, each read to its end, give what one run over all of it gives.
#[tokio::test]
async fn runs_to_the_end_of_what_there_is_that_do_not_drain_give_what_one_run_gives() {
    let whole = filled(0).await.0;
    add_rows(&whole, 0..400);
    run(plan, &config(&whole)).await.unwrap();
    for workers in ["1", "2", "4"] {
        let pieces = filled(0).await.0;
        let mut config = config(&pieces).drain(false);
        config.set("num.stream.threads", workers).unwrap();
        let mut before = 0;
        // Also pieces of which some partitions have nothing, and nothing at all.
        for end in [150, 151, 151, 290] {
            add_rows(&pieces, before..end);
            run(plan, &config).await.unwrap();
            before = end;
        }
        add_rows(&pieces, before..400);
        let last = run(plan, &config.drain(true)).await.unwrap();
        assert_eq!(last.rows_late, 0, "{workers} workers");
        assert_eq!(written(&pieces), written(&whole), "{workers} workers");
    }
}

/// Every result with the times that it was written: a window that is closed at a seam is written again by the next run.
fn written(cluster: &Cluster) -> BTreeMap<(Vec<u8>, Vec<u8>), usize> {
    let mut all = BTreeMap::new();
    for partition in 0..cluster.partition_count("counts") {
        for record in cluster.records("counts", partition).unwrap() {
            let (key, value) = (record.key.unwrap(), record.value.unwrap());
            *all.entry((key.to_vec(), value.to_vec())).or_default() += 1;
        }
    }
    all
}
