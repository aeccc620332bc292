//! What the producer sends when, under which sequence numbers, and what an answer means. Pure: no socket, no clock, no randomness.
//!
//! The rules (KIP-98, KIP-360), for each partition:
//! - batches are sent in the order of their submission, up to five unanswered, all to one broker;
//! - a batch that failed in a way that may pass goes back in its order and is sent again under the same sequence, only once
//!   nothing else of its partition is unanswered: so it can neither be overtaken nor written twice;
//! - `OUT_OF_ORDER_SEQUENCE_NUMBER` for a batch with nothing outstanding before it proves that neither it nor what follows is in the
//!   log: the epoch is raised once and they are numbered anew from 0. With something outstanding before it, it only waits for that;
//! - the first batch under an id goes alone: a leader that has never heard of the producer takes any sequence, so that the second
//!   batch would be written before a first one that has to be sent again.

mod purge;
mod split;
mod topics;
mod verdict;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use self::split::TooLarge;
use self::verdict::{Verdict, proves_unwritten, verdict};
use crate::client::backoff::Backoff;
use crate::client::cluster::BrokerId;
use crate::client::error::Error;
use crate::client::pace::Pace;
use crate::messages::ErrorCode;
use crate::records::Stamp;

/// The settings that decide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) idempotent: bool,
    /// Unanswered requests per broker.
    pub(super) in_flight_max: usize,
    pub(super) retries: u32,
    pub(super) request_bytes_max: usize,
    pub(super) delivery_timeout: Duration,
    pub(super) backoff: Backoff,
}

/// The producer's id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// A batch on its way. `R` is what is sent, `T` the place where its end is told; `T` is gone once it was told.
#[derive(Debug)]
pub(super) struct Batch<R, T> {
    pub(super) records: R,
    ticket: Option<T>,
    count: u32,
    bytes: usize,
    deadline: Instant,
    /// Its place among all batches.
    order: u64,
    /// Id, epoch and sequence, once it was sent.
    stamp: Option<Stamp>,
    /// In which request it is.
    request: u64,
    attempts: u32,
    maybe_written: bool,
    /// It is not sent again, whatever is answered.
    is_purged: bool,
    last_error: Option<Error>,
}

#[derive(Debug)]
struct Partition<R, T> {
    topic: Arc<str>,
    partition: i32,
    queue: VecDeque<Batch<R, T>>,
    unanswered: VecDeque<Batch<R, T>>,
    /// The broker that has `unanswered`.
    sent_to: BrokerId,
    /// Under which the sequences count.
    identity: Option<Identity>,
    next_sequence: i32,
    /// The leader has acknowledged a batch under `identity`: from then on it refuses gaps.
    is_known: bool,
    /// All that is queued gets new numbers, under the next identity.
    renumber: bool,
    /// Its next batch goes in a request of its own: one that it was in with others could not be sent, whichever of them was the reason.
    alone: bool,
    pace: Pace,
    is_ready: bool,
}

/// A broker that is sent to.
#[derive(Debug, Default)]
struct Broker {
    /// Requests without an answer.
    unanswered: usize,
    /// The request under way with partitions that did not get on: one at a time, and at this pace while none of them does. So a broker that
    /// refuses everything is asked as seldom for a thousand partitions as for one.
    trying: Option<u64>,
    pace: Pace,
}

/// A request to be sent: one batch of each of these partitions, the last of its unanswered ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) request: u64,
    pub(super) broker: BrokerId,
    pub(super) partitions: Vec<usize>,
}

/// What became of a batch.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Acknowledged {
        base_offset: Option<i64>,
        log_append_time: Option<i64>,
    },
    Failed(Error),
}

/// What the broker answered for one partition of a request, or that it answered nothing.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Acknowledged {
        base_offset: Option<i64>,
        log_append_time: Option<i64>,
    },
    Refused {
        code: ErrorCode,
        message: Option<Arc<str>>,
        /// The broker named a newer leader (KIP-951).
        moved: bool,
    },
    /// The request may or may not have arrived.
    Lost(Error),
    /// The request was not sent.
    Unsent(Error),
}

