//! Questions about topics: names, settings, assignments, more partitions, and what is described.

use kafka_proto::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_proto::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_proto::messages::describe_configs::DescribeConfigsResource;
use kafka_proto::messages::metadata::MetadataRequestTopic;
use kafka_proto::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest, MetadataRequest,
    alter_configs, delete_topics, elect_leaders, incremental_alter_configs,
};
use kafka_proto::wire::Uuid;

use super::Asker;

pub(crate) fn topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |&(name, value): &(&str, &str)| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
    };
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: -1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    }
}

fn made(topics: Vec<CreatableTopic>, validate_only: bool) -> CreateTopicsRequest {
    CreateTopicsRequest {
        topics,
        validate_only,
        ..Default::default()
    }
}

/// Makes a topic that later questions are about.
pub(crate) async fn create(
    asker: &mut Asker,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Uuid {
    let request = made(vec![topic(name, partitions, configs)], false);
    let response = asker.settled(request, 7).await;
    assert!(
        response.topics[0].error_code.is_ok(),
        "{:?}",
        response.topics[0]
    );
    asker.ready(name, partitions as usize).await
}

pub(crate) async fn ask(asker: &mut Asker) {
    names(asker).await;
    settings(asker).await;
    assignments(asker).await;
    partitions(asker).await;
    described(asker).await;
    altered(asker).await;
    replaced(asker).await;
    listed(asker).await;
}

async fn names(asker: &mut Asker) {
    let long = "x".repeat(250);
    create(asker, "d.a", 1, &[]).await;
    for (name, partitions, factor) in [
        ("plain", 3, 1),
        ("defaults", -1, -1),
        ("d.a", 1, 1),
        ("d_a", 1, 1),
        ("zero", 0, 1),
        ("minus-two", -2, 1),
        ("no-replicas", 1, 0),
        ("minus-two-replicas", 1, -2),
        ("two-replicas", 1, 2),
        ("", 1, 1),
        (".", 1, 1),
        ("..", 1, 1),
        ("a b", 1, 1),
        ("ü", 1, 1),
        (&long, 1, 1),
    ] {
        let mut one = topic(name, partitions, &[]);
        one.replication_factor = factor;
        let question = format!("create a topic {name:.20} of {partitions} x {factor}");
        asker.ask(&question, made(vec![one], false), 7).await;
    }
    let twice = vec![topic("twice", 1, &[]), topic("twice", 1, &[])];
    asker
        .ask("create a topic twice in a request", made(twice, false), 7)
        .await;
    let collide = vec![topic("e.a", 1, &[]), topic("e_a", 1, &[])];
    asker
        .ask("create two topics that collide", made(collide, true), 7)
        .await;
    let mut null = topic("null", 1, &[("retention.ms", "")]);
    null.configs[0].value = None;
    asker
        .ask(
            "create a topic with a null setting",
            made(vec![null], false),
            7,
        )
        .await;
    let old = made(vec![topic("old-version", 1, &[])], true);
    asker.ask("create a topic in version 4", old, 4).await;
}

async fn settings(asker: &mut Asker) {
    for (name, value) in [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact, delete"),
        ("cleanup.policy", ""),
        ("cleanup.policy", "shred"),
        ("cleanup.policy", "delete,delete"),
        ("cleanup.polcy", "compact"),
        ("compression.gzip.level", "0"),
        ("compression.gzip.level", "-1"),
        ("compression.lz4.level", "18"),
        ("compression.zstd.level", "-131072"),
        ("compression.zstd.level", "23"),
        ("compression.type", "GZIP"),
        ("compression.type", "uncompressed"),
        ("flush.messages", "0"),
        ("follower.replication.throttled.replicas", "*"),
        ("follower.replication.throttled.replicas", "0:1,1:1"),
        ("follower.replication.throttled.replicas", "0"),
        ("local.retention.ms", "-3"),
        ("max.compaction.lag.ms", "0"),
        ("max.message.bytes", "-1"),
        ("max.message.bytes", "2147483648"),
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.type", "logappendtime"),
        ("min.cleanable.dirty.ratio", "1.1"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("min.insync.replicas", "0"),
        ("min.insync.replicas", "3"),
        ("preallocate", "TRUE"),
        ("preallocate", "yes"),
        ("remote.storage.enable", "true"),
        ("retention.bytes", "-2"),
        ("retention.ms", "-1"),
        ("retention.ms", "-2"),
        ("retention.ms", " 5 "),
        ("retention.ms", "1.5"),
        ("segment.bytes", "1048575"),
        ("segment.bytes", "1048576"),
        ("segment.index.bytes", "3"),
        ("segment.ms", "0"),
        ("unclean.leader.election.enable", ""),
    ] {
        let request = made(vec![topic("set", 1, &[(name, value)])], true);
        asker
            .ask(&format!("create with {name}={value:?}"), request, 7)
            .await;
    }
    let lags = [
        ("min.compaction.lag.ms", "9"),
        ("max.compaction.lag.ms", "8"),
    ];
    let request = made(vec![topic("set", 1, &lags)], true);
    asker
        .ask("create with lags that contradict each other", request, 7)
        .await;
}

async fn assignments(asker: &mut Asker) {
    let cases: [(&str, &[(i32, &[i32])], i32, i16); 9] = [
        ("one broker", &[(0, &[1]), (1, &[1])], -1, -1),
        ("a broker twice", &[(0, &[1, 1])], -1, -1),
        ("an unknown broker", &[(0, &[9])], -1, -1),
        ("no broker", &[(0, &[])], -1, -1),
        ("a gap", &[(1, &[1])], -1, -1),
        ("a partition twice", &[(0, &[1]), (0, &[1])], -1, -1),
        ("a count", &[(0, &[1])], 1, -1),
        ("a factor", &[(0, &[1])], -1, 1),
        ("a negative partition", &[(-1, &[1])], -1, -1),
    ];
    for (what, assigned, partitions, factor) in cases {
        let mut one = topic(
            &format!("assigned-{}", what.replace(' ', "-")),
            partitions,
            &[],
        );
        one.replication_factor = factor;
        let assigned = assigned
            .iter()
            .map(|&(index, brokers)| CreatableReplicaAssignment {
                partition_index: index,
                broker_ids: brokers.to_vec(),
            });
        one.assignments = assigned.collect();
        asker
            .ask(&format!("create on {what}"), made(vec![one], false), 7)
            .await;
    }
}

async fn partitions(asker: &mut Asker) {
    create(asker, "growing", 2, &[]).await;
    let more = |name: &str, count, assigned: Option<&[&[i32]]>| CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: assigned.map(|all| {
            let of = |of: &&[i32]| CreatePartitionsAssignment {
                broker_ids: of.to_vec(),
            };
            all.iter().map(of).collect()
        }),
    };
    let request = |topics, validate_only| CreatePartitionsRequest {
        topics,
        timeout_ms: 10_000,
        validate_only,
    };
    let cases: [(&str, &str, i32, Option<&[&[i32]]>); 9] = [
        ("of an unknown topic", "unknown", 3, None),
        ("as many", "growing", 2, None),
        ("fewer", "growing", 1, None),
        ("with too few assignments", "growing", 4, Some(&[&[1]])),
        ("with no assignments", "growing", 3, Some(&[])),
        ("on an unknown broker", "growing", 3, Some(&[&[9]])),
        ("on a broker twice", "growing", 3, Some(&[&[1, 1]])),
        ("on no broker", "growing", 3, Some(&[&[]])),
        ("on a broker", "growing", 3, Some(&[&[1]])),
    ];
    for (what, name, count, assigned) in cases {
        let asked = request(vec![more(name, count, assigned)], false);
        asker
            .ask(&format!("create partitions {what}"), asked, 3)
            .await;
    }
    let tried = request(vec![more("growing", 9, None)], true);
    asker.ask("create partitions only to try", tried, 3).await;
    let twice = vec![more("growing", 9, None), more("growing", 10, None)];
    asker
        .ask(
            "create partitions twice in a request",
            request(twice, false),
            3,
        )
        .await;
    asker.ready("growing", 3).await;
    for (what, topic, partition, election_type) in [
        ("the leader there is", "growing", 0, 0),
        ("uncleanly where there is a leader", "growing", 0, 1),
        ("of an unknown partition", "growing", 9, 0),
        ("of an unknown topic", "unknown", 0, 0),
    ] {
        let request = ElectLeadersRequest {
            election_type,
            topic_partitions: Some(vec![elect_leaders::TopicPartitions {
                topic: topic.into(),
                partitions: vec![partition],
            }]),
            timeout_ms: 10_000,
        };
        asker.ask(&format!("elect {what}"), request, 2).await;
    }
}

fn describe(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|&key| key.into()).collect()),
        }],
        include_synonyms: true,
        include_documentation: true,
    }
}

