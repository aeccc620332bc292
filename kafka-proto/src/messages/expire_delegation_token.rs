//! ExpireDelegationToken (key 40): lets a token end earlier (KIP-48).

use bytes::Bytes;

use super::ErrorCode;

message! {
    /// Which token, and when.
    pub struct ExpireDelegationTokenRequest [1..=2] flexible [2..] {
        /// The token's secret: the HMAC that SCRAM takes for a password (KIP-48).
        hmac: Bytes [0..],
        /// How long it shall live from now, in milliseconds; negative ends it at once.
        expiry_time_period_ms: i64 [0..],
    }

    /// Until when it lives now.
    pub struct ExpireDelegationTokenResponse [1..=2] flexible [2..] {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// When it expires unless it is renewed, in milliseconds since 1970.
        expiry_timestamp_ms: i64 [0..],
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
    }
}
