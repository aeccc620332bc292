//! Writes lines of standard input as records, in kcat's words: `produce -b HOST:PORT -t TOPIC < file`.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::BufRead;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Parser};
use examples::cli::property;
use examples::lines::{self, Connection};
use examples::stats::{Meter, Stats};
use examples::{demo, perf, screen};
use kafka_proto::client::{Producer, ProducerRecord, RecordDelivery};
use tokio::sync::mpsc;

/// Acknowledgements that are waited for at once.
const WAITING_MAX: usize = 65_536;

type Failure = Box<dyn std::error::Error>;
/// By this name, because clap takes a `Vec` for a flag that may be repeated.
type Bytes = Vec<u8>;

/// Writes standard input to a topic, one record a line, and waits until all of it is acknowledged.
#[derive(Debug, Parser)]
#[command(name = "produce", version)]
struct Produce {
    #[command(flatten)]
    connection: Connection,

    /// Topic to write.
    #[arg(short, long)]
    topic: String,

    /// Partition; chosen by the key when not given.
    #[arg(short, long)]
    partition: Option<i32>,

    /// What stands between two records.
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n", value_parser = lines::unescape)]
    delimiter: Bytes,

    /// What stands between key and value; without it there are no keys.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = lines::unescape)]
    key_delimiter: Option<Bytes>,

    /// The key of all records that have none of their own.
    #[arg(short, long)]
    key: Option<String>,

    /// A header for every record. May be repeated.
    #[arg(short = 'H', long, value_name = "K=V", action = ArgAction::Append, value_parser = property)]
    header: Vec<(String, String)>,

    /// Empty keys and values are nulls: an empty value is a tombstone.
    #[arg(short = 'Z', long)]
    null: bool,

    /// Compression: none, gzip, snappy, lz4 or zstd.
    #[arg(short = 'z', long, value_name = "CODEC")]
    compression: Option<String>,

    /// Ends after so many records.
    #[arg(short, long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    count: u64,

    /// At the end one line of JSON: records, bytes, wall and CPU seconds, peak memory.
    #[arg(long)]
    stats: bool,
}

fn main() -> ExitCode {
    let args = Produce::parse();
    perf::run("produce", run(args))
}

async fn run(args: Produce) -> Result<(), Failure> {
    let meter = Meter::whole_process();
    let mut config = args.connection.settings()?;
    if let Some(codec) = &args.compression {
        config.set("compression.type", codec)?;
    }
    let cluster = demo::in_process(&mut config, &args.topic, "produce").await?;
    let producer = Producer::connect(config).await?;
    let headers: Vec<_> = args
        .header
        .iter()
        .map(|(name, value)| (name.as_str(), value_or_null(&args, value.as_bytes())))
        .collect();
    let mut input = read_input(args.delimiter.clone())?;
    let (mut count, mut waiting) = (0, VecDeque::<RecordDelivery>::new());
    while count < args.count
        && let Some(line) = input.recv().await
    {
        let line = line?;
        let (key, value) = split(&args, &line);
        let record = ProducerRecord {
            topic: &args.topic,
            partition: args.partition,
            key,
            value: value_or_null(&args, value),
            headers: &headers,
            ..ProducerRecord::default()
        };
        waiting.push_back(producer.enqueue(record).await?);
        count += 1;
        if waiting.len() >= WAITING_MAX
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.await?;
        }
    }
    producer.flush().await?;
    for delivery in waiting {
        delivery.await?;
    }
    let wall = meter.wall();
    producer.close_within(Duration::from_secs(10)).await?;
    if args.stats {
        let cluster_cpu = match &cluster {
            Some(cluster) => cluster.cpu_time().await,
            None => None,
        };
        let stats = Stats {
            program: "produce",
            records_out: count,
            bytes_out: producer.cluster().metrics().batch_bytes_sent,
            wall,
            cpu: meter.cpu().saturating_sub(cluster_cpu.unwrap_or_default()),
            cluster_cpu,
            ..Stats::default()
        };
        screen::print(&stats.json());
    }
    Ok(())
}

/// Reads standard input on a thread of its own: it may block for as long as a person types.
fn read_input(delimiter: Vec<u8>) -> Result<mpsc::Receiver<std::io::Result<Vec<u8>>>, Failure> {
    let Some(&last) = delimiter.last() else {
        return Err("--delimiter must not be empty".into());
    };
    let (sender, receiver) = mpsc::channel(1024);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut record = Vec::new();
            let outcome = loop {
                match input.read_until(last, &mut record) {
                    Ok(0) => break Ok(!record.is_empty()),
                    Ok(_) if record.ends_with(&delimiter) => {
                        record.truncate(record.len() - delimiter.len());
                        break Ok(true);
                    }
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            };
            let line = match outcome {
                Ok(false) => return,
                Ok(true) => Ok(record),
                Err(error) => Err(error),
            };
            // The program has what it wanted.
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Key and value of a line.
fn split<'a>(args: &'a Produce, line: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    let common = args.key.as_ref().map(String::as_bytes);
    let Some(delimiter) = &args.key_delimiter else {
        return (common, line);
    };
    let at = line
        .windows(delimiter.len().max(1))
        .position(|window| window == delimiter);
    at.map_or((common, line), |at| {
        let (key, value) = (&line[..at], &line[at + delimiter.len()..]);
        (value_or_null(args, key), value)
    })
}

fn value_or_null<'a>(args: &Produce, field: &'a [u8]) -> Option<&'a [u8]> {
    (!args.null || !field.is_empty()).then_some(field)
}
