//! Writes to Kafka for one worker: batches that were filled elsewhere go to the process's one producer, fetched ones go on whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_proto::client::{self, Cluster, Producer};
use kafka_proto::messages::ErrorCode;

use super::kafka::failed;
use super::kafka_guard::{Guarded, Letters, Topic};
use super::kafka_places::Places;
use super::kafka_source::KafkaWorker;
use super::kafka_topics::{self, Created};
use super::lease::Lease;
use crate::Error;
use crate::batch::sink::Destination;
use crate::batch::{Batch, BatchBuilder, Compression, Stamp};
use crate::checkpoint::log::{Ack, Guard, Need, Place, Sink};

/// Emptied builders kept for the next batches.
const SPARE_MAX: usize = 32;

/// One worker's writer.
pub(crate) struct KafkaSink {
    cluster: Cluster,
    producer: Producer,
    lease: Lease,
    topics: Arc<Places>,
    /// Topics that records have asked for: they stand behind the run's own.
    opened: Vec<Arc<str>>,
    created: Created,
    batch_bytes_max: usize,
    compression: Compression,
    spare: Vec<BatchBuilder>,
    /// Topics that guarded batches are written to, by their index.
    guarded: BTreeMap<usize, Topic>,
    /// Whose turn it is to write to a partition of those: the next batch when the one before is acknowledged.
    turns: BTreeMap<Place, Arc<tokio::sync::Mutex<()>>>,
}

/// Ends a delivery that nobody waits for any more.
struct Delivering(tokio::task::JoinHandle<Result<(), Error>>);

impl Drop for Delivering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl KafkaSink {
    pub(super) fn new(worker: &KafkaWorker) -> Self {
        Self {
            cluster: worker.cluster.clone(),
            producer: worker.producer.clone(),
            lease: worker.lease.clone(),
            topics: Arc::clone(&worker.topics),
            opened: Vec::new(),
            created: worker.created,
            batch_bytes_max: worker.batch_bytes_max,
            compression: worker.compression,
            spare: Vec::new(),
            guarded: BTreeMap::new(),
            turns: BTreeMap::new(),
        }
    }

    /// A topic that guarded batches go to, looked up once.
    async fn guarded(&mut self, topic: usize) -> Result<Topic, Error> {
        if let Some(known) = self.guarded.get(&topic) {
            return Ok(known.clone());
        }
        let name = self.name(Place::single(topic, 0))?;
        let found = Topic::look_up(&self.cluster, name).await;
        self.guarded.insert(topic, found.clone());
        Ok(found)
    }

    fn keep_spare(&mut self, batch: BatchBuilder) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch.with_limit(self.batch_bytes_max));
        }
    }

    fn name(&self, place: Place) -> Result<Arc<str>, Error> {
        let opened = place.topic.checked_sub(self.topics.len());
        let name = match opened {
            Some(at) => self.opened.get(at),
            None => self.topics.name(place),
        };
        name.map(Arc::clone).ok_or_else(|| {
            Error::State(format!(
                "topic {} of this run was never opened",
                place.topic
            ))
        })
    }
}

impl Sink for KafkaSink {
    async fn open(&mut self, topic: &str) -> Result<(usize, i32), Error> {
        self.lease.check()?;
        let need = [(topic.to_owned(), Need::Output(Destination::TOPIC))];
        let internal = BTreeMap::new();
        let opened = kafka_topics::open(&self.cluster, &need, self.created, &internal).await?;
        self.cluster
            .refresh(&[topic])
            .await
            .map_err(|e| failed(format!("looking up topic {topic}"), e))?;
        self.opened.push(topic.into());
        let index = self.topics.len() + self.opened.len() - 1;
        Ok((index, opened.counts.first().copied().unwrap_or(1)))
    }

    async fn append(&mut self, place: Place, mut batch: BatchBuilder) -> Result<Ack, Error> {
        self.lease.check()?;
        let mut open = self.producer.open_batch(self.name(place)?, place.number());
        // The filled builder goes, the producer's empty one, with a buffer of its pool, stays.
        std::mem::swap(open.builder(), &mut batch);
        self.keep_spare(batch);
        let delivery = self.producer.submit(open).await.map_err(not_written)?;
        Ok(Box::pin(async move {
            delivery.await.map(drop).map_err(not_written)
        }))
    }

