//! The in-process cluster, request by request: versions, produce, fetch, offsets, topics, brokers.
#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod raw;

use std::time::Duration;

use kafka_proto::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use kafka_proto::messages::delete_topics::DeleteTopicState;
use kafka_proto::messages::header::encode_request;
use kafka_proto::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_proto::messages::metadata::MetadataRequestTopic;
use kafka_proto::messages::*;
use kafka_proto::mock::Cluster;
use kafka_proto::records::Stamp;
use kafka_proto::wire::Uuid;
use raw::{Raw, batch, batch_at, fetch, idempotent, produce, produced, values};
use tokio::io::AsyncWriteExt;

/// APIs with a handler.
const SERVED: usize = 36;

async fn cluster() -> Cluster {
    let builder = Cluster::builder().topic("lines", 2);
    builder.start().await.unwrap()
}

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "raw".into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    }
}

fn all_topics() -> MetadataRequest {
    MetadataRequest {
        topics: None,
        ..Default::default()
    }
}

fn list_offsets(partition: i32, timestamp: i64) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "lines".into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: partition,
                timestamp,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

async fn offset_at(client: &mut Raw, timestamp: i64) -> (i64, i64) {
    let response = client.call(list_offsets(0, timestamp), 10).await;
    let partition = &response.topics[0].partitions[0];
    assert!(partition.error_code.is_ok(), "{}", partition.error_code);
    (partition.offset, partition.timestamp)
}

#[tokio::test]
async fn every_api_is_offered_up_to_its_last_stable_version() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    for version in ApiVersionsRequest::VERSIONS.min..=ApiVersionsRequest::VERSIONS.max {
        let response = client.call(api_versions(), version).await;
        assert!(response.error_code.is_ok());
        assert_eq!(response.api_keys.len(), SERVED);
        if version >= 3 {
            assert_eq!(response.finalized_features[0].max_version_level, 2);
        }
    }
    let response = client.call(api_versions(), 4).await;
    let of = |key: ApiKey| {
        let found = response.api_keys.iter().find(|api| api.api_key == key.0);
        found.map(|api| (api.min_version, api.max_version))
    };
    // Produce from 0 on, for the sake of librdkafka up to 2.0.
    assert_eq!(of(ApiKey::PRODUCE), Some((0, 13)));
    // Version 6 is not stable.
    assert_eq!(of(ApiKey::INIT_PRODUCER_ID), Some((0, 5)));
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    // Api key 18, version 99, correlation 7, and a header of a kind that the cluster cannot know.
    let frame = [0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 0, 7, 1, 2, 3, 4];
    client.stream.write_all(&frame).await.unwrap();
    let answer = client.frame().await.unwrap();
    assert_eq!(answer[..4], [0, 0, 0, 7]);
    assert_eq!(answer[4..6], [0, 35]);
    let body = answer.slice(4..);
    let response = ApiVersionsResponse::from_bytes(body, 0).unwrap();
    assert_eq!(response.api_keys.len(), SERVED);
    // The connection goes on.
    assert!(client.call(api_versions(), 3).await.error_code.is_ok());
}

#[tokio::test]
async fn client_names_against_kip_511_are_refused() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let request = ApiVersionsRequest {
        client_software_name: "-raw".into(),
        ..api_versions()
    };
    let response = client.call(request, 3).await;
    assert_eq!(response.error_code, ErrorCode::INVALID_REQUEST);
}

