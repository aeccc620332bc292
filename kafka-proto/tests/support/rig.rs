//! An in-process cluster with one topic `t`, a client of it that is quick to try again, and what tests of reading do with them.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    future::{Future, poll_fn},
    ops::Range,
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use kafka_proto::{
    client::{Cluster, Config, Consumer, FetchedBatches, Fetcher, Start, TopicPartition},
    mock,
    records::{
        BatchBuilder, Compression, ControlType, EndTxnMarker, Placement, Stamp, end_txn_batch,
    },
};

/// Only a guard against hanging.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// Long enough for an answer that is already on its way.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// A cluster in this process and a client of it.
pub(crate) struct Rig {
    pub(crate) mock: mock::Cluster,
    pub(crate) cluster: Cluster,
}

/// One broker with a topic `t`.
pub(crate) async fn rig(partitions: i32, properties: &[(&str, &str)]) -> Rig {
    Rig::of(mock::Cluster::builder().topic("t", partitions), properties).await
}

impl Rig {
    pub(crate) async fn of(builder: mock::Builder, properties: &[(&str, &str)]) -> Self {
        let mock = builder.start().await.unwrap();
        let cluster = Cluster::connect(config(&mock, properties)).await.unwrap();
        Self { mock, cluster }
    }

    /// A fetcher that reads partition 0 from its beginning.
    pub(crate) fn fetcher(&self) -> Fetcher {
        let mut fetcher = Fetcher::new(&self.cluster);
        fetcher.assign("t", 0, Start::Earliest);
        fetcher
    }

    /// A consumer that reads these partitions from where they were committed, else from their beginning.
    pub(crate) fn consumer(&self, partitions: Range<i32>) -> Consumer {
        let mut consumer = Consumer::new(&self.cluster);
        let of: Vec<_> = partitions.map(|p| TopicPartition::new("t", p)).collect();
        consumer.assign(&of).unwrap();
        consumer
    }
}

pub(crate) fn config(mock: &mock::Cluster, properties: &[(&str, &str)]) -> Config {
    let mut config = Config::new(&mock.bootstrap_servers());
    let quick = [
        ("auto.offset.reset", "earliest"),
        ("fetch.max.wait.ms", "20"),
        ("retry.backoff.ms", "2"),
        ("retry.backoff.max.ms", "20"),
        ("reconnect.backoff.ms", "2"),
        ("reconnect.backoff.max.ms", "20"),
    ];
    for (name, value) in quick.iter().chain(properties) {
        config.set(name, value).unwrap();
    }
    config
}

/// Appends batches of one record; values are their own offsets.
pub(crate) fn append(mock: &mock::Cluster, partition: i32, range: Range<i64>) {
    for n in range {
        let value = n.to_string();
        let offset = mock
            .append("t", partition, [(None, Some(value.as_bytes()))])
            .unwrap();
        assert_eq!(offset, n);
    }
}

/// The offsets that were delivered of one partition, each checked against its value.
pub(crate) fn offsets(fetcher: &Fetcher, fetched: FetchedBatches, partition: i32) -> Vec<i64> {
    let mut decompressor = fetcher.decompressor();
    let mut offsets = Vec::new();
    for mut of in fetched {
        if of.topic() != "t" || of.partition() != partition {
            continue;
        }
        while let Some(batch) = of.next_batch().unwrap() {
            for record in batch.records(&mut decompressor).unwrap() {
                let record = record.unwrap();
                assert_eq!(record.value.unwrap(), record.offset.to_string().as_bytes());
                offsets.push(record.offset);
            }
        }
    }
    offsets
}

/// Reads one partition until `end`.
pub(crate) async fn read_to(fetcher: &mut Fetcher, partition: i32, end: i64) -> Vec<i64> {
    let mut all = Vec::new();
    let reading = async {
        while fetcher
            .position("t", partition)
            .is_none_or(|position| position < end)
        {
            let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
            all.extend(offsets(fetcher, fetched, partition));
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("the end is reached");
    all
}

/// Polls a future so many times at most, then drops it.
pub(crate) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut left = times;
    let mut future = pin!(future);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A batch of one record in a transaction of this producer.
pub(crate) fn transactional(producer_id: i64, value: &[u8]) -> Bytes {
    let stamp = Stamp {
        producer_id,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
    };
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    builder.append(0, None, Some(value), &[]).unwrap();
    builder.finish(stamp).unwrap()
}

/// The marker that ends a transaction of this producer.
pub(crate) fn marker(kind: ControlType, producer_id: i64) -> Bytes {
    let marker = EndTxnMarker {
        coordinator_epoch: 0,
    };
    end_txn_batch(kind, marker, producer_id, 0, 0, Placement::NONE)
}
