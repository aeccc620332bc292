//! What a plan may be, what is learned from it, and what happens when it is wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use engine::{
    connectors::Topics,
    flow::{Emit, Error, Kind, OnBad, Scope},
    plan::App,
    testing::{Driver, InRecord},
};

fn error(plan: impl Fn(Scope<'_>) + Send + Sync + 'static) -> String {
    App::new("test", plan).unwrap_err().to_string()
}

fn value(bytes: &[u8]) -> InRecord<'_> {
    InRecord {
        value: Some(bytes),
        ..InRecord::default()
    }
}

#[test]
fn the_graph_says_what_the_plan_does() {
    let app = App::new("shop", |s: Scope<'_>| {
        let lines = s.source("lines").utf8().on_bad(OnBad::Fail).share();
        lines.clone().map(|l| ((), l)).sink("copy");
        lines
            .key_by(|l| l.len() as u64)
            .count()
            .named("lengths")
            .emit_every_update()
            .sink("lengths");
    })
    .unwrap();
    let graph = app.graph();
    assert_eq!(graph.sources().collect::<Vec<_>>(), [(0, "lines")]);
    assert_eq!(
        graph.sinks().collect::<Vec<_>>(),
        [(3, "copy"), (5, "lengths")]
    );
    let (at, count) = graph.keyed().next().unwrap();
    assert_eq!(
        (at, count.kind, count.emit),
        (4, Kind::Count, Emit::EveryUpdate)
    );
    assert_eq!(graph.id(at), "lengths");
    assert_eq!(graph.id(3), "sink-1");
    assert_eq!(
        app.explain(),
        "\
0  source \"lines\"                  stops at bad records
1  share                           <- 0
2  map                             <- 1
3  sink \"copy\"                     <- 2
4  count \"lengths\"                 <- 1   keyed, state \"lengths\"; every update
5  sink \"lengths\"                  <- 4
"
    );
    assert!(graph.mermaid().contains("1 ==> 4"), "{}", graph.mermaid());
}

#[test]
fn a_source_that_goes_unchanged_into_a_sink_is_a_relay() {
    let relay = App::new("copy", |s: Scope<'_>| s.source("in").record().sink("out")).unwrap();
    assert_eq!(relay.graph().relay_of(0), Some(1));
    for app in [
        App::new("copy", |s: Scope<'_>| {
            s.source("in").record().map(|r| r.by_key()).sink("out")
        }),
        App::new("copy", |s: Scope<'_>| {
            s.source("in").record().filter(|_| true).sink("out")
        }),
        App::new("copy", |s: Scope<'_>| {
            let all = s.source("in").record().share();
            all.clone().sink("out");
            all.sink("again");
        }),
    ] {
        assert_eq!(app.unwrap().graph().relay_of(0), None);
    }
}

#[test]
fn a_plan_that_cannot_run_says_why() {
    assert_eq!(error(|_| ()), Error::NoSource.to_string());
    let unused = error(|s| {
        let _ = s.source("in").utf8().map(str::len);
    });
    assert!(
        unused.contains("nothing reads the stream of map (operator 1)"),
        "{unused}"
    );
    let twice = error(|s| {
        let lines = s.source("in").utf8().share();
        lines.clone().key_by(|l| l).count().named("n").sink("a");
        lines.key_by(|l| l).count().named("n").sink("b");
    });
    assert!(twice.contains("\"n\""), "{twice}");
}

#[test]
fn a_plan_that_changes_is_stopped_and_told_where() {
    let calls = Arc::new(AtomicUsize::new(0));
    // 0: learning, 1: the first call without data, 2: the first batch.
    let plan = move |s: Scope<'_>| {
        let lines = s.source("in").utf8();
        if calls.fetch_add(1, Ordering::Relaxed) < 2 {
            lines.map(|l| ((), l)).sink("out");
        } else {
            lines.filter(|l| l.is_empty()).map(|l| ((), l)).sink("out");
        }
    };
    let mut driver = Driver::new(plan);
    let error = driver
        .try_feed_records("in", 0, &[value(b"x")])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("operator 1 was map (operator 1), now it is filter"),
        "{text}"
    );
    assert!(
        driver.read("out").is_empty(),
        "nothing runs behind the difference"
    );
}

#[test]
fn a_plan_that_ends_early_or_names_differently_is_stopped() {
    for what in 0..3 {
        let calls = Arc::new(AtomicUsize::new(0));
        let plan = move |s: Scope<'_>| {
            let is_first = calls.fetch_add(1, Ordering::Relaxed) < 2;
            s.source("in")
                .utf8()
                .map(|l| (l, l))
                .sink(if what == 0 && !is_first {
                    "other"
                } else {
                    "out"
                });
            if what != 1 || is_first {
                let name = if what == 2 && !is_first { "b" } else { "a" };
                s.source("more")
                    .utf8()
                    .key_by(|l| l)
                    .count()
                    .named(name)
                    .sink("counts");
            }
        };
        let mut driver = Driver::new(plan);
        let error = driver
            .try_feed_records("in", 0, &[value(b"x")])
            .unwrap_err();
        assert!(matches!(error, Error::PlanChanged { .. }), "{error}");
    }
}

