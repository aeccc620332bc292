//! The two clocks of a run. The wall clock may be set, forwards and back: only what users mean as a time of day goes by it (timers of the
//! wall clock, `state_ttl`, how far ahead timestamps may be, which times a topic takes). Everything that is a duration goes by the other.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Now;

/// Where the monotonic clock of a worker begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks(Instant);

impl Clocks {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    /// Both clocks now.
    pub(super) fn now(self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            wall_ms: since.map_or(0, millis),
            elapsed_ms: millis(self.0.elapsed()),
        }
    }
}

fn millis(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX)
}
