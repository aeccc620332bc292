//! A cursor over one frame.

use bytes::Bytes;

use super::{Cursor, DecodeError, DecodeErrorKind, Text, varint};

/// A cursor over one refcounted frame; what it hands out as bytes or text shares that frame.
///
/// Every method reads at the cursor and moves it on, or fails and says at which byte.
#[derive(Clone, Debug)]
pub struct Reader {
    frame: Bytes,
    at: usize,
}

macro_rules! integers {
    ($($name:ident: $ty:ty, $doc:literal;)*) => {$(
        #[doc = concat!("Reads ", $doc, ", big-endian.")]
        ///
        /// # Errors
        /// The frame ends inside it.
        #[inline]
        pub fn $name(&mut self) -> Result<$ty, DecodeError> {
            const LEN: usize = size_of::<$ty>();
            match self.rest().first_chunk::<LEN>() {
                Some(bytes) => {
                    let value = <$ty>::from_be_bytes(*bytes);
                    self.at += LEN;
                    Ok(value)
                }
                None => Err(self.truncated(LEN)),
            }
        }
    )*};
}

impl Reader {
    /// A cursor at the start of `frame`.
    pub const fn new(frame: Bytes) -> Self {
        Self { frame, at: 0 }
    }

    /// Bytes read so far.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.at
    }

    /// What is left, not consumed.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        self.frame.get(self.at..).unwrap_or_default()
    }

    /// Reads fields by a cursor that remembers its first fault.
    ///
    /// # Errors
    /// That fault.
    #[inline]
    pub(crate) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Cursor<'_>) -> T,
    ) -> Result<T, DecodeError> {
        let mut cursor = Cursor::new(&self.frame, self.at);
        let value = read(&mut cursor);
        self.at = cursor.finish()?;
        Ok(value)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.fail(DecodeErrorKind::Trailing(left))),
        }
    }

    /// An error at the cursor.
    #[cold]
    pub const fn fail(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError {
            kind,
            offset: self.at,
        }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        self.fail(DecodeErrorKind::Truncated {
            needed,
            left: self.remaining(),
        })
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

    /// Reads an unsigned 32-bit varint.
    ///
    /// # Errors
    /// The frame ends inside it, or it does not fit 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        match varint::read_u32(self.rest()) {
            Ok((value, len)) => {
                self.at += len;
                Ok(value)
            }
            Err(kind) => Err(self.fail(kind)),
        }
    }

    /// Reads a signed 32-bit varint.
    ///
    /// # Errors
    /// The frame ends inside it, or it does not fit 32 bits.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let (value, len) = varint::read_i32(self.rest()).map_err(|kind| self.fail(kind))?;
        self.at += len;
        Ok(value)
    }

    /// Reads a signed 64-bit varint.
    ///
    /// # Errors
    /// The frame ends inside it, or it does not fit 64 bits.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let (value, len) = varint::read_i64(self.rest()).map_err(|kind| self.fail(kind))?;
        self.at += len;
        Ok(value)
    }

    /// Takes the next `len` bytes as a slice that shares the frame.
    ///
    /// # Errors
    /// Fewer are left.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.remaining() {
            return Err(self.truncated(len));
        }
        let bytes = self.frame.slice(self.at..self.at + len);
        self.at += len;
        Ok(bytes)
    }

    /// Passes over the next `len` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn skip(&mut self, len: usize) -> Result<(), DecodeError> {
        if len > self.remaining() {
            return Err(self.truncated(len));
        }
        self.at += len;
        Ok(())
    }

    /// Takes the next `len` bytes as text that shares the frame.
    ///
    /// # Errors
    /// Fewer are left, or they are not UTF-8.
    pub fn text(&mut self, len: usize) -> Result<Text, DecodeError> {
        let start = self.fail(DecodeErrorKind::Utf8);
        Text::from_utf8(self.take(len)?).ok_or(start)
    }

    /// Reads a length of 16 bits, or a compact one; `None` is null.
    ///
    /// # Errors
    /// The frame ends inside it, or it is below -1 or beyond 32,767.
    pub fn length_16(&mut self, compact: bool) -> Result<Option<usize>, DecodeError> {
        let start = self.at;
        let length = if compact {
            i64::from(self.unsigned_varint()?) - 1
        } else {
            i64::from(self.i16()?)
        };
        // A compact string is no longer than a plain one (KIP-482 keeps the limit).
        self.length(start, length, i64::from(i16::MAX))
    }

    /// Reads a length or count of 32 bits, or a compact one; `None` is null.
    ///
    /// # Errors
    /// The frame ends inside it, or it is below -1 or beyond 31 bits.
    pub fn length_32(&mut self, compact: bool) -> Result<Option<usize>, DecodeError> {
        let start = self.at;
        let length = if compact {
            i64::from(self.unsigned_varint()?) - 1
        } else {
            i64::from(self.i32()?)
        };
        self.length(start, length, i64::from(i32::MAX))
    }

    fn length(&self, start: usize, length: i64, most: i64) -> Result<Option<usize>, DecodeError> {
        match length {
            -1 => Ok(None),
            0.. if length <= most => Ok(Some(length as usize)),
            _ => Err(DecodeError {
                kind: DecodeErrorKind::Length(length),
                offset: start,
            }),
        }
    }
}
