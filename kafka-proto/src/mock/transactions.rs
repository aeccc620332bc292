//! The transaction coordinator: producer ids, epochs and the state of each transactional id. Pure: it decides, and says
//! with [`Ended`] which markers are to be written; partitions and groups are someone else's.
//!
//! Both versions: TV1 (partitions added by request, the epoch stays) and TV2 (KIP-890: added by the first write, each
//! end bumps the epoch). Markers are written at once, so nothing is ever seen between prepared and complete, except
//! while a test holds them.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::messages::ErrorCode;

use super::groups::TopicPartition;
use super::topics::{CONSUMER_OFFSETS, internal_partition};

/// The last epoch that a client is given; one more is kept for fencing it.
const EPOCH_MAX: i16 = i16::MAX - 1;

/// Producer id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

/// A transaction is over: where markers go, and with which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) marker: Identity,
    pub(crate) commit: bool,
    pub(crate) partitions: Vec<TopicPartition>,
    pub(crate) groups: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was added since the id was initialised.
    Empty,
    Ongoing,
    /// Decided; the markers are held back.
    Prepared {
        commit: bool,
    },
    Complete {
        commit: bool,
    },
}

#[derive(Debug)]
struct Transaction {
    identity: Identity,
    state: State,
    /// Who ended the last transaction, if the identity changed with it (TV2): it may ask again.
    ended_by: Option<Identity>,
    timeout: Duration,
    started: Duration,
    partitions: BTreeSet<TopicPartition>,
    groups: BTreeSet<String>,
}

impl Transaction {
    fn check(&self, identity: Identity) -> Result<(), ErrorCode> {
        if self.identity.producer_id != identity.producer_id {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if self.identity.epoch != identity.epoch {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match self.state {
            State::Prepared { .. } => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, now: Duration) {
        if self.state != State::Ongoing {
            self.state = State::Ongoing;
            self.started = now;
            self.partitions.clear();
            self.groups.clear();
        }
    }

    fn take(&mut self, marker: Identity, commit: bool) -> Ended {
        Ended {
            marker,
            commit,
            partitions: std::mem::take(&mut self.partitions).into_iter().collect(),
            groups: std::mem::take(&mut self.groups).into_iter().collect(),
        }
    }
}

/// One transactional id as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionView {
    /// Kafka's word: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit or CompleteAbort.
    pub(crate) state: &'static str,
    pub(crate) identity: Identity,
    pub(crate) timeout: Duration,
    /// When it began, by the cluster's clock; `None` if nothing was ever added.
    pub(crate) started: Option<Duration>,
    /// Partitions written to, by topic, with those that groups' offsets go to; none once it is decided.
    pub(crate) partitions: BTreeMap<String, Vec<i32>>,
}

/// The words of [`TransactionView::state`], and those of states that this coordinator is never seen in.
pub(crate) const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "PrepareEpochFence",
    "Dead",
];

/// All transactional ids of the cluster, and the next producer id.
#[derive(Debug)]
pub(crate) struct Transactions {
    by_id: BTreeMap<String, Transaction>,
    next_producer_id: i64,
    /// `transaction.max.timeout.ms`
    timeout_max: Duration,
    /// Markers are written only when a test lets them go.
    markers_held: bool,
    held: Vec<Ended>,
}

impl Transactions {
    pub(crate) fn new(timeout_max: Duration) -> Self {
        Self {
            by_id: BTreeMap::new(),
            next_producer_id: 1000,
            timeout_max,
            markers_held: false,
            held: Vec::new(),
        }
    }

    /// A producer id that nobody has.
    pub(crate) fn new_producer_id(&mut self) -> i64 {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        id
    }

