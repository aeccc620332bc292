//! CreatePartitions (37): a topic gets more partitions (KIP-195).
//!
//! Behaviour:
//! * There at once, on every broker. Assignments by the client are checked for their number only.
use crate::messages::create_partitions::{CreatePartitionsTopic, CreatePartitionsTopicResult};
use crate::messages::{CreatePartitionsRequest, CreatePartitionsResponse, ErrorCode};
use crate::wire::Text;

use super::super::state::State;
use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut state = context.state();
    let results = request.topics.into_iter().map(|topic| {
        let mut error_message = None;
        let error_code = context.with_fault_for(&topic.name, -1, || {
            match create(&mut state, &topic, request.validate_only) {
                Ok(()) => ErrorCode::NONE,
                Err((error, text)) => {
                    error_message = Some(Text::from(text));
                    error
                }
            }
        });
        CreatePartitionsTopicResult {
            name: topic.name,
            error_code,
            error_message,
        }
    });
    CreatePartitionsResponse {
        results: results.collect(),
        throttle_time_ms: context.throttle_ms(),
    }
}

fn create(
    state: &mut State,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let Some(existing) = state.topics.get(&topic.name) else {
        let text = String::from("This server does not host this topic-partition.");
        return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, text));
    };
    let has = existing.partitions.len() as i32;
    if topic.count <= has {
        let text = format!(
            "The topic {} currently has {has} partition(s); {} would not be an increase.",
            topic.name, topic.count
        );
        return Err((ErrorCode::INVALID_PARTITIONS, text));
    }
    let assigned = topic.assignments.as_ref().filter(|all| !all.is_empty());
    if assigned.is_some_and(|all| all.len() as i32 != topic.count - has) {
        let text = String::from("there must be an assignment for each new partition");
        return Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
    }
    if !validate_only {
        state.add_partitions(&topic.name, topic.count);
    }
    Ok(())
}
