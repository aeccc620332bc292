//! The control record that says which KRaft protocol the quorum speaks (KIP-853).

message! {
    /// The version of the KRaft protocol (KIP-853).
    pub struct KRaftVersionRecord [0..=0] flexible [0..] {
        /// The version in which the record was written; it is the version of this structure.
        version: i16 [0..],
        /// The level of `kraft.version`.
        k_raft_version: i16 [0..],
    }
}
