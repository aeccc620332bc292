//! One record as a view into its batch, and the walk over the records of a batch.

use std::borrow::Cow;

use super::{
    error::{Fault, RecordError},
    varint::{read_i32, read_i64},
};

/// A record, borrowed from the frame or from the buffer its batch was inflated into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, or -1 where none was given. With log-append time it is the broker's time of the whole batch.
    pub timestamp: i64,
    /// The key; no key and an empty key are two things.
    pub key: Option<&'a [u8]>,
    /// The value; no value (a tombstone in a compacted topic) and an empty value are two things.
    pub value: Option<&'a [u8]>,
    /// The headers in the order they were written, duplicates included.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The name as text, with what is not UTF-8 replaced, as Kafka's own reader does.
    pub fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.name)
    }

    /// The name as it was written. Kafka writes UTF-8 here; nothing enforces it.
    pub const fn name_bytes(&self) -> &'a [u8] {
        self.name
    }

    /// The value; none and empty are two things.
    pub const fn value(&self) -> Option<&'a [u8]> {
        self.value
    }
}

/// The headers of a record: an iterator that reads as it goes. They were checked when the record was read, so it cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first value under this name, `Some(None)` if that header has no value.
    pub fn first(mut self, name: &str) -> Option<Option<&'a [u8]>> {
        self.find(|header| header.name == name.as_bytes())
            .map(|header| header.value)
    }

    /// Headers that were checked once, from what [`Headers::raw`] gave.
    #[cfg(feature = "client")]
    pub(crate) const fn from_raw(count: u32, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }

    /// How many are left, and their bytes as they stand in the record.
    pub(crate) const fn raw(&self) -> (u32, &'a [u8]) {
        (self.count, self.bytes)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        // Checked by `check_headers`; a fault here would end the iteration, it cannot happen.
        read_header(&mut self.bytes).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for Headers<'_> {}

fn read_header<'a>(bytes: &mut &'a [u8]) -> Result<Header<'a>, Fault> {
    let key = read_bytes(bytes, Fault::Headers)?.ok_or(Fault::Headers)?;
    let value = read_bytes(bytes, Fault::Headers)?;
    Ok(Header { name: key, value })
}

#[inline(always)]
fn read_bytes<'a>(bytes: &mut &'a [u8], fault: Fault) -> Result<Option<&'a [u8]>, Fault> {
    let len = read_i32(bytes)?;
    if len < 0 {
        return Ok(None); // Kafka's reader takes any negative length as null.
    }
    let Some((field, rest)) = bytes.split_at_checked(len as usize) else {
        return Err(fault);
    };
    *bytes = rest;
    Ok(Some(field))
}

/// Walks headers once, so that the lazy iterator may trust them. Returns their bytes.
#[inline(never)]
fn check_headers(count: i32, bytes: &[u8]) -> Result<Headers<'_>, Fault> {
    // Each header takes two bytes at least: an absurd count is refused before it is walked.
    let count = u32::try_from(count).map_err(|_| Fault::Headers)?;
    if count as usize > bytes.len() / 2 {
        return Err(Fault::Headers);
    }
    let mut rest = bytes;
    for _ in 0..count {
        read_header(&mut rest)?;
    }
    if rest.is_empty() {
        Ok(Headers { count, bytes })
    } else {
        Err(Fault::Trailing)
    }
}

/// What a walk needs from the header of its batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) base_offset: i64,
    /// Base timestamp, or the batch's one timestamp under log-append time.
    pub(crate) timestamp: i64,
    /// All ones, or zero where log-append time overrides the deltas.
    pub(crate) delta_mask: i64,
    pub(crate) count: u32,
}

/// Where a walk stands, apart from the bytes it walks over: [`RecordIter::place`] gives it, [`Batch::records_from`](super::Batch::records_from)
/// goes on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkPlace {
    bytes_left: usize,
    left: u32,
}

/// The records of one batch, read as they are asked for; nothing is allocated.
///
/// After an error it ends. It also checks that the count of the header and the bytes agree.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    bytes: &'a [u8],
    walk: Walk,
    left: u32,
    done: bool,
}

impl<'a> RecordIter<'a> {
    pub(crate) const fn new(walk: Walk, bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            walk,
            left: walk.count,
            done: false,
        }
    }

    /// Goes on where another walk over the same bytes stood.
    pub(crate) fn resumed(walk: Walk, bytes: &'a [u8], place: WalkPlace) -> Self {
        let read = bytes.len().saturating_sub(place.bytes_left);
        Self {
            bytes: &bytes[read..],
            walk,
            left: place.left,
            done: false,
        }
    }

    /// Where the walk stands.
    pub const fn place(&self) -> WalkPlace {
        WalkPlace {
            bytes_left: self.bytes.len(),
            left: self.left,
        }
    }

    /// Records that the header promises and that were not read yet.
    pub const fn remaining(&self) -> u32 {
        self.left
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> RecordError {
        let (base_offset, index) = (self.walk.base_offset, self.walk.count - self.left);
        self.done = true;
        self.left = 0;
        if self.bytes.is_empty() {
            RecordError::MissingRecords {
                base_offset,
                found: index,
                expected: self.walk.count,
            }
        } else {
            RecordError::Record {
                base_offset,
                index,
                fault,
            }
        }
    }

    #[inline(never)]
    fn end(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        if self.done || self.bytes.is_empty() {
            return None;
        }
        self.done = true;
        Some(Err(RecordError::TrailingBytes {
            base_offset: self.walk.base_offset,
            bytes: self.bytes.len(),
        }))
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return self.end();
        }
        match read_record(self.bytes, &self.walk) {
            Ok((record, rest)) => {
                self.bytes = rest;
                self.left -= 1;
                Some(Ok(record))
            }
            Err(fault) => Some(Err(self.fail(fault))),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is a claim of the peer's: a record takes 7 bytes at least.
        let most = (self.left as usize).min(self.bytes.len() / 7) + 1;
        (0, Some(most))
    }
}

impl std::iter::FusedIterator for RecordIter<'_> {}

#[inline(always)]
fn read_record<'a>(mut bytes: &'a [u8], walk: &Walk) -> Result<(Record<'a>, &'a [u8]), Fault> {
    let len = read_i32(&mut bytes)?;
    if len < 0 {
        return Err(Fault::Length);
    }
    let Some((record, rest)) = bytes.split_at_checked(len as usize) else {
        return Err(Fault::Length);
    };
    // The attributes of a record are not used by any version of Kafka.
    let Some((_attributes, mut fields)) = record.split_first() else {
        return Err(Fault::Cut);
    };
    let timestamp_delta = read_i64(&mut fields)?;
    let offset_delta = read_i32(&mut fields)?;
    let key = read_bytes(&mut fields, Fault::Key)?;
    let value = read_bytes(&mut fields, Fault::Value)?;
    let headers = match *fields {
        [0] => Headers {
            count: 0,
            bytes: &[],
        },
        _ => {
            let count = read_i32(&mut fields)?;
            check_headers(count, fields)?
        }
    };
    let record = Record {
        offset: walk.base_offset.wrapping_add(i64::from(offset_delta)),
        timestamp: walk
            .timestamp
            .wrapping_add(timestamp_delta & walk.delta_mask),
        key,
        value,
        headers,
    };
    Ok((record, rest))
}
