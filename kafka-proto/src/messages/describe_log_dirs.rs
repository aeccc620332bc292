//! DescribeLogDirs (key 35): what lies in a broker's directories (KIP-113).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which partitions to tell about.
    pub struct DescribeLogDirsRequest [1..=5] flexible [2..] {
        /// The topics; null is all.
        topics: Option<Vec<DescribableLogDirTopic>> [0..],
    }

    /// One topic.
    pub struct DescribableLogDirTopic {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }

    /// The directories.
    pub struct DescribeLogDirsResponse [1..=5] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [3..] ignorable,
        /// One entry for each directory.
        results: Vec<DescribeLogDirsResult> [0..],
    }

    /// One directory.
    pub struct DescribeLogDirsResult {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The directory's absolute path.
        log_dir: Text [0..],
        /// One entry for each topic.
        topics: Vec<DescribeLogDirsTopic> [0..],
        /// The size of its volume in bytes; -1 if it is not known (KIP-827).
        total_bytes: i64 [4..] ignorable = -1,
        /// The free bytes of its volume; -1 if it is not known (KIP-827).
        usable_bytes: i64 [4..] ignorable = -1,
        /// Whether the directory takes no new replicas (KIP-1066).
        is_cordoned: bool [5..] ignorable,
    }

    /// One topic.
    pub struct DescribeLogDirsTopic {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    /// One partition.
    pub struct DescribeLogDirsPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The size of its segments in bytes.
        partition_size: i64 [0..],
        /// How far it lies behind: behind the high watermark, or behind the replica it will replace.
        offset_lag: i64 [0..],
        /// Whether it is being moved here and will replace the present replica.
        is_future_key: bool [0..],
    }
}
