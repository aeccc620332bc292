//! The codecs of record batches: their names and levels, and inflating and deflating with reused buffers and within limits.
//!
//! Sizes that compressed bytes claim for themselves never drive an allocation: output grows as it is produced, up to the limit.

#[cfg(feature = "compression")]
mod gzip;
#[cfg(feature = "compression")]
mod lz4;
#[cfg(feature = "compression")]
mod snappy;
#[cfg(feature = "compression")]
mod xxh32;
#[cfg(feature = "compression")]
mod zstd;

use std::{fmt, str::FromStr};

use bytes::Bytes;

use super::error::{BuildError, RecordError};

/// What the records of a batch are compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// Nothing.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, in the framing of Java's `SnappyOutputStream`.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

impl Codec {
    /// All of them, by their number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The codec with this number.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The value of `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Codec {
    type Err = CompressionError;

    fn from_str(name: &str) -> Result<Self, CompressionError> {
        let codec = Self::ALL.into_iter().find(|codec| codec.name() == name);
        codec.ok_or_else(|| CompressionError::UnknownName(name.to_owned()))
    }
}

/// A `compression.type` or level that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// No codec has this name.
    #[error("unknown compression type `{0}`: valid are none, gzip, snappy, lz4 and zstd")]
    UnknownName(String),
    /// The codec has no such level.
    #[error("{codec} has no compression level {level}: valid are {range}")]
    Level {
        /// The codec.
        codec: Codec,
        /// The level that was asked for.
        level: i32,
        /// The levels there are, in words.
        range: &'static str,
    },
}

/// How to compress what is written: a codec and its level (KIP-390), valid by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compression {
    codec: Codec,
    level: i32,
}

impl Compression {
    /// No compression.
    pub const NONE: Self = Self {
        codec: Codec::None,
        level: 0,
    };

    /// A codec at a level; `None` is Kafka's default (gzip -1, lz4 9, zstd 3).
    ///
    /// # Errors
    /// When the codec has no such level.
    pub fn new(codec: Codec, level: Option<i32>) -> Result<Self, CompressionError> {
        let (default, is_valid, range): (_, fn(i32) -> bool, _) = match codec {
            Codec::Gzip => (
                -1,
                |level| matches!(level, -1 | 1..=9),
                "1 to 9, and -1 for the default",
            ),
            Codec::Lz4 => (9, |level| matches!(level, 1..=17), "1 to 17"),
            Codec::Zstd => (3, |level| matches!(level, -131_072..=22), "-131072 to 22"),
            Codec::None | Codec::Snappy => (0, |_| false, "none, it has no levels"),
        };
        match level {
            None => Ok(Self {
                codec,
                level: default,
            }),
            Some(level) if is_valid(level) => Ok(Self { codec, level }),
            Some(level) => Err(CompressionError::Level {
                codec,
                level,
                range,
            }),
        }
    }

    /// The codec.
    pub const fn codec(self) -> Codec {
        self.codec
    }

    /// The level; 0 where the codec has none.
    pub const fn level(self) -> i32 {
        self.level
    }
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        Self::new(codec, None).unwrap_or(Self::NONE)
    }
}

/// Inflates record batches into a buffer that it keeps, never beyond its limit.
#[derive(Debug)]
pub struct Decompressor {
    limit: usize,
    buffer: Vec<u8>,
    #[cfg(feature = "compression")]
    gzip: gzip::Inflater,
    #[cfg(feature = "compression")]
    zstd: zstd::Inflater,
}

impl Decompressor {
    /// A decompressor that refuses batches that inflate to more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            #[cfg(feature = "compression")]
            gzip: gzip::Inflater::default(),
            #[cfg(feature = "compression")]
            zstd: zstd::Inflater::default(),
        }
    }

    /// The limit.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that its buffer holds.
    pub const fn capacity_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Inflates `bytes`. The result is overwritten by the next call.
    ///
    /// # Errors
    /// When the bytes are not what the codec writes, or inflate to more than the limit.
    pub fn decompress<'a>(
        &'a mut self,
        codec: Codec,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], RecordError> {
        self.decompress_with(codec, bytes, HeaderChecksum::Right)
    }

    /// As [`Decompressor::decompress`], into bytes of their own.
    ///
    /// # Errors
    /// As there.
    pub fn decompress_owned(&mut self, codec: Codec, bytes: &[u8]) -> Result<Bytes, RecordError> {
        self.decompress(codec, bytes).map(Bytes::copy_from_slice)
    }

    #[cfg(feature = "compression")]
    pub(crate) fn decompress_with<'a>(
        &'a mut self,
        codec: Codec,
        bytes: &'a [u8],
        checksum: HeaderChecksum,
    ) -> Result<&'a [u8], RecordError> {
        let mut out = Output {
            buffer: &mut self.buffer,
            used: 0,
            limit: self.limit,
        };
        let result = match codec {
            Codec::None => return Ok(bytes),
            Codec::Gzip => self.gzip.inflate(bytes, &mut out),
            Codec::Snappy => snappy::inflate(bytes, &mut out),
            Codec::Lz4 => lz4::inflate(bytes, checksum, &mut out),
            Codec::Zstd => self.zstd.inflate(bytes, &mut out),
        };
        let used = out.used;
        match result {
            Ok(()) => Ok(&self.buffer[..used]),
            Err(Failure::Corrupt(what)) => Err(RecordError::Compressed { codec, what }),
            Err(Failure::TooLarge) => Err(RecordError::TooLarge {
                codec,
                limit: self.limit,
            }),
        }
    }

    #[cfg(not(feature = "compression"))]
    pub(crate) fn decompress_with<'a>(
        &'a mut self,
        codec: Codec,
        bytes: &'a [u8],
        _: HeaderChecksum,
    ) -> Result<&'a [u8], RecordError> {
        match codec {
            Codec::None => Ok(bytes),
            codec => Err(RecordError::CodecNotBuilt(codec)),
        }
    }
}

