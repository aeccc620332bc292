//! leave_group

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct LeaveGroupRequest [0..=5] flexible [4..] {
        group_id: Text [0..],
        member_id: Text [0..=2],
        members: Vec<MemberIdentity> [3..],
    }

    pub struct MemberIdentity {
        member_id: Text [3..],
        group_instance_id: Option<Text> [3..] = None,
        reason: Option<Text> [5..] ignorable = None,
    }

    pub struct LeaveGroupResponse [0..=5] flexible [4..] {
        throttle_time_ms: i32 [1..] ignorable,
        error_code: ErrorCode [0..],
        members: Vec<MemberResponse> [3..],
    }

    pub struct MemberResponse {
        member_id: Text [3..],
        group_instance_id: Option<Text> [3..],
        error_code: ErrorCode [3..],
    }
}
