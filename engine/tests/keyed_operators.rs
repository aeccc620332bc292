//! Keyed operators against naive references: whatever the cuts of the batches, the number of workers and the commits in between, the
//! last value of each key is the same.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;

use engine::{
    flow::{Limits, Scope},
    plan::App,
    testing::{Driver, InRecord, OutRecord},
};
use proptest::prelude::*;

/// A record of the input: key, amount.
type Sale = (u8, i64);

fn key(n: u8) -> String {
    // Short ones, 15 and 16 bytes long ones, and long ones.
    match n % 4 {
        0 => format!("{n}"),
        1 => format!("{n:0>15}"),
        2 => format!("{n:0>16}"),
        _ => format!("a shop with quite a long name, number {n}"),
    }
}

fn sums(s: Scope<'_>) {
    sales(s)
        .key_by(|(shop, _)| shop)
        .aggregate((0i64, 0u32), |(sum, n), (_, amount)| {
            *sum += amount;
            *n += 1;
        })
        .map(|(shop, (sum, n))| (shop, format!("{sum}/{n}")))
        .sink("sums");
}

fn sums_every_update(s: Scope<'_>) {
    sales(s)
        .key_by(|(shop, _)| shop)
        .aggregate((0i64, 0u32), |(sum, n), (_, amount)| {
            *sum += amount;
            *n += 1;
        })
        .emit_every_update()
        .map(|(shop, (sum, n))| (shop, format!("{sum}/{n}")))
        .sink("sums");
}

fn sums_of_a_part(s: Scope<'_>) {
    sales(s)
        .key_by(|(shop, _)| shop)
        .aggregate_of(
            |(_, amount)| *amount,
            (0i64, 0u32),
            |(sum, n), amount| {
                *sum += amount;
                *n += 1;
            },
        )
        .map(|(shop, (sum, n))| (shop, format!("{sum}/{n}")))
        .sink("sums");
}

fn sums_of_a_part_every_update(s: Scope<'_>) {
    sales(s)
        .key_by(|(shop, _)| shop)
        .aggregate_of(
            |(_, amount)| *amount,
            (0i64, 0u32),
            |(sum, n), amount| {
                *sum += amount;
                *n += 1;
            },
        )
        .emit_every_update()
        .map(|(shop, (sum, n))| (shop, format!("{sum}/{n}")))
        .sink("sums");
}

/// Counts sales by shop, and then shops by their count: two cuts.
fn histogram(s: Scope<'_>) {
    sales(s)
        .key_by(|(shop, _)| shop)
        .count()
        .named("sales-by-shop")
        .key_by(|(_, n)| n)
        .aggregate(String::new(), |names, (shop, _)| {
            if !names.split('|').any(|n| n == shop) {
                names.push_str(shop);
                names.push('|');
            }
        })
        .map(|(n, names)| (n, names))
        .sink("histogram");
}

fn sales<'b>(
    s: Scope<'b>,
) -> engine::flow::Stream<'b, (&'b str, i64), impl engine::flow::Pipe<(&'b str, i64)>> {
    s.source("sales").utf8().try_map(|line| {
        let (shop, amount) = line.split_once('=').ok_or("no amount")?;
        amount.parse().map(|n| (shop, n)).map_err(|_| "no number")
    })
}

fn feed(driver: &mut Driver, sales: &[Sale], from: usize) {
    let lines: Vec<_> = sales
        .iter()
        .map(|(shop, n)| format!("{}={n}", key(*shop)))
        .collect();
    let records: Vec<_> = (from..)
        .zip(&lines)
        .map(|(at, line)| InRecord {
            value: Some(line.as_bytes()),
            timestamp: at as i64,
            ..InRecord::default()
        })
        .collect();
    driver.feed_records("sales", (from % 3) as i32, &records);
}

fn truth(sales: &[Sale]) -> BTreeMap<String, (i64, u32)> {
    let mut truth = BTreeMap::new();
    for (shop, amount) in sales {
        let entry: &mut (i64, u32) = truth.entry(key(*shop)).or_default();
        entry.0 += amount;
        entry.1 += 1;
    }
    truth
}

fn last_values(records: &[OutRecord]) -> BTreeMap<String, String> {
    let text = |b: Option<&str>| b.unwrap().to_owned();
    records
        .iter()
        .map(|r| (text(r.key_str()), text(r.value_str())))
        .collect()
}

/// Feeds `sales` in batches of the given sizes, commits after those marked, and ends with a commit.
fn run(driver: &mut Driver, sales: &[Sale], cuts: &[(usize, bool)]) {
    let mut at = 0;
    for (size, commit) in cuts.iter().cycle() {
        let end = (at + size).min(sales.len());
        feed(driver, &sales[at..end], at);
        if *commit {
            driver.commit();
        }
        at = end;
        if at == sales.len() {
            break;
        }
    }
    driver.finish();
}

