//! Event time: watermarks, how they are made from timestamps, and how several of them become one.
//!
//! All times are milliseconds since 1970 and may be negative. It knows no operator, no thread and no clock of the machine.

mod clock;
mod sentinel;
mod watermark;

pub use clock::{Aligned, Bounded, Generator, Watermarks};
pub(crate) use clock::{Clock, PartOf, Quiet};
pub(crate) use sentinel::{UnitCheck, is_time, meaning, misread};
pub(crate) use watermark::{Inputs, Mark};

use std::time::Duration;

/// Whole milliseconds of a duration, at most what a timestamp can hold.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
