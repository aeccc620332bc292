//! Reads a topic from its beginning to its present end, and says how long that took:
//! `consume BOOTSTRAP TOPIC [batches|records] [PROPERTY=VALUE …]`.
//!
//! `batches` walks the records where they were fetched: the cheapest way. `records` takes them as values that may be kept.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use kafka_proto::client::{Cluster, Config, Consumer, OffsetSpec, Purpose, TopicPartition};

const POLL: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, rest @ ..] = &*arguments else {
        return Err("usage: consume BOOTSTRAP TOPIC [batches|records] [PROPERTY=VALUE …]".into());
    };
    let way = rest.first().map_or("batches", String::as_str);
    let mut config = Config::new(bootstrap);
    config.set("auto.offset.reset", "earliest")?;
    for property in rest.iter().skip(1) {
        let (name, value) = property.split_once('=').ok_or("a property is NAME=VALUE")?;
        config.set(name, value)?;
    }
    let begin = Instant::now();
    let cluster = Cluster::connect(config).await?;
    let mut consumer = Consumer::new(&cluster);
    let ends = ends(&cluster, topic).await?;
    let partitions: Vec<_> = (0..ends.len())
        .map(|p| TopicPartition::new(topic.as_str(), p as i32))
        .collect();
    consumer.assign(&partitions)?;
    let at_end = |consumer: &Consumer| {
        let mut ends = ends.iter().enumerate();
        ends.all(|(p, end)| {
            consumer
                .position(topic, p as i32)
                .is_some_and(|position| position >= *end)
        })
    };
    let (mut count, mut bytes) = (0_u64, 0_usize);
    match way {
        "batches" => {
            let mut decompressor = consumer.decompressor();
            while !at_end(&consumer) {
                for mut partition in consumer.poll_batches(POLL).await? {
                    while let Some(batch) = partition.next_batch()? {
                        for record in batch.records(&mut decompressor)? {
                            let record = record?;
                            count += 1;
                            bytes += record.value.map_or(0, <[u8]>::len);
                        }
                    }
                }
            }
        }
        "records" => {
            while !at_end(&consumer) {
                for record in consumer.poll(POLL).await? {
                    count += 1;
                    bytes += record.value().map_or(0, <[u8]>::len);
                }
            }
        }
        other => return Err(format!("unknown way `{other}`").into()),
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{count} records, {bytes} bytes of values in {seconds:.3} s: {:.0} records/s",
        count as f64 / seconds
    );
    consumer.close().await?;
    Ok(())
}

/// Where the partitions end now.
async fn ends(cluster: &Cluster, topic: &str) -> Result<Vec<i64>, Box<dyn std::error::Error>> {
    let known = cluster.topic(topic, Duration::from_secs(10)).await?;
    let questions: Vec<_> = (0..known.partitions.len())
        .map(|p| (topic, p as i32, OffsetSpec::Latest))
        .collect();
    let isolation = cluster.config().isolation_level;
    let mut ends = Vec::new();
    for answer in cluster
        .list_offsets(&questions, isolation, Purpose::Metadata)
        .await?
    {
        ends.push(answer?.offset.unwrap_or(0));
    }
    Ok(ends)
}
