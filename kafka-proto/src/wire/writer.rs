//! Where encoded values go.

use bytes::Bytes;

use super::varint;

/// Collects an encoded message. Small values are copied into one buffer; byte fields of [`Writer::OWN_CHUNK`] bytes and more
/// (record batches, in practice) are kept as they are, refcounted, so that a vectored write sends them without a copy.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    /// Large bytes, each with the length of `buffer` at which it stands.
    large: Vec<(usize, Bytes)>,
    large_bytes: usize,
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
    /// From this length on a byte field is kept as its own chunk.
    pub const OWN_CHUNK: usize = 1024;

    /// An empty writer.
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            large: Vec::new(),
            large_bytes: 0,
        }
    }

    /// An empty writer with room for `capacity` small bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(capacity),
            ..Self::default()
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
        if bytes.len() < Self::OWN_CHUNK {
            self.buffer.extend_from_slice(bytes);
        } else {
            self.large.push((self.buffer.len(), bytes.clone()));
            self.large_bytes += bytes.len();
        }
    }

    /// Writes a tagged field (KIP-482): tag, size, and what `write` writes.
    pub(crate) fn tagged<E>(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.unsigned_varint(tag);
        let (start, large, before) = (self.buffer.len(), self.large.len(), self.len());
        write(self)?;
        // The size stands before the value and is known after it: move the value up by the size's few bytes.
        let mut size = Vec::with_capacity(varint::MAX_LEN_32);
        varint::write_u32(&mut size, (self.len() - before) as u32);
        for (at, _) in &mut self.large[large..] {
            *at += size.len();
        }
        self.buffer.splice(start..start, size);
        Ok(())
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
        w.tagged(3, |w| {
            w.i8(1);
            w.bytes(&large);
            Ok::<(), ()>(())
        })
        .unwrap();
        w.i8(9);
        w.patch_i32(0, 5);
        let (len, chunks) = (w.len(), w.finish());
        assert_eq!(len, chunks.len());
        assert_eq!(chunks.parts().len(), 5);
        assert_eq!(chunks.parts()[1].as_ptr(), large.as_ptr());
        assert_eq!(chunks.parts()[3].as_ptr(), large.as_ptr());
        assert_eq!(chunks.parts()[0], [0u8, 0, 0, 5][..]);
        // Tag 3, 1025 bytes: as a varint 0x81 0x08.
        assert_eq!(chunks.parts()[2], [3u8, 0x81, 8, 1][..]);
        assert_eq!(chunks.into_bytes().len(), len);
    }
}
