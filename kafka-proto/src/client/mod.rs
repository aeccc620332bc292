//! The client: producer, consumer, administration and what they are built on. Everything is imported from here.
//!
//! - Every program: [`Config`], [`Error`], [`Cluster`] (what several of them may share), [`MetricsSnapshot`].
//! - A producer: [`Producer`], [`ProducerRecord`], [`RecordMetadata`]; with records by the batch [`OpenBatch`], and
//!   [`ProducerOptions`] for a [`Partitioner`] or an [`Interceptor`] of one's own.
//! - A consumer: [`Consumer`], [`ConsumerRecord`], [`OffsetToCommit`], [`TopicPartition`], [`Start`], [`Rebalance`].
//! - Administration: [`Admin`], [`NewTopic`], [`ConfigResource`].
//! - A consumer or an engine of one's own: [`Fetcher`] reads partitions, [`Membership`] is one in a group,
//!   [`GroupOffsets`] commits, [`Connection`] carries any request of [`messages`](crate::messages).

// Each area has its handle in `mod.rs`, its decisions in a pure `state.rs`, and its I/O in a task.
mod admin;
mod backoff;
mod cluster;
mod config;
mod connection;
mod consumer;
mod deadline;
mod error;
mod group;
mod metrics;
mod pace;
mod producer;

pub use admin::{
    Admin, ClusterDescription, ConfigEntry, ConfigResource, GroupDescription, GroupListing,
    MemberDescription, NewTopic,
};
pub use backoff::{Backoff, Jitter};
pub use cluster::{
    Broker, BrokerId, Cluster, CoordinatorKind, ListedOffset, Metadata, OffsetSpec, Partition,
    Purpose, Topic,
};
pub use config::{
    Acks, CompressionType, Config, GroupProtocol, IsolationLevel, MetadataRecovery, OffsetReset,
    PROPERTIES, PartitionerChoice, Property, SecurityProtocol, Setting,
};
pub use connection::{BrokerVersions, Connection, Pending};
pub use consumer::{
    Consumer, ConsumerRecord, FetchBudget, FetchedBatch, FetchedBatches, FetchedPartition,
    FetchedRecords, Fetcher, PartitionBatches, Progress, Rebalance, Rebalancing, Start,
};
pub use error::{ConfigError, Error, Result};
pub use group::{
    Assignment, Assignor, CommittedOffset, CooperativeStickyAssignor, GroupEvent, GroupMember,
    GroupMembershipOperation, GroupOffsets, GroupOptions, LastAssignment, Loss, MemberAssignment,
    Membership, OffsetToCommit, RangeAssignor, Revocation, RoundRobinAssignor, StickyAssignor,
    TopicLayout, TopicPartition, assignor_named,
};
pub use metrics::{
    BrokerMetricsSnapshot, BudgetSnapshot, GroupMetricsSnapshot, HistogramSnapshot,
    MetricsSnapshot, PartitionMetricsSnapshot, TopicMetricsSnapshot,
};
pub use producer::{
    AddedHeaders, Delivered, Delivery, Interceptor, NotSubmitted, OpenBatch, Partitioner, Producer,
    ProducerOptions, ProducerRecord, RecordDelivery, RecordMetadata,
};

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
