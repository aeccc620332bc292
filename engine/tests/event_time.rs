//! Event time through a plan: watermarks of partitions, idleness, ends, restarts, lateness, and the times that newcomers get wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use engine::{
    flow::{OnBad, Pipe, Scope, Stream},
    plan::App,
    testing::{Driver, InRecord, OutRecord},
    time::{Generator, Watermarks},
    windows::{Hopping, Session, Tumbling},
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn times<'b>(s: Scope<'b>, topic: &str, bound: u64) -> Stream<'b, i64, impl Pipe<i64> + use<'b>> {
    s.source(topic)
        .utf8()
        .try_map(str::parse::<i64>)
        .with_timestamps(|t| *t, ms(bound))
}

/// Counts in windows of 10 ms.
fn counts(s: Scope<'_>) {
    let (counts, late) = times(s, "in", 2)
        .key_by(|_| "k")
        .window(Tumbling::of(ms(10)))
        .count()
        .with_late();
    counts.map(|(_, w, n)| (w.start, n)).sink("counts");
    late.map(|(key, ())| (key, ())).sink("late");
}

fn feed(driver: &mut Driver, partition: i32, times: &[i64]) {
    let text: Vec<String> = times.iter().map(ToString::to_string).collect();
    let records: Vec<_> = text
        .iter()
        .map(|t| InRecord {
            value: Some(t.as_bytes()),
            ..InRecord::default()
        })
        .collect();
    driver.feed_records("in", partition, &records);
}

fn start(r: &OutRecord) -> i64 {
    i64::from_be_bytes(r.key.clone().unwrap().try_into().unwrap())
}

fn read(driver: &mut Driver, topic: &str) -> Vec<(i64, u64)> {
    driver
        .read(topic)
        .iter()
        .map(|r| (start(r), r.value_u64().unwrap()))
        .collect()
}

#[test]
fn the_watermark_is_the_greatest_timestamp_less_the_bound_less_one() {
    let mut driver = Driver::new(counts);
    feed(&mut driver, 0, &[3, 11]);
    assert_eq!(driver.watermark("window-1"), 8);
    feed(&mut driver, 0, &[5]);
    assert_eq!(driver.watermark("window-1"), 8, "it does not fall");
    assert_eq!(read(&mut driver, "counts"), []);
    feed(&mut driver, 0, &[12]);
    assert_eq!(
        read(&mut driver, "counts"),
        [(0, 2)],
        "closed at 9, the last millisecond before the exclusive end"
    );
}

#[test]
fn the_slowest_partition_holds_the_watermark_until_it_is_idle_or_at_its_end() {
    for workers in [1, 2, 3] {
        let mut driver = Driver::with_workers(workers, counts);
        driver.assign("in", 1);
        driver.assign("in", 2);
        feed(&mut driver, 0, &[100]);
        assert_eq!(
            driver.watermark("window-1"),
            i64::MIN,
            "nothing is known of two partitions"
        );
        feed(&mut driver, 1, &[50]);
        driver.idle("in", 2);
        assert_eq!(driver.watermark("window-1"), 47, "{workers} workers");
        driver.idle("in", 1);
        assert_eq!(driver.watermark("window-1"), 97);
        feed(&mut driver, 1, &[60]);
        assert_eq!(
            driver.watermark("window-1"),
            97,
            "one that wakes with an older watermark does not lower it"
        );
        assert_eq!(driver.counters("window-1").late, 1);
        feed(&mut driver, 0, &[200]);
        assert_eq!(driver.watermark("window-1"), 97, "but it holds it back");
        driver.end("in", 1);
        assert_eq!(driver.watermark("window-1"), 197, "one at its end does not");
    }
}

#[test]
fn when_all_partitions_are_idle_the_watermark_stays_where_it_was() {
    let mut driver = Driver::with_workers(2, counts);
    driver.assign("in", 1);
    feed(&mut driver, 0, &[100]);
    feed(&mut driver, 1, &[50]);
    driver.idle("in", 0);
    driver.idle("in", 1);
    assert_eq!(driver.watermark("window-1"), 47);
    assert_eq!(read(&mut driver, "counts"), [], "the window of 50 is open");
    feed(&mut driver, 0, &[101]);
    assert_eq!(driver.watermark("window-1"), 98);
}

