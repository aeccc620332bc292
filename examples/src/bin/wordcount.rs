//! Counts words: lines in, for each word how often it was seen out. Reads Kafka, keeps its counts in Kafka, writes Kafka.
//!
//! `cargo run --release -p examples --bin wordcount -- --until-end` needs nothing else: it starts a cluster in this process.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::process::ExitCode;

use clap::Parser;
use engine::formats::text::words;
use engine::inspect::Snapshot;
use engine::plan::App;
use examples::cli::Common;
use examples::demo::Demo;
use examples::run::{self, Program};
use examples::screen;
use examples::{chart, numbers};

/// Counts words. A word is a run of ASCII letters, digits and `_`, in lower case. Out: key = the word, value = its count as 8 bytes,
/// big-endian; each changed word once at every commit.
#[derive(Debug, Parser)]
#[command(name = "wordcount", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "wordcount",
        input: "lines",
        output: "counts",
        show,
    };
    run::run(&program, &args.common, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("wordcount", move |s| {
            s.source(&input)
                .utf8()
                .flat_map(|line| words(line, s.scratch()))
                .key_by(|word| word)
                .count()
                .sink(&output);
        })
    })
}

const WORDS_SHOWN: usize = 15;

/// The most frequent words as a bar chart.
fn show(demo: &Demo, _: &Snapshot) -> Result<(), String> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for record in demo.output().map_err(|error| error.to_string())? {
        // Later records of a word replace earlier ones.
        if let (Some(word), Some(count)) = (record.key, record.value)
            && let Some(count) = count.first_chunk::<8>()
        {
            counts.insert(
                String::from_utf8_lossy(&word).into_owned(),
                u64::from_be_bytes(*count),
            );
        }
    }
    let words: u64 = counts.values().sum();
    let mut top: Vec<(String, u64)> = counts.into_iter().collect();
    let different = top.len();
    top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    top.truncate(WORDS_SHOWN);
    for line in chart::bars(&top, 40) {
        screen::print(&line);
    }
    screen::print(&format!(
        "\n{} words, {} different ones.",
        numbers::count(words),
        numbers::count(different as u64)
    ));
    Ok(())
}
