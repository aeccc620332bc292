//! Word count through the engine against loops written by hand for this one purpose, over the same fetched batches.
//!
//! One round is 5 million words and one emission of the changed keys: what one commit interval of 100 ms holds at this speed.
//! Run: `cargo bench -p engine --bench wordcount [-- ROUNDS]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
};

use bumpalo::Bump;
use engine::{
    batch::{Frame, InputPartition, OutboxConfig, Rows},
    flow::{Emit, Input, Limits, Port, Position, Scope},
    formats::text::words,
    plan::{App, Task, TaskConfig},
    state::{KeyGroups, Table},
};
use kafka_proto::records::{Batch, BatchBuilder, Compression, Stamp};
use test_support::{
    alloc::CountingAllocator,
    measure::Paired,
    random::{SplitMix64, Zipf},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LINES: usize = 500_000;
const LINES_PER_BATCH: usize = 1_000;
const VOCABULARY: usize = 50_000;

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(9);
    let (input, count) = input();
    println!(
        "{LINES} lines, {count} words, {VOCABULARY} different ones by Zipf's law, {} batches of {} KiB",
        input.len(),
        input[0].size_bytes() >> 10
    );
    let mut std_map = StdMap::default();
    let mut own_table = OwnTable::new();
    let mut engine = Engine::new(wordcount);
    let mut every = Engine::new(every_update);
    let sends = Limits {
        partials: 0,
        ..Limits::default()
    };
    let mut two = Two::new(wordcount, Limits::default());
    let mut few = Two::new(few_keys, Limits::default());
    let mut few_sending = Two::new(few_sums, sends);
    let mut few_folding = Two::new(few_sums, Limits::default());
    let table = Paired::new("word count, per word", rounds)
        .arm("by hand: std HashMap, fast hash", || std_map.run(&input))
        .arm("by hand: the engine's table, word by word", || {
            own_table.run(&input)
        })
        .arm("engine, changed keys once a round", || engine.run(&input))
        .arm("two workers in turn", || two.run(&input))
        .arm("676 keys: two workers in turn", || few.run(&input))
        .arm("676 keys: sums, every row sent", || few_sending.run(&input))
        .arm("676 keys: sums, partial values", || few_folding.run(&input))
        .arm("engine, every update written", || every.run(&input))
        .arm("only finding the words", || only_words(&input))
        .run();
    println!("{table}");
    println!(
        "state: {:?}; records written by hand {}, by the engine {} and {}",
        engine.task.state_size(engine.keyed),
        std_map.out.written,
        engine.out.written,
        every.out.written
    );
}

/// As the shared benchmark's: lines of 8 to 12 words of 3 to 8 letters, the first one capitalised.
fn input() -> (Vec<Batch>, u64) {
    let mut random = SplitMix64::new(2);
    let vocabulary: Vec<String> = (0..VOCABULARY)
        .map(|_| {
            (0..3 + random.below(6))
                .map(|_| char::from(b'a' + random.below(26) as u8))
                .collect()
        })
        .collect();
    let zipf = Zipf::new(VOCABULARY, 1.0);
    let (mut line, mut count, mut out) = (String::new(), 0, Vec::new());
    let mut builder = BatchBuilder::new(Compression::NONE, 1 << 17);
    for at in 0..LINES {
        line.clear();
        for i in 0..8 + random.below(5) {
            count += 1;
            let word = &vocabulary[zipf.draw(&mut random)];
            if i == 0 {
                line.push(char::from(word.as_bytes()[0]).to_ascii_uppercase());
                line.push_str(&word[1..]);
            } else {
                line.push(' ');
                line.push_str(word);
            }
        }
        builder
            .append(at as i64, None, Some(line.as_bytes()), &[])
            .unwrap();
        if (at + 1) % LINES_PER_BATCH == 0 {
            out.push(Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap());
        }
    }
    (out, count)
}

/// Where all arms write: produce batches, finished with their checksum.
struct Out {
    builder: BatchBuilder,
    written: u64,
}

impl Default for Out {
    fn default() -> Self {
        Self {
            builder: BatchBuilder::new(Compression::NONE, 1 << 17).with_limit(1 << 17),
            written: 0,
        }
    }
}

impl Out {
    fn write(&mut self, timestamp: i64, key: &[u8], count: u64) {
        let value = count.to_be_bytes();
        if self
            .builder
            .append(timestamp, Some(key), Some(&value), &[])
            .is_err()
        {
            self.flush();
            self.builder
                .append(timestamp, Some(key), Some(&value), &[])
                .unwrap();
        }
        self.written += 1;
    }

