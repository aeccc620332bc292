//! The fetcher: reads the partitions that it is told to, with a fetch always under way while the application works.
//!
//! There is no task of its own: whoever polls drives it. An answer's batch headers say where the next fetch begins, so that one is sent
//! before the batches are handed out; the connection's task reads its answer meanwhile.

mod answers;
mod checks;
mod drive;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::poll_fn,
    ops::RangeInclusive,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::watch,
    time::{Instant, Sleep},
};

use crate::{
    client::{
        Cluster, Config, IsolationLevel, Jitter, OffsetReset, Pending, Purpose,
        cluster::{Held, ListedOffset, Metadata, OffsetSpec, OwnConnections},
        error::{Error, Result},
        metrics::PartitionMetrics,
    },
    messages::{ErrorCode, OffsetForLeaderEpochRequest},
    records::Decompressor,
    wire::{Text, Uuid},
};

use super::{
    batches::{Fault, FetchedBatches, FetchedPartition},
    link::{BoxFuture, FetchTerms, Link},
    room::FetchBudget,
    session::Key,
    state::{Check, PartitionState, Patience, ResetTo},
};

/// How long a topic may be missing before a poll says so: it may just have been created.
const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(10);

/// What a batch may inflate to, however large the buffer is: Kafka's own limit, and records count their bytes in 32 bits.
const DECOMPRESSED_BYTES_MAX: usize = i32::MAX as usize;

/// Where reading of a partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this offset.
    Offset(i64),
    /// At this offset, and the record before it had this leader epoch (as a commit tells): a truncated log is noticed (KIP-320).
    OffsetInEpoch(i64, i32),
    /// At the first record that is there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// At the first record with this timestamp (milliseconds since 1970) or a later one; at the end if there is none.
    Timestamp(i64),
    /// Where `auto.offset.reset` says; with `none` polling is an error until somebody seeks.
    Reset,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Behind the last that a poll delivered; `None` until a start was found.
    pub position: Option<i64>,
    /// Leader epoch of the last batch before the position, −1 if unknown.
    pub leader_epoch: i32,
    /// The end of what is replicated, −1 if unknown.
    pub high_watermark: i64,
    /// The end of what is decided, −1 if unknown.
    pub last_stable_offset: i64,
    /// The first offset that is still in the log, −1 if unknown.
    pub log_start_offset: i64,
    /// The end of what can be read: the last stable offset under read_committed, else the high watermark; −1 if unknown.
    pub end: i64,
}

/// Reads partitions. It belongs to no group: [`Consumer`](super::Consumer) joins one to it, and an application may use several fetchers
/// beside each other, each with partitions of its own.
///
/// Not cheap to make (a connection to each broker), and not shared: one task uses it.
pub struct Fetcher {
    cluster: Cluster,
    settings: Settings,
    budget: FetchBudget,
    connections: OwnConnections,
    /// By number: name and id, zero if the brokers have none.
    topics: Vec<(Text, Uuid)>,
    by_name: HashMap<Text, u32>,
    /// The topics that partitions are assigned of.
    held_topics: BTreeMap<u32, Held>,
    by_id: HashMap<Uuid, u32>,
    partitions: BTreeMap<Key, Assigned>,
    links: BTreeMap<i32, Link>,
    resets: Vec<Reset>,
    checks: Vec<Checking>,
    /// Judged and not delivered yet.
    ready: Vec<(Key, FetchedPartition)>,
    /// The same of paused partitions: kept for when they go on, given up when its room is needed.
    held: Vec<(Key, FetchedPartition)>,
    errors: VecDeque<Error>,
    /// Some reader of delivered batches met a bad one.
    faults: Arc<AtomicBool>,
    /// Counts answers, so that a partition counts once in each.
    answers: u64,
    /// Whether the answer that is gone through says anything new.
    news: bool,
    /// Counts deliveries, so that a partition comes once in each.
    deliveries: u64,
    changes: BoxFuture<Option<watch::Receiver<Arc<Metadata>>>>,
    /// Look at the metadata again: partitions were added, or it changed.
    observe: bool,
    freed: Option<BoxFuture<()>>,
    starved: drive::Starved,
    timer: Option<Pin<Box<Sleep>>>,
    /// A request was queued that the connection's task has yet to write.
    sent: bool,
    /// When the first missing topic becomes an error, as of the last look at the partitions.
    given_up_at: Option<Instant>,
}

