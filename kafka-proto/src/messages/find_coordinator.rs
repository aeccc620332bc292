//! FindCoordinator (key 10): which broker coordinates a group or a transactional id.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Whose coordinator to find.
    pub struct FindCoordinatorRequest [0..=6] flexible [3..] {
        /// The group id or transactional id.
        key: Text [0..=3],
        /// What the keys are: 0 groups, 1 transactional ids (KIP-98), 2 share partitions (KIP-932).
        key_type: i8 [1..],
        /// The group ids, transactional ids or share partitions (KIP-699).
        coordinator_keys: Vec<Text> [4..],
    }

    /// The coordinators.
    pub struct FindCoordinatorResponse [0..=6] flexible [3..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..=3],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [1..=3] ignorable,
        /// The coordinator's broker id; -1 if there is none.
        node_id: i32 [0..=3],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..=3],
        /// The port to connect to on that host.
        port: i32 [0..=3],
        /// One entry for each key (KIP-699).
        coordinators: Vec<Coordinator> [4..],
    }

    /// One coordinator.
    pub struct Coordinator {
        /// The group id, transactional id or share partition.
        key: Text [4..],
        /// The coordinator's broker id; -1 if there is none.
        node_id: i32 [4..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [4..],
        /// The port to connect to on that host.
        port: i32 [4..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [4..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [4..] ignorable,
    }
}
