//! The newer group protocol (KIP-848) as a member sees it: a state machine without I/O or clock. There is one request, the heartbeat: it says
//! what changed and is answered with an epoch and, where it changed, the assignment. The coordinator moves the member towards
//! its target; the member gives up first what is not in the assignment, says what it has, and takes what is new.
//!
//! ```text
//! Joining (epoch 0) ──answer──▶ Member ──fenced, unknown──▶ Joining       Member ──silent application──▶ Lapsed ──poll──▶ Joining
//! Joining ──other error──▶ Refused ──error taken up──▶ Joining            any ──leave, fenced by a double──▶ Ended
//! ```
//! What one heartbeat is refused is that heartbeat's business: a member stays one, and the application gets the error once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    client::{
        cluster::TOPIC_NAME_BYTES_MAX,
        group::{
            Assignment, GroupMembershipOperation, TopicPartition,
            state::{Delays, Identity, LostWhy, NO_GENERATION, Told},
        },
        pace::Pace,
    },
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ErrorCode,
        consumer_group_heartbeat::TopicPartitions,
    },
    wire::{Text, Uuid},
};

/// `group.consumer.heartbeat.interval.ms` of a broker at its default, for a coordinator that names none.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// The epoch that joins.
const JOINS: i32 = 0;
/// The epoch that leaves for good.
const LEAVES: i32 = -1;
/// The epoch with which a static member leaves for a while: its partitions wait for it.
const LEAVES_FOR_A_WHILE: i32 = -2;
/// Until the coordinator has named its interval.
const FIRST_INTERVAL: Duration = Duration::from_secs(5);

/// What does not change while a member lives.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) group_id: Text,
    pub(crate) instance_id: Option<Text>,
    pub(crate) rack: Option<Text>,
    /// `group.remote.assignor`; without it the coordinator chooses.
    pub(crate) assignor: Option<Text>,
    /// How long the member may take to give up partitions: `max.poll.interval.ms`.
    pub(crate) rebalance_timeout: Duration,
    pub(crate) delays: Delays,
}

/// What a member wants to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Ascending.
    pub(crate) topics: BTreeSet<Text>,
    /// A pattern that the coordinator matches, in RE2's syntax.
    pub(crate) pattern: Option<Text>,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The next heartbeat joins, or is on its way.
    Joining,
    /// Has an epoch.
    Member,
    /// The application polls too seldom: outside, and joins only when it polls again.
    Lapsed,
    /// A heartbeat that joins was refused: outside, and joins again when the application has taken the error up.
    Refused,
    /// Left, or fenced by another member with the same `group.instance.id`.
    Ended,
}

/// A partition as the protocol names it.
type Place = (Uuid, i32);

/// What the coordinator was told last.
#[derive(Clone, Debug)]
struct Said {
    subscription: Subscription,
    owned: BTreeSet<Place>,
}

/// A member of a group of the newer protocol.
#[derive(Debug)]
pub(crate) struct Member {
    settings: Settings,
    phase: Phase,
    identity: Identity,
    epoch: i32,
    subscription: Subscription,
    interval: Duration,
    /// `None`: now.
    heartbeat_at: Option<Instant>,
    sent_at: Option<Instant>,
    /// What the coordinator knows; `None`: everything is to be said.
    said: Option<Said>,
    /// What it knows once the heartbeat under way is answered.
    saying: Option<Said>,
    /// What the coordinator gave last.
    assigned: Option<BTreeSet<Place>>,
    /// What the application has been told that it has, with the topics' names.
    owned: BTreeMap<Place, Text>,
    told_assignment: bool,
    /// What it is being asked to give up.
    revoking: BTreeSet<Place>,
    coordinator_lost: bool,
    /// How many answers in a row brought the member no further.
    pace: Pace,
    /// Whether the application has the error of a refused heartbeat already.
    complained: bool,
    told: VecDeque<Told>,
    /// What the coordinator said when it refused the member.
    words: Option<Text>,
}

