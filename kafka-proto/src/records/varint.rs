//! Zigzag varints of records, read from slices and written into small arrays.
//!
//! Apart from `wire::varint` because this is the walk's inner loop: faults are one byte wide, so a result stays in registers.

use super::error::Fault;

/// Maps small negative numbers to small unsigned ones.
#[inline(always)]
pub(crate) const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Maps small negative numbers to small unsigned ones.
#[inline(always)]
pub(crate) const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes that `raw` takes as a varint.
#[inline]
pub(crate) const fn len64(raw: u64) -> usize {
    let bits = 64 - (raw | 1).leading_zeros() as usize;
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
        _ => {
            let (raw, rest) = long32(bytes)?;
            *bytes = rest;
            raw
        }
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
        _ => {
            let (raw, rest) = long64(bytes)?;
            *bytes = rest;
            raw
        }
    };
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

// By value, not through the caller's reference: a slice whose address is taken lives in memory, and each field would wait for a store.
#[inline(never)]
fn long32(mut bytes: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let mut value = 0_u32;
    for index in 0..5 {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err(Fault::Cut);
        };
        bytes = rest;
        // Bits past the 32nd are dropped, as Kafka's reader drops them.
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, bytes));
        }
    }
    Err(Fault::Varint)
}

#[inline(never)]
fn long64(mut bytes: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let mut value = 0_u64;
    for index in 0..10 {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err(Fault::Cut);
        };
        bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, bytes));
        }
    }
    Err(Fault::Varint)
}

/// A varint as the low bytes of a word, and how many they are. `raw` has 56 bits at most.
///
/// Written as one store of 8 bytes that the next one overlaps: bytes stored one by one and loaded again as a whole would stall.
#[inline(always)]
pub(crate) const fn word(raw: u64) -> (u64, usize) {
    if raw < 0x80 {
        (raw, 1)
    } else if raw < 0x4000 {
        (raw & 0x7f | 0x80 | (raw & 0x3f80) << 1, 2)
    } else {
        long_word(raw)
    }
}

#[inline(never)]
const fn long_word(mut raw: u64) -> (u64, usize) {
    let (mut word, mut len) = (0, 0);
    while raw >= 0x80 {
        word |= (raw & 0x7f | 0x80) << (8 * len);
        raw >>= 7;
        len += 1;
    }
    (word | raw << (8 * len), len + 1)
}

/// Writes a varint of any length to the front of `out`.
#[inline(never)]
pub(crate) fn write_long(mut raw: u64, out: &mut [u8]) {
    let mut at = 0;
    while raw >= 0x80 {
        out[at] = raw as u8 | 0x80;
        raw >>= 7;
        at += 1;
    }
    out[at] = raw as u8;
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
                let mut out = [0; 16];
                write_long(zigzag64(value), &mut out);
                assert_eq!(read_i64(&mut &out[..len64(zigzag64(value))]), Ok(value));
                assert!(read_i64(&mut &out[..len64(zigzag64(value)) - 1]).is_err());

                let value = value as i32;
                let (word, len) = word(zigzag32(value).into());
                assert_eq!(len, len64(zigzag32(value).into()), "{value}");
                assert_eq!(read_i32(&mut &word.to_le_bytes()[..len]), Ok(value));
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
