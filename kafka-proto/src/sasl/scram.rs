//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677, KIP-84): keys, and the client's side of the exchange.
//!
//! ```text
//! client-first   n,,n=NAME,r=NONCE[,tokenauth=true]
//! server-first   r=NONCE AND MORE,s=SALT,i=ITERATIONS[,extensions]
//! client-final   c=biws,r=NONCE AND MORE,p=PROOF
//! server-final   v=SIGNATURE[,extensions]  or  e=ERROR
//! ```
//! Names and passwords are taken as they are: Kafka does not normalise them (no SASLprep), so whoever does computes other keys than its
//! tools did. Channel binding is not offered (`n,,`): Kafka has none.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::{Mechanism, SaslError, Step};

/// The least number of iterations that either side accepts (KIP-84).
pub const ITERATIONS_MIN: u32 = 4096;
/// The most that the client computes. Kafka stores 16,384 at most; a server that asked for billions would only keep us busy.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// Channel binding: not supported, no authorization id; and the same in base64, as the client's last message repeats it.
const GS2_HEADER: &str = "n,,";
const CHANNEL_BINDING: &str = "c=biws";

/// Which hash a SCRAM mechanism uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramHash {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramHash {
    /// Name of the mechanism.
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The hash of the mechanism with this name.
    pub fn from_mechanism(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|hash| hash.mechanism() == name)
    }

    /// Derives all keys from a password. Takes as long as `iterations` make it take: about a millisecond for 4096.
    pub fn keys(self, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
        let password = password.as_bytes();
        let salted_password = match self {
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec()
            }
            Self::Sha512 => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec()
            }
        };
        let client_key = self.hmac(&salted_password, b"Client Key");
        ScramKeys {
            stored_key: self.digest(&client_key),
            server_key: self.hmac(&salted_password, b"Server Key"),
            client_key,
            salted_password,
        }
    }

    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    pub(super) fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "HMAC takes keys of any length";
        match self {
            Self::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                mac.chain_update(message).finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH);
                mac.chain_update(message).finalize().into_bytes().to_vec()
            }
        }
    }
}

/// The keys of one password and salt. The broker stores `stored_key` and `server_key` alone; an administrator who sets a password sends
/// `salted_password` (KIP-554).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The password after all iterations.
    pub salted_password: Vec<u8>,
    /// What the client proves to have.
    pub client_key: Vec<u8>,
    /// The hash of the client's key, which checks that proof and cannot make one.
    pub stored_key: Vec<u8>,
    /// What the server proves to have.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys")
    }
}

/// The client's side of SCRAM.
#[derive(Clone)]
pub struct Scram {
    hash: ScramHash,
    state: State,
}

/// Where the exchange stands.
#[derive(Clone)]
enum State {
    /// Nothing was sent.
    Begun {
        bare: String,
        password: String,
        nonce: String,
    },
    /// The first message is out; salt and iterations are to come.
    First {
        bare: String,
        password: String,
        nonce: String,
    },
    /// The proof is out; the server's is to come, and must be this.
    Proved { signature: Vec<u8> },
    /// Nothing may come any more.
    Over,
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.mechanism())
    }
}

impl Scram {
    /// Authenticates with a name and a password. `nonce` is fresh randomness as printable ASCII without a comma ([`super::nonce`]); whoever
    /// uses one twice lets an eavesdropper answer for the server.
    ///
    /// # Errors
    /// When the nonce is not that, or the name has a NUL.
    pub fn new(
        hash: ScramHash,
        username: &str,
        password: &str,
        nonce: &str,
    ) -> Result<Self, SaslError> {
        let wrong = |what| SaslError::Credentials {
            mechanism: hash.mechanism(),
            what,
        };
        if !is_nonce(nonce) {
            return Err(wrong("the nonce is not printable ASCII without commas"));
        }
        if username.contains('\0') {
            return Err(wrong("the user name has a NUL character"));
        }
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let state = State::Begun {
            bare: format!("n={name},r={nonce}"),
            password: password.to_owned(),
            nonce: nonce.to_owned(),
        };
        Ok(Self { hash, state })
    }

    /// Authenticates with a delegation token (KIP-48): `username` is its id, `password` its HMAC in base64.
    #[must_use]
    pub fn with_token_auth(mut self) -> Self {
        if let State::Begun { bare, .. } = &mut self.state {
            bare.push_str(",tokenauth=true");
        }
        self
    }

    /// Takes server-first, gives client-final and the signature that the server must show.
    fn prove(
        &self,
        challenge: &[u8],
        bare: &str,
        password: &str,
        nonce: &str,
    ) -> Result<(String, Vec<u8>), SaslError> {
        let mechanism = self.hash.mechanism();
        let server = ServerFirst::read(mechanism, challenge)?;
        if !server.nonce.starts_with(nonce) {
            return Err(SaslError::ServerNonce { mechanism });
        }
        check_iterations(mechanism, server.iterations)?;
        let keys = self.hash.keys(password, &server.salt, server.iterations);
        let without_proof = format!("{CHANNEL_BINDING},r={}", server.nonce);
        let auth = format!("{bare},{},{without_proof}", server.text);
        let client_signature = self.hash.hmac(&keys.stored_key, auth.as_bytes());
        let proof = xor(&keys.client_key, &client_signature);
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok((message, self.hash.hmac(&keys.server_key, auth.as_bytes())))
    }

