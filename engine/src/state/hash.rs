//! The hash of keys: ours, so that it never changes, and seeded, so that nobody outside can choose keys that collide.
//!
//! It decides the key group of a key, across processes and restarts: its output is part of the format of stored state.

use super::key::Key;
use super::keyed::RestoreError;

/// Hashes key bytes under an application's seed. Two processes with the same seed agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hasher {
    a: u64,
    b: u64,
    c: u64,
}

const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Both halves of the full product: every bit of either factor reaches every bit of the result.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Hasher {
    /// The hash of an application with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // splitmix64: neighbouring seeds give unrelated secrets.
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(ODD);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        Self {
            a: next(),
            b: next(),
            c: next() | 1,
        }
    }

    /// Hash of a key of any length.
    #[inline]
    #[must_use]
    pub fn bytes(&self, key: &[u8]) -> u64 {
        match Key::short(key) {
            Some(key) => self.short(key),
            None => self.long(key),
        }
    }

    /// Hash of a key, and the key as it lies in a slot if it fits.
    #[inline]
    pub(crate) fn pack(&self, key: &[u8]) -> (u64, Option<Key>) {
        self.pack_within(&[], key)
    }

    /// As [`Hasher::pack`], for a key that probably lies within `buffer`.
    #[inline]
    pub(crate) fn pack_within(&self, buffer: &[u8], key: &[u8]) -> (u64, Option<Key>) {
        match Key::short_within(buffer, key) {
            Some(packed) => (self.short(packed), Some(packed)),
            None => (self.long(key), None),
        }
    }

    /// Hash of a key that fits into a slot.
    #[inline]
    pub(crate) fn short(&self, key: Key) -> u64 {
        fold(key.low ^ self.a, key.high ^ self.b).wrapping_mul(self.c)
    }

    /// Hash of a key of more than 15 bytes.
    pub(crate) fn long(&self, key: &[u8]) -> u64 {
        let mut h = self.a ^ key.len() as u64;
        let (pairs, _) = key.as_chunks::<16>();
        for pair in pairs {
            let word = u128::from_le_bytes(*pair);
            h = fold(word as u64 ^ h, (word >> 64) as u64 ^ self.b);
        }
        // The last 16 bytes again, so that no tail is left over: the key has at least 16.
        if let Some(tail) = key.last_chunk::<16>() {
            let word = u128::from_le_bytes(*tail);
            h = fold(word as u64 ^ h, (word >> 64) as u64 ^ self.a);
        }
        h.wrapping_mul(self.c)
    }
}

/// How keys spread over key groups: the hash, and the number of groups. Fixed when an application is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyGroups {
    pub(crate) hasher: Hasher,
    /// Equal ranges that the hashes are divided into.
    ranges: u32,
    /// How many groups these are: as many, or one.
    count: u32,
}

impl KeyGroups {
    /// `count` groups under the application's seed; 0 is taken as 1.
    #[must_use]
    pub fn new(seed: u64, count: u32) -> Self {
        let count = count.max(1);
        Self {
            hasher: Hasher::new(seed),
            ranges: count,
            count,
        }
    }

    /// The same hash, and all keys in one group: for tables that hold one slice of time each. What is left of a hash is what it is in its
    /// own group: a worker has the keys of some groups only, and of whole hashes these would fill a part of the table.
    pub(crate) fn single(self) -> Self {
        Self { count: 1, ..self }
    }

    /// Number of groups.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Group of a key.
    #[must_use]
    pub fn group(&self, key: &[u8]) -> u32 {
        self.of(self.hasher.bytes(key)).0 as u32
    }

    /// The hash of a key that a changelog has for `group`.
    ///
    /// # Errors
    /// When it belongs to another one.
    pub(crate) fn check(&self, group: u32, key: &[u8]) -> Result<u64, RestoreError> {
        let hash = self.hasher.bytes(key);
        match self.group_of_hash(hash) {
            actual if actual == group => Ok(hash),
            actual => Err(RestoreError::WrongGroup { group, actual }),
        }
    }

    /// Group of a row's hash.
    #[inline]
    #[must_use]
    pub fn group_of_hash(&self, hash: u64) -> u32 {
        self.of(hash).0 as u32
    }

    /// Group of a hash, and what is left of the hash to find the slot in it: the groups are equal ranges of all hashes.
    #[inline]
    pub(crate) fn of(&self, hash: u64) -> (usize, u64) {
        let product = u128::from(hash) * u128::from(self.ranges);
        let group = if self.count == 1 { 0 } else { product >> 64 };
        (group as usize, product as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_one_worker_spread_over_all_of_a_table_of_one_group() {
        let groups = KeyGroups::new(7, 16);
        let hashes = (0..4000u64).map(|n| groups.hasher.bytes(&n.to_be_bytes()));
        let own = hashes.filter(|hash| groups.of(*hash).0 < 8);
        let mut quarters = [0; 4];
        for hash in own {
            let (group, rest) = groups.single().of(hash);
            assert_eq!(group, 0);
            quarters[(rest >> 62) as usize] += 1;
        }
        assert!(
            quarters.iter().all(|n| (400..600).contains(n)),
            "{quarters:?}"
        );
    }

    #[test]
    fn the_hash_is_part_of_the_stored_format() {
        // Computed by this code once; a change breaks every changelog that was written with it.
        let h = Hasher::new(42);
        let got = [
            &b""[..],
            b"a",
            b"exactly15 bytes",
            b"a key of more than 15 bytes",
        ]
        .map(|k| h.bytes(k));
        assert_eq!(got, GOLDEN, "{got:#x?}");
    }
    const GOLDEN: [u64; 4] = [
        0x0ccd_a8ce_1398_a14a,
        0x73a7_3327_0377_f5c4,
        0x46ff_eb96_9d3b_559e,
        0x0edd_ab02_d1c2_e84d,
    ];

    #[test]
    fn groups_are_even() {
        for groups in [1u32, 3, 16, 50] {
            let keys = KeyGroups::new(7, groups);
            let mut counts = vec![0u32; groups as usize];
            for i in 0..50_000u64 {
                counts[keys.group(&i.to_be_bytes()) as usize] += 1;
            }
            let want = 50_000 / groups;
            assert!(
                counts.iter().all(|c| c.abs_diff(want) < want / 5),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn the_seed_changes_the_hash() {
        assert_ne!(Hasher::new(1).bytes(b"k"), Hasher::new(2).bytes(b"k"));
        assert_ne!(
            Hasher::new(1).bytes(b"a long key, in an arena"),
            Hasher::new(2).bytes(b"a long key, in an arena")
        );
    }

    #[test]
    fn zeroes_of_different_length_differ() {
        let h = Hasher::new(1);
        let hashes: std::collections::HashSet<_> = (0..100).map(|n| h.bytes(&vec![0; n])).collect();
        assert_eq!(hashes.len(), 100);
    }
}
