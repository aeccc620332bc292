//! Builds a record batch in the bytes that go on the wire: room for the header first, each record encoded once behind it, the header
//! filled in and the checksum computed at the end.
//!
//! Per record: the sizes are computed, one reservation is made, and three copies follow (a prefix of a fixed size, the key, the
//! value). Nothing is allocated as long as the buffer's capacity lasts.

use bytes::{Bytes, BytesMut};

use super::{
    batch::{
        ATTRIBUTES_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, CONTROL, COUNT_AT, CRC_AT,
        DELETE_HORIZON, HEADER_BYTES, LAST_OFFSET_DELTA_AT, LEADER_EPOCH_AT, LENGTH_AT,
        LOG_APPEND_TIME, LOG_OVERHEAD, MAGIC_AT, MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT,
        PRODUCER_ID_AT, TRANSACTIONAL, i16_at,
    },
    compression::{Codec, Compression, Compressor},
    crc,
    error::BuildError,
    record::{Headers, Record},
    varint::{len64, word, write_long, zigzag32, zigzag64},
};

/// A length field of 32 bits counts all but the first 12 bytes; some room is kept so that no sum here can overflow it.
const LARGEST_BATCH: usize = i32::MAX as usize - 1024;

/// Who produces a batch. Filled in when it is sent: sequences are given out in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The producer's id, -1 without idempotence.
    pub producer_id: i64,
    /// The producer's epoch, -1 without idempotence.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 without idempotence.
    pub base_sequence: i32,
    /// Whether the records belong to a transaction.
    pub transactional: bool,
}

impl Stamp {
    /// Of a producer without idempotence.
    pub const NONE: Self = Self {
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        transactional: false,
    };
}

/// What a log adds to a batch. Producers have no use for it; those who play broker do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Epoch of the leader, -1 for none.
    pub partition_leader_epoch: i32,
    /// Distance of the last offset, where it is not that of the last record (a compacted batch).
    pub last_offset_delta: Option<i32>,
    /// Log-append time: the one timestamp of all records.
    pub log_append_time: Option<i64>,
    /// Says that the base timestamp given to [`BatchBuilder::with_base_timestamp`] is the delete horizon.
    pub delete_horizon: bool,
    /// The largest timestamp, where it is not that of the records.
    pub max_timestamp: Option<i64>,
    /// Whether this is a control batch.
    pub control: bool,
}

impl Placement {
    /// Of a batch that was not appended yet.
    pub const NONE: Self = Self {
        base_offset: 0,
        partition_leader_epoch: -1,
        last_offset_delta: None,
        log_append_time: None,
        delete_horizon: false,
        max_timestamp: None,
        control: false,
    };
}

/// Builds one batch after another; its buffers are kept between them.
#[derive(Debug)]
pub struct BatchBuilder {
    /// All of it initialised: writing into slices of it needs no check of its capacity.
    buffer: Vec<u8>,
    /// Where the next record begins; 0 before the batch has begun.
    end: usize,
    /// Bytes that records may still take before the buffer or the limit ends.
    room: usize,
    compression: Compression,
    /// Only used by `finish`, and made there.
    compressor: Option<Box<Compressor>>,
    /// What is reserved when a batch begins.
    capacity: usize,
    limit: usize,
    count: u32,
    next_delta: i32,
    base_timestamp: i64,
    fixed_base: bool,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// A builder that reserves `capacity` bytes for a batch when its first record comes.
    pub fn new(compression: Compression, capacity: usize) -> Self {
        Self {
            buffer: Vec::new(),
            end: 0,
            room: 0,
            compression,
            compressor: None,
            capacity: capacity.clamp(HEADER_BYTES + SLACK, LARGEST_BATCH),
            limit: LARGEST_BATCH,
            count: 0,
            next_delta: 0,
            base_timestamp: -1,
            fixed_base: false,
            max_timestamp: -1,
        }
    }

