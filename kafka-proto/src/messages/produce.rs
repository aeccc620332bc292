//! Produce (key 0): writes record batches to the ends of partitions.

use super::ErrorCode;
use crate::wire::{Records, Text, Uuid};

message! {
    /// Record batches for the partitions that the broker leads.
    pub struct ProduceRequest [3..=13] flexible [9..] {
        /// The producer's `transactional.id` if the records belong to a transaction, else null (KIP-98).
        transactional_id: Option<Text> [3..] = None,
        /// Which replicas must have the records before the broker answers: 0 none, and there is no answer; 1 the
        /// leader; -1 all in sync.
        acks: i16 [0..],
        /// How long the broker may wait for the replicas, in milliseconds.
        timeout_ms: i32 [0..],
        /// One entry for each topic.
        topic_data: Vec<TopicProduceData> [0..],
    }

    /// What goes to one topic.
    pub struct TopicProduceData {
        /// The topic's name; from version 13 on its id stands here instead (KIP-516).
        name: Text [0..=12] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [13..] ignorable,
        /// One entry for each partition.
        partition_data: Vec<PartitionProduceData> [0..],
    }

    /// What goes to one partition.
    pub struct PartitionProduceData {
        /// The partition's number.
        index: i32 [0..],
        /// The record batch: exactly one of magic 2.
        records: Option<Records> [0..],
    }

    /// Where the batches were put.
    pub struct ProduceResponse [3..=13] flexible [9..] {
        /// One entry for each topic of the request.
        responses: Vec<TopicProduceResponse> [0..],
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// Where the leaders named in this response listen, so that no metadata need be fetched (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    /// The results of one topic.
    pub struct TopicProduceResponse {
        /// The topic's name; from version 13 on its id stands here instead (KIP-516).
        name: Text [0..=12] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [13..] ignorable,
        /// One entry for each partition of the request.
        partition_responses: Vec<PartitionProduceResponse> [0..],
    }

    /// The result of one partition.
    pub struct PartitionProduceResponse {
        /// The partition's number.
        index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The offset of the batch's first record; -1 if it is not known, as for a duplicate.
        base_offset: i64 [0..],
        /// The broker's time of the append in milliseconds if the topic has log-append time, else -1 (KIP-32).
        log_append_time_ms: i64 [2..] ignorable = -1,
        /// The first offset of the partition's log (KIP-107).
        log_start_offset: i64 [5..] ignorable = -1,
        /// The records that made the broker refuse the batch (KIP-467).
        record_errors: Vec<BatchIndexAndErrorMessage> [8..] ignorable,
        /// Why the batch was refused, in words (KIP-467); null if the broker adds none.
        error_message: Option<Text> [8..] ignorable = None,
        /// The partition's leader as far as this broker knows; set when the error says that it is another (KIP-951).
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    /// What is wrong with one record (KIP-467).
    pub struct BatchIndexAndErrorMessage {
        /// The record's place in the batch.
        batch_index: i32 [8..],
        /// What is wrong with it, in words.
        batch_index_error_message: Option<Text> [8..] = None,
    }

    /// A partition's leader.
    pub struct LeaderIdAndEpoch {
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [10..] = -1,
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [10..] = -1,
    }

    /// Where a broker listens.
    pub struct NodeEndpoint {
        /// The broker's id.
        node_id: i32 [10..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [10..],
        /// The port to connect to on that host.
        port: i32 [10..],
        /// Its rack; null if it names none.
        rack: Option<Text> [10..] = None,
    }
}
