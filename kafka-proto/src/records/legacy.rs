//! Messages of versions 0 and 1 (before Kafka 0.11), read by turning each into a batch of version 2. Never written.
//!
//! ```text
//!  0 offset i64     12 CRC-32 of 16..    17 attributes i8: bits 0-2 codec, 3 log-append time
//!  8 length i32     16 magic i8          version 1 only: timestamp i64; then key and value, each with a length i32
//! ```
//! A compressed message is a wrapper: its value inflates to messages. Its offset is that of the last of them; in version 1 theirs are
//! relative, in version 0 absolute.

use bytes::Bytes;

use super::{
    batch::{Batch, LENGTH_AT, LOG_APPEND_TIME, LOG_OVERHEAD, MAGIC_AT, i32_at, i64_at},
    builder::{BatchBuilder, Placement, Stamp},
    compression::{Codec, Compression, Decompressor, HeaderChecksum},
    crc::crc32,
    error::RecordError,
    record::{Headers, Record},
};

const CRC_AT: usize = 12;
const ATTRIBUTES_AT: usize = 17;
const FIELDS_AT: usize = 18;

struct Message<'a> {
    offset: i64,
    magic: i8,
    attributes: i8,
    /// -1 in version 0.
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Reads the message that stands first in `bytes`, whole; returns also what follows it.
    fn read(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        let malformed = |base_offset, what| RecordError::Legacy { base_offset, what };
        if bytes.len() < LOG_OVERHEAD {
            return Err(malformed(-1, "it is cut"));
        }
        let (offset, length) = (i64_at(bytes, 0), i32_at(bytes, LENGTH_AT));
        let size = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LOG_OVERHEAD));
        let (bytes, rest) = size
            .filter(|size| *size >= FIELDS_AT)
            .and_then(|size| bytes.split_at_checked(size))
            .ok_or(RecordError::BatchLength {
                base_offset: offset,
                length,
            })?;
        let (stored, computed) = (i32_at(bytes, CRC_AT) as u32, crc32(&bytes[MAGIC_AT..]));
        if stored != computed {
            return Err(RecordError::Crc {
                base_offset: offset,
                stored,
                computed,
            });
        }
        let magic = bytes[MAGIC_AT] as i8;
        let mut fields = &bytes[FIELDS_AT..];
        let timestamp = match magic {
            0 => -1,
            1 => {
                let (time, after) = fields
                    .split_first_chunk()
                    .ok_or_else(|| malformed(offset, "its timestamp is cut"))?;
                fields = after;
                i64::from_be_bytes(*time)
            }
            magic => {
                return Err(RecordError::Magic {
                    base_offset: offset,
                    magic,
                });
            }
        };
        let mut field = |what| {
            let (len, after) = fields
                .split_first_chunk()
                .ok_or_else(|| malformed(offset, what))?;
            fields = after;
            let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
                return Ok(None);
            };
            let (field, after) = fields
                .split_at_checked(len)
                .ok_or_else(|| malformed(offset, what))?;
            fields = after;
            Ok(Some(field))
        };
        let (key, value) = (field("its key is cut")?, field("its value is cut")?);
        if !fields.is_empty() {
            return Err(malformed(offset, "bytes are left behind its value"));
        }
        let attributes = bytes[ATTRIBUTES_AT] as i8;
        Ok((
            Self {
                offset,
                magic,
                attributes,
                timestamp,
                key,
                value,
            },
            rest,
        ))
    }

    fn codec(&self) -> Result<Codec, RecordError> {
        let id = (self.attributes & 0x07) as u8;
        // zstd is younger than these versions: Kafka refuses it here (KIP-110).
        Codec::from_id(id)
            .filter(|codec| *codec != Codec::Zstd)
            .ok_or(RecordError::UnknownCodec {
                base_offset: self.offset,
                id,
            })
    }

    fn log_append_time(&self) -> Option<i64> {
        (self.magic == 1 && i16::from(self.attributes) & LOG_APPEND_TIME != 0)
            .then_some(self.timestamp)
    }

    fn record(&self, offset: i64) -> Record<'a> {
        Record {
            offset,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            headers: Headers::default(),
        }
    }
}

/// Turns one whole message, plain or a wrapper, into a batch of version 2 that remembers where it came from.
pub(super) fn convert(bytes: &[u8], limit: usize) -> Result<Batch, RecordError> {
    let (outer, _) = Message::read(bytes)?;
    let codec = outer.codec()?;
    let mut decompressor = Decompressor::new(limit);
    if codec == Codec::None {
        return build(&outer, &[outer.record(outer.offset)]);
    }
    let malformed = |what| RecordError::Legacy {
        base_offset: outer.offset,
        what,
    };
    let packed = outer
        .value
        .ok_or_else(|| malformed("a compressed message has no value"))?;
    let checksum = if outer.magic == 0 {
        HeaderChecksum::Any
    } else {
        HeaderChecksum::Right
    };
    let mut rest = decompressor.decompress_with(codec, packed, checksum)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (inner, after) = Message::read(rest)?;
        if inner.magic != outer.magic {
            return Err(malformed(
                "a message of another version is inside a compressed one",
            ));
        }
        if inner.codec()? != Codec::None {
            return Err(malformed("a compressed message is inside a compressed one"));
        }
        records.push(inner.record(inner.offset));
        rest = after;
    }
    let last = records
        .last()
        .ok_or_else(|| malformed("a compressed message holds none"))?
        .offset;
    if outer.magic == 1 {
        for record in &mut records {
            record.offset = outer.offset.wrapping_sub(last).wrapping_add(record.offset);
        }
    }
    build(&outer, &records)
}

fn build(outer: &Message<'_>, records: &[Record<'_>]) -> Result<Batch, RecordError> {
    let malformed = |what| RecordError::Legacy {
        base_offset: outer.offset,
        what,
    };
    let base_offset = records.first().map_or(outer.offset, |record| record.offset);
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for record in records {
        let delta = record
            .offset
            .checked_sub(base_offset)
            .and_then(|delta| i32::try_from(delta).ok());
        let delta = delta.ok_or_else(|| malformed("its offsets are too far apart"))?;
        builder
            .append_at(delta, record)
            .map_err(|_| malformed("its offsets do not grow, or it is too large"))?;
    }
    let placement = Placement {
        base_offset,
        log_append_time: outer.log_append_time(),
        max_timestamp: Some(outer.timestamp),
        ..Placement::NONE
    };
    let bytes: Bytes = builder
        .finish_at(Stamp::NONE, placement)
        .map_err(|_| malformed("it cannot be rewritten"))?;
    Batch::new(bytes).map(|batch| batch.with_magic(outer.magic))
}
