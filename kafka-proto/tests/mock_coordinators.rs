//! The in-process cluster's coordinators over the wire: groups, committed offsets, transactions, and the clock held.
#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod raw;

use std::time::Duration;

use kafka_proto::messages::*;
use kafka_proto::mock::Cluster;
use kafka_proto::records::Stamp;
use kafka_proto::wire::{Text, Uuid};
use raw::{GUARD, Raw, batch, fetch, produce, produced, values};

async fn cluster() -> Cluster {
    let builder = Cluster::builder().topic("lines", 2);
    builder.start().await.unwrap()
}

fn join(member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "readers".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![join_group::JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: bytes::Bytes::from_static(b"lines"),
        }],
        ..Default::default()
    }
}

fn sync(
    member: &Text,
    generation_id: i32,
    assignments: &[(&Text, &'static str)],
) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: "readers".into(),
        generation_id,
        member_id: member.clone(),
        assignments: assignments
            .iter()
            .map(|&(id, assignment)| sync_group::SyncGroupRequestAssignment {
                member_id: id.clone(),
                assignment: assignment.into(),
            })
            .collect(),
        ..Default::default()
    }
}

fn heartbeat(member: &Text, generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: "readers".into(),
        generation_id,
        member_id: member.clone(),
        ..Default::default()
    }
}

/// Joins as the first member and is stable after it.
async fn lead(client: &mut Raw) -> Text {
    let told = client.call(join(""), 9).await;
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    let joined = client.call(join(&told.member_id), 9).await;
    assert_eq!(
        (joined.error_code, joined.generation_id),
        (ErrorCode::NONE, 1)
    );
    let id = joined.member_id;
    let synced = client.call(sync(&id, 1, &[(&id, "both")]), 5).await;
    assert_eq!(synced.assignment, "both");
    id
}

#[tokio::test]
async fn two_members_share_a_generation() {
    let cluster = cluster().await;
    let mut first = Raw::connect(&cluster).await;
    let mut second = Raw::connect(&cluster).await;
    let leader = lead(&mut first).await;
    // Up to version 3 a member gets its id with its first generation.
    second.send(&join(""), 3).await;
    while first
        .call(heartbeat(&leader, 1), 4)
        .await
        .error_code
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    let rejoined = first.call(join(&leader), 9).await;
    assert_eq!((rejoined.generation_id, rejoined.members.len()), (2, 2));
    let joined = second.receive::<JoinGroupRequest>(3).await.unwrap();
    let follower = joined.member_id;
    assert_eq!((joined.leader, joined.members.len()), (leader.clone(), 0));
    second.send(&sync(&follower, 2, &[]), 0).await;
    let both = [(&leader, "one"), (&follower, "two")];
    let synced = first.call(sync(&leader, 2, &both), 5).await;
    assert_eq!(synced.assignment, "one");
    let synced = second.receive::<SyncGroupRequest>(0).await.unwrap();
    assert_eq!(synced.assignment, "two");
    assert_eq!(cluster.group_state("readers"), Some("Stable"));
    assert_eq!(cluster.group_generation("readers"), Some(2));
    let old = first.call(heartbeat(&leader, 1), 4).await;
    assert_eq!(old.error_code, ErrorCode::ILLEGAL_GENERATION);
}

#[tokio::test]
async fn a_session_ends_only_when_the_held_clock_is_moved() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let clock = cluster.clock();
    clock.hold();
    lead(&mut client).await;
    clock.advance(Duration::from_millis(9_999));
    tokio::task::yield_now().await;
    assert_eq!(cluster.group_members("readers").len(), 1);
    clock.advance(Duration::from_millis(1));
    let empty = async {
        while !cluster.group_members("readers").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GUARD, empty).await.unwrap();
    assert_eq!(cluster.group_state("readers"), Some("Empty"));
}

