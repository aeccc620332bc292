//! What the handles of a producer and its task share: buffers by topic and partition, memory, and what the producer was made with.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;

use super::batch::{Accumulator, Filling, Pool};
use super::delivery::Ticket;
use super::memory::Memory;
use super::options::{Interceptor, ProducerOptions};
use super::partitioner::{Configured, Partitioner, Sticky};
use super::task::{self, Submission};
use super::{Producer, ProducerRecord, build_error, state};
use crate::client::backoff::Jitter;
use crate::client::cluster::{BrokerId, Cluster, Topic};
use crate::client::config::Config;
use crate::client::deadline::Deadline;
use crate::client::error::{Error, Result};
use crate::records::Compression;
use crate::wire::Uuid;

/// What handles and the task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) config: Arc<Config>,
    pub(super) pool: Pool,
    pub(super) memory: Memory,
    pub(super) interceptors: Vec<Arc<dyn Interceptor>>,
    pub(super) serial: AtomicU64,
    pub(super) is_closed: AtomicBool,
    topics: RwLock<HashMap<Arc<str>, Arc<TopicBuffers>>>,
    partitioner: Arc<dyn Partitioner>,
    compression: Compression,
    /// Of topics that have one of their own.
    compressions: HashMap<String, Compression>,
    jitter: Mutex<Jitter>,
}

/// The open batches of a topic, by partition.
#[derive(Debug)]
pub(super) struct TopicBuffers {
    id: Uuid,
    pub(super) partitions: Vec<Arc<Accumulator>>,
    /// Where records go for which any partition will do.
    pub(super) sticky: Arc<Sticky>,
}

impl Producer {
    pub(super) fn build(cluster: &Cluster, options: ProducerOptions) -> Result<Self> {
        let config = Arc::clone(cluster.config());
        let memory_max = usize::try_from(config.buffer_memory).unwrap_or(usize::MAX);
        // A quarter, but all that may be unanswered by one broker.
        let unanswered = config
            .max_request_size
            .saturating_mul(config.max_in_flight_requests_per_connection);
        let window = (memory_max / 4).max(unanswered);
        let memory = Memory::new(memory_max, window);
        let budgets = &cluster.counters().budgets;
        budgets.watch("buffer.memory", memory.max() as u64, memory.gauge());
        let compressions = options.compressions(&config)?;
        let partitioner = options
            .partitioner
            .unwrap_or_else(|| Arc::new(Configured::new(&config)));
        let shared = Arc::new(Shared {
            pool: Pool::new(config.batch_size, memory_max / 8),
            cluster: cluster.clone(),
            memory,
            interceptors: options.interceptors,
            serial: AtomicU64::default(),
            is_closed: AtomicBool::default(),
            topics: RwLock::default(),
            partitioner,
            compression: config.compression()?,
            compressions,
            jitter: Mutex::default(),
            config,
        });
        let (events, receiver) = mpsc::unbounded_channel();
        task::spawn(&shared, receiver);
        Ok(Self { shared, events })
    }
}

