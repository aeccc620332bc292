//! Threads, exchanges, commits and shutdown. Knows nothing of Kafka (see the traits in `connectors` and `checkpoint`) nor of the types
//! that a plan handles.

mod config;
mod error;
mod exchange;

pub use config::Config;
pub use error::Error;
