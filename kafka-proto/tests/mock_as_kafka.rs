//! What the in-process cluster refuses because Kafka does, and what administrators see of transactions and offsets.
#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod raw;

use kafka_proto::messages::alter_configs::{AlterConfigsResource, AlterableConfig};
use kafka_proto::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_proto::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_proto::messages::describe_configs::DescribeConfigsResource;
use kafka_proto::messages::describe_producers::TopicRequest;
use kafka_proto::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_proto::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_proto::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, DeleteRecordsRequest, DescribeConfigsRequest,
    DescribeProducersRequest, DescribeTransactionsRequest, ElectLeadersRequest, ErrorCode,
    FindCoordinatorRequest, InitProducerIdRequest, ListTransactionsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest,
};
use kafka_proto::mock::Cluster;
use kafka_proto::records::Stamp;
use raw::{Raw, batch, batch_at, produce, produced};

async fn cluster(topic: &str, configs: &[(&str, &str)]) -> (Cluster, Raw) {
    let builder = Cluster::builder().topic_with(topic, 1, configs);
    let cluster = builder.start().await.unwrap();
    let client = Raw::connect(&cluster).await;
    (cluster, client)
}

fn all_topics() -> MetadataRequest {
    MetadataRequest {
        topics: None,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_compacted_topic_refuses_records_without_a_key_and_names_them() {
    let (cluster, mut client) = cluster("table", &[("cleanup.policy", "compact")]).await;
    let request = produce("table", 0, batch(&["a", "b"], Stamp::NONE));
    let response = client.call(request, 12).await;
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, ErrorCode::INVALID_RECORD);
    let places = partition
        .record_errors
        .iter()
        .map(|error| error.batch_index);
    assert_eq!(places.collect::<Vec<_>>(), [0, 1]);
    assert_eq!(cluster.end_offset("table", 0).unwrap(), 0);
}

#[tokio::test]
async fn a_record_far_ahead_of_the_clock_is_refused() {
    let (_cluster, mut client) = cluster("lines", &[]).await;
    let request = produce("lines", 0, batch_at(&["a"], i64::MAX / 2, Stamp::NONE));
    let response = client.call(request, 12).await;
    assert_eq!(produced(&response).0, ErrorCode::INVALID_TIMESTAMP);
    let request = produce("lines", 0, batch_at(&["a"], -1, Stamp::NONE));
    assert_eq!(
        produced(&client.call(request, 12).await),
        (ErrorCode::NONE, 0)
    );
}

#[tokio::test]
async fn min_insync_replicas_above_the_replication_factor_does_not_block() {
    let (_cluster, mut client) = cluster("lines", &[("min.insync.replicas", "3")]).await;
    let request = produce("lines", 0, batch(&["a"], Stamp::NONE));
    assert_eq!(
        produced(&client.call(request, 12).await),
        (ErrorCode::NONE, 0)
    );
}

#[tokio::test]
async fn new_partitions_lie_where_the_client_says() {
    let builder = Cluster::builder().brokers(3).replication_factor(2);
    let cluster = builder.topic("lines", 1).start().await.unwrap();
    let mut client = Raw::connect(&cluster).await;
    let mut grow = async |brokers: &[i32]| {
        let topic = CreatePartitionsTopic {
            name: "lines".into(),
            count: 2,
            assignments: Some(vec![CreatePartitionsAssignment {
                broker_ids: brokers.to_vec(),
            }]),
        };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        client.call(request, 3).await.results[0].error_code
    };
    for wrong in [&[3, 3][..], &[3, 9], &[3], &[3, 2, 1], &[]] {
        let refused = grow(wrong).await;
        assert_eq!(refused, ErrorCode::INVALID_REPLICA_ASSIGNMENT, "{wrong:?}");
    }
    assert_eq!(grow(&[3, 1]).await, ErrorCode::NONE);
    let described = client.call(all_topics(), 12).await;
    let lines = &described.topics[0].partitions;
    assert_eq!(lines[1].replica_nodes, [3, 1]);
    assert_eq!(lines[1].leader_id, 3);
}

#[tokio::test]
async fn records_of_a_compacted_topic_cannot_be_deleted() {
    for (policy, expected) in [
        ("compact", ErrorCode::POLICY_VIOLATION),
        ("compact,delete", ErrorCode::NONE),
        ("", ErrorCode::NONE),
    ] {
        let (_cluster, mut client) = cluster("table", &[("cleanup.policy", policy)]).await;
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: "table".into(),
                partitions: vec![DeleteRecordsPartition::default()],
            }],
            ..Default::default()
        };
        let response = client.call(request, 2).await;
        assert_eq!(
            response.topics[0].partitions[0].error_code, expected,
            "{policy:?}"
        );
    }
}

