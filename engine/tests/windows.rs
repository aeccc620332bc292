//! Windows against naive references: over random out-of-order input, partitions, batch cuts, commits, restarts and worker counts, the
//! last value of each key and window is the same; and with late rows, on time plus late is the input.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{
    flow::{Limits, Pipe, Scope, Stream},
    plan::App,
    state::Store,
    testing::{Driver, InRecord, OutRecord},
    windows::{Hopping, Session, Sliding, Tumbling, Window, WindowSpec},
};
use proptest::prelude::*;

const BOUND: i64 = 40;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Key, timestamp, number.
type Row = (u8, i64, i64);
/// Key and window, with sum and count.
type Results = BTreeMap<(u8, i64, i64), (i64, u64)>;

fn rows<'b>(s: Scope<'b>, bound: Duration) -> Stream<'b, Row, impl Pipe<Row>> {
    s.source("rows")
        .utf8()
        .try_map(|line| {
            let mut parts = line.split(' ').map(str::parse::<i64>);
            let mut next = || parts.next().and_then(Result::ok).ok_or("three numbers");
            Ok::<_, &str>((next()? as u8, next()?, next()?))
        })
        .with_timestamps(|r| r.1, bound)
}

/// `side`: late rows are on the side; without them, rows are folded before they cross to another worker.
fn plan_of<W: WindowSpec + Sync>(
    spec: W,
    mode: Mode,
    bound: Duration,
    side: bool,
    store: Store,
) -> App {
    let plan = move |s: Scope<'_>| {
        let keyed = rows(s, bound).key_by(|r| u64::from(r.0));
        let windows = keyed.state_store(store).window(spec);
        let windows = match mode {
            Mode::OnClose => windows,
            Mode::Lateness(ms) => windows.allowed_lateness(Duration::from_millis(ms)),
            Mode::EachCommit => windows.emit_each_commit(),
            Mode::Early(ms) => windows.emit_early(Duration::from_millis(ms)),
            Mode::Final(ms) => windows
                .allowed_lateness(Duration::from_millis(ms))
                .emit_final(),
        };
        let mut results = windows.aggregate_merging(
            (0i64, 0u64),
            |(sum, n), row| {
                *sum += row.2;
                *n += 1;
            },
            |(sum, n), (other, m)| {
                *sum += other;
                *n += m;
            },
        );
        if side {
            let (all, late) = results.with_late();
            late.map(|(key, row)| (key, row.2 as u64)).sink("late");
            results = all;
        }
        results
            .map(|(key, w, (sum, n))| {
                (format!("{key} {} {}", w.start, w.end), format!("{sum} {n}"))
            })
            .sink("results");
    };
    App::new("test", plan).unwrap()
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    OnClose,
    Lateness(u64),
    EachCommit,
    Early(u64),
    Final(u64),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tumbling(u64, i64),
    Hopping(u64, u64, i64),
    Sliding(u64),
    Session(u64),
}

fn app(kind: Kind, mode: Mode, bound: Duration, side: bool) -> App {
    app_in(Store::Memory, kind, mode, bound, side)
}

fn app_in(store: Store, kind: Kind, mode: Mode, bound: Duration, side: bool) -> App {
    match kind {
        Kind::Tumbling(size, offset) => {
            let spec = Tumbling::of(ms(size)).offset_ms(offset);
            plan_of(spec, mode, bound, side, store)
        }
        Kind::Hopping(width, slide, offset) => {
            let spec = Hopping::of(ms(width), ms(slide)).offset_ms(offset);
            plan_of(spec, mode, bound, side, store)
        }
        Kind::Sliding(length) => plan_of(Sliding::of(ms(length)), mode, bound, side, store),
        Kind::Session(gap) => plan_of(Session::gap(ms(gap)), mode, bound, side, store),
    }
}

