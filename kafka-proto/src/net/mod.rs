//! The seam to the network: how a byte stream to a broker is made, and nothing about what travels on it.
//!
//! TCP is one implementation ([`Tcp`]), an in-memory network for tests is another ([`Memory`]); TLS and simulation wrap or replace them.

mod memory;
mod race;
mod tcp;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

pub use memory::{Memory, MemoryListener};
pub(crate) use race::race;
pub use tcp::Tcp;

/// A bidirectional byte stream to a broker.
///
/// Implemented for everything that tokio can read from and write to. Streams should support vectored writes
/// ([`AsyncWrite::is_write_vectored`]): a produce request leaves as its header and its batches in one call.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream behind one pointer; the virtual call is paid per system call, not per byte.
pub type BoxStream = Box<dyn Stream>;

/// The future that [`Connect::connect`] returns.
pub type ConnectFuture<'a> = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>>;

/// Makes streams to `host:port`.
pub trait Connect: Debug + Send + Sync {
    /// Opens a stream to `host:port`, trying every address of the host.
    ///
    /// Dropping the future gives the attempt up.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> ConnectFuture<'a>;
}
