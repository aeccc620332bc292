//! A cluster in a few vectors, for tests of the runtime: topics, committed positions, acknowledgements that a test may hold back.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, Semaphore};

use crate::Error;
use crate::batch::{Batch, BatchBuilder, Compression, OutboxConfig, Placement, Stamp};
use crate::checkpoint::changelog::ENTRY;
use crate::checkpoint::log::{
    Ack, Arrival, Change, Committed, Log, Need, Place, Position, Share, Sink, Source, Worker,
};

/// A record's key and value.
pub(crate) type KeyValue = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A handle to the cluster; clones share it.
#[derive(Clone)]
pub(crate) struct Memory {
    shared: Arc<Shared>,
    /// Topics of this run, in its order.
    names: Vec<String>,
    inputs: Vec<Place>,
    changes: Arc<Mutex<VecDeque<Change>>>,
    /// The group has taken the work away, and waits for [`Log::release`] before it says anything else.
    is_revoked: Arc<AtomicBool>,
    group: String,
    life: Arc<Life>,
    /// Of what is written.
    pub(crate) batch_bytes_max: usize,
}

/// How long a process lives, counted in what it does to the cluster: each batch appended, each acknowledgement and each commit.
struct Life {
    left: AtomicI64,
    ended: Semaphore,
}

impl Life {
    fn of(steps: i64) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicI64::new(steps),
            ended: Semaphore::new(0),
        })
    }

    /// One step more; never completes when it would be one too many.
    async fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.ended.add_permits(1);
            std::future::pending::<()>().await;
        }
    }
}

struct Shared {
    state: Mutex<State>,
    arrived: Notify,
    /// One permit is taken by each acknowledgement.
    acks: Semaphore,
    changed: Notify,
}

#[derive(Default)]
struct State {
    topics: HashMap<String, Vec<Vec<Batch>>>,
    committed: HashMap<(String, String, i32), Committed>,
    commits: u64,
    /// Batches appended and not acknowledged yet.
    unacknowledged: usize,
    /// Nothing but the first records of this topic is given to anybody who reads.
    withheld: Option<String>,
    /// How often somebody has asked for it.
    asked: u64,
    /// An input and a changelog that are compared at each commit.
    audited: Option<(String, String)>,
    /// At each commit: the records of the input that are committed, and the sum of the changelog's counts.
    audits: Vec<(u64, u64)>,
}