impl Shared {
    pub(super) fn buffers(&self, topic: &str) -> Option<Arc<TopicBuffers>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).map(Arc::clone)
    }

    pub(super) async fn load_buffers(
        &self,
        topic: &str,
        deadline: Deadline,
    ) -> Result<Arc<TopicBuffers>> {
        let known = self.cluster.topic_by(topic, deadline).await?;
        Ok(self.fit_buffers(&known))
    }

    /// The buffers of a topic as it is now: those of its partitions that are there already stay. A topic only grows, unless it was deleted and
    /// made again: then it may have fewer partitions.
    pub(super) fn fit_buffers(&self, now: &Topic) -> Arc<TopicBuffers> {
        let (topic, count) = (&now.name, now.partitions.len());
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let known = topics.get(topic);
        let is_same = |known: &&Arc<TopicBuffers>| known.id == now.id || now.id.is_zero();
        let large_enough = known.filter(|known| known.partitions.len() >= count);
        if let Some(known) = large_enough.filter(is_same) {
            return Arc::clone(known);
        }
        let mut partitions = known
            .map(|known| known.partitions.clone())
            .unwrap_or_default();
        partitions.truncate(count);
        for partition in partitions.len()..count {
            partitions.push(Arc::new(Accumulator::new(
                Arc::clone(topic),
                partition as i32,
            )));
        }
        // Producers of one process start at different partitions.
        let sticky = known.map_or_else(
            || Arc::new(Sticky::new(self.random() as usize)),
            |known| Arc::clone(&known.sticky),
        );
        let buffers = Arc::new(TopicBuffers {
            id: now.id,
            partitions,
            sticky,
        });
        topics.insert(Arc::clone(topic), Arc::clone(&buffers));
        buffers
    }

    /// Gives the buffers of a topic up, unless somebody is about to fill them; whether there are none now.
    pub(super) fn drop_buffers(&self, topic: &str) -> bool {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let is_used = topics.get(topic).is_some_and(|buffers| {
            let mut partitions = buffers.partitions.iter();
            Arc::strong_count(buffers) > 1 || partitions.any(|of| Arc::strong_count(of) > 1)
        });
        if !is_used {
            topics.remove(topic);
        }
        !is_used
    }

    /// Where a record goes, and whether any other partition would have done.
    pub(super) fn choose<'a>(
        &self,
        topic: &'a TopicBuffers,
        record: &ProducerRecord<'_>,
    ) -> Result<(&'a Arc<Accumulator>, bool)> {
        let count = topic.partitions.len();
        let chosen = record
            .partition
            .or_else(|| self.partitioner.partition(record, count));
        let index = match chosen {
            Some(partition) => usize::try_from(partition).unwrap_or(usize::MAX),
            None => topic.sticky.partition(count),
        };
        match topic.partitions.get(index) {
            Some(accumulator) => Ok((accumulator, chosen.is_none())),
            None => Err(Error::NoSuchPartition {
                topic: record.topic.into(),
                partition: chosen.unwrap_or_default(),
                count,
            }),
        }
    }

    /// Chooses the next partition for records for which any will do.
    pub(super) fn move_on(&self, name: &str, topic: &TopicBuffers) {
        let metadata = self.cluster.metadata();
        let is_adaptive = self.config.partitioner_adaptive_partitioning_enable;
        let leader = |partition| metadata.leader(name, partition).map(|(leader, _)| leader);
        let timeout = Duration::from_millis(self.config.partitioner_availability_timeout_ms);
        let is_stuck = |accumulator: &Accumulator| {
            is_adaptive && !timeout.is_zero() && accumulator.is_stuck_for(timeout)
        };
        // A broker that takes nothing of one partition takes nothing of its others either.
        let stuck: Vec<BrokerId> = (0..)
            .zip(&topic.partitions)
            .filter(|(_, accumulator)| is_stuck(accumulator))
            .filter_map(|(partition, _)| leader(partition))
            .collect();
        let load = |(partition, accumulator): (i32, &Arc<Accumulator>)| {
            leader(partition).filter(|leader| !stuck.contains(leader))?;
            Some(if is_adaptive { accumulator.load() } else { 0 })
        };
        let loads: Vec<Option<u32>> = (0..).zip(&topic.partitions).map(load).collect();
        topic.sticky.move_on(&loads, self.random());
    }

    fn random(&self) -> u64 {
        let mut jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner);
        jitter.bits() >> 1
    }

    /// How batches of a topic are compressed.
    pub(super) fn compression(&self, topic: &str) -> Compression {
        if self.compressions.is_empty() {
            return self.compression;
        }
        *self.compressions.get(topic).unwrap_or(&self.compression)
    }

    /// Ends the open batch of a partition, if there is one.
    pub(super) fn seal(
        &self,
        accumulator: &Accumulator,
        open: &mut Option<Filling>,
    ) -> Option<Submission> {
        let Filling {
            builder,
            completion,
            share,
            opened,
            ..
        } = open.take()?;
        let (count, uncompressed) = (builder.record_count(), builder.size_bytes());
        let (bytes, taken) = match self.pool.finish(builder) {
            Ok(finished) => finished,
            Err(error) => {
                let error = build_error(&accumulator.topic, accumulator.partition, &error);
                completion.tell(count, state::Outcome::Failed(error));
                return None;
            }
        };
        let ticket = Ticket::new(completion, count, (bytes.len(), uncompressed), opened);
        Some(Submission {
            topic: Arc::clone(&accumulator.topic),
            partition: accumulator.partition,
            records: bytes.into(),
            share: share.send(taken),
            ticket,
        })
    }

    /// Ends all open batches.
    pub(super) fn seal_all(&self, mut give: impl FnMut(Submission) -> Result<()>) -> Result<()> {
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
