//! Creating and deleting topics.

use super::{Admin, no_answer, outcome};
use crate::client::connection::Connection;
use crate::client::error::Result;
use crate::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use crate::messages::delete_topics::DeleteTopicState;
use crate::messages::{CreateTopicsRequest, DeleteTopicsRequest, ErrorCode};
use crate::wire::Text;

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    name: String,
    partitions: i32,
    replication_factor: i16,
    configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic of this name with the brokers' defaults (KIP-464).
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            configs: Vec::new(),
        }
    }

    /// The number of partitions.
    #[must_use]
    pub fn partitions(mut self, count: i32) -> Self {
        self.partitions = count;
        self
    }

    /// The number of copies of each partition.
    #[must_use]
    pub fn replication_factor(mut self, count: i16) -> Self {
        self.replication_factor = count;
        self
    }

    /// A setting of the topic, such as `cleanup.policy`.
    #[must_use]
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.configs.push((name.to_owned(), value.to_owned()));
        self
    }

    fn wire(&self) -> CreatableTopic {
        CreatableTopic {
            name: Text::from(self.name.as_str()),
            num_partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: Text::from(name.as_str()),
                    value: Some(Text::from(value.as_str())),
                })
                .collect(),
            ..Default::default()
        }
    }
}

impl Admin {
    /// Creates a topic. It may take a moment until each broker knows it: [`Cluster::topic`](crate::client::Cluster::topic) waits for that.
    ///
    /// # Errors
    /// [`Error::Broker`](crate::client::Error::Broker): `TOPIC_ALREADY_EXISTS` (also after a lost answer to our own request), `INVALID_REPLICATION_FACTOR`, …
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<()> {
        let mut results = self.create_topics(std::slice::from_ref(topic)).await?;
        results
            .pop()
            .unwrap_or_else(|| Err(no_answer("topic", &topic.name)))
    }

    /// Creates topics; the results stand in the order of the topics.
    ///
    /// # Errors
    /// Of the whole; a topic's own error stands in its place.
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<Result<()>>> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(NewTopic::wire).collect(),
            timeout_ms: self.timeout().as_millis() as i32,
            validate_only: false,
        };
        self.retried(async |connection: Connection| {
            let response = connection.call(&request, 2 * self.timeout()).await?;
            let results: Vec<Result<()>> = topics
                .iter()
                .map(|topic| {
                    let found = response
                        .topics
                        .iter()
                        .find(|answer| answer.name == *topic.name);
                    found.map_or_else(
                        || Err(no_answer("topic", &topic.name)),
                        |answer| {
                            outcome(
                                || format!("creating topic {}", topic.name).into(),
                                answer.error_code,
                                answer.error_message.as_deref(),
                            )
                        },
                    )
                })
                .collect();
            again_if_all_may_pass(results)
        })
        .await
    }

    /// Deletes topics; the results stand in the order of the names.
    ///
    /// # Errors
    /// Of the whole; a topic's own error stands in its place: `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_DELETION_DISABLED`, …
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Vec<Result<()>>> {
        self.retried(async |connection: Connection| {
            let texts = names.iter().map(|name| Text::from(*name));
            let timeout_ms = self.timeout().as_millis() as i32;
            // By name in one way up to version 5, in another from version 6 on.
            let request = if connection.version_for::<DeleteTopicsRequest>() >= Some(6) {
                DeleteTopicsRequest {
                    topics: texts
                        .map(|name| DeleteTopicState {
                            name: Some(name),
                            ..Default::default()
                        })
                        .collect(),
                    timeout_ms,
                    ..Default::default()
                }
            } else {
                DeleteTopicsRequest {
                    topic_names: texts.collect(),
                    timeout_ms,
                    ..Default::default()
                }
            };
            let response = connection.call(&request, 2 * self.timeout()).await?;
            let results: Vec<Result<()>> = names
                .iter()
                .map(|name| {
                    let found = response
                        .responses
                        .iter()
                        .find(|answer| answer.name.as_deref() == Some(*name));
                    found.map_or_else(
                        || Err(no_answer("topic", name)),
                        |answer| {
                            outcome(
                                || format!("deleting topic {name}").into(),
                                answer.error_code,
                                answer.error_message.as_deref(),
                            )
                        },
                    )
                })
                .collect();
            // An unknown topic counts as something that may pass elsewhere; here it is the answer.
            let unknown = |result: &Result<()>| {
                matches!(result, Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
            };
            if results.iter().any(unknown) {
                return Ok(results);
            }
            again_if_all_may_pass(results)
        })
        .await
    }
}

/// Results of which every one may pass (a controller on the move) are one failure that may pass; mixed ones are what they are.
fn again_if_all_may_pass(mut results: Vec<Result<()>>) -> Result<Vec<Result<()>>> {
    let may_pass = |result: &Result<()>| matches!(result, Err(error) if error.is_retriable());
    if !results.is_empty()
        && results.iter().all(may_pass)
        && let Some(Err(error)) = results.pop()
    {
        return Err(error);
    }
    Ok(results)
}