/// Whether an LZ4 frame header must carry the right checksum. Kafka's version 0 messages carry a wrong one (KIP-57).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderChecksum {
    Right,
    Any,
}

/// Why inflating ended early; the codec and the limit are added outside.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Corrupt(&'static str),
    TooLarge,
}

/// The buffer that a codec fills: all of it is initialised, `used` of it is output.
#[cfg(feature = "compression")]
struct Output<'a> {
    buffer: &'a mut Vec<u8>,
    used: usize,
    limit: usize,
}

#[cfg(feature = "compression")]
impl Output<'_> {
    /// The free rest of the buffer, at least `want` bytes of it but never past the limit. The buffer grows by doubling, so that what the
    /// compressed bytes claim about themselves is no more than a hint within that.
    fn room(&mut self, want: usize) -> &mut [u8] {
        let need = self.used.saturating_add(want).min(self.limit);
        if need > self.buffer.len() {
            let size = need
                .max(self.buffer.len().saturating_mul(2))
                .min(self.limit);
            if self.used == 0 {
                // Fresh zeroed pages cost less than copying and clearing the old ones.
                *self.buffer = Vec::new();
                *self.buffer = vec![0; size];
            } else {
                self.buffer.reserve_exact(size - self.buffer.len());
                self.buffer.resize(size, 0);
            }
        }
        let end = self.buffer.len().min(self.limit);
        &mut self.buffer[self.used..end]
    }

    /// Bytes that may still come.
    const fn left(&self) -> usize {
        self.limit - self.used
    }

    /// What was put out so far, and the free rest behind it.
    fn split(&mut self) -> (&mut [u8], &mut [u8]) {
        let end = self.buffer.len().min(self.limit);
        self.buffer[..end].split_at_mut(self.used)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let room = self.room(bytes.len());
        room.get_mut(..bytes.len())
            .ok_or(Failure::TooLarge)?
            .copy_from_slice(bytes);
        self.used += bytes.len();
        Ok(())
    }
}

/// What compressing needs and can be kept between batches: tables, windows, the buffer of the result. Some megabytes with zstd, so
/// share one among the builders of a producer ([`super::BatchBuilder::finish_with`]).
#[derive(Debug, Default)]
pub struct Compressor {
    /// Header and compressed records; the batch handed out is an exact copy.
    pub(super) packed: Vec<u8>,
    #[cfg(feature = "compression")]
    gzip: gzip::Deflater,
    #[cfg(feature = "compression")]
    snappy: snappy::Deflater,
    #[cfg(feature = "compression")]
    lz4: lz4::Deflater,
    #[cfg(feature = "compression")]
    zstd: zstd::Deflater,
}

impl Compressor {
    /// Appends the compressed `bytes` to `out`.
    ///
    /// # Errors
    /// When the codec is not built in or fails, which no bytes should make it do.
    #[cfg(feature = "compression")]
    pub fn compress(
        &mut self,
        compression: Compression,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BuildError> {
        let codec = compression.codec();
        let result = match codec {
            Codec::None => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Codec::Gzip => self.gzip.deflate(compression.level, bytes, out),
            Codec::Snappy => self.snappy.deflate(bytes, out),
            Codec::Lz4 => self.lz4.deflate(bytes, out),
            Codec::Zstd => {
                self.zstd.deflate(compression.level, bytes, out);
                Ok(())
            }
        };
        result.map_err(|what| BuildError::Compression { codec, what })
    }

    /// Appends the compressed `bytes` to `out`.
    ///
    /// # Errors
    /// When the codec is not built in.
    #[cfg(not(feature = "compression"))]
    pub fn compress(
        &mut self,
        compression: Compression,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BuildError> {
        match compression.codec() {
            Codec::None => out.extend_from_slice(bytes),
            codec => return Err(BuildError::CodecNotBuilt(codec)),
        }
        Ok(())
    }
}
