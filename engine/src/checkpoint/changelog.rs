//! The changelog's format, version 2: one compacted topic for each keyed operator, one partition for each key group.
//!
//! ```text
//! record key    00                     the state's identity, first record of each partition: JSON, readable with any Kafka tool
//!               01 ‖ key bytes         one key's state; a null value deletes it
//! record value  state bytes
//! ```
//! A first byte that is not known stops the restore: a later version wrote it. Version 1 had watermarks (`02`) in it; they are in the
//! metadata of the committed offsets now (`offset_metadata.rs`), and what windows have let go of may still stand in a changelog: it is past
//! at the committed watermark.

use serde_json::{Value, json};

use super::offset_metadata::reset_command;
use crate::Error;

/// The first byte of the identity record's key, and all of it.
pub(crate) const IDENTITY_KEY: &[u8] = &[0];
/// The first byte of the key of a state entry.
pub(crate) const ENTRY: u8 = 1;
const FORMAT: u64 = 2;

/// Kafka Streams' name for an operator's changelog topic.
pub(crate) fn topic(application_id: &str, operator: &str) -> String {
    format!("{application_id}-{operator}-changelog")
}

/// Whether a topic is named as internal topics with this prefix are. It may still be another application's, whose prefix is longer.
pub(crate) fn may_be_of(prefix: &str, topic: &str) -> bool {
    let rest = topic
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.ends_with("-changelog") || rest == POSITIONS)
}

/// What follows the prefix in the name of the topic with the positions of sources that are not Kafka's.
const POSITIONS: &str = "positions";

/// The internal topic that an identity belongs to. That of positions belongs to no operator.
pub(crate) fn internal_topic(prefix: &str, operator: &str) -> String {
    match operator {
        "" => format!("{prefix}-{POSITIONS}"),
        _ => topic(prefix, operator),
    }
}

/// The identity of the topic with positions.
pub(crate) fn identity_of_positions(application_id: &str) -> Vec<u8> {
    json!({
        "format": 1,
        "application.id": application_id,
        "operator": "",
        "kind": "positions",
    })
    .to_string()
    .into_bytes()
}

/// The application and operator that an identity names, of whatever format it is; `None` if it is none.
pub(crate) fn owner(identity: &[u8]) -> Option<(String, String)> {
    let value: Value = serde_json::from_slice(identity).ok()?;
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    value["format"].as_u64()?;
    Some((text("application.id")?, text("operator")?))
}

/// Whose state a changelog holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) application_id: String,
    pub(crate) operator: String,
    /// What the operator is and what its state holds: another kind cannot read it.
    pub(crate) kind: String,
    pub(crate) key_groups: u32,
    /// Decides the key group of each key; drawn when the application is created.
    pub(crate) hash_seed: u64,
}

impl Identity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        json!({
            "format": FORMAT,
            "application.id": self.application_id,
            "operator": self.operator,
            "kind": self.kind,
            "key.groups": self.key_groups,
            // As text: not every JSON reader keeps 64 bits of a number.
            "hash.seed": format!("{:016x}", self.hash_seed),
        })
        .to_string()
        .into_bytes()
    }

    /// # Errors
    /// [`Error::State`] when the bytes are not an identity or have a format that this version does not know.
    pub(crate) fn decode(topic: &str, bytes: &[u8]) -> Result<Self, Error> {
        let foreign = || {
            Error::State(format!(
                "topic {topic} was not written by this engine: its first record is no state identity; use another application id (--group-id)"
            ))
        };
        let value: Value = serde_json::from_slice(bytes).map_err(|_| foreign())?;
        let format = value["format"].as_u64().ok_or_else(foreign)?;
        let text = |name: &str| value[name].as_str().map(str::to_owned).ok_or_else(foreign);
        if format != FORMAT {
            let (age, reset) = match format < FORMAT {
                true => ("an earlier", reset_command(&text("application.id")?)),
                false => (
                    "a later",
                    "use another application id (--group-id)".to_owned(),
                ),
            };
            return Err(Error::State(format!(
                "topic {topic} has state format {format}, of {age} version of the engine; this version reads format {FORMAT}: run the version that wrote it, or begin anew, with all of the input: {reset}"
            )));
        }
        Ok(Self {
            application_id: text("application.id")?,
            operator: text("operator")?,
            kind: text("kind")?,
            key_groups: value["key.groups"]
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(foreign)?,
            hash_seed: u64::from_str_radix(&text("hash.seed")?, 16).map_err(|_| foreign())?,
        })
    }

    /// Whether state with this identity can be taken up by an operator that expects `mine`; the seed is taken from the state.
    ///
    /// # Errors
    /// [`Error::State`] naming what differs.
    pub(crate) fn check(&self, topic: &str, mine: &Self) -> Result<(), Error> {
        let differs = |what: &str, theirs: &str, mine: &str| {
            Err(Error::State(format!(
                "topic {topic} holds state of another application: its {what} is {theirs}, here it is {mine}; use another application id (--group-id), or delete the topic to start anew"
            )))
        };
        if self.application_id != mine.application_id {
            return differs("application.id", &self.application_id, &mine.application_id);
        }
        if self.operator != mine.operator {
            return differs("operator", &self.operator, &mine.operator);
        }
        if self.kind != mine.kind {
            return differs("operator kind", &self.kind, &mine.kind);
        }
        if self.key_groups != mine.key_groups {
            return differs(
                "number of key groups",
                &self.key_groups.to_string(),
                &mine.key_groups.to_string(),
            );
        }
        Ok(())
    }
}