#[tokio::test]
async fn whoever_means_another_broker_or_cluster_is_refused() {
    let cluster = Cluster::builder().cluster_id("this").start().await.unwrap();
    let mut client = Raw::connect(&cluster).await;
    // As Kafka 4.4.0 answers; see `real_kafka_cluster`.
    for (cluster_id, node_id, error) in [
        (None, -1, ErrorCode::NONE),
        (Some("this"), 1, ErrorCode::NONE),
        (Some("this"), 2, ErrorCode::REBOOTSTRAP_REQUIRED),
        (Some("that"), 1, ErrorCode::REBOOTSTRAP_REQUIRED),
        (Some("this"), -1, ErrorCode::INVALID_REQUEST),
        (None, 1, ErrorCode::INVALID_REQUEST),
    ] {
        let request = ApiVersionsRequest {
            cluster_id: cluster_id.map(Into::into),
            node_id,
            ..api_versions()
        };
        let response = client.call(request.clone(), 5).await;
        assert_eq!(response.error_code, error, "{cluster_id:?} {node_id}");
        // Older versions do not carry it.
        assert!(client.call(request, 4).await.error_code.is_ok());
    }
}

#[tokio::test]
async fn bytes_behind_the_last_field_of_a_request_are_not_looked_at() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    for version in MetadataRequest::VERSIONS.min..=MetadataRequest::VERSIONS.max {
        // librdkafka leaves three bytes behind its request for all topics.
        let frame = encode_request(&MetadataRequest::default(), version, 7, None).unwrap();
        let mut frame = frame.into_bytes().to_vec();
        frame.extend([0; 3]);
        let size = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&size.to_be_bytes());
        client.stream.write_all(&frame).await.unwrap();
        let answer = client.frame().await.expect("the broker hung up");
        assert_eq!(answer[..4], [0, 0, 0, 7], "version {version}");
    }
}

#[tokio::test]
async fn an_old_broker_can_be_played() {
    let cluster = Cluster::builder()
        .versions(ApiKey::FETCH, Versions::new(0, 11))
        .without(ApiKey::DESCRIBE_CLUSTER)
        .transaction_version(0)
        .start()
        .await
        .unwrap();
    let mut client = Raw::connect(&cluster).await;
    let response = client.call(api_versions(), 4).await;
    let of = |key: ApiKey| response.api_keys.iter().find(|api| api.api_key == key.0);
    assert_eq!(of(ApiKey::FETCH).map(|api| api.max_version), Some(11));
    assert_eq!(of(ApiKey::DESCRIBE_CLUSTER), None);
    assert_eq!(of(ApiKey::END_TXN).map(|api| api.max_version), Some(4));
    assert_eq!(response.finalized_features, []);
    client.send(&DescribeClusterRequest::default(), 0).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn what_is_produced_is_fetched_in_every_version() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let metadata = client.call(all_topics(), 12).await;
    let topic_id = metadata.topics[0].topic_id;
    let mut written = Vec::new();
    for version in ProduceRequest::VERSIONS.min..=ProduceRequest::VERSIONS.max {
        let value = format!("v{version}");
        let mut request = produce("lines", 0, batch(&[&value, "x"], Stamp::NONE));
        if version >= 13 {
            request.topic_data[0].topic_id = topic_id;
        }
        let response = client.call(request, version).await;
        assert_eq!(produced(&response), (ErrorCode::NONE, written.len() as i64));
        written.extend([value, String::from("x")]);
    }
    for version in FetchRequest::VERSIONS.min..=FetchRequest::VERSIONS.max {
        let mut request = fetch("lines", 0, 2);
        if version >= 13 {
            request.topics[0].topic_id = topic_id;
        }
        let response = client.call(request, version).await;
        let data = &response.responses[0].partitions[0];
        assert_eq!(values(data), written[2..], "version {version}");
        assert_eq!(data.high_watermark, written.len() as i64);
    }
}

