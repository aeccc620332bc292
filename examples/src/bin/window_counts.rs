//! Counts JSON readings: for each sensor and each ten seconds of event time, how many there were.
//!
//! ```text
//! in   {"sensor":"s-0","ts":1767254400000,"battery":{…},"temp":10.5}      out  s-0  start of the window and count, eight bytes each
//! ```
//!
//! `cargo run --release -p examples --bin window_counts -- --until-end` needs nothing else: it starts a cluster in this process.
//!
//! What to see in it:
//! - **Only three fields are read of each document**, straight from the fetched bytes: `json_fields` passes over all others without building
//!   anything. What is no JSON, or lacks one of them, is a bad record: skipped and counted (`records_skipped`).
//! - **The temperature is asked for although nobody counts it**: so a reading without a proper one does not count either.
//! - **Nothing but the sensor's name and the time crosses** to the worker that owns the sensor: `count` wants no more.
//! - **The last windows come out** although nothing follows that would push time past their ends: with `--until-end`, what is read to its
//!   end holds nothing back.
//!
//! A page about each of the examples is in `examples/README.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use engine::flow::Scope;
use engine::inspect::Snapshot;
use engine::plan::App;
use engine::windows::Tumbling;
use examples::cli::Common;
use examples::demo::Demo;
use examples::numbers::utc;
use examples::run::{self, Program};
use examples::screen;

/// Counts of ten seconds for each sensor. In: `{"sensor":"s-1","ts":1700000000000,"temp":21.5}`, up to five seconds out of order. Out: key
/// = the sensor, value = start of the window and count, eight bytes each, big-endian; written when the window closes.
#[derive(Debug, Parser)]
#[command(name = "window_counts", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn counts(s: Scope<'_>, input: &str, output: &str) {
    s.source(input)
        .json_fields::<(&str, i64, f64)>(["sensor", "ts", "temp"])
        .with_timestamps(|(_, ts, _)| *ts, Duration::from_secs(5))
        .key_by(|(sensor, _, _)| sensor)
        .window(Tumbling::of(Duration::from_secs(10)))
        .count()
        .map(|(sensor, window, count)| (sensor, pair(window.start, count)))
        .sink(output);
}

fn pair(start: i64, count: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&start.to_be_bytes());
    bytes[8..].copy_from_slice(&count.to_be_bytes());
    bytes
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "window_counts",
        input: "readings",
        output: "window-counts",
        show,
    };
    run::run_on_sample(&program, &args.common, 40_000, sample, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("window_counts", move |s| counts(s, &input, &output))
    })
}

/// A reading each 50 ms from ten sensors in turn, up to five seconds late.
fn sample(n: u64) -> String {
    let ts = 1_767_254_400_000 + n * 50 - n * 7919 % 5000;
    format!(
        "{{\"sensor\":\"s-{}\",\"ts\":{ts},\"battery\":{{\"volts\":3.1,\"low\":false}},\"temp\":{}.5}}",
        n % 10,
        n % 17 + 10
    )
}

/// The first counts.
fn show(demo: &Demo, _: &Snapshot) -> Result<(), String> {
    let results = demo.output().map_err(|error| error.to_string())?;
    for record in results.iter().take(12) {
        let number = |from: usize| {
            let bytes = record.value.as_deref()?.get(from..)?;
            bytes.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
        };
        if let (Some(sensor), Some(start), Some(count)) = (&record.key, number(0), number(8)) {
            let sensor = String::from_utf8_lossy(sensor);
            let from = utc(start);
            screen::print(&format!("  {sensor:<6} from {from}: {count} readings"));
        }
    }
    screen::print(&format!("  {} results\n", results.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn readings_are_counted_by_sensor_and_ten_seconds_and_what_is_none_is_not() {
        let mut driver = Driver::new(|s| counts(s, "in", "out"));
        driver.feed(
            "in",
            [
                r#"{"sensor":"a","ts":10000,"temp":1.5}"#,
                r#"{"temp":2,"ts":19999,"sensor":"a","more":[{}]}"#,
                r#"{"sensor":"a","ts":20000,"temp":"warm"}"#,
                r#"{"sensor":"a","ts":20000,"temp":3e0}"#,
                r#"{"sensor":"b","ts":9999,"temp":-1}"#,
                "{",
            ],
        );
        driver.finish();
        let mut got: Vec<_> = driver
            .read("out")
            .into_iter()
            .map(|r| (r.key.unwrap(), r.value.unwrap()))
            .collect();
        got.sort();
        let want = [("a", 10_000, 2), ("a", 20_000, 1), ("b", 0, 1)];
        assert_eq!(
            got,
            want.map(|(sensor, start, count)| (
                sensor.as_bytes().to_vec(),
                pair(start, count).to_vec()
            ))
        );
    }
}
