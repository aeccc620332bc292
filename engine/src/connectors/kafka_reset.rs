//! What an application keeps in Kafka: its group's offsets and its internal topics. Looked up, and removed.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_proto::client::{
    self, Admin, Cluster, FetchedBatches, Fetcher, IsolationLevel, OffsetReset, OffsetSpec,
    Purpose, Start,
};
use kafka_proto::messages::ErrorCode;

use super::kafka::failed;
use crate::Error;
use crate::batch::{Decompressor, Frame, InputPartition};
use crate::checkpoint::changelog::{self, IDENTITY_KEY};

/// How long topics that are deleted may go on being listed.
const GONE_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks whether they are.
const LOOK: Duration = Duration::from_millis(50);
/// The identity is among the first records of a partition, so no more of them are read.
const RECORDS_MAX: usize = 10_000;
/// A batch of a changelog holds no more than this.
pub(super) const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// The part of an application that is in Kafka.
pub(crate) struct Remote {
    cluster: Cluster,
    /// Internal topics begin with it: the application's id, unless it was set.
    prefix: Option<String>,
    /// The group, if there is one: number of partitions with a committed offset, by topic.
    pub(super) group: Option<BTreeMap<String, usize>>,
    /// To be deleted, sorted.
    pub(super) topics: Vec<String>,
    /// Named like internal topics, and why they are kept.
    pub(super) kept: Vec<(String, String)>,
}

/// Whose topic it is.
enum Owner {
    /// The application's.
    Mine,
    /// Somebody else's, or nobody knows.
    Other(String),
}

impl Remote {
    /// # Errors
    /// When the settings are wrong or no broker answers.
    pub(crate) async fn connect(
        properties: &BTreeMap<String, String>,
        prefix: Option<String>,
    ) -> Result<Self, Error> {
        let config = client::Config::from_properties(properties)
            .map_err(|e| Error::Settings(e.to_string()))?;
        let cluster = Cluster::connect(config)
            .await
            .map_err(|e| failed("connecting", e))?;
        Ok(Self {
            cluster,
            prefix,
            group: None,
            topics: Vec::new(),
            kept: Vec::new(),
        })
    }

