//! Plain TCP by tokio.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, lookup_host};

use super::{Connect, ConnectFuture, race};

/// How long an address may take before the next one is tried beside it (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);

/// Plain TCP without delay: every address that the host's name resolves to is tried, IPv6 and IPv4 in turn, beginning with the
/// resolver's first; one that does not answer holds the next up for a quarter of a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp {
    send_buffer: Option<u32>,
    receive_buffer: Option<u32>,
}

impl Tcp {
    /// With buffers of these many bytes in the kernel, each way; `None` leaves their size to the system, which on Linux makes them
    /// grow with the traffic.
    #[must_use]
    pub fn with_buffers(send: Option<u32>, receive: Option<u32>) -> Self {
        Self {
            send_buffer: send,
            receive_buffer: receive,
        }
    }

    fn socket(self, address: &SocketAddr) -> io::Result<TcpSocket> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // As Java's client: without it a connection that a firewall has forgotten is noticed by the next request only.
        socket.set_keepalive(true)?;
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        Ok(socket)
    }
}

impl Connect for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> ConnectFuture<'a> {
        Box::pin(async move {
            let addresses = in_turn(lookup_host((host, port)).await?.collect());
            let attempts = addresses.into_iter().map(|address| async move {
                let connect = async { self.socket(&address)?.connect(address).await };
                connect.await.map_err(|error| {
                    io::Error::new(error.kind(), format!("{error} ({})", address.ip()))
                })
            });
            match race(attempts, STAGGER).await {
                Ok(stream) => {
                    // Requests are whole frames already: waiting for more bytes only adds latency.
                    stream.set_nodelay(true)?;
                    Ok(Box::new(stream) as super::BoxStream)
                }
                Err(mut errors) => Err(errors.pop().unwrap_or_else(|| {
                    io::Error::new(
                        io::ErrorKind::NotFound,
                        "the host name resolves to no address",
                    )
                })),
            }
        })
    }
}

/// The addresses with their families taking turns, each family in its own order.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first_is_v6) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_take_turns_beginning_with_the_resolvers_first() {
        let parse = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let given = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let mixed = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(in_turn(given), mixed);
        assert!(in_turn(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn buffers_have_the_size_that_was_asked_for_and_the_system_looks_after_connections() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let own = Tcp::default().socket(&address).unwrap();
        let asked = Tcp::with_buffers(Some(20_000), Some(30_000));
        let asked = asked.socket(&address).unwrap();
        // Linux doubles what it is asked for; the system's own size is neither.
        let (send, receive) = (asked.send_buffer_size(), asked.recv_buffer_size());
        assert!([20_000, 40_000].contains(&send.unwrap()));
        assert!([30_000, 60_000].contains(&receive.unwrap()));
        assert!(![20_000, 40_000].contains(&own.send_buffer_size().unwrap()));
        assert!(own.keepalive().unwrap(), "the system looks after it");
    }

    #[tokio::test]
    async fn localhost_is_reached_whichever_family_listens() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(Tcp::default().connect("localhost", port).await.is_ok());
        drop(listener);
        let error = Tcp::default()
            .connect("127.0.0.1", port)
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
