//! What a topic does not take: a refused batch is divided until the records that are refused stand alone, and these are for the sink's
//! policy. Nothing else of the batch is lost, and the order of its partition stays.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_proto::client::{self, Admin, Cluster, Producer};
use kafka_proto::messages::ErrorCode;
use kafka_proto::partition::murmur2;

use super::kafka_sink::not_written;
use super::lease::Lease;
use crate::Error;
use crate::batch::frame::RawRecord;
use crate::batch::letter::Letter;
use crate::batch::{Batch, BatchBuilder, Compression, Stamp};
use crate::checkpoint::log::{self, Guard};

/// A dead letter is not cut to less than this: a topic that does not take it then takes none.
const LETTER_BYTES_MIN: usize = 512;

/// A topic as guarded batches are written to it.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// Largest batch that it takes, as far as is known.
    bytes_max: usize,
}

impl Topic {
    /// Asks how large its records may be. Who may not know gets the answers of the brokers later.
    pub(super) async fn look_up(cluster: &Cluster, name: Arc<str>) -> Self {
        let configs = Admin::new(cluster).topic_configs(&name).await;
        let says = configs.ok().and_then(|mut configs| {
            let value = configs.remove("max.message.bytes")?.value?;
            value.trim().parse::<usize>().ok()
        });
        let request_max = cluster.config().max_request_size;
        Self {
            name,
            bytes_max: says.unwrap_or(request_max).min(request_max),
        }
    }
}

/// Where the dead letters of a sink go.
#[derive(Clone, Debug)]
pub(super) struct Letters {
    pub(super) topic: Topic,
    pub(super) partitions: i32,
}

/// Writes the batches of one partition whose records may be refused.
#[derive(Clone)]
pub(super) struct Guarded {
    pub(super) producer: Producer,
    pub(super) topic: Topic,
    pub(super) partition: i32,
    pub(super) compression: Compression,
    pub(super) guard: Arc<Guard>,
    pub(super) letters: Option<Letters>,
    pub(super) lease: Lease,
}

/// What became of a batch.
enum Written {
    Yes,
    /// Nothing of it was written, and something in it is the reason.
    Refused(Refusal),
}

/// Why a batch was refused.
struct Refusal {
    reason: String,
    /// Each of its records would be refused alone, too.
    is_of_all: bool,
}

impl Refusal {
    /// Of some of the records.
    fn of_records(reason: String) -> Self {
        Self {
            reason,
            is_of_all: false,
        }
    }
}

impl Guarded {
    /// Writes a batch, without the records that are refused.
    ///
    /// # Errors
    /// Whatever is not about its records.
    pub(super) async fn deliver(self, batch: Batch) -> Result<(), Error> {
        let refusal = match self.write(&self.topic, self.partition, &batch).await? {
            Written::Yes => return Ok(()),
            Written::Refused(refusal) => refusal,
        };
        // The producer has no codec of its own here: what is built is compressed once, and read back for this alone.
        let mut decompressor = crate::batch::Decompressor::new(1 << 31);
        let body = batch
            .uncompressed(&mut decompressor)
            .map_err(|e| unreadable(&e))?;
        let records: Vec<RawRecord<'_>> = batch
            .records(body)
            .collect::<Result<_, _>>()
            .map_err(|e| unreadable(&e))?;
        // Halves in their order: the last of the list is next.
        let mut parts = vec![(&records[..], Some(refusal))];
        while let Some((part, refusal)) = parts.pop() {
            let refusal = match refusal {
                Some(refusal) => refusal,
                None => {
                    let batch = self.batch_of(part)?;
                    match self.write(&self.topic, self.partition, &batch).await? {
                        Written::Yes => continue,
                        Written::Refused(refusal) => refusal,
                    }
                }
            };
            if refusal.is_of_all || part.len() <= 1 {
                for record in part {
                    self.refused(record, &refusal.reason).await?;
                }
            } else {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([(second, None), (first, None)]);
            }
        }
        Ok(())
    }

    /// Sends one batch and waits for its acknowledgement.
    async fn write(&self, to: &Topic, partition: i32, batch: &Batch) -> Result<Written, Error> {
        self.lease.check()?;
        // Before it is sent: a batch that the producer divides by itself may be written in part when it fails.
        if batch.size_bytes() > to.bytes_max {
            return Ok(Written::Refused(Refusal::of_records(format!(
                "{} bytes are more than the {} that topic {} takes (max.request.size, and its max.message.bytes)",
                batch.size_bytes(),
                to.bytes_max,
                to.name
            ))));
        }
        let name = Arc::clone(&to.name);
        let sent = self.producer.submit_relay(name, partition, batch, 0).await;
        let outcome = match sent {
            Ok(delivery) => delivery.await.map(drop),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => Ok(Written::Yes),
            Err(error) if is_about_records(&error) => {
                Ok(Written::Refused(Refusal::of_records(error.to_string())))
            }
            // Another row may name a topic that takes it.
            Err(error) if is_forbidden(&error) && self.is_named_by_rows(to) => {
                Ok(Written::Refused(Refusal {
                    reason: error.to_string(),
                    is_of_all: true,
                }))
            }
            Err(error) => Err(not_written(error)),
        }
    }

