//! The handle to a running cluster: addresses, logs, brokers, leaders, faults.
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::records::{BatchBuilder, Compression, Decompressor, Stamp, batches};

use super::builder::Builder;
use super::clock::Clock;
use super::configs::TopicConfigs;
use super::faults::Faults;
use super::log::Refusal;
use super::server::{Command, Shared};
use super::state::State;
use super::topics::{Partition, is_internal};
use super::{ApiKey, Received};

/// A batch that inflates to more is an error in [`Cluster::records`].
const INFLATED_BYTES_MAX: usize = 64 << 20;
/// Batches that [`Cluster::append`] makes.
const BATCH_BYTES: usize = 64 << 10;

/// What a test asked of a cluster and cannot have.
///
/// Its `Debug` text is the readable one, for tests that `unwrap` it or return it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such topic or partition.
    #[error("there is no partition {partition} of a topic {topic:?} in the in-process cluster")]
    UnknownPartition {
        /// Its topic.
        topic: String,
        /// Its number.
        partition: i32,
    },
    /// There is no broker with this id.
    #[error("there is no broker {0} in the in-process cluster")]
    UnknownBroker(i32),
    /// The topic cannot be made; the text says why.
    #[error("the topic cannot be made: {0}")]
    Topic(String),
    /// The bytes are no record batches.
    #[error("these bytes are no record batches: {0}")]
    Batch(String),
    /// A port could not be opened again.
    #[error("the broker could not be started: {0}")]
    Start(#[from] io::Error),
    /// The cluster's runtime is gone.
    #[error("the in-process cluster has ended, because the runtime it ran on has")]
    Ended,
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A record in a log, with everything it holds copied out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The key; none and empty are two things.
    pub key: Option<Bytes>,
    /// The value; none and empty are two things.
    pub value: Option<Bytes>,
    /// The headers in their order.
    pub headers: Vec<Header>,
    /// Whether the batch belongs to a transaction, committed or not.
    pub transactional: bool,
    /// Whether this is a transaction's marker, which consumers never see.
    pub control: bool,
}

/// A header's name, and its value if it has one.
pub type Header = (String, Option<Bytes>);

