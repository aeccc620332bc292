//! Questions about groups of both protocols: members, offsets, and what an administrator sees and deletes.

use bytes::Bytes;
use kafka_proto::messages::consumer_group_heartbeat::TopicPartitions;
use kafka_proto::messages::join_group::{JoinGroupRequestProtocol, JoinGroupResponse};
use kafka_proto::messages::leave_group::MemberIdentity;
use kafka_proto::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_proto::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_proto::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_proto::messages::sync_group::SyncGroupRequestAssignment;
use kafka_proto::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest,
    DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    SyncGroupRequest,
};

use kafka_proto::wire::Uuid;

use super::Asker;
use super::topics::create;

/// A ConsumerProtocolSubscription of version 0: the topic `read`, no user data.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x04read\xff\xff\xff\xff";

pub(crate) async fn ask(asker: &mut Asker) {
    create(asker, "read", 2, &[]).await;
    create(asker, "unread", 1, &[]).await;
    let (member, generation) = joined(asker).await;
    in_generation(asker, &member, generation).await;
    commits(asker, &member, generation).await;
    seen(asker, "while there is a member").await;
    deleted(asker, "while there is a member").await;
    left(asker, &member).await;
    seen(asker, "when all have left").await;
    deleted(asker, "when all have left").await;
    wrong_beats(asker).await;
    modern(asker).await;
}

fn join(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 60_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(SUBSCRIPTION),
        }],
        ..Default::default()
    }
}

async fn joined(asker: &mut Asker) -> (String, i32) {
    asker.ask("join without a group", join("", ""), 9).await;
    asker
        .ask("join as an unknown member", join("classic", "nobody"), 9)
        .await;
    let mut short = join("classic", "");
    short.session_timeout_ms = 10;
    asker
        .ask("join with a session that is too short", short, 9)
        .await;
    let mut long = join("classic", "");
    long.session_timeout_ms = i32::MAX;
    asker
        .ask("join with a session that is too long", long, 9)
        .await;
    let mut none = join("classic", "");
    none.protocols.clear();
    asker.ask("join without a protocol", none, 9).await;
    let first = asker
        .ask("join for the first time", join("classic", ""), 9)
        .await;
    let member = first.member_id.to_string();
    let joined: JoinGroupResponse = asker
        .ask("join with the id given", join("classic", &member), 9)
        .await;
    let mut other = join("classic", "");
    other.protocol_type = "connect".into();
    asker
        .ask("join with another type of protocol", other, 9)
        .await;
    (member, joined.generation_id)
}

fn sync(member: &str, generation: i32) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: "classic".into(),
        generation_id: generation,
        member_id: member.into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: member.into(),
            assignment: Bytes::from_static(b"\0\0\0\0\0\0\xff\xff\xff\xff"),
        }],
        ..Default::default()
    }
}

