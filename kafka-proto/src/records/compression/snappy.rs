//! Snappy in Java's framing (xerial's `SnappyOutputStream`), and bare.
//!
//! ```text
//! 82 'SNAPPY' 00, version i32, compatible version i32, then blocks: length i32, one raw snappy block
//! ```
//! Java writes that, librdkafka writes one bare block, and writers that flush in the middle leave headers between the blocks. All of it is read.

use super::{Failure, Output};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
/// What the raw format itself cuts its input into.
const BLOCK_BYTES: usize = 64 * 1024;
/// A copy of 64 bytes takes 3: what claims to inflate further than this cannot be.
const LARGEST_RATIO: usize = 22;

pub(super) fn inflate(bytes: &[u8], out: &mut Output<'_>) -> Result<(), Failure> {
    if !bytes.starts_with(&MAGIC) {
        return block(bytes, out);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        if rest.starts_with(&MAGIC) {
            rest = rest
                .get(HEADER.len()..)
                .ok_or(Failure::Corrupt("the snappy header is cut"))?;
            continue;
        }
        let (len, after) = rest
            .split_first_chunk()
            .ok_or(Failure::Corrupt("a snappy block length is cut"))?;
        let len = usize::try_from(i32::from_be_bytes(*len))
            .map_err(|_| Failure::Corrupt("a snappy block has a negative length"))?;
        let (compressed, after) = after
            .split_at_checked(len)
            .ok_or(Failure::Corrupt("a snappy block is cut"))?;
        block(compressed, out)?;
        rest = after;
    }
    Ok(())
}

fn block(bytes: &[u8], out: &mut Output<'_>) -> Result<(), Failure> {
    const MALFORMED: Failure = Failure::Corrupt("a snappy block is malformed");
    let len = snap::raw::decompress_len(bytes).map_err(|_| MALFORMED)?;
    if len > bytes.len().saturating_mul(LARGEST_RATIO) {
        return Err(Failure::Corrupt(
            "a snappy block claims more than it can inflate to",
        ));
    }
    if len > out.left() {
        return Err(Failure::TooLarge);
    }
    let room = &mut out.room(len)[..len];
    out.used += snap::raw::Decoder::new()
        .decompress(bytes, room)
        .map_err(|_| MALFORMED)?;
    Ok(())
}

/// Writes snappy in Java's framing.
#[derive(Default)]
pub(super) struct Deflater {
    encoder: Option<snap::raw::Encoder>,
}

impl std::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("snappy::Deflater")
    }
}

impl Deflater {
    pub(super) fn deflate(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let encoder = self.encoder.get_or_insert_with(snap::raw::Encoder::new);
        out.extend_from_slice(&HEADER);
        for block in bytes.chunks(BLOCK_BYTES) {
            let start = out.len() + 4;
            out.resize(start + snap::raw::max_compress_len(block.len()), 0);
            let len = encoder
                .compress(block, &mut out[start..])
                .map_err(|_| "a snappy block is too large")?;
            out.truncate(start + len);
            out[start - 4..start].copy_from_slice(&(len as i32).to_be_bytes());
        }
        Ok(())
    }
}
