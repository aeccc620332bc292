//! produce

use super::ErrorCode;
use crate::wire::{Records, Text, Uuid};

message! {
    pub struct ProduceRequest [3..=13] flexible [9..] {
        transactional_id: Option<Text> [3..] = None,
        acks: i16 [0..],
        timeout_ms: i32 [0..],
        topic_data: Vec<TopicProduceData> [0..],
    }

    pub struct TopicProduceData {
        name: Text [0..=12] ignorable,
        topic_id: Uuid [13..] ignorable,
        partition_data: Vec<PartitionProduceData> [0..],
    }

    pub struct PartitionProduceData {
        index: i32 [0..],
        records: Option<Records> [0..],
    }

    pub struct ProduceResponse [3..=13] flexible [9..] {
        responses: Vec<TopicProduceResponse> [0..],
        throttle_time_ms: i32 [1..] ignorable,
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    pub struct TopicProduceResponse {
        name: Text [0..=12] ignorable,
        topic_id: Uuid [13..] ignorable,
        partition_responses: Vec<PartitionProduceResponse> [0..],
    }

    pub struct PartitionProduceResponse {
        index: i32 [0..],
        error_code: ErrorCode [0..],
        base_offset: i64 [0..],
        log_append_time_ms: i64 [2..] ignorable = -1,
        log_start_offset: i64 [5..] ignorable = -1,
        record_errors: Vec<BatchIndexAndErrorMessage> [8..] ignorable,
        error_message: Option<Text> [8..] ignorable = None,
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    pub struct BatchIndexAndErrorMessage {
        batch_index: i32 [8..],
        batch_index_error_message: Option<Text> [8..] = None,
    }

    pub struct LeaderIdAndEpoch {
        leader_id: i32 [10..] = -1,
        leader_epoch: i32 [10..] = -1,
    }

    pub struct NodeEndpoint {
        node_id: i32 [10..],
        host: Text [10..],
        port: i32 [10..],
        rack: Option<Text> [10..] = None,
    }
}
