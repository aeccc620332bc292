//! Folds give the same result for any order of their rows, any grouping into batches and any number of
//! workers: keyed and in windows of all kinds, with NaN, -0.0, infinities and the limits of whole
//! numbers among the values.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{
    flow::{Limits, OnBad, Pipe, Scope, Stream, TotalOrder},
    plan::App,
    testing::Driver,
    windows::{Hopping, Session, Sliding, Tumbling, WindowSpec},
};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Row {
    key: u8,
    ts: i64,
    fraction: f64,
    large: i64,
    small: i32,
}

/// Key, timestamp, and the values, the fraction by its bits.
type Read = (u8, i64, (u64, i64, i32));

fn rows<'b>(s: Scope<'b>) -> Stream<'b, Read, impl Pipe<Read>> {
    s.source("rows")
        .utf8()
        .try_map(|line| -> Result<Read, std::num::ParseIntError> {
            let parts: Vec<&str> = line.split(' ').collect();
            let values = (parts[2].parse()?, parts[3].parse()?, parts[4].parse()?);
            Ok((parts[0].parse()?, parts[1].parse()?, values))
        })
        // Nothing is late, whatever the order.
        .with_timestamps(|r| r.1, Duration::from_secs(10))
}

fn fraction(row: &Read) -> f64 {
    f64::from_bits(row.2.0)
}

/// A number of which a sum of doubles is exact.
fn summable(number: f64) -> f64 {
    if number.is_finite() && (number.abs() > 1e6 || number.fract() != 0.0) {
        1.0
    } else {
        number
    }
}

/// The bits, so that the two zeros are told apart; NaN by its name where it was computed.
fn text(number: f64) -> String {
    format!("{:x}", number.to_bits())
}

fn text_of_sum(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    // A sum begins as 0.0.
    text(number + 0.0)
}

fn texts(numbers: impl IntoIterator<Item = f64>) -> String {
    let texts: Vec<_> = numbers.into_iter().map(text).collect();
    texts.join(",")
}

fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<_> = values.into_iter().map(|v| v.to_string()).collect();
    texts.join(",")
}

/// The folds that keyed streams and windows have in common, each with its name.
macro_rules! common_folds {
    ($keyed:expr, $each:ident) => {
        $each!("count", $keyed.count(), n => n.to_string());
        $each!("sum", $keyed.sum(|r| r.2.1), n => n.to_string());
        $each!("small", $keyed.sum(|r| r.2.2), n => n.to_string());
        $each!("fractions", $keyed.sum(|r| summable(fraction(r))), n => text_of_sum(n));
        $each!("average", $keyed.average(|r| r.2.1), n => text(n));
        $each!("min", $keyed.min(fraction), n => text(n));
        $each!("max", $keyed.max(fraction), n => text(n));
        $each!("pair", $keyed.max(|r| (r.2.2 % 2, Some(fraction(r)))), n => {
            format!("{} {}", n.0, text(n.1.unwrap()))
        });
        $each!("top", $keyed.top_n(3, |r| (fraction(r), ())), best => {
            texts(best.into_iter().map(|b| b.0))
        });
        $each!("reduce", $keyed.reduce(larger), r => text(fraction(&r)));
        $each!(
            "merging",
            $keyed.aggregate_merging(
                (0u64, i32::MIN),
                |kept: &mut (u64, i32), r: Read| *kept = (kept.0 ^ r.2.0, kept.1.max(r.2.2)),
                |kept, other| *kept = (kept.0 ^ other.0, kept.1.max(other.1))
            ),
            kept => format!("{:x} {}", kept.0, kept.1)
        );
    };
}

/// The greater one by its fraction, of equal ones by the rest.
fn larger(a: Read, b: Read) -> Read {
    let order = fraction(&a).total_order(&fraction(&b));
    if order.then(a.cmp(&b)).is_lt() { b } else { a }
}

fn keyed(s: Scope<'_>) {
    let all = rows(s).share();
    macro_rules! each {
        ($name:literal, $results:expr, $value:ident => $text:expr) => {
            $results
                .map(|(key, $value)| (format!("{} {key}", $name), $text))
                .sink("results")
        };
    }
    common_folds!(all.clone().key_by(|r| r.0), each);
    all.key_by(|r| (r.0, r.2.2))
        .distinct()
        .map(|(key, n)| (format!("distinct {key} {n}"), ""))
        .sink("results");
}

fn windowed(spec: impl WindowSpec + Sync) -> impl Fn(Scope<'_>) + Send + Sync {
    move |s: Scope<'_>| {
        let all = rows(s).share();
        macro_rules! each {
            ($name:literal, $results:expr, $value:ident => $text:expr) => {
                $results
                    .map(|(key, w, $value)| {
                        (format!("{} {key} {} {}", $name, w.start, w.end), $text)
                    })
                    .sink("results")
            };
        }
        common_folds!(all.clone().key_by(|r| r.0).window(spec), each);
        let windows = || all.clone().key_by(|r| r.0).window(spec);
        each!("different", windows().distinct(|r| r.2.2), set => list(set));
        each!("differing", windows().count_distinct(|r| r.2.1), n => n.to_string());
    }
}