#[test]
fn bad_records_are_skipped_and_counted_or_stop_the_job() {
    let records = [
        value(b"ok"),
        InRecord::default(),
        value(b"\xff\xfe"),
        value(b"fine"),
    ];
    let mut skipping = Driver::new(|s| s.source("in").utf8().map(|l| ((), l)).sink("out"));
    skipping.feed_records("in", 0, &records);
    assert_eq!(skipping.read("out").len(), 2);
    assert_eq!(skipping.counters("source-1").bad, 2);
    assert_eq!(skipping.counters("source-1").records, 4);

    let mut failing = Driver::new(|s| {
        s.source("in")
            .utf8()
            .on_bad(OnBad::Fail)
            .map(|l| ((), l))
            .sink("out")
    });
    let error = failing
        .try_feed_records("in", 3, &records)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("record at offset 1 of in-3 is bad: the value is null"),
        "{error}"
    );
}

#[test]
fn a_bad_row_behind_a_cut_is_counted_at_its_operator() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .key_by(|l| l)
            .count()
            .try_map(|(word, n)| {
                if word == "bad" {
                    Err("I said so")
                } else {
                    Ok((word, n))
                }
            })
            .sink("out");
    });
    driver.feed("in", ["bad", "good"]);
    driver.commit();
    assert_eq!(driver.read("out").len(), 1);
    assert_eq!(driver.counters("try_map-1").bad, 1);
}

#[test]
fn whole_records_keep_key_value_headers_timestamp_and_partition() {
    let mut driver = Driver::new(|s| s.source("in").record().sink("out"));
    driver.partitions("out", 3);
    let headers = [("a", Some(&b"1"[..])), ("a", None), ("b", Some(b""))];
    let full = InRecord {
        key: Some(b""),
        value: None,
        headers: &headers,
        timestamp: -5,
    };
    driver.feed_records("in", 2, &[full, value(b"v")]);
    let out = driver.read("out");
    assert_eq!(
        (out[0].key.as_deref(), out[0].value.as_deref()),
        (Some(&b""[..]), None)
    );
    let want = [("a", Some(b"1".to_vec())), ("a", None), ("b", Some(vec![]))];
    assert!(
        out[0]
            .headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.clone()))
            .eq(want)
    );
    assert_eq!((out[0].timestamp, out[0].partition), (-5, 2));
    assert_eq!(
        (out[1].key.as_deref(), out[1].value.as_deref()),
        (None, Some(&b"v"[..]))
    );
}

#[test]
fn a_record_for_a_partition_that_is_not_there_stops_with_advice() {
    let mut driver = Driver::new(|s| s.source("in").record().sink("out"));
    let error = driver
        .try_feed_records("in", 1, &[value(b"v")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("partition 1") && error.contains("by_key"),
        "{error}"
    );
}

#[test]
fn keys_choose_the_partition_as_in_kafka() {
    let mut driver = Driver::new(|s| s.source("in").utf8().map(|l| (l, l)).sink("out"));
    driver.partitions("out", 1000);
    // murmur2 as Kafka's Utils.murmur2Test states it, sign bit off, modulo 1000.
    let known: [(&str, i32); 4] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("abc", 479_470_107),
    ];
    driver.feed("in", known.map(|(k, _)| k));
    for record in driver.read("out") {
        let hash = known
            .iter()
            .find(|(k, _)| Some(*k) == record.key_str())
            .unwrap()
            .1;
        assert_eq!(record.partition, (hash & 0x7fff_ffff) % 1000);
    }
}

#[test]
fn a_value_made_once_is_borrowed_in_every_batch() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let plan = move |s: Scope<'_>| {
        let words = s.once(|| {
            counter.fetch_add(1, Ordering::Relaxed);
            vec!["a".to_owned(), "b".to_owned()]
        });
        let suffix = s.once(|| "!".to_owned());
        s.source("in")
            .utf8()
            .filter(|l| words.iter().any(|w| w == l))
            .map(|l| (l, suffix))
            .sink("out");
    };
    let mut driver = Driver::new(plan);
    for _ in 0..3 {
        driver.feed("in", ["a", "b", "c"]);
    }
    let out = driver.read("out");
    assert_eq!((out.len(), out[0].value_str()), (6, Some("!")));
    assert_eq!(
        made.load(Ordering::Relaxed),
        2,
        "once when learned, once in the worker"
    );
}