#[tokio::test]
async fn names_that_differ_in_dots_alone_collide() {
    let (cluster, _client) = cluster("d.a", &[]).await;
    let refused = cluster.create_topic("d_a", 1).unwrap_err().to_string();
    assert!(refused.contains("collides with \"d.a\""), "{refused}");
}

#[tokio::test]
async fn settings_are_described_with_synonyms_and_documentation() {
    let (_cluster, mut client) = cluster("lines", &[("max.message.bytes", "7")]).await;
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: "lines".into(),
            configuration_keys: Some(vec!["max.message.bytes".into()]),
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    let response = client.call(request, 4).await;
    let config = &response.results[0].configs[0];
    let synonyms = config.synonyms.iter();
    let synonyms: Vec<_> = synonyms.map(|of| (&of.name[..], of.source)).collect();
    assert_eq!(
        synonyms,
        [("max.message.bytes", 1), ("message.max.bytes", 5)]
    );
    let words = config.documentation.as_deref().unwrap_or_default();
    assert!(words.contains("batch"), "{words:?}");
}

#[tokio::test]
async fn who_looks_for_a_coordinator_makes_the_topic_it_keeps_its_state_in() {
    let (cluster, mut client) = cluster("lines", &[]).await;
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["g".into()],
        ..Default::default()
    };
    client.call(request, 6).await;
    let described = client.call(all_topics(), 12).await;
    let internal: Vec<_> = described
        .topics
        .iter()
        .filter(|of| of.is_internal)
        .collect();
    assert_eq!(internal[0].name.as_deref(), Some("__consumer_offsets"));
    assert_eq!(internal[0].partitions.len(), 50);
    assert_eq!(cluster.topics(), ["lines"]);
    let request = produce("__consumer_offsets", 0, batch(&["a"], Stamp::NONE));
    let refused = produced(&client.call(request, 12).await).0;
    assert_eq!(refused, ErrorCode::INVALID_TOPIC_EXCEPTION);
}

#[tokio::test]
async fn an_open_transaction_is_listed_and_described() {
    let (_cluster, mut client) = cluster("lines", &[]).await;
    let request = InitProducerIdRequest {
        transactional_id: Some("t".into()),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let begun = client.call(request, 5).await;
    let stamp = Stamp {
        producer_id: begun.producer_id,
        producer_epoch: begun.producer_epoch,
        base_sequence: 0,
        transactional: true,
    };
    let mut write = produce("lines", 0, batch(&["a", "b"], stamp));
    write.transactional_id = Some("t".into());
    assert_eq!(
        produced(&client.call(write, 12).await),
        (ErrorCode::NONE, 0)
    );
    let list = ListTransactionsRequest {
        state_filters: vec!["Ongoing".into(), "Nonsense".into()],
        transactional_id_pattern: Some("t+".into()),
        ..Default::default()
    };
    let listed = client.call(list, 2).await;
    assert_eq!(listed.transaction_states[0].transactional_id, "t");
    assert_eq!(listed.unknown_state_filters, ["Nonsense"]);
    let describe = DescribeTransactionsRequest {
        transactional_ids: vec!["t".into()],
    };
    let described = client.call(describe, 0).await;
    let of = &described.transaction_states[0];
    assert_eq!(
        (&of.transaction_state[..], of.transaction_timeout_ms),
        ("Ongoing", 60_000)
    );
    assert!(of.transaction_start_time_ms > 0);
    assert_eq!(
        (&of.topics[0].topic[..], &of.topics[0].partitions[..]),
        ("lines", &[0][..])
    );
    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: "lines".into(),
            partition_indexes: vec![0],
        }],
    };
    let known = client.call(request, 0).await;
    let producer = &known.topics[0].partitions[0].active_producers[0];
    assert_eq!(producer.producer_id, begun.producer_id);
    assert_eq!(
        (producer.last_sequence, producer.current_txn_start_offset),
        (1, 0)
    );
}

