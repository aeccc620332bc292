//! Frames off a stream: the length prefix through a small read-ahead, then the body straight into one buffer of its size.
//!
//! Buffers of large frames are used again once nobody holds a slice of them: to fault in fresh pages costs as much as the copy.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::net::Stream;

/// Bytes that one read may take beyond a length prefix. Small responses arrive whole in it; of large ones it is copied once.
const READ_AHEAD: usize = 4096;

/// Why no further frame can be read.
#[derive(Debug)]
pub(super) enum FrameError {
    /// The peer closed the stream, or it broke.
    Io(io::Error),
    /// A length prefix that no broker sends; with the first bytes seen.
    Length(i32, [u8; 4]),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads frames off a stream.
#[derive(Debug)]
pub(super) struct FrameReader {
    ahead: Box<[u8; READ_AHEAD]>,
    /// What of `ahead` is read and not yet consumed.
    start: usize,
    end: usize,
    /// The frame being filled and its full size.
    body: Option<(BytesMut, usize)>,
    buffers: Buffers,
    frame_bytes_max: usize,
}

impl FrameReader {
    pub(super) fn new(frame_bytes_max: usize) -> Self {
        Self {
            ahead: Box::new([0; READ_AHEAD]),
            start: 0,
            end: 0,
            body: None,
            buffers: Buffers::default(),
            frame_bytes_max,
        }
    }

