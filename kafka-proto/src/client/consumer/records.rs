//! Records as values of their own: a few numbers and one reference count each, over the bytes of their batch.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{
    client::error::Result,
    records::{Decompressor, Headers, Record},
    wire::Text,
};

use super::batches::FetchedBatch;

/// A record that was read. Key, value and headers are slices of the fetched frame (or of the inflated batch), which lives as long as
/// one of its records does.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    batch: Arc<OwnedBatch>,
    offset: i64,
    timestamp: i64,
    key: Field,
    value: Field,
    headers: Field,
    header_count: u32,
}

/// A batch whose records are handed out one by one.
#[derive(Debug)]
struct OwnedBatch {
    fetched: FetchedBatch,
    body: Bytes,
}

/// Where a field stands in the body; nothing at all if `start` is past `end`.
#[derive(Clone, Copy, Debug)]
struct Field {
    start: u32,
    end: u32,
}

impl Field {
    const NONE: Self = Self { start: 1, end: 0 };

    #[inline]
    fn of(field: Option<&[u8]>, body: &[u8]) -> Self {
        let Some(field) = field else {
            return Self::NONE;
        };
        // Fields are slices of the body; an empty one may be anywhere.
        let start = (field.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
        let start = if field.is_empty() { 0 } else { start as u32 };
        Self {
            start,
            end: start + field.len() as u32,
        }
    }

    const fn range(self) -> Option<Range<usize>> {
        if self.start > self.end {
            None
        } else {
            Some(self.start as usize..self.end as usize)
        }
    }
}

impl ConsumerRecord {
    /// The topic.
    pub fn topic(&self) -> &Text {
        self.batch.fetched.topic()
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.batch.fetched.partition()
    }

    /// Place in the partition.
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// Milliseconds since 1970, −1 where none was given.
    pub const fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// The key; no key and an empty key are two things.
    pub fn key(&self) -> Option<&[u8]> {
        self.slice(self.key)
    }

    /// The value; no value (a tombstone in a compacted topic) and an empty value are two things.
    pub fn value(&self) -> Option<&[u8]> {
        self.slice(self.value)
    }

    /// The key as bytes of their own, without a copy.
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.key.range().map(|range| self.batch.body.slice(range))
    }

    /// The value as bytes of their own, without a copy.
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.value.range().map(|range| self.batch.body.slice(range))
    }

    /// The headers in the order they were written, duplicates included.
    pub fn headers(&self) -> Headers<'_> {
        Headers::from_raw(
            self.header_count,
            self.slice(self.headers).unwrap_or_default(),
        )
    }

    /// Leader epoch of the record's batch, −1 if unknown: goes with `offset + 1` into a commit (KIP-320).
    pub fn leader_epoch(&self) -> i32 {
        self.batch.fetched.batch().partition_leader_epoch()
    }

    fn slice(&self, field: Field) -> Option<&[u8]> {
        self.batch.body.get(field.range()?)
    }
}

/// Takes all records of a batch out of it, in order; the first error ends that.
pub(super) fn owned(
    fetched: FetchedBatch,
    decompressor: &mut Decompressor,
    mut give: impl FnMut(ConsumerRecord),
) -> Result<()> {
    let body = fetched
        .batch()
        .uncompressed_bytes(decompressor)
        .map_err(|error| fetched.fail(error))?;
    let batch = Arc::new(OwnedBatch { fetched, body });
    for record in batch.fetched.walk(&batch.body) {
        let Record {
            offset,
            timestamp,
            key,
            value,
            headers,
        } = record?;
        let (header_count, header_bytes) = headers.raw();
        give(ConsumerRecord {
            offset,
            timestamp,
            key: Field::of(key, &batch.body),
            value: Field::of(value, &batch.body),
            headers: Field::of(Some(header_bytes), &batch.body),
            header_count,
            batch: Arc::clone(&batch),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_fields_stay_two_things() {
        let body = b"abcdef";
        assert_eq!(Field::of(None, body).range(), None);
        assert_eq!(Field::of(Some(&[]), body).range(), Some(0..0));
        assert_eq!(Field::of(Some(&body[2..5]), body).range(), Some(2..5));
        assert_eq!(Field::of(Some(&body[6..]), body).range(), Some(0..0));
    }
}
