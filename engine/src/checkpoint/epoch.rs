//! Which epoch is on its way and when the input positions may be committed. Pure: events in, actions out.
//!
//! An epoch begins with a barrier. Each worker passes it when its sources stand still, hands its outputs and changelog entries to the
//! producer, and works on. When all of one worker's are acknowledged it reports them *durable* together with its positions at the
//! barrier. Only when every worker has reported may the positions be committed: an offset that is committed earlier than the outputs
//! behind it loses records in a crash.
//!
//! What gives a result once and forgets it (a window, a process function) must not have forgotten it in the changelog before the result is
//! durable, wherever it has come to. So such changelogs follow in steps of their own: everything else first; then, when all workers have
//! reported that *written*, those of the last level, and so on to the first.

use std::time::Duration;

/// A number that grows by one with each commit of this run.
pub(crate) type Epoch = u64;

/// What the coordinator does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<P> {
    /// Ask every worker to pass this barrier.
    Barrier { epoch: Epoch, last: bool },
    /// Ask every worker to write the next of the changelogs that it holds back.
    Log { epoch: Epoch },
    /// Commit these positions, then call [`Epochs::committed`].
    Commit { epoch: Epoch, positions: Vec<P> },
    /// Everything is committed and no further epoch comes.
    Finished,
}

enum Phase<P> {
    /// Nothing on its way; the next barrier is due at this time since the start.
    Idle {
        due: Duration,
    },
    /// The barrier is out.
    Flushing {
        /// By worker, how many steps it has written.
        written: Vec<usize>,
        /// By worker, the positions that are durable.
        reported: Vec<Option<Vec<P>>>,
    },
    /// Everything is durable and the positions are being committed.
    Committing,
    Finished,
}

/// The state of the one coordinator of a process.
pub(crate) struct Epochs<P> {
    workers: usize,
    interval: Duration,
    epoch: Epoch,
    phase: Phase<P>,
    /// The epoch on its way is the last one.
    last: bool,
    /// How many epochs are still to begin, once the run is to end.
    left: Option<u32>,
}

impl<P> Epochs<P> {
    pub(crate) fn new(workers: usize, interval: Duration, now: Duration) -> Self {
        Self {
            workers,
            interval,
            epoch: 0,
            phase: Phase::Idle {
                due: now + interval,
            },
            last: false,
            left: None,
        }
    }

