//! WriteShareGroupState (key 85): a partition leader stores its share state (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The state.
    pub struct WriteShareGroupStateRequest [0..=1] flexible [0..] {
        /// The share group, by its `group.id`; its state is kept by its share coordinator (KIP-932).
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<WriteStateData> [0..],
    }

    /// One topic.
    pub struct WriteStateData {
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
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
        /// The share partition's start offset; -1 if it is not set.
        start_offset: i64 [0..],
        /// How many records behind the start offset need no further delivery (KIP-1226).
        delivery_complete_count: i32 [1..] ignorable = -1,
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

    /// Whether it was stored.
    pub struct WriteShareGroupStateResponse [0..=1] flexible [0..] {
        /// One entry for each topic.
        results: Vec<WriteStateResult> [0..],
    }

    /// One topic.
    pub struct WriteStateResult {
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