    /// A transactional producer starts, or recovers (`expected` is who it was, KIP-360). An undecided transaction of an
    /// earlier instance is aborted first; the caller is told to come back.
    pub(crate) fn init(
        &mut self,
        transactional_id: &str,
        timeout: Duration,
        expected: Option<Identity>,
    ) -> (Result<Identity, ErrorCode>, Option<Ended>) {
        if transactional_id.is_empty() {
            return (Err(ErrorCode::INVALID_REQUEST), None);
        }
        if timeout.is_zero() || timeout > self.timeout_max {
            return (Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT), None);
        }
        let Some(transaction) = self.by_id.get_mut(transactional_id) else {
            let producer_id = self.next_producer_id;
            self.next_producer_id += 1;
            let identity = Identity {
                producer_id,
                epoch: 0,
            };
            let transaction = Transaction {
                identity,
                state: State::Empty,
                ended_by: None,
                timeout,
                started: Duration::ZERO,
                partitions: BTreeSet::new(),
                groups: BTreeSet::new(),
            };
            self.by_id.insert(transactional_id.to_owned(), transaction);
            return (Ok(identity), None);
        };
        if let Some(expected) = expected
            && expected != transaction.identity
            && transaction.ended_by != Some(expected)
        {
            return (Err(ErrorCode::PRODUCER_FENCED), None);
        }
        match transaction.state {
            State::Prepared { .. } => (Err(ErrorCode::CONCURRENT_TRANSACTIONS), None),
            State::Ongoing => {
                let ended = self.fence(transactional_id);
                (Err(ErrorCode::CONCURRENT_TRANSACTIONS), ended)
            }
            State::Empty | State::Complete { .. } => {
                transaction.timeout = timeout;
                transaction.state = State::Empty;
                transaction.ended_by = None;
                let identity = next_identity(transaction.identity, &mut self.next_producer_id);
                transaction.identity = identity;
                (Ok(identity), None)
            }
        }
    }

    /// Aborts an ongoing transaction under a new epoch, which its producer does not know.
    fn fence(&mut self, transactional_id: &str) -> Option<Ended> {
        let transaction = self.by_id.get_mut(transactional_id)?;
        transaction.identity.epoch = transaction.identity.epoch.saturating_add(1);
        let ended = transaction.take(transaction.identity, false);
        transaction.ended_by = None;
        transaction.state = if self.markers_held {
            State::Prepared { commit: false }
        } else {
            State::Complete { commit: false }
        };
        self.write(ended)
    }

    fn write(&mut self, ended: Ended) -> Option<Ended> {
        if self.markers_held {
            self.held.push(ended);
            return None;
        }
        Some(ended)
    }

    /// Partitions that the producer will write to in its transaction.
    pub(crate) fn add_partitions(
        &mut self,
        now: Duration,
        transactional_id: &str,
        identity: Identity,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<(), ErrorCode> {
        let transaction = self.checked(transactional_id, identity)?;
        transaction.begin(now);
        transaction.partitions.extend(partitions);
        Ok(())
    }

    /// The group whose offsets the transaction will commit.
    pub(crate) fn add_group(
        &mut self,
        now: Duration,
        transactional_id: &str,
        identity: Identity,
        group_id: &str,
    ) -> Result<(), ErrorCode> {
        let transaction = self.checked(transactional_id, identity)?;
        transaction.begin(now);
        transaction.groups.insert(group_id.to_owned());
        Ok(())
    }

    /// Is this partition part of the producer's ongoing transaction (KIP-890)?
    pub(crate) fn verify_partition(
        &mut self,
        transactional_id: &str,
        identity: Identity,
        partition: &TopicPartition,
    ) -> Result<(), ErrorCode> {
        let transaction = self.checked(transactional_id, identity)?;
        if transaction.state == State::Ongoing && transaction.partitions.contains(partition) {
            Ok(())
        } else {
            Err(ErrorCode::INVALID_TXN_STATE)
        }
    }

    /// Is this group part of the producer's ongoing transaction?
    pub(crate) fn verify_group(
        &mut self,
        transactional_id: &str,
        identity: Identity,
        group_id: &str,
    ) -> Result<(), ErrorCode> {
        let transaction = self.checked(transactional_id, identity)?;
        if transaction.state == State::Ongoing && transaction.groups.contains(group_id) {
            Ok(())
        } else {
            Err(ErrorCode::INVALID_TXN_STATE)
        }
    }

    fn checked(
        &mut self,
        transactional_id: &str,
        identity: Identity,
    ) -> Result<&mut Transaction, ErrorCode> {
        let transaction = self
            .by_id
            .get_mut(transactional_id)
            .ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        transaction.check(identity)?;
        Ok(transaction)
    }

    /// The producer commits or aborts. Gives who it is from now on: with `bumps_epoch` (EndTxn v5, TV2) that is a new
    /// epoch or, where epochs have run out, a new producer id.
    pub(crate) fn end(
        &mut self,
        transactional_id: &str,
        identity: Identity,
        commit: bool,
        bumps_epoch: bool,
    ) -> (Result<Identity, ErrorCode>, Option<Ended>) {
        let Some(transaction) = self.by_id.get_mut(transactional_id) else {
            return (Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING), None);
        };
        // The answer to the first EndTxn was lost.
        if bumps_epoch && transaction.ended_by == Some(identity) {
            return match transaction.state {
                State::Complete { commit: was } if was == commit => {
                    (Ok(transaction.identity), None)
                }
                State::Prepared { commit: was } if was == commit => {
                    (Err(ErrorCode::CONCURRENT_TRANSACTIONS), None)
                }
                _ => (Err(ErrorCode::INVALID_TXN_STATE), None),
            };
        }
        if let Err(error) = transaction.check(identity) {
            return (Err(error), None);
        }
        match transaction.state {
            State::Ongoing => {}
            State::Empty | State::Complete { .. } if bumps_epoch && !commit => {
                // An empty abort bumps the epoch too.
            }
            State::Complete { commit: was } if was == commit && !bumps_epoch => {
                return (Ok(identity), None);
            }
            _ => return (Err(ErrorCode::INVALID_TXN_STATE), None),
        }
        let mut marker = identity;
        if bumps_epoch {
            marker.epoch = identity.epoch.saturating_add(1);
            transaction.identity = next_identity(identity, &mut self.next_producer_id);
            transaction.ended_by = Some(identity);
        }
        let ended = transaction.take(marker, commit);
        let next = transaction.identity;
        transaction.state = if self.markers_held {
            State::Prepared { commit }
        } else {
            State::Complete { commit }
        };
        (Ok(next), self.write(ended))
    }

