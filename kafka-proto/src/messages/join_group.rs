//! JoinGroup (key 11): enters a group of the classic protocol, or begins its next generation.

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Who wants to join, and what it can do.
    pub struct JoinGroupRequest [0..=9] flexible [6..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// After how long without a heartbeat the member counts as gone, in milliseconds.
        session_timeout_ms: i32 [0..],
        /// How long the coordinator waits for each member to join again, in milliseconds; -1 takes the session timeout
        /// (KIP-62).
        rebalance_timeout_ms: i32 [1..] ignorable = -1,
        /// The member's id; empty the first time: the coordinator answers MEMBER_ID_REQUIRED with one (KIP-394).
        member_id: Text [0..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [5..] = None,
        /// What the protocol is for: `consumer`, `connect` and so on.
        protocol_type: Text [0..],
        /// The assignors that the member supports, best first, each with what it has to say.
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        /// Why the member joins or leaves, for the broker's log (KIP-800).
        reason: Option<Text> [8..] ignorable = None,
    }

    /// One assignor that the member supports.
    pub struct JoinGroupRequestProtocol {
        /// The assignor's name, as `range`.
        name: Text [0..],
        /// What the member says to the leader: for consumers a `ConsumerProtocolSubscription` behind its version.
        metadata: Bytes [0..],
    }

    /// The new generation.
    pub struct JoinGroupResponse [0..=9] flexible [6..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [2..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The group's generation.
        generation_id: i32 [0..] = -1,
        /// What the protocol is for (KIP-559).
        protocol_type: Option<Text> [7..] ignorable = None,
        /// The assignor that was chosen; null if none was.
        protocol_name: Option<Text> [0.., null 7..],
        /// The id of the member that assigns.
        leader: Text [0..],
        /// Whether the leader, a static member that came back, must not assign (KIP-814).
        skip_assignment: bool [9..],
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// All members if this one is the leader, else empty.
        members: Vec<JoinGroupResponseMember> [0..],
    }

    /// A member, as the leader sees it.
    pub struct JoinGroupResponseMember {
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [5..] ignorable = None,
        /// What the member said: for consumers a `ConsumerProtocolSubscription` behind its version.
        metadata: Bytes [0..],
    }
}
