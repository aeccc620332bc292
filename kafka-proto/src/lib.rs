//! The Kafka protocol written by hand, and a client on top of it.
#![forbid(unsafe_code)]

#[macro_use]
pub mod schema;
#[cfg(feature = "client")]
pub mod client;
pub mod messages;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(any(feature = "client", feature = "mock"))]
pub mod net;
pub mod partition;
pub mod records;
#[cfg(feature = "sasl")]
pub mod sasl;
pub mod wire;
