//! OffsetDelete (key 47): deletes committed offsets of a group (KIP-496).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which offsets to delete.
    pub struct OffsetDeleteRequest [0..=0] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<OffsetDeleteRequestTopic> [0..],
    }

    /// One topic.
    pub struct OffsetDeleteRequestTopic {
        /// The topic's name.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// One partition.
    pub struct OffsetDeleteRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// What was deleted.
    pub struct OffsetDeleteResponse [0..=0] {
        /// What went wrong with the group as a whole.
        error_code: ErrorCode [0..],
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..] ignorable,
        /// One entry for each topic.
        topics: Vec<OffsetDeleteResponseTopic> [0..],
    }

    /// One topic.
    pub struct OffsetDeleteResponseTopic {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// One partition.
    pub struct OffsetDeleteResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