#[test]
fn a_dead_letter_carries_the_record_and_says_where_it_comes_from_and_why() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .dead_letters("bad")
            .map(|l| ((), l))
            .sink("out");
    });
    let headers = [("trace", Some(&b"7"[..])), ("empty", None)];
    let bad = InRecord {
        key: Some(b"k"),
        value: Some(b"\xff"),
        headers: &headers,
        timestamp: 42,
    };
    driver.feed_records("in", 3, &[value(b"fine"), bad, value(b"fine")]);
    assert_eq!(driver.read("out").len(), 2);
    let letters = driver.read("bad");
    let [letter] = &letters[..] else {
        panic!("{letters:?}")
    };
    assert_eq!(
        (
            letter.key.as_deref(),
            letter.value.as_deref(),
            letter.timestamp
        ),
        (Some(&b"k"[..]), Some(&b"\xff"[..]), 42)
    );
    let text = |name: &str| {
        let header = letter.headers.iter().find(|(n, _)| n == name).unwrap();
        header
            .1
            .as_ref()
            .map(|v| String::from_utf8(v.clone()).unwrap())
    };
    assert_eq!(text("trace").as_deref(), Some("7"));
    assert_eq!(text("empty"), None);
    assert_eq!(text("__errors.topic").as_deref(), Some("in"));
    assert_eq!(text("__errors.partition").as_deref(), Some("3"));
    assert_eq!(text("__errors.offset").as_deref(), Some("1"));
    assert_eq!(text("__errors.operator").as_deref(), Some("source(\"in\")"));
    assert!(text("__errors.message").unwrap().contains("invalid utf-8"));
    assert_eq!(driver.counters("source-1").bad, 1);
}

#[test]
fn a_dead_letter_from_behind_a_cut_carries_the_row_and_the_operator() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .key_by(|l| l)
            .count()
            .try_map(|(word, n)| {
                if word == "bad" {
                    Err("I said so")
                } else {
                    Ok((word, n))
                }
            })
            .named("check")
            .dead_letters("bad")
            .sink("out");
    });
    driver.feed("in", ["bad", "good"]);
    driver.commit();
    let letter = &driver.read("bad")[0];
    assert_eq!(letter.key_str(), Some("bad"));
    let names: Vec<_> = letter.headers.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["__errors.operator", "__errors.message"]);
    assert_eq!(driver.read("out").len(), 1);
}

#[test]
fn names_that_topics_and_folders_cannot_have_are_refused_when_the_plan_is_learned() {
    let plan = |name: &'static str| {
        move |s: Scope<'_>| {
            let counts = s.source("in").utf8().key_by(|w| w).count().named(name);
            counts.sink("out");
        }
    };
    let long = "x".repeat(250);
    for bad in ["", ".", "..", "a b", "a/b", "\u{e4}", "a:b", &long] {
        let error = App::new(bad, plan("count")).unwrap_err().to_string();
        let begin = format!("application \"{bad}\": expected ");
        assert!(error.starts_with(&begin), "{error}");
        let bad: &'static str = bad.to_owned().leak();
        let error = App::new("app", plan(bad)).unwrap_err().to_string();
        let begin = format!("count, named \"{bad}\": expected ");
        assert!(error.starts_with(&begin), "{error}");
        let of_source = App::new("app", move |s| s.source(bad).record().sink("out"));
        let of_list = App::new("app", move |s| {
            let topics = Topics::list(["in", bad]);
            s.source(topics).record().sink("out");
        });
        for refused in [of_source, of_list] {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("topic of source \"{bad}\": expected ")),
                "{error}"
            );
        }
        let error = App::new("app", move |s| s.source("in").record().sink(bad)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("topic of sink \"{bad}\": ")),
            "{error}"
        );
        let error = App::new("app", move |s| {
            let lines = s.source("in").utf8().dead_letters(bad);
            lines.map(|line| ((), line)).sink("out");
        });
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&format!("dead letters of source \"{bad}\": expected ")),
            "{error}"
        );
    }
    for good in ["a", "...", "a.b", "A_9-"] {
        assert!(App::new(good, plan(good)).is_ok(), "{good}");
    }
}

#[test]
fn operators_whose_changelogs_kafka_does_not_tell_apart_are_refused() {
    let plan = |one: &'static str, other: &'static str| {
        move |s: Scope<'_>| {
            let words = s.source("in").utf8().share();
            words.clone().key_by(|w| w).count().named(one).sink("one");
            words.key_by(|w| w).count().named(other).sink("other");
        }
    };
    let error = App::new("app", plan("a.b", "a_b")).unwrap_err().to_string();
    assert!(error.contains("\"a.b\" and \"a_b\""), "{error}");
    assert!(App::new("app", plan("a.b", "a-b")).is_ok());
}
