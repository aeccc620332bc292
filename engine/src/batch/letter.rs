//! Dead letters: a refused record or row with headers that say where it comes from and why, cut where it does not fit.

use std::borrow::Cow;

use kafka_proto::records::{self, BatchBuilder, BuildError};

use super::{
    Outbox,
    produce::{SinkError, Target},
};

/// Bytes of a reason that are kept: one that quotes its input must not double the letter.
const MESSAGE_MAX: usize = 1024;
/// Most bytes of a batch of one record beside key, value and headers.
const OVERHEAD: usize = 61 + 5 + 1 + 10 + 5 + 5 + 5 + 5;
/// Most bytes of a header beside its name and value.
const HEADER_OVERHEAD: usize = 10;
/// Headers of this kind are the engine's.
const OURS: &str = "__errors.";

/// A dead letter.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    headers: Vec<(Cow<'a, str>, Option<Cow<'a, [u8]>>)>,
}

impl<'a> Letter<'a> {
    /// One of a row.
    pub(crate) fn of_row(timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        Self {
            timestamp,
            key,
            value,
            headers: Vec::new(),
        }
    }

    /// One of a record, with its headers.
    pub(crate) fn of_record(record: &records::Record<'a>) -> Self {
        let headers = record.headers.map(|h| (h.name(), h.value().map(Cow::from)));
        Self {
            headers: headers.collect(),
            ..Self::of_row(record.timestamp, record.key, record.value)
        }
    }

    /// One of a result that a sink's topic does not take.
    pub(crate) fn of_result(
        record: &records::Record<'a>,
        operator: &str,
        topic: &str,
        reason: &str,
    ) -> Self {
        let mut letter = Self::of_record(record);
        letter.say("sink", topic);
        letter.say("operator", operator);
        letter.say("message", reason);
        letter
    }

    /// Adds what is known, as the header `__errors.` and `what`; of a text that is very long its beginning.
    pub(crate) fn say(&mut self, what: &str, text: &str) {
        let text = match text.len() {
            ..=MESSAGE_MAX => text.to_owned(),
            len => {
                let end = text.floor_char_boundary(MESSAGE_MAX);
                format!("{}… ({len} bytes)", &text[..end])
            }
        };
        let (name, value) = (format!("{OURS}{what}"), text.into_bytes());
        self.headers.push((name.into(), Some(value.into())));
    }

    /// Its size in a batch of its own at most, without compression.
    fn size_bytes(&self) -> usize {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let header = |(name, value): &(Cow<'a, str>, Option<Cow<'a, [u8]>>)| {
            name.len() + len(value.as_deref()) + HEADER_OVERHEAD
        };
        let headers: usize = self.headers.iter().map(header).sum();
        OVERHEAD + len(self.key) + len(self.value) + headers
    }

    /// Cuts it to at most `limit` bytes: its value first, then the headers that are not the engine's go, then its key is cut. What was cut
    /// says how long it was. False when it does not fit even so.
    pub(crate) fn cut(&mut self, limit: usize) -> bool {
        if self.size_bytes() <= limit {
            return true;
        }
        let value = self.value;
        self.was_cut("truncated", value);
        self.value = cut_by(value, self.size_bytes().saturating_sub(limit));
        if self.size_bytes() > limit {
            let before = self.headers.len();
            self.headers.retain(|(name, _)| name.starts_with(OURS));
            let gone = before - self.headers.len();
            if gone > 0 {
                self.say("headers_left_out", &gone.to_string());
            }
            // Without them there may be room for some of the value again.
            self.value = value;
            self.value = cut_by(value, self.size_bytes().saturating_sub(limit));
        }
        if self.size_bytes() > limit && self.key.is_some() {
            self.was_cut("key_truncated", self.key);
            self.key = cut_by(self.key, self.size_bytes() - limit);
        }
        self.size_bytes() <= limit
    }

    /// Notes the size of a part that is going to be cut; once, also when it is cut again.
    fn was_cut(&mut self, what: &str, part: Option<&[u8]>) {
        let name = format!("{OURS}{what}");
        if let Some(part) = part
            && self.headers.iter().all(|(known, _)| *known != name)
        {
            self.say(what, &part.len().to_string());
        }
    }