#[tokio::test]
async fn an_election_gives_the_lead_back_to_the_preferred_replica() {
    let builder = Cluster::builder().brokers(2).topic("lines", 2);
    let cluster = builder.start().await.unwrap();
    cluster.stop_broker(1).await.unwrap();
    cluster.start_broker(1).await.unwrap();
    assert_eq!(cluster.leader("lines", 0).unwrap(), 2);
    let mut client = Raw::connect(&cluster).await;
    let all = ElectLeadersRequest {
        topic_partitions: None,
        ..Default::default()
    };
    let elected = client.call(all, 2).await;
    let result = &elected.replica_election_results;
    assert_eq!((result.len(), result[0].partition_result.len()), (1, 1));
    assert_eq!(cluster.leader("lines", 0).unwrap(), 1);
}

#[tokio::test]
async fn alter_configs_replaces_all_settings_or_none() {
    let set = [("retention.ms", "7"), ("segment.ms", "8")];
    let (_cluster, mut client) = cluster("lines", &set).await;
    let mut replace = async |settings: &[(&str, &str)]| {
        let configs = settings.iter().map(|&(name, value)| AlterableConfig {
            name: name.into(),
            value: Some(value.into()),
        });
        let resource = AlterConfigsResource {
            resource_type: 2,
            resource_name: "lines".into(),
            configs: configs.collect(),
        };
        let request = AlterConfigsRequest {
            resources: vec![resource],
            validate_only: false,
        };
        let replaced = client.call(request, 2).await.responses[0].error_code;
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: 2,
                resource_name: "lines".into(),
                configuration_keys: Some(vec!["retention.ms".into(), "segment.ms".into()]),
            }],
            ..Default::default()
        };
        let described = client.call(request, 4).await;
        let values = described.results[0].configs.iter();
        let values: Vec<_> = values.map(|of| of.value.clone().unwrap()).collect();
        (replaced, values)
    };
    let wrong = replace(&[("segment.ms", "9"), ("retention.ms", "-2")]).await;
    assert_eq!(
        wrong,
        (ErrorCode::INVALID_CONFIG, vec!["7".into(), "8".into()])
    );
    let default = "604800000";
    let right = replace(&[("segment.ms", "9")]).await;
    assert_eq!(right, (ErrorCode::NONE, vec![default.into(), "9".into()]));
}

#[tokio::test]
async fn committed_offsets_are_deleted_one_by_one() {
    let builder = Cluster::builder().topic("lines", 2);
    let cluster = builder.start().await.unwrap();
    let mut client = Raw::connect(&cluster).await;
    let delete = |group: &str, partition_index| OffsetDeleteRequest {
        group_id: group.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: "lines".into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index }],
        }],
    };
    let partitions = [0, 1].map(|partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 5,
        ..Default::default()
    });
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "lines".into(),
            partitions: partitions.into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let committed = client.call(commit, 9).await;
    assert!(committed.topics[0].partitions[1].error_code.is_ok());
    for (partition, expected) in [
        (0, ErrorCode::NONE),
        (9, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ] {
        let deleted = client.call(delete("g", partition), 0).await;
        assert!(deleted.error_code.is_ok());
        assert_eq!(deleted.topics[0].partitions[0].error_code, expected);
    }
    assert_eq!(cluster.committed_offset("g", "lines", 0), None);
    assert_eq!(cluster.committed_offset("g", "lines", 1), Some(5));
    let unknown = client.call(delete("nobody", 0), 0).await.error_code;
    assert_eq!(unknown, ErrorCode::GROUP_ID_NOT_FOUND);
}
