//! InitializeShareGroupState (key 83): the group coordinator has share state set up (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// For which partitions.
    pub struct InitializeShareGroupStateRequest [0..=0] flexible [0..] {
        /// The share group, by its `group.id`; its state is kept by its share coordinator (KIP-932).
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<InitializeStateData> [0..],
    }

    /// One topic.
    pub struct InitializeStateData {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// One partition.
    pub struct PartitionData {
        /// The partition's number.
        partition: i32 [0..],
        /// The epoch of the partition's share state.
        state_epoch: i32 [0..],
        /// The share partition's start offset; -1 if it is not set.
        start_offset: i64 [0..],
    }

    /// What became of it.
    pub struct InitializeShareGroupStateResponse [0..=0] flexible [0..] {
        /// One entry for each topic.
        results: Vec<InitializeStateResult> [0..],
    }

    /// One topic.
    pub struct InitializeStateResult {
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
