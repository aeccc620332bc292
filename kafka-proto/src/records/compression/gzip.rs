//! gzip (RFC 1952) around `flate2`'s raw deflate, so that the state of both directions is kept between batches. Reads any number of
//! members; what stands behind the last one and is no member is ignored, as Java's reader does.

use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Failure, Output};

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Magic and deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const TRAILER_BYTES: usize = 8;

const CUT: Failure = Failure::Corrupt("the gzip stream is cut");

/// Reads gzip.
#[derive(Debug, Default)]
pub(super) struct Inflater {
    state: Option<Decompress>,
}

impl Inflater {
    pub(super) fn inflate(
        &mut self,
        mut bytes: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        loop {
            let start = out.used;
            bytes = self.deflated(skip_header(bytes)?, out)?;
            let (trailer, rest) = bytes.split_at_checked(TRAILER_BYTES).ok_or(CUT)?;
            let mut crc = Crc::new();
            crc.update(&out.split().0[start..]);
            if trailer[..4] != crc.sum().to_le_bytes() {
                return Err(Failure::Corrupt(
                    "the checksum of a gzip member does not match",
                ));
            }
            if trailer[4..] != ((out.used - start) as u32).to_le_bytes() {
                return Err(Failure::Corrupt("the size of a gzip member does not match"));
            }
            if !rest.starts_with(&MAGIC) {
                return Ok(());
            }
            bytes = rest;
        }
    }

    /// Inflates one member's deflate stream and returns what follows it.
    fn deflated<'a>(
        &mut self,
        mut bytes: &'a [u8],
        out: &mut Output<'_>,
    ) -> Result<&'a [u8], Failure> {
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        state.reset(false);
        // Text inflates to three or four times its size; a wrong guess costs a growth.
        let mut want = bytes.len().saturating_mul(4).max(1024);
        loop {
            let room = out.room(want);
            let (full, before_in, before_out) =
                (room.is_empty(), state.total_in(), state.total_out());
            let status = state
                .decompress(bytes, room, FlushDecompress::None)
                .map_err(|_| Failure::Corrupt("the deflate stream is malformed"))?;
            let read = (state.total_in() - before_in) as usize;
            bytes = &bytes[read..];
            let written = (state.total_out() - before_out) as usize;
            out.used += written;
            if status == Status::StreamEnd {
                return Ok(bytes);
            }
            if out.left() == 0 && (full || written != 0) {
                // Full to the limit: the stream may end right here, which one more byte of room shows.
                return self.at_the_limit(bytes);
            }
            if written == 0 && (bytes.is_empty() || read == 0) {
                return Err(CUT);
            }
            want = out.used.max(1024);
        }
    }

    #[cold]
    fn at_the_limit<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        let (before_in, before_out) = (state.total_in(), state.total_out());
        let status = state.decompress(bytes, &mut [0], FlushDecompress::None);
        match status {
            Ok(Status::StreamEnd) if state.total_out() == before_out => {
                Ok(&bytes[(state.total_in() - before_in) as usize..])
            }
            Ok(_) if state.total_out() == before_out => Err(CUT),
            Ok(_) => Err(Failure::TooLarge),
            Err(_) => Err(Failure::Corrupt("the deflate stream is malformed")),
        }
    }
}

/// Skips a member's header with its optional parts.
fn skip_header(bytes: &[u8]) -> Result<&[u8], Failure> {
    let (header, mut rest) = bytes.split_at_checked(HEADER.len()).ok_or(CUT)?;
    if !header.starts_with(&MAGIC) {
        return Err(Failure::Corrupt("it does not begin as gzip does"));
    }
    let flags = header[3];
    if flags & 0xe0 != 0 {
        return Err(Failure::Corrupt("the gzip header has reserved flags set"));
    }
    if flags & 0x04 != 0 {
        let (len, after) = rest.split_first_chunk::<2>().ok_or(CUT)?;
        rest = after
            .get(usize::from(u16::from_le_bytes(*len))..)
            .ok_or(CUT)?;
    }
    for flag in [0x08, 0x10] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(CUT)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & 0x02 != 0 {
        rest = rest.get(2..).ok_or(CUT)?;
    }
    Ok(rest)
}

/// Writes gzip.
#[derive(Debug, Default)]
pub(super) struct Deflater {
    state: Option<(i32, Compress)>,
}

impl Deflater {
    pub(super) fn deflate(
        &mut self,
        level: i32,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let state = match &mut self.state {
            Some((of, state)) if *of == level => state,
            state => {
                let flate_level = if level < 0 {
                    flate2::Compression::default()
                } else {
                    flate2::Compression::new(level as u32)
                };
                &mut state.insert((level, Compress::new(flate_level, false))).1
            }
        };
        state.reset();
        out.extend_from_slice(&HEADER);
        let mut rest = bytes;
        loop {
            // A quarter of the input is what text deflates to; what cannot be deflated grows by some bytes in a block of 16 KiB.
            out.reserve((rest.len() / 4).max(512));
            let start = out.len();
            out.resize(out.capacity(), 0);
            let (before_in, before_out) = (state.total_in(), state.total_out());
            let status = state
                .compress(rest, &mut out[start..], FlushCompress::Finish)
                .map_err(|_| "deflate refused its input")?;
            rest = &rest[(state.total_in() - before_in) as usize..];
            out.truncate(start + (state.total_out() - before_out) as usize);
            if status == Status::StreamEnd {
                break;
            }
        }
        let mut crc = Crc::new();
        crc.update(bytes);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        Ok(())
    }
}
