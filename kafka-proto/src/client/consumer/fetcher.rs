//! The fetcher: reads the partitions that it is told to, with a fetch always under way while the application works.
//!
//! There is no task of its own: whoever polls drives it. An answer's batch headers say where the next fetch begins, so that one is sent
//! before the batches are handed out; the connection's task reads its answer meanwhile.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    client::{
        Cluster, Config, IsolationLevel, OffsetReset, Purpose,
        cluster::{ListedOffset, Metadata, OffsetSpec},
        error::{Error, Result},
    },
    messages::{
        ErrorCode, FetchResponse,
        fetch::{FetchableTopicResponse, PartitionData},
    },
    records::Decompressor,
    wire::{Text, Uuid},
};

use super::{
    accept::{Cut, cut},
    batches::{Fault, FetchedBatches, FetchedPartition, Origin, corrupt},
    link::{BoxFuture, Event, FetchTerms, Link},
    room::{FetchBudget, Room},
    session::{Ask, Key},
    state::{Leader, Lost, Outcome, PartitionState, Patience, ResetTo, Seen},
};

/// How long a topic may be missing before a poll says so: it may just have been created.
const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(10);

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
    purpose: Purpose,
    /// By number: name and id, zero if the brokers have none.
    topics: Vec<(Text, Uuid)>,
    by_name: HashMap<Text, u32>,
    by_id: HashMap<Uuid, u32>,
    partitions: BTreeMap<Key, Assigned>,
    links: BTreeMap<i32, Link>,
    resets: Vec<Reset>,
    /// Judged and not delivered yet.
    ready: Vec<(Key, FetchedPartition)>,
    errors: VecDeque<Error>,
    /// Some reader of delivered batches met a bad one.
    faults: Arc<AtomicBool>,
    /// Counts answers, so that a partition counts once in each.
    answers: u64,
    changes: BoxFuture<Option<watch::Receiver<Arc<Metadata>>>>,
    /// Look at the metadata again: partitions were added, or it changed.
    observe: bool,
    freed: Option<BoxFuture<()>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// A request was queued that the connection's task has yet to write.
    sent: bool,
    wanted: Vec<(Key, Ask)>,
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
    /// The application knows the watermarks of this assignment or seek.
    told: bool,
    resetting: bool,
    answer: u64,
    /// More than the settings say, once a batch came cut off.
    partition_max_bytes: i32,
}

/// A question to one broker for the starts of its partitions.
struct Reset {
    broker: i32,
    since: Instant,
    asked: Vec<(Key, ResetTo)>,
    answer: BoxFuture<Result<Vec<Result<ListedOffset>>>>,
}

/// Tells the fetchers of a process apart: each has connections of its own.
static NUMBERS: AtomicU16 = AtomicU16::new(0);

impl Fetcher {
    /// A fetcher with the cluster's settings and a budget of its own (`fetch.buffer.bytes`).
    pub fn new(cluster: &Cluster) -> Self {
        let budget = FetchBudget::new(cluster.config().fetch_buffer_bytes);
        Self::with_budget(cluster, &budget)
    }

