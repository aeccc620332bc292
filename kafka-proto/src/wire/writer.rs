//! Where encoded values go.

use bytes::Bytes;

use super::{EncodeError, EncodeErrorKind, Text, varint};

/// Collects an encoded message. Small values are copied into one buffer; byte fields of [`Writer::OWN_CHUNK`] bytes and more
/// (record batches, in practice) are kept as they are, refcounted, so that a vectored write sends them without a copy.
#[derive(Debug)]
pub struct Writer {
    buffer: Vec<u8>,
    /// Large bytes, each with the length of `buffer` at which it stands.
    large: Vec<(usize, Bytes)>,
    large_bytes: usize,
    /// From this length on bytes are kept as they are.
    own_chunk: usize,
    /// The field being written, as `Struct.field`, where one that can fail is.
    field: &'static str,
    fault: Option<EncodeError>,
}

macro_rules! integers {
    ($($name:ident: $ty:ty, $doc:literal;)*) => {$(
        #[doc = concat!("Writes ", $doc, ", big-endian.")]
        #[inline]
        pub fn $name(&mut self, value: $ty) {
            self.buffer.extend_from_slice(&value.to_be_bytes());
        }
    )*};
}

impl Writer {
    /// From this length on a byte field is kept as its own chunk: about where a copy costs as much as one more piece.
    pub const OWN_CHUNK: usize = 2048;

