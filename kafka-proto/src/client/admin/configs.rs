//! Settings of topics.

use std::collections::BTreeMap;

use super::{Admin, outcome};
use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::messages::describe_configs::DescribeConfigsResource;
use crate::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use crate::messages::{DescribeConfigsRequest, ErrorCode, IncrementalAlterConfigsRequest};
use crate::wire::Text;

/// Topics among the things that have settings.
const TOPIC: i8 = 2;

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its value; `None` if it has none or it is a secret.
    pub value: Option<String>,
    /// Whether it was set for this topic, as opposed to inherited from the brokers or the default.
    pub is_own: bool,
}

/// Where a setting comes from: the topic itself.
const DYNAMIC_TOPIC_CONFIG: i8 = 1;

impl Admin {
    /// The settings of a topic, inherited ones included.
    ///
    /// # Errors
    /// [`Error::Broker`]: `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_AUTHORIZATION_FAILED`.
    pub async fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, ConfigEntry>> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC,
                resource_name: Text::from(topic),
                configuration_keys: None,
            }],
            ..Default::default()
        };
        self.retried(async |connection: Connection| {
            let response = connection.call(&request, self.timeout()).await?;
            let Some(found) = response.results.first() else {
                return Err(no_answer(topic));
            };
            outcome(
                || format!("reading the settings of topic {topic}").into(),
                found.error_code,
                found.error_message.as_deref(),
            )?;
            let entries = found.configs.iter().map(|config| {
                let entry = ConfigEntry {
                    value: config.value.as_deref().map(str::to_owned),
                    is_own: config.config_source == DYNAMIC_TOPIC_CONFIG,
                };
                (config.name.to_string(), entry)
            });
            Ok(entries.collect())
        })
        .await
    }

    /// Changes settings of a topic; `None` takes one away, so that it is inherited again (KIP-339).
    ///
    /// # Errors
    /// [`Error::Broker`]: `INVALID_CONFIG`, `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_AUTHORIZATION_FAILED`.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        changes: &[(&str, Option<&str>)],
    ) -> Result<()> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: TOPIC,
                resource_name: Text::from(topic),
                configs: changes
                    .iter()
                    .map(|(name, value)| AlterableConfig {
                        name: Text::from(*name),
                        config_operation: if value.is_some() { SET } else { DELETE },
                        value: value.map(Text::from),
                    })
                    .collect(),
            }],
            validate_only: false,
        };
        self.retried(async |connection: Connection| {
            let response = connection.call(&request, self.timeout()).await?;
            let Some(found) = response.responses.first() else {
                return Err(no_answer(topic));
            };
            outcome(
                || format!("changing the settings of topic {topic}").into(),
                found.error_code,
                found.error_message.as_deref(),
            )
        })
        .await
    }
}

fn no_answer(topic: &str) -> Error {
    Error::broker(
        format!("asking for the settings of topic {topic}"),
        ErrorCode::UNKNOWN_SERVER_ERROR,
        Some("the answer does not mention the topic"),
    )
}