#[tokio::test]
async fn acks_0_is_never_answered_and_a_failure_hangs_up() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let mut request = produce("lines", 0, batch(&["a"], Stamp::NONE));
    request.acks = 0;
    client.send(&request, 9).await;
    // The next answer is that of the next request.
    assert!(client.call(api_versions(), 3).await.error_code.is_ok());
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 1);
    let mut request = produce("nowhere", 0, batch(&["a"], Stamp::NONE));
    request.acks = 0;
    client.send(&request, 9).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn produce_refuses_what_a_broker_refuses() {
    let cluster = Cluster::builder()
        .topic("lines", 1)
        .topic_with("small", 1, &[("max.message.bytes", "100")])
        .start()
        .await
        .unwrap();
    let mut client = Raw::connect(&cluster).await;
    let good = batch(&["a"], Stamp::NONE);
    let mut bad = good.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let two = [&good[..], &good[..]].concat();
    let big = batch(&["a".repeat(200).as_str()], Stamp::NONE);
    let cases = [
        (produce("lines", 0, bad.into()), ErrorCode::CORRUPT_MESSAGE),
        (produce("lines", 0, two.into()), ErrorCode::INVALID_RECORD),
        (
            produce("lines", 0, bytes::Bytes::new()),
            ErrorCode::INVALID_RECORD,
        ),
        (produce("small", 0, big), ErrorCode::MESSAGE_TOO_LARGE),
        (
            produce("lines", 7, good.clone()),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            produce("nowhere", 0, good.clone()),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            ProduceRequest {
                acks: 2,
                ..produce("lines", 0, good.clone())
            },
            ErrorCode::INVALID_REQUIRED_ACKS,
        ),
    ];
    for (request, error) in cases {
        assert_eq!(produced(&client.call(request, 9).await), (error, -1));
    }
    let by_id = client.call(produce("", 0, good), 13).await;
    assert_eq!(produced(&by_id).0, ErrorCode::UNKNOWN_TOPIC_ID);
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 0);
}

#[tokio::test]
async fn an_idempotent_batch_sent_again_is_in_the_log_once() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let id = client
        .call(
            InitProducerIdRequest {
                transactional_id: None,
                ..Default::default()
            },
            5,
        )
        .await
        .producer_id;
    let send = |sequence| produce("lines", 0, batch(&["a", "b"], idempotent(id, sequence)));
    assert_eq!(
        produced(&client.call(send(0), 11).await),
        (ErrorCode::NONE, 0)
    );
    assert_eq!(
        produced(&client.call(send(2), 11).await),
        (ErrorCode::NONE, 2)
    );
    assert_eq!(
        produced(&client.call(send(0), 11).await),
        (ErrorCode::NONE, 0)
    );
    assert_eq!(cluster.records("lines", 0).unwrap().len(), 4);
    let gap = produced(&client.call(send(6), 11).await);
    assert_eq!(gap.0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
}

#[tokio::test]
async fn a_fetch_waits_for_records_and_not_longer() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let request = FetchRequest {
        max_wait_ms: 20_000,
        ..fetch("lines", 0, 0)
    };
    client.send(&request, 12).await;
    cluster
        .append("lines", 1, [(None, Some(b"other partition".as_slice()))])
        .unwrap();
    cluster
        .append("lines", 0, [(None, Some(b"here".as_slice()))])
        .unwrap();
    let response = client.receive::<FetchRequest>(12).await.unwrap();
    assert_eq!(values(&response.responses[0].partitions[0]), ["here"]);
    let empty = client.call(fetch("lines", 0, 1), 12).await;
    assert_eq!(values(&empty.responses[0].partitions[0]), [""; 0]);
    // An error is answered at once, whatever the wait.
    let request = FetchRequest {
        max_wait_ms: 20_000,
        ..fetch("lines", 0, 99)
    };
    let response = client.call(request, 12).await;
    let error = response.responses[0].partitions[0].error_code;
    assert_eq!(error, ErrorCode::OFFSET_OUT_OF_RANGE);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_pauses_a_cluster_on_the_same_runtime() {
    let builder = Cluster::builder().topic("lines", 1).on_this_runtime();
    let cluster = builder.start().await.unwrap();
    let mut client = Raw::connect(&cluster).await;
    let before = tokio::time::Instant::now();
    let request = FetchRequest {
        max_wait_ms: 25_000,
        ..fetch("lines", 0, 0)
    };
    let response = client.call(request, 12).await;
    assert_eq!(values(&response.responses[0].partitions[0]), [""; 0]);
    assert!(before.elapsed() >= Duration::from_secs(25));
}

