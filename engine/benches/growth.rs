//! How the cost of each operator grows: the same work at N, 4 N and 16 N rows, keys, open windows,
//! timers of one key and bad records. 16 times the size should cost at most 22 times as much; what
//! costs more is marked; the reasons stand in DESIGN.md.
//!
//! Costs are instructions where `perf stat` or valgrind can count them, without those of the same
//! work at a hundredth of the smallest size; else the CPU seconds of the thread, the least of three
//! runs. Run: `cargo bench -p engine --bench growth [-- PART-OF-A-NAME]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::{hint::black_box, process::Command, time::Duration};

use engine::{
    flow::{Pipe, Scope, Stream},
    operators::Event,
    testing::{Driver, InRecord},
    windows::{Hopping, Session, Sliding, Tumbling},
};
use test_support::cpu;

/// The most that 16 times the size may cost.
const MOST: f64 = 22.0;
/// Rows of a batch.
const BATCH: usize = 1000;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Key, time and number: 24 bytes.
type Row = (u64, i64, i64);

/// Reads rows; event time is what they say, and nothing is late that is not by more than a day.
fn rows<'b>(s: Scope<'b>) -> Stream<'b, Row, impl Pipe<Row>> {
    s.source("in").decode(|bytes: &[u8]| {
        let (words, _) = bytes.as_chunks::<8>();
        let [key, time, number] = *words else {
            return Err("three words");
        };
        let [key, time, number] = [key, time, number].map(u64::from_be_bytes);
        Ok((key, time as i64, number as i64))
    })
}

fn timed<'b>(s: Scope<'b>) -> Stream<'b, Row, impl Pipe<Row>> {
    rows(s).with_timestamps(|r| r.1, Duration::ZERO)
}

/// Feeds rows in batches, with a commit after every tenth, and ends. Changelogs are written and not
/// kept: a driver's own copy of them would be most of what is measured.
fn feed(driver: &mut Driver, rows: impl Iterator<Item = Row>) {
    driver.forget_changelogs();
    let mut bytes: Vec<[u8; 24]> = Vec::with_capacity(BATCH);
    let mut batches = 0;
    let mut send = |bytes: &mut Vec<[u8; 24]>| {
        driver.feed("in", bytes.iter());
        bytes.clear();
        batches += 1;
        if batches % 10 == 0 {
            driver.commit();
        }
    };
    for (key, time, number) in rows {
        let mut row = [0; 24];
        row[..8].copy_from_slice(&key.to_be_bytes());
        row[8..16].copy_from_slice(&time.to_be_bytes());
        row[16..].copy_from_slice(&number.to_be_bytes());
        bytes.push(row);
        if bytes.len() == BATCH {
            send(&mut bytes);
        }
    }
    send(&mut bytes);
    driver.finish();
}

/// So many rows of 1,000 keys, a millisecond apart.
fn few_keys(n: usize) -> impl Iterator<Item = Row> {
    (0..n as u64).map(|i| (i.wrapping_mul(7919) % 1000, i as i64, (i % 97) as i64))
}

/// So many keys with two rows each, all at the same time.
fn many_keys(n: usize) -> impl Iterator<Item = Row> {
    let n = n as u64;
    (0..2 * n).map(move |i| (i.wrapping_mul(0x9e37_79b1) % n.max(1), 5, (i % 97) as i64))
}

/// Ten keys, a row each in so many seconds.
fn seconds(n: usize) -> impl Iterator<Item = Row> {
    (0..10 * n as u64).map(|i| (i % 10, (i / 10) as i64 * 1000, 1))
}

/// One key, so many times, those in the middle first.
fn one_key(n: usize) -> impl Iterator<Item = Row> {
    let n = n as i64;
    let other = move |i: i64| if i % 2 == 0 { n + i } else { n - i };
    (0..n).map(move |i| (7, i, other(i)))
}

/// A kind of work, and how large it is made.
struct Case {
    name: &'static str,
    smallest: usize,
    run: fn(usize),
}

macro_rules! cases {
    ($($name:literal, $smallest:literal, $input:ident, $plan:expr;)*) => {
        vec![$(Case {
            name: $name,
            smallest: $smallest,
            run: |n| {
                let mut driver = Driver::new($plan);
                feed(&mut driver, $input(n));
            },
        }),*]
    };
}

/// Ends a stream.
macro_rules! end {
    ($stream:expr) => {
        $stream.for_each(|row| {
            black_box(row);
        })
    };
}

fn timers(s: Scope<'_>, deletes: bool) {
    let keyed = timed(s).key_by(|r| r.0);
    let out = keyed.process(0i64, move |cx, key, event, out| match event {
        Event::Row(row) => {
            if deletes {
                cx.delete_timer(*cx.state);
            }
            *cx.state = (1 << 40) + row.2;
            cx.timer_at(*cx.state);
        }
        Event::Timer(at) => out.push((key, at)),
        Event::WallTimer(_) => {}
    });
    end!(out);
}

fn late_by_a_day(s: Scope<'_>, width: u64) {
    let keyed = timed(s).key_by(|r| r.0);
    let windows = keyed.window(Hopping::of(ms(width), ms(1000)));
    end!(windows.allowed_lateness(ms(1 << 40)).count());
}

