//! delete_groups

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct DeleteGroupsRequest [0..=2] flexible [2..] {
        groups_names: Vec<Text> [0..],
    }

    pub struct DeleteGroupsResponse [0..=2] flexible [2..] {
        throttle_time_ms: i32 [0..],
        results: Vec<DeletableGroupResult> [0..],
    }

    pub struct DeletableGroupResult {
        group_id: Text [0..],
        error_code: ErrorCode [0..],
    }
}