#[tokio::test]
async fn the_first_batch_of_a_fetch_always_fits() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let large = "x".repeat(5_000);
    for partition in 0..2 {
        for _ in 0..3 {
            let batch = batch(&[&large], Stamp::NONE);
            cluster.append_raw("lines", partition, &batch).unwrap();
        }
    }
    let mut request = fetch("lines", 0, 0);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    request.max_bytes = 100;
    let response = client.call(request.clone(), 12).await;
    let partitions = &response.responses[0].partitions;
    assert_eq!(values(&partitions[0]).len(), 1);
    assert_eq!(values(&partitions[1]).len(), 0);
    request.max_bytes = 13_000;
    request.topics[0].partitions[1].partition_max_bytes = 1;
    let response = client.call(request, 12).await;
    let partitions = &response.responses[0].partitions;
    assert_eq!(values(&partitions[0]).len(), 2);
    assert_eq!(values(&partitions[1]).len(), 0);
}

#[tokio::test]
async fn a_fetch_session_names_only_what_changed() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let mut request = fetch("lines", 0, 0);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    request.session_epoch = 0;
    let response = client.call(request.clone(), 12).await;
    assert_eq!(response.responses[0].partitions.len(), 2);
    let session_id = response.session_id;
    assert_ne!(session_id, 0);
    let step = |session_epoch| FetchRequest {
        session_id,
        session_epoch,
        topics: Vec::new(),
        ..request.clone()
    };
    assert_eq!(client.call(step(1), 12).await.responses, []);
    cluster
        .append("lines", 1, [(None, Some(b"new".as_slice()))])
        .unwrap();
    let response = client.call(step(2), 12).await;
    assert_eq!(response.responses[0].partitions.len(), 1);
    assert_eq!(response.responses[0].partitions[0].partition_index, 1);
    let again = client.call(step(2), 12).await;
    assert_eq!(again.error_code, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    let mut forgets = step(3);
    forgets.forgotten_topics_data = vec![fetch::ForgottenTopic {
        topic: "lines".into(),
        partitions: vec![1],
        ..Default::default()
    }];
    assert_eq!(client.call(forgets, 12).await.responses, []);
    let by_id = client.call(step(4), 13).await;
    assert_eq!(by_id.error_code, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    // The last epoch ends the session.
    client.call(step(-1), 12).await;
    let gone = client.call(step(5), 12).await;
    assert_eq!(gone.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[tokio::test]
async fn offsets_are_listed_by_place_and_by_time() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    for timestamp in [100, 300, 200] {
        let batch = batch_at(&["a", "b"], timestamp, Stamp::NONE);
        cluster.append_raw("lines", 0, &batch).unwrap();
    }
    assert_eq!(offset_at(&mut client, -1).await, (6, -1));
    assert_eq!(offset_at(&mut client, -2).await, (0, -1));
    assert_eq!(offset_at(&mut client, -3).await, (3, 301));
    assert_eq!(offset_at(&mut client, 101).await, (1, 101));
    assert_eq!(offset_at(&mut client, 102).await, (2, 300));
    assert_eq!(offset_at(&mut client, 302).await, (-1, -1));
    assert_eq!(offset_at(&mut client, -5).await, (-1, -1));
    cluster.delete_records("lines", 0, 2).unwrap();
    assert_eq!(offset_at(&mut client, -2).await, (2, -1));
}

#[tokio::test]
async fn topics_are_made_described_and_deleted() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let topic = |name: &str, configs: &[(&str, &str)]| CreatableTopic {
        name: name.into(),
        num_partitions: 3,
        replication_factor: -1,
        configs: configs
            .iter()
            .map(|&(name, value)| CreatableTopicConfig {
                name: name.into(),
                value: Some(value.into()),
            })
            .collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![
            topic("new", &[("cleanup.policy", "compact")]),
            topic("lines", &[]),
            topic("no spaces", &[]),
            topic("misspelt", &[("cleanup.polcy", "compact")]),
        ],
        ..Default::default()
    };
    let response = client.call(request, 7).await;
    let errors: Vec<ErrorCode> = response.topics.iter().map(|of| of.error_code).collect();
    assert_eq!(
        errors,
        [
            ErrorCode::NONE,
            ErrorCode::TOPIC_ALREADY_EXISTS,
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            ErrorCode::INVALID_CONFIG,
        ]
    );
    assert_eq!(response.topics[0].num_partitions, 3);
    let policy = cluster.topic_config("new", "cleanup.policy");
    assert_eq!(policy.as_deref(), Some("compact"));
    let first_id = response.topics[0].topic_id;
    let delete = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: None,
            topic_id: first_id,
        }],
        ..Default::default()
    };
    let response = client.call(delete.clone(), 6).await;
    assert!(response.responses[0].error_code.is_ok());
    let response = client.call(delete, 6).await;
    assert_eq!(
        response.responses[0].error_code,
        ErrorCode::UNKNOWN_TOPIC_ID
    );
    let request = CreateTopicsRequest {
        topics: vec![topic("new", &[])],
        ..Default::default()
    };
    let again = client.call(request, 7).await;
    assert_ne!(again.topics[0].topic_id, first_id);
}

