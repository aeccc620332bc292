//! The LZ4 frame format around `lz4_flex`'s block functions.
//!
//! ```text
//! 04 22 4d 18, FLG, BD, [content size u64], [dictionary id u32], header checksum u8,
//! then blocks: length u32 (highest bit: not compressed), bytes, [checksum u32]; length 0 ends; [content checksum u32]
//! ```
//! Written as Java writes it: independent blocks of 64 KiB, no sizes, no checksums. Read is everything but dictionaries: linked blocks,
//! any block size, each checksum, several frames, skippable ones.

use lz4_flex::block::{
    CompressTable, DecompressError, compress_into_with_table, decompress_into,
    decompress_into_with_dict, get_maximum_output_size,
};

use super::{Failure, HeaderChecksum, Output, xxh32::xxh32};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Magic, version 1 with independent blocks, blocks of 64 KiB, checksum of the two.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const BLOCK_BYTES: usize = 64 * 1024;
/// How far back a linked block may reach.
const WINDOW_BYTES: usize = 64 * 1024;
/// A length byte of a match stands for 255 bytes at most: what claims to inflate further cannot be.
const LARGEST_RATIO: usize = 255;
const UNCOMPRESSED: u32 = 1 << 31;

const CUT: Failure = Failure::Corrupt("the LZ4 frame is cut");

#[derive(Clone, Copy)]
struct Descriptor {
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_size: Option<u64>,
    block_bytes: usize,
}

pub(super) fn inflate(
    mut bytes: &[u8],
    checksum: HeaderChecksum,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    loop {
        let (magic, rest) = bytes.split_first_chunk().ok_or(CUT)?;
        bytes = if *magic == MAGIC {
            frame(rest, checksum, out)?
        } else if u32::from_le_bytes(*magic) & 0xffff_fff0 == 0x184d_2a50 {
            let (len, rest) = rest.split_first_chunk().ok_or(CUT)?;
            rest.get(u32::from_le_bytes(*len) as usize..).ok_or(CUT)?
        } else {
            return Err(Failure::Corrupt("it does not begin as an LZ4 frame does"));
        };
        if bytes.is_empty() {
            return Ok(());
        }
    }
}

/// Inflates one frame and returns what follows it.
fn frame<'a>(
    bytes: &'a [u8],
    checksum: HeaderChecksum,
    out: &mut Output<'_>,
) -> Result<&'a [u8], Failure> {
    let (descriptor, mut bytes) = descriptor(bytes, checksum)?;
    let start = out.used;
    loop {
        let (len, rest) = bytes.split_first_chunk().ok_or(CUT)?;
        let len = u32::from_le_bytes(*len);
        bytes = rest;
        if len == 0 {
            break;
        }
        let size = (len & !UNCOMPRESSED) as usize;
        if size > descriptor.block_bytes {
            return Err(Failure::Corrupt(
                "an LZ4 block is larger than its frame allows",
            ));
        }
        let (data, mut rest) = bytes.split_at_checked(size).ok_or(CUT)?;
        if descriptor.block_checksums {
            rest = check(data, rest, "the checksum of an LZ4 block does not match")?;
        }
        bytes = rest;
        if len & UNCOMPRESSED == 0 {
            block(data, descriptor, start, out)?
        } else {
            out.push(data)?
        }
    }
    if descriptor.content_checksum {
        bytes = check(
            &out.split().0[start..],
            bytes,
            "the checksum of an LZ4 frame does not match",
        )?;
    }
    if descriptor
        .content_size
        .is_some_and(|size| size != (out.used - start) as u64)
    {
        return Err(Failure::Corrupt(
            "the content size of an LZ4 frame does not match",
        ));
    }
    Ok(bytes)
}

