//! The Kafka protocol written by hand, and a client on top of it.
#![forbid(unsafe_code)]

pub mod records;
