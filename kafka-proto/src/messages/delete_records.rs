//! DeleteRecords (key 21): moves the start of partitions forward (KIP-107).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// What to delete.
    pub struct DeleteRecordsRequest [0..=2] flexible [2..] {
        /// One entry for each topic.
        topics: Vec<DeleteRecordsTopic> [0..],
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..],
    }

    /// One topic.
    pub struct DeleteRecordsTopic {
        /// The topic's name.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// One partition.
    pub struct DeleteRecordsPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Deletes what lies before this offset; -1 is the high watermark.
        offset: i64 [0..],
    }

    /// What was deleted.
    pub struct DeleteRecordsResponse [0..=2] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each topic.
        topics: Vec<DeleteRecordsTopicResult> [0..],
    }

    /// One topic.
    pub struct DeleteRecordsTopicResult {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// One partition.
    pub struct DeleteRecordsPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The smallest first offset of all replicas; -1 after an error.
        low_watermark: i64 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
