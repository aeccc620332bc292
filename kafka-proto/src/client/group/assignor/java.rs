//! Where Java's assignors depend on the order of strings and of hash tables, so do these: the order of Java's `String` and of its
//! `HashMap`, which follows from the hash, the number of entries, and the order in which they came.

use std::cmp::Ordering;

/// `String.compareTo`: by UTF-16 units.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        return a.cmp(b);
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

/// `String.hashCode`.
pub(super) fn hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// `TopicPartition.hashCode`.
pub(super) fn hash_of_partition(topic: &str, partition: i32) -> i32 {
    31_i32
        .wrapping_add(partition)
        .wrapping_mul(31)
        .wrapping_add(hash(topic))
}

/// The size of a `HashMap`'s table that has held so many entries; it never shrinks.
pub(super) fn table_size(entries: usize) -> usize {
    let mut size = 16;
    while entries > size / 4 * 3 {
        size *= 2;
    }
    size
}

/// Where in a table of this size a hash goes. Entries of one place stand in the order they came.
pub(super) fn place(hash: i32, table_size: usize) -> usize {
    let hash = hash as u32;
    (hash ^ (hash >> 16)) as usize & (table_size - 1)
}

/// Brings things into the order of a `HashMap` with keys of these hashes, into which they came in the order they stand.
pub(super) fn sort_as_hash_map<T>(things: &mut [T], hash: impl Fn(&T) -> i32) {
    let size = table_size(things.len());
    things.sort_by_key(|thing| place(hash(thing), size));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(hash(""), 0);
        assert_eq!(hash("hello"), 99_162_322);
        assert_eq!(hash("polygenelubricants"), i32::MIN);
        assert_eq!(hash("😀"), 1_772_899);
    }

    #[test]
    fn strings_compare_by_their_utf_16_units() {
        assert_eq!(compare("a", "b"), Ordering::Less);
        assert_eq!("\u{ffff}".cmp("😀"), Ordering::Less);
        assert_eq!(compare("\u{ffff}", "😀"), Ordering::Greater);
    }

    #[test]
    fn tables_grow_behind_three_quarters() {
        assert_eq!(
            (table_size(12), table_size(13), table_size(25)),
            (16, 32, 64)
        );
    }
}
