//! Sensor cleaning: CSV lines become validated readings, and these become averages of a minute; lines that are no readings go to a
//! topic of their own.
//!
//! ```text
//! in   s0,1767254400000,10.5        out  s0  2026-01-01 08:00:00 average 10.50
//!      s9,1767254404950,warm             (to bad-readings, with the reason in its headers)
//! ```
//!
//! `cargo run --release -p examples --bin sensors -- --until-end` needs nothing else: it starts a cluster in this process.
//!
//! What to see in it:
//! - **Bad data never stops the job, and is never simply gone.** `dead_letters` writes what `try_map` refuses to `bad-readings`, as it was read,
//!   with headers that say from where it came and why it is there.
//! - **The time of a reading is in the reading.** `with_timestamps` says which field it is, and how far out of order readings come: ten
//!   seconds. A window of a minute closes when the watermark (the greatest time seen in each partition, less ten seconds) has passed its end,
//!   not when a clock says so. So the same lines give the same averages, today and when they are read again next year.
//! - **Late readings are counted**: `--stats` shows them as `rows_late`. Here there are none. `.allowed_lateness(…)` would correct what was given
//!   out, `.with_late()` would make a stream of them.
//! - **Only numbers cross to the worker that owns a sensor**: `average` takes them out of the row before the row is sent.
//!
//! A page about each of the examples is in `examples/README.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use engine::flow::Scope;
use engine::formats::csv;
use engine::plan::App;
use engine::windows::Tumbling;
use examples::cli::Common;
use examples::numbers::utc;
use examples::run::{self, Program};

/// Averages of a minute for each sensor. In: lines `sensor,milliseconds since 1970,degrees`. Out: key = the sensor, value = minute (UTC)
/// and average as text. Lines that are no readings go to the topic bad-readings.
#[derive(Debug, Parser)]
#[command(name = "sensors", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

/// A line as it should be.
#[derive(Clone, Copy)]
struct Reading<'b> {
    sensor: &'b str,
    at: i64,
    degrees: f64,
}

fn reading<'b>(s: Scope<'b>, line: &'b str) -> Result<Reading<'b>, String> {
    let [sensor, at, degrees] = csv::columns(line, ',', s.scratch()).map_err(|e| e.to_string())?;
    let at = at.parse().map_err(|_| format!("\"{at}\" is no time"))?;
    let degrees: f64 = degrees
        .parse()
        .map_err(|_| format!("\"{degrees}\" is no number"))?;
    if !(-60.0..=60.0).contains(&degrees) {
        return Err(format!("{degrees} degrees: no weather is like that"));
    }
    Ok(Reading {
        sensor,
        at,
        degrees,
    })
}

fn averages(s: Scope<'_>, input: &str, output: &str) {
    s.source(input)
        .utf8()
        .try_map(|line| reading(s, line))
        .dead_letters("bad-readings")
        .with_timestamps(|r| r.at, Duration::from_secs(10))
        .map(|r| (r.sensor, r.degrees))
        .key_by(|r| r.0)
        .window(Tumbling::of(Duration::from_secs(60)))
        .average(|r| r.1)
        .map(|(sensor, window, average)| {
            (
                sensor,
                format!("{} average {average:.2}", utc(window.start)),
            )
        })
        .sink(output);
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "sensors",
        input: "readings",
        output: "averages",
        show: run::show_first,
    };
    run::run_on_sample(&program, &args.common, 40_000, sample, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("sensors", move |s| averages(s, &input, &output))
    })
}

/// A reading each 50 ms from ten sensors in turn; every hundredth line is none.
fn sample(n: u64) -> String {
    let at = 1_767_254_400_000 + n * 50;
    match n % 300 {
        99 => format!("s{},{at},warm", n % 10),
        199 => format!("s{},{at}", n % 10),
        299 => format!("s{},{at},999", n % 10),
        _ => format!("s{},{at},{}.5", n % 10, n % 10 + 10),
    }
}

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn readings_become_averages_and_what_is_none_goes_to_its_own_topic() {
        let mut driver = Driver::new(|s| averages(s, "readings", "averages"));
        driver.feed(
            "readings",
            [
                "a,60000,10",
                "a,61000,20",
                "b,60500,5",
                "a,x,1",
                "a,62000,99",
                "oops",
            ],
        );
        driver.finish();
        let mut got: Vec<_> = driver
            .read("averages")
            .iter()
            .map(|r| {
                format!(
                    "{} {}",
                    r.key_str().unwrap_or(""),
                    r.value_str().unwrap_or("")
                )
            })
            .collect();
        got.sort();
        assert_eq!(
            got,
            [
                "a 1970-01-01 00:01:00 average 15.00",
                "b 1970-01-01 00:01:00 average 5.00"
            ]
        );
        assert_eq!(driver.read("bad-readings").len(), 3);
    }
}
