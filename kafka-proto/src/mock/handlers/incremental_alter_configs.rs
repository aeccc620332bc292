//! IncrementalAlterConfigs (44): settings of topics are changed one by one (KIP-339).
//!
//! Behaviour:
//! * All changes of a topic are taken, or none.
//! * Set (0), delete (1), and append (2) and subtract (3) for lists. Topics only.
use crate::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse,
};
use crate::messages::{ErrorCode, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::wire::Text;

use super::super::configs::{Kind, TopicConfigs, definition};
use super::super::state::State;
use super::Context;
use super::describe_configs::TOPIC;

const DELETE: i8 = 1;

pub(super) fn handle(
    context: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut state = context.state();
    let responses = request.resources.into_iter().map(|resource| {
        let mut error_message = None;
        let error_code = context.with_fault_for(&resource.resource_name, -1, || {
            match alter(&mut state, &resource, request.validate_only) {
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
    IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        throttle_time_ms: context.throttle_ms(),
    }
}

fn alter(
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
    let mut configs = topic.configs.clone();
    for (at, config) in resource.configs.iter().enumerate() {
        if resource.configs[..at]
            .iter()
            .any(|other| other.name == config.name)
        {
            let text = format!("Error due to duplicate config keys: {}", config.name);
            return Err((ErrorCode::INVALID_REQUEST, text));
        }
        let value = match &config.value {
            Some(value) => value.as_str(),
            None if config.config_operation == DELETE => "",
            None => {
                let text = format!("Null value not supported for : {}", config.name);
                return Err((ErrorCode::INVALID_REQUEST, text));
            }
        };
        change(&mut configs, &config.name, config.config_operation, value)
            .map_err(|text| (ErrorCode::INVALID_CONFIG, text))?;
    }
    configs
        .check()
        .map_err(|text| (ErrorCode::INVALID_CONFIG, text))?;
    if !validate_only {
        topic.configs = configs;
    }
    Ok(())
}

fn change(
    configs: &mut TopicConfigs,
    name: &str,
    operation: i8,
    value: &str,
) -> Result<(), String> {
    let kind = definition(name).map(|of| of.kind);
    if matches!(operation, 2 | 3) && kind.is_some_and(|kind| kind != Kind::List) {
        return Err(format!(
            "Can't append to or subtract from {name}: it is no list"
        ));
    }
    let now = configs.value(name).unwrap_or_default().to_owned();
    let items = now.split(',').filter(|item| !item.is_empty());
    match operation {
        0 => configs.set(name, value),
        DELETE => {
            configs.unset(name);
            Ok(())
        }
        2 => {
            let mut all: Vec<&str> = items.collect();
            all.extend(
                value
                    .split(',')
                    .filter(|item| !now.split(',').any(|has| has == *item)),
            );
            configs.set(name, &all.join(","))
        }
        3 => {
            let left: Vec<&str> = items
                .filter(|item| !value.split(',').any(|gone| gone == *item))
                .collect();
            configs.set(name, &left.join(","))
        }
        other => Err(format!("unknown operation {other} on {name}")),
    }
}