impl Member {
    /// `member_id` is the member's own: it makes it, and keeps it while it lives.
    pub(crate) fn new(settings: Settings, member_id: Text, subscription: Subscription) -> Self {
        Self {
            settings,
            phase: Phase::Joining,
            identity: Identity::of_modern(member_id),
            epoch: JOINS,
            subscription,
            interval: FIRST_INTERVAL,
            heartbeat_at: None,
            sent_at: None,
            said: None,
            saying: None,
            assigned: None,
            owned: BTreeMap::new(),
            told_assignment: false,
            revoking: BTreeSet::new(),
            coordinator_lost: false,
            pace: Pace::default(),
            complained: false,
            told: VecDeque::new(),
            words: None,
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Who the member is to commits: with its epoch, and with what it has.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) const fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// The next thing that the application is to be told.
    pub(crate) fn tell(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// What the coordinator said when it refused the member.
    pub(crate) fn take_words(&mut self) -> Option<Text> {
        self.words.take()
    }

    /// Whether the coordinator has to be found anew; asking clears it.
    pub(crate) fn take_coordinator_lost(&mut self) -> bool {
        std::mem::take(&mut self.coordinator_lost)
    }

    /// When the next heartbeat is due, if one is ever.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        matches!(self.phase, Phase::Joining | Phase::Member)
            .then(|| self.heartbeat_at.map_or(now, |at| at.max(now)))
    }

    /// The heartbeat to send now: what has changed, or everything when the coordinator may not know it.
    pub(crate) fn heartbeat(&mut self, now: Instant) -> ConsumerGroupHeartbeatRequest {
        self.sent_at = Some(now);
        self.heartbeat_at = Some(now + self.interval);
        let owned: BTreeSet<Place> = self.owned.keys().copied().collect();
        let said = self.said.as_ref();
        let full = said.is_none();
        let subscription = &self.subscription;
        let news = |same: fn(&Subscription, &Subscription) -> bool| {
            said.is_none_or(|said| !same(&said.subscription, subscription))
        };
        let pattern_changed = news(|a, b| a.pattern == b.pattern);
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.settings.group_id.clone(),
            member_id: self.identity.member_id.clone(),
            member_epoch: self.epoch,
            instance_id: self.settings.instance_id.clone(),
            rack_id: self.settings.rack.clone().filter(|_| full),
            rebalance_timeout_ms: if full {
                i32::try_from(self.settings.rebalance_timeout.as_millis()).unwrap_or(i32::MAX)
            } else {
                -1
            },
            subscribed_topic_names: news(|a, b| a.topics == b.topics).then(|| {
                let names = subscription.topics.iter();
                let names = names.filter(|name| name.len() <= TOPIC_NAME_BYTES_MAX);
                names.cloned().collect()
            }),
            // An empty one takes a pattern away.
            subscribed_topic_regex: match &subscription.pattern {
                Some(pattern) if pattern_changed => Some(pattern.clone()),
                None if pattern_changed && !full => Some(Text::EMPTY),
                _ => None,
            },
            server_assignor: self.settings.assignor.clone().filter(|_| full),
            topic_partitions: said
                .is_none_or(|said| said.owned != owned)
                .then(|| by_topic(&owned)),
        };
        self.saying = Some(Said {
            subscription: subscription.clone(),
            owned,
        });
        request
    }

