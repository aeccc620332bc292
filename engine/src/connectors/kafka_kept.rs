//! Positions of sources that are not Kafka's, beside the state: a compacted topic of one partition, `<application id>-positions`.
//!
//! ```text
//! record key    00   whose they are, first record: JSON, as in changelogs
//!               01   the positions as of the last commit, all of them
//! ```
//! They are written when the outputs and changelogs of an epoch are acknowledged. A crash before leaves those of the epoch before: what
//! was read since is read again, as of topics.

use kafka_proto::client::{
    FetchedBatches, Fetcher, IsolationLevel, OffsetReset, OffsetSpec, Purpose, Start,
};

use super::kafka::{Kafka, failed};
use super::kafka_reset::DECOMPRESSED_BYTES_MAX;
use super::kafka_source::POLL;
use super::kafka_topics::{self, Created};
use super::memory::now_ms;
use crate::Error;
use crate::batch::{Decompressor, Frame, InputPartition};
use crate::checkpoint::changelog::{self, IDENTITY_KEY};
use crate::checkpoint::log::Need;

/// The key of the positions.
const POSITIONS_KEY: &[u8] = &[1];

impl Kafka {
    /// What was kept last, from a topic that is made if it is not there.
    pub(super) async fn read_kept(&self) -> Result<Option<Vec<u8>>, Error> {
        let topic = self.kept_topic.as_str();
        let doing = || format!("reading the positions in topic {topic}");
        let need = [(topic.to_owned(), Need::Changelog { partitions: 1 })];
        let created = Created {
            replication_factor: self.replication_factor,
            auto_create: self.auto_create,
            partitions: 1,
        };
        kafka_topics::open(&self.cluster, &need, created, &self.internal_configs).await?;
        self.cluster
            .refresh(&[topic])
            .await
            .map_err(|e| failed(doing(), e))?;
        let isolation = IsolationLevel::ReadUncommitted;
        let mut bounds = Vec::new();
        for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
            let asked = [(topic, 0, spec)];
            let listed = self
                .cluster
                .list_offsets(&asked, isolation, Purpose::Metadata);
            let listed = listed.await.map_err(|e| failed(doing(), e))?;
            for listed in listed {
                let listed = listed.map_err(|e| failed(doing(), e))?;
                bounds.push(listed.offset.unwrap_or(0));
            }
        }
        let [mut position, end] = bounds[..] else {
            return Ok(None);
        };
        if position == end {
            let identity = changelog::identity_of_positions(&self.application_id);
            self.write_kept(IDENTITY_KEY, &identity).await?;
            return Ok(None);
        }
        let (mut owner, mut kept) = (None, None);
        let mut fetcher = Fetcher::new(&self.cluster).with_reset(OffsetReset::None);
        fetcher.assign(topic, 0, Start::Offset(position));
        let mut decompressor = Decompressor::new(DECOMPRESSED_BYTES_MAX);
        while position < end {
            let fetched: FetchedBatches = fetcher
                .poll_batches(POLL)
                .await
                .map_err(|e| failed(doing(), e))?;
            for mut fetched in fetched {
                while let Some(held) = fetched.next_batch().map_err(|e| failed(doing(), e))? {
                    let batch = held.batch();
                    let damaged = |_| {
                        let at = batch.base_offset();
                        Error::State(format!(
                            "topic {topic} offset {at}: a batch that cannot be read"
                        ))
                    };
                    let body = batch.uncompressed(&mut decompressor).map_err(damaged)?;
                    let frame = Frame::new(InputPartition::single(0), batch, body, position);
                    for record in frame.records() {
                        let record = record.map_err(damaged)?;
                        match record.key {
                            Some(IDENTITY_KEY) => owner = record.value.and_then(changelog::owner),
                            Some(POSITIONS_KEY) => kept = record.value.map(<[u8]>::to_vec),
                            _ => {}
                        }
                    }
                }
                position = fetched.position();
            }
        }
        match owner {
            Some((id, _)) if id == self.application_id => Ok(kept),
            Some((id, _)) => Err(Error::State(format!(
                "topic {topic} holds the positions of application {id}, here it is {}; set another internal.topic.prefix",
                self.application_id
            ))),
            None => Err(Error::State(format!(
                "topic {topic} was not written by this engine; set another internal.topic.prefix or application.id (--group-id)"
            ))),
        }
    }

    pub(super) async fn keep(&self, positions: &[u8]) -> Result<(), Error> {
        self.write_kept(POSITIONS_KEY, positions).await
    }

    async fn write_kept(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let topic = self.kept_topic.as_str();
        let doing = || format!("writing positions to topic {topic}");
        let producer = self.producer();
        let mut batch = producer.open_batch(topic, 0);
        batch
            .append(now_ms(), Some(key), Some(value), &[])
            .map_err(|e| Error::State(format!("{}: {e}", doing())))?;
        let delivery = producer.submit(batch).await;
        let delivery = delivery.map_err(|e| failed(doing(), e))?;
        delivery.await.map(drop).map_err(|e| failed(doing(), e))
    }
}
