//! AlterShareGroupOffsets (key 91): moves share groups to other offsets (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Where to.
    pub struct AlterShareGroupOffsetsRequest [0..=0] flexible [0..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<AlterShareGroupOffsetsRequestTopic> [0..],
    }

    /// One topic.
    pub struct AlterShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<AlterShareGroupOffsetsRequestPartition> [0..],
    }

    /// One partition.
    pub struct AlterShareGroupOffsetsRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The share partition's start offset; -1 if it is not set.
        start_offset: i64 [0..],
    }

    /// What became of it.
    pub struct AlterShareGroupOffsetsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// One entry for each topic of the request.
        responses: Vec<AlterShareGroupOffsetsResponseTopic> [0..],
    }

    /// One topic.
    pub struct AlterShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<AlterShareGroupOffsetsResponsePartition> [0..],
    }

    /// One partition.
    pub struct AlterShareGroupOffsetsResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
    }
}
