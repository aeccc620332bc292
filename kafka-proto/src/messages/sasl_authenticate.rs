//! SaslAuthenticate (key 36): carries the steps of a SASL mechanism (KIP-152).

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// A step of the client.
    pub struct SaslAuthenticateRequest [0..=2] flexible [2..] {
        /// The step, as the mechanism defines it.
        auth_bytes: Bytes [0..],
    }

    /// A step of the server.
    pub struct SaslAuthenticateResponse [0..=2] flexible [2..] {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// The step, as the mechanism defines it.
        auth_bytes: Bytes [0..],
        /// After how long the client must authenticate again, in milliseconds; 0 is never (KIP-368).
        session_lifetime_ms: i64 [1..] ignorable,
    }
}
