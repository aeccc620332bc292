//! ReadShareGroupState (key 84): a partition leader reads its share state (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Of which partitions.
    pub struct ReadShareGroupStateRequest [0..=0] flexible [0..] {
        /// The share group, by its `group.id`; its state is kept by its share coordinator (KIP-932).
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<ReadStateData> [0..],
    }

    /// One topic.
    pub struct ReadStateData {
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

    /// The state.
    pub struct ReadShareGroupStateResponse [0..=0] flexible [0..] {
        /// One entry for each topic.
        results: Vec<ReadStateResult> [0..],
    }

    /// One topic.
    pub struct ReadStateResult {
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
        /// The share partition's start offset; -1 if it is not set.
        start_offset: i64 [0..],
        /// The delivery states, one entry for each range of offsets.
        state_batches: Vec<StateBatch> [0..],
    }

    /// The delivery state of a range of records.
    pub struct StateBatch {
        /// The first offset of the range, itself in it.
        first_offset: i64 [0..],
        /// The last offset of the range, itself in it.
        last_offset: i64 [0..],
        /// The state of the records: 0 available, 2 acknowledged, 4 archived.
        delivery_state: i8 [0..],
        /// How often the records were delivered.
        delivery_count: i16 [0..],
    }
}