#[test]
fn a_partition_found_later_holds_the_watermark_and_does_not_lower_it() {
    let mut driver = Driver::new(counts);
    feed(&mut driver, 0, &[100]);
    driver.assign("in", 1);
    feed(&mut driver, 0, &[200]);
    assert_eq!(driver.watermark("window-1"), 97);
    feed(&mut driver, 1, &[150]);
    assert_eq!(driver.watermark("window-1"), 147);
}

#[test]
fn a_bounded_input_ends_with_the_final_watermark_and_everything_comes_out() {
    let mut driver = Driver::with_workers(2, counts);
    driver.assign("in", 5);
    feed(&mut driver, 0, &[5, 15, 25]);
    feed(&mut driver, 1, &[7]);
    driver.finish();
    let mut got = read(&mut driver, "counts");
    got.sort();
    assert_eq!(got, [(0, 2), (10, 1), (20, 1)]);
    assert_eq!(driver.watermark("window-1"), i64::MAX);
}

#[test]
fn after_a_restart_rows_are_late_for_the_same_windows_as_before_and_for_no_others() {
    let mut driver = Driver::new(counts);
    feed(&mut driver, 0, &[5, 25, 32]);
    assert_eq!(read(&mut driver, "counts"), [(0, 1), (20, 1)]);
    driver.commit();
    let mut driver = driver.restarted(2);
    feed(&mut driver, 0, &[6, 28, 31]);
    assert_eq!(
        driver.counters("window-1").late,
        2,
        "6 and 28 are late, as they would have been without the restart"
    );
    driver.finish();
    assert_eq!(read(&mut driver, "counts"), [(30, 2)]);
    // What was not committed is not known: it comes again, and none of it is late.
    let mut driver = Driver::new(counts);
    feed(&mut driver, 0, &[5, 25]);
    let mut driver = driver.restarted(1);
    feed(&mut driver, 0, &[5, 25]);
    assert_eq!(driver.counters("window-1").late, 0);
}

#[test]
fn windows_before_1970_are_windows_like_any_other() {
    let mut driver = Driver::new(counts);
    feed(&mut driver, 0, &[-25, -11, -10, -2, 0]);
    driver.finish();
    let mut got = read(&mut driver, "counts");
    got.sort();
    assert_eq!(got, [(-30, 1), (-20, 1), (-10, 2), (0, 1)]);
}

#[test]
fn an_offset_of_windows_counts_when_they_close() {
    let mut driver = Driver::new(|s| {
        let windows = Tumbling::of(ms(10)).offset_ms(3);
        times(s, "in", 0)
            .key_by(|_| "k")
            .window(windows)
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    });
    feed(&mut driver, 0, &[4, 12]);
    assert_eq!(read(&mut driver, "counts"), []);
    feed(&mut driver, 0, &[13]);
    assert_eq!(read(&mut driver, "counts"), [(3, 2)]);
}

#[test]
fn a_row_may_be_late_for_one_hopping_window_and_not_for_another() {
    let mut driver = Driver::new(|s| {
        let windows = Hopping::of(ms(10), ms(4));
        let (counts, late) = times(s, "in", 0)
            .key_by(|_| "k")
            .window(windows)
            .count()
            .with_late();
        counts.map(|(_, w, n)| (w.start, n)).sink("counts");
        late.map(|(k, ())| (k, ())).sink("late");
    });
    // 9 lies in [0, 10), [4, 14) and [8, 18); the watermark is 11: the first is closed.
    feed(&mut driver, 0, &[12]);
    feed(&mut driver, 0, &[9]);
    // 1 lies in [-8, 2), [-4, 6) and [0, 10): all closed.
    feed(&mut driver, 0, &[1]);
    assert_eq!(driver.counters("window-1").late, 1);
    driver.finish();
    assert_eq!(read(&mut driver, "counts"), [(4, 2), (8, 2), (12, 1)]);
    assert_eq!(driver.read("late")[0].timestamp, 1);
}