/// What a batch computation gives.
fn reference(kind: Kind, rows: &[Row]) -> Results {
    let mut windows: BTreeSet<(u8, i64, i64)> = BTreeSet::new();
    let mut times: BTreeMap<u8, BTreeSet<i64>> = BTreeMap::new();
    for (key, ts, _) in rows {
        times.entry(*key).or_default().insert(*ts);
    }
    for (key, times) in &times {
        match kind {
            Kind::Tumbling(..) | Kind::Hopping(..) => {
                let (width, slide, offset) = match kind {
                    Kind::Hopping(w, s, o) => (w as i64, s as i64, o),
                    Kind::Tumbling(w, o) => (w as i64, w as i64, o),
                    _ => unreachable!(),
                };
                for ts in times {
                    let offset = offset.rem_euclid(slide);
                    for k in (ts - width) / slide - 2..=ts / slide + 2 {
                        let start = k * slide + offset;
                        if start <= *ts && *ts < start + width {
                            windows.insert((*key, start, start + width));
                        }
                    }
                }
            }
            Kind::Sliding(length) => {
                let length = length as i64;
                for ts in times {
                    windows.insert((*key, ts - length, ts + 1));
                    if times.range(ts + 1..=ts + 1 + length).next().is_some() {
                        windows.insert((*key, ts + 1, ts + 2 + length));
                    }
                }
            }
            Kind::Session(gap) => {
                let mut open: Option<(i64, i64)> = None;
                for ts in times {
                    open = Some(match open {
                        // Exactly the gap apart is together; the end is exclusive.
                        Some((start, end)) if *ts < end => (start, ts + gap as i64 + 1),
                        Some((start, end)) => {
                            windows.insert((*key, start, end));
                            (*ts, ts + gap as i64 + 1)
                        }
                        None => (*ts, ts + gap as i64 + 1),
                    });
                }
                windows.extend(open.map(|(start, end)| (*key, start, end)));
            }
        }
    }
    let value = |(key, start, end): &(u8, i64, i64)| {
        let inside = rows
            .iter()
            .filter(|r| r.0 == *key && (*start..*end).contains(&r.1));
        inside.fold((0, 0), |(sum, n), r| (sum + r.2, n + 1))
    };
    windows.into_iter().map(|w| (w, value(&w))).collect()
}

/// Key and window with sum and count, as plans write them.
fn parsed(r: &OutRecord) -> ((u8, i64, i64), (i64, u64)) {
    let numbers = |text: Option<&str>| {
        let numbers = text.unwrap().split(' ').map(|n| n.parse::<i64>().unwrap());
        numbers.collect::<Vec<_>>()
    };
    let (k, v) = (numbers(r.key_str()), numbers(r.value_str()));
    assert_eq!(
        r.timestamp,
        k[2] - 1,
        "a result has the time of its window's end"
    );
    ((k[0] as u8, k[1], k[2]), (v[0], v[1] as u64))
}

/// The last value of each key and window, and how often one was given out.
fn results(driver: &mut Driver) -> (Results, usize) {
    let out = driver.read("results");
    let count = out.len();
    (out.iter().map(parsed).collect(), count)
}

fn feed(driver: &mut Driver, partition: i32, rows: &[Row]) {
    let lines: Vec<String> = rows
        .iter()
        .map(|(k, t, n)| format!("{k} {t} {n}"))
        .collect();
    let records: Vec<_> = lines
        .iter()
        .map(|l| InRecord {
            value: Some(l.as_bytes()),
            ..InRecord::default()
        })
        .collect();
    driver.feed_records("rows", partition, &records);
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1u64..60, -70i64..70).prop_map(|(size, offset)| Kind::Tumbling(size, offset)),
        (1u64..40, 0u64..60, -70i64..70).prop_map(|(slide, more, offset)| Kind::Hopping(
            slide + more,
            slide,
            offset
        )),
        (1u64..50).prop_map(Kind::Sliding),
        (1u64..50).prop_map(Kind::Session),
    ]
}

/// How input is cut: rows of a batch, its partition, whether a commit follows, whether a restart follows.
fn cuts() -> impl Strategy<Value = Vec<(usize, i32, bool, bool)>> {
    prop::collection::vec(
        (
            1usize..60,
            0i32..3,
            any::<bool>(),
            prop::bool::weighted(0.1),
        ),
        1..10,
    )
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::OnClose),
        (1u64..60).prop_map(Mode::Lateness),
        Just(Mode::EachCommit),
        (1u64..40).prop_map(Mode::Early),
        (0u64..60).prop_map(Mode::Final),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (1u32..60, 60usize..3000, 0usize..20).prop_map(|(records, bytes, partials)| Limits {
        records,
        rows_bytes: bytes,
        sink_bytes: bytes,
        partials,
    })
}

/// Rows that came too late since this was last asked: those on the side, or, where there is no such side, those that were counted.
fn late(driver: &mut Driver, counted: &mut u64, side: bool) -> u64 {
    let all = driver.counters("window-1").late;
    let new = all - std::mem::replace(counted, all);
    let rows = driver.read("late").len() as u64;
    if side {
        assert_eq!(rows, new, "what is counted goes to the side");
        rows
    } else {
        assert_eq!(rows, 0);
        new
    }
}

