//! DeleteRecords (21): the start of a log is raised (KIP-107).
//!
//! Behaviour:
//! * A topic without the policy `delete` is POLICY_VIOLATION, unless it has no policy at all.
//! * −1 stands for the high watermark; anything above it is OFFSET_OUT_OF_RANGE.
use crate::messages::delete_records::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use crate::messages::{DeleteRecordsRequest, DeleteRecordsResponse, ErrorCode};

use super::super::topics::is_internal;
use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut state = context.state();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let mut low_watermark = -1;
            let error_code = context.with_fault_for(&topic.name, index, || {
                if is_internal(&topic.name) {
                    return ErrorCode::INVALID_TOPIC_EXCEPTION;
                }
                let configs = state.topics.get(&topic.name).map(|topic| &topic.configs);
                let kept =
                    configs.is_some_and(|of| of.has_policy("compact") && !of.has_policy("delete"));
                let partition = match state.topics.partition(&topic.name, index) {
                    Ok(partition) => partition,
                    Err(error) => return error,
                };
                if let Err(error) = partition.check_leader(context.broker, -1) {
                    return error;
                }
                if kept {
                    return ErrorCode::POLICY_VIOLATION;
                }
                let end = partition.log.high_watermark();
                let offset = if asked.offset == -1 {
                    end
                } else {
                    asked.offset
                };
                if !(0..=end).contains(&offset) {
                    return ErrorCode::OFFSET_OUT_OF_RANGE;
                }
                low_watermark = partition.log.delete_before(offset);
                ErrorCode::NONE
            });
            DeleteRecordsPartitionResult {
                partition_index: index,
                low_watermark,
                error_code,
            }
        });
        DeleteRecordsTopicResult {
            partitions: partitions.collect(),
            name: topic.name.clone(),
        }
    });
    let topics = topics.collect();
    drop(state);
    context.shared.notify_changed();
    DeleteRecordsResponse {
        throttle_time_ms: context.throttle_ms(),
        topics,
    }
}
