//! UpdateRaftVoter (key 82): a voter tells the leader where it listens and what it supports (KIP-853).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The voter.
    pub struct UpdateRaftVoterRequest [0..=0] flexible [0..] {
        /// The cluster's id, if the sender knows it: another one is refused.
        cluster_id: Option<Text> [0..],
        /// The quorum's epoch as the voter knows it.
        current_leader_epoch: i32 [0..],
        /// The voter's node id.
        voter_id: i32 [0..],
        /// The id of the voter's log directory (KIP-853).
        voter_directory_id: Uuid [0..],
        /// Where it listens, one entry for each listener.
        listeners: Vec<Listener> [0..],
        /// The versions of `kraft.version` it supports.
        k_raft_version_feature: KRaftVersionFeature [0..],
    }

    /// A listener.
    pub struct Listener {
        /// The listener's name.
        name: Text [0..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: u16 [0..],
    }

    /// A range of `kraft.version`.
    pub struct KRaftVersionFeature {
        /// The lowest level of the feature that this node can run with.
        min_supported_version: i16 [0..],
        /// The highest level of the feature that this node can run with.
        max_supported_version: i16 [0..],
    }

    /// Whether it was heard.
    pub struct UpdateRaftVoterResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The quorum's leader, as this node knows it.
        current_leader: CurrentLeader [0.., tag 0],
    }

    /// The quorum's leader.
    pub struct CurrentLeader {
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [0..] = -1,
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [0..] = -1,
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: i32 [0..],
    }
}
