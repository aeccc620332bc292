//! The producer: records into batches, batches into requests, idempotent unless told otherwise.
//!
//! Three ways in, for as many needs: [`Producer::send`] and [`Producer::enqueue`] for records one at a time; a lent batch
//! ([`Producer::open_batch`], [`Producer::submit`]) for those who have many and want to pay nothing per record but its encoding; and
//! [`Producer::submit_relay`] for fetched batches that go out as they came. All end in one task that owns the sequence numbers
//! and the sending; its decisions are in `state`.

mod batch;
mod delivery;
mod request;
mod state;
mod task;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

pub use batch::OpenBatch;
pub use delivery::{Delivered, Delivery, RecordDelivery, RecordMetadata};

use self::batch::{Accumulator, Filling, Pool};
use self::delivery::{Completion, Ticket};
use self::task::{Event, Submission};
use super::backoff::Jitter;
use super::cluster::Cluster;
use super::config::{Config, PartitionerChoice};
use super::error::{Error, Result};
use crate::partition::partition_for_key;
use crate::records::{Batch, BuildError, NotRelayable, Stamp, relay};
use crate::wire::Records;

/// A record to be sent. Borrowed: its bytes are copied once, into the batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProducerRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; chosen by the partitioner if none is given.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; now if none is given.
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

/// What handles and the task share.
#[derive(Debug)]
struct Shared {
    cluster: Cluster,
    config: Arc<Config>,
    pool: Pool,
    /// The bytes of `buffer.memory` that are free.
    memory: Arc<Semaphore>,
    memory_max: usize,
    topics: RwLock<HashMap<Arc<str>, Arc<TopicBuffers>>>,
    serial: AtomicU64,
    is_closed: AtomicBool,
}

