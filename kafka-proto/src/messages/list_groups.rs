//! list_groups

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct ListGroupsRequest [0..=5] flexible [3..] {
        states_filter: Vec<Text> [4..],
        types_filter: Vec<Text> [5..],
    }

    pub struct ListGroupsResponse [0..=5] flexible [3..] {
        throttle_time_ms: i32 [1..] ignorable,
        error_code: ErrorCode [0..],
        groups: Vec<ListedGroup> [0..],
    }

    pub struct ListedGroup {
        group_id: Text [0..],
        protocol_type: Text [0..],
        group_state: Text [4..] ignorable,
        group_type: Text [5..] ignorable,
    }
}
