//! Plain TCP by tokio.

use std::io;

use tokio::net::{TcpStream, lookup_host};

use super::{Connect, ConnectFuture};

/// Plain TCP without delay: every address that the host's name resolves to is tried in the resolver's order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> ConnectFuture<'a> {
        Box::pin(async move {
            let mut last = None;
            for address in lookup_host((host, port)).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        // Requests are whole frames already: waiting for more bytes only adds latency.
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as super::BoxStream);
                    }
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    "the host name resolves to no address",
                )
            }))
        })
    }
}
