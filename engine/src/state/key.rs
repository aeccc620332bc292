//! A key as it stands in a slot: up to 15 bytes in the slot itself, so that equality is one comparison; longer ones lie in an arena.
//!
//! ```text
//! empty   0                                         0
//! short   bytes 0..8                                 bytes 8..15 | (length + 1) << 56
//! long    offset in the arena (40 bits) | hash << 40  length (32 bits) | hash (24 bits) << 32 | 0xff << 56
//! ```

/// A packed key; [`Key::EMPTY`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Key {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl From<[u64; 2]> for Key {
    #[inline]
    fn from([low, high]: [u64; 2]) -> Self {
        Self { low, high }
    }
}

const LONG: u64 = 0xff;
const OFFSET_BITS: u32 = 40;
/// For a length `n` below 16: that many low bytes set.
const MASK: [u128; 16] = {
    let mut masks = [0; 16];
    let mut n = 1;
    while n < 16 {
        masks[n] = (1 << (8 * n)) - 1;
        n += 1;
    }
    masks
};

impl Key {
    pub(crate) const EMPTY: Self = Self { low: 0, high: 0 };

    /// Packs up to 15 bytes; `None` when there are more.
    #[inline]
    pub(crate) fn short(bytes: &[u8]) -> Option<Self> {
        let n = bytes.len();
        // Two overlapping loads, whatever the length: cheaper than a copy by bytes.
        let (low, high) = if let (Some(first), Some(last)) =
            (bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
        {
            if n > 15 {
                return None;
            }
            let last = u64::from_le_bytes(*last);
            // The last n - 8 bytes; two shifts, because for n = 8 one would be by 64.
            (u64::from_le_bytes(*first), last >> (8 * (15 - n)) >> 8)
        } else if let (Some(first), Some(last)) =
            (bytes.first_chunk::<4>(), bytes.last_chunk::<4>())
        {
            let last = u64::from(u32::from_le_bytes(*last));
            (
                u64::from(u32::from_le_bytes(*first)) | last << (8 * (n - 4)),
                0,
            )
        } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
            let middle = u64::from(bytes[n / 2]) << (8 * (n / 2));
            (
                u64::from(*first) | middle | u64::from(*last) << (8 * (n - 1)),
                0,
            )
        } else {
            (0, 0)
        };
        Some(Self {
            low,
            high: high | (n as u64 + 1) << 56,
        })
    }

    /// Bytes of a short key, padded with zeroes.
    #[inline]
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.unpack().0
    }

    /// As [`Key::short`], for bytes that probably lie within `buffer`.
    #[inline]
    pub(crate) fn short_within(buffer: &[u8], bytes: &[u8]) -> Option<Self> {
        let at = bytes.as_ptr().addr().wrapping_sub(buffer.as_ptr().addr());
        // Where both ends lie in the buffer, its bytes there are these bytes.
        if at.saturating_add(bytes.len()) <= buffer.len() {
            Self::short_at(buffer, at, bytes.len())
        } else {
            Self::short(bytes)
        }
    }

    /// As [`Key::short`] for `n` bytes at `at` in a larger buffer: one masked load where 16 bytes can be read there.
    #[inline]
    pub(crate) fn short_at(buffer: &[u8], at: usize, n: usize) -> Option<Self> {
        if n > 15 {
            return None;
        }
        let Some(word) = buffer.get(at..).and_then(|b| b.first_chunk::<16>()) else {
            return Self::short(&buffer[at..at + n]);
        };
        let word = u128::from_le_bytes(*word) & MASK[n & 15];
        Some(Self {
            low: word as u64,
            high: (word >> 64) as u64 | (n as u64 + 1) << 56,
        })
    }

    /// A key of `len` bytes at `offset` of the arena. Equal to another one's [`Key::tag`] only if the bytes may be equal.
    #[inline]
    pub(crate) fn long(offset: u64, len: u32, hash: u64) -> Self {
        debug_assert!(offset >> OFFSET_BITS == 0);
        Self {
            low: offset | hash << OFFSET_BITS,
            high: u64::from(len) | (hash >> 24 & 0xff_ffff) << 32 | LONG << 56,
        }
    }

    /// What two long keys with the same bytes have in common, wherever they lie.
    #[inline]
    pub(crate) fn tag(self) -> (u64, u64) {
        (self.low >> OFFSET_BITS, self.high)
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.high == 0
    }

    #[inline]
    pub(crate) fn is_long(self) -> bool {
        self.high >> 56 == LONG
    }

    /// Where a long key lies in the arena.
    #[inline]
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        let offset = (self.low & ((1 << OFFSET_BITS) - 1)) as usize;
        offset..offset + (self.high as u32) as usize
    }

    /// Bytes of a short key, padded with zeroes, and their number.
    #[inline]
    pub(crate) fn unpack(self) -> ([u8; 16], usize) {
        let n = (self.high >> 56) as usize - 1;
        let word = u128::from(self.low) | u128::from(self.high & (u64::MAX >> 8)) << 64;
        (word.to_le_bytes(), n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_keys_pack_and_unpack() {
        for n in 0..=15usize {
            let bytes: Vec<u8> = (0..n as u8).map(|b| b.wrapping_mul(83) ^ 0xf1).collect();
            let key = Key::short(&bytes).unwrap();
            let (out, len) = key.unpack();
            assert_eq!((&out[..len], len), (&bytes[..], n));
            assert!(!key.is_empty() && !key.is_long());
            let mut padded = vec![9; 3];
            padded.extend(&bytes);
            assert_eq!(
                Key::short_at(&padded, 3, n),
                Some(key),
                "at the end of the buffer"
            );
            padded.extend([0xee; 16]);
            assert_eq!(
                Key::short_at(&padded, 3, n),
                Some(key),
                "with bytes behind it"
            );
        }
        assert_eq!(Key::short(&[0; 16]), None);
        assert_eq!(Key::short_at(&[0; 40], 0, 16), None);
    }

    #[test]
    fn keys_are_packed_alike_within_a_buffer_and_elsewhere() {
        let buffer: Vec<u8> = (0..40).map(|b: u8| b.wrapping_mul(83) ^ 0xf1).collect();
        for at in 0..=40 {
            for end in at..=40 {
                let (inside, outside) = (&buffer[at..end], buffer[at..end].to_vec());
                let want = Key::short(&outside);
                assert_eq!(Key::short_within(&buffer, inside), want, "{at}..{end}");
                assert_eq!(Key::short_within(&buffer, &outside), want, "{at}..{end}");
                assert_eq!(Key::short_within(&[], inside), want, "{at}..{end}");
                // One end only.
                assert_eq!(
                    Key::short_within(&buffer[..20], inside),
                    want,
                    "{at}..{end}"
                );
                assert_eq!(
                    Key::short_within(&buffer[20..], inside),
                    want,
                    "{at}..{end}"
                );
            }
        }
    }

    #[test]
    fn long_keys_say_where_they_are() {
        let key = Key::long(5 << 30, 70_000, 0x1234_5678_9abc_def0);
        assert!(key.is_long() && !key.is_empty());
        assert_eq!(key.range(), (5 << 30)..(5 << 30) + 70_000);
        assert_eq!(key.tag(), Key::long(9, 70_000, 0x1234_5678_9abc_def0).tag());
        assert_ne!(
            key.tag(),
            Key::long(5 << 30, 70_000, 0x1234_5678_9abc_def1).tag()
        );
    }
}
