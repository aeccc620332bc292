//! OffsetCommit (8): a group's positions are kept.
//!
//! Behaviour:
//! * Members commit in their generation, others only while the group has no members.
//! * Offsets do not expire.
//!
//! Version notes:
//! * v6: leader epochs; v7: static members; v10: topic ids (KIP-848)
//! * v9: GROUP_ID_NOT_FOUND for a member of a group that is not; before, ILLEGAL_GENERATION
use crate::messages::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use crate::messages::{ErrorCode, OffsetCommitRequest, OffsetCommitResponse};
use crate::wire::Text;

use super::super::groups::{Committed, MemberOf};
use super::{Context, owned};

/// `offset.metadata.max.bytes`
pub(super) const METADATA_BYTES_MAX: usize = 4096;

pub(super) fn handle(context: &Context<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut state = context.state();
    let member = MemberOf {
        group_id: request.group_id.as_str().to_owned(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.as_str().to_owned(),
        instance_id: owned(request.group_instance_id.as_ref()),
    };
    let now = context.shared.clock.now();
    let mut allowed = state
        .check_coordinator(context.broker, &request.group_id)
        .and_then(|()| state.groups.may_commit(now, &member, false));
    let is_unknown = state.groups.view(&request.group_id).is_none();
    if allowed == Err(ErrorCode::ILLEGAL_GENERATION) && is_unknown && context.version >= 9 {
        allowed = Err(ErrorCode::GROUP_ID_NOT_FOUND);
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = if context.version >= 10 {
            state.topics.name_of(&topic.topic_id).map(str::to_owned)
        } else {
            Some(topic.name.as_str().to_owned())
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let index = asked.partition_index;
            let commit = || -> ErrorCode {
                let Some(name) = &name else {
                    return ErrorCode::UNKNOWN_TOPIC_ID;
                };
                if let Err(error) = state.topics.partition(name, index) {
                    return error;
                }
                if let Err(error) = allowed {
                    return error;
                }
                let metadata = asked.committed_metadata.as_ref().map_or("", Text::as_str);
                if metadata.len() > METADATA_BYTES_MAX {
                    return ErrorCode::OFFSET_METADATA_TOO_LARGE;
                }
                let committed = Committed {
                    offset: asked.committed_offset,
                    leader_epoch: asked.committed_leader_epoch,
                    metadata: metadata.to_owned(),
                };
                let of = (name.clone(), index);
                state.groups.commit(&member.group_id, of, committed);
                ErrorCode::NONE
            };
            let error_code = match &name {
                Some(name) => context.with_fault_for(name, index, commit),
                None => ErrorCode::UNKNOWN_TOPIC_ID,
            };
            partitions.push(OffsetCommitResponsePartition {
                partition_index: index,
                error_code,
            });
        }
        topics.push(OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions,
        });
    }
    context.settle(state);
    OffsetCommitResponse {
        throttle_time_ms: context.throttle_ms(),
        topics,
    }
}
