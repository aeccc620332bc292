//! The producer's task: carries submissions, answers, connections and timers to the state, and its plans to the brokers.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::Instrument as _;

use super::batch::{Accumulator, Loaded, Opened};
use super::delivery::Ticket;
use super::flushes::Flushes;
use super::memory::Share;
use super::request::{self, Asked, Load};
use super::shared::Shared;
use super::state::{Answer, Effects, Identity, Outcome, Plan, Sender, Settings, TooLarge};
use crate::client::backoff::{Backoff, Jitter};
use crate::client::cluster::{BrokerId, Cluster, Held, Metadata, Purpose};
use crate::client::config::Acks;
use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::client::pace::Pace;
use crate::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use crate::wire::Records;

/// What handles tell the task.
pub(super) enum Event {
    Submit(Submission),
    /// A batch was opened for a record; it is to be sent after `linger.ms`.
    Opened(Opened),
    /// Tell when everything submitted before has ended.
    Flush(oneshot::Sender<()>),
    /// Give up what is not on its way; tell when what is has ended.
    Purge(oneshot::Sender<()>),
    /// End; what is left fails.
    Stop,
}

/// A finished batch.
pub(super) struct Submission {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) records: Records,
    pub(super) share: Share,
    pub(super) ticket: Ticket,
}

/// What the task's own helpers tell it.
enum Report {
    Answered {
        request: u64,
        broker: BrokerId,
        version: i16,
        asked: Asked,
        frame: Result<Bytes>,
    },
    Connected(BrokerId, Result<Connection>),
    Identified(Result<Identity>),
}

/// The way to a broker.
enum Link {
    Open(Connection),
    /// A connection is being made, and how often in a row that failed.
    Connecting(Pace),
    /// It failed, and is not to be tried before the pace allows it.
    Failed(Pace),
}

/// Events that are taken in one go: what they bring leaves in as few requests as possible.
const EVENTS_AT_ONCE: usize = 256;

struct Task {
    shared: Arc<Shared>,
    sender: Sender<Load, (Ticket, u64)>,
    metadata: Arc<Metadata>,
    changes: watch::Receiver<Arc<Metadata>>,
    links: HashMap<BrokerId, Link>,
    /// The topics that batches go to, by when they did last: their leaders are looked after whoever else has asked for them, and whoever gives
    /// them up.
    topics: HashMap<Arc<str>, (Held, Instant)>,
    /// When to look for those that are not used any more.
    next_look: Instant,
    reports: mpsc::UnboundedSender<Report>,
    lingering: VecDeque<(Instant, Opened)>,
    /// Batches whose linger is over, of partitions where others wait already: they go on being filled meanwhile.
    held: Vec<Opened>,
    flushes: Flushes,
    jitter: Jitter,
    is_identifying: bool,
    /// Why nothing can be produced any more.
    fatal: Option<Error>,
}

pub(super) fn spawn(shared: &Arc<Shared>, events: mpsc::UnboundedReceiver<Event>) {
    let config = &shared.config;
    let settings = Settings {
        idempotent: config.enable_idempotence,
        in_flight_max: config.max_in_flight_requests_per_connection,
        retries: config.retries,
        request_bytes_max: config.max_request_size,
        delivery_timeout: Duration::from_millis(config.delivery_timeout_ms),
        backoff: Backoff::new(
            Duration::from_millis(config.retry_backoff_ms),
            Duration::from_millis(config.retry_backoff_max_ms),
        ),
    };
    let (reports, receiver) = mpsc::unbounded_channel();
    let changes = shared.cluster.changes();
    let task = Task {
        shared: Arc::clone(shared),
        sender: Sender::new(settings),
        metadata: shared.cluster.metadata(),
        changes,
        links: HashMap::new(),
        topics: HashMap::new(),
        next_look: Instant::now(),
        reports,
        lingering: VecDeque::new(),
        held: Vec::new(),
        flushes: Flushes::default(),
        jitter: Jitter::default(),
        is_identifying: false,
        fatal: None,
    };
    let span = tracing::debug_span!("producer", client_id = %config.client_id);
    tokio::spawn(task.run(events, receiver).instrument(span));
}