    /// A fetcher that shares a budget with others.
    pub fn with_budget(cluster: &Cluster, budget: &FetchBudget) -> Self {
        Self {
            settings: Settings::new(cluster.config()),
            budget: budget.clone(),
            purpose: Purpose::Fetch(NUMBERS.fetch_add(1, Ordering::Relaxed)),
            topics: Vec::new(),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            partitions: BTreeMap::new(),
            links: BTreeMap::new(),
            resets: Vec::new(),
            ready: Vec::new(),
            errors: VecDeque::new(),
            faults: Arc::default(),
            answers: 0,
            changes: changed(cluster.changes()),
            observe: false,
            freed: None,
            timer: None,
            sent: false,
            wanted: Vec::new(),
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
        self.ready.retain(|(k, _)| *k != key);
        let assigned = Assigned {
            state: PartitionState::new(name, partition),
            fault: Fault::new(&self.faults),
            delivered: None,
            told: false,
            resetting: false,
            answer: 0,
            partition_max_bytes: self.settings.partition_max_bytes,
        };
        self.partitions.insert(key, assigned);
        self.observe = true;
        self.start(key, start);
    }

    /// Takes a partition away, and what is fetched of it. Its position, if it was assigned and had one.
    pub fn unassign(&mut self, topic: &str, partition: i32) -> Option<i64> {
        let key = self.key(topic, partition)?;
        self.ready.retain(|(k, _)| *k != key);
        self.partitions
            .remove(&key)?
            .position()
            .map(|(position, _)| position)
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
        self.start(key, start);
        Ok(())
    }

    /// Stops fetching a partition, and keeps its position; what was fetched of it and not delivered is dropped.
    ///
    /// # Errors
    /// The partition is not assigned.
    pub fn pause(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.set_paused(topic, partition, true)
    }

    /// Fetches a paused partition again.
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
        if self.ready.is_empty() && self.errors.is_empty() {
            let waited = tokio::time::timeout(timeout, poll_fn(|cx| self.poll_drive(cx))).await;
            if waited.is_ok() && self.sent {
                // The connection's task may share this thread: let it write the next fetch before the application computes.
                self.sent = false;
                tokio::task::yield_now().await;
            }
        } else {
            // Faults may have been reported since.
            self.settle_faults();
        }
        self.deliver()
    }