    /// An empty writer.
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            large: Vec::new(),
            large_bytes: 0,
            own_chunk: Self::OWN_CHUNK,
            field: "",
            fault: None,
        }
    }

    /// An empty writer that copies everything: for what is wanted in one piece.
    pub(crate) fn contiguous() -> Self {
        Self {
            own_chunk: usize::MAX,
            ..Self::new()
        }
    }

    /// An empty writer with room for `capacity` small bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(capacity),
            ..Self::new()
        }
    }

    /// Bytes written so far.
    pub const fn len(&self) -> usize {
        self.buffer.len() + self.large_bytes
    }

    /// Whether nothing was written yet.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    integers! {
        i8: i8, "a signed byte";
        u8: u8, "a byte";
        i16: i16, "16 signed bits";
        u16: u16, "16 unsigned bits";
        i32: i32, "32 signed bits";
        u32: u32, "32 unsigned bits";
        i64: i64, "64 signed bits";
        f64: f64, "an IEEE 754 double";
        u128: u128, "128 bits";
    }

    /// Writes an unsigned 32-bit varint.
    #[inline]
    pub fn unsigned_varint(&mut self, value: u32) {
        varint::write_u32(&mut self.buffer, value);
    }

    /// Copies a slice.
    #[inline]
    pub fn slice(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes bytes: copied if short, kept as their own chunk if long.
    #[inline]
    pub fn bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < self.own_chunk {
            self.buffer.extend_from_slice(bytes);
        } else {
            self.large.push((self.buffer.len(), bytes.clone()));
            self.large_bytes += bytes.len();
        }
    }

    /// Names the field that is written next, for the error if it cannot be.
    #[inline]
    pub(crate) const fn enter(&mut self, field: &'static str) {
        self.field = field;
    }

    /// Notes that the value cannot be written, unless something could not be before.
    #[cold]
    #[inline(never)]
    pub fn fail(&mut self, kind: EncodeErrorKind) {
        if self.fault.is_none() {
            let field = self.field;
            self.fault = Some(EncodeError { kind, field });
        }
    }

    /// Notes that `field` cannot be written, unless something could not be before.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail_in(&mut self, field: &'static str, kind: EncodeErrorKind) {
        self.field = field;
        self.fail(kind);
    }

    /// What could not be written, if anything; then it is forgotten.
    pub(crate) const fn take_fault(&mut self) -> Option<EncodeError> {
        self.field = "";
        self.fault.take()
    }

    /// Writes text behind its length.
    #[inline(never)]
    pub(crate) fn text(&mut self, text: &Text, compact: bool) {
        let bytes = text.as_utf8();
        match i16::try_from(bytes.len()) {
            Ok(short) if !compact => self.i16(short),
            Ok(short) => self.unsigned_varint(short as u32 + 1),
            Err(_) => return self.fail(EncodeErrorKind::TooLong(bytes.len())),
        }
        self.slice(bytes);
    }

    /// Writes a text that is null.
    pub(crate) fn null_text(&mut self, compact: bool) {
        if compact {
            self.u8(0);
        } else {
            self.i16(-1);
        }
    }

    /// Writes a length of bytes, or a count of elements.
    #[inline(never)]
    pub(crate) fn count(&mut self, count: usize, compact: bool) {
        match i32::try_from(count) {
            Ok(count) if !compact => self.i32(count),
            Ok(count) => self.unsigned_varint(count as u32 + 1),
            Err(_) => self.fail(EncodeErrorKind::TooLong(count)),
        }
    }

    /// Writes bytes or elements that are null.
    pub(crate) fn null_count(&mut self, compact: bool) {
        if compact {
            self.u8(0);
        } else {
            self.i32(-1);
        }
    }

    /// Begins a tagged field (KIP-482): writes its tag; the value comes next, then [`end_tagged`](Self::end_tagged).
    pub(crate) fn begin_tagged(&mut self, tag: u32) -> TaggedStart {
        self.unsigned_varint(tag);
        TaggedStart {
            buffer: self.buffer.len(),
            large: self.large.len(),
            len: self.len(),
        }
    }

    /// Ends a tagged field. Its size stands before the value and is known only now: the value moves up by the size's few bytes.
    pub(crate) fn end_tagged(&mut self, start: TaggedStart) {
        let mut size = Vec::with_capacity(varint::MAX_LEN_32);
        varint::write_u32(&mut size, (self.len() - start.len) as u32);
        for (at, _) in &mut self.large[start.large..] {
            *at += size.len();
        }
        self.buffer.splice(start.buffer..start.buffer, size);
    }

    /// Overwrites four bytes at `at`, which must have been written as small values and stand before any large chunk: a frame's size.
    pub(crate) fn patch_i32(&mut self, at: usize, value: i32) {
        self.buffer[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// All that was written, in order.
    pub fn finish(self) -> Chunks {
        let len = self.len();
        let small = Bytes::from(self.buffer);
        let mut parts = Vec::with_capacity(2 * self.large.len() + 1);
        let mut from = 0;
        for (at, large) in self.large {
            if at > from {
                parts.push(small.slice(from..at));
                from = at;
            }
            parts.push(large);
        }
        if from < small.len() {
            parts.push(small.slice(from..));
        }
        Chunks { parts, len }
    }
}

/// Where the value of a tagged field begins.
#[derive(Debug)]
pub(crate) struct TaggedStart {
    buffer: usize,
    large: usize,
    len: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

/// An encoded message in as many pieces as it has, none of them empty: made for one vectored write.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    parts: Vec<Bytes>,
    len: usize,
}

impl Chunks {
    /// The pieces in order.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// The pieces in order, taken out.
    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }

    /// Bytes of all pieces together.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All in one piece; copies only if there are several.
    pub fn into_bytes(mut self) -> Bytes {
        match self.parts.len() {
            0 => Bytes::new(),
            1 => self.parts.swap_remove(0),
            _ => self.parts.concat().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bytes_are_not_copied_and_keep_their_place() {
        let large = Bytes::from(vec![7u8; Writer::OWN_CHUNK]);
        let mut w = Writer::new();
        w.i32(0);
        w.bytes(&large);
        let start = w.begin_tagged(3);
        w.i8(1);
        w.bytes(&large);
        w.end_tagged(start);
        w.i8(9);
        w.patch_i32(0, 5);
        let (len, chunks) = (w.len(), w.finish());
        assert_eq!(len, chunks.len());
        assert_eq!(chunks.parts().len(), 5);
        assert_eq!(chunks.parts()[1].as_ptr(), large.as_ptr());
        assert_eq!(chunks.parts()[3].as_ptr(), large.as_ptr());
        assert_eq!(chunks.parts()[0], [0u8, 0, 0, 5][..]);
        // Tag 3, 2049 bytes: as a varint 0x81 0x10.
        assert_eq!(chunks.parts()[2], [3u8, 0x81, 16, 1][..]);
        assert_eq!(chunks.into_bytes().len(), len);
    }
}
