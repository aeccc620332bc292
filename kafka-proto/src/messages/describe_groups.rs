//! describe_groups

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct DescribeGroupsRequest [0..=6] flexible [5..] {
        groups: Vec<Text> [0..],
        include_authorized_operations: bool [3..],
    }

    pub struct DescribeGroupsResponse [0..=6] flexible [5..] {
        throttle_time_ms: i32 [1..] ignorable,
        groups: Vec<DescribedGroup> [0..],
    }

    pub struct DescribedGroup {
        error_code: ErrorCode [0..],
        error_message: Option<Text> [6..] = None,
        group_id: Text [0..],
        group_state: Text [0..],
        protocol_type: Text [0..],
        protocol_data: Text [0..],
        members: Vec<DescribedGroupMember> [0..],
        authorized_operations: i32 [3..] = i32::MIN,
    }

    pub struct DescribedGroupMember {
        member_id: Text [0..],
        group_instance_id: Option<Text> [4..] ignorable = None,
        client_id: Text [0..],
        client_host: Text [0..],
        member_metadata: Bytes [0..],
        member_assignment: Bytes [0..],
    }
}
