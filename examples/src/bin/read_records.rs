//! Reads as a member of a group, one record after the other, and commits what was processed: the comfortable way.
//! `read_records [HOST:PORT]`; without brokers it starts an in-process cluster.
#![forbid(unsafe_code)]

use std::time::Duration;

use examples::demo;
use kafka_proto::client::Consumer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_cluster, mut config) = demo::connect().await?;
    config.set("group.id", "readers")?;
    config.set("enable.auto.commit", "false")?;
    let mut consumer = Consumer::connect(config).await?;
    consumer.subscribe(&["tales"])?;
    let mut count = 0;
    while count < 30 {
        for record in consumer.poll(Duration::from_secs(5)).await? {
            // Key and value are slices of what was fetched; the record may be kept, moved to another thread, dropped later.
            let value = record.value().unwrap_or_default();
            println!(
                "{}-{}@{} {}",
                record.topic(),
                record.partition(),
                record.offset(),
                String::from_utf8_lossy(value)
            );
            count += 1;
        }
        // Behind everything that poll delivered.
        consumer.commit().await?;
    }
    Ok(consumer.close().await?)
}