/// What is to be done after an event.
#[derive(Debug)]
pub(super) struct Effects<R, T> {
    /// Ends to be told.
    pub(super) done: Vec<(T, Outcome)>,
    /// Batches that nobody needs any more.
    pub(super) spent: Vec<R>,
    /// Somebody else leads a partition, or nobody does.
    pub(super) refresh: bool,
    pub(super) retries: u64,
    pub(super) bumps: u64,
    /// Batches that are too large as they are: to be given to [`Sender::split`] or [`Sender::refuse`].
    pub(super) too_large: Vec<TooLarge<R, T>>,
}

/// What may help at once is free so often in a row: a batch that is too large becomes two, another batch may not be refused, another partition
/// of the broker may get on.
const FREE: u32 = 4;

/// Orders of batches lie so far apart that parts of a batch find their places between: each record could be a part.
const ORDER_STEP: u64 = 1 << 32;

impl<R, T> Default for Effects<R, T> {
    fn default() -> Self {
        Self {
            done: Vec::new(),
            spent: Vec::new(),
            refresh: false,
            retries: 0,
            bumps: 0,
            too_large: Vec::new(),
        }
    }
}

/// All batches on their way.
#[derive(Debug)]
pub(super) struct Sender<R, T> {
    settings: Settings,
    identity: Option<Identity>,
    partitions: Vec<Partition<R, T>>,
    index: HashMap<Arc<str>, HashMap<i32, usize>>,
    /// Places in `partitions` that are free again.
    vacant: Vec<usize>,
    /// Partitions with something in their queue.
    ready: VecDeque<usize>,
    /// Broker and partitions of each unanswered request.
    requests: HashMap<u64, (BrokerId, Vec<usize>)>,
    brokers: HashMap<BrokerId, Broker>,
    next_order: u64,
    next_request: u64,
    outstanding: usize,
    next_expiry: Option<Instant>,
}

