//! DescribeTopicPartitions (key 75): partitions of topics page by page (KIP-966).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Which topics to tell about, from where on.
    pub struct DescribeTopicPartitionsRequest [0..=0] flexible [0..] {
        /// One entry for each topic.
        topics: Vec<TopicRequest> [0..],
        /// The most partitions of the answer.
        response_partition_limit: i32 [0..] = 2000,
        /// Where the page begins; null for the first.
        cursor: Option<Cursor> [0..] = None,
    }

    /// One topic.
    pub struct TopicRequest {
        /// The topic's name.
        name: Text [0..],
    }

    /// Where a page begins.
    pub struct Cursor {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// A page.
    pub struct DescribeTopicPartitionsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..] ignorable,
        /// One entry for each topic.
        topics: Vec<DescribeTopicPartitionsResponseTopic> [0..],
        /// Where the next page begins; null after the last.
        next_cursor: Option<Cursor> [0..] = None,
    }

    /// One topic.
    pub struct DescribeTopicPartitionsResponseTopic {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The topic's name, as in the request.
        name: Option<Text> [0..],
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..] ignorable,
        /// Whether Kafka made the topic for its own needs.
        is_internal: bool [0..] ignorable,
        /// One entry for each partition.
        partitions: Vec<DescribeTopicPartitionsResponsePartition> [0..],
        /// What the caller may do with the topic, as a bit set; `i32::MIN` if it was not asked for (KIP-430).
        topic_authorized_operations: i32 [0..] = i32::MIN,
    }

    /// One partition.
    pub struct DescribeTopicPartitionsResponsePartition {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..] ignorable = -1,
        /// The brokers that hold a replica.
        replica_nodes: Vec<i32> [0..],
        /// The brokers whose replicas are in sync.
        isr_nodes: Vec<i32> [0..],
        /// The replicas that may lead though they are not in sync (KIP-966); null if that is not told.
        eligible_leader_replicas: Option<Vec<i32>> [0..] = None,
        /// The replicas that last might lead (KIP-966); null if that is not told.
        last_known_elr: Option<Vec<i32>> [0..] = None,
        /// The replicas that are offline, by broker (KIP-112).
        offline_replicas: Vec<i32> [0..] ignorable,
    }
}