impl Task {
    async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut reports: mpsc::UnboundedReceiver<Report>,
    ) {
        let mut taken = Vec::with_capacity(EVENTS_AT_ONCE);
        let mut has_handles = true;
        let mut timer: Pin<Box<Sleep>> = Box::pin(sleep_until(Instant::now()));
        // The producer id is on its way before the first batch is there.
        self.identify();
        loop {
            let wake = self.work();
            let is_filling = !self.lingering.is_empty() || !self.held.is_empty();
            if !has_handles && self.sender.outstanding() == 0 && !is_filling {
                return;
            }
            if let Some(wake) = wake
                && timer.deadline() != wake
            {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                count = events.recv_many(&mut taken, EVENTS_AT_ONCE), if has_handles => {
                    has_handles = count > 0;
                }
                report = reports.recv() => {
                    // The task itself holds a sender, so there is always a next one.
                    if let Some(report) = report {
                        self.reported(report);
                    }
                }
                changed = self.changes.changed() => {
                    // The cluster cannot go away before its producer.
                    if changed.is_ok() {
                        self.metadata_changed();
                    }
                }
                () = timer.as_mut(), if wake.is_some() => {}
            }
            while let Ok(report) = reports.try_recv() {
                self.reported(report);
            }
            for event in taken.drain(..) {
                if self.told(event).is_break() {
                    return;
                }
            }
        }
    }

    /// Sends what can be sent; returns when to look again.
    fn work(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while let Some((_, opened)) = self.lingering.pop_front_if(|(due, _)| *due <= now) {
            self.hold(opened);
        }
        let mut effects = Effects::default();
        self.sender.expire(now.into_std(), &mut effects);
        self.end_idle(now, &mut effects);
        self.apply(effects);
        self.release_held();
        let mut retry = self.send_all(now);
        // What was sent has made place for what was held.
        while self.release_held() {
            retry = self.send_all(now);
        }
        let wake = self
            .sender
            .next_wakeup(now.into_std())
            .map(Instant::from_std);
        let linger = self.lingering.front().map(|(due, ..)| *due);
        let look = (!self.topics.is_empty()).then_some(self.next_look);
        [wake, linger, retry, look].into_iter().flatten().min()
    }

    /// Gives up the topics that nothing was sent to for `metadata.max.idle.ms` (KIP-526).
    fn end_idle(&mut self, now: Instant, effects: &mut Effects<Load, (Ticket, u64)>) {
        if now < self.next_look {
            return;
        }
        let idle_max = Duration::from_millis(self.shared.config.metadata_max_idle_ms);
        self.next_look = now + idle_max;
        self.topics.retain(|topic, (_, used)| {
            let is_idle = now.saturating_duration_since(*used) >= idle_max;
            let mut is_free =
                || self.shared.drop_buffers(topic) && self.sender.forget(topic, effects);
            !is_idle || !is_free()
        });
    }

    /// Holds a batch whose linger is over, unless it went already because it was full. A partition has one open batch, so one is held of
    /// each at most: who sends much does not make the list long.
    fn hold(&mut self, opened: Opened) {
        if !opened.is_filling() {
            return;
        }
        let same = |held: &&mut Opened| Arc::ptr_eq(&held.accumulator, &opened.accumulator);
        match self.held.iter_mut().find(same) {
            Some(held) => *held = opened,
            None => self.held.push(opened),
        }
    }

    /// Ends the batches that are held, where no other waits; returns whether there was one.
    fn release_held(&mut self) -> bool {
        let mut released = false;
        let mut place = 0;
        while let Some(opened) = self.held.get(place) {
            let Accumulator {
                topic, partition, ..
            } = &*opened.accumulator;
            if self.sender.is_backed_up(topic, *partition) {
                place += 1;
                continue;
            }
            let opened = self.held.swap_remove(place);
            self.end_linger(&opened);
            released = true;
        }
        released
    }

    /// Sends the batch of a partition whose linger is over, unless it went already because it was full.
    fn end_linger(
        &mut self,
        Opened {
            accumulator,
            serial,
        }: &Opened,
    ) {
        let submission = {
            let mut open = accumulator.lock();
            if open
                .as_ref()
                .is_none_or(|filling| filling.serial != *serial)
            {
                return;
            }
            self.shared.seal(accumulator, &mut open)
        };
        if let Some(submission) = submission {
            self.submit(submission);
        }
    }

    fn submit(&mut self, submission: Submission) {
        let Submission {
            topic,
            partition,
            records,
            share,
            ticket,
        } = submission;
        if let Some(error) = &self.fatal {
            ticket.tell(Outcome::Failed(Error::Delivery {
                topic,
                partition,
                maybe_written: false,
                source: Box::new(error.clone()),
            }));
            return;
        }
        let cluster = &self.shared.cluster;
        let now = Instant::now();
        let used = self.topics.entry(Arc::clone(&topic));
        used.or_insert_with(|| (cluster.hold_topic(&topic), now)).1 = now;
        let timeout = Duration::from_millis(self.shared.config.delivery_timeout_ms);
        let deadline = ticket.accepted + timeout;
        let (count, bytes) = (ticket.count, records.len());
        let load = Load {
            records,
            waiting_since: Some(ticket.accepted),
            stamp: None,
            share: Some(share),
            loaded: self.loaded(&topic, partition),
        };
        let ticket = (ticket, self.flushes.submitted());
        self.sender.submit(
            &topic,
            partition,
            (load, ticket),
            count,
            bytes,
            deadline.into_std(),
        );
    }

    /// Counts a batch in its partition's load, if records are sent there one at a time.
    fn loaded(&self, topic: &str, partition: i32) -> Option<Loaded> {
        let buffers = self.shared.buffers(topic)?;
        let index = usize::try_from(partition).ok()?;
        Some(buffers.partitions.get(index)?.loaded())
    }

    fn told(&mut self, event: Event) -> std::ops::ControlFlow<()> {
        match event {
            Event::Submit(submission) => self.submit(submission),
            Event::Opened(opened) => {
                let due = Instant::now() + Duration::from_millis(self.shared.config.linger_ms);
                self.lingering.push_back((due, opened));
            }
            Event::Flush(done) => self.flushes.wait(done),
            Event::Purge(done) => self.purge(done),
            Event::Stop => {
                let mut effects = Effects::default();
                self.sender
                    .fail_all(&Error::Closed { what: "producer" }, &mut effects);
                self.apply(effects);
                return std::ops::ControlFlow::Break(());
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn purge(&mut self, done: oneshot::Sender<()>) {
        let mut filling = Vec::new();
        // Nothing that is handed over here can fail to be.
        let _ = self.shared.seal_all(|submission| {
            filling.push(submission);
            Ok(())
        });
        filling
            .into_iter()
            .for_each(|submission| self.submit(submission));
        let mut effects = Effects::default();
        self.sender.purge(&mut effects);
        self.apply(effects);
        self.flushes.wait(done);
    }

    fn reported(&mut self, report: Report) {
        match report {
            Report::Answered {
                request,
                broker,
                version,
                asked,
                frame,
            } => self.answered(request, broker, version, &asked, frame),
            Report::Connected(broker, Ok(connection)) => {
                self.links.insert(broker, Link::Open(connection));
            }
            Report::Connected(broker, Err(error)) => self.cannot_connect(broker, &error),
            Report::Identified(Ok(identity)) => {
                self.is_identifying = false;
                tracing::debug!(
                    producer_id = identity.id,
                    producer_epoch = identity.epoch,
                    "producing under this id"
                );
                self.sender.set_identity(identity);
            }
            Report::Identified(Err(error)) => {
                self.is_identifying = false;
                let mut effects = Effects::default();
                self.sender.fail_all(&error, &mut effects);
                self.fatal = Some(error);
                self.apply(effects);
            }
        }
    }

    /// Said aloud for the first of several in a row.
    fn cannot_connect(&mut self, broker: BrokerId, error: &Error) {
        let mut pace = match self.links.get(&broker) {
            Some(Link::Connecting(pace) | Link::Failed(pace)) => *pace,
            _ => Pace::default(),
        };
        match pace.failures() {
            0 => {
                tracing::warn!(%broker, %error, "the producer cannot connect; trying again, later each time")
            }
            _ => tracing::debug!(%broker, %error, "the producer cannot connect"),
        }
        let delay = |failures| self.shared.cluster.retry_delay(failures);
        pace.falter(0, Instant::now().into_std(), delay);
        self.links.insert(broker, Link::Failed(pace));
    }

    fn answered(
        &mut self,
        request: u64,
        broker: BrokerId,
        version: i16,
        asked: &Asked,
        frame: Result<Bytes>,
    ) {
        let has_no_answer = self.shared.config.acks == Acks::None;
        let connection = match self.links.get(&broker) {
            Some(Link::Open(connection)) => Some(connection.clone()),
            _ => None,
        };
        let response = frame.and_then(|frame| {
            if has_no_answer {
                return Ok(ProduceResponse::default());
            }
            Connection::read::<ProduceRequest>(frame, version, &format!("broker {broker}").into())
        });
        let mut moved = Vec::new();
        if let Ok(response) = &response {
            moved = request::heed(response, &self.shared.cluster, asked, connection.as_ref());
        } else if connection.is_some_and(|connection| connection.is_closed()) {
            self.links.remove(&broker);
        }
        let mut effects = Effects::default();
        let counters = self.shared.cluster.counters();
        self.sender.answered(
            request,
            Instant::now().into_std(),
            self.jitter.fraction(),
            |topic, partition| {
                if has_no_answer && response.is_ok() {
                    return Answer::Acknowledged {
                        base_offset: None,
                        log_append_time: None,
                    };
                }
                let mut answer = request::answer(&response, asked, topic, partition);
                if let Answer::Refused {
                    code,
                    message,
                    moved: has_moved,
                } = &mut answer
                {
                    *has_moved = moved.iter().any(|(t, p)| t == topic && *p == partition);
                    counters.error(*code);
                    tracing::debug!(%topic, partition, %broker, %code, message = message.as_deref(), "batch refused");
                }
                answer
            },
            &mut effects,
        );
        self.apply(effects);
        if !moved.is_empty() {
            // What goes out next goes to the new leaders.
            self.metadata_changed();
        }
    }

    fn metadata_changed(&mut self) {
        self.metadata = Arc::clone(&self.changes.borrow_and_update());
        for topic in self.metadata.topics() {
            if self.shared.buffers(&topic.name).is_some() {
                self.shared.fit_buffers(topic);
            }
        }
    }

    /// Sends requests until nothing more may go out; returns when a failed broker may be tried again.
    fn send_all(&mut self, now: Instant) -> Option<Instant> {
        if self.sender.needs_identity() && self.sender.outstanding() > 0 {
            self.identify();
        }
        let mut retry: Option<Instant> = None;
        let mut missing: Vec<Arc<str>> = Vec::new();
        let mut wanted: Vec<BrokerId> = Vec::new();
        loop {
            let (links, metadata) = (&mut self.links, &self.metadata);
            let mut route = |topic: &Arc<str>, partition: i32| {
                let Some((leader, _)) = metadata.leader(topic, partition) else {
                    if !missing.contains(topic) {
                        missing.push(Arc::clone(topic));
                    }
                    return None;
                };
                let pace = match links.get(&leader) {
                    Some(Link::Open(connection)) if !connection.is_closed() => return Some(leader),
                    Some(Link::Connecting(_)) => return None,
                    Some(Link::Failed(pace)) if !pace.is_due(now.into_std()) => {
                        let due = pace.due_at().map(Instant::from_std);
                        retry = [retry, due].into_iter().flatten().min();
                        return None;
                    }
                    Some(Link::Failed(pace)) => *pace,
                    _ => Pace::default(),
                };
                links.insert(leader, Link::Connecting(pace));
                wanted.push(leader);
                None
            };
            match self.sender.next_request(now.into_std(), &mut route) {
                Some(plan) => self.send(&plan),
                None => break,
            }
        }
        for topic in missing {
            self.shared.cluster.want_topic(&topic);
            self.shared.cluster.request_refresh();
            if let Some(code) = self.metadata.topic_error(&topic) {
                let error = Error::broker(format!("looking up topic {topic}"), code, None);
                let mut effects = Effects::default();
                self.sender.unroutable(&topic, &error, &mut effects);
                self.apply(effects);
            }
        }
        for broker in wanted {
            let (cluster, reports) = (self.shared.cluster.clone(), self.reports.clone());
            tokio::spawn(async move {
                let result = cluster.connection(broker, Purpose::Produce).await;
                // A producer that ended meanwhile needs no connection.
                drop(reports.send(Report::Connected(broker, result)));
            });
        }
        retry
    }

    fn send(&mut self, plan: &Plan) {
        let config = &self.shared.config;
        let timeout = config.request_timeout();
        let acks = config.acks;
        let (request, asked, version_max) = request::build(
            plan,
            &mut self.sender,
            &self.shared.cluster,
            &self.metadata,
            acks.wire(),
        );
        let sent = match self.links.get(&plan.broker) {
            Some(Link::Open(connection)) => connection
                .version_at_most::<ProduceRequest>(version_max)
                .and_then(|version| {
                    let report = AnswerReport {
                        reports: self.reports.clone(),
                        request: plan.request,
                        broker: plan.broker,
                        version,
                        asked: Some(asked),
                    };
                    let give = Box::new(move |frame| report.give(frame));
                    match acks {
                        Acks::None => connection.send_unanswered(&request, version, timeout, give),
                        _ => connection.send_to(&request, version, timeout, give),
                    }
                }),
            _ => Err(Error::Disconnected {
                broker: format!("broker {}", plan.broker).into(),
                reason: "it was never connected".into(),
            }),
        };
        drop(request);
        let Err(error) = sent else { return };
        if error.is_retriable() {
            self.links.remove(&plan.broker);
        }
        let answer = Answer::Unsent(error);
        let mut effects = Effects::default();
        self.sender.answered(
            plan.request,
            Instant::now().into_std(),
            self.jitter.fraction(),
            |_, _| answer.clone(),
            &mut effects,
        );
        self.apply(effects);
    }

    fn apply(&mut self, effects: Effects<Load, (Ticket, u64)>) {
        let counters = self.shared.cluster.counters();
        counters.batch_retries.add(effects.retries);
        counters.epoch_bumps.add(effects.bumps);
        if effects.bumps > 0 {
            tracing::info!("the producer's epoch is raised: batches are numbered anew");
        }
        if effects.refresh {
            self.shared.cluster.request_refresh();
        }
        let Effects {
            done,
            spent,
            too_large,
            ..
        } = effects;
        for too_large in too_large {
            self.split(too_large);
        }
        for Load { records, .. } in spent {
            if records.tail.is_empty() {
                self.shared.pool.recycle(records.head);
            }
        }
        let counters = self.shared.cluster.counters();
        for ((ticket, generation), outcome) in done {
            let count = u64::from(ticket.count);
            let of_topic = counters.topics.entry(ticket.place().0);
            match &outcome {
                Outcome::Acknowledged { base_offset, .. } => {
                    counters.batches_sent.add(1);
                    counters.records_sent.add(count);
                    counters.batch_bytes_sent.add(ticket.bytes as u64);
                    let uncompressed = ticket.bytes_uncompressed as u64;
                    counters.batch_bytes_uncompressed.add(uncompressed);
                    of_topic.batches_sent.add(1);
                    of_topic.records_sent.add(count);
                    of_topic.batch_bytes_sent.add(ticket.bytes as u64);
                    of_topic.batch_bytes_uncompressed.add(uncompressed);
                    counters.batch_records.record(count);
                    counters.batch_bytes.record(ticket.bytes as u64);
                    counters.delivery_us.record_time(ticket.accepted.elapsed());
                    let (topic, partition) = ticket.place();
                    tracing::trace!(
                        %topic,
                        partition,
                        base_offset,
                        records = count,
                        "batch acknowledged"
                    );
                }
                Outcome::Failed(error) => {
                    counters.records_failed.add(count);
                    of_topic.records_failed.add(count);
                    tracing::warn!(%error, records = count, "batch not delivered");
                }
            }
            if !self.shared.interceptors.is_empty() {
                let result = ticket.result(&outcome);
                let interceptors = self.shared.interceptors.iter();
                interceptors.for_each(|interceptor| interceptor.on_acknowledgement(&result));
            }
            ticket.tell(outcome);
            self.flushes.ended(generation);
        }
    }

    /// Sends a batch that was too large as two.
    fn split(&mut self, too_large: TooLarge<Load, (Ticket, u64)>) {
        let Some(halves) = request::halves(&too_large.records().records) else {
            let mut effects = Effects::default();
            self.sender.refuse(too_large, &mut effects);
            self.apply(effects);
            return;
        };
        let (whole, load, Some((ticket, generation))) = too_large.take() else {
            return;
        };
        tracing::debug!(topic = %ticket.place().0, partition = ticket.place().1, bytes = ticket.bytes, "batch too large; sent as two");
        self.shared.cluster.counters().batch_splits.add(1);
        self.flushes.split(generation);
        let [(first, count, size), (second, second_count, second_size)] = halves;
        let sizes = [(first.len(), size), (second.len(), second_size)];
        let [ticket, second_ticket] = ticket.split(count, sizes);
        let (share, second_share) = load.share.map_or((None, None), |share| {
            let (one, other) = share.halves();
            (Some(one), other)
        });
        let (topic, partition) = ticket.place();
        let loaded = self.loaded(topic, partition);
        let part = |records, share, loaded| Load {
            records,
            waiting_since: None,
            stamp: None,
            share,
            loaded,
        };
        self.sender.split(
            &whole,
            [
                (
                    part(first, share, load.loaded),
                    (ticket, generation),
                    count,
                    sizes[0].0,
                ),
                (
                    part(second, second_share, loaded),
                    (second_ticket, generation),
                    second_count,
                    sizes[1].0,
                ),
            ],
        );
    }

    /// Asks for a producer id, if none is there or on its way.
    fn identify(&mut self) {
        if !self.sender.needs_identity() || self.is_identifying || self.fatal.is_some() {
            return;
        }
        self.is_identifying = true;
        let (cluster, reports) = (self.shared.cluster.clone(), self.reports.clone());
        tokio::spawn(async move {
            let result = identity(&cluster).await;
            drop(reports.send(Report::Identified(result)));
        });
    }
}

/// Asks for a producer id until there is one, or it is clear that there will be none.
async fn identity(cluster: &Cluster) -> Result<Identity> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let mut failures = 0;
    loop {
        let result = async {
            let connection = cluster.any_connection().await?;
            let timeout = cluster.config().request_timeout();
            let response = connection.call(&request, timeout).await?;
            if !response.error_code.is_ok() {
                let what = "asking for a producer id (`enable.idempotence`)";
                return Err(Error::broker(what, response.error_code, None));
            }
            Ok(Identity {
                id: response.producer_id,
                epoch: response.producer_epoch,
            })
        };
        match result.await {
            Err(error) if error.is_retriable() => {
                tracing::debug!(%error, "no producer id yet");
                failures += 1;
                tokio::time::sleep(cluster.retry_delay(failures)).await;
            }
            result => return result,
        }
    }
}

/// Carries the answer to a request back to the task; if it is dropped unused, that is the answer.
struct AnswerReport {
    reports: mpsc::UnboundedSender<Report>,
    request: u64,
    broker: BrokerId,
    version: i16,
    /// Given with the answer.
    asked: Option<Asked>,
}

impl AnswerReport {
    fn give(mut self, frame: Result<Bytes>) {
        self.report(frame);
    }

    fn report(&mut self, frame: Result<Bytes>) {
        let Some(asked) = self.asked.take() else {
            return;
        };
        let report = Report::Answered {
            request: self.request,
            broker: self.broker,
            version: self.version,
            asked,
            frame,
        };
        // A producer that ended meanwhile has told its callers.
        drop(self.reports.send(report));
    }
}

impl Drop for AnswerReport {
    fn drop(&mut self) {
        self.report(Err(Error::Disconnected {
            broker: format!("broker {}", self.broker).into(),
            reason: "the runtime that its connection ran on is gone".into(),
        }));
    }
}
