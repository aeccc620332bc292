//! CreateTopics (19): new topics with their settings.
//!
//! Behaviour:
//! * Any broker takes the request, as KRaft brokers do by forwarding it.
//! * Topics are there at once, on every broker.
//! * Unknown settings and values outside of their range are INVALID_CONFIG.
//! * Names that differ in dots and underscores alone collide.
//!
//! Version notes:
//! * v4: −1 partitions or replicas mean the cluster's defaults (KIP-464)
//! * v5: the answer has partitions, replicas and settings (KIP-525); v7: the topic id
use crate::messages::create_topics::{CreatableTopic, CreatableTopicConfigs, CreatableTopicResult};
use crate::messages::{CreateTopicsRequest, CreateTopicsResponse, ErrorCode};
use crate::wire::Text;

use super::super::configs::{TOPIC_CONFIGS, TopicConfigs};
use super::super::state::State;
use super::super::topics::is_valid_name;
use super::Context;

pub(super) fn handle(context: &Context<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut state = context.state();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (at, topic) in request.topics.iter().enumerate() {
        let is_same = |other: &CreatableTopic| other.name == topic.name;
        if request.topics[..at].iter().any(is_same) {
            continue;
        }
        let twice = request.topics[at + 1..].iter().any(is_same);
        let injected = context.injected_for(&topic.name, -1);
        let made = match injected {
            _ if twice => Err((
                ErrorCode::INVALID_REQUEST,
                String::from("the request names the topic twice"),
            )),
            Some(injected) => {
                if injected.applied {
                    let _ = create(&mut state, topic, request.validate_only);
                }
                Err((injected.error, injected.error.to_string()))
            }
            None => create(&mut state, topic, request.validate_only),
        };
        topics.push(result(&mut state, topic, made));
    }
    drop(state);
    context.shared.notify_changed();
    CreateTopicsResponse {
        throttle_time_ms: context.throttle_ms(),
        topics,
    }
}

/// What was, or would be, made.
struct Made {
    partitions: i32,
    replication_factor: i16,
}

fn create(
    state: &mut State,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<Made, (ErrorCode, String)> {
    let refuse = |error, text: String| Err((error, text));
    let name = topic.name.as_str();
    if !is_valid_name(name) {
        let text = format!(
            "topic name {name:?}: 1 to 249 ASCII letters, digits, dots, underscores and hyphens"
        );
        return refuse(ErrorCode::INVALID_TOPIC_EXCEPTION, text);
    }
    if state.topics.get(name).is_some() {
        let text = format!("Topic '{name}' already exists.");
        return refuse(ErrorCode::TOPIC_ALREADY_EXISTS, text);
    }
    if let Some(other) = state.topics.colliding(name) {
        let text = format!("Topic '{name}' collides with existing topic: {other}");
        return refuse(ErrorCode::INVALID_TOPIC_EXCEPTION, text);
    }
    let mut configs = TopicConfigs::default();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let text = format!(
                "Null value not supported for topic configs: {}",
                config.name
            );
            return refuse(ErrorCode::INVALID_CONFIG, text);
        };
        if let Err(text) = configs.set(&config.name, value) {
            return refuse(ErrorCode::INVALID_CONFIG, text);
        }
    }
    if let Err(text) = configs.check() {
        return refuse(ErrorCode::INVALID_CONFIG, text);
    }
    let replicas = if topic.assignments.is_empty() {
        let partitions = match topic.num_partitions {
            -1 => state.settings.partitions_default,
            count if count > 0 => count,
            _ => {
                let text = String::from("the number of partitions must be larger than 0");
                return refuse(ErrorCode::INVALID_PARTITIONS, text);
            }
        };
        let factor = match topic.replication_factor {
            -1 => state.settings.replication_factor,
            factor => factor,
        };
        let brokers = state.brokers.len();
        if factor <= 0 {
            let text = String::from(
                "Replication factor must be larger than 0, or -1 to use the default value.",
            );
            return refuse(ErrorCode::INVALID_REPLICATION_FACTOR, text);
        }
        if usize::from(factor.unsigned_abs()) > brokers {
            let text = format!(
                "Unable to replicate the partition {factor} time(s): there are {brokers} brokers"
            );
            return refuse(ErrorCode::INVALID_REPLICATION_FACTOR, text);
        }
        state.place(0, partitions, factor)
    } else {
        assigned(state, topic)?
    };
    let made = Made {
        partitions: replicas.len() as i32,
        replication_factor: replicas.first().map_or(0, |first| first.len() as i16),
    };
    if !validate_only {
        state.create_topic(name, replicas, configs);
    }
    Ok(made)
}

/// The client has said itself where the replicas lie.
fn assigned(state: &State, topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, (ErrorCode, String)> {
    for (given, what) in [
        (i32::from(topic.replication_factor), "replication factor"),
        (topic.num_partitions, "number of partitions"),
    ] {
        if given != -1 {
            let text = format!(
                "A manual partition assignment was specified, but the {what} was not set to -1."
            );
            return Err((ErrorCode::INVALID_REQUEST, text));
        }
    }
    let mut assignments = topic.assignments.clone();
    assignments.sort_by_key(|assignment| assignment.partition_index);
    let mut factor = None;
    for (assignment, index) in assignments.iter().zip(0..) {
        if assignment.partition_index != index {
            let text = "partitions should be a consecutive 0-based integer sequence";
            return Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, text.to_owned()));
        }
        state.check_replicas(&assignment.broker_ids, factor)?;
        factor = Some(assignment.broker_ids.len());
    }
    let replicas = assignments.into_iter().map(|of| of.broker_ids);
    Ok(replicas.collect())
}

fn result(
    state: &mut State,
    topic: &CreatableTopic,
    made: Result<Made, (ErrorCode, String)>,
) -> CreatableTopicResult {
    match made {
        Err((error_code, text)) => CreatableTopicResult {
            name: topic.name.clone(),
            error_code,
            error_message: Some(Text::from(text)),
            ..CreatableTopicResult::default()
        },
        Ok(made) => {
            let configs = TOPIC_CONFIGS.iter().map(|of| {
                // As it was written, not as it was read.
                let set = topic.configs.iter().rev().find(|set| set.name == of.name);
                let set = set.and_then(|set| set.value.clone());
                CreatableTopicConfigs {
                    name: Text::from_static(of.name),
                    config_source: of.source(set.is_some()),
                    value: Some(set.unwrap_or_else(|| Text::from_static(of.default))),
                    ..CreatableTopicConfigs::default()
                }
            });
            let existing = state.topics.get(&topic.name).map(|topic| topic.id);
            CreatableTopicResult {
                name: topic.name.clone(),
                // With `validate_only` there is an id all the same: nobody's.
                topic_id: existing.unwrap_or_else(|| state.topics.next_id()),
                error_message: None,
                num_partitions: made.partitions,
                replication_factor: made.replication_factor,
                configs: Some(configs.collect()),
                ..CreatableTopicResult::default()
            }
        }
    }
}