impl Memory {
    pub(crate) fn new(group: &str) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            arrived: Notify::new(),
            acks: Semaphore::new(Semaphore::MAX_PERMITS),
            changed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            names: Vec::new(),
            inputs: Vec::new(),
            changes: Arc::default(),
            is_revoked: Arc::default(),
            group: group.to_owned(),
            life: Life::of(i64::MAX),
            batch_bytes_max: 1024,
        }
    }

    /// The cluster for a process that is killed when it has done so much to it. Nothing that it does later happens.
    pub(crate) fn for_steps(&self, steps: i64) -> Self {
        Self {
            changes: Arc::default(),
            is_revoked: Arc::default(),
            life: Life::of(steps),
            ..self.clone()
        }
    }

    /// The process is to die now.
    pub(crate) async fn killed(&self) {
        let _ = self.life.ended.acquire().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    pub(crate) fn create(&self, topic: &str, partitions: usize) {
        self.state()
            .topics
            .insert(topic.to_owned(), vec![Vec::new(); partitions]);
    }

    /// Appends one batch with these values.
    pub(crate) fn produce<'a>(
        &self,
        topic: &str,
        partition: usize,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) {
        let mut builder = BatchBuilder::new(Compression::NONE, 1024);
        for value in values {
            builder.append(0, None, value, &[]).unwrap();
        }
        self.append(topic, partition, builder);
    }

    /// Appends one record.
    pub(crate) fn produce_record(
        &self,
        topic: &str,
        partition: usize,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        let mut builder = BatchBuilder::new(Compression::NONE, 1024);
        builder.append(0, key, value, &[]).unwrap();
        self.append(topic, partition, builder);
    }

    fn append(&self, topic: &str, partition: usize, mut builder: BatchBuilder) {
        let mut state = self.state();
        let log = &mut state
            .topics
            .get_mut(topic)
            .unwrap_or_else(|| panic!("no topic {topic}"))[partition];
        let base_offset = log.last().map_or(0, Batch::next_offset);
        let bytes = builder
            .finish_at(
                Stamp::NONE,
                Placement {
                    base_offset,
                    ..Placement::NONE
                },
            )
            .unwrap();
        log.push(Batch::new(bytes).unwrap());
        drop(state);
        self.shared.arrived.notify_waiters();
    }

    /// All records of a topic, partition by partition: key and value.
    pub(crate) fn records(&self, topic: &str) -> Vec<KeyValue> {
        let partitions = self.state().topics.get(topic).map_or(0, Vec::len);
        let of = |partition| self.records_of(topic, partition);
        (0..partitions).flat_map(of).collect()
    }

    /// All records of a partition: key and value.
    pub(crate) fn records_of(&self, topic: &str, partition: usize) -> Vec<KeyValue> {
        let state = self.state();
        let mut all = Vec::new();
        for batch in &state.topics[topic][partition] {
            for record in batch.records(batch.body()) {
                let record = record.unwrap();
                all.push((
                    record.key.map(<[u8]>::to_vec),
                    record.value.map(<[u8]>::to_vec),
                ));
            }
        }
        all
    }

    pub(crate) fn committed_at(&self, topic: &str, partition: i32) -> Option<i64> {
        self.state()
            .committed
            .get(&(self.group.clone(), topic.to_owned(), partition))
            .map(|committed| committed.offset)
    }

    /// As a tool would set it, or let it expire.
    pub(crate) fn set_committed(&self, topic: &str, partition: i32, to: Option<Committed>) {
        let at = (self.group.clone(), topic.to_owned(), partition);
        let mut state = self.state();
        match to {
            Some(to) => drop(state.committed.insert(at, to)),
            None => drop(state.committed.remove(&at)),
        }
    }

    pub(crate) fn committed_metadata(&self, topic: &str, partition: i32) -> Option<String> {
        let at = (self.group.clone(), topic.to_owned(), partition);
        self.state().committed.get(&at).map(|c| c.metadata.clone())
    }

    pub(crate) fn commits(&self) -> u64 {
        self.state().commits
    }

    /// From here on nothing is acknowledged until [`Self::acknowledge`].
    pub(crate) fn hold_acks(&self) {
        self.shared.acks.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn acknowledge(&self) {
        self.shared.acks.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Gives the next acknowledgement, if one is awaited and the one before it has been taken.
    pub(crate) fn acknowledge_one(&self) {
        if self.unacknowledged() > 0 && self.shared.acks.available_permits() == 0 {
            self.shared.acks.add_permits(1);
        }
    }

    /// From here on nobody gets records of this topic, but for the first of each partition.
    pub(crate) fn withhold(&self, topic: &str) {
        self.state().withheld = Some(topic.to_owned());
    }

    /// How often somebody has asked for what is withheld.
    pub(crate) fn asked(&self) -> u64 {
        self.state().asked
    }

    /// Adds a partition to a topic.
    pub(crate) fn grow(&self, topic: &str) {
        let mut state = self.state();
        let partitions = state.topics.get_mut(topic);
        partitions.expect("there is the topic").push(Vec::new());
    }

    /// From here on each commit compares how much of an input it commits with what the counts of a changelog are.
    pub(crate) fn audit(&self, input: &str, changelog: &str) {
        self.state().audited = Some((input.to_owned(), changelog.to_owned()));
    }

    /// What came of [`Self::audit`].
    pub(crate) fn audits(&self) -> Vec<(u64, u64)> {
        self.state().audits.clone()
    }

    pub(crate) fn unacknowledged(&self) -> usize {
        self.state().unacknowledged
    }

    /// The group says this next.
    pub(crate) fn change_to(&self, change: Change) {
        self.changes.lock().unwrap().push_back(change);
        self.shared.changed.notify_one();
    }

    fn name(&self, place: Place) -> &str {
        &self.names[place.topic]
    }
}

/// The sum of the last count of each key in a changelog of counts.
fn counted(changelog: &[Vec<Batch>]) -> u64 {
    let mut last: HashMap<Vec<u8>, u64> = HashMap::new();
    for batch in changelog.iter().flatten() {
        for record in batch.records(batch.body()) {
            let record = record.unwrap();
            let (Some(key), Some(value)) = (record.key, record.value) else {
                continue;
            };
            if key[0] == ENTRY {
                last.insert(key.to_vec(), u64::from_be_bytes(value.try_into().unwrap()));
            }
        }
    }
    last.values().sum()
}

impl Log for Memory {
    type Source = MemorySource;
    type Sink = Self;
    type Worker = Self;

    async fn open(&mut self, topics: &[(String, Need)]) -> Result<Vec<i32>, Error> {
        self.names = topics.iter().map(|(name, _)| name.clone()).collect();
        let mut state = self.shared.state.lock().unwrap();
        let count = |(name, need): &(String, Need)| {
            let wanted = match need {
                Need::Changelog { partitions } => *partitions as usize,
                Need::Input(_) | Need::Output(_) => 1,
            };
            state
                .topics
                .entry(name.clone())
                .or_insert_with(|| vec![Vec::new(); wanted])
                .len() as i32
        };
        let counts: Vec<i32> = topics.iter().map(count).collect();
        drop(state);
        let inputs = topics.iter().zip(&counts).enumerate();
        self.inputs = inputs
            .filter(|(_, ((_, need), _))| matches!(need, Need::Input(_)))
            .flat_map(|(topic, (_, count))| {
                (0..*count).map(move |number| Place::single(topic, number))
            })
            .collect();
        Ok(counts)
    }

    fn inputs(&self) -> Vec<Place> {
        self.inputs.clone()
    }

    async fn ends(&self, places: &[Place], until_end: bool) -> Result<Vec<Option<i64>>, Error> {
        let bounds = self.bounds(places, true).await?;
        Ok(bounds
            .into_iter()
            .map(|(_, end)| until_end.then_some(end))
            .collect())
    }

    async fn join(&self, input: &[usize], _whole: bool) -> Result<(), Error> {
        if self.changes.lock().unwrap().is_empty() {
            let state = self.state();
            let partitions = |topic: usize| 0..state.topics[&self.names[topic]].len() as i32;
            let all = input
                .iter()
                .flat_map(|&topic| {
                    partitions(topic).map(move |number| Place::single(topic, number))
                })
                .collect();
            drop(state);
            self.change_to(Change::Assigned(Share::Mine(all)));
        }
        Ok(())
    }

    async fn change(&self) -> Result<Change, Error> {
        loop {
            if !self.is_revoked.load(Ordering::SeqCst)
                && let Some(change) = self.changes.lock().unwrap().pop_front()
            {
                let is_revoked = change == Change::Revoked;
                self.is_revoked.store(is_revoked, Ordering::SeqCst);
                return Ok(change);
            }
            self.shared.changed.notified().await;
        }
    }

    fn release(&self) {
        self.is_revoked.store(false, Ordering::SeqCst);
        self.shared.changed.notify_one();
    }

    async fn positions(&self, places: &[Place]) -> Result<Vec<Position>, Error> {
        let at = |&place: &Place| Position {
            place,
            offset: self
                .committed_at(self.name(place), place.number())
                .unwrap_or(0),
        };
        Ok(places.iter().map(at).collect())
    }

    async fn committed(&self, places: &[Place]) -> Result<Vec<Option<i64>>, Error> {
        Ok(places
            .iter()
            .map(|place| self.committed_at(self.name(*place), place.number()))
            .collect())
    }

    async fn committed_with_metadata(
        &self,
        places: &[Place],
    ) -> Result<Vec<Option<Committed>>, Error> {
        let state = self.state();
        let of = |place: &Place| {
            let name = self.name(*place).to_owned();
            let at = (self.group.clone(), name, place.number());
            state.committed.get(&at).cloned()
        };
        Ok(places.iter().map(of).collect())
    }

    fn name_of(&self, place: Place) -> String {
        self.name(place).to_owned()
    }

    async fn bounds(&self, places: &[Place], _stable: bool) -> Result<Vec<(i64, i64)>, Error> {
        let bounds = {
            let state = self.state();
            let end = |place: &Place| {
                state.topics[self.name(*place)][place.number() as usize]
                    .last()
                    .map_or(0, Batch::next_offset)
            };
            places.iter().map(|place| (0, end(place))).collect()
        };
        // The answer takes its time: others act meanwhile.
        tokio::task::yield_now().await;
        Ok(bounds)
    }

    async fn commit(&self, positions: &[Position], metadata: &str) -> Result<(), Error> {
        self.life.step().await;
        self.apply_commit(positions, metadata);
        self.life.step().await;
        Ok(())
    }

    fn outbox(&self) -> OutboxConfig {
        OutboxConfig {
            partitions: 1,
            compression: Compression::NONE,
            batch_bytes_max: self.batch_bytes_max,
        }
    }

    fn worker(&self) -> Self {
        self.clone()
    }

    async fn close(self) {}
}

impl Memory {
    fn apply_commit(&self, positions: &[Position], metadata: &str) {
        let mut state = self.state();
        // Batches of the next epoch may be on their way already, but not while a test holds all acknowledgements back.
        assert!(
            state.unacknowledged == 0 || self.shared.acks.available_permits() > 0,
            "positions are committed before the outputs are acknowledged"
        );
        for Position { place, offset } in positions {
            state.committed.insert(
                (
                    self.group.clone(),
                    self.name(*place).to_owned(),
                    place.number(),
                ),
                Committed {
                    offset: *offset,
                    metadata: metadata.to_owned(),
                },
            );
        }
        state.commits += 1;
        if let Some((input, changelog)) = state.audited.clone() {
            let group = &self.group;
            let of_input = |((g, topic, _), _): &(&(String, String, i32), &Committed)| {
                g == group && *topic == input
            };
            let all = state.committed.iter().filter(of_input);
            let committed = all.map(|(_, at)| u64::try_from(at.offset).unwrap()).sum();
            let counted = counted(&state.topics[&changelog]);
            state.audits.push((committed, counted));
        }
    }
}

impl Worker for Memory {
    type Source = MemorySource;
    type Sink = Self;

    fn source(&self) -> Result<MemorySource, Error> {
        Ok(MemorySource {
            cluster: self.clone(),
            positions: Vec::new(),
        })
    }

    fn sink(&self) -> Self {
        self.clone()
    }
}

impl Sink for Memory {
    async fn append(&mut self, place: Place, batch: BatchBuilder) -> Result<Ack, Error> {
        self.life.step().await;
        Self::append(self, self.name(place), place.number() as usize, batch);
        self.state().unacknowledged += 1;
        let cluster = self.clone();
        Ok(Box::pin(async move {
            cluster
                .shared
                .acks
                .acquire()
                .await
                .expect("never closed")
                .forget();
            cluster.state().unacknowledged -= 1;
            cluster.life.step().await;
            Ok(())
        }))
    }

    async fn open(&mut self, topic: &str) -> Result<(usize, i32), Error> {
        let mut state = self.shared.state.lock().unwrap();
        let log = state
            .topics
            .entry(topic.to_owned())
            .or_insert_with(|| vec![Vec::new()]);
        self.names.push(topic.to_owned());
        Ok((self.names.len() - 1, log.len() as i32))
    }

    async fn relay(
        &mut self,
        _place: Place,
        _batch: &Batch,
        _position: i64,
    ) -> Result<Option<Ack>, Error> {
        Ok(None)
    }

    fn spare(&mut self) -> Option<BatchBuilder> {
        None
    }
}

/// Reads one batch of one partition at a time, the partitions in turn.
pub(crate) struct MemorySource {
    cluster: Memory,
    positions: Vec<Position>,
}

/// One batch.
pub(crate) struct MemoryArrival {
    topic: String,
    position: Position,
    end: i64,
    next: i64,
    batch: Option<Held>,
}

pub(crate) struct Held(Batch);

impl AsRef<Batch> for Held {
    fn as_ref(&self) -> &Batch {
        &self.0
    }
}

impl Arrival for MemoryArrival {
    type Held = Held;

    fn place(&self) -> Place {
        self.position.place
    }

    fn position(&self) -> i64 {
        self.position.offset
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn next_position(&self) -> i64 {
        self.next
    }

    fn end(&self) -> i64 {
        self.end
    }

    fn next_batch(&mut self) -> Result<Option<Held>, Error> {
        Ok(self.batch.take())
    }
}

impl Source for MemorySource {
    type Arrival = MemoryArrival;

    fn assign(&mut self, positions: &[Position]) {
        self.positions = positions.to_vec();
    }

    fn hold(&mut self, place: Place, from: Option<i64>) -> bool {
        self.positions.retain(|p| p.place != place);
        self.positions
            .extend(from.map(|offset| Position { place, offset }));
        true
    }

    async fn next(&mut self) -> Result<MemoryArrival, Error> {
        let shared = Arc::clone(&self.cluster.shared);
        loop {
            let arrived = shared.arrived.notified();
            if let Some(arrival) = self.try_next() {
                return Ok(arrival);
            }
            arrived.await;
        }
    }

    fn high_watermark(&self, place: Place) -> Option<i64> {
        let state = self.cluster.state();
        let log = &state.topics[self.cluster.name(place)][place.number() as usize];
        Some(log.last().map_or(0, Batch::next_offset))
    }

    fn try_next(&mut self) -> Option<MemoryArrival> {
        let mut state = self.cluster.state();
        for i in 0..self.positions.len() {
            let position = self.positions[i];
            let is_withheld = state.withheld.as_deref() == Some(self.cluster.name(position.place));
            if is_withheld && position.offset > 0 {
                state.asked += 1;
                continue;
            }
            let log =
                &state.topics[self.cluster.name(position.place)][position.place.number() as usize];
            let at = log.partition_point(|batch| batch.next_offset() <= position.offset);
            if let Some(batch) = log.get(at) {
                let (next, end) = (
                    batch.next_offset(),
                    log.last().map_or(0, Batch::next_offset),
                );
                self.positions[i].offset = next;
                self.positions.rotate_left(1);
                return Some(MemoryArrival {
                    topic: self.cluster.name(position.place).to_owned(),
                    position,
                    end,
                    next,
                    batch: Some(Held(batch.clone())),
                });
            }
        }
        None
    }
}
