//! EndQuorumEpoch (key 54): a leader of the KRaft quorum steps down (KIP-595).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Who steps down, and who should follow.
    pub struct EndQuorumEpochRequest [0..=1] flexible [1..] {
        /// The cluster's id; null if it is not known.
        cluster_id: Option<Text> [0..] = None,
        /// One entry for each topic.
        topics: Vec<RequestTopicData> [0..],
        /// Where the leader listens (KIP-853).
        leader_endpoints: Vec<LeaderEndpoint> [1..] ignorable,
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
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
        /// The voters by node id, the best first.
        preferred_successors: Vec<i32> [0..=0] ignorable,
        /// The voters, the best first (KIP-853).
        preferred_candidates: Vec<ReplicaInfo> [1..] ignorable,
    }

    /// A voter (KIP-853).
    pub struct ReplicaInfo {
        /// The node id of the successor.
        candidate_id: i32 [1..],
        /// The id of its log directory.
        candidate_directory_id: Uuid [1..],
    }

    /// Where the leader listens (KIP-853).
    pub struct LeaderEndpoint {
        /// The listener's name.
        name: Text [1..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [1..],
        /// The port to connect to on that host.
        port: u16 [1..],
    }

    /// Whether it was heard.
    pub struct EndQuorumEpochResponse [0..=1] flexible [1..] {
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// One entry for each topic.
        topics: Vec<ResponseTopicData> [0..],
        /// Where the leaders named in this response listen, so that no metadata need be fetched (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [1.., tag 0],
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
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
    }

    /// Where a broker listens.
    pub struct NodeEndpoint {
        /// The broker's id.
        node_id: i32 [1..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [1..],
        /// The port to connect to on that host.
        port: u16 [1..],
    }
}