    /// Bounds a batch to `limit` bytes before compression. The first record may be larger: a batch of one record is as small as it can
    /// be, and whether that is too large is for `max.request.size` to say.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.min(LARGEST_BATCH);
        self
    }

    /// Counts timestamp deltas from `base_timestamp` instead of the first record's.
    #[must_use]
    pub const fn with_base_timestamp(mut self, base_timestamp: i64) -> Self {
        self.base_timestamp = base_timestamp;
        self.fixed_base = true;
        self
    }

    /// Appends a record and returns its offset delta: its place in the batch.
    ///
    /// # Errors
    /// When it does not fit below the limit any more; nothing is written then.
    #[inline]
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<i32, BuildError> {
        self.push(
            self.next_delta,
            timestamp,
            key,
            value,
            HeaderSource::Pairs(headers),
        )
    }

    /// Appends a record that was read: its headers are copied as they stand, its offset is not kept.
    ///
    /// # Errors
    /// As [`BatchBuilder::append`].
    #[inline]
    pub fn append_record(&mut self, record: &Record<'_>) -> Result<i32, BuildError> {
        self.push(
            self.next_delta,
            record.timestamp,
            record.key,
            record.value,
            HeaderSource::Raw(record.headers),
        )
    }

    /// As [`BatchBuilder::append_record`], with an offset delta of its own that may leave holes behind the one before. For those who
    /// play broker; a broker refuses batches with holes from producers.
    ///
    /// # Errors
    /// Also when `delta` is not greater than that of the record before.
    pub fn append_at(&mut self, delta: i32, record: &Record<'_>) -> Result<i32, BuildError> {
        if delta < self.next_delta || delta == i32::MAX {
            return Err(BuildError::OffsetOrder {
                delta,
                last: self.next_delta - 1,
            });
        }
        self.push(
            delta,
            record.timestamp,
            record.key,
            record.value,
            HeaderSource::Raw(record.headers),
        )
    }

    #[inline(always)]
    fn push(
        &mut self,
        delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: HeaderSource<'_, '_>,
    ) -> Result<i32, BuildError> {
        let (offset, offset_len) = word(zigzag32(delta).into());
        let (key_word, key_len) = word(field_len(key));
        let (value_word, value_len) = word(field_len(value));
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        // Two slices together cannot overflow; headers can, being any number of slices.
        let data_len = key.len() + value.len();
        let headers_len = if headers.is_empty() { 1 } else { headers.len() };
        let data_len = if headers_len == 1 {
            data_len + 1
        } else {
            data_len.saturating_add(headers_len)
        };
        if self.end == 0 {
            self.begin(timestamp);
        }
        let time_raw = zigzag64(timestamp.wrapping_sub(self.base_timestamp));
        let (time, time_len) = if time_raw < WORD_END {
            word(time_raw)
        } else {
            (0, len64(time_raw))
        };
        let body_len = (1 + time_len + offset_len + key_len + value_len).saturating_add(data_len);
        // Nonsense for a record that is too large, which never fits then.
        let (length, length_len) = word(zigzag32(body_len as i32).into());
        let record_bytes = body_len.saturating_add(length_len);
        if record_bytes > self.room {
            self.make_room(record_bytes)?;
        }

        // Eight bytes are stored at a time and the next thing begins behind those that count; `SLACK` bytes are always left. What stands
        // before the key, and the two lengths around an empty one, are put together in a register where they fit: fewer stores.
        let out = &mut self.buffer[self.end..];
        let mut at = length_len + 1; // the attributes, unused, are the zero behind the length
        let prefix_len = at + time_len + offset_len;
        if prefix_len <= 8 {
            let prefix = length | time << (8 * at) | offset << (8 * (at + time_len));
            put(out, 0, prefix.to_le_bytes());
        } else {
            put(out, 0, length.to_le_bytes());
            if time_raw < WORD_END {
                put(out, at, time.to_le_bytes());
            } else {
                write_long(time_raw, &mut out[at..]);
            }
            put(out, at + time_len, offset.to_le_bytes());
        }
        at = prefix_len;
        if key.is_empty() {
            put(out, at, (key_word | value_word << 8).to_le_bytes());
            at += 1 + value_len;
        } else {
            put(out, at, key_word.to_le_bytes());
            at += key_len;
            out[at..at + key.len()].copy_from_slice(key);
            at += key.len();
            put(out, at, value_word.to_le_bytes());
            at += value_len;
        }
        out[at..at + value.len()].copy_from_slice(value);
        at += value.len();
        if headers_len == 1 {
            out[at] = 0;
        } else {
            headers.write(&mut out[at..]);
        }

        self.end += record_bytes;
        self.room -= record_bytes;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
        self.next_delta = delta + 1;
        Ok(delta)
    }

    /// Begins a batch with its first record.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, timestamp: i64) {
        if self.buffer.is_empty() {
            self.buffer = vec![0; self.capacity];
        }
        self.end = HEADER_BYTES;
        self.room = self.room_left();
        self.max_timestamp = i64::MIN;
        if !self.fixed_base {
            self.base_timestamp = timestamp;
        }
    }

    /// Grows the batch, or says that it is full.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, record_bytes: usize) -> Result<(), BuildError> {
        if record_bytes > LARGEST_RECORD {
            if self.count == 0 {
                self.clear();
            }
            return Err(BuildError::RecordTooLarge { record_bytes });
        }
        let limit = if self.count == 0 {
            LARGEST_BATCH
        } else {
            self.limit
        };
        let need = self.end + record_bytes;
        if need > limit {
            let left = limit.saturating_sub(self.end);
            return Err(BuildError::Full { record_bytes, left });
        }
        if self.buffer.len() < need + SLACK {
            if self.buffer.capacity() < need + SLACK {
                let size = (need + SLACK).max(2 * self.end).min(LARGEST_BATCH + SLACK);
                self.buffer.reserve_exact(size - self.buffer.len());
            }
            // Step by step: a recycled buffer ends where its last batch did, and clearing all of it again would cost each batch.
            let size = (need + SLACK + STEP).min(self.buffer.capacity());
            self.buffer.resize(size, 0);
        }
        // The first record may pass the limit.
        self.room = self.room_left().max(record_bytes);
        Ok(())
    }

    fn room_left(&self) -> usize {
        let full_at = self.buffer.len().saturating_sub(SLACK).min(self.limit);
        full_at.saturating_sub(self.end)
    }

    /// Records in the batch so far.
    #[inline]
    pub const fn record_count(&self) -> u32 {
        self.count
    }

    /// Whether there is no record yet.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the batch so far as it would be on the wire without compression.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        self.end.max(HEADER_BYTES)
    }

    /// Bytes that its buffers hold.
    pub fn capacity_bytes(&self) -> usize {
        self.buffer.capacity()
            + self
                .compressor
                .as_ref()
                .map_or(0, |compressor| compressor.packed.capacity())
    }

    /// What the batches are compressed with.
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// The largest timestamp so far, -1 without records.
    pub const fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Forgets the records, keeps the buffers.
    pub fn clear(&mut self) {
        self.end = 0;
        self.room = 0;
        self.count = 0;
        self.next_delta = 0;
        if !self.fixed_base {
            self.base_timestamp = -1;
        }
        self.max_timestamp = -1;
    }

    /// Gives back the bytes of a batch that is done with. If nobody else holds them, the next batch is built in their buffer.
    pub fn recycle(&mut self, batch: Bytes) {
        if self.buffer.is_empty()
            && let Ok(batch) = batch.try_into_mut()
        {
            self.buffer = Vec::from(batch);
        }
    }

    /// Ends the batch: compresses it, fills in the header, computes the checksum. The builder is empty afterwards.
    ///
    /// # Errors
    /// Only when the codec fails or is not built in; the records are still there then.
    pub fn finish(&mut self, stamp: Stamp) -> Result<Bytes, BuildError> {
        self.finish_at(stamp, Placement::NONE)
    }

    /// As [`BatchBuilder::finish`], for those who play broker.
    ///
    /// # Errors
    /// As there.
    pub fn finish_at(&mut self, stamp: Stamp, placement: Placement) -> Result<Bytes, BuildError> {
        if self.compression.codec() == Codec::None {
            self.fill_header(stamp, placement);
            return Ok(self.take_plain());
        }
        let mut compressor = self.compressor.take().unwrap_or_default();
        self.fill_header(stamp, placement);
        let result = self.pack(&mut compressor);
        self.compressor = Some(compressor);
        result
    }

    /// As [`BatchBuilder::finish`], with a compressor that several builders share.
    ///
    /// # Errors
    /// As there.
    pub fn finish_with(
        &mut self,
        compressor: &mut Compressor,
        stamp: Stamp,
    ) -> Result<Bytes, BuildError> {
        self.fill_header(stamp, Placement::NONE);
        if self.compression.codec() == Codec::None {
            Ok(self.take_plain())
        } else {
            self.pack(compressor)
        }
    }

    fn fill_header(&mut self, stamp: Stamp, placement: Placement) {
        if self.end == 0 {
            self.end = HEADER_BYTES;
            let size = self.buffer.len().max(HEADER_BYTES);
            self.buffer.resize(size, 0);
        }
        let mut attributes = i16::from(self.compression.codec().id());
        for (bit, is_set) in [
            (LOG_APPEND_TIME, placement.log_append_time.is_some()),
            (CONTROL, placement.control),
            (DELETE_HORIZON, placement.delete_horizon),
        ] {
            attributes |= if is_set { bit } else { 0 };
        }
        let max_timestamp = placement
            .log_append_time
            .or(placement.max_timestamp)
            .unwrap_or(self.max_timestamp);
        let last_delta = (self.next_delta - 1).max(0);
        let last_offset_delta = placement.last_offset_delta.unwrap_or(last_delta);

        let head = &mut self.buffer[..HEADER_BYTES];
        put(head, 0, placement.base_offset.to_be_bytes());
        put(
            head,
            LEADER_EPOCH_AT,
            placement.partition_leader_epoch.to_be_bytes(),
        );
        put(head, MAGIC_AT, [2]);
        put(head, ATTRIBUTES_AT, attributes.to_be_bytes());
        put(head, LAST_OFFSET_DELTA_AT, last_offset_delta.to_be_bytes());
        put(head, BASE_TIMESTAMP_AT, self.base_timestamp.to_be_bytes());
        put(head, MAX_TIMESTAMP_AT, max_timestamp.to_be_bytes());
        put(head, COUNT_AT, self.count.to_be_bytes());
        stamp_header(head, stamp);
    }

    fn take_plain(&mut self) -> Bytes {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.truncate(self.end);
        seal(&mut bytes);
        self.clear();
        Bytes::from(bytes)
    }

    fn pack(&mut self, compressor: &mut Compressor) -> Result<Bytes, BuildError> {
        let mut packed = std::mem::take(&mut compressor.packed);
        packed.clear();
        packed.extend_from_slice(&self.buffer[..HEADER_BYTES]);
        let result = compressor.compress(
            self.compression,
            &self.buffer[HEADER_BYTES..self.end],
            &mut packed,
        );
        let batch = result.map(|()| {
            seal(&mut packed);
            self.clear();
            Bytes::copy_from_slice(&packed)
        });
        compressor.packed = packed;
        batch
    }
}