fn cases() -> Vec<Case> {
    let mut cases = cases![
        "rows: map, filter", 62_500, few_keys, |s| end!(rows(s).filter(|r| r.2 > 5).map(|r| r.2));
        "rows: count", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).count());
        "rows: sum", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).sum(|r| r.2));
        "rows: average", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).average(|r| r.2));
        "rows: max", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).max(|r| r.2));
        "rows: top_n", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).top_n(10, |r| (r.2, r.1)));
        "rows: aggregate", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).aggregate(0, |n, r| *n ^= r.2));
        "rows: reduce", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).reduce(std::cmp::max));
        "rows: deduplicate", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).deduplicate());
        "rows: process", 62_500, few_keys, |s| end!(rows(s).key_by(|r| r.0).process(0u64, |cx, key, _, out| {
            *cx.state += 1;
            out.push((key, *cx.state));
        }));
        "rows: in_order", 62_500, few_keys, |s| end!(timed(s).key_by(|r| r.0).in_order().reduce(std::cmp::max));
        "rows: tumbling", 62_500, few_keys, |s| end!(timed(s).key_by(|r| r.0).window(Tumbling::of(ms(1000))).sum(|r| r.2));
        "rows: hopping", 62_500, few_keys, |s| end!(timed(s).key_by(|r| r.0).window(Hopping::of(ms(4000), ms(1000))).sum(|r| r.2));
        "rows: session", 62_500, few_keys, |s| end!(timed(s).key_by(|r| r.0).window(Session::gap(ms(2000))).count());
        "rows: sliding", 62_500, few_keys, |s| end!(timed(s).key_by(|r| r.0).window(Sliding::of(ms(2000))).count());
        "keys: count", 62_500, many_keys, |s| end!(rows(s).key_by(|r| r.0).count());
        "keys: sum", 62_500, many_keys, |s| end!(rows(s).key_by(|r| r.0).sum(|r| r.2));
        "keys: top_n", 62_500, many_keys, |s| end!(rows(s).key_by(|r| r.0).top_n(3, |r| (r.2, ())));
        "keys: distinct", 62_500, many_keys, |s| end!(rows(s).key_by(|r| r.0).distinct());
        "keys: process, a timer each", 62_500, many_keys, |s| timers(s, false);
        "keys: tumbling", 62_500, many_keys, |s| end!(timed(s).key_by(|r| r.0).window(Tumbling::of(ms(1000))).count());
        "keys: session", 62_500, many_keys, |s| end!(timed(s).key_by(|r| r.0).window(Session::gap(ms(1000))).count());
        "open windows: tumbling 1 s, all late enough", 6_250, seconds, |s| late_by_a_day(s, 1000);
        "open windows: hopping 4 s", 6_250, seconds, |s| late_by_a_day(s, 4000);
        "open windows: given out at each commit", 6_250, seconds, |s| {
            let windows = timed(s).key_by(|r| r.0).window(Tumbling::of(ms(1000)));
            end!(windows.allowed_lateness(ms(1 << 40)).emit_each_commit().count());
        };
        "timers of a key: set", 6_250, one_key, |s| timers(s, false);
        "timers of a key: set and taken back", 6_250, one_key, |s| timers(s, true);
        "hot key: tumbling", 6_250, one_key, |s| end!(timed(s).key_by(|r| r.0).window(Tumbling::of(ms(1000))).sum(|r| r.2));
        "hot key: session", 6_250, one_key, |s| end!(timed(s).key_by(|r| r.0).window(Session::gap(ms(1000))).sum(|r| r.2));
        "hot key: sliding, all rows in one window", 250, one_key, |s| end!(timed(s).key_by(|r| r.0).window(Sliding::of(ms(1 << 40))).sum(|r| r.2));
    ];
    let bad: [(_, fn(usize)); 3] = [
        ("bad records: skipped", |n| bad(n, |s| end!(rows(s)))),
        ("bad records: dead letters", |n| {
            bad(n, |s| end!(rows(s).dead_letters("bad")));
        }),
        ("bad records: try_map to dead letters", |n| {
            bad(n, |s| {
                let records = s.source("in").record();
                let none = records.try_map(|_| Err::<(), _>("bad")).dead_letters("bad");
                end!(none);
            });
        }),
    ];
    cases.extend(bad.map(|(name, run)| Case {
        name,
        smallest: 6_250,
        run,
    }));
    cases
}

/// One batch of bad records.
fn bad(n: usize, plan: fn(Scope<'_>)) {
    let mut driver = Driver::new(plan);
    let record = InRecord {
        value: Some(b"bad"),
        ..InRecord::default()
    };
    driver.feed_records("in", 0, &vec![record; n]);
    black_box(driver.read("bad").len());
}

/// Instructions of a run, in a process of its own; `None` where nobody counts them.
fn instructions(name: &str, size: usize) -> Option<f64> {
    let perf = ["perf", "stat", "-x,", "-e", "instructions:u"];
    let valgrind = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
    ];
    counted(&perf, name, size).or_else(|| counted(&valgrind, name, size))
}