#[tokio::test]
async fn asking_for_a_topic_makes_it_only_where_both_sides_allow_it() {
    let named = |name: &str, allow: bool| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id: Uuid::ZERO,
            name: Some(name.into()),
        }]),
        allow_auto_topic_creation: allow,
        ..Default::default()
    };
    let builder = Cluster::builder().default_partitions(5);
    let cluster = builder.start().await.unwrap();
    let mut client = Raw::connect(&cluster).await;
    let response = client.call(named("a", false), 12).await;
    let error = response.topics[0].error_code;
    assert_eq!(error, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let response = client.call(named("a", true), 12).await;
    assert_eq!(response.topics[0].partitions.len(), 5);
    let strict = Cluster::builder().no_auto_create_topics();
    let strict = strict.start().await.unwrap();
    let mut client = Raw::connect(&strict).await;
    let response = client.call(named("a", true), 12).await;
    let error = response.topics[0].error_code;
    assert_eq!(error, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[tokio::test]
async fn a_stopped_broker_refuses_and_hands_its_partitions_on() {
    let builder = Cluster::builder().brokers(2).topic("lines", 2);
    let cluster = builder.start().await.unwrap();
    assert_eq!(cluster.leader("lines", 0).unwrap(), 1);
    let mut first = Raw::connect(&cluster).await;
    let mut second = Raw::connect_to(&cluster, 1).await;
    // Neither may the newer fields of an answer stand in an older version.
    for version in 3..=11 {
        let request = produce("lines", 0, batch(&["a"], Stamp::NONE));
        let wrong = second.call(request, version).await;
        assert_eq!(produced(&wrong).0, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    for version in 4..=12 {
        let wrong = second.call(fetch("lines", 0, 0), version).await;
        let error = wrong.responses[0].partitions[0].error_code;
        assert_eq!(error, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    let wrong = second
        .call(produce("lines", 0, batch(&["a"], Stamp::NONE)), 11)
        .await;
    assert_eq!(produced(&wrong).0, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let leader = &wrong.responses[0].partition_responses[0].current_leader;
    assert_eq!((leader.leader_id, leader.leader_epoch), (1, 0));
    assert_eq!(wrong.node_endpoints[0].node_id, 1);
    // The stopped broker's clients notice.
    cluster.stop_broker(1).await.unwrap();
    assert!(first.is_closed().await);
    let address = cluster.bootstrap_servers();
    let address = address.split(',').next().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(cluster.leader("lines", 0).unwrap(), 2);
    let response = second
        .call(produce("lines", 0, batch(&["a"], Stamp::NONE)), 11)
        .await;
    assert_eq!(produced(&response), (ErrorCode::NONE, 0));
    let metadata = second.call(all_topics(), 12).await;
    assert_eq!(metadata.brokers.len(), 1);
    assert_eq!(metadata.topics[0].partitions[0].isr_nodes, [2]);
    cluster.start_broker(1).await.unwrap();
    let mut first = Raw::connect(&cluster).await;
    let metadata = first.call(all_topics(), 12).await;
    assert_eq!(metadata.brokers.len(), 2);
}

#[tokio::test]
async fn a_client_with_an_older_leader_epoch_is_fenced() {
    let builder = Cluster::builder().brokers(2).topic("lines", 1);
    let cluster = builder.start().await.unwrap();
    cluster.move_leader("lines", 0, 2).unwrap();
    cluster.move_leader("lines", 0, 1).unwrap();
    let mut client = Raw::connect(&cluster).await;
    let mut request = fetch("lines", 0, 0);
    let mut error_at = async |epoch| {
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let response = client.call(request.clone(), 12).await;
        response.responses[0].partitions[0].error_code
    };
    assert_eq!(error_at(1).await, ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(error_at(2).await, ErrorCode::NONE);
    assert_eq!(error_at(3).await, ErrorCode::UNKNOWN_LEADER_EPOCH);
    assert_eq!(error_at(-1).await, ErrorCode::NONE);
}

#[tokio::test]
async fn a_truncated_log_tells_where_it_parted() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    for _ in 0..3 {
        let batch = batch(&["a", "b"], Stamp::NONE);
        cluster.append_raw("lines", 0, &batch).unwrap();
    }
    cluster.truncate("lines", 0, 2).unwrap();
    cluster
        .append("lines", 0, [(None, Some(b"new".as_slice()))])
        .unwrap();
    let mut request = fetch("lines", 0, 6);
    request.topics[0].partitions[0].last_fetched_epoch = 0;
    let response = client.call(request, 12).await;
    let data = &response.responses[0].partitions[0];
    assert_eq!(data.error_code, ErrorCode::NONE);
    let parted = (data.diverging_epoch.epoch, data.diverging_epoch.end_offset);
    assert_eq!(parted, (0, 2));
}

#[tokio::test]
async fn requests_of_a_size_or_kind_that_cannot_be_end_the_connection() {
    let cluster = cluster().await;
    for bytes in [
        &[0x7f, 0xff, 0xff, 0xff][..],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 1, 0],
        &[0, 0, 0, 8, 0, 99, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 1],
    ] {
        let mut client = Raw::connect(&cluster).await;
        client.stream.write_all(bytes).await.unwrap();
        assert!(client.is_closed().await, "{bytes:?}");
    }
    let mut client = Raw::connect(&cluster).await;
    assert!(client.call(api_versions(), 3).await.error_code.is_ok());
}

#[tokio::test]
async fn retention_keeps_memory_bounded() {
    let builder = Cluster::builder()
        .topic("lines", 1)
        .retention_bytes(300 << 10);
    let cluster = builder.start().await.unwrap();
    let mut client = Raw::connect(&cluster).await;
    let large = "x".repeat(50_000);
    for _ in 0..40 {
        let request = produce("lines", 0, batch(&[&large], Stamp::NONE));
        assert!(produced(&client.call(request, 9).await).0.is_ok());
    }
    let kept: usize = cluster
        .raw("lines", 0)
        .unwrap()
        .iter()
        .map(|b| b.len())
        .sum();
    assert!(kept <= 300 << 10, "{kept}");
    let start = cluster.start_offset("lines", 0).unwrap();
    assert!(start > 30);
    let gone = client.call(fetch("lines", 0, 0), 12).await;
    let error = gone.responses[0].partitions[0].error_code;
    assert_eq!(error, ErrorCode::OFFSET_OUT_OF_RANGE);
}

#[tokio::test]
async fn every_request_of_every_version_is_answered() {
    async fn all<R: Request>(client: &mut Raw) {
        let stable = R::STABLE;
        for version in stable.min..=stable.max {
            // A join without a name is refused, and so is answered at once.
            client.call(R::default(), version).await;
        }
    }
    let cluster = cluster().await;
    let client = &mut Raw::connect(&cluster).await;
    all::<FetchRequest>(client).await;
    all::<ListOffsetsRequest>(client).await;
    all::<MetadataRequest>(client).await;
    all::<OffsetCommitRequest>(client).await;
    all::<OffsetFetchRequest>(client).await;
    all::<FindCoordinatorRequest>(client).await;
    all::<JoinGroupRequest>(client).await;
    all::<HeartbeatRequest>(client).await;
    all::<LeaveGroupRequest>(client).await;
    all::<SyncGroupRequest>(client).await;
    all::<DescribeGroupsRequest>(client).await;
    all::<ListGroupsRequest>(client).await;
    all::<ApiVersionsRequest>(client).await;
    all::<CreateTopicsRequest>(client).await;
    all::<DeleteTopicsRequest>(client).await;
    all::<DeleteRecordsRequest>(client).await;
    all::<InitProducerIdRequest>(client).await;
    all::<OffsetForLeaderEpochRequest>(client).await;
    all::<AddPartitionsToTxnRequest>(client).await;
    all::<AddOffsetsToTxnRequest>(client).await;
    all::<EndTxnRequest>(client).await;
    all::<TxnOffsetCommitRequest>(client).await;
    all::<DescribeConfigsRequest>(client).await;
    all::<CreatePartitionsRequest>(client).await;
    all::<DeleteGroupsRequest>(client).await;
    all::<IncrementalAlterConfigsRequest>(client).await;
    all::<DescribeClusterRequest>(client).await;
}

#[test]
fn a_cluster_that_cannot_be_says_why() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let start = |builder: kafka_proto::mock::Builder| {
        let outcome = runtime.block_on(builder.start());
        outcome.unwrap_err().to_string()
    };
    let builder = Cluster::builder;
    assert!(start(builder().topic("a b", 1)).contains("a b"));
    assert!(start(builder().topic("a", 0)).contains("partition"));
    let misspelt = builder().topic_with("a", 1, &[("cleanup.polcy", "delete")]);
    assert!(start(misspelt).contains("cleanup.polcy"));
    assert!(start(builder().replication_factor(3)).contains("replication factor"));
}

#[tokio::test]
async fn the_clusters_thread_is_gone_with_its_handle() {
    let cluster = cluster().await;
    assert!(cluster.cpu_time().await.is_some());
    let mut client = Raw::connect(&cluster).await;
    let address = cluster.bootstrap_servers();
    drop(cluster);
    assert!(client.is_closed().await);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn brokers_listen_in_memory_too() {
    use kafka_proto::net::{Connect, Memory};
    use tokio::io::AsyncReadExt;

    let network = Memory::default();
    let cluster = Cluster::builder()
        .brokers(2)
        .in_memory(&network)
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    let addresses = cluster.bootstrap_servers();
    assert_eq!(addresses, "broker-1:9092,broker-2:9092");
    let mut stream = network.connect("broker-2", 9092).await.unwrap();
    let frame = encode_request(&api_versions(), 3, 7, None).unwrap();
    stream.write_all(&frame.into_bytes()).await.unwrap();
    let size = stream.read_i32().await.unwrap();
    assert!(size > 4);
    assert_eq!(stream.read_i32().await.unwrap(), 7);
    cluster.stop_broker(2).await.unwrap();
    assert!(network.connect("broker-2", 9092).await.is_err());
    cluster.start_broker(2).await.unwrap();
    assert!(network.connect("broker-2", 9092).await.is_ok());
}
