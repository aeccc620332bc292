//! What is no time: records without a timestamp, closures that answer what stands for none, times in another unit.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use engine::{
    flow::{OnBad, Pipe, Scope, Stream},
    operators::Event,
    testing::{Driver, InRecord, OutRecord},
    time::{Generator, Watermarks},
    windows::Tumbling,
};

const NO_TIMES: [i64; 3] = [-1, i64::MIN, i64::MAX];

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Records with these timestamps; their values are the timestamps as text.
fn feed(driver: &mut Driver, partition: i32, timestamps: &[i64]) -> Result<(), String> {
    let text: Vec<String> = timestamps.iter().map(ToString::to_string).collect();
    let records: Vec<_> = text
        .iter()
        .zip(timestamps)
        .map(|(text, timestamp)| InRecord {
            value: Some(text.as_bytes()),
            timestamp: *timestamp,
            ..InRecord::default()
        })
        .collect();
    let fed = driver.try_feed_records("in", partition, &records);
    fed.map_err(|e| e.to_string())
}

fn lines<'b>(s: Scope<'b>) -> Stream<'b, &'b str, impl Pipe<&'b str> + use<'b>> {
    s.source("in").utf8()
}

fn count_windows<'b, T>(rows: Stream<'b, T, impl Pipe<T>>) {
    rows.key_by(|_| "k")
        .window(Tumbling::of(ms(10)))
        .count()
        .map(|(_, w, n)| (w.start, n))
        .sink("counts");
}

fn counts(driver: &mut Driver) -> Vec<(i64, u64)> {
    let start = |r: &OutRecord| i64::from_be_bytes(r.key.clone().unwrap().try_into().unwrap());
    let read = driver.read("counts");
    let count = |r: &OutRecord| (start(r), r.value_u64().unwrap());
    read.iter().map(count).collect()
}

#[test]
fn a_record_without_a_timestamp_is_bad_where_windows_go_by_it_and_makes_no_other_late() {
    for no_time in NO_TIMES {
        for workers in [1, 2] {
            let mut driver = Driver::with_workers(workers, |s| count_windows(lines(s)));
            feed(&mut driver, 0, &[no_time]).unwrap();
            assert_eq!(driver.watermark("window-1"), i64::MIN, "{no_time}");
            feed(&mut driver, 0, &[3, no_time, 4, 12]).unwrap();
            feed(&mut driver, 0, &[no_time, 25]).unwrap();
            driver.finish();
            assert_eq!(counts(&mut driver), [(0, 2), (10, 1), (20, 1)], "{no_time}");
            assert_eq!(driver.counters("source-1").bad, 3);
            assert_eq!(driver.counters("window-1").late, 0);
        }
    }
}

#[test]
fn records_without_a_timestamp_go_by_the_policy_of_their_source() {
    let mut driver = Driver::new(|s| count_windows(lines(s).on_bad(OnBad::Fail)));
    feed(&mut driver, 0, &[1]).unwrap();
    let error = feed(&mut driver, 0, &[-1]).unwrap_err();
    for part in [
        "offset 1 of in-0",
        "timestamp is -1",
        "window",
        "with_timestamps",
    ] {
        assert!(error.contains(part), "{error} lacks {part}");
    }
    let mut driver = Driver::new(|s| count_windows(lines(s).dead_letters("bad")));
    feed(&mut driver, 0, &[7, -1]).unwrap();
    driver.finish();
    let letters = driver.read("bad");
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].value_str(), letters[0].timestamp),
        (Some("-1"), -1)
    );
    assert_eq!(counts(&mut driver), [(0, 1)]);
}

