//! ElectLeaders (key 43): elects leaders (KIP-183, KIP-460).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// For which partitions.
    pub struct ElectLeadersRequest [0..=2] flexible [2..] {
        /// 0 elects the preferred replica, 1 any live one, though it may have lost records (KIP-460).
        election_type: i8 [1..],
        /// The partitions; null is all.
        topic_partitions: Option<Vec<TopicPartitions>> [0..],
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }

    /// The elections held.
    pub struct ElectLeadersResponse [0..=2] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [1..],
        /// One entry for each topic.
        replica_election_results: Vec<ReplicaElectionResult> [0..],
    }

    /// One topic.
    pub struct ReplicaElectionResult {
        /// The topic's name.
        topic: Text [0..],
        /// One entry for each partition.
        partition_result: Vec<PartitionResult> [0..],
    }

    /// One partition.
    pub struct PartitionResult {
        /// The partition's number.
        partition_id: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