    /// Whether rows chose the topic, and may choose another one.
    fn is_named_by_rows(&self, topic: &Topic) -> bool {
        self.guard.holds == log::Guarded::ResultsByTopic && topic.name == self.topic.name
    }

    fn batch_of(&self, records: &[RawRecord<'_>]) -> Result<Batch, Error> {
        let bytes = records.iter().map(|r| {
            r.key.map_or(0, <[u8]>::len) + r.value.map_or(0, <[u8]>::len) + r.headers.len()
        });
        let mut builder = BatchBuilder::new(self.compression, bytes.sum::<usize>() + 128);
        for record in records {
            builder.append_record(record).map_err(|e| unbuildable(&e))?;
        }
        finish(&mut builder)
    }

    /// What its topic does not take is counted, and becomes a dead letter where there is a topic for these.
    async fn refused(&self, record: &RawRecord<'_>, reason: &str) -> Result<(), Error> {
        let Guard {
            operator, refused, ..
        } = &*self.guard;
        if self.guard.holds == log::Guarded::Letters {
            return self
                .letter(&self.topic, self.partition, Letter::of_record(record))
                .await;
        }
        refused.records.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(topic = %self.topic.name, operator, reason, "a result is left out");
        let Some(letters) = &self.letters else {
            return Ok(());
        };
        let letter = Letter::of_result(record, operator, &self.topic.name, reason);
        let partition = match record.key {
            Some(key) => (murmur2(key) & 0x7fff_ffff) % letters.partitions.max(1),
            None => self.partition % letters.partitions.max(1),
        };
        self.letter(&letters.topic, partition, letter).await
    }

    /// Writes a dead letter, cut as far as it must be; counts one that its topic does not take at all.
    async fn letter(
        &self,
        to: &Topic,
        partition: i32,
        mut letter: Letter<'_>,
    ) -> Result<(), Error> {
        let mut limit = to.bytes_max;
        loop {
            if !letter.cut(limit) {
                break;
            }
            let mut builder = BatchBuilder::new(self.compression, 1024);
            letter
                .append_to(&mut builder)
                .map_err(|e| unbuildable(&e))?;
            let batch = finish(&mut builder)?;
            match self.write(to, partition, &batch).await? {
                Written::Yes => return Ok(()),
                // A compacted topic needs a key, a topic may take other times: that is not mended by cutting.
                Written::Refused(_) if limit <= LETTER_BYTES_MIN => break,
                Written::Refused(_) => {
                    limit = (limit.min(batch.size_bytes()) / 2).max(LETTER_BYTES_MIN)
                }
            }
        }
        let lost = &self.guard.refused.letters_lost;
        if lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(topic = %to.name, "a dead letter is lost: its topic does not take it, not even cut");
        }
        Ok(())
    }
}

fn finish(builder: &mut BatchBuilder) -> Result<Batch, Error> {
    let bytes = builder.finish(Stamp::NONE).map_err(|e| unbuildable(&e))?;
    Batch::new(bytes).map_err(|e| unreadable(&e))
}

fn unbuildable(error: &dyn std::fmt::Display) -> Error {
    Error::State(format!("a batch of results cannot be built: {error}"))
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::State(format!("a batch of results cannot be read back: {error}"))
}

/// Whether a batch was refused for what is in it, so that its other records may be written without that. Everything else (permissions,
/// fencing, a broker that is away) would meet any record.
fn is_about_records(error: &client::Error) -> bool {
    match error {
        client::Error::RecordTooLarge { .. } => true,
        error => error.code().is_some_and(|code| {
            matches!(
                code,
                ErrorCode::MESSAGE_TOO_LARGE
                    | ErrorCode::RECORD_LIST_TOO_LARGE
                    | ErrorCode::INVALID_RECORD
                    | ErrorCode::INVALID_TIMESTAMP
            )
        }),
    }
}

/// Whether this application has no right to write to the topic.
fn is_forbidden(error: &client::Error) -> bool {
    error.code() == Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
}
