//! ReadShareGroupStateSummary (key 87): reads the outline of share state (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Of which partitions.
    pub struct ReadShareGroupStateSummaryRequest [0..=1] flexible [0..] {
        /// The share group, by its `group.id`; its state is kept by its share coordinator (KIP-932).
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<ReadStateSummaryData> [0..],
    }

    /// One topic.
    pub struct ReadStateSummaryData {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// One partition.
    pub struct PartitionData {
        /// The partition's number.
        partition: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
    }

    /// The outline.
    pub struct ReadShareGroupStateSummaryResponse [0..=1] flexible [0..] {
        /// One entry for each topic.
        results: Vec<ReadStateSummaryResult> [0..],
    }

    /// One topic.
    pub struct ReadStateSummaryResult {
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
        /// The epoch of the partition's share state.
        state_epoch: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
        /// The share partition's start offset; -1 if it is not set.
        start_offset: i64 [0..],
        /// How many records behind the start offset need no further delivery (KIP-1226).
        delivery_complete_count: i32 [1..] ignorable = -1,
    }
}
