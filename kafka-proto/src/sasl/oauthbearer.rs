//! OAUTHBEARER (RFC 7628, KIP-255): a bearer token, with extensions that the broker's login module may look at (KIP-342).
//!
//! ```text
//! client   n,,^Aauth=Bearer TOKEN[^Aname=value…]^A^A        server   nothing, or why not as JSON, which the client answers with ^A
//! ```

use std::fmt;

use super::{Mechanism, SaslError, Step};

const NAME: &str = "OAUTHBEARER";
/// Separates the fields, and is the client's answer to a refusal.
const SEPARATOR: char = '\u{1}';

/// The client's side of OAUTHBEARER. Where the token comes from is the caller's.
#[derive(Clone)]
pub struct OauthBearer {
    state: State,
}

#[derive(Clone)]
enum State {
    /// Nothing was sent.
    Begun(String),
    /// The token is out.
    Sent,
    /// Nothing may come any more.
    Over,
}

impl fmt::Debug for OauthBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl OauthBearer {
    /// Authenticates with a token, and extensions in the order they are to be sent.
    ///
    /// # Errors
    /// When the token is not one by RFC 6750, an extension's name is not made of letters or is `auth`, or its value is empty or not
    /// printable ASCII.
    pub fn new(token: &str, extensions: &[(&str, &str)]) -> Result<Self, SaslError> {
        let wrong = |what| SaslError::Credentials {
            mechanism: NAME,
            what,
        };
        if !is_token(token) {
            return Err(wrong(
                "the token is empty or has characters that bearer tokens do not have",
            ));
        }
        let mut message = format!("n,,{SEPARATOR}auth=Bearer {token}");
        for (name, value) in extensions {
            if *name == "auth" {
                return Err(wrong(
                    "an extension is named auth, which is the token's own name",
                ));
            }
            if !is_extension_name(name) {
                return Err(wrong(
                    "the name of an extension is not made of letters alone",
                ));
            }
            if !is_extension_value(value) {
                return Err(wrong(
                    "the value of an extension is empty or not printable ASCII",
                ));
            }
            message.extend([SEPARATOR]);
            message.push_str(name);
            message.push('=');
            message.push_str(value);
        }
        message.extend([SEPARATOR, SEPARATOR]);
        Ok(Self {
            state: State::Begun(message),
        })
    }
}

impl Mechanism for OauthBearer {
    fn name(&self) -> &str {
        NAME
    }

    fn start(&mut self) -> Result<Vec<u8>, SaslError> {
        match std::mem::replace(&mut self.state, State::Sent) {
            State::Begun(message) => Ok(message.into_bytes()),
            state => {
                self.state = state;
                Err(SaslError::OutOfTurn {
                    mechanism: NAME,
                    when: "behind its first",
                })
            }
        }
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        let when = match std::mem::replace(&mut self.state, State::Over) {
            State::Sent if challenge.is_empty() => return Ok(Step::Done),
            State::Sent => {
                return Ok(Step::Refused {
                    farewell: vec![SEPARATOR as u8],
                    reason: refusal(challenge),
                });
            }
            State::Begun(_) => "before its first",
            State::Over => "once it is over",
        };
        Err(SaslError::OutOfTurn {
            mechanism: NAME,
            when,
        })
    }
}

/// The reason in the server's JSON, or its words as they are where they are none.
fn refusal(challenge: &[u8]) -> SaslError {
    let json: Option<serde_json::Value> = serde_json::from_slice(challenge).ok();
    let field = |name: &str| json.as_ref().and_then(|json| json[name].as_str());
    let Some(status) = field("status") else {
        return SaslError::refused(NAME, &String::from_utf8_lossy(challenge));
    };
    let mut reason = status.to_owned();
    if let Some(scope) = field("scope") {
        reason.push_str(", the token needs the scope ");
        reason.push_str(scope);
    }
    if let Some(configuration) = field("openid-configuration") {
        reason.push_str(", where to get one is told at ");
        reason.push_str(configuration);
    }
    SaslError::refused(NAME, &reason)
}