/// Feeds rows in their order, cut as told; a partition gets the batches that say so.
fn run(
    driver: Driver,
    rows: &[Row],
    cuts: &[(usize, i32, bool, bool)],
    workers: u16,
    (side, partitions): (bool, i32),
) -> (Driver, Results, usize, u64) {
    let mut driver = driver;
    let (mut all, mut count, mut too_late, mut counted) = (Results::new(), 0, 0, 0);
    let mut at = 0;
    for partition in 0..partitions {
        driver.assign("rows", partition);
    }
    for (len, partition, commit, restart) in cuts.iter().cycle() {
        if at >= rows.len() {
            break;
        }
        let end = (at + len).min(rows.len());
        feed(&mut driver, *partition % partitions, &rows[at..end]);
        at = end;
        driver.advance_clock(ms(7));
        if *commit || *restart {
            driver.commit();
        }
        let (new, n) = results(&mut driver);
        all.extend(new);
        count += n;
        too_late += late(&mut driver, &mut counted, side);
        if *restart {
            driver = driver.restarted(workers);
            counted = 0;
            for partition in 0..partitions {
                driver.assign("rows", partition);
            }
        }
    }
    driver.finish();
    let (new, n) = results(&mut driver);
    all.extend(new);
    too_late += late(&mut driver, &mut counted, side);
    (driver, all, count + n, too_late)
}

fn steps() -> impl Strategy<Value = Vec<(u8, i64, i64, i64)>> {
    prop::collection::vec((0u8..4, 0i64..12, 0i64..BOUND, -9i64..9), 1..220)
}

/// The last millisecond of 1969 is written as what stands for no time.
fn time(at: i64) -> i64 {
    if at == -1 { 0 } else { at }
}

fn rows_of(steps: &[(u8, i64, i64, i64)], start: i64) -> Vec<Row> {
    let mut now = start;
    let row = |(key, step, back, n): &(u8, i64, i64, i64)| {
        now += step;
        (*key, time(now - back), *n)
    };
    steps.iter().map(row).collect()
}

