//! Formats of what lies in users' topics: text, integers, CSV, JSON. Not the engine's own row format (that is `batch::row`).

pub mod csv;
pub mod json;
mod payload;
mod producer_record;
pub mod text;

pub use payload::{Json, Payload, ToRecord};
pub use producer_record::{HeaderSlice, ProducerRecord};