    /// Aborts what has been open for longer than its timeout.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Ended> {
        let due: Vec<String> = self
            .by_id
            .iter()
            .filter(|(_, transaction)| deadline(transaction).is_some_and(|due| due <= now))
            .map(|(id, _)| id.clone())
            .collect();
        due.iter().filter_map(|id| self.fence(id)).collect()
    }

    /// When `tick` has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.by_id.values().filter_map(deadline).min()
    }

    /// Keeps decided transactions from completing, as slow partition leaders do; letting go gives what is to be written.
    pub(crate) fn hold_markers(&mut self, hold: bool) -> Vec<Ended> {
        self.markers_held = hold;
        if hold {
            return Vec::new();
        }
        for transaction in self.by_id.values_mut() {
            if let State::Prepared { commit } = transaction.state {
                transaction.state = State::Complete { commit };
            }
        }
        std::mem::take(&mut self.held)
    }

    /// One transactional id as an administrator sees it.
    pub(crate) fn view(&self, transactional_id: &str) -> Option<TransactionView> {
        let transaction = self.by_id.get(transactional_id)?;
        let state = match transaction.state {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::Prepared { commit: true } => "PrepareCommit",
            State::Prepared { commit: false } => "PrepareAbort",
            State::Complete { commit: true } => "CompleteCommit",
            State::Complete { commit: false } => "CompleteAbort",
        };
        let mut partitions: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &transaction.partitions {
            partitions
                .entry(topic.clone())
                .or_default()
                .push(*partition);
        }
        for group in &transaction.groups {
            let of = partitions.entry(CONSUMER_OFFSETS.to_owned()).or_default();
            let partition = internal_partition(group);
            if !of.contains(&partition) {
                of.push(partition);
            }
        }
        Some(TransactionView {
            state,
            identity: transaction.identity,
            timeout: transaction.timeout,
            started: (transaction.state != State::Empty).then_some(transaction.started),
            partitions,
        })
    }

    /// All transactional ids, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }

    /// Makes the next epoch of this id the last one, to see what happens behind it.
    pub(crate) fn set_epoch(&mut self, transactional_id: &str, epoch: i16) {
        if let Some(transaction) = self.by_id.get_mut(transactional_id) {
            transaction.identity.epoch = epoch;
        }
    }
}

fn deadline(transaction: &Transaction) -> Option<Duration> {
    (transaction.state == State::Ongoing).then(|| transaction.started + transaction.timeout)
}

