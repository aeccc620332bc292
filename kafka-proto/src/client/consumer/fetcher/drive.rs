//! What a poll does before it waits: takes answers, looks at the metadata, asks for starts, sends fetches, sets the timer.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{
    client::{Purpose, cluster::OffsetSpec},
    messages::ErrorCode,
    wire::Text,
};

use super::{
    super::{
        batches::Fault,
        link::{Event, Link},
        session::Key,
        state::{Leader, ResetTo, Seen},
    },
    Fetcher, Reset, all_of, changed, missing_topic, spec,
};

impl Fetcher {
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            self.settle_faults();
            self.poll_changes(cx, now);
            self.poll_resets(cx, now);
            self.poll_checks(cx, now);
            self.poll_links(cx, now);
            let survey = self.survey(now);
            // A start that is known at once is one to fetch from.
            if self.ask_resets(cx, now, survey.questions) {
                continue;
            }
            let happened = self.send_fetches(cx, now);
            if !self.ready.is_empty() || !self.errors.is_empty() {
                return Poll::Ready(());
            }
            if survey.lacks_leader {
                self.cluster.request_refresh();
            }
            // What happened may let something else be fetched, and nobody would wake us for it.
            if !happened && self.poll_timer(cx, now, survey.due).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Positions go back to batches that turned out bad in the application's hands.
    pub(super) fn settle_faults(&mut self) {
        if !self.faults.swap(false, Ordering::AcqRel) {
            return;
        }
        for (key, assigned) in &mut self.partitions {
            if let Some(offset) = assigned.fault.offset() {
                assigned.fault = Fault::new(&self.faults);
                assigned.state.seek(offset, -1);
                assigned.delivered = Some((offset, -1));
                self.ready.retain(|(k, _)| k != key);
                self.held.retain(|(k, _)| k != key);
            }
        }
    }

    /// Looks once at each partition: what each broker is to be asked for, which starts are to be found, when to look again. There may be
    /// thousands, and most polls change none: so all that is to be known of them is found in one walk.
    fn survey(&mut self, now: Instant) -> Survey {
        let mut survey = Survey::default();
        let (patience, budget) = (&self.settings.patience, &self.budget);
        let mut given_up_at = None;
        for link in self.links.values_mut() {
            link.wanted.clear();
            link.leads = false;
        }
        let at = now.into_std();
        for (key, assigned) in &mut self.partitions {
            // Said again and again, with back-off, because only a seek helps: an application that missed it would wait for ever.
            if let Some(error) = &assigned.lost
                && assigned.state.is_due(at)
            {
                self.errors.push_back(error.clone());
                assigned.state.back_off(at, patience);
            }
            let state = &assigned.state;
            if let Some(since) = state.given_up_at(patience) {
                given_up_at = earlier(given_up_at, since);
                survey.look_again(since, at);
            }
            if let Some(until) = state.wakes_at() {
                survey.look_again(until, at);
            }
            if state.lacks_leader() {
                survey.lacks_leader = true;
                survey.look_again(at + patience.retry_backoff, at);
            }
            let Some(broker) = state.broker(at) else {
                continue;
            };
            if !assigned.resetting
                && let Some(to) = state.wants_reset(at)
            {
                let questions = survey.questions.entry(broker).or_default();
                questions.push((*key, to));
            }
            let link = self
                .links
                .entry(broker)
                .or_insert_with(|| Link::new(broker, budget.reader()));
            link.leads = true;
            if !link.is_busy()
                && let Some(ask) = state.ask(at, assigned.partition_max_bytes)
            {
                link.wanted.push((*key, ask));
            }
        }
        self.given_up_at = given_up_at.map(Instant::from_std);
        // A broker that leads nothing any more takes no share of the budget.
        self.links.retain(|_, link| link.is_busy() || link.leads);
        survey
    }

