//! Fetch sessions (KIP-227): what is sent to one broker in the next fetch, given what it already knows. Pure.
//!
//! Both what is wanted and what the broker knows are kept sorted by key, so that the difference is one merge of integers.

/// A partition inside one fetcher: the number it gave the topic, and the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) topic: u32,
    pub(crate) partition: i32,
}

/// What a fetch says about one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) offset: i64,
    /// Epoch of the leader as metadata shows it, −1 if unknown: an older broker refuses (KIP-320).
    pub(crate) current_leader_epoch: i32,
    /// Leader epoch of the last batch read, −1 if none: the broker answers where the logs part (KIP-320).
    pub(crate) last_fetched_epoch: i32,
    pub(crate) partition_max_bytes: i32,
}

/// The next fetch of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    /// New or changed partitions (all of them in a full fetch), topics together.
    pub(crate) asks: Vec<(Key, Ask)>,
    /// Partitions that the broker is to drop from the session, topics together.
    pub(crate) forgotten: Vec<Key>,
}

/// What an answer to a fetch as a whole means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The partitions may be looked at.
    Good,
    /// The broker lost the session: the next fetch is a full one. Nothing in this answer counts.
    SessionLost,
}

const INITIAL_EPOCH: i32 = 0;
const NO_SESSION: i32 = 0;

/// The session with one broker, over one connection.
#[derive(Debug, Default)]
pub(crate) struct FetchSession {
    id: i32,
    /// 0 opens a session (and closes the one that `id` names, if any).
    epoch: i32,
    /// Sorted by key: what the broker knows once the last plan has arrived.
    known: Vec<(Key, Ask)>,
    /// Whether topics are named by id: all or nothing (KIP-516), and never changed within a session.
    by_id: bool,
    /// In full fetches the first partitions fill the answer, so the order turns.
    turn: usize,
    /// A partition that the broker knows was assigned anew.
    is_renewed: bool,
}

impl FetchSession {
    /// Nothing is known of this partition any more here, for example because it was let go of and assigned again between two fetches. In a
    /// session the broker says of a partition only what has changed, so that one at its end would never have a high watermark again: the
    /// next fetch opens another session.
    pub(crate) fn renew(&mut self, key: Key) {
        self.is_renewed |= self.asked(key).is_some();
    }

    /// Plans the next fetch for exactly `wanted`, sorted by key.
    pub(crate) fn plan(&mut self, wanted: &[(Key, Ask)], by_id: bool) -> Plan {
        debug_assert!(wanted.is_sorted_by(|a, b| a.0 < b.0), "keys ascend");
        if std::mem::take(&mut self.is_renewed) || by_id != self.by_id {
            self.restart();
            self.by_id = by_id;
        }
        let mut plan = Plan {
            session_id: self.id,
            session_epoch: self.epoch,
            asks: Vec::with_capacity(wanted.len()),
            forgotten: Vec::new(),
        };
        if self.epoch == INITIAL_EPOCH {
            plan.asks.extend_from_slice(wanted);
            if !wanted.is_empty() {
                plan.asks.rotate_left(self.turn % wanted.len());
                self.turn = self.turn.wrapping_add(1);
            }
        } else {
            difference(&self.known, wanted, &mut plan);
        }
        self.known.clear();
        self.known.extend_from_slice(wanted);
        plan
    }

    /// What the last plan said about this partition, `None` if it was not part of it.
    pub(crate) fn asked(&self, key: Key) -> Option<Ask> {
        let i = self.known.binary_search_by_key(&key, |&(k, _)| k).ok()?;
        Some(self.known[i].1)
    }

    /// A fetch was answered with this session id; `lost` if with an error that ends the session.
    pub(crate) fn answered(&mut self, session_id: i32, lost: bool) -> Answer {
        if lost {
            // The broker has no such session, so there is none to close.
            self.id = NO_SESSION;
            self.restart();
            return Answer::SessionLost;
        }
        if self.epoch == INITIAL_EPOCH {
            // 0: the broker keeps no session for us, each fetch stays a full one.
            self.id = session_id;
            self.epoch = if session_id == NO_SESSION {
                INITIAL_EPOCH
            } else {
                1
            };
        } else if session_id == self.id {
            self.epoch = next_epoch(self.epoch);
        } else {
            self.id = NO_SESSION;
            self.restart();
            return Answer::SessionLost;
        }
        Answer::Good
    }

    /// The fetch failed without an answer, so what the broker knows is not known: the next fetch closes the session and
    /// opens another.
    pub(crate) fn restart(&mut self) {
        self.epoch = INITIAL_EPOCH;
        self.known.clear();
    }
}

/// Epochs go round from the greatest to 1: 0 would open a session, −1 close it.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

