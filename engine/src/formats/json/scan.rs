//! The grammar of JSON (RFC 8259) over bytes, eight at a time where that pays. Nothing is built, nothing is allocated, and nesting costs
//! no stack: what is open is one bit a level.
//!
//! What is found is so small that it travels in registers: places in the document instead of slices, kinds of errors instead of texts.

/// Levels of nesting that are passed over.
pub(super) const DEPTH_MAX: u32 = u128::BITS;

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

/// What stands somewhere instead of what should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: u32,
    pub(super) expected: Expected,
}

/// What should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Object,
    Name,
    Colon,
    Value,
    NextMember,
    NextItem,
    End,
    Digit,
    EndOfText,
    Escape,
    EscapedControl,
    /// Something less deep.
    Depth,
}

impl Expected {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Object => "'{'",
            Self::Name => "a name in quotes",
            Self::Colon => "':'",
            Self::Value => "a value",
            Self::NextMember => "',' or '}'",
            Self::NextItem => "',' or ']'",
            Self::End => "the end",
            Self::Digit => "a digit (and no zero before others)",
            Self::EndOfText => "the end of a text",
            Self::Escape => "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX",
            Self::EscapedControl => "an escape (control characters cannot stand in a text)",
            Self::Depth => "less nesting",
        }
    }
}

// As wide as it is in `Token`, which has no padding: it is copied in words then.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    Null,
    True,
    False,
    /// A number without fraction and exponent, whose digits are `Token::digits`.
    Whole,
    /// A negative one.
    Negative,
    /// A number with a fraction, whose digits are `Token::digits`.
    Fraction,
    /// A negative one.
    NegativeFraction,
    /// A number without fraction and exponent, of 20 digits or more.
    LongWhole,
    /// Any other number.
    Number,
    /// What stands between two quotes.
    Text,
    EscapedText,
    /// With its brackets.
    Array,
    /// With its braces.
    Object,
}

/// A value, where it stands in the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) start: u32,
    pub(super) end: u32,
    /// All digits of a number, as if there were no point.
    pub(super) digits: u64,
    pub(super) kind: Kind,
    /// How many of them stand behind the point.
    pub(super) places: u32,
}

impl Token {
    pub(super) const MISSING: Self = Self {
        start: 0,
        end: 0,
        digits: 0,
        kind: Kind::Missing,
        places: 0,
    };

    #[inline]
    pub(super) fn new(kind: Kind, start: usize, end: usize) -> Self {
        // `Document::new` has seen to it that documents are not that long.
        Self {
            start: start as u32,
            end: end as u32,
            digits: 0,
            kind,
            places: 0,
        }
    }
}

/// A document. Its functions are given a place and return the one behind what they have taken: places are never lent, so that they stay
/// in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'b>(pub(super) &'b [u8]);

impl<'b> Document<'b> {
    /// `None`: it is longer than any record can be.
    #[inline]
    pub(super) fn new(bytes: &'b [u8]) -> Option<Self> {
        (bytes.len() < u32::MAX as usize).then_some(Self(bytes))
    }

    #[cold]
    pub(super) fn expected<T>(self, at: usize, expected: Expected) -> Result<T, Problem> {
        let at = at as u32;
        Err(Problem { at, expected })
    }