/// Results by what their keys say.
type Results = BTreeMap<String, String>;

/// A plan's results over rows in this order, cut into batches of these sizes.
fn results(app: &App, rows: &[Row], cuts: &[usize], workers: u16, partials: usize) -> Results {
    let limits = Limits {
        partials,
        ..Limits::default()
    };
    let mut driver = Driver::of(app.clone(), workers, limits).unwrap();
    let (mut at, mut cuts) = (0, cuts.iter().cycle());
    while at < rows.len() {
        let end = rows.len().min(at + cuts.next().unwrap());
        let lines = rows[at..end].iter().map(|row| {
            let bits = row.fraction.to_bits();
            format!("{} {} {bits} {} {}", row.key, row.ts, row.large, row.small)
        });
        driver.feed("rows", lines);
        at = end;
    }
    driver.finish();
    let text = |r: &engine::testing::OutRecord| {
        (
            r.key_str().unwrap().to_owned(),
            r.value_str().unwrap().to_owned(),
        )
    };
    driver.read("results").iter().map(text).collect()
}

/// What each fold makes of rows, by a naive computation; `None`: the result does not fit.
fn naive(name: &str, rows: &[Row]) -> Option<String> {
    let mut fractions: Vec<f64> = rows.iter().map(|r| r.fraction).collect();
    fractions.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
    let large = rows.iter().map(|r| i128::from(r.large));
    let small = rows.iter().map(|r| i64::from(r.small));
    let different: BTreeSet<i32> = rows.iter().map(|r| r.small).collect();
    let greatest = *fractions.last().unwrap();
    Some(match name {
        "count" => rows.len().to_string(),
        "sum" => i64::try_from(large.sum::<i128>()).ok()?.to_string(),
        "small" => i32::try_from(small.sum::<i64>()).ok()?.to_string(),
        "fractions" => text_of_sum(rows.iter().map(|r| summable(r.fraction)).sum()),
        "average" => text(large.sum::<i128>() as f64 / rows.len() as f64),
        "min" => text(fractions[0]),
        "max" | "reduce" => text(greatest),
        "pair" => {
            let first = rows.iter().map(|r| r.small % 2).max().unwrap();
            let seconds = rows.iter().filter(|r| r.small % 2 == first);
            let mut seconds: Vec<f64> = seconds.map(|r| r.fraction).collect();
            seconds.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
            format!("{first} {}", text(*seconds.last().unwrap()))
        }
        "top" => texts(fractions.into_iter().rev().take(3)),
        "merging" => {
            let bits = rows.iter().fold(0, |bits, r| bits ^ r.fraction.to_bits());
            format!("{bits:x} {}", different.last().unwrap())
        }
        "different" => list(different),
        "differing" => large.collect::<BTreeSet<_>>().len().to_string(),
        _ => String::new(),
    })
}

const FOLDS: [&str; 11] = [
    "count",
    "sum",
    "small",
    "fractions",
    "average",
    "min",
    "max",
    "pair",
    "top",
    "reduce",
    "merging",
];

fn fractions() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => (-9i32..9).prop_map(f64::from),
        1 => prop::sample::select(vec![
            f64::NAN,
            -f64::NAN,
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
        ]),
    ]
}

fn wholes<N: Clone + std::fmt::Debug + 'static>(
    few: impl Strategy<Value = N>,
    limits: Vec<N>,
) -> impl Strategy<Value = N> {
    prop_oneof![2 => few, 1 => prop::sample::select(limits)]
}

fn some_rows() -> impl Strategy<Value = Vec<Row>> {
    let large = wholes(-9i64..9, vec![i64::MAX, i64::MIN, i64::MAX - 1, 1 << 62]);
    let small = wholes(-9i32..9, vec![i32::MAX, i32::MIN, 2_000_000_000]);
    let row = (0u8..3, 0i64..300, fractions(), large, small);
    let row = row.prop_map(|(key, ts, fraction, large, small)| Row {
        key,
        ts,
        fraction,
        large,
        small,
    });
    prop::collection::vec(row, 0..60)
}

/// Rows, the same rows in another order, where these are cut, and how many keys are folded early.
fn cases() -> impl Strategy<Value = (Vec<Row>, Vec<Row>, Vec<usize>, usize)> {
    let rows = some_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()));
    let cuts = prop::collection::vec(1usize..20, 1..5);
    let partials = prop_oneof![Just(0usize), 1usize..4, Just(8192)];
    (rows, cuts, partials)
        .prop_map(|((rows, shuffled), cuts, partials)| (rows, shuffled, cuts, partials))
}

