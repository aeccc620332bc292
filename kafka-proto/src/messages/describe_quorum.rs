//! DescribeQuorum (key 55): how the KRaft quorum stands (KIP-595).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Which partitions to tell about: there is one, of `__cluster_metadata`.
    pub struct DescribeQuorumRequest [0..=2] flexible [0..] {
        /// One entry for each topic.
        topics: Vec<RequestTopicData> [0..],
    }

    /// One topic.
    pub struct RequestTopicData {
        /// The topic's name.
        topic_name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<RequestPartitionData> [0..],
    }

    /// One partition.
    pub struct RequestPartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// The quorum.
    pub struct DescribeQuorumResponse [0..=2] flexible [0..] {
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [2..] ignorable,
        /// One entry for each topic.
        topics: Vec<ResponseTopicData> [0..],
        /// Where the nodes listen (KIP-853).
        nodes: Vec<Node> [2..],
    }

    /// One topic.
    pub struct ResponseTopicData {
        /// The topic's name.
        topic_name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<ResponsePartitionData> [0..],
    }

    /// One partition.
    pub struct ResponsePartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [2..] ignorable,
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
        /// The offset up to which all replicas in sync have the log: consumers see nothing behind it.
        high_watermark: i64 [0..],
        /// The replicas that elect the quorum's leader, and by whose majority records are committed (KIP-595).
        current_voters: Vec<ReplicaState> [0..],
        /// Those who only follow.
        observers: Vec<ReplicaState> [0..],
    }

    /// One replica.
    pub struct ReplicaState {
        /// The node id of the replica.
        replica_id: i32 [0..],
        /// The id of the directory that holds the replica's log (KIP-853).
        replica_directory_id: Uuid [2..],
        /// The end of its log; -1 if it is not known.
        log_end_offset: i64 [0..],
        /// When the leader last saw it fetch, in milliseconds since 1970; -1 if it is not known (KIP-836).
        last_fetch_timestamp: i64 [1..] ignorable = -1,
        /// When it last had all the leader had, in milliseconds since 1970; -1 if it is not known (KIP-836).
        last_caught_up_timestamp: i64 [1..] ignorable = -1,
    }

    /// One node (KIP-853).
    pub struct Node {
        /// The node, by its `node.id`.
        node_id: i32 [2..],
        /// Where it listens, one entry for each listener.
        listeners: Vec<Listener> [2..],
    }

    /// A listener of a node.
    pub struct Listener {
        /// The listener's name.
        name: Text [2..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [2..],
        /// The port to connect to on that host.
        port: u16 [2..],
    }
}
