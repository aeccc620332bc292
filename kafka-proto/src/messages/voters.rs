//! The control record that names the voters of the KRaft quorum (KIP-853).

use crate::wire::{Text, Uuid};

message! {
    /// The voters of the KRaft quorum (KIP-853).
    pub struct VotersRecord [0..=0] flexible [0..] {
        /// The version in which the record was written; it is the version of this structure.
        version: i16 [0..],
        /// The replicas that elect the quorum's leader, and by whose majority records are committed (KIP-595).
        voters: Vec<Voter> [0..],
    }

    /// A voter of the quorum.
    pub struct Voter {
        /// The voter's node id.
        voter_id: i32 [0..],
        /// The id of the voter's log directory (KIP-853).
        voter_directory_id: Uuid [0..],
        /// Where it listens.
        endpoints: Vec<Endpoint> [0..],
        /// The versions of `kraft.version` it supports.
        k_raft_version_feature: KRaftVersionFeature [0..],
    }

    /// Where something listens.
    pub struct Endpoint {
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
}
