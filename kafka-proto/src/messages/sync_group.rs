//! sync_group

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct SyncGroupRequest [0..=5] flexible [4..] {
        group_id: Text [0..],
        generation_id: i32 [0..],
        member_id: Text [0..],
        group_instance_id: Option<Text> [3..] = None,
        protocol_type: Option<Text> [5..] ignorable = None,
        protocol_name: Option<Text> [5..] ignorable = None,
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    pub struct SyncGroupRequestAssignment {
        member_id: Text [0..],
        assignment: Bytes [0..],
    }

    pub struct SyncGroupResponse [0..=5] flexible [4..] {
        throttle_time_ms: i32 [1..] ignorable,
        error_code: ErrorCode [0..],
        protocol_type: Option<Text> [5..] ignorable = None,
        protocol_name: Option<Text> [5..] ignorable = None,
        assignment: Bytes [0..],
    }
}
