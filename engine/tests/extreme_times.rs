//! Timestamps that nobody should send: before 1970, centuries ahead, at the ends of their range. Nothing panics, hangs, or is lost without
//! being counted.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use engine::{
    flow::Scope,
    testing::Driver,
    windows::{Hopping, Session, Sliding, Tumbling, WindowSpec},
};
use proptest::prelude::*;

const YEAR_MS: i64 = 365 * 86_400_000;

fn feed(driver: &mut Driver, times: &[i64]) {
    driver.feed("in", times.iter().map(ToString::to_string));
}

/// Counts in windows, and those that come too late; the last result of each window.
fn counts(spec: impl WindowSpec + Sync + 'static) -> impl Fn(Scope<'_>) + Send + Sync {
    move |s| {
        let (counts, late) = s
            .source("in")
            .utf8()
            .try_map(str::parse::<i64>)
            .with_timestamps(|t| *t, Duration::from_millis(5))
            .key_by(|_| "k")
            .window(spec)
            .count()
            .with_late();
        counts.map(|(_, w, n)| (w.start, n)).sink("counts");
        late.map(|(key, ())| (key, ())).sink("late");
    }
}

/// How many rows are in windows, and how many came too late. Each row is in one window.
fn taken(driver: &mut Driver) -> (u64, usize) {
    let counts = driver.read("counts");
    let rows = counts.iter().map(|r| r.value_u64().unwrap()).sum();
    (rows, driver.read("late").len())
}

#[test]
fn a_watermark_that_jumps_centuries_closes_what_is_open_without_a_walk_through_the_years() {
    // A walk through all windows of 10 ms in 500 years would take hours.
    let mut driver = Driver::new(counts(Tumbling::of(Duration::from_millis(10))));
    feed(&mut driver, &[0, 3, 12]);
    feed(&mut driver, &[500 * YEAR_MS]);
    assert_eq!(taken(&mut driver), (3, 0), "what was open has closed");
    assert_eq!(driver.watermark("window-1"), 500 * YEAR_MS - 6);
    feed(&mut driver, &[13, 499 * YEAR_MS, 500 * YEAR_MS + 1]);
    assert_eq!(
        taken(&mut driver),
        (0, 2),
        "what is behind the jump is late, and counted"
    );
    assert_eq!(driver.counters("window-1").late, 2);
    driver.finish();
    assert_eq!(taken(&mut driver), (2, 0));
}

#[test]
fn hopping_sliding_and_session_windows_survive_a_jump_of_centuries_too() {
    fn check(spec: impl WindowSpec + Sync, windows: usize) {
        let mut driver = Driver::new(counts(spec));
        feed(&mut driver, &[0, 3]);
        feed(&mut driver, &[500 * YEAR_MS]);
        let closed = driver.read("counts").len();
        driver.finish();
        let rest = driver.read("counts").len();
        assert_eq!((closed, closed + rest), (windows, windows + rest));
        assert!(rest > 0);
    }
    let ms = Duration::from_millis;
    check(Hopping::of(ms(10), ms(5)), 2);
    check(Sliding::of(ms(10)), 3);
    check(Session::gap(ms(10)), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn at_the_ends_of_time_no_row_is_lost_without_being_counted(
        batches in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![
                    Just(i64::MIN), Just(i64::MIN + 1), Just(i64::MAX), Just(i64::MAX - 1), Just(-1), Just(0),
                    -1000i64..1000,
                    (i64::MAX - 1000)..i64::MAX,
                    i64::MIN..(i64::MIN + 1000),
                    any::<i64>(),
                ],
                1..6,
            ),
            1..6,
        ),
        commits in any::<bool>(),
        kind in 0..2,
    ) {
        let ms = Duration::from_millis;
        let mut driver = match kind {
            0 => Driver::new(counts(Tumbling::of(ms(7)))),
            _ => Driver::new(counts(Session::gap(ms(7)))),
        };
        let (mut rows, mut on_time, mut late) = (0, 0, 0);
        for batch in &batches {
            rows += batch.len() as u64;
            feed(&mut driver, batch);
            if commits {
                driver.commit();
            }
            let (taken, too_late) = taken(&mut driver);
            (on_time, late) = (on_time + taken, late + too_late as u64);
        }
        driver.finish();
        let (taken, too_late) = taken(&mut driver);
        (on_time, late) = (on_time + taken, late + too_late as u64);
        let no_times = batches.iter().flatten().filter(|t| [i64::MIN, -1, i64::MAX].contains(t));
        let bad = driver.counters("with_timestamps-1").bad;
        prop_assert_eq!(bad, no_times.count() as u64);
        prop_assert_eq!(on_time + late + bad, rows);
    }

    #[test]
    fn at_the_ends_of_time_no_kind_of_window_panics(
        times in prop::collection::vec(
            prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), (i64::MAX - 50)..i64::MAX, i64::MIN..(i64::MIN + 50), any::<i64>()],
            1..12,
        ),
        early in any::<bool>(),
    ) {
        let ms = Duration::from_millis;
        let plan = move |s: Scope<'_>| {
            let times = s.source("in").utf8().try_map(str::parse::<i64>).with_timestamps(|t| *t, ms(5)).share();
            macro_rules! counted {
                ($($spec:expr),*) => {$(
                    let keyed = times.clone().key_by(|_| "k").window($spec).allowed_lateness(ms(20));
                    let keyed = if early { keyed.emit_each_commit() } else { keyed };
                    keyed.count().for_each(|_| {});
                )*};
            }
            counted!(Tumbling::of(ms(10)), Hopping::of(ms(10), ms(4)), Sliding::of(ms(10)), Session::gap(ms(10)));
        };
        let mut driver = Driver::new(plan);
        for time in &times {
            feed(&mut driver, std::slice::from_ref(time));
            driver.commit();
        }
        driver.finish();
    }
}
