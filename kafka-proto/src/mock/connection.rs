//! One client's connection: frames in, answers out, one request at a time and in order, as brokers do.
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::handlers::{self, Answer, Peer};
use super::server::Shared;

/// `socket.request.max.bytes`
const REQUEST_BYTES_MAX: usize = 100 << 20;
/// Room for each read; one allocation serves many small requests.
const READ_BYTES: usize = 64 << 10;
/// Pieces handed to one system call.
const SLICES_MAX: usize = 64;

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Serves a client until it goes, or sends what is no request.
pub(crate) async fn serve<S>(shared: Arc<Shared>, broker: i32, host: String, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let peer = Peer {
        broker,
        connection: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
        host,
    };
    if let Err(error) = run(&shared, &peer, &mut stream).await {
        tracing::debug!(broker, connection = peer.connection, %error, "mock: connection closed");
    }
}

async fn run<S>(shared: &Shared, peer: &Peer, stream: &mut S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut held = Vec::new();
    while let Some(frame) = read_frame(stream, &mut buffer).await? {
        shared.unpaused(peer.broker).await;
        let answer = handlers::answer(shared, peer, frame).await?;
        shared.unpaused(peer.broker).await;
        match answer {
            Answer::Response(chunks) => {
                let mut parts = chunks.into_parts();
                parts.append(&mut held);
                write(stream, parts).await?;
            }
            Answer::Held(chunks) => held.extend(chunks.into_parts()),
            Answer::Bytes(bytes) => write(stream, vec![bytes]).await?,
            Answer::Nothing => {}
            Answer::Close => return Ok(()),
            Answer::Cut(chunks, bytes) => {
                let mut whole = chunks.into_bytes();
                whole.truncate(bytes);
                write(stream, vec![whole]).await?;
                return stream.flush().await;
            }
            Answer::Silence => std::future::pending().await,
        }
    }
    Ok(())
}

/// The next request without its size; `None` when the client has closed the connection between two requests.
async fn read_frame<S>(stream: &mut S, buffer: &mut BytesMut) -> io::Result<Option<Bytes>>
where
    S: AsyncRead + Unpin,
{
    loop {
        let mut wanted = 4;
        if let Some(prefix) = buffer.first_chunk::<4>() {
            let size = usize::try_from(i32::from_be_bytes(*prefix))
                .ok()
                .filter(|size| *size <= REQUEST_BYTES_MAX)
                .ok_or_else(|| io::Error::other("the size of a request is absurd"))?;
            wanted = 4 + size;
            if buffer.len() >= wanted {
                buffer.advance(4);
                return Ok(Some(buffer.split_to(size).freeze()));
            }
        }
        let missing = wanted - buffer.len();
        if buffer.capacity() - buffer.len() < missing.max(READ_BYTES / 4) {
            buffer.reserve(missing.max(READ_BYTES));
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

async fn write<S>(stream: &mut S, parts: Vec<Bytes>) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let mut parts = VecDeque::from(parts);
    while !parts.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(&parts) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        let mut written = stream.write_vectored(&slices[..count]).await?;
        if written == 0 && parts.iter().any(|part| !part.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(part) = parts.front_mut() {
            if written < part.len() {
                part.advance(written);
                break;
            }
            written -= part.len();
            parts.pop_front();
        }
    }
    Ok(())
}
