//! The Kafka protocol written by hand, a client on top of it, and a Kafka cluster that runs inside a test: pure Rust, without a
//! line of C.
//!
//! [`client`] is where a program begins: producer, consumer, groups, administration. [`mock`] is the cluster for tests and first tries.
//! Beneath them, usable without tokio: [`messages`] (every API in every version), [`records`] (record batches) and [`wire`].
//! Coming from another client? [`migration`] has its calls beside ours.
//!
//! # Depending on it
//!
//! It is not on crates.io yet: give the path of a checkout, or its git address. Beside it you need tokio.
//!
//! ```toml
//! [dependencies]
//! kafka-proto = { path = "../kafka/kafka-proto" }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//!
//! [dev-dependencies]
//! kafka-proto = { path = "../kafka/kafka-proto", features = ["mock"] }
//! ```
//!
//! | feature | | what it adds |
//! |---|---|---|
//! | `client` | default | [`client`]: everything that needs tokio |
//! | `compression` | default | gzip, snappy, lz4 and zstd |
//! | `sasl` | default | the SASL mechanisms as pure steps; the client does not log in with them yet |
//! | `mock` | | [`mock`]: the in-process cluster |
//! | `json` | | messages as JSON, in the shape of Kafka's own converter |
//!
//! # A producer
//!
//! ```
//! use kafka_proto::client::{Config, Producer, ProducerRecord};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = kafka_proto::mock::Cluster::builder().topic("orders", 2).start().await?;
//! # let servers = &cluster.bootstrap_servers();
//! // Any of Kafka's properties, with Kafka's defaults: `servers` is "localhost:9092" or a list with commas.
//! let config = Config::new(servers).client_id("shop").compression_type("zstd");
//! let producer = Producer::connect(config).await?;
//!
//! // One record, and where it went:
//! let record = ProducerRecord {
//!     topic: "orders",
//!     key: Some(b"alice"),
//!     value: Some(b"3 apples"),
//!     ..Default::default()
//! };
//! let sent = producer.send(record).await?;
//! println!("{}-{} at offset {:?}", sent.topic, sent.partition, sent.offset);
//!
//! // Many: accepted one after the other, sent in batches. Each delivery is a future of its own.
//! let mut deliveries = Vec::new();
//! for n in 0..100 {
//!     let value = format!("{n} pears");
//!     let value = Some(value.as_bytes());
//!     deliveries.push(producer.enqueue(ProducerRecord { value, ..record }).await?);
//! }
//! for delivery in deliveries {
//!     delivery.await?;
//! }
//! producer.close().await?;
//! # let written = |p| cluster.records("orders", p).map_or(0, |records| records.len());
//! # assert_eq!(written(0) + written(1), 101);
//! # Ok(()) }
//! ```
//!
//! # A consumer
//!
//! ```
//! use std::time::Duration;
//! use kafka_proto::client::{Config, Consumer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = kafka_proto::mock::Cluster::builder().topic("orders", 1).start().await?;
//! # let lines = ["a", "b", "c"].map(|value| (None, Some(value.as_bytes())));
//! # cluster.append("orders", 0, lines)?;
//! # let servers = &cluster.bootstrap_servers();
//! let config = Config::new(servers)
//!     .group_id("billing")
//!     .auto_offset_reset("earliest")
//!     .enable_auto_commit(false);
//! let mut consumer = Consumer::connect(config).await?;
//! consumer.subscribe(&["orders"])?;
//! # let mut count = 0;
//! loop {
//!     let records = consumer.poll(Duration::from_secs(1)).await?;
//!     for record in &records {
//!         println!("{}: {:?}", record.offset(), record.value());
//!         for header in record.headers() {
//!             println!("  {} = {:?}", header.name(), header.value());
//!         }
//!     }
//!     // Commits what this poll delivered; `commit_record` commits up to one record of its partition.
//!     consumer.commit().await?;
//! #   count += records.len();
//! #   if count == 3 { break }
//! }
//! consumer.close().await?;
//! # assert_eq!(cluster.committed_offset("billing", "orders", 0), Some(3));
//! # Ok(()) }
//! ```
//!
//! Without `enable.auto.commit=false` the consumer commits what the poll before delivered, every `auto.commit.interval.ms`, when partitions
//! move and when it is closed. [`Consumer::recv`](client::Consumer::recv) takes one record at a time, a consumer is also a `Stream`, and
//! [`Consumer::poll_batches`](client::Consumer::poll_batches) lends the fetched batches, which is fastest.
//!
//! # Administration
//!
//! ```
//! use kafka_proto::client::{Admin, Config, NewTopic};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = kafka_proto::mock::Cluster::builder().start().await?;
//! # let servers = &cluster.bootstrap_servers();
//! let admin = Admin::connect(Config::new(servers)).await?;
//! let topic = NewTopic::new("orders").partitions(6).config("cleanup.policy", "compact");
//! admin.create_topic(&topic).await?;
//! assert_eq!(admin.list_topics().await?, ["orders"]);
//! admin.close().await?;
//! # Ok(()) }
//! ```
//!
//! # A test without a broker
//!
//! With the feature `mock` a cluster of as many brokers as you like starts in a millisecond, on ports of its own; any Kafka client can
//! talk to it. Brokers can be stopped, leaders moved, and any answer of any API replaced by a fault.
//!
//! ```
//! use kafka_proto::client::{Config, Producer, ProducerRecord};
//! use kafka_proto::messages::{ApiKey, ErrorCode};
//! use kafka_proto::mock::Cluster;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::builder().brokers(3).topic("orders", 1).start().await?;
//! let producer = Producer::connect(Config::new(&cluster.bootstrap_servers())).await?;
//!
//! // The first produce request is refused; the producer tries again by itself.
//! let fault = cluster.faults().on(ApiKey::PRODUCE).error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
//! let record = ProducerRecord { topic: "orders", value: Some(b"3 apples"), ..Default::default() };
//! producer.send(record).await?;
//! assert_eq!(fault.hits(), 1);
//! assert_eq!(cluster.records("orders", 0)?[0].value.as_deref(), Some(&b"3 apples"[..]));
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

#[macro_use]
pub mod schema;
#[cfg(feature = "client")]
pub mod client;
pub mod messages;
/// The calls of other clients beside those of this one.
#[cfg(feature = "client")]
pub mod migration {
    #[doc = include_str!("../docs/from_java.md")]
    pub mod from_java {}
    #[doc = include_str!("../docs/from_rdkafka.md")]
    pub mod from_rdkafka {}
}
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(any(feature = "client", feature = "mock"))]
pub mod net;
pub mod partition;
pub mod records;
#[cfg(feature = "sasl")]
pub mod sasl;
pub mod wire;
