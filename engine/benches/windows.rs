//! A windowed count (tumbling, 10 s of event time, rows up to 1 s out of order) through the engine against loops written by hand for this
//! one purpose, over the same fetched batches.
//!
//! By hand is what one would write first and best: a `HashMap` with a fast hash for each open window, the window of the last row at hand,
//! and a watermark looked at after each batch. Both give out each window's counts to a function when it closes.
//!
//! Beside it: 100 keys among two workers in turn on one thread, with rows for the other worker sent one by one and folded before (the driver
//! brings everything on its way after each batch, so what is folded are 1,000 rows at most); and JSON readings of so many sensors as one of
//! two workers has in the shared benchmark's workload c, without commits.
//! Run: `cargo bench -p engine --bench windows [-- ROUNDS]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use engine::{
    flow::{Limits, Scope},
    plan::App,
    testing::Driver,
    windows::{Hopping, Tumbling},
};
use kafka_proto::records::{Batch, BatchBuilder, Compression, Stamp};
use test_support::{
    alloc::CountingAllocator,
    measure::Paired,
    random::{SplitMix64, Zipf},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const RECORDS: usize = 2_000_000;
const RECORDS_PER_BATCH: usize = 2_000;
const USERS: usize = 10_000;
/// Event time goes on by so much with each record: a window holds 500,000 of them.
const STEP_US: u64 = 20;
const WINDOW_MS: i64 = 10_000;
const DISORDER_MS: i64 = 1_000;

/// When, and who: what a record of 60 bytes says.
#[inline]
fn decode(value: &[u8]) -> Result<(i64, &str), &'static str> {
    let (ts, rest) = value.split_first_chunk::<8>().ok_or("too short")?;
    let user = str::from_utf8(rest.get(..12).ok_or("too short")?).map_err(|_| "not UTF-8")?;
    Ok((i64::from_be_bytes(*ts), user))
}

/// The records of one round, which begin at `start_ms`.
fn input(start_ms: i64) -> Vec<Batch> {
    let (mut random, zipf) = (SplitMix64::new(5), Zipf::new(USERS, 1.0));
    let mut builder = BatchBuilder::new(Compression::NONE, 1 << 17);
    let mut out = Vec::new();
    for at in 0..RECORDS {
        let late = random.below(DISORDER_MS as u64) as i64;
        let ts = start_ms + (at as u64 * STEP_US / 1000) as i64 - late;
        let mut value = ts.to_be_bytes().to_vec();
        value.extend_from_slice(format!("user-{:07}", zipf.draw(&mut random)).as_bytes());
        value.resize(60, b'x');
        builder.append(ts, None, Some(&value), &[]).unwrap();
        if (at + 1) % RECORDS_PER_BATCH == 0 {
            out.push(Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap());
        }
    }
    out
}

const FEW: usize = 100;

/// Averages of 100 keys in windows of 10 s, one for each second.
fn few_keys(s: Scope<'_>) {
    s.source("in")
        .decode(|value: &[u8]| {
            let (ts, user) = decode(value)?;
            let user = user.as_bytes();
            let number = user[5..]
                .iter()
                .fold(0, |n, b| n * 10 + usize::from(b - b'0'));
            Ok::<_, &str>((ts, (number % FEW) as u32))
        })
        .with_timestamps(|r| r.0, Duration::from_millis(DISORDER_MS as u64))
        .key_by(|r| r.1)
        .window(Hopping::of(
            Duration::from_millis(WINDOW_MS as u64),
            Duration::from_secs(1),
        ))
        .average(|r| r.0)
        .for_each(|row| {
            black_box(row);
        });
}

/// Feeds each partition to its worker in turn.
fn two_workers(driver: &mut Driver, input: &[Batch]) -> u64 {
    for (n, batch) in input.iter().enumerate() {
        driver.feed_batch("in", n as i32 % 2, batch).unwrap();
    }
    RECORDS as u64
}

const SENSORS: u64 = 50_000;
const SENSORS_DISORDER_MS: u64 = 5_000;

/// The records of one round, which begin at `start_ms`.
fn readings(start_ms: i64) -> Vec<Batch> {
    let mut random = SplitMix64::new(7);
    let mut builder = BatchBuilder::new(Compression::NONE, 1 << 17);
    let mut out = Vec::new();
    for at in 0..RECORDS {
        let ts = start_ms + (at as u64 * SENSORS_STEP_US / 1000) as i64;
        let value = format!(
            "{{\"sensor\":\"s-{}\",\"ts\":{},\"temp\":{}.{}}}",
            random.below(SENSORS),
            ts - random.below(SENSORS_DISORDER_MS) as i64,
            10 + random.below(20),
            random.next_u64() >> 20
        );
        builder
            .append(ts, None, Some(value.as_bytes()), &[])
            .unwrap();
        if (at + 1) % RECORDS_PER_BATCH == 0 {
            out.push(Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap());
        }
    }
    out
}

/// A window holds 250,000 readings.
const SENSORS_STEP_US: u64 = 40;

