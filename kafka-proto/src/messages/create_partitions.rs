//! CreatePartitions (key 37): adds partitions to topics (KIP-195).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// How many partitions which topics shall have.
    pub struct CreatePartitionsRequest [0..=3] flexible [2..] {
        /// One entry for each topic.
        topics: Vec<CreatePartitionsTopic> [0..],
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..],
        /// Whether only to check the request and change nothing.
        validate_only: bool [0..],
    }

    /// One topic.
    pub struct CreatePartitionsTopic {
        /// The topic's name.
        name: Text [0..],
        /// How many partitions it shall have in all.
        count: i32 [0..],
        /// Which brokers hold each new partition; null leaves it to the controller.
        assignments: Option<Vec<CreatePartitionsAssignment>> [0..],
    }

    /// Which brokers hold one new partition.
    pub struct CreatePartitionsAssignment {
        /// The brokers' ids; the first is the preferred leader.
        broker_ids: Vec<i32> [0..],
    }

    /// What became of it.
    pub struct CreatePartitionsResponse [0..=3] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each thing asked for.
        results: Vec<CreatePartitionsTopicResult> [0..],
    }

    /// One topic.
    pub struct CreatePartitionsTopicResult {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
    }
}
