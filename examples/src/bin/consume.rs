//! Prints the records of a topic, one a line, in kcat's words: `consume -b HOST:PORT -t TOPIC -o beginning -e -f '%k: %s\n'`.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::demo::Demo;
use examples::lines::{Connection, Format};
use examples::stats::{Meter, Stats};
use examples::{perf, stop};
use kafka_proto::client::{
    Cluster, Consumer, ConsumerRecord, OffsetSpec, OffsetToCommit, Purpose, Start, TopicPartition,
};

const POLL: Duration = Duration::from_millis(200);

type Failure = Box<dyn std::error::Error>;

/// Prints records of a topic, from one partition or all, alone or as a member of a group.
#[derive(Debug, Parser)]
#[command(name = "consume", version)]
struct Consume {
    #[command(flatten)]
    connection: Connection,

    /// Topic to read.
    #[arg(short, long)]
    topic: String,

    /// Only this partition.
    #[arg(short, long, conflicts_with = "group")]
    partition: Option<i32>,

    /// Where to start: beginning, end, an offset, -N for the last N records, s@MS for records from that time on. With a group only where it
    /// has committed nothing: beginning or end.
    #[arg(short, long, value_name = "WHERE", allow_hyphen_values = true, default_value = "beginning", value_parser = from)]
    offset: From,

    /// Reads as a member of this group.
    #[arg(short = 'G', long, value_name = "ID")]
    group: Option<String>,

    /// Ends once everything that was there at the start is printed.
    #[arg(short, long)]
    exit: bool,

    /// Ends after so many records.
    #[arg(short, long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    count: u64,

    /// What is printed of a record: %t topic, %p partition, %o offset, %k key, %s value, %h headers, %T timestamp, %K %S lengths.
    #[arg(short, long, default_value = "%s\\n", value_parser = Format::new)]
    format: Format,

    /// Prints NULL for nulls, instead of nothing.
    #[arg(short = 'Z', long)]
    null: bool,

    /// At the end one line of JSON on standard error: records, bytes, wall and CPU seconds, peak memory.
    #[arg(long)]
    stats: bool,
}

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Start(Start),
    /// So many records before the end.
    Last(i64),
}

fn from(text: &str) -> Result<From, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .ok()
            .and_then(|number| i64::try_from(number).ok())
    };
    let found = match text {
        "beginning" | "earliest" => Some(From::Start(Start::Earliest)),
        "end" | "latest" => Some(From::Start(Start::Latest)),
        _ => {
            if let Some(last) = text.strip_prefix('-') {
                number(last).map(From::Last)
            } else if let Some(time) = text.strip_prefix("s@") {
                number(time).map(|time| From::Start(Start::Timestamp(time)))
            } else {
                number(text).map(|offset| From::Start(Start::Offset(offset)))
            }
        }
    };
    found.ok_or_else(|| format!("expected beginning, end, an offset, -N or s@MS, found {text:?}"))
}

fn main() -> ExitCode {
    let args = Consume::parse();
    perf::run("consume", run(args))
}

async fn run(args: Consume) -> Result<(), Failure> {
    let meter = Meter::whole_process();
    let stop = stop::requested();
    tokio::pin!(stop);
    let mut config = args.connection.settings()?;
    let demo = if config.bootstrap_servers.is_empty() {
        eprintln!("consume: no -b given, reading sample data of a cluster inside this process");
        let demo = Demo::start(&args.topic, &args.topic).await?;
        config.set("bootstrap.servers", &demo.cluster.bootstrap_servers())?;
        Some(demo)
    } else {
        None
    };
    if let Some(group) = &args.group {
        config.set("group.id", group)?;
        let reset = match args.offset {
            From::Start(Start::Earliest) => "earliest",
            From::Start(Start::Latest) => "latest",
            _ => return Err(
                "with --group, --offset is beginning or end: where the group has committed nothing"
                    .into(),
            ),
        };
        config.set("auto.offset.reset", reset)?;
        // What was printed is committed below, no more.
        config.set("enable.auto.commit", "false")?;
    }
    // It may wait for the first broker.
    let cluster = tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        connected = Cluster::connect(config) => connected?,
    };
    let partitions = partitions(&args, &cluster).await?;
    let ends = ends(&cluster, &partitions).await?;
    let mut consumer = Consumer::new(&cluster);
    if args.group.is_some() {
        consumer.subscribe(&[&args.topic])?;
    } else {
        consumer.assign(&partitions)?;
        for (of, end) in partitions.iter().zip(&ends) {
            let start = match args.offset {
                From::Start(start) => start,
                From::Last(count) => Start::Offset((end - count).max(0)),
            };
            consumer.seek(&of.topic, of.partition, start)?;
        }
    }
    let (mut count, mut out) = (0, Vec::new());
    while count < args.count && !(args.exit && at_end(&consumer, &partitions, &ends)) {
        // A dropped poll loses nothing.
        let records = tokio::select! {
            biased;
            () = &mut stop => break,
            polled = consumer.poll(POLL) => polled?,
        };
        let wanted = usize::try_from(args.count - count).unwrap_or(usize::MAX);
        let records = &records[..records.len().min(wanted)];
        count += records.len() as u64;
        let null: &[u8] = if args.null { b"NULL" } else { b"" };
        for record in records {
            args.format.write(record, null, &mut out);
        }
        if std::io::stdout().write_all(&out).is_err() {
            // Nobody reads any more (`| head`).
            break;
        }
        out.clear();
        if args.group.is_some() && !records.is_empty() {
            consumer.commit_offsets(&behind(records)).await?;
        }
    }
    let metrics = cluster.metrics();
    consumer.close().await?;
    if args.stats {
        let cluster_cpu = match &demo {
            Some(demo) => demo.cluster.cpu_time().await,
            None => None,
        };
        let stats = Stats {
            program: "consume",
            records_in: count,
            bytes_in: metrics.batch_bytes_fetched,
            wall: meter.wall(),
            cpu: meter.cpu().saturating_sub(cluster_cpu.unwrap_or_default()),
            cluster_cpu,
            ..Stats::default()
        };
        eprintln!("{}", stats.json());
    }
    Ok(())
}

