//! BeginQuorumEpoch (key 53): a new leader of the KRaft quorum makes itself known (KIP-595).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Who leads.
    pub struct BeginQuorumEpochRequest [0..=1] flexible [1..] {
        /// The cluster's id; null if it is not known.
        cluster_id: Option<Text> [0..] = None,
        /// The node that is told; -1 if it is not known (KIP-853).
        voter_id: i32 [1..] ignorable = -1,
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
        /// The directory of the node that is asked (KIP-853).
        voter_directory_id: Uuid [1..] ignorable,
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..],
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

    /// Whether it is accepted.
    pub struct BeginQuorumEpochResponse [0..=1] flexible [1..] {
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
