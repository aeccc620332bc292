//! DeleteGroups (key 42): deletes empty groups with their offsets (KIP-229).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The groups to delete.
    pub struct DeleteGroupsRequest [0..=3] flexible [2..] {
        /// The groups to delete, each by its `group.id`; they must be without members.
        groups_names: Vec<Text> [0..],
    }

    /// What became of them.
    pub struct DeleteGroupsResponse [0..=3] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each group.
        results: Vec<DeletableGroupResult> [0..],
    }

    /// One group.
    pub struct DeletableGroupResult {
        /// The group, by the `group.id` that the request named.
        group_id: Text [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [3..] ignorable = None,
    }
}
