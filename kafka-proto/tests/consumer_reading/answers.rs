//! Answers as no sound broker gives them, from a leader that is scripted: what was not asked for, twice, out of order.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use kafka_proto::{
    client::{Cluster, Config, Fetcher, Start},
    messages::{
        ApiKey, ErrorCode, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse,
        fetch::{AbortedTransaction, FetchableTopicResponse, PartitionData},
        metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    net::Memory,
    records::{BatchBuilder, Compression, ControlType, Placement, Stamp},
    wire::{Records, Uuid},
};

use super::{
    lines::Lines,
    peer::{Answer, serve},
    rig::{LIMIT, SHORT, marker, offsets, read_to, transactional},
};

/// A leader of everything, whose answers to fetches are given beforehand; then it is silent.
#[derive(Clone, Default)]
struct Leader {
    topics: Vec<(&'static str, Uuid, i32)>,
    answers: Arc<Mutex<VecDeque<FetchResponse>>>,
    asked: Arc<Mutex<Vec<(i16, FetchRequest)>>>,
}

const ID: Uuid = Uuid([7; 16]);
const SESSION: i32 = 5;

impl Leader {
    fn new(topics: &[(&'static str, Uuid, i32)]) -> Self {
        Self {
            topics: topics.to_vec(),
            ..Self::default()
        }
    }

    fn will_answer(&self, parts: Vec<FetchableTopicResponse>) {
        self.answers.lock().unwrap().push_back(FetchResponse {
            session_id: SESSION,
            responses: parts,
            ..FetchResponse::default()
        });
    }

    fn asked(&self) -> Vec<(i16, FetchRequest)> {
        self.asked.lock().unwrap().clone()
    }

    async fn cluster(&self, properties: &[(&str, &str)]) -> Cluster {
        let (network, leader) = (Memory::default(), self.clone());
        serve(&network, "leader", 9092, move |seen| match seen.key {
            ApiKey::METADATA => seen.answer::<MetadataRequest>(&leader.metadata()),
            ApiKey::FETCH => {
                let request = (seen.version, seen.read::<FetchRequest>());
                leader.asked.lock().unwrap().push(request);
                match leader.answers.lock().unwrap().pop_front() {
                    Some(response) => seen.answer::<FetchRequest>(&response),
                    None => Answer::Silence,
                }
            }
            _ => Answer::HangUp,
        });
        let mut config = Config::new("leader:9092");
        for (name, value) in properties {
            config.set(name, value).unwrap();
        }
        Cluster::connect_by(config, Arc::new(network))
            .await
            .unwrap()
    }

    fn metadata(&self) -> MetadataResponse {
        let partition = |partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: 1,
            leader_epoch: 0,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let topics = self.topics.iter().map(|(name, id, count)| {
            let partitions = (0..*count).map(partition).collect();
            MetadataResponseTopic {
                name: Some((*name).into()),
                topic_id: *id,
                partitions,
                ..Default::default()
            }
        });
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 1,
                host: "leader".into(),
                port: 9092,
                ..Default::default()
            }],
            topics: topics.collect(),
            ..Default::default()
        }
    }
}

fn of_topic(topic_id: Uuid, partitions: Vec<PartitionData>) -> FetchableTopicResponse {
    FetchableTopicResponse {
        topic_id,
        partitions,
        ..Default::default()
    }
}

fn data(partition: i32, high_watermark: i64, records: Bytes) -> PartitionData {
    PartitionData {
        partition_index: partition,
        high_watermark,
        last_stable_offset: high_watermark,
        log_start_offset: 0,
        records: Some(Records::from(records)),
        ..Default::default()
    }
}

