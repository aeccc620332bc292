//! Which partition a record goes to: pure functions of its key.

/// Kafka's murmur2, as the Java client and Kafka Streams hash keys.
pub fn murmur2(key: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut h = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, &byte) in rest.iter().enumerate() {
            h ^= u32::from(byte) << (8 * index);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

/// The partition of a record with this key: what Kafka's default partitioner chooses. The empty key is a key.
///
/// # Panics
/// There must be at least one partition.
pub fn partition_for_key(key: &[u8], partitions: usize) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    // The sign bit is cleared, not negated: that would not do for i32::MIN.
    ((murmur2(key) & i32::MAX) as usize % partitions) as i32
}

/// The CRC-32 of zlib, as librdkafka hashes keys.
#[must_use]
pub fn crc32(key: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut entry, mut bit) = (byte as u32, 0);
            while bit < 8 {
                entry = (entry >> 1) ^ ((entry & 1) * 0xedb8_8320);
                bit += 1;
            }
            table[byte] = entry;
            byte += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)];
    !key.iter().fold(u32::MAX, step)
}

/// The partition of a record with this key as librdkafka's default partitioner `consistent_random` chooses it, and all clients that
/// are built on it. There the empty key is like none: any partition will do.
///
/// # Panics
/// There must be at least one partition.
#[must_use]
pub fn partition_for_key_by_crc32(key: &[u8], partitions: usize) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (crc32(key) as usize % partitions) as i32
}

/// FNV-1a of 32 bits as Sarama's default partitioner and librdkafka's `fnv1a` take it: without its sign.
#[must_use]
pub fn fnv1a(key: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    // The absolute value, not the lower 31 bits as with murmur2.
    key.iter()
        .fold(0x811c_9dc5, step)
        .cast_signed()
        .unsigned_abs()
}

/// The partition of a record with this key as librdkafka's partitioners `fnv1a` and `fnv1a_random` choose it, and Sarama's hash
/// partitioner. The empty key is a key.
///
/// # Panics
/// There must be at least one partition.
#[must_use]
pub fn partition_for_key_by_fnv1a(key: &[u8], partitions: usize) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (fnv1a(key) as usize % partitions) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_is_that_of_sarama() {
        // Computed by Go's hash/fnv and Sarama's rule for signs; they stand in librdkafka's unit test (`src/rdfnv1a.c`).
        for (key, expected) in [
            ("kafka", 0xd33_c4e1),
            ("giberish123456789", 0x77a5_8295),
            ("1234", 0x23b_dd03),
            ("234", 0x2dea_3cd2),
            ("34", 0x740f_a83e),
            ("4", 0x310c_a263),
            ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x65cb_d69c),
            ("reAmbleWillBeRemoved,ThePrePartThatIs", 0x6e49_c79a),
            ("eAmbleWillBeRemoved,ThePrePartThatIs", 0x69ee_d356),
            ("AmbleWillBeRemoved,ThePrePartThatIs", 0x6abc_c023),
            ("", 0x7ee3_623b),
        ] {
            assert_eq!(fnv1a(key.as_bytes()), expected, "{key}");
        }
        assert_eq!(partition_for_key_by_fnv1a(b"kafka", 10), 5);
    }

    #[test]
    fn crc32_is_that_of_zlib() {
        // The check value of the catalogue of CRC algorithms (CRC-32/ISO-HDLC), and two of zlib's `crc32`.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"hello"), 0x3610_a686);
        // Above 2³¹: the hash counts as unsigned.
        assert_eq!(
            partition_for_key_by_crc32(b"123456789", 7),
            (0xcbf4_3926_u32 % 7) as i32
        );
    }

    // From Kafka's own UtilsTest.
    #[test]
    fn hashes_agree_with_kafkas_own_test() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }
}
