//! The Kafka protocol written by hand, and a client on top of it.
#![forbid(unsafe_code)]

#[macro_use]
pub mod schema;
pub mod messages;
pub mod partition;
pub mod records;
pub mod wire;
