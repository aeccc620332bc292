//! Windows: rows folded by key and by a stretch of event time.
//!
//! ```
//! use std::time::Duration;
//! use engine::{testing::Driver, windows::Tumbling};
//!
//! let mut driver = Driver::new(|s| {
//!     s.source("readings").utf8()
//!         .try_map(|l| l.split_once(' ').and_then(|(sensor, ts)| Some((sensor, ts.parse::<i64>().ok()?))).ok_or("no reading"))
//!         .with_timestamps(|r| r.1, Duration::from_secs(1))
//!         .key_by(|r| r.0)
//!         .window(Tumbling::of(Duration::from_secs(10)))
//!         .count()
//!         .map(|(sensor, window, n)| (sensor, format!("{}: {n}", window.start)))
//!         .sink("counts");
//! });
//! driver.feed("readings", ["a 1000", "a 9000", "a 12000"]);
//! assert_eq!(driver.read("counts").len(), 1, "the watermark has passed 9999");
//! driver.finish();
//! assert_eq!(driver.read("counts")[0].value_str(), Some("10000: 1"));
//! ```
//!
//! | | a row belongs to | closes when the watermark reaches |
//! |---|---|---|
//! | [`Tumbling`] | one window of its length | `end - 1` |
//! | [`Hopping`] | every window of its width, one for each slide | `end - 1` |
//! | [`Sliding`] | every window of its length that ends at a row, or begins right behind one | `end - 1` |
//! | [`Session`] | the rows of its key that are no farther than the gap | `end - 1`, the gap behind the last row |
//!
//! A window's `end` is exclusive. A row is **late** for a window when `end - 1 + allowed lateness` is not above the watermark. A row
//! that is late for all of its windows goes to [`with_late`](Results::with_late), and is counted (`late`); it is never simply gone.

mod changes;
mod firing;
mod folding;
mod lists;
mod near;
mod operator;
mod slices;
mod spec;
mod spill;
mod windowed;

pub use operator::{Fired, Late, Results};
pub use spec::{Hopping, Session, Sliding, Tumbling, Window, WindowSpec};
pub use windowed::{Collecting, Differing, Whole, Windowed};
