//! A batch of rows between two loops, threads or processes: one head for each row over one byte buffer.
//!
//! ```text
//! data   [value][key][value][key]…      head  { hash, timestamp, start, key, end } for each row
//! ```
//! The value stands before the key because it is written first: then the key closure may consume the item.
//!
//! Rows of which there is nothing but a short key have a list of their own: packed keys, without bytes.

use thiserror::Error;

/// Where a row lies in the buffer, and what is known of it without looking there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Hash of the key bytes under the application's seed.
    pub hash: u64,
    /// Milliseconds since 1970, as Kafka counts them.
    pub timestamp: i64,
    start: u32,
    key: u32,
    end: u32,
}

/// A row of which there is nothing but a key of at most 15 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRow {
    /// The key as `state` packs it.
    pub(crate) key: [u64; 2],
    pub(crate) hash: u64,
    pub(crate) timestamp: i64,
}

/// Rows in one buffer. Cleared and used again, so that a steady state allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    head: Vec<Head>,
    data: Vec<u8>,
    keys: Vec<KeyRow>,
}

/// A row batch counts its bytes in 32 bits; this row would not fit any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a row of {bytes} bytes does not fit behind the {held} bytes of its batch (4 GiB at most)")]
pub struct RowTooLarge {
    /// Size of the refused row.
    pub bytes: usize,
    /// Bytes that the batch already held.
    pub held: usize,
}

impl Rows {
    /// An empty batch; takes no memory before the first row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.keys.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.keys.is_empty()
    }

    /// Bytes of keys, values and heads held now (not the capacity).
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.data.len() + size_of_val(&self.head[..]) + size_of_val(&self.keys[..])
    }

    /// Forgets the rows and keeps the buffers.
    pub fn clear(&mut self) {
        self.head.clear();
        self.data.clear();
        self.keys.clear();
    }

    /// Appends a row that is nothing but its key; how many there are of these.
    #[inline]
    pub(crate) fn push_key(&mut self, row: KeyRow) -> usize {
        self.keys.push(row);
        self.keys.len()
    }

    /// The rows that are nothing but their keys. All else here (heads, [`Rows::iter`]) is of the other ones.
    pub(crate) fn keys(&self) -> &[KeyRow] {
        &self.keys
    }

    /// Appends one row.
    ///
    /// # Errors
    /// When the batch would grow past 4 GiB; it is left as it was.
    #[inline]
    pub fn push(
        &mut self,
        hash: u64,
        timestamp: i64,
        value: &[u8],
        key: &[u8],
    ) -> Result<(), RowTooLarge> {
        self.push_packed(hash, timestamp, value, key, None)
    }

    /// As [`Rows::push`]; a key of which there are 16 bytes, with something behind it, is copied as so many, which spares a call.
    #[inline]
    pub(crate) fn push_packed(
        &mut self,
        hash: u64,
        timestamp: i64,
        value: &[u8],
        key: &[u8],
        packed: Option<[u8; 16]>,
    ) -> Result<(), RowTooLarge> {
        let start = self.data.len();
        let key_at = start + value.len();
        let Ok(end) = u32::try_from(key_at + key.len()) else {
            return Err(RowTooLarge {
                bytes: value.len() + key.len(),
                held: start,
            });
        };
        if !value.is_empty() {
            self.data.extend_from_slice(value);
        }
        if let Some(packed) = packed {
            self.data.extend_from_slice(&packed);
            self.data.truncate(end as usize);
        } else {
            self.data.extend_from_slice(key);
        }
        // `end` fits and the others are not above it.
        self.head.push(Head {
            hash,
            timestamp,
            start: start as u32,
            key: key_at as u32,
            end,
        });
        Ok(())
    }

    /// As [`Rows::push`] for a key, or value, that is made of two parts.
    pub(crate) fn push_parts(
        &mut self,
        hash: u64,
        timestamp: i64,
        value: [&[u8]; 2],
        key: [&[u8]; 2],
    ) -> Result<(), RowTooLarge> {
        let start = self.data.len();
        let key_at = start + value[0].len() + value[1].len();
        let Ok(end) = u32::try_from(key_at + key[0].len() + key[1].len()) else {
            return Err(RowTooLarge {
                bytes: value[1].len() + key[0].len(),
                held: start,
            });
        };
        for part in value.into_iter().chain(key) {
            self.data.extend_from_slice(part);
        }
        self.head.push(Head {
            hash,
            timestamp,
            start: start as u32,
            key: key_at as u32,
            end,
        });
        Ok(())
    }

    /// Orders the rows by the hash of their keys, and by time where it is the same.
    pub(crate) fn sort(&mut self) {
        self.head.sort_by_key(|h| (h.hash, h.timestamp));
    }

    /// As [`Rows::sort`], and keeps one of rows with the same key and time.
    pub(crate) fn sort_unique(&mut self) {
        let data = &self.data;
        self.head.sort_by(|a, b| {
            let of = |h: &Head| (h.hash, h.timestamp);
            of(a)
                .cmp(&of(b))
                .then_with(|| a.key_of(data).cmp(b.key_of(data)))
        });
        self.head.dedup_by(|a, b| {
            (a.hash, a.timestamp) == (b.hash, b.timestamp) && a.key_of(data) == b.key_of(data)
        });
        let old = std::mem::take(self);
        for (head, key, value) in old.iter() {
            // Fewer than there were.
            let _ = self.push(head.hash, head.timestamp, value, key);
        }
    }

    /// The heads of rows with bytes, in order.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.head
    }

    /// All keys and values, as the heads point into it.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Key bytes of row `index`.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    #[must_use]
    pub fn key(&self, index: usize) -> &[u8] {
        self.head[index].key_of(&self.data)
    }

    /// Value bytes of row `index`.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    #[must_use]
    pub fn value(&self, index: usize) -> &[u8] {
        self.head[index].value_of(&self.data)
    }

    /// Head, key and value of each row with bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Head, &[u8], &[u8])> {
        self.head
            .iter()
            .map(|h| (h, h.key_of(&self.data), h.value_of(&self.data)))
    }
}

impl Head {
    /// The key's bytes in the buffer of this head's batch.
    #[inline]
    pub(crate) fn key_of<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        &data[self.key as usize..self.end as usize]
    }

    /// The value's bytes in the buffer of this head's batch.
    #[inline]
    pub(crate) fn value_of<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        &data[self.start as usize..self.key as usize]
    }

    /// Where the key begins and how long it is.
    #[inline]
    pub(crate) fn key_range(&self) -> (usize, usize) {
        (self.key as usize, (self.end - self.key) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut rows = Rows::new();
        rows.push_packed(1, 10, b"v1", b"k1", Some(*b"k1 and some more"))
            .unwrap();
        rows.push_packed(2, 20, b"", b"", Some([9; 16])).unwrap();
        rows.push(3, 30, b"", b"key").unwrap();
        let all: Vec<_> = rows
            .iter()
            .map(|(h, k, v)| (h.hash, h.timestamp, k, v))
            .collect();
        assert_eq!(
            all,
            [
                (1, 10, &b"k1"[..], &b"v1"[..]),
                (2, 20, b"", b""),
                (3, 30, b"key", b"")
            ]
        );
        rows.clear();
        assert!(rows.is_empty() && rows.size_bytes() == 0);
    }
}
