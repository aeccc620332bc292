//! DeleteShareGroupState (key 86): the group coordinator has share state deleted (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Of which partitions.
    pub struct DeleteShareGroupStateRequest [0..=0] flexible [0..] {
        /// The share group, by its `group.id`; its state is kept by its share coordinator (KIP-932).
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<DeleteStateData> [0..],
    }

    /// One topic.
    pub struct DeleteStateData {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// One partition.
    pub struct PartitionData {
        /// The partition's number.
        partition: i32 [0..],
    }

    /// What became of it.
    pub struct DeleteShareGroupStateResponse [0..=0] flexible [0..] {
        /// One entry for each topic.
        results: Vec<DeleteStateResult> [0..],
    }

    /// One topic.
    pub struct DeleteStateResult {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<PartitionResult> [0..],
    }

    /// One partition.
    pub struct PartitionResult {
        /// The partition's number.
        partition: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
    }
}