#[test]
fn a_late_row_within_the_allowed_lateness_corrects_the_result_at_the_next_commit() {
    let mut driver = Driver::new(|s| {
        let windows = Tumbling::of(ms(10));
        let counts = times(s, "in", 0)
            .key_by(|_| "k")
            .window(windows)
            .allowed_lateness(ms(20))
            .count();
        counts.map(|(_, w, n)| (w.start, n)).sink("counts");
    });
    feed(&mut driver, 0, &[5, 12]);
    assert_eq!(read(&mut driver, "counts"), [(0, 1)]);
    driver.commit();
    assert_eq!(
        read(&mut driver, "counts"),
        [],
        "nothing has changed since it closed"
    );
    feed(&mut driver, 0, &[6, 7]);
    driver.commit();
    assert_eq!(read(&mut driver, "counts"), [(0, 3)]);
    // Still within 9 + 20 when it comes, and past when the commit does: it is not lost.
    feed(&mut driver, 0, &[8]);
    feed(&mut driver, 0, &[40]);
    let mut got = read(&mut driver, "counts");
    got.sort();
    assert_eq!(got, [(0, 4), (10, 1)]);
    feed(&mut driver, 0, &[9]);
    assert_eq!(driver.counters("window-1").late, 1);
}

#[test]
fn a_row_out_of_order_makes_two_sessions_one() {
    let mut driver = Driver::new(|s| {
        let sessions = times(s, "in", 30)
            .key_by(|_| "k")
            .window(Session::gap(ms(10)))
            .count();
        sessions
            .map(|(_, w, n)| (w.start, format!("{} {n}", w.end)))
            .sink("sessions");
    });
    feed(&mut driver, 0, &[0, 16, 8]);
    driver.commit();
    let mut driver = driver.restarted(2);
    feed(&mut driver, 0, &[27]);
    driver.finish();
    let mut got: Vec<_> = driver
        .read("sessions")
        .iter()
        .map(|r| (start(r), r.value_str().unwrap().to_owned()))
        .collect();
    got.sort();
    assert_eq!(
        got,
        [(0, "27 3".to_owned()), (27, "38 1".to_owned())],
        "16 + 10 is the last moment of the first"
    );
}

#[test]
fn sessions_exactly_the_gap_apart_are_one_whatever_the_order_and_the_watermark() {
    let sessions = |rows: &[(i64, &str)]| {
        let mut driver = Driver::new(|s| {
            s.source("in")
                .utf8()
                .try_map(|l| {
                    let (ts, key) = l.split_once(' ').ok_or("no key")?;
                    Ok::<_, &str>((ts.parse::<i64>().map_err(|_| "no time")?, key))
                })
                .with_timestamps(|r| r.0, ms(0))
                .key_by(|r| r.1)
                .window(Session::gap(ms(10)))
                .count()
                .filter(|(key, ..)| *key == "k")
                .map(|(_, w, n)| (w.start, n))
                .sink("sessions");
        });
        for (ts, key) in rows {
            driver.feed("in", [format!("{ts} {key}")]);
        }
        assert_eq!(driver.counters("window-1").late, 0);
        driver.finish();
        read(&mut driver, "sessions")
    };
    assert_eq!(sessions(&[(0, "k"), (10, "k")]), [(0, 2)]);
    // The watermark is 9 when the row of 10 comes: it is in time, and so its session must still be there.
    assert_eq!(sessions(&[(0, "k"), (10, "x"), (10, "k")]), [(0, 2)]);
    assert_eq!(sessions(&[(0, "k"), (11, "k")]), [(0, 1), (11, 1)]);
    assert_eq!(
        sessions(&[(0, "k"), (11, "x"), (11, "k")]),
        [(0, 1), (11, 1)]
    );
}

