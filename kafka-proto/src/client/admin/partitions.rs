//! Partitions: more of them, where they begin and end, and records deleted from their beginning.

use std::collections::BTreeMap;

use super::{Admin, collect_results, no_answer, outcome};
use crate::client::cluster::{BrokerId, ListedOffset, OffsetSpec, Purpose, Topic};
use crate::client::config::IsolationLevel;
use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::messages::create_partitions::CreatePartitionsTopic;
use crate::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::messages::{CreatePartitionsRequest, DeleteRecordsRequest, ErrorCode};
use crate::wire::Text;

impl Admin {
    /// The names of all topics but Kafka's internal ones (`__consumer_offsets`), sorted.
    ///
    /// # Errors
    /// What goes wrong while asking.
    pub async fn list_topics(&self) -> Result<Vec<String>> {
        self.topic_names(|topic| !topic.is_internal).await
    }

    /// The names of all topics, Kafka's internal ones too, sorted.
    ///
    /// # Errors
    /// What goes wrong while asking.
    pub async fn list_all_topics(&self) -> Result<Vec<String>> {
        self.topic_names(|_| true).await
    }

    async fn topic_names(&self, is_wanted: impl Fn(&Topic) -> bool) -> Result<Vec<String>> {
        let metadata = self.cluster().refresh_all().await?;
        let wanted = metadata.topics().filter(|topic| is_wanted(topic));
        let mut names: Vec<String> = wanted.map(|topic| topic.name.to_string()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A topic's id, partitions, leaders and replicas, asked for now. Creates nothing.
    ///
    /// # Errors
    /// [`Error::Broker`]: `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_AUTHORIZATION_FAILED`, …
    pub async fn describe_topic(&self, name: &str) -> Result<Topic> {
        self.retried(async |_| {
            let metadata = self.cluster().look_at([name], false).await?;
            match metadata.topic(name) {
                Some(topic) => Ok((**topic).clone()),
                None => {
                    let code = metadata.topic_error(name);
                    let code = code.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                    Err(Error::broker(
                        format!("describing topic {name}"),
                        code,
                        None,
                    ))
                }
            }
        })
        .await
    }

    /// Gives a topic more partitions, up to `total`. Keys go to other partitions then.
    ///
    /// # Errors
    /// [`Error::Broker`]: `INVALID_PARTITIONS` if it has as many, `UNKNOWN_TOPIC_OR_PARTITION`, …
    pub async fn create_partitions(&self, topic: &str, total: i32) -> Result<()> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: Text::from(topic),
                count: total,
                assignments: None,
            }],
            timeout_ms: self.timeout().as_millis() as i32,
            validate_only: false,
        };
        self.retried(async |connection: Connection| {
            let response = connection.call(&request, 2 * self.timeout()).await?;
            let found = response.results.iter().find(|found| found.name == *topic);
            let found = found.ok_or_else(|| no_answer("topic", topic))?;
            outcome(
                || format!("adding partitions to topic {topic}").into(),
                found.error_code,
                found.error_message.as_deref(),
            )
        })
        .await
    }

    /// Offsets of partitions by their place or by time; the answers stand in the order of the questions.
    ///
    /// # Errors
    /// As [`Cluster::list_offsets`](crate::client::Cluster::list_offsets).
    pub async fn list_offsets(
        &self,
        questions: &[(&str, i32, OffsetSpec)],
        isolation: IsolationLevel,
    ) -> Result<Vec<Result<ListedOffset>>> {
        let mut topics: Vec<&str> = questions.iter().map(|(topic, ..)| *topic).collect();
        topics.dedup();
        let limit = self.limit();
        let what = || "looking up topics".to_owned();
        let looked_up = self.cluster().look_at(topics, false);
        limit.bound(what, looked_up).await?;
        let listed = self
            .cluster()
            .list_offsets_by(questions, isolation, Purpose::Metadata, limit);
        listed.await
    }

    /// Deletes the records of partitions before an offset (−1: all that are acknowledged by all replicas); gives the offsets at which the
    /// partitions begin now, in the order of the questions (KIP-107).
    ///
    /// # Errors
    /// Of the whole; a partition's own error stands in its place: `OFFSET_OUT_OF_RANGE`, `POLICY_VIOLATION` for compacted topics, …
    pub async fn delete_records(&self, before: &[(&str, i32, i64)]) -> Result<Vec<Result<i64>>> {
        let call = self.for_one_call();
        for (topic, ..) in before {
            call.describe_topic(topic).await?;
        }
        let metadata = self.cluster().metadata();
        let mut by_leader: BTreeMap<Option<BrokerId>, Vec<(&str, i32, i64)>> = BTreeMap::new();
        for (topic, partition, offset) in before {
            let leader = metadata.leader(topic, *partition).map(|(leader, _)| leader);
            by_leader
                .entry(leader)
                .or_default()
                .push((topic, *partition, *offset));
        }
        let mut answers: BTreeMap<(&str, i32), Result<i64>> = BTreeMap::new();
        for (leader, questions) in by_leader {
            let Some(leader) = leader else { continue };
            let found = call
                .retried_at(leader, async |connection: Connection| {
                    self.delete_at_leader(&connection, &questions).await
                })
                .await;
            for (at, (topic, partition, _)) in questions.iter().enumerate() {
                let answer = match &found {
                    Ok(answers) => answers[at].clone(),
                    Err(error) => Err(error.clone()),
                };
                answers.insert((topic, *partition), answer);
            }
        }
        Ok(collect_results(before, |(topic, partition, _)| {
            let answer = answers.get(&(*topic, *partition)).cloned();
            answer.unwrap_or_else(|| {
                let what = format!("deleting records of {topic}-{partition}");
                Err(Error::broker(what, ErrorCode::LEADER_NOT_AVAILABLE, None))
            })
        }))
    }

    async fn delete_at_leader(
        &self,
        connection: &Connection,
        questions: &[(&str, i32, i64)],
    ) -> Result<Vec<Result<i64>>> {
        let topics = questions.iter().map(|(name, partition_index, offset)| {
            let partition = DeleteRecordsPartition {
                partition_index: *partition_index,
                offset: *offset,
            };
            DeleteRecordsTopic {
                name: Text::from(*name),
                partitions: vec![partition],
            }
        });
        let request = DeleteRecordsRequest {
            topics: topics.collect(),
            timeout_ms: self.timeout().as_millis() as i32,
        };
        let response = connection.call(&request, 2 * self.timeout()).await?;
        Ok(collect_results(questions, |(topic, partition, _)| {
            let mut of_topic = response.topics.iter().filter(|found| found.name == **topic);
            let found = of_topic.find_map(|found| {
                let mut all = found.partitions.iter();
                all.find(|found| found.partition_index == *partition)
            });
            let found = found.ok_or_else(|| no_answer("partition", topic))?;
            let what = || format!("deleting records of {topic}-{partition}").into();
            outcome(what, found.error_code, None)?;
            Ok(found.low_watermark)
        }))
    }
}
