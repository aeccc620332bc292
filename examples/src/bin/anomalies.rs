//! Anomaly detection by a process function: values that are far from what a machine usually shows, and machines that fall silent.
//!
//! ```text
//! in   m1 1767254400100 76        out  m1  500 at 2026-01-01 08:30:00: usual is 75.0 give or take 2.8
//!                                      m7  silent since 2026-01-01 08:33:19
//! ```
//!
//! `cargo run --release -p examples --bin anomalies -- --until-end` needs nothing else: it starts a cluster in this process.
//!
//! What to see in it:
//! - **A process function is called for each row of a key, with the key's state**, and for each timer that it has set. What no ready-made
//!   operator does is written here as one would write it for a single machine.
//! - **State is an ordinary value**: count, mean and sum of squares (Welford's method), and the time of the last value.
//! - **Timers are event time**: "silent for a minute" means a minute in the time of the measurements. Read again, old data gives the old alarms.
//! - **Both kinds of alarms go out of one function**; `split` would make two streams of them.
//! - **State and timers are in the changelog**: a restart neither forgets what is usual nor rings twice after an orderly end.
//! - **With `--until-end` every machine is silent at last**: there, time itself ends, and timers that wait for it are called.
//!
//! A page about each of the examples is in `examples/README.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use engine::flow::Scope;
use engine::operators::Event;
use engine::plan::App;
use examples::cli::Common;
use examples::numbers::utc;
use examples::run::{self, Program};

/// Alarms of machines. In: lines `machine milliseconds value`. Out: key = the machine, value = what is wrong.
#[derive(Debug, Parser)]
#[command(name = "anomalies", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

/// Values before this many are not judged.
const LEARN: u64 = 30;
const SILENCE_MS: i64 = 60_000;

fn measurement(line: &str) -> Result<(&str, i64, f64), String> {
    let mut parts = line.split(' ');
    match (
        parts.next(),
        parts.next().map(str::parse),
        parts.next().map(str::parse),
    ) {
        (Some(machine), Some(Ok(at)), Some(Ok(value))) => Ok((machine, at, value)),
        _ => Err(format!("\"{line}\" is no measurement")),
    }
}

fn alarms(s: Scope<'_>, input: &str, output: &str) {
    s.source(input)
        .utf8()
        .try_map(measurement)
        .with_timestamps(|m| m.1, Duration::from_secs(5))
        .key_by(|m| m.0)
        .process((0u64, 0.0f64, 0.0f64, 0i64), |cx, machine, event, out| {
            let (n, mean, squares, last) = &mut *cx.state;
            match event {
                Event::Row((_, at, value)) => {
                    let deviation = (*squares / (*n).max(1) as f64).sqrt();
                    if *n >= LEARN && (value - *mean).abs() > 5.0 * deviation {
                        out.push((
                            machine,
                            format!(
                                "{value} at {}: usual is {mean:.1} give or take {deviation:.1}",
                                utc(at)
                            ),
                        ));
                    } else {
                        *n += 1;
                        let from = value - *mean;
                        *mean += from / *n as f64;
                        *squares += from * (value - *mean);
                    }
                    let before = *last;
                    *last = before.max(at);
                    let next = *last;
                    cx.delete_timer(before + SILENCE_MS);
                    cx.timer_at(next + SILENCE_MS);
                }
                Event::Timer(at) => {
                    out.push((machine, format!("silent since {}", utc(at - SILENCE_MS))))
                }
                Event::WallTimer(_) => {}
            }
        })
        .sink(output);
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "anomalies",
        input: "measurements",
        output: "alarms",
        show: run::show_first,
    };
    run::run_on_sample(&program, &args.common, 40_000, sample, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("anomalies", move |s| alarms(s, &input, &output))
    })
}

/// Eight machines, one value each 100 ms; some values are wild, and one machine stops in the middle.
fn sample(n: u64) -> String {
    let machine = if n > 20_000 { n % 7 } else { n % 8 };
    let value = if n % 9_001 == 9_000 {
        500
    } else {
        70 + machine + n * n % 11
    };
    format!("m{machine} {} {value}", 1_767_254_400_000 + n * 100)
}

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn wild_values_and_silence_ring_and_nothing_else_does() {
        let mut driver = Driver::new(|s| alarms(s, "measurements", "alarms"));
        let usual = (0..100u64).map(|n| format!("a {} {}", n * 1000, 10 + n % 3));
        driver.feed("measurements", usual);
        driver.feed("measurements", ["a 100000 99", "b 100000 1", "a 101000 11"]);
        assert_eq!(driver.read("alarms").len(), 1);
        driver.feed("measurements", ["a 150000 11", "a 170000 10"]);
        let silent: Vec<_> = driver
            .read("alarms")
            .iter()
            .map(|r| {
                format!(
                    "{} {}",
                    r.key_str().unwrap_or(""),
                    r.value_str().unwrap_or("")
                )
            })
            .collect();
        assert_eq!(silent, ["b silent since 1970-01-01 00:01:40"]);
    }
}
