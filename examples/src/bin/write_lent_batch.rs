//! Writes through lent batches: a partition's batch is filled in place, without a lock or an await for each record, and is acknowledged as one.
//! The cheapest way to write. `write_lent_batch [HOST:PORT]`; without brokers it starts an in-process cluster.
#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use examples::demo;
use kafka_proto::client::Producer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_cluster, config) = demo::connect().await?;
    let producer = Producer::connect(config).await?;
    let partitions = producer.partition_count("tales").await? as i32;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let mut deliveries = Vec::new();
    for partition in 0..partitions {
        let mut batch = producer.open_batch("tales", partition);
        for number in 0..1_000 {
            let value = format!("line {number}");
            batch.append(now, None, Some(value.as_bytes()), &[])?;
        }
        // Waits for room in `buffer.memory`; then the batch is on its way.
        deliveries.push(producer.submit(batch).await?);
    }
    for delivery in deliveries {
        let batch = delivery.await?;
        println!(
            "{} records are in {}-{} from offset {:?} on",
            batch.record_count, batch.topic, batch.partition, batch.base_offset
        );
    }
    Ok(producer.close_within(Duration::from_secs(10)).await?)
}
