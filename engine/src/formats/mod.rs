//! Formats of what lies in users' topics: text, integers, JSON. Not the engine's own row format (that is `batch::row`).

mod payload;
pub mod text;

pub use payload::{Json, Payload, ToRecord};