struct Settings {
    terms: FetchTerms,
    patience: Patience,
    reset: OffsetReset,
    max_bytes: usize,
    partition_max_bytes: i32,
    check_crcs: bool,
    decompressed_bytes_max: usize,
}

struct Assigned {
    state: PartitionState,
    fault: Arc<Fault>,
    /// Behind the last that was handed out, with its leader epoch.
    delivered: Option<(i64, i32)>,
    /// Why it has no position to read from, where nothing but a seek helps.
    lost: Option<Error>,
    /// The application knows the watermarks of this assignment or seek.
    told: bool,
    /// A leader is being asked for its start, or whether its position is in the log.
    resetting: bool,
    answer: u64,
    delivery: u64,
    /// More than the settings say, once a batch came cut off.
    partition_max_bytes: i32,
    metrics: Arc<PartitionMetrics>,
}

/// A question to one broker for the starts of its partitions.
struct Reset {
    broker: i32,
    since: Instant,
    asked: Vec<(Key, ResetTo)>,
    answer: BoxFuture<Result<Vec<Result<ListedOffset>>>>,
}

/// A question to one broker whether positions are in its logs.
struct Checking {
    broker: i32,
    since: Instant,
    asked: Vec<(Key, Check)>,
    answer: Pending<OffsetForLeaderEpochRequest>,
}

impl Fetcher {
    /// A fetcher with the cluster's settings and a budget of its own (`fetch.buffer.bytes`).
    pub fn new(cluster: &Cluster) -> Self {
        let budget = FetchBudget::new(cluster.config().fetch_buffer_bytes);
        Self::with_budget(cluster, &budget)
    }

    /// A fetcher that shares a budget with others.
    pub fn with_budget(cluster: &Cluster, budget: &FetchBudget) -> Self {
        budget.show(cluster.counters());
        Self {
            settings: Settings::new(cluster.config()),
            budget: budget.clone(),
            connections: OwnConnections::new(cluster, Purpose::Fetch),
            topics: Vec::new(),
            by_name: HashMap::new(),
            held_topics: BTreeMap::new(),
            by_id: HashMap::new(),
            partitions: BTreeMap::new(),
            links: BTreeMap::new(),
            resets: Vec::new(),
            checks: Vec::new(),
            ready: Vec::new(),
            held: Vec::new(),
            errors: VecDeque::new(),
            faults: Arc::default(),
            answers: 0,
            news: false,
            deliveries: 0,
            changes: changed(cluster.changes()),
            observe: false,
            freed: None,
            starved: drive::Starved::default(),
            timer: None,
            sent: false,
            given_up_at: None,
            cluster: cluster.clone(),
        }
    }

    /// Overrides `auto.offset.reset` for this fetcher.
    #[must_use]
    pub fn with_reset(mut self, reset: OffsetReset) -> Self {
        self.settings.reset = reset;
        self
    }

    /// What [`FetchedBatch::records`](super::FetchedBatch::records) inflates with: reused from batch to batch, limited by
    /// `fetch.buffer.bytes`.
    pub fn decompressor(&self) -> Decompressor {
        Decompressor::new(self.settings.decompressed_bytes_max)
    }

    /// Adds a partition; one that is there already starts anew. Nothing is sent before the next poll.
    pub fn assign(&mut self, topic: &str, partition: i32, start: Start) {
        let key = Key {
            topic: self.topic_number(topic),
            partition,
        };
        let name = self.topics[key.topic as usize].0.clone();
        self.forget(key);
        let links = self.links.values_mut();
        links.for_each(|link| link.session.renew(key));
        let assigned = Assigned {
            state: PartitionState::new(name, partition),
            fault: Fault::new(&self.faults),
            delivered: None,
            lost: None,
            told: false,
            resetting: false,
            answer: 0,
            delivery: 0,
            partition_max_bytes: self.settings.partition_max_bytes,
            metrics: self
                .cluster
                .counters()
                .partitions
                .entry(&(topic.into(), partition)),
        };
        assigned.metrics.position.set(-1);
        assigned.metrics.end_offset.set(-1);
        self.partitions.insert(key, assigned);
        self.held_topics
            .entry(key.topic)
            .or_insert_with(|| self.cluster.hold_topic(topic));
        self.observe = true;
        self.start(key, start);
    }