    fn flush(&mut self) {
        let bytes = self.builder.finish(Stamp::NONE).unwrap();
        self.builder.recycle(black_box(bytes));
    }
}

fn each_word(input: &[Batch], mut f: impl FnMut(i64, &str)) -> u64 {
    let (mut scratch, mut count) = (Bump::new(), 0);
    for batch in input {
        scratch.reset();
        for record in batch.records(batch.body()) {
            let record = record.unwrap();
            let line = str::from_utf8(record.value.unwrap()).unwrap();
            for word in words(line, &scratch) {
                f(record.timestamp, word);
                count += 1;
            }
        }
    }
    count
}

fn only_words(input: &[Batch]) -> u64 {
    let mut bytes = 0;
    let count = each_word(input, |_, word| bytes += word.len());
    black_box(bytes);
    count
}

/// What one would take from crates.io: FxHash, eight bytes at a time.
#[derive(Default)]
struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        if let Some((head, tail)) = rest.split_first_chunk::<4>() {
            self.add(u64::from(u32::from_le_bytes(*head)));
            tail.iter().for_each(|b| self.add(u64::from(*b)));
        } else {
            rest.iter().for_each(|b| self.add(u64::from(*b)));
        }
    }
    fn write_u8(&mut self, _: u8) {}
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Fast {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

struct Counted {
    count: u64,
    timestamp: i64,
    round: u64,
}

#[derive(Default)]
struct StdMap {
    counts: HashMap<Box<str>, Counted, BuildHasherDefault<Fast>>,
    round: u64,
    out: Out,
}

impl StdMap {
    fn run(&mut self, input: &[Batch]) -> u64 {
        self.round += 1;
        let (counts, round) = (&mut self.counts, self.round);
        let words = each_word(input, |timestamp, word| match counts.get_mut(word) {
            Some(counted) => {
                counted.count += 1;
                counted.timestamp = timestamp;
                counted.round = round;
            }
            None => {
                let counted = Counted {
                    count: 1,
                    timestamp,
                    round,
                };
                counts.insert(word.into(), counted);
            }
        });
        for (word, counted) in &self.counts {
            if counted.round == round {
                self.out
                    .write(counted.timestamp, word.as_bytes(), counted.count);
            }
        }
        self.out.flush();
        words
    }
}

struct OwnTable {
    table: Table<u64>,
    out: Out,
}

impl OwnTable {
    fn new() -> Self {
        Self {
            table: Table::new(KeyGroups::new(7, 16), 0),
            out: Out::default(),
        }
    }

    fn run(&mut self, input: &[Batch]) -> u64 {
        let words = each_word(input, |timestamp, word| {
            self.table.update(word.as_bytes(), timestamp, |n| *n += 1);
        });
        for group in 0..16 {
            self.table
                .each(group, |key, count| self.out.write(0, key, *count));
        }
        self.out.flush();
        words
    }
}

fn wordcount(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| words(line, s.scratch()))
        .key_by(|w| w)
        .count()
        .sink("counts");
}

/// Counts by the first two letters.
fn few_keys(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| words(line, s.scratch()))
        .key_by(|w| &w[..2])
        .count()
        .sink("counts");
}

/// The same as sums, whose rows are folded before they are sent.
fn few_sums(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| words(line, s.scratch()))
        .key_by(|w| &w[..2])
        .sum(|_| 1u64)
        .sink("counts");
}

fn every_update(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| words(line, s.scratch()))
        .key_by(|w| w)
        .count()
        .emit_every_update()
        .sink("counts");
}

/// What the runtime does with a task, on one thread and without a broker.
struct Engine {
    task: Task,
    keyed: usize,
    sink: usize,
    rows: Rows,
    out: Out,
}

/// Two workers that take turns on one thread: what both of them cost together, without the queues between them.
struct Two([Engine; 2]);

/// As the runtime sends them.
const PARCEL_BYTES: usize = 32 << 10;

