//! JSON, of which only the fields are read that are asked for.
//!
//! Nothing is built of the rest: names that nobody asked for are compared and passed over with their values. It ends when the last field
//! is found.

mod fields;
pub(super) mod finite;
mod number;
mod projection;
mod scan;

pub use fields::{Field, Fields, Place, Value};
pub use projection::{JsonError, Projection};
