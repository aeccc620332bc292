//! Early results, answers from outside and an orderly stop at default settings, with 1, 2 and 4 workers, while lines keep coming.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use engine::connectors::Collected;
use engine::operators::{AsyncWait, Event};
use engine::time::Watermarks;
use engine::windows::Tumbling;

use super::*;

const WORKERS: [usize; 3] = [1, 2, 4];
const KEYS: usize = 10;

/// Lines `0`, `1`, … in turn over four partitions, from the `begin`th on, eight every 10 ms until `is_done`. How many there are then.
async fn traffic(cluster: &Cluster, begin: usize, mut is_done: impl FnMut() -> bool) -> usize {
    let mut next = begin;
    while !is_done() {
        assert!(next < begin + 80_000, "what is waited for does not come");
        for n in next..next + 8 {
            let line = n.to_string();
            let record: (Option<&[u8]>, Option<&[u8]>) = (None, Some(line.as_bytes()));
            cluster.append("lines", (n % 4) as i32, [record]).unwrap();
        }
        next += 8;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    next
}

fn all_committed(cluster: &Cluster) -> usize {
    committed(cluster).iter().flatten().sum::<i64>() as usize
}

/// How many of so many lines belong to each key.
fn truth(lines: usize) -> BTreeMap<String, u64> {
    let of = |key| ((key..lines).step_by(KEYS).count()) as u64;
    (0..KEYS).map(|key| (key.to_string(), of(key))).collect()
}

#[tokio::test]
async fn early_results_come_while_a_window_is_open_and_the_last_ones_are_the_truth() {
    for workers in WORKERS {
        let (cluster, _) = filled(0).await;
        let out = Collected::new();
        let sink = out.clone();
        let plan = move |s: Scope<'_>| {
            s.source("lines")
                .utf8()
                .try_map(str::parse::<u64>)
                .with_timestamps(|_| 0, Watermarks::bounded(Duration::ZERO))
                .key_by(|n| n % KEYS as u64)
                .window(Tumbling::of(Duration::from_secs(3600)))
                .emit_early(Duration::from_millis(200))
                .count()
                .map(|(key, _, n)| ((), format!("{key} {n}")))
                .sink(&sink);
        };
        let seen: Mutex<BTreeMap<String, Vec<u64>>> = Mutex::default();
        let look = || {
            let mut seen = seen.lock().unwrap();
            for record in out.take() {
                let (key, n) = record.value_str().unwrap().split_once(' ').unwrap();
                let of_key = seen.entry(key.to_owned()).or_default();
                of_key.push(n.parse().unwrap());
            }
            seen.clone()
        };
        let script = async {
            let three_each = || look().values().filter(|of| of.len() >= 3).count() == KEYS;
            let lines = traffic(&cluster, 0, three_each).await;
            let last = || {
                let last = |(key, of): (String, Vec<u64>)| (key, of[of.len() - 1]);
                look().into_iter().map(last).collect::<BTreeMap<_, _>>()
            };
            until(|| last() == truth(lines)).await;
        };
        let config = by_default(&cluster, workers);
        let snapshot = run_until(plan, &config, script).await.unwrap();
        assert_eq!(snapshot.rows_late, 0);
        for (key, of) in look() {
            // One that rows came to since the last commit may come again.
            let grows = of.windows(2).all(|two| two[0] <= two[1]);
            assert!(grows, "{workers} workers, key {key}: {of:?}");
        }
    }
}

#[tokio::test]
async fn answers_from_outside_keep_up_with_traffic_and_each_row_is_asked_for_once() {
    for workers in WORKERS {
        let (cluster, _) = filled(0).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let plan = move |s: Scope<'_>| {
            let counter = Arc::clone(&counter);
            let ask = move |line: String| {
                let nth = counter.fetch_add(1, Ordering::Relaxed);
                async move {
                    // Some take longer than others, and pass behind them.
                    tokio::time::sleep(Duration::from_millis((nth % 5) as u64)).await;
                    let n: usize = line.parse().map_err(|_| "no number")?;
                    Ok::<_, &str>((n % KEYS).to_string())
                }
            };
            let lines = s.source("lines").utf8().map(str::to_owned);
            let answers = lines.enrich(AsyncWait::unordered(), ask);
            answers.key_by(|key| key).count().sink("counts");
        };
        let lines = AtomicUsize::new(0);
        let script = async {
            let some = || all_committed(&cluster) >= 400;
            let all = traffic(&cluster, 0, some).await;
            lines.store(all, Ordering::Relaxed);
            until(|| all_committed(&cluster) == all).await;
        };
        let config = by_default(&cluster, workers);
        run_until(plan, &config, script).await.unwrap();
        let lines = lines.into_inner();
        assert_eq!(counts(&cluster), truth(lines), "{workers} workers");
        assert_eq!(asked.load(Ordering::Relaxed), lines);
    }
}

/// Numbers the lines of each key.
fn numbered(s: Scope<'_>) {
    let lines = s.source("lines").utf8().try_map(str::parse::<u64>);
    let keyed = lines.key_by(|n| n % KEYS as u64);
    let numbers = keyed.process(0u64, |cx, key, event, out| {
        if let Event::Row(_) = event {
            *cx.state += 1;
            out.push((key.to_string(), *cx.state));
        }
    });
    numbers.sink("counts");
}

#[tokio::test]
async fn runs_that_are_stopped_under_traffic_leave_nothing_out_and_nothing_twice() {
    for workers in WORKERS {
        let (cluster, _) = filled(0).await;
        let config = by_default(&cluster, workers);
        let lines = AtomicUsize::new(0);
        for _ in 0..3 {
            let begin = lines.load(Ordering::Relaxed);
            let stop = async {
                let some = || all_committed(&cluster) >= begin + 100;
                let end = traffic(&cluster, begin, some).await;
                lines.store(end, Ordering::Relaxed);
            };
            run_until(numbered, &config, stop).await.unwrap();
        }
        run(numbered, &config.until_end(true)).await.unwrap();
        let mut all: Vec<(String, u64)> = Vec::new();
        for partition in 0..cluster.partition_count("counts") {
            for record in cluster.records("counts", partition).unwrap() {
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                let n = record.value.unwrap()[..].try_into().unwrap();
                all.push((key, u64::from_be_bytes(n)));
            }
        }
        all.sort();
        let each = truth(lines.into_inner()).into_iter();
        let each = each.flat_map(|(key, count)| (1..=count).map(move |n| (key.clone(), n)));
        assert_eq!(all, each.collect::<Vec<_>>(), "{workers} workers");
    }
}
