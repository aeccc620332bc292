//! The two clocks of a run. The wall clock may be set, forwards and back: only what users mean as a time of day goes by it (timers of the
//! wall clock, `state_ttl`, how far ahead timestamps may be, which times a topic takes). Everything that is a duration goes by the other.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Now;

/// The wall clock, in milliseconds since 1970: the machine's, but in tests of what happens when it is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock(pub(crate) fn() -> i64);

impl Default for WallClock {
    fn default() -> Self {
        Self(machine_ms)
    }
}

pub(super) fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, millis)
}

/// Both clocks of a worker; the monotonic one begins here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    began: Instant,
    wall: WallClock,
}

impl Clocks {
    pub(super) fn begin(wall: WallClock) -> Self {
        let began = Instant::now();
        Self { began, wall }
    }

    /// Both clocks now.
    pub(super) fn now(self) -> Now {
        Now {
            wall_ms: (self.wall.0)(),
            elapsed_ms: millis(self.began.elapsed()),
        }
    }
}

fn millis(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX)
}
