//! A call of the plan is bounded: whatever one record fans out to, memory does not grow with it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use engine::{
    flow::{Limits, Scope},
    plan::App,
    testing::Driver,
};
use test_support::alloc::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn driver(plan: impl Fn(Scope<'_>) + Send + Sync + 'static, limits: Limits) -> Driver {
    Driver::of(App::new("test", plan).unwrap(), 1, limits).unwrap()
}

fn tiny() -> Limits {
    Limits {
        records: 3,
        rows_bytes: 100,
        sink_bytes: 1,
        ..Limits::default()
    }
}

/// Each line is a number: so many rows come from it.
fn fan_out<'b>(
    s: Scope<'b>,
) -> engine::flow::Stream<'b, (&'b str, u64), impl engine::flow::Pipe<(&'b str, u64)>> {
    s.source("in")
        .utf8()
        .try_map(|l| l.parse::<u64>().map(|n| (l, n)))
        .flat_map(|(l, n)| (0..n).map(move |i| (l, i)))
}

#[test]
fn one_record_that_fans_out_a_million_fold_does_not_exhaust_memory() {
    let mut driver = driver(
        |s| {
            fan_out(s)
                .key_by(|(_, i)| i % 100)
                .aggregate(0u64, |n, _| *n += 1)
                .emit_every_update()
                .filter(|(_, n)| n % 10_000 == 0)
                .sink("out");
        },
        Limits {
            rows_bytes: 2 << 20,
            ..Limits::default()
        },
    );
    alloc::reset_peak();
    let before = alloc::live_bytes();
    driver.feed("in", ["1000000"]);
    let peak = alloc::peak_bytes() - before;
    assert_eq!(driver.read("out").len(), 100);
    assert_eq!(driver.counters("aggregate-1").records, 1_000_000);
    assert!(
        peak < 10 << 20,
        "{peak} bytes at the peak for rows of 60 MB"
    );
}

#[test]
fn a_call_that_stops_in_the_middle_of_a_record_goes_on_behind_what_it_wrote() {
    let lines = ["3", "0", "700", "x", "1", "12", "0"];
    let want: Vec<(String, u64)> = [3u64, 0, 700, 1, 12, 0]
        .iter()
        .flat_map(|n| (0..*n).map(|i| (n.to_string(), i)))
        .collect();
    let mut driver = driver(|s| fan_out(s).sink("out"), tiny());
    driver.feed("in", lines);
    let got: Vec<_> = driver
        .read("out")
        .iter()
        .map(|r| (r.key_str().unwrap().to_owned(), r.value_u64().unwrap()))
        .collect();
    assert_eq!(got, want, "each row once, in order");
    assert_eq!(driver.counters("source-1").records, 7);
    assert_eq!(driver.counters("try_map-1").bad, 1);
}

#[test]
fn every_row_is_counted_and_looked_at_once_although_its_record_is_begun_again() {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let plan = move |s: Scope<'_>| {
        fan_out(s)
            .inspect(|_| {
                counter.fetch_add(1, Ordering::Relaxed);
            })
            .try_map(|(l, i)| {
                if i % 3 == 2 {
                    Err("every third")
                } else {
                    Ok((l, i))
                }
            })
            .key_by(|(_, i)| i)
            .aggregate(0u64, |n, _| *n += 1)
            .sink("out");
    };
    let mut driver = driver(plan, tiny());
    driver.feed("in", ["90", "30"]);
    driver.commit();
    assert_eq!(driver.counters("try_map-2").bad, 40);
    assert_eq!(seen.load(Ordering::Relaxed), 120);
    let total: u64 = driver
        .read("out")
        .iter()
        .map(|r| r.value_u64().unwrap())
        .sum();
    assert_eq!(total, 80);
}

#[test]
fn a_shared_stream_gives_every_row_to_every_reader_whatever_the_bounds() {
    let mut driver = driver(
        |s| {
            let rows = fan_out(s).share();
            rows.clone().sink("a");
            rows.clone()
                .filter(|(_, i)| i % 2 == 0)
                .union(rows.filter(|(_, i)| i % 2 == 1))
                .sink("b");
        },
        tiny(),
    );
    driver.feed("in", ["3000", "2", "1"]);
    assert_eq!(driver.read("a").len(), 3003);
    assert_eq!(driver.read("b").len(), 3003);
}

