//! AlterReplicaLogDirs (key 34): moves replicas between the directories of a broker (KIP-113).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// What goes where.
    pub struct AlterReplicaLogDirsRequest [1..=2] flexible [2..] {
        /// One entry for each directory.
        dirs: Vec<AlterReplicaLogDir> [0..],
    }

    /// What goes to one directory.
    pub struct AlterReplicaLogDir {
        /// The directory's absolute path.
        path: Text [0..],
        /// One entry for each topic.
        topics: Vec<AlterReplicaLogDirTopic> [0..],
    }

    /// One topic.
    pub struct AlterReplicaLogDirTopic {
        /// The topic's name.
        name: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }

    /// What became of it.
    pub struct AlterReplicaLogDirsResponse [1..=2] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each thing asked for.
        results: Vec<AlterReplicaLogDirTopicResult> [0..],
    }

    /// One topic.
    pub struct AlterReplicaLogDirTopicResult {
        /// The topic's name.
        topic_name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<AlterReplicaLogDirPartitionResult> [0..],
    }

    /// One partition.
    pub struct AlterReplicaLogDirPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