pub(crate) fn commit(
    group: &str,
    member: &str,
    generation: i32,
    topic: &str,
    partition: i32,
) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: 5,
                committed_leader_epoch: 0,
                committed_metadata: Some("note".into()),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn committed(group: &str, topic: Option<&str>) -> OffsetFetchRequest {
    OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: topic.map(|topic| {
                vec![OffsetFetchRequestTopics {
                    name: topic.into(),
                    partition_indexes: vec![0, 1, 9],
                    ..Default::default()
                }]
            }),
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn in_generation(asker: &mut Asker, member: &str, generation: i32) {
    let beat = |member: &str, generation| HeartbeatRequest {
        group_id: "classic".into(),
        generation_id: generation,
        member_id: member.into(),
        ..Default::default()
    };
    asker
        .ask(
            "commit before the assignment",
            commit("classic", member, generation, "read", 0),
            9,
        )
        .await;
    asker
        .ask(
            "sync in a generation that is not",
            sync(member, generation + 1),
            5,
        )
        .await;
    asker
        .ask("sync as nobody", sync("nobody", generation), 5)
        .await;
    let mut other = sync(member, generation);
    other.protocol_name = Some("roundrobin".into());
    asker.ask("sync with another protocol", other, 5).await;
    asker.ask("sync", sync(member, generation), 5).await;
    asker.ask("sync again", sync(member, generation), 5).await;
    asker.ask("heartbeat", beat(member, generation), 4).await;
    asker
        .ask(
            "heartbeat in a generation that is not",
            beat(member, generation + 1),
            4,
        )
        .await;
    asker
        .ask("heartbeat as nobody", beat("nobody", generation), 4)
        .await;
}

async fn commits(asker: &mut Asker, member: &str, generation: i32) {
    asker
        .ask(
            "commit",
            commit("classic", member, generation, "read", 0),
            9,
        )
        .await;
    asker
        .ask(
            "commit in a generation that is not",
            commit("classic", member, 99, "read", 0),
            9,
        )
        .await;
    asker
        .ask(
            "commit as nobody",
            commit("classic", "nobody", generation, "read", 0),
            9,
        )
        .await;
    asker
        .ask(
            "commit without a membership",
            commit("classic", "", -1, "read", 0),
            9,
        )
        .await;
    asker
        .ask(
            "commit for an unknown partition",
            commit("classic", member, generation, "read", 9),
            9,
        )
        .await;
    asker
        .ask(
            "commit for an unknown topic",
            commit("classic", member, generation, "unknown", 0),
            9,
        )
        .await;
    asker
        .ask(
            "commit for a topic that is not read",
            commit("classic", member, generation, "unread", 0),
            9,
        )
        .await;
    let mut long = commit("classic", member, generation, "read", 1);
    long.topics[0].partitions[0].committed_metadata = Some("x".repeat(4097).into());
    asker.ask("commit with long metadata", long, 9).await;
    asker
        .ask(
            "commit to a new group without a membership",
            commit("simple", "", -1, "read", 0),
            9,
        )
        .await;
    asker
        .ask(
            "commit to a new group in a generation",
            commit("new", "nobody", 3, "read", 0),
            9,
        )
        .await;
    asker
        .ask("commit without a group", commit("", "", -1, "read", 0), 9)
        .await;
}

async fn seen(asker: &mut Asker, when: &str) {
    for group in ["classic", "simple", "unknown", ""] {
        for topic in [Some("read"), Some("unknown"), None] {
            let question = format!("committed by {group:?} for {topic:?} {when}");
            asker.ask(&question, committed(group, topic), 9).await;
        }
        let request = DescribeGroupsRequest {
            groups: vec![group.into()],
            ..Default::default()
        };
        asker
            .ask(&format!("describe the group {group:?} {when}"), request, 6)
            .await;
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![group.into()],
            ..Default::default()
        };
        asker
            .ask(
                &format!("describe the consumer group {group:?} {when}"),
                request,
                1,
            )
            .await;
    }
    for (what, states, types) in [
        ("all", None, None),
        ("Empty", Some("Empty"), None),
        ("nonsense", Some("Nonsense"), None),
        ("classic", None, Some("classic")),
        ("consumer", None, Some("consumer")),
    ] {
        let request = ListGroupsRequest {
            states_filter: states.into_iter().map(Into::into).collect(),
            types_filter: types.into_iter().map(Into::into).collect(),
        };
        asker
            .ask(&format!("list groups: {what} {when}"), request, 5)
            .await;
    }
}

async fn deleted(asker: &mut Asker, when: &str) {
    for (group, topic, partition) in [
        ("classic", "read", 0),
        ("classic", "unread", 0),
        ("classic", "unread", 9),
        ("classic", "unknown", 0),
        ("unknown", "read", 0),
        ("", "read", 0),
    ] {
        let request = OffsetDeleteRequest {
            group_id: group.into(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetDeleteRequestPartition {
                    partition_index: partition,
                }],
            }],
        };
        let question = format!("delete the offset of {group:?} for {topic} {partition} {when}");
        asker.ask(&question, request, 0).await;
    }
    for group in ["classic", "unknown", ""] {
        let request = DeleteGroupsRequest {
            groups_names: vec![group.into()],
        };
        asker
            .ask(&format!("delete the group {group:?} {when}"), request, 2)
            .await;
    }
}

