//! OffsetDelete (47): committed offsets of a group are deleted one by one (KIP-496).
//!
//! Behaviour:
//! * Not of topics that a member consumes.
use crate::messages::offset_delete::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use crate::messages::{ErrorCode, OffsetDeleteRequest, OffsetDeleteResponse};

use super::Context;

pub(super) fn handle(context: &Context<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut state = context.state();
    let group_id = request.group_id.as_str();
    let known = state.check_coordinator(context.broker, group_id);
    let error_code = match (context.injected(), known) {
        (Some(injected), _) => injected.error,
        (None, Err(error)) => error,
        (None, Ok(())) if group_id.is_empty() => ErrorCode::INVALID_GROUP_ID,
        (None, Ok(())) if state.groups.view(group_id).is_none() => ErrorCode::GROUP_ID_NOT_FOUND,
        (None, Ok(())) => ErrorCode::NONE,
    };
    let mut response = OffsetDeleteResponse {
        error_code,
        throttle_time_ms: context.throttle_ms(),
        ..OffsetDeleteResponse::default()
    };
    if !error_code.is_ok() {
        return response;
    }
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let error_code = context.with_fault_for(&topic.name, index, || {
                if let Err(error) = state.topics.partition(&topic.name, index) {
                    return error;
                }
                if state.groups.is_subscribed(group_id, &topic.name) {
                    return ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC;
                }
                let of = (topic.name.as_str().to_owned(), index);
                state.groups.delete_offset(group_id, &of);
                ErrorCode::NONE
            });
            OffsetDeleteResponsePartition {
                partition_index: index,
                error_code,
            }
        });
        response.topics.push(OffsetDeleteResponseTopic {
            partitions: partitions.collect(),
            name: topic.name.clone(),
        });
    }
    response
}
