//! Sinks that users have written, as one worker writes to them.

use std::sync::Arc;

use crate::Error;
use crate::batch::sink::{AnySink, AnyWriter};
use crate::batch::source::BoxError;
use crate::batch::{Batch, BatchBuilder, Record, Stamp};

/// One sink of one worker. It is opened when the first batch comes, or at the first commit.
pub(super) struct OwnSink {
    pub(super) topic: usize,
    sink: Arc<dyn AnySink>,
    writer: Option<Box<dyn AnyWriter>>,
}

impl OwnSink {
    pub(super) fn new(topic: usize, sink: &Arc<dyn AnySink>) -> Self {
        Self {
            topic,
            sink: Arc::clone(sink),
            writer: None,
        }
    }

    fn failed(&self, doing: &str, source: BoxError) -> Error {
        Error::Connector {
            doing: format!("{doing} {}", self.sink.name()),
            source,
        }
    }

    fn open(&mut self) -> Result<Box<dyn AnyWriter>, Error> {
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