/// What one record of a changelog says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Identity(&'a [u8]),
    Put { key: &'a [u8], state: &'a [u8] },
    Delete { key: &'a [u8] },
}

/// Reads one record.
///
/// # Errors
/// [`Error::State`] when the record is of no kind that this version knows.
pub(crate) fn entry<'a>(
    topic: &str,
    offset: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
) -> Result<Entry<'a>, Error> {
    match (key, value) {
        (Some(IDENTITY_KEY), Some(value)) => Ok(Entry::Identity(value)),
        (Some([ENTRY, key @ ..]), Some(state)) => Ok(Entry::Put { key, state }),
        (Some([ENTRY, key @ ..]), None) => Ok(Entry::Delete { key }),
        _ => Err(Error::State(format!(
            "topic {topic} offset {offset}: a record that this version cannot read; it was not written by this application, or by a later version"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            application_id: "wordcount".into(),
            operator: "count-1".into(),
            kind: "count".into(),
            key_groups: 16,
            hash_seed: 0xfedc_ba98_7654_3210,
        }
    }

    #[test]
    fn an_identity_survives_the_log() {
        assert_eq!(
            Identity::decode("t", &identity().encode()).unwrap(),
            identity()
        );
    }

    #[test]
    fn state_of_another_application_is_refused_and_the_difference_named() {
        let other = Identity {
            application_id: "billing".into(),
            ..identity()
        };
        let error = other.check("t", &identity()).unwrap_err().to_string();
        assert!(
            error.contains("application.id is billing") && error.contains("--group-id"),
            "{error}"
        );
        for other in [
            Identity {
                operator: "reduce-1".into(),
                ..identity()
            },
            Identity {
                kind: "reduce".into(),
                ..identity()
            },
            Identity {
                key_groups: 8,
                ..identity()
            },
        ] {
            other.check("t", &identity()).unwrap_err();
        }
        Identity {
            hash_seed: 1,
            ..identity()
        }
        .check("t", &identity())
        .unwrap();
    }

    #[test]
    fn earlier_and_later_formats_and_foreign_bytes_are_told_apart_and_each_says_what_to_do() {
        let of = |format: u64| {
            let identity = String::from_utf8(identity().encode()).unwrap();
            let identity = identity.replace("\"format\":2", &format!("\"format\":{format}"));
            let error = Identity::decode("t", identity.as_bytes());
            error.unwrap_err().to_string()
        };
        let later = of(3);
        assert!(
            later.contains("state format 3") && later.contains("a later version"),
            "{later}"
        );
        let earlier = of(1);
        assert!(
            earlier.contains("state format 1")
                && earlier.contains("an earlier version")
                && earlier.contains(
                    "kafka-engine reset --bootstrap-servers HOST:PORT --group-id wordcount"
                ),
            "{earlier}"
        );
        let error = Identity::decode("t", b"hello").unwrap_err().to_string();
        assert!(error.contains("not written by this engine"), "{error}");
    }

    #[test]
    fn records_of_no_known_kind_stop_the_restore() {
        assert_eq!(
            entry("t", 0, Some(b"\x01the"), Some(b"5")).unwrap(),
            Entry::Put {
                key: b"the",
                state: b"5"
            }
        );
        assert_eq!(
            entry("t", 0, Some(b"\x01the"), None).unwrap(),
            Entry::Delete { key: b"the" }
        );
        assert_eq!(
            entry("t", 0, Some(b"\x01"), Some(b"")).unwrap(),
            Entry::Put {
                key: b"",
                state: b""
            }
        );
        for (key, value) in [
            (None, Some(&b"x"[..])),
            (Some(&b""[..]), None),
            (Some(b"\x02"), Some(b"12345678")),
            (Some(b"\x00"), None),
        ] {
            entry("t", 7, key, value).unwrap_err();
        }
    }
}
