//! DescribeConfigs (32): settings of topics.
//!
//! Behaviour:
//! * Topics (2): what was set, and Kafka's defaults for the rest.
//! * Brokers (4): the few settings that the cluster has, each broker its own. Other resources are INVALID_REQUEST.
//! * No keys mean all.
//!
//! Version notes:
//! * v1: synonyms; v3: types and documentation
use crate::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use crate::messages::{DescribeConfigsRequest, DescribeConfigsResponse, ErrorCode};
use crate::wire::Text;

use super::super::configs::{
    DEFAULT_CONFIG, DYNAMIC_DEFAULT_BROKER_CONFIG, DYNAMIC_TOPIC_CONFIG, Kind, TOPIC_CONFIGS,
    TopicConfig,
};
use super::super::state::State;
use super::super::topics::is_valid_name;
use super::Context;

pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const STATIC_BROKER_CONFIG: i8 = 4;

/// What the client wants to see beside names and values.
#[derive(Clone, Copy)]
struct Shown {
    synonyms: bool,
    documentation: bool,
}

pub(super) fn handle(
    context: &Context<'_>,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let state = context.state();
    let shown = Shown {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = request.resources.into_iter().map(|resource| {
        let injected = context.injected_for(&resource.resource_name, -1);
        let described = match injected {
            Some(injected) => Err(injected.error),
            None => match resource.resource_type {
                TOPIC => topic(&state, &resource, shown),
                BROKER if !is_me(context.broker, &resource.resource_name) => {
                    Err(ErrorCode::INVALID_REQUEST)
                }
                BROKER => broker(&state, &resource),
                _ => Err(ErrorCode::INVALID_REQUEST),
            },
        };
        let (error_code, configs) = match described {
            Ok(configs) => (ErrorCode::NONE, configs),
            Err(error) => (error, Vec::new()),
        };
        DescribeConfigsResult {
            error_code,
            error_message: (!error_code.is_ok()).then(|| error_code.to_string().into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    });
    DescribeConfigsResponse {
        throttle_time_ms: context.throttle_ms(),
        results: results.collect(),
    }
}

/// A broker describes itself, and under no name what holds for all.
fn is_me(broker: i32, name: &str) -> bool {
    name.is_empty() || name.parse() == Ok(broker)
}

fn is_asked(resource: &DescribeConfigsResource, name: &str) -> bool {
    resource
        .configuration_keys
        .as_ref()
        .is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| *key == name))
}

fn topic(
    state: &State,
    resource: &DescribeConfigsResource,
    shown: Shown,
) -> Result<Vec<DescribeConfigsResourceResult>, ErrorCode> {
    if !is_valid_name(&resource.resource_name) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let topic = state
        .topics
        .get(&resource.resource_name)
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let configs = TOPIC_CONFIGS
        .iter()
        .filter(|of| is_asked(resource, of.name))
        .map(|of| described(of, topic.configs.set_value(of.name), shown));
    Ok(configs.collect())
}

fn described(
    of: &'static TopicConfig,
    set: Option<&str>,
    shown: Shown,
) -> DescribeConfigsResourceResult {
    let value = Text::from(set.unwrap_or(of.default));
    let synonym = |name, value: &Text, source| DescribeConfigsSynonym {
        name: Text::from_static(name),
        value: Some(value.clone()),
        source,
    };
    let mut synonyms = Vec::new();
    if shown.synonyms && set.is_some() {
        synonyms.push(synonym(of.name, &value, DYNAMIC_TOPIC_CONFIG));
    }
    if shown.synonyms && !of.synonym.is_empty() {
        let default = Text::from_static(of.default);
        if of.is_cluster_wide() {
            synonyms.push(synonym(of.name, &default, DYNAMIC_DEFAULT_BROKER_CONFIG));
        }
        synonyms.push(synonym(of.synonym, &default, DEFAULT_CONFIG));
    }
    DescribeConfigsResourceResult {
        name: Text::from_static(of.name),
        value: Some(value),
        config_source: of.source(set.is_some()),
        synonyms,
        config_type: of.kind as i8,
        documentation: shown
            .documentation
            .then(|| Text::from_static(of.documentation)),
        ..DescribeConfigsResourceResult::default()
    }
}

fn broker(
    state: &State,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ErrorCode> {
    let settings = &state.settings;
    let known: [(&'static str, String, Kind); 4] = [
        (
            "auto.create.topics.enable",
            settings.auto_create_topics.to_string(),
            Kind::Boolean,
        ),
        (
            "default.replication.factor",
            settings.replication_factor.to_string(),
            Kind::Int,
        ),
        (
            "fetch.max.bytes",
            settings.fetch_bytes_max.to_string(),
            Kind::Int,
        ),
        (
            "num.partitions",
            settings.partitions_default.to_string(),
            Kind::Int,
        ),
    ];
    let configs = known
        .into_iter()
        .filter(|(name, ..)| is_asked(resource, name))
        .map(|(name, value, kind)| DescribeConfigsResourceResult {
            name: Text::from_static(name),
            value: Some(Text::from(value)),
            read_only: true,
            config_source: STATIC_BROKER_CONFIG,
            config_type: kind as i8,
            documentation: None,
            ..DescribeConfigsResourceResult::default()
        });
    Ok(configs.collect())
}
