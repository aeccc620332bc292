//! Who a forwarded request is from, inside Envelope (KIP-590).

use crate::wire::Text;

message! {
    /// A principal.
    pub struct DefaultPrincipalData [0..=0] flexible [0..] {
        /// The principal's type, as `User`.
        r#type: Text [0..],
        /// The principal's name.
        name: Text [0..],
        /// Whether it logged in with a delegation token.
        token_authenticated: bool [0..],
    }
}