    /// Calls `f` with its headers as they are written.
    fn with_headers<R>(&self, f: impl FnOnce(&[(&str, Option<&[u8]>)]) -> R) -> R {
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.as_ref(), value.as_deref()))
            .collect();
        f(&headers)
    }

    /// Writes it into the batches of its topic.
    pub(crate) fn write(&self, outbox: &mut Outbox) -> Result<(), SinkError> {
        let Self {
            timestamp,
            key,
            value,
            ..
        } = *self;
        self.with_headers(|headers| {
            outbox.append_with_headers(Target::Key, timestamp, key, value, headers)
        })
    }

    /// Writes it into a batch.
    pub(crate) fn append_to(&self, batch: &mut BatchBuilder) -> Result<(), BuildError> {
        let Self {
            timestamp,
            key,
            value,
            ..
        } = *self;
        self.with_headers(|headers| batch.append(timestamp, key, value, headers))?;
        Ok(())
    }
}

fn cut_by(part: Option<&[u8]>, excess: usize) -> Option<&[u8]> {
    part.map(|part| &part[..part.len().saturating_sub(excess)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(letter: &Letter<'_>, what: &str) -> Option<String> {
        let name = format!("{OURS}{what}");
        let found = letter.headers.iter().find(|(known, _)| *known == name)?;
        Some(String::from_utf8_lossy(found.1.as_deref()?).into_owned())
    }

    #[test]
    fn a_letter_that_fits_is_not_touched() {
        let mut letter = Letter::of_row(0, Some(b"key"), Some(b"value"));
        let size = letter.size_bytes();
        assert!(letter.cut(size));
        assert_eq!(letter.value, Some(&b"value"[..]));
        assert_eq!(header(&letter, "truncated"), None);
    }

    #[test]
    fn the_value_is_cut_first_then_foreign_headers_go_then_the_key_is_cut() {
        let (key, value, big) = (vec![b'k'; 300], vec![b'v'; 1000], vec![b'h'; 500]);
        let make = || {
            let mut letter = Letter::of_row(0, Some(&key), Some(&value));
            letter
                .headers
                .push(("trace".into(), Some(big.as_slice().into())));
            letter.say("message", "too large");
            letter
        };
        let whole = make().size_bytes();
        let cut = |limit: usize| {
            let mut letter = make();
            assert!(letter.cut(limit), "{limit}");
            assert!(letter.size_bytes() <= limit, "{limit}");
            let parts = (
                letter.key.map_or(0, <[u8]>::len),
                letter.value.map_or(0, <[u8]>::len),
            );
            (
                parts,
                header(&letter, "truncated"),
                header(&letter, "headers_left_out"),
                letter,
            )
        };
        let ((key_len, value_len), truncated, gone, _) = cut(whole - 1);
        assert_eq!(
            (key_len, truncated.as_deref(), gone),
            (300, Some("1000"), None)
        );
        assert!((900..1000).contains(&value_len), "{value_len}");
        let ((key_len, value_len), truncated, gone, _) = cut(900);
        assert_eq!(
            (key_len, truncated.as_deref(), gone.as_deref()),
            (300, Some("1000"), Some("1"))
        );
        assert!(
            value_len > 100,
            "what the header took is the value's again: {value_len}"
        );
        let ((key_len, value_len), _, _, letter) = cut(400);
        assert_eq!(value_len, 0);
        assert!((1..300).contains(&key_len), "{key_len}");
        assert_eq!(header(&letter, "key_truncated").as_deref(), Some("300"));
        assert_eq!(header(&letter, "message").as_deref(), Some("too large"));
        assert!(!make().cut(100));
    }

    #[test]
    fn a_second_cut_says_the_size_before_the_first() {
        let value = vec![b'v'; 1000];
        let mut letter = Letter::of_row(0, None, Some(&value));
        assert!(letter.cut(700) && letter.cut(300));
        assert_eq!(header(&letter, "truncated").as_deref(), Some("1000"));
        assert_eq!(letter.headers.len(), 1);
    }

    #[test]
    fn a_reason_that_quotes_its_input_is_cut_between_two_characters() {
        let mut letter = Letter::of_row(0, None, None);
        letter.say("message", &format!("a{}", "é".repeat(4000)));
        let message = header(&letter, "message").unwrap();
        assert!(message.ends_with("… (8001 bytes)"), "{message}");
        assert!(message.len() < MESSAGE_MAX + 30);
        assert!(!message.contains('\u{fffd}'));
    }
}
