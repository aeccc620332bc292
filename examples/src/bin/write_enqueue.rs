//! Writes many records without waiting for each: `enqueue` awaits room in `buffer.memory`, never the broker. The deliveries are asked later,
//! or dropped. `write_enqueue [HOST:PORT]`; without brokers it starts an in-process cluster.
#![forbid(unsafe_code)]

use std::time::Duration;

use examples::demo;
use kafka_proto::client::{Producer, ProducerRecord};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_cluster, config) = demo::connect().await?;
    let producer = Producer::connect(config).await?;
    let mut deliveries = Vec::new();
    for number in 0..10_000 {
        let (key, value) = (format!("key {}", number % 100), number.to_string());
        let record = ProducerRecord {
            topic: "tales",
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            ..Default::default()
        };
        // Records share batches, as `linger.ms` and `batch.size` say. This is where back-pressure is felt.
        deliveries.push(producer.enqueue(record).await?);
    }
    let mut last = None;
    for delivery in deliveries {
        last = Some(delivery.await?);
    }
    println!("10,000 records are acknowledged, the last one is {last:?}");
    Ok(producer.close_within(Duration::from_secs(10)).await?)
}
