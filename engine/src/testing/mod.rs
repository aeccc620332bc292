//! Running plans in tests: no broker, no threads, no clock.

mod driver;
mod inputs;

pub use crate::batch::OutRecord;
pub use driver::{Driver, InRecord};