#[test]
fn whole_records_rows_in_order_and_windows_after_other_operators_need_a_timestamp_too() {
    let whole = |s: Scope<'_>| count_windows(s.source("in").record());
    let in_order = |s: Scope<'_>| {
        lines(s).key_by(|_| "k").in_order().count().sink("in_order");
    };
    let after_a_cut = |s: Scope<'_>| {
        let counts = lines(s).key_by(|l| l).count().emit_every_update();
        count_windows(counts.filter(|_| true));
    };
    let shared = |s: Scope<'_>| {
        let rows = lines(s).share();
        rows.clone().map(|l| ((), l)).sink("copies");
        count_windows(rows);
    };
    let drivers = [
        Driver::new(whole),
        Driver::new(in_order),
        Driver::new(after_a_cut),
        Driver::new(shared),
    ];
    for (n, mut driver) in drivers.into_iter().enumerate() {
        feed(&mut driver, 0, &[5, -1, 6]).unwrap();
        driver.finish();
        assert_eq!(driver.counters("source-1").bad, 1, "plan {n}");
        if n != 1 {
            let rows: u64 = counts(&mut driver).iter().map(|(_, n)| n).sum();
            assert_eq!(rows, 2, "plan {n}");
        }
    }
}

#[test]
fn a_plan_that_says_what_time_rows_have_takes_records_without_a_timestamp() {
    let mut driver = Driver::new(|s| {
        let rows = lines(s).map(|_| 5).with_timestamps(|t| *t, ms(0));
        count_windows(rows);
    });
    feed(&mut driver, 0, &[-1, -1]).unwrap();
    driver.finish();
    assert_eq!(counts(&mut driver), [(0, 2)]);
    assert_eq!(driver.counters("source-1").bad, 0);
}

#[test]
fn a_plan_that_needs_no_time_passes_records_without_a_timestamp_on_as_they_are() {
    let mut driver = Driver::new(|s| {
        let rows = lines(s).share();
        rows.clone().map(|l| ((), l)).sink("copies");
        rows.key_by(|_| "k")
            .process(0u64, |cx, _, _, out| {
                *cx.state += 1;
                out.push(((), *cx.state));
            })
            .sink("counts");
    });
    feed(&mut driver, 0, &[-1, 4, -1]).unwrap();
    driver.finish();
    let times: Vec<i64> = driver.read("copies").iter().map(|r| r.timestamp).collect();
    assert_eq!(times, [-1, 4, -1]);
    assert_eq!(driver.read("counts").len(), 3);
    assert_eq!(driver.counters("source-1").bad, 0);
}

/// `with_timestamps` takes the time from the text, whatever the record's is.
fn timed<'b>(s: Scope<'b>, watermarks: Watermarks) -> Stream<'b, i64, impl Pipe<i64> + use<'b>> {
    lines(s)
        .try_map(str::parse::<i64>)
        .with_timestamps(|t| *t, watermarks)
}

#[test]
fn a_closure_that_answers_what_is_no_time_makes_a_bad_row_and_moves_nothing() {
    for no_time in NO_TIMES {
        let watermarks = Watermarks::bounded(ms(0));
        let mut driver = Driver::new(move |s| count_windows(timed(s, watermarks)));
        feed(&mut driver, 0, &[no_time]).unwrap();
        assert_eq!(driver.watermark("window-1"), i64::MIN);
        feed(&mut driver, 0, &[5, no_time, 6, -15]).unwrap();
        assert_eq!(driver.watermark("window-1"), 5);
        driver.finish();
        assert_eq!(driver.counters("with_timestamps-1").bad, 2);
        assert_eq!(counts(&mut driver), [(-20, 1), (0, 2)], "-15 is a time");
        let mut driver = Driver::new(move |s| {
            count_windows(timed(s, watermarks).on_bad(OnBad::Fail));
        });
        let error = feed(&mut driver, 0, &[no_time]).unwrap_err();
        assert!(
            error.contains(&format!("its timestamp is {no_time}")),
            "{error}"
        );
        let mut driver = Driver::new(move |s| {
            count_windows(timed(s, watermarks).dead_letters("bad"));
        });
        feed(&mut driver, 0, &[no_time, 5]).unwrap();
        assert_eq!(driver.read("bad").len(), 1);
    }
}

