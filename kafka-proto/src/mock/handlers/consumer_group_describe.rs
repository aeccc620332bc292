//! ConsumerGroupDescribe (69): state, members and assignments of groups of the newer protocol (KIP-848).
//!
//! Behaviour:
//! * A group of the classic protocol, and one that does not exist, is GROUP_ID_NOT_FOUND.
//!
//! Version notes:
//! * v1: which protocol a member speaks; here all speak the newer one (KIP-1099)
use crate::messages::consumer_group_describe::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use crate::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ErrorCode};
use crate::wire::Text;

use super::super::groups::Partitions;
use super::super::topics::Topics;
use super::Context;

/// A member that speaks the newer protocol.
const MODERN: i8 = 1;

pub(super) fn handle(
    context: &Context<'_>,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let state = context.state();
    let groups = request.group_ids.into_iter().map(|group_id| {
        let injected = context.injected().map(|injected| injected.error);
        let checked = state.check_coordinator(context.broker, &group_id);
        let nameless = group_id.is_empty().then_some(ErrorCode::INVALID_GROUP_ID);
        if let Some(error_code) = injected.or_else(|| checked.err()).or(nameless) {
            return DescribedGroup {
                error_code,
                group_id,
                ..DescribedGroup::default()
            };
        }
        let Some(group) = state.groups.modern_view(&group_id) else {
            return DescribedGroup {
                error_code: ErrorCode::GROUP_ID_NOT_FOUND,
                error_message: Some(format!("Group {group_id} is not a consumer group.").into()),
                group_id,
                ..DescribedGroup::default()
            };
        };
        let members = group.members.into_iter().map(|member| Member {
            member_id: Text::from(member.id),
            instance_id: member.instance_id.map(Text::from),
            rack_id: member.rack.map(Text::from),
            member_epoch: member.epoch,
            client_id: Text::from(member.client_id),
            client_host: Text::from(member.client_host),
            subscribed_topic_names: member.topics.into_iter().map(Text::from).collect(),
            subscribed_topic_regex: member.pattern.map(Text::from),
            assignment: named(&member.assigned, &state.topics),
            target_assignment: named(&member.target, &state.topics),
            member_type: if context.version >= 1 { MODERN } else { -1 },
        });
        DescribedGroup {
            group_id,
            group_state: Text::from_static(group.state),
            group_epoch: group.epoch,
            assignment_epoch: group.assignment_epoch,
            assignor_name: Text::from_static(group.assignor),
            members: members.collect(),
            ..DescribedGroup::default()
        }
    });
    ConsumerGroupDescribeResponse {
        throttle_time_ms: context.throttle_ms(),
        groups: groups.collect(),
    }
}

fn named(partitions: &Partitions, topics: &Topics) -> Assignment {
    let mut named: Vec<TopicPartitions> = Vec::new();
    for (topic_id, partition) in partitions {
        match named.last_mut() {
            Some(last) if last.topic_id == *topic_id => last.partitions.push(*partition),
            _ => named.push(TopicPartitions {
                topic_id: *topic_id,
                topic_name: topics.name_of(topic_id).map(Text::from).unwrap_or_default(),
                partitions: vec![*partition],
            }),
        }
    }
    Assignment {
        topic_partitions: named,
    }
}
