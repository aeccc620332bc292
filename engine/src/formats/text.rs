//! Text: words.

use bumpalo::Bump;

/// The words of a line: the maximal runs of ASCII letters, digits and `_`, in lower case. Everything else separates.
///
/// A line without capital letters is borrowed as it is; else its lower case is made once, in `scratch`.
///
/// ```
/// let scratch = bumpalo::Bump::new();
/// let words: Vec<_> = engine::formats::text::words("Don't panic: it's 42_000, naïve!", &scratch).collect();
/// assert_eq!(words, ["don", "t", "panic", "it", "s", "42_000", "na", "ve"]);
/// ```
pub fn words<'b>(line: &'b str, scratch: &'b Bump) -> Words<'b> {
    let rest = if line.bytes().any(|b| b.is_ascii_uppercase()) {
        let lower = scratch.alloc_str(line);
        lower.make_ascii_lowercase();
        lower
    } else {
        line
    };
    Words { rest }
}

/// The words of a line; see [`words`].
#[derive(Clone, Debug)]
pub struct Words<'b> {
    rest: &'b str,
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl<'b> Iterator for Words<'b> {
    type Item = &'b str;

    #[inline]
    fn next(&mut self) -> Option<&'b str> {
        let start = self.rest.bytes().position(is_word)?;
        let rest = &self.rest[start..];
        let end = rest.bytes().position(|b| !is_word(b)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        Some(word)
    }
}
