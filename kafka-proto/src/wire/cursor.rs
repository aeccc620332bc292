//! How a message's fields are read: a cursor that never fails in the middle.
//!
//! Its first fault is remembered, and from there on it stands at the end of its bytes and hands out zeros; who reads a whole
//! message asks once, behind the last field. So a field costs a comparison and a load, and no error path of its own: that is
//! less code in four hundred structs, and faster.

use bytes::Bytes;

use super::{DecodeError, DecodeErrorKind, Text, varint};

/// A cursor over one refcounted frame that remembers its first fault.
#[derive(Debug)]
pub struct Cursor<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    fault: Option<DecodeError>,
}

macro_rules! integers {
    ($($name:ident: $ty:ty, $doc:literal;)*) => {$(
        #[doc = concat!("Reads ", $doc, ", big-endian; 0 behind a fault.")]
        #[inline]
        pub fn $name(&mut self) -> $ty {
            match self.rest.split_first_chunk() {
                Some((bytes, rest)) => {
                    self.rest = rest;
                    <$ty>::from_be_bytes(*bytes)
                }
                None => {
                    self.truncated(size_of::<$ty>());
                    <$ty>::default()
                }
            }
        }
    )*};
}

impl<'a> Cursor<'a> {
    /// A cursor `at` bytes behind the start of `frame`.
    pub(super) fn new(frame: &'a Bytes, at: usize) -> Self {
        Self {
            frame,
            rest: frame.get(at..).unwrap_or_default(),
            fault: None,
        }
    }

