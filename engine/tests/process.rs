//! Process functions: state, timers of event time and of the wall clock, expiry, side outputs; and `deduplicate` and `distinct`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{
    flow::{Limits, Pipe, Scope, Stream},
    operators::Event,
    plan::App,
    testing::{Driver, InRecord},
};
use proptest::prelude::*;

/// Lines of key, command, number.
fn commands<'b>(
    s: Scope<'b>,
) -> Stream<'b, (&'b str, &'b str, i64), impl Pipe<(&'b str, &'b str, i64)>> {
    s.source("in").utf8().try_map(|line| {
        let mut parts = line.split(' ');
        let (key, what) = (
            parts.next().ok_or("no key")?,
            parts.next().ok_or("no command")?,
        );
        let n = parts
            .next()
            .and_then(|n| n.parse().ok())
            .ok_or("no number")?;
        Ok::<_, &str>((key, what, n))
    })
}

/// Does what the rows say: sets and deletes timers, and tells when they fire.
fn alarm(s: Scope<'_>) {
    commands(s)
        .with_timestamps(|c| c.2, Duration::ZERO)
        .key_by(|c| c.0)
        .process(0u64, |cx, key, event, out| match event {
            Event::Row((_, what, n)) => {
                *cx.state += 1;
                match what {
                    "at" => cx.timer_at(n + 10),
                    "delete" => cx.delete_timer(n),
                    "wall" => cx.wall_timer_at(n),
                    "clear" => cx.clear(),
                    _ => {}
                }
            }
            Event::Timer(at) => out.push((
                key,
                format!("{at} after {} at {}", *cx.state, cx.watermark()),
            )),
            Event::WallTimer(at) => out.push((key, format!("wall {at} at {}", cx.now_ms()))),
        })
        .sink("out");
}

fn out(driver: &mut Driver) -> Vec<String> {
    driver
        .read("out")
        .iter()
        .map(|r| format!("{} {}", r.key_str().unwrap(), r.value_str().unwrap()))
        .collect()
}

#[test]
fn a_timer_is_unique_for_its_key_and_time_and_a_deleted_one_does_not_fire() {
    let mut driver = Driver::new(alarm);
    driver.feed(
        "in",
        ["a at 0", "a at 0", "b at 0", "a at 5", "a delete 15"],
    );
    driver.feed("in", ["c x 100"]);
    let mut got = out(&mut driver);
    got.sort();
    assert_eq!(
        got,
        ["a 10 after 4 at 14", "b 10 after 1 at 14"],
        "the one at 15 was deleted"
    );
}

#[test]
fn deleted_timers_do_not_fire_after_a_restore_and_the_others_do() {
    let mut driver = Driver::new(alarm);
    driver.feed("in", ["a at 0", "a at 7", "b at 1"]);
    driver.commit();
    driver.feed("in", ["a delete 10", "b clear 2"]);
    driver.commit();
    let mut driver = driver.restarted(3);
    driver.feed("in", ["c x 100"]);
    assert_eq!(out(&mut driver), ["a 17 after 3 at 99"]);
}

#[test]
fn a_wall_clock_timer_of_a_key_without_state_survives_commits_and_a_restart() {
    let mut driver = Driver::new(|s| {
        commands(s)
            .key_by(|c| c.0)
            .process(0u64, |cx, key, event, out| match event {
                Event::Row((.., n)) => {
                    cx.clear();
                    cx.wall_timer_at(n);
                }
                Event::WallTimer(at) => out.push((key, at.to_string())),
                Event::Timer(_) => {}
            })
            .sink("out");
    });
    driver.feed("in", ["a x 100"]);
    driver.commit();
    driver.commit();
    let mut driver = driver.restarted(2);
    driver.commit();
    driver.set_clock(99);
    assert!(out(&mut driver).is_empty());
    driver.set_clock(100);
    assert_eq!(out(&mut driver), ["a 100"]);
}

