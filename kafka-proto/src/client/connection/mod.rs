//! One connection to one broker: versions agreed on, requests answered in order, each with a deadline.
//!
//! A connection does not heal: once it ended, everything on it fails with the reason, and the [`Cluster`](super::Cluster) makes
//! another one when asked. [`Connection`] is a handle; a task on the runtime where it was opened does the reading and writing.

mod frame;
mod open;
mod task;
mod versions;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub(crate) use open::{Identity, Opening};
pub use versions::BrokerVersions;
pub(crate) use versions::Spoken;

use self::task::{Command, Outgoing, Reply};
use super::error::{Error, Result};
use super::metrics::Metrics;
use crate::messages::{Message, Request, ResponseHeader, header::encode_request};
use crate::wire::{Reader, Text};

/// A connection to a broker. Cheap to clone: clones are the same connection, which closes when the last one and the last
/// [`Pending`] are gone.
#[derive(Debug, Clone)]
pub struct Connection {
    /// For messages: address, and the broker's id where it is known.
    name: Arc<str>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: Arc<str>,
    client_id: Text,
    versions: OnceLock<BrokerVersions>,
    /// The next correlation id. Locked from its choice until the request is queued, so that requests are queued in their order.
    correlation: Mutex<i32>,
    commands: mpsc::UnboundedSender<Command>,
    ended: Arc<OnceLock<Error>>,
}

impl Connection {
    /// Sends a request and waits for its answer, both in the highest version that both sides speak.
    ///
    /// `timeout` is what the broker may take; it counts from the time the request is written, and when it is over the connection is
    /// closed, because brokers answer in order. Dropping the future leaves the request sent and its answer ignored.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::Encode`], [`Error::Disconnected`], [`Error::Timeout`], [`Error::Malformed`]. Error codes inside
    /// the response are for the caller.
    pub async fn call<R: Request>(&self, request: &R, timeout: Duration) -> Result<R::Response> {
        self.send(request, timeout)?.await
    }

