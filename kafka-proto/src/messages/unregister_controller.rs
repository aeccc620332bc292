//! UnregisterController (key 94): removes a controller that is gone.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The controller.
    pub struct UnregisterControllerRequest [0..=0] flexible [0..] {
        /// The controller, by its `node.id`.
        controller_id: i32 [0..],
    }

    /// Whether it was removed.
    pub struct UnregisterControllerResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
