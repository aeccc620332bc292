//! offset_commit

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    pub struct OffsetCommitRequest [2..=10] flexible [8..] {
        group_id: Text [0..],
        generation_id_or_member_epoch: i32 [1..] ignorable = -1,
        member_id: Text [1..] ignorable,
        group_instance_id: Option<Text> [7..] = None,
        retention_time_ms: i64 [2..=4] ignorable = -1,
        topics: Vec<OffsetCommitRequestTopic> [0..],
    }

    pub struct OffsetCommitRequestTopic {
        name: Text [0..=9] ignorable,
        topic_id: Uuid [10..] ignorable,
        partitions: Vec<OffsetCommitRequestPartition> [0..],
    }

    pub struct OffsetCommitRequestPartition {
        partition_index: i32 [0..],
        committed_offset: i64 [0..],
        committed_leader_epoch: i32 [6..] ignorable = -1,
        committed_metadata: Option<Text> [0..],
    }

    pub struct OffsetCommitResponse [2..=10] flexible [8..] {
        throttle_time_ms: i32 [3..] ignorable,
        topics: Vec<OffsetCommitResponseTopic> [0..],
    }

    pub struct OffsetCommitResponseTopic {
        name: Text [0..=9] ignorable,
        topic_id: Uuid [10..] ignorable,
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    pub struct OffsetCommitResponsePartition {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
    }
}
