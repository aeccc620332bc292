//! AddRaftVoter (key 80): adds a voter to the KRaft quorum (KIP-853).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The voter.
    pub struct AddRaftVoterRequest [0..=1] flexible [0..] {
        /// The cluster's id, if the sender knows it: another one is refused.
        cluster_id: Option<Text> [0..],
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..],
        /// The voter's node id.
        voter_id: i32 [0..],
        /// The id of the voter's log directory (KIP-853).
        voter_directory_id: Uuid [0..],
        /// Where it listens, one entry for each listener.
        listeners: Vec<Listener> [0..],
        /// Whether to answer only once the voters have agreed; else as soon as the leader has written it (KIP-1186).
        ack_when_committed: bool [1..] = true,
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

    /// Whether it was added.
    pub struct AddRaftVoterResponse [0..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] ignorable,
    }
}
