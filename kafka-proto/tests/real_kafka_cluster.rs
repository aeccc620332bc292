//! Against a real Apache Kafka: the view of the cluster, and that both sides understand every version of the simple APIs.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::time::Duration;

use kafka_proto::client::cluster::OffsetSpec;
use kafka_proto::client::{Cluster, Config, Connection, IsolationLevel, Purpose};
use kafka_proto::messages::create_topics::CreatableTopic;
use kafka_proto::messages::delete_topics::DeleteTopicState;
use kafka_proto::messages::metadata::MetadataRequestTopic;
use kafka_proto::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    ErrorCode, FindCoordinatorRequest, ListGroupsRequest, Message, MetadataRequest, Request,
};
use test_support::require_kafka;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_cluster_is_seen_as_kafka_has_it() {
    let kafka = require_kafka!();
    kafka.create_topic("seen", 3, &[]);
    kafka.tool_with_input("ConsoleProducer", &["--topic", "seen"], b"one\ntwo\n");
    let cluster = Cluster::connect(Config::new(&kafka.bootstrap_servers()))
        .await
        .unwrap();
    let topic = cluster.topic("seen", LIMIT).await.unwrap();
    assert_eq!(topic.partitions.len(), 3);
    assert!(
        topic
            .partitions
            .iter()
            .all(|partition| partition.leader.is_some() && partition.leader_epoch >= 0)
    );
    let metadata = cluster.metadata();
    assert_eq!(metadata.cluster_id.as_deref(), Some(kafka.cluster_id()));
    let brokers: Vec<_> = metadata
        .brokers()
        .map(|broker| (broker.id.0, broker.port))
        .collect();
    assert_eq!(brokers, [(1, kafka.address(1).port())]);
    let questions: Vec<_> = (0..3)
        .map(|partition| ("seen", partition, OffsetSpec::Latest))
        .collect();
    let answers = cluster
        .list_offsets(
            &questions,
            IsolationLevel::ReadUncommitted,
            Purpose::Metadata,
        )
        .await
        .unwrap();
    let ends: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().offset.unwrap())
        .collect();
    assert_eq!(ends, kafka.end_offsets("seen", 3));
    assert_eq!(ends.iter().sum::<i64>(), 2);
}

/// Calls an API in each version that this broker and we speak; `request` builds one for the version, `check` looks at the answer.
async fn in_every_version<R: Request>(
    connection: &Connection,
    request: impl Fn(i16) -> R,
    check: impl Fn(i16, R::Response),
) {
    let (min, max) = connection.versions().unwrap().range(R::KEY).unwrap();
    assert_eq!(
        max.min(R::STABLE.max),
        R::STABLE.max,
        "{} of the newest Kafka is not behind ours",
        R::KEY
    );
    for version in min.max(R::STABLE.min)..=R::STABLE.max {
        let answer = connection
            .call_at_most(&request(version), version, LIMIT)
            .await;
        check(
            version,
            answer.unwrap_or_else(|error| panic!("{} v{version}: {error}", R::KEY)),
        );
    }
}

#[tokio::test]
async fn every_version_of_the_simple_apis_is_understood_by_both_sides() {
    let kafka = require_kafka!();
    kafka.create_topic("versions", 2, &[]);
    let cluster = Cluster::connect(Config::new(&kafka.bootstrap_servers()))
        .await
        .unwrap();
    let connection = cluster.any_connection().await.unwrap();

    let named = |_| ApiVersionsRequest {
        client_software_name: "versions-test".into(),
        client_software_version: "1.0".into(),
    };
    in_every_version(&connection, named, |_, answer| {
        assert!(answer.error_code.is_ok());
        assert!(
            answer
                .api_keys
                .iter()
                .any(|api| api.api_key == 1 && api.max_version >= 18)
        );
    })
    .await;

    let one_topic = |_| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("versions".into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    in_every_version(&connection, one_topic, |version, answer| {
        assert_eq!(answer.topics.len(), 1, "v{version}");
        let topic = &answer.topics[0];
        assert!(topic.error_code.is_ok(), "v{version}: {}", topic.error_code);
        assert_eq!(
            (topic.name.as_deref(), topic.partitions.len()),
            (Some("versions"), 2),
            "v{version}"
        );
        assert_eq!(
            topic.topic_id != Default::default(),
            version >= 10,
            "v{version}"
        );
        assert_eq!(answer.brokers.len(), 1, "v{version}");
    })
    .await;

    in_every_version(
        &connection,
        |_| DescribeClusterRequest::default(),
        |version, answer| {
            assert_eq!(&*answer.cluster_id, kafka.cluster_id(), "v{version}");
        },
    )
    .await;

    let coordinator = |version| match version {
        4.. => FindCoordinatorRequest {
            coordinator_keys: vec!["some-group".into()],
            ..Default::default()
        },
        _ => FindCoordinatorRequest {
            key: "some-group".into(),
            ..Default::default()
        },
    };
    in_every_version(&connection, coordinator, |version, answer| {
        // Its topic may still be in the making.
        let found = if version >= 4 {
            answer.coordinators[0].error_code
        } else {
            answer.error_code
        };
        assert!(
            found.is_ok() || found == ErrorCode::COORDINATOR_NOT_AVAILABLE,
            "v{version}: {found}"
        );
    })
    .await;

    in_every_version(
        &connection,
        |_| ListGroupsRequest::default(),
        |version, answer| {
            assert!(
                answer.error_code.is_ok(),
                "v{version}: {}",
                answer.error_code
            );
        },
    )
    .await;

    let create = |version| CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: format!("created-by-v{version}").into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    in_every_version(&connection, create, |version, answer| {
        let topic = &answer.topics[0];
        assert!(
            topic.error_code.is_ok(),
            "v{version}: {} {:?}",
            topic.error_code,
            topic.error_message
        );
    })
    .await;

    let delete = |version: i16| {
        let name = format!(
            "created-by-v{}",
            version.max(CreateTopicsRequest::VERSIONS.min)
        );
        let mut request = DeleteTopicsRequest {
            timeout_ms: 10_000,
            ..Default::default()
        };
        if version >= 6 {
            request.topics = vec![DeleteTopicState {
                name: Some(name.as_str().into()),
                ..Default::default()
            }];
        } else {
            request.topic_names = vec![name.as_str().into()];
        }
        request
    };
    in_every_version(&connection, delete, |version, answer| {
        let topic = &answer.responses[0];
        // The lowest two versions name the same topic: the second one finds it gone.
        let gone = version == CreateTopicsRequest::VERSIONS.min
            && topic.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert!(
            topic.error_code.is_ok() || gone,
            "v{version}: {}",
            topic.error_code
        );
    })
    .await;
}