#[test]
fn times_in_another_unit_are_warned_of_once_with_what_would_make_milliseconds_of_them() {
    for (factor, unit) in [
        (1.0, "seconds: multiply by 1000"),
        (1e6, "microseconds: divide by 1000"),
        (1e9, "nanoseconds: divide by 1000000"),
    ] {
        let at = |n: i64| (1_700_000_000 + n) * factor as i64;
        let record_times = Driver::new(|s| count_windows(lines(s)));
        let closure = Driver::new(|s| count_windows(timed(s, ms(1).into())));
        for (mut driver, operator) in [(record_times, "source"), (closure, "with_timestamps")] {
            for n in 0..20 {
                feed(&mut driver, 0, &[at(n)]).unwrap();
            }
            let warnings = driver.warnings();
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(
                warnings[0].starts_with(operator) && warnings[0].ends_with(unit),
                "{warnings:?}"
            );
            assert!(driver.warnings().is_empty());
        }
    }
    let mut driver = Driver::new(|s| count_windows(timed(s, ms(1).into())));
    feed(&mut driver, 0, &[0, 12, 1_700_000_000_000]).unwrap();
    assert!(driver.warnings().is_empty());
}

#[test]
fn a_time_too_far_ahead_says_which_unit_it_looks_like() {
    let watermarks = Watermarks::bounded(ms(0)).ahead_max(Duration::from_secs(60));
    let mut driver = Driver::new(move |s| count_windows(timed(s, watermarks).on_bad(OnBad::Fail)));
    driver.set_clock(1_700_000_000_000);
    feed(&mut driver, 0, &[1_700_000_000_000]).unwrap();
    let error = feed(&mut driver, 0, &[1_700_000_000_000_000]).unwrap_err();
    assert!(
        error.contains("it looks like microseconds: divide by 1000"),
        "{error}"
    );
}

/// Says what it is made to say.
struct Says(i64);

impl Generator for Says {
    fn observe(&mut self, timestamp: i64) {
        self.0 = self.0.max(timestamp);
    }
    fn watermark(&self) -> i64 {
        if self.0 >= 100 { i64::MAX } else { self.0 }
    }
}

#[test]
fn a_generator_cannot_end_time() {
    let plan = |s: Scope<'_>| {
        let times = lines(s).try_map(str::parse::<i64>);
        count_windows(times.with_generator(|t| *t, || Says(i64::MIN)));
    };
    let mut driver = Driver::new(plan);
    driver.assign("in", 1);
    feed(&mut driver, 0, &[100]).unwrap();
    feed(&mut driver, 1, &[50]).unwrap();
    assert_eq!(
        driver.watermark("window-1"),
        50,
        "the other one is waited for"
    );
    driver.idle("in", 1);
    assert_eq!(
        driver.watermark("window-1"),
        i64::MAX - 1,
        "only the end is the end"
    );
    driver.commit();
    let mut driver = driver.restarted(1);
    feed(&mut driver, 0, &[200]).unwrap();
    assert_eq!(
        driver.counters("window-1").late,
        1,
        "as without the restart"
    );
}

/// A process function that gives out each number with the number as its time, of its own accord or by a timer.
fn by_process<'b>(s: Scope<'b>, by_timer: bool) -> Stream<'b, i64, impl Pipe<i64> + use<'b>> {
    parsed(s)
        .key_by(|_| "k")
        .process((), move |cx, _, event, out| match event {
            Event::Row(n) if by_timer => cx.timer_at(n),
            Event::Row(n) => out.push_at(n, n),
            Event::Timer(at) => out.push(at),
            Event::WallTimer(_) => {}
        })
}

/// The numbers of the lines; their time is that of their record.
fn parsed<'b>(s: Scope<'b>) -> Stream<'b, i64, impl Pipe<i64> + use<'b>> {
    s.source("in").utf8().try_map(str::parse::<i64>)
}

/// Records at the time 0 with these numbers.
fn numbers(driver: &mut Driver, numbers: &[i64]) -> Result<(), String> {
    let text: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let records: Vec<_> = text
        .iter()
        .map(|text| InRecord {
            value: Some(text.as_bytes()),
            timestamp: 0,
            ..InRecord::default()
        })
        .collect();
    let fed = driver.try_feed_records("in", 0, &records);
    fed.map_err(|e| e.to_string())
}

