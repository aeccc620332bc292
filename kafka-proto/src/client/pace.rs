//! The pace of whatever may not get on: a partition, a broker, a connection, a group. Pure: the clock comes in as an argument.

use std::time::{Duration, Instant};

/// How often in a row something did not get on, and until when it waits for that. Progress, and nothing else, sets it back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    failures: u32,
    not_before: Option<Instant>,
}

impl Pace {
    /// It did not get on. The first `free` times in a row it may try again at once, because that may help; then it waits as long as `delay`
    /// says of the failures that were not free.
    pub(crate) fn falter(&mut self, free: u32, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.failures > free {
            self.not_before = Some(now + delay(self.failures - free));
        }
    }

    /// It got on: the next failure is the first again, and nothing is waited for.
    pub(crate) fn gets_on(&mut self) {
        *self = Self::default();
    }

    /// How often in a row it did not get on.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it may try now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// When it may try, if a wait was ever begun.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.not_before
    }

    /// Something is different: worth trying at once, but not over and over.
    pub(crate) fn hurry(&mut self) {
        if self.failures <= 1 {
            self.not_before = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_wait_longer_each_time_the_first_ones_free_and_progress_sets_it_back() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let wait = |pace: &Pace| pace.due_at().map_or(0, |at| (at - now).as_secs());
        let mut waits = Vec::new();
        for _ in 0..4 {
            pace.falter(2, now, |n| Duration::from_secs(n.into()));
            waits.push(wait(&pace));
        }
        assert_eq!(waits, [0, 0, 1, 2]);
        pace.hurry();
        assert!(!pace.is_due(now), "not for the first time");
        pace.gets_on();
        assert!(pace.is_due(now) && pace.failures() == 0);
        pace.falter(0, now, |n| Duration::from_secs(n.into()));
        assert_eq!(wait(&pace), 1);
        pace.hurry();
        assert!(pace.is_due(now));
    }
}