/// The open batches of a topic, by partition.
#[derive(Debug)]
struct TopicBuffers {
    partitions: Vec<Arc<Accumulator>>,
    /// Where records without a key go for now.
    sticky: Arc<AtomicU32>,
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
        let config = Arc::clone(cluster.config());
        let memory_max = usize::try_from(config.buffer_memory)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            pool: Pool::new(config.compression()?, config.batch_size, memory_max / 4),
            cluster: cluster.clone(),
            memory: Arc::new(Semaphore::new(memory_max)),
            memory_max,
            topics: RwLock::default(),
            serial: AtomicU64::default(),
            is_closed: AtomicBool::default(),
            config,
        });
        let memory = Arc::downgrade(&shared.memory);
        let budgets = &cluster.counters().budgets;
        budgets.watch("buffer.memory", memory_max as u64, move || {
            let free = memory.upgrade()?.available_permits();
            Some(memory_max.saturating_sub(free) as u64)
        });
        let (events, receiver) = mpsc::unbounded_channel();
        task::spawn(&shared, receiver);
        Ok(Self { shared, events })
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
        let size = self.check_size(&record)?;
        // The clock is read only by those who have to wait: most records find their batch open.
        let mut waiting = None;
        let mut wait = || {
            let most = Duration::from_millis(self.shared.config.max_block_ms);
            *waiting.get_or_insert_with(|| Instant::now() + most)
        };
        let topic = match self.shared.buffers(record.topic) {
            Some(topic) => topic,
            None => self.shared.load_buffers(record.topic, wait()).await?,
        };
        let timestamp = record.timestamp.unwrap_or_else(now_ms);
        let mut reserved: Option<OwnedSemaphorePermit> = None;
        let (mut accumulator, is_sticky) = self.shared.choose(&topic, &record)?;
        loop {
            self.check_open()?;
            let sticky_of = is_sticky.then_some(&*topic);
            if let Some(delivery) =
                self.append(accumulator, timestamp, &record, &mut reserved, sticky_of)?
            {
                return Ok(delivery);
            }
            if reserved.is_none() {
                // A new batch is needed, and room for it. Not under the lock: others may go on meanwhile, the producer's task among them.
                tokio::task::yield_now().await;
                let wanted = size
                    .max(self.shared.config.batch_size)
                    .min(self.shared.memory_max);
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
        reserved: &mut Option<OwnedSemaphorePermit>,
        sticky_of: Option<&TopicBuffers>,
    ) -> Result<Option<RecordDelivery>> {
        let batch_size = self.shared.config.batch_size;
        let mut open = accumulator.lock();
        loop {
            let is_new = open.is_none();
            if is_new {
                let Some(permit) = reserved.take() else {
                    return Ok(None);
                };
                *open = Some(Filling {
                    builder: self.shared.pool.builder(batch_size),
                    completion: Completion::new(
                        Arc::clone(&accumulator.topic),
                        accumulator.partition,
                    ),
                    permit,
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
                    let delivery = RecordDelivery::new(Arc::clone(&filling.completion), delta);
                    if filling.builder.size_bytes() >= batch_size {
                        self.seal(accumulator, &mut open)?;
                        sticky_of.inspect(|topic| topic.move_on());
                    } else if is_new {
                        let serial = filling.serial;
                        self.tell(Event::Opened(Arc::clone(accumulator), serial))?;
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
                        topic.move_on();
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
        OpenBatch {
            builder: self
                .shared
                .pool
                .builder(self.shared.config.max_request_size),
            topic: topic.into(),
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
        let size = batch.builder.size_bytes();
        self.check_batch(&batch)?;
        // Once a batch, so that on a runtime of one thread the batches before it are on their way while the next one is filled.
        tokio::task::yield_now().await;
        let deadline = Instant::now() + Duration::from_millis(self.shared.config.max_block_ms);
        let permit = match self.shared.try_reserve(size) {
            Some(permit) => permit,
            None => self.reserve(size, deadline).await?,
        };
        self.hand_over(batch, permit)
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
        let Some(permit) = self.shared.try_reserve(batch.builder.size_bytes()) else {
            return Err(NotSubmitted {
                batch: Some(batch),
                error: None,
            });
        };
        self.hand_over(batch, permit).map_err(|error| NotSubmitted {
            batch: None,
            error: Some(error),
        })
    }

    /// Waits until `buffer.memory` has room for `bytes`: then [`Producer::try_submit`] is worth another try. Safe to drop.
    pub async fn ready(&self, bytes: usize) {
        let wanted = permits(bytes.min(self.shared.memory_max));
        // The semaphore is never closed; the permit is given back at once.
        drop(self.shared.memory.acquire_many(wanted).await);
    }

    /// Waits for room in `buffer.memory`. If none comes soon, batches that linger are sent: they may be what holds it.
    async fn reserve(&self, bytes: usize, deadline: Instant) -> Result<OwnedSemaphorePermit> {
        let shared = &self.shared;
        let wanted = permits(bytes.min(shared.memory_max));
        let mut acquire = pin!(Arc::clone(&shared.memory).acquire_many_owned(wanted));
        shared.cluster.counters().buffer_waits.add(1);
        let soon = deadline.min(Instant::now() + LINGER_UNDER_PRESSURE);
        let mut result = timeout_at(soon, acquire.as_mut()).await;
        if result.is_err() {
            shared.seal_all(|submission| self.tell(Event::Submit(submission)))?;
            result = timeout_at(deadline, acquire).await;
        }
        match result {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(Error::Timeout {
                what: format!("{bytes} bytes of `buffer.memory` ({})", shared.memory_max).into(),
                after: Duration::from_millis(shared.config.max_block_ms),
                setting: "`max.block.ms`",
            }),
        }
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

    fn hand_over(&self, batch: OpenBatch, mut permit: OwnedSemaphorePermit) -> Result<Delivery> {
        let OpenBatch {
            mut builder,
            topic,
            partition,
        } = batch;
        let count = builder.record_count();
        let uncompressed = builder.size_bytes();
        let bytes = builder
            .finish(Stamp::NONE)
            .map_err(|error| build_error(&topic, partition, &error))?;
        self.shared.pool.give_builder(builder);
        if bytes.len() > self.shared.config.max_request_size {
            return Err(Error::RecordTooLarge {
                topic,
                size: bytes.len(),
                limit: self.shared.config.max_request_size,
                setting: "`max.request.size`",
            });
        }
        // What compression saved is free again.
        let surplus = permit.num_permits().saturating_sub(bytes.len());
        drop(permit.split(surplus));
        self.submit_records(topic, partition, count, bytes.into(), uncompressed, permit)
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
        let size = records.len().min(self.shared.memory_max);
        let permit = match self.shared.try_reserve(size) {
            Some(permit) => permit,
            None => {
                let deadline =
                    Instant::now() + Duration::from_millis(self.shared.config.max_block_ms);
                self.reserve(size, deadline).await?
            }
        };
        let uncompressed = records.len();
        let count = batch.record_count();
        self.submit_records(topic, partition, count, records, uncompressed, permit)
    }

    /// Whether [`Producer::submit_relay`] would take a batch, and if not, why.
    ///
    /// # Errors
    /// The reason why not.
    pub fn can_relay(batch: &Batch, position: i64) -> std::result::Result<(), NotRelayable> {
        relay(batch, position, Stamp::NONE).map(drop)
    }

    fn submit_records(
        &self,
        topic: Arc<str>,
        partition: i32,
        count: u32,
        records: Records,
        uncompressed: usize,
        permit: OwnedSemaphorePermit,
    ) -> Result<Delivery> {
        let completion = Completion::new(Arc::clone(&topic), partition);
        let delivery = Delivery::new(Arc::clone(&completion));
        let sizes = (records.len(), uncompressed);
        self.tell(Event::Submit(Submission {
            topic,
            partition,
            records,
            permit,
            ticket: Ticket::new(completion, count, sizes, Instant::now()),
        }))?;
        Ok(delivery)
    }

    /// The number of partitions of a topic, looked up for at most `max.block.ms`.
    ///
    /// # Errors
    /// As [`Cluster::topic`].
    pub async fn partition_count(&self, topic: &str) -> Result<usize> {
        let timeout = Duration::from_millis(self.shared.config.max_block_ms);
        let topic = self.shared.cluster.topic(topic, timeout).await?;
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

    /// Accepts nothing more, waits at most `timeout` for what was accepted, and ends the producer; what is left then fails.
    ///
    /// Dropped before it is done, the producer stays closed and delivers what it has.
    ///
    /// # Errors
    /// The time was too short.
    pub async fn close(&self, timeout: Duration) -> Result<()> {
        self.shared.is_closed.store(true, Relaxed);
        let result = tokio::time::timeout(timeout, self.flush()).await;
        // If the task is gone already there is nothing to end.
        drop(self.events.send(Event::Stop));
        match result {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Timeout {
                what: "closing the producer".into(),
                after: timeout,
                setting: "the timeout of `close`",
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
        } else if size > self.shared.memory_max {
            (self.shared.memory_max, "`buffer.memory`")
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

/// How long batches go on lingering while somebody waits for memory.
const LINGER_UNDER_PRESSURE: Duration = Duration::from_millis(20);

/// The header of a batch and the fields of a record other than key, value and headers, at their longest.
const RECORD_OVERHEAD: usize = 61 + 5 + 1 + 10 + 5 + 5 + 5 + 5;

impl Shared {
    /// Permits for `bytes`, if they are free now and nobody waits for them.
    fn try_reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = permits(bytes.min(self.memory_max));
        Arc::clone(&self.memory).try_acquire_many_owned(wanted).ok()
    }

    fn buffers(&self, topic: &str) -> Option<Arc<TopicBuffers>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).map(Arc::clone)
    }

    async fn load_buffers(&self, topic: &str, deadline: Instant) -> Result<Arc<TopicBuffers>> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let known = self.cluster.topic(topic, timeout).await?;
        Ok(self.grow_buffers(&known.name, known.partitions.len()))
    }

    /// The buffers of a topic with at least `count` partitions: those that are there already stay.
    fn grow_buffers(&self, topic: &Arc<str>, count: usize) -> Arc<TopicBuffers> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let known = topics.get(topic);
        if let Some(known) = known.filter(|known| known.partitions.len() >= count) {
            return Arc::clone(known);
        }
        let mut partitions = known
            .map(|known| known.partitions.clone())
            .unwrap_or_default();
        for partition in partitions.len()..count {
            partitions.push(Arc::new(Accumulator::new(
                Arc::clone(topic),
                partition as i32,
            )));
        }
        // Producers of one process start at different partitions.
        let sticky = known.map_or_else(
            || Arc::new(AtomicU32::new(Jitter::default().bits() as u32)),
            |known| Arc::clone(&known.sticky),
        );
        let buffers = Arc::new(TopicBuffers { partitions, sticky });
        topics.insert(Arc::clone(topic), Arc::clone(&buffers));
        buffers
    }

    /// Where a record goes, and whether that is because it has no key.
    fn choose<'a>(
        &self,
        topic: &'a TopicBuffers,
        record: &ProducerRecord<'_>,
    ) -> Result<(&'a Arc<Accumulator>, bool)> {
        let count = topic.partitions.len();
        let key = record.key.filter(|_| !self.config.partitioner_ignore_keys);
        let (partition, is_sticky) = match (record.partition, key, self.config.partitioner) {
            (Some(partition), ..) => (partition, false),
            (None, _, PartitionerChoice::RoundRobin) => {
                (topic.sticky.fetch_add(1, Relaxed) as i32 & i32::MAX, false)
            }
            (None, Some(key), PartitionerChoice::Murmur2) => (partition_for_key(key, count), false),
            (None, None, PartitionerChoice::Murmur2) => {
                (topic.sticky.load(Relaxed) as i32 & i32::MAX, true)
            }
        };
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        let index = if record.partition.is_none() {
            index % count
        } else {
            index
        };
        match topic.partitions.get(index) {
            Some(accumulator) => Ok((accumulator, is_sticky)),
            None => Err(Error::NoSuchPartition {
                topic: record.topic.into(),
                partition,
                count,
            }),
        }
    }

    /// Ends the open batch of a partition, if there is one.
    fn seal(&self, accumulator: &Accumulator, open: &mut Option<Filling>) -> Option<Submission> {
        let Filling {
            mut builder,
            completion,
            mut permit,
            opened,
            ..
        } = open.take()?;
        let (count, uncompressed) = (builder.record_count(), builder.size_bytes());
        let bytes = match builder.finish(Stamp::NONE) {
            Ok(bytes) => bytes,
            Err(error) => {
                let error = build_error(&accumulator.topic, accumulator.partition, &error);
                completion.tell(count, state::Outcome::Failed(error));
                return None;
            }
        };
        let ticket = Ticket::new(completion, count, (bytes.len(), uncompressed), opened);
        self.pool.give_builder(builder);
        let surplus = permit.num_permits().saturating_sub(bytes.len());
        drop(permit.split(surplus));
        Some(Submission {
            topic: Arc::clone(&accumulator.topic),
            partition: accumulator.partition,
            records: bytes.into(),
            permit,
            ticket,
        })
    }

    /// Ends all open batches.
    fn seal_all(&self, mut give: impl FnMut(Submission) -> Result<()>) -> Result<()> {
        let topics: Vec<Arc<TopicBuffers>> = {
            let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
            topics.values().map(Arc::clone).collect()
        };
        for accumulator in topics.iter().flat_map(|topic| &topic.partitions) {
            let mut open = accumulator.lock();
            if let Some(submission) = self.seal(accumulator, &mut open) {
                give(submission)?;
            }
        }
        Ok(())
    }
}

impl TopicBuffers {
    /// Chooses the next partition for records without a key (KIP-480: one batch, one partition).
    fn move_on(&self) {
        self.sticky.fetch_add(1, Relaxed);
    }
}

fn closed() -> Error {
    Error::Closed { what: "producer" }
}

fn build_error(topic: &str, partition: i32, error: &BuildError) -> Error {
    Error::Records {
        what: format!("building a batch for {topic}-{partition}").into(),
        reason: error.to_string().into(),
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
