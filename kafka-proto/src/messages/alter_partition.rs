//! AlterPartition (key 56): a leader tells the controller which replicas are in sync (KIP-497).

use super::ErrorCode;
use crate::wire::Uuid;

message! {
    /// The replicas in sync.
    pub struct AlterPartitionRequest [2..=3] flexible [0..] {
        /// The broker, by its `node.id`.
        broker_id: i32 [0..],
        /// The epoch the controller gave the broker when it registered.
        broker_epoch: i64 [0..] = -1,
        /// One entry for each topic.
        topics: Vec<RequestTopicData> [0..],
    }

    /// One topic.
    pub struct RequestTopicData {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [2..] ignorable,
        /// One entry for each partition.
        partitions: Vec<RequestPartitionData> [0..],
    }

    /// One partition.
    pub struct RequestPartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
        /// The replicas in sync, by broker.
        new_isr: Vec<i32> [0..=2],
        /// The replicas in sync, by broker and epoch (KIP-903).
        new_isr_with_epochs: Vec<BrokerState> [3..],
        /// 1 while the leader recovers from an unclean election, else 0 (KIP-704).
        leader_recovery_state: i8 [1..],
        /// Counts the changes of the partition's state.
        partition_epoch: i32 [0..],
    }

    /// A broker and its epoch (KIP-903).
    pub struct BrokerState {
        /// The broker, by its `node.id`.
        broker_id: i32 [3..],
        /// The epoch the controller gave the broker when it registered.
        broker_epoch: i64 [3..] = -1,
    }

    /// The partitions' state after the change.
    pub struct AlterPartitionResponse [2..=3] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// One entry for each topic.
        topics: Vec<ResponseTopicData> [0..],
    }

    /// One topic.
    pub struct ResponseTopicData {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [2..] ignorable,
        /// One entry for each partition.
        partitions: Vec<ResponsePartitionData> [0..],
    }

    /// One partition.
    pub struct ResponsePartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
        /// The replicas in sync, by broker.
        isr: Vec<i32> [0..],
        /// 1 while the leader recovers from an unclean election, else 0 (KIP-704).
        leader_recovery_state: i8 [1..] ignorable,
        /// Counts the changes of the partition's state.
        partition_epoch: i32 [0..],
    }
}