    fn poll_changes(&mut self, cx: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(receiver) = self.changes.as_mut().poll(cx) {
            self.observe = true;
            match receiver {
                Some(receiver) => self.changes = changed(receiver),
                None => self.changes = Box::pin(std::future::pending()),
            }
        }
        if self.observe || self.given_up_at.is_some_and(|at| at <= now) {
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
            // An answer of an older broker has no ids: that says nothing.
            if let Some(topic) = topic
                && topic.id != id
                && !topic.id.is_zero()
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
            let of_topic = self.partitions.range(all_of(number));
            let keys: Vec<Key> = of_topic.map(|(key, _)| *key).collect();
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

    /// Asks for starts: one question to each broker at a time. Whether there are answers already.
    fn ask_resets(&mut self, cx: &mut Context<'_>, now: Instant, questions: Questions) -> bool {
        if questions.is_empty() {
            return false;
        }
        for (broker, asked) in questions {
            // On the fetch connection if that is free: it will be needed anyway.
            let busy = self.links.get(&broker).is_some_and(Link::is_busy);
            let purpose = if busy {
                Purpose::Metadata
            } else {
                self.connections.purpose()
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
                let answers = cluster.list_offsets_once(&list, isolation, purpose);
                Ok(answers.await)
            });
            self.resets.push(Reset {
                broker,
                since: now,
                asked,
                answer,
            });
        }
        self.poll_resets(cx, now)
    }

    /// Whether an answer came.
    fn poll_resets(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let (mut index, mut came) = (0, false);
        while let Some(reset) = self.resets.get_mut(index) {
            let Poll::Ready(answers) = reset.answer.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            came = true;
            let Reset { asked, .. } = self.resets.swap_remove(index);
            let answers = answers.unwrap_or_else(|error| vec![Err(error); asked.len()]);
            for ((key, to), answer) in asked.into_iter().zip(answers) {
                let Some(assigned) = self.partitions.get_mut(&key) else {
                    continue;
                };
                assigned.resetting = false;
                match answer {
                    Ok(listed) => {
                        tracing::debug!(
                            topic = %assigned.state.topic, partition = key.partition, ?to,
                            offset = ?listed.offset, "a start is known"
                        );
                        let offset = listed.offset.unwrap_or(-1);
                        let state = &mut assigned.state;
                        // After a seek the answer is late, and says nothing of what was delivered since.
                        if state.reset_answered(to, offset, listed.leader_epoch) {
                            assigned.delivered = Some((offset, -1));
                        } else if offset < 0 {
                            state.falter(1, now.into_std(), &self.settings.patience);
                        }
                    }
                    Err(error) => {
                        assigned
                            .state
                            .back_off(now.into_std(), &self.settings.patience);
                        match error.is_retriable() {
                            // Whoever leads it now may know.
                            true => self.cluster.request_refresh(),
                            false => self.errors.push_back(error),
                        }
                    }
                }
            }
        }
        came
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
                self.cluster.counters().error(code);
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
                for assigned in self.partitions.values_mut() {
                    assigned.state.broker_failed(broker);
                }
                self.cluster.request_refresh();
                if !error.is_retriable() {
                    self.errors.push_back(error);
                }
            }
        }
    }

    /// Whether something came of it at once.
    fn send_fetches(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let brokers: Vec<i32> = self.links.keys().copied().collect();
        let mut happened = false;
        for broker in brokers {
            if let Poll::Ready(Some(event)) = self.send_fetch(broker, cx, now) {
                self.happened(broker, event, now);
                happened = true;
            }
        }
        happened
    }

    /// Whether a broker is about to say where partitions start or whether they may go on: a fetch would keep them waiting.
    fn is_asking(&self, broker: i32, now: Instant) -> bool {
        let hold = self.settings.patience.retry_backoff;
        let resets = self.resets.iter().map(|of| (of.broker, of.since));
        let checks = self.checks.iter().map(|of| (of.broker, of.since));
        resets
            .chain(checks)
            .any(|(of, since)| of == broker && now.duration_since(since) < hold)
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
        if self.is_asking(broker, now) {
            return Poll::Pending;
        }
        let Some(link) = self.links.get_mut(&broker) else {
            return Poll::Pending;
        };
        if link.wanted.is_empty() {
            return Poll::Pending;
        }
        if let Some(event) =
            std::task::ready!(link.ready(&self.cluster, self.connections.purpose(), cx, now))
        {
            return Poll::Ready(Some(event));
        }
        if link.must_check().is_some() {
            if let Err(error) = self.ask_checks(broker, now) {
                return Poll::Ready(Some(Event::Failed(error)));
            }
            if self.poll_checks(cx, now) {
                // What came of it may be fetched, or waits for its time.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.is_asking(broker, now) {
                return Poll::Pending;
            }
        }
        let Some(link) = self.links.get_mut(&broker) else {
            return Poll::Pending;
        };
        let (mut by_id, mut most) = (link.speaks_ids(), 0);
        for (key, ask) in &link.wanted {
            by_id &= !self.topics[key.topic as usize].1.is_zero();
            most += ask.partition_max_bytes as usize;
        }
        let most = most.min(self.settings.max_bytes).min(self.budget.share());
        let least = most.min(self.settings.partition_max_bytes as usize);
        let most = most.max(least);
        let mut room = self.budget.take(least, most);
        if room.is_none() && !self.held.is_empty() {
            // What nobody asks for must not keep others waiting.
            self.give_up_held();
            room = self.budget.take(least, most);
        }
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
        self.note_room(room.is_some(), now);
        let (Some(room), Some(link)) = (room, self.links.get_mut(&broker)) else {
            return Poll::Pending;
        };
        let plan = link.session.plan(&link.wanted, by_id);
        if let Err(error) = link.send(&plan, by_id, &self.topics, &self.settings.terms, room) {
            link.send_failed();
            return Poll::Ready(Some(Event::Failed(error)));
        }
        tracing::trace!(
            broker,
            session = plan.session_id,
            epoch = plan.session_epoch,
            partitions = link.wanted.len(),
            changed = plan.asks.len(),
            forgotten = plan.forgotten.len(),
            "fetch sent"
        );
        self.sent = true;
        // Registers for the answer.
        link.poll(cx).map(Some)
    }

    /// Says once that what the application holds is all of the budget: else it would wait in silence for what it keeps from coming.
    fn note_room(&mut self, is_there: bool, now: Instant) {
        if is_there {
            self.starved = Starved::default();
            return;
        }
        let since = *self.starved.since.get_or_insert(now);
        let is_long = now.saturating_duration_since(since) >= STARVED_AFTER;
        if is_long && !std::mem::replace(&mut self.starved.is_said, true) {
            let limit = self.budget.limit();
            tracing::warn!(
                "nothing is fetched: all {limit} bytes of `fetch.buffer.bytes` are held by records and batches that the application keeps; drop them, keep \
                 copies (`ConsumerRecord::detach`), or raise the setting"
            );
        }
    }

    /// Sleeps until something is due again.
    fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        due: Option<std::time::Instant>,
    ) -> Poll<()> {
        let hold = self.settings.patience.retry_backoff;
        let links = self.links.values().filter_map(Link::wakes_at);
        let resets = self.resets.iter().map(|of| of.since + hold);
        let resets = resets.chain(self.checks.iter().map(|of| of.since + hold));
        let due = links
            .chain(resets)
            .filter(|at| *at > now)
            .chain(due.map(Instant::from_std))
            .min();
        let Some(due) = due else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }
}

/// Since when there has been no room for a fetch, and whether that was said.
#[derive(Debug, Default)]
pub(super) struct Starved {
    since: Option<Instant>,
    is_said: bool,
}

/// Without room for so long, the application keeps what it holds.
const STARVED_AFTER: Duration = Duration::from_secs(10);

/// Starts to be asked for, by broker.
type Questions = BTreeMap<i32, Vec<(Key, ResetTo)>>;

/// What one look at all partitions found.
#[derive(Default)]
struct Survey {
    questions: Questions,
    lacks_leader: bool,
    /// When some partition is to be looked at again.
    due: Option<std::time::Instant>,
}

impl Survey {
    fn look_again(&mut self, due: std::time::Instant, now: std::time::Instant) {
        if due > now {
            self.due = earlier(self.due, due);
        }
    }
}

fn earlier<T: Ord>(one: Option<T>, other: T) -> Option<T> {
    one.into_iter().chain([other]).min()
}
