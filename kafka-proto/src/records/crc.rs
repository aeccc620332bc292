//! What a change in the header does to a CRC-32C whose body stays: the checksum of a relayed batch without reading its records.
//!
//! A CRC is linear: changing the first bytes by `d` changes it by the CRC of `d` followed by as many zero bytes as the rest is long,
//! and appending n zero bytes is a multiplication by x^(8n) modulo the polynomial. The crate's own `crc32c_combine` gives the same
//! by squaring 32 x 32 matrices, which for a batch of some kilobytes costs more than reading them again.

/// CRC-32C's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^(2^k) modulo the polynomial. The powers repeat after 2^31 in k's reach of 32, as in zlib's `x2nmodp`.
const POWERS: [u32; 32] = {
    let mut powers = [0; 32];
    let mut power = 1 << 30; // x^1
    let mut k = 0;
    while k < 32 {
        powers[k] = power;
        power = multiply(power, power);
        k += 1;
    }
    powers
};

/// The product of two polynomials modulo the polynomial; in the reflected form the highest bit is x^0.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        // No branch on the bits of `a`: they are as good as random.
        product ^= b & (((a & bit != 0) as u32).wrapping_neg());
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        bit >>= 1;
    }
    product
}

/// The CRC of a message whose head changed: `crc` was that of the whole, `old` and `new` are those of the head alone, and `len`
/// bytes follow the head.
pub(crate) const fn replace_head(crc: u32, old: u32, new: u32, mut len: usize) -> u32 {
    let mut change = old ^ new;
    let mut k = 3; // 2^3 zero bits are one zero byte
    while len != 0 {
        if len & 1 == 1 {
            change = multiply(POWERS[k & 31], change);
        }
        len >>= 1;
        k += 1;
    }
    crc ^ change
}

/// CRC-32 as in gzip: the checksum of messages of versions 0 and 1.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (crc >> 8) ^ CRC32[usize::from(crc as u8 ^ byte)]
    })
}

const CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32_comes_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_changed_head_gives_the_crc_of_a_full_pass() {
        let bytes: Vec<u8> = (0..300_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for head in [0, 1, 5, 40, 63] {
            for len in [0, 1, 2, 7, 8, 9, 100, 4095, 4096, 65_537, 299_900] {
                let old = &bytes[..head + len];
                let mut new = old.to_vec();
                new[..head].iter_mut().for_each(|byte| *byte ^= 0x5a);
                let (old_head, new_head) =
                    (crc32c::crc32c(&old[..head]), crc32c::crc32c(&new[..head]));
                let replaced = replace_head(crc32c::crc32c(old), old_head, new_head, len);
                assert_eq!(replaced, crc32c::crc32c(&new), "head {head}, body {len}");
                let combined = crc32c::crc32c_combine(new_head, crc32c::crc32c(&new[head..]), len);
                assert_eq!(replaced, combined, "the crate's combination agrees");
            }
        }
    }
}
