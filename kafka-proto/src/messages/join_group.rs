//! join_group

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct JoinGroupRequest [0..=9] flexible [6..] {
        group_id: Text [0..],
        session_timeout_ms: i32 [0..],
        rebalance_timeout_ms: i32 [1..] ignorable = -1,
        member_id: Text [0..],
        group_instance_id: Option<Text> [5..] = None,
        protocol_type: Text [0..],
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        reason: Option<Text> [8..] ignorable = None,
    }

    pub struct JoinGroupRequestProtocol {
        name: Text [0..],
        metadata: Bytes [0..],
    }

    pub struct JoinGroupResponse [0..=9] flexible [6..] {
        throttle_time_ms: i32 [2..] ignorable,
        error_code: ErrorCode [0..],
        generation_id: i32 [0..] = -1,
        protocol_type: Option<Text> [7..] ignorable = None,
        protocol_name: Option<Text> [0.., null 7..],
        leader: Text [0..],
        skip_assignment: bool [9..],
        member_id: Text [0..],
        members: Vec<JoinGroupResponseMember> [0..],
    }

    pub struct JoinGroupResponseMember {
        member_id: Text [0..],
        group_instance_id: Option<Text> [5..] ignorable = None,
        metadata: Bytes [0..],
    }
}
