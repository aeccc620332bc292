//! A record batch of version 2 as a view of the frame it came in, and the cutting of a frame into batches.
//!
//! ```text
//!  0 base offset i64      21 attributes i16         43 producer id i64
//!  8 length i32           23 last offset delta i32  51 producer epoch i16
//! 12 leader epoch i32     27 base timestamp i64     53 base sequence i32
//! 16 magic i8             35 max timestamp i64      57 record count i32
//! 17 CRC-32C of 21..      attributes: bits 0-2 codec, 3 log-append time, 4 transactional, 5 control, 6 delete horizon
//! ```

use bytes::Bytes;

use super::{
    compression::{Codec, Decompressor},
    control::{self, ControlType},
    error::RecordError,
    legacy,
    record::{RecordIter, Walk},
};

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;

pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const LEADER_EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
/// The CRC covers everything from here on: what the broker sets (offset, leader epoch) stands before it.
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const LAST_OFFSET_DELTA_AT: usize = 23;
pub(crate) const BASE_TIMESTAMP_AT: usize = 27;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
pub(crate) const PRODUCER_ID_AT: usize = 43;
pub(crate) const PRODUCER_EPOCH_AT: usize = 51;
pub(crate) const BASE_SEQUENCE_AT: usize = 53;
pub(crate) const COUNT_AT: usize = 57;

pub(crate) const CODEC_MASK: i16 = 0x07;
pub(crate) const LOG_APPEND_TIME: i16 = 0x08;
pub(crate) const TRANSACTIONAL: i16 = 0x10;
pub(crate) const CONTROL: i16 = 0x20;
pub(crate) const DELETE_HORIZON: i16 = 0x40;

/// Bytes before the length field ends: what the length does not count.
pub(crate) const LOG_OVERHEAD: usize = 12;
/// The least a length field may say in any version (a version 0 message without key and value).
const SMALLEST_LENGTH: i32 = 14;

/// What a compressed message of an old version may inflate to unless told otherwise.
const LEGACY_LIMIT: usize = 64 << 20;

/// Whose clock the timestamps of a batch are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's: one time for the whole batch.
    LogAppendTime,
    /// There are none (version 0).
    NoTimestamp,
}

/// Cuts the bytes of a `records` field into its batches.
///
/// A last batch that is cut off is normal, not an error (a broker fills a fetch to its byte limit): it ends the iteration and
/// [`Batches::partial_bytes`] says how many bytes it left. After an error nothing more comes.
///
/// Messages of versions 0 and 1, which old logs hold, come as batches of version 2 with the same records and offsets; their checksums
/// are checked on the way.
pub const fn batches(bytes: Bytes) -> Batches {
    Batches {
        rest: bytes,
        legacy_limit: LEGACY_LIMIT,
    }
}

/// The batches of a `records` field, made by [`batches`].
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    legacy_limit: usize,
}

impl Batches {
    /// Bounds what a compressed message of version 0 or 1 may inflate to. These are inflated here; batches of version 2 are not, and
    /// have the limit of their [`Decompressor`].
    #[must_use]
    pub const fn with_legacy_limit(mut self, limit: usize) -> Self {
        self.legacy_limit = limit;
        self
    }

    /// Bytes not read yet; once the iteration has ended, those of the cut last batch.
    pub const fn partial_bytes(&self) -> usize {
        self.rest.len()
    }

    fn fail(&mut self, error: RecordError) -> Option<Result<Batch, RecordError>> {
        self.rest = Bytes::new();
        Some(Err(error))
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let head = self.rest.get(..LOG_OVERHEAD)?;
        let (base_offset, length) = (i64_at(head, 0), i32_at(head, LENGTH_AT));
        if length < SMALLEST_LENGTH {
            return self.fail(RecordError::BatchLength {
                base_offset,
                length,
            });
        }
        let magic = *self.rest.get(MAGIC_AT)? as i8;
        if !matches!(magic, 0..=2) {
            return self.fail(RecordError::Magic { base_offset, magic });
        }
        if magic == 2 && (length as usize) < HEADER_BYTES - LOG_OVERHEAD {
            return self.fail(RecordError::BatchLength {
                base_offset,
                length,
            });
        }
        let size = LOG_OVERHEAD + length as usize;
        if self.rest.len() < size {
            return None;
        }
        let bytes = self.rest.split_to(size);
        let batch = if magic == 2 {
            Batch::check(bytes)
        } else {
            legacy::convert(&bytes, self.legacy_limit)
        };
        match batch {
            Ok(batch) => Some(Ok(batch)),
            Err(error) => self.fail(error),
        }
    }
}

impl std::iter::FusedIterator for Batches {}

/// One record batch: a refcounted slice of the frame. Cheap to clone; reading a field reads the bytes.
///
/// Its checksum is verified by [`Batch::verify_crc`] only, so that whoever trusts the bytes need not pay for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// At least `HEADER_BYTES` long.
    bytes: Bytes,
    /// The version it was read in.
    magic: i8,
}

