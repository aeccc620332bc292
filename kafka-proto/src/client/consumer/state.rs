//! What a fetcher decides about each partition: where to read next, from whom, when, and what an answer means. Pure: the
//! clock comes in as an argument, requests and sockets are elsewhere.

use std::time::{Duration, Instant};

use crate::{
    messages::{
        ErrorCode,
        fetch::{EpochEndOffset, PartitionData},
    },
    wire::Text,
};

use super::session::Ask;

/// Where a partition without a position starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetTo {
    Earliest,
    Latest,
    /// The first record with this timestamp (milliseconds since 1970) or a later one; the end if there is none.
    Timestamp(i64),
}

/// The leader of a partition, as metadata shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) broker: i32,
    pub(crate) epoch: i32,
}

/// What metadata says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The cluster has no such topic or partition.
    Missing,
    /// It exists; `None` while it has no leader.
    Exists(Option<Leader>),
}

/// How long things are borne. All from properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Wait after an error before the partition is fetched again.
    pub(crate) retry_backoff: Duration,
    /// How long a topic may be unknown (it may just have been created) before that is an error.
    pub(crate) unknown_topic: Duration,
    /// How long a follower named by the leader is read from.
    pub(crate) read_replica: Duration,
}

/// What the answer for one partition means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was asked from another position than the present one: nothing of it counts.
    Stale,
    /// Good; record batches may stand in it.
    Good,
    /// Another broker is to be asked: refresh metadata if `refresh`, try again later.
    Retry { refresh: bool },
    /// The application, or `auto.offset.reset`, has to say where to go on.
    Lost(Lost),
    /// Nothing that waiting would cure. The partition is tried again all the same, later.
    Failed(ErrorCode),
}

/// Why a position is no longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// OFFSET_OUT_OF_RANGE.
    OutOfRange {
        position: i64,
        log_start: i64,
        high_watermark: i64,
    },
    /// An unclean leader election took records away that were read: the log agrees with them up to `to` (KIP-320).
    Truncated { position: i64, to: i64, epoch: i32 },
    /// The topic was deleted and made again: its id is another one.
    Recreated { position: i64 },
}

/// A position to be looked up in its leader's log, where fetches do not do that (KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) position: i64,
    /// Of the record before the position.
    pub(crate) epoch: i32,
    pub(crate) leader_epoch: i32,
}

/// One assigned partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionState {
    pub(crate) topic: Text,
    pub(crate) partition: i32,
    /// The next offset to deliver, which is also the next to fetch.
    position: Option<i64>,
    /// Leader epoch of the batch before the position, −1 if unknown.
    position_epoch: i32,
    /// The epoch of the leader that has the position in its log.
    checked: Option<i32>,
    /// Where the position is to be asked for.
    reset: Option<ResetTo>,
    leader: Option<Leader>,
    /// A follower to read from (KIP-392), until then.
    read_replica: Option<(i32, Instant)>,
    paused: bool,
    retry_at: Option<Instant>,
    unknown_since: Option<Instant>,
    /// −1 until a broker has told.
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
}

impl PartitionState {
    pub(crate) fn new(topic: Text, partition: i32) -> Self {
        Self {
            topic,
            partition,
            position: None,
            position_epoch: -1,
            checked: None,
            reset: None,
            leader: None,
            read_replica: None,
            paused: false,
            retry_at: None,
            unknown_since: None,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
        }
    }

    #[cfg(test)]
    pub(crate) fn position(&self) -> Option<i64> {
        self.position
    }

    /// Leader epoch of the batch before the position, for commits; −1 if unknown.
    pub(crate) fn position_epoch(&self) -> i32 {
        self.position_epoch
    }

    /// Reads from `offset` on. `epoch` is the leader epoch of the record before it, −1 if unknown.
    pub(crate) fn seek(&mut self, offset: i64, epoch: i32) {
        self.position = Some(offset);
        self.position_epoch = epoch;
        self.checked = None;
        self.reset = None;
        self.retry_at = None;
    }

