//! Writes to Kafka for one worker: batches that were filled elsewhere go to the process's one producer, fetched ones go on whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_proto::client::{self, Cluster, Producer};
use kafka_proto::messages::ErrorCode;

use super::kafka::failed;
use super::kafka_places::Places;
use super::kafka_source::KafkaWorker;
use super::kafka_topics::{self, Created};
use crate::Error;
use crate::batch::sink::Destination;
use crate::batch::{Batch, BatchBuilder};
use crate::checkpoint::log::{Ack, Need, Place, Sink};

/// Emptied builders kept for the next batches.
const SPARE_MAX: usize = 32;

/// One worker's writer.
pub(crate) struct KafkaSink {
    cluster: Cluster,
    producer: Producer,
    topics: Arc<Places>,
    /// Topics that records have asked for: they stand behind the run's own.
    opened: Vec<Arc<str>>,
    created: Created,
    batch_bytes_max: usize,
    spare: Vec<BatchBuilder>,
}

impl KafkaSink {
    pub(super) fn new(worker: &KafkaWorker) -> Self {
        Self {
            cluster: worker.cluster.clone(),
            producer: worker.producer.clone(),
            topics: Arc::clone(&worker.topics),
            opened: Vec::new(),
            created: worker.created,
            batch_bytes_max: worker.batch_bytes_max,
            spare: Vec::new(),
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
        let mut open = self.producer.open_batch(self.name(place)?, place.number());
        // The filled builder goes, the producer's empty one, with a buffer of its pool, stays.
        std::mem::swap(open.builder(), &mut batch);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch.with_limit(self.batch_bytes_max));
        }
        let delivery = self.producer.submit(open).await.map_err(not_written)?;
        Ok(Box::pin(async move {
            delivery.await.map(drop).map_err(not_written)
        }))
    }

    async fn relay(
        &mut self,
        place: Place,
        batch: &Batch,
        position: i64,
    ) -> Result<Option<Ack>, Error> {
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
fn not_written(error: client::Error) -> Error {
    let doing = if error.code() == Some(ErrorCode::INVALID_TIMESTAMP) {
        "writing a record with a time of its own that the topic does not take (see its message.timestamp.after.max.ms)"
    } else {
        "writing"
    };
    failed(doing, error)
}
