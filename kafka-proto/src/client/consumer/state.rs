//! What a fetcher decides about each partition: where to read next, from whom, when, and what an answer means. Pure: the
//! clock comes in as an argument, requests and sockets are elsewhere.

use std::time::{Duration, Instant};

use crate::{
    client::{Backoff, pace::Pace},
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
    /// Wait after an error before the partition is fetched again: the first time, and at most.
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
    /// Where in the span of the jitter the waits lie, from 0 to 1.
    pub(crate) spread: f64,
    /// How long a topic may be unknown (it may just have been created) before that is an error.
    pub(crate) unknown_topic: Duration,
    /// How long a follower named by the leader is read from.
    pub(crate) read_replica: Duration,
}

impl Patience {
    /// The wait after `failures` answers in a row that brought a partition no further.
    fn delay(&self, failures: u32) -> Duration {
        let backoff = Backoff::new(self.retry_backoff, self.retry_backoff_max);
        backoff.delay(failures, self.spread)
    }
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
    /// What brings it no further counts, whatever the answer says.
    pace: Pace,
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
            pace: Pace::default(),
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

    /// Reads from `offset` on. `epoch` is the leader epoch of the record before it, −1 if unknown. The pace stays: only what is read is
    /// progress, not where to.
    pub(crate) fn seek(&mut self, offset: i64, epoch: i32) {
        self.position = Some(offset);
        self.position_epoch = epoch;
        self.checked = None;
        self.reset = None;
        self.pace.hurry();
    }

    /// Gives the position up; `to` is to be asked for.
    pub(crate) fn reset(&mut self, to: ResetTo) {
        self.position = None;
        self.position_epoch = -1;
        self.reset = Some(to);
        self.pace.hurry();
    }

    /// The partition gets on, or the application has said where to go on: the next failure is the first again.
    pub(crate) fn gets_on(&mut self) {
        self.pace.gets_on();
    }

    /// An answer brought it no further, and asking once more at once may: the first times free, then later each time.
    pub(crate) fn falter(&mut self, free: u32, now: Instant, patience: &Patience) {
        self.pace
            .falter(free, now, |failures| patience.delay(failures));
    }

    /// Gives the position up for good: only a seek or a reset starts the partition again.
    pub(crate) fn stop(&mut self) {
        self.position = None;
        self.reset = None;
    }

    /// Whether a back-off is over, if one was on.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.pace.is_due(now)
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
            .filter(|_| self.leader.is_some() && self.is_due(now))
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
        self.gets_on();
    }

    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Not before `now + patience.retry_backoff`, and later each time until the partition gets on.
    pub(crate) fn back_off(&mut self, now: Instant, patience: &Patience) {
        self.falter(0, now, patience);
    }

    /// When a back-off ends, if one is on.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        self.pace.due_at().filter(|_| !self.paused)
    }

    /// When a missing topic becomes an error.
    pub(crate) fn given_up_at(&self, patience: &Patience) -> Option<Instant> {
        self.unknown_since
            .map(|since| since + patience.unknown_topic)
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
                        // Leaders may be named round in a circle.
                        self.pace.hurry();
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
        if self.paused || !self.is_due(now) {
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
                    self.falter(1, now, patience);
                    return Outcome::Retry { refresh: false };
                }
                if ask.last_fetched_epoch >= 0 {
                    // A leader that does not know the epoch says the same as one that does not have the offset. That it does not
                    // know the epoch is no proof of loss: ask without.
                    self.position_epoch = -1;
                    self.falter(1, now, patience);
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
            self.falter(1, now, patience);
            // Its time counts from when it may be asked: else who has to wait would find it over.
            let due = self.pace.due_at().map_or(now, |at| at.max(now));
            self.read_replica = Some((data.preferred_read_replica, due + patience.read_replica));
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
            self.falter(1, now, patience);
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
#[path = "state_tests.rs"]
mod tests;
