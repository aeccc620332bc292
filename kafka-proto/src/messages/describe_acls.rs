//! DescribeAcls (key 29): lists access rules (KIP-140).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which rules to list.
    pub struct DescribeAclsRequest [1..=3] flexible [2..] {
        /// The type of resource to match: 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user;
        /// 1 matches any.
        resource_type_filter: i8 [0..],
        /// The resource's name to match; null matches any.
        resource_name_filter: Option<Text> [0..],
        /// The kind of name pattern to match: 3 literal, 4 prefixed, 1 any, 2 whatever applies to the name (KIP-290).
        pattern_type_filter: i8 [1..] = 3,
        /// The principal to match; null matches any.
        principal_filter: Option<Text> [0..],
        /// The host to match; null matches any.
        host_filter: Option<Text> [0..],
        /// The operation the rule is about: 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe and so on;
        /// as a filter 1 matches any.
        operation: i8 [0..],
        /// 2 denies, 3 allows; as a filter 1 matches any.
        permission_type: i8 [0..],
    }

    /// The rules.
    pub struct DescribeAclsResponse [1..=3] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// One entry for each resource that rules are about.
        resources: Vec<DescribeAclsResource> [0..],
    }

    /// The rules of one resource.
    pub struct DescribeAclsResource {
        /// The resource's type: 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type: i8 [0..],
        /// The resource's name or name pattern.
        resource_name: Text [0..],
        /// The kind of name pattern: 3 literal, 4 prefixed (KIP-290).
        pattern_type: i8 [1..] = 3,
        /// The access rules of this resource.
        acls: Vec<AclDescription> [0..],
    }

    /// One rule.
    pub struct AclDescription {
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
}