    /// As [`Connection::call`], in at most version `version_max`.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn call_at_most<R: Request>(
        &self,
        request: &R,
        version_max: i16,
        timeout: Duration,
    ) -> Result<R::Response> {
        self.send_at_most(request, version_max, timeout)?.await
    }

    /// Queues a request now, behind all that were queued before; its answer is the future that is returned.
    ///
    /// # Errors
    /// As [`Connection::call`], except what only an answer can show.
    pub fn send<R: Request>(&self, request: &R, timeout: Duration) -> Result<Pending<R>> {
        self.send_at_most(request, i16::MAX, timeout)
    }

    /// As [`Connection::send`], in at most version `version_max`.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_at_most<R: Request>(
        &self,
        request: &R,
        version_max: i16,
        timeout: Duration,
    ) -> Result<Pending<R>> {
        let version = self.version_at_most::<R>(version_max)?;
        self.send_frame(request, version, timeout)
            .map(|answer| Pending {
                answer,
                version,
                _request: PhantomData,
            })
    }

    /// Queues a request whose answer goes to `give`, called from the connection's task: it must not block.
    pub(crate) fn send_to<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
        give: Box<dyn FnOnce(Result<Bytes>) + Send>,
    ) -> Result<()> {
        self.queue(request, version, timeout, Reply::Queue(give))
    }

    /// Queues a request that gets no answer: `give` is called with an empty one when it is written to its end, which `timeout` bounds.
    pub(crate) fn send_unanswered<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
        give: Box<dyn FnOnce(Result<Bytes>) + Send>,
    ) -> Result<()> {
        self.queue(request, version, timeout, Reply::Written(give))
    }

    /// The highest version of a request that both sides speak, if there is one.
    #[must_use]
    pub fn version_for<R: Request>(&self) -> Option<i16> {
        self.version_at_most::<R>(i16::MAX).ok()
    }

    pub(crate) fn version_at_most<R: Request>(&self, version_max: i16) -> Result<i16> {
        let ours = (R::STABLE.min, R::STABLE.max.min(version_max));
        let theirs = self.versions().and_then(|versions| versions.range(R::KEY));
        theirs
            .and_then(|theirs| versions::common(ours, theirs))
            .ok_or_else(|| Error::Unsupported {
                broker: Arc::clone(&self.name),
                api: R::KEY.to_string().into(),
                ours: format!("{} to {}", ours.0, ours.1).into(),
                theirs: theirs
                    .map_or_else(|| "none".to_owned(), |(min, max)| format!("{min} to {max}"))
                    .into(),
            })
    }

    /// The versions and features of the broker.
    #[must_use]
    pub fn versions(&self) -> Option<&BrokerVersions> {
        self.shared.versions.get()
    }

    /// The broker, for messages: its address, and its id where that is known.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it leads to this address, and nobody else has it or waits for an answer on it.
    pub(crate) fn is_free_and_to(&self, host: &str, port: u16) -> bool {
        let address = self.shared.address.rsplit_once(':');
        address.is_some_and(|(h, p)| h == host && p.parse() == Ok(port))
            && Arc::strong_count(&self.shared) == 1
            && !self.is_closed()
    }

    /// The same connection, called and counted as another one: it turned out whose it is.
    pub(crate) fn renamed(self, name: Arc<str>, metrics: &Metrics) -> Self {
        let of_broker = metrics.broker(&name);
        of_broker.connections_opened.add(1);
        let rename = Command::Rename(Arc::clone(&name), of_broker);
        // An ended connection needs no name.
        drop(self.shared.commands.send(rename));
        Self { name, ..self }
    }

    /// Holds all further requests back for this long from now on (KIP-219); their deadlines count from when they are written. Whoever waits
    /// for one has a time limit of its own.
    pub fn throttle(&self, time: Duration) {
        if !time.is_zero() {
            let until = Instant::now() + time;
            // An ended connection has nothing to hold back.
            drop(self.shared.commands.send(Command::Mute(until)));
        }
    }

    /// Closes the connection; what is unanswered on it fails.
    pub fn close(&self) {
        drop(self.shared.commands.send(Command::Close));
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.commands.is_closed()
    }

    /// Waits until the connection has ended. Safe to drop.
    pub async fn closed(&self) {
        self.shared.commands.closed().await;
    }

    fn send_frame<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Result<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.queue(request, version, timeout, Reply::Once(sender))?;
        Ok(Answer {
            receiver,
            connection: self.clone(),
        })
    }

    fn queue<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
        reply: Reply,
    ) -> Result<()> {
        let mut next = self
            .shared
            .correlation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let correlation = *next;
        let frame = encode_request(request, version, correlation, Some(&self.shared.client_id))
            .map_err(|source| Error::Encode {
                what: format!("{} version {version}", R::NAME).into(),
                source,
            })?;
        *next = correlation.wrapping_add(1) & i32::MAX;
        let outgoing = Outgoing {
            key: R::KEY,
            correlation,
            len: frame.len(),
            pieces: frame.into_parts(),
            queued: Instant::now(),
            timeout,
            reply,
        };
        self.shared
            .commands
            .send(Command::Send(outgoing))
            .map_err(|_| self.why_ended())
    }

    fn why_ended(&self) -> Error {
        self.shared
            .ended
            .get()
            .cloned()
            .unwrap_or_else(|| Error::Disconnected {
                broker: Arc::clone(&self.name),
                reason: "the runtime it ran on is gone".into(),
            })
    }

    /// Reads a response out of its frame, and heeds its throttle time.
    fn decode<R: Request>(&self, frame: Bytes, version: i16) -> Result<R::Response> {
        let response = Self::read::<R>(frame.clone(), version, &self.name)?;
        if throttle_comes_first::<R>(version) {
            let mut reader = Reader::new(frame);
            let header = ResponseHeader::decode(&mut reader, R::response_header_version(version));
            if header.is_ok()
                && let Ok(time @ 1..) = reader.i32()
            {
                self.throttle(Duration::from_millis(time as u64));
            }
        }
        Ok(response)
    }

    /// Reads a response out of its frame; `broker` is for the message if it cannot be read. What stands behind its last field is not
    /// looked at, as in Kafka and its clients.
    pub(crate) fn read<R: Request>(
        frame: Bytes,
        version: i16,
        broker: &Arc<str>,
    ) -> Result<R::Response> {
        let mut reader = Reader::new(frame);
        let mut read = || {
            ResponseHeader::decode(&mut reader, R::response_header_version(version))?;
            R::Response::decode(&mut reader, version)
        };
        read().map_err(|source| Error::Malformed {
            broker: Arc::clone(broker),
            what: format!("{} version {version}", R::Response::NAME).into(),
            source,
        })
    }
}

/// Whether a response begins with `throttle_time_ms`: all but Produce and ApiVersions do, once they have it.
fn throttle_comes_first<R: Request>(version: i16) -> bool {
    R::Response::SCHEMA
        .fields
        .fields
        .first()
        .is_some_and(|field| field.name == "throttle_time_ms" && field.versions.contains(version))
}

/// The frame that answers a request.
struct Answer {
    receiver: oneshot::Receiver<Result<Bytes>>,
    connection: Connection,
}

impl Future for Answer {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.receiver).poll(cx));
        Poll::Ready(answer.unwrap_or_else(|_| Err(self.connection.why_ended())))
    }
}

/// The answer to a request that was sent: a future of the response. Dropping it ignores the answer, nothing else.
#[must_use = "a dropped answer is ignored"]
pub struct Pending<R: Request> {
    answer: Answer,
    version: i16,
    _request: PhantomData<fn() -> R>,
}

impl<R: Request> Pending<R> {
    /// The version of the request and of its response.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }
}

impl<R: Request> Future for Pending<R> {
    type Output = Result<R::Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let frame = ready!(Pin::new(&mut self.answer).poll(cx))?;
        Poll::Ready(self.answer.connection.decode::<R>(frame, self.version))
    }
}

impl<R: Request> std::fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pending({} version {})", R::NAME, self.version)
    }
}
