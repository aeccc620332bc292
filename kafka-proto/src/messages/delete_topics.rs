//! DeleteTopics (key 20): deletes topics.

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The topics to delete.
    pub struct DeleteTopicsRequest [1..=6] flexible [4..] {
        /// The topics, by name or by id (KIP-516).
        topics: Vec<DeleteTopicState> [6..],
        /// The topics to delete, by name; from version 6 on `topics` stands here instead.
        topic_names: Vec<Text> [0..=5] ignorable,
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..],
    }

    /// A topic to delete, by name or by id (KIP-516).
    pub struct DeleteTopicState {
        /// The topic's name; null where the id is given instead.
        name: Option<Text> [6..] = None,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [6..],
    }

    /// What became of them.
    pub struct DeleteTopicsResponse [1..=6] flexible [4..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// One entry for each topic of the request.
        responses: Vec<DeletableTopicResult> [0..],
    }

    /// One topic.
    pub struct DeletableTopicResult {
        /// The topic's name; null if it was given by an id that is not known.
        name: Option<Text> [0.., null 6..],
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [6..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words (KIP-599); null if nothing did.
        error_message: Option<Text> [5..] ignorable = None,
    }
}
