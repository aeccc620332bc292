//! Reads Kafka for one worker: fetched batches as they lie in the frame, with a fetch always under way.

use std::sync::Arc;
use std::time::Duration;

use kafka_proto::client::{
    FetchBudget, FetchedBatch, FetchedBatches, FetchedPartition, Fetcher, OffsetReset, Start,
};

use super::kafka::failed;
use super::kafka_places::Places;
use crate::Error;
use crate::batch::Batch;
use crate::checkpoint::log::{Arrival, Place, Position, Source, Worker};

/// Long enough to never matter: a poll that brings nothing is repeated.
pub(super) const POLL: Duration = Duration::from_secs(3600);

/// One worker's reader.
pub(crate) struct KafkaSource {
    fetcher: Fetcher,
    topics: Arc<Places>,
    /// What the last poll brought and is not taken yet.
    ready: std::vec::IntoIter<FetchedPartition>,
    assigned: Vec<Place>,
}

impl KafkaSource {
    pub(super) fn new(
        cluster: &kafka_proto::client::Cluster,
        budget: &FetchBudget,
        topics: Arc<Places>,
    ) -> Self {
        // A committed position that is gone is lost data: that is for a person to decide, not for a reset.
        let fetcher = Fetcher::with_budget(cluster, budget).with_reset(OffsetReset::None);
        Self {
            fetcher,
            topics,
            ready: Vec::new().into_iter(),
            assigned: Vec::new(),
        }
    }

    fn arrival(&self, fetched: FetchedPartition) -> Option<KafkaArrival> {
        let partition = FetchedPartition::partition(&fetched);
        Some(KafkaArrival {
            place: self.topics.place(fetched.topic(), partition)?,
            position: fetched.start(),
            fetched,
        })
    }
}

impl Source for KafkaSource {
    type Arrival = KafkaArrival;

    fn assign(&mut self, positions: &[Position]) {
        for place in self.assigned.drain(..) {
            if let Some(topic) = self.topics.name(place) {
                self.fetcher.unassign(topic, place.number());
            }
        }
        self.ready = Vec::new().into_iter();
        for Position { place, offset } in positions {
            if let Some(topic) = self.topics.name(*place) {
                self.fetcher
                    .assign(topic, place.number(), Start::Offset(*offset));
                self.assigned.push(*place);
            }
        }
    }

    fn hold(&mut self, place: Place, from: Option<i64>) -> bool {
        let Some(name) = self.topics.name(place) else {
            return false;
        };
        match from {
            Some(offset) => self
                .fetcher
                .assign(name, place.number(), Start::Offset(offset)),
            None => {
                self.fetcher.unassign(name, place.number());
                let is_other =
                    |p: &FetchedPartition| p.partition() != place.number() || **p.topic() != **name;
                let ready = std::mem::take(&mut self.ready);
                self.ready = ready.filter(is_other).collect::<Vec<_>>().into_iter();
            }
        }
        true
    }

    async fn next(&mut self) -> Result<KafkaArrival, Error> {
        loop {
            if let Some(arrival) = self.try_next() {
                return Ok(arrival);
            }
            let fetched: FetchedBatches = self
                .fetcher
                .poll_batches(POLL)
                .await
                .map_err(|e| failed("reading", e))?;
            self.ready = fetched.into_iter();
        }
    }

    fn high_watermark(&self, place: Place) -> Option<i64> {
        let name = self.topics.name(place)?;
        let is_here =
            |p: &FetchedPartition| p.partition() == place.number() && **p.topic() == **name;
        if self.ready.as_slice().iter().any(is_here) {
            return None;
        }
        let progress = self.fetcher.progress(name, place.number())?;
        Some(progress.high_watermark).filter(|at| *at >= 0)
    }

    fn try_next(&mut self) -> Option<KafkaArrival> {
        while let Some(fetched) = self.ready.next() {
            if let Some(arrival) = self.arrival(fetched) {
                return Some(arrival);
            }
        }
        None
    }
}

/// What a fetch brought for one partition.
#[derive(Debug)]
pub(crate) struct KafkaArrival {
    place: Place,
    /// Where it was read from: the batches move on as they are taken, this does not.
    position: i64,
    fetched: FetchedPartition,
}

/// One fetched batch with its room in the fetch buffer.
#[derive(Debug)]
pub(crate) struct Held(FetchedBatch);

impl AsRef<Batch> for Held {
    fn as_ref(&self) -> &Batch {
        self.0.batch()
    }
}

impl Arrival for KafkaArrival {
    type Held = Held;

    fn place(&self) -> Place {
        self.place
    }

    fn position(&self) -> i64 {
        self.position
    }

    fn topic(&self) -> &str {
        self.fetched.topic()
    }

    fn next_position(&self) -> i64 {
        self.fetched.position()
    }

    fn end(&self) -> i64 {
        // Old brokers do not tell the last stable offset.
        match self.fetched.last_stable_offset() {
            -1 => self.fetched.high_watermark(),
            stable => stable,
        }
    }

    fn next_batch(&mut self) -> Result<Option<Held>, Error> {
        let batch = self
            .fetched
            .next_batch()
            .map_err(|e| failed("reading", e))?;
        Ok(batch.map(Held))
    }
}

/// What a worker takes to its thread.
#[derive(Clone)]
pub(crate) struct KafkaWorker {
    pub(super) cluster: kafka_proto::client::Cluster,
    pub(super) producer: kafka_proto::client::Producer,
    pub(super) lease: super::lease::Lease,
    pub(super) created: super::kafka_topics::Created,
    pub(super) budget: FetchBudget,
    pub(super) topics: Arc<Places>,
    pub(super) batch_bytes_max: usize,
    pub(super) compression: crate::batch::Compression,
}

impl Worker for KafkaWorker {
    type Source = KafkaSource;
    type Sink = super::kafka_sink::KafkaSink;

    fn source(&self) -> Result<KafkaSource, Error> {
        Ok(KafkaSource::new(
            &self.cluster,
            &self.budget,
            Arc::clone(&self.topics),
        ))
    }

    fn sink(&self) -> Self::Sink {
        super::kafka_sink::KafkaSink::new(self)
    }
}
