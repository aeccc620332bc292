//! An in-process Kafka cluster: brokers in memory that real clients can talk to over loopback ports. For first tries,
//! tests and teaching. **Never for production**: nothing is replicated, compacted or written to disk, and everything is
//! gone when the [`Cluster`] is dropped.
//!
//! Java's client, librdkafka (kcat, confluent-kafka), franz-go and this crate's own client work against it, groups included. It speaks produce (idempotent and
//! transactional), fetch (sessions, long polls, read_committed), consumer groups of both protocols (KIP-848), offsets, transactions (both
//! versions) and topic administration; [`Faults`] are scripted, and [`Clock`] can be held.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kafka_proto::mock::Cluster;
//!
//! let cluster = Cluster::builder().brokers(3).topic("lines", 4).start().await?;
//! let bootstrap_servers = cluster.bootstrap_servers(); // "127.0.0.1:41234,127.0.0.1:…": for any Kafka client
//! # assert_eq!(bootstrap_servers.split(',').count(), 3);
//!
//! // A test may also reach into the logs directly.
//! cluster.append("lines", 0, [(None, Some(b"hello".as_slice()))])?;
//! let records = cluster.records("lines", 0)?;
//! assert_eq!(records[0].value.as_deref(), Some(b"hello".as_slice()));
//! # Ok(()) }
//! ```
//!
//! # Where it runs
//! By default on a thread of its own with its own runtime, so that an application's CPU can be told from the cluster's
//! ([`Cluster::cpu_time`]). With [`Builder::on_this_runtime`] its tasks run on the caller's runtime: then a paused tokio
//! clock holds for the cluster too.
//!
//! # What differs from a broker
//! Replication is instant: the high watermark is the end of the log unless a test holds it. Brokers share one memory, so a
//! new leader has everything the old one had. Transaction markers are written at once. Topic settings are checked as Kafka
//! checks them and stored, but only `max.message.bytes`, `message.timestamp.*`, `retention.bytes`, `min.insync.replicas` and
//! what `cleanup.policy` refuses (records without a key) do anything. `__consumer_offsets` and `__transaction_state` are
//! there and empty. Quotas, ACLs, log directories, reassignments, share and streams groups are not: their requests are not
//! among the APIs that brokers offer, and whoever sends one all the same is hung up on, with a warning in the log.

mod builder;
mod clock;
mod cluster;
mod configs;
mod connection;
mod faults;
mod groups;
mod handlers;
mod log;
mod producers;
mod server;
mod state;
mod topics;
mod transactions;

pub use builder::Builder;
pub use clock::Clock;
pub use cluster::{Cluster, Error, Header, Record};
pub use faults::{Fault, FaultBuilder, Faults};

use crate::messages::ApiKey;

/// A request that a broker has received, as [`Cluster::received`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The broker's id.
    pub broker: i32,
    /// Numbers the connections of the process.
    pub connection: u64,
    /// Which API.
    pub api: ApiKey,
    /// Version of the request.
    pub version: i16,
    /// The client's `client.id`.
    pub client_id: String,
    /// Size of the request without its length prefix.
    pub size_bytes: usize,
}