/// What a client of OAUTHBEARER sent, for those who play broker.
#[derive(Clone, PartialEq, Eq)]
pub struct OauthToken<'a> {
    /// Whom it wants to act as, escaped as it was sent; empty for the token's own principal.
    pub authorization_id: &'a str,
    /// The token.
    pub token: &'a str,
    /// Its extensions, in the order they came.
    pub extensions: Vec<(&'a str, &'a str)>,
}

impl fmt::Debug for OauthToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("OauthToken");
        debug
            .field("authorization_id", &self.authorization_id)
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

impl<'a> OauthToken<'a> {
    /// Reads the client's first message.
    ///
    /// # Errors
    /// When it is malformed, or authenticates with something else than a bearer token.
    pub fn read(message: &'a [u8]) -> Result<Self, SaslError> {
        let malformed = |what| SaslError::Malformed {
            mechanism: NAME,
            message: "client's first message",
            what,
        };
        let text = str::from_utf8(message).map_err(|_| malformed("it is not UTF-8"))?;
        let (header, fields) = text
            .split_once(SEPARATOR)
            .ok_or_else(|| malformed("it has no fields"))?;
        let authorization_id = header
            .strip_prefix("n,")
            .and_then(|header| header.strip_suffix(','))
            .ok_or_else(|| malformed("it does not begin with n,, or n,a=NAME,"))?;
        let authorization_id = match authorization_id {
            "" => "",
            id => id
                .strip_prefix("a=")
                .filter(|id| !id.is_empty() && !id.contains(','))
                .ok_or_else(|| malformed("its authorization id is not a=NAME"))?,
        };
        let fields = fields
            .strip_suffix(SEPARATOR)
            .filter(|fields| fields.is_empty() || fields.ends_with(SEPARATOR))
            .ok_or_else(|| malformed("it does not end in two separators"))?;
        let (mut token, mut extensions) = (None, Vec::new());
        for field in fields.split_terminator(SEPARATOR) {
            let (name, value) = field
                .split_once('=')
                .ok_or_else(|| malformed("a field of it is not name=value"))?;
            if name == "auth" {
                let (scheme, value) = value
                    .split_once(' ')
                    .ok_or_else(|| malformed("its auth field is not a scheme and a token"))?;
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(malformed(
                        "it authenticates with something else than a bearer token",
                    ));
                }
                let value = value.trim_start_matches(' ');
                if token.replace(value).is_some() || !is_token(value) {
                    return Err(malformed(
                        "it has not one token of the characters tokens have",
                    ));
                }
            } else if is_extension_name(name) && is_extension_value(value) {
                extensions.push((name, value));
            } else {
                return Err(malformed(
                    "an extension of it has a name or value that none may have",
                ));
            }
        }
        Ok(Self {
            authorization_id,
            token: token.ok_or_else(|| malformed("it has no auth field"))?,
            extensions,
        })
    }
}

/// The challenge of a server that refuses a token, in the JSON of RFC 7628: the status (`invalid_token`), the scope that it wants. The
/// client answers it with one byte, and the exchange ends with an error code.
pub fn refuse_token(status: &str, scope: Option<&str>) -> Vec<u8> {
    let mut json = serde_json::Map::new();
    json.insert("status".to_owned(), status.into());
    if let Some(scope) = scope {
        json.insert("scope".to_owned(), scope.into());
    }
    serde_json::Value::from(json).to_string().into_bytes()
}

