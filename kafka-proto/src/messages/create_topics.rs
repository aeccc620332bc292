//! CreateTopics (key 19): creates topics.

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The topics to create.
    pub struct CreateTopicsRequest [2..=7] flexible [5..] {
        /// One entry for each topic.
        topics: Vec<CreatableTopic> [0..],
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// Whether only to check the request and change nothing.
        validate_only: bool [1..],
    }

    /// A topic to create.
    pub struct CreatableTopic {
        /// The topic's name.
        name: Text [0..],
        /// How many partitions; -1 takes the broker's default (KIP-464), or leaves it to `assignments`.
        num_partitions: i32 [0..],
        /// How many replicas of each; -1 takes the broker's default (KIP-464), or leaves it to `assignments`.
        replication_factor: i16 [0..],
        /// Which brokers hold which partition; empty leaves it to the controller.
        assignments: Vec<CreatableReplicaAssignment> [0..],
        /// The settings that differ from the broker's defaults.
        configs: Vec<CreatableTopicConfig> [0..],
    }

    /// Which brokers hold one partition.
    pub struct CreatableReplicaAssignment {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The brokers' ids; the first is the preferred leader.
        broker_ids: Vec<i32> [0..],
    }

    /// A topic setting.
    pub struct CreatableTopicConfig {
        /// The setting's name, as `retention.ms`.
        name: Text [0..],
        /// Its value; null takes the default.
        value: Option<Text> [0..],
    }

    /// What became of them.
    pub struct CreateTopicsResponse [2..=7] flexible [5..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [2..] ignorable,
        /// One entry for each topic.
        topics: Vec<CreatableTopicResult> [0..],
    }

    /// One topic.
    pub struct CreatableTopicResult {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [7..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [1..] ignorable,
        /// Why the settings are not told, if they are not (KIP-525).
        topic_config_error_code: ErrorCode [5.., tag 0] ignorable,
        /// How many partitions it has; -1 if that is not told (KIP-525).
        num_partitions: i32 [5..] ignorable = -1,
        /// How many replicas of each; -1 if that is not told (KIP-525).
        replication_factor: i16 [5..] ignorable = -1,
        /// Its settings; null if they are not told (KIP-525).
        configs: Option<Vec<CreatableTopicConfigs>> [5..] ignorable,
    }

    /// A setting of the new topic.
    pub struct CreatableTopicConfigs {
        /// The setting's name, as `retention.ms`.
        name: Text [5..],
        /// Its value; null if it is secret.
        value: Option<Text> [5..],
        /// Whether it cannot be changed.
        read_only: bool [5..],
        /// Where the value comes from: 1 topic, 2 broker, 3 all brokers' default, 4 the broker's file, 5 Kafka's
        /// default, 6 broker logger, 7 client metrics, 8 group.
        config_source: i8 [5..] ignorable = -1,
        /// Whether the value is secret, and so not told.
        is_sensitive: bool [5..],
    }
}
