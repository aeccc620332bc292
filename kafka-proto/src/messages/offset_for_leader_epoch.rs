//! OffsetForLeaderEpoch (key 23): where an epoch ends, to find out whether the log was truncated (KIP-101, KIP-320).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The epochs to look up.
    pub struct OffsetForLeaderEpochRequest [2..=4] flexible [4..] {
        /// The follower's broker id; -1 for a consumer, -2 for a tool.
        replica_id: i32 [3..] ignorable = -2,
        /// One entry for each topic.
        topics: Vec<OffsetForLeaderTopic> [0..],
    }

    /// One topic.
    pub struct OffsetForLeaderTopic {
        /// The topic's name.
        topic: Text [0..],
        /// One entry for each partition.
        partitions: Vec<OffsetForLeaderPartition> [0..],
    }

    /// One partition.
    pub struct OffsetForLeaderPartition {
        /// The partition's number.
        partition: i32 [0..],
        /// The leader epoch the sender believes in: a broker with another one refuses. -1 asks for no such check
        /// (KIP-320).
        current_leader_epoch: i32 [2..] ignorable = -1,
        /// The epoch to look up.
        leader_epoch: i32 [0..],
    }

    /// Where they end.
    pub struct OffsetForLeaderEpochResponse [2..=4] flexible [4..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [2..] ignorable,
        /// One entry for each topic.
        topics: Vec<OffsetForLeaderTopicResult> [0..],
    }

    /// One topic.
    pub struct OffsetForLeaderTopicResult {
        /// The topic's name.
        topic: Text [0..],
        /// One entry for each partition.
        partitions: Vec<EpochEndOffset> [0..],
    }

    /// One partition.
    pub struct EpochEndOffset {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The partition's number.
        partition: i32 [0..],
        /// The largest epoch not above the one asked for; -1 if there is none.
        leader_epoch: i32 [1..] ignorable = -1,
        /// The offset at which it ends; -1 if it is not known, which is not data loss.
        end_offset: i64 [0..] = -1,
    }
}
