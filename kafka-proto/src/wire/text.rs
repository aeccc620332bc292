//! UTF-8 text that is a slice of a frame.

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
};

use bytes::Bytes;

/// A refcounted string: what the protocol calls `string`, as a slice of the frame it came in.
///
/// Cloning copies no text. Comparing works on bytes; taking it as `&str` runs the UTF-8 check again (there is no `unsafe` here),
/// some nanoseconds for a topic name: borrow once outside a loop. A kept `Text` keeps its whole frame alive: see
/// [`Text::detach`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// The empty text.
    pub const EMPTY: Self = Self(Bytes::new());

    /// Text that is part of the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Bytes as text, if they are UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Some(Self(bytes)),
            Err(_) => None,
        }
    }

    /// As a string slice.
    pub fn as_str(&self) -> &str {
        // Checked when it was made, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The UTF-8 bytes, free of charge.
    pub const fn as_utf8(&self) -> &Bytes {
        &self.0
    }

    /// A copy that keeps no frame alive: for what outlives a response (caches, snapshots).
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

// As `str` hashes, which `Borrow<str>` asks for.
impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// Shares the bytes.
impl From<&Self> for Text {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text.into_bytes()))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_map_with_text_keys_is_found_by_str() {
        let map = HashMap::from([(Text::from("größe"), 1)]);
        assert_eq!(map.get("größe"), Some(&1));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_no_text() {
        assert_eq!(Text::from_utf8(Bytes::from_static(b"\xc3\x28")), None);
        assert_eq!(
            Text::from_utf8(Bytes::from_static(b"ok")),
            Some(Text::from_static("ok"))
        );
    }
}
