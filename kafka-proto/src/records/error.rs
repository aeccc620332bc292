//! What can be wrong with record batches that came from outside, and what a caller did that a batch cannot hold.

use super::compression::Codec;

/// Why bytes are not the record batch they claim to be.
///
/// Everything here is the fault of the bytes: a broken disk, a broken proxy, a hostile peer, or a limit of ours they exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The length field is negative or smaller than the smallest batch.
    #[error(
        "record batch at offset {base_offset} says it is {length} bytes long, less than the smallest batch"
    )]
    BatchLength {
        /// Base offset of the batch.
        base_offset: i64,
        /// The length field as it stood there.
        length: i32,
    },
    /// The version of the batch is none of 0, 1 and 2.
    #[error(
        "record batch at offset {base_offset} has the unknown magic {magic}; this reader knows 0, 1 and 2"
    )]
    Magic {
        /// Base offset of the batch.
        base_offset: i64,
        /// The version that stood there.
        magic: i8,
    },
    /// The checksum does not match the bytes.
    #[error(
        "record batch at offset {base_offset} is corrupt: its checksum says {stored:#010x}, its bytes give {computed:#010x}"
    )]
    Crc {
        /// Base offset of the batch.
        base_offset: i64,
        /// The checksum in the batch.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// A count or a delta in the header is negative or cannot be.
    #[error(
        "record batch at offset {base_offset} has the impossible {field} {value} in its header"
    )]
    Header {
        /// Base offset of the batch.
        base_offset: i64,
        /// Name of the field.
        field: &'static str,
        /// What stood there.
        value: i64,
    },
    /// The attributes name a compression that does not exist.
    #[error(
        "record batch at offset {base_offset} names the unknown compression {id}; known are 0 to 4"
    )]
    UnknownCodec {
        /// Base offset of the batch.
        base_offset: i64,
        /// The number that stood there.
        id: u8,
    },
    /// The compression exists and this build cannot read it.
    #[error(
        "record batch is compressed with {0}, which this build leaves out; build with the feature `compression`"
    )]
    CodecNotBuilt(Codec),
    /// The compressed bytes are not what their codec writes.
    #[error("{codec} data of a record batch is corrupt: {what}")]
    Compressed {
        /// The codec.
        codec: Codec,
        /// What is wrong.
        what: &'static str,
    },
    /// The records inflate to more than the reader allows.
    #[error("{codec} data of a record batch inflates to more than the limit of {limit} bytes")]
    TooLarge {
        /// The codec.
        codec: Codec,
        /// The limit of the `Decompressor`.
        limit: usize,
    },
    /// A record inside the batch is malformed.
    #[error("record {index} of the batch at offset {base_offset} is malformed: {fault}")]
    Record {
        /// Base offset of the batch.
        base_offset: i64,
        /// Position of the record in its batch, from 0.
        index: u32,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The records end before the count of the header is reached.
    #[error("record batch at offset {base_offset} ends after {found} of {expected} records")]
    MissingRecords {
        /// Base offset of the batch.
        base_offset: i64,
        /// Records that were there.
        found: u32,
        /// Records the header promised.
        expected: u32,
    },
    /// Bytes are left when the count of the header is reached.
    #[error("record batch at offset {base_offset} has {bytes} bytes left behind its last record")]
    TrailingBytes {
        /// Base offset of the batch.
        base_offset: i64,
        /// How many.
        bytes: usize,
    },
    /// A message of version 0 or 1 is malformed.
    #[error("message of an old version at offset {base_offset} is malformed: {what}")]
    Legacy {
        /// Offset of the message.
        base_offset: i64,
        /// What is wrong.
        what: &'static str,
    },
    /// A control batch does not hold what control batches hold.
    #[error("control batch at offset {base_offset} is malformed: {what}")]
    Control {
        /// Base offset of the batch.
        base_offset: i64,
        /// What is wrong.
        what: &'static str,
    },
}

/// What is wrong with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A number or field is cut by the end of the record or of the batch.
    #[error("it ends in the middle of a field")]
    Cut,
    /// A varint has more than 5 bytes, or more than 10 where 64 bits are meant.
    #[error("a number in it is longer than 5 bytes (10 for the timestamp)")]
    Varint,
    /// The length of the record is negative or runs past the batch.
    #[error("its length is negative or runs past the batch")]
    Length,
    /// The key runs past the record.
    #[error("its key runs past its end")]
    Key,
    /// The value runs past the record.
    #[error("its value runs past its end")]
    Value,
    /// The headers are more than there is room for, negative in number, without a name, or run past the record.
    #[error("its headers are negative in number, without a name, or run past its end")]
    Headers,
    /// The record is longer than its fields.
    #[error("bytes are left behind its last field")]
    Trailing,
}

/// Why a record or batch cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The record does not fit into what is left of the batch. Nothing was written: finish this batch and put the record into the next.
    #[error(
        "the batch is full: a record of {record_bytes} bytes does not fit into the {left} that are left of it"
    )]
    Full {
        /// Size the record would have.
        record_bytes: usize,
        /// Bytes left below the limit.
        left: usize,
    },
    /// The record alone is larger than any batch may be.
    #[error("a record of {record_bytes} bytes is larger than a record batch can be (2 GiB)")]
    RecordTooLarge {
        /// Size the record would have.
        record_bytes: usize,
    },
    /// A new record cannot be older than 1970. (Records that are passed on keep what they have.)
    #[error(
        "a record cannot have the timestamp {0}: it is in milliseconds since 1970, or -1 where there is none"
    )]
    Timestamp(i64),
    /// Offset deltas of a batch grow.
    #[error("offset delta {delta} does not follow {last} in the batch")]
    OffsetOrder {
        /// The delta that was given.
        delta: i32,
        /// The delta of the record before.
        last: i32,
    },
    /// The codec is not part of this build.
    #[error("compression with {0} is left out of this build; build with the feature `compression`")]
    CodecNotBuilt(Codec),
    /// The codec refused the bytes; a bug in it, since every codec takes any bytes.
    #[error("compression with {codec} failed: {what}")]
    Compression {
        /// The codec.
        codec: Codec,
        /// What it said.
        what: &'static str,
    },
}