impl Batch {
    /// Takes bytes that are exactly one batch of version 2.
    ///
    /// # Errors
    /// When the length does not fit the bytes, the version is another one, or the header holds what cannot be.
    pub fn new(bytes: Bytes) -> Result<Self, RecordError> {
        let length = if bytes.len() < HEADER_BYTES {
            -1
        } else {
            i32_at(&bytes, LENGTH_AT)
        };
        if usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LOG_OVERHEAD))
            != Some(bytes.len())
        {
            let base_offset = if bytes.len() < 8 {
                -1
            } else {
                i64_at(&bytes, 0)
            };
            return Err(RecordError::BatchLength {
                base_offset,
                length,
            });
        }
        let magic = bytes[MAGIC_AT] as i8;
        if magic != 2 {
            return Err(RecordError::Magic {
                base_offset: i64_at(&bytes, 0),
                magic,
            });
        }
        Self::check(bytes)
    }

    /// Checks what every accessor relies on. The bytes are at least a header long.
    #[inline]
    fn check(bytes: Bytes) -> Result<Self, RecordError> {
        let batch = Self { bytes, magic: 2 };
        let base_offset = batch.base_offset();
        let (count, delta) = (batch.i32(COUNT_AT), batch.i32(LAST_OFFSET_DELTA_AT));
        if count < 0 {
            return Err(RecordError::Header {
                base_offset,
                field: "record count",
                value: i64::from(count),
            });
        }
        // Kafka's own reader does not look at it, but a position that went backwards would read the same batch for ever.
        if delta < 0 {
            return Err(RecordError::Header {
                base_offset,
                field: "last offset delta",
                value: i64::from(delta),
            });
        }
        let id = (batch.attributes() & CODEC_MASK) as u8;
        if Codec::from_id(id).is_none() {
            return Err(RecordError::UnknownCodec { base_offset, id });
        }
        Ok(batch)
    }

    pub(super) const fn with_magic(mut self, magic: i8) -> Self {
        self.magic = magic;
        self
    }

    /// The version it was read in: 2, or 0 and 1 for what old logs hold. Its bytes are of version 2 in any case.
    #[inline]
    pub const fn magic(&self) -> i8 {
        self.magic
    }

    /// Offset of the first record the batch was written with. After compaction that record may be gone.
    #[inline]
    pub fn base_offset(&self) -> i64 {
        i64_at(&self.bytes, 0)
    }

    /// Offset of the last record the batch was written with. After compaction that record may be gone.
    #[inline]
    pub fn last_offset(&self) -> i64 {
        self.base_offset()
            .saturating_add(i64::from(self.last_offset_delta()))
    }

    /// Where reading goes on behind this batch, whatever compaction left of it.
    #[inline]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Distance of the last offset from the base offset, never negative.
    #[inline]
    pub fn last_offset_delta(&self) -> i32 {
        self.i32(LAST_OFFSET_DELTA_AT)
    }

    /// How many records the header promises. It is the peer's word until the records were walked: do not allocate by it.
    #[inline]
    pub fn record_count(&self) -> u32 {
        self.i32(COUNT_AT) as u32
    }

    /// Epoch of the leader that appended the batch, -1 if none did.
    #[inline]
    pub fn partition_leader_epoch(&self) -> i32 {
        self.i32(LEADER_EPOCH_AT)
    }

    /// The attribute bits as they stand there.
    #[inline]
    pub fn attributes(&self) -> i16 {
        i16_at(&self.bytes, ATTRIBUTES_AT)
    }

    /// What the records are compressed with.
    #[inline]
    pub fn compression(&self) -> Codec {
        Codec::from_id((self.attributes() & CODEC_MASK) as u8).unwrap_or(Codec::None)
    }

    /// Whose clock the timestamps are from.
    #[inline]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & LOG_APPEND_TIME != 0 {
            TimestampType::LogAppendTime
        } else if self.magic == 0 {
            TimestampType::NoTimestamp
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the records belong to a transaction.
    #[inline]
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// Whether this is a marker of the broker's (end of a transaction, change of leader), never for applications.
    #[inline]
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// The producer's id, -1 without idempotence.
    #[inline]
    pub fn producer_id(&self) -> i64 {
        i64_at(&self.bytes, PRODUCER_ID_AT)
    }

    /// The producer's epoch, -1 without idempotence.
    #[inline]
    pub fn producer_epoch(&self) -> i16 {
        i16_at(&self.bytes, PRODUCER_EPOCH_AT)
    }

    /// Sequence number of the first record, -1 without idempotence and in control batches.
    #[inline]
    pub fn base_sequence(&self) -> i32 {
        self.i32(BASE_SEQUENCE_AT)
    }

    /// Sequence number of the last record: it wraps from 2^31 - 1 to 0.
    #[inline]
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence() {
            -1 => -1,
            base => base.wrapping_add(self.last_offset_delta()) & i32::MAX,
        }
    }

    /// What timestamp deltas count from: the first record's timestamp, or the delete horizon where that is set.
    #[inline]
    pub fn base_timestamp(&self) -> i64 {
        i64_at(&self.bytes, BASE_TIMESTAMP_AT)
    }

    /// The largest timestamp in the batch, or the broker's time of the whole batch under log-append time.
    #[inline]
    pub fn max_timestamp(&self) -> i64 {
        i64_at(&self.bytes, MAX_TIMESTAMP_AT)
    }

    /// When the cleaner may drop the tombstones and markers in here (KIP-534), if it has set that.
    #[inline]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes() & DELETE_HORIZON != 0).then(|| self.base_timestamp())
    }

    /// The checksum as it stands in the header.
    #[inline]
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(array(&self.bytes, CRC_AT))
    }

    /// Bytes of the whole batch on the wire.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The whole batch as it came.
    #[inline]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The records as they came, compressed or not.
    #[inline]
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Computes the checksum over the batch and compares.
    ///
    /// # Errors
    /// When they differ: the batch is corrupt.
    pub fn verify_crc(&self) -> Result<(), RecordError> {
        let (stored, computed) = (self.crc(), crc32c::crc32c(&self.bytes[ATTRIBUTES_AT..]));
        if stored == computed {
            Ok(())
        } else {
            Err(RecordError::Crc {
                base_offset: self.base_offset(),
                stored,
                computed,
            })
        }
    }

    /// The records without compression: the frame's own bytes where there is none, else the buffer of `decompressor`.
    ///
    /// # Errors
    /// When the compressed bytes are corrupt, inflate to more than the decompressor's limit, or their codec is not built in.
    #[inline]
    pub fn uncompressed<'a>(
        &'a self,
        decompressor: &'a mut Decompressor,
    ) -> Result<&'a [u8], RecordError> {
        match self.compression() {
            Codec::None => Ok(self.body()),
            codec => decompressor.decompress(codec, self.body()),
        }
    }

    /// As [`Batch::uncompressed`], but owned: a slice of the frame where there is no compression, else bytes of its own.
    ///
    /// # Errors
    /// As there.
    pub fn uncompressed_bytes(
        &self,
        decompressor: &mut Decompressor,
    ) -> Result<Bytes, RecordError> {
        match self.compression() {
            Codec::None => Ok(self.bytes.slice(HEADER_BYTES..)),
            codec => decompressor.decompress_owned(codec, self.body()),
        }
    }

    /// Walks the records in `body`, which is this batch's as [`Batch::uncompressed`] gave it.
    ///
    /// ```
    /// use kafka_proto::records::{BatchBuilder, Compression, Decompressor, Stamp, batches};
    ///
    /// let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    /// builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[])?;
    /// let field = builder.finish(Stamp::NONE)?;
    ///
    /// let mut decompressor = Decompressor::new(1 << 20);
    /// for batch in batches(field) {
    ///     let batch = batch?;
    ///     batch.verify_crc()?;
    ///     for record in batch.records(batch.uncompressed(&mut decompressor)?) {
    ///         assert_eq!(record?.value, Some(b"value".as_slice()));
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn records<'a>(&self, body: &'a [u8]) -> RecordIter<'a> {
        RecordIter::new(self.walk(), body)
    }

    /// The records of [`Batch::records`] from where another walk over the same bytes stood ([`RecordIter::place`]).
    pub fn records_from<'a>(
        &self,
        body: &'a [u8],
        place: super::record::WalkPlace,
    ) -> RecordIter<'a> {
        RecordIter::resumed(self.walk(), body, place)
    }

    #[inline]
    fn walk(&self) -> Walk {
        let log_append = self.timestamp_type() == TimestampType::LogAppendTime;
        Walk {
            base_offset: self.base_offset(),
            timestamp: if log_append {
                self.max_timestamp()
            } else {
                self.base_timestamp()
            },
            delta_mask: if log_append { 0 } else { -1 },
            count: self.record_count(),
        }
    }

    /// What kind of marker a control batch holds; `None` if it holds no record any more.
    ///
    /// # Errors
    /// When the record is malformed. An unknown kind is no error: markers of later versions are to be skipped.
    pub fn control_type(&self) -> Result<Option<ControlType>, RecordError> {
        control::control_type(self)
    }

    #[inline]
    fn i32(&self, at: usize) -> i32 {
        i32_at(&self.bytes, at)
    }
}

#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..]
        .first_chunk()
        .copied()
        .expect("the header was checked to be there")
}

#[inline]
pub(crate) fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array(bytes, at))
}

#[inline]
pub(crate) fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array(bytes, at))
}

#[inline]
pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array(bytes, at))
}