fn block(
    data: &[u8],
    descriptor: Descriptor,
    start: usize,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let want = descriptor
        .block_bytes
        .min(data.len().saturating_mul(LARGEST_RATIO));
    let is_bounded = want > out.left();
    out.room(want);
    let (done, room) = out.split();
    let most = want.min(room.len());
    let room = &mut room[..most];
    let result = if descriptor.linked {
        let window = start.max(done.len().saturating_sub(WINDOW_BYTES));
        decompress_into_with_dict(data, room, &done[window..])
    } else {
        decompress_into(data, room)
    };
    match result {
        Ok(len) => {
            out.used += len;
            Ok(())
        }
        Err(DecompressError::OutputTooSmall { .. }) if is_bounded => Err(Failure::TooLarge),
        Err(_) => Err(Failure::Corrupt("an LZ4 block is malformed")),
    }
}

fn descriptor(bytes: &[u8], checksum: HeaderChecksum) -> Result<(Descriptor, &[u8]), Failure> {
    let (&[flags, sizes], mut rest) = bytes.split_first_chunk().ok_or(CUT)?;
    if flags >> 6 != 1 || flags & 0x02 != 0 || sizes & 0x8f != 0 {
        return Err(Failure::Corrupt(
            "the LZ4 frame has a version or flags that are not defined",
        ));
    }
    if flags & 0x01 != 0 {
        return Err(Failure::Corrupt("the LZ4 frame needs a dictionary"));
    }
    let block_bytes = match sizes >> 4 {
        4 => 64 * 1024,
        5 => 256 * 1024,
        6 => 1024 * 1024,
        7 => 4 * 1024 * 1024,
        _ => {
            return Err(Failure::Corrupt(
                "the LZ4 frame has an undefined block size",
            ));
        }
    };
    let mut content_size = None;
    if flags & 0x08 != 0 {
        let (size, after) = rest.split_first_chunk().ok_or(CUT)?;
        (content_size, rest) = (Some(u64::from_le_bytes(*size)), after);
    }
    let (&stored, after) = rest.split_first().ok_or(CUT)?;
    let described = &bytes[..bytes.len() - rest.len()];
    if checksum == HeaderChecksum::Right && stored != (xxh32(described) >> 8) as u8 {
        return Err(Failure::Corrupt(
            "the checksum of the LZ4 frame header does not match",
        ));
    }
    let descriptor = Descriptor {
        linked: flags & 0x20 == 0,
        block_checksums: flags & 0x10 != 0,
        content_checksum: flags & 0x04 != 0,
        content_size,
        block_bytes,
    };
    Ok((descriptor, after))
}

/// Compares the checksum that stands first in `rest` and returns what follows it.
fn check<'a>(data: &[u8], rest: &'a [u8], what: &'static str) -> Result<&'a [u8], Failure> {
    let (stored, rest) = rest.split_first_chunk().ok_or(CUT)?;
    if u32::from_le_bytes(*stored) == xxh32(data) {
        Ok(rest)
    } else {
        Err(Failure::Corrupt(what))
    }
}

/// Writes LZ4 frames. `lz4_flex` has one level, so Kafka's seventeen come out alike.
#[derive(Default)]
pub(super) struct Deflater {
    /// Half the size, for less than 64 KiB.
    small: Option<CompressTable>,
    large: Option<CompressTable>,
}

impl std::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lz4::Deflater")
    }
}

impl Deflater {
    pub(super) fn deflate(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        out.extend_from_slice(&HEADER);
        for block in bytes.chunks(BLOCK_BYTES) {
            let table = if block.len() < usize::from(u16::MAX) {
                self.small.get_or_insert_with(CompressTable::small)
            } else {
                self.large.get_or_insert_with(CompressTable::large)
            };
            let start = out.len() + 4;
            out.resize(start + get_maximum_output_size(block.len()), 0);
            let len = compress_into_with_table(block, &mut out[start..], table)
                .map_err(|_| "LZ4 ran out of room")?;
            let field = if len < block.len() {
                out.truncate(start + len);
                len as u32
            } else {
                out.truncate(start);
                out.extend_from_slice(block);
                block.len() as u32 | UNCOMPRESSED
            };
            out[start - 4..start].copy_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        Ok(())
    }
}