async fn described(asker: &mut Asker) {
    let set = [
        ("cleanup.policy", "compact, delete"),
        ("preallocate", "TRUE"),
    ];
    create(asker, "described", 1, &set).await;
    asker
        .ask(
            "describe all settings of a topic",
            describe(2, "described", None),
            4,
        )
        .await;
    let keys: &[&str] = &["retention.ms", "cleanup.policy", "nonsense"];
    asker
        .ask(
            "describe some settings of a topic",
            describe(2, "described", Some(keys)),
            4,
        )
        .await;
    asker
        .ask(
            "describe no settings of a topic",
            describe(2, "described", Some(&[])),
            4,
        )
        .await;
    let mut plain = describe(2, "described", Some(keys));
    (plain.include_synonyms, plain.include_documentation) = (false, false);
    asker
        .ask("describe settings without synonyms", plain, 4)
        .await;
    asker
        .ask(
            "describe settings of an unknown topic",
            describe(2, "unknown", None),
            4,
        )
        .await;
    asker
        .ask(
            "describe settings of an impossible topic",
            describe(2, "a b", None),
            4,
        )
        .await;
    let keys: &[&str] = &["num.partitions"];
    asker
        .ask(
            "describe a setting of a broker",
            describe(4, "1", Some(keys)),
            4,
        )
        .await;
    asker
        .ask(
            "describe settings of an unknown broker",
            describe(4, "9", Some(keys)),
            4,
        )
        .await;
    asker
        .ask(
            "describe settings of nothing known",
            describe(99, "x", None),
            4,
        )
        .await;
}

