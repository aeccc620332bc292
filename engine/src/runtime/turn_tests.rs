//! Turns of a worker under load: commits, acknowledgements, commands and alignment go on whatever there is to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Config;
use super::tests::{config, run_plan};
use crate::connectors::memory_cluster::Memory;
use crate::connectors::{Collected, generated};
use crate::flow::Scope;
use crate::inspect::Inspector;
use crate::operators::Event;

/// What a record costs in these tests.
const RECORD: Duration = Duration::from_micros(20);

fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Waits in a user's function, at this row, until a test has seen what it looks for.
fn wait_at(is_here: bool, is_seen: &AtomicBool) {
    while is_here && !is_seen.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(100));
    }
}

async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

fn endless(threads: usize, commit_interval: Duration) -> Config {
    let mut config = config(threads);
    config.until_end = false;
    config.commit_interval = commit_interval;
    config
}

/// Batches of the partitions 0 and 3 hold later times than that of partition 1: one worker of three reads both, and has to wait in the
/// middle of a batch, because the rows are large and the worker that counts them is slow.
#[tokio::test]
async fn alignment_does_not_read_a_batch_again_that_was_left_in_the_middle() {
    for _ in 0..3 {
        let memory = Memory::new("app");
        memory.create("lines", 6);
        memory.create("counts", 1);
        let (batches, rows) = (6, 400);
        let row = |time: i64| format!("{time} {}", "x".repeat(3000));
        for batch in 0..batches {
            for (partition, step) in [(0, 40), (3, 50), (1, 1)] {
                let times = (0..rows).map(|n| row((batch * rows + n) * step));
                let lines: Vec<String> = times.collect();
                let values = lines.iter().map(|line| Some(line.as_bytes()));
                memory.produce("lines", partition, values);
            }
        }
        let counted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&counted);
        let plan = move |s: Scope<'_>| {
            let counter = Arc::clone(&counter);
            let watermarks =
                crate::time::Watermarks::monotonous().aligned("all", Duration::from_millis(100));
            s.source("lines")
                .utf8()
                .with_timestamps(
                    |line| line.split(' ').next().map_or(0, |t| t.parse().unwrap()),
                    watermarks,
                )
                .key_by(|_| 1u64)
                .aggregate(0u64, move |n, line: &str| {
                    assert!(line.len() > 3000);
                    counter.fetch_add(1, Ordering::Relaxed);
                    spin(Duration::from_micros(50));
                    *n += 1;
                })
                .sink("counts");
        };
        run_plan(&memory, plan, &config(3), std::future::pending())
            .await
            .unwrap();
        let all = (3 * batches * rows) as u64;
        assert_eq!(counted.load(Ordering::Relaxed), all, "each row once");
        for partition in [0, 1, 3] {
            let end = Some(batches * rows);
            assert_eq!(memory.committed_at("lines", partition), end);
        }
    }
}

/// One batch that takes longer than an interval between commits.
#[tokio::test]
async fn a_commit_does_not_wait_for_the_end_of_a_long_batch_and_the_next_run_goes_on_in_its_middle()
{
    let memory = Memory::new("app");
    memory.create("lines", 1);
    memory.create("counts", 1);
    let lines: Vec<String> = (0..50_000).map(|n| n.to_string()).collect();
    memory.produce("lines", 0, lines.iter().map(|line| Some(line.as_bytes())));
    let is_seen = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_seen);
    let plan = move |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .try_map(str::parse::<u64>)
            .inspect(|n| {
                spin(RECORD);
                wait_at(*n == 40_000, &gate);
            })
            .key_by(|_| 1u64)
            .aggregate((0u64, 0u64), |(n, sum), value| {
                *n += 1;
                *sum += value;
            })
            .map(|(_, (n, sum))| ((), format!("{n} {sum}")))
            .sink("counts");
    };
    let committed = || memory.committed_at("lines", 0).unwrap_or(0);
    let in_the_middle = async {
        until(|| committed() > 0).await;
        assert!(committed() <= 40_000, "{}", committed());
        is_seen.store(true, Ordering::Relaxed);
    };
    let quick = endless(1, Duration::from_millis(5));
    run_plan(&memory, plan.clone(), &quick, in_the_middle)
        .await
        .unwrap();
    run_plan(&memory, plan, &config(1), std::future::pending())
        .await
        .unwrap();
    let last = memory.records("counts").pop().unwrap().1.unwrap();
    let all = (0..50_000u64).sum::<u64>();
    assert_eq!(String::from_utf8(last).unwrap(), format!("50000 {all}"));
    assert_eq!(committed(), 50_000);
}

