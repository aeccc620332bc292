//! Event time: watermarks, how they are made from timestamps, and how several of them become one.
//!
//! All times are milliseconds since 1970 and may be negative. It knows no operator, no thread and no clock of the machine.

mod clock;
mod sentinel;
mod watermark;

pub(crate) use crate::batch::frame::is_time;
pub use clock::{Aligned, Bounded, Generator, Watermarks};
pub(crate) use clock::{Clock, PartOf, Quiet};
pub(crate) use sentinel::{UnitCheck, meaning, misread};
pub(crate) use watermark::{Inputs, Mark};

use std::time::Duration;

/// What the two clocks of a run say. Two numbers that are not to be taken for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// The wall clock, in milliseconds since 1970: for what users mean as a time of day.
    pub(crate) wall_ms: i64,
    /// Milliseconds of a clock that nobody sets, from an arbitrary beginning: for durations.
    pub(crate) elapsed_ms: i64,
}

/// Whole milliseconds of a duration, at most what a timestamp can hold.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
