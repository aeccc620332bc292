//! RemoveRaftVoter (key 81): removes a voter from the KRaft quorum (KIP-853).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The voter.
    pub struct RemoveRaftVoterRequest [0..=0] flexible [0..] {
        /// The cluster's id, if the sender knows it: another one is refused.
        cluster_id: Option<Text> [0..],
        /// The voter's node id.
        voter_id: i32 [0..],
        /// The id of the voter's log directory (KIP-853).
        voter_directory_id: Uuid [0..],
    }

    /// Whether it was removed.
    pub struct RemoveRaftVoterResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] ignorable,
    }
}
