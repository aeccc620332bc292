//! Click-stream sessions: the clicks of a user that follow each other within half an hour are one visit.
//!
//! ```text
//! in   user3 /page/31 1767254401000     out  user29  2026-01-01 12:26:41: 3997 s, 1143 clicks, left at /page/38
//! ```
//!
//! `cargo run --release -p examples --bin sessions -- --until-end` needs nothing else: it starts a cluster in this process.
//!
//! What to see in it:
//! - **A session has no fixed length.** It grows with each click, and a click that comes out of order between two sessions makes them one:
//!   their values are joined, which is why `aggregate_merging` asks how.
//! - **It closes half an hour after its last click**, in the time of the clicks. No timer runs for it, and nobody has to remember it.
//! - **The value is a value of your own**: here the number of clicks and the last page. What can be encoded can be kept: numbers, text,
//!   tuples, lists, maps.
//! - **State survives**: sessions that are open when the program stops are in the changelog, and go on when it is started again.
//! - **Lines that are no clicks are left out and counted** (`records_skipped`), and so are clicks of visits that are over (`rows_late`).
//!
//! A page about each of the examples is in `examples/README.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use engine::flow::Scope;
use engine::plan::App;
use engine::windows::Session;
use examples::cli::Common;
use examples::numbers::utc;
use examples::run::{self, Program};

/// Visits of users. In: lines `user page milliseconds`. Out: key = the user, value = when the visit began (UTC), its length, clicks and the last page.
#[derive(Debug, Parser)]
#[command(name = "sessions", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn click(line: &str) -> Result<(&str, &str, i64), String> {
    let mut parts = line.split(' ');
    match (parts.next(), parts.next(), parts.next().map(str::parse)) {
        (Some(user), Some(page), Some(Ok(at))) => Ok((user, page, at)),
        _ => Err(format!("\"{line}\" is no click")),
    }
}

fn visits(s: Scope<'_>, input: &str, output: &str) {
    s.source(input)
        .utf8()
        .try_map(click)
        .with_timestamps(|click| click.2, Duration::from_secs(60))
        .key_by(|click| click.0)
        .window(Session::gap(Duration::from_secs(30 * 60)))
        .aggregate_merging(
            (0u64, 0i64, String::new()),
            |(clicks, last, page), (_, to, at)| {
                *clicks += 1;
                if at >= *last {
                    (*last, *page) = (at, to.to_owned());
                }
            },
            |(clicks, last, page), (more, at, to)| {
                *clicks += more;
                if at >= *last {
                    (*last, *page) = (at, to);
                }
            },
        )
        .map(|(user, window, (clicks, last, page))| {
            (
                user,
                format!(
                    "{}: {} s, {clicks} clicks, left at {page}",
                    utc(window.start),
                    (last - window.start) / 1000
                ),
            )
        })
        .sink(output);
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "sessions",
        input: "clicks",
        output: "visits",
        show: run::show_first,
    };
    run::run_on_sample(&program, &args.common, 40_000, sample, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("sessions", move |s| visits(s, &input, &output))
    })
}

/// A click each second; users come for some hundred clicks and go.
fn sample(n: u64) -> String {
    let user = n / 4_000 * 7 + n * n % 7;
    format!(
        "user{user} /page/{} {}",
        n * 31 % 50,
        1_767_254_400_000 + n * 1000
    )
}

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn clicks_within_half_an_hour_are_one_visit() {
        let mut driver = Driver::new(|s| visits(s, "clicks", "visits"));
        let minute = 60_000;
        let clicks = [
            ("bob", "/x", 5),
            ("ada", "/a", 6),
            ("ada", "/c", 46),
            ("ada", "/b", 26),
            ("ada", "/d", 96),
        ];
        for (user, page, at) in clicks {
            driver.feed("clicks", [format!("{user} {page} {}", at * minute)]);
        }
        driver.finish();
        let mut got: Vec<_> = driver
            .read("visits")
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
        assert!(
            got.contains(&"bob 1970-01-01 00:05:00: 0 s, 1 clicks, left at /x".to_owned()),
            "{got:?}"
        );
        assert!(
            got.contains(&"ada 1970-01-01 01:36:00: 0 s, 1 clicks, left at /d".to_owned()),
            "{got:?}"
        );
    }
}
