//! Where partitions begin and end, and which offset a time stands for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::state::BrokerId;
use super::{Cluster, Purpose};
use crate::client::config::IsolationLevel;
use crate::client::deadline::Deadline;
use crate::client::error::{Error, Result};
use crate::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use crate::messages::{ErrorCode, ListOffsetsRequest};
use crate::wire::Text;

/// Which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that is there.
    Earliest,
    /// The one behind the last: the high watermark, or under read_committed the last stable offset.
    Latest,
    /// The first whose timestamp is at least this, in milliseconds since 1970.
    AtOrAfter(i64),
    /// The one of the record with the largest timestamp (KIP-734).
    MaxTimestamp,
}

impl OffsetSpec {
    fn wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            // Negative times would be taken for one of the words above.
            Self::AtOrAfter(time) => time.max(0),
        }
    }
}

/// An offset that a leader named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset; `None` if no record is as young as the time asked for.
    pub offset: Option<i64>,
    /// The record's timestamp where a time was asked for, else -1.
    pub timestamp: i64,
    /// The leader epoch of the record, -1 if unknown.
    pub leader_epoch: i32,
}

impl Cluster {
    /// Asks the leaders for offsets; the answers stand in the order of the questions.
    ///
    /// What may pass (a leader on the move, a broker that restarts) is tried again for `default.api.timeout.ms`. `purpose` says which
    /// connection is used: a fetcher that is about to start saves one by its own. Safe to drop.
    ///
    /// # Errors
    /// Of the whole, when it makes no sense to go on. A partition's own error, with topic and partition, stands in its place.
    pub async fn list_offsets(
        &self,
        questions: &[(&str, i32, OffsetSpec)],
        isolation: IsolationLevel,
        purpose: Purpose,
    ) -> Result<Vec<Result<ListedOffset>>> {
        let deadline = Deadline::of_api(&self.inner.config);
        self.list_offsets_by(questions, isolation, purpose, deadline)
            .await
    }

