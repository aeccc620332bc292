//! Behaviour 51: rows of a key by (timestamp, partition, offset), so that folds which depend on the order give the same result on every
//! run, whatever the reading order of partitions, the cuts of batches and the number of workers; also after a restart in the middle.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use engine::{
    flow::{Limits, Pipe, Scope, Stream},
    operators::Event,
    plan::App,
    testing::{Driver, InRecord},
    windows::Tumbling,
};
use test_support::random::SplitMix64;

const BOUND: u64 = 20;
const PARTITIONS: usize = 3;
const WINDOW: i64 = 16;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A record of the input: two rows for keys of one letter.
#[derive(Clone, Debug)]
struct In {
    time: i64,
    text: String,
}

/// What each partition holds: few different times, never more than the bound out of order.
fn input(random: &mut SplitMix64) -> Vec<Vec<In>> {
    let partition = |p: usize, random: &mut SplitMix64| {
        let mut base = -30;
        let record = |offset: u64, random: &mut SplitMix64| {
            base += 4 * random.below(2) as i64;
            let time = base + 4 * random.below(BOUND / 4 + 1) as i64;
            let key = ["a", "b", "c"][random.below(3) as usize];
            let text = format!("{time} {key} {p}.{offset}");
            In { time, text }
        };
        let mut record = record;
        (0..40).map(|offset| record(offset, random)).collect()
    };
    (0..PARTITIONS).map(|p| partition(p, random)).collect()
}

/// A row: time, key, where it comes from.
type Row<'b> = (i64, &'b str, String);

fn rows(s: Scope<'_>) -> Stream<'_, Row<'_>, impl Pipe<Row<'_>>> {
    s.source("in")
        .utf8()
        .try_map(|line| {
            let mut parts = line.splitn(3, ' ');
            let time = parts.next().and_then(|t| t.parse().ok()).ok_or("a time")?;
            let key = parts.next().ok_or("a key")?;
            Ok::<Row<'_>, &str>((time, key, parts.next().ok_or("a text")?.to_owned()))
        })
        .with_timestamps(|r| r.0, ms(BOUND))
}

fn plan(s: Scope<'_>) {
    let rows = rows(s).share();
    // Two rows of each record, by two ways.
    let text = |nth: &'static str| {
        move |(_, key, text): Row<'_>| (key.to_owned(), format!("{text}{nth} "))
    };
    rows.clone()
        .map(text("x"))
        .union(rows.clone().map(text("y")))
        .key_by(|r| r.0.clone())
        .in_order()
        .reduce(|all, row| (all.0, all.1 + &row.1))
        .map(|(key, (_, all))| (key, all))
        .sink("reduced");
    rows.clone()
        .key_by(|r| r.1)
        .in_order()
        .process(0u64, |cx, key, event, out| match event {
            Event::Row((time, _, text)) => {
                *cx.state += 1;
                cx.timer_at(time + 6);
                if *cx.state % 5 == 0 {
                    // In the past: it comes next.
                    cx.timer_at(time - 3);
                }
                out.push((key, format!("{text}@{} ", cx.watermark())));
            }
            Event::Timer(at) => {
                if at % 3 == 0 {
                    cx.timer_at(at + 1);
                }
                out.push((key, format!("T{at}@{}#{} ", cx.watermark(), cx.state)));
            }
            Event::WallTimer(_) => {}
        })
        .sink("processed");
    rows.clone()
        .key_by(|r| (r.1, r.0))
        .in_order()
        .deduplicate()
        .map(|(time, key, text)| (format!("{key}{time}"), text))
        .sink("first");
    rows.clone()
        .key_by(|r| r.1)
        .in_order()
        .window(Tumbling::of(ms(WINDOW as u64)))
        .aggregate_merging(
            String::new(),
            |all, r| *all += &r.2,
            |all, more| *all += &more,
        )
        .map(|(key, window, all)| (format!("{key}{}", window.start), all))
        .sink("windowed");
    rows.clone()
        .key_by(|r| r.1)
        .in_order()
        .top_n(4, |r| (r.0 / 20, r.2.clone()))
        .map(|(key, best)| {
            let names: Vec<String> = best.into_iter().map(|(_, name)| name).collect();
            (key, names.join(" "))
        })
        .sink("top");
    // Behind another keyed operator the bytes of rows decide.
    rows.key_by(|r| r.1)
        .window(Tumbling::of(ms(WINDOW as u64)))
        .count()
        .map(|(key, _, n)| format!("{key}{n} "))
        .key_by(|_| "all")
        .in_order()
        .reduce(|all, text| all + &text)
        .sink("counted");
}

