//! A network inside the process: named listeners, streams that are pairs of bounded pipes. For tests; no sockets, no ports.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::{BoxStream, Connect, ConnectFuture};

/// Bytes that a pipe holds in each direction before its writer waits, as a socket's buffer would.
const PIPE_BYTES: usize = 256 * 1024;

type Listeners = HashMap<(String, u16), mpsc::UnboundedSender<DuplexStream>>;

/// An in-memory network. Clones are the same network.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use kafka_proto::net::{Connect, Memory};
/// let network = Memory::default();
/// let mut listener = network.listen("broker", 9092);
/// let client = network.connect("broker", 9092).await;
/// assert!(client.is_ok() && listener.accept().await.is_some());
/// assert!(network.connect("elsewhere", 9092).await.is_err());
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Memory {
    listeners: Arc<Mutex<Listeners>>,
}

impl Memory {
    /// Listens on `host:port`; a later listener on the same address replaces an earlier one.
    pub fn listen(&self, host: &str, port: u16) -> MemoryListener {
        let (sender, incoming) = mpsc::unbounded_channel();
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((host.to_owned(), port), sender);
        MemoryListener { incoming }
    }
}

impl Connect for Memory {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> ConnectFuture<'a> {
        Box::pin(async move {
            let listeners = self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            let accepted = listeners
                .get(&(host.to_owned(), port))
                .is_some_and(|listener| listener.send(theirs).is_ok());
            if accepted {
                Ok(Box::new(ours) as BoxStream)
            } else {
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
        })
    }
}

/// The accepting side of one address of a [`Memory`] network; dropping it refuses further connections.
#[derive(Debug)]
pub struct MemoryListener {
    incoming: mpsc::UnboundedReceiver<DuplexStream>,
}

impl MemoryListener {
    /// The next stream that a client opened; `None` once another listener took the address. Safe to drop.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.incoming.recv().await
    }
}
