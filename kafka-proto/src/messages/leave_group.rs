//! LeaveGroup (key 13): takes members out of a group.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Who leaves.
    pub struct LeaveGroupRequest [0..=5] flexible [4..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The member's id, given out by the coordinator.
        member_id: Text [0..=2],
        /// The members that leave (KIP-345).
        members: Vec<MemberIdentity> [3..],
    }

    /// A member that leaves, by its id or its `group.instance.id`.
    pub struct MemberIdentity {
        /// The member's id, given out by the coordinator.
        member_id: Text [3..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [3..] = None,
        /// Why the member joins or leaves, for the broker's log (KIP-800).
        reason: Option<Text> [5..] ignorable = None,
    }

    /// Who has left.
    pub struct LeaveGroupResponse [0..=5] flexible [4..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// One entry for each member.
        members: Vec<MemberResponse> [3..],
    }

    /// What became of one member.
    pub struct MemberResponse {
        /// The member's id, given out by the coordinator.
        member_id: Text [3..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [3..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [3..],
    }
}
