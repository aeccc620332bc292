//! Copies a topic: every record unchanged, into the partition with the number of its source. Whole batches go through untouched where
//! that is possible.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use engine::inspect::Snapshot;
use engine::plan::App;
use examples::cli::Common;
use examples::demo::Demo;
use examples::run::{self, Program};
use examples::screen;

/// Copies every record (key, value, headers, timestamp) into the partition with the number of its source.
#[derive(Debug, Parser)]
#[command(name = "passthrough", version)]
struct Args {
    #[command(flatten)]
    common: Common,

    /// Choose the partition by the record's key instead, by murmur2 as Kafka's producer does.
    #[arg(long)]
    by_key: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "passthrough",
        input: "input",
        output: "output",
        show,
    };
    let by_key = args.by_key;
    run::run(&program, &args.common, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("passthrough", move |s| {
            let records = s.source(&input).record();
            if by_key {
                records.map(|record| record.by_key()).sink(&output);
            } else {
                records.sink(&output);
            }
        })
    })
}

/// Compares what was read with what was written.
fn show(demo: &Demo, snapshot: &Snapshot) -> Result<(), String> {
    let (input, output) = (
        demo.input().map_err(|e| e.to_string())?,
        demo.output().map_err(|e| e.to_string())?,
    );
    for record in output.iter().take(5) {
        screen::print(&format!(
            "  {}",
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default())
        ));
    }
    screen::print("  …\n");
    let same = input
        .iter()
        .zip(&output)
        .take_while(|(a, b)| a.value == b.value && a.timestamp == b.timestamp)
        .count();
    if (output.len() as u64) < snapshot.records_out || input.is_empty() != output.is_empty() {
        return Err(format!(
            "{} records were written, {} are there",
            snapshot.records_out,
            output.len()
        ));
    }
    screen::print(&format!("Compared the first {same} records: the same."));
    Ok(())
}