type Outputs = BTreeMap<String, BTreeMap<String, String>>;

const SINKS: [&str; 6] = [
    "reduced",
    "processed",
    "first",
    "windowed",
    "top",
    "counted",
];

/// Runs the plan over the input, cut and mixed by `random`, now and then with a restart.
fn run(input: &[Vec<In>], workers: u16, random: &mut SplitMix64) -> Outputs {
    let limits = Limits {
        records: 1 + random.below(20) as u32,
        rows_bytes: 1 + random.below(500) as usize,
        ..Limits::default()
    };
    let app = App::new("test", plan).unwrap();
    let mut driver = Driver::of(app, workers, limits).unwrap();
    let mut outputs = Outputs::new();
    let mut at = vec![0; input.len()];
    let begin = |driver: &mut Driver| (0..PARTITIONS).for_each(|p| driver.assign("in", p as i32));
    begin(&mut driver);
    let mut restarts = 2;
    loop {
        let left: Vec<usize> = (0..input.len())
            .filter(|p| at[*p] < input[*p].len())
            .collect();
        if left.is_empty() {
            break;
        }
        let p = left[random.below(left.len() as u64) as usize];
        let to = (at[p] + 1 + random.below(12) as usize).min(input[p].len());
        let records: Vec<InRecord<'_>> = input[p][at[p]..to]
            .iter()
            .map(|r| InRecord {
                value: Some(r.text.as_bytes()),
                ..InRecord::default()
            })
            .collect();
        driver.feed_records("in", p as i32, &records);
        at[p] = to;
        if random.chance(0.3) {
            driver.commit();
            take(&mut driver, &mut outputs);
            if restarts > 0 && random.chance(0.3) {
                restarts -= 1;
                driver = driver.restarted(1 + random.below(4) as u16);
                begin(&mut driver);
            }
        }
    }
    driver.finish();
    take(&mut driver, &mut outputs);
    for (id, of) in [("in_order-1", 2), ("in_order-2", 1)] {
        assert_eq!(driver.counters(id).late, 0, "{id}, {of}");
    }
    outputs
}

/// The last value of each key; of the process function all of them, one behind the other.
fn take(driver: &mut Driver, outputs: &mut Outputs) {
    for sink in SINKS {
        let of = outputs.entry(sink.to_owned()).or_default();
        for record in driver.read(sink) {
            let value = record.value_str().unwrap();
            let kept = of.entry(record.key_str().unwrap().to_owned()).or_default();
            if sink != "processed" {
                kept.clear();
            }
            kept.push_str(value);
        }
    }
}

/// The same by sorting, without any engine.
fn truth(input: &[Vec<In>]) -> Outputs {
    // (time, partition, offset), key, text.
    let mut all: Vec<((i64, usize, usize), String, String)> = Vec::new();
    for (p, records) in input.iter().enumerate() {
        for (offset, record) in records.iter().enumerate() {
            let mut parts = record.text.splitn(3, ' ').skip(1).map(str::to_owned);
            let (key, text) = (parts.next().unwrap(), parts.next().unwrap());
            all.push(((record.time, p, offset), key, text));
        }
    }
    all.sort();
    let mut outputs: Outputs = SINKS
        .iter()
        .map(|s| ((*s).to_owned(), BTreeMap::new()))
        .collect();
    let mut add = |sink: &str, key: String, text: String| {
        let of = outputs.get_mut(sink).unwrap();
        of.entry(key).or_default().push_str(&text);
    };
    let mut seen = BTreeSet::new();
    let mut counts: BTreeMap<(i64, String), u64> = BTreeMap::new();
    for ((time, ..), key, text) in &all {
        add("reduced", key.clone(), format!("{text}x {text}y "));
        let window = time.div_euclid(WINDOW) * WINDOW;
        add("windowed", format!("{key}{window}"), text.clone());
        *counts.entry((window, key.clone())).or_default() += 1;
        if seen.insert((key, time)) {
            add("first", format!("{key}{time}"), text.clone());
        }
    }
    let mut counts: Vec<(i64, String)> = counts
        .into_iter()
        .map(|((window, key), n)| (window, format!("{key}{n} ")))
        .collect();
    counts.sort();
    for (_, text) in counts {
        add("counted", "all".to_owned(), text);
    }
    for key in ["a", "b", "c"] {
        let mine: Vec<_> = all.iter().filter(|(_, k, _)| k == key).collect();
        let (mut timers, mut seen) = (BTreeSet::new(), 0u64);
        // At the end of time what a timer sets fires before those that were set already, and not after them.
        let fire = |timers: &mut BTreeSet<i64>, before: i64, seen: u64| {
            let mut text = String::new();
            let last = timers.last().copied().unwrap_or(before);
            while let Some(at) = timers.first().copied().filter(|at| *at < before) {
                timers.remove(&at);
                if at % 3 == 0 && (before != i64::MAX || at + 1 < last) {
                    timers.insert(at + 1);
                }
                text += &format!("T{at}@{at}#{seen} ");
            }
            text
        };
        let mut text = String::new();
        for ((time, ..), _, name) in &mine {
            text += &fire(&mut timers, *time, seen);
            seen += 1;
            timers.insert(time + 6);
            if seen % 5 == 0 {
                timers.insert(time - 3);
            }
            text += &format!("{name}@{} ", time - 1);
        }
        text += &fire(&mut timers, i64::MAX, seen);
        add("processed", key.to_owned(), text);
        let mut best = mine;
        // Stable: of equal ones the first.
        best.sort_by_key(|((time, ..), ..)| -(time / 20));
        let names: Vec<&str> = best
            .iter()
            .take(4)
            .map(|(.., name)| name.as_str())
            .collect();
        add("top", key.to_owned(), names.join(" "));
    }
    outputs
}

