//! Running plans in tests: no broker, no threads, no clock.

mod driver;

pub use driver::{Driver, InRecord, OutRecord};