    /// Looks at what there is.
    ///
    /// # Errors
    /// While the group has members.
    pub(super) async fn look(&mut self, application_id: &str) -> Result<(), Error> {
        let admin = Admin::new(&self.cluster);
        match admin.describe_group(application_id).await {
            Ok(group) if !group.members.is_empty() => {
                let member = |m: &client::MemberDescription| {
                    format!("{} at {}", m.client_id, m.host.trim_start_matches('/'))
                };
                let members: Vec<String> = group.members.iter().map(member).collect();
                return Err(Error::State(format!(
                    "group {application_id} has {} ({}): stop every process of the application first; one that was killed is a member until its session.timeout.ms has passed",
                    if members.len() == 1 {
                        "a member".to_owned()
                    } else {
                        format!("{} members", members.len())
                    },
                    members.join(", ")
                )));
            }
            // Old brokers say so of a group that is not there.
            Ok(group) if group.state == "Dead" => {}
            Ok(_) => {
                let doing = || format!("reading the committed positions of group {application_id}");
                let offsets = admin
                    .group_offsets(application_id)
                    .await
                    .map_err(|e| failed(doing(), e))?;
                let positions = self.group.insert(BTreeMap::new());
                for partition in offsets.keys() {
                    *positions.entry(partition.topic.to_string()).or_default() += 1;
                }
            }
            Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => {}
            Err(error) => return Err(failed(format!("describing group {application_id}"), error)),
        }
        let names = admin
            .list_topics()
            .await
            .map_err(|e| failed("listing the topics", e))?;
        let prefix = self.prefix.as_deref().unwrap_or(application_id).to_owned();
        for name in names {
            if !changelog::may_be_of(&prefix, &name) {
                continue;
            }
            match self.owner(application_id, &prefix, &name).await? {
                Owner::Mine => self.topics.push(name),
                Owner::Other(why) => self.kept.push((name, why)),
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.group.is_none() && self.topics.is_empty()
    }

    pub(super) fn positions(&self) -> Vec<(&str, usize)> {
        let positions = self.group.iter().flatten();
        positions
            .map(|(topic, partitions)| (topic.as_str(), *partitions))
            .collect()
    }

    /// Whose topic it is, as its identity record says: the name alone could be that of another application, whose id goes on with '-'.
    async fn owner(&self, application_id: &str, prefix: &str, topic: &str) -> Result<Owner, Error> {
        let Some(bytes) = self.identity(topic).await? else {
            return Ok(Owner::Other(
                "no record in it says whose it is; delete it by hand if it is this application's (kafka-topics --delete --topic …)"
                    .to_owned(),
            ));
        };
        Ok(match changelog::owner(&bytes) {
            Some((id, operator)) if id == application_id => {
                if changelog::internal_topic(prefix, &operator) == topic {
                    Owner::Mine
                } else {
                    Owner::Other(format!("it is a copy: its state is of operator {operator}"))
                }
            }
            Some((id, _)) => Owner::Other(format!("it belongs to application {id}")),
            None => Owner::Other("it was not written by this engine".to_owned()),
        })
    }

    /// The first identity record of a topic, whichever partition holds one.
    async fn identity(&self, topic: &str) -> Result<Option<Vec<u8>>, Error> {
        let doing = || format!("looking whose topic {topic} is");
        let admin = Admin::new(&self.cluster);
        let described = match admin.describe_topic(topic).await {
            // Somebody else has deleted it.
            Err(e) if e.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => return Ok(None),
            described => described.map_err(|e| failed(doing(), e))?,
        };
        let count = described.partitions.len() as i32;
        let list = async |spec: OffsetSpec| {
            let asked: Vec<_> = (0..count).map(|p| (topic, p, spec)).collect();
            self.cluster
                .list_offsets(&asked, IsolationLevel::ReadUncommitted, Purpose::Metadata)
                .await
                .map_err(|e| failed(doing(), e))
        };
        let starts = list(OffsetSpec::Earliest).await?;
        let ends = list(OffsetSpec::Latest).await?;
        for ((partition, start), end) in (0..count).zip(starts).zip(ends) {
            let start = start.map_err(|e| failed(doing(), e))?.offset.unwrap_or(0);
            let end = end.map_err(|e| failed(doing(), e))?.offset.unwrap_or(0);
            if let Some(found) = self.identity_in(topic, partition, start, end).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first identity record between two offsets: it stands first, unless another process wrote one at the same time.
    async fn identity_in(
        &self,
        topic: &str,
        partition: i32,
        start: i64,
        end: i64,
    ) -> Result<Option<Vec<u8>>, Error> {
        if start >= end {
            return Ok(None);
        }
        let mut fetcher = Fetcher::new(&self.cluster).with_reset(OffsetReset::None);
        fetcher.assign(topic, partition, Start::Offset(start));
        let mut decompressor = Decompressor::new(DECOMPRESSED_BYTES_MAX);
        let (mut position, mut records_read) = (start, 0);
        while position < end && records_read < RECORDS_MAX {
            let fetched: FetchedBatches = fetcher
                .poll_batches(LOOK)
                .await
                .map_err(|e| failed(format!("looking whose topic {topic} is"), e))?;
            for mut fetched in fetched {
                let mut next = || {
                    fetched
                        .next_batch()
                        .map_err(|e| failed(format!("looking whose topic {topic} is"), e))
                };
                while let Some(held) = next()? {
                    let batch = held.batch();
                    let Ok(body) = batch.uncompressed(&mut decompressor) else {
                        continue;
                    };
                    let frame = Frame::new(InputPartition::single(partition), batch, body, start);
                    for record in frame.records().flatten() {
                        if record.key == Some(IDENTITY_KEY) {
                            return Ok(record.value.map(<[u8]>::to_vec));
                        }
                        records_read += 1;
                    }
                }
                position = fetched.position();
            }
        }
        Ok(None)
    }

    /// Removes the group, then the topics.
    ///
    /// # Errors
    /// While the group has members: then nothing is removed. When topics cannot be deleted: they are named.
    pub(super) async fn remove(&self, application_id: &str) -> Result<(), Error> {
        let admin = Admin::new(&self.cluster);
        match admin.delete_groups(&[application_id]).await.pop() {
            None | Some(Ok(())) => {}
            Some(Err(error)) => match error.code() {
                Some(ErrorCode::GROUP_ID_NOT_FOUND) => {}
                Some(ErrorCode::NON_EMPTY_GROUP) => {
                    return Err(Error::State(format!(
                        "a process of {application_id} has started meanwhile: nothing was removed; stop it first"
                    )));
                }
                _ => return Err(failed(format!("deleting group {application_id}"), error)),
            },
        }
        if self.topics.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let results = admin
            .delete_topics(&names)
            .await
            .map_err(|e| failed(format!("deleting topics {}", names.join(", ")), e))?;
        for result in results {
            match result {
                Ok(()) => {}
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {}
                Err(error) => {
                    return Err(failed(
                        format!(
                            "removing what {application_id} has left in Kafka (its positions are gone; repeat the reset when this is mended)"
                        ),
                        error,
                    ));
                }
            }
        }
        self.until_gone(&admin).await
    }

    /// Waits until no broker lists the topics, so that the next start makes them anew.
    async fn until_gone(&self, admin: &Admin) -> Result<(), Error> {
        let gone = async {
            loop {
                let listed = admin.list_topics().await;
                let listed = listed.map_err(|e| failed("listing the topics", e))?;
                if !self.topics.iter().any(|name| listed.contains(name)) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(GONE_TIMEOUT, gone)
            .await
            .unwrap_or_else(|_| {
                Err(Error::State(format!(
                    "the brokers have accepted that {} are deleted, and still list them after {} s (delete.topic.enable?): repeat the reset",
                    self.topics.join(", "),
                    GONE_TIMEOUT.as_secs()
                )))
            })
    }
}
