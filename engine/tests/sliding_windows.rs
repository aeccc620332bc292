//! Sliding windows and late rows: which windows a row is still in, and which ones it makes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use engine::{
    flow::Limits,
    plan::App,
    testing::{Driver, InRecord},
    windows::Sliding,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Counts in sliding windows of 10 ms, by the times that are the lines themselves.
fn counting(lateness: u64) -> App {
    App::new("test", move |s| {
        s.source("in")
            .utf8()
            .try_map(str::parse::<i64>)
            .with_timestamps(|t| *t, ms(0))
            .key_by(|_| "k")
            .window(Sliding::of(ms(10)))
            .allowed_lateness(ms(lateness))
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    })
    .unwrap()
}

fn feed(driver: &mut Driver, time: i64) {
    let text = time.to_string();
    let record = InRecord {
        value: Some(text.as_bytes()),
        ..InRecord::default()
    };
    driver.feed_records("in", 0, &[record]);
}

fn read(driver: &mut Driver) -> Vec<(i64, u64)> {
    let start = |key: Option<Vec<u8>>| i64::from_be_bytes(key.unwrap().try_into().unwrap());
    let mut all: Vec<_> = driver
        .read("counts")
        .into_iter()
        .map(|r| (r.value_u64().unwrap(), r))
        .map(|(n, r)| (start(r.key), n))
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn a_late_row_makes_the_sliding_window_right_after_it() {
    let mut driver = Driver::of(counting(50), 1, Limits::default()).unwrap();
    feed(&mut driver, 12);
    feed(&mut driver, 40);
    assert_eq!(read(&mut driver), [(2, 1)]);
    driver.commit();
    feed(&mut driver, 5);
    driver.commit();
    // The last of them holds the row of 12 alone, and is there because the row of 5 has left it.
    assert_eq!(read(&mut driver), [(-5, 1), (2, 2), (6, 1)]);
}

#[test]
fn a_row_is_not_late_while_a_sliding_window_that_holds_it_is_open() {
    let mut driver = Driver::of(counting(0), 1, Limits::default()).unwrap();
    feed(&mut driver, 12);
    // The watermark is 11: of its windows [-2, 8] is closed, and [2, 12] is not.
    feed(&mut driver, 8);
    assert_eq!(driver.counters("window-1").late, 0);
    // The last window that could hold it ended at 11.
    feed(&mut driver, 1);
    assert_eq!(driver.counters("window-1").late, 1);
    driver.finish();
    let got = read(&mut driver);
    assert!(got.contains(&(2, 2)), "{got:?}");
}
