//! Why an authentication cannot go on, and whose fault it is.

/// Why an authentication failed. None of it is worth a retry with the same credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaslError {
    /// The caller's name, password, token or extension cannot be put into a message of this mechanism.
    #[error("{mechanism} cannot use these credentials: {what}")]
    Credentials {
        /// The mechanism.
        mechanism: &'static str,
        /// What is wrong with them. Never the secret itself.
        what: &'static str,
    },
    /// The peer sent what the mechanism does not know.
    #[error("the {message} of {mechanism} is malformed: {what}")]
    Malformed {
        /// The mechanism.
        mechanism: &'static str,
        /// Which message, in the words of its RFC.
        message: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The peer refused, in its own words.
    #[error("{mechanism} was refused: {reason}")]
    Refused {
        /// The mechanism.
        mechanism: &'static str,
        /// The peer's words, cut to a readable length and free of control characters.
        reason: String,
    },
    /// The server's nonce does not begin with ours: its answer belongs to another exchange.
    #[error(
        "the server's nonce of {mechanism} does not begin with the client's: its answer belongs to another exchange"
    )]
    ServerNonce {
        /// The mechanism.
        mechanism: &'static str,
    },
    /// The server asks for too few iterations, which makes the password easy to guess, or for absurdly many.
    #[error(
        "the server asks for {iterations} iterations of {mechanism}; {least} to {most} are accepted"
    )]
    Iterations {
        /// The mechanism.
        mechanism: &'static str,
        /// What it asks for.
        iterations: u32,
        /// The least accepted (KIP-84).
        least: u32,
        /// The most accepted.
        most: u32,
    },
    /// The server does not know the password: it only claims to be the one it should be.
    #[error(
        "the server could not prove with {mechanism} that it knows the password: it is not who it claims to be"
    )]
    ServerSignature {
        /// The mechanism.
        mechanism: &'static str,
    },
    /// A message came that the exchange has no place for.
    #[error("{mechanism} expects no message {when}")]
    OutOfTurn {
        /// The mechanism.
        mechanism: &'static str,
        /// Where the exchange stands.
        when: &'static str,
    },
}

/// Longer words of a peer are cut.
const REASON_BYTES_MAX: usize = 400;

impl SaslError {
    /// The peer's words, made fit to be shown.
    pub(super) fn refused(mechanism: &'static str, words: &str) -> Self {
        let words = &words[..words.floor_char_boundary(REASON_BYTES_MAX)];
        let reason = words
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        Self::Refused { mechanism, reason }
    }
}
