//! The table of properties: each is declared once, with Kafka's name, librdkafka's where it differs, type, default, range and meaning.

use std::collections::BTreeMap;

use super::value::{Setting, Value};
use super::{
    Acks, CompressionType, GroupProtocol, IsolationLevel, MetadataRecovery, OffsetReset,
    PartitionerChoice, SecurityProtocol,
};
use crate::client::error::ConfigError;

/// What the table says about one property.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Property {
    /// Kafka's name.
    pub name: &'static str,
    /// Other names for it, most of them librdkafka's.
    pub aliases: &'static [&'static str],
    /// number, boolean, text, list or choice.
    pub kind: &'static str,
    /// What it means, in one or two sentences.
    pub doc: &'static str,
    default: fn(&Config) -> String,
}

impl Property {
    /// The default, as it would stand in a file.
    #[must_use]
    pub fn default_value(&self) -> String {
        (self.default)(&Config::default())
    }
}

macro_rules! properties {
    ($(
        $(#[doc = $doc:literal])*
        $name:literal $([$($alias:literal),*])? $field:ident: $type:ty = $default:expr $(, in $range:expr)?;
    )*) => {
        /// All settings of a client: each field is a property of Kafka's in snake_case, and a method of the same name sets it, to a value or
        /// to its text. A text that is no value of its property is an error of [`Config::validate`], and so of whatever connects.
        ///
        /// ```
        /// use kafka_proto::client::{Acks, Config};
        /// let config = Config::new("localhost:9092").linger_ms(0).acks(Acks::All).auto_offset_reset("earliest");
        /// assert_eq!(config.request_timeout_ms, 30_000);
        /// assert!(config.clone().validate().is_ok());
        /// let error = config.acks("some").validate().unwrap_err();
        /// assert_eq!(error.to_string(), "`acks` cannot be `some`: expected all, -1, 0 or 1");
        /// ```
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct Config {
            $( $(#[doc = $doc])* pub $field: $type, )*
            /// Names of the properties that were set, as opposed to left at their defaults.
            set: Vec<&'static str>,
            /// What is wrong with properties that were set from code to a text that is none of their values.
            wrong: BTreeMap<&'static str, ConfigError>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $field: $default, )* set: Vec::new(), wrong: BTreeMap::new() }
            }
        }

        impl Config {
            $(
                $(#[doc = $doc])*
                #[must_use]
                pub fn $field(mut self, value: impl Setting<$type>) -> Self {
                    match value.into_setting($name) {
                        Ok(value) => {
                            self.$field = value;
                            self.wrong.remove($name);
                        }
                        Err(error) => drop(self.wrong.insert($name, error)),
                    }
                    self.set.push($name);
                    self
                }
            )*

            /// Assigns a property by name; `false` if there is none of this name.
            pub(super) fn assign(&mut self, name: &str, text: &str) -> Result<bool, ConfigError> {
                match name {
                    $(
                        $name $( $(| $alias)* )? => {
                            let invalid = |expected: String| ConfigError::Invalid { name: $name, value: text.to_owned(), expected };
                            let value = <$type as Value>::parse(text).map_err(invalid)?;
                            $( in_range(&value, $range).map_err(invalid)?; )?
                            self.$field = value;
                            self.wrong.remove($name);
                            self.set.push($name);
                        }
                    )*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// The value of a property by its name, as it would stand in a file.
            #[must_use]
            pub fn value(&self, name: &str) -> Option<String> {
                match name {
                    $( $name $( $(| $alias)* )? => Some(self.$field.show()), )*
                    _ => None,
                }
            }

            /// Whether the property of this name was set, as opposed to left at its default.
            #[must_use]
            pub fn is_set(&self, name: &str) -> bool {
                self.set.iter().any(|set| *set == name)
            }

            /// Values set from code that are none, or lie outside their ranges.
            pub(super) fn check_values(&self) -> Result<(), ConfigError> {
                if let Some(error) = self.wrong.values().next() {
                    return Err(error.clone());
                }
                $($(
                    in_range(&self.$field, $range)
                        .map_err(|expected| ConfigError::Invalid { name: $name, value: self.$field.show(), expected })?;
                )?)*
                Ok(())
            }
        }

        /// All properties, in the order of their declaration.
        pub const PROPERTIES: &[Property] = &[
            $( Property {
                name: $name,
                aliases: &[$( $($alias),* )?],
                kind: <$type as Value>::KIND,
                doc: concat!($($doc),*),
                default: |config| config.$field.show(),
            }, )*
        ];
    };
}

fn in_range<V: Value>(value: &V, range: std::ops::RangeInclusive<i128>) -> Result<(), String> {
    match value.number() {
        Some(number) if !range.contains(&number) => Err(format!(
            "a whole number from {} to {}",
            range.start(),
            range.end()
        )),
        _ => Ok(()),
    }
}

const INT: i128 = i32::MAX as i128;
const LONG: i128 = i64::MAX as i128;

properties! {
    // ---- every client
    /// `host:port` of some brokers, with commas; the rest of the cluster is found through any of them.
    "bootstrap.servers" ["metadata.broker.list"] bootstrap_servers: Vec<String> = Vec::new();
    /// The name under which brokers log, meter and throttle this client.
    "client.id" client_id: String = "kafka-proto".to_owned();
    /// The client's rack: fetches go to a replica there if the brokers offer one (KIP-392).
    "client.rack" client_rack: String = String::new();
    /// How connections are secured.
    "security.protocol" security_protocol: SecurityProtocol = SecurityProtocol::Plaintext;
    /// How long a request may stay unanswered before its connection is closed, in milliseconds.
    "request.timeout.ms" ["socket.timeout.ms"] request_timeout_ms: u64 = 30_000, in 1..=INT;
    /// How long calls that take no timeout of their own may last with all their retries, in milliseconds.
    "default.api.timeout.ms" default_api_timeout_ms: u64 = 60_000, in 1..=INT;
    /// How long opening a connection may take, in milliseconds.
    "socket.connection.setup.timeout.ms" socket_connection_setup_timeout_ms: u64 = 10_000, in 1..=INT;
    /// The bound of that time when attempts keep failing, in milliseconds.
    "socket.connection.setup.timeout.max.ms" socket_connection_setup_timeout_max_ms: u64 = 30_000, in 1..=INT;
    /// The wait before connecting again to a broker after the first failure, in milliseconds; it doubles with each further one.
    "reconnect.backoff.ms" reconnect_backoff_ms: u64 = 50, in 0..=INT;
    /// The bound of that wait, in milliseconds.
    "reconnect.backoff.max.ms" reconnect_backoff_max_ms: u64 = 1_000, in 0..=INT;
    /// The wait before a failed request is tried again, in milliseconds; it doubles with each further failure (KIP-580).
    "retry.backoff.ms" retry_backoff_ms: u64 = 100, in 0..=INT;
    /// The bound of that wait, in milliseconds.
    "retry.backoff.max.ms" retry_backoff_max_ms: u64 = 1_000, in 0..=INT;
    /// How old metadata may grow before it is asked for again, in milliseconds.
    "metadata.max.age.ms" ["topic.metadata.refresh.interval.ms"] metadata_max_age_ms: u64 = 300_000, in 1..=LONG;
    /// How long a topic's metadata is kept young after it was last used by a producer or asked for by name, in milliseconds (KIP-526).
    "metadata.max.idle.ms" metadata_max_idle_ms: u64 = 300_000, in 5_000..=LONG;
    /// Whether the bootstrap servers are asked again when no known broker can be reached (KIP-899).
    "metadata.recovery.strategy" metadata_recovery_strategy: MetadataRecovery = MetadataRecovery::Rebootstrap;
    /// How long the known brokers may fail to give metadata before they are forgotten for the bootstrap servers, in milliseconds (KIP-1102).
    "metadata.recovery.rebootstrap.trigger.ms" metadata_recovery_rebootstrap_trigger_ms: u64 = 300_000, in 0..=INT;
    /// Whether brokers are asked if they are the ones that the metadata says, and of the same cluster (KIP-1242). They are not where
    /// `metadata.recovery.strategy` is none.
    "metadata.cluster.check.enable" metadata_cluster_check_enable: bool = true;
    /// How long a connection may stay unused before it is closed, in milliseconds.
    "connections.max.idle.ms" connections_max_idle_ms: u64 = 540_000, in 1..=LONG;
    /// The kernel's buffer for what is sent on a connection, in bytes; -1 leaves it to the system, which is the default here, not 131,072 as in Java.
    "send.buffer.bytes" ["socket.send.buffer.bytes"] send_buffer_bytes: i32 = -1, in -1..=INT;
    /// The kernel's buffer for what is received on a connection, in bytes; -1 leaves it to the system, which is the default here, not 65,536 as in Java.
    "receive.buffer.bytes" ["socket.receive.buffer.bytes"] receive_buffer_bytes: i32 = -1, in -1..=INT;
    /// The largest response that is accepted, in bytes: what is larger does not come from a broker.
    "receive.message.max.bytes" receive_message_max_bytes: usize = 100_000_000, in 1000..=INT;
    /// Whether brokers may create topics that are asked for and missing (they also have a setting).
    "allow.auto.create.topics" allow_auto_create_topics: bool = true;

    // ---- producer
    /// Whose acknowledgement makes a record sent: all replicas in sync, the leader (1) or nobody (0).
    "acks" ["request.required.acks"] acks: Acks = Acks::All;
    /// Whether retries can neither duplicate nor reorder records (KIP-98).
    "enable.idempotence" enable_idempotence: bool = true;
    /// How long a batch waits for more records, in milliseconds.
    "linger.ms" ["queue.buffering.max.ms"] linger_ms: u64 = 5, in 0..=INT;
    /// The size in bytes at which a partition's batch is sent without waiting longer.
    "batch.size" batch_size: usize = 16_384, in 0..=INT;
    /// The bytes that unsent and unacknowledged records may take; who wants to send more waits.
    "buffer.memory" buffer_memory: u64 = 33_554_432, in 0..=LONG;
    /// How long sending may wait for metadata and for `buffer.memory`, in milliseconds.
    "max.block.ms" max_block_ms: u64 = 60_000, in 0..=LONG;
    /// How batches are compressed.
    "compression.type" ["compression.codec"] compression_type: CompressionType = CompressionType::None;
    /// The level of gzip; -1 is its own default.
    "compression.gzip.level" compression_gzip_level: i32 = -1, in -1..=9;
    /// The level of LZ4.
    "compression.lz4.level" compression_lz4_level: i32 = 9, in 1..=17;
    /// The level of Zstandard.
    "compression.zstd.level" compression_zstd_level: i32 = 3, in -131_072..=22;
    /// The largest produce request in bytes, and so the largest record.
    "max.request.size" ["message.max.bytes"] max_request_size: usize = 1_048_576, in 0..=INT;
    /// Unanswered produce requests on one connection.
    "max.in.flight.requests.per.connection" ["max.in.flight"] max_in_flight_requests_per_connection: usize = 5, in 1..=INT;
    /// How often a batch is sent again after failures that may pass; `delivery.timeout.ms` bounds it as well.
    "retries" ["message.send.max.retries"] retries: u32 = i32::MAX as u32, in 0..=INT;
    /// The time from a record's acceptance to its acknowledgement or its failure, in milliseconds.
    "delivery.timeout.ms" ["message.timeout.ms"] delivery_timeout_ms: u64 = 120_000, in 0..=INT;
    /// How the partition of a record is chosen that names none.
    "partitioner" partitioner: PartitionerChoice = PartitionerChoice::Murmur2;
    /// Whether records with a key are spread like those without one.
    "partitioner.ignore.keys" partitioner_ignore_keys: bool = false;
    /// Whether records without a key go more often to partitions whose batches wait less (KIP-794).
    "partitioner.adaptive.partitioning.enable" partitioner_adaptive_partitioning_enable: bool = true;
    /// How long batches may be ready for a broker that takes none, in milliseconds, before records without a key go to partitions of
    /// other brokers; 0: for ever. Without adaptive partitioning it has no effect (KIP-794).
    "partitioner.availability.timeout.ms" partitioner_availability_timeout_ms: u64 = 0, in 0..=INT;

    // ---- consumer
    /// The least bytes a fetch waits for, up to `fetch.max.wait.ms`.
    "fetch.min.bytes" fetch_min_bytes: i32 = 1, in 0..=INT;
    /// The most bytes a fetch answers; a first batch larger than this is answered all the same.
    "fetch.max.bytes" fetch_max_bytes: i32 = 52_428_800, in 0..=INT;
    /// The longest a fetch waits for `fetch.min.bytes`, in milliseconds.
    "fetch.max.wait.ms" ["fetch.wait.max.ms"] fetch_max_wait_ms: u64 = 500, in 0..=INT;
    /// The most bytes a fetch answers for one partition; a first batch larger than this is answered all the same.
    "max.partition.fetch.bytes" ["fetch.message.max.bytes"] max_partition_fetch_bytes: i32 = 1_048_576, in 0..=INT;
    /// The most records that one poll of the record interface returns.
    "max.poll.records" max_poll_records: usize = 500, in 1..=INT;
    /// The longest time between two polls before the consumer leaves its group, in milliseconds.
    "max.poll.interval.ms" max_poll_interval_ms: u64 = 300_000, in 1..=INT;
    /// Where to start without a position, or with one outside the log.
    "auto.offset.reset" auto_offset_reset: OffsetReset = OffsetReset::Latest;
    /// Whether records of open and aborted transactions are hidden.
    "isolation.level" isolation_level: IsolationLevel = IsolationLevel::ReadUncommitted;
    /// Whether the checksum of each fetched batch is verified.
    "check.crcs" check_crcs: bool = true;
    /// The consumer group.
    "group.id" group_id: Option<String> = None;
    /// Makes the consumer a static member of its group (KIP-345).
    "group.instance.id" group_instance_id: Option<String> = None;
    /// Who divides the partitions of a group: its members (`classic`), or its coordinator (`consumer`, KIP-848). Brokers that lack the second are
    /// spoken to by the first.
    "group.protocol" group_protocol: GroupProtocol = GroupProtocol::Classic;
    /// With `group.protocol=consumer` the coordinator's assignor (`uniform`, `range`); without it the coordinator chooses.
    "group.remote.assignor" group_remote_assignor: Option<String> = None;
    /// How the members of a classic group may divide partitions, the preferred way first; all members need one in common. Partitions are kept
    /// during a rebalance (KIP-429) if all that are named allow it.
    "partition.assignment.strategy" partition_assignment_strategy: Vec<String> = vec!["range".to_owned(), "cooperative-sticky".to_owned()];
    /// How long the coordinator waits for a heartbeat before it takes the member for dead, in milliseconds.
    "session.timeout.ms" session_timeout_ms: u64 = 45_000, in 1..=INT;
    /// The time between heartbeats, in milliseconds.
    "heartbeat.interval.ms" heartbeat_interval_ms: u64 = 3_000, in 1..=INT;
    /// Whether positions are committed by themselves.
    "enable.auto.commit" enable_auto_commit: bool = true;
    /// The time between commits by themselves, in milliseconds.
    "auto.commit.interval.ms" auto_commit_interval_ms: u64 = 5_000, in 0..=INT;
    /// Whether records of Kafka's internal topics are hidden from subscriptions by pattern.
    "exclude.internal.topics" exclude_internal_topics: bool = true;
    /// Bytes that fetched and decompressed records may take in the client; fetches wait until there is room.
    "fetch.buffer.bytes" ["queued.max.bytes"] fetch_buffer_bytes: usize = 67_108_864, in 1..=LONG;
}
