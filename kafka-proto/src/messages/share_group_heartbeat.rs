//! ShareGroupHeartbeat (key 76): everything a member of a share group says and hears (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The member. What has not changed since the last heartbeat may be left out.
    pub struct ShareGroupHeartbeatRequest [1..=1] flexible [0..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The member's id, chosen by the member for as long as its process lives.
        member_id: Text [0..],
        /// The member's epoch; 0 joins, -1 leaves.
        member_epoch: i32 [0..],
        /// The member's rack; null if it has not changed.
        rack_id: Option<Text> [0..] = None,
        /// The topics it subscribes to; null if they have not changed.
        subscribed_topic_names: Option<Vec<Text>> [0..] = None,
    }

    /// The member's epoch and assignment.
    pub struct ShareGroupHeartbeatResponse [1..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// The member's id; null after an error.
        member_id: Option<Text> [0..] = None,
        /// The member's epoch (KIP-848).
        member_epoch: i32 [0..],
        /// How long to wait before the next heartbeat, in milliseconds.
        heartbeat_interval_ms: i32 [0..],
        /// What the member may read; null if it has not changed.
        assignment: Option<Assignment> [0..] = None,
    }

    /// What a member works on.
    pub struct Assignment {
        /// One entry for each topic, with its partitions.
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }
}
