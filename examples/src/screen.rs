//! What a run shows while it goes on and when it is done: a line that rewrites itself at a terminal, plain lines for a pipe.

use std::convert::Infallible;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use engine::inspect::{Inspector, Snapshot};

use crate::numbers;

const TICK: Duration = Duration::from_millis(200);
/// Ticks between two lines for a pipe.
const TICKS_A_LINE: u32 = 25;

/// Follows a run on standard error.
#[derive(Debug)]
pub struct Screen {
    name: &'static str,
    is_terminal: bool,
}

impl Screen {
    /// A screen for the program of this name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Shows how the run goes, without end.
    pub async fn follow(&self, inspector: &Inspector) -> Infallible {
        let (mut then, mut since, mut ticks) = (inspector.snapshot(), Instant::now(), 0);
        let mut stood_by = false;
        loop {
            tokio::time::sleep(TICK).await;
            ticks += 1;
            let now = inspector.snapshot();
            if now.standby != stood_by {
                stood_by = now.standby;
                self.say(if stood_by {
                    "standing by: another process of this group has the work; this one takes over when that ends"
                } else {
                    "taking over the work"
                });
            }
            if !self.is_terminal && ticks < TICKS_A_LINE {
                continue;
            }
            let rate = numbers::per_second(now.records_in - then.records_in, since.elapsed());
            if self.is_terminal {
                eprint!("\r\x1b[K{}: {}", self.name, line(&now, rate));
                // Progress that cannot be shown is no reason to stop.
                let _ = std::io::stderr().flush();
            } else if !now.standby {
                self.say(&line(&now, rate));
            }
            (then, since, ticks) = (now, Instant::now(), 0);
        }
    }

    fn say(&self, text: &str) {
        clear_line();
        eprintln!("{}: {text}", self.name);
    }
}

/// A line on standard output. A reader that has gone away (`| head`) is no reason to fail: the work counts, not the report.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Takes the progress line away, so that what follows stands alone.
pub fn clear_line() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

fn line(now: &Snapshot, rate: u64) -> String {
    let mut line = format!(
        "{} records in, {} out, {} a second, lag {}",
        numbers::count(now.records_in),
        numbers::count(now.records_out),
        numbers::count(rate),
        numbers::count(now.lag.max(0) as u64)
    );
    if now.records_skipped > 0 {
        line.push_str(&format!(
            ", {} skipped",
            numbers::count(now.records_skipped)
        ));
    }
    line
}

/// Two lines at the end: how much and how fast, and where the time went.
#[must_use]
pub fn summary(snapshot: &Snapshot, wall: Duration, threads: usize) -> String {
    let mut text = format!(
        "{} records in ({}) and {} out in {}: {} a second on {threads} {}.",
        numbers::count(snapshot.records_in),
        numbers::bytes(snapshot.bytes_in),
        numbers::count(snapshot.records_out),
        numbers::duration(wall),
        numbers::count(numbers::per_second(snapshot.records_in, wall)),
        if threads == 1 { "thread" } else { "threads" },
    );
    if snapshot.records_skipped > 0 {
        text.push_str(&format!(
            "\n{} records or rows were bad: left out, or sent to the program's topic for dead letters.",
            numbers::count(snapshot.records_skipped)
        ));
    }
    let total: Duration = snapshot.time.iter().map(|(_, time)| *time).sum();
    let parts: Vec<String> = snapshot
        .time
        .iter()
        .map(|(activity, time)| {
            (
                activity.label(),
                (time.as_secs_f64() / total.as_secs_f64().max(1e-9) * 100.0).round(),
            )
        })
        .filter(|(_, percent)| *percent >= 1.0)
        .map(|(label, percent)| format!("{label} {percent} %"))
        .collect();
    if !parts.is_empty() {
        text.push_str(&format!(
            "\nWhere the workers' time went: {}.",
            parts.join(", ")
        ));
    }
    text
}
