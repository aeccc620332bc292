//! Records as values of their own: a few numbers and one reference count each, over the bytes of their batch.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{
    client::{error::Result, group::OffsetToCommit},
    records::{Decompressor, Headers, Record, WalkPlace},
    wire::Text,
};

use super::{batches::FetchedBatch, room::counted};

/// A record that was read. Key, value and headers are slices of the fetched frame (or of the inflated batch), which lives as long as
/// one of its records, or of their [`key_bytes`](Self::key_bytes) and [`value_bytes`](Self::value_bytes), does, and counts in `fetch.buffer.bytes`
/// until then. **What is kept for long is kept as [`ConsumerRecord::detach`] makes it**: else one small record holds megabytes, and when all of
/// the buffer is held nothing more is fetched.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    batch: Arc<Source>,
    offset: i64,
    timestamp: i64,
    key: Field,
    value: Field,
    headers: Field,
    header_count: u32,
}

/// What the records of a batch have in common.
#[derive(Debug)]
struct Source {
    topic: Text,
    partition: i32,
    leader_epoch: i32,
    /// Counts in the budget for as long as it, or a slice of it, lives.
    body: Bytes,
}

/// Where a field stands in the body, which is smaller than 2 GiB; nothing at all if `start` is past `end`.
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
    #[inline]
    fn new(batch: &Arc<Source>, record: &Record<'_>) -> Self {
        let (header_count, header_bytes) = record.headers.raw();
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: Field::of(record.key, &batch.body),
            value: Field::of(record.value, &batch.body),
            headers: Field::of(Some(header_bytes), &batch.body),
            header_count,
            batch: Arc::clone(batch),
        }
    }

    /// The same record in memory of its own: it holds nothing that was fetched, and does not count in `fetch.buffer.bytes`.
    #[must_use]
    pub fn detach(&self) -> Self {
        let mut body = Vec::new();
        let mut copy = |field: Field| {
            let Some(bytes) = self.slice(field) else {
                return Field::NONE;
            };
            let start = body.len() as u32;
            body.extend_from_slice(bytes);
            let end = body.len() as u32;
            Field { start, end }
        };
        let [key, value, headers] = [self.key, self.value, self.headers].map(&mut copy);
        Self {
            key,
            value,
            headers,
            batch: Arc::new(Source {
                topic: self.batch.topic.detach(),
                partition: self.batch.partition,
                leader_epoch: self.batch.leader_epoch,
                body: body.into(),
            }),
            ..*self
        }
    }

    /// The topic.
    pub fn topic(&self) -> &Text {
        &self.batch.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.batch.partition
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

    /// The key as a slice that may be kept, without a copy: it holds all of what it is a slice of.
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.key.range().map(|range| self.batch.body.slice(range))
    }

    /// The value as a slice that may be kept, without a copy: it holds all of what it is a slice of.
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
        self.batch.leader_epoch
    }

    fn slice(&self, field: Field) -> Option<&[u8]> {
        self.batch.body.get(field.range()?)
    }
}

/// The position behind the record: what is committed once it is processed.
impl From<&ConsumerRecord> for OffsetToCommit {
    fn from(record: &ConsumerRecord) -> Self {
        let next = record.offset.saturating_add(1);
        let leader_epoch = record.leader_epoch();
        Self {
            leader_epoch,
            // The record's topic may be a slice of a whole response.
            ..Self::new(record.topic().detach(), record.partition(), next)
        }
    }
}

/// A batch that records are taken out of, and how far that went.
#[derive(Debug)]
pub(super) struct OpenBatch {
    fetched: FetchedBatch,
    source: Arc<Source>,
    place: WalkPlace,
    /// Behind the last record that was taken.
    next: i64,
}

impl OpenBatch {
    /// Inflates a batch if it is compressed; its copy counts in the budget for as long as one of its records lives.
    pub(super) fn open(fetched: FetchedBatch, decompressor: &mut Decompressor) -> Result<Self> {
        let batch = fetched.batch();
        let body = batch
            .uncompressed_bytes(decompressor)
            .map_err(|error| fetched.fail(error))?;
        let (place, next) = (batch.records(&body).place(), fetched.first_offset());
        let body = match fetched.is_compressed() {
            true => {
                fetched.inflates_to(body.len());
                let inflated = fetched.budget().inflated(body.len());
                counted(body, inflated)
            }
            false => body,
        };
        let source = Arc::new(Source {
            topic: fetched.topic().clone(),
            partition: fetched.partition(),
            leader_epoch: batch.partition_leader_epoch(),
            body,
        });
        Ok(Self {
            fetched,
            source,
            place,
            next,
        })
    }

    /// Behind the last record that was taken, with the batch's leader epoch.
    pub(super) fn position(&self) -> (i64, i32) {
        (self.next, self.source.leader_epoch)
    }

    /// Takes records until `into` holds `most`; whether the batch is done.
    pub(super) fn take(&mut self, most: usize, into: &mut Vec<ConsumerRecord>) -> Result<bool> {
        let (fetched, source) = (&self.fetched, &self.source);
        let mut records = fetched.batch().records_from(&source.body, self.place);
        let room = most.saturating_sub(into.len());
        into.reserve(room.min(records.size_hint().1.unwrap_or(0)));
        while into.len() < most {
            let record = match records.next() {
                Some(Ok(record)) => record,
                Some(Err(error)) => return Err(fetched.fail_at(self.next, error)),
                None => return Ok(true),
            };
            // A batch is fetched whole, though the position may lie inside it.
            if record.offset < self.next {
                continue;
            }
            self.next = record.offset.saturating_add(1);
            into.push(ConsumerRecord::new(source, &record));
        }
        self.place = records.place();
        Ok(records.remaining() == 0)
    }
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
