//! DescribeProducers (key 61): the producers whose state a partition leader keeps (KIP-664).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which partitions to tell about.
    pub struct DescribeProducersRequest [0..=0] flexible [0..] {
        /// One entry for each topic.
        topics: Vec<TopicRequest> [0..],
    }

    /// One topic.
    pub struct TopicRequest {
        /// The topic's name.
        name: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partition_indexes: Vec<i32> [0..],
    }

    /// The producers.
    pub struct DescribeProducersResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each topic.
        topics: Vec<TopicResponse> [0..],
    }

    /// One topic.
    pub struct TopicResponse {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<PartitionResponse> [0..],
    }

    /// One partition.
    pub struct PartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// The producers whose state is kept.
        active_producers: Vec<ProducerState> [0..],
    }

    /// One producer.
    pub struct ProducerState {
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        producer_epoch: i32 [0..],
        /// The sequence number of its last record; -1 if it is not known.
        last_sequence: i32 [0..] = -1,
        /// The time of its last record in milliseconds since 1970; -1 if it is not known.
        last_timestamp: i64 [0..] = -1,
        /// The epoch of the coordinator that wrote its last marker; -1 if there is none.
        coordinator_epoch: i32 [0..],
        /// The first offset of its open transaction; -1 if none is open.
        current_txn_start_offset: i64 [0..] = -1,
    }
}