fn by_key(rows: &[Row]) -> BTreeMap<u8, Vec<Row>> {
    let mut keys: BTreeMap<u8, Vec<Row>> = BTreeMap::new();
    for row in rows {
        keys.entry(row.key).or_default().push(*row);
    }
    keys
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn folds_by_key_do_not_depend_on_order_grouping_or_workers((rows, shuffled, cuts, partials) in cases()) {
        let app = App::new("test", keyed).unwrap();
        let mut want = Results::new();
        for (key, rows) in by_key(&rows) {
            for name in FOLDS {
                let result = naive(name, &rows);
                want.extend(result.map(|text| (format!("{name} {key}"), text)));
            }
            want.extend(rows.iter().map(|r| (format!("distinct {key} {}", r.small), String::new())));
        }
        for workers in [1, 2, 4] {
            let got = results(&app, &shuffled, &cuts, workers, partials);
            prop_assert_eq!(&got, &want, "{} workers", workers);
        }
    }

    #[test]
    fn folds_in_windows_do_not_depend_on_order_grouping_or_workers(
        (rows, shuffled, cuts, partials) in cases(),
        kind in 0..4,
        size in 1u64..80,
    ) {
        let ms = Duration::from_millis;
        let app = match kind {
            0 => App::new("test", windowed(Tumbling::of(ms(size)))),
            1 => App::new("test", windowed(Hopping::of(ms(3 * size), ms(size)))),
            2 => App::new("test", windowed(Sliding::of(ms(size)))),
            _ => App::new("test", windowed(Session::gap(ms(size)))),
        }.unwrap();
        let mut in_order = rows.clone();
        in_order.sort_by_key(|r| r.ts);
        let first = results(&app, &in_order, &[rows.len().max(1)], 1, 0);
        let keys = by_key(&rows);
        let mut windows = BTreeSet::new();
        for (key, got) in &first {
            let mut parts = key.split(' ');
            let mut next = || parts.next().unwrap();
            let (name, key) = (next(), next().parse::<u8>().unwrap());
            let window = [next(), next()].map(|n| n.parse::<i64>().unwrap());
            windows.insert((key, window));
            let rows: Vec<Row> = keys[&key].iter().filter(|r| (window[0]..window[1]).contains(&r.ts)).copied().collect();
            let want = naive(name, &rows);
            prop_assert_eq!(Some(got), want.as_ref(), "{} of {:?}", name, rows);
        }
        prop_assert_eq!(windows.is_empty(), rows.is_empty());
        for workers in [1, 2, 4] {
            let got = results(&app, &shuffled, &cuts, workers, partials);
            prop_assert_eq!(&got, &first, "{} workers", workers);
        }
    }
}

#[test]
fn a_sum_that_does_not_fit_is_a_bad_row_and_comes_when_it_fits_again() {
    let plan = |s: Scope<'_>| {
        s.source("n")
            .utf8()
            .try_map(str::parse::<i32>)
            .key_by(|_| "all")
            .sum(|n| *n)
            .sink("sums");
    };
    let mut driver = Driver::new(plan);
    let mut step = |number: i32| {
        driver.feed("n", [number.to_string()]);
        driver.commit();
        let sums = driver.read("sums");
        let sum = sums.first().map(|r| r.value.clone().unwrap());
        let sum = sum.map(|bytes| i32::from_be_bytes(bytes.try_into().unwrap()));
        (sum, driver.counters("sum-1").bad)
    };
    assert_eq!(step(2_000_000_000), (Some(2_000_000_000), 0));
    assert_eq!(step(2_000_000_000), (None, 1), "it does not fit");
    assert_eq!(step(-2_000_000_000), (Some(2_000_000_000), 1));
}

#[test]
fn a_sum_that_does_not_fit_fails_the_job_where_that_is_said() {
    for updates in [false, true] {
        let plan = move |s: Scope<'_>| {
            let keyed = s
                .source("n")
                .utf8()
                .try_map(str::parse::<u8>)
                .key_by(|_| "all");
            let sums = keyed.sum(|n| *n).on_bad(OnBad::Fail);
            let sums = if updates {
                sums.emit_every_update()
            } else {
                sums
            };
            sums.map(|(key, n)| (key, u16::from(n))).sink("sums");
        };
        let mut driver = Driver::new(plan);
        let records: Vec<_> = ["200", "50", "10"]
            .map(|n| engine::testing::InRecord {
                value: Some(n.as_bytes()),
                ..Default::default()
            })
            .to_vec();
        let fed = driver.try_feed_records("n", 0, &records);
        let error = fed
            .and_then(|()| driver.try_commit())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("does not fit into u8") && error.contains("sum"),
            "{error}"
        );
    }
}

#[test]
fn results_of_every_update_go_on_after_one_that_does_not_fit() {
    let mut driver = Driver::new(|s| {
        let keyed = s
            .source("n")
            .utf8()
            .try_map(str::parse::<i8>)
            .key_by(|_| "all");
        let sums = keyed.sum(|n| *n).emit_every_update();
        sums.map(|(key, n)| (key, n.to_string())).sink("sums");
    });
    driver.feed("n", ["100", "27", "1", "1", "-3", "0"]);
    let sums: Vec<_> = driver
        .read("sums")
        .iter()
        .map(|r| r.value_str().unwrap().to_owned())
        .collect();
    assert_eq!(sums, ["100", "127", "126", "126"]);
    let counters = driver.counters("sum-1");
    assert_eq!((counters.records, counters.bad), (6, 2));
}
