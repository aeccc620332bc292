//! How fast records can be read, with the flags and lines of Kafka's ConsumerPerformance, through the borrowed batch interface: records are
//! views of what came off the wire.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use examples::demo::Demo;
use examples::perf::{self, ConsumerPerf};
use examples::screen;
use examples::stats::{Meter, Stats};
use kafka_proto::client::{Cluster, Config, Consumer, FetchedBatches, Fetcher, Start};
use kafka_proto::records::Decompressor;

fn main() -> ExitCode {
    let args = ConsumerPerf::parse();
    perf::run("consumer_perf", run(args))
}

type Failure = Box<dyn std::error::Error>;

const HEADER: &str = "data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";

/// With a group or without.
enum Reader {
    Group(Box<Consumer>),
    Direct(Box<Fetcher>),
}

impl Reader {
    async fn poll(&mut self, timeout: Duration) -> kafka_proto::client::Result<FetchedBatches> {
        match self {
            Self::Group(consumer) => consumer.poll_batches(timeout).await,
            Self::Direct(fetcher) => fetcher.poll_batches(timeout).await,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    records: u64,
    /// Bytes of keys and values.
    bytes: u64,
}

async fn run(args: ConsumerPerf) -> Result<(), Failure> {
    let meter = Meter::whole_process();
    let mut config = settings(&args)?;
    let demo = if config.bootstrap_servers.is_empty() {
        eprintln!(
            "consumer_perf: no --bootstrap-server given, reading sample data of a cluster inside this process"
        );
        let demo = Demo::start(&args.topic, &args.topic).await?;
        config.set("bootstrap.servers", &demo.cluster.bootstrap_servers())?;
        Some(demo)
    } else {
        None
    };
    if !args.hide_header {
        screen::print(&format!(
            "{}, {HEADER}",
            if args.show_detailed_stats {
                "time, threadId"
            } else {
                "start.time, end.time"
            }
        ));
    }
    let (begin, begin_time) = (Instant::now(), now());
    let cluster = Cluster::connect(config).await?;
    let mut reader = reader(&args, &cluster).await?;
    let mut decompressor = Decompressor::new(cluster.config().fetch_buffer_bytes);
    let (mut count, mut joined, mut first) = (Count::default(), None, None);
    let (mut window, mut window_since) = (Count::default(), Instant::now());
    let mut last_record = Instant::now();
    while count.records < args.num_records {
        let left = Duration::from_millis(args.timeout).saturating_sub(last_record.elapsed());
        if left.is_zero() {
            eprintln!(
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
                args.timeout
            );
            break;
        }
        let fetched = reader.poll(left).await?;
        joined.get_or_insert_with(Instant::now);
        let before = count.records;
        read(fetched, &mut decompressor, &mut count)?;
        if count.records > before {
            last_record = Instant::now();
            first.get_or_insert_with(|| begin.elapsed());
        }
        if args.show_detailed_stats
            && window_since.elapsed() >= Duration::from_millis(args.connection.reporting_interval)
        {
            let over = window_since.elapsed();
            let delta = Count {
                records: count.records - window.records,
                bytes: count.bytes - window.bytes,
            };
            screen::print(&format!(
                "{}, 0, {}",
                perf::date_time(now()),
                columns(count, delta, over, Duration::ZERO)
            ));
            (window, window_since) = (count, Instant::now());
        }
    }
    let wall = begin.elapsed();
    let rebalance = joined.map_or(Duration::ZERO, |at: Instant| at - begin);
    if !args.show_detailed_stats {
        screen::print(&format!(
            "{}, {}, {}",
            perf::date_time(begin_time),
            perf::date_time(now()),
            columns(count, count, wall, rebalance)
        ));
    }
    let cpu = meter.cpu();
    if args.print_metrics {
        for (name, value) in cluster.metrics().iter() {
            screen::print(&format!("consumer-metrics:{name} : {value}"));
        }
    }
    if args.connection.stats {
        let cluster_cpu = match &demo {
            Some(demo) => demo.cluster.cpu_time().await,
            None => None,
        };
        let stats = Stats {
            program: "consumer_perf",
            records_in: count.records,
            bytes_in: cluster.metrics().batch_bytes_fetched,
            wall,
            cpu: cpu.saturating_sub(cluster_cpu.unwrap_or_default()),
            cluster_cpu,
            first_record: first,
            more: vec![("payload_bytes", count.bytes.into())],
            ..Stats::default()
        };
        screen::print(&stats.json());
    }
    if let Reader::Group(consumer) = reader {
        consumer.close().await?;
    }
    if count.records < args.num_records {
        let (read, wanted) = (count.records, args.num_records);
        return Err(
            format!("read {read} of {wanted} records (`--timeout` bounds the wait)").into(),
        );
    }
    Ok(())
}

fn settings(args: &ConsumerPerf) -> Result<Config, Failure> {
    let mut config = args.connection.config()?;
    let mut set = |name: &str, value: String| config.set(name, &value);
    set("max.partition.fetch.bytes", args.fetch_size.to_string())?;
    set(
        "auto.offset.reset",
        if args.from_latest {
            "latest"
        } else {
            "earliest"
        }
        .to_owned(),
    )?;
    if let Some(bytes) = args.socket_buffer_size {
        set("receive.buffer.bytes", bytes.to_string())?;
    }
    if let Some(group) = &args.group {
        set("group.id", group.clone())?;
    }
    Ok(config)
}

async fn reader(args: &ConsumerPerf, cluster: &Cluster) -> Result<Reader, Failure> {
    if args.group.is_some() {
        let mut consumer = Consumer::new(cluster);
        consumer.subscribe(&[&args.topic])?;
        return Ok(Reader::Group(Box::new(consumer)));
    }
    let topic = cluster
        .topic(&args.topic, Duration::from_millis(args.timeout))
        .await?;
    let mut fetcher = Fetcher::new(cluster);
    let start = if args.from_latest {
        Start::Latest
    } else {
        Start::Earliest
    };
    for partition in 0..topic.partitions.len() as i32 {
        fetcher.assign(&args.topic, partition, start);
    }
    Ok(Reader::Direct(Box::new(fetcher)))
}

/// Looks at every record of what was fetched.
fn read(
    fetched: FetchedBatches,
    decompressor: &mut Decompressor,
    count: &mut Count,
) -> kafka_proto::client::Result<()> {
    for mut partition in fetched {
        while let Some(batch) = partition.next_batch()? {
            for record in batch.records(decompressor)? {
                let record = record?;
                count.records += 1;
                count.bytes += (record.key.map_or(0, <[u8]>::len)
                    + record.value.map_or(0, <[u8]>::len)) as u64;
            }
        }
    }
    Ok(())
}

/// The columns behind the times, as Kafka's tool prints them.
fn columns(total: Count, delta: Count, over: Duration, rebalance: Duration) -> String {
    let mb = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let rate = |n: f64, over: Duration| n / over.as_secs_f64().max(1e-9);
    let fetching = over.saturating_sub(rebalance);
    format!(
        "{:.4}, {:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
        mb(total.bytes),
        rate(mb(delta.bytes), over),
        total.records,
        rate(delta.records as f64, over),
        rebalance.as_millis(),
        fetching.as_millis(),
        rate(mb(delta.bytes), fetching),
        rate(delta.records as f64, fetching)
    )
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
