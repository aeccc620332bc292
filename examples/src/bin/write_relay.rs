//! Copies a topic batch by batch: a fetched batch goes on whole, its records are neither read nor written again; only the header is stamped anew.
//! `write_relay [HOST:PORT]` copies `tales` to `copy`; without brokers it starts an in-process cluster.
#![forbid(unsafe_code)]

use std::time::Duration;

use examples::demo;
use kafka_proto::client::{Cluster, Fetcher, Producer, Start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_cluster, config) = demo::connect().await?;
    // Reader and writer share one view of the cluster.
    let cluster = Cluster::connect(config).await?;
    let producer = Producer::new(&cluster)?;
    let mut fetcher = Fetcher::new(&cluster);
    let topic = cluster.topic("tales", Duration::from_secs(10)).await?;
    for partition in 0..topic.partitions.len() as i32 {
        fetcher.assign("tales", partition, Start::Earliest);
    }
    let mut copied = 0;
    loop {
        let fetched = fetcher.poll_batches(Duration::from_millis(300)).await?;
        let mut deliveries = Vec::new();
        for mut partition in fetched {
            while let Some(batch) = partition.next_batch()? {
                let (number, position) = (batch.partition(), batch.batch().base_offset());
                // What must not go on untouched (compacted, stamped by the broker's clock) would have to be copied record by record.
                Producer::can_relay(batch.batch(), position)?;
                let delivery = producer.submit_relay("copy", number, batch.batch(), position);
                deliveries.push(delivery.await?);
            }
        }
        if deliveries.is_empty() {
            println!("{copied} records are copied");
            return Ok(producer.close_within(Duration::from_secs(10)).await?);
        }
        for delivery in deliveries {
            copied += delivery.await?.record_count;
        }
    }
}
