//! DescribeDelegationToken (key 41): lists tokens (KIP-48).

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Whose tokens to list.
    pub struct DescribeDelegationTokenRequest [1..=3] flexible [2..] {
        /// The tokens' owners; null is everyone's.
        owners: Option<Vec<DescribeDelegationTokenOwner>> [0..],
    }

    /// One owner.
    pub struct DescribeDelegationTokenOwner {
        /// The principal's type, as `User`.
        principal_type: Text [0..],
        /// The principal's name within its type, as the authorizer and the ACLs know it.
        principal_name: Text [0..],
    }

    /// The tokens.
    pub struct DescribeDelegationTokenResponse [1..=3] flexible [2..] {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// One entry for each token.
        tokens: Vec<DescribedDelegationToken> [0..],
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
    }

    /// One token.
    pub struct DescribedDelegationToken {
        /// Type of the token's owner.
        principal_type: Text [0..],
        /// Name of the token's owner.
        principal_name: Text [0..],
        /// Type of who asked for the token (KIP-373).
        token_requester_principal_type: Text [3..],
        /// Name of who asked for the token (KIP-373).
        token_requester_principal_name: Text [3..],
        /// When it was issued, in milliseconds since 1970.
        issue_timestamp: i64 [0..],
        /// When it expires unless it is renewed, in milliseconds since 1970.
        expiry_timestamp: i64 [0..],
        /// When it expires in any case, in milliseconds since 1970.
        max_timestamp: i64 [0..],
        /// The token's public name, which SCRAM takes for a user name (KIP-48).
        token_id: Text [0..],
        /// The token's secret: the HMAC that SCRAM takes for a password (KIP-48).
        hmac: Bytes [0..],
        /// Who may renew it besides its owner.
        renewers: Vec<DescribedDelegationTokenRenewer> [0..],
    }

    /// Someone who may renew it.
    pub struct DescribedDelegationTokenRenewer {
        /// The principal's type, as `User`.
        principal_type: Text [0..],
        /// The principal's name within its type, as the authorizer and the ACLs know it.
        principal_name: Text [0..],
    }
}
