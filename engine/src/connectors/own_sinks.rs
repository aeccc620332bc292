//! Sinks that users have written, as one worker writes to them.

use std::sync::Arc;

use super::lease::Lease;
use crate::Error;
use crate::batch::sink::{AnySink, AnyWriter};
use crate::batch::source::BoxError;
use crate::batch::{Batch, BatchBuilder, Record, Stamp};

/// One sink of one worker. It is opened when the first batch comes, or at the first commit.
pub(super) struct OwnSink {
    pub(super) topic: usize,
    sink: Arc<dyn AnySink>,
    writer: Option<Box<dyn AnyWriter>>,
    lease: Lease,
}

impl OwnSink {
    pub(super) fn new(topic: usize, sink: &Arc<dyn AnySink>, lease: &Lease) -> Self {
        Self {
            topic,
            sink: Arc::clone(sink),
            writer: None,
            lease: lease.clone(),
        }
    }

    fn failed(&self, doing: &str, source: BoxError) -> Error {
        Error::Connector {
            doing: format!("{doing} {}", self.sink.name()),
            source,
        }
    }

    fn open(&mut self) -> Result<Box<dyn AnyWriter>, Error> {
        self.lease.check()?;
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => self
                .sink
                .open()
                .map_err(|error| self.failed("opening", error)),
        }
    }

    /// Writes the records of a filled batch; the builder is empty afterwards.
    pub(super) async fn write(&mut self, builder: &mut BatchBuilder) -> Result<(), Error> {
        let mut writer = self.open()?;
        let outcome = write(&mut *writer, builder).await;
        self.writer = Some(writer);
        builder.clear();
        outcome.map_err(|error| self.failed("writing to", error))
    }

    /// Waits until everything is durable.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        let mut writer = self.open()?;
        let outcome = writer.flush().await;
        self.writer = Some(writer);
        outcome.map_err(|error| self.failed("writing to", error))
    }
}

async fn write(writer: &mut dyn AnyWriter, builder: &mut BatchBuilder) -> Result<(), BoxError> {
    let batch = Batch::new(builder.finish(Stamp::NONE)?)?;
    // These are uncompressed: `Work` asks for that.
    let records: Vec<Record<'_>> = batch
        .records(batch.body())
        .map(|record| Ok(Record::of(record?, "", 0).by_key()))
        .collect::<Result<_, BoxError>>()?;
    writer.write(&records).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::sink::IntoDestination;
    use crate::batch::{Compression, InputPartition};
    use crate::checkpoint::log::{Log, Need, Place, Sink, Worker};
    use crate::connectors::kafka::Kafka;
    use crate::connectors::mixed::{Mixed, Setting};
    use crate::connectors::{Collected, Destination};

    fn batch(value: &[u8]) -> BatchBuilder {
        let mut builder = BatchBuilder::new(Compression::NONE, 64);
        builder.append(0, None, Some(value), &[]).unwrap();
        builder
    }

    #[tokio::test]
    async fn a_worker_that_was_left_behind_writes_nothing_to_a_sink_of_the_user_after_the_next_one()
    {
        let collected = Collected::new();
        let to: Destination = (&collected).into_destination();
        let mut log = Mixed::<Kafka>::new(None, Setting::default());
        log.open(&[("out".to_owned(), Need::Output(to))])
            .await
            .unwrap();
        let place = Place {
            topic: 0,
            partition: InputPartition::single(0),
        };
        let mut left_behind = log.worker().sink();
        left_behind
            .append(place, batch(b"before"))
            .await
            .unwrap()
            .await
            .unwrap();
        log.revoke().await;
        let mut next = log.worker().sink();
        next.append(place, batch(b"next"))
            .await
            .unwrap()
            .await
            .unwrap();
        let refused = left_behind.append(place, batch(b"late")).await;
        assert!(matches!(refused.err(), Some(Error::Fenced(_))));
        assert!(matches!(left_behind.flush().await, Err(Error::Fenced(_))));
        next.flush().await.unwrap();
        let values = collected.take().into_iter().map(|record| record.value);
        assert_eq!(
            values.collect::<Vec<_>>(),
            [Some(b"before".to_vec()), Some(b"next".to_vec())]
        );
    }
}