    /// As [`Cluster::list_offsets`], within the time of a larger operation.
    pub(crate) async fn list_offsets_by(
        &self,
        questions: &[(&str, i32, OffsetSpec)],
        isolation: IsolationLevel,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<Vec<Result<ListedOffset>>> {
        let mut answers: Vec<Option<Result<ListedOffset>>> = vec![None; questions.len()];
        let mut failures = 0;
        loop {
            let open: Vec<usize> = (0..questions.len())
                .filter(|index| {
                    answers[*index]
                        .as_ref()
                        .is_none_or(|answer| matches!(answer, Err(error) if error.is_retriable()))
                })
                .collect();
            let out_of_time =
                failures > 0 && Instant::now() + self.retry_delay(failures) >= deadline.at();
            if open.is_empty() || out_of_time {
                break;
            }
            if failures > 0 {
                tokio::time::sleep(self.retry_delay(failures)).await;
            }
            let round = async {
                if failures > 0 {
                    let topics = open.iter().map(|index| questions[*index].0);
                    // What fails here shows in the answers.
                    drop(self.look_at(topics, false).await);
                }
                self.list_once(questions, &open, isolation, purpose, &mut answers)
                    .await;
            };
            if timeout_at(deadline.at(), round).await.is_err() {
                break;
            }
            failures += 1;
        }
        Ok(answers
            .into_iter()
            .zip(questions)
            .map(|(answer, (topic, partition, _))| {
                let what = || format!("listing offsets of {topic}-{partition}");
                answer.unwrap_or_else(|| Err(deadline.over(what())))
            })
            .collect())
    }

    /// Asks once: for who asks again by itself, and can use each answer without waiting for the others.
    pub(crate) async fn list_offsets_once(
        &self,
        questions: &[(&str, i32, OffsetSpec)],
        isolation: IsolationLevel,
        purpose: Purpose,
    ) -> Vec<Result<ListedOffset>> {
        let mut answers: Vec<Option<Result<ListedOffset>>> = vec![None; questions.len()];
        let all: Vec<usize> = (0..questions.len()).collect();
        self.list_once(questions, &all, isolation, purpose, &mut answers)
            .await;
        let answers = answers.into_iter().zip(questions);
        let answer = |(answer, question): (Option<_>, &(&str, i32, OffsetSpec))| {
            answer.unwrap_or_else(|| Err(no_leader(question.0, question.1)))
        };
        answers.map(answer).collect()
    }

    /// One round of questions to all leaders at once.
    async fn list_once(
        &self,
        questions: &[(&str, i32, OffsetSpec)],
        open: &[usize],
        isolation: IsolationLevel,
        purpose: Purpose,
        answers: &mut [Option<Result<ListedOffset>>],
    ) {
        let metadata = self.metadata();
        // A partition may stand in a request only once: its second question goes into another one.
        let mut asked: HashMap<(&str, i32), usize> = HashMap::new();
        let mut by_leader: BTreeMap<(BrokerId, usize), Vec<usize>> = BTreeMap::new();
        for index in open {
            let (topic, partition, _) = questions[*index];
            match metadata.leader(topic, partition) {
                Some((leader, _)) => {
                    let times = asked.entry((topic, partition)).or_default();
                    by_leader.entry((leader, *times)).or_default().push(*index);
                    *times += 1;
                }
                None => {
                    let known = metadata.topic(topic).map(|topic| topic.partitions.len());
                    let outside = known.filter(|count| {
                        usize::try_from(partition).map_or(true, |index| index >= *count)
                    });
                    answers[*index] = Some(Err(match outside {
                        Some(count) => Error::NoSuchPartition {
                            topic: topic.into(),
                            partition,
                            count,
                        },
                        None => no_leader(topic, partition),
                    }));
                }
            }
        }
        let mut pending = Vec::new();
        for ((leader, _), indexes) in by_leader {
            let sent = match self.connection(leader, purpose).await {
                Ok(connection) => {
                    let request = request(questions, &indexes, isolation, &metadata);
                    connection.send(&request, self.inner.config.request_timeout())
                }
                Err(error) => Err(error),
            };
            pending.push((indexes, sent));
        }
        for (indexes, sent) in pending {
            let response = match sent {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            for index in indexes {
                let (topic, partition, _) = questions[index];
                answers[index] = Some(match &response {
                    Err(error) => Err(error.clone()),
                    Ok(response) => {
                        let found = response
                            .topics
                            .iter()
                            .filter(|answer| answer.name == *topic)
                            .flat_map(|answer| &answer.partitions)
                            .find(|answer| answer.partition_index == partition);
                        match found {
                            None => Err(no_leader(topic, partition)),
                            Some(answer) if !answer.error_code.is_ok() => Err(Error::broker(
                                format!("listing offsets of {topic}-{partition}"),
                                answer.error_code,
                                None,
                            )),
                            Some(answer) => Ok(ListedOffset {
                                offset: (answer.offset >= 0).then_some(answer.offset),
                                timestamp: answer.timestamp,
                                leader_epoch: answer.leader_epoch,
                            }),
                        }
                    }
                });
            }
        }
    }
}

fn no_leader(topic: &str, partition: i32) -> Error {
    Error::broker(
        format!("listing offsets of {topic}-{partition}"),
        ErrorCode::LEADER_NOT_AVAILABLE,
        None,
    )
}

fn request(
    questions: &[(&str, i32, OffsetSpec)],
    indexes: &[usize],
    isolation: IsolationLevel,
    metadata: &Arc<super::Metadata>,
) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for index in indexes {
        let (topic, partition, spec) = questions[*index];
        let epoch = metadata
            .leader(topic, partition)
            .map_or(-1, |(_, epoch)| epoch);
        topics.entry(topic).or_default().push(ListOffsetsPartition {
            partition_index: partition,
            current_leader_epoch: epoch,
            timestamp: spec.wire(),
        });
    }
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.wire(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic {
                name: Text::from(name),
                partitions,
            })
            .collect(),
        ..Default::default()
    }
}
