//! Produces records three ways and says what each cost: `produce BOOTSTRAP TOPIC COUNT SIZE [lend|enqueue|send] [PROPERTY=VALUE …]`.
//!
//! `lend` fills batches of its own and submits them: the cheapest way. `enqueue` gives records one at a time and waits for them all at
//! the end. `send` waits for each acknowledgement before the next record: what the latency of one record is.
#![forbid(unsafe_code)]

use std::time::Instant;

use kafka_proto::client::{Config, Producer, ProducerRecord};
use kafka_proto::partition::partition_for_key;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, count, size, rest @ ..] = &*arguments else {
        return Err(
            "usage: produce BOOTSTRAP TOPIC COUNT SIZE [lend|enqueue|send] [PROPERTY=VALUE …]"
                .into(),
        );
    };
    let (count, size): (u32, usize) = (count.parse()?, size.parse()?);
    let way = rest.first().map_or("lend", String::as_str);
    let mut config = Config::new(bootstrap).batch_size(128_usize * 1024);
    for property in rest.iter().skip(1) {
        let (name, value) = property.split_once('=').ok_or("a property is NAME=VALUE")?;
        config.set(name, value)?;
    }
    let batch_size = config.batch_size;
    let producer = Producer::connect(config).await?;
    let value = vec![b'x'; size];
    let begin = Instant::now();
    match way {
        "lend" => lend(&producer, topic, count, &value, batch_size).await?,
        "enqueue" => {
            for number in 0..count {
                let key = format!("{number:08x}");
                let record = ProducerRecord {
                    topic,
                    key: Some(key.as_bytes()),
                    value: Some(&value),
                    ..Default::default()
                };
                drop(producer.enqueue(record).await?);
            }
        }
        "send" => {
            for number in 0..count {
                let key = format!("{number:08x}");
                let record = ProducerRecord {
                    topic,
                    key: Some(key.as_bytes()),
                    value: Some(&value),
                    ..Default::default()
                };
                producer.send(record).await?;
            }
        }
        other => return Err(format!("unknown way `{other}`").into()),
    }
    producer.flush().await?;
    let seconds = begin.elapsed().as_secs_f64();
    let metrics = producer.cluster().metrics();
    println!(
        "{count} records of {size} bytes in {seconds:.3} s: {:.0} records/s, {} requests, {} batches, {} failed",
        f64::from(count) / seconds,
        metrics.requests,
        metrics.batches_sent,
        metrics.records_failed,
    );
    Ok(())
}

/// One open batch a partition; a full one is submitted and replaced.
async fn lend(
    producer: &Producer,
    topic: &str,
    count: u32,
    value: &[u8],
    batch_size: usize,
) -> kafka_proto::client::Result<()> {
    let partitions = producer.partition_count(topic).await?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    let mut open: Vec<_> = (0..partitions)
        .map(|partition| producer.open_batch(topic, partition as i32))
        .collect();
    let mut key = *b"00000000";
    for number in 0..count {
        for (place, digit) in key.iter_mut().rev().enumerate() {
            *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
        }
        let batch = &mut open[partition_for_key(&key, partitions) as usize];
        if batch.size_bytes() + value.len() + 24 > batch_size {
            let next = producer.open_batch(topic, batch.partition());
            let full = std::mem::replace(batch, next);
            drop(producer.submit(full).await?);
        }
        // A batch is bounded by `max.request.size`, far above `batch_size`.
        let appended = batch.append(now, Some(&key), Some(value), &[]);
        debug_assert!(appended.is_ok());
    }
    for batch in open.into_iter().filter(|batch| !batch.is_empty()) {
        drop(producer.submit(batch).await?);
    }
    Ok(())
}
