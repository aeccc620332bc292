//! Writes to Kafka for one worker: batches that were filled elsewhere go to the process's one producer, fetched ones go on whole.

use kafka_proto::client::Producer;

use super::kafka::{Topics, failed};
use crate::Error;
use crate::batch::{Batch, BatchBuilder};
use crate::checkpoint::log::{Ack, Place, Sink};

/// Emptied builders kept for the next batches.
const SPARE_MAX: usize = 32;

/// One worker's writer.
pub(crate) struct KafkaSink {
    producer: Producer,
    topics: Topics,
    batch_bytes_max: usize,
    spare: Vec<BatchBuilder>,
}

impl KafkaSink {
    pub(super) fn new(producer: Producer, topics: Topics, batch_bytes_max: usize) -> Self {
        Self {
            producer,
            topics,
            batch_bytes_max,
            spare: Vec::new(),
        }
    }
}

impl Sink for KafkaSink {
    async fn append(&mut self, place: Place, mut batch: BatchBuilder) -> Result<Ack, Error> {
        let mut open = self.producer.open_batch(
            std::sync::Arc::clone(&self.topics[place.topic]),
            place.partition,
        );
        // The filled builder goes, the producer's empty one, with a buffer of its pool, stays.
        std::mem::swap(open.builder(), &mut batch);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch.with_limit(self.batch_bytes_max));
        }
        let delivery = self
            .producer
            .submit(open)
            .await
            .map_err(|e| failed("writing", e))?;
        Ok(Box::pin(async move {
            delivery.await.map(drop).map_err(|e| failed("writing", e))
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
        let topic = std::sync::Arc::clone(&self.topics[place.topic]);
        let delivery = self
            .producer
            .submit_relay(topic, place.partition, batch, position)
            .await
            .map_err(|e| failed("writing", e))?;
        Ok(Some(Box::pin(async move {
            delivery.await.map(drop).map_err(|e| failed("writing", e))
        })))
    }

    fn spare(&mut self) -> Option<BatchBuilder> {
        self.spare.pop()
    }
}