    /// Takes a partition away, and what is fetched of it. Its position, if it was assigned and had one.
    pub fn unassign(&mut self, topic: &str, partition: i32) -> Option<i64> {
        let key = self.key(topic, partition)?;
        self.forget(key);
        let removed = self.partitions.remove(&key)?;
        if self.partitions.range(all_of(key.topic)).next().is_none() {
            self.held_topics.remove(&key.topic);
        }
        removed.position().map(|(position, _)| position)
    }

    /// The partitions that are assigned, with how far each was read.
    pub fn assignment(&self) -> impl Iterator<Item = (&Text, i32, Progress)> {
        self.partitions.values().map(|assigned| {
            (
                &assigned.state.topic,
                assigned.state.partition,
                self.progress_of(assigned),
            )
        })
    }

    /// How far a partition was read, if it is assigned. Position and watermarks are as of the last poll.
    pub fn progress(&self, topic: &str, partition: i32) -> Option<Progress> {
        self.assigned(topic, partition)
            .map(|assigned| self.progress_of(assigned))
    }

    /// Behind the last record that a poll delivered; `None` if the partition is not assigned or its start is not found yet.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.assigned(topic, partition)?
            .position()
            .map(|(position, _)| position)
    }

    /// Reads on from elsewhere. What was fetched and not delivered is dropped.
    ///
    /// # Errors
    /// The partition is not assigned.
    pub fn seek(&mut self, topic: &str, partition: i32, start: Start) -> Result<()> {
        let key = self.required(topic, partition)?;
        if let Some(assigned) = self.partitions.get_mut(&key) {
            assigned.state.gets_on();
        }
        self.start(key, start);
        Ok(())
    }

    /// Stops fetching and delivering a partition, and keeps its position. What was fetched of it and not delivered waits for
    /// [`Fetcher::resume`]; if others need its room in `fetch.buffer.bytes`, it is given up and fetched again then.
    ///
    /// # Errors
    /// The partition is not assigned.
    pub fn pause(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.set_paused(topic, partition, true)
    }

    /// Fetches and delivers a paused partition again, from where it was left.
    ///
    /// # Errors
    /// The partition is not assigned.
    pub fn resume(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.set_paused(topic, partition, false)
    }

    /// Whether a partition is paused.
    pub fn is_paused(&self, topic: &str, partition: i32) -> bool {
        self.assigned(topic, partition)
            .is_some_and(|assigned| assigned.state.is_paused())
    }

    /// Waits for fetched batches, at most for `timeout`; delivers all that has come. Each partition comes once at most. Delivering
    /// moves the positions.
    ///
    /// A partition may come without batches: when its watermarks are first known, and when its position moved over markers and aborted
    /// records alone. When the time is over the result is empty.
    ///
    /// Safe to drop: what was fetched stays for the next poll, and nothing is delivered twice.
    ///
    /// # Errors
    /// Of one partition, with its place: [`Error::CorruptRecords`] and [`Error::PositionLost`] (the partition stays where it is, and is
    /// tried again with back-off), [`Error::Broker`] for a topic that does not exist or must not be read. The other partitions go on at
    /// the next poll. A lost or unreachable broker is no error: it is tried again with back-off, and positions are kept.
    pub async fn poll_batches(&mut self, timeout: Duration) -> Result<FetchedBatches> {
        let waited = poll_fn(|cx| self.poll_ready(cx));
        match tokio::time::timeout(timeout, waited).await {
            Ok(delivered) => delivered,
            // What came while the next fetch was being written.
            Err(_) => self.deliver(),
        }
    }

    /// As [`Fetcher::poll_batches`], without a time limit, for those who write their own futures.
    ///
    /// # Errors
    /// As there.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<FetchedBatches>> {
        self.settle_faults();
        if self.ready.is_empty() && self.errors.is_empty() {
            std::task::ready!(self.poll_drive(cx));
            if std::mem::take(&mut self.sent) {
                // The connection's task may share this thread: let it write the next fetch before the application computes.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(self.deliver())
    }

    fn deliver(&mut self) -> Result<FetchedBatches> {
        if self.ready.is_empty()
            && let Some(error) = self.errors.pop_front()
        {
            return Err(error);
        }
        self.deliveries += 1;
        let mut partitions = Vec::with_capacity(self.ready.len());
        let mut again = Vec::new();
        for (key, fetched) in self.ready.drain(..) {
            let Some(assigned) = self.partitions.get_mut(&key) else {
                continue;
            };
            // What waited while the partition was paused comes before what was fetched since, each in a poll of its own.
            if std::mem::replace(&mut assigned.delivery, self.deliveries) == self.deliveries {
                again.push((key, fetched));
                continue;
            }
            assigned.delivered = Some((fetched.position, fetched.leader_epoch));
            assigned.metrics.position.set(fetched.position);
            assigned.metrics.end_offset.set(fetched.end);
            partitions.push(fetched);
        }
        self.ready = again;
        Ok(FetchedBatches::new(partitions))
    }

    /// Takes back what was delivered of a paused partition and not handed on, as if it had not been delivered.
    pub(super) fn take_back(&mut self, fetched: Vec<FetchedPartition>) {
        for (place, fetched) in fetched.into_iter().enumerate() {
            let Some(key) = self.key(fetched.topic(), fetched.partition()) else {
                continue;
            };
            let Some(assigned) = self.partitions.get_mut(&key) else {
                continue;
            };
            // What was fetched before a seek is of no use.
            if !Arc::ptr_eq(&assigned.fault, &fetched.origin.fault) {
                continue;
            }
            if place == 0 {
                assigned.delivered = Some(fetched.next());
            }
            self.held.insert(place, (key, fetched));
        }
    }

    /// Gives up what is kept of paused partitions: they are read again from where they were delivered.
    fn give_up_held(&mut self) {
        for (key, fetched) in std::mem::take(&mut self.held).into_iter().rev() {
            if let Some(assigned) = self.partitions.get_mut(&key) {
                let (position, epoch) = fetched.next();
                assigned.state.seek(position, epoch);
            }
        }
    }

    /// Drops what was fetched of a partition and not delivered.
    fn forget(&mut self, key: Key) {
        self.ready.retain(|(k, _)| *k != key);
        self.held.retain(|(k, _)| *k != key);
    }

    fn start(&mut self, key: Key, start: Start) {
        self.forget(key);
        let to = match start {
            Start::Offset(_) | Start::OffsetInEpoch(..) => None,
            Start::Earliest => Some(ResetTo::Earliest),
            Start::Latest => Some(ResetTo::Latest),
            Start::Timestamp(timestamp) => Some(ResetTo::Timestamp(timestamp)),
            Start::Reset => self.settings.reset_to(),
        };
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return;
        };
        tracing::debug!(topic = %assigned.state.topic, partition = key.partition, ?start, "reading from here");
        assigned.fault = Fault::new(&self.faults);
        assigned.told = false;
        assigned.delivered = None;
        assigned.lost = None;
        match (start, to) {
            (_, Some(to)) => assigned.state.reset(to),
            (Start::Offset(offset), None) => {
                assigned.state.seek(offset, -1);
                assigned.delivered = Some((offset, -1));
            }
            (Start::OffsetInEpoch(offset, epoch), None) => {
                assigned.state.seek(offset, epoch);
                assigned.delivered = Some((offset, epoch));
            }
            (_, None) => {
                assigned.state.stop();
                assigned.lost = Some(Error::PositionLost {
                    topic: assigned.state.topic.as_str().into(),
                    partition: key.partition,
                    offset: -1,
                    reason: "there is no position to start from".into(),
                });
            }
        }
    }

    fn topic_number(&mut self, topic: &str) -> u32 {
        if let Some(&number) = self.by_name.get(topic) {
            return number;
        }
        let (number, name) = (self.topics.len() as u32, Text::from(topic));
        self.topics.push((name.clone(), Uuid::ZERO));
        self.by_name.insert(name, number);
        number
    }

    fn key(&self, topic: &str, partition: i32) -> Option<Key> {
        Some(Key {
            topic: *self.by_name.get(topic)?,
            partition,
        })
    }

    fn assigned(&self, topic: &str, partition: i32) -> Option<&Assigned> {
        self.partitions.get(&self.key(topic, partition)?)
    }

    fn required(&self, topic: &str, partition: i32) -> Result<Key> {
        let key = self
            .key(topic, partition)
            .filter(|key| self.partitions.contains_key(key));
        key.ok_or_else(|| {
            Error::usage(format!(
                "{topic}-{partition} is not assigned to this fetcher"
            ))
        })
    }

    fn set_paused(&mut self, topic: &str, partition: i32, paused: bool) -> Result<()> {
        let key = self.required(topic, partition)?;
        if let Some(assigned) = self.partitions.get_mut(&key) {
            assigned.state.set_paused(paused);
        }
        let (from, to) = if paused {
            (&mut self.ready, &mut self.held)
        } else {
            (&mut self.held, &mut self.ready)
        };
        let (moved, left): (Vec<_>, Vec<_>) = from.drain(..).partition(|(k, _)| *k == key);
        *from = left;
        to.extend(moved);
        Ok(())
    }

    fn progress_of(&self, assigned: &Assigned) -> Progress {
        let (state, position) = (&assigned.state, assigned.position());
        Progress {
            position: position.map(|(position, _)| position),
            leader_epoch: position.map_or(-1, |(_, epoch)| epoch),
            high_watermark: state.high_watermark,
            last_stable_offset: state.last_stable_offset,
            log_start_offset: state.log_start_offset,
            end: self.settings.end(state),
        }
    }
}

