//! zstd by `structured-zstd`: decoding goes straight into the output buffer, so neither a window nor a declared size makes it allocate.

use std::cell::RefCell;

use structured_zstd::{
    decoding::{
        ContentChecksum, FrameDecoder,
        errors::{
            DecodeBlockContentError, DecodeBufferError, DecompressBlockError,
            ExecuteSequencesError, FrameDecoderError,
        },
    },
    encoding::{CompressionLevel, FrameCompressor},
};

use super::{Failure, Output};

/// What zstd's own decoder allows unless told otherwise, and Java's with it.
const LARGEST_WINDOW: u64 = 1 << 27;

/// Reads zstd, any number of frames and skippable frames.
#[derive(Default)]
pub(super) struct Inflater {
    decoder: Option<Box<FrameDecoder>>,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("zstd::Inflater")
    }
}

impl Inflater {
    pub(super) fn inflate(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<(), Failure> {
        let decoder = self.decoder.get_or_insert_with(|| {
            let mut decoder = FrameDecoder::new();
            decoder
                .set_max_window_size(LARGEST_WINDOW)
                .expect("it is within the format's bounds");
            // Costs a pass over the output of frames that have one. Kafka's own have none.
            decoder.set_content_checksum(ContentChecksum::Verify);
            Box::new(decoder)
        });
        if bytes.is_empty() {
            return Err(Failure::Corrupt("there is no zstd frame"));
        }
        // Java streams, so its frames declare no size: begin with a guess, or with all there is from the batches before, and start over with
        // twice as much when it is too small. In the steady state the first try fits.
        let mut want = bytes.len().saturating_mul(4).max(4096);
        loop {
            let room = out.room(want);
            let size = room.len();
            match decoder.decode_all(bytes, room) {
                Ok(len) => {
                    out.used = len;
                    return Ok(());
                }
                Err(error) if is_too_small(&error) && size == out.limit => {
                    return Err(Failure::TooLarge);
                }
                Err(error) if is_too_small(&error) => want = size.saturating_mul(2),
                Err(FrameDecoderError::WindowSizeTooBig { .. }) => {
                    return Err(Failure::Corrupt(
                        "a zstd frame asks for a window of more than 128 MiB",
                    ));
                }
                Err(FrameDecoderError::ChecksumMismatch { .. }) => {
                    return Err(Failure::Corrupt(
                        "the checksum of a zstd frame does not match",
                    ));
                }
                Err(_) => return Err(Failure::Corrupt("a zstd frame is malformed")),
            }
        }
    }
}

/// Whether decoding failed for want of room alone. The decoder says so in one way at the bounds of a block and in others inside one.
fn is_too_small(error: &FrameDecoderError) -> bool {
    match error {
        FrameDecoderError::TargetTooSmall => true,
        FrameDecoderError::FailedToReadBlockBody(
            DecodeBlockContentError::DecompressBlockError(
                DecompressBlockError::ExecuteSequencesError(sequences),
            ),
        ) => matches!(
            sequences,
            ExecuteSequencesError::OutputBufferOverflow { .. }
                | ExecuteSequencesError::DecodebufferError(
                    DecodeBufferError::OutputBufferOverflow { .. }
                )
        ),
        FrameDecoderError::FailedToReadBlockBody(DecodeBlockContentError::BackendOverflow {
            ..
        }) => true,
        _ => false,
    }
}

thread_local! {
    /// The encoder of this thread and its level. It is not `Send`, but builders must be, and it is large: one a thread is enough.
    static ENCODER: RefCell<Option<(i32, FrameCompressor)>> = const { RefCell::new(None) };
}

/// Writes zstd.
#[derive(Debug, Default)]
pub(super) struct Deflater {
    frame: Vec<u8>,
}

impl Deflater {
    pub(super) fn deflate(&mut self, level: i32, bytes: &[u8], out: &mut Vec<u8>) {
        ENCODER.with_borrow_mut(|state| {
            let encoder = match state {
                Some((of, encoder)) if *of == level => encoder,
                state => {
                    let level_of = CompressionLevel::from_level(level);
                    &mut state.insert((level, FrameCompressor::new(level_of))).1
                }
            };
            encoder.compress_independent_frame_into(bytes, &mut self.frame);
        });
        out.extend_from_slice(&self.frame);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Codec, Decompressor};

    /// The body of a batch, as Kafka's producer wrote it by zstd-jni 1.5.6: no size declared, and it inflates ninefold.
    const UNDECLARED: &[u8] =
        include_bytes!("../../../../testdata/records/zstd-jni-1.5.6-undeclared-size.zst");

    #[test]
    fn a_frame_of_undeclared_size_grows_the_output_inside_a_block_too() {
        let mut decompressor = Decompressor::new(1 << 20);
        assert_eq!(
            decompressor
                .decompress(Codec::Zstd, UNDECLARED)
                .unwrap()
                .len(),
            15_510
        );
        // Room for exactly that, and for one byte less.
        let mut exact = Decompressor::new(15_510);
        assert_eq!(
            exact.decompress(Codec::Zstd, UNDECLARED).unwrap().len(),
            15_510
        );
        let error = Decompressor::new(15_509)
            .decompress(Codec::Zstd, UNDECLARED)
            .unwrap_err();
        assert!(error.to_string().contains("15509"), "{error}");
    }
}
