//! txn_offset_commit

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct TxnOffsetCommitRequest [0..=5] flexible [3..] {
        transactional_id: Text [0..],
        group_id: Text [0..],
        producer_id: i64 [0..],
        producer_epoch: i16 [0..],
        generation_id: i32 [3..] = -1,
        member_id: Text [3..],
        group_instance_id: Option<Text> [3..] = None,
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    pub struct TxnOffsetCommitRequestTopic {
        name: Text [0..],
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    pub struct TxnOffsetCommitRequestPartition {
        partition_index: i32 [0..],
        committed_offset: i64 [0..],
        committed_leader_epoch: i32 [2..] ignorable = -1,
        committed_metadata: Option<Text> [0..],
    }

    pub struct TxnOffsetCommitResponse [0..=5] flexible [3..] {
        throttle_time_ms: i32 [0..],
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    pub struct TxnOffsetCommitResponseTopic {
        name: Text [0..],
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    pub struct TxnOffsetCommitResponsePartition {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
    }
}
