//! Files: CSV lines are checked and brought into order, and go to another file, to standard output, or to a topic of Kafka.
//!
//! `cargo run --release -p examples --bin files` needs nothing else, no broker either: it writes a small file of its own, reads it, and
//! prints what is good in it. `--input ORDERS.csv --output GOOD.jsonl --rejected BAD.txt` is for files of yours; `--follow` reads on as the
//! file grows and is rotated, and `--bootstrap-servers HOST:PORT --topic ORDERS` writes to Kafka, keyed by customer.
//!
//! What to see in it:
//! - **A file is a source like a topic.** The plan says `s.source(Lines::of(path))` where others say `s.source("orders")`; what follows is the same. A
//!   record's offset is the number of bytes before its line.
//! - **Without a topic there is no broker.** The engine connects only where a plan reads or writes something that is Kafka's.
//! - **Where it left off is kept if you say where**: with `--state-dir DIR` the position in the file is written down at each commit, after
//!   the lines made from it are on the disk. Start it again, and it reads what has been added since. Kill it, and some lines may be written a
//!   second time: at least once. Without `--state-dir` each run begins at the first line.
//! - **What is no order is not lost**: `flat_map` over a `Result` sends the good on one way and the bad, with the reason, on the other. With Kafka at
//!   hand, `dead_letters(topic)` says the same in one word.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use engine::Config;
use engine::connectors::{Lines, LinesTo, stdout};
use engine::flow::Scope;
use engine::formats::{Json, csv};
use engine::inspect::Inspector;
use engine::plan::App;
use examples::{cli, screen, stop};
use serde::Serialize;

/// Orders from a CSV file (`id,customer,cents` with a header), checked. Out: JSON, a line each, or to a topic with the customer as the key.
#[derive(Clone, Debug, Parser)]
#[command(name = "files", version)]
struct Args {
    /// File of orders; a small one is written and read without it.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// File that the good ones are appended to; standard output without it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File that lines which are no orders are appended to, with the reason; they are counted without it.
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// Read on as the file grows, also when it is rotated, until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// Write to this topic instead of a file.
    #[arg(long, value_name = "TOPIC", requires = "bootstrap_servers")]
    topic: Option<String>,
    /// The cluster of that topic.
    #[arg(long, value_name = "HOST:PORT,…")]
    bootstrap_servers: Option<String>,
    /// Folder where the position in the file is kept.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Order<'b> {
    id: u64,
    customer: &'b str,
    cents: u64,
}

fn order<'b>(s: Scope<'b>, line: &'b str) -> Result<Order<'b>, String> {
    let [id, customer, cents] = csv::columns(line, ',', s.scratch()).map_err(|e| e.to_string())?;
    let number = |what, text: &str| {
        text.parse()
            .map_err(|_| format!("{what} \"{text}\" is no number"))
    };
    if customer.is_empty() {
        return Err("no customer".to_owned());
    }
    Ok(Order {
        id: number("id", id)?,
        customer,
        cents: number("cents", cents)?,
    })
}

/// Good orders on one way, lines that are none on the other.
fn orders(s: Scope<'_>, args: &Args, input: &PathBuf) {
    let mut lines = Lines::of(input).skip_header();
    if args.follow {
        lines = lines.follow();
    }
    let read = s
        .source(lines)
        .utf8()
        .map(|line| (line, order(s, line)))
        .share();
    let good = read
        .clone()
        .flat_map(|(_, order)| order.ok())
        .map(|o| (o.customer, Json(o)));
    match (&args.topic, &args.output) {
        (Some(topic), _) => good.sink(topic),
        (None, Some(path)) => good.sink(LinesTo::file(path)),
        (None, None) => good.sink(stdout()),
    }
    let bad = read.flat_map(|(line, order)| Some(((), format!("{}: {line}", order.err()?))));
    match &args.rejected {
        Some(path) => bad.sink(LinesTo::file(path)),
        None => bad.for_each(|_| {}),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::complain("files", &*error),
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let sample = std::env::temp_dir().join(format!("orders-{}.csv", std::process::id()));
    let input = match &args.input {
        Some(input) => input.clone(),
        None => {
            std::fs::write(&sample, SAMPLE)?;
            sample.clone()
        }
    };
    let mut config = Config::default();
    config.state_dir.clone_from(&args.state_dir);
    if let Some(servers) = &args.bootstrap_servers {
        config.set("bootstrap.servers", servers)?;
    }
    let inspector = Inspector::new();
    let app = App::new("files", move |s| orders(s, &args, &input))?;
    let outcome = app.run_until(&config, stop::requested(), &inspector).await;
    // It is there only if we made it.
    let _ = std::fs::remove_file(&sample);
    outcome?;
    let seen = inspector.snapshot();
    screen::print(&format!(
        "{} lines read, {} written",
        seen.records_in, seen.records_out
    ));
    Ok(())
}

const SAMPLE: &str = "\
id,customer,cents
1,ada,1250
2,\"Babbage, Charles\",399
three,ada,100
4,,5
5,grace,8800
";

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn good_orders_go_one_way_and_bad_lines_with_the_reason_the_other() {
        let args = Args::parse_from(["files", "--output", "good", "--rejected", "bad"]);
        let mut driver = Driver::new(move |s| orders(s, &args, &PathBuf::from("orders.csv")));
        driver.feed("orders.csv", SAMPLE.lines().skip(1));
        let text = |r: &engine::testing::OutRecord| r.value_str().unwrap_or("").to_owned();
        let good: Vec<String> = driver.read("good").iter().map(text).collect();
        assert_eq!(good.len(), 3);
        assert_eq!(
            good[1],
            r#"{"id":2,"customer":"Babbage, Charles","cents":399}"#
        );
        let bad: Vec<String> = driver.read("bad").iter().map(text).collect();
        assert_eq!(
            bad,
            [
                "id \"three\" is no number: three,ada,100",
                "no customer: 4,,5",
            ]
        );
    }
}