    /// Gives the position up; `to` is to be asked for.
    pub(crate) fn reset(&mut self, to: ResetTo) {
        self.position = None;
        self.position_epoch = -1;
        self.reset = Some(to);
        self.retry_at = None;
    }

    /// Gives the position up for good: only a seek or a reset starts the partition again.
    pub(crate) fn stop(&mut self) {
        self.position = None;
        self.reset = None;
    }

    /// Whether a back-off is over, if one was on.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due(now)
    }

    /// The broker cannot be reached: if it is only a follower, the leader is asked again.
    pub(crate) fn broker_failed(&mut self, broker: i32) {
        if self
            .read_replica
            .is_some_and(|(replica, _)| replica == broker)
        {
            self.read_replica = None;
        }
    }

    /// Where to ask for a position now, if it is to be asked for.
    pub(crate) fn wants_reset(&self, now: Instant) -> Option<ResetTo> {
        self.reset
            .filter(|_| self.leader.is_some() && self.due(now))
    }

    /// The answer to an asking for `to`: an offset and the leader epoch there. Whether that is the position now: what was sought meanwhile
    /// stands.
    pub(crate) fn reset_answered(&mut self, to: ResetTo, offset: i64, epoch: i32) -> bool {
        if self.reset != Some(to) {
            return false;
        }
        if offset >= 0 {
            self.seek(offset, epoch);
            return true;
        }
        if to != ResetTo::Latest {
            // No record is that young, or the broker does not know: a negative answer is not an offset.
            self.reset = Some(ResetTo::Latest);
        }
        false
    }

    /// Delivered up to `position`; `epoch` is the leader epoch of the last batch.
    pub(crate) fn advance(&mut self, position: i64, epoch: i32) {
        debug_assert!(
            self.position.is_none_or(|p| p <= position),
            "positions only grow"
        );
        self.position = Some(position);
        self.position_epoch = epoch;
    }

    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Not before `now + patience.retry_backoff`.
    pub(crate) fn back_off(&mut self, now: Instant, patience: &Patience) {
        self.retry_at = Some(now + patience.retry_backoff);
    }

    /// When a back-off ends, if one is on.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| !self.paused)
    }

    /// When a missing topic becomes an error.
    pub(crate) fn given_up_at(&self, patience: &Patience) -> Option<Instant> {
        self.unknown_since
            .map(|since| since + patience.unknown_topic)
    }

    fn due(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }

    /// Takes over what metadata says; an error once the topic was missing for too long.
    pub(crate) fn observe(
        &mut self,
        seen: Seen,
        now: Instant,
        patience: &Patience,
    ) -> Result<(), ErrorCode> {
        match seen {
            Seen::Exists(leader) => {
                self.unknown_since = None;
                if let (Some(old), Some(new)) = (self.leader, leader) {
                    // Brokers learn at different times: what is older changes nothing.
                    if new.epoch >= 0 && new.epoch < old.epoch {
                        return Ok(());
                    }
                    if new != old {
                        self.retry_at = None;
                        self.read_replica = None;
                    }
                }
                self.leader = leader;
                Ok(())
            }
            Seen::Missing => {
                let since = *self.unknown_since.get_or_insert(now);
                if now.saturating_duration_since(since) < patience.unknown_topic {
                    return Ok(());
                }
                // Said once; then the patience starts anew.
                self.unknown_since = None;
                self.leader = None;
                Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
            }
        }
    }

    /// The topic has another id now: nothing known of the old log holds.
    pub(crate) fn recreated(&mut self) -> Option<Lost> {
        self.leader = None;
        self.read_replica = None;
        self.high_watermark = -1;
        self.last_stable_offset = -1;
        self.log_start_offset = -1;
        self.position.map(|position| Lost::Recreated { position })
    }

    /// The broker to fetch from.
    pub(crate) fn broker(&self, now: Instant) -> Option<i32> {
        match self.read_replica {
            Some((broker, until)) if until > now => Some(broker),
            _ => self.leader.map(|leader| leader.broker),
        }
    }

    /// Whether some broker is to be found for it.
    pub(crate) fn lacks_leader(&self) -> bool {
        self.leader.is_none() && !self.paused
    }

    /// What to fetch, if the partition can be fetched now.
    pub(crate) fn ask(&self, now: Instant, partition_max_bytes: i32) -> Option<Ask> {
        if self.paused || !self.due(now) {
            return None;
        }
        Some(Ask {
            offset: self.position?,
            current_leader_epoch: self.leader?.epoch,
            last_fetched_epoch: self.position_epoch,
            partition_max_bytes,
        })
    }

    /// Judges an answer to `ask`. The watermarks are taken over; the position is the caller's to advance.
    pub(crate) fn answered(
        &mut self,
        ask: &Ask,
        data: &PartitionData,
        now: Instant,
        patience: &Patience,
    ) -> Outcome {
        if self.position != Some(ask.offset) {
            return Outcome::Stale;
        }
        match data.error_code {
            ErrorCode::NONE => self.good(ask, data, now, patience),
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                if self.read_replica.take().is_some() {
                    // A follower may lag: only the leader's word counts.
                    return Outcome::Retry { refresh: false };
                }
                if ask.last_fetched_epoch >= 0 {
                    // A leader that does not know the epoch says the same as one that does not have the offset. That it does not
                    // know the epoch is no proof of loss: ask without.
                    self.position_epoch = -1;
                    return Outcome::Retry { refresh: false };
                }
                self.back_off(now, patience);
                Outcome::Lost(Lost::OutOfRange {
                    position: ask.offset,
                    log_start: data.log_start_offset,
                    high_watermark: data.high_watermark,
                })
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::INCONSISTENT_TOPIC_ID => {
                self.read_replica = None;
                self.back_off(now, patience);
                match self.observe(Seen::Missing, now, patience) {
                    Ok(()) => Outcome::Retry { refresh: true },
                    Err(code) => Outcome::Failed(code),
                }
            }
            ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::OFFSET_NOT_AVAILABLE
            | ErrorCode::KAFKA_STORAGE_ERROR => {
                self.read_replica = None;
                self.back_off(now, patience);
                Outcome::Retry {
                    refresh: data.error_code != ErrorCode::OFFSET_NOT_AVAILABLE,
                }
            }
            code => {
                self.read_replica = None;
                self.back_off(now, patience);
                if code.is_retriable() && code != ErrorCode::CORRUPT_MESSAGE {
                    Outcome::Retry {
                        refresh: code.refreshes_metadata(),
                    }
                } else if code == ErrorCode::UNKNOWN_SERVER_ERROR {
                    Outcome::Retry { refresh: true }
                } else {
                    Outcome::Failed(code)
                }
            }
        }
    }

    fn good(
        &mut self,
        ask: &Ask,
        data: &PartitionData,
        now: Instant,
        patience: &Patience,
    ) -> Outcome {
        self.retry_at = None;
        self.unknown_since = None;
        if data.diverging_epoch.epoch >= 0 {
            return self.diverged(ask, &data.diverging_epoch, now, patience);
        }
        self.checked = Some(ask.current_leader_epoch);
        self.high_watermark = data.high_watermark;
        self.last_stable_offset = data.last_stable_offset;
        if data.log_start_offset >= 0 {
            self.log_start_offset = data.log_start_offset;
        }
        if data.preferred_read_replica >= 0 {
            self.read_replica = Some((data.preferred_read_replica, now + patience.read_replica));
            return Outcome::Retry { refresh: false };
        }
        Outcome::Good
    }

    /// What to ask the leader before the next fetch, if fetches do not notice that its log parted from the one that was read.
    pub(crate) fn needs_check(&self) -> Option<Check> {
        let check = Check {
            position: self.position?,
            epoch: self.position_epoch,
            leader_epoch: self.leader?.epoch,
        };
        let is_due = check.epoch >= 0 && check.leader_epoch >= 0;
        (is_due && self.checked != Some(check.leader_epoch)).then_some(check)
    }

    /// The leader's answer: the largest epoch up to the one asked for, and where it ends in its log.
    pub(crate) fn check_answered(
        &mut self,
        check: &Check,
        epoch: i32,
        end_offset: i64,
    ) -> Option<Lost> {
        if self.position != Some(check.position) {
            return None;
        }
        self.checked = Some(check.leader_epoch);
        // Of an epoch that it does not know the leader says −1, which is no proof of loss.
        (0..check.position)
            .contains(&end_offset)
            .then_some(Lost::Truncated {
                position: check.position,
                to: end_offset,
                epoch,
            })
    }

    /// The log that was read up to the position ends before it, or agrees with what was read only up to there (KIP-320).
    fn diverged(
        &mut self,
        ask: &Ask,
        at: &EpochEndOffset,
        now: Instant,
        patience: &Patience,
    ) -> Outcome {
        if !(0..ask.offset).contains(&at.end_offset) {
            // The broker knows nothing of that epoch: that is no proof of loss. Go on unchecked.
            self.position_epoch = -1;
            return Outcome::Retry { refresh: false };
        }
        self.back_off(now, patience);
        Outcome::Lost(Lost::Truncated {
            position: ask.offset,
            to: at.end_offset,
            epoch: at.epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        retry_backoff: Duration::from_millis(100),
        unknown_topic: Duration::from_secs(10),
        read_replica: Duration::from_secs(300),
    };

    fn at(position: i64) -> PartitionState {
        let mut state = PartitionState::new(Text::from("t"), 0);
        state.seek(position, 2);
        state
            .observe(
                Seen::Exists(Some(Leader {
                    broker: 1,
                    epoch: 4,
                })),
                Instant::now(),
                &PATIENCE,
            )
            .unwrap();
        state
    }

    fn data(error_code: ErrorCode) -> PartitionData {
        PartitionData {
            error_code,
            high_watermark: 100,
            last_stable_offset: 90,
            log_start_offset: 3,
            ..PartitionData::default()
        }
    }

    fn answer(state: &mut PartitionState, data: &PartitionData, now: Instant) -> Outcome {
        let ask = Ask {
            offset: state.position().unwrap(),
            current_leader_epoch: 4,
            last_fetched_epoch: state.position_epoch(),
            partition_max_bytes: 1000,
        };
        state.answered(&ask, data, now, &PATIENCE)
    }

    #[test]
    fn asks_for_the_position_with_both_epochs() {
        let ask = at(17).ask(Instant::now(), 1000).unwrap();
        let expected = Ask {
            offset: 17,
            current_leader_epoch: 4,
            last_fetched_epoch: 2,
            partition_max_bytes: 1000,
        };
        assert_eq!(ask, expected);
    }

    #[test]
    fn a_good_answer_takes_the_watermarks_over() {
        let mut state = at(17);
        assert_eq!(
            answer(&mut state, &data(ErrorCode::NONE), Instant::now()),
            Outcome::Good
        );
        assert_eq!(
            (
                state.high_watermark,
                state.last_stable_offset,
                state.log_start_offset
            ),
            (100, 90, 3)
        );
        assert_eq!(state.position(), Some(17), "only batches move the position");
    }

    #[test]
    fn an_answer_to_another_position_is_stale() {
        let now = Instant::now();
        let mut state = at(17);
        let ask = state.ask(now, 1000).unwrap();
        state.seek(50, -1);
        assert_eq!(
            state.answered(&ask, &data(ErrorCode::OFFSET_OUT_OF_RANGE), now, &PATIENCE),
            Outcome::Stale
        );
        state.reset(ResetTo::Earliest);
        assert_eq!(
            state.answered(&ask, &data(ErrorCode::NONE), now, &PATIENCE),
            Outcome::Stale
        );
    }

    #[test]
    fn errors_are_sorted_into_waiting_and_telling() {
        let now = Instant::now();
        let table = [
            (
                ErrorCode::NOT_LEADER_OR_FOLLOWER,
                Outcome::Retry { refresh: true },
            ),
            (
                ErrorCode::FENCED_LEADER_EPOCH,
                Outcome::Retry { refresh: true },
            ),
            (
                ErrorCode::UNKNOWN_LEADER_EPOCH,
                Outcome::Retry { refresh: true },
            ),
            (
                ErrorCode::OFFSET_NOT_AVAILABLE,
                Outcome::Retry { refresh: false },
            ),
            (
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                Outcome::Retry { refresh: true },
            ),
            (
                ErrorCode::UNKNOWN_TOPIC_ID,
                Outcome::Retry { refresh: true },
            ),
            (
                ErrorCode::UNKNOWN_SERVER_ERROR,
                Outcome::Retry { refresh: true },
            ),
            (
                ErrorCode::TOPIC_AUTHORIZATION_FAILED,
                Outcome::Failed(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            ),
            (
                ErrorCode::CORRUPT_MESSAGE,
                Outcome::Failed(ErrorCode::CORRUPT_MESSAGE),
            ),
        ];
        for (code, outcome) in table {
            let mut state = at(17);
            assert_eq!(answer(&mut state, &data(code), now), outcome, "{code}");
            assert_eq!(state.ask(now, 1000), None, "{code}: not at once again");
            assert!(
                state.ask(now + PATIENCE.retry_backoff, 1000).is_some(),
                "{code}: but later"
            );
        }
    }

    #[test]
    fn an_unknown_topic_is_an_error_after_a_while_and_not_before() {
        let start = Instant::now();
        let mut state = at(17);
        let unknown = data(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(
            answer(&mut state, &unknown, start),
            Outcome::Retry { refresh: true }
        );
        let late = start + PATIENCE.unknown_topic;
        assert_eq!(
            answer(&mut state, &unknown, late),
            Outcome::Failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        );
        assert_eq!(
            state.observe(Seen::Missing, late, &PATIENCE),
            Ok(()),
            "the patience starts anew"
        );
    }

    #[test]
    fn an_older_leader_epoch_does_not_move_a_partition_back() {
        let now = Instant::now();
        let mut state = at(17);
        state
            .observe(
                Seen::Exists(Some(Leader {
                    broker: 2,
                    epoch: 3,
                })),
                now,
                &PATIENCE,
            )
            .unwrap();
        assert_eq!(state.broker(now), Some(1));
        state
            .observe(
                Seen::Exists(Some(Leader {
                    broker: 2,
                    epoch: 5,
                })),
                now,
                &PATIENCE,
            )
            .unwrap();
        assert_eq!(state.broker(now), Some(2));
    }

    #[test]
    fn a_new_leader_ends_the_back_off() {
        let now = Instant::now();
        let mut state = at(17);
        answer(&mut state, &data(ErrorCode::NOT_LEADER_OR_FOLLOWER), now);
        assert_eq!(state.wakes_at(), Some(now + PATIENCE.retry_backoff));
        state
            .observe(
                Seen::Exists(Some(Leader {
                    broker: 2,
                    epoch: 5,
                })),
                now,
                &PATIENCE,
            )
            .unwrap();
        assert!(state.ask(now, 1000).is_some());
    }

    #[test]
    fn where_the_logs_part_is_told_and_an_unknown_epoch_is_no_loss() {
        let now = Instant::now();
        let mut state = at(17);
        let mut diverging = data(ErrorCode::NONE);
        diverging.diverging_epoch = EpochEndOffset {
            epoch: 1,
            end_offset: 12,
        };
        let lost = Lost::Truncated {
            position: 17,
            to: 12,
            epoch: 1,
        };
        assert_eq!(answer(&mut state, &diverging, now), Outcome::Lost(lost));
        let mut state = at(17);
        diverging.diverging_epoch = EpochEndOffset {
            epoch: 1,
            end_offset: -1,
        };
        assert_eq!(
            answer(&mut state, &diverging, now),
            Outcome::Retry { refresh: false }
        );
        assert_eq!((state.position(), state.position_epoch()), (Some(17), -1));
    }

    #[test]
    fn an_epoch_that_the_leader_does_not_know_is_no_loss_and_a_range_without_an_epoch_is() {
        let now = Instant::now();
        let mut state = at(17);
        let refused = data(ErrorCode::OFFSET_OUT_OF_RANGE);
        assert_eq!(
            answer(&mut state, &refused, now),
            Outcome::Retry { refresh: false }
        );
        assert_eq!((state.position(), state.position_epoch()), (Some(17), -1));
        assert!(state.ask(now, 1000).is_some(), "asked again at once");
        let lost = Lost::OutOfRange {
            position: 17,
            log_start: 3,
            high_watermark: 100,
        };
        assert_eq!(answer(&mut state, &refused, now), Outcome::Lost(lost));
        assert_eq!(state.ask(now, 1000), None, "not at once again");
    }

    #[test]
    fn negative_answers_of_list_offsets_are_not_offsets() {
        let mut state = PartitionState::new(Text::from("t"), 0);
        state.reset(ResetTo::Timestamp(5));
        state.reset_answered(ResetTo::Timestamp(5), -1, -1);
        assert_eq!(
            (state.position(), state.reset),
            (None, Some(ResetTo::Latest))
        );
        state.reset_answered(ResetTo::Latest, -1, -1);
        assert_eq!(
            (state.position(), state.reset),
            (None, Some(ResetTo::Latest))
        );
        state.reset_answered(ResetTo::Latest, 8, 3);
        assert_eq!((state.position(), state.position_epoch()), (Some(8), 3));
    }

    #[test]
    fn a_late_reset_does_not_undo_a_seek() {
        let mut state = PartitionState::new(Text::from("t"), 0);
        state.reset(ResetTo::Earliest);
        state.seek(40, -1);
        state.reset_answered(ResetTo::Earliest, 0, -1);
        assert_eq!(state.position(), Some(40));
    }

    #[test]
    fn a_follower_is_read_from_for_a_while_and_only_the_leader_decides_about_ranges() {
        let now = Instant::now();
        let mut state = at(17);
        let mut prefer = data(ErrorCode::NONE);
        prefer.preferred_read_replica = 9;
        assert_eq!(
            answer(&mut state, &prefer, now),
            Outcome::Retry { refresh: false }
        );
        assert_eq!(state.broker(now), Some(9));
        assert_eq!(state.broker(now + PATIENCE.read_replica), Some(1));
        let mut unreachable = state.clone();
        unreachable.broker_failed(9);
        assert_eq!(unreachable.broker(now), Some(1));
        assert_eq!(
            answer(&mut state, &data(ErrorCode::OFFSET_OUT_OF_RANGE), now),
            Outcome::Retry { refresh: false }
        );
        assert_eq!(state.broker(now), Some(1));
    }

    #[test]
    fn paused_partitions_are_not_asked_for_and_what_still_comes_counts() {
        let now = Instant::now();
        let mut state = at(17);
        state.set_paused(true);
        assert_eq!(state.ask(now, 1000), None);
        assert_eq!(
            answer(&mut state, &data(ErrorCode::NONE), now),
            Outcome::Good
        );
        state.set_paused(false);
        assert!(state.ask(now, 1000).is_some());
    }
}