    /// The next frame without its length prefix.
    pub(super) fn poll_frame(
        &mut self,
        stream: &mut dyn Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, FrameError>> {
        loop {
            if let Some((body, size)) = &mut self.body {
                while body.len() < *size {
                    let left = *size - body.len();
                    if body.len() == body.capacity() {
                        body.reserve(left.min(body.len()));
                    }
                    let mut limited = (&mut *body).limit(left);
                    let read = ready!(pin!((*stream).read_buf(&mut limited)).poll(cx))?;
                    if read == 0 {
                        return Poll::Ready(Err(ended()));
                    }
                }
                if let Some((body, _)) = self.body.take() {
                    let frame = body.freeze();
                    self.buffers.keep(&frame);
                    return Poll::Ready(Ok(frame));
                }
            }
            let ahead = &self.ahead[self.start..self.end];
            if let Some(prefix) = ahead.first_chunk::<4>() {
                let size = i32::from_be_bytes(*prefix);
                let size = usize::try_from(size)
                    .ok()
                    .filter(|size| *size <= self.frame_bytes_max)
                    .ok_or(FrameError::Length(size, *prefix))?;
                let rest = &ahead[4..];
                if let Some(whole) = rest.get(..size) {
                    let frame = Bytes::copy_from_slice(whole);
                    self.start += 4 + size;
                    return Poll::Ready(Ok(frame));
                }
                let mut body = self.buffers.take(size);
                body.extend_from_slice(rest);
                (self.start, self.end) = (0, 0);
                self.body = Some((body, size));
                continue;
            }
            // Fewer than four bytes are left: move them to the front and read on behind them.
            self.ahead.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let mut buffer = ReadBuf::new(&mut self.ahead[self.end..]);
            ready!(pin!(&mut *stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 {
                return Poll::Ready(Err(ended()));
            }
            self.end += read;
        }
    }
}

fn ended() -> FrameError {
    FrameError::Io(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the broker closed the connection",
    ))
}

/// The last large frames, kept to be filled again once they are the only ones who hold their bytes.
#[derive(Debug, Default)]
struct Buffers {
    kept: [Option<Bytes>; Self::COUNT],
    next: usize,
}

impl Buffers {
    /// One being filled, one being read by the application, one between them; and those whose batches a producer is sending on. As many
    /// are kept as were held at once.
    const COUNT: usize = 8;
    /// Smaller frames are left to the allocator, which does not give such memory back to the system.
    const WORTH_KEEPING: usize = 64 * 1024;
    /// Capacities are rounded up to a multiple of this, so that frames of about the same size fit each other's buffers.
    const STEP: usize = 256 * 1024;
    /// What is reserved at most before any of a frame has come.
    const FIRST_MAX: usize = 8 * 1024 * 1024;

    /// An empty buffer with room for `size` bytes.
    fn take(&mut self, size: usize) -> BytesMut {
        if size < Self::WORTH_KEEPING {
            return BytesMut::with_capacity(size);
        }
        for slot in &mut self.kept {
            let Some(frame) = slot.take_if(|frame| frame.is_unique()) else {
                continue;
            };
            if let Ok(mut buffer) = frame.try_into_mut() {
                buffer.clear();
                // Too small, or so large that a burst long ago would be held for ever: make a new one.
                if buffer.capacity() >= size && buffer.capacity() / 8 <= size {
                    return buffer;
                }
            }
        }
        // The rest is reserved when that much has come: a length is only a claim.
        BytesMut::with_capacity(size.next_multiple_of(Self::STEP).min(Self::FIRST_MAX))
    }

    /// Remembers a frame that is handed out.
    fn keep(&mut self, frame: &Bytes) {
        if frame.len() < Self::WORTH_KEEPING {
            return;
        }
        let free = self.kept.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.next);
        self.next = (slot + 1) % Self::COUNT;
        self.kept[slot] = Some(frame.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as i32).to_be_bytes().to_vec();
        frame.extend_from_slice(payload);
        frame
    }

    async fn read(reader: &mut FrameReader, stream: &mut dyn Stream) -> Result<Bytes, FrameError> {
        poll_fn(|cx| reader.poll_frame(stream, cx)).await
    }

    #[tokio::test]
    async fn frames_come_out_whole_however_they_are_cut() {
        let payloads: Vec<Vec<u8>> = [0, 1, 3, 4000, 4092, 4096, 5000, 70_000, 2, 300_000]
            .iter()
            .map(|n| (0..*n).map(|i: u32| i as u8).collect())
            .collect();
        for cut in [1, 3, 4096, 5000, 1 << 20] {
            let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
            let bytes: Vec<u8> = payloads.iter().flat_map(|p| framed(p)).collect();
            let writer = tokio::spawn(async move {
                for piece in bytes.chunks(cut) {
                    theirs.write_all(piece).await.unwrap();
                }
            });
            let mut reader = FrameReader::new(1 << 20);
            for payload in &payloads {
                assert_eq!(read(&mut reader, &mut ours).await.unwrap(), payload);
            }
            assert!(matches!(
                read(&mut reader, &mut ours).await,
                Err(FrameError::Io(_))
            ));
            writer.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_length_that_no_broker_sends_is_refused_before_anything_is_allocated() {
        for prefix in [*b"HTTP", [0xff; 4], [0x7f, 0xff, 0xff, 0xff]] {
            let (mut ours, mut theirs) = tokio::io::duplex(64);
            theirs.write_all(&prefix).await.unwrap();
            let mut reader = FrameReader::new(100 << 20);
            let error = read(&mut reader, &mut ours).await.unwrap_err();
            assert!(matches!(error, FrameError::Length(_, seen) if seen == prefix));
        }
    }

    #[tokio::test]
    async fn an_announced_length_is_reserved_as_the_bytes_come_and_not_before() {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        let payload: Vec<u8> = (0..20 << 20).map(|i: u32| (i >> 8) as u8).collect();
        let bytes = framed(&payload);
        let writer = tokio::spawn(async move { theirs.write_all(&bytes).await.unwrap() });
        let mut reader = FrameReader::new(100 << 20);
        poll_fn(|cx| {
            assert!(reader.poll_frame(&mut ours, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let mut largest = 0;
        let frame = poll_fn(|cx| {
            let polled = reader.poll_frame(&mut ours, cx);
            if let Some((body, _)) = &reader.body
                && body.len() < 8 << 20
            {
                largest = largest.max(body.capacity());
            }
            polled
        })
        .await
        .unwrap();
        assert_eq!(largest, 8 << 20);
        assert!(frame == payload);
        writer.await.unwrap();
    }

    #[test]
    fn a_large_buffer_is_used_again_only_when_its_slices_are_gone() {
        let mut buffers = Buffers::default();
        let mut first = buffers.take(200_000);
        first.resize(200_000, 1);
        let frame = first.freeze();
        buffers.keep(&frame);
        let slice = frame.slice(5..10);
        let place = frame.as_ptr();
        drop(frame);
        let other = buffers.take(200_000);
        assert_ne!(other.as_ptr(), place);
        drop(slice);
        let again = buffers.take(210_000);
        assert_eq!(again.as_ptr(), place);
        assert!(again.is_empty() && again.capacity() >= 210_000);
    }
}
