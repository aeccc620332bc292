//! The client: configuration, connections, the view of the cluster, and what is built on them.
//!
//! Each area has its handle in `mod.rs`, its decisions in a pure `state.rs`, and its I/O in a task.

pub mod admin;
mod backoff;
pub mod cluster;
mod config;
pub mod connection;
pub mod consumer;
mod deadline;
mod error;
pub mod group;
mod metrics;
pub mod producer;

pub use admin::Admin;
pub use backoff::{Backoff, Jitter};
pub use cluster::{BrokerId, Cluster, Purpose};
pub use config::{
    Acks, CompressionType, Config, GroupProtocol, IsolationLevel, MetadataRecovery, OffsetReset,
    PROPERTIES, PartitionerChoice, Property, SecurityProtocol, Setting,
};
pub use connection::{Connection, Pending};
pub use consumer::{Consumer, Fetcher};
pub use error::{ConfigError, Error, Result};
pub use group::{Membership, TopicPartition};
pub use metrics::{
    BrokerMetricsSnapshot, BudgetSnapshot, GroupMetricsSnapshot, HistogramSnapshot,
    MetricsSnapshot, PartitionMetricsSnapshot,
};
pub use producer::Producer;

/// Splits `host:port`, also with an IPv6 address in brackets; `None` if it is not of that form.
#[must_use]
pub fn address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .map_or(Some(host), |inner| inner.strip_suffix(']'))?;
    let port = port.parse().ok()?;
    (!host.is_empty() && port != 0).then_some((host, port))
}
