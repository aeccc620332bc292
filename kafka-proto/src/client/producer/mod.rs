//! The producer: records into batches, batches into requests, idempotent unless told otherwise.
//!
//! Three ways in, for as many needs: [`Producer::send`] and [`Producer::enqueue`] for records one at a time; a lent batch
//! ([`Producer::open_batch`], [`Producer::submit`]) for those who have many and want to pay nothing per record but its encoding; and
//! [`Producer::submit_relay`] for fetched batches that go out as they came. All end in one task that owns the sequence numbers
//! and the sending; its decisions are in `state`.

mod batch;
mod delivery;
mod flushes;
mod memory;
mod options;
mod partitioner;
mod request;
mod shared;
mod state;
mod task;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub use batch::OpenBatch;
pub use delivery::{Delivered, Delivery, RecordDelivery, RecordMetadata};
pub use options::{AddedHeaders, Interceptor, ProducerOptions};
pub use partitioner::Partitioner;

use self::batch::{Accumulator, Filling, Opened};
use self::delivery::{Completion, Ticket};
use self::memory::{BATCH_OVERHEAD, Share};
use self::shared::{Shared, TopicBuffers};
use self::task::{Event, Submission};
use super::cluster::Cluster;
use super::config::Config;
use super::deadline::Deadline;
use super::error::{Error, Result};
use crate::records::{Batch, BuildError, NotRelayable, Stamp, can_relay, relay};
use crate::wire::Records;

/// A record to be sent. Borrowed: its bytes are copied once, into the batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProducerRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; chosen by the partitioner if none is given.
    pub partition: Option<i32>,
    /// Milliseconds since 1970, −1 for a record without one; now if none is given.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers, in their order; names may repeat.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// A batch that could not be submitted now, given back.
#[derive(Debug)]
pub struct NotSubmitted {
    /// The batch; `None` if it is lost because the error concerns the batch itself.
    pub batch: Option<OpenBatch>,
    /// Why; `None` if only `buffer.memory` is full at the moment.
    pub error: Option<Error>,
}

/// An idempotent producer. Cheap to clone, may be used from several threads: clones are the same producer.
///
/// When the last clone is dropped, what was accepted is still delivered as long as the runtime lives; [`Producer::close`] waits for it.
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
}