/// A batch whose values are its offsets.
fn batch(offsets: std::ops::Range<i64>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for offset in offsets.clone() {
        let value = offset.to_string();
        builder
            .append(0, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    at(&builder.finish(Stamp::NONE).unwrap(), offsets.start)
}

/// The same batch at another place in the log: the checksum does not cover that.
fn at(batch: &Bytes, base_offset: i64) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes.into()
}

#[tokio::test]
async fn what_was_not_asked_for_or_comes_twice_is_ignored() {
    let leader = Leader::new(&[("t", ID, 2)]);
    leader.will_answer(vec![
        of_topic(Uuid([9; 16]), vec![data(0, 50, batch(0..9))]),
        of_topic(
            ID,
            vec![
                data(7, 50, batch(0..9)),
                data(-1, 50, batch(0..9)),
                data(0, 50, batch(0..3)),
                data(0, 50, batch(0..3)),
                data(1, 50, batch(0..9)),
            ],
        ),
        of_topic(ID, vec![data(0, 50, batch(0..5))]),
    ]);
    leader.will_answer(vec![of_topic(ID, vec![data(0, 50, batch(3..5))])]);
    let cluster = leader.cluster(&[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(0));
    let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
    assert_eq!(fetched.len(), 1, "one partition was asked for");
    assert_eq!(offsets(&fetcher, fetched, 0), [0, 1, 2]);
    assert_eq!(read_to(&mut fetcher, 0, 5).await, [3, 4]);
    let next = &leader.asked()[1].1;
    assert_eq!((next.session_id, next.session_epoch), (SESSION, 1));
    assert_eq!(next.topics[0].partitions[0].fetch_offset, 3);
    assert!(fetcher.position("t", 1).is_none());
}

#[tokio::test]
async fn topics_are_named_by_id_only_if_every_one_of_them_has_one() {
    for (other, version) in [(Uuid::ZERO, 12), (Uuid([8; 16]), 18)] {
        let leader = Leader::new(&[("t", ID, 1), ("old", other, 1)]);
        let cluster = leader.cluster(&[]).await;
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(0));
        fetcher.assign("old", 0, Start::Offset(0));
        while leader.asked().is_empty() {
            assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
        }
        let (spoken, request) = &leader.asked()[0];
        assert_eq!((*spoken, request.topics.len()), (version, 2));
    }
}

#[tokio::test]
async fn an_unsorted_list_of_aborted_transactions_hides_all_of_them_and_no_more() {
    // Redpanda sends them unsorted. A transaction of producer 1 is committed before its aborted one.
    let log = [
        transactional(1, b"0"),
        marker(ControlType::Commit, 1),
        transactional(2, b"2"),
        transactional(1, b"3"),
        marker(ControlType::Abort, 2),
        marker(ControlType::Abort, 1),
        transactional(1, b"6"),
        marker(ControlType::Commit, 1),
    ];
    let records: Vec<u8> = (0..)
        .zip(&log)
        .flat_map(|(offset, batch)| at(batch, offset))
        .collect();
    let aborted = [(1, 3), (2, 2)].map(|(producer_id, first_offset)| AbortedTransaction {
        producer_id,
        first_offset,
    });
    let answer = PartitionData {
        aborted_transactions: Some(aborted.to_vec()),
        ..data(0, 8, records.into())
    };
    let leader = Leader::new(&[("t", ID, 1)]);
    leader.will_answer(vec![of_topic(ID, vec![answer])]);
    let cluster = leader
        .cluster(&[("isolation.level", "read_committed")])
        .await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(0));
    assert_eq!(read_to(&mut fetcher, 0, 8).await, [0, 6]);
}

#[tokio::test]
async fn records_of_a_partition_that_failed_are_not_looked_at() {
    let leader = Leader::new(&[("t", ID, 1)]);
    leader.will_answer(vec![of_topic(
        ID,
        vec![PartitionData {
            error_code: ErrorCode::KAFKA_STORAGE_ERROR,
            ..data(0, 9, batch(0..9))
        }],
    )]);
    leader.will_answer(vec![of_topic(ID, vec![data(0, 3, batch(0..3))])]);
    let cluster = leader.cluster(&[("retry.backoff.ms", "1")]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(0));
    assert_eq!(read_to(&mut fetcher, 0, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_hole_at_the_end_of_what_is_fetched_moves_the_position() {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    builder.append(0, None, Some(b"0"), &[]).unwrap();
    let placement = Placement {
        last_offset_delta: Some(99),
        ..Placement::NONE
    };
    let hole = builder.finish_at(Stamp::NONE, placement).unwrap();
    let leader = Leader::new(&[("t", ID, 1)]);
    // The fetch begins in the hole: no record of the batch is wanted.
    leader.will_answer(vec![of_topic(ID, vec![data(0, 103, hole)])]);
    leader.will_answer(vec![of_topic(ID, vec![data(0, 103, batch(100..103))])]);
    let cluster = leader.cluster(&[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(40));
    assert_eq!(read_to(&mut fetcher, 0, 103).await, [100, 101, 102]);
    assert_eq!(
        leader.asked()[1].1.topics[0].partitions[0].fetch_offset,
        100
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_metadata_does_not_list_is_not_turned_to() {
    let leader = Leader::new(&[("t", ID, 1)]);
    for _ in 0..3 {
        leader.will_answer(vec![of_topic(
            ID,
            vec![PartitionData {
                preferred_read_replica: 99,
                ..data(0, 10, Bytes::new())
            }],
        )]);
    }
    leader.will_answer(vec![of_topic(ID, vec![data(0, 10, batch(0..10))])]);
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let cluster = leader.cluster(&[("client.rack", "c")]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(0));
    let read = read_to(&mut fetcher, 0, 10).await;
    assert_eq!(read, (0..10).collect::<Vec<_>>());
    assert!(leader.asked().len() >= 4);
    let failed = lines.with(&["cannot fetch"]);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