fn small_calls(plan: fn(Scope<'_>), workers: u16, rows_bytes: usize, records: u32) -> Driver {
    let limits = Limits {
        records,
        rows_bytes,
        sink_bytes: 200,
        ..Limits::default()
    };
    Driver::of(App::new("test", plan).unwrap(), workers, limits).unwrap()
}

fn cuts() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((1usize..60, any::<bool>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn aggregates_do_not_depend_on_cuts_or_workers(
        sales in prop::collection::vec((any::<u8>(), -1000i64..1000), 0..600),
        cuts in cuts(),
        workers in 1u16..5,
        (rows_bytes, records) in (1usize..400, 1u32..50),
    ) {
        let want: BTreeMap<_, _> = truth(&sales).into_iter().map(|(k, (s, n))| (k, format!("{s}/{n}"))).collect();
        let plans: [fn(Scope<'_>); 4] = [sums, sums_every_update, sums_of_a_part, sums_of_a_part_every_update];
        for plan in plans {
            let mut driver = small_calls(plan, workers, rows_bytes, records);
            run(&mut driver, &sales, &cuts);
            prop_assert_eq!(&last_values(&driver.read("sums")), &want);
            prop_assert_eq!(driver.counters("aggregate-1").records, sales.len() as u64);
            prop_assert_eq!(driver.state_size("aggregate-1").keys, want.len());
        }
    }

    #[test]
    fn a_keyed_operator_behind_another_sees_the_changed_keys_of_each_commit(
        sales in prop::collection::vec((any::<u8>(), 0i64..2), 1..400),
        workers in 1u16..4,
    ) {
        let mut driver = small_calls(histogram, workers, 300, 40);
        run(&mut driver, &sales, &[(1000, false)]);
        let mut want: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (shop, (_, n)) in truth(&sales) {
            want.entry(u64::from(n)).or_default().push(shop);
        }
        let mut got: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for record in driver.read("histogram") {
            let n = u64::from_be_bytes(record.key.clone().unwrap().try_into().unwrap());
            let mut names: Vec<_> = record.value_str().unwrap().split_terminator('|').map(str::to_owned).collect();
            names.sort();
            prop_assert!(got.insert(n, names).is_none(), "one commit gives each changed key once");
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn a_restart_goes_on_where_the_last_commit_was(
        sales in prop::collection::vec((any::<u8>(), -9i64..9), 2..300),
        before in 1u16..5,
        after in 1u16..5,
    ) {
        let (first, second) = sales.split_at(sales.len() / 2);
        let mut driver = small_calls(sums, before, 1000, 1000);
        run(&mut driver, first, &[(17, true)]);
        let mut all = driver.read("sums");
        let mut driver = driver.restarted(after);
        driver.commit();
        prop_assert!(driver.read("sums").is_empty(), "what is restored has not changed");
        run(&mut driver, second, &[(13, true)]);
        all.extend(driver.read("sums"));
        let want: BTreeMap<_, _> = truth(&sales).into_iter().map(|(k, (s, n))| (k, format!("{s}/{n}"))).collect();
        prop_assert_eq!(last_values(&all), want);
    }
}

#[test]
fn a_commit_gives_out_each_changed_key_once_with_the_timestamp_of_its_last_update() {
    let mut driver = Driver::new(sums);
    feed(&mut driver, &[(0, 1), (4, 1), (0, 2)], 100);
    driver.commit();
    let out = driver.read("sums");
    let mut got: Vec<_> = out
        .iter()
        .map(|r| (r.key_str(), r.value_str(), r.timestamp))
        .collect();
    got.sort();
    assert_eq!(
        got,
        [(Some("0"), Some("3/2"), 102), (Some("4"), Some("1/1"), 101)]
    );
    driver.commit();
    assert_eq!(driver.read("sums"), []);
    feed(&mut driver, &[(4, 1)], 200);
    driver.commit();
    assert_eq!(driver.read("sums").len(), 1);
}

#[test]
fn every_update_gives_a_record_for_each_row() {
    let mut driver = Driver::new(sums_every_update);
    feed(&mut driver, &[(0, 1), (4, 5), (0, 2)], 100);
    let got: Vec<_> = driver
        .read("sums")
        .iter()
        .map(|r| r.value_str().unwrap().to_owned())
        .collect();
    assert_eq!(got, ["1/1", "5/1", "3/2"]);
    driver.commit();
    assert_eq!(
        driver.read("sums"),
        [],
        "they were given out before the commit"
    );
    let mut driver = driver.restarted(2);
    feed(&mut driver, &[(0, 4)], 200);
    assert_eq!(
        driver.read("sums")[0].value_str(),
        Some("7/3"),
        "but they are in the changelog"
    );
}

#[test]
fn the_first_row_of_a_key_is_its_value_in_a_reduce() {
    let mut driver = Driver::with_workers(3, |s| {
        let longest = |a: String, b: String| if b.len() > a.len() { b } else { a };
        s.source("names")
            .utf8()
            .map(str::to_owned)
            .key_by(|name| name.chars().next())
            .reduce(longest)
            .map(|(_, name)| ((), name))
            .sink("longest");
    });
    driver.feed("names", ["ada", "alan", "bo", "barbara", "al"]);
    driver.commit();
    let mut got: Vec<_> = driver
        .read("longest")
        .iter()
        .map(|r| r.value_str().unwrap().to_owned())
        .collect();
    got.sort();
    assert_eq!(got, ["alan", "barbara"]);
}