    async fn append_guarded(
        &mut self,
        place: Place,
        mut batch: BatchBuilder,
        guard: &Arc<Guard>,
    ) -> Result<Ack, Error> {
        self.lease.check()?;
        let letters = match guard.letters {
            Some((topic, partitions)) => Some(Letters {
                topic: self.guarded(topic).await?,
                partitions,
            }),
            None => None,
        };
        let to = Guarded {
            producer: self.producer.clone(),
            topic: self.guarded(place.topic).await?,
            partition: place.number(),
            compression: self.compression,
            guard: Arc::clone(guard),
            letters,
            lease: self.lease.clone(),
        };
        let bytes = batch.finish(Stamp::NONE);
        batch.clear();
        self.keep_spare(batch);
        let unbuilt = |error: &dyn std::fmt::Display| {
            Error::State(format!("a batch of results cannot be built: {error}"))
        };
        let batch = Batch::new(bytes.map_err(|e| unbuilt(&e))?).map_err(|e| unbuilt(&e))?;
        let turn = Arc::clone(self.turns.entry(place).or_default());
        let turn = turn.lock_owned().await;
        let mut delivering = Delivering(tokio::spawn(async move {
            let outcome = to.deliver(batch).await;
            drop(turn);
            outcome
        }));
        Ok(Box::pin(async move {
            match (&mut delivering.0).await {
                Ok(outcome) => outcome,
                Err(error) => Err(Error::Panic {
                    worker: 0,
                    message: error.to_string(),
                }),
            }
        }))
    }

    async fn relay(
        &mut self,
        place: Place,
        batch: &Batch,
        position: i64,
    ) -> Result<Option<Ack>, Error> {
        self.lease.check()?;
        if Producer::can_relay(batch, position).is_err() {
            return Ok(None);
        }
        let delivery = self
            .producer
            .submit_relay(self.name(place)?, place.number(), batch, position)
            .await
            .map_err(not_written)?;
        Ok(Some(Box::pin(async move {
            delivery.await.map(drop).map_err(not_written)
        })))
    }

    fn spare(&mut self) -> Option<BatchBuilder> {
        self.spare.pop()
    }
}

/// What a producer says, and what helps where that is not plain from it.
pub(super) fn not_written(error: client::Error) -> Error {
    let doing = if error.code() == Some(ErrorCode::INVALID_TIMESTAMP) {
        "writing a record with a time of its own that the topic does not take (see its message.timestamp.after.max.ms)"
    } else {
        "writing"
    };
    failed(doing, error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kafka_proto::mock;

    use super::*;
    use crate::batch::{Compression, InputPartition};
    use crate::checkpoint::log::{Log, Worker};
    use crate::connectors::kafka::{Kafka, Settings};

    fn batch(value: &[u8]) -> BatchBuilder {
        let mut builder = BatchBuilder::new(Compression::NONE, 64);
        builder.append(0, None, Some(value), &[]).unwrap();
        builder
    }

    #[tokio::test]
    async fn a_worker_that_was_left_behind_writes_nothing_with_or_after_the_next_one() {
        let cluster = mock::Cluster::builder()
            .topic("out", 1)
            .start()
            .await
            .unwrap();
        let servers = ("bootstrap.servers".to_owned(), cluster.bootstrap_servers());
        let settings = Settings {
            application_id: "app".to_owned(),
            client: BTreeMap::from([servers]),
            state_dir: None,
            replication_factor: -1,
            internal_prefix: None,
            internal_configs: BTreeMap::new(),
            until_end: true,
        };
        let mut log = Kafka::connect(settings).await.unwrap();
        let out = [("out".to_owned(), Need::Output(Destination::TOPIC))];
        log.open(&out).await.unwrap();
        let place = Place {
            topic: 0,
            partition: InputPartition::single(0),
        };
        let mut left_behind = log.worker().sink();
        let written = left_behind.append(place, batch(b"before")).await.unwrap();
        written.await.unwrap();
        log.revoke().await;
        let mut next = log.worker().sink();
        next.append(place, batch(b"next"))
            .await
            .unwrap()
            .await
            .unwrap();
        let refused = left_behind.append(place, batch(b"late")).await;
        assert!(matches!(refused.err(), Some(Error::Fenced(_))));
        // Also by its producer itself: it may have been past the check.
        let mut open = left_behind.producer.open_batch("out", 0);
        *open.builder() = batch(b"late");
        assert!(left_behind.producer.submit(open).await.is_err());
        log.close().await;
        let values = cluster.records("out", 0).unwrap().into_iter();
        let values: Vec<_> = values.map(|record| record.value.unwrap()).collect();
        assert_eq!(values, [&b"before"[..], b"next"]);
    }
}