    fn deliver(&mut self) -> Result<FetchedBatches> {
        if self.ready.is_empty()
            && let Some(error) = self.errors.pop_front()
        {
            return Err(error);
        }
        let mut partitions = Vec::with_capacity(self.ready.len());
        for (key, fetched) in self.ready.drain(..) {
            if let Some(assigned) = self.partitions.get_mut(&key) {
                assigned.delivered = Some((fetched.position, fetched.leader_epoch));
                partitions.push(fetched);
            }
        }
        Ok(FetchedBatches::new(partitions))
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            self.settle_faults();
            self.poll_changes(cx, now);
            self.poll_resets(cx, now);
            self.poll_links(cx, now);
            self.ask_resets(cx, now);
            self.send_fetches(cx, now);
            if !self.ready.is_empty() || !self.errors.is_empty() {
                return Poll::Ready(());
            }
            if self.poll_timer(cx, now).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Positions go back to batches that turned out bad in the application's hands.
    fn settle_faults(&mut self) {
        if !self.faults.swap(false, Ordering::AcqRel) {
            return;
        }
        for (key, assigned) in &mut self.partitions {
            if let Some(offset) = assigned.fault.offset() {
                assigned.fault = Fault::new(&self.faults);
                assigned.state.seek(offset, -1);
                assigned.delivered = Some((offset, -1));
                self.ready.retain(|(k, _)| k != key);
            }
        }
    }

    fn poll_changes(&mut self, cx: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(receiver) = self.changes.as_mut().poll(cx) {
            self.observe = true;
            match receiver {
                Some(receiver) => self.changes = changed(receiver),
                None => self.changes = Box::pin(std::future::pending()),
            }
        }
        let given_up = self
            .partitions
            .values()
            .filter_map(|a| a.state.given_up_at(&self.settings.patience))
            .any(|at| at <= now.into_std());
        if self.observe || given_up {
            self.observe = false;
            self.observe_metadata(now);
        }
    }

    fn observe_metadata(&mut self, now: Instant) {
        let metadata = self.cluster.metadata();
        for number in 0..self.topics.len() as u32 {
            let (name, id) = self.topics[number as usize].clone();
            let topic = metadata.topic(&name);
            let mut recreated = false;
            if let Some(topic) = topic
                && topic.id != id
            {
                recreated = !id.is_zero();
                self.by_id.remove(&id);
                self.by_id.insert(topic.id, number);
                self.topics[number as usize].1 = topic.id;
            }
            let refused = metadata
                .topic_error(&name)
                .filter(|code| topic.is_none() && !code.is_retriable());
            let missing =
                metadata.topic_error(&name) == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            let mut failed = None;
            let range = Key {
                topic: number,
                partition: i32::MIN,
            }..=Key {
                topic: number,
                partition: i32::MAX,
            };
            let keys: Vec<Key> = self.partitions.range(range).map(|(key, _)| *key).collect();
            for key in keys {
                let Some(assigned) = self.partitions.get_mut(&key) else {
                    continue;
                };
                if recreated && let Some(lost) = assigned.state.recreated() {
                    self.lost(key, lost);
                }
                let seen = match topic {
                    Some(topic) => match topic.partitions.get(key.partition as usize) {
                        Some(partition) => Seen::Exists(partition.leader.map(|id| Leader {
                            broker: id.0,
                            epoch: partition.leader_epoch,
                        })),
                        None => Seen::Missing,
                    },
                    None if missing => Seen::Missing,
                    None => Seen::Exists(None),
                };
                let Some(assigned) = self.partitions.get_mut(&key) else {
                    continue;
                };
                if let Err(code) =
                    assigned
                        .state
                        .observe(seen, now.into_std(), &self.settings.patience)
                {
                    failed = Some(code);
                }
            }
            if recreated {
                tracing::warn!(topic = %name, "the topic was deleted and created again");
                // Sessions know the old id.
                self.links
                    .values_mut()
                    .for_each(|link| link.session.restart());
            }
            if let Some(code) = failed.or(refused) {
                self.errors.push_back(missing_topic(&name, code));
            }
        }
    }

    /// Asks for starts: one question to each broker at a time.
    fn ask_resets(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mut questions: BTreeMap<i32, Vec<(Key, ResetTo)>> = BTreeMap::new();
        for (key, assigned) in &self.partitions {
            if !assigned.resetting
                && let Some(to) = assigned.state.wants_reset(now.into_std())
                && let Some(broker) = assigned.state.broker(now.into_std())
            {
                questions.entry(broker).or_default().push((*key, to));
            }
        }
        if questions.is_empty() {
            return;
        }
        for (broker, asked) in questions {
            // On the fetch connection if that is free: it will be needed anyway.
            let busy = self.links.get(&broker).is_some_and(Link::is_busy);
            let purpose = if busy {
                Purpose::Metadata
            } else {
                self.purpose
            };
            for (key, _) in &asked {
                if let Some(assigned) = self.partitions.get_mut(key) {
                    assigned.resetting = true;
                }
            }
            let list: Vec<(Text, i32, OffsetSpec)> = asked
                .iter()
                .map(|&(key, to)| {
                    (
                        self.topics[key.topic as usize].0.clone(),
                        key.partition,
                        spec(to),
                    )
                })
                .collect();
            let (cluster, isolation) = (self.cluster.clone(), self.settings.terms.isolation);
            let answer = Box::pin(async move {
                let list: Vec<(&str, i32, OffsetSpec)> =
                    list.iter().map(|(t, p, s)| (&**t, *p, *s)).collect();
                cluster.list_offsets(&list, isolation, purpose).await
            });
            self.resets.push(Reset {
                broker,
                since: now,
                asked,
                answer,
            });
        }
        self.poll_resets(cx, now);
    }

    fn poll_resets(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mut index = 0;
        while let Some(reset) = self.resets.get_mut(index) {
            let Poll::Ready(answers) = reset.answer.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            let Reset { asked, .. } = self.resets.swap_remove(index);
            let answers = answers.unwrap_or_else(|error| vec![Err(error); asked.len()]);
            for ((key, to), answer) in asked.into_iter().zip(answers) {
                let Some(assigned) = self.partitions.get_mut(&key) else {
                    continue;
                };
                assigned.resetting = false;
                match answer {
                    Ok(listed) => {
                        assigned.state.reset_answered(
                            to,
                            listed.offset.unwrap_or(-1),
                            listed.leader_epoch,
                        );
                        assigned.delivered =
                            assigned.state.position().map(|position| (position, -1));
                    }
                    Err(error) => {
                        assigned
                            .state
                            .back_off(now.into_std(), &self.settings.patience);
                        if !error.is_retriable() {
                            self.errors.push_back(error);
                        }
                    }
                }
            }
        }
    }

    fn poll_links(&mut self, cx: &mut Context<'_>, now: Instant) {
        let brokers: Vec<i32> = self.links.keys().copied().collect();
        for broker in brokers {
            if let Some(link) = self.links.get_mut(&broker)
                && let Poll::Ready(event) = link.poll(cx)
            {
                self.happened(broker, event, now);
            }
        }
    }

    fn happened(&mut self, broker: i32, event: Event, now: Instant) {
        let Some(link) = self.links.get_mut(&broker) else {
            return;
        };
        match event {
            Event::Fetched(response, room) => self.fetched(broker, response, room, now),
            Event::SessionLost(code) => {
                tracing::debug!(broker, %code, "the fetch session is lost; a full fetch opens another");
                link.session_lost(&self.cluster, now);
                if code == ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR
                    || code == ErrorCode::INCONSISTENT_TOPIC_ID
                {
                    self.cluster.request_refresh();
                }
            }
            Event::Failed(error) => {
                tracing::warn!(broker, %error, "cannot fetch; trying again");
                link.back_off(&self.cluster, now);
                self.cluster.request_refresh();
                if !error.is_retriable() {
                    self.errors.push_back(error);
                }
            }
        }
    }

    /// Goes through an answer. What was not asked for, or comes twice, is ignored.
    fn fetched(&mut self, broker: i32, response: FetchResponse, mut room: Room, now: Instant) {
        self.answers += 1;
        let bytes = response
            .responses
            .iter()
            .flat_map(|t| &t.partitions)
            .filter_map(|p| p.records.as_ref());
        room.resize(bytes.map(crate::wire::Records::len).sum());
        let room = Arc::new(room);
        for FetchableTopicResponse {
            topic,
            topic_id,
            partitions,
        } in response.responses
        {
            let number = if topic_id.is_zero() {
                self.by_name.get(&topic)
            } else {
                self.by_id.get(&topic_id)
            };
            let Some(&number) = number else { continue };
            for data in partitions {
                let key = Key {
                    topic: number,
                    partition: data.partition_index,
                };
                let Some(ask) = self
                    .links
                    .get(&broker)
                    .and_then(|link| link.session.asked(key))
                else {
                    continue;
                };
                self.accept(key, &ask, data, &room, now);
            }
        }
    }

    fn accept(
        &mut self,
        key: Key,
        ask: &Ask,
        mut data: PartitionData,
        room: &Arc<Room>,
        now: Instant,
    ) {
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return;
        };
        if std::mem::replace(&mut assigned.answer, self.answers) == self.answers {
            return;
        }
        let state = &mut assigned.state;
        let before = (
            state.high_watermark,
            state.last_stable_offset,
            state.log_start_offset,
        );
        match state.answered(ask, &data, now.into_std(), &self.settings.patience) {
            Outcome::Stale => {}
            Outcome::Good => {
                let known = assigned.told
                    && before
                        == (
                            state.high_watermark,
                            state.last_stable_offset,
                            state.log_start_offset,
                        );
                let records = data.records.take().unwrap_or_default().into_bytes();
                let aborted = match self.settings.terms.isolation {
                    IsolationLevel::ReadCommitted => data.aborted_transactions.take(),
                    IsolationLevel::ReadUncommitted => None,
                };
                let size = records.len();
                let found = cut(
                    records,
                    ask.offset,
                    ask.last_fetched_epoch,
                    aborted,
                    self.settings.check_crcs,
                );
                self.deliverable(key, ask, found, size, known, room, now);
            }
            Outcome::Retry { refresh } => {
                let leader = &data.current_leader;
                let learnt = leader.leader_id >= 0
                    && self.cluster.learn_leader(
                        &state.topic,
                        key.partition,
                        crate::client::BrokerId(leader.leader_id),
                        leader.leader_epoch,
                    );
                if refresh && !learnt {
                    self.cluster.request_refresh();
                }
            }
            Outcome::Lost(lost) => self.lost(key, lost),
            Outcome::Failed(code) => {
                let error = if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                    missing_topic(&state.topic, code)
                } else {
                    Error::broker(
                        format!(
                            "fetching {}-{} at offset {}",
                            state.topic, key.partition, ask.offset
                        ),
                        code,
                        None,
                    )
                };
                self.errors.push_back(error);
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, which has them all at hand"
    )]
    fn deliverable(
        &mut self,
        key: Key,
        ask: &Ask,
        found: Cut,
        size: usize,
        known: bool,
        room: &Arc<Room>,
        now: Instant,
    ) {
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return;
        };
        let moved = found.position != ask.offset;
        if let Some((error, next)) = found.bad
            && !moved
        {
            assigned
                .state
                .back_off(now.into_std(), &self.settings.patience);
            self.errors.push_back(corrupt(
                &assigned.state.topic,
                key.partition,
                ask.offset,
                next,
                error,
            ));
            return;
        }
        if moved {
            assigned.state.advance(found.position, found.leader_epoch);
            assigned.partition_max_bytes = self.settings.partition_max_bytes;
        } else if found.partial_bytes > 0 {
            // A batch larger than the limit, from a broker that cuts even the first one: ask for more.
            assigned.partition_max_bytes =
                assigned.partition_max_bytes.saturating_mul(2).max(1 << 16);
        }
        if known && !moved {
            return;
        }
        assigned.told = true;
        let metrics = self.cluster.counters();
        metrics.records_fetched.add(found.record_count);
        metrics.batches_fetched.add(found.batches.len() as u64);
        metrics
            .batch_bytes_fetched
            .add((size - found.partial_bytes.min(size)) as u64);
        let state = &assigned.state;
        let fetched = FetchedPartition {
            origin: Arc::new(Origin {
                topic: state.topic.clone(),
                partition: key.partition,
                check_crcs: self.settings.check_crcs,
                fault: Arc::clone(&assigned.fault),
                _room: Arc::clone(room),
            }),
            batches: found.batches.into_iter(),
            from: ask.offset,
            position: found.position,
            leader_epoch: state.position_epoch(),
            high_watermark: state.high_watermark,
            last_stable_offset: state.last_stable_offset,
            log_start_offset: state.log_start_offset,
            end: self.settings.end(state),
        };
        self.ready.push((key, fetched));
    }

    /// A position that is none any more: go where `auto.offset.reset` says, or tell.
    fn lost(&mut self, key: Key, lost: Lost) {
        let to = self.settings.reset_to();
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return;
        };
        let topic = assigned.state.topic.clone();
        let (offset, reason) = match lost {
            Lost::OutOfRange {
                position,
                log_start,
                high_watermark,
            } => {
                let range = if log_start >= 0 && high_watermark >= 0 {
                    format!("the log now reaches from {log_start} to {high_watermark}")
                } else {
                    "it is outside the log".to_owned()
                };
                (position, range)
            }
            Lost::Truncated { position, to, .. } => (
                position,
                format!("an unclean leader election took away what was read from offset {to} on"),
            ),
            Lost::Recreated { position } => (
                position,
                "the topic was deleted and created again".to_owned(),
            ),
        };
        tracing::warn!(%topic, partition = key.partition, offset, reason, "the position is lost");
        match (lost, to) {
            (_, None) => self.errors.push_back(Error::PositionLost {
                topic: topic.as_str().into(),
                partition: key.partition,
                offset,
                reason: reason.into(),
            }),
            (Lost::Truncated { to, epoch, .. }, Some(_)) => {
                self.start(key, Start::OffsetInEpoch(to, epoch));
            }
            (_, Some(to)) => {
                assigned.state.reset(to);
                assigned.delivered = None;
                assigned.told = false;
                self.ready.retain(|(k, _)| *k != key);
            }
        }
    }

    fn send_fetches(&mut self, cx: &mut Context<'_>, now: Instant) {
        let std_now = now.into_std();
        for assigned in self.partitions.values() {
            if let Some(broker) = assigned.state.broker(std_now)
                && !self.links.contains_key(&broker)
            {
                self.links
                    .insert(broker, Link::new(broker, self.budget.reader()));
            }
        }
        let brokers: Vec<i32> = self.links.keys().copied().collect();
        for broker in brokers {
            if let Poll::Ready(Some(event)) = self.send_fetch(broker, cx, now) {
                self.happened(broker, event, now);
            }
        }
    }

    fn send_fetch(
        &mut self,
        broker: i32,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Option<Event>> {
        let Some(link) = self.links.get_mut(&broker) else {
            return Poll::Pending;
        };
        if link.is_busy() {
            return Poll::Pending;
        }
        // A fetch would keep the partitions waiting whose start is about to be known.
        let hold = self.settings.patience.retry_backoff;
        if self
            .resets
            .iter()
            .any(|r| r.broker == broker && now.duration_since(r.since) < hold)
        {
            return Poll::Pending;
        }
        self.wanted.clear();
        for (key, assigned) in &self.partitions {
            if assigned.state.broker(now.into_std()) == Some(broker)
                && let Some(ask) = assigned
                    .state
                    .ask(now.into_std(), assigned.partition_max_bytes)
            {
                self.wanted.push((*key, ask));
            }
        }
        if self.wanted.is_empty() {
            return Poll::Pending;
        }
        if let Some(event) = std::task::ready!(link.ready(&self.cluster, self.purpose, cx, now)) {
            return Poll::Ready(Some(event));
        }
        let by_id = link.speaks_ids()
            && self
                .wanted
                .iter()
                .all(|(key, _)| !self.topics[key.topic as usize].1.is_zero());
        let each = self
            .wanted
            .iter()
            .map(|(_, ask)| ask.partition_max_bytes as usize);
        let most = each
            .clone()
            .sum::<usize>()
            .min(self.settings.max_bytes)
            .min(self.budget.share());
        let least = most.min(self.settings.partition_max_bytes as usize);
        let most = most.max(least);
        let mut room = self.budget.take(least, most);
        while room.is_none() {
            let freed = self
                .freed
                .get_or_insert_with(|| Box::pin(self.budget.freed()));
            let Poll::Ready(()) = freed.as_mut().poll(cx) else {
                // Room may have come free before the waiting began.
                room = self.budget.take(least, most);
                break;
            };
            self.freed = None;
            room = self.budget.take(least, most);
        }
        let Some(room) = room else {
            return Poll::Pending;
        };
        let plan = link.session.plan(&self.wanted, by_id);
        if let Err(error) = link.send(&plan, by_id, &self.topics, &self.settings.terms, room) {
            link.send_failed();
            return Poll::Ready(Some(Event::Failed(error)));
        }
        self.sent = true;
        // Registers for the answer.
        link.poll(cx).map(Some)
    }

    /// Sleeps until something is due again.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let patience = &self.settings.patience;
        let hold = patience.retry_backoff;
        let partitions = self.partitions.values().flat_map(|a| {
            let again = a.state.lacks_leader().then(|| now.into_std() + hold);
            [a.state.wakes_at(), a.state.given_up_at(patience), again]
                .into_iter()
                .flatten()
        });
        let links = self.links.values().filter_map(Link::wakes_at);
        let resets = self.resets.iter().map(|r| r.since + hold);
        let due = partitions
            .map(Instant::from_std)
            .chain(links)
            .chain(resets)
            .filter(|at| *at > now)
            .min();
        if self.partitions.values().any(|a| a.state.lacks_leader()) {
            self.cluster.request_refresh();
        }
        let Some(due) = due else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }

    fn start(&mut self, key: Key, start: Start) {
        self.ready.retain(|(k, _)| *k != key);
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
        assigned.fault = Fault::new(&self.faults);
        assigned.told = false;
        assigned.delivered = None;
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
            (_, None) => self.errors.push_back(Error::PositionLost {
                topic: assigned.state.topic.as_str().into(),
                partition: key.partition,
                offset: -1,
                reason: "there is no position to start from".into(),
            }),
        }
    }

    fn topic_number(&mut self, topic: &str) -> u32 {
        if let Some(&number) = self.by_name.get(topic) {
            return number;
        }
        let (number, name) = (self.topics.len() as u32, Text::from(topic));
        self.topics.push((name.clone(), Uuid::ZERO));
        self.by_name.insert(name, number);
        self.cluster.want_topic(topic);
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
            if paused && let Some(index) = self.ready.iter().position(|(k, _)| *k == key) {
                // Fetched but not delivered: the position goes back.
                self.ready.swap_remove(index);
                if let Some((position, epoch)) = assigned.delivered {
                    assigned.state.seek(position, epoch);
                }
            }
        }
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
                unknown_topic: UNKNOWN_TOPIC_PATIENCE.min(default_api_timeout),
                read_replica: Duration::from_millis(config.metadata_max_age_ms),
            },
            reset: config.auto_offset_reset,
            max_bytes: config.fetch_max_bytes.max(1) as usize,
            partition_max_bytes: config.max_partition_fetch_bytes.max(1),
            check_crcs: config.check_crcs,
            decompressed_bytes_max: config.fetch_buffer_bytes,
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