/// Runs rows that are in time through windows: what comes out is what a batch computation gives.
fn agrees(
    app: App,
    (kind, mode): (Kind, Mode),
    rows: &[Row],
    cuts: &[(usize, i32, bool, bool)],
    (workers, workers_after): (u16, u16),
    limits: Limits,
    how: (bool, i32),
) -> Result<(), TestCaseError> {
    let driver = Driver::of(app, workers, limits).unwrap();
    let (driver, got, count, late) = run(driver, rows, cuts, workers_after, how);
    let mut want = reference(kind, rows);
    if matches!(
        (kind, mode),
        (Kind::Session(_), Mode::EachCommit | Mode::Early(_))
    ) {
        // Early results of sessions that grew later stay; those of the reference are among them.
        want.retain(|window, value| got.get(window) != Some(value));
        prop_assert_eq!(want, Results::new());
    } else {
        prop_assert_eq!(&got, &want);
    }
    prop_assert_eq!(late, 0);
    if matches!(mode, Mode::OnClose | Mode::Lateness(_) | Mode::Final(_)) {
        prop_assert_eq!(
            count,
            reference(kind, rows).len(),
            "each window is given out once"
        );
    }
    prop_assert_eq!(
        driver.state_size("window-1").keys,
        0,
        "nothing is kept at the end"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn windows_within_the_bound_are_those_of_a_batch_computation(
        steps in steps(),
        start in -300i64..300,
        kind in kinds(),
        mode in modes(),
        cuts in cuts(),
        workers in 1u16..4,
        workers_after in 1u16..4,
        limits in limits(),
        side in any::<bool>(),
        partitions in 1i32..4,
    ) {
        let rows = rows_of(&steps, start);
        let app = app(kind, mode, ms(BOUND as u64), side);
        agrees(app, (kind, mode), &rows, &cuts, (workers, workers_after), limits, (side, partitions))?;
    }

    #[test]
    fn on_time_plus_late_is_the_input(
        rows in prop::collection::vec((0u8..3, -200i64..400, 0i64..5), 1..150),
        gap in 1u64..50,
        tumbling in any::<bool>(),
        lateness in prop_oneof![Just(0u64), 1u64..100],
        last in any::<bool>(),
        cuts in cuts(),
        workers in 1u16..4,
        limits in limits(),
        side in any::<bool>(),
        partitions in 1i32..4,
    ) {
        let kind = if tumbling { Kind::Tumbling(gap, 3) } else { Kind::Session(gap) };
        // With allowed lateness the last result of a window counts; sessions that grow leave their former results behind.
        let mode = match (lateness, last || !tumbling) {
            (0, _) => Mode::OnClose,
            (ms, true) => Mode::Final(ms),
            (ms, false) => Mode::Lateness(ms),
        };
        let rows: Vec<Row> = rows.iter().map(|(key, at, n)| (*key, time(*at), *n)).collect();
        let driver = Driver::of(app(kind, mode, ms(10), side), workers, limits).unwrap();
        let (_, got, _, late) = run(driver, &rows, &cuts, workers, (side, partitions));
        let on_time: u64 = got.values().map(|(_, n)| n).sum();
        prop_assert_eq!(on_time + late, rows.len() as u64);
        // What is on time lies in windows of its own key.
        for ((key, start, end), (_, n)) in got {
            let window = Window { start, end };
            let inside = rows.iter().filter(|r| r.0 == key && window.contains(r.1)).count() as u64;
            prop_assert!(n <= inside);
        }
    }
}

/// `count` rows of four keys in turn, one for each millisecond.
fn rows_of_four_keys(count: i64) -> Vec<Row> {
    (0..count).map(|n| ((n % 4) as u8, n, 1)).collect()
}

#[test]
fn rows_for_another_worker_cross_as_one_value_for_each_key_and_slice() {
    let crossed = |kind, side| {
        let app = app(kind, Mode::OnClose, ms(0), side);
        let mut driver = Driver::of(app, 2, Limits::default()).unwrap();
        feed(&mut driver, 0, &rows_of_four_keys(1000));
        driver.finish();
        let (got, _) = results(&mut driver);
        assert_eq!(got, reference(kind, &rows_of_four_keys(1000)));
        assert_eq!(driver.counters("window-1").records, 1000);
        driver.rows_exchanged("window-1")
    };
    let kind = Kind::Hopping(500, 200, 0);
    let rows = crossed(kind, true);
    assert!(rows >= 250, "{rows}: late rows are wanted one by one");
    let values = crossed(kind, false);
    assert_eq!(values, rows / 250 * 10, "ten slices of 100 ms");
    assert_eq!(crossed(Kind::Session(10), false), rows);
}

#[test]
fn late_rows_that_have_crossed_as_one_value_are_counted_one_by_one() {
    let app = app(Kind::Tumbling(100, 0), Mode::OnClose, ms(0), false);
    let mut driver = Driver::of(app, 2, Limits::default()).unwrap();
    feed(&mut driver, 0, &rows_of_four_keys(1000));
    feed(&mut driver, 1, &rows_of_four_keys(1000));
    driver.commit();
    // After a restart the sender does not know how far time has come.
    let mut driver = driver.restarted(2);
    driver.assign("rows", 0);
    driver.assign("rows", 1);
    feed(&mut driver, 0, &rows_of_four_keys(400));
    assert!(driver.rows_exchanged("window-1") < 20);
    assert_eq!(driver.counters("window-1").late, 400);
    assert_eq!(driver.counters("window-1").records, 400);
}

#[cfg(feature = "fjall")]
proptest! {
    // Opening a place on disk takes a tenth of a second.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn windows_on_disk_are_those_of_a_batch_computation(
        steps in steps(),
        start in -300i64..300,
        kind in kinds(),
        mode in modes(),
        cuts in cuts(),
        limits in limits(),
        workers in 1u16..3,
        side in any::<bool>(),
        // Nothing stays in memory from one chunk to the next; or about ten keys do.
        cache_bytes in prop_oneof![Just(0usize), Just(1 << 10)],
    ) {
        let app = app_in(Store::Disk { cache_bytes }, kind, mode, ms(BOUND as u64), side);
        agrees(app, (kind, mode), &rows_of(&steps, start), &cuts, (workers, 1), limits, (side, 3))?;
    }
}