    /// Bytes from the start of the frame.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.frame.len() - self.rest.len()
    }

    /// Bytes left; none behind a fault.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether there was a fault: loops over what the bytes announce end then.
    #[inline]
    pub const fn failed(&self) -> bool {
        self.fault.is_some()
    }

    /// The first fault, or how far the cursor has come.
    pub(super) const fn finish(self) -> Result<usize, DecodeError> {
        match self.fault {
            None => Ok(self.offset()),
            Some(fault) => Err(fault),
        }
    }

    /// Notes a fault at `offset`, unless there was one before, and stands at the end from here on.
    #[cold]
    #[inline(never)]
    pub fn fail(&mut self, offset: usize, kind: DecodeErrorKind) {
        if self.fault.is_none() {
            self.fault = Some(DecodeError { kind, offset });
        }
        self.rest = &[];
    }

    /// Notes that null stands at `offset`, where this version allows none.
    #[cold]
    pub fn null(&mut self, offset: usize) {
        self.fail(offset, DecodeErrorKind::Null);
    }

    #[cold]
    #[inline(never)]
    fn truncated(&mut self, needed: usize) {
        let left = self.remaining();
        self.fail(self.offset(), DecodeErrorKind::Truncated { needed, left });
    }

    integers! {
        i8: i8, "a signed byte";
        u8: u8, "a byte";
        i16: i16, "16 signed bits";
        u16: u16, "16 unsigned bits";
        i32: i32, "32 signed bits";
        i64: i64, "64 signed bits";
        f64: f64, "an IEEE 754 double";
        u128: u128, "128 bits";
    }

    /// Reads an unsigned 32-bit varint; 0 behind a fault.
    #[inline]
    pub fn unsigned_varint(&mut self) -> u32 {
        match self.rest {
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                u32::from(*byte)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> u32 {
        match varint::read_u32(self.rest) {
            Ok((value, len)) => {
                self.rest = &self.rest[len..];
                value
            }
            Err(kind) => {
                self.fail(self.offset(), kind);
                0
            }
        }
    }

    /// Reads a length or count that may be null: of 32 bits, of 16 if it is `short`, or compact.
    #[inline]
    fn length(&mut self, compact: bool, short: bool) -> Option<usize> {
        let start = self.offset();
        let length = if compact {
            i64::from(self.unsigned_varint()) - 1
        } else if short {
            i64::from(self.i16())
        } else {
            i64::from(self.i32())
        };
        // A compact string is no longer than a plain one (KIP-482 keeps the limit).
        let most = if short {
            i64::from(i16::MAX)
        } else {
            i64::from(i32::MAX)
        };
        match length {
            -1 => None,
            0.. if length <= most => Some(length as usize),
            _ => {
                self.fail(start, DecodeErrorKind::Length(length));
                None
            }
        }
    }

    /// Takes the next `len` bytes as a slice that shares the frame.
    #[inline]
    fn take(&mut self, len: usize) -> Bytes {
        match self.rest.split_at_checked(len) {
            Some((_, rest)) => {
                let start = self.offset();
                self.rest = rest;
                self.frame.slice(start..start + len)
            }
            None => {
                self.truncated(len);
                Bytes::new()
            }
        }
    }

    /// Reads bytes behind their length; `None` is null, or a fault.
    #[inline]
    pub fn bytes(&mut self, compact: bool) -> Option<Bytes> {
        let len = self.length(compact, false)?;
        Some(self.take(len))
    }

    /// Reads text behind its length; `None` is null, or a fault.
    #[inline(never)]
    pub fn text(&mut self, compact: bool) -> Option<Text> {
        let len = self.length(compact, true)?;
        let start = self.offset();
        let text = Text::from_utf8(self.take(len));
        if text.is_none() {
            self.fail(start, DecodeErrorKind::Utf8);
        }
        text
    }

    /// Reads how many elements follow; `None` is null, or a fault. It is never more than there are bytes left: no element is
    /// shorter than one.
    #[inline(never)]
    pub fn count(&mut self, compact: bool) -> Option<usize> {
        let start = self.offset();
        let count = self.length(compact, false)?;
        let left = self.remaining();
        if count > left {
            self.fail(start, DecodeErrorKind::Count { count, left });
            return None;
        }
        Some(count)
    }

    /// As [`bytes`](Self::bytes), where null is a fault.
    #[inline(never)]
    pub fn required_bytes(&mut self, compact: bool) -> Bytes {
        let start = self.offset();
        let bytes = self.bytes(compact);
        bytes.unwrap_or_else(|| {
            self.null(start);
            Bytes::new()
        })
    }

    /// As [`text`](Self::text), where null is a fault.
    #[inline(never)]
    pub fn required_text(&mut self, compact: bool) -> Text {
        let start = self.offset();
        let text = self.text(compact);
        text.unwrap_or_else(|| {
            self.null(start);
            Text::EMPTY
        })
    }

    /// As [`count`](Self::count), where null is a fault.
    #[inline(never)]
    pub fn required_count(&mut self, compact: bool) -> usize {
        let start = self.offset();
        let count = self.count(compact);
        count.unwrap_or_else(|| {
            self.null(start);
            0
        })
    }

    /// Reads the marker before a struct that may be null: whether there is one.
    pub fn present(&mut self) -> bool {
        let start = self.offset();
        match self.i8() {
            1 => true,
            -1 => false,
            marker => {
                self.fail(start, DecodeErrorKind::Marker(marker));
                false
            }
        }
    }

    /// Starts on the tagged fields that end a struct of a flexible version (KIP-482).
    #[inline]
    pub fn tags(&mut self) -> Tags {
        Tags {
            left: self.unsigned_varint(),
            next: 0,
            start: 0,
            end: 0,
        }
    }

    /// Passes over tagged fields, none of which is known.
    #[inline]
    pub fn skip_tags(&mut self) {
        if let [0, rest @ ..] = self.rest {
            self.rest = rest;
        } else {
            self.skip_unknown_tags();
        }
    }

    #[inline(never)]
    fn skip_unknown_tags(&mut self) {
        let mut tags = self.tags();
        while tags.next(self).is_some() {
            tags.skip(self);
        }
    }
}

/// What is left of the tagged fields of one struct.
#[derive(Debug)]
pub struct Tags {
    left: u32,
    /// The least tag that may come next.
    next: u64,
    /// Where the value of the tag at hand begins and ends.
    start: usize,
    end: usize,
}

impl Tags {
    /// The next tag, with the cursor before its value; `None` after the last, or behind a fault.
    pub fn next(&mut self, r: &mut Cursor<'_>) -> Option<u32> {
        if self.left == 0 || r.failed() {
            return None;
        }
        self.left -= 1;
        let start = r.offset();
        let tag = r.unsigned_varint();
        if u64::from(tag) < self.next {
            r.fail(start, DecodeErrorKind::TagOrder(tag));
        }
        self.next = u64::from(tag) + 1;
        let len = r.unsigned_varint() as usize;
        if len > r.remaining() {
            r.truncated(len);
        }
        self.start = r.offset();
        self.end = self.start + len;
        (!r.failed()).then_some(tag)
    }

    /// Passes over the value of a tag that nobody knows.
    pub fn skip(&self, r: &mut Cursor<'_>) {
        r.rest = r.frame.get(self.end..).unwrap_or_default();
    }

    /// Sees that the value that was read is as long as it was announced.
    pub fn end(&self, r: &mut Cursor<'_>) {
        let at = r.offset();
        if at != self.end {
            let kind = DecodeErrorKind::TagSize {
                tag: (self.next - 1) as u32,
                announced: self.end - self.start,
                taken: at.saturating_sub(self.start),
            };
            r.fail(self.start, kind);
        }
    }
}
