//! Reads whole topics through the borrowed interface, for tests that compare with what another client wrote.

use std::time::Duration;

use kafka_proto::client::{Cluster, Config, FetchedPartition, Fetcher, Start};
use kafka_proto::records::Codec;

/// Only a guard against hanging.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// One record with all that was fetched of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, Option<String>)>,
    pub(crate) codec: Codec,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every record from the beginning to the ends as they are now, by partition and offset.
pub(crate) async fn read_all(config: Config, topic: &str, partitions: i32) -> Vec<Read> {
    let cluster = Cluster::connect(config).await.unwrap();
    let mut fetcher = Fetcher::new(&cluster);
    for partition in 0..partitions {
        fetcher.assign(topic, partition, Start::Earliest);
    }
    let mut decompressor = fetcher.decompressor();
    let mut read = Vec::new();
    let whole = async {
        let at_end = |fetcher: &Fetcher, partition| {
            let progress = fetcher.progress(topic, partition).unwrap();
            progress.end >= 0
                && progress
                    .position
                    .is_some_and(|position| position >= progress.end)
        };
        while !(0..partitions).all(|partition| at_end(&fetcher, partition)) {
            for mut fetched in fetcher.poll_batches(LIMIT).await.unwrap() {
                let partition = FetchedPartition::partition(&fetched);
                while let Some(batch) = fetched.next_batch().unwrap() {
                    let codec = batch.batch().compression();
                    for record in batch.records(&mut decompressor).unwrap() {
                        let record = record.unwrap();
                        let headers = record
                            .headers
                            .map(|header| (text(header.name_bytes()), header.value().map(text)));
                        read.push(Read {
                            partition,
                            offset: record.offset,
                            timestamp: record.timestamp,
                            key: record.key.map(text),
                            value: record.value.map(text),
                            headers: headers.collect(),
                            codec,
                        });
                    }
                }
            }
        }
    };
    tokio::time::timeout(LIMIT, whole)
        .await
        .expect("the topic is read to its end");
    read.sort_by_key(|record| (record.partition, record.offset));
    read
}
