//! OffsetFetch (key 9): reads how far groups have come.

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Which offsets to read.
    pub struct OffsetFetchRequest [1..=10] flexible [6..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..=7],
        /// The topics to read; null is all that have an offset (from version 2 on).
        topics: Option<Vec<OffsetFetchRequestTopic>> [0..=7, null 2..=7],
        /// One entry for each group.
        groups: Vec<OffsetFetchRequestGroup> [8..],
        /// Whether to refuse offsets that a transaction has not decided yet (KIP-447).
        require_stable: bool [7..],
    }

    /// One topic, before version 8.
    pub struct OffsetFetchRequestTopic {
        /// The topic's name; from version 8 on the topics stand inside of `groups` (KIP-709).
        name: Text [0..=7],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partition_indexes: Vec<i32> [0..=7],
    }

    /// One group (KIP-709).
    pub struct OffsetFetchRequestGroup {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [8..],
        /// The member's id in the newer protocol; null for a consumer outside of it (KIP-848).
        member_id: Option<Text> [9..] ignorable = None,
        /// The member's epoch in the newer protocol; -1 outside of it (KIP-848).
        member_epoch: i32 [9..] ignorable = -1,
        /// The topics to read; null is all that have an offset.
        topics: Option<Vec<OffsetFetchRequestTopics>> [8..],
    }

    /// One topic of a group.
    pub struct OffsetFetchRequestTopics {
        /// The topic's name; from version 10 on its id stands here instead (KIP-516).
        name: Text [8..=9] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [10..] ignorable,
        /// The partitions, by their numbers, which count from 0 within a topic.
        partition_indexes: Vec<i32> [8..],
    }

    /// The offsets.
    pub struct OffsetFetchResponse [1..=10] flexible [6..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [3..] ignorable,
        /// One entry for each topic.
        topics: Vec<OffsetFetchResponseTopic> [0..=7],
        /// What went wrong with the group as a whole.
        error_code: ErrorCode [2..=7] ignorable,
        /// One entry for each group.
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    /// One topic, before version 8.
    pub struct OffsetFetchResponseTopic {
        /// The topic's name; from version 8 on the topics stand inside of `groups` (KIP-709).
        name: Text [0..=7],
        /// One entry for each partition.
        partitions: Vec<OffsetFetchResponsePartition> [0..=7],
    }

    /// One partition, before version 8.
    pub struct OffsetFetchResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..=7],
        /// The offset of the next record to process; -1 if none is stored.
        committed_offset: i64 [0..=7],
        /// The epoch of the last record processed; -1 if it is not known (KIP-320).
        committed_leader_epoch: i32 [5..=7] ignorable = -1,
        /// What the application kept with the offset.
        metadata: Option<Text> [0..=7],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..=7],
    }

    /// One group (KIP-709).
    pub struct OffsetFetchResponseGroup {
        /// The group, by the `group.id` that the request named.
        group_id: Text [8..],
        /// One entry for each topic.
        topics: Vec<OffsetFetchResponseTopics> [8..],
        /// What went wrong with the group as a whole.
        error_code: ErrorCode [8..],
    }

    /// One topic of a group.
    pub struct OffsetFetchResponseTopics {
        /// The topic's name; from version 10 on its id stands here instead (KIP-516).
        name: Text [8..=9] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [10..] ignorable,
        /// One entry for each partition.
        partitions: Vec<OffsetFetchResponsePartitions> [8..],
    }

    /// One partition of a group's topic.
    pub struct OffsetFetchResponsePartitions {
        /// The partition's number.
        partition_index: i32 [8..],
        /// The offset of the next record to process; -1 if none is stored.
        committed_offset: i64 [8..],
        /// The epoch of the last record processed; -1 if it is not known (KIP-320).
        committed_leader_epoch: i32 [8..] ignorable = -1,
        /// What the application kept with the offset.
        metadata: Option<Text> [8..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [8..],
    }
}
