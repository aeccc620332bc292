//! find_coordinator

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct FindCoordinatorRequest [0..=6] flexible [3..] {
        key: Text [0..=3],
        key_type: i8 [1..],
        coordinator_keys: Vec<Text> [4..],
    }

    pub struct FindCoordinatorResponse [0..=6] flexible [3..] {
        throttle_time_ms: i32 [1..] ignorable,
        error_code: ErrorCode [0..=3],
        error_message: Option<Text> [1..=3] ignorable,
        node_id: i32 [0..=3],
        host: Text [0..=3],
        port: i32 [0..=3],
        coordinators: Vec<Coordinator> [4..],
    }

    pub struct Coordinator {
        key: Text [4..],
        node_id: i32 [4..],
        host: Text [4..],
        port: i32 [4..],
        error_code: ErrorCode [4..],
        error_message: Option<Text> [4..] ignorable,
    }
}