fn difference(known: &[(Key, Ask)], wanted: &[(Key, Ask)], plan: &mut Plan) {
    let mut known = known.iter().peekable();
    for &(key, ask) in wanted {
        while let Some(&(gone, _)) = known.next_if(|&&(k, _)| k < key) {
            plan.forgotten.push(gone);
        }
        match known.next_if(|&&(k, _)| k == key) {
            Some(&(_, before)) if before == ask => {}
            _ => plan.asks.push((key, ask)),
        }
    }
    plan.forgotten.extend(known.map(|&(k, _)| k));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(topic: u32, partition: i32) -> Key {
        Key { topic, partition }
    }

    fn ask(offset: i64) -> Ask {
        Ask {
            offset,
            current_leader_epoch: 3,
            last_fetched_epoch: -1,
            partition_max_bytes: 1 << 20,
        }
    }

    fn opened(wanted: &[(Key, Ask)]) -> FetchSession {
        let mut session = FetchSession::default();
        session.plan(wanted, true);
        assert_eq!(session.answered(7, false), Answer::Good);
        session
    }

    #[test]
    fn the_first_fetch_is_full_and_opens_a_session() {
        let mut session = FetchSession::default();
        let wanted = [(key(0, 0), ask(5)), (key(0, 1), ask(6))];
        let plan = session.plan(&wanted, true);
        assert_eq!((plan.session_id, plan.session_epoch), (0, 0));
        assert_eq!(plan.asks, wanted);
        assert!(plan.forgotten.is_empty());
    }

    #[test]
    fn later_fetches_name_only_what_changed_and_step_the_epoch() {
        let mut session = opened(&[
            (key(0, 0), ask(5)),
            (key(0, 1), ask(6)),
            (key(1, 0), ask(0)),
        ]);
        let plan = session.plan(
            &[
                (key(0, 0), ask(5)),
                (key(0, 1), ask(9)),
                (key(1, 0), ask(0)),
            ],
            true,
        );
        assert_eq!((plan.session_id, plan.session_epoch), (7, 1));
        assert_eq!(plan.asks, [(key(0, 1), ask(9))]);
        assert!(plan.forgotten.is_empty());
        assert_eq!(
            session.asked(key(0, 0)),
            Some(ask(5)),
            "unchanged partitions stay in the session"
        );
        assert_eq!(session.answered(7, false), Answer::Good);
        assert_eq!(session.plan(&[(key(0, 0), ask(5))], true).session_epoch, 2);
    }

    #[test]
    fn partitions_no_longer_wanted_are_forgotten_and_not_accepted() {
        let mut session = opened(&[
            (key(0, 0), ask(5)),
            (key(0, 1), ask(6)),
            (key(2, 0), ask(0)),
        ]);
        let plan = session.plan(&[(key(0, 1), ask(6)), (key(1, 4), ask(1))], true);
        assert_eq!(plan.forgotten, [key(0, 0), key(2, 0)]);
        assert_eq!(plan.asks, [(key(1, 4), ask(1))]);
        assert_eq!(session.asked(key(0, 0)), None);
        assert_eq!(session.asked(key(1, 4)), Some(ask(1)));
    }

    #[test]
    fn a_partition_assigned_anew_between_two_fetches_is_told_of_again() {
        let wanted = [(key(0, 0), ask(5)), (key(0, 1), ask(6))];
        let mut session = opened(&wanted);
        session.renew(key(3, 3));
        assert!(session.plan(&wanted, true).asks.is_empty());
        session.answered(7, false);
        session.renew(key(0, 1));
        let plan = session.plan(&wanted, true);
        assert_eq!((plan.session_id, plan.session_epoch), (7, 0));
        assert_eq!(plan.asks.len(), 2);
    }

    #[test]
    fn a_lost_session_leads_to_a_full_fetch_with_a_new_one() {
        let wanted = [(key(0, 0), ask(5))];
        let mut session = opened(&wanted);
        session.plan(&wanted, true);
        assert_eq!(session.answered(0, true), Answer::SessionLost);
        let plan = session.plan(&wanted, true);
        assert_eq!((plan.session_id, plan.session_epoch), (0, 0));
        assert_eq!(plan.asks, wanted);
    }

    #[test]
    fn a_fetch_without_an_answer_closes_the_session_and_opens_another() {
        let wanted = [(key(0, 0), ask(5))];
        let mut session = opened(&wanted);
        session.restart();
        let plan = session.plan(&wanted, true);
        assert_eq!((plan.session_id, plan.session_epoch), (7, 0));
        assert_eq!(plan.asks, wanted);
    }

    #[test]
    fn a_broker_that_keeps_no_session_gets_full_fetches_in_turning_order() {
        let mut session = FetchSession::default();
        let wanted = [
            (key(0, 0), ask(5)),
            (key(0, 1), ask(6)),
            (key(0, 2), ask(7)),
        ];
        assert_eq!(session.plan(&wanted, true).asks[0].0, key(0, 0));
        assert_eq!(session.answered(0, false), Answer::Good);
        let plan = session.plan(&wanted, true);
        assert_eq!((plan.session_id, plan.session_epoch), (0, 0));
        assert_eq!(plan.asks.len(), 3);
        assert_eq!(
            plan.asks[0].0,
            key(0, 1),
            "or the first partition starves the others"
        );
    }

    #[test]
    fn going_from_ids_to_names_starts_a_new_session() {
        let wanted = [(key(0, 0), ask(5))];
        let mut session = opened(&wanted);
        let plan = session.plan(&wanted, false);
        assert_eq!((plan.session_id, plan.session_epoch), (7, 0));
        assert_eq!(plan.asks, wanted);
    }

    #[test]
    fn an_answer_for_another_session_counts_for_nothing() {
        let wanted = [(key(0, 0), ask(5))];
        let mut session = opened(&wanted);
        session.plan(&wanted, true);
        assert_eq!(session.answered(8, false), Answer::SessionLost);
    }

    #[test]
    fn epochs_go_round_to_one() {
        assert_eq!(next_epoch(1), 2);
        assert_eq!(next_epoch(i32::MAX), 1);
    }
}
