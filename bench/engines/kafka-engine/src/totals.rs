//! Workload d: running count and sum for each key, of which only those of some keys are written: what it costs is state and changelog.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use engine::batch::Record;
use engine::flow::Scope;
use engine::plan::App;
use examples::cli::Common;
use examples::run::{self, Program};

/// Running count and sum for each key. In: any key, and a value that begins with eight bytes, the amount, big-endian. Out: keys that end in
/// 000; value = count and sum, eight bytes each, big-endian; changed ones at every commit.
#[derive(Debug, Parser)]
#[command(name = "totals", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn totals(s: Scope<'_>, input: &str, output: &str) {
    s.source(input)
        .record()
        .try_map(payment)
        .key_by(|(key, _)| key)
        .aggregate_of(
            |(_, amount)| *amount,
            (0u64, 0i64),
            |(count, sum), amount| {
                *count += 1;
                *sum = sum.saturating_add(amount);
            },
        )
        .filter(|(key, _)| key.ends_with(b"000"))
        .map(|(key, (count, sum))| (key, pair(count, sum)))
        .sink(output);
}

fn payment(record: Record<'_>) -> Result<(&[u8], i64), &'static str> {
    let key = record.key.ok_or("the key is null")?;
    let amount = record.value.and_then(|v| v.first_chunk());
    let amount = amount.ok_or("the value has no eight bytes")?;
    Ok((key, i64::from_be_bytes(*amount)))
}

fn pair(count: u64, sum: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&count.to_be_bytes());
    bytes[8..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "totals",
        input: "payments",
        output: "totals",
        show: run::show_first,
    };
    run::run(&program, &args.common, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("totals", move |s| totals(s, &input, &output))
    })
}

#[cfg(test)]
mod tests {
    use engine::testing::{Driver, InRecord};

    use super::*;

    #[test]
    fn keys_that_end_in_000_are_written_with_count_and_sum() {
        let mut driver = Driver::new(|s| totals(s, "in", "out"));
        let record = |key: &'static [u8], value: &'static [u8]| InRecord {
            key: Some(key),
            value: Some(value),
            ..InRecord::default()
        };
        let records = [
            record(b"k1000", b"\0\0\0\0\0\0\0\x05filler"),
            record(b"k1001", b"\0\0\0\0\0\0\0\x07"),
            record(b"k1000", b"\0\0\0\0\0\0\0\x06"),
            record(b"k1000", b"short"),
        ];
        driver.feed_records("in", 0, &records);
        driver.commit();
        let got = driver.read("out");
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].key_str(), Some("k1000"));
        assert_eq!(got[0].value.as_deref(), Some(&pair(2, 11)[..]));
        assert_eq!(driver.counters("try_map-1").bad, 1);
    }
}
