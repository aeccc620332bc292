//! Metadata (key 3): which brokers and topics there are, and who leads what.

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// What to tell about.
    pub struct MetadataRequest [0..=13] flexible [9..] {
        /// The topics to tell about; null is all of them. In version 0 an empty list is all of them.
        topics: Option<Vec<MetadataRequestTopic>> [0.., null 1..],
        /// Whether the broker may create topics that do not exist, if it is set up to.
        allow_auto_topic_creation: bool [4..] = true,
        /// Whether to say what the caller may do with the cluster (KIP-430); from version 11 of Metadata on
        /// DescribeCluster tells (KIP-700).
        include_cluster_authorized_operations: bool [8..=10],
        /// Whether to say what the caller may do with each topic (KIP-430).
        include_topic_authorized_operations: bool [8..],
    }

    /// A topic to tell about, by name or by id.
    pub struct MetadataRequestTopic {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [10..] ignorable,
        /// The topic's name; null where the id is given instead (KIP-516).
        name: Option<Text> [0.., null 10..],
    }

    /// The cluster as this broker knows it.
    pub struct MetadataResponse [0..=13] flexible [9..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [3..] ignorable,
        /// The brokers that are up.
        brokers: Vec<MetadataResponseBroker> [0..],
        /// The cluster's id; null if the broker does not know it.
        cluster_id: Option<Text> [2..] ignorable = None,
        /// The broker that takes what is meant for the controller; -1 if it is not known.
        controller_id: i32 [1..] ignorable = -1,
        /// The topics asked for.
        topics: Vec<MetadataResponseTopic> [0..],
        /// What the caller may do with the cluster, as a bit set; `i32::MIN` if it was not asked for (KIP-430).
        cluster_authorized_operations: i32 [8..=10] = i32::MIN,
        /// What went wrong with the request as a whole: REBOOTSTRAP_REQUIRED sends the client back to its bootstrap
        /// servers (KIP-1102).
        error_code: ErrorCode [13..] ignorable,
    }

    /// One broker.
    pub struct MetadataResponseBroker {
        /// The broker's id.
        node_id: i32 [0..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: i32 [0..],
        /// Its rack; null if it names none.
        rack: Option<Text> [1..] ignorable = None,
    }

    /// One topic.
    pub struct MetadataResponseTopic {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The topic's name; null if it was asked for by an id that is not known (KIP-516).
        name: Option<Text> [0.., null 12..],
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [10..] ignorable,
        /// Whether Kafka made the topic for its own needs.
        is_internal: bool [1..] ignorable,
        /// One entry for each partition.
        partitions: Vec<MetadataResponsePartition> [0..],
        /// What the caller may do with the topic, as a bit set; `i32::MIN` if it was not asked for (KIP-430).
        topic_authorized_operations: i32 [8..] = i32::MIN,
    }

    /// One partition.
    pub struct MetadataResponsePartition {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [7..] ignorable = -1,
        /// The brokers that hold a replica.
        replica_nodes: Vec<i32> [0..],
        /// The brokers whose replicas are in sync.
        isr_nodes: Vec<i32> [0..],
        /// The replicas that are offline, by broker (KIP-112).
        offline_replicas: Vec<i32> [5..] ignorable,
    }
}
