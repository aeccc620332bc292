//! SASL mechanisms as pure step functions: bytes in, bytes out. Sockets, SaslHandshake and SaslAuthenticate are the caller's, and so is
//! chance: nonces come in as arguments.
//!
//! A client names its [`Mechanism`] in SaslHandshake, sends what [`Mechanism::start`] gives in SaslAuthenticate, and hands every answer to
//! [`Mechanism::answer`] until that says [`Step::Done`]:
//!
//! ```
//! use kafka_proto::sasl::{Mechanism, Scram, ScramHash, Step};
//!
//! let mut mechanism = Scram::new(ScramHash::Sha256, "user", "pencil", "epppj3vti9nmaalukz3xzyah")?;
//! assert_eq!(mechanism.name(), "SCRAM-SHA-256");
//! assert_eq!(mechanism.start()?, b"n,,n=user,r=epppj3vti9nmaalukz3xzyah");
//! // What the broker answers:
//! let challenge = b"r=epppj3vti9nmaalukz3xzyahiu9qgm7lzwf0qao8itnvknct,s=WGqDPXnFaWOoBklP/DpPM6DJuBP6/KE=,i=4096";
//! let Step::Send(proof) = mechanism.answer(challenge)? else { panic!("SCRAM takes two rounds") };
//! assert!(proof.starts_with(b"c=biws,r="));
//! // And the proof that it knows the password too:
//! assert_eq!(mechanism.answer(b"v=VtJuQ3f15iQcTT5jFZN5m0ycL+eeDnctxKN5efsUW5Q=")?, Step::Done);
//! # Ok::<(), kafka_proto::sasl::SaslError>(())
//! ```
//!
//! The other side of each mechanism is here too, for those who play broker: [`PlainCredentials`], [`ScramClientFirst`], [`OauthToken`].
//! Kerberos is not: whoever has an implementation plugs it in as a [`Mechanism`].

mod error;
mod oauthbearer;
mod plain;
mod scram;
mod scram_server;

use std::fmt;

pub use error::SaslError;
pub use oauthbearer::{OauthBearer, OauthToken, refuse_token};
pub use plain::{Plain, PlainCredentials};
pub use scram::{ITERATIONS_MAX, ITERATIONS_MIN, Scram, ScramHash, ScramKeys};
pub use scram_server::{ScramClientFirst, ScramCredential, ScramExchange};

/// The client's side of one authentication. Made anew for each: re-authentication (KIP-368) begins from the start.
pub trait Mechanism: fmt::Debug + Send {
    /// Its name in SaslHandshake.
    fn name(&self) -> &str;

    /// What the client sends first.
    ///
    /// # Errors
    /// When it was called before.
    fn start(&mut self) -> Result<Vec<u8>, SaslError>;

    /// Takes the broker's answer and says what comes next.
    ///
    /// # Errors
    /// When the broker refuses, cannot prove that it knows the secret, or answers nonsense. The exchange is over then.
    fn answer(&mut self, challenge: &[u8]) -> Result<Step, SaslError>;
}

/// What comes next in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes and hand the answer on.
    Send(Vec<u8>),
    /// Both sides are sure of each other.
    Done,
    /// The broker has refused. It expects `farewell` before it ends the exchange with an error of its own; `reason` is why.
    Refused {
        /// What the mechanism sends for goodbye.
        farewell: Vec<u8>,
        /// Why.
        reason: SaslError,
    },
}

/// Turns 18 random bytes into a nonce for SCRAM: 24 characters without a comma.
///
/// ```
/// assert_eq!(kafka_proto::sasl::nonce([0xff; 18]), "////////////////////////");
/// ```
pub fn nonce(random: [u8; 18]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(random)
}