#[test]
fn a_row_that_a_process_function_gives_no_time_is_bad_where_windows_or_in_order_follow() {
    for no_time in NO_TIMES {
        for by_timer in [false, true] {
            let windows = Driver::new(move |s| count_windows(by_process(s, by_timer)));
            let in_order = Driver::new(move |s| {
                let rows = by_process(s, by_timer);
                count_windows(
                    rows.key_by(|_| "k")
                        .in_order()
                        .process((), |_, _, event, out| {
                            if let Event::Row(n) = event {
                                out.push(n);
                            }
                        }),
                );
            });
            for mut driver in [windows, in_order] {
                numbers(&mut driver, &[no_time, 5, 25]).unwrap();
                driver.finish();
                assert_eq!(driver.counters("process-1").bad, 1, "{no_time} {by_timer}");
                assert_eq!(
                    counts(&mut driver),
                    [(0, 1), (20, 1)],
                    "{no_time} {by_timer}"
                );
            }
        }
    }
}

#[test]
fn a_row_that_a_process_function_gives_no_time_goes_by_its_policy() {
    let mut driver = Driver::new(|s| count_windows(by_process(s, false).on_bad(OnBad::Fail)));
    let error = numbers(&mut driver, &[-1]).unwrap_err();
    for part in ["process", "timestamp is -1", "window", "with_timestamps"] {
        assert!(error.contains(part), "{error} lacks {part}");
    }
    let mut driver = Driver::new(|s| count_windows(by_process(s, false).dead_letters("bad")));
    numbers(&mut driver, &[-1, 5, i64::MAX, 6]).unwrap();
    driver.finish();
    assert_eq!(driver.read("bad").len(), 2);
    assert_eq!(counts(&mut driver), [(0, 2)]);
}

#[test]
fn where_no_time_is_needed_a_process_function_may_give_none() {
    let mut driver = Driver::new(|s| by_process(s, false).map(|n| ((), n)).sink("out"));
    numbers(&mut driver, &[-1, 5]).unwrap();
    let times: Vec<i64> = driver.read("out").iter().map(|r| r.timestamp).collect();
    assert_eq!(times, [-1, 5]);
    let mut driver = Driver::new(|s| {
        let rows = by_process(s, false).map(|n| n.max(7));
        count_windows(rows.with_timestamps(|n| *n, ms(0)));
    });
    numbers(&mut driver, &[-1, 5]).unwrap();
    driver.finish();
    assert_eq!(driver.counters("process-1").bad, 0);
    assert_eq!(counts(&mut driver), [(0, 2)]);
}

#[test]
fn a_partition_whose_records_have_no_time_holds_the_others_no_longer_than_an_idle_one() {
    for no_time in NO_TIMES {
        let by_records = Driver::new(|s| count_windows(lines(s)));
        let by_closure = Driver::new(|s| count_windows(timed(s, ms(0).into())));
        for mut driver in [by_records, by_closure] {
            driver.assign("in", 1);
            feed(&mut driver, 0, &[5, 25]).unwrap();
            feed(&mut driver, 1, &[no_time]).unwrap();
            driver.set_clock(499);
            feed(&mut driver, 1, &[no_time]).unwrap();
            driver.set_clock(2000);
            assert_eq!(driver.watermark("window-1"), i64::MIN, "nothing more came");
            feed(&mut driver, 1, &[no_time]).unwrap();
            assert_eq!(driver.watermark("window-1"), 24);
            feed(&mut driver, 0, &[45]).unwrap();
            assert_eq!(driver.watermark("window-1"), 44);
            // One with a time is waited for again, at once.
            feed(&mut driver, 1, &[50, no_time]).unwrap();
            feed(&mut driver, 0, &[75]).unwrap();
            assert_eq!(driver.watermark("window-1"), 49);
            feed(&mut driver, 1, &[no_time]).unwrap();
            driver.set_clock(2499);
            feed(&mut driver, 1, &[no_time, 60]).unwrap();
            driver.set_clock(2999);
            feed(&mut driver, 1, &[no_time]).unwrap();
            assert_eq!(driver.watermark("window-1"), 59, "the time began anew");
            driver.finish();
            assert_eq!(driver.counters("window-1").late, 0);
        }
    }
}