impl Producer {
    /// A producer with its own connections to the cluster that `config` names.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect(config: Config) -> Result<Self> {
        Self::new(&Cluster::connect(config).await?)
    }

    /// A producer on a cluster's metadata. Its task runs on the runtime that this is called on.
    ///
    /// # Errors
    /// A `compression.type` that this build lacks.
    pub fn new(cluster: &Cluster) -> Result<Self> {
        Self::with(cluster, ProducerOptions::default())
    }

    /// The cluster it produces to.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    /// Sends a record and waits until it is acknowledged.
    ///
    /// Dropped before the record was accepted, nothing is sent; dropped after, delivery goes on.
    ///
    /// # Errors
    /// As [`Producer::enqueue`], and [`Error::Delivery`], which says whether the record may be in the log.
    pub async fn send(&self, record: ProducerRecord<'_>) -> Result<RecordMetadata> {
        self.enqueue(record).await?.await
    }

    /// Accepts a record for delivery: waits for the topic's metadata and for room in `buffer.memory`, together at most `max.block.ms`.
    /// What is returned is a future of its delivery.
    ///
    /// Dropped before it is done, nothing is sent.
    ///
    /// # Errors
    /// A topic or partition that is not there; a record larger than `max.request.size` or `buffer.memory`; a producer that was closed.
    pub async fn enqueue(&self, record: ProducerRecord<'_>) -> Result<RecordDelivery> {
        if self.shared.interceptors.is_empty() {
            return self.accept(record).await;
        }
        let mut added = AddedHeaders::default();
        for interceptor in &self.shared.interceptors {
            interceptor.on_send(&record, &mut added);
        }
        let mut headers = Cow::Borrowed(record.headers);
        if !added.0.is_empty() {
            let added = added.0.iter();
            let added = added.map(|(name, value)| (name.as_str(), value.as_deref()));
            headers.to_mut().extend(added);
        }
        let headers = &*headers;
        self.accept(ProducerRecord { headers, ..record }).await
    }

    async fn accept(&self, record: ProducerRecord<'_>) -> Result<RecordDelivery> {
        let size = self.check_size(&record)?;
        if let Some(timestamp @ ..-1) = record.timestamp {
            let reason = BuildError::Timestamp(timestamp);
            return Err(Error::usage(format!("topic {}: {reason}", record.topic)));
        }
        // The clock is read only by those who have to wait: most records find their batch open.
        let mut waiting = None;
        let mut wait = || *waiting.get_or_insert_with(|| Deadline::of_block(&self.shared.config));
        let mut topic = match self.shared.buffers(record.topic) {
            Some(topic) => topic,
            None => self.shared.load_buffers(record.topic, wait()).await?,
        };
        let count = topic.partitions.len();
        let is_unknown = |partition| usize::try_from(partition).is_ok_and(|p: usize| p >= count);
        if record.partition.is_some_and(is_unknown) {
            // It may have been added since the topic was last looked at.
            let what = || format!("looking up topic {}", record.topic);
            let names = [record.topic];
            let refreshed = self.shared.cluster.refresh(&names);
            wait().bound(what, refreshed).await?;
            topic = self.shared.load_buffers(record.topic, wait()).await?;
        }
        let timestamp = record.timestamp.unwrap_or_else(now_ms);
        let mut reserved: Option<Share> = None;
        let (mut accumulator, is_sticky) = self.shared.choose(&topic, &record)?;
        loop {
            self.check_open()?;
            let sticky_of = is_sticky.then_some(&*topic);
            if let Some(delivery) = self.append(
                accumulator,
                timestamp,
                &record,
                &mut reserved,
                (sticky_of, size),
            )? {
                return Ok(delivery);
            }
            if reserved.is_none() {
                // A new batch is needed, and room for it. Not under the lock: others may go on meanwhile, the producer's task among them.
                tokio::task::yield_now().await;
                let wanted = (size + BATCH_OVERHEAD).max(self.shared.pool.batch_bytes());
                reserved = Some(self.reserve(wanted, wait()).await?);
            }
            if is_sticky {
                // The sticky partition may be another one by now.
                (accumulator, _) = self.shared.choose(&topic, &record)?;
            }
        }
    }

    /// Appends a record to the open batch of its partition; opens one if there is memory reserved for it. `None`: no batch and no memory,
    /// or the batch was full and records without a key go elsewhere from now on.
    fn append(
        &self,
        accumulator: &Arc<Accumulator>,
        timestamp: i64,
        record: &ProducerRecord<'_>,
        reserved: &mut Option<Share>,
        (sticky_of, size): (Option<&TopicBuffers>, usize),
    ) -> Result<Option<RecordDelivery>> {
        let batch_size = self.shared.config.batch_size;
        let mut open = accumulator.lock();
        loop {
            let is_new = open.is_none();
            if is_new {
                let Some(share) = reserved.take() else {
                    return Ok(None);
                };
                let compression = self.shared.compression(&accumulator.topic);
                *open = Some(Filling {
                    builder: self.shared.pool.builder(compression, batch_size),
                    completion: Completion::new(
                        Arc::clone(&accumulator.topic),
                        accumulator.partition,
                    ),
                    share,
                    serial: self.shared.serial.fetch_add(1, Relaxed),
                    opened: Instant::now(),
                });
            }
            let Some(filling) = open.as_mut() else {
                return Ok(None);
            };
            match filling
                .builder
                .append(timestamp, record.key, record.value, record.headers)
            {
                Ok(delta) => {
                    let delivery =
                        RecordDelivery::new(Arc::clone(&filling.completion), delta, timestamp);
                    let is_full = filling.builder.size_bytes() >= batch_size;
                    if is_full {
                        self.seal(accumulator, &mut open)?;
                    } else if is_new {
                        let accumulator = Arc::clone(accumulator);
                        let serial = filling.serial;
                        let opened = Event::Opened(Opened {
                            accumulator,
                            serial,
                        });
                        if let Err(refused) = self.events.send(opened) {
                            // Not under the lock: it would end the batch itself.
                            *open = None;
                            drop(open);
                            drop(refused);
                            return Err(closed());
                        }
                    }
                    if let Some(topic) = sticky_of
                        && topic.sticky.count(size, is_full, batch_size)
                    {
                        self.shared.move_on(&accumulator.topic, topic);
                    }
                    return Ok(Some(delivery));
                }
                // Not even the first record: it is larger than a batch can be.
                Err(error) if is_new => {
                    *open = None;
                    return Err(build_error(
                        &accumulator.topic,
                        accumulator.partition,
                        &error,
                    ));
                }
                Err(_) => {
                    self.seal(accumulator, &mut open)?;
                    if let Some(topic) = sticky_of {
                        self.shared.move_on(&accumulator.topic, topic);
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Hands the open batch of a partition to the task.
    fn seal(&self, accumulator: &Accumulator, open: &mut Option<Filling>) -> Result<()> {
        match self.shared.seal(accumulator, open) {
            Some(submission) => self.tell(Event::Submit(submission)),
            None => Ok(()),
        }
    }

    /// Lends an empty batch of a partition. Waits for nothing and reserves nothing yet.
    ///
    /// The topic is not looked up: whether it is there shows at [`Producer::submit`] or at its delivery.
    #[must_use]
    pub fn open_batch(&self, topic: impl Into<Arc<str>>, partition: i32) -> OpenBatch {
        let topic = topic.into();
        let compression = self.shared.compression(&topic);
        let limit = self.shared.config.max_request_size;
        OpenBatch {
            builder: self.shared.pool.builder(compression, limit),
            topic,
            partition,
        }
    }

    /// Ends a lent batch and accepts it for delivery: waits for room in `buffer.memory`, at most `max.block.ms`. Compression and checksum
    /// are the caller's work, on its thread. What is returned is a future of the delivery.
    ///
    /// Dropped before it is done, nothing is sent. Batches of one partition are sent in the order in which they were accepted.
    ///
    /// # Errors
    /// An empty batch; one larger than `max.request.size` or `buffer.memory`; a partition that its topic does not have; a producer that
    /// was closed.
    pub async fn submit(&self, batch: OpenBatch) -> Result<Delivery> {
        let size = batch.memory_bytes();
        self.check_batch(&batch)?;
        // Once a batch, so that on a runtime of one thread the batches before it are on their way while the next one is filled.
        tokio::task::yield_now().await;
        let deadline = Deadline::of_block(&self.shared.config);
        let share = self.reserve(size, deadline).await?;
        self.hand_over(batch, share)
    }

    /// As [`Producer::submit`] without waiting, for threads that have other work meanwhile.
    ///
    /// # Errors
    /// The batch back and no error while `buffer.memory` is full; as [`Producer::submit`] otherwise.
    #[expect(
        clippy::result_large_err,
        reason = "the batch itself goes back to the caller, not a box around it"
    )]
    pub fn try_submit(&self, batch: OpenBatch) -> std::result::Result<Delivery, NotSubmitted> {
        if let Err(error) = self.check_batch(&batch) {
            return Err(NotSubmitted {
                batch: Some(batch),
                error: Some(error),
            });
        }
        let Some(share) = self.shared.memory.try_reserve(batch.memory_bytes()) else {
            return Err(NotSubmitted {
                batch: Some(batch),
                error: None,
            });
        };
        self.hand_over(batch, share).map_err(|error| NotSubmitted {
            batch: None,
            error: Some(error),
        })
    }

    /// Waits until `buffer.memory` has room for `bytes`: then [`Producer::try_submit`] is worth another try. Safe to drop.
    pub async fn ready(&self, bytes: usize) {
        self.shared.memory.ready(bytes).await;
    }

    /// Waits for room in `buffer.memory`. If none comes soon, batches that linger are sent: they may be what holds it.
    async fn reserve(&self, bytes: usize, deadline: Deadline) -> Result<Share> {
        let shared = &self.shared;
        if let Some(share) = shared.memory.try_reserve(bytes) {
            return Ok(share);
        }
        shared.cluster.counters().buffer_waits.add(1);
        let urge = || {
            // If the task is gone, the waiting ends with its time.
            drop(shared.seal_all(|submission| self.tell(Event::Submit(submission))));
        };
        let reserved = shared.memory.reserve(bytes, deadline.at(), urge).await;
        let what = || format!("{bytes} bytes of `buffer.memory` ({})", shared.memory.max());
        reserved.ok_or_else(|| deadline.over(what()))
    }

    fn check_batch(&self, batch: &OpenBatch) -> Result<()> {
        self.check_open()?;
        if batch.is_empty() {
            return Err(Error::usage(format!(
                "the batch for {}-{} is empty",
                batch.topic, batch.partition
            )));
        }
        self.check_partition(&batch.topic, batch.partition)
    }

    /// A partition that the topic does not have is told at once, if the topic is known.
    fn check_partition(&self, topic: &Arc<str>, partition: i32) -> Result<()> {
        let metadata = self.shared.cluster.metadata();
        let count = match metadata.topic(topic) {
            Some(topic) => topic.partitions.len(),
            None => return Ok(()),
        };
        if usize::try_from(partition).is_ok_and(|index| index < count) {
            return Ok(());
        }
        Err(Error::NoSuchPartition {
            topic: Arc::clone(topic),
            partition,
            count,
        })
    }

    fn hand_over(&self, batch: OpenBatch, share: Share) -> Result<Delivery> {
        let OpenBatch {
            builder,
            topic,
            partition,
        } = batch;
        let count = builder.record_count();
        let uncompressed = builder.size_bytes();
        let (bytes, taken) = self
            .shared
            .pool
            .finish(builder)
            .map_err(|error| build_error(&topic, partition, &error))?;
        if bytes.len() > self.shared.config.max_request_size {
            return Err(Error::RecordTooLarge {
                topic,
                size: bytes.len(),
                limit: self.shared.config.max_request_size,
                setting: "`max.request.size`",
            });
        }
        let share = share.send(taken);
        self.submit_records(topic, partition, count, bytes.into(), uncompressed, share)
    }

    /// Sends a fetched batch on whole: its records are neither decompressed nor read nor copied. `position` is where the reader stood.
    /// Waits for room in `buffer.memory`, at most `max.block.ms`.
    ///
    /// Dropped before it is done, nothing is sent.
    ///
    /// # Errors
    /// [`Error::Records`] for a batch that cannot go whole (see [`NotRelayable`]; ask [`Producer::can_relay`] before), else as
    /// [`Producer::submit`].
    pub async fn submit_relay(
        &self,
        topic: impl Into<Arc<str>>,
        partition: i32,
        batch: &Batch,
        position: i64,
    ) -> Result<Delivery> {
        self.check_open()?;
        let topic = topic.into();
        self.check_partition(&topic, partition)?;
        // As in `submit`.
        tokio::task::yield_now().await;
        let relayed = relay(batch, position, Stamp::NONE).map_err(|error| Error::Records {
            what: format!(
                "sending the batch at offset {} on to {topic}-{partition}",
                batch.base_offset()
            )
            .into(),
            reason: error.to_string().into(),
        })?;
        let records = Records {
            head: relayed.head,
            tail: relayed.tail,
        };
        // The broker's limit counts, not ours: the batch was taken by a broker once.
        let size = records.len() + BATCH_OVERHEAD;
        let deadline = Deadline::of_block(&self.shared.config);
        let share = self.reserve(size, deadline).await?.send(size);
        let uncompressed = records.len();
        let count = batch.record_count();
        self.submit_records(topic, partition, count, records, uncompressed, share)
    }

    /// Whether [`Producer::submit_relay`] would take a batch, and if not, why.
    ///
    /// # Errors
    /// The reason why not.
    pub fn can_relay(batch: &Batch, position: i64) -> std::result::Result<(), NotRelayable> {
        can_relay(batch, position)
    }

    fn submit_records(
        &self,
        topic: Arc<str>,
        partition: i32,
        count: u32,
        records: Records,
        uncompressed: usize,
        share: Share,
    ) -> Result<Delivery> {
        let completion = Completion::new(Arc::clone(&topic), partition);
        let delivery = Delivery::new(Arc::clone(&completion));
        let sizes = (records.len(), uncompressed);
        self.tell(Event::Submit(Submission {
            topic,
            partition,
            records,
            share,
            ticket: Ticket::new(completion, count, sizes, Instant::now()),
        }))?;
        Ok(delivery)
    }

    /// The number of partitions of a topic, looked up for at most `max.block.ms`.
    ///
    /// # Errors
    /// As [`Cluster::topic`].
    pub async fn partition_count(&self, topic: &str) -> Result<usize> {
        let deadline = Deadline::of_block(&self.shared.config);
        let topic = self.shared.cluster.topic_by(topic, deadline).await?;
        Ok(topic.partitions.len())
    }

    /// Sends what is being filled without waiting for `linger.ms`, and waits until everything accepted so far has ended: delivered or
    /// failed, as each delivery tells. Batches that are lent out and not submitted are not part of it. Safe to drop.
    ///
    /// # Errors
    /// The producer's task is gone.
    pub async fn flush(&self) -> Result<()> {
        self.shared
            .seal_all(|submission| self.tell(Event::Submit(submission)))?;
        let (done, waiting) = oneshot::channel();
        self.tell(Event::Flush(done))?;
        waiting.await.map_err(|_| closed())
    }

    /// Gives up what was accepted and is not on its way to a broker: batches that are being filled, wait to be sent, or wait to be sent again.
    /// They fail with [`Error::Purged`] (in [`Error::Delivery`], whose `maybe_written` says of the last ones whether they may be in the log). It
    /// happens at once; the future waits until what is on its way has ended: acknowledged, refused, or lost after `request.timeout.ms`.
    /// That is not sent again either. Then the producer may be used as before.
    ///
    /// **Only fencing stops what is on its way.** A request whose connection is lost may still reach its broker, and be written there,
    /// after this has ended. An idempotent producer does what it can: where requests were on their way it goes on under the next epoch,
    /// so a broker refuses the former one once it has a batch of the new one in the same partition. Against another producer's
    /// records only transactions help.
    ///
    /// Batches that are lent out and not submitted are not part of it. Dropping the future changes nothing.
    ///
    /// # Errors
    /// The producer's task is gone.
    pub fn purge(&self) -> impl Future<Output = Result<()>> + use<> {
        let (done, waiting) = oneshot::channel();
        let told = self.tell(Event::Purge(done));
        async move {
            told?;
            waiting.await.map_err(|_| closed())
        }
    }

    /// Accepts nothing more, waits until everything accepted so far has ended, and ends the producer, of which all clones are part.
    ///
    /// Each record ends within `delivery.timeout.ms`, and whether it was delivered its own future says. Dropped before it is done, the producer
    /// stays closed and delivers what it has.
    ///
    /// # Errors
    /// None at present.
    pub async fn close(&self) -> Result<()> {
        self.close_within(Duration::MAX).await
    }

    /// As [`Producer::close`], within this time; what is left then fails.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the time was too short.
    pub async fn close_within(&self, timeout: Duration) -> Result<()> {
        self.shared.is_closed.store(true, Relaxed);
        let result = tokio::time::timeout(timeout, self.flush()).await;
        // If the task is gone already there is nothing to end.
        drop(self.events.send(Event::Stop));
        match result {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Timeout {
                what: "closing the producer".into(),
                after: timeout,
                setting: "the timeout of `close_within`",
            }),
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.shared.is_closed.load(Relaxed) {
            return Err(closed());
        }
        Ok(())
    }

    fn check_size(&self, record: &ProducerRecord<'_>) -> Result<usize> {
        let headers: usize = record
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len) + 10)
            .sum();
        // As large as it can get: a batch of its own, and every length at its longest.
        let size = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + headers
            + RECORD_OVERHEAD;
        let config = &self.shared.config;
        let (limit, setting) = if size > config.max_request_size {
            (config.max_request_size, "`max.request.size`")
        } else if size + BATCH_OVERHEAD > self.shared.memory.max() {
            (self.shared.memory.max(), "`buffer.memory`")
        } else {
            return Ok(size);
        };
        Err(Error::RecordTooLarge {
            topic: record.topic.into(),
            size,
            limit,
            setting,
        })
    }

    fn tell(&self, event: Event) -> Result<()> {
        self.events.send(event).map_err(|_| closed())
    }
}

/// The header of a batch and the fields of a record other than key, value and headers, at their longest.
const RECORD_OVERHEAD: usize = 61 + 5 + 1 + 10 + 5 + 5 + 5 + 5;

fn closed() -> Error {
    Error::Closed { what: "producer" }
}

fn build_error(topic: &str, partition: i32, error: &BuildError) -> Error {
    Error::Records {
        what: format!("building a batch for {topic}-{partition}").into(),
        reason: error.to_string().into(),
    }
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
