//! ShareAcknowledge (key 79): says what became of acquired records (KIP-932).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// What became of them.
    pub struct ShareAcknowledgeRequest [1..=2] flexible [0..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Option<Text> [0..] = None,
        /// The member's id, given out by the coordinator.
        member_id: Option<Text> [0..],
        /// Counts the requests of the share session: 0 begins one, -1 ends it.
        share_session_epoch: i32 [0..],
        /// Whether some acknowledgements only renew the lock on records (KIP-1222).
        is_renew_ack: bool [2..],
        /// One entry for each topic.
        topics: Vec<AcknowledgeTopic> [0..],
    }

    /// One topic.
    pub struct AcknowledgeTopic {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<AcknowledgePartition> [0..],
    }

    /// One partition.
    pub struct AcknowledgePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// What became of records delivered before, one entry for each range of offsets.
        acknowledgement_batches: Vec<AcknowledgementBatch> [0..],
    }

    /// What became of a range of records.
    pub struct AcknowledgementBatch {
        /// The first offset of the range, itself in it.
        first_offset: i64 [0..],
        /// The last offset of the range, itself in it.
        last_offset: i64 [0..],
        /// One value for all offsets, or one for each: 0 gap, 1 accept, 2 release, 3 reject, 4 renew.
        acknowledge_types: Vec<i8> [0..],
    }

    /// Whether that was taken.
    pub struct ShareAcknowledgeResponse [1..=2] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// How long the records stay acquired, in milliseconds.
        acquisition_lock_timeout_ms: i32 [2..] ignorable,
        /// One entry for each topic of the request.
        responses: Vec<ShareAcknowledgeTopicResponse> [0..],
        /// Where the leaders named in this response listen, so that no metadata need be fetched (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [0..],
    }

    /// One topic.
    pub struct ShareAcknowledgeTopicResponse {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// One partition.
    pub struct PartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// The partition's leader as far as this broker knows; set when the error says that it is another (KIP-951).
        current_leader: LeaderIdAndEpoch [0..],
    }

    /// A partition's leader.
    pub struct LeaderIdAndEpoch {
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
    }

    /// Where a broker listens.
    pub struct NodeEndpoint {
        /// The broker's id.
        node_id: i32 [0..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: i32 [0..],
        /// Its rack; null if it names none.
        rack: Option<Text> [0..] = None,
    }
}
