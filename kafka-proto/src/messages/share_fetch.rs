//! ShareFetch (key 78): acquires records of share partitions, and acknowledges earlier ones (KIP-932).

use super::ErrorCode;
use crate::wire::{Records, Text, Uuid};

message! {
    /// What to read, and what became of the records read before.
    pub struct ShareFetchRequest [1..=2] flexible [0..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Option<Text> [0..] = None,
        /// The member, by the id it chose when it joined (KIP-932).
        member_id: Option<Text> [0..],
        /// Counts the requests of the share session: 0 begins one, -1 ends it.
        share_session_epoch: i32 [0..],
        /// How long the broker may wait for `min_bytes` to arrive, in milliseconds.
        max_wait_ms: i32 [0..],
        /// The least bytes worth an answer before `max_wait_ms` is over.
        min_bytes: i32 [0..],
        /// The most bytes of the answer. A first batch that is larger is still returned, so that there is progress
        /// (KIP-74).
        max_bytes: i32 [0..] = i32::MAX,
        /// The most records to acquire.
        max_records: i32 [1..],
        /// How many records an acquired range should hold.
        batch_size: i32 [1..],
        /// 0 may acquire a few records more than asked for, so that batches stay whole; 1 may not (KIP-1206).
        share_acquire_mode: i8 [2..] ignorable,
        /// Whether some acknowledgements only renew the lock on records (KIP-1222).
        is_renew_ack: bool [2..],
        /// One entry for each topic.
        topics: Vec<FetchTopic> [0..],
        /// The partitions that leave the session (KIP-227).
        forgotten_topics_data: Vec<ForgottenTopic> [0..],
    }

    /// One topic to read.
    pub struct FetchTopic {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<FetchPartition> [0..],
    }

    /// One partition to read.
    pub struct FetchPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The most bytes of this partition; not used any more.
        partition_max_bytes: i32 [0..=0],
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

    /// Partitions of a topic that leave the session.
    pub struct ForgottenTopic {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }

    /// The records acquired.
    pub struct ShareFetchResponse [1..=2] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// How long the records stay acquired, in milliseconds.
        acquisition_lock_timeout_ms: i32 [1..],
        /// One entry for each topic of the request.
        responses: Vec<ShareFetchableTopicResponse> [0..],
        /// Where the leaders named in this response listen, so that no metadata need be fetched (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [0..],
    }

    /// The records of one topic.
    pub struct ShareFetchableTopicResponse {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// The records of one partition.
    pub struct PartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// Whether the acknowledgements were taken, and if not, why.
        acknowledge_error_code: ErrorCode [0..],
        /// Why they were not, in words; null if they were.
        acknowledge_error_message: Option<Text> [0..] = None,
        /// The partition's leader as far as this broker knows; set when the error says that it is another (KIP-951).
        current_leader: LeaderIdAndEpoch [0..],
        /// Record batches. The last one may be cut off.
        records: Option<Records> [0.., null 0..=0],
        /// The offsets that this member has acquired: only these of the records are its own.
        acquired_records: Vec<AcquiredRecords> [0..],
    }

    /// A partition's leader.
    pub struct LeaderIdAndEpoch {
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
    }

    /// A range of acquired records.
    pub struct AcquiredRecords {
        /// The first offset of the range, itself in it.
        first_offset: i64 [0..],
        /// The last offset of the range, itself in it.
        last_offset: i64 [0..],
        /// How often the records were delivered.
        delivery_count: i16 [0..],
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
