//! CreatePartitions (37): a topic gets more partitions (KIP-195).
//!
//! Behaviour:
//! * There at once, on every broker; where the client says which, its assignment holds.
//! * A topic that the request names twice is INVALID_REQUEST.
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
    let names: Vec<Text> = request
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .collect();
    let results = request
        .topics
        .into_iter()
        .enumerate()
        .filter_map(|(at, topic)| {
            let mut error_message = None;
            if names[..at].contains(&topic.name) {
                return None;
            }
            if names[at + 1..].contains(&topic.name) {
                return Some(CreatePartitionsTopicResult {
                    name: topic.name,
                    error_code: ErrorCode::INVALID_REQUEST,
                    error_message: Some(Text::from_static("Duplicate topic in request.")),
                });
            }
            let error_code = context.with_fault_for(&topic.name, -1, || {
                match create(&mut state, &topic, request.validate_only) {
                    Ok(()) => ErrorCode::NONE,
                    Err((error, text)) => {
                        error_message = Some(Text::from(text));
                        error
                    }
                }
            });
            Some(CreatePartitionsTopicResult {
                name: topic.name,
                error_code,
                error_message,
            })
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
    let (added, factor) = (topic.count - has, existing.replication_factor());
    let replicas = match &topic.assignments {
        None => state.place(has, added, factor as i16),
        Some(assignments) => {
            if assignments.len() as i32 != added {
                let text = format!(
                    "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                );
                return Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
            }
            let replicas = assignments.iter().map(|of| of.broker_ids.clone());
            let replicas: Vec<Vec<i32>> = replicas.collect();
            for of in &replicas {
                state.check_replicas(of, Some(factor))?;
            }
            replicas
        }
    };
    if !validate_only {
        state.add_partitions_on(&topic.name, replicas);
    }
    Ok(())
}