#[test]
fn lateness_of_a_session_is_decided_when_it_has_grown() {
    let mut driver = Driver::new(|s| {
        let sessions = times(s, "in", 0)
            .key_by(|_| "k")
            .window(Session::gap(ms(10)))
            .count();
        sessions.map(|(_, w, n)| (w.start, n)).sink("sessions");
    });
    feed(&mut driver, 0, &[20]);
    // Alone, 9 to 19 would be closed; it meets nothing: late. 11 to 21 meets 20 to 30, which is open: on time.
    feed(&mut driver, 0, &[9]);
    feed(&mut driver, 0, &[11]);
    assert_eq!(driver.counters("window-1").late, 1);
    driver.finish();
    assert_eq!(read(&mut driver, "sessions"), [(11, 2)]);
}

#[test]
fn the_records_own_time_counts_where_no_other_is_given() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .key_by(|w| w)
            .window(Tumbling::of(ms(10)))
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    });
    let at = |timestamp| InRecord {
        value: Some(b"x"),
        timestamp,
        ..InRecord::default()
    };
    driver.feed_records("in", 0, &[at(3), at(4)]);
    driver.feed_records("in", 0, &[at(10)]);
    assert_eq!(read(&mut driver, "counts"), [(0, 2)]);
}

#[test]
fn windows_behind_windows_get_rows_in_time() {
    // Counts of 10 ms, and the greatest of them in 30 ms: the second window closes after the first ones' results are in it.
    for workers in [1, 3] {
        let mut driver = Driver::with_workers(workers, |s| {
            times(s, "in", 0)
                .key_by(|t| t as u64 % 2)
                .window(Tumbling::of(ms(10)))
                .count()
                .key_by(|_| 0u64)
                .window(Tumbling::of(ms(30)))
                .max(|(_, _, n)| *n)
                .map(|(_, w, n)| (w.start, n))
                .sink("counts");
        });
        feed(&mut driver, 0, &[0, 2, 4, 11, 22, 24]);
        feed(&mut driver, 0, &[30]);
        assert_eq!(read(&mut driver, "counts"), [(0, 3)], "{workers} workers");
        assert_eq!(driver.counters("window-2").late, 0);
    }
}

#[test]
fn changed_counts_of_a_commit_are_not_late_for_a_window_behind_them() {
    let mut driver = Driver::new(|s| {
        times(s, "in", 0)
            .key_by(|t| t as u64 % 2)
            .count()
            .key_by(|_| 0u64)
            .window(Tumbling::of(ms(10)))
            .sum(|(_, n)| *n)
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    });
    // Both keys change in [0, 10), and are given out when time is far ahead of them.
    feed(&mut driver, 0, &[1, 2, 4]);
    feed(&mut driver, 0, &[101]);
    driver.commit();
    assert_eq!(driver.counters("window-1").late, 0);
    driver.finish();
    assert_eq!(read(&mut driver, "counts"), [(0, 2), (100, 2)]);
}

#[test]
fn streams_of_two_topics_wait_for_each_other() {
    let mut driver = Driver::new(|s| {
        let b = times(s, "b", 0);
        times(s, "in", 0)
            .union(b)
            .key_by(|_| "k")
            .window(Tumbling::of(ms(10)))
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    });
    driver.assign("b", 0);
    feed(&mut driver, 0, &[5, 100]);
    assert_eq!(driver.watermark("window-1"), i64::MIN);
    driver.feed("b", ["7", "20"]);
    assert_eq!(read(&mut driver, "counts"), [(0, 2)]);
}

#[test]
fn a_timestamp_far_ahead_of_the_wall_clock_is_a_bad_row_and_moves_nothing() {
    let plan = |on_bad| {
        move |s: Scope<'_>| {
            let watermarks = Watermarks::bounded(ms(2)).ahead_max(Duration::from_secs(60));
            s.source("in")
                .utf8()
                .try_map(str::parse::<i64>)
                .with_timestamps(|t| *t, watermarks)
                .on_bad(on_bad)
                .key_by(|_| "k")
                .window(Tumbling::of(ms(10)))
                .count()
                .map(|(_, w, n)| (w.start, n))
                .sink("counts");
        }
    };
    let mut driver = Driver::new(plan(OnBad::Skip));
    driver.set_clock(1_000_000);
    feed(&mut driver, 0, &[1_000_000, 32_503_680_000_000, 1_060_000]);
    assert_eq!(driver.counters("with_timestamps-1").bad, 1);
    assert_eq!(driver.watermark("window-1"), 1_060_000 - 3);
    let mut driver = Driver::new(plan(OnBad::Fail));
    let record = InRecord {
        value: Some(b"32503680000000"),
        ..InRecord::default()
    };
    let error = driver
        .try_feed_records("in", 0, &[record])
        .unwrap_err()
        .to_string();
    assert!(error.contains("too far ahead of the wall clock"), "{error}");
}

