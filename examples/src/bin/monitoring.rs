//! Monitoring with alerts: the share of failed requests of each service over the last minute, looked at every ten seconds.
//!
//! ```text
//! in   pay 1767254400050 503      out  pay  16 % failed in the minute to 2026-01-01 08:07:20
//! ```
//!
//! `cargo run --release -p examples --bin monitoring -- --until-end` needs nothing else: it starts a cluster in this process.
//!
//! What to see in it:
//! - **Windows that overlap cost no more than those that do not**: a minute each ten seconds is kept as slices of ten seconds. A request
//!   updates one slice; six of them are joined when a window closes.
//! - **An alert is a filter behind a window**: what follows a keyed operator is a stream like any other.
//! - **Requests that come late correct the alert**: for half a minute after a window has closed it is kept, and given out again at the next
//!   commit if it has changed.
//! - **A quiet partition does not hold the alerts back**: when Kafka says that there is nothing more in it, the others go on without it.
//! - **Lines that are no requests are left out and counted** (`records_skipped`), requests that come too late for any correction too (`rows_late`).
//!
//! A page about each of the examples is in `examples/README.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use engine::flow::Scope;
use engine::plan::App;
use engine::windows::Hopping;
use examples::cli::Common;
use examples::numbers::utc;
use examples::run::{self, Program};

/// Alerts of services. In: lines `service milliseconds status`. Out: key = the service, value = the share of requests with status 500 and
/// above in a minute, where it is more than a tenth.
#[derive(Debug, Parser)]
#[command(name = "monitoring", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn request(line: &str) -> Result<(&str, i64, u16), String> {
    let mut parts = line.split(' ');
    match (
        parts.next(),
        parts.next().map(str::parse),
        parts.next().map(str::parse),
    ) {
        (Some(service), Some(Ok(at)), Some(Ok(status))) => Ok((service, at, status)),
        _ => Err(format!("\"{line}\" is no request")),
    }
}

fn alerts(s: Scope<'_>, input: &str, output: &str) {
    s.source(input)
        .utf8()
        .try_map(request)
        .with_timestamps(|r| r.1, Duration::from_secs(2))
        .map(|(service, _, status)| (service, status >= 500))
        .key_by(|r| r.0)
        .window(Hopping::of(
            Duration::from_secs(60),
            Duration::from_secs(10),
        ))
        .allowed_lateness(Duration::from_secs(30))
        .average(|r| u8::from(r.1))
        .filter(|(_, _, failed)| *failed > 0.1)
        .map(|(service, window, failed)| {
            (
                service,
                format!(
                    "{:.0} % failed in the minute to {}",
                    failed * 100.0,
                    utc(window.end)
                ),
            )
        })
        .sink(output);
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "monitoring",
        input: "requests",
        output: "alerts",
        show: run::show_first,
    };
    run::run_on_sample(&program, &args.common, 40_000, sample, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("monitoring", move |s| alerts(s, &input, &output))
    })
}

/// Requests to three services, twenty a second; the service `pay` has a bad minute now and then.
fn sample(n: u64) -> String {
    let service = ["shop", "pay", "mail"][(n % 3) as usize];
    let is_bad = n % 3 == 1 && n / 1_200 % 10 == 7 && n.is_multiple_of(2);
    let status = if is_bad { 503 } else { 200 };
    format!("{service} {} {status}", 1_767_254_400_000 + n * 50)
}

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn a_service_that_fails_often_is_told_of_and_others_are_not() {
        let mut driver = Driver::new(|s| alerts(s, "requests", "alerts"));
        let requests = (0..60u64).map(|n| {
            format!(
                "{} {} {}",
                ["pay", "shop"][n as usize % 2],
                n * 1000,
                if n % 4 == 0 { 503 } else { 200 }
            )
        });
        driver.feed("requests", requests);
        driver.finish();
        let alerts = driver.read("alerts");
        assert!(!alerts.is_empty());
        assert!(
            alerts.iter().all(|r| r.key_str() == Some("pay")),
            "{alerts:?}"
        );
        assert!(
            alerts
                .iter()
                .any(|r| r.value_str() == Some("50 % failed in the minute to 1970-01-01 00:01:00")),
            "{alerts:?}"
        );
    }
}
