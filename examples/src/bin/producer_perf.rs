//! How fast records can be written, with the flags and lines of Kafka's ProducerPerformance. Unthrottled it fills lent batches: nothing
//! is paid for a record but its encoding.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use examples::demo;
use examples::perf::{self, Latencies, Payloads, ProducerPerf};
use examples::screen;
use examples::stats::{Meter, Stats};
use kafka_proto::client::{Delivery, Producer, ProducerRecord, RecordDelivery};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    let args = ProducerPerf::parse();
    perf::run("producer_perf", run(args))
}

type Failure = Box<dyn std::error::Error>;

/// What was sent together, and is acknowledged together.
struct Sent {
    since: Instant,
    records: u64,
    bytes: u64,
    acknowledged: Acknowledged,
}

enum Acknowledged {
    Batch(Delivery),
    Record(RecordDelivery),
}

async fn run(args: ProducerPerf) -> Result<(), Failure> {
    let meter = Meter::whole_process();
    let mut config = args.connection.config()?;
    let cluster = demo::in_process(&mut config, &args.topic, "producer_perf").await?;
    let mut payloads = Payloads::new(&args.payload, &args.payload_delimiter)?;
    let producer = Producer::connect(config).await?;
    let partitions = producer.partition_count(&args.topic).await?;
    let (sent, deliveries) = mpsc::channel(4096);
    let begin = Instant::now();
    let collector = tokio::spawn(collect(
        deliveries,
        args.warmup_records,
        Duration::from_millis(args.connection.reporting_interval),
    ));
    let outcome = if args.throughput > 0.0 {
        send_paced(&args, &producer, &mut payloads, sent).await
    } else {
        send_batches(&args, &producer, &mut payloads, partitions, sent).await
    };
    let collected = collector.await?;
    outcome?;
    let (total, steady, steady_since) = collected?;
    screen::print(&total.total_line(begin.elapsed(), ""));
    if let Some(since) = steady_since {
        screen::print(&steady.total_line(since.elapsed(), "steady state "));
    }
    let metrics = producer.cluster().metrics();
    producer.close_within(Duration::from_secs(10)).await?;
    if args.print_metrics {
        for (name, value) in metrics.iter() {
            screen::print(&format!("producer-metrics:{name} : {value}"));
        }
    }
    if args.connection.stats {
        let cluster_cpu = match &cluster {
            Some(cluster) => cluster.cpu_time().await,
            None => None,
        };
        let stats = Stats {
            program: "producer_perf",
            records_out: total.records(),
            bytes_out: metrics.batch_bytes_sent,
            wall: meter.wall(),
            cpu: meter.cpu().saturating_sub(cluster_cpu.unwrap_or_default()),
            cluster_cpu,
            more: vec![
                ("latency_ms_p50", total.percentile(0.5).into()),
                ("latency_ms_p99", total.percentile(0.99).into()),
                ("batches", metrics.batches_sent.into()),
            ],
            ..Stats::default()
        };
        screen::print(&stats.json());
    }
    Ok(())
}

/// Fills one batch after another, the partitions in turn.
async fn send_batches(
    args: &ProducerPerf,
    producer: &Producer,
    payloads: &mut Payloads,
    partitions: usize,
    sent: mpsc::Sender<Sent>,
) -> Result<(), Failure> {
    let topic: Arc<str> = args.topic.as_str().into();
    let batch_size = producer.cluster().config().batch_size;
    let mut left = args.num_records;
    for turn in 0.. {
        if left == 0 {
            break;
        }
        let mut batch = producer.open_batch(Arc::clone(&topic), (turn % partitions) as i32);
        let (since, now) = (Instant::now(), unix_ms());
        let mut bytes = 0;
        while left > 0 && batch.size_bytes() < batch_size {
            let value = payloads.next_value();
            batch.append(now, None, Some(value), &[])?;
            bytes += value.len() as u64;
            left -= 1;
        }
        let records = u64::from(batch.record_count());
        let acknowledged = Acknowledged::Batch(producer.submit(batch).await?);
        if sent
            .send(Sent {
                since,
                records,
                bytes,
                acknowledged,
            })
            .await
            .is_err()
        {
            // The collector has met an error, and tells it.
            break;
        }
    }
    Ok(())
}

/// Sends single records at the pace asked for; they share batches as `linger.ms` and `batch.size` say.
async fn send_paced(
    args: &ProducerPerf,
    producer: &Producer,
    payloads: &mut Payloads,
    sent: mpsc::Sender<Sent>,
) -> Result<(), Failure> {
    let begin = tokio::time::Instant::now();
    for n in 0..args.num_records {
        let due = begin + Duration::from_secs_f64(n as f64 / args.throughput);
        if due > tokio::time::Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        let value = payloads.next_value();
        let bytes = value.len() as u64;
        let since = Instant::now();
        let record = ProducerRecord {
            topic: &args.topic,
            value: Some(value),
            ..ProducerRecord::default()
        };
        let acknowledged = Acknowledged::Record(producer.enqueue(record).await?);
        if sent
            .send(Sent {
                since,
                records: 1,
                bytes,
                acknowledged,
            })
            .await
            .is_err()
        {
            break;
        }
    }
    Ok(())
}

type Collected = (Latencies, Latencies, Option<Instant>);

/// Awaits the acknowledgements in order and prints a line an interval. Returns all, those behind the warm-up, and when that was over.
async fn collect(
    mut deliveries: mpsc::Receiver<Sent>,
    warmup: u64,
    interval: Duration,
) -> Result<Collected, kafka_proto::client::Error> {
    let (mut total, mut steady, mut window) =
        (Latencies::new(), Latencies::new(), Latencies::new());
    let (mut steady_since, mut window_since) = (None, Instant::now());
    let mut waiting: VecDeque<Sent> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match deliveries.recv().await {
                Some(sent) => waiting.push_back(sent),
                None => break,
            }
        }
        let Some(Sent {
            since,
            records,
            bytes,
            acknowledged,
        }) = waiting.pop_front()
        else {
            continue;
        };
        match acknowledged {
            Acknowledged::Batch(delivery) => drop(delivery.await?),
            Acknowledged::Record(delivery) => drop(delivery.await?),
        }
        let latency = since.elapsed();
        total.record(records, bytes, latency);
        window.record(records, bytes, latency);
        if warmup > 0 && total.records() > warmup {
            steady_since.get_or_insert_with(Instant::now);
            steady.record(records, bytes, latency);
        }
        if window_since.elapsed() >= interval {
            screen::print(&window.window_line(window_since.elapsed()));
            (window, window_since) = (Latencies::new(), Instant::now());
        }
    }
    Ok((total, steady, steady_since))
}

fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}
