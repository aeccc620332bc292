//! Settings of topics, brokers and groups.

use std::collections::BTreeMap;

use super::{Admin, no_answer, outcome};
use crate::client::cluster::BrokerId;
use crate::client::connection::Connection;
use crate::client::error::Result;
use crate::messages::describe_configs::DescribeConfigsResource;
use crate::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use crate::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use crate::wire::Text;

/// Something that has settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigResource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A broker: settings that hold for it alone, and those of its file.
    Broker(BrokerId),
    /// A group (KIP-848).
    Group(&'a str),
}

impl ConfigResource<'_> {
    /// The kind as it stands in requests.
    fn kind(self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
            Self::Group(_) => 32,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Topic(name) | Self::Group(name) => name.to_owned(),
            Self::Broker(id) => id.to_string(),
        }
    }

    /// Where a setting of its own comes from, as it stands in answers.
    fn own_source(self) -> i8 {
        match self {
            Self::Topic(_) => 1,
            Self::Broker(_) => 2,
            Self::Group(_) => 8,
        }
    }
}

impl std::fmt::Display for ConfigResource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its value; `None` if it has none or it is a secret.
    pub value: Option<String>,
    /// Whether it was set for just this resource, as opposed to inherited from the brokers or the default.
    pub is_own: bool,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// Whether it is a secret, which brokers do not tell.
    pub is_sensitive: bool,
}

impl Admin {
    /// The settings of a topic, a broker or a group, inherited ones included.
    ///
    /// # Errors
    /// [`Error::Broker`](crate::client::Error::Broker): `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_AUTHORIZATION_FAILED`, …
    pub async fn configs(
        &self,
        resource: ConfigResource<'_>,
    ) -> Result<BTreeMap<String, ConfigEntry>> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind(),
                resource_name: Text::from(resource.name().as_str()),
                configuration_keys: None,
            }],
            ..Default::default()
        };
        self.at_resource(resource, async |connection: Connection| {
            let response = connection.call(&request, self.timeout()).await?;
            let found = response.results.first();
            let found = found.ok_or_else(|| no_answer("settings of", &resource.to_string()))?;
            outcome(
                || format!("reading the settings of {resource}").into(),
                found.error_code,
                found.error_message.as_deref(),
            )?;
            let entries = found.configs.iter().map(|config| {
                let entry = ConfigEntry {
                    value: config.value.as_deref().map(str::to_owned),
                    is_own: config.config_source == resource.own_source(),
                    is_read_only: config.read_only,
                    is_sensitive: config.is_sensitive,
                };
                (config.name.to_string(), entry)
            });
            Ok(entries.collect())
        })
        .await
    }

    /// Changes settings of a topic, a broker or a group; `None` takes one away, so that it is inherited again (KIP-339).
    ///
    /// # Errors
    /// [`Error::Broker`](crate::client::Error::Broker): `INVALID_CONFIG`, `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_AUTHORIZATION_FAILED`, …
    pub async fn alter_configs(
        &self,
        resource: ConfigResource<'_>,
        changes: &[(&str, Option<&str>)],
    ) -> Result<()> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let changes = changes.iter().map(|(name, value)| AlterableConfig {
            name: Text::from(*name),
            config_operation: if value.is_some() { SET } else { DELETE },
            value: value.map(Text::from),
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.kind(),
                resource_name: Text::from(resource.name().as_str()),
                configs: changes.collect(),
            }],
            validate_only: false,
        };
        self.at_resource(resource, async |connection: Connection| {
            let response = connection.call(&request, self.timeout()).await?;
            let found = response.responses.first();
            let found = found.ok_or_else(|| no_answer("settings of", &resource.to_string()))?;
            outcome(
                || format!("changing the settings of {resource}").into(),
                found.error_code,
                found.error_message.as_deref(),
            )
        })
        .await
    }

    /// The settings of a topic: [`Admin::configs`] of it.
    ///
    /// # Errors
    /// As there.
    pub async fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, ConfigEntry>> {
        self.configs(ConfigResource::Topic(topic)).await
    }

    /// Changes settings of a topic: [`Admin::alter_configs`] of it.
    ///
    /// # Errors
    /// As there.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        changes: &[(&str, Option<&str>)],
    ) -> Result<()> {
        self.alter_configs(ConfigResource::Topic(topic), changes)
            .await
    }

    /// A broker is asked itself about its settings; everything else any broker knows.
    async fn at_resource<T>(
        &self,
        resource: ConfigResource<'_>,
        operation: impl AsyncFn(Connection) -> Result<T>,
    ) -> Result<T> {
        match resource {
            ConfigResource::Broker(id) => self.retried_at(id, operation).await,
            _ => self.retried(operation).await,
        }
    }
}
