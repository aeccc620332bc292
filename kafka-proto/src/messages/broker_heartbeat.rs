//! BrokerHeartbeat (key 63): a broker's sign of life to the controller (KIP-631).

use super::ErrorCode;
use crate::wire::Uuid;

message! {
    /// How the broker stands.
    pub struct BrokerHeartbeatRequest [0..=2] flexible [0..] {
        /// The broker, by its `node.id`.
        broker_id: i32 [0..],
        /// The epoch the controller gave the broker when it registered.
        broker_epoch: i64 [0..] = -1,
        /// The metadata offset it has come to.
        current_metadata_offset: i64 [0..],
        /// Whether it wants to be fenced.
        want_fence: bool [0..],
        /// Whether it wants to stop.
        want_shut_down: bool [0..],
        /// The ids of the directories that have failed (KIP-858).
        offline_log_dirs: Vec<Uuid> [1.., tag 0],
        /// The ids of the directories that take no new replicas (KIP-1066); null if that is not told.
        cordoned_log_dirs: Option<Vec<Uuid>> [2.., tag 1] = None,
    }

    /// What the controller makes of it.
    pub struct BrokerHeartbeatResponse [0..=2] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// Whether its metadata is recent enough.
        is_caught_up: bool [0..],
        /// Whether it is fenced: it is known, and serves nothing.
        is_fenced: bool [0..] = true,
        /// Whether it may stop now.
        should_shut_down: bool [0..],
    }
}
