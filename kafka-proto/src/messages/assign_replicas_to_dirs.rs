//! AssignReplicasToDirs (key 73): a broker tells the controller which directory holds which replica (KIP-858).

use super::ErrorCode;
use crate::wire::Uuid;

message! {
    /// The replicas by directory.
    pub struct AssignReplicasToDirsRequest [0..=0] flexible [0..] {
        /// The broker, by its `node.id`.
        broker_id: i32 [0..],
        /// The epoch the controller gave the broker when it registered.
        broker_epoch: i64 [0..] = -1,
        /// One entry for each directory.
        directories: Vec<RequestDirectoryData> [0..],
    }

    /// One directory.
    pub struct RequestDirectoryData {
        /// The directory's id.
        id: Uuid [0..],
        /// One entry for each topic.
        topics: Vec<RequestTopicData> [0..],
    }

    /// One topic.
    pub struct RequestTopicData {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<RequestPartitionData> [0..],
    }

    /// One partition.
    pub struct RequestPartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// What became of it.
    pub struct AssignReplicasToDirsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// One entry for each directory.
        directories: Vec<ResponseDirectoryData> [0..],
    }

    /// One directory.
    pub struct ResponseDirectoryData {
        /// The directory's id.
        id: Uuid [0..],
        /// One entry for each topic.
        topics: Vec<ResponseTopicData> [0..],
    }

    /// One topic.
    pub struct ResponseTopicData {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// One entry for each partition.
        partitions: Vec<ResponsePartitionData> [0..],
    }

    /// One partition.
    pub struct ResponsePartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
