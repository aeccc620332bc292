//! SaslHandshake (key 17): chooses the SASL mechanism.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The mechanism the client wants.
    pub struct SaslHandshakeRequest [0..=1] {
        /// The mechanism, as `SCRAM-SHA-256`.
        mechanism: Text [0..],
    }

    /// Whether the broker offers it.
    pub struct SaslHandshakeResponse [0..=1] {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The mechanisms that the broker offers.
        mechanisms: Vec<Text> [0..],
    }
}
