//! A client of a few lines: one connection, one request after the other, any version. For tests of the in-process cluster
//! that must not depend on the real client.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part; a test stops where it is surprised"
)]

use std::time::Duration;

use bytes::Bytes;
use kafka_proto::messages::header::encode_request;
use kafka_proto::messages::{ErrorCode, Message, Request, ResponseHeader};
use kafka_proto::mock::Cluster;
use kafka_proto::records::{BatchBuilder, Compression, Stamp};
use kafka_proto::wire::{Reader, Text, Uuid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Guards against a test that hangs; nothing is ever this slow.
pub(crate) const GUARD: Duration = Duration::from_secs(30);

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    correlation_id: i32,
}

impl Raw {
    /// Connects to the first broker.
    pub(crate) async fn connect(cluster: &Cluster) -> Self {
        Self::connect_to(cluster, 0).await
    }

    /// Connects to the broker at this place in `bootstrap.servers`.
    pub(crate) async fn connect_to(cluster: &Cluster, index: usize) -> Self {
        let servers = cluster.bootstrap_servers();
        Self::connect_address(servers.split(',').nth(index).unwrap()).await
    }

    /// Connects to a broker of any cluster.
    pub(crate) async fn connect_address(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self {
            stream,
            correlation_id: 0,
        }
    }

    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) {
        self.correlation_id += 1;
        let client_id = Text::from_static("raw");
        let frame =
            encode_request(request, version, self.correlation_id, Some(&client_id)).unwrap();
        self.stream.write_all(&frame.into_bytes()).await.unwrap();
    }

    /// The next response; `None` if the broker has closed the connection.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        let frame = tokio::time::timeout(GUARD, self.frame())
            .await
            .expect("the broker never answered")?;
        let mut reader = Reader::new(frame);
        let header_version = R::response_header_version(version);
        let header = ResponseHeader::decode(&mut reader, header_version).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = R::Response::decode(&mut reader, version).unwrap();
        reader.finish().unwrap();
        Some(response)
    }

    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        let size = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; size as usize];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }

    pub(crate) async fn call<R: Request>(&mut self, request: R, version: i16) -> R::Response {
        self.send(&request, version).await;
        self.receive::<R>(version)
            .await
            .expect("the broker closed the connection")
    }

    /// Whether the broker closes the connection instead of sending anything.
    pub(crate) async fn is_closed(&mut self) -> bool {
        tokio::time::timeout(GUARD, self.frame())
            .await
            .expect("the broker neither answered nor closed the connection")
            .is_none()
    }
}

/// One uncompressed batch of these values.
pub(crate) fn batch(values: &[&str], stamp: Stamp) -> Bytes {
    batch_at(values, 1_000, stamp)
}

/// The same with timestamps that count up from `timestamp`.
pub(crate) fn batch_at(values: &[&str], timestamp: i64, stamp: Stamp) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for (value, timestamp) in values.iter().zip(timestamp..) {
        builder
            .append(timestamp, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    builder.finish(stamp).unwrap()
}

pub(crate) fn idempotent(producer_id: i64, base_sequence: i32) -> Stamp {
    Stamp {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        transactional: false,
    }
}

/// A produce request for one partition of one topic, by name.
pub(crate) fn produce(
    topic: &str,
    partition: i32,
    records: Bytes,
) -> kafka_proto::messages::ProduceRequest {
    use kafka_proto::messages::produce::{PartitionProduceData, TopicProduceData};
    kafka_proto::messages::ProduceRequest {
        acks: -1,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            topic_id: Uuid::ZERO,
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(records.into()),
            }],
        }],
        ..Default::default()
    }
}

/// Error code and base offset of the only partition.
pub(crate) fn produced(response: &kafka_proto::messages::ProduceResponse) -> (ErrorCode, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// A fetch request for one partition of one topic, by name, without a session.
pub(crate) fn fetch(
    topic: &str,
    partition: i32,
    offset: i64,
) -> kafka_proto::messages::FetchRequest {
    use kafka_proto::messages::fetch::{FetchPartition, FetchTopic};
    kafka_proto::messages::FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_id: 0,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: Uuid::ZERO,
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

/// The values of all records in a fetch's partition, control batches left out.
pub(crate) fn values(data: &kafka_proto::messages::fetch::PartitionData) -> Vec<String> {
    let bytes = data.records.clone().unwrap().into_bytes();
    let mut values = Vec::new();
    for batch in kafka_proto::records::batches(bytes) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        if batch.is_control() {
            continue;
        }
        for record in batch.records(batch.body()) {
            let value = record.unwrap().value.unwrap().to_vec();
            values.push(String::from_utf8(value).unwrap());
        }
    }
    values
}