async fn left(asker: &mut Asker, member: &str) {
    let leave = |member: &str| LeaveGroupRequest {
        group_id: "classic".into(),
        members: vec![MemberIdentity {
            member_id: member.into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    asker.ask("leave as nobody", leave("nobody"), 5).await;
    asker.ask("leave", leave(member), 5).await;
    asker.ask("leave again", leave(member), 5).await;
    asker
        .ask(
            "commit after all have left",
            commit("classic", member, 1, "read", 1),
            9,
        )
        .await;
    asker
        .ask(
            "commit without a membership after all have left",
            commit("classic", "", -1, "unread", 0),
            9,
        )
        .await;
}

const MEMBER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

fn beat(epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "modern".into(),
        member_id: MEMBER.into(),
        member_epoch: epoch,
        ..Default::default()
    }
}

fn first() -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["unread".into()]),
        topic_partitions: Some(Vec::new()),
        ..beat(0)
    }
}

async fn wrong_beats(asker: &mut Asker) {
    let mut no_topics = first();
    no_topics.subscribed_topic_names = None;
    asker
        .ask("consumer heartbeat without topics", no_topics, 1)
        .await;
    let mut no_timeout = first();
    no_timeout.rebalance_timeout_ms = -1;
    asker
        .ask("consumer heartbeat without a time limit", no_timeout, 1)
        .await;
    let mut no_member = first();
    no_member.member_id = "".into();
    asker
        .ask("consumer heartbeat without a member", no_member, 1)
        .await;
    let mut no_group = first();
    no_group.group_id = "".into();
    asker
        .ask("consumer heartbeat without a group", no_group, 1)
        .await;
    let mut assignor = first();
    assignor.server_assignor = Some("nonsense".into());
    asker
        .ask("consumer heartbeat with an unknown assignor", assignor, 1)
        .await;
    let mut pattern = first();
    (
        pattern.subscribed_topic_names,
        pattern.subscribed_topic_regex,
    ) = (None, Some("[".into()));
    asker
        .ask("consumer heartbeat with a pattern that is none", pattern, 1)
        .await;
    let mut owner = first();
    owner.topic_partitions = Some(vec![TopicPartitions {
        topic_id: Uuid([7; 16]),
        partitions: vec![0],
    }]);
    asker
        .ask("consumer heartbeat that joins with partitions", owner, 1)
        .await;
    asker.ask("consumer heartbeat of nobody", beat(3), 1).await;
}

async fn modern(asker: &mut Asker) {
    let joined = asker.ask("consumer heartbeat that joins", first(), 1).await;
    let epoch = joined.member_epoch;
    asker.ask("consumer heartbeat", beat(epoch), 1).await;
    asker
        .ask("consumer heartbeat of a later epoch", beat(epoch + 9), 1)
        .await;
    asker
        .ask(
            "consumer commit",
            commit("modern", MEMBER, epoch, "unread", 0),
            9,
        )
        .await;
    asker
        .ask(
            "consumer commit of a later epoch",
            commit("modern", MEMBER, epoch + 9, "unread", 0),
            9,
        )
        .await;
    asker
        .ask(
            "consumer commit of nobody",
            commit("modern", "nobody", epoch, "unread", 0),
            9,
        )
        .await;
    asker
        .ask(
            "consumer commit without a membership",
            commit("modern", "", -1, "unread", 0),
            9,
        )
        .await;
    asker
        .ask("classic join of a consumer group", join("modern", ""), 9)
        .await;
    let request = DescribeGroupsRequest {
        groups: vec!["modern".into()],
        ..Default::default()
    };
    asker
        .ask("describe a consumer group as a classic one", request, 6)
        .await;
    asker
        .ask(
            "committed by a consumer group",
            committed("modern", None),
            9,
        )
        .await;
    let request = OffsetDeleteRequest {
        group_id: "modern".into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: "unread".into(),
            partitions: vec![OffsetDeleteRequestPartition::default()],
        }],
    };
    asker
        .ask("delete an offset of a consumer group", request, 0)
        .await;
    let delete = DeleteGroupsRequest {
        groups_names: vec!["modern".into()],
    };
    asker
        .ask("delete a consumer group with a member", delete.clone(), 2)
        .await;
    asker
        .ask("consumer heartbeat that leaves", beat(-1), 1)
        .await;
    asker
        .ask("consumer heartbeat that leaves again", beat(-1), 1)
        .await;
    asker.ask("delete an empty consumer group", delete, 2).await;
}