/// A running in-process cluster. Dropping it ends the brokers and closes every connection.
///
/// See the [module](super) for an example.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    /// `None` only while dropping.
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Cluster {
    /// Sets up a cluster: one broker and no topics, until more is said.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        commands: mpsc::UnboundedSender<Command>,
        thread: Option<JoinHandle<()>>,
    ) -> Self {
        Self {
            shared,
            commands: Some(commands),
            thread,
        }
    }

    /// All brokers as `host:port,host:port`, for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        let state = self.shared.state();
        let addresses: Vec<String> = state
            .brokers
            .iter()
            .map(|broker| format!("{}:{}", broker.host, broker.port))
            .collect();
        addresses.join(",")
    }

    /// The brokers' ids.
    pub fn broker_ids(&self) -> Vec<i32> {
        let state = self.shared.state();
        state.brokers.iter().map(|broker| broker.id).collect()
    }

    /// Scripted faults.
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// The cluster's clock.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// The latest requests that brokers have received, the oldest first; 16,384 are remembered.
    pub fn received(&self) -> Vec<Received> {
        self.shared.all_received().iter().cloned().collect()
    }

    /// How many of these were of one API.
    pub fn received_count(&self, api: ApiKey) -> usize {
        let received = self.shared.all_received();
        received.iter().filter(|request| request.api == api).count()
    }

    /// Forgets what was received so far.
    pub fn clear_received(&self) {
        self.shared.all_received().clear();
    }

    /// CPU time that the cluster's thread has used; `None` if it runs on the caller's runtime.
    pub async fn cpu_time(&self) -> Option<Duration> {
        self.ask(Command::CpuTime).await.ok().flatten()
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or(Error::Ended)?;
        commands.send(command(sender)).map_err(|_| Error::Ended)?;
        receiver.await.map_err(|_| Error::Ended)
    }

    // Topics

    /// Makes a topic.
    ///
    /// # Errors
    /// The name is taken or not legal, or there would be no partition.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), Error> {
        self.create_topic_with(name, partitions, &[])
    }

    /// Makes a topic with settings.
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic), and for settings that Kafka does not know.
    pub fn create_topic_with(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), Error> {
        let mut set = TopicConfigs::default();
        for (name, value) in configs {
            set.set(name, value).map_err(Error::Topic)?;
        }
        let made = self.shared.state().new_topic(name, partitions, set);
        made.map_err(Error::Topic)?;
        self.shared.notify_changed();
        Ok(())
    }

    /// Deletes a topic. One of the same name made later has another id and begins at offset 0.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let deleted = self.shared.state().delete_topic(name);
        self.shared.notify_changed();
        deleted.then_some(()).ok_or_else(|| unknown(name, -1))
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn add_partitions(&self, name: &str, count: i32) -> Result<(), Error> {
        let mut state = self.shared.state();
        if state.topics.get(name).is_none() {
            return Err(unknown(name, -1));
        }
        state.add_partitions(name, count);
        Ok(())
    }

    /// The topics' names, in order, without the cluster's own (`__consumer_offsets`, `__transaction_state`).
    pub fn topics(&self) -> Vec<String> {
        let state = self.shared.state();
        let names = state.topics.iter().map(|(name, _)| name.clone());
        names.filter(|name| !is_internal(name)).collect()
    }

    /// How many partitions a topic has; 0 if there is no such topic.
    pub fn partition_count(&self, topic: &str) -> i32 {
        let state = self.shared.state();
        state
            .topics
            .get(topic)
            .map_or(0, |topic| topic.partitions.len() as i32)
    }

    /// A setting of a topic: what was set, or Kafka's default.
    pub fn topic_config(&self, topic: &str, name: &str) -> Option<String> {
        let state = self.shared.state();
        let value = state.topics.get(topic)?.configs.value(name)?;
        Some(value.to_owned())
    }

    // Logs

    /// Appends records, timestamped by the cluster's clock, without a client and without compression.
    ///
    /// # Errors
    /// There is no such partition, or a record is larger than 1 GiB.
    pub fn append<'a>(
        &self,
        topic: &str,
        partition: i32,
        records: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
    ) -> Result<i64, Error> {
        let now_ms = self.shared.clock.unix_ms();
        let mut builder = BatchBuilder::new(Compression::NONE, BATCH_BYTES).with_limit(1 << 30);
        let refused = |error: crate::records::BuildError| Error::Batch(error.to_string());
        let mut first = None;
        for (key, value) in records {
            builder.append(now_ms, key, value, &[]).map_err(refused)?;
            if builder.size_bytes() >= BATCH_BYTES {
                let batch = builder.finish(Stamp::NONE).map_err(refused)?;
                let offset = self.append_raw(topic, partition, &batch)?;
                first.get_or_insert(offset);
            }
        }
        if !builder.is_empty() {
            let batch = builder.finish(Stamp::NONE).map_err(refused)?;
            let offset = self.append_raw(topic, partition, &batch)?;
            first.get_or_insert(offset);
        }
        match first {
            Some(first) => Ok(first),
            None => self.end_offset(topic, partition),
        }
    }

    /// Appends finished batches as they are: compressed or not, with holes, with wrong CRCs, of transactions (also their
    /// markers). Only base offset and leader epoch are stamped. Gives the first offset.
    ///
    /// # Errors
    /// There is no such partition, or the bytes are not framed as whole batches of magic 2.
    pub fn append_raw(&self, topic: &str, partition: i32, batches: &[u8]) -> Result<i64, Error> {
        let now_ms = self.shared.clock.unix_ms();
        let mut state = self.shared.state();
        let retention_bytes = state.settings.retention_bytes;
        let at = usize::try_from(partition).map_err(|_| unknown(topic, partition))?;
        let of = state
            .topics
            .get_mut(topic)
            .filter(|of| at < of.partitions.len())
            .ok_or_else(|| unknown(topic, partition))?;
        let mut terms = of.terms(&of.partitions[at], now_ms, retention_bytes);
        terms.log_append_time_ms = None;
        let appended = of.partitions[at].log.append_raw(batches, terms);
        drop(state);
        self.shared.notify_changed();
        appended.map_err(|refusal| {
            Error::Batch(match refusal {
                Refusal::Corrupt(text) | Refusal::Invalid(text) => text.to_owned(),
                Refusal::NotOne => String::from("not exactly one batch"),
                Refusal::UnsupportedMagic(magic) => format!("magic {magic} instead of 2"),
                other => format!("{other:?}"),
            })
        })
    }

    fn with_partition<T>(
        &self,
        topic: &str,
        partition: i32,
        run: impl FnOnce(&mut Partition) -> T,
    ) -> Result<T, Error> {
        let mut state = self.shared.state();
        let found = state.topics.partition(topic, partition);
        let result = found.map(run).map_err(|_| unknown(topic, partition));
        drop(state);
        self.shared.notify_changed();
        result
    }

    /// All records of a partition that are still kept: also of aborted and undecided transactions, and their markers.
    ///
    /// # Errors
    /// There is no such partition, or a batch in it cannot be read.
    pub fn records(&self, topic: &str, partition: i32) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        let mut decompressor = Decompressor::new(INFLATED_BYTES_MAX);
        let unreadable = |error: crate::records::RecordError| Error::Batch(error.to_string());
        let start = self.start_offset(topic, partition)?;
        for bytes in self.raw(topic, partition)? {
            for batch in batches(bytes) {
                let batch = batch.map_err(unreadable)?;
                let body = batch.uncompressed(&mut decompressor).map_err(unreadable)?;
                for record in batch.records(body) {
                    let record = record.map_err(unreadable)?;
                    if record.offset < start {
                        continue;
                    }
                    records.push(Record {
                        offset: record.offset,
                        timestamp: record.timestamp,
                        key: record.key.map(Bytes::copy_from_slice),
                        value: record.value.map(Bytes::copy_from_slice),
                        headers: record
                            .headers
                            .map(|header| {
                                let value = header.value().map(Bytes::copy_from_slice);
                                (header.name().into_owned(), value)
                            })
                            .collect(),
                        transactional: batch.is_transactional(),
                        control: batch.is_control(),
                    });
                }
            }
        }
        Ok(records)
    }

    /// The bytes of a partition as they are stored: whole batches, in as many pieces as the log has.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn raw(&self, topic: &str, partition: i32) -> Result<Vec<Bytes>, Error> {
        self.with_partition(topic, partition, |partition| {
            let log = &mut partition.log;
            let (mut offset, end) = (log.start_offset(), log.end_offset());
            let mut pieces = Vec::new();
            while offset < end {
                let slice = log.read(offset, end, usize::MAX, true);
                if slice.bytes.is_empty() {
                    break;
                }
                offset = slice.end_offset;
                pieces.push(slice.bytes);
            }
            pieces
        })
    }

    /// The first offset that is still kept.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn start_offset(&self, topic: &str, partition: i32) -> Result<i64, Error> {
        self.with_partition(topic, partition, |partition| partition.log.start_offset())
    }

    /// The offset that the next record gets.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn end_offset(&self, topic: &str, partition: i32) -> Result<i64, Error> {
        self.with_partition(topic, partition, |partition| partition.log.end_offset())
    }

    /// Where readers of committed data stop.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn last_stable_offset(&self, topic: &str, partition: i32) -> Result<i64, Error> {
        self.with_partition(topic, partition, |partition| {
            partition.log.last_stable_offset()
        })
    }

    /// Drops what lies below `offset`, as retention or DeleteRecords does; gives the new start of the log.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<i64, Error> {
        self.with_partition(topic, partition, |partition| {
            partition.log.delete_before(offset)
        })
    }

    /// Loses the end of a log from the batch with this offset on, and elects the leader anew: an unclean election.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn truncate(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        self.with_partition(topic, partition, |partition| {
            partition.log.truncate(offset);
            partition.lead(partition.leader);
        })
    }

    /// Shows readers nothing at or above this offset, as long as followers lag; `None` lets go.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn hold_high_watermark(
        &self,
        topic: &str,
        partition: i32,
        offset: Option<i64>,
    ) -> Result<(), Error> {
        self.with_partition(topic, partition, |partition| {
            partition.log.hold_high_watermark(offset);
        })
    }

    /// A partition forgets an idempotent producer, as if its id had expired.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn forget_producer(
        &self,
        topic: &str,
        partition: i32,
        producer_id: i64,
    ) -> Result<(), Error> {
        self.with_partition(topic, partition, |partition| {
            partition.log.forget_producer(producer_id);
        })
    }

    // Brokers and leaders

    /// The broker that leads a partition; −1 if none can.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32, Error> {
        self.with_partition(topic, partition, |partition| partition.leader)
    }

    /// Moves a partition to another leader, under a new leader epoch.
    ///
    /// # Errors
    /// There is no such partition or broker.
    pub fn move_leader(&self, topic: &str, partition: i32, broker: i32) -> Result<(), Error> {
        self.known(broker)?;
        self.with_partition(topic, partition, |partition| {
            if !partition.replicas.contains(&broker) {
                partition.replicas.push(broker);
            }
            partition.lead(broker);
        })
    }

    /// Moves the coordinator of a group or transactional id.
    ///
    /// # Errors
    /// There is no such broker.
    pub fn move_coordinator(&self, key: &str, broker: i32) -> Result<(), Error> {
        self.known(broker)?;
        self.shared.state().move_coordinator(key, broker);
        Ok(())
    }

    /// The broker that coordinates a group or transactional id; `None` while all are down.
    pub fn coordinator(&self, key: &str) -> Option<i32> {
        let state = self.shared.state();
        state.coordinator(key).map(|broker| broker.id)
    }

    fn known(&self, broker: i32) -> Result<(), Error> {
        let state = self.shared.state();
        let known = state.broker(broker).is_some();
        known.then_some(()).ok_or(Error::UnknownBroker(broker))
    }

    fn set_up(state: &mut State, id: i32, up: bool) {
        for broker in &mut state.brokers {
            if broker.id == id {
                broker.up = up;
            }
        }
        state.elect_leaders();
    }

    /// Stops a broker: its port refuses, its connections are closed, its partitions go to other replicas.
    ///
    /// # Errors
    /// There is no such broker.
    pub async fn stop_broker(&self, id: i32) -> Result<(), Error> {
        self.known(id)?;
        self.ask(|done| Command::Stop(id, done)).await?;
        Self::set_up(&mut self.shared.state(), id, false);
        self.shared.notify_changed();
        Ok(())
    }

    /// Starts a broker again, on the port it had. Leaders do not move back by themselves.
    ///
    /// # Errors
    /// There is no such broker, or its port was taken meanwhile.
    pub async fn start_broker(&self, id: i32) -> Result<(), Error> {
        self.known(id)?;
        self.ask(|done| Command::Start(id, done)).await??;
        Self::set_up(&mut self.shared.state(), id, true);
        self.shared.notify_changed();
        Ok(())
    }

    /// A broker accepts connections but reads and answers nothing, until it is resumed. It counts as up.
    pub fn pause_broker(&self, id: i32) {
        self.shared.paused.send_modify(|paused| paused.push(id));
    }

    /// A paused broker goes on, with what has piled up.
    pub fn resume_broker(&self, id: i32) {
        self.shared
            .paused
            .send_modify(|paused| paused.retain(|other| *other != id));
    }

    /// Closes every connection of a broker, which goes on listening.
    ///
    /// # Errors
    /// There is no such broker.
    pub async fn drop_connections(&self, broker: i32) -> Result<(), Error> {
        self.known(broker)?;
        self.ask(|done| Command::DropConnections(broker, done))
            .await
    }

    // Groups and transactions

    /// What a group has committed for a partition.
    pub fn committed_offset(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let state = self.shared.state();
        let of = (topic.to_owned(), partition);
        let (committed, _) = state.groups.committed(group, &of);
        committed.map(|committed| committed.offset)
    }

    /// Kafka's word for a group's state (`Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`; of the newer protocol also
    /// `Assigning` and `Reconciling`); `None` if there
    /// is no such group.
    pub fn group_state(&self, group: &str) -> Option<&'static str> {
        let state = self.shared.state();
        state.groups.view(group).map(|view| view.state)
    }

    /// The ids of a group's members, in the order they came.
    pub fn group_members(&self, group: &str) -> Vec<String> {
        let state = self.shared.state();
        let view = state.groups.view(group);
        view.map(|view| view.members.into_iter().map(|member| member.id).collect())
            .unwrap_or_default()
    }

    /// A group's generation; `None` if there is no such group.
    pub fn group_generation(&self, group: &str) -> Option<i32> {
        let state = self.shared.state();
        state.groups.view(group).map(|view| view.generation)
    }

    /// Kafka's word for a transactional id's state (`Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`,
    /// `CompleteCommit`, `CompleteAbort`); `None` if the id is not known.
    pub fn transaction_state(&self, transactional_id: &str) -> Option<&'static str> {
        let state = self.shared.state();
        let view = state.transactions.view(transactional_id);
        view.map(|view| view.state)
    }

    /// Keeps decided transactions from completing: their ids answer CONCURRENT_TRANSACTIONS, readers wait at the last
    /// stable offset.
    pub fn hold_transaction_markers(&self) {
        self.set_markers_held(true);
    }

    /// Writes the markers of transactions that were kept from completing, and keeps no further one.
    pub fn release_transaction_markers(&self) {
        self.set_markers_held(false);
    }

    fn set_markers_held(&self, hold: bool) {
        let now_ms = self.shared.clock.unix_ms();
        let mut state = self.shared.state();
        for ended in state.transactions.hold_markers(hold) {
            state.write_markers(&ended, now_ms);
        }
        drop(state);
        self.shared.notify_changed();
    }

    /// Sets a transactional id's epoch, to see what happens when epochs run out (32,766 is the last).
    pub fn set_producer_epoch(&self, transactional_id: &str, epoch: i16) {
        let mut state = self.shared.state();
        state.transactions.set_epoch(transactional_id, epoch);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The supervisor ends with its last command sender, and everything it runs with it.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn unknown(topic: &str, partition: i32) -> Error {
    Error::UnknownPartition {
        topic: topic.to_owned(),
        partition,
    }
}
