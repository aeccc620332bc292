//! metadata

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    pub struct MetadataRequest [0..=13] flexible [9..] {
        topics: Option<Vec<MetadataRequestTopic>> [0.., null 1..],
        allow_auto_topic_creation: bool [4..] = true,
        include_cluster_authorized_operations: bool [8..=10],
        include_topic_authorized_operations: bool [8..],
    }

    pub struct MetadataRequestTopic {
        topic_id: Uuid [10..] ignorable,
        name: Option<Text> [0.., null 10..],
    }

    pub struct MetadataResponse [0..=13] flexible [9..] {
        throttle_time_ms: i32 [3..] ignorable,
        brokers: Vec<MetadataResponseBroker> [0..],
        cluster_id: Option<Text> [2..] ignorable = None,
        controller_id: i32 [1..] ignorable = -1,
        topics: Vec<MetadataResponseTopic> [0..],
        cluster_authorized_operations: i32 [8..=10] = i32::MIN,
        error_code: ErrorCode [13..] ignorable,
    }

    pub struct MetadataResponseBroker {
        node_id: i32 [0..],
        host: Text [0..],
        port: i32 [0..],
        rack: Option<Text> [1..] ignorable = None,
    }

    pub struct MetadataResponseTopic {
        error_code: ErrorCode [0..],
        name: Option<Text> [0.., null 12..],
        topic_id: Uuid [10..] ignorable,
        is_internal: bool [1..] ignorable,
        partitions: Vec<MetadataResponsePartition> [0..],
        topic_authorized_operations: i32 [8..] = i32::MIN,
    }

    pub struct MetadataResponsePartition {
        error_code: ErrorCode [0..],
        partition_index: i32 [0..],
        leader_id: i32 [0..],
        leader_epoch: i32 [7..] ignorable = -1,
        replica_nodes: Vec<i32> [0..],
        isr_nodes: Vec<i32> [0..],
        offline_replicas: Vec<i32> [5..] ignorable,
    }
}