fn alter(name: &str, changes: &[(&str, i8, Option<&str>)]) -> IncrementalAlterConfigsRequest {
    let change = |&(name, operation, value): &(&str, i8, Option<&str>)| {
        incremental_alter_configs::AlterableConfig {
            name: name.into(),
            config_operation: operation,
            value: value.map(Into::into),
        }
    };
    IncrementalAlterConfigsRequest {
        resources: vec![incremental_alter_configs::AlterConfigsResource {
            resource_type: 2,
            resource_name: name.into(),
            configs: changes.iter().map(change).collect(),
        }],
        validate_only: false,
    }
}

async fn altered(asker: &mut Asker) {
    create(asker, "altered", 1, &[]).await;
    let cases: [(&str, &str, &[(&str, i8, Option<&str>)]); 13] = [
        (
            "set a setting",
            "altered",
            &[("retention.ms", 0, Some("7"))],
        ),
        (
            "set a wrong value",
            "altered",
            &[("retention.ms", 0, Some("-7"))],
        ),
        (
            "set an unknown setting",
            "altered",
            &[("retention", 0, Some("7"))],
        ),
        ("set null", "altered", &[("retention.ms", 0, None)]),
        (
            "set a setting twice",
            "altered",
            &[("retention.ms", 0, Some("7")), ("retention.ms", 1, None)],
        ),
        (
            "append to a list",
            "altered",
            &[("cleanup.policy", 2, Some("compact"))],
        ),
        (
            "subtract from a list",
            "altered",
            &[("cleanup.policy", 3, Some("delete"))],
        ),
        (
            "append to a number",
            "altered",
            &[("retention.ms", 2, Some("7"))],
        ),
        ("delete a setting", "altered", &[("retention.ms", 1, None)]),
        (
            "delete a setting that is not set",
            "altered",
            &[("segment.ms", 1, None)],
        ),
        (
            "an operation that is none",
            "altered",
            &[("retention.ms", 9, Some("7"))],
        ),
        (
            "change an unknown topic",
            "unknown",
            &[("retention.ms", 0, Some("7"))],
        ),
        (
            "change one right and one wrong",
            "altered",
            &[
                ("segment.ms", 0, Some("7")),
                ("segment.bytes", 0, Some("7")),
            ],
        ),
    ];
    for (what, name, changes) in cases {
        asker
            .ask(&format!("alter: {what}"), alter(name, changes), 1)
            .await;
    }
}

async fn replaced(asker: &mut Asker) {
    let cases: [(&str, &str, &[(&str, Option<&str>)]); 5] = [
        ("one setting", "altered", &[("retention.ms", Some("8"))]),
        ("a wrong value", "altered", &[("retention.ms", Some("-8"))]),
        ("null", "altered", &[("retention.ms", None)]),
        (
            "an unknown topic",
            "unknown",
            &[("retention.ms", Some("8"))],
        ),
        ("no settings", "altered", &[]),
    ];
    for (what, name, configs) in cases {
        let request = AlterConfigsRequest {
            resources: vec![alter_configs::AlterConfigsResource {
                resource_type: 2,
                resource_name: name.into(),
                configs: configs
                    .iter()
                    .map(|&(name, value)| alter_configs::AlterableConfig {
                        name: name.into(),
                        value: value.map(Into::into),
                    })
                    .collect(),
            }],
            validate_only: false,
        };
        asker
            .ask(&format!("replace settings by {what}"), request, 2)
            .await;
    }
}

async fn listed(asker: &mut Asker) {
    let of = |name: Option<&str>, topic_id| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id,
            name: name.map(Into::into),
        }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    asker.ready("plain", 3).await;
    for name in ["plain", "unknown", "a b", "", "__consumer_offsets"] {
        let request = of(Some(name), Uuid::ZERO);
        asker
            .ask(&format!("metadata of {name:?}"), request, 12)
            .await;
    }
    asker
        .ask("metadata of an unknown id", of(None, Uuid([7; 16])), 12)
        .await;
    let delete = |name: Option<&str>, topic_id| DeleteTopicsRequest {
        topics: vec![delete_topics::DeleteTopicState {
            name: name.map(Into::into),
            topic_id,
        }],
        timeout_ms: 10_000,
        ..Default::default()
    };
    asker
        .ask("delete a topic", delete(Some("growing"), Uuid::ZERO), 6)
        .await;
    asker
        .ask(
            "delete an unknown topic",
            delete(Some("unknown"), Uuid::ZERO),
            6,
        )
        .await;
    asker
        .ask("delete an unknown id", delete(None, Uuid([7; 16])), 6)
        .await;
    asker
        .ask("delete nothing", delete(None, Uuid::ZERO), 6)
        .await;
}
