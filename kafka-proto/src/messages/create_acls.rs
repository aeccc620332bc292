//! CreateAcls (key 30): creates access rules (KIP-140).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The rules to create.
    pub struct CreateAclsRequest [1..=3] flexible [2..] {
        /// One entry for each rule.
        creations: Vec<AclCreation> [0..],
    }

    /// One rule.
    pub struct AclCreation {
        /// The resource's type: 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type: i8 [0..],
        /// The resource's name or name pattern.
        resource_name: Text [0..],
        /// The kind of name pattern: 3 literal, 4 prefixed (KIP-290).
        resource_pattern_type: i8 [1..] = 3,
        /// Whom the rule is about, as `User:alice`.
        principal: Text [0..],
        /// The host the rule is about; `*` is any.
        host: Text [0..],
        /// The operation the rule is about: 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe and so on;
        /// as a filter 1 matches any.
        operation: i8 [0..],
        /// 2 denies, 3 allows; as a filter 1 matches any.
        permission_type: i8 [0..],
    }

    /// What became of them.
    pub struct CreateAclsResponse [1..=3] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each rule, in the order of the request.
        results: Vec<AclCreationResult> [0..],
    }

    /// One rule.
    pub struct AclCreationResult {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
