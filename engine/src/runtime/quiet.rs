//! Which partitions have nothing to read, and for how long: pure, the time is passed in.
//!
//! Time counts only while it can be known that there is nothing. While the sources stand still (a barrier waits for another worker, an
//! inbox is full) the clock of a partition stands too, and afterwards it goes on from where it stood: how often and how long a worker is
//! stopped must not decide whether a partition is ever found idle.

use std::time::{Duration, Instant};

/// What is known of a partition at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Its reader stands at Kafka's high watermark, and nothing of it is here unhandled.
    Nothing,
    /// There is something to read.
    Something,
    /// The sources stand still: it cannot be known.
    Unknown,
}

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
    /// It had nothing for this long altogether; when that was last known, unless the clock stands.
    Quiet(Duration, Option<Instant>),
    Idle,
}

/// The partitions of one worker.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    partitions: Vec<State>,
    has_new: bool,
}

/// Between two looks at most this part of the whole time passes: a thread that was in one long call has not seen what came meanwhile.
const LOOKS: u32 = 4;

impl Quiet {
    pub(super) fn begin(&mut self, partitions: usize) {
        self.partitions = vec![State::Busy; partitions];
    }

    /// Something came from a partition.
    pub(super) fn wake(&mut self, partition: usize) {
        self.partitions[partition] = State::Busy;
    }

    /// Looks at a partition. What is known of it is as of `asked_at`, when its source was last asked and had nothing.
    pub(super) fn look(
        &mut self,
        partition: usize,
        seen: Seen,
        asked_at: Instant,
        now: Instant,
        idle_after: Duration,
    ) -> Look {
        let state = &mut self.partitions[partition];
        let (mut waited, known_at) = match (*state, seen) {
            (State::Idle, _) => return Look::Nothing,
            (_, Seen::Something) => {
                *state = State::Busy;
                return Look::Nothing;
            }
            (State::Busy, Seen::Unknown) => return Look::Nothing,
            (State::Busy, Seen::Nothing) => (Duration::ZERO, None),
            (State::Quiet(waited, known_at), _) => (waited, known_at),
        };
        let step = idle_after / LOOKS;
        if let Some(known_at) = known_at {
            waited += asked_at.saturating_duration_since(known_at).min(step);
        }
        if waited >= idle_after {
            *state = State::Idle;
            self.has_new = true;
            return Look::Idle;
        }
        if seen == Seen::Unknown {
            *state = State::Quiet(waited, None);
            return Look::Nothing;
        }
        let known_at = known_at.map_or(now, |at| at.max(asked_at));
        *state = State::Quiet(waited, Some(known_at));
        // Not sooner than a timer can tell, or the loop turns without a pause.
        let left = (idle_after - waited).min(step);
        Look::Again(now + left.max(Duration::from_millis(1)))
    }

    /// Whether a partition has become idle since the last call.
    pub(super) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.has_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_millis(500);

    /// A partition and the beginning of time.
    struct One(Quiet, Instant);

    impl One {
        fn new() -> Self {
            let mut quiet = Quiet::default();
            quiet.begin(1);
            Self(quiet, Instant::now())
        }

        fn at(&self, ms: u64) -> Instant {
            self.1 + Duration::from_millis(ms)
        }

        fn look(&mut self, seen: Seen, ms: u64) -> Look {
            let at = self.at(ms);
            self.0.look(0, seen, at, at, AFTER)
        }

        /// Looks whenever it is asked to, from a time on; when the partition is found idle.
        fn idle_at(&mut self, from_ms: u64) -> u64 {
            let mut ms = from_ms;
            loop {
                match self.look(Seen::Nothing, ms) {
                    Look::Idle => return ms,
                    Look::Again(at) => ms = (at - self.1).as_millis() as u64,
                    Look::Nothing => panic!("it is quiet"),
                }
            }
        }
    }

    #[test]
    fn a_partition_is_idle_after_it_had_nothing_for_a_while() {
        let mut one = One::new();
        assert_eq!(one.idle_at(0), 500);
        assert!(one.0.take_new() && !one.0.take_new());
        assert_eq!(one.look(Seen::Nothing, 2000), Look::Nothing);
        one.0.wake(0);
        assert_eq!(one.idle_at(2000), 2500);
    }

    #[test]
    fn what_has_something_to_read_begins_anew() {
        let mut one = One::new();
        one.look(Seen::Nothing, 0);
        one.look(Seen::Nothing, 100);
        assert_eq!(one.look(Seen::Something, 200), Look::Nothing);
        assert_eq!(one.idle_at(300), 800);
    }

    #[test]
    fn the_clock_stands_while_the_sources_do_and_then_goes_on() {
        let mut one = One::new();
        let mut running = 0;
        // A barrier each 100 ms, at which the sources stand still for 30.
        for tick in 0.. {
            let ms = tick * 10;
            let seen = if ms % 100 < 70 {
                running += 10;
                Seen::Nothing
            } else {
                Seen::Unknown
            };
            if one.look(seen, ms) == Look::Idle {
                assert!((500..=600).contains(&running), "{running}");
                assert!(ms < 1000, "{ms}");
                return;
            }
        }
    }

    #[test]
    fn what_was_known_long_ago_is_not_known_now() {
        let mut one = One::new();
        let start = one.at(0);
        one.look(Seen::Nothing, 0);
        // The source was not asked since.
        let now = one.at(5000);
        let look = one.0.look(0, Seen::Nothing, start, now, AFTER);
        assert!(matches!(look, Look::Again(_)), "{look:?}");
        // Nor does one long call count as a long time of silence.
        assert!(matches!(one.look(Seen::Nothing, 5000), Look::Again(_)));
    }
}
