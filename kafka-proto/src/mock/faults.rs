//! Scripted faults: what a test wants to go wrong, for which requests and how often.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::messages::{ApiKey, ErrorCode};

/// The faults of a cluster. Each rule is written as a sentence and holds from its last word on:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// use kafka_proto::messages::{ApiKey, ErrorCode};
/// let cluster = kafka_proto::mock::Cluster::builder().topic("lines", 4).start().await?;
/// let faults = cluster.faults();
/// faults.on(ApiKey::PRODUCE).times(2).error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
/// let lost = faults.on(ApiKey::PRODUCE).partition("lines", 1).after(5).applied().drop_connection();
/// assert_eq!(lost.hits(), 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Lock for a few instructions only.
    rules: Mutex<Vec<Rule>>,
    /// How many rules there are, so that a cluster without faults pays one load a request.
    count: AtomicUsize,
    ids: AtomicU64,
}

#[derive(Debug, Clone)]
struct Rule {
    id: u64,
    api: ApiKey,
    broker: Option<i32>,
    topic: Option<String>,
    partition: Option<i32>,
    skip: u64,
    left: Option<u64>,
    applied: bool,
    hits: Arc<AtomicU64>,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Error(ErrorCode),
    CorruptRecords,
    Delay(Duration),
    Throttle(Duration),
    DropConnection,
    CutResponse(usize),
    NeverAnswer,
    Reorder,
    WrongCorrelation,
    Bytes(Bytes),
}

impl Faults {
    /// Begins a rule for requests of one API: by default the next one, at any broker, before anything is done.
    pub fn on(&self, api: ApiKey) -> FaultBuilder {
        let rule = Rule {
            id: self.inner.ids.fetch_add(1, Ordering::Relaxed),
            api,
            broker: None,
            topic: None,
            partition: None,
            skip: 0,
            left: Some(1),
            applied: false,
            hits: Arc::default(),
            action: Action::NeverAnswer,
        };
        FaultBuilder {
            faults: self.clone(),
            rule,
        }
    }

    /// Takes back every rule.
    pub fn clear(&self) {
        self.rules().clear();
        self.inner.count.store(0, Ordering::Release);
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.inner
            .rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn take_one(rules: &mut Vec<Rule>, at: usize) {
        let rule = &mut rules[at];
        rule.hits.fetch_add(1, Ordering::Relaxed);
        if let Some(left) = &mut rule.left {
            *left -= 1;
            if *left == 0 {
                rules.remove(at);
            }
        }
    }

    /// What goes wrong with a request that has arrived. Rules for partitions are only noted here; they count once the
    /// handler meets the partition.
    pub(crate) fn begin(&self, api: ApiKey, broker: i32) -> RequestFaults {
        let mut request = RequestFaults::default();
        if self.inner.count.load(Ordering::Acquire) == 0 {
            return request;
        }
        let mut rules = self.rules();
        let mut at = 0;
        while at < rules.len() {
            let rule = &mut rules[at];
            if rule.api != api || rule.broker.is_some_and(|of| of != broker) {
                at += 1;
                continue;
            }
            if matches!(rule.action, Action::Error(_) | Action::CorruptRecords)
                || rule.topic.is_some()
            {
                request.faults = Some(self.clone());
                at += 1;
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                at += 1;
                continue;
            }
            let (action, applied) = (rule.action.clone(), rule.applied);
            request.note(action, applied);
            let before = rules.len();
            Self::take_one(&mut rules, at);
            if rules.len() == before {
                at += 1;
            }
        }
        self.inner.count.store(rules.len(), Ordering::Release);
        request.api = api;
        request.broker = broker;
        request
    }
}

/// The error that a partition is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) error: ErrorCode,
    /// Do what was asked first, then answer the error.
    pub(crate) applied: bool,
}

/// What goes wrong with one request.
#[derive(Debug)]
pub(crate) struct RequestFaults {
    /// Set while there are rules that wait for the handler.
    faults: Option<Faults>,
    api: ApiKey,
    broker: i32,
    /// Rules that this request has met: id, and whether they hold for it (or were skipped).
    met: Mutex<Vec<(u64, bool)>>,
    late: Mutex<Connection>,
    first: Connection,
}