/// What one record becomes has no offset to go on from: there the barrier waits for the record's end, not for the batch's.
#[tokio::test]
async fn a_commit_within_what_a_record_becomes_waits_for_the_end_of_that_record() {
    let memory = Memory::new("app");
    memory.create("lines", 1);
    memory.create("counts", 1);
    let lines: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    memory.produce("lines", 0, lines.iter().map(|line| Some(line.as_bytes())));
    let is_seen = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_seen);
    let plan = move |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .inspect(|line| wait_at(*line == "150", &gate))
            .flat_map(|_| 0..20_000u64)
            .key_by(|n| n % 10)
            .process(0u64, |cx, _, _, out| {
                *cx.state += 1;
                if cx.state.is_multiple_of(2_000) {
                    out.push(*cx.state);
                }
            })
            .map(|n| ((), n))
            .sink("counts");
    };
    let committed = || memory.committed_at("lines", 0).unwrap_or(0);
    let in_the_middle = async {
        until(|| committed() > 0).await;
        assert!(committed() <= 150, "{}", committed());
        is_seen.store(true, Ordering::Relaxed);
    };
    let quick = endless(2, Duration::from_millis(5));
    run_plan(&memory, plan.clone(), &quick, in_the_middle)
        .await
        .unwrap();
    run_plan(&memory, plan, &config(2), std::future::pending())
        .await
        .unwrap();
    let mut counts: Vec<u64> = memory
        .records("counts")
        .into_iter()
        .map(|(_, n)| u64::from_be_bytes(n.unwrap().try_into().unwrap()))
        .collect();
    counts.sort_unstable();
    let want: Vec<u64> = (1..=200).flat_map(|n| [n * 2_000; 10]).collect();
    assert_eq!(counts, want, "each row of each record once");
}