/// The first number of the line about instructions that a counting tool writes about a run.
fn counted(tool: &[&str], name: &str, size: usize) -> Option<f64> {
    let this = std::env::current_exe().ok()?;
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).arg(this);
    let output = command.args(["--one", name, &size.to_string()]).output();
    let text = String::from_utf8(output.ok()?.stderr).ok()?;
    // Those of valgrind begin with the number of its process.
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches("==").trim_start());
    let mut counts = lines.filter_map(|line| {
        let line = match line.split_once("refs:") {
            Some((_, count)) => count,
            None => line.split_once(",,instructions").map(|(count, _)| count)?,
        };
        line.trim().replace(',', "").parse().ok()
    });
    counts.next()
}

/// CPU seconds of a run: the least of three.
fn seconds_of(case: &Case, size: usize) -> f64 {
    let once = |_| {
        let start = cpu::thread();
        (case.run)(size);
        (cpu::thread() - start).as_secs_f64()
    };
    (0..3).map(once).fold(f64::INFINITY, f64::min)
}

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let (cases, days) = (cases(), days());
    if let [one, name, size] = &args[..]
        && one == "--one"
    {
        let mut all = cases.iter().chain(&days);
        let case = all.find(|case| case.name == name).unwrap();
        return (case.run)(size.parse().unwrap());
    }
    let unit = match instructions(cases[0].name, 1) {
        Some(_) => "million instructions",
        None => "CPU ms",
    };
    println!("| work | N | {unit} at N | 4 N | 16 N | 16 N : N |");
    println!("|---|--:|--:|--:|--:|--:|");
    let mut above = 0;
    let wanted = |case: &&Case| args.iter().all(|part| case.name.contains(part.as_str()));
    for case in cases.iter().filter(wanted) {
        let n = case.smallest;
        let none = instructions(case.name, n / 100);
        let cost = [n, 4 * n, 16 * n].map(|size| match none {
            Some(none) => (instructions(case.name, size).unwrap() - none) / 1e6,
            None => seconds_of(case, size) * 1e3,
        });
        let growth = cost[2] / cost[0];
        let mark = if growth > MOST { " **above 22**" } else { "" };
        above += usize::from(growth > MOST);
        let [one, four, sixteen] = cost;
        let name = case.name;
        println!("| {name} | {n} | {one:.1} | {four:.1} | {sixteen:.1} | {growth:.1}{mark} |");
    }
    println!("\n{above} above {MOST} times");
    if args.is_empty() || args == ["a day"] {
        for [at_once, late] in days.as_chunks().0 {
            a_day_late(at_once, late);
        }
    }
}

/// Seconds of a day.
const DAY: usize = 86_400;

/// Windows of a second, of ten keys with 20 rows a second, for a number of seconds: late by a day
/// at most, or not at all.
fn a_day(seconds: usize, is_late: bool, seconds_between_commits: usize) {
    let lateness = if is_late { ms(86_400_000) } else { ms(0) };
    let mut driver = Driver::new(move |s| {
        let windows = timed(s).key_by(|r| r.0).window(Tumbling::of(ms(1000)));
        end!(windows.allowed_lateness(lateness).count());
    });
    driver.forget_changelogs();
    for second in 0..seconds {
        let rows = (0..20).map(|i| {
            let mut row = [0; 24];
            row[..8].copy_from_slice(&(i % 10u64).to_be_bytes());
            row[8..16].copy_from_slice(&(second as u64 * 1000 + i * 50).to_be_bytes());
            row
        });
        driver.feed("in", rows);
        if second % seconds_between_commits == 0 {
            driver.commit();
        }
    }
    driver.finish();
}

/// With a commit each second of rows, and with one each 500 seconds: then most windows that close
/// at once never come to the changelog, and all that are late do.
fn days() -> Vec<Case> {
    let case = |name, run| Case {
        name,
        smallest: 0,
        run,
    };
    vec![
        case("a day at once, a commit each second", |n| {
            a_day(n, false, 1)
        }),
        case("a day late, a commit each second", |n| a_day(n, true, 1)),
        case("a day at once, a commit each 500 s", |n| {
            a_day(n, false, 500)
        }),
        case("a day late, a commit each 500 s", |n| a_day(n, true, 500)),
    ]
}

/// What a row costs while a day of windows of a second is open (86,400 slices), against windows
/// that close at once. At most 1.5 times is wanted.
fn a_day_late(at_once: &Case, late: &Case) {
    let counts = [at_once, late].map(|case| {
        let none = instructions(case.name, 1)?;
        Some(instructions(case.name, DAY)? - none)
    });
    if let [Some(at_once), Some(all_late)] = counts {
        let (times, name) = (all_late / at_once, late.name);
        println!("{name}: {times:.2} times the instructions of a day at once");
    }
    let ratio = |_| seconds_of(late, DAY) / seconds_of(at_once, DAY);
    let mut times: Vec<f64> = (0..5).map(ratio).collect();
    times.sort_by(f64::total_cmp);
    let (times, name) = (times[2], late.name);
    println!("{name}: {times:.2} times the CPU of a day at once (median of 5)");
}
