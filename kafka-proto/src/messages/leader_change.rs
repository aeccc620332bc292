//! The control record that a new leader of the KRaft quorum begins with (KIP-595).

use crate::wire::Uuid;

message! {
    /// A new leader of the KRaft quorum (KIP-595).
    pub struct LeaderChangeMessage [0..=1] flexible [0..] {
        /// The version in which the record was written; it is the version of this structure.
        version: i16 [0..],
        /// The leader's node id.
        leader_id: i32 [0..],
        /// The replicas that elect the quorum's leader, and by whose majority records are committed (KIP-595).
        voters: Vec<Voter> [0..],
        /// The voters that voted for it.
        granting_voters: Vec<Voter> [0..],
    }

    /// A voter of the quorum.
    pub struct Voter {
        /// The voter's node id.
        voter_id: i32 [0..],
        /// The id of the voter's log directory (KIP-853).
        voter_directory_id: Uuid [1..],
    }
}
