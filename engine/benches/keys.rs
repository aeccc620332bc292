//! What a record costs as the number of keys grows, from 10 thousand to 50 million: `count` and `sum`, first inserts and existing keys,
//! drawn evenly and by Zipf's law; bytes a key, and the longest time that one fetched batch took.
//!
//! Times are CPU time of this thread; building the input is not in them. 50 million keys need about 6 GB of memory.
//! Run: `cargo bench -p engine --bench keys [-- KEYS…]`; state on disk: `cargo bench -p engine --features fjall --bench keys -- disk KEYS…`,
//! windows there: `-- windows KEYS…`.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::time::Duration;

use engine::{
    batch::{Frame, InputPartition, Rows},
    flow::{Input, Port, Position, Scope},
    plan::{App, Task, TaskConfig},
};
use kafka_proto::records::{Batch, BatchBuilder, Compression, Stamp};
use test_support::{
    cpu,
    random::{SplitMix64, Zipf},
};

/// Records of one fetched batch.
const BATCH_RECORDS: usize = 4096;
/// Records measured on existing keys.
const RECORDS: u64 = 4_000_000;
/// Changed keys are drained after so many records, as a commit does.
const COMMIT_RECORDS: u64 = 1 << 20;
/// How many ranks Zipf's law is drawn over at most: beyond it the tail is nearly even.
const RANKS_MAX: u64 = 10_000_000;

fn decode(value: &[u8]) -> Result<u64, &'static str> {
    let bytes = value.first_chunk().ok_or("too short")?;
    Ok(u64::from_be_bytes(*bytes))
}

fn count(s: Scope<'_>) {
    s.source("in")
        .decode(decode)
        .key_by(|n| n)
        .count()
        .for_each(|_| {});
}

fn sum(s: Scope<'_>) {
    let numbers = s.source("in").decode(decode);
    numbers.key_by(|n| n).sum(|n| n & 0xff).for_each(|_| {});
}

/// Most of the keys are on disk.
#[cfg(feature = "fjall")]
fn count_on_disk(s: Scope<'_>) {
    let keyed = s.source("in").decode(decode).key_by(|n| n);
    let store = engine::state::Store::disk();
    keyed.state_store(store).count().for_each(|_| {});
}

/// Counts in windows, most of whose keys are on disk: a row for each key, then another one half an hour later, then all windows close.
#[cfg(feature = "fjall")]
fn windows_on_disk<W: engine::windows::WindowSpec + Sync>(spec: W, keys: u64) {
    let mut driver = engine::testing::Driver::new(move |s| {
        let keyed = s.source("in").decode(decode).key_by(|n| n);
        let store = engine::state::Store::disk();
        let counts = keyed.state_store(store).window(spec).count();
        counts.for_each(|_| {});
    });
    let mut builder = BatchBuilder::new(Compression::NONE, BATCH_RECORDS * 24);
    let mut pass = |from: i64| {
        let (mut spent, mut longest) = (Duration::ZERO, Duration::ZERO);
        for first in (0..keys).step_by(BATCH_RECORDS) {
            for i in first..keys.min(first + BATCH_RECORDS as u64) {
                let key = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
                builder.append(from, None, Some(&key), &[]).unwrap();
            }
            let batch = Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap();
            let start = cpu::thread();
            driver.feed_batch("in", 0, &batch).unwrap();
            longest = longest.max(cpu::thread() - start);
            spent += cpu::thread() - start;
        }
        (spent.as_secs_f64() * 1e6 / keys as f64, longest)
    };
    let ((first, _), (second, longest)) = (pass(0), pass(1_800_000));
    let bytes = driver.state_size("window-1").bytes;
    let start = cpu::thread();
    driver.finish();
    let close = (cpu::thread() - start).as_secs_f64() * 1e6 / keys as f64;
    println!(
        "| {spec} | {keys} | {first:.2} | {second:.2} | {close:.2} | {} | {} |",
        longest.as_millis(),
        bytes >> 20
    );
}

