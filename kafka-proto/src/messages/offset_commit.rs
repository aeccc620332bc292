//! OffsetCommit (key 8): stores how far a group has come.

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The offsets to store.
    pub struct OffsetCommitRequest [2..=10] flexible [8..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The group's generation, or the member's epoch in the newer protocol (KIP-848); -1 for a consumer that is in
        /// no group.
        generation_id_or_member_epoch: i32 [1..] ignorable = -1,
        /// The member's id; empty for a consumer that is in no group.
        member_id: Text [1..] ignorable,
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [7..] = None,
        /// How long to keep the offsets, in milliseconds; -1 leaves it to the broker, as every version from 5 on does
        /// (KIP-211).
        retention_time_ms: i64 [2..=4] ignorable = -1,
        /// One entry for each topic.
        topics: Vec<OffsetCommitRequestTopic> [0..],
    }

    /// The offsets of one topic.
    pub struct OffsetCommitRequestTopic {
        /// The topic's name; from version 10 on its id stands here instead (KIP-516).
        name: Text [0..=9] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [10..] ignorable,
        /// One entry for each partition.
        partitions: Vec<OffsetCommitRequestPartition> [0..],
    }

    /// The offset of one partition.
    pub struct OffsetCommitRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The offset of the next record to process.
        committed_offset: i64 [0..],
        /// The epoch of the last record processed; -1 if it is not known (KIP-320).
        committed_leader_epoch: i32 [6..] ignorable = -1,
        /// Whatever the application wants to keep with the offset.
        committed_metadata: Option<Text> [0..],
    }

    /// Which offsets were stored.
    pub struct OffsetCommitResponse [2..=10] flexible [8..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [3..] ignorable,
        /// One entry for each topic.
        topics: Vec<OffsetCommitResponseTopic> [0..],
    }

    /// One topic.
    pub struct OffsetCommitResponseTopic {
        /// The topic's name; from version 10 on its id stands here instead (KIP-516).
        name: Text [0..=9] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [10..] ignorable,
        /// One entry for each partition.
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    /// One partition.
    pub struct OffsetCommitResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
