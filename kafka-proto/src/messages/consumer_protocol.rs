//! What members of a classic consumer group tell each other inside JoinGroup and SyncGroup, each behind two bytes of
//! version.

use bytes::Bytes;

use crate::wire::Text;

message! {
    /// What the leader gives a member in SyncGroup.
    pub struct ConsumerProtocolAssignment [0..=3] {
        /// The partitions it gets.
        assigned_partitions: Vec<TopicPartition> [0..],
        /// What its assignor adds, for instance sticky's earlier assignment.
        user_data: Option<Bytes> [0..] = None,
    }

    /// Partitions of one topic.
    pub struct TopicPartition {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }

    /// What a member tells the leader in JoinGroup.
    pub struct ConsumerProtocolSubscription [0..=3] {
        /// The topics it subscribes to.
        topics: Vec<Text> [0..],
        /// What its assignor adds, for instance sticky's earlier assignment.
        user_data: Option<Bytes> [0..] = None,
        /// The partitions it owns, which cooperative assignors move step by step (KIP-429).
        owned_partitions: Vec<TopicPartition> [1..] ignorable,
        /// The generation in which it owned them; -1 if there is none (KIP-792).
        generation_id: i32 [2..] ignorable = -1,
        /// The member's rack; null if it has none (KIP-881).
        rack_id: Option<Text> [3..] ignorable = None,
    }
}