/// A `b64token` of RFC 6750.
fn is_token(text: &str) -> bool {
    let token = text.trim_end_matches('=');
    !token.is_empty()
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

fn is_extension_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_extension_value(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| matches!(byte, 0x20..=0x7e | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_and_its_extensions_are_framed_as_java_frames_them() {
        let extensions = [("logicalCluster", "lkc-1"), ("pool", "a b")];
        let mut mechanism = OauthBearer::new("aa.bb-_~+/==", &extensions).unwrap();
        assert!(
            mechanism.clone().answer(b"").is_err(),
            "there is nothing to answer yet"
        );
        let message = mechanism.start().unwrap();
        assert_eq!(
            message,
            b"n,,\x01auth=Bearer aa.bb-_~+/==\x01logicalCluster=lkc-1\x01pool=a b\x01\x01"
        );
        let read = OauthToken::read(&message).unwrap();
        assert_eq!(read.token, "aa.bb-_~+/==");
        assert_eq!(read.extensions, extensions);
        assert!(
            !format!("{read:?} {mechanism:?}").contains("aa.bb"),
            "secrets stay inside"
        );
        assert_eq!(mechanism.answer(b"").unwrap(), Step::Done);
        assert!(mechanism.answer(b"").is_err());
    }

    #[test]
    fn a_refusal_is_answered_with_one_byte_and_says_why() {
        let mut mechanism = OauthBearer::new("t", &[]).unwrap();
        mechanism.start().unwrap();
        let challenge = refuse_token("invalid_token", Some("kafka \"write\""));
        let step = mechanism.answer(&challenge).unwrap();
        let Step::Refused { farewell, reason } = step else {
            panic!("{step:?}")
        };
        assert_eq!(farewell, [1]);
        assert_eq!(
            reason.to_string(),
            "OAUTHBEARER was refused: invalid_token, the token needs the scope kafka \"write\""
        );
        assert!(mechanism.answer(b"").is_err());
    }

    #[test]
    fn a_refusal_that_is_no_json_is_shown_as_it_is_cut_and_without_control_characters() {
        for (challenge, shown) in [
            (&b"{\"status\":1}"[..], "{\"status\":1}"),
            (b"[]", "[]"),
            (b"no\x01\xff", "no\u{fffd}\u{fffd}"),
        ] {
            let reason = refusal(challenge).to_string();
            assert!(reason.ends_with(shown), "{reason}");
        }
        let long = refusal("€".repeat(5000).as_bytes()).to_string();
        assert!(long.len() < 500, "{}", long.len());
    }

    #[test]
    fn tokens_and_extensions_that_would_break_the_frame_are_refused() {
        for token in ["", "=", "a b", "a\u{1}b", "a=b", "ü"] {
            assert!(OauthBearer::new(token, &[]).is_err(), "{token:?}");
        }
        for extension in [
            ("", "v"),
            ("a1", "v"),
            ("auth", "v"),
            ("n", ""),
            ("n", "\u{1}"),
            ("n", "ü"),
        ] {
            assert!(
                OauthBearer::new("t", &[extension]).is_err(),
                "{extension:?}"
            );
        }
    }

    #[test]
    fn the_other_side_refuses_what_is_malformed() {
        assert!(OauthToken::read(b"n,a=u,\x01auth=bearer  t\x01\x01").is_ok());
        for message in [
            &b""[..],
            b"n,,",
            b"n,,\x01\x01",
            b"y,,\x01auth=Bearer t\x01\x01",
            b"n,b=u,\x01auth=Bearer t\x01\x01",
            b"n,,\x01auth=Bearer t\x01",
            b"n,,\x01auth=Bearer t",
            b"n,,\x01auth=Bearer\x01\x01",
            b"n,,\x01auth=Basic t\x01\x01",
            b"n,,\x01auth=Bearer t\x01auth=Bearer t\x01\x01",
            b"n,,\x01auth=Bearer t\x01x\x01\x01",
            b"n,,\x01auth=Bearer t\x01x1=v\x01\x01",
            b"n,,\x01auth=Bearer t\x01\x01\xff",
        ] {
            assert!(OauthToken::read(message).is_err(), "{message:?}");
        }
    }
}