fn main() {
    #[cfg(feature = "fjall")]
    if std::env::args().any(|a| a == "windows") {
        use engine::windows::{Hopping, Session, Tumbling};
        let minutes = |n: u64| Duration::from_secs(60 * n);
        println!(
            "| windows | keys | first row, µs | second, µs | closing, µs a key | longest batch, ms | MiB in memory |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|");
        for keys in std::env::args().filter_map(|a| a.parse().ok()) {
            windows_on_disk(Tumbling::of(minutes(60)), keys);
            windows_on_disk(Hopping::of(minutes(60), minutes(30)), keys);
            windows_on_disk(Session::gap(minutes(60)), keys);
        }
        return;
    }
    #[cfg(feature = "fjall")]
    if std::env::args().any(|a| a == "disk") {
        let sizes: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
        head();
        return sizes
            .into_iter()
            .for_each(|keys| measure("count, 64 MiB in memory", count_on_disk, keys));
    }
    let mut sizes: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000, 1_000_000, 10_000_000, 50_000_000];
    }
    head();
    for (name, plan) in [("count", count as fn(Scope<'_>)), ("sum", sum)] {
        for keys in &sizes {
            measure(name, plan, *keys);
        }
    }
}

fn head() {
    println!(
        "| operator | keys | first insert, ns | existing, evenly, ns | by Zipf's law, ns | drain a changed key, ns | longest batch, ms | bytes a key |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
}

fn measure(name: &str, plan: fn(Scope<'_>), keys: u64) {
    let mut engine = Engine::new(plan);
    let mut random = SplitMix64::new(3);
    // An odd factor, taken modulo 2^64: each key once, in an order that is none.
    let key = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = 0;
    let first = engine.run(keys, || {
        next += 1;
        key(next - 1)
    });
    let even = engine.run(RECORDS, || key(random.below(keys)));
    let zipf = Zipf::new(keys.min(RANKS_MAX) as usize, 1.0);
    let skewed = engine.run(RECORDS, || key(zipf.draw(&mut random) as u64));
    let size = engine.task.state_size(engine.keyed);
    assert_eq!(size.keys as u64, keys);
    let longest = first.longest.max(even.longest).max(skewed.longest);
    println!(
        "| {name} | {keys} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} | {:.1} |",
        first.ns(),
        even.ns(),
        skewed.ns(),
        even.drain.as_secs_f64() * 1e9 / even.drained as f64,
        longest.as_secs_f64() * 1e3,
        size.bytes as f64 / keys as f64,
    );
}

/// What a run over some records took.
#[derive(Default)]
struct Took {
    records: u64,
    time: Duration,
    /// The longest of its batches.
    longest: Duration,
    drained: u64,
    drain: Duration,
}

impl Took {
    fn ns(&self) -> f64 {
        self.time.as_secs_f64() * 1e9 / self.records as f64
    }
}

/// What the runtime does with a task, on one thread and without a broker.
struct Engine {
    task: Task,
    keyed: usize,
    rows: Rows,
    builder: BatchBuilder,
}

impl Engine {
    fn new(plan: fn(Scope<'_>)) -> Self {
        let app = App::new("keys", plan).unwrap();
        let keyed = app.graph().keyed().next().unwrap().0;
        Self {
            task: Task::new(&app, &TaskConfig::single(7)).unwrap(),
            keyed,
            rows: Rows::new(),
            builder: BatchBuilder::new(Compression::NONE, BATCH_RECORDS * 24),
        }
    }

    fn run(&mut self, records: u64, mut key: impl FnMut() -> u64) -> Took {
        let mut took = Took {
            records,
            ..Took::default()
        };
        let (mut left, mut uncommitted) = (records, 0);
        while left > 0 {
            let n = left.min(BATCH_RECORDS as u64);
            for i in 0..n {
                let value = key().to_be_bytes();
                self.builder
                    .append(i as i64, None, Some(&value), &[])
                    .unwrap();
            }
            let batch = Batch::new(self.builder.finish(Stamp::NONE).unwrap()).unwrap();
            let start = cpu::thread();
            self.batch(&batch);
            let spent = cpu::thread() - start;
            took.time += spent;
            took.longest = took.longest.max(spent);
            left -= n;
            uncommitted += n;
            if uncommitted >= COMMIT_RECORDS || left == 0 {
                uncommitted = 0;
                took.drained += self.task.changed_keys() as u64;
                let start = cpu::thread();
                self.drain();
                took.drain += cpu::thread() - start;
            }
        }
        took
    }

    fn batch(&mut self, batch: &Batch) {
        let frame = Frame::new(InputPartition::single(0), batch, batch.body(), 0);
        let mut from = Some(Position::START);
        while let Some(at) = from {
            from = self
                .task
                .call(Input::Frame { source: 0, frame }, at)
                .unwrap();
            let rows = &mut self.rows;
            self.task.outgoing(|_, _, out| std::mem::swap(out, rows));
            if !self.rows.is_empty() {
                let (operator, port, rows) = (self.keyed, Port::Sent, &self.rows);
                let input = Input::Rows {
                    operator,
                    port,
                    rows,
                };
                assert_eq!(self.task.call(input, Position::START).unwrap(), None);
                self.rows.clear();
            }
        }
    }

    fn drain(&mut self) {
        for group in 0..16 {
            let mut is_more = true;
            while is_more {
                is_more = self
                    .task
                    .drain_changed(self.keyed, group, &mut self.rows, 256 << 10);
                self.rows.clear();
            }
        }
    }
}
