//! ListGroups (key 16): the groups that this broker coordinates.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which groups to list.
    pub struct ListGroupsRequest [0..=5] flexible [3..] {
        /// The states to list; empty lists all (KIP-518).
        states_filter: Vec<Text> [4..],
        /// The types to list, as `classic`, `consumer`, `share`, `streams`; empty lists all (KIP-848).
        types_filter: Vec<Text> [5..],
    }

    /// The groups.
    pub struct ListGroupsResponse [0..=5] flexible [3..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// One entry for each group.
        groups: Vec<ListedGroup> [0..],
    }

    /// One group.
    pub struct ListedGroup {
        /// The group's `group.id`.
        group_id: Text [0..],
        /// What the protocol is for: `consumer`, `connect` and so on.
        protocol_type: Text [0..],
        /// The group's state (KIP-518).
        group_state: Text [4..] ignorable,
        /// The group's type (KIP-848).
        group_type: Text [5..] ignorable,
    }
}