impl Assigned {
    /// What was delivered, less what turned out bad.
    fn position(&self) -> Option<(i64, i32)> {
        let (position, epoch) = self.delivered?;
        match self.fault.offset() {
            Some(offset) if offset < position => Some((offset, -1)),
            _ => Some((position, epoch)),
        }
    }
}

impl Settings {
    fn new(config: &Config) -> Self {
        let default_api_timeout = Duration::from_millis(config.default_api_timeout_ms);
        Self {
            terms: FetchTerms {
                max_wait: Duration::from_millis(config.fetch_max_wait_ms),
                min_bytes: config.fetch_min_bytes,
                isolation: config.isolation_level,
                rack: Text::from(config.client_rack.as_str()),
                request_timeout: config.request_timeout(),
            },
            patience: Patience {
                retry_backoff: Duration::from_millis(config.retry_backoff_ms.max(1)),
                retry_backoff_max: Duration::from_millis(config.retry_backoff_max_ms.max(1)),
                spread: Jitter::default().fraction(),
                unknown_topic: UNKNOWN_TOPIC_PATIENCE.min(default_api_timeout),
                read_replica: Duration::from_millis(config.metadata_max_age_ms),
            },
            reset: config.auto_offset_reset,
            max_bytes: config.fetch_max_bytes.max(1) as usize,
            partition_max_bytes: config.max_partition_fetch_bytes.max(1),
            check_crcs: config.check_crcs,
            decompressed_bytes_max: config.fetch_buffer_bytes.min(DECOMPRESSED_BYTES_MAX),
        }
    }

