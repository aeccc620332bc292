//! ListOffsets (key 2): finds offsets by time, and the two ends of a partition.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which offsets to look up.
    pub struct ListOffsetsRequest [1..=11] flexible [6..] {
        /// The follower's broker id; -1 for a client.
        replica_id: i32 [0..],
        /// 0 takes the high watermark as the end, 1 the last stable offset (KIP-98).
        isolation_level: i8 [2..],
        /// One entry for each topic.
        topics: Vec<ListOffsetsTopic> [0..],
        /// How long the broker may take for offsets in tiered storage, in milliseconds (KIP-1075).
        timeout_ms: i32 [10..] ignorable,
    }

    /// One topic.
    pub struct ListOffsetsTopic {
        /// The topic's name.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    /// One partition.
    pub struct ListOffsetsPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader epoch the sender believes in: a broker with another one refuses. -1 asks for no such check
        /// (KIP-320).
        current_leader_epoch: i32 [4..] ignorable = -1,
        /// Finds the first record of this time or later, in milliseconds. -1 is the end, -2 the start, -3 the record
        /// with the greatest time (KIP-734), -4 the start of the local log (KIP-405), -5 the last offset in tiered
        /// storage (KIP-1005), -6 the first one not uploaded yet (KIP-1023).
        timestamp: i64 [0..],
    }

    /// The offsets found.
    pub struct ListOffsetsResponse [1..=11] flexible [6..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [2..] ignorable,
        /// One entry for each topic.
        topics: Vec<ListOffsetsTopicResponse> [0..],
    }

    /// One topic.
    pub struct ListOffsetsTopicResponse {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    /// One partition.
    pub struct ListOffsetsPartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The time of the record found, in milliseconds; -1 if none was looked for or found.
        timestamp: i64 [1..] = -1,
        /// The offset found; -1 if there is none.
        offset: i64 [1..] = -1,
        /// The epoch of the record found; -1 if it is not known (KIP-320).
        leader_epoch: i32 [4..] = -1,
    }
}