/// The partitions that may be read.
async fn partitions(args: &Consume, cluster: &Cluster) -> Result<Vec<TopicPartition>, Failure> {
    let patience = Duration::from_millis(cluster.config().default_api_timeout_ms);
    let count = cluster.topic(&args.topic, patience).await?.partitions.len() as i32;
    match args.partition {
        Some(one) if !(0..count).contains(&one) => Err(format!(
            "topic {} has {count} partitions, there is no partition {one}",
            args.topic
        )
        .into()),
        Some(one) => Ok(vec![TopicPartition::new(args.topic.as_str(), one)]),
        None => Ok((0..count)
            .map(|partition| TopicPartition::new(args.topic.as_str(), partition))
            .collect()),
    }
}

/// Where the partitions end now.
async fn ends(cluster: &Cluster, partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
    let questions: Vec<_> = partitions
        .iter()
        .map(|of| (&*of.topic, of.partition, OffsetSpec::Latest))
        .collect();
    let isolation = cluster.config().isolation_level;
    let answers = cluster
        .list_offsets(&questions, isolation, Purpose::Metadata)
        .await?;
    let mut ends = Vec::with_capacity(answers.len());
    for answer in answers {
        ends.push(answer?.offset.unwrap_or(0));
    }
    Ok(ends)
}

/// Whether all partitions that this consumer reads are read to their ends; a member without any waits for some.
fn at_end(consumer: &Consumer, partitions: &[TopicPartition], ends: &[i64]) -> bool {
    let assigned = consumer.assignment();
    let is_read = |of: &TopicPartition, position: Option<i64>| {
        let mut known = partitions.iter().zip(ends);
        let end = known.find(|(partition, _)| *partition == of);
        // A partition that was added since had nothing in it at the start.
        end.is_none_or(|(_, end)| position.is_some_and(|position| position >= *end))
    };
    !assigned.is_empty()
        && assigned
            .iter()
            .all(|(of, progress)| is_read(of, progress.position))
}

/// The positions behind these records.
fn behind(records: &[ConsumerRecord]) -> Vec<OffsetToCommit> {
    let mut offsets: Vec<OffsetToCommit> = Vec::new();
    for record in records {
        let (topic, partition) = (record.topic(), record.partition());
        let seen = offsets
            .iter_mut()
            .find(|seen| seen.partition.partition == partition);
        match seen {
            Some(seen) => seen.offset = record.offset() + 1,
            None => offsets.push(OffsetToCommit::new(
                topic.detach(),
                partition,
                record.offset() + 1,
            )),
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_to_start_is_read() {
        for (text, expected) in [
            ("beginning", From::Start(Start::Earliest)),
            ("end", From::Start(Start::Latest)),
            ("17", From::Start(Start::Offset(17))),
            ("-17", From::Last(17)),
            (
                "s@1700000000000",
                From::Start(Start::Timestamp(1_700_000_000_000)),
            ),
        ] {
            assert_eq!(from(text), Ok(expected));
        }
        assert!(from("soon").is_err() && from("--1").is_err());
    }
}
