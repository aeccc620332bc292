//! DeleteShareGroupOffsets (key 92): forgets where a share group stood (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Of which topics.
    pub struct DeleteShareGroupOffsetsRequest [0..=0] flexible [0..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// One entry for each topic.
        topics: Vec<DeleteShareGroupOffsetsRequestTopic> [0..],
    }

    /// One topic.
    pub struct DeleteShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: Text [0..],
    }

    /// What became of it.
    pub struct DeleteShareGroupOffsetsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// One entry for each topic of the request.
        responses: Vec<DeleteShareGroupOffsetsResponseTopic> [0..],
    }

    /// One topic.
    pub struct DeleteShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
    }
}