    /// Takes server-final.
    fn accept(&self, answer: &[u8], signature: &[u8]) -> Result<(), SaslError> {
        let mechanism = self.hash.mechanism();
        let malformed = |what| SaslError::Malformed {
            mechanism,
            message: "server-final-message",
            what,
        };
        let text = str::from_utf8(answer).map_err(|_| malformed("it is not UTF-8"))?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(SaslError::refused(mechanism, error));
        }
        let mut rest = text;
        let value = attribute(&mut rest, "v=")
            .ok_or_else(|| malformed("it begins neither with v= nor with e="))?;
        let shown = STANDARD
            .decode(value)
            .map_err(|_| malformed("its signature is not base64"))?;
        if !are_extensions(rest) {
            return Err(malformed(
                "what follows its signature is not a list of extensions",
            ));
        }
        if is_same(&shown, signature) {
            Ok(())
        } else {
            Err(SaslError::ServerSignature { mechanism })
        }
    }
}

impl Mechanism for Scram {
    fn name(&self) -> &str {
        self.hash.mechanism()
    }

    fn start(&mut self) -> Result<Vec<u8>, SaslError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Begun {
                bare,
                password,
                nonce,
            } => {
                let message = format!("{GS2_HEADER}{bare}").into_bytes();
                self.state = State::First {
                    bare,
                    password,
                    nonce,
                };
                Ok(message)
            }
            _ => Err(self.out_of_turn("behind its first")),
        }
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        // Whatever goes wrong, the exchange is over.
        match std::mem::replace(&mut self.state, State::Over) {
            State::First {
                bare,
                password,
                nonce,
            } => {
                let (message, signature) = self.prove(challenge, &bare, &password, &nonce)?;
                self.state = State::Proved { signature };
                Ok(Step::Send(message.into_bytes()))
            }
            State::Proved { signature } => {
                self.accept(challenge, &signature)?;
                Ok(Step::Done)
            }
            State::Begun { .. } => Err(self.out_of_turn("before its first")),
            State::Over => Err(self.out_of_turn("once it is over")),
        }
    }
}

impl Scram {
    const fn out_of_turn(&self, when: &'static str) -> SaslError {
        SaslError::OutOfTurn {
            mechanism: self.hash.mechanism(),
            when,
        }
    }
}

/// The server's first message.
struct ServerFirst<'a> {
    text: &'a str,
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> ServerFirst<'a> {
    fn read(mechanism: &'static str, message: &'a [u8]) -> Result<Self, SaslError> {
        let malformed = |what| SaslError::Malformed {
            mechanism,
            message: "server-first-message",
            what,
        };
        let text = str::from_utf8(message).map_err(|_| malformed("it is not UTF-8"))?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(SaslError::refused(mechanism, error));
        }
        if text.starts_with("m=") {
            return Err(malformed(
                "it demands an extension (m=) that this client does not know",
            ));
        }
        let mut rest = text;
        let nonce = attribute(&mut rest, "r=")
            .filter(|nonce| is_nonce(nonce))
            .ok_or_else(|| malformed("it does not begin with a nonce (r=)"))?;
        let salt = attribute(&mut rest, "s=")
            .ok_or_else(|| malformed("it has no salt (s=) behind the nonce"))?;
        let salt = STANDARD
            .decode(salt)
            .map_err(|_| malformed("its salt is not base64"))?;
        let iterations = attribute(&mut rest, "i=")
            .ok_or_else(|| malformed("it has no iteration count (i=) behind the salt"))?;
        let iterations = Some(iterations)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| malformed("its iteration count is not a number of 32 bits"))?;
        if !are_extensions(rest) {
            return Err(malformed(
                "what follows its iteration count is not a list of extensions",
            ));
        }
        Ok(Self {
            text,
            nonce,
            salt,
            iterations,
        })
    }
}

pub(super) const fn check_iterations(
    mechanism: &'static str,
    iterations: u32,
) -> Result<(), SaslError> {
    if iterations >= ITERATIONS_MIN && iterations <= ITERATIONS_MAX {
        return Ok(());
    }
    Err(SaslError::Iterations {
        mechanism,
        iterations,
        least: ITERATIONS_MIN,
        most: ITERATIONS_MAX,
    })
}

/// Takes the attribute that stands first if it has this name, and the comma behind it. What is left begins with a comma no more.
pub(super) fn attribute<'a>(rest: &mut &'a str, name: &str) -> Option<&'a str> {
    let value = rest.strip_prefix(name)?;
    match value.split_once(',') {
        // A comma promises something behind it.
        Some((_, "")) => None,
        Some((value, behind)) => {
            *rest = behind;
            Some(value)
        }
        None => {
            *rest = "";
            Some(value)
        }
    }
}

/// Whether this is empty or a list of `name=value` with names of letters. Unknown ones are ignored, as the RFC wants.
pub(super) fn are_extensions(text: &str) -> bool {
    text.is_empty()
        || text.split(',').all(|extension| {
            extension.split_once('=').is_some_and(|(name, value)| {
                !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_alphabetic())
                    && !value.is_empty()
                    && value.bytes().all(|byte| matches!(byte, 1..=0x7f))
            })
        })
}

pub(super) fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b',')
}

pub(super) fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}

/// Compares in a time that does not depend on where they differ.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    one.ct_eq(other).into()
}
