//! delete_topics

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    pub struct DeleteTopicsRequest [1..=6] flexible [4..] {
        topics: Vec<DeleteTopicState> [6..],
        topic_names: Vec<Text> [0..=5] ignorable,
        timeout_ms: i32 [0..],
    }

    pub struct DeleteTopicState {
        name: Option<Text> [6..] = None,
        topic_id: Uuid [6..],
    }

    pub struct DeleteTopicsResponse [1..=6] flexible [4..] {
        throttle_time_ms: i32 [1..] ignorable,
        responses: Vec<DeletableTopicResult> [0..],
    }

    pub struct DeletableTopicResult {
        name: Option<Text> [0.., null 6..],
        topic_id: Uuid [6..] ignorable,
        error_code: ErrorCode [0..],
        error_message: Option<Text> [5..] ignorable = None,
    }
}
