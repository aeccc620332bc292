//! TxnOffsetCommit (key 28): stores a group's offsets as part of a transaction (KIP-98).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The offsets to store.
    pub struct TxnOffsetCommitRequest [0..=6] flexible [3..] {
        /// The producer's `transactional.id`.
        transactional_id: Text [0..],
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        producer_epoch: i16 [0..],
        /// The consumer's generation or member epoch, so that a zombie is refused; -1 asks for no such check (KIP-447).
        generation_id_or_member_epoch: i32 [3..] = -1,
        /// The consumer's member id, so that a zombie is refused; empty asks for no such check (KIP-447).
        member_id: Text [3..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [3..] = None,
        /// One entry for each topic.
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    /// The offsets of one topic.
    pub struct TxnOffsetCommitRequestTopic {
        /// The topic's name.
        name: Text [0..=5] ignorable,
        /// The topic's id, which does not change as long as the topic lives (KIP-1319).
        topic_id: Uuid [6..] ignorable,
        /// One entry for each partition.
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    /// The offset of one partition.
    pub struct TxnOffsetCommitRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The offset of the next record to process.
        committed_offset: i64 [0..],
        /// The epoch of the last record processed; -1 if it is not known (KIP-320).
        committed_leader_epoch: i32 [2..] ignorable = -1,
        /// Whatever the application wants to keep with the offset.
        committed_metadata: Option<Text> [0..],
    }

    /// Which offsets were taken.
    pub struct TxnOffsetCommitResponse [0..=6] flexible [3..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each topic.
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    /// One topic.
    pub struct TxnOffsetCommitResponseTopic {
        /// The topic's name, as in the request.
        name: Text [0..=5] ignorable,
        /// The topic's id, as in the request (KIP-1319).
        topic_id: Uuid [6..] ignorable,
        /// One entry for each partition.
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// One partition.
    pub struct TxnOffsetCommitResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
