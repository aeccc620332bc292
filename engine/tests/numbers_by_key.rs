//! `sum`, `min`, `max`, `average` and `top_n` against naive references; rows without a key; `branch`.

use std::collections::BTreeMap;

use engine::{
    flow::{Limits, Pipe, Scope, Stream},
    formats::Json,
    plan::App,
    testing::{Driver, InRecord},
};
use proptest::prelude::*;

fn numbers<'b>(s: Scope<'b>) -> Stream<'b, (u64, i64), impl Pipe<(u64, i64)>> {
    s.source("numbers").utf8().try_map(|line| {
        let (key, n) = line.split_once('=').ok_or("no number")?;
        Ok::<_, &str>((
            key.parse().map_err(|_| "no key")?,
            n.parse().map_err(|_| "no number")?,
        ))
    })
}

fn plan(s: Scope<'_>) {
    let all = numbers(s).share();
    all.clone()
        .key_by(|r| r.0)
        .sum(|r| r.1)
        .map(|(k, n)| (k, Json(n)))
        .sink("sum");
    all.clone()
        .key_by(|r| r.0)
        .min(|r| r.1)
        .map(|(k, n)| (k, Json(n)))
        .sink("min");
    all.clone()
        .key_by(|r| r.0)
        .max(|r| r.1)
        .map(|(k, n)| (k, Json(n)))
        .sink("max");
    all.clone()
        .key_by(|r| r.0)
        .average(|r| r.1)
        .map(|(k, n)| (k, Json(n)))
        .sink("average");
    all.clone()
        .key_by(|r| r.0)
        .count()
        .map(|(k, n)| (k, Json(n)))
        .sink("count");
    all.clone()
        .key_by(|r| r.0)
        .aggregate_merging(
            Vec::new(),
            |seen, r| {
                if let Err(at) = seen.binary_search(&r.1) {
                    seen.insert(at, r.1);
                }
            },
            |seen: &mut Vec<i64>, more| {
                seen.extend(more);
                seen.sort_unstable();
                seen.dedup();
            },
        )
        .map(|(k, seen)| (k, Json(seen)))
        .sink("different");
    all.key_by(|r| r.0)
        .top_n(3, |r| (r.1, ()))
        .map(|(k, best)| (k, Json(best.into_iter().map(|b| b.0).collect::<Vec<_>>())))
        .sink("top");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn numbers_by_key_are_those_of_a_naive_computation(
        rows in prop::collection::vec((0u64..6, -50i64..50), 1..200),
        batch in 1usize..60,
        workers in 1u16..4,
        records in 1u32..40,
        partials in prop_oneof![Just(0usize), 1usize..8, Just(32 << 10)],
        commits in any::<bool>(),
    ) {
        let limits = Limits { records, rows_bytes: 300, sink_bytes: 300, partials };
        let mut driver = Driver::of(App::new("test", plan).unwrap(), workers, limits).unwrap();
        for batch in rows.chunks(batch) {
            driver.feed("numbers", batch.iter().map(|(k, n)| format!("{k}={n}")));
            if commits {
                driver.commit();
            }
        }
        driver.commit();
        for operator in ["sum-1", "min-1", "max-1", "average-1", "count-1", "aggregate-1"] {
            prop_assert_eq!(driver.counters(operator).records, rows.len() as u64, "each row is counted once, wherever it was folded");
        }
        let mut of: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for (key, n) in &rows {
            of.entry(*key).or_default().push(*n);
        }
        let mut read = |topic: &str| -> BTreeMap<u64, String> {
            let last = driver.read(topic).into_iter();
            last.map(|r| (u64::from_be_bytes(r.key.clone().unwrap().try_into().unwrap()), r.value_str().unwrap().to_owned())).collect()
        };
        let want = |f: &dyn Fn(&[i64]) -> String| -> BTreeMap<u64, String> { of.iter().map(|(k, n)| (*k, f(n))).collect() };
        prop_assert_eq!(read("sum"), want(&|n| n.iter().sum::<i64>().to_string()));
        prop_assert_eq!(read("count"), want(&|n| n.len().to_string()));
        prop_assert_eq!(read("different"), want(&|n| {
            let different: std::collections::BTreeSet<_> = n.iter().collect();
            serde_json::to_string(&different).unwrap()
        }));
        prop_assert_eq!(read("min"), want(&|n| n.iter().min().unwrap().to_string()));
        prop_assert_eq!(read("max"), want(&|n| n.iter().max().unwrap().to_string()));
        prop_assert_eq!(read("average"), want(&|n| serde_json::to_string(&(n.iter().sum::<i64>() as f64 / n.len() as f64)).unwrap()));
        prop_assert_eq!(read("top"), want(&|n| {
            let mut n = n.to_vec();
            n.sort_by(|a, b| b.cmp(a));
            n.truncate(3);
            serde_json::to_string(&n).unwrap()
        }));
    }
}

