//! OffsetFetch (9): a group's committed positions.
//!
//! Behaviour:
//! * Nothing committed is offset −1 without an error, also for groups that do not exist.
//! * With `require_stable` a partition that an undecided transaction would change is UNSTABLE_OFFSET_COMMIT (KIP-447).
//!
//! Version notes:
//! * v2: null topics mean all; v5: leader epochs; v7: require_stable; v8: several groups (KIP-709)
//! * v9: member id and epoch (KIP-848); v10: topic ids
use std::collections::BTreeMap;

use crate::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use crate::messages::{ErrorCode, OffsetFetchRequest, OffsetFetchResponse};
use crate::wire::Text;

use super::super::state::State;
use super::Context;

pub(super) fn handle(context: &Context<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let state = context.state();
    let mut response = OffsetFetchResponse {
        throttle_time_ms: context.throttle_ms(),
        ..OffsetFetchResponse::default()
    };
    if context.version >= 8 {
        for group in request.groups {
            let answer = fetch(context, &state, group, request.require_stable);
            response.groups.push(answer);
        }
        return response;
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    let answer = fetch(context, &state, group, request.require_stable);
    response.error_code = answer.error_code;
    response.topics = answer
        .topics
        .into_iter()
        .map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: topic
                .partitions
                .into_iter()
                .map(|partition| OffsetFetchResponsePartition {
                    partition_index: partition.partition_index,
                    committed_offset: partition.committed_offset,
                    committed_leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.metadata,
                    error_code: partition.error_code,
                })
                .collect(),
        })
        .collect();
    response
}

fn fetch(
    context: &Context<'_>,
    state: &State,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let mut answer = OffsetFetchResponseGroup {
        group_id: group.group_id.clone(),
        ..OffsetFetchResponseGroup::default()
    };
    let injected = context.injected().map(|injected| injected.error);
    let member_id = group.member_id.as_ref().map(Text::as_str);
    let checked = state
        .check_coordinator(context.broker, &group.group_id)
        .and_then(|()| {
            let groups = &state.groups;
            groups.may_fetch(&group.group_id, member_id, group.member_epoch)
        });
    if let Some(error) = injected.or_else(|| checked.err()) {
        answer.error_code = error;
        return answer;
    }
    let asked = match group.topics {
        Some(topics) => topics,
        None => {
            let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
            for ((name, index), _) in state.groups.all_committed(&group.group_id) {
                topics.entry(name).or_default().push(index);
            }
            let topics = topics.into_iter().map(|(name, partition_indexes)| {
                let topic_id = state.topics.get(&name).map(|topic| topic.id);
                OffsetFetchRequestTopics {
                    name: Text::from(name),
                    topic_id: topic_id.unwrap_or_default(),
                    partition_indexes,
                }
            });
            topics.collect()
        }
    };
    for topic in asked {
        let name = if context.version >= 10 {
            state.topics.name_of(&topic.topic_id).map(str::to_owned)
        } else {
            Some(topic.name.as_str().to_owned())
        };
        let partitions = topic.partition_indexes.into_iter().map(|index| {
            let mut partition = OffsetFetchResponsePartitions {
                partition_index: index,
                committed_offset: -1,
                metadata: Some(Text::default()),
                ..OffsetFetchResponsePartitions::default()
            };
            let Some(name) = &name else {
                partition.error_code = ErrorCode::UNKNOWN_TOPIC_ID;
                return partition;
            };
            if let Some(injected) = context.injected_for(name, index) {
                partition.error_code = injected.error;
                return partition;
            }
            let of = (name.clone(), index);
            let (committed, unstable) = state.groups.committed(&group.group_id, &of);
            if unstable && require_stable {
                partition.error_code = ErrorCode::UNSTABLE_OFFSET_COMMIT;
            } else if let Some(committed) = committed {
                partition.committed_offset = committed.offset;
                partition.committed_leader_epoch = committed.leader_epoch;
                partition.metadata = Some(Text::from(&committed.metadata));
            }
            partition
        });
        answer.topics.push(OffsetFetchResponseTopics {
            partitions: partitions.collect(),
            name: topic.name,
            topic_id: topic.topic_id,
        });
    }
    answer
}