#[test]
fn watermarks_may_be_made_in_ways_of_ones_own() {
    /// A row that ends in 9 says that all before it is there.
    #[derive(Default)]
    struct Nines(Option<i64>);
    impl Generator for Nines {
        fn observe(&mut self, timestamp: i64) {
            if timestamp % 10 == 9 {
                self.0 = Some(timestamp);
            }
        }
        fn watermark(&self) -> i64 {
            self.0.unwrap_or(i64::MIN)
        }
    }
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .try_map(str::parse::<i64>)
            .with_generator(|t| *t, Nines::default)
            .key_by(|_| "k")
            .window(Tumbling::of(ms(10)))
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    });
    feed(&mut driver, 0, &[5, 28]);
    assert_eq!(driver.watermark("window-1"), i64::MIN);
    feed(&mut driver, 0, &[19]);
    assert_eq!(read(&mut driver, "counts"), [(0, 1), (10, 1)]);
}

#[test]
fn windows_that_cannot_be_are_refused_with_their_numbers() {
    let error = |plan: fn(Scope<'_>)| App::new("test", plan).unwrap_err().to_string();
    let zero = error(|s| {
        s.source("in")
            .utf8()
            .key_by(|w| w)
            .window(Tumbling::of(Duration::ZERO))
            .count()
            .map(|(k, ..)| (k, ()))
            .sink("out");
    });
    assert!(zero.contains("its length is 0 ms"), "{zero}");
    let gaps = error(|s| {
        s.source("in")
            .utf8()
            .key_by(|w| w)
            .window(Hopping::of(ms(5), ms(7)))
            .count()
            .map(|(k, ..)| (k, ()))
            .sink("out");
    });
    assert!(
        gaps.contains("slides by 7 ms, more than its width of 5 ms"),
        "{gaps}"
    );
}

#[test]
fn explain_says_what_windows_there_are() {
    let app = App::new("test", |s: Scope<'_>| {
        let windows = Hopping::of(Duration::from_secs(60), Duration::from_secs(10));
        times(s, "in", 0)
            .key_by(|_| "k")
            .window(windows)
            .allowed_lateness(ms(500))
            .count()
            .map(|(k, _, n)| (k, n))
            .sink("out");
    });
    let text = app.unwrap().explain();
    assert!(
        text.contains(
            "results when windows close; hopping 1 min each 10 s; allowed lateness 500 ms"
        ),
        "{text}"
    );
}

#[test]
fn early_results_come_at_most_once_in_their_time_and_the_last_one_on_close() {
    for session in [false, true] {
        let mut driver = Driver::new(move |s| {
            let rows = times(s, "in", 0).key_by(|_| "k");
            if session {
                let counts = rows
                    .window(Session::gap(ms(1000)))
                    .emit_early(ms(100))
                    .count();
                counts.map(|(_, w, n)| (w.start, n)).sink("counts");
            } else {
                let counts = rows
                    .window(Tumbling::of(ms(1000)))
                    .emit_early(ms(100))
                    .count();
                counts.map(|(_, w, n)| (w.start, n)).sink("counts");
            }
        });
        let step = |driver: &mut Driver, clock: i64, time: i64| {
            driver.set_clock(clock);
            feed(driver, 0, &[time]);
            driver.commit();
            driver.set_clock(clock);
            read(driver, "counts")
        };
        assert_eq!(step(&mut driver, 1000, 0), [(0, 1)]);
        assert_eq!(step(&mut driver, 1050, 5), [], "not so soon");
        assert_eq!(step(&mut driver, 1099, 6), []);
        driver.set_clock(1100);
        assert_eq!(
            read(&mut driver, "counts"),
            [(0, 3)],
            "also when nothing comes"
        );
        driver.set_clock(1500);
        assert_eq!(
            read(&mut driver, "counts"),
            [],
            "and not what has not changed"
        );
        feed(&mut driver, 0, &[7, 5000]);
        assert_eq!(read(&mut driver, "counts"), [(0, 4)], "closed");
        driver.finish();
        driver.set_clock(9000);
        assert_eq!(read(&mut driver, "counts"), [(5000, 1)]);
    }
}

