//! Cutting a stream of bytes into frames, without I/O: 4 bytes of size, then as many bytes.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// A size that no frame of this connection has: the peer does not speak Kafka's protocol, or sends more than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A negative size.
    #[error("a frame announces {0} bytes: the peer does not speak Kafka's protocol")]
    Negative(i32),
    /// A size above the limit.
    #[error("a frame announces {size} bytes, and at most {limit} are accepted")]
    TooLarge {
        /// Bytes announced.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
}

/// Cuts what was received into frames. Sizes are checked before anything is set aside for them.
///
/// ```
/// use bytes::BytesMut;
/// use kafka_proto::wire::Framer;
///
/// let framer = Framer::new(1024);
/// let mut received = BytesMut::from(&[0, 0, 0, 2, 7, 8, 0, 0][..]);
/// assert_eq!(framer.next(&mut received)?.as_deref(), Some(&[7, 8][..]));
/// assert_eq!(framer.next(&mut received)?, None);
/// # Ok::<(), kafka_proto::wire::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framer {
    limit: usize,
}

impl Framer {
    /// Bytes of the size that stands before each frame.
    pub const SIZE_BYTES: usize = 4;

    /// Accepts frames of at most `limit` bytes, their size not counted.
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// The size of the frame that begins here; `None` if that has not arrived yet.
    ///
    /// # Errors
    /// The size is negative or above the limit.
    pub fn size(&self, received: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(size) = received.first_chunk() else {
            return Ok(None);
        };
        let size = i32::from_be_bytes(*size);
        match usize::try_from(size) {
            Err(_) => Err(FrameError::Negative(size)),
            Ok(size) if size > self.limit => Err(FrameError::TooLarge {
                size,
                limit: self.limit,
            }),
            Ok(size) => Ok(Some(size)),
        }
    }

    /// Takes the first frame out, without its size and without a copy; `None` if it has not arrived whole.
    ///
    /// # Errors
    /// As [`size`](Self::size). The connection is of no more use then.
    pub fn next(&self, received: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        match self.size(received)? {
            Some(size) if received.len() - Self::SIZE_BYTES >= size => {
                received.advance(Self::SIZE_BYTES);
                Ok(Some(received.split_to(size).freeze()))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let framer = Framer::new(16);
        let stream = [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let mut received = BytesMut::new();
        let mut frames = Vec::new();
        for byte in stream {
            received.extend_from_slice(&[byte]);
            frames.extend(framer.next(&mut received).unwrap());
        }
        assert_eq!(frames, [&[1, 2, 3][..], &[], &[9]]);
        assert!(received.is_empty());
    }

    #[test]
    fn absurd_sizes_are_refused_before_the_frame_arrives() {
        let framer = Framer::new(16);
        let refused = |bytes: &[u8]| framer.next(&mut BytesMut::from(bytes)).unwrap_err();
        assert_eq!(
            refused(&[0, 0, 0, 17]),
            FrameError::TooLarge {
                size: 17,
                limit: 16
            }
        );
        assert_eq!(refused(&[0xff, 0xff, 0xff, 0xff]), FrameError::Negative(-1));
        // "HTTP": someone else's protocol.
        assert!(matches!(refused(b"HTTP"), FrameError::TooLarge { .. }));
    }
}
