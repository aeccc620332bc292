//! Folds of values that are not ordered or do not fit, by 1, 2 and 4 workers: always the same result.

use std::collections::BTreeMap;

use engine::{connectors::Topics, formats::Json, windows::Tumbling};

use super::*;

/// `numbers` over 4 partitions of as many topics as given, the values of one partition after another.
async fn numbers(topics: &[&str], of: &[&[&str]]) -> Cluster {
    let mut builder = Cluster::builder().topic("results", 1);
    for topic in topics {
        builder = builder.topic(topic, 4);
    }
    let cluster = builder.start().await.unwrap();
    for (n, values) in of.iter().enumerate() {
        let topic = topics[n % topics.len()];
        for value in *values {
            let partition = (n / topics.len()) as i32;
            let value = Some(value.as_bytes());
            cluster.append(topic, partition, [(None, value)]).unwrap();
        }
    }
    cluster
}

/// The last text of each key.
fn last(cluster: &Cluster) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let records = cluster.records("results", 0).unwrap();
    let of = |r: &kafka_proto::mock::Record| {
        (
            text(r.key.as_ref().unwrap()),
            text(r.value.as_ref().unwrap()),
        )
    };
    records.iter().map(of).collect()
}

/// What a plan gives with 1, 2 and 4 workers, of two topics in one source.
async fn same_with_all_workers(
    of: &[&[&str]],
    plan: impl Fn(Scope<'_>) + Clone + Send + Sync + 'static,
) -> BTreeMap<String, String> {
    let mut results = Vec::new();
    for workers in ["1", "2", "4"] {
        let cluster = numbers(&["first", "second"], of).await;
        let mut config = config(&cluster);
        config.set("num.stream.threads", workers).unwrap();
        run(plan.clone(), &config).await.unwrap();
        results.push(last(&cluster));
    }
    assert_eq!(results[0], results[1], "one worker and two");
    assert_eq!(results[0], results[2], "one worker and four");
    results.remove(0)
}

fn texts<const N: usize>(of: [(&str, &str); N]) -> BTreeMap<String, String> {
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    of.into_iter().map(own).collect()
}

#[tokio::test]
async fn nan_hides_no_greater_or_less_value_whatever_the_order_and_the_workers() {
    let of: [&[&str]; 8] = [
        &["NaN", "1", "5"],
        &["9", "NaN"],
        &["-0.0", "NaN", "0.0"],
        &["6"],
        &["NaN"],
        &["-inf", "2"],
        &["3", "-NaN"],
        &["inf", "1", "NaN"],
    ];
    let got = same_with_all_workers(&of, |s| {
        let all = s
            .source(Topics::list(["first", "second"]))
            .utf8()
            .try_map(str::parse::<f64>)
            .share();
        let keyed = || {
            all.clone()
                .key_by(|n| n.is_sign_positive() && n.is_finite())
        };
        let text = |n: f64| format!("{n:?}");
        keyed()
            .max(|n| *n)
            .map(move |(key, n)| (format!("max {key}"), text(n)))
            .sink("results");
        keyed()
            .min(|n| *n)
            .map(move |(key, n)| (format!("min {key}"), text(n)))
            .sink("results");
        keyed()
            .top_n(2, |n| (*n, ()))
            .map(move |(key, best)| (format!("top {key}"), format!("{best:?}")))
            .sink("results");
        keyed()
            .window(Tumbling::of(Duration::from_secs(1 << 32)))
            .max(|n| *n)
            .map(move |(key, _, n)| (format!("window {key}"), text(n)))
            .sink("results");
    })
    .await;
    let want = texts([
        ("max false", "NaN"),
        ("max true", "9.0"),
        ("min false", "-inf"),
        ("min true", "0.0"),
        ("top false", "[(NaN, ()), (NaN, ())]"),
        ("top true", "[(9.0, ()), (6.0, ())]"),
        ("window false", "NaN"),
        ("window true", "9.0"),
    ]);
    assert_eq!(got, want);
}

#[tokio::test]
async fn sums_that_leave_their_range_on_the_way_are_right_whatever_the_order_and_the_workers() {
    let of: [&[&str]; 8] = [
        &["2000000000", "2000000000"],
        &["-2000000000"],
        &["2147483647", "2147483647"],
        &["-2147483648", "-2147483648"],
        &["1"],
        &["-1000000000", "-1000000000"],
        &["2"],
        &["7"],
    ];
    let got = same_with_all_workers(&of, |s| {
        let all = s
            .source(Topics::list(["first", "second"]))
            .utf8()
            .try_map(str::parse::<i32>)
            .share();
        let keyed = || all.clone().key_by(|_| "all");
        let large = |n: i32| i64::from(n) << 32;
        keyed()
            .sum(|n| *n)
            .map(|(_, n)| ("sum", n.to_string()))
            .sink("results");
        keyed()
            .sum(move |n| large(*n))
            .map(|(_, n)| ("large", n.to_string()))
            .sink("results");
        keyed()
            .average(move |n| large(*n))
            .map(|(_, n)| ("average", n.to_string()))
            .sink("results");
        keyed()
            .window(Tumbling::of(Duration::from_secs(1 << 32)))
            .sum(|n| *n)
            .map(|(_, _, n)| ("window", n.to_string()))
            .sink("results");
    })
    .await;
    let want = texts([
        ("sum", "8"),
        ("large", "34359738368"),
        ("average", "2863311530.6666665"),
        ("window", "8"),
    ]);
    assert_eq!(got, want);
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_counted_and_not_cut_off_in_silence() {
    for workers in ["1", "2", "4"] {
        let of: [&[&str]; 4] = [&["200"], &["50"], &["6"], &["1"]];
        let cluster = numbers(&["first"], &of).await;
        let mut config = config(&cluster);
        // One commit, so that nothing is given out before the end.
        config.set("commit.interval.ms", "60000").unwrap();
        config.set("num.stream.threads", workers).unwrap();
        let plan = |s: Scope<'_>| {
            let bytes = s.source("first").utf8().try_map(str::parse::<u8>);
            let keyed = bytes.key_by(|n| n == 1);
            keyed
                .sum(|n| *n)
                .map(|(k, n)| (k, n.to_string()))
                .sink("results");
        };
        let snapshot = run(plan, &config).await.unwrap();
        assert_eq!(snapshot.records_skipped, 1, "{workers} workers");
        let records = cluster.records("results", 0).unwrap();
        let values: Vec<_> = records
            .iter()
            .map(|r| r.value.as_deref().unwrap())
            .collect();
        assert_eq!(values, [b"1"], "{workers} workers");
    }
}

#[tokio::test]
async fn json_has_no_word_for_nan_and_the_run_says_so() {
    let cluster = numbers(&["first"], &[&["1"], &["NaN"]]).await;
    let plan = |s: Scope<'_>| {
        let numbers = s.source("first").utf8().try_map(str::parse::<f64>);
        numbers.map(|n| ((), Json(("reading", n)))).sink("results");
    };
    let error = run(plan, &config(&cluster)).await.unwrap_err().to_string();
    assert!(
        error.contains("NaN") && error.contains("results"),
        "{error}"
    );
    let plan = |s: Scope<'_>| {
        let numbers = s.source("first").utf8().try_map(str::parse::<f64>);
        let options = numbers.map(|n| ((), Json(n.is_finite().then_some(n))));
        options.sink("results");
    };
    let cluster = numbers(&["first"], &[&["1"], &["NaN"]]).await;
    run(plan, &config(&cluster)).await.unwrap();
    let records = cluster.records("results", 0).unwrap();
    let mut values: Vec<_> = records
        .iter()
        .map(|r| r.value.as_deref().unwrap())
        .collect();
    values.sort_unstable();
    assert_eq!(values, [&b"1.0"[..], b"null"]);
}