#[test]
fn what_changes_between_a_commit_and_an_early_result_is_not_forgotten() {
    let mut driver = Driver::new(|s| {
        let rows = times(s, "in", 0).key_by(|t| (t % 2) as u64);
        let windows = rows.window(Tumbling::of(ms(1000))).emit_early(ms(100));
        windows
            .count()
            .map(|(key, _, n)| (key as i64, n))
            .sink("counts");
    });
    driver.set_clock(1000);
    feed(&mut driver, 0, &[0]);
    driver.commit();
    feed(&mut driver, 0, &[1]);
    driver.set_clock(1001);
    driver.commit();
    driver.set_clock(1200);
    let mut got = read(&mut driver, "counts");
    got.sort_unstable();
    assert_eq!(got, [(0, 1), (1, 1)]);
}

#[test]
fn early_results_that_were_noted_before_a_restart_come_after_it() {
    for session in [false, true] {
        let mut driver = Driver::new(move |s| {
            let rows = times(s, "in", 0).key_by(|_| "k");
            if session {
                let windows = rows.window(Session::gap(ms(1000))).emit_early(ms(100));
                windows.count().map(|(_, w, n)| (w.start, n)).sink("counts");
            } else {
                let windows = rows.window(Hopping::of(ms(1000), ms(500)));
                let windows = windows.emit_early(ms(100));
                windows.count().map(|(_, w, n)| (w.start, n)).sink("counts");
            }
        });
        driver.set_clock(1000);
        feed(&mut driver, 0, &[600]);
        driver.commit();
        driver.set_clock(1001);
        let windows = read(&mut driver, "counts").len();
        assert_eq!(windows, if session { 1 } else { 2 });
        feed(&mut driver, 0, &[601]);
        driver.commit();
        driver.set_clock(1050);
        assert_eq!(read(&mut driver, "counts"), [], "not so soon");
        let mut driver = driver.restarted(2);
        let mut got = read(&mut driver, "counts");
        got.sort_unstable();
        let want: &[(i64, u64)] = if session {
            &[(600, 2)]
        } else {
            &[(0, 2), (500, 2)]
        };
        assert_eq!(got, want, "what was noted, once");
        driver.set_clock(2000);
        assert_eq!(read(&mut driver, "counts"), [], "nothing has changed since");
    }
}

#[test]
fn windows_that_are_past_leave_the_changelog() {
    fn entries(spec: impl engine::windows::WindowSpec + Sync) {
        for workers in [1, 2] {
            let mut driver = Driver::with_workers(workers, move |s| {
                times(s, "in", 2)
                    .key_by(|_| "k")
                    .window(spec)
                    .count()
                    .map(|(_, w, n)| (w.start, n))
                    .sink("counts");
            });
            feed(&mut driver, 0, &[5, 6]);
            driver.commit();
            assert_eq!(driver.changelog_entries("window-1"), 1, "{spec}");
            feed(&mut driver, 0, &[100]);
            driver.commit();
            assert_eq!(driver.changelog_entries("window-1"), 1, "{spec}");
            driver.finish();
            assert_eq!(driver.changelog_entries("window-1"), 0, "{spec}");
        }
    }
    entries(Tumbling::of(ms(10)));
    entries(Hopping::of(ms(20), ms(10)));
    entries(Session::gap(ms(10)));
    entries(engine::windows::Sliding::of(ms(10)));
}

