//! AlterPartitionReassignments (key 45): moves replicas to other brokers, or stops moving them (KIP-455).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// What goes where.
    pub struct AlterPartitionReassignmentsRequest [0..=1] flexible [0..] {
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// Whether the number of replicas may change (KIP-860).
        allow_replication_factor_change: bool [1..] = true,
        /// One entry for each topic.
        topics: Vec<ReassignableTopic> [0..],
    }

    /// One topic.
    pub struct ReassignableTopic {
        /// The topic's name.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<ReassignablePartition> [0..],
    }

    /// One partition.
    pub struct ReassignablePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The brokers that shall hold it; null stops the move under way.
        replicas: Option<Vec<i32>> [0..] = None,
    }

    /// What became of it.
    pub struct AlterPartitionReassignmentsResponse [0..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether the number of replicas may change (KIP-860).
        allow_replication_factor_change: bool [1..] ignorable = true,
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// One entry for each topic of the request.
        responses: Vec<ReassignableTopicResponse> [0..],
    }

    /// One topic.
    pub struct ReassignableTopicResponse {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<ReassignablePartitionResponse> [0..],
    }

    /// One partition.
    pub struct ReassignablePartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