/// What may be written past the end of a record: the rest of an 8-byte store.
const SLACK: usize = 16;

/// How much of a buffer is initialised at a time.
const STEP: usize = 4096;

/// The largest record.
const LARGEST_RECORD: usize = LARGEST_BATCH - HEADER_BYTES;

/// Numbers from here on do not fit a word as varints.
const WORD_END: u64 = 1 << 56;

#[derive(Clone, Copy)]
enum HeaderSource<'a, 'b> {
    Pairs(&'a [(&'b str, Option<&'b [u8]>)]),
    Raw(Headers<'a>),
}

impl HeaderSource<'_, '_> {
    #[inline(always)]
    const fn is_empty(&self) -> bool {
        match self {
            Self::Pairs(pairs) => pairs.is_empty(),
            Self::Raw(headers) => headers.is_empty(),
        }
    }

    #[inline(never)]
    fn len(&self) -> usize {
        match self {
            Self::Pairs(pairs) => {
                let field = |field| word(field_len(field)).1;
                let lengths = pairs.iter().map(|(key, value)| {
                    let bytes = key.len().saturating_add(value.map_or(0, <[u8]>::len));
                    bytes.saturating_add(field(Some(key.as_bytes())) + field(*value))
                });
                lengths.fold(
                    word(zigzag32(pairs.len() as i32).into()).1,
                    usize::saturating_add,
                )
            }
            Self::Raw(headers) => {
                let (count, bytes) = headers.raw();
                word(zigzag32(count as i32).into()).1 + bytes.len()
            }
        }
    }

    #[inline(never)]
    fn write(&self, mut out: &mut [u8]) {
        match self {
            Self::Pairs(pairs) => {
                write_word(&mut out, zigzag32(pairs.len() as i32).into());
                for (key, value) in *pairs {
                    write_word(&mut out, field_len(Some(key.as_bytes())));
                    write_bytes(&mut out, key.as_bytes());
                    write_word(&mut out, field_len(*value));
                    write_bytes(&mut out, value.unwrap_or_default());
                }
            }
            Self::Raw(headers) => {
                let (count, bytes) = headers.raw();
                write_word(&mut out, zigzag32(count as i32).into());
                write_bytes(&mut out, bytes);
            }
        }
    }
}

fn write_word(out: &mut &mut [u8], raw: u64) {
    let (word, len) = word(raw);
    write_bytes(out, &word.to_le_bytes()[..len]);
}

fn write_bytes(out: &mut &mut [u8], bytes: &[u8]) {
    let (written, rest) = std::mem::take(out).split_at_mut(bytes.len());
    written.copy_from_slice(bytes);
    *out = rest;
}

/// The length that stands before a field, in zigzag. Lengths past 31 bits are refused before it is written.
#[inline(always)]
fn field_len(field: Option<&[u8]>) -> u64 {
    field.map_or(1, |bytes| (bytes.len() as u64) << 1 & (WORD_END - 1))
}

#[inline(always)]
fn put<const N: usize>(head: &mut [u8], at: usize, value: [u8; N]) {
    head[at..at + N].copy_from_slice(&value);
}

/// Writes the producer's fields and the transactional bit, and nothing else.
pub(crate) fn stamp_header(head: &mut [u8], stamp: Stamp) {
    let attributes = i16_at(head, ATTRIBUTES_AT) & !TRANSACTIONAL
        | if stamp.transactional {
            TRANSACTIONAL
        } else {
            0
        };
    put(head, ATTRIBUTES_AT, attributes.to_be_bytes());
    put(head, PRODUCER_ID_AT, stamp.producer_id.to_be_bytes());
    put(head, PRODUCER_EPOCH_AT, stamp.producer_epoch.to_be_bytes());
    put(head, BASE_SEQUENCE_AT, stamp.base_sequence.to_be_bytes());
}

/// Fills in what depends on the final bytes: length and checksum.
fn seal(batch: &mut [u8]) {
    let length = (batch.len() - LOG_OVERHEAD) as i32;
    put(batch, LENGTH_AT, length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    put(batch, CRC_AT, crc.to_be_bytes());
}

/// Stamps a finished batch anew, as after an epoch bump: its producer's fields, its transactional bit and its checksum change, its
/// records are not read. `head` is the batch or at least its header, of which `body_len` bytes follow in all behind the header.
///
/// Works in place if nobody else holds the bytes, else on a copy.
///
/// # Panics
/// When `head` is shorter than a header: a mistake of the caller's.
pub fn restamp(head: Bytes, body_len: usize, stamp: Stamp) -> Bytes {
    let mut head = head
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let crc = u32::from_be_bytes(super::batch::array(&head, CRC_AT));
    let old = crc32c::crc32c(&head[ATTRIBUTES_AT..HEADER_BYTES]);
    stamp_header(&mut head, stamp);
    let new = crc32c::crc32c(&head[ATTRIBUTES_AT..HEADER_BYTES]);
    put(
        &mut head,
        CRC_AT,
        crc::replace_head(crc, old, new, body_len).to_be_bytes(),
    );
    head.freeze()
}
