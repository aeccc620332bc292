//! The codecs of record batches: their names and levels, and inflating and deflating with reused buffers and within limits.
//!
//! Sizes that compressed bytes claim for themselves never drive an allocation: output grows as it is produced, up to the limit.

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
    #[expect(dead_code, reason = "written by the codecs")]
    buffer: Vec<u8>,
}

impl Decompressor {
    /// A decompressor that refuses batches that inflate to more than `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
        }
    }

    /// The limit.
    pub const fn limit(&self) -> usize {
        self.limit
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
        match codec {
            Codec::None => Ok(bytes),
            codec => Err(RecordError::CodecNotBuilt(codec)),
        }
    }

    /// As [`Decompressor::decompress`], into bytes of their own.
    ///
    /// # Errors
    /// As there.
    pub fn decompress_owned(&mut self, codec: Codec, bytes: &[u8]) -> Result<Bytes, RecordError> {
        self.decompress(codec, bytes).map(Bytes::copy_from_slice)
    }
}

/// What compressing needs and can be kept between batches.
#[derive(Debug, Default)]
pub(crate) struct Compressor {}

impl Compressor {
    /// Appends the compressed `bytes` to `out`.
    pub(crate) fn compress(
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
