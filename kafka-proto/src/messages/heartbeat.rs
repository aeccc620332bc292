//! Heartbeat (key 12): keeps a member in its group, and tells it of a rebalance.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// A sign of life.
    pub struct HeartbeatRequest [0..=4] flexible [4..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The group's generation.
        generation_id: i32 [0..],
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [3..] = None,
    }

    /// Whether the member still belongs to the generation; REBALANCE_IN_PROGRESS asks it to join again.
    pub struct HeartbeatResponse [0..=4] flexible [4..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
