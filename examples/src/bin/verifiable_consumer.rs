//! Reads a topic as a member of a group and prints lines of JSON: partitions assigned and revoked, records read, offsets committed. Flags and
//! lines are those of Kafka's VerifiableConsumer.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::demo::Demo;
use examples::perf;
use examples::screen;
use examples::stats::{Meter, Stats};
use examples::stop;
use examples::verifiable::{self, Committed, Consumed, Event, Place, VerifiableConsumer};
use kafka_proto::client::{Consumer, ConsumerRecord, OffsetToCommit, Rebalance};

/// After so long without a record the poll ends, so that a rebalance is told although nothing is read.
const POLL: Duration = Duration::from_millis(200);

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = VerifiableConsumer::parse();
    perf::run("verifiable_consumer", run(args))
}

async fn run(args: VerifiableConsumer) -> Result<(), Failure> {
    let meter = Meter::whole_process();
    let stop = stop::requested();
    tokio::pin!(stop);
    let mut config = args.settings()?;
    let demo = if config.bootstrap_servers.is_empty() {
        eprintln!(
            "verifiable_consumer: no --bootstrap-server given, reading sample data of a cluster inside this process"
        );
        let demo = Demo::start(&args.topic, &args.topic).await?;
        config.set("bootstrap.servers", &demo.cluster.bootstrap_servers())?;
        Some(demo)
    } else {
        None
    };
    // It may wait for the first broker.
    let mut consumer = tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        connected = Consumer::connect(config) => connected?,
    };
    verifiable::print("startup_complete", &Event::Bare);
    consumer.subscribe(&[&args.topic])?;
    let (mut count, mut first) = (0, None);
    let most = u64::try_from(args.max_messages).unwrap_or(u64::MAX);
    let outcome = loop {
        if count >= most {
            break Ok(());
        }
        // A dropped poll loses nothing.
        let polled = tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            polled = consumer.poll(POLL) => polled,
        };
        tell_rebalances(&mut consumer);
        let records = match polled {
            Ok(records) => records,
            Err(error) if error.is_retriable() => {
                eprintln!("verifiable_consumer: {error}");
                continue;
            }
            Err(error) => break Err(error),
        };
        if records.is_empty() {
            continue;
        }
        first.get_or_insert_with(|| meter.wall());
        let offsets = consumed(&args, &records, most, &mut count);
        if !args.enable_autocommit {
            let error = consumer.commit_offsets(&offsets).await.err();
            let committed = Event::Committed {
                offsets: Committed::all(&offsets),
                success: error.is_none(),
                error: error.map(|error| error.to_string()),
            };
            verifiable::print("offsets_committed", &committed);
        }
    };
    verifiable::print("shutdown_requested", &Event::Bare);
    let metrics = consumer.cluster().metrics();
    let given_up: Vec<_> = consumer
        .assignment()
        .into_iter()
        .map(|(of, _)| of)
        .collect();
    let closed = consumer.close().await;
    if !given_up.is_empty() {
        tell_partitions("partitions_revoked", &given_up);
    }
    verifiable::print("shutdown_complete", &Event::Bare);
    if args.stats {
        let cluster_cpu = match &demo {
            Some(demo) => demo.cluster.cpu_time().await,
            None => None,
        };
        let stats = Stats {
            program: "verifiable_consumer",
            records_in: count,
            bytes_in: metrics.batch_bytes_fetched,
            wall: meter.wall(),
            cpu: meter.cpu().saturating_sub(cluster_cpu.unwrap_or_default()),
            cluster_cpu,
            first_record: first,
            ..Stats::default()
        };
        screen::print(&stats.json());
    }
    outcome?;
    Ok(closed?)
}

fn tell_rebalances(consumer: &mut Consumer) {
    while let Some(rebalance) = consumer.next_rebalance() {
        match rebalance {
            Rebalance::Assigned(partitions) => tell_partitions("partitions_assigned", &partitions),
            Rebalance::Revoked(partitions) => tell_partitions("partitions_revoked", &partitions),
            // Kafka's listener takes a loss for a revocation too.
            Rebalance::Lost(partitions, reason) => {
                eprintln!("verifiable_consumer: partitions were lost: {reason}");
                tell_partitions("partitions_revoked", &partitions);
            }
            _ => {}
        }
    }
}

fn tell_partitions(name: &str, partitions: &[kafka_proto::client::TopicPartition]) {
    let partitions = Place::all(partitions);
    verifiable::print(name, &Event::Partitions { partitions });
}

/// Tells what a poll brought, up to the number that was asked for, and returns the positions behind it.
fn consumed(
    args: &VerifiableConsumer,
    records: &[ConsumerRecord],
    most: u64,
    count: &mut u64,
) -> Vec<OffsetToCommit> {
    let mut partitions: Vec<Consumed> = Vec::new();
    for record in records {
        if *count >= most {
            break;
        }
        *count += 1;
        if args.verbose {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let data = Event::Record {
                key: record.key().map(text),
                value: record.value().map(text),
                topic: record.topic(),
                partition: record.partition(),
                offset: record.offset(),
            };
            verifiable::print("record_data", &data);
        }
        // A poll brings few partitions, their records mostly together.
        let seen = partitions
            .iter_mut()
            .rfind(|seen| seen.partition == record.partition() && *seen.topic == **record.topic());
        match seen {
            Some(seen) => {
                seen.count += 1;
                seen.max_offset = record.offset();
            }
            None => partitions.push(Consumed {
                topic: record.topic().to_string(),
                partition: record.partition(),
                count: 1,
                min_offset: record.offset(),
                max_offset: record.offset(),
            }),
        }
    }
    let behind = |seen: &Consumed| {
        OffsetToCommit::new(seen.topic.as_str(), seen.partition, seen.max_offset + 1)
    };
    let offsets = partitions.iter().map(behind).collect();
    let consumed = Event::Consumed {
        count: records.len(),
        partitions,
    };
    verifiable::print("records_consumed", &consumed);
    offsets
}