impl Two {
    fn new(plan: fn(Scope<'_>), limits: Limits) -> Self {
        Self([0, 1].map(|me| {
            let config = TaskConfig {
                workers: 2,
                me,
                limits,
                ..TaskConfig::single(7)
            };
            Engine::with(plan, &config)
        }))
    }

    fn exchange(&mut self, from: usize, least: usize) {
        for to in 0..2 {
            let mut rows = std::mem::take(&mut self.0[to].rows);
            self.0[from].task.outgoing(|_, worker, out| {
                if usize::from(worker) == to && out.size_bytes() >= least {
                    std::mem::swap(out, &mut rows);
                }
            });
            if !rows.is_empty() {
                let (operator, port) = (self.0[to].keyed, Port::Sent);
                self.0[to].call(Input::Rows {
                    operator,
                    port,
                    rows: &rows,
                });
                rows.clear();
            }
            self.0[to].rows = rows;
        }
    }

    fn records(&self) -> u64 {
        let of = |e: &Engine| e.task.counters(e.keyed).records;
        self.0.iter().map(of).sum()
    }

    fn run(&mut self, input: &[Batch]) -> u64 {
        let before = self.records();
        for (n, batch) in input.iter().enumerate() {
            let frame = Frame::new(InputPartition::single(0), batch, batch.body(), 0);
            let input = Input::Frame { source: 0, frame };
            let mut from = Some(Position::START);
            while let Some(at) = from {
                from = self.0[n % 2].task.call(input, at).unwrap();
                self.exchange(n % 2, PARCEL_BYTES);
            }
        }
        for from in 0..2 {
            self.0[from].task.send_partials();
            self.exchange(from, 1);
        }
        self.0.iter_mut().for_each(Engine::commit);
        self.records() - before
    }
}

impl Engine {
    fn new(plan: fn(Scope<'_>)) -> Self {
        Self::with(plan, &TaskConfig::single(7))
    }

    fn with(plan: fn(Scope<'_>), config: &TaskConfig) -> Self {
        let app = App::new("wordcount", plan).unwrap();
        let mut task = Task::new(&app, config).unwrap();
        let keyed = app.graph().keyed().next().unwrap().0;
        let sink = app.graph().sinks().next().unwrap().0;
        task.configure_sink(sink, OutboxConfig::default());
        Self {
            task,
            keyed,
            sink,
            rows: Rows::new(),
            out: Out::default(),
        }
    }

    fn call(&mut self, input: Input<'_>) {
        let mut from = Some(Position::START);
        while let Some(at) = from {
            from = self.task.call(input, at).unwrap();
            self.write(false);
            if !matches!(input, Input::Rows { .. }) {
                self.bring_rows();
            }
        }
    }

    fn bring_rows(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        self.task
            .outgoing(|_, _, out| std::mem::swap(out, &mut rows));
        if !rows.is_empty() {
            let (operator, port) = (self.keyed, Port::Sent);
            self.call(Input::Rows {
                operator,
                port,
                rows: &rows,
            });
            rows.clear();
        }
        self.rows = rows;
    }

    fn write(&mut self, all: bool) {
        let outbox = self.task.outbox(self.sink);
        let mut done = Vec::new();
        let mut finish = |mut builder: BatchBuilder| {
            self.out.written += u64::from(builder.record_count());
            let bytes = builder.finish(Stamp::NONE).unwrap();
            builder.recycle(black_box(bytes));
            done.push(builder);
        };
        if all {
            outbox.take_all().for_each(|(_, b)| finish(b));
        } else {
            outbox.take_full().for_each(|(_, b)| finish(b));
        }
        done.into_iter().for_each(|b| outbox.lend(b));
    }

    fn run(&mut self, input: &[Batch]) -> u64 {
        let before = self.task.counters(self.keyed).records;
        for batch in input {
            let frame = Frame::new(InputPartition::single(0), batch, batch.body(), 0);
            self.call(Input::Frame { source: 0, frame });
        }
        self.commit();
        self.task.counters(self.keyed).records - before
    }

    fn commit(&mut self) {
        let emit = self.task.graph().nodes()[self.keyed].emit;
        let mut rows = std::mem::take(&mut self.rows);
        for group in 0..16 {
            let mut is_more = true;
            while is_more {
                is_more = self
                    .task
                    .drain_changed(self.keyed, group, &mut rows, 64 << 10);
                if emit == Emit::ChangedKeys {
                    let (operator, port) = (self.keyed, Port::Fired);
                    self.call(Input::Rows {
                        operator,
                        port,
                        rows: &rows,
                    });
                }
                rows.clear();
            }
        }
        self.rows = rows;
        self.write(true);
    }
}