    /// What stands from here on.
    #[inline(always)]
    pub(super) fn from(self, at: usize) -> &'b [u8] {
        self.0.get(at..).unwrap_or_default()
    }

    #[inline(always)]
    fn eight(self, at: usize) -> Option<u64> {
        let eight = self.0.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*eight))
    }

    /// The byte here; zero, which is nothing in JSON, at the end.
    #[inline(always)]
    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// The next byte that is no blank and no end of line, and its place; zero at the end.
    #[inline(always)]
    pub(super) fn next(self, at: usize) -> (usize, u8) {
        let byte = self.byte(at);
        if byte > b' ' {
            (at, byte)
        } else {
            self.behind_blanks(at)
        }
    }

    #[inline(never)]
    fn behind_blanks(self, mut at: usize) -> (usize, u8) {
        while let byte @ 1..=b' ' = self.byte(at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                break;
            }
            at += 1;
        }
        (at, self.byte(at))
    }

    /// Takes this byte behind blanks.
    #[inline(always)]
    pub(super) fn take(self, at: usize, byte: u8, expected: Expected) -> Result<usize, Problem> {
        match self.next(at) {
            (at, next) if next == byte => Ok(at + 1),
            (at, _) => self.expected(at, expected),
        }
    }

    /// The place of the first quote, backslash or control character, or the end.
    #[inline(always)]
    fn plain(self, mut at: usize) -> usize {
        while let Some(eight) = self.eight(at) {
            let found = special(eight);
            if found != 0 {
                return at + (found.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
        while let Some(byte) = self.0.get(at)
            && !matches!(byte, b'"' | b'\\' | 0..0x20)
        {
            at += 1;
        }
        at
    }

    /// The place of the closing quote of a text, and whether it has escapes; the opening quote is taken.
    #[inline(always)]
    pub(super) fn text(self, at: usize) -> Result<(usize, bool), Problem> {
        let end = self.plain(at);
        if self.byte(end) == b'"' {
            Ok((end, false))
        } else {
            Ok((self.escaped(end)?, true))
        }
    }

    /// The place of the closing quote of a text, from its first escape on.
    #[inline(never)]
    fn escaped(self, mut at: usize) -> Result<usize, Problem> {
        loop {
            match self.from(at) {
                [b'"', ..] => return Ok(at),
                [b'\\', b'u', a, b, c, d, ..]
                    if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) =>
                {
                    at += 6;
                }
                [b'\\', escape, ..] if simple_escape(*escape).is_some() => at += 2,
                [b'\\', ..] => return self.expected(at, Expected::Escape),
                [] => return self.expected(at, Expected::EndOfText),
                _ => return self.expected(at, Expected::EscapedControl),
            }
            at = self.plain(at);
        }
    }

    /// Takes a number.
    #[inline(always)]
    fn number(self, start: usize) -> Result<(usize, Token), Problem> {
        let first = self.byte(start);
        let is_negative = first == b'-';
        let begin = start + usize::from(is_negative);
        let (mut at, mut digits) = self.digits(begin, 0);
        let mut count = at - begin;
        // Nothing, or a zero before others.
        if count == 0 || (count > 1 && self.byte(begin) == b'0') {
            return self.expected(begin + usize::from(count > 0), Expected::Digit);
        }
        let mut kind = if is_negative {
            Kind::Negative
        } else {
            Kind::Whole
        };
        let mut places = 0;
        let mut behind = self.byte(at);
        if behind == b'.' {
            let point = at + 1;
            (at, digits) = self.digits(point, digits);
            places = at - point;
            if places == 0 {
                return self.expected(at, Expected::Digit);
            }
            count += places;
            kind = if is_negative {
                Kind::NegativeFraction
            } else {
                Kind::Fraction
            };
            behind = self.byte(at);
        }
        if count > 19 || behind | 0x20 == b'e' {
            (at, kind) = self.odd_number(at, places > 0)?;
        }
        let token = Token {
            start: start as u32,
            end: at as u32,
            digits,
            kind,
            places: places as u32,
        };
        Ok((at, token))
    }

    /// Behind the digits of a number that has many, or an exponent.
    #[inline(never)]
    fn odd_number(self, mut at: usize, has_fraction: bool) -> Result<(usize, Kind), Problem> {
        let kind = match self.byte(at) {
            b'e' | b'E' => {
                at += 1;
                at += usize::from(matches!(self.byte(at), b'+' | b'-'));
                let first = at;
                (at, _) = self.digits(first, 0);
                if at == first {
                    return self.expected(at, Expected::Digit);
                }
                Kind::Number
            }
            _ if has_fraction => Kind::Number,
            _ => Kind::LongWhole,
        };
        Ok((at, kind))
    }

    /// Takes digits, none it may be, and appends them to a number. What is made of more than 19 is of no use.
    #[inline(always)]
    fn digits(self, mut at: usize, mut number: u64) -> (usize, u64) {
        while let Some(eight) = self.eight(at) {
            let eight = eight ^ (ONES * b'0' as u64);
            let others = (eight.wrapping_add(ONES * 0x76) | eight) & HIGHS;
            if others == 0 {
                number = append(number, 8, eight);
                at += 8;
                continue;
            }
            // The high bit of the first byte that is no digit: without the lower three it is where that byte begins. The digits move to
            // the end, and what comes in before them are zeros; by two shifts, for one of 64 is none.
            let bits = others.trailing_zeros() & !7;
            let count = (bits / 8) as usize;
            number = append(number, count, eight << 8 << (56 - bits));
            return (at + count, number);
        }
        while let digit @ b'0'..=b'9' = self.byte(at) {
            number = number
                .wrapping_mul(10)
                .wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        (at, number)
    }

    /// Takes any value.
    #[inline(always)]
    pub(super) fn value(self, at: usize) -> Result<(usize, Token), Problem> {
        let (start, byte) = self.next(at);
        match byte {
            b'"' => {
                let (end, has_escapes) = self.text(start + 1)?;
                let kind = if has_escapes {
                    Kind::EscapedText
                } else {
                    Kind::Text
                };
                Ok((end + 1, Token::new(kind, start + 1, end)))
            }
            b'-' | b'0'..=b'9' => self.number(start),
            b'{' => self.nested(start, Kind::Object),
            b'[' => self.nested(start, Kind::Array),
            _ => self.word(start),
        }
    }

    /// Passes over any value.
    #[inline(never)]
    pub(super) fn skip(self, at: usize) -> Result<usize, Problem> {
        Ok(self.value(at)?.0)
    }

    #[inline(never)]
    fn word(self, start: usize) -> Result<(usize, Token), Problem> {
        let words = [
            (&b"true"[..], Kind::True),
            (b"false", Kind::False),
            (b"null", Kind::Null),
        ];
        for (word, kind) in words {
            if self.from(start).starts_with(word) {
                let end = start + word.len();
                return Ok((end, Token::new(kind, start, end)));
            }
        }
        self.expected(start, Expected::Value)
    }

    #[inline(never)]
    fn nested(self, start: usize, kind: Kind) -> Result<(usize, Token), Problem> {
        let end = self.pass_over(start, Open::NONE)?;
        Ok((end, Token::new(kind, start, end)))
    }

    /// Passes over what is left of an object behind one of its values.
    pub(super) fn rest_of_object(self, at: usize) -> Result<usize, Problem> {
        self.pass_over(
            at,
            Open {
                levels: 1,
                kinds: 1,
            },
        )
    }

    /// Passes over an array or object (`open` is empty), or over what is left of those that are open behind a value in them.
    #[inline(never)]
    fn pass_over(self, mut at: usize, mut open: Open) -> Result<usize, Problem> {
        let mut is_value_next = open.levels == 0;
        loop {
            if is_value_next {
                let byte;
                (at, byte) = self.next(at);
                if matches!(byte, b'{' | b'[') {
                    let is_object = byte == b'{';
                    if !open.push(is_object) {
                        return self.expected(at, Expected::Depth);
                    }
                    let next;
                    (at, next) = self.next(at + 1);
                    if next != byte + 2 {
                        if is_object {
                            at = self.name(at)?;
                        }
                        continue;
                    }
                    at += 1;
                    open.pop();
                } else {
                    at = self.skip(at)?;
                }
            }
            let Some(is_object) = open.last() else {
                return Ok(at);
            };
            let byte;
            (at, byte) = self.next(at);
            is_value_next = byte == b',';
            match byte {
                b',' if is_object => at = self.name(at + 1)?,
                b',' => at += 1,
                b'}' if is_object => {
                    at += 1;
                    open.pop();
                }
                b']' if !is_object => {
                    at += 1;
                    open.pop();
                }
                _ if is_object => return self.expected(at, Expected::NextMember),
                _ => return self.expected(at, Expected::NextItem),
            }
        }
    }

    /// Takes a name and its colon.
    #[inline(always)]
    fn name(self, at: usize) -> Result<usize, Problem> {
        let at = self.take(at, b'"', Expected::Name)?;
        let (end, _) = self.text(at)?;
        self.take(end + 1, b':', Expected::Colon)
    }
}

/// The arrays and objects that are open: a bit for each, the innermost lowest, set for an object.
#[derive(Clone, Copy)]
struct Open {
    levels: u32,
    kinds: u128,
}

impl Open {
    const NONE: Self = Self {
        levels: 0,
        kinds: 0,
    };

    fn push(&mut self, is_object: bool) -> bool {
        let fits = self.levels < DEPTH_MAX;
        self.levels += u32::from(fits);
        self.kinds = self.kinds << 1 | u128::from(is_object);
        fits
    }

    fn pop(&mut self) {
        self.levels -= 1;
        self.kinds >>= 1;
    }

    fn last(self) -> Option<bool> {
        (self.levels > 0).then_some(self.kinds & 1 == 1)
    }
}

/// The high bit of the first byte that is a quote, a backslash or a control character is set, and none before it.
#[inline]
fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let found = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    found & HIGHS
}

/// Powers of ten that a `u64` holds.
pub(super) const TENS: [u64; 20] = {
    let mut tens = [1; 20];
    let mut at = 1;
    while at < tens.len() {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

/// Appends `count` digits, at most eight, to a number. They are the last of the eight bytes, the first of them lowest; those before are
/// zeros. Pairs become numbers, then fours, then all.
#[inline(always)]
fn append(number: u64, count: usize, digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = 0x0000_00ff_0000_00ff;
    let fours = (pairs & low).wrapping_mul(100 + (1_000_000 << 32));
    let others = (pairs >> 16 & low).wrapping_mul(1 + (10_000 << 32));
    let digits = fours.wrapping_add(others) >> 32;
    number.wrapping_mul(TENS[count]).wrapping_add(digits)
}

/// What `\` and this byte stand for.
#[inline]
fn simple_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// Hands `out` the parts of a text whose escapes the grammar allows. False when one is half of a surrogate pair.
pub(super) fn unescape(mut text: &[u8], mut out: impl FnMut(&[u8])) -> bool {
    while let Some(at) = text.iter().position(|b| *b == b'\\') {
        out(&text[..at]);
        text = match &text[at..] {
            [_, b'u', rest @ ..] => {
                let Some((scalar, rest)) = scalar(rest) else {
                    return false;
                };
                out(scalar.encode_utf8(&mut [0; 4]).as_bytes());
                rest
            }
            [_, byte, rest @ ..] => {
                out(&[simple_escape(*byte).unwrap_or(*byte)]);
                rest
            }
            _ => return false,
        };
    }
    out(text);
    true
}

/// The character that begins with the hexadecimal digits here, and what stands behind it.
fn scalar(text: &[u8]) -> Option<(char, &[u8])> {
    let unit = |text: &[u8]| {
        let digits = str::from_utf8(text.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (first, rest) = (unit(text)?, &text[4..]);
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let rest = rest.strip_prefix(b"\\u")?;
    let second = unit(rest)?.checked_sub(0xdc00).filter(|s| *s < 0x400)?;
    let scalar = 0x1_0000 + ((first - 0xd800) << 10 | second);
    Some((char::from_u32(scalar)?, &rest[4..]))
}