#[test]
fn folds_that_depend_on_order_give_the_same_however_the_input_was_read() {
    for seed in 0..25 {
        let mut random = SplitMix64::new(seed);
        let input = input(&mut random);
        let truth = truth(&input);
        for workers in [1, 2, 4] {
            let outputs = run(&input, workers, &mut random);
            for sink in SINKS {
                assert_eq!(
                    outputs[sink], truth[sink],
                    "{sink}, seed {seed}, {workers} workers"
                );
            }
        }
    }
}

#[cfg(feature = "fjall")]
#[test]
fn held_rows_are_on_disk_where_the_keyed_stream_says_so() {
    use engine::state::Store;
    let texts = |store: Store| {
        move |s: Scope<'_>| {
            rows(s)
                .key_by(|r| r.1)
                .state_store(store)
                .in_order()
                .state_store(Store::Memory)
                .aggregate(0u64, |hash, (time, _, text)| {
                    // Depends on the order.
                    *hash = hash.wrapping_mul(31).wrapping_add(time as u64);
                    *hash = text
                        .bytes()
                        .fold(*hash, |h, b| h.wrapping_mul(31) ^ u64::from(b));
                })
                .map(|(key, hash)| (key, format!("{hash}")))
                .sink("out");
        }
    };
    let disk = match Store::disk() {
        Store::Disk { .. } => Store::Disk {
            cache_bytes: 64 << 10,
        },
        memory => memory,
    };
    let mut sums = Vec::new();
    for store in [Store::Memory, disk] {
        let mut driver = Driver::with_workers(2, texts(store));
        driver.assign("in", 1);
        let padding = "x".repeat(200);
        for batch in 0..10 {
            let lines: Vec<String> = (0..400)
                .map(|n| format!("{} k{} {batch}.{n} {padding}", n * 37 % 20, n % 40))
                .collect();
            let records: Vec<InRecord<'_>> = lines
                .iter()
                .map(|line| InRecord {
                    value: Some(line.as_bytes()),
                    ..InRecord::default()
                })
                .collect();
            driver.feed_records("in", 0, &records);
            if batch % 3 == 0 {
                driver.commit();
            }
            if batch == 6 {
                driver = driver.restarted(2);
                driver.assign("in", 1);
            }
        }
        let size = driver.state_size("in_order-1");
        assert_eq!(size.keys, 4000);
        let is_small = size.bytes < 500 << 10;
        assert_eq!(is_small, store != Store::Memory, "{} bytes", size.bytes);
        driver.finish();
        let of = |r: engine::testing::OutRecord| (r.key.clone(), r.value_str().unwrap().to_owned());
        sums.push(
            driver
                .read("out")
                .into_iter()
                .map(of)
                .collect::<BTreeMap<_, _>>(),
        );
    }
    assert!(sums[0].len() == 40 && sums[0] == sums[1]);
}
