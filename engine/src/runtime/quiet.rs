//! Which partitions have nothing to read, and since when: pure, the time is passed in.

use std::time::{Duration, Instant};

/// What came of a look at a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is idle from now on.
    Idle,
    /// It may be idle then.
    Again(Instant),
    /// It is not idle, or was known to be.
    Nothing,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Busy,
    Quiet(Instant),
    Idle,
}

/// The partitions of one worker.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    partitions: Vec<State>,
    has_new: bool,
}

impl Quiet {
    pub(super) fn begin(&mut self, partitions: usize) {
        self.partitions = vec![State::Busy; partitions];
    }

    /// Something came from a partition.
    pub(super) fn wake(&mut self, partition: usize) {
        self.partitions[partition] = State::Busy;
    }

    /// Looks at a partition: whether there is nothing to read in it now.
    pub(super) fn look(
        &mut self,
        partition: usize,
        is_quiet: bool,
        now: Instant,
        idle_after: Duration,
    ) -> Look {
        let state = &mut self.partitions[partition];
        match *state {
            State::Idle => Look::Nothing,
            _ if !is_quiet => {
                *state = State::Busy;
                Look::Nothing
            }
            State::Quiet(since) if now >= since + idle_after => {
                *state = State::Idle;
                self.has_new = true;
                Look::Idle
            }
            State::Quiet(since) => Look::Again(since + idle_after),
            State::Busy => {
                *state = State::Quiet(now);
                Look::Again(now + idle_after)
            }
        }
    }

    /// Whether a partition has become idle since the last call.
    pub(super) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.has_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_idle_after_it_had_nothing_for_a_while_without_interruption() {
        let (start, after) = (Instant::now(), Duration::from_millis(500));
        let at = |ms| start + Duration::from_millis(ms);
        let mut quiet = Quiet::default();
        quiet.begin(1);
        assert_eq!(quiet.look(0, true, at(0), after), Look::Again(at(500)));
        assert_eq!(quiet.look(0, true, at(400), after), Look::Again(at(500)));
        // Not quiet: an open transaction holds its end, or the sources are stopped.
        assert_eq!(quiet.look(0, false, at(450), after), Look::Nothing);
        assert_eq!(quiet.look(0, true, at(500), after), Look::Again(at(1000)));
        assert_eq!(quiet.look(0, true, at(1000), after), Look::Idle);
        assert!(quiet.take_new() && !quiet.take_new());
        assert_eq!(quiet.look(0, true, at(2000), after), Look::Nothing);
        quiet.wake(0);
        assert_eq!(quiet.look(0, true, at(2000), after), Look::Again(at(2500)));
    }
}