#[tokio::test]
async fn commits_go_on_while_a_source_never_pauses() {
    for threads in [1, 2] {
        let out = Collected::new();
        let sink = out.clone();
        let plan = move |s: Scope<'_>| {
            let numbers = generated(2, |_| (0u64..).map(|n| ((), n)));
            s.source(Arc::new(numbers))
                .bytes()
                .inspect(|_| spin(RECORD))
                .map(|n| ((), n))
                .sink(&sink);
        };
        let inspector = Inspector::new();
        let app = crate::plan::App::new("app", plan).unwrap();
        let config = endless(threads, Duration::from_millis(10));
        let many = until(|| inspector.snapshot().commits >= 10);
        let run = app.run_until(&config, many, &inspector);
        let guarded = tokio::time::timeout(Duration::from_secs(60), run).await;
        guarded.expect("no commit under load").unwrap();
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_let_go_of_without_a_barrier() {
    let memory = Memory::new("app");
    memory.create("lines", 1);
    memory.create("copies", 1);
    for _ in 0..500 {
        memory.produce("lines", 0, [Some(&b"a line of some length"[..]); 20]);
    }
    let plan = |s: Scope<'_>| s.source("lines").utf8().map(|l| ((), l)).sink("copies");
    let other = memory.clone();
    let all_let_go =
        until(move || other.records("copies").len() == 10_000 && other.unacknowledged() == 0);
    let never = endless(1, Duration::from_secs(3600));
    run_plan(&memory, plan, &never, all_let_go).await.unwrap();
    assert_eq!(memory.commits(), 1, "the last one");
}

/// Each timer sets the next one: at the end of time that must come to an end.
#[tokio::test]
async fn a_periodic_timer_does_not_keep_a_bounded_run_from_its_end() {
    for threads in [1, 2] {
        let memory = Memory::new("app");
        memory.create("lines", 2);
        memory.create("ticks", 1);
        for partition in 0..2 {
            memory.produce(
                "lines",
                partition,
                ["1000", "1050"].map(|l| Some(l.as_bytes())),
            );
        }
        let plan = |s: Scope<'_>| {
            s.source("lines")
                .utf8()
                .try_map(str::parse::<i64>)
                .with_timestamps(|t| *t, Duration::ZERO)
                .key_by(|_| 1u64)
                .process(false, |cx, _, event, out| match event {
                    Event::Row(at) if !*cx.state => {
                        *cx.state = true;
                        cx.timer_at(at + 10);
                    }
                    Event::Timer(at) => {
                        out.push(at);
                        cx.timer_at(at + 10);
                    }
                    _ => {}
                })
                .map(|at| ((), at as u64))
                .sink("ticks");
        };
        run_plan(&memory, plan, &config(threads), std::future::pending())
            .await
            .unwrap();
        let ticks: Vec<u64> = memory
            .records("ticks")
            .into_iter()
            .map(|(_, at)| u64::from_be_bytes(at.unwrap().try_into().unwrap()))
            .collect();
        let steady = (1010..).step_by(10).take(ticks.len()).collect::<Vec<u64>>();
        assert_eq!(ticks, steady);
        assert!((1..=6).contains(&ticks.len()), "{ticks:?}");
    }
}

/// A timer that sets itself for now is due again at once: rows, commits and the stop have their turn all the same.
#[tokio::test]
async fn a_wall_timer_set_for_now_does_not_stop_its_worker() {
    for threads in [1, 2] {
        let memory = Memory::new("app");
        memory.create("lines", 1);
        memory.create("rows", 1);
        memory.produce("lines", 0, [Some(&b"first"[..])]);
        let fired = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&fired);
        let plan = move |s: Scope<'_>| {
            let counter = Arc::clone(&counter);
            s.source("lines")
                .utf8()
                .key_by(|_| 1u64)
                .process(0u64, move |cx, _, event, out| match event {
                    Event::Row(_) => {
                        *cx.state += 1;
                        out.push(*cx.state);
                        let now = cx.now_ms();
                        cx.wall_timer_at(now);
                    }
                    Event::WallTimer(_) => {
                        counter.fetch_add(1, Ordering::Relaxed);
                        let now = cx.now_ms();
                        cx.wall_timer_at(now);
                    }
                    Event::Timer(_) => {}
                })
                .map(|n| ((), n))
                .sink("rows");
        };
        let script = async {
            until(|| fired.load(Ordering::Relaxed) > 10).await;
            memory.produce("lines", 0, [Some(&b"second"[..])]);
            until(|| memory.committed_at("lines", 0) == Some(2)).await;
            let before = fired.load(Ordering::Relaxed);
            until(|| fired.load(Ordering::Relaxed) > before).await;
        };
        run_plan(
            &memory,
            plan,
            &endless(threads, Duration::from_millis(5)),
            script,
        )
        .await
        .unwrap();
        assert_eq!(memory.records("rows").len(), 2);
    }
}

