//! DescribeShareGroupOffsets (key 90): where share groups stand (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Which to tell about.
    pub struct DescribeShareGroupOffsetsRequest [0..=1] flexible [0..] {
        /// One entry for each group.
        groups: Vec<DescribeShareGroupOffsetsRequestGroup> [0..],
    }

    /// One group.
    pub struct DescribeShareGroupOffsetsRequestGroup {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The topics; null is all.
        topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>> [0..],
    }

    /// One topic.
    pub struct DescribeShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }

    /// Where they stand.
    pub struct DescribeShareGroupOffsetsResponse [0..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each group.
        groups: Vec<DescribeShareGroupOffsetsResponseGroup> [0..],
    }

    /// One group.
    pub struct DescribeShareGroupOffsetsResponseGroup {
        /// The group, by the `group.id` that the request named.
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<DescribeShareGroupOffsetsResponseTopic> [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
    }

    /// One topic.
    pub struct DescribeShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<DescribeShareGroupOffsetsResponsePartition> [0..],
    }

    /// One partition.
    pub struct DescribeShareGroupOffsetsResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The share partition's start offset; -1 if it is not set.
        start_offset: i64 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
        /// How many records are still to be delivered; -1 if it is not known (KIP-1226).
        lag: i64 [1..] ignorable = -1,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
    }
}
