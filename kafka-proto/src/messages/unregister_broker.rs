//! UnregisterBroker (key 64): removes a broker that is gone (KIP-631).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The broker.
    pub struct UnregisterBrokerRequest [0..=0] flexible [0..] {
        /// The broker, by its `node.id`.
        broker_id: i32 [0..],
    }

    /// Whether it was removed.
    pub struct UnregisterBrokerResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
