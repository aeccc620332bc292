//! Writes records and waits for each acknowledgement: what is simplest, and right where one record matters by itself.
//! `write_send [HOST:PORT]`; without brokers it starts an in-process cluster.
#![forbid(unsafe_code)]

use examples::demo;
use kafka_proto::client::{Producer, ProducerRecord};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_cluster, config) = demo::connect().await?;
    let producer = Producer::connect(config).await?;
    for name in ["oak", "elm", "ash"] {
        let record = ProducerRecord {
            topic: "tales",
            key: Some(name.as_bytes()),
            value: Some(b"a tree"),
            headers: &[("colour", Some(b"green"))],
            ..Default::default()
        };
        // Safe to drop: before the record is accepted nothing is queued, after it delivery goes on without this future.
        match producer.send(record).await {
            Ok(at) => println!(
                "{name} is {}-{} at offset {:?}",
                at.topic, at.partition, at.offset
            ),
            // The error knows whether the record may be in the log all the same.
            Err(error) => println!(
                "{name}: {error}; maybe written: {:?}",
                error.maybe_written()
            ),
        }
    }
    Ok(())
}
