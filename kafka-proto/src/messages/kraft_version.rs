//! The control record that says which KRaft protocol the quorum speaks (KIP-853).

message! {
    /// The version of the KRaft protocol (KIP-853).
    pub struct KRaftVersionRecord [0..=0] flexible [0..] {
        /// The version of this record.
        version: i16 [0..],
        /// The level of `kraft.version`.
        k_raft_version: i16 [0..],
    }
}
