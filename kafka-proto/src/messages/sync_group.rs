//! SyncGroup (key 14): the leader hands in the assignment, and every member gets its part.

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// A member waits for its assignment; the leader brings all of them.
    pub struct SyncGroupRequest [0..=5] flexible [4..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The group's generation.
        generation_id: i32 [0..],
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [3..] = None,
        /// What the protocol is for; null skips the check that it is the group's (KIP-559).
        protocol_type: Option<Text> [5..] ignorable = None,
        /// The assignor; null skips the check that it is the one chosen (KIP-559).
        protocol_name: Option<Text> [5..] ignorable = None,
        /// Every member's assignment from the leader; empty from the others.
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    /// One member's assignment.
    pub struct SyncGroupRequestAssignment {
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// What the member gets: for consumers a `ConsumerProtocolAssignment` behind its version.
        assignment: Bytes [0..],
    }

    /// The member's assignment.
    pub struct SyncGroupResponse [0..=5] flexible [4..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What the protocol is for (KIP-559).
        protocol_type: Option<Text> [5..] ignorable = None,
        /// The assignor that was chosen (KIP-559).
        protocol_name: Option<Text> [5..] ignorable = None,
        /// For consumers a `ConsumerProtocolAssignment` behind its version.
        assignment: Bytes [0..],
    }
}