    /// When [`Self::tick`] has something to do, if nothing else happens; `None` while an epoch is on its way.
    pub(crate) fn due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle { due } => Some(if self.left.is_some() {
                Duration::ZERO
            } else {
                due
            }),
            _ => None,
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Duration) -> Option<Action<P>> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.epoch += 1;
        self.last = self.left.is_some_and(|left| left <= 1);
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.phase = Phase::Flushing {
            written: vec![0; self.workers],
            reported: (0..self.workers).map(|_| None).collect(),
        };
        Some(Action::Barrier {
            epoch: self.epoch,
            last: self.last,
        })
    }

    /// The run is to end: the next epoch is the last one, and it comes at once.
    pub(crate) fn stop(&mut self) {
        self.stop_after(1);
    }

    /// The run is to end with this many epochs more, which come at once. What the first to be asked for says counts.
    pub(crate) fn stop_after(&mut self, epochs: u32) {
        self.left.get_or_insert(epochs);
    }

    /// What a worker has sent for `epoch` is acknowledged, and it holds more back.
    ///
    /// # Panics
    /// When it reports for another epoch: that is a mistake of ours.
    pub(crate) fn written(&mut self, worker: usize, epoch: Epoch) -> Option<Action<P>> {
        let Phase::Flushing { written, .. } = &mut self.phase else {
            panic!("worker {worker} reported epoch {epoch} written, and none is on its way");
        };
        assert_eq!(epoch, self.epoch, "worker {worker} is out of turn");
        written[worker] += 1;
        let step = written[worker];
        let is_everywhere = written.iter().all(|steps| *steps == step);
        is_everywhere.then_some(Action::Log { epoch })
    }

    /// A worker's outputs and changelog entries before the barrier of `epoch` are acknowledged.
    ///
    /// # Panics
    /// When a worker reports twice or for another epoch: that is a mistake of ours.
    pub(crate) fn durable(
        &mut self,
        worker: usize,
        epoch: Epoch,
        at_barrier: impl IntoIterator<Item = P>,
    ) -> Option<Action<P>> {
        let Phase::Flushing { reported, .. } = &mut self.phase else {
            panic!("worker {worker} reported epoch {epoch} durable, and none is on its way");
        };
        assert!(
            epoch == self.epoch && reported[worker].is_none(),
            "worker {worker} reported epoch {epoch} out of turn in epoch {}",
            self.epoch
        );
        reported[worker] = Some(at_barrier.into_iter().collect());
        if reported.iter().any(Option::is_none) {
            return None;
        }
        let positions = reported
            .iter_mut()
            .filter_map(Option::take)
            .flatten()
            .collect();
        self.phase = Phase::Committing;
        Some(Action::Commit { epoch, positions })
    }

    /// The positions of the epoch on its way are committed.
    pub(crate) fn committed(&mut self, now: Duration) -> Option<Action<P>> {
        debug_assert!(matches!(self.phase, Phase::Committing));
        if self.last {
            self.phase = Phase::Finished;
            return Some(Action::Finished);
        }
        self.phase = Phase::Idle {
            due: now + self.interval,
        };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn positions_are_committed_only_when_every_worker_is_durable() {
        let mut epochs = Epochs::new(2, 100 * MS, Duration::ZERO);
        assert_eq!(epochs.tick(99 * MS), None);
        assert_eq!(
            epochs.tick(100 * MS),
            Some(Action::Barrier {
                epoch: 1,
                last: false
            })
        );
        assert_eq!(epochs.tick(500 * MS), None, "one epoch at a time");
        assert_eq!(epochs.durable(1, 1, ["b"]), None);
        assert_eq!(
            epochs.durable(0, 1, ["a"]),
            Some(Action::Commit {
                epoch: 1,
                positions: vec!["a", "b"]
            })
        );
        assert_eq!(epochs.committed(250 * MS), None);
        assert_eq!(epochs.due(), Some(350 * MS));
    }

    #[test]
    fn changelogs_that_are_held_back_follow_when_all_workers_have_written_the_rest() {
        let mut epochs = Epochs::<u8>::new(2, MS, Duration::ZERO);
        epochs.tick(MS);
        for _ in 0..2 {
            assert_eq!(epochs.written(0, 1), None);
            assert_eq!(epochs.written(1, 1), Some(Action::Log { epoch: 1 }));
        }
        assert_eq!(epochs.durable(1, 1, []), None);
        assert!(matches!(
            epochs.durable(0, 1, []),
            Some(Action::Commit { .. })
        ));
    }

    #[test]
    fn a_stop_makes_one_last_epoch_at_once() {
        let mut epochs = Epochs::new(1, 100 * MS, Duration::ZERO);
        epochs.stop();
        assert_eq!(
            epochs.tick(MS),
            Some(Action::Barrier {
                epoch: 1,
                last: true
            })
        );
        assert_eq!(
            epochs.durable(0, 1, ["a"]),
            Some(Action::Commit {
                epoch: 1,
                positions: vec!["a"]
            })
        );
        assert_eq!(epochs.committed(2 * MS), Some(Action::Finished));
        assert_eq!(
            epochs.tick(1000 * MS),
            None,
            "nothing after the last commit"
        );
    }

    #[test]
    fn an_end_that_asks_for_two_epochs_gets_both_at_once() {
        let mut epochs = Epochs::new(1, 100 * MS, Duration::ZERO);
        epochs.stop_after(2);
        epochs.stop();
        for (epoch, last) in [(1, false), (2, true)] {
            assert_eq!(epochs.tick(MS), Some(Action::Barrier { epoch, last }));
            let durable = epochs.durable(0, epoch, ["a"]);
            assert!(matches!(durable, Some(Action::Commit { .. })));
            let finished = last.then_some(Action::Finished);
            assert_eq!(epochs.committed(MS), finished);
        }
    }

    #[test]
    fn a_stop_during_an_epoch_waits_for_it_and_then_makes_the_last_one() {
        let mut epochs = Epochs::new(1, 100 * MS, Duration::ZERO);
        assert_eq!(
            epochs.tick(100 * MS),
            Some(Action::Barrier {
                epoch: 1,
                last: false
            })
        );
        epochs.stop();
        assert!(matches!(
            epochs.durable(0, 1, ["a"]),
            Some(Action::Commit { epoch: 1, .. })
        ));
        assert_eq!(epochs.committed(101 * MS), None);
        assert_eq!(
            epochs.tick(101 * MS),
            Some(Action::Barrier {
                epoch: 2,
                last: true
            })
        );
    }

    #[test]
    #[should_panic(expected = "out of turn")]
    fn a_worker_that_reports_twice_is_our_mistake() {
        let mut epochs = Epochs::new(2, MS, Duration::ZERO);
        epochs.tick(MS);
        epochs.durable(0, 1, [1]);
        epochs.durable(0, 1, [1]);
    }
}