impl<R, T> Sender<R, T> {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            identity: None,
            partitions: Vec::new(),
            index: HashMap::new(),
            vacant: Vec::new(),
            ready: VecDeque::new(),
            requests: HashMap::new(),
            brokers: HashMap::new(),
            next_order: 0,
            next_request: 0,
            outstanding: 0,
            next_expiry: None,
        }
    }

    /// Whether an identity must be fetched before anything can be sent.
    pub(super) fn needs_identity(&self) -> bool {
        self.settings.idempotent && self.identity.is_none()
    }

    /// The identity that a broker gave out.
    pub(super) fn set_identity(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    /// Batches whose end was not told yet, and those that a request still holds.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Takes a batch over.
    pub(super) fn submit(
        &mut self,
        topic: &Arc<str>,
        partition: i32,
        (records, ticket): (R, T),
        count: u32,
        bytes: usize,
        deadline: Instant,
    ) {
        let known = self
            .index
            .get(topic)
            .and_then(|partitions| partitions.get(&partition))
            .copied();
        let at = known.unwrap_or_else(|| self.place(topic, partition));
        self.partitions[at].queue.push_back(Batch {
            records,
            ticket: Some(ticket),
            count,
            bytes,
            deadline,
            order: self.next_order,
            stamp: None,
            request: 0,
            attempts: 0,
            maybe_written: false,
            is_purged: false,
            last_error: None,
        });
        self.next_order += ORDER_STEP;
        self.outstanding += 1;
        self.next_expiry = Some(self.next_expiry.map_or(deadline, |next| next.min(deadline)));
        self.make_ready(at);
    }

    fn make_ready(&mut self, at: usize) {
        let partition = &mut self.partitions[at];
        if !partition.is_ready && !partition.queue.is_empty() {
            partition.is_ready = true;
            self.ready.push_back(at);
        }
    }

    /// The next request that may go out now, if any. `route` says to which broker a partition's batches go, if that broker is connected.
    ///
    /// The batches of the plan count as sent; the caller sends them, or answers with [`Answer::Unsent`].
    pub(super) fn next_request(
        &mut self,
        now: Instant,
        route: &mut impl FnMut(&Arc<str>, i32) -> Option<BrokerId>,
    ) -> Option<Plan> {
        if self.needs_identity() {
            return None;
        }
        let request = self.next_request;
        let mut broker = None;
        let mut bytes = 0;
        let mut chosen = Vec::new();
        for at in &self.ready {
            let partition = &mut self.partitions[*at];
            let Some(size) = partition.sendable(now, self.identity) else {
                continue;
            };
            let is_over = bytes + size > self.settings.request_bytes_max;
            if !chosen.is_empty() && (is_over || partition.alone) {
                continue;
            }
            let Some(to) = route(&partition.topic, partition.partition) else {
                continue;
            };
            let target = self.brokers.entry(to).or_default();
            let is_full = target.unanswered >= self.settings.in_flight_max;
            let is_elsewhere = !partition.unanswered.is_empty() && partition.sent_to != to;
            if is_full || is_elsewhere || broker.is_some_and(|broker| broker != to) {
                continue;
            }
            if partition.pace.failures() > 0 {
                let is_taken = target.trying.is_some_and(|trying| trying != request);
                if is_taken || !target.pace.is_due(now) {
                    continue;
                }
                target.trying = Some(request);
            }
            broker = Some(to);
            bytes += size;
            partition.send(
                request,
                to,
                self.identity.filter(|_| self.settings.idempotent),
            );
            chosen.push(*at);
            if partition.alone {
                break;
            }
        }
        let broker = broker?;
        // The next request begins with another partition, so that none starves.
        self.ready.retain(|at| {
            let partition = &mut self.partitions[*at];
            partition.is_ready = !partition.queue.is_empty();
            partition.is_ready
        });
        if !self.ready.is_empty() {
            self.ready.rotate_left(1);
        }
        self.next_request += 1;
        self.brokers.entry(broker).or_default().unanswered += 1;
        self.requests.insert(request, (broker, chosen.clone()));
        Some(Plan {
            request,
            broker,
            partitions: chosen,
        })
    }

    /// Topic, partition and the batch to send of a partition in a plan, with the stamp it must carry if it does not yet.
    pub(super) fn sending(&mut self, at: usize) -> Option<(&Arc<str>, i32, &mut R, Option<Stamp>)> {
        let partition = &mut self.partitions[at];
        let batch = partition.unanswered.back_mut()?;
        Some((
            &partition.topic,
            partition.partition,
            &mut batch.records,
            batch.stamp,
        ))
    }

    /// When to look again although nothing happened: a back-off or a delivery timeout ends.
    pub(super) fn next_wakeup(&self, now: Instant) -> Option<Instant> {
        let partitions = self.ready.iter();
        partitions
            .filter_map(|at| self.partitions[*at].pace.due_at())
            .chain(self.brokers.values().filter_map(|of| of.pace.due_at()))
            .filter(|not_before| *not_before > now)
            .chain(self.next_expiry)
            .min()
    }

    /// A request was answered, lost or not sent; `answer` tells for each of its partitions.
    pub(super) fn answered(
        &mut self,
        request: u64,
        now: Instant,
        random: f64,
        mut answer: impl FnMut(&Arc<str>, i32) -> Answer,
        effects: &mut Effects<R, T>,
    ) {
        let Some((broker, partitions)) = self.requests.remove(&request) else {
            return;
        };
        let was_alone = partitions.len() == 1;
        let mut gets_on = false;
        for at in partitions {
            let partition = &mut self.partitions[at];
            partition.alone = false;
            let did_not_get_on = partition.pace.failures() > 0;
            let place = partition
                .unanswered
                .iter()
                .position(|batch| batch.request == request);
            let Some(batch) = place.and_then(|place| partition.unanswered.remove(place)) else {
                continue;
            };
            let answer = answer(&partition.topic, partition.partition);
            if let Answer::Unsent(error) = &answer
                && !error.is_retriable()
            {
                // It cannot be written, or the broker does not take it: neither passes.
                if was_alone {
                    self.fail(at, batch, error.clone(), effects);
                } else {
                    partition.alone = true;
                    partition.put_back(batch);
                }
                self.make_ready(at);
                continue;
            }
            self.batch_answered(at, batch, answer, now, random, effects);
            gets_on |= did_not_get_on && self.partitions[at].pace.failures() == 0;
            self.make_ready(at);
        }
        let broker = self.brokers.entry(broker).or_default();
        broker.unanswered = broker.unanswered.saturating_sub(1);
        if broker.trying.take_if(|trying| *trying == request).is_none() {
            return;
        }
        match gets_on {
            true => broker.pace.gets_on(),
            false => {
                let delay = |failures| self.settings.backoff.delay(failures, random);
                broker.pace.falter(FREE, now, delay);
            }
        }
    }

    fn batch_answered(
        &mut self,
        at: usize,
        mut batch: Batch<R, T>,
        answer: Answer,
        now: Instant,
        random: f64,
        effects: &mut Effects<R, T>,
    ) {
        let partition = &mut self.partitions[at];
        let mut has_new_leader = false;
        let delay = |failures| self.settings.backoff.delay(failures, random);
        let error = match answer {
            Answer::Acknowledged {
                base_offset,
                log_append_time,
            } => {
                partition.pace.gets_on();
                partition.is_known = true;
                let outcome = Outcome::Acknowledged {
                    base_offset,
                    log_append_time,
                };
                self.end(batch, outcome, effects);
                return;
            }
            Answer::Lost(error) => {
                batch.maybe_written = true;
                effects.refresh = true;
                error
            }
            Answer::Unsent(error) => {
                effects.refresh = true;
                error
            }
            Answer::Refused {
                code,
                message,
                moved,
            } => {
                has_new_leader = moved;
                let error = Error::Broker {
                    what: format!("producing to {}-{}", partition.topic, partition.partition)
                        .into(),
                    code,
                    message,
                };
                match verdict(code, self.settings.idempotent) {
                    Verdict::Duplicate => {
                        partition.pace.gets_on();
                        partition.is_known = true;
                        let outcome = Outcome::Acknowledged {
                            base_offset: None,
                            log_append_time: None,
                        };
                        self.end(batch, outcome, effects);
                        return;
                    }
                    Verdict::Split if batch.count > 1 && batch.may_go_on() => {
                        partition.pace.falter(FREE, now, delay);
                        effects.too_large.push(TooLarge { at, batch, error });
                        return;
                    }
                    Verdict::Fail | Verdict::Split => {
                        partition.pace.falter(FREE, now, delay);
                        batch.maybe_written |= !proves_unwritten(code);
                        self.fail(at, batch, error, effects);
                        return;
                    }
                    Verdict::Gap => {
                        if !partition.is_waiting_before(batch.order) {
                            partition.renumber = true;
                            // The next batch of a partition that is already waiting for new numbers does not raise the epoch again.
                            if partition.identity == self.identity {
                                self.identity = self.identity.and_then(Identity::next);
                                effects.bumps += 1;
                            }
                        }
                    }
                    Verdict::Stale => {
                        partition.renumber = true;
                        if partition.identity == self.identity {
                            self.identity = None;
                            effects.bumps += 1;
                        }
                    }
                    Verdict::Retry { refresh } => {
                        batch.maybe_written |= !proves_unwritten(code);
                        effects.refresh |= refresh;
                    }
                }
                error
            }
        };
        // Of batches that were on their way together the first one counts: those behind it say the same.
        let first = partition.queue.front();
        let is_behind = first.is_some_and(|first| first.attempts > 0 && first.order < batch.order);
        if !is_behind && !batch.is_purged {
            // Once: brokers that send us from one to the other get the back-off.
            partition.pace.falter(has_new_leader.into(), now, delay);
        }
        self.retry(at, batch, error, now, effects);
    }

    /// Whether batches of a partition wait to be sent: then another one would only wait with them.
    pub(super) fn is_backed_up(&self, topic: &str, partition: i32) -> bool {
        let known = self.index.get(topic).and_then(|all| all.get(&partition));
        known.is_some_and(|at| !self.partitions[*at].queue.is_empty())
    }

    /// Puts a batch back to be sent again, or gives it up.
    fn retry(
        &mut self,
        at: usize,
        mut batch: Batch<R, T>,
        error: Error,
        now: Instant,
        effects: &mut Effects<R, T>,
    ) {
        batch.attempts += 1;
        if !batch.may_go_on() || batch.attempts > self.settings.retries {
            self.fail(at, batch, error, effects);
            return;
        }
        if batch.deadline <= now {
            batch.last_error = Some(error);
            self.time_out(at, batch, effects);
            return;
        }
        effects.retries += 1;
        batch.last_error = Some(error);
        let partition = &mut self.partitions[at];
        partition.put_back(batch);
    }

    fn time_out(&mut self, at: usize, mut batch: Batch<R, T>, effects: &mut Effects<R, T>) {
        let error = timed_out(&mut batch, self.settings.delivery_timeout);
        self.fail(at, batch, error, effects);
    }

    fn fail(&mut self, at: usize, batch: Batch<R, T>, error: Error, effects: &mut Effects<R, T>) {
        let partition = &self.partitions[at];
        let outcome = Outcome::Failed(partition.delivery_error(batch.maybe_written, error));
        self.end(batch, outcome, effects);
    }

    fn end(&mut self, batch: Batch<R, T>, outcome: Outcome, effects: &mut Effects<R, T>) {
        self.outstanding -= 1;
        if let Some(ticket) = batch.ticket {
            effects.done.push((ticket, outcome));
        }
        effects.spent.push(batch.records);
    }

    /// Gives up what is older than `delivery.timeout.ms`. Of what is unanswered only the end is told: its bytes are still being sent.
    pub(super) fn expire(&mut self, now: Instant, effects: &mut Effects<R, T>) {
        if self.next_expiry.is_none_or(|next| next > now) {
            return;
        }
        let mut next = None::<Instant>;
        for at in 0..self.partitions.len() {
            while let Some(place) = self.partitions[at]
                .queue
                .iter()
                .position(|batch| batch.deadline <= now)
            {
                let Some(batch) = self.partitions[at].queue.remove(place) else {
                    break;
                };
                self.time_out(at, batch, effects);
            }
            let partition = &mut self.partitions[at];
            for place in 0..partition.unanswered.len() {
                let batch = &mut partition.unanswered[place];
                if batch.deadline > now {
                    continue;
                }
                if let Some(ticket) = batch.ticket.take() {
                    let error = timed_out(batch, self.settings.delivery_timeout);
                    let error = partition.delivery_error(true, error);
                    effects.done.push((ticket, Outcome::Failed(error)));
                }
            }
            let waiting = partition.queue.iter().chain(
                partition
                    .unanswered
                    .iter()
                    .filter(|batch| batch.ticket.is_some()),
            );
            next = waiting.map(|batch| batch.deadline).chain(next).min();
        }
        self.next_expiry = next;
    }

    /// A topic has no leader to send to, and why: what waits for it fails if that will not pass, else remembers it for when it times out.
    pub(super) fn unroutable(&mut self, topic: &str, error: &Error, effects: &mut Effects<R, T>) {
        let places: Vec<usize> = self
            .index
            .get(topic)
            .map(|partitions| partitions.values().copied().collect())
            .unwrap_or_default();
        for at in places {
            if error.is_retriable() {
                for batch in &mut self.partitions[at].queue {
                    batch.last_error.get_or_insert_with(|| error.clone());
                }
                continue;
            }
            while let Some(batch) = self.partitions[at].queue.pop_front() {
                self.fail(at, batch, error.clone(), effects);
            }
        }
    }

    /// Gives up everything for the same reason, as when the producer may not produce at all.
    pub(super) fn fail_all(&mut self, error: &Error, effects: &mut Effects<R, T>) {
        for at in 0..self.partitions.len() {
            while let Some(batch) = self.partitions[at].queue.pop_front() {
                self.fail(at, batch, error.clone(), effects);
            }
            let partition = &mut self.partitions[at];
            for place in 0..partition.unanswered.len() {
                if let Some(ticket) = partition.unanswered[place].ticket.take() {
                    let error = partition.delivery_error(true, error.clone());
                    effects.done.push((ticket, Outcome::Failed(error)));
                }
            }
        }
        self.next_expiry = None;
    }
}

