//! A barrier on its way through a worker: positions are noted, the state of the epoch is fired and logged level by level, and what was sent
//! is awaited while work goes on.

use std::sync::atomic::Ordering;

use super::super::errand::Report;
use super::super::work::Fire;
use super::Worker;
use super::acks::Acks;
use super::reading::Middle;
use crate::Error;
use crate::checkpoint::epoch::Epoch;
use crate::checkpoint::log::{Position, Sink, Source};
use crate::inspect::Activity;

use std::collections::VecDeque;

/// A barrier on its way through this worker.
pub(super) struct Barrier {
    pub(super) epoch: Epoch,
    pub(super) last: bool,
    /// Where the sources stood.
    pub(super) positions: Vec<Position>,
    pub(super) stage: Stage,
    pub(super) level: usize,
}

/// What is being done at the barrier's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Rows of the epoch are still to come from other workers.
    Aligning,
    /// All are in the state; changed keys are emitted and go into the changelog.
    Firing,
}

/// An epoch whose batches are with the producer.
pub(super) struct Flushing {
    pub(super) epoch: Epoch,
    pub(super) last: bool,
    pub(super) positions: Vec<Position>,
    pub(super) acks: Acks,
    /// The levels whose changelogs are still held back, in the order in which they follow.
    pub(super) held_back: VecDeque<usize>,
    /// All that was sent is acknowledged; it waits for the other workers.
    pub(super) is_waiting: bool,
}

impl<S: Source, K: Sink> Worker<S, K> {
    pub(super) async fn begin_barrier(&mut self, epoch: Epoch, last: bool) -> Result<(), Error> {
        debug_assert!(self.barrier.is_none(), "one epoch at a time");
        let mut positions = self.positions.clone();
        match self.middle()? {
            Middle::None => {}
            Middle::At(middle) => {
                if let Some(at) = self.index_of(middle.place) {
                    positions[at] = middle;
                }
            }
            Middle::Within => {
                self.due = Some((epoch, last));
                return Ok(());
            }
        }
        let lag: i64 = self
            .ends_seen
            .iter()
            .zip(&self.positions)
            .map(|(end, p)| (end - p.offset).max(0))
            .sum();
        if self.tracks_time && !last {
            let may_read = self.exchange.room_above(0);
            self.look_for_idle(may_read);
        }
        self.counters
            .lag
            .fetch_add(lag - self.lag, Ordering::Relaxed);
        self.lag = lag;
        self.is_ending = last;
        self.barrier = Some(Barrier {
            epoch,
            last,
            positions,
            stage: Stage::Aligning,
            level: 0,
        });
        if self.work.levels() == 0 {
            return self.end_barrier().await;
        }
        self.send_rows(true);
        self.exchange.pass_barrier(0);
        Ok(())
    }

    /// Every row that the epoch has for `level` is in the state.
    pub(super) fn aligned(&mut self, level: usize) {
        if let Some(barrier) = &mut self.barrier {
            debug_assert_eq!(
                (barrier.stage, barrier.level),
                (Stage::Aligning, level),
                "barriers come level by level"
            );
            barrier.stage = Stage::Firing;
        }
    }

    /// One bounded piece of what a level has to do at a barrier. False: it waits for answers.
    pub(super) async fn fire(&mut self, level: usize) -> Result<bool, Error> {
        self.clock.turn_to(Activity::Commit);
        let fire = self.work.fire(level)?;
        self.after_call().await?;
        if fire != Fire::Done {
            return Ok(fire == Fire::More);
        }
        self.send_rows(true);
        let Some(barrier) = &mut self.barrier else {
            return Ok(true);
        };
        if level + 1 < self.work.levels() {
            (barrier.stage, barrier.level) = (Stage::Aligning, level + 1);
            self.exchange.pass_barrier(level + 1);
            return Ok(true);
        }
        self.end_barrier().await?;
        Ok(true)
    }

    /// All of the epoch is in batches: send them. Work goes on while their acknowledgements are awaited.
    pub(super) async fn end_barrier(&mut self) -> Result<(), Error> {
        self.send(true).await?;
        self.tell_sizes();
        self.sink.flush().await?;
        if let Some(Barrier {
            epoch,
            last,
            positions,
            ..
        }) = self.barrier.take()
        {
            debug_assert!(self.flushing.is_none(), "one epoch at a time");
            self.flushing = Some(Flushing {
                epoch,
                last,
                positions,
                acks: std::mem::take(&mut self.acks),
                held_back: self.work.held_back().into(),
                is_waiting: false,
            });
        }
        Ok(())
    }

    /// What all workers have sent for the epoch is acknowledged: the next changelogs follow.
    pub(super) async fn log_next(&mut self) -> Result<(), Error> {
        let next = |flushing: &mut Flushing| flushing.held_back.pop_front();
        let Some(level) = self.flushing.as_mut().and_then(next) else {
            return Ok(());
        };
        // Batches of the next epoch may be on their way already.
        let others = std::mem::take(&mut self.acks);
        self.send_held_back(level).await?;
        let acks = std::mem::replace(&mut self.acks, others);
        if let Some(flushing) = &mut self.flushing {
            (flushing.acks, flushing.is_waiting) = (acks, false);
        }
        Ok(())
    }

    /// What was sent for the epoch is acknowledged. True when it was all, and the last epoch.
    pub(super) fn report_flushed(&mut self) -> bool {
        // What topics have refused is known with their answers.
        self.count_left_out();
        let worker = self.exchange.me();
        if let Some(flushing) = &mut self.flushing
            && !flushing.held_back.is_empty()
        {
            flushing.is_waiting = true;
            let epoch = flushing.epoch;
            let _ = self.reports.send(Report::Written { worker, epoch });
            return false;
        }
        let Some(Flushing {
            epoch,
            last,
            positions,
            ..
        }) = self.flushing.take()
        else {
            return false;
        };
        let _ = self.reports.send(Report::Durable {
            worker,
            epoch,
            positions,
            // Only the next barrier changes it.
            reached: self.work.reached().to_vec(),
        });
        if last {
            self.work.keep_state();
        }
        last
    }
}