fn next_identity(identity: Identity, next_producer_id: &mut i64) -> Identity {
    if identity.epoch >= EPOCH_MAX {
        let producer_id = *next_producer_id;
        *next_producer_id += 1;
        return Identity {
            producer_id,
            epoch: 0,
        };
    }
    Identity {
        epoch: identity.epoch + 1,
        ..identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn started(transactions: &mut Transactions) -> Identity {
        transactions.init("t", MINUTE, None).0.unwrap()
    }

    fn partition(n: i32) -> TopicPartition {
        (String::from("topic"), n)
    }

    fn ongoing() -> (Transactions, Identity) {
        let mut transactions = Transactions::new(15 * MINUTE);
        let identity = started(&mut transactions);
        let added = transactions.add_partitions(Duration::ZERO, "t", identity, [partition(1)]);
        assert_eq!(added, Ok(()));
        (transactions, identity)
    }

    fn bumped(identity: Identity) -> Identity {
        Identity {
            epoch: identity.epoch + 1,
            ..identity
        }
    }

    #[test]
    fn tv1_keeps_its_epoch_and_may_ask_again() {
        let (mut transactions, identity) = ongoing();
        let (next, ended) = transactions.end("t", identity, true, false);
        assert_eq!(next, Ok(identity));
        let ended = ended.unwrap();
        assert_eq!(ended.partitions, [partition(1)]);
        assert!(ended.commit);
        assert_eq!(
            transactions.end("t", identity, true, false),
            (Ok(identity), None)
        );
        let other_result = transactions.end("t", identity, false, false);
        assert_eq!(other_result, (Err(ErrorCode::INVALID_TXN_STATE), None));
    }

    #[test]
    fn tv2_bumps_the_epoch_at_each_end_and_on_an_empty_abort() {
        let (mut transactions, identity) = ongoing();
        let (next, ended) = transactions.end("t", identity, true, true);
        assert_eq!(next, Ok(bumped(identity)));
        assert_eq!(ended.unwrap().marker, bumped(identity));
        // Asked again with the old epoch: the same answer, and nothing is written twice.
        assert_eq!(
            transactions.end("t", identity, true, true),
            (Ok(bumped(identity)), None)
        );
        assert_eq!(
            transactions.end("t", identity, false, true).0,
            Err(ErrorCode::INVALID_TXN_STATE)
        );
        let empty_abort = transactions.end("t", bumped(identity), false, true).0;
        assert_eq!(empty_abort, Ok(bumped(bumped(identity))));
        let empty_commit = transactions
            .end("t", bumped(bumped(identity)), true, true)
            .0;
        assert_eq!(empty_commit, Err(ErrorCode::INVALID_TXN_STATE));
    }

    #[test]
    fn a_new_instance_aborts_and_fences_the_old_one() {
        let (mut transactions, old) = ongoing();
        let (first, ended) = transactions.init("t", MINUTE, None);
        assert_eq!(first, Err(ErrorCode::CONCURRENT_TRANSACTIONS));
        assert!(!ended.unwrap().commit);
        let new = started(&mut transactions);
        assert_eq!(new.producer_id, old.producer_id);
        assert!(new.epoch > old.epoch);
        assert_eq!(
            transactions.end("t", old, true, false).0,
            Err(ErrorCode::PRODUCER_FENCED)
        );
    }

    #[test]
    fn an_open_transaction_is_aborted_at_its_timeout() {
        let (mut transactions, identity) = ongoing();
        assert_eq!(transactions.next_deadline(), Some(MINUTE));
        assert_eq!(transactions.tick(MINUTE - Duration::from_millis(1)), []);
        let ended = transactions.tick(MINUTE);
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].marker, bumped(identity));
        assert_eq!(
            transactions.add_partitions(MINUTE, "t", identity, [partition(2)]),
            Err(ErrorCode::PRODUCER_FENCED)
        );
        assert_eq!(transactions.next_deadline(), None);
    }

    #[test]
    fn held_markers_make_the_next_transaction_wait() {
        let (mut transactions, identity) = ongoing();
        transactions.hold_markers(true);
        let (next, ended) = transactions.end("t", identity, true, true);
        let next = next.unwrap();
        assert_eq!(ended, None);
        let early = transactions.add_partitions(MINUTE, "t", next, [partition(2)]);
        assert_eq!(early, Err(ErrorCode::CONCURRENT_TRANSACTIONS));
        assert_eq!(transactions.hold_markers(false).len(), 1);
        let late = transactions.add_partitions(MINUTE, "t", next, [partition(2)]);
        assert_eq!(late, Ok(()));
    }

    #[test]
    fn exhausted_epochs_give_a_new_producer_id() {
        let (mut transactions, identity) = ongoing();
        transactions.set_epoch("t", EPOCH_MAX);
        let last = Identity {
            epoch: EPOCH_MAX,
            ..identity
        };
        let (next, ended) = transactions.end("t", last, true, true);
        let next = next.unwrap();
        assert_ne!(next.producer_id, identity.producer_id);
        assert_eq!(next.epoch, 0);
        assert_eq!(ended.unwrap().marker.epoch, i16::MAX);
    }

    #[test]
    fn a_write_outside_the_transaction_is_found() {
        let (mut transactions, identity) = ongoing();
        assert_eq!(
            transactions.verify_partition("t", identity, &partition(1)),
            Ok(())
        );
        assert_eq!(
            transactions.verify_partition("t", identity, &partition(2)),
            Err(ErrorCode::INVALID_TXN_STATE)
        );
        assert_eq!(
            transactions.verify_group("t", identity, "g"),
            Err(ErrorCode::INVALID_TXN_STATE)
        );
    }
}