fn timed_out<R, T>(batch: &mut Batch<R, T>, after: Duration) -> Error {
    let what = match batch.last_error.take() {
        Some(error) => format!("the batch (last failure: {error})"),
        None if batch.attempts == 0 && batch.stamp.is_none() => {
            "the batch, which could not be sent,".to_owned()
        }
        None => "the batch".to_owned(),
    };
    Error::Timeout {
        what: what.into(),
        after,
        setting: "`delivery.timeout.ms`",
    }
}

impl<R, T> Partition<R, T> {
    fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            queue: VecDeque::new(),
            unanswered: VecDeque::new(),
            sent_to: BrokerId(-1),
            identity: None,
            next_sequence: 0,
            is_known: false,
            renumber: false,
            alone: false,
            pace: Pace::default(),
            is_ready: false,
        }
    }

    /// The bytes of the first batch in the queue, if it may be sent now.
    fn sendable(&mut self, now: Instant, identity: Option<Identity>) -> Option<usize> {
        let is_idle = self.unanswered.is_empty();
        if self.renumber {
            // New numbers only when all answers under the old ones are in, and under a new identity.
            if !is_idle || identity == self.identity {
                return None;
            }
            for batch in &mut self.queue {
                batch.stamp = None;
            }
            self.renumber = false;
        }
        let first = self.queue.front()?;
        // What was sent before is sent again alone, so that nothing overtakes it. (After renumbering it is as new.)
        let is_again = first.stamp.is_some() || first.attempts > 0;
        // Nor does anything go behind it: a broker knows a partition's last five batches, and one that was written but failed
        // again would no longer be among them.
        let is_behind_one = self.unanswered.iter().any(|batch| batch.attempts > 0);
        let is_after_unknown = self.identity.is_some() && !self.is_known;
        let waits = !self.pace.is_due(now);
        let must_be_alone = is_again || is_after_unknown || is_behind_one;
        (!waits && (is_idle || !must_be_alone)).then_some(first.bytes)
    }

    /// Moves the first batch from the queue to the unanswered, numbered if it is not.
    fn send(&mut self, request: u64, to: BrokerId, identity: Option<Identity>) {
        let Some(mut batch) = self.queue.pop_front() else {
            return;
        };
        if batch.stamp.is_none()
            && let Some(current) = identity
        {
            // A raised epoch is taken over when nothing under the old one is on its way; sequences begin at 0 then.
            if self.identity.is_none() || (self.unanswered.is_empty() && self.identity != identity)
            {
                self.identity = Some(current);
                self.next_sequence = 0;
                self.is_known = false;
            }
            let Identity { id, epoch } = self.identity.unwrap_or(current);
            batch.stamp = Some(Stamp {
                producer_id: id,
                producer_epoch: epoch,
                base_sequence: self.next_sequence,
                transactional: false,
            });
            self.next_sequence = sequence_after(self.next_sequence, batch.count);
        }
        batch.request = request;
        self.sent_to = to;
        self.unanswered.push_back(batch);
    }

    fn put_back(&mut self, batch: Batch<R, T>) {
        let order = batch.order;
        let place = self.queue.partition_point(|queued| queued.order < order);
        self.queue.insert(place, batch);
    }

    /// Whether a batch before this one is still on its way.
    fn is_waiting_before(&self, order: u64) -> bool {
        let before = |batch: &Batch<R, T>| batch.order < order;
        self.unanswered.iter().any(before)
            || self
                .queue
                .iter()
                .any(|batch| before(batch) && batch.stamp.is_some())
    }

    fn delivery_error(&self, maybe_written: bool, source: Error) -> Error {
        Error::Delivery {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            maybe_written,
            source: Box::new(source),
        }
    }
}

impl<R, T> Batch<R, T> {
    /// Whether somebody still wants it sent.
    fn may_go_on(&self) -> bool {
        self.ticket.is_some() && !self.is_purged
    }
}

impl Identity {
    /// The same producer in its next epoch; `None` if there is none left: then it needs a new id.
    fn next(self) -> Option<Self> {
        let epoch = self.epoch.checked_add(1)?;
        Some(Self { epoch, ..self })
    }
}

/// The sequence that follows a batch of `count` records: it wraps to 0, never to a negative number.
fn sequence_after(sequence: i32, count: u32) -> i32 {
    let next = (i64::from(sequence) + i64::from(count)) & i64::from(i32::MAX);
    next as i32
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "first_batch_tests.rs"]
mod first_batch_tests;
