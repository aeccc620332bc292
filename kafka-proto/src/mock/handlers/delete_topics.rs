//! DeleteTopics (20): topics go, with their logs and what groups committed for them.
//!
//! Behaviour:
//! * Gone at once, on every broker. A topic of the same name made later has another id.
//!
//! Version notes:
//! * v6: by name or by id (KIP-516)
use crate::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use crate::messages::{DeleteTopicsRequest, DeleteTopicsResponse, ErrorCode};
use crate::wire::Uuid;

use super::Context;

pub(super) fn handle(context: &Context<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut state = context.state();
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| DeleteTopicState {
            name: Some(name),
            ..DeleteTopicState::default()
        });
    let mut responses = Vec::new();
    for topic in request.topics.into_iter().chain(by_name) {
        let known_by_id = state.topics.name_of(&topic.topic_id).map(str::to_owned);
        let name = topic.name.as_ref().map(|name| name.as_str().to_owned());
        let (name, unknown) = match name {
            Some(name) => (Some(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            None if topic.topic_id == Uuid::ZERO => (None, ErrorCode::INVALID_REQUEST),
            None => (known_by_id, ErrorCode::UNKNOWN_TOPIC_ID),
        };
        let topic_id = name
            .as_deref()
            .and_then(|name| state.topics.get(name))
            .map_or(topic.topic_id, |topic| topic.id);
        let error_code = match &name {
            None => unknown,
            Some(name) => context.with_fault_for(name, -1, || {
                if state.delete_topic(name) {
                    ErrorCode::NONE
                } else {
                    unknown
                }
            }),
        };
        responses.push(DeletableTopicResult {
            name: name.map(Into::into),
            topic_id,
            error_code,
            ..DeletableTopicResult::default()
        });
    }
    drop(state);
    context.shared.notify_changed();
    DeleteTopicsResponse {
        throttle_time_ms: context.throttle_ms(),
        responses,
    }
}