    /// A heartbeat was answered; `name` knows topics by their ids.
    pub(crate) fn answered(
        &mut self,
        answer: ConsumerGroupHeartbeatResponse,
        now: Instant,
        name: impl Fn(Uuid) -> Option<Text>,
    ) {
        if !matches!(self.phase, Phase::Joining | Phase::Member) {
            return;
        }
        let saying = self.saying.take();
        if answer.error_code != ErrorCode::NONE {
            return self.refused(answer.error_code, answer.error_message, now);
        }
        self.phase = Phase::Member;
        self.pace.gets_on();
        self.complained = false;
        self.epoch = answer.member_epoch;
        // None at all is no reason to ask without a pause.
        self.interval = match u64::try_from(answer.heartbeat_interval_ms) {
            Ok(ms @ 1..) => Duration::from_millis(ms),
            _ => HEARTBEAT_INTERVAL,
        };
        self.said = saying;
        let changed = |said: &Said| said.subscription != self.subscription;
        self.heartbeat_at = match self.said.as_ref().is_some_and(changed) {
            // The subscription changed while the heartbeat was under way.
            true => None,
            false => Some(self.sent_at.unwrap_or(now) + self.interval),
        };
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.into_iter();
            self.assigned = Some(topics.flat_map(places).collect());
        }
        self.reconcile(name);
        self.publish();
    }

    fn refused(&mut self, code: ErrorCode, words: Option<Text>, now: Instant) {
        // What was said may not have been heard.
        self.said = None;
        match code {
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_MEMBER_EPOCH => {
                self.rejoin(LostWhy::Refused(code));
                self.heartbeat_at = self.again(now);
            }
            // A coordinator that lost the group with its members.
            ErrorCode::GROUP_ID_NOT_FOUND if self.epoch != JOINS => {
                self.rejoin(LostWhy::Refused(code));
                self.heartbeat_at = self.again(now);
            }
            ErrorCode::FENCED_INSTANCE_ID => {
                self.words = words.as_ref().map(Text::detach);
                self.lose(LostWhy::Refused(code));
                self.phase = Phase::Ended;
                self.told.push_back(Told::Failed(code));
            }
            code => {
                self.coordinator_lost |= matches!(
                    code,
                    ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE
                );
                self.heartbeat_at = Some(self.later(now));
                if !code.is_retriable() && self.complains() {
                    self.words = words.as_ref().map(Text::detach);
                    self.told.push_back(Told::Failed(code));
                }
            }
        }
        self.publish();
    }

    /// Whether the application is to get the error of a refused heartbeat: once, until one is answered well. Who is no member yet does not
    /// go on before the application has taken that up.
    pub(crate) fn complains(&mut self) -> bool {
        if self.phase == Phase::Joining {
            self.phase = Phase::Refused;
            return true;
        }
        !std::mem::replace(&mut self.complained, true)
    }

    /// The application has taken an error up, and goes on.
    pub(crate) fn resumed(&mut self) {
        if self.phase == Phase::Refused {
            self.phase = Phase::Joining;
        }
    }

    /// When to try again what has just brought the member no further: later each time.
    fn later(&mut self, now: Instant) -> Instant {
        let delays = self.settings.delays;
        self.pace.falter(0, now, |failures| delays.delay(failures));
        self.pace.due_at().unwrap_or(now)
    }

    /// As [`Member::later`], the first time at once.
    fn again(&mut self, now: Instant) -> Option<Instant> {
        let delays = self.settings.delays;
        self.pace.falter(1, now, |failures| delays.delay(failures));
        self.pace.due_at()
    }

    /// Whether the last answer brought the member further.
    pub(crate) fn gets_on(&self) -> bool {
        self.pace.failures() == 0
    }

    /// A commit or a question for offsets was refused with an error that concerns membership.
    pub(crate) fn heard(&mut self, code: ErrorCode, epoch: i32) {
        let mine = self.phase == Phase::Member && epoch == self.epoch;
        match code {
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_MEMBER_EPOCH if mine => {
                self.rejoin(LostWhy::Refused(code));
                self.publish();
            }
            // The next heartbeat learns the epoch.
            ErrorCode::STALE_MEMBER_EPOCH if mine => self.heartbeat_at = None,
            _ => {}
        }
    }

    /// A heartbeat got no answer: the connection is gone, or it took too long.
    pub(crate) fn unanswered(&mut self, now: Instant) {
        self.coordinator_lost = true;
        self.said = None;
        self.saying = None;
        self.heartbeat_at = Some(self.later(now));
    }

    fn rejoin(&mut self, why: LostWhy) {
        self.lose(why);
        self.phase = Phase::Joining;
        self.epoch = JOINS;
        self.said = None;
        self.saying = None;
        self.heartbeat_at = None;
    }

    fn lose(&mut self, why: LostWhy) {
        self.revoking.clear();
        self.assigned = None;
        self.identity.owns(std::iter::empty());
        let owned = std::mem::take(&mut self.owned);
        if std::mem::take(&mut self.told_assignment) {
            let partitions = named(&owned);
            self.told.push_back(Told::Lost { partitions, why });
        }
    }

    /// Whether some of the assignment's topics have no name yet: the metadata is to be asked.
    pub(crate) fn has_nameless(&self) -> bool {
        let assigned = self.assigned.iter().flatten();
        let mut wanted = assigned.filter(|place| !self.owned.contains_key(place));
        wanted.next().is_some() && self.phase == Phase::Member && self.revoking.is_empty()
    }

    /// A step towards the assignment: gives up first what is not in it, then takes what is new. Topics that have no name yet wait
    /// (their ids may be known to the coordinator before the metadata shows them).
    pub(crate) fn reconcile(&mut self, name: impl Fn(Uuid) -> Option<Text>) {
        let Some(assigned) = &self.assigned else {
            return;
        };
        if self.phase != Phase::Member || !self.revoking.is_empty() {
            return;
        }
        let gone = |place: &Place| !assigned.contains(place);
        self.revoking = self.owned.keys().copied().filter(gone).collect();
        if !self.revoking.is_empty() {
            let partitions = self.revoking.iter();
            let partitions =
                partitions.filter_map(|place| Some(named_one(place, self.owned.get(place)?)));
            self.told.push_back(Told::Revoke(partitions.collect()));
            return;
        }
        let mut names: BTreeMap<Uuid, Option<Text>> = BTreeMap::new();
        let mut added = BTreeMap::new();
        for place in assigned
            .iter()
            .filter(|place| !self.owned.contains_key(place))
        {
            let known = names.entry(place.0).or_insert_with(|| name(place.0));
            if let Some(known) = known {
                added.insert(*place, known.clone());
            }
        }
        if added.is_empty() && (self.told_assignment || !assigned.is_empty()) {
            return;
        }
        let news = named(&added);
        self.owned.extend(added);
        self.identity.assigns();
        self.publish();
        self.told_assignment = true;
        self.told.push_back(Told::Assigned(Assignment {
            generation: self.epoch,
            member_id: self.identity.member_id.clone(),
            partitions: named(&self.owned),
            added: news,
            userdata: None,
        }));
        self.say_what_is_owned();
    }

    /// The application has given up what it was asked to.
    pub(crate) fn revoked(&mut self, name: impl Fn(Uuid) -> Option<Text>) {
        if self.revoking.is_empty() {
            return;
        }
        for place in std::mem::take(&mut self.revoking) {
            self.owned.remove(&place);
        }
        self.say_what_is_owned();
        // The assignment may be another one by now.
        self.reconcile(name);
        self.publish();
    }

    /// At once, so that nobody waits for the interval.
    fn say_what_is_owned(&mut self) {
        let known = self
            .said
            .as_ref()
            .is_some_and(|said| said.owned.iter().eq(self.owned.keys()));
        if !known {
            self.heartbeat_at = None;
        }
    }

    /// Wants to read something else from now on.
    pub(crate) fn subscribe(&mut self, subscription: Subscription) {
        if self.subscription != subscription {
            self.subscription = subscription;
            self.heartbeat_at = None;
            // It may be what was wanting.
            self.resumed();
        }
    }

    /// The application polls too seldom: leave, tell it once, and wait for its next poll. The request to send.
    pub(crate) fn lapse(&mut self) -> Option<ConsumerGroupHeartbeatRequest> {
        if self.phase != Phase::Member {
            return None;
        }
        let leave = self.leave_request(GroupMembershipOperation::Default);
        self.told.clear();
        self.rejoin(LostWhy::PolledTooSeldom);
        self.phase = Phase::Lapsed;
        self.publish();
        leave
    }

    /// The application polls again.
    pub(crate) fn polled(&mut self) {
        if self.phase == Phase::Lapsed {
            self.phase = Phase::Joining;
        }
    }

    /// Ends membership. The request to send, if the coordinator is to know.
    pub(crate) fn leave(
        &mut self,
        how: GroupMembershipOperation,
    ) -> Option<ConsumerGroupHeartbeatRequest> {
        // One that joins may be a member by now.
        let member = match self.phase {
            Phase::Member => true,
            Phase::Joining | Phase::Refused => self.sent_at.is_some(),
            Phase::Lapsed | Phase::Ended => false,
        };
        self.phase = Phase::Ended;
        self.told.clear();
        self.publish();
        if member {
            self.leave_request(how)
        } else {
            None
        }
    }

    fn leave_request(
        &self,
        how: GroupMembershipOperation,
    ) -> Option<ConsumerGroupHeartbeatRequest> {
        let member_epoch = match (how, &self.settings.instance_id) {
            (GroupMembershipOperation::Remain, None) => return None,
            (GroupMembershipOperation::Default | GroupMembershipOperation::Remain, Some(_)) => {
                LEAVES_FOR_A_WHILE
            }
            (GroupMembershipOperation::Leave, _) | (_, None) => LEAVES,
        };
        Some(ConsumerGroupHeartbeatRequest {
            group_id: self.settings.group_id.clone(),
            member_id: self.identity.member_id.clone(),
            member_epoch,
            instance_id: self.settings.instance_id.clone(),
            ..ConsumerGroupHeartbeatRequest::default()
        })
    }

    /// The membership cannot go on: what the application had, and has lost.
    pub(crate) fn abandon(&mut self) -> Vec<TopicPartition> {
        self.phase = Phase::Ended;
        self.told.clear();
        let owned = named(&std::mem::take(&mut self.owned));
        self.publish();
        owned
    }

    fn publish(&mut self) {
        let member = self.phase == Phase::Member;
        self.identity.generation = if member { self.epoch } else { NO_GENERATION };
        self.identity.owns(
            self.owned
                .iter()
                .map(|(place, name)| named_one(place, name)),
        );
    }
}

fn named_one(place: &Place, name: &Text) -> TopicPartition {
    TopicPartition {
        topic: name.clone(),
        partition: place.1,
    }
}

fn named(places: &BTreeMap<Place, Text>) -> Vec<TopicPartition> {
    let mut named: Vec<TopicPartition> = places
        .iter()
        .map(|(place, name)| named_one(place, name))
        .collect();
    named.sort_unstable();
    named
}

fn places(topic: TopicPartitions) -> impl Iterator<Item = Place> {
    let id = topic.topic_id;
    topic
        .partitions
        .into_iter()
        .map(move |partition| (id, partition))
}

fn by_topic(places: &BTreeSet<Place>) -> Vec<TopicPartitions> {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for (topic_id, partition) in places {
        match topics.last_mut() {
            Some(last) if last.topic_id == *topic_id => last.partitions.push(*partition),
            _ => topics.push(TopicPartitions {
                topic_id: *topic_id,
                partitions: vec![*partition],
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests;