/// At each commit the changelog counts what the positions say, not a record more or less.
#[tokio::test]
async fn the_state_of_an_epoch_is_that_of_its_positions() {
    for threads in [1, 2, 4] {
        let memory = Memory::new("app");
        memory.create("lines", 4);
        memory.create("counts", 1);
        memory.create("app-count-1-changelog", 16);
        memory.audit("lines", "app-count-1-changelog");
        // Many keys: a commit fires in many pieces, while other workers read on.
        let mut n = 0u64;
        for _ in 0..40 {
            for partition in 0..4 {
                let lines: Vec<String> = (0..300)
                    .map(|_| {
                        n += 1;
                        format!("a key of some length {}", n * 7919 % 20_011)
                    })
                    .collect();
                memory.produce("lines", partition, lines.iter().map(|l| Some(l.as_bytes())));
            }
        }
        let plan = |s: Scope<'_>| {
            s.source("lines")
                .utf8()
                .key_by(|l| l)
                .count()
                .sink("counts")
        };
        let mut config = config(threads);
        config.commit_interval = Duration::from_millis(1);
        run_plan(&memory, plan, &config, std::future::pending())
            .await
            .unwrap();
        let audits = memory.audits();
        assert_eq!(audits.last(), Some(&(n, n)));
        for (committed, counted) in audits {
            assert_eq!(committed, counted, "{threads} threads");
        }
    }
}

/// One of two streams of a topic has had more of the batch than the other: no offset says where both go on.
#[tokio::test]
async fn a_stop_in_a_batch_of_two_streams_waits_for_its_end_and_each_row_is_counted_once() {
    let memory = Memory::new("app");
    memory.create("lines", 1);
    let lines: Vec<String> = (0..2_000u64).map(|n| n.to_string()).collect();
    memory.produce("lines", 0, lines.iter().map(|line| Some(line.as_bytes())));
    let (is_there, is_seen) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (there, gate) = (Arc::clone(&is_there), Arc::clone(&is_seen));
    let plan = move |s: Scope<'_>| {
        for (nth, output) in ["counts", "others"].into_iter().enumerate() {
            let (there, gate) = (Arc::clone(&there), Arc::clone(&gate));
            let numbers = s.source("lines").utf8().try_map(str::parse::<u64>);
            // Within the first call of the second stream; many follow it.
            let numbers = numbers.inspect(move |n| {
                let is_here = nth == 1 && *n == 40;
                there.fetch_or(is_here, Ordering::Relaxed);
                wait_at(is_here, &gate);
            });
            numbers.key_by(|_| 1u64).count().sink(output);
        }
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let script = async {
        until(|| is_there.load(Ordering::Relaxed)).await;
        stop.send(()).unwrap();
        // Time for the worker to be told, in most runs of this test.
        tokio::time::sleep(Duration::from_millis(50)).await;
        is_seen.store(true, Ordering::Relaxed);
    };
    let slow = endless(1, Duration::from_secs(3600));
    let run = run_plan(&memory, plan.clone(), &slow, async { drop(stopped.await) });
    let (first, ()) = tokio::join!(run, script);
    first.unwrap();
    let never = std::future::pending();
    run_plan(&memory, plan, &config(1), never).await.unwrap();
    for output in ["counts", "others"] {
        let last = memory.records(output).pop().unwrap().1.unwrap();
        assert_eq!(last, 2_000u64.to_be_bytes(), "{output}");
    }
}

/// Each row comes before the time of the one before it is over.
#[tokio::test]
async fn what_waits_is_sent_when_linger_is_over_although_rows_keep_coming() {
    let mut memory = Memory::new("app");
    // No batch is full.
    memory.batch_bytes_max = 64 << 20;
    memory.create("lines", 1);
    memory.create("copies", 1);
    let copy = |s: Scope<'_>| s.source("lines").utf8().map(|l| ((), l)).sink("copies");
    let mut slow = endless(1, Duration::from_secs(3600));
    slow.set("linger.ms", "300").unwrap();
    let sent = until(|| {
        memory.produce("lines", 0, [Some(&b"line"[..])]);
        !memory.records("copies").is_empty()
    });
    run_plan(&memory, copy, &slow, sent).await.unwrap();
}