#[test]
fn rows_with_a_null_key_are_left_out_of_aggregations_and_counted() {
    let mut driver = Driver::new(|s| {
        let all = s.source("in").record().share();
        all.clone()
            .key_by(|r| r.key)
            .count()
            .map(|(k, n)| (k, n))
            .sink("counts");
        all.key_by(|r| r.key)
            .sum(|_| 1u64)
            .map(|(k, n)| (k, n))
            .sink("sums");
    });
    let of = |key: Option<&'static [u8]>| InRecord {
        key,
        ..InRecord::default()
    };
    driver.feed_records(
        "in",
        0,
        &[of(Some(b"a")), of(None), of(Some(b"")), of(None)],
    );
    driver.commit();
    for (topic, operator) in [("counts", "count-1"), ("sums", "sum-1")] {
        let mut keys: Vec<_> = driver.read(topic).into_iter().map(|r| r.key).collect();
        keys.sort();
        assert_eq!(
            keys,
            [Some(vec![]), Some(b"a".to_vec())],
            "an empty key is a key"
        );
        assert_eq!(driver.counters(operator).null_keys, 2);
        assert_eq!(driver.counters(operator).records, 2);
    }
}

#[test]
fn sums_of_whole_numbers_are_not_cut_off_at_the_end_of_their_range_in_silence() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .key_by(|_| 0u8)
            .sum(|_| u64::MAX - 1)
            .map(|(_, n)| ((), n))
            .sink("out");
    });
    driver.feed("in", ["x", "y"]);
    driver.commit();
    assert!(driver.read("out").is_empty());
    assert_eq!(driver.counters("sum-1").bad, 1, "it does not fit");
}

#[test]
fn both_parts_of_a_branch_together_are_the_stream() {
    let limits = Limits {
        records: 1000,
        rows_bytes: 1000,
        sink_bytes: 50,
        ..Limits::default()
    };
    let plan = |s: Scope<'_>| {
        let (short, long) = s.source("in").utf8().branch(|l| l.len() < 3);
        let (long, longest) = long.branch(|l| l.len() < 6);
        short.map(|l| ((), l)).sink("short");
        long.map(|l| ((), l)).sink("long");
        longest.map(|l| ((), l)).sink("longest");
    };
    let mut driver = Driver::of(App::new("test", plan).unwrap(), 1, limits).unwrap();
    let words: Vec<_> = (0..500).map(|n| "x".repeat(n % 9)).collect();
    driver.feed("in", &words);
    let count = |keep: &dyn Fn(usize) -> bool| words.iter().filter(|w| keep(w.len())).count();
    assert_eq!(driver.read("short").len(), count(&|n| n < 3));
    assert_eq!(driver.read("long").len(), count(&|n| (3..6).contains(&n)));
    assert_eq!(driver.read("longest").len(), count(&|n| n >= 6));
}

#[test]
fn rows_for_another_worker_are_folded_before_they_leave() {
    // Two workers and one key: one of them owns it, and half of the rows are read by the other.
    let mut driver = Driver::with_workers(2, |s| {
        let all = s.source("in").utf8().share();
        all.clone().key_by(|_| "k").count().sink("count");
        all.key_by(|_| "k").sum(|_| 1u64).sink("sum");
    });
    driver.feed("in", vec!["x"; 3000]);
    driver.feed("in", vec!["x"; 3000]);
    assert_eq!(driver.rows_exchanged("sum-1"), 1, "3000 rows as one");
    // A packed key costs less than folding it would.
    assert_eq!(driver.rows_exchanged("count-1"), 3000);
    driver.commit();
    for topic in ["count", "sum"] {
        assert_eq!(driver.read(topic)[0].value_u64(), Some(6000));
    }
}
