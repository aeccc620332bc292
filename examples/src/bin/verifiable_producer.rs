//! Writes increasing numbers and prints a line of JSON for each record that was acknowledged or failed: what was acknowledged must be in
//! the log, once and in order. Flags and lines are those of Kafka's VerifiableProducer.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::demo;
use examples::perf;
use examples::screen;
use examples::stats::{Meter, Stats};
use examples::stop;
use examples::verifiable::{self, Event, VerifiableProducer};
use kafka_proto::client::{Producer, ProducerRecord, RecordMetadata, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Records that wait for their acknowledgement at once; `buffer.memory` alone would allow millions of these small ones.
const WAITING_MAX: usize = 65_536;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = VerifiableProducer::parse();
    perf::run("verifiable_producer", run(args))
}

async fn run(args: VerifiableProducer) -> std::result::Result<(), Failure> {
    let meter = Meter::whole_process();
    let stop = stop::requested();
    tokio::pin!(stop);
    let mut config = args.settings()?;
    let cluster = demo::in_process(&mut config, &args.topic, "verifiable_producer").await?;
    // It may wait for the first broker.
    let producer = tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        connected = Producer::connect(config) => connected?,
    };
    verifiable::print("startup_complete", &Event::Bare);
    let begin = Instant::now();
    let (mut sent, mut acked) = (0, 0);
    let mut waiting = JoinSet::new();
    while u64::try_from(args.max_messages).map_or(true, |most| sent < most) {
        let next = async {
            if args.throughput > 0 {
                let due = Duration::from_secs_f64(sent as f64 / args.throughput as f64);
                tokio::time::sleep_until(begin + due).await;
            }
            enqueue(&args, &producer, sent, begin).await
        };
        // Dropping `next` leaves nothing behind: a record is either accepted, or was never there.
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = next => accepted,
        };
        let n = sent;
        sent += 1;
        match accepted {
            Ok(delivery) => drop(waiting.spawn(async move { (n, delivery.await) })),
            Err(error) => acked += tell(&args, n, Err(error)),
        }
        while let Some(done) = waiting.try_join_next() {
            let (n, outcome) = done?;
            acked += tell(&args, n, outcome);
        }
        if waiting.len() >= WAITING_MAX
            && let Some(done) = waiting.join_next().await
        {
            let (n, outcome) = done?;
            acked += tell(&args, n, outcome);
        }
    }
    // What was accepted is delivered or fails, within `delivery.timeout.ms`.
    let closed = producer.close().await;
    while let Some(done) = waiting.join_next().await {
        let (n, outcome) = done?;
        acked += tell(&args, n, outcome);
    }
    let wall = begin.elapsed();
    verifiable::print("shutdown_complete", &Event::Bare);
    let data = Event::Tool {
        sent,
        acked,
        target_throughput: args.throughput,
        avg_throughput: acked as f64 / wall.as_secs_f64().max(1e-9),
    };
    verifiable::print("tool_data", &data);
    if args.stats {
        let cluster_cpu = match &cluster {
            Some(cluster) => cluster.cpu_time().await,
            None => None,
        };
        let stats = Stats {
            program: "verifiable_producer",
            records_out: acked,
            bytes_out: producer.cluster().metrics().batch_bytes_sent,
            wall,
            cpu: meter.cpu().saturating_sub(cluster_cpu.unwrap_or_default()),
            cluster_cpu,
            more: vec![("records_failed", (sent - acked).into())],
            ..Stats::default()
        };
        screen::print(&stats.json());
    }
    Ok(closed?)
}

async fn enqueue(
    args: &VerifiableProducer,
    producer: &Producer,
    n: u64,
    begin: Instant,
) -> Result<kafka_proto::client::RecordDelivery> {
    let (key, value) = (args.key(n), args.value(n));
    let since = begin.elapsed().as_millis() as i64;
    let record = ProducerRecord {
        topic: &args.topic,
        timestamp: (args.message_create_time >= 0).then(|| args.message_create_time + since),
        key: key.as_ref().map(String::as_bytes),
        value: Some(value.as_bytes()),
        ..ProducerRecord::default()
    };
    producer.enqueue(record).await
}

/// Prints what became of a record; 1 if it was acknowledged.
fn tell(args: &VerifiableProducer, n: u64, outcome: Result<RecordMetadata>) -> u64 {
    let (key, value) = (args.key(n), args.value(n));
    match outcome {
        Ok(at) => {
            let sent = Event::Sent {
                key: key.as_deref(),
                value: &value,
                topic: &at.topic,
                partition: at.partition,
                offset: at.offset.unwrap_or(-1),
            };
            verifiable::print("producer_send_success", &sent);
            1
        }
        Err(error) => {
            let failed = Event::NotSent {
                key: key.as_deref(),
                value: &value,
                topic: &args.topic,
                exception: verifiable::kind(&error),
                message: error.to_string(),
            };
            verifiable::print("producer_send_error", &failed);
            0
        }
    }
}