impl Default for RequestFaults {
    fn default() -> Self {
        Self {
            faults: None,
            api: ApiKey(-1),
            broker: -1,
            met: Mutex::default(),
            late: Mutex::default(),
            first: Connection::default(),
        }
    }
}

/// What goes wrong with the connection and the answer as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    pub(crate) delay: Duration,
    pub(crate) throttle: Duration,
    pub(crate) drop_before: bool,
    pub(crate) drop_after: bool,
    pub(crate) ignore: bool,
    pub(crate) swallow_answer: bool,
    pub(crate) cut: Option<usize>,
    pub(crate) reorder: bool,
    pub(crate) wrong_correlation: bool,
    pub(crate) instead: Option<Bytes>,
}

impl Connection {
    fn note(&mut self, action: Action, applied: bool) {
        match action {
            Action::Error(_) | Action::CorruptRecords => {}
            Action::Delay(by) => self.delay += by,
            Action::Throttle(by) => self.throttle += by,
            Action::DropConnection if applied => self.drop_after = true,
            Action::DropConnection => self.drop_before = true,
            Action::CutResponse(bytes) => self.cut = Some(bytes),
            Action::NeverAnswer if applied => self.swallow_answer = true,
            Action::NeverAnswer => self.ignore = true,
            Action::Reorder => self.reorder = true,
            Action::WrongCorrelation => self.wrong_correlation = true,
            Action::Bytes(bytes) => self.instead = Some(bytes),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RequestFaults {
    fn note(&mut self, action: Action, applied: bool) {
        self.first.note(action, applied);
    }

    /// Known before the request is read.
    pub(crate) fn first(&self) -> &Connection {
        &self.first
    }

    /// Everything, once the handler is through.
    pub(crate) fn last(&self) -> Connection {
        let late = locked(&self.late).clone();
        Connection {
            delay: late.delay,
            throttle: self.first.throttle + late.throttle,
            drop_before: false,
            drop_after: self.first.drop_after || late.drop_after || late.drop_before,
            ignore: false,
            swallow_answer: self.first.swallow_answer || late.swallow_answer || late.ignore,
            cut: self.first.cut.or(late.cut),
            reorder: self.first.reorder || late.reorder,
            wrong_correlation: self.first.wrong_correlation || late.wrong_correlation,
            instead: self.first.instead.clone().or(late.instead),
        }
    }

    pub(crate) fn throttle_ms(&self) -> i32 {
        let all = self.first.throttle + locked(&self.late).throttle;
        all.as_millis() as i32
    }

    /// The error for a request that names no partitions, or for all of it.
    pub(crate) fn error(&self) -> Option<Injected> {
        self.find(None).0
    }

    /// The error for one partition of the request.
    pub(crate) fn partition_error(&self, topic: &str, partition: i32) -> Option<Injected> {
        self.find(Some((topic, partition))).0
    }

    /// Are the records of this partition to arrive damaged?
    pub(crate) fn corrupts(&self, topic: &str, partition: i32) -> bool {
        self.find(Some((topic, partition))).1
    }

    fn find(&self, of: Option<(&str, i32)>) -> (Option<Injected>, bool) {
        let Some(faults) = &self.faults else {
            return (None, false);
        };
        let mut error = None;
        let mut corrupt = false;
        let mut met = locked(&self.met);
        let mut rules = faults.rules();
        let mut at = 0;
        while at < rules.len() {
            let rule = &mut rules[at];
            let next = at + 1;
            let fits = rule.api == self.api
                && rule.broker.is_none_or(|broker| broker == self.broker)
                && match (&rule.topic, of) {
                    (None, _) => matches!(rule.action, Action::Error(_) | Action::CorruptRecords),
                    (Some(topic), Some((name, partition))) => {
                        topic == name && rule.partition.is_none_or(|at| at == partition)
                    }
                    (Some(_), None) => false,
                };
            if !fits {
                at = next;
                continue;
            }
            let known = met.iter().find(|(id, _)| *id == rule.id).copied();
            let holds = match known {
                Some((_, holds)) => holds,
                None => {
                    let holds = rule.skip == 0;
                    rule.skip = rule.skip.saturating_sub(1);
                    met.push((rule.id, holds));
                    holds
                }
            };
            if !holds {
                at = next;
                continue;
            }
            match rule.action.clone() {
                Action::Error(code) => {
                    error = error.or(Some(Injected {
                        error: code,
                        applied: rule.applied,
                    }));
                }
                Action::CorruptRecords => corrupt = true,
                action if known.is_none() => locked(&self.late).note(action, rule.applied),
                _ => {}
            }
            if known.is_none() {
                rule.hits.fetch_add(1, Ordering::Relaxed);
                if let Some(left) = &mut rule.left {
                    *left = left.saturating_sub(1);
                }
            }
            at = next;
        }
        (error, corrupt)
    }
}

/// Rules used up by this request go when it ends, not before: all its partitions see the same faults.
impl Drop for RequestFaults {
    fn drop(&mut self) {
        if let Some(faults) = &self.faults {
            let mut rules = faults.rules();
            rules.retain(|rule| rule.left != Some(0));
            faults.inner.count.store(rules.len(), Ordering::Release);
        }
    }
}

/// A rule being written; see [`Faults`].
#[derive(Debug)]
#[must_use = "a rule holds only once its fault is named"]
pub struct FaultBuilder {
    faults: Faults,
    rule: Rule,
}

impl FaultBuilder {
    /// Only at this broker.
    pub fn broker(mut self, id: i32) -> Self {
        self.rule.broker = Some(id);
        self
    }

    /// Only for requests that name this topic, and only for its partitions.
    pub fn topic(mut self, name: &str) -> Self {
        self.rule.topic = Some(name.to_owned());
        self
    }

    /// Only for this partition.
    pub fn partition(mut self, topic: &str, partition: i32) -> Self {
        self.rule.topic = Some(topic.to_owned());
        self.rule.partition = Some(partition);
        self
    }

    /// For the next `count` requests that fit, instead of one.
    pub fn times(mut self, count: u64) -> Self {
        self.rule.left = Some(count.max(1));
        self
    }

    /// Until the rule is taken back.
    pub fn always(mut self) -> Self {
        self.rule.left = None;
        self
    }

    /// Lets the first `count` requests that fit pass.
    pub fn after(mut self, count: u64) -> Self {
        self.rule.skip = count;
        self
    }

    /// What was asked for is done first; only the answer goes wrong.
    pub fn applied(mut self) -> Self {
        self.rule.applied = true;
        self
    }

    /// Answers with this error code: for the partitions that fit, or as a whole where a response has no partitions.
    pub fn error(self, code: ErrorCode) -> Fault {
        self.add(Action::Error(code))
    }

    /// Fetch only: one byte of the records is flipped on the way, so that their CRC is wrong. The log stays good.
    pub fn corrupt_records(self) -> Fault {
        self.add(Action::CorruptRecords)
    }

    /// Waits before the request is looked at (by tokio's time).
    pub fn delay(self, by: Duration) -> Fault {
        self.add(Action::Delay(by))
    }

    /// Names a throttle time in the response (KIP-219). The broker itself does not mute.
    pub fn throttle(self, by: Duration) -> Fault {
        self.add(Action::Throttle(by))
    }

    /// Closes the connection instead of answering.
    pub fn drop_connection(self) -> Fault {
        self.add(Action::DropConnection)
    }

    /// Does what was asked, sends this many bytes of the response and closes the connection.
    pub fn cut_response(self, bytes: usize) -> Fault {
        self.add(Action::CutResponse(bytes))
    }

    /// Never answers this request nor any later one of its connection, and leaves the connection open.
    pub fn never_answer(self) -> Fault {
        self.add(Action::NeverAnswer)
    }

    /// Does what was asked, and sends the response behind the next one of its connection, as no broker does; without a next one it stays away.
    pub fn reorder(self) -> Fault {
        self.add(Action::Reorder)
    }

    /// Does what was asked, and answers with the correlation id of another request.
    pub fn wrong_correlation_id(self) -> Fault {
        self.add(Action::WrongCorrelation)
    }

    /// Does what was asked, and sends these bytes instead of the response, as they are: its length prefix is theirs. So a test makes up
    /// garbage, absurd lengths, or a response of its own.
    pub fn answer_bytes(self, bytes: impl Into<Bytes>) -> Fault {
        self.add(Action::Bytes(bytes.into()))
    }

    fn add(mut self, action: Action) -> Fault {
        self.rule.action = action;
        let fault = Fault {
            faults: self.faults.clone(),
            id: self.rule.id,
            hits: Arc::clone(&self.rule.hits),
        };
        let mut rules = self.faults.rules();
        rules.push(self.rule);
        self.faults
            .inner
            .count
            .store(rules.len(), Ordering::Release);
        fault
    }
}

/// A rule that holds. Dropping this changes nothing.
#[derive(Debug, Clone)]
pub struct Fault {
    faults: Faults,
    id: u64,
    hits: Arc<AtomicU64>,
}

impl Fault {
    /// How many requests it has met.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Takes the rule back.
    pub fn remove(&self) {
        let mut rules = self.faults.rules();
        rules.retain(|rule| rule.id != self.id);
        self.faults
            .inner
            .count
            .store(rules.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: ErrorCode = ErrorCode::NOT_LEADER_OR_FOLLOWER;

    #[test]
    fn an_error_holds_for_every_partition_of_one_request_and_then_is_gone() {
        let faults = Faults::default();
        let fault = faults.on(ApiKey::PRODUCE).error(CODE);
        let request = faults.begin(ApiKey::PRODUCE, 1);
        for partition in 0..3 {
            let injected = request.partition_error("t", partition);
            assert_eq!(injected.map(|injected| injected.error), Some(CODE));
        }
        drop(request);
        let request = faults.begin(ApiKey::PRODUCE, 1);
        assert_eq!(request.partition_error("t", 0), None);
        assert_eq!(fault.hits(), 1);
    }

    #[test]
    fn a_rule_for_a_partition_waits_for_that_partition() {
        let faults = Faults::default();
        let fault = faults
            .on(ApiKey::FETCH)
            .partition("t", 1)
            .after(1)
            .error(CODE);
        let met = |partition| {
            let request = faults.begin(ApiKey::FETCH, 1);
            request.partition_error("t", partition).is_some()
        };
        assert_eq!([met(0), met(1), met(0)], [false, false, false]);
        assert_eq!([met(1), met(1)], [true, false]);
        assert_eq!(fault.hits(), 1);
    }

    #[test]
    fn faults_of_the_connection_count_and_end() {
        let faults = Faults::default();
        faults.on(ApiKey::FETCH).after(1).times(2).drop_connection();
        faults
            .on(ApiKey::FETCH)
            .broker(2)
            .always()
            .throttle(Duration::from_millis(7));
        let drops = |broker| faults.begin(ApiKey::FETCH, broker).first().drop_before;
        assert_eq!(
            [drops(1), drops(1), drops(1), drops(1)],
            [false, true, true, false]
        );
        assert_eq!(faults.begin(ApiKey::FETCH, 2).throttle_ms(), 7);
        assert_eq!(faults.begin(ApiKey::FETCH, 1).throttle_ms(), 0);
        faults.clear();
        assert_eq!(faults.begin(ApiKey::FETCH, 2).throttle_ms(), 0);
    }

    #[test]
    fn a_connection_fault_for_a_topic_is_known_after_the_handler() {
        let faults = Faults::default();
        faults
            .on(ApiKey::PRODUCE)
            .topic("t")
            .applied()
            .drop_connection();
        let request = faults.begin(ApiKey::PRODUCE, 1);
        assert_eq!(request.partition_error("other", 0), None);
        assert!(!request.last().drop_after);
        assert_eq!(request.partition_error("t", 0), None);
        assert!(request.last().drop_after);
    }
}
