//! Variable-length integers: seven bits a byte, least significant first; signed ones in zigzag order.
//!
//! Functions over slices, for loops that keep their own position; [`Reader`](super::Reader) has the same as methods.

use super::DecodeErrorKind;

/// Most bytes of a 32-bit varint.
pub const MAX_LEN_32: usize = 5;
/// Most bytes of a 64-bit varint.
pub const MAX_LEN_64: usize = 10;

/// Reads an unsigned 32-bit varint from the start of `bytes`: the value, and how many bytes it took.
///
/// # Errors
/// The bytes end inside it, or it does not fit 32 bits.
#[inline]
pub fn read_u32(bytes: &[u8]) -> Result<(u32, usize), DecodeErrorKind> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Ok((u32::from(byte), 1)),
        _ => read_u32_long(bytes),
    }
}

fn read_u32_long(bytes: &[u8]) -> Result<(u32, usize), DecodeErrorKind> {
    let mut value = 0u32;
    for (index, &byte) in bytes.iter().take(MAX_LEN_32).enumerate() {
        if index == MAX_LEN_32 - 1 && byte > 0x0f {
            return Err(DecodeErrorKind::Varint);
        }
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(DecodeErrorKind::Truncated {
        needed: bytes.len() + 1,
        left: bytes.len(),
    })
}

/// Reads an unsigned 64-bit varint from the start of `bytes`: the value, and how many bytes it took.
///
/// # Errors
/// The bytes end inside it, or it does not fit 64 bits.
#[inline]
pub fn read_u64(bytes: &[u8]) -> Result<(u64, usize), DecodeErrorKind> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Ok((u64::from(byte), 1)),
        _ => read_u64_long(bytes),
    }
}

fn read_u64_long(bytes: &[u8]) -> Result<(u64, usize), DecodeErrorKind> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(MAX_LEN_64).enumerate() {
        if index == MAX_LEN_64 - 1 && byte > 1 {
            return Err(DecodeErrorKind::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(DecodeErrorKind::Truncated {
        needed: bytes.len() + 1,
        left: bytes.len(),
    })
}

/// Reads a signed 32-bit varint (VARINT of the record format).
///
/// # Errors
/// As [`read_u32`].
#[inline]
pub fn read_i32(bytes: &[u8]) -> Result<(i32, usize), DecodeErrorKind> {
    read_u32(bytes).map(|(value, len)| (unzigzag_32(value), len))
}

/// Reads a signed 64-bit varint (VARLONG of the record format).
///
/// # Errors
/// As [`read_u64`].
#[inline]
pub fn read_i64(bytes: &[u8]) -> Result<(i64, usize), DecodeErrorKind> {
    read_u64(bytes).map(|(value, len)| (unzigzag_64(value), len))
}

/// Appends an unsigned 32-bit varint.
#[inline]
pub fn write_u32(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends an unsigned 64-bit varint.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed 32-bit varint.
#[inline]
pub fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_u32(out, zigzag_32(value));
}

/// Appends a signed 64-bit varint.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_u64(out, zigzag_64(value));
}

/// Bytes that [`write_u32`] takes.
#[inline]
pub const fn len_u32(value: u32) -> usize {
    (32 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes that [`write_u64`] takes.
#[inline]
pub const fn len_u64(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes that [`write_i32`] takes.
#[inline]
pub const fn len_i32(value: i32) -> usize {
    len_u32(zigzag_32(value))
}

/// Bytes that [`write_i64`] takes.
#[inline]
pub const fn len_i64(value: i64) -> usize {
    len_u64(zigzag_64(value))
}

const fn zigzag_32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

const fn zigzag_64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag_32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

const fn unzigzag_64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_round_trip_and_lengths_agree() {
        for value in [
            0,
            1,
            -1,
            63,
            -64,
            64,
            -65,
            8191,
            8192,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            i64::MAX,
            i64::MIN,
        ] {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            assert_eq!(read_i64(&out), Ok((value, out.len())));
            assert_eq!(len_i64(value), out.len());
            if let Ok(value) = i32::try_from(value) {
                let mut out = Vec::new();
                write_i32(&mut out, value);
                assert_eq!(read_i32(&out), Ok((value, out.len())));
                assert_eq!(len_i32(value), out.len());
            }
        }
    }

    #[test]
    fn the_known_encodings_of_the_specification_hold() {
        for (value, bytes) in [
            (0u32, &[0u8][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write_u32(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn overlong_and_cut_varints_are_errors() {
        assert_eq!(read_u32(&[0x80; 5]), Err(DecodeErrorKind::Varint));
        assert_eq!(
            read_u32(&[0xff, 0xff, 0xff, 0xff, 0x1f]),
            Err(DecodeErrorKind::Varint)
        );
        assert_eq!(read_u64(&[0x80; 10]), Err(DecodeErrorKind::Varint));
        assert!(matches!(
            read_u32(&[]),
            Err(DecodeErrorKind::Truncated { .. })
        ));
        assert!(matches!(
            read_u32(&[0x80, 0x80]),
            Err(DecodeErrorKind::Truncated { .. })
        ));
        assert!(matches!(
            read_u64(&[0x80; 9]),
            Err(DecodeErrorKind::Truncated { .. })
        ));
    }
}
