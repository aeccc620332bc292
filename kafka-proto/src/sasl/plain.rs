//! PLAIN (RFC 4616): name and password as they are, so only ever over TLS.

use std::fmt;

use super::{Mechanism, SaslError, Step};

const NAME: &str = "PLAIN";

/// The client's side of PLAIN.
#[derive(Clone)]
pub struct Plain {
    message: Option<Vec<u8>>,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl Plain {
    /// Authenticates with a name and a password; Kafka takes them as they are, without normalising.
    ///
    /// # Errors
    /// When one of them is empty or has a NUL, which separates them.
    pub fn new(username: &str, password: &str) -> Result<Self, SaslError> {
        let what = match (username, password) {
            ("", _) => "the user name is empty",
            (_, "") => "the password is empty",
            _ if username.contains('\0') => "the user name has a NUL character",
            _ if password.contains('\0') => "the password has a NUL character",
            _ => {
                let message = [b"\0", username.as_bytes(), b"\0", password.as_bytes()].concat();
                return Ok(Self {
                    message: Some(message),
                });
            }
        };
        Err(SaslError::Credentials {
            mechanism: NAME,
            what,
        })
    }
}

impl Mechanism for Plain {
    fn name(&self) -> &str {
        NAME
    }

    fn start(&mut self) -> Result<Vec<u8>, SaslError> {
        self.message.take().ok_or(SaslError::OutOfTurn {
            mechanism: NAME,
            when: "behind its first",
        })
    }

    /// The broker says no by an error code, so any answer is a yes.
    fn answer(&mut self, _challenge: &[u8]) -> Result<Step, SaslError> {
        if self.message.is_some() {
            return Err(SaslError::OutOfTurn {
                mechanism: NAME,
                when: "before its first",
            });
        }
        Ok(Step::Done)
    }
}

/// What a client of PLAIN sent, for those who play broker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PlainCredentials<'a> {
    /// Who it is.
    pub username: &'a str,
    /// Its proof. Compare in constant time where it matters.
    pub password: &'a str,
}

impl fmt::Debug for PlainCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PlainCredentials");
        debug
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl<'a> PlainCredentials<'a> {
    /// Reads the client's one message.
    ///
    /// # Errors
    /// When it is not three fields of UTF-8, name and password are not there, or it wants to act as somebody else.
    pub fn read(message: &'a [u8]) -> Result<Self, SaslError> {
        let malformed = |what| SaslError::Malformed {
            mechanism: NAME,
            message: "client's message",
            what,
        };
        let text = str::from_utf8(message).map_err(|_| malformed("it is not UTF-8"))?;
        let mut fields = text.split('\0');
        let (Some(authorization), Some(username), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(malformed("it has not three fields"));
        };
        if username.is_empty() {
            return Err(malformed("it names no user"));
        }
        if password.is_empty() {
            return Err(malformed("it has no password"));
        }
        if !authorization.is_empty() && authorization != username {
            return Err(malformed(
                "it asks for another authorization id than its user",
            ));
        }
        Ok(Self { username, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_sends_an_empty_authorization_id_the_name_and_the_password() {
        let mut plain = Plain::new("tim", "tanstaaftanstaaf").unwrap();
        assert!(plain.answer(b"").is_err(), "there is nothing to answer yet");
        assert_eq!(plain.start().unwrap(), b"\0tim\0tanstaaftanstaaf");
        assert_eq!(plain.answer(b"").unwrap(), Step::Done);
        assert!(plain.start().is_err());
        assert!(!format!("{plain:?}").contains("tan"), "secrets stay inside");
    }

    #[test]
    fn credentials_that_would_move_the_separators_are_refused() {
        for (username, password) in [("", "p"), ("u", ""), ("u\0v", "p"), ("u", "p\0q")] {
            assert!(Plain::new(username, password).is_err());
        }
    }

    #[test]
    fn the_other_side_reads_what_was_sent() {
        let message = Plain::new("ü,=", "p ✓").unwrap().start().unwrap();
        let read = PlainCredentials::read(&message).unwrap();
        assert_eq!((read.username, read.password), ("ü,=", "p ✓"));
        assert!(!format!("{read:?}").contains('✓'));
        assert!(PlainCredentials::read(b"u\0u\0p").is_ok());
        for message in [
            &b""[..],
            b"u\0p",
            b"\0u\0p\0",
            b"\0\0p",
            b"\0u\0",
            b"v\0u\0p",
            b"\0\xff\0p",
        ] {
            assert!(PlainCredentials::read(message).is_err(), "{message:?}");
        }
    }
}
