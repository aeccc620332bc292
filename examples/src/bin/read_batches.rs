//! Reads batches where they were fetched: records are views of the response, nothing is copied or allocated for a record. The cheapest way to
//! read. `read_batches [HOST:PORT]`; without brokers it starts an in-process cluster.
#![forbid(unsafe_code)]

use std::time::Duration;

use examples::demo;
use kafka_proto::client::Consumer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_cluster, mut config) = demo::connect().await?;
    config.set("group.id", "batch-readers")?;
    let mut consumer = Consumer::connect(config).await?;
    consumer.subscribe(&["tales"])?;
    // Compressed batches are inflated into its buffers, one batch after the other.
    let mut decompressor = consumer.decompressor();
    let (mut count, mut longest) = (0, 0);
    while count < 30 {
        for mut partition in consumer.poll_batches(Duration::from_secs(5)).await? {
            // The checksum is verified here, batch by batch.
            while let Some(batch) = partition.next_batch()? {
                for record in batch.records(&mut decompressor)? {
                    count += 1;
                    longest = longest.max(record?.value.map_or(0, <[u8]>::len));
                }
            }
        }
    }
    println!("{count} records, the longest has {longest} bytes");
    Ok(consumer.close().await?)
}
