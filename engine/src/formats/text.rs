//! Text: words.

use bumpalo::Bump;

/// The words of a line: the maximal runs of ASCII letters, digits and `_`, in lower case. Everything else separates.
///
/// Words without capital letters are borrowed from the line; others are made in `scratch`.
///
/// ```
/// let scratch = bumpalo::Bump::new();
/// let words: Vec<_> = engine::formats::text::words("Don't panic: it's 42_000, naïve!", &scratch).collect();
/// assert_eq!(words, ["don", "t", "panic", "it", "s", "42_000", "na", "ve"]);
/// ```
pub fn words<'b>(line: &'b str, scratch: &'b Bump) -> Words<'b> {
    Words {
        line,
        scratch,
        base: 0,
        next: 0,
        edges: 0,
        capitals: 0,
        is_in_word: false,
    }
}

/// The words of a line; see [`words`].
///
/// It looks at 64 bytes at once: one bit for each byte that belongs to a word. Where that changes a word begins or ends.
#[derive(Clone, Debug)]
pub struct Words<'b> {
    line: &'b str,
    scratch: &'b Bump,
    /// Where the block begins that the bits are of, and the one behind it.
    base: usize,
    next: usize,
    /// Bit `i` is set if a word begins or ends before the byte `base + i`. What was given out is cleared, here and in `capitals`.
    edges: u64,
    capitals: u64,
    /// Whether the block's last byte belongs to a word.
    is_in_word: bool,
}

const BLOCK: usize = 64;

/// One bit for each byte of which `is` says so. Written for vector instructions: `is` must not branch.
#[inline(always)]
fn bits(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
    let flags = block.map(|byte| u8::from(is(byte)));
    let (eights, _) = flags.as_chunks::<8>();
    // The product moves the flag of byte i to bit 56 + i; no two of its terms meet, so nothing is carried.
    let gather =
        |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights
        .iter()
        .rev()
        .fold(0, |mask, eight| mask << 8 | gather(eight))
}

/// The bytes of a block that belong to words, and those that are capital letters.
fn look(block: &[u8; BLOCK]) -> (u64, u64) {
    let is_word = |byte: u8| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit = byte.wrapping_sub(b'0') < 10;
        is_letter | is_digit | (byte == b'_')
    };
    let is_capital = |byte: u8| byte.wrapping_sub(b'A') < 26;
    let has_capitals = block
        .iter()
        .fold(false, |any, byte| any | is_capital(*byte));
    let capitals = if has_capitals {
        bits(block, is_capital)
    } else {
        0
    };
    (bits(block, is_word), capitals)
}

/// As [`look`] for what begins at `at`: a block, or less at the end of the line.
#[inline(never)]
fn look_at(line: &[u8], at: usize) -> (u64, u64) {
    let rest = line.get(at..).unwrap_or_default();
    if let Some(block) = rest.first_chunk::<BLOCK>() {
        return look(block);
    }
    if let Some(last) = line.last_chunk::<BLOCK>()
        && !rest.is_empty()
    {
        let (words, capitals) = look(last);
        let seen = BLOCK - rest.len();
        return (words >> seen, capitals >> seen);
    }
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    look(&block)
}

impl<'b> Words<'b> {
    /// Goes on to the next block; false at the end of the line.
    #[inline(always)]
    fn load(&mut self) -> bool {
        // A word may end with the line at the end of a block.
        if self.next >= self.line.len() && !self.is_in_word {
            return false;
        }
        let (words, capitals) = look_at(self.line.as_bytes(), self.next);
        self.edges = words ^ (words << 1 | u64::from(self.is_in_word));
        self.capitals = capitals;
        self.is_in_word = words >> (BLOCK - 1) != 0;
        self.base = self.next;
        self.next += BLOCK;
        true
    }

    #[inline(never)]
    fn in_lower_case(word: &str, scratch: &'b Bump) -> &'b str {
        let lower = scratch.alloc_str(word);
        lower.make_ascii_lowercase();
        lower
    }
}

impl<'b> Iterator for Words<'b> {
    type Item = &'b str;

    #[inline(always)]
    fn next(&mut self) -> Option<&'b str> {
        while self.edges == 0 {
            if !self.load() {
                return None;
            }
        }
        let start = self.base + self.edges.trailing_zeros() as usize;
        self.edges &= self.edges - 1;
        let mut has_capitals = false;
        while self.edges == 0 {
            has_capitals |= self.capitals != 0;
            self.load();
        }
        let end = self.edges.trailing_zeros();
        self.edges &= self.edges - 1;
        // Those of the words before are cleared.
        has_capitals |= self.capitals.trailing_zeros() < end;
        // Both ends stand beside an ASCII byte: never inside of a character.
        let word = &self.line[start..self.base + end as usize];
        if has_capitals {
            self.capitals &= u64::MAX << end;
            return Some(Self::in_lower_case(word, self.scratch));
        }
        Some(word)
    }
}

impl std::iter::FusedIterator for Words<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Byte by byte, as the words are defined.
    fn naive(line: &str) -> Vec<String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let runs = line.split(|c| !is_word(c)).filter(|w| !w.is_empty());
        runs.map(str::to_ascii_lowercase).collect()
    }

    #[test]
    fn words_at_the_edges_of_blocks_are_whole() {
        for lead in [0, 1, 62, 63, 64, 65, 127, 128] {
            for len in [1, 2, 63, 64, 65, 128, 300] {
                for tail in ["", " ", " x", "é", "é y"] {
                    let line = format!("{}{}{tail}", " ".repeat(lead), "W".repeat(len));
                    let scratch = Bump::new();
                    assert!(words(&line, &scratch).eq(naive(&line)), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn words_in_lower_case_are_borrowed() {
        let scratch = Bump::new();
        let line = "all in lower case, however long the line may be: no copy is made of it";
        let first = words(line, &scratch).next();
        assert_eq!(first.map(str::as_ptr), Some(line.as_ptr()));
        assert_eq!(scratch.allocated_bytes(), 0);
    }

    proptest! {
        #[test]
        fn words_are_the_runs_of_letters_digits_and_underscores(line in "[ -~é\u{4e00}\t]{0,300}|[a-zA-Z_ ]{0,300}") {
            let scratch = Bump::new();
            prop_assert!(words(&line, &scratch).eq(naive(&line)));
        }

        #[test]
        fn any_text_has_its_words(line in any::<String>()) {
            let scratch = Bump::new();
            prop_assert!(words(&line, &scratch).eq(naive(&line)));
        }
    }
}
