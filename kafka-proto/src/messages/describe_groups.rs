//! DescribeGroups (key 15): state and members of groups of the classic protocol.

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which groups to tell about.
    pub struct DescribeGroupsRequest [0..=6] flexible [5..] {
        /// The groups to describe, each by its `group.id`; their coordinator is this broker.
        groups: Vec<Text> [0..],
        /// Whether to say what the caller may do (KIP-430).
        include_authorized_operations: bool [3..],
    }

    /// The groups.
    pub struct DescribeGroupsResponse [0..=6] flexible [5..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// One entry for each group.
        groups: Vec<DescribedGroup> [0..],
    }

    /// One group.
    pub struct DescribedGroup {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words (KIP-1043); null if nothing did.
        error_message: Option<Text> [6..] = None,
        /// The group, by the `group.id` that the request named.
        group_id: Text [0..],
        /// The group's state: `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`.
        group_state: Text [0..],
        /// What the protocol is for: `consumer`, `connect` and so on.
        protocol_type: Text [0..],
        /// The assignor in use; empty if there is none.
        protocol_data: Text [0..],
        /// One entry for each member.
        members: Vec<DescribedGroupMember> [0..],
        /// What the caller may do, as a bit set; `i32::MIN` if it was not asked for (KIP-430).
        authorized_operations: i32 [3..] = i32::MIN,
    }

    /// One member.
    pub struct DescribedGroupMember {
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// The member's `group.instance.id` if it is a static member, else null (KIP-345).
        group_instance_id: Option<Text> [4..] ignorable = None,
        /// The member's `client.id`.
        client_id: Text [0..],
        /// The address the member connects from.
        client_host: Text [0..],
        /// What the member said of its subscription, as the protocol type defines it.
        member_metadata: Bytes [0..],
        /// What the member works on, as the protocol type defines it.
        member_assignment: Bytes [0..],
    }
}
