//! Running plans in tests: no broker, no threads, no clock.

mod driver;

pub use crate::batch::OutRecord;
pub use driver::{Driver, InRecord};
