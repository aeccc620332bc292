//! AlterConfigs (33): all settings of a topic are replaced; what is not named takes its default again.
//!
//! Behaviour:
//! * All settings of a topic are taken, or none. Topics only.
use crate::messages::alter_configs::{AlterConfigsResource, AlterConfigsResourceResponse};
use crate::messages::{AlterConfigsRequest, AlterConfigsResponse, ErrorCode};
use crate::wire::Text;

use super::super::configs::TopicConfigs;
use super::super::state::State;
use super::Context;
use super::describe_configs::TOPIC;

pub(super) fn handle(context: &Context<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut state = context.state();
    let responses = request.resources.into_iter().map(|resource| {
        let mut error_message = None;
        let error_code = context.with_fault_for(&resource.resource_name, -1, || {
            match replace(&mut state, &resource, request.validate_only) {
                Ok(()) => ErrorCode::NONE,
                Err((error, text)) => {
                    error_message = Some(Text::from(text));
                    error
                }
            }
        });
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        }
    });
    AlterConfigsResponse {
        responses: responses.collect(),
        throttle_time_ms: context.throttle_ms(),
    }
}

fn replace(
    state: &mut State,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    if resource.resource_type != TOPIC {
        let text = String::from("only settings of topics can be changed here");
        return Err((ErrorCode::INVALID_REQUEST, text));
    }
    let Some(topic) = state.topics.get_mut(&resource.resource_name) else {
        let text = format!("The topic '{}' does not exist.", resource.resource_name);
        return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, text));
    };
    let invalid = |text| (ErrorCode::INVALID_CONFIG, text);
    let mut configs = TopicConfigs::default();
    for config in &resource.configs {
        let Some(value) = &config.value else {
            let text = format!("Null value not supported for : {}", config.name);
            return Err((ErrorCode::INVALID_REQUEST, text));
        };
        configs.set(&config.name, value).map_err(invalid)?;
    }
    configs.check().map_err(invalid)?;
    if !validate_only {
        topic.configs = configs;
    }
    Ok(())
}
