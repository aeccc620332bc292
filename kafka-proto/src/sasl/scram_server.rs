//! The server's side of SCRAM, for those who play broker: one function a message, each consuming what the one before gave.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    SaslError,
    scram::{ScramHash, are_extensions, attribute, check_iterations, is_nonce, is_same, xor},
};

/// What a broker stores of a password: enough to check it, not to use it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    /// The mechanism's hash.
    pub hash: ScramHash,
    /// Salt of the password.
    pub salt: Vec<u8>,
    /// How often it was hashed.
    pub iterations: u32,
    /// Checks the client's proof.
    pub stored_key: Vec<u8>,
    /// Makes the server's.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ScramCredential");
        debug
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl ScramCredential {
    /// The credential of a password.
    pub fn new(hash: ScramHash, password: &str, salt: &[u8], iterations: u32) -> Self {
        let keys = hash.keys(password, salt, iterations);
        Self {
            hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: keys.stored_key,
            server_key: keys.server_key,
        }
    }

    /// The credential of a password that was salted elsewhere, as AlterUserScramCredentials brings it (KIP-554).
    pub fn from_salted_password(
        hash: ScramHash,
        salted_password: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Self {
        Self {
            hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: hash.digest(&hash.hmac(salted_password, b"Client Key")),
            server_key: hash.hmac(salted_password, b"Server Key"),
        }
    }
}

/// The client's first message. It says whose credential is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramClientFirst {
    mechanism: &'static str,
    gs2_header: String,
    bare: String,
    nonce: String,
    username: String,
    token_auth: bool,
}

impl ScramClientFirst {
    /// Reads it.
    ///
    /// # Errors
    /// When it is malformed, wants channel binding, names no user or one outside ASCII (as Kafka has it), or wants to act as
    /// somebody else.
    pub fn read(hash: ScramHash, message: &[u8]) -> Result<Self, SaslError> {
        let mechanism = hash.mechanism();
        let malformed = |what| SaslError::Malformed {
            mechanism,
            message: "client-first-message",
            what,
        };
        let text = str::from_utf8(message).map_err(|_| malformed("it is not UTF-8"))?;
        let after_flag = text
            .strip_prefix("n,")
            .ok_or_else(|| malformed("it does not begin with n, as without channel binding"))?;
        let (authorization, bare) = after_flag
            .split_once(',')
            .ok_or_else(|| malformed("it has no authorization id, not even an empty one"))?;
        let gs2_header = text[..text.len() - bare.len()].to_owned();
        let mut rest = bare;
        // Kafka passes over it.
        if rest.starts_with("m=") {
            attribute(&mut rest, "m=");
        }
        let name =
            attribute(&mut rest, "n=").ok_or_else(|| malformed("it has no user name (n=)"))?;
        let username = sasl_name(name).ok_or_else(|| {
            malformed("its user name is empty, outside ASCII, or not escaped as it should be")
        })?;
        let nonce = attribute(&mut rest, "r=")
            .filter(|nonce| is_nonce(nonce))
            .ok_or_else(|| malformed("it has no nonce (r=) behind the user name"))?;
        if !are_extensions(rest) {
            return Err(malformed(
                "what follows its nonce is not a list of extensions",
            ));
        }
        if !authorization.is_empty() {
            let wanted = authorization.strip_prefix("a=").and_then(sasl_name);
            if wanted.as_ref() != Some(&username) {
                return Err(malformed(
                    "it asks for another authorization id than its user",
                ));
            }
        }
        Ok(Self {
            mechanism,
            gs2_header,
            nonce: nonce.to_owned(),
            username,
            token_auth: rest
                .split(',')
                .any(|extension| extension == "tokenauth=true"),
            bare: bare.to_owned(),
        })
    }

    /// The user, or the id of a delegation token.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Whether it is a delegation token that authenticates (KIP-48).
    pub const fn is_token_auth(&self) -> bool {
        self.token_auth
    }

    /// Answers with the credential of that user. `nonce` is the server's own part, as in [`super::Scram::new`].
    ///
    /// # Errors
    /// When the credential has too few iterations for either side to accept, or the nonce is not printable ASCII without commas.
    pub fn challenge(
        self,
        credential: ScramCredential,
        nonce: &str,
    ) -> Result<(Vec<u8>, ScramExchange), SaslError> {
        check_iterations(self.mechanism, credential.iterations)?;
        if !is_nonce(nonce) {
            return Err(SaslError::Credentials {
                mechanism: self.mechanism,
                what: "the nonce is not printable ASCII without commas",
            });
        }
        let nonce = format!("{}{nonce}", self.nonce);
        let salt = STANDARD.encode(&credential.salt);
        let message = format!("r={nonce},s={salt},i={}", credential.iterations);
        let exchange = ScramExchange {
            credential,
            auth: format!("{},{message}", self.bare),
            binding: STANDARD.encode(self.gs2_header),
            nonce,
        };
        Ok((message.into_bytes(), exchange))
    }
}

/// An exchange that waits for the client's proof.
#[derive(Clone, Debug)]
pub struct ScramExchange {
    credential: ScramCredential,
    /// The first two messages, as the signatures cover them.
    auth: String,
    /// What the client must repeat of its first message.
    binding: String,
    nonce: String,
}

impl ScramExchange {
    /// Checks the client's proof and gives the server's.
    ///
    /// # Errors
    /// When the message is malformed, belongs to another exchange, or does not prove that the client knows the password.
    pub fn finish(self, message: &[u8]) -> Result<Vec<u8>, SaslError> {
        let hash = self.credential.hash;
        let mechanism = hash.mechanism();
        let malformed = |what| SaslError::Malformed {
            mechanism,
            message: "client-final-message",
            what,
        };
        let text = str::from_utf8(message).map_err(|_| malformed("it is not UTF-8"))?;
        let (without_proof, proof) = text
            .rsplit_once(",p=")
            .ok_or_else(|| malformed("it has no proof (p=)"))?;
        let mut rest = without_proof;
        if attribute(&mut rest, "c=") != Some(&self.binding) {
            return Err(malformed(
                "it does not repeat the channel binding of its first message (c=)",
            ));
        }
        if attribute(&mut rest, "r=") != Some(&self.nonce) {
            return Err(malformed("its nonce (r=) is not that of this exchange"));
        }
        if !are_extensions(rest) {
            return Err(malformed(
                "what follows its nonce is not a list of extensions",
            ));
        }
        let proof = STANDARD
            .decode(proof)
            .map_err(|_| malformed("its proof is not base64"))?;
        let auth = format!("{},{without_proof}", self.auth);
        let signature = hash.hmac(&self.credential.stored_key, auth.as_bytes());
        let client_key = xor(&proof, &signature);
        if proof.len() != signature.len()
            || !is_same(&hash.digest(&client_key), &self.credential.stored_key)
        {
            return Err(SaslError::refused(mechanism, "Invalid client credentials"));
        }
        let signature = hash.hmac(&self.credential.server_key, auth.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)).into_bytes())
    }
}

/// Undoes the escaping of a name; `None` if it is empty, outside ASCII or not escaped rightly.
fn sasl_name(name: &str) -> Option<String> {
    if name.is_empty() || !name.bytes().all(|byte| matches!(byte, 1..=0x7f)) {
        return None;
    }
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = if let Some(rest) = part.strip_prefix("2C") {
            (',', rest)
        } else {
            ('=', part.strip_prefix("3D")?)
        };
        plain.push(escaped);
        plain.push_str(rest);
    }
    Some(plain)
}
