//! A fetched batch sent on: whole where its records may stay as they are, record by record where not.

use bytes::BytesMut;

use crate::wire::Records;

use super::{
    batch::{
        ATTRIBUTES_AT, Batch, CRC_AT, DELETE_HORIZON, HEADER_BYTES, LEADER_EPOCH_AT, TimestampType,
    },
    builder::{BatchBuilder, Stamp, stamp_header},
    compression::Decompressor,
    crc,
    error::{BuildError, RecordError},
};

/// Why a batch cannot go out untouched. [`rewrite`] sends it on record by record, except for control batches: those are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRelayable {
    /// It is a broker's marker: brokers refuse those from producers.
    #[error("it is a control batch")]
    Control,
    /// The records' own timestamps are not those that readers saw.
    #[error("its timestamps are the broker's (log-append time)")]
    LogAppendTime,
    /// Brokers take only batches with as many records as offsets.
    #[error("it was compacted: {count} records where its offsets span {span}")]
    Compacted {
        /// Records in the batch.
        count: u32,
        /// Offsets it spans.
        span: i64,
    },
    /// The cleaner has set a delete horizon in the place of the base timestamp.
    #[error("the log cleaner has set its delete horizon")]
    DeleteHorizon,
    /// Some of its records were handled before.
    #[error("only the records from offset {0} on are wanted")]
    PartlyConsumed(i64),
}

/// Whether a fetched batch can be produced again untouched. `position` is where the reader stands: a batch that begins before it was
/// partly handled and cannot go whole.
///
/// # Errors
/// The reason why not.
pub fn can_relay(batch: &Batch, position: i64) -> Result<(), NotRelayable> {
    if batch.is_control() {
        return Err(NotRelayable::Control);
    }
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        return Err(NotRelayable::LogAppendTime);
    }
    let span = i64::from(batch.last_offset_delta()) + 1;
    if i64::from(batch.record_count()) != span {
        return Err(NotRelayable::Compacted {
            count: batch.record_count(),
            span,
        });
    }
    if batch.attributes() & DELETE_HORIZON != 0 {
        return Err(NotRelayable::DeleteHorizon);
    }
    if batch.base_offset() < position {
        return Err(NotRelayable::PartlyConsumed(position));
    }
    Ok(())
}

/// Restamps a fetched batch for producing it again, in two pieces: a header of its own, and the records as the slice of the frame they
/// came in. New are base offset 0, no leader epoch, and the producer's fields and the transactional
/// bit from `stamp`. The checksum is renewed from the old one, so the records are not read at all; a batch that was corrupt stays so,
/// and [`Batch::verify_crc`] before is the caller's choice.
///
/// # Errors
/// When the batch cannot go untouched ([`can_relay`]), with the reason.
pub fn relay(batch: &Batch, position: i64, stamp: Stamp) -> Result<Records, NotRelayable> {
    can_relay(batch, position)?;
    let mut head = BytesMut::from(&batch.bytes()[..HEADER_BYTES]);
    head[..8].fill(0);
    head[LEADER_EPOCH_AT..][..4].fill(0xff);
    stamp_header(&mut head, stamp);
    let old = crc32c::crc32c(&batch.bytes()[ATTRIBUTES_AT..HEADER_BYTES]);
    let new = crc32c::crc32c(&head[ATTRIBUTES_AT..]);
    let crc = crc::replace_head(batch.crc(), old, new, batch.body().len());
    head[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
    Ok(Records {
        head: head.freeze(),
        tail: batch.bytes().slice(HEADER_BYTES..),
    })
}

/// Why a batch could not be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The fetched batch is corrupt.
    #[error(transparent)]
    Read(#[from] RecordError),
    /// A record does not fit into what is being built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Appends the records of `batch` from offset `position` on to `builder`, with the same keys, values, headers and timestamps. Returns
/// how many there were.
///
/// # Errors
/// When the batch is corrupt, or the builder is full; then the records before are in it.
pub fn rewrite(
    batch: &Batch,
    position: i64,
    decompressor: &mut Decompressor,
    builder: &mut BatchBuilder,
) -> Result<u32, RewriteError> {
    let mut count = 0;
    for record in batch.records(batch.uncompressed(decompressor)?) {
        let record = record?;
        if record.offset >= position {
            builder.append_record(&record)?;
            count += 1;
        }
    }
    Ok(count)
}
