//! Reads records as a stream, with the adapters of the futures crates: a consumer is a `Stream` of its records.
//! `read_stream [HOST:PORT]`; without brokers it starts an in-process cluster.
#![forbid(unsafe_code)]

use examples::demo;
use futures_util::StreamExt;
use kafka_proto::client::Consumer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_cluster, mut config) = demo::connect().await?;
    config.set("group.id", "stream-readers")?;
    let mut consumer = Consumer::connect(config).await?;
    consumer.subscribe(&["tales"])?;
    // The stream never ends by itself and never stops silently: trouble is an item. An adapter may be dropped, nothing is lost.
    let mut lines = (&mut consumer).take(30);
    while let Some(record) = lines.next().await {
        let record = record?;
        println!(
            "{} {}",
            record.offset(),
            String::from_utf8_lossy(record.value().unwrap_or_default())
        );
    }
    // Between two records the consumer can be asked for anything: here it commits and leaves the group.
    Ok(consumer.close().await?)
}
