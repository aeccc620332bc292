//! Zigzag varints of records, read from slices and written into small arrays.
//!
//! Apart from `wire::varint` because this is the walk's inner loop: faults are one byte wide, so a result stays in registers.

use super::error::Fault;

/// Maps small negative numbers to small unsigned ones.
#[inline]
pub(crate) const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Maps small negative numbers to small unsigned ones.
#[inline]
pub(crate) const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes that `value` takes as a zigzag varint.
#[inline]
pub(crate) const fn len32(value: i32) -> usize {
    let bits = 32 - (zigzag32(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that `value` takes as a zigzag varlong.
#[inline]
pub(crate) const fn len64(value: i64) -> usize {
    let bits = 64 - (zigzag64(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Reads a zigzag varint of at most 5 bytes.
#[inline(always)]
pub(crate) fn read_i32(bytes: &mut &[u8]) -> Result<i32, Fault> {
    let raw = match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            u32::from(first)
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            u32::from(first & 0x7f) | u32::from(second) << 7
        }
        _ => long32(bytes)?,
    };
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Reads a zigzag varlong of at most 10 bytes.
#[inline(always)]
pub(crate) fn read_i64(bytes: &mut &[u8]) -> Result<i64, Fault> {
    let raw = match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            u64::from(first)
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            u64::from(first & 0x7f) | u64::from(second) << 7
        }
        _ => long64(bytes)?,
    };
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

#[inline(never)]
fn long32(bytes: &mut &[u8]) -> Result<u32, Fault> {
    let mut value = 0_u32;
    for index in 0..5 {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err(Fault::Cut);
        };
        *bytes = rest;
        // Bits past the 32nd are dropped, as Kafka's reader drops them.
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Fault::Varint)
}

#[inline(never)]
fn long64(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0_u64;
    for index in 0..10 {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err(Fault::Cut);
        };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Fault::Varint)
}

/// A few varints side by side in an array, to be appended in one piece.
pub(crate) struct Prefix<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Prefix<N> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    #[inline(always)]
    pub(crate) const fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    #[inline(always)]
    pub(crate) fn i32(&mut self, value: i32) {
        let mut raw = zigzag32(value);
        while raw >= 0x80 {
            self.byte(raw as u8 | 0x80);
            raw >>= 7;
        }
        self.byte(raw as u8);
    }

    #[inline(always)]
    pub(crate) fn i64(&mut self, value: i64) {
        let mut raw = zigzag64(value);
        while raw >= 0x80 {
            self.byte(raw as u8 | 0x80);
            raw >>= 7;
        }
        self.byte(raw as u8);
    }

    /// Appends what was written. Copies the whole array and cuts the rest off: a copy of a size known at compile time is two
    /// stores, one of a size known at run time is a call.
    #[inline(always)]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len;
        out.extend_from_slice(&self.bytes);
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_read_back_with_the_length_that_was_announced() {
        for shift in 0..64 {
            for value in [
                1_i64 << shift,
                (1_i64 << shift).wrapping_sub(1),
                (1_i64 << shift).wrapping_neg(),
                !(1_i64 << shift),
            ] {
                let mut prefix = Prefix::<16>::new();
                prefix.i64(value);
                let mut out = Vec::new();
                prefix.append_to(&mut out);
                assert_eq!(out.len(), len64(value), "{value}");
                assert_eq!(read_i64(&mut out.as_slice()), Ok(value));

                let value = value as i32;
                let mut prefix = Prefix::<16>::new();
                prefix.i32(value);
                let mut out = Vec::new();
                prefix.append_to(&mut out);
                assert_eq!(out.len(), len32(value), "{value}");
                assert_eq!(read_i32(&mut out.as_slice()), Ok(value));
            }
        }
    }

    #[test]
    fn varints_longer_than_five_and_ten_bytes_are_errors() {
        assert_eq!(
            read_i32(&mut [0x80, 0x80, 0x80, 0x80, 0x80, 0].as_slice()),
            Err(Fault::Varint)
        );
        assert_eq!(
            read_i64(&mut [[0x80; 10].as_slice(), &[0]].concat().as_slice()),
            Err(Fault::Varint)
        );
        assert_eq!(read_i32(&mut [0x80, 0x80].as_slice()), Err(Fault::Cut));
        assert_eq!(read_i32(&mut [].as_slice()), Err(Fault::Cut));
        assert_eq!(read_i64(&mut [0x80].as_slice()), Err(Fault::Cut));
        assert_eq!(
            read_i32(&mut [0x90, 0x80, 0].as_slice()),
            Ok(8),
            "padded numbers are read"
        );
    }
}
