//! ListPartitionReassignments (key 46): which replicas are being moved (KIP-455).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which partitions to tell about.
    pub struct ListPartitionReassignmentsRequest [0..=0] flexible [0..] {
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// The topics; null is all.
        topics: Option<Vec<ListPartitionReassignmentsTopics>> [0..] = None,
    }

    /// One topic.
    pub struct ListPartitionReassignmentsTopics {
        /// The topic's name.
        name: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partition_indexes: Vec<i32> [0..],
    }

    /// The moves under way.
    pub struct ListPartitionReassignmentsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// One entry for each topic.
        topics: Vec<OngoingTopicReassignment> [0..],
    }

    /// One topic.
    pub struct OngoingTopicReassignment {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<OngoingPartitionReassignment> [0..],
    }

    /// One partition.
    pub struct OngoingPartitionReassignment {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The brokers that hold it now.
        replicas: Vec<i32> [0..],
        /// The brokers that will hold it.
        adding_replicas: Vec<i32> [0..],
        /// The brokers that will no longer hold it.
        removing_replicas: Vec<i32> [0..],
    }
}