fn count_readings(s: Scope<'_>) {
    s.source("in")
        .json_fields::<(&str, i64, f64)>(["sensor", "ts", "temp"])
        .with_timestamps(|(_, ts, _)| *ts, Duration::from_millis(SENSORS_DISORDER_MS))
        .key_by(|(sensor, _, _)| sensor)
        .window(Tumbling::of(Duration::from_millis(WINDOW_MS as u64)))
        .count()
        .for_each(|row| {
            black_box(row);
        });
}

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(7);
    // Event time never goes back: each round goes on behind the last.
    let span = (RECORDS as u64 * STEP_US / 1000) as i64;
    let inputs: Vec<Vec<Batch>> = (0..=rounds as i64)
        .map(|r| input(100_000 + r * span))
        .collect();
    let counted = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&counted);
    let mut engine = Driver::new(move |s| {
        s.source("in")
            .decode(decode)
            .with_timestamps(|r| r.0, Duration::from_millis(DISORDER_MS as u64))
            .key_by(|r| r.1)
            .window(Tumbling::of(Duration::from_millis(WINDOW_MS as u64)))
            .count()
            .for_each(|(user, _, n)| {
                black_box(user);
                sum.fetch_add(n, Ordering::Relaxed);
            });
    });
    let (mut hand, mut rounds_done) = (Hand::default(), [0; 5]);
    let [by_hand, by_engine, by_sending, by_folding, by_json] = &mut rounds_done;
    let sends = Limits {
        partials: 0,
        ..Limits::default()
    };
    let app = |plan: fn(Scope<'_>)| App::new("windows", plan).unwrap();
    let mut sending = Driver::of(app(few_keys), 2, sends).unwrap();
    let mut folding = Driver::of(app(few_keys), 2, Limits::default()).unwrap();
    let mut json = Driver::of(app(count_readings), 1, Limits::default()).unwrap();
    let json_span = (RECORDS as u64 * SENSORS_STEP_US / 1000) as i64;
    let json_inputs: Vec<Vec<Batch>> = (0..=rounds as i64)
        .map(|r| readings(100_000 + r * json_span))
        .collect();
    let table = Paired::new("count by key in windows of 10 s, per record", rounds)
        .arm(
            "by hand: std HashMap, fast hash, a map for each window",
            || {
                *by_hand += 1;
                hand.run(&inputs[*by_hand - 1])
            },
        )
        .arm("engine", || {
            *by_engine += 1;
            for batch in &inputs[*by_engine - 1] {
                engine.feed_batch("in", 0, batch).unwrap();
            }
            RECORDS as u64
        })
        .arm("only decoding", || only_decoding(&inputs[0]))
        .arm("100 keys: two workers, every row sent", || {
            *by_sending += 1;
            two_workers(&mut sending, &inputs[*by_sending - 1])
        })
        .arm("100 keys: two workers, folded before", || {
            *by_folding += 1;
            two_workers(&mut folding, &inputs[*by_folding - 1])
        })
        .arm("JSON readings of 50,000 sensors", || {
            *by_json += 1;
            for batch in &json_inputs[*by_json - 1] {
                json.feed_batch("in", 0, batch).unwrap();
            }
            RECORDS as u64
        })
        .run();
    println!("{table}");
    assert_eq!(
        counted.load(Ordering::Relaxed),
        hand.given_out,
        "both have given out the same windows"
    );
    println!(
        "rows that crossed: {} sent, {} folded",
        sending.rows_exchanged("window-1"),
        folding.rows_exchanged("window-1")
    );
    println!(
        "windows closed: {}; counts given out by each: {}",
        hand.closed, hand.given_out
    );
}

fn only_decoding(input: &[Batch]) -> u64 {
    for batch in input {
        for record in batch.records(batch.body()) {
            black_box(decode(record.unwrap().value.unwrap()).unwrap());
        }
    }
    RECORDS as u64
}

type Counts = HashMap<Box<str>, u64, BuildHasherDefault<Fast>>;

#[derive(Default)]
struct Hand {
    open: BTreeMap<i64, Counts>,
    greatest: i64,
    closed: u64,
    given_out: u64,
}

impl Hand {
    fn run(&mut self, input: &[Batch]) -> u64 {
        for batch in input {
            let (mut start, mut counts) = (i64::MIN, Counts::default());
            for record in batch.records(batch.body()) {
                let (ts, user) = decode(record.unwrap().value.unwrap()).unwrap();
                self.greatest = self.greatest.max(ts);
                let window = ts.div_euclid(WINDOW_MS) * WINDOW_MS;
                if window != start {
                    if start != i64::MIN {
                        self.open.insert(start, counts);
                    }
                    (start, counts) = (window, self.open.remove(&window).unwrap_or_default());
                }
                match counts.get_mut(user) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(user.into(), 1);
                    }
                }
            }
            self.open.insert(start, counts);
            let watermark = self.greatest - DISORDER_MS - 1;
            while let Some(first) = self.open.first_entry()
                && first.key() + WINDOW_MS - 1 <= watermark
            {
                self.closed += 1;
                for (user, count) in first.remove() {
                    black_box(user);
                    self.given_out += count;
                }
            }
        }
        RECORDS as u64
    }
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