/// A plan that only counts, of which nothing but keys crosses; short keys, or those that do not fit into a slot.
/// Counts by text, by `count` or by an aggregate that does the same: both have the same keys, so that these have the same owners, and
/// a row that comes late is late at the same moment.
fn counting(width: u64, slide: u64, lateness: u64, is_long: bool, by_aggregate: bool) -> App {
    let plan = move |s: Scope<'_>| {
        let windows = rows(s, ms(10))
            .key_by(move |r| match is_long {
                true => format!("a key of more than 15 bytes {}", r.0),
                false => r.0.to_string(),
            })
            .window(Hopping::of(ms(width), ms(slide)))
            .allowed_lateness(ms(lateness));
        let named = |key: &str, w: Window, n: u64| {
            let number = key.rsplit(' ').next().unwrap_or("");
            (format!("{number} {} {}", w.start, w.end), format!("0 {n}"))
        };
        if by_aggregate {
            windows
                .aggregate_merging(0u64, |n, _| *n += 1, |n, m| *n += m)
                .map(move |(key, w, n)| named(&key, w, n))
                .sink("results");
        } else {
            windows
                .count()
                .map(move |(key, w, n)| named(&key, w, n))
                .sink("results");
        }
    };
    App::new("test", plan).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_count_is_that_of_an_aggregate(
        rows in prop::collection::vec((0u8..3, 0i64..150), 1..150),
        slide in 1u64..30,
        more in 0u64..30,
        lateness in prop_oneof![Just(0u64), 1u64..60],
        is_long in any::<bool>(),
        cuts in cuts(),
        workers in 1u16..4,
        limits in limits(),
    ) {
        let rows: Vec<Row> = (0i64..).zip(rows).map(|(at, (key, back))| (key, time(5 * at - back), 0)).collect();
        let [counted, aggregated] = [false, true].map(|by_aggregate| {
            let app = counting(slide + more, slide, lateness, is_long, by_aggregate);
            let driver = Driver::of(app, workers, limits).unwrap();
            let (driver, got, _, late) = run(driver, &rows, &cuts, workers, (false, 2));
            (got, late, driver.counters("window-1").records)
        });
        prop_assert_eq!(counted, aggregated);
    }
}

fn distinct_of<W: WindowSpec + Sync>(spec: W) -> App {
    let plan = move |s: Scope<'_>| {
        let (counted, collected) = {
            let keyed = rows(s, ms(BOUND as u64)).share();
            let windows = || keyed.clone().key_by(|r| u64::from(r.0)).window(spec);
            let counted = windows().count_distinct(|r| r.2);
            (counted, windows().distinct(|r| r.2))
        };
        let name = |key: u64, w: Window| format!("{key} {} {}", w.start, w.end);
        counted
            .map(move |(key, w, n)| (name(key, w), format!("0 {n}")))
            .sink("results");
        collected
            .map(move |(key, w, all)| {
                let sum: i64 = all.iter().sum();
                (name(key, w), format!("{sum} {}", all.len()))
            })
            .sink("values");
    };
    App::new("test", plan).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn different_values_are_counted_exactly(
        steps in prop::collection::vec((0u8..3, 0i64..12, 0i64..BOUND, -4i64..4), 1..150),
        kind in kinds(),
        cuts in cuts(),
        workers in 1u16..4,
        limits in limits(),
    ) {
        let mut now = 0;
        let rows: Vec<Row> = steps
            .iter()
            .map(|(key, step, back, n)| { now += step; (*key, time(now - back), *n) })
            .collect();
        let app = match kind {
            Kind::Tumbling(size, offset) => distinct_of(Tumbling::of(ms(size)).offset_ms(offset)),
            Kind::Hopping(width, slide, offset) => distinct_of(Hopping::of(ms(width), ms(slide)).offset_ms(offset)),
            Kind::Sliding(length) => distinct_of(Sliding::of(ms(length))),
            Kind::Session(gap) => distinct_of(Session::gap(ms(gap))),
        };
        let mut driver = Driver::of(app, workers, limits).unwrap();
        for (n, some) in rows.chunks(cuts[0].0).enumerate() {
            feed(&mut driver, n as i32 % 2, some);
            if cuts[n % cuts.len()].2 {
                driver.commit();
            }
        }
        driver.finish();
        let values: Results = driver.read("values").iter().map(parsed).collect();
        let (counted, _) = results(&mut driver);
        let mut want = reference(kind, &rows);
        for ((key, start, end), value) in &mut want {
            let window = Window { start: *start, end: *end };
            let inside = rows.iter().filter(|r| r.0 == *key && window.contains(r.1));
            let different: BTreeSet<i64> = inside.map(|r| r.2).collect();
            *value = (different.iter().sum(), different.len() as u64);
        }
        prop_assert_eq!(&values, &want);
        want.values_mut().for_each(|(sum, _)| *sum = 0);
        prop_assert_eq!(counted, want);
    }
}
