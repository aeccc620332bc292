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
    let line = if has_capitals(line.as_bytes()) {
        let lower = scratch.alloc_str(line);
        lower.make_ascii_lowercase();
        lower
    } else {
        line
    };
    Words {
        line,
        base: 0,
        next: 0,
        mask: 0,
    }
}

/// The words of a line; see [`words`].
///
/// It looks at 64 bytes at once: one bit for each byte that belongs to a word, and then finds the ends of the runs of ones.
#[derive(Clone, Debug)]
pub struct Words<'b> {
    line: &'b str,
    /// Where the block begins that `mask` is of.
    base: usize,
    /// Where the block after it begins.
    next: usize,
    /// What is left of the block: bit `i` is set if the byte `base + i` belongs to a word.
    mask: u64,
}

const BLOCK: usize = 64;

fn has_capitals(line: &[u8]) -> bool {
    // Within a chunk without a way out, so that it becomes vector instructions.
    let in_chunk = |chunk: &[u8]| {
        chunk
            .iter()
            .fold(false, |any, b| any | b.is_ascii_uppercase())
    };
    let (chunks, rest) = line.as_chunks::<32>();
    chunks.iter().any(|c| in_chunk(c)) || in_chunk(rest)
}

#[inline]
fn word_bytes(block: &[u8; BLOCK]) -> u64 {
    let mut flags = [0u8; BLOCK];
    for (flag, byte) in flags.iter_mut().zip(block) {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit = byte.wrapping_sub(b'0') < 10;
        *flag = u8::from(is_letter | is_digit | (*byte == b'_'));
    }
    let (eights, _) = flags.as_chunks::<8>();
    // The product moves the flag of byte i to bit 56 + i; no two of its terms meet, so nothing is carried.
    let gather =
        |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights
        .iter()
        .rev()
        .fold(0, |mask, eight| mask << 8 | gather(eight))
}

impl Words<'_> {
    /// Goes on to the next block; false at the end of the line.
    #[inline]
    fn load(&mut self) -> bool {
        let rest = &self.line.as_bytes()[self.next..];
        self.base = self.next;
        if let Some(block) = rest.first_chunk::<BLOCK>() {
            self.mask = word_bytes(block);
            self.next += BLOCK;
        } else {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            self.mask = word_bytes(&block);
            self.next += rest.len();
        }
        !rest.is_empty()
    }

    /// The end of a word that reaches the end of its block.
    #[inline(never)]
    fn end_behind_block(&mut self) -> usize {
        while self.load() {
            let more = self.mask.trailing_ones();
            if more < u64::BITS {
                self.mask &= u64::MAX << more;
                return self.base + more as usize;
            }
        }
        self.line.len()
    }
}

impl<'b> Iterator for Words<'b> {
    type Item = &'b str;

    #[inline]
    fn next(&mut self) -> Option<&'b str> {
        while self.mask == 0 {
            if !self.load() {
                return None;
            }
        }
        let first = self.mask.trailing_zeros();
        let end = (self.mask | ((1 << first) - 1)).trailing_ones();
        let start = self.base + first as usize;
        let end = if end < u64::BITS {
            self.mask &= u64::MAX << end;
            self.base + end as usize
        } else {
            self.end_behind_block()
        };
        // Both ends stand beside an ASCII byte: never inside of a character.
        Some(&self.line[start..end])
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
    fn a_line_in_lower_case_is_borrowed() {
        let scratch = Bump::new();
        let line = "all in lower case, however long the line may be: no copy is made of it";
        let first = words(line, &scratch).next();
        assert_eq!(first.map(str::as_ptr), Some(line.as_ptr()));
        assert_eq!(scratch.allocated_bytes(), 0);
    }

    proptest! {
        #[test]
        fn words_are_the_runs_of_letters_digits_and_underscores(line in "[ -~é\u{4e00}\t]{0,200}") {
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
