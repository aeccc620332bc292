//! FetchSnapshot (key 59): reads a snapshot of the cluster's metadata (KIP-630).

use super::ErrorCode;
use crate::wire::{Records, Text, Uuid};

message! {
    /// Which snapshot to read from where.
    pub struct FetchSnapshotRequest [0..=1] flexible [0..] {
        /// The cluster's id, if the sender knows it: another one is refused.
        cluster_id: Option<Text> [0.., tag 0] = None,
        /// The follower's node id.
        replica_id: i32 [0..] = -1,
        /// The most bytes of the answer.
        max_bytes: i32 [0..] = i32::MAX,
        /// One entry for each topic.
        topics: Vec<RequestTopicSnapshot> [0..],
    }

    /// One topic.
    pub struct RequestTopicSnapshot {
        /// The topic's name.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<RequestPartitionSnapshot> [0..],
    }

    /// One partition.
    pub struct RequestPartitionSnapshot {
        /// The partition's number.
        partition: i32 [0..],
        /// The leader epoch the sender believes in: a broker with another one refuses. -1 asks for no such check
        /// (KIP-320).
        current_leader_epoch: i32 [0..],
        /// The snapshot to read: the offset it ends before, and that record's epoch.
        snapshot_id: SnapshotId [0..],
        /// The byte to read from.
        position: i64 [0..],
        /// The id of the directory that holds the replica's log (KIP-853).
        replica_directory_id: Uuid [1.., tag 0] ignorable,
    }

    /// The name of a metadata snapshot (KIP-630).
    pub struct SnapshotId {
        /// The offset behind the last record it covers.
        end_offset: i64 [0..],
        /// The epoch of that record.
        epoch: i32 [0..],
    }

    /// A piece of the snapshot.
    pub struct FetchSnapshotResponse [0..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..] ignorable,
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// One entry for each topic.
        topics: Vec<ResponseTopicSnapshot> [0..],
        /// Where the leaders named in this response listen, so that no metadata need be fetched (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [1.., tag 0],
    }

    /// One topic.
    pub struct ResponseTopicSnapshot {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<ResponsePartitionSnapshot> [0..],
    }

    /// One partition.
    pub struct ResponsePartitionSnapshot {
        /// The partition's number.
        index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The snapshot it is from.
        snapshot_id: SnapshotId [0..],
        /// The quorum's leader, if it is another.
        current_leader: LeaderIdAndEpoch [0.., tag 0],
        /// The size of the whole snapshot in bytes.
        size: i64 [0..],
        /// The byte it begins at.
        position: i64 [0..],
        /// Record batches, cut anywhere.
        unaligned_records: Records [0..],
    }

    /// A partition's leader.
    pub struct LeaderIdAndEpoch {
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
