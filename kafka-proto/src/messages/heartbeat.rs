//! heartbeat

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct HeartbeatRequest [0..=4] flexible [4..] {
        group_id: Text [0..],
        generation_id: i32 [0..],
        member_id: Text [0..],
        group_instance_id: Option<Text> [3..] = None,
    }

    pub struct HeartbeatResponse [0..=4] flexible [4..] {
        throttle_time_ms: i32 [1..] ignorable,
        error_code: ErrorCode [0..],
    }
}
