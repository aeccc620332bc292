//! Enrichment: each click is looked up in a slow service, hundreds of them at a time, and becomes a row of features for recommendations.
//!
//! `cargo run --release -p examples --bin enrich -- --until-end` needs nothing else: it starts a cluster in this process.
//!
//! What to see in it:
//! - **The plan does not wait; its rows do.** `enrich` calls an async function for each row and goes on with the next one. Up to
//!   `capacity` rows of each worker are under way; when there are so many, no more are read, so a slow service never fills the memory.
//!   At 5 ms a look-up one row after another would be 200 a second. Try `--lookups 1` and `--lookups 1000`.
//! - **The future owns its row**: it lives longer than the batch that the row came from. So the row is made of a `String` and numbers
//!   before it, and the service is an `Arc` that the closure clones.
//! - **Ordered or not.** `AsyncWait::unordered()` gives out answers as they come, but never past a watermark: windows behind it count
//!   what they would have counted without it. With `AsyncWait::ordered()` one slow answer holds back those behind it.
//! - **Services fail.** Each row has one time-out for all of its attempts; in between it pauses, twice as long each time. What has no answer
//!   then stops the job, or is left out and counted, or, as here, goes to a topic of its own with the reason in its headers.
//! - **Nothing is lost and nothing is stored for it.** A commit waits for the answers to the rows before it (so the time-out bounds how
//!   long a commit may take); after a crash, rows since the last commit are read and asked for again. So asking twice must do no harm.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use engine::flow::Scope;
use engine::operators::AsyncWait;
use engine::plan::App;
use examples::cli::Common;
use examples::run::{self, Program};

/// Features for recommendations. In: lines `user item milliseconds`. Out: key = the user, value = item, category and how much this user
/// likes the category.
#[derive(Debug, Parser)]
#[command(name = "enrich", version)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Look-ups of a worker under way at the same time.
    #[arg(long, default_value_t = 200)]
    lookups: usize,
    /// How long the service takes for one, in milliseconds.
    #[arg(long, default_value_t = 5)]
    service_ms: u64,
}

/// A click that owns its parts.
type Click = (String, u64);

fn click(line: &str) -> Result<(&str, u64, i64), String> {
    let mut parts = line.split(' ');
    match (
        parts.next(),
        parts.next().map(str::parse),
        parts.next().map(str::parse),
    ) {
        (Some(user), Some(Ok(item)), Some(Ok(at))) => Ok((user, item, at)),
        _ => Err(format!("\"{line}\" is no click")),
    }
}

/// A service across the network, as far as this program can tell: it takes its time, is busy now and then, and does not know every item.
struct Catalogue {
    latency: Duration,
    calls: AtomicU64,
}

impl Catalogue {
    async fn category(&self, item: u64) -> Result<&'static str, String> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        match item {
            _ if call % 50 == 49 => Err("the service is busy".to_owned()),
            0..300 => Ok("books"),
            300..600 => Ok("music"),
            600..990 => Ok("games"),
            item => Err(format!("item {item} is not in the catalogue")),
        }
    }
}

fn features(s: Scope<'_>, catalogue: &Arc<Catalogue>, wait: AsyncWait, topics: [&str; 2]) {
    let catalogue = Arc::clone(catalogue);
    s.source(topics[0])
        .utf8()
        .try_map(click)
        .with_timestamps(|click| click.2, Duration::from_secs(5))
        .map(|(user, item, _)| (user.to_owned(), item))
        .enrich(wait, move |(user, item): Click| {
            let catalogue = Arc::clone(&catalogue);
            async move {
                let category = catalogue.category(item).await?;
                Ok::<_, String>((user, item, category.to_owned()))
            }
        })
        .dead_letters("clicks-not-found")
        // What is known of user and category so far, and the click that it is about.
        .key_by(|(user, _, category)| (user, category))
        .aggregate((0u64, 0u64), |(likes, last), (_, item, _)| {
            *likes += 1;
            *last = item;
        })
        .emit_every_update()
        .map(|((user, category), (likes, item))| (user, format!("{item} {category}: {likes}")))
        .sink(topics[1]);
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "enrich",
        input: "clicks",
        output: "features",
        show: run::show_first,
    };
    let catalogue = Arc::new(Catalogue {
        latency: Duration::from_millis(args.service_ms),
        calls: AtomicU64::new(0),
    });
    let wait = AsyncWait::unordered()
        .capacity(args.lookups)
        .timeout(Duration::from_secs(5))
        .retries(3, Duration::from_millis(10));
    run::run_on_sample(
        &program,
        &args.common,
        20_000,
        sample,
        move |input, output| {
            let (input, output) = (input.to_owned(), output.to_owned());
            App::new("enrich", move |s| {
                features(s, &catalogue, wait, [&input, &output]);
            })
        },
    )
}

/// Clicks of fifty users on a thousand items, some of which are gone.
fn sample(n: u64) -> String {
    format!(
        "user{} {} {}",
        n * n % 50,
        n * 7919 % 1000,
        1_767_254_400_000 + n * 20
    )
}

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn clicks_become_features_and_what_is_not_found_goes_aside() {
        let catalogue = Arc::new(Catalogue {
            latency: Duration::ZERO,
            calls: AtomicU64::new(0),
        });
        let wait = AsyncWait::ordered();
        let mut driver = Driver::new(move |s| {
            features(s, &catalogue, wait, ["clicks", "features"]);
        });
        driver.feed(
            "clicks",
            ["ada 1 10", "ada 999 20", "ada 2 30", "bob 700 40"],
        );
        let out = driver.read("features");
        let got: Vec<_> = out
            .iter()
            .map(|r| (r.key_str().unwrap_or(""), r.value_str().unwrap_or("")))
            .collect();
        assert_eq!(
            got,
            [
                ("ada", "1 books: 1"),
                ("ada", "2 books: 2"),
                ("bob", "700 games: 1")
            ]
        );
        assert_eq!(driver.read("clicks-not-found").len(), 1);
    }
}
