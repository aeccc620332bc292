//! The wall clock is set, forwards and back, while a run goes on: nothing that is a duration becomes longer or shorter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use super::now::{WallClock, machine_ms};
use super::tests::{config, run_plan};
use crate::connectors::memory_cluster::Memory;
use crate::flow::Scope;
use crate::operators::AsyncWait;
use crate::windows::Tumbling;

const DAY_MS: i64 = 24 * 3600 * 1000;

async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

#[tokio::test]
async fn early_results_go_on_when_the_wall_clock_is_set_back_by_days() {
    static SET_MS: AtomicI64 = AtomicI64::new(0);
    fn wall_ms() -> i64 {
        machine_ms() + SET_MS.load(Ordering::Relaxed)
    }
    fn plan(s: Scope<'_>) {
        let rows = s.source("lines").utf8().try_map(str::parse::<i64>);
        let times = rows.with_timestamps(|t| *t, Duration::ZERO);
        let early = times
            .key_by(|_| 0u64)
            .window(Tumbling::of(Duration::from_millis(100)));
        let early = early.emit_early(Duration::from_millis(10)).count();
        early
            .map(|(_, w, n)| (w.start.to_string(), n))
            .sink("counts");
    }
    for threads in [1, 2, 4] {
        SET_MS.store(0, Ordering::Relaxed);
        let memory = Memory::new("app");
        memory.create("lines", 4);
        let mut config = config(threads);
        config.until_end = false;
        config.wall_clock = WallClock(wall_ms);
        let script = async {
            let mut now = 0;
            for set_ms in [0, DAY_MS, -2 * DAY_MS, 0] {
                SET_MS.store(set_ms, Ordering::Relaxed);
                let before = memory.records("counts").len();
                until(|| {
                    let line = now.to_string();
                    memory.produce("lines", now % 4, [Some(line.as_bytes())]);
                    now += 1;
                    memory.records("counts").len() >= before + 30
                })
                .await;
            }
        };
        run_plan(&memory, plan, &config, script).await.unwrap();
    }
}

#[tokio::test]
async fn a_step_of_the_wall_clock_is_no_time_out_of_what_is_awaited() {
    static SET_MS: AtomicI64 = AtomicI64::new(0);
    fn wall_ms() -> i64 {
        machine_ms() + SET_MS.load(Ordering::Relaxed)
    }
    for threads in [1, 2, 4] {
        SET_MS.store(0, Ordering::Relaxed);
        let memory = Memory::new("app");
        memory.create("lines", 4);
        let (asked, is_open) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counter, gate) = (Arc::clone(&asked), Arc::clone(&is_open));
        let plan = move |s: Scope<'_>| {
            let (counter, gate) = (Arc::clone(&counter), Arc::clone(&gate));
            let ask = move |line: String| {
                counter.fetch_add(1, Ordering::Relaxed);
                let gate = Arc::clone(&gate);
                async move {
                    until(|| gate.load(Ordering::Relaxed)).await;
                    Ok::<_, &str>(line)
                }
            };
            let lines = s.source("lines").utf8().map(str::to_owned);
            let answers = lines.enrich(AsyncWait::unordered(), ask);
            answers.map(|line| ((), line)).sink("answers");
        };
        let mut config = config(threads);
        config.until_end = false;
        config.wall_clock = WallClock(wall_ms);
        // A commit would wait for the answers, and nothing more would be read meanwhile.
        config.commit_interval = Duration::from_secs(3600);
        let script = async {
            let mut lines = 0;
            for set_ms in [0, DAY_MS, -2 * DAY_MS, 0] {
                SET_MS.store(set_ms, Ordering::Relaxed);
                // Each worker asks anew, and so has looked at what it awaits.
                for partition in 0..4 {
                    memory.produce("lines", partition, [Some(&b"line"[..])]);
                    lines += 1;
                }
                until(|| asked.load(Ordering::Relaxed) == lines).await;
            }
            is_open.store(true, Ordering::Relaxed);
            until(|| memory.records("answers").len() == lines).await;
        };
        run_plan(&memory, plan, &config, script).await.unwrap();
    }
}