#[test]
fn an_update_is_taken_in_once_although_its_results_are_begun_again() {
    let mut driver = driver(
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .count()
                .emit_every_update()
                .flat_map(|(word, n)| (0..100 * n).map(move |i| (word, i)))
                .key_by(|(word, _)| word)
                .aggregate(0u64, |rows, _| *rows += 1)
                .sink("out");
        },
        tiny(),
    );
    driver.feed("in", ["a", "b", "a", "a"]);
    driver.commit();
    let mut got: Vec<_> = driver
        .read("out")
        .iter()
        .map(|r| (r.key_str().unwrap().to_owned(), r.value_u64().unwrap()))
        .collect();
    got.sort();
    // a: 100 + 200 + 300 rows, b: 100.
    assert_eq!(got, [("a".to_owned(), 600), ("b".to_owned(), 100)]);
    assert_eq!(driver.counters("count-1").records, 4);
}

/// Counts what it sees; a watermark of its own for each thousandth row.
#[derive(Default)]
struct Counting {
    rows: u64,
    seen: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl engine::time::Generator for Counting {
    fn observe(&mut self, _: i64) {
        self.rows += 1;
        self.seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    fn watermark(&self) -> i64 {
        self.rows as i64
    }
}

#[test]
fn a_generator_sees_every_row_once_although_its_record_is_begun_again() {
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    for after in [false, true] {
        seen.store(0, std::sync::atomic::Ordering::Relaxed);
        let counter = std::sync::Arc::clone(&seen);
        let plan = move |s: Scope<'_>| {
            let make = || Counting {
                rows: 0,
                seen: std::sync::Arc::clone(&counter),
            };
            if after {
                // Rows of one record, of which some do not reach the end.
                fan_out(s)
                    .with_generator(|(_, i)| *i as i64, make)
                    .filter(|(_, i)| i % 3 != 0)
                    .sink("out");
            } else {
                s.source("in")
                    .utf8()
                    .try_map(|l| l.parse::<u64>().map(|n| (l, n)))
                    .with_generator(|(_, n)| *n as i64, make)
                    .flat_map(|(l, n)| (0..n).map(move |i| (l, i)))
                    .sink("out");
            }
        };
        let mut driver = driver(plan, tiny());
        driver.feed("in", ["90", "0", "30", "1", "7"]);
        let want = if after { 128 } else { 5 };
        assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), want);
        assert_eq!(driver.watermark("with_timestamps-1"), want as i64);
        let rows = if after { 84 } else { 128 };
        assert_eq!(driver.read("out").len(), rows);
    }
}

#[test]
fn readers_of_a_shared_stream_see_the_same_rows_whatever_a_closure_before_it_answers() {
    let calls = std::sync::atomic::AtomicU64::new(0);
    let plan = move |s: Scope<'_>| {
        let rows = fan_out(s)
            .map(|_| ((), calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
            .share();
        rows.clone().sink("a");
        rows.sink("b");
    };
    let mut driver = driver(plan, tiny());
    driver.feed("in", ["90", "30"]);
    let read = |driver: &mut Driver, topic| {
        let rows = driver.read(topic);
        rows.iter()
            .map(|r| r.value_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let (a, b) = (read(&mut driver, "a"), read(&mut driver, "b"));
    assert_eq!((a.len(), &a), (120, &b));
}

#[test]
fn time_moves_on_when_a_batch_is_done_and_not_in_the_middle_of_it() {
    use engine::{
        batch::{Batch, BatchBuilder, Compression, Frame, InputPartition},
        flow::{Input, Position},
        plan::{Task, TaskConfig},
    };
    let plan = |s: Scope<'_>| {
        s.source("in")
            .utf8()
            .key_by(|_| "k")
            .window(engine::windows::Tumbling::of(
                std::time::Duration::from_millis(10),
            ))
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("out");
    };
    let config = TaskConfig {
        limits: tiny(),
        ..TaskConfig::single(7)
    };
    let mut task = Task::new(&App::new("test", plan).unwrap(), &config).unwrap();
    // The header says 90, from its first record on.
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for timestamp in [10, 20, 30, 40, 50, 90] {
        builder.append(timestamp, None, Some(b"x"), &[]).unwrap();
    }
    let bytes = builder.finish(kafka_proto::records::Stamp::NONE).unwrap();
    let batch = Batch::new(bytes).unwrap();
    let frame = Frame::new(InputPartition::single(0), &batch, batch.body(), 0);
    let mut at = task.call(Input::Frame { source: 0, frame }, Position::START);
    let mut calls = 1;
    while let Some(from) = at.unwrap() {
        assert_eq!(task.watermark(0), i64::MIN, "rows of 20 may be left");
        at = task.call(Input::Frame { source: 0, frame }, from);
        calls += 1;
    }
    assert!(calls > 1);
    assert_eq!(task.watermark(0), 89);
}