#[test]
fn idleness_passes_keyed_operators() {
    for workers in [1, 2] {
        let mut driver = Driver::with_workers(workers, |s| {
            let slow = s
                .source("slow")
                .utf8()
                .try_map(str::parse::<i64>)
                .key_by(|_| "k")
                .process((), |_, _, event, out| {
                    if let engine::operators::Event::Row(row) = event {
                        out.push(row);
                    }
                })
                .with_timestamps(|t| *t, ms(0));
            times(s, "in", 0)
                .union(slow)
                .key_by(|_| "k")
                .window(Tumbling::of(ms(10)))
                .count()
                .map(|(_, w, n)| (w.start, n))
                .sink("counts");
        });
        driver.feed("slow", ["5"]);
        feed(&mut driver, 0, &[7, 100]);
        assert_eq!(driver.watermark("window-1"), 4, "{workers} workers");
        driver.idle("slow", 0);
        assert_eq!(driver.watermark("window-1"), 99, "{workers} workers");
        assert_eq!(read(&mut driver, "counts"), [(0, 2)]);
        driver.feed("slow", ["103"]);
        feed(&mut driver, 0, &[120]);
        assert_eq!(driver.watermark("window-1"), 102, "it is back");
    }
}

#[test]
fn a_worker_whose_keys_fall_silent_after_a_keyed_operator_is_idle_after_a_while() {
    let mut driver = Driver::with_workers(2, |s| {
        s.source("in")
            .utf8()
            .try_map(|l| l.split_once(' ').ok_or("no time"))
            .try_map(|(key, t)| t.parse::<i64>().map(|t| (key.to_owned(), t)))
            .key_by(|r| r.0.clone())
            .reduce(|_, row| row)
            .emit_every_update()
            .map(|(_, row)| row)
            .with_timestamps(|r| r.1, ms(0))
            .key_by(|_| "k")
            .window(Tumbling::of(ms(10)))
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    });
    // Keys of both workers, then one of them alone.
    driver.feed("in", (0..8).map(|key| format!("key{key} 5")));
    assert_eq!(driver.watermark("window-1"), 4);
    driver.feed("in", ["key0 30"]);
    assert_eq!(driver.watermark("window-1"), 4, "the other one may go on");
    driver.advance_clock(ms(499));
    assert_eq!(driver.watermark("window-1"), 4);
    driver.feed("in", (0..8).map(|key| format!("key{key} 31")));
    driver.feed("in", ["key0 50"]);
    assert_eq!(driver.watermark("window-1"), 30);
    driver.advance_clock(ms(499));
    assert_eq!(driver.watermark("window-1"), 30, "it had something to say");
    driver.feed("in", ["key0 60"]);
    driver.advance_clock(ms(2));
    assert_eq!(driver.watermark("window-1"), 59);
    assert_eq!(read(&mut driver, "counts"), [(0, 8), (30, 9), (50, 1)]);
    driver.feed("in", (0..8).map(|key| format!("key{key} 70")));
    driver.feed("in", ["key0 90"]);
    assert_eq!(driver.watermark("window-1"), 69, "it is back");
    assert_eq!(driver.counters("window-1").late, 0);
}

#[test]
fn windows_that_were_past_before_a_restart_are_not_given_out_early_after_it() {
    let mut driver = Driver::new(|s| {
        let rows = times(s, "in", 2).key_by(|_| "k");
        let windows = rows.window(Hopping::of(ms(20), ms(10)));
        let windows = windows.emit_early(ms(100));
        windows.count().map(|(_, w, n)| (w.start, n)).sink("counts");
    });
    driver.set_clock(1000);
    feed(&mut driver, 0, &[5, 15, 25]);
    driver.commit();
    let mut all = read(&mut driver, "counts");
    all.sort_unstable();
    assert!(all.contains(&(0, 2)), "[0, 20) has closed: {all:?}");
    let mut driver = driver.restarted(1);
    let mut again = read(&mut driver, "counts");
    again.sort_unstable();
    assert_eq!(
        again,
        [(10, 2), (20, 1)],
        "of [0, 20) only a part of the rows is left"
    );
}