#[tokio::test]
async fn another_broker_sends_a_member_to_the_coordinator() {
    let builder = Cluster::builder().brokers(2);
    let cluster = builder.start().await.unwrap();
    cluster.move_coordinator("readers", 2).unwrap();
    let mut client = Raw::connect(&cluster).await;
    let find = FindCoordinatorRequest {
        coordinator_keys: vec!["readers".into()],
        ..Default::default()
    };
    let found = client.call(find, 6).await;
    assert_eq!(found.coordinators[0].node_id, 2);
    let refused = client.call(join(""), 9).await;
    assert_eq!(refused.error_code, ErrorCode::NOT_COORDINATOR);
    let mut client = Raw::connect_to(&cluster, 1).await;
    let told = client.call(join(""), 9).await;
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
}

fn commit(member: &Text, generation: i32, offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "readers".into(),
        generation_id_or_member_epoch: generation,
        member_id: member.clone(),
        topics: vec![offset_commit::OffsetCommitRequestTopic {
            name: "lines".into(),
            partitions: vec![offset_commit::OffsetCommitRequestPartition {
                partition_index: 1,
                committed_offset: offset,
                committed_leader_epoch: 0,
                committed_metadata: Some("note".into()),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn committed(response: &OffsetCommitResponse) -> ErrorCode {
    response.topics[0].partitions[0].error_code
}

#[tokio::test]
async fn members_commit_in_their_generation_and_read_it_back_in_every_version() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let id = lead(&mut client).await;
    for version in 2..=9 {
        let response = client.call(commit(&id, 1, version.into()), version).await;
        assert_eq!(committed(&response), ErrorCode::NONE);
    }
    let response = client.call(commit(&id, 0, 9), 9).await;
    assert_eq!(committed(&response), ErrorCode::ILLEGAL_GENERATION);
    let response = client.call(commit(&"".into(), -1, 9), 9).await;
    assert_eq!(committed(&response), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(cluster.committed_offset("readers", "lines", 1), Some(9));
    for version in 2..=7 {
        let request = OffsetFetchRequest {
            group_id: "readers".into(),
            topics: None,
            ..Default::default()
        };
        let response = client.call(request, version).await;
        let partition = &response.topics[0].partitions[0];
        assert_eq!(
            (partition.partition_index, partition.committed_offset),
            (1, 9)
        );
        assert_eq!(partition.metadata.as_deref(), Some("note"));
    }
    let request = OffsetFetchRequest {
        groups: vec![offset_fetch::OffsetFetchRequestGroup {
            group_id: "readers".into(),
            topics: Some(vec![offset_fetch::OffsetFetchRequestTopics {
                name: "lines".into(),
                partition_indexes: vec![0, 1],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        require_stable: true,
        ..Default::default()
    };
    let response = client.call(request, 9).await;
    let offsets: Vec<i64> = response.groups[0].topics[0]
        .partitions
        .iter()
        .map(|partition| partition.committed_offset)
        .collect();
    assert_eq!(offsets, [-1, 9]);
}

struct Producer {
    id: i64,
    epoch: i16,
}

async fn init(client: &mut Raw) -> Producer {
    loop {
        let request = InitProducerIdRequest {
            transactional_id: Some("writer".into()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let response = client.call(request, 5).await;
        if response.error_code == ErrorCode::CONCURRENT_TRANSACTIONS {
            continue;
        }
        assert_eq!(response.error_code, ErrorCode::NONE);
        return Producer {
            id: response.producer_id,
            epoch: response.producer_epoch,
        };
    }
}

fn write(producer: &Producer, sequence: i32, value: &str) -> ProduceRequest {
    let stamp = Stamp {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        base_sequence: sequence,
        transactional: true,
    };
    ProduceRequest {
        transactional_id: Some("writer".into()),
        ..produce("lines", 0, batch(&[value], stamp))
    }
}

async fn end(
    client: &mut Raw,
    producer: &Producer,
    committed: bool,
    version: i16,
) -> EndTxnResponse {
    let request = EndTxnRequest {
        transactional_id: "writer".into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        committed,
    };
    client.call(request, version).await
}

async fn read_committed(client: &mut Raw) -> (Vec<String>, Vec<(i64, i64)>) {
    let request = FetchRequest {
        isolation_level: 1,
        ..fetch("lines", 0, 0)
    };
    let response = client.call(request, 12).await;
    let data = &response.responses[0].partitions[0];
    let aborted = data.aborted_transactions.as_deref().unwrap();
    let aborted = aborted.iter().map(|of| (of.producer_id, of.first_offset));
    (values(data), aborted.collect())
}

#[tokio::test]
async fn readers_of_committed_data_stop_before_an_open_transaction() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let plain = produce("lines", 0, batch(&["before"], Stamp::NONE));
    client.call(plain, 11).await;
    let mut producer = init(&mut client).await;
    // The second version adds the partition with the first write.
    let wrote = client.call(write(&producer, 0, "aborted"), 12).await;
    assert_eq!(produced(&wrote), (ErrorCode::NONE, 1));
    let plain = produce("lines", 0, batch(&["after"], Stamp::NONE));
    client.call(plain, 11).await;
    assert_eq!(
        read_committed(&mut client).await,
        (vec!["before".into()], vec![])
    );
    let ended = end(&mut client, &producer, false, 5).await;
    assert_eq!(ended.error_code, ErrorCode::NONE);
    assert_eq!(ended.producer_epoch, producer.epoch + 1);
    producer.epoch = ended.producer_epoch;
    // Readers get the aborted records too, and are told of them.
    let (values, aborted) = read_committed(&mut client).await;
    assert_eq!(values, ["before", "aborted", "after"]);
    assert_eq!(aborted, [(producer.id, 1)]);
    let wrote = client.call(write(&producer, 0, "committed"), 12).await;
    assert_eq!(produced(&wrote).0, ErrorCode::NONE);
    let ended = end(&mut client, &producer, true, 5).await;
    assert_eq!(ended.error_code, ErrorCode::NONE);
    let (values, aborted) = read_committed(&mut client).await;
    assert_eq!(values.last().unwrap(), "committed");
    assert_eq!(aborted.len(), 1);
}

#[tokio::test]
async fn the_first_version_wants_partitions_added_before_they_are_written() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let producer = init(&mut client).await;
    let early = client.call(write(&producer, 0, "a"), 11).await;
    assert_eq!(produced(&early).0, ErrorCode::TRANSACTION_ABORTABLE);
    let add = |partition| AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: "writer".into(),
        v3_and_below_producer_id: producer.id,
        v3_and_below_producer_epoch: producer.epoch,
        v3_and_below_topics: vec![add_partitions_to_txn::AddPartitionsToTxnTopic {
            name: "lines".into(),
            partitions: vec![0, partition],
        }],
        ..Default::default()
    };
    let errors = |response: AddPartitionsToTxnResponse| -> Vec<ErrorCode> {
        let topic = &response.results_by_topic_v3_and_below[0];
        let partitions = &topic.results_by_partition;
        partitions
            .iter()
            .map(|of| of.partition_error_code)
            .collect()
    };
    let unknown = errors(client.call(add(9), 3).await);
    let expected = [
        ErrorCode::OPERATION_NOT_ATTEMPTED,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ];
    assert_eq!(unknown, expected);
    assert_eq!(errors(client.call(add(1), 3).await), [ErrorCode::NONE; 2]);
    let wrote = client.call(write(&producer, 0, "a"), 11).await;
    assert_eq!(produced(&wrote), (ErrorCode::NONE, 0));
    let ended = end(&mut client, &producer, true, 4).await;
    assert_eq!(ended.error_code, ErrorCode::NONE);
    // Both partitions have a marker, also the one without records.
    assert_eq!(cluster.end_offset("lines", 1).unwrap(), 1);
    assert!(cluster.records("lines", 1).unwrap()[0].control);
}

#[tokio::test]
async fn a_second_instance_fences_the_first() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let first = init(&mut client).await;
    client.call(write(&first, 0, "lost"), 12).await;
    let second = init(&mut client).await;
    assert!(second.epoch > first.epoch);
    let late = client.call(write(&first, 1, "late"), 12).await;
    assert_eq!(produced(&late).0, ErrorCode::INVALID_PRODUCER_EPOCH);
    let ended = end(&mut client, &first, true, 5).await;
    assert_eq!(ended.error_code, ErrorCode::PRODUCER_FENCED);
    assert_eq!(read_committed(&mut client).await.1, [(first.id, 0)]);
}

#[tokio::test]
async fn an_abandoned_transaction_is_aborted_at_its_timeout() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let clock = cluster.clock();
    clock.hold();
    let producer = init(&mut client).await;
    client.call(write(&producer, 0, "abandoned"), 12).await;
    assert_eq!(cluster.transaction_state("writer"), Some("Ongoing"));
    clock.advance(Duration::from_secs(60));
    let aborted = async {
        while cluster.transaction_state("writer") != Some("CompleteAbort") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GUARD, aborted).await.unwrap();
    assert_eq!(cluster.last_stable_offset("lines", 0).unwrap(), 2);
}

async fn topic_id(client: &mut Raw, topic: &str) -> Uuid {
    let request = MetadataRequest {
        topics: Some(vec![metadata::MetadataRequestTopic {
            name: Some(topic.into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    client.call(request, 12).await.topics[0].topic_id
}

#[tokio::test]
async fn offsets_of_an_undecided_transaction_are_unstable() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let producer = init(&mut client).await;
    let offsets = TxnOffsetCommitRequest {
        transactional_id: "writer".into(),
        group_id: "readers".into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics: vec![txn_offset_commit::TxnOffsetCommitRequestTopic {
            name: "lines".into(),
            partitions: vec![txn_offset_commit::TxnOffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: 7,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let early = client.call(offsets.clone(), 4).await;
    let error = early.topics[0].partitions[0].error_code;
    assert_eq!(error, ErrorCode::INVALID_TXN_STATE);
    let response = client.call(offsets.clone(), 5).await;
    assert!(response.topics[0].partitions[0].error_code.is_ok());
    let mut by_id = offsets;
    for (topic_id, error) in [
        (topic_id(&mut client, "lines").await, ErrorCode::NONE),
        (Uuid([9; 16]), ErrorCode::UNKNOWN_TOPIC_ID),
    ] {
        by_id.topics[0].topic_id = topic_id;
        let answer = client.call(by_id.clone(), 6).await;
        assert_eq!(answer.topics[0].topic_id, topic_id);
        assert_eq!(answer.topics[0].partitions[0].error_code, error);
    }
    let stable = |require_stable| OffsetFetchRequest {
        groups: vec![offset_fetch::OffsetFetchRequestGroup {
            group_id: "readers".into(),
            topics: Some(vec![offset_fetch::OffsetFetchRequestTopics {
                name: "lines".into(),
                partition_indexes: vec![0],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        require_stable,
        ..Default::default()
    };
    let mut fetched = async |require_stable| {
        let response = client.call(stable(require_stable), 8).await;
        let partition = response.groups[0].topics[0].partitions[0].clone();
        (partition.error_code, partition.committed_offset)
    };
    assert_eq!(fetched(true).await, (ErrorCode::UNSTABLE_OFFSET_COMMIT, -1));
    assert_eq!(fetched(false).await, (ErrorCode::NONE, -1));
    let mut other = Raw::connect(&cluster).await;
    let ended = end(&mut other, &producer, true, 5).await;
    assert!(ended.error_code.is_ok());
    assert_eq!(fetched(true).await, (ErrorCode::NONE, 7));
}