#[test]
fn timers_fire_in_the_order_of_their_times() {
    let mut driver = Driver::new(alarm);
    let lines: Vec<String> = (0..500)
        .map(|n| format!("k{} at {}", n % 7, n * 37 % 500))
        .collect();
    driver.feed("in", ["z x 0"]);
    driver.assign("in", 1);
    driver.feed("in", &lines);
    driver.idle("in", 1);
    driver.finish();
    let times: Vec<i64> = out(&mut driver)
        .iter()
        .map(|l| l.split(' ').nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(times.len(), 500);
    assert!(times.is_sorted());
}

#[test]
fn wall_clock_timers_fire_when_the_clock_says_so_and_overdue_ones_at_once_after_a_restart() {
    let mut driver = Driver::new(alarm);
    driver.set_clock(1000);
    driver.feed("in", ["a wall 1500", "a wall 1500", "b wall 3000"]);
    driver.advance_clock(Duration::from_millis(499));
    assert_eq!(out(&mut driver), [""; 0]);
    driver.advance_clock(Duration::from_millis(1));
    assert_eq!(out(&mut driver), ["a wall 1500 at 1500"]);
    driver.commit();
    driver.advance_clock(Duration::from_millis(100));
    let mut driver = driver.restarted(2);
    assert_eq!(out(&mut driver), [""; 0]);
    driver.set_clock(10_000);
    assert_eq!(out(&mut driver), ["b wall 3000 at 10000"]);
}

#[test]
fn thousands_of_timers_at_once_are_taken_in_pieces() {
    let limits = Limits {
        records: 100,
        rows_bytes: 2000,
        sink_bytes: 2000,
        ..Limits::default()
    };
    let mut driver = Driver::of(App::new("test", alarm).unwrap(), 2, limits).unwrap();
    let lines: Vec<String> = (0..20_000).map(|n| format!("key-{n} at 5")).collect();
    driver.feed("in", &lines);
    driver.commit();
    assert_eq!(driver.state_size("process-1").keys, 20_000);
    driver.feed("in", ["z x 1000"]);
    driver.finish();
    assert_eq!(out(&mut driver).len(), 20_000);
}

#[test]
fn a_cleared_key_is_gone_from_memory_and_from_the_changelog() {
    let mut driver = Driver::new(alarm);
    driver.feed("in", ["a at 0", "some-key-that-is-long at 0", "b x 1"]);
    driver.commit();
    assert_eq!(driver.state_size("process-1").keys, 3);
    driver.feed("in", ["a clear 2", "some-key-that-is-long clear 2"]);
    driver.commit();
    assert_eq!(driver.state_size("process-1").keys, 1);
    assert_eq!(driver.restarted(1).state_size("process-1").keys, 1);
}

#[test]
fn lists_and_maps_are_state_like_numbers() {
    let mut driver = Driver::with_workers(2, |s| {
        commands(s)
            .key_by(|c| c.0)
            .process((Vec::new(), BTreeMap::new()), |cx, key, event, out| {
                let (numbers, words): &mut (Vec<i64>, BTreeMap<String, u64>) = cx.state;
                if let Event::Row((_, what, n)) = event {
                    numbers.push(n);
                    *words.entry(what.to_owned()).or_default() += 1;
                    out.push((key, format!("{numbers:?} {words:?}")));
                }
            })
            .sink("out");
    });
    driver.feed("in", ["a x 1", "a y 2"]);
    driver.commit();
    let mut driver = driver.restarted(3);
    driver.feed("in", ["a x 3"]);
    assert_eq!(out(&mut driver), [r#"a [1, 2, 3] {"x": 2, "y": 1}"#]);
}

#[test]
fn expired_state_is_hidden_before_it_is_removed() {
    let mut driver = Driver::new(|s| {
        commands(s)
            .key_by(|c| c.0)
            .state_ttl(Duration::from_secs(10))
            .process(0u64, |cx, key, event, out| {
                if let Event::Row(_) = event {
                    *cx.state += 1;
                    out.push((key, format!("{} {}", *cx.state, cx.is_new())));
                }
            })
            .sink("out");
    });
    driver.set_clock(100_000);
    driver.feed("in", ["a x 0", "a x 0", "b x 0"]);
    assert_eq!(out(&mut driver), ["a 1 true", "a 2 false", "b 1 true"]);
    driver.commit();
    driver.set_clock(109_999);
    driver.feed("in", ["a x 0"]);
    assert_eq!(
        out(&mut driver),
        ["a 3 false"],
        "each use begins the time anew"
    );
    driver.commit();
    // Restored with the clock already past the end: nothing was removed yet, and nothing of it is seen.
    let mut driver = driver.restarted(1);
    driver.set_clock(119_999);
    driver.commit();
    assert_eq!(driver.state_size("process-1").keys, 0);
    driver.feed("in", ["a x 0"]);
    assert_eq!(out(&mut driver), ["a 1 true"]);
}

#[test]
fn results_of_a_process_function_split_into_a_stream_and_a_side_output() {
    let mut driver = Driver::new(|s| {
        let (sums, alerts) = commands(s)
            .key_by(|c| c.0)
            .process(0i64, |cx, key, event, out| {
                if let Event::Row((_, _, n)) = event {
                    *cx.state += n;
                    out.push(if n < 0 {
                        Err((key, n))
                    } else {
                        Ok((key, *cx.state))
                    });
                }
            })
            .split();
        sums.map(|(k, n)| (k, n.to_string())).sink("out");
        alerts.map(|(k, n)| (k, n.to_string())).sink("alerts");
    });
    driver.feed("in", ["a x 5", "a x -2", "a x 4"]);
    assert_eq!(out(&mut driver), ["a 5", "a 7"]);
    assert_eq!(driver.read("alerts")[0].value_str(), Some("-2"));
}

#[test]
fn the_function_is_called_once_for_each_row_however_full_its_outputs_are() {
    let limits = Limits {
        records: 1000,
        rows_bytes: 1000,
        sink_bytes: 30,
        ..Limits::default()
    };
    let plan = |s: Scope<'_>| {
        commands(s)
            .key_by(|c| c.0)
            .process(0i64, |cx, key, event, out| {
                if let Event::Row(_) = event {
                    *cx.state += 1;
                    (0..50).for_each(|_| out.push((key, cx.state.to_string())));
                }
            })
            .sink("out");
    };
    let mut driver = Driver::of(App::new("test", plan).unwrap(), 1, limits).unwrap();
    driver.feed("in", vec!["a x 0"; 40]);
    let want: Vec<String> = (1..=40).flat_map(|n| vec![format!("a {n}"); 50]).collect();
    assert_eq!(out(&mut driver), want);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_first_row_of_each_key_passes_once_whatever_the_cuts_and_restarts(
        rows in prop::collection::vec(0u8..40, 1..300),
        cuts in prop::collection::vec((1usize..40, any::<bool>()), 1..6),
        workers in 1u16..4,
        after in 1u16..4,
    ) {
        let mut driver = Driver::with_workers(workers, |s| {
            let all = s.source("in").utf8().share();
            all.clone().key_by(|l| l).deduplicate().map(|l| (l, ())).sink("first");
            all.key_by(|l| l).distinct().map(|l| (l, ())).sink("keys");
        });
        let mut left = &rows[..];
        let (mut first, mut keys) = (Vec::new(), Vec::new());
        for (len, restart) in cuts.iter().cycle() {
            let (now, later) = left.split_at((*len).min(left.len()));
            left = later;
            driver.feed("in", now.iter().map(|k| format!("key {k}")));
            first.extend(driver.read("first").into_iter().map(|r| r.key));
            keys.extend(driver.read("keys").into_iter().map(|r| r.key));
            if *restart {
                driver.commit();
                driver = driver.restarted(after);
            }
            if left.is_empty() { break }
        }
        let want: BTreeSet<_> = rows.iter().map(|k| Some(format!("key {k}").into_bytes())).collect();
        for got in [first, keys] {
            prop_assert_eq!(got.len(), want.len());
            prop_assert_eq!(&got.into_iter().collect::<BTreeSet<_>>(), &want);
        }
    }
}

#[test]
fn a_record_without_a_value_is_no_row_of_a_process_function() {
    let mut driver = Driver::new(alarm);
    driver.feed_records("in", 0, &[InRecord::default()]);
    assert_eq!(driver.counters("process-1").records, 0);
    assert_eq!(driver.counters("source-1").bad, 1);
}
