//! Against a real Apache Kafka: the view of the cluster, and that both sides understand every version of the simple APIs.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::time::Duration;

use kafka_proto::client::{
    Admin, BrokerId, Cluster, Config, ConfigResource, Connection, IsolationLevel, NewTopic,
    OffsetSpec, OffsetToCommit, Purpose, TopicPartition,
};
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
async fn a_broker_refuses_whoever_means_another_broker_or_cluster() {
    let kafka = require_kafka!();
    let cluster = Cluster::connect(Config::new(&kafka.bootstrap_servers()))
        .await
        .unwrap();
    let metadata = cluster.metadata();
    let this = metadata.cluster_id.as_deref();
    let broker = metadata.brokers().next().unwrap();
    // The in-process cluster answers the same; see `mock_protocol`.
    for (cluster_id, node_id, error) in [
        (None, -1, ErrorCode::NONE),
        (this, broker.id.0, ErrorCode::NONE),
        (this, broker.id.0 + 1, ErrorCode::REBOOTSTRAP_REQUIRED),
        (Some("that"), broker.id.0, ErrorCode::REBOOTSTRAP_REQUIRED),
        (this, -1, ErrorCode::INVALID_REQUEST),
        (None, broker.id.0, ErrorCode::INVALID_REQUEST),
    ] {
        let connection = cluster.any_connection().await.unwrap();
        let request = ApiVersionsRequest {
            client_software_name: "identity-test".into(),
            client_software_version: "1.0".into(),
            cluster_id: cluster_id.map(Into::into),
            node_id,
        };
        let answer = connection.call(&request, LIMIT).await.unwrap();
        assert_eq!(answer.error_code, error, "{cluster_id:?} {node_id}");
    }
    // And whoever means this one is let in.
    let connection = cluster.connection(broker.id, Purpose::Produce).await;
    assert!(connection.is_ok_and(|c| c.version_for::<ApiVersionsRequest>() == Some(5)));
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
        ..Default::default()
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

#[tokio::test]
async fn administration_is_understood_by_kafka() {
    let kafka = require_kafka!();
    let admin = Admin::connect(Config::new(&kafka.bootstrap_servers()))
        .await
        .unwrap();
    let topic = NewTopic::new("administered").partitions(1);
    admin.create_topic(&topic).await.unwrap();
    admin.cluster().topic("administered", LIMIT).await.unwrap();
    admin.create_partitions("administered", 3).await.unwrap();
    let again = admin
        .create_partitions("administered", 3)
        .await
        .unwrap_err();
    assert_eq!(again.code(), Some(ErrorCode::INVALID_PARTITIONS));
    let begin = std::time::Instant::now();
    while admin
        .describe_topic("administered")
        .await
        .unwrap()
        .partitions
        .len()
        < 3
    {
        assert!(begin.elapsed() < LIMIT);
    }
    let names = admin.list_topics().await.unwrap();
    assert!(names.iter().any(|name| name == "administered"));
    let input = b"one\ntwo\nthree\n";
    kafka.tool_with_input("ConsoleProducer", &["--topic", "administered"], input);
    let ends = kafka.end_offsets("administered", 3);
    let questions: Vec<(&str, i32, i64)> = (0..3).map(|p| ("administered", p, -1)).collect();
    let begins = admin.delete_records(&questions).await.unwrap();
    let begins: Vec<i64> = begins.into_iter().map(Result::unwrap).collect();
    assert_eq!(begins, ends);
    // Two questions about one partition.
    let questions = [
        ("administered", 0, OffsetSpec::Earliest),
        ("administered", 0, OffsetSpec::AtOrAfter(0)),
    ];
    let isolation = IsolationLevel::ReadUncommitted;
    let offsets = admin.list_offsets(&questions, isolation).await.unwrap();
    assert_eq!(offsets[0].as_ref().unwrap().offset, Some(ends[0]));
    assert_eq!(offsets[1].as_ref().unwrap().offset, None);
    // Settings of a topic and of a broker.
    let resource = ConfigResource::Topic("administered");
    let changes = [("retention.ms", Some("12345"))];
    admin.alter_configs(resource, &changes).await.unwrap();
    let begin = std::time::Instant::now();
    while !admin.configs(resource).await.unwrap()["retention.ms"].is_own {
        assert!(begin.elapsed() < LIMIT);
    }
    let of_broker = admin
        .configs(ConfigResource::Broker(BrokerId(1)))
        .await
        .unwrap();
    assert_eq!(of_broker["node.id"].value.as_deref(), Some("1"));
    assert!(of_broker["node.id"].is_read_only);
    // A group that only holds offsets.
    let offsets = [
        OffsetToCommit::new("administered", 0, 1),
        OffsetToCommit::new("administered", 2, 7),
    ];
    admin.alter_group_offsets("holder", &offsets).await.unwrap();
    let committed = admin.group_offsets("holder").await.unwrap();
    let committed: Vec<i64> = committed.values().map(|found| found.offset).collect();
    assert_eq!(committed, [1, 7]);
    let one = [TopicPartition::new("administered", 0)];
    let deleted = admin.delete_group_offsets("holder", &one).await.unwrap();
    assert!(deleted[0].is_ok(), "{deleted:?}");
    assert_eq!(admin.group_offsets("holder").await.unwrap().len(), 1);
    let listed = admin.list_groups().await.unwrap();
    assert!(
        listed
            .iter()
            .any(|group| group.group_id == "holder" && group.state == "Empty")
    );
    let described = admin.describe_group("holder").await.unwrap();
    assert_eq!((&*described.state, described.members.len()), ("Empty", 0));
    assert!(admin.delete_groups(&["holder"]).await.remove(0).is_ok());
    let gone = admin
        .delete_groups(&["holder"])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::GROUP_ID_NOT_FOUND));
    assert!(admin.delete_topics(&["administered"]).await.unwrap()[0].is_ok());
}