    fn reset_to(&self) -> Option<ResetTo> {
        match self.reset {
            OffsetReset::Earliest => Some(ResetTo::Earliest),
            OffsetReset::Latest => Some(ResetTo::Latest),
            OffsetReset::None => None,
            OffsetReset::ByDuration(age) => {
                let since = SystemTime::now()
                    .checked_sub(age)
                    .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                Some(ResetTo::Timestamp(
                    since.map_or(0, |since| since.as_millis() as i64),
                ))
            }
        }
    }

    fn end(&self, state: &PartitionState) -> i64 {
        match self.terms.isolation {
            IsolationLevel::ReadCommitted if state.last_stable_offset >= 0 => {
                state.last_stable_offset
            }
            _ => state.high_watermark,
        }
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("partitions", &self.partitions.len())
            .finish_non_exhaustive()
    }
}

fn changed(
    mut receiver: watch::Receiver<Arc<Metadata>>,
) -> BoxFuture<Option<watch::Receiver<Arc<Metadata>>>> {
    Box::pin(async move { receiver.changed().await.is_ok().then_some(receiver) })
}

/// All partitions of a topic.
fn all_of(topic: u32) -> RangeInclusive<Key> {
    let key = |partition| Key { topic, partition };
    key(i32::MIN)..=key(i32::MAX)
}

fn spec(to: ResetTo) -> OffsetSpec {
    match to {
        ResetTo::Earliest => OffsetSpec::Earliest,
        ResetTo::Latest => OffsetSpec::Latest,
        ResetTo::Timestamp(timestamp) => OffsetSpec::AtOrAfter(timestamp),
    }
}

fn missing_topic(topic: &str, code: ErrorCode) -> Error {
    let hint = (code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        .then_some("the topic or the partition does not exist, or it was deleted; create it, or take it out of the subscription");
    Error::broker(format!("fetching topic {topic}"), code, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_inflates_to_no_more_than_its_records_can_count_however_large_the_buffer_is() {
        let most = |bytes: usize| {
            let config = Config::new("a:1").fetch_buffer_bytes(bytes);
            Settings::new(&config).decompressed_bytes_max
        };
        assert_eq!(most(1 << 20), 1 << 20);
        assert_eq!(most(1 << 33), i32::MAX as usize);
    }
}
