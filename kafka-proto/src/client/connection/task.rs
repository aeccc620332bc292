//! The task of one connection: writes requests in order, reads frames, gives each to whom it belongs, watches the deadlines.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};

use super::frame::{FrameError, FrameReader};
use crate::client::error::{Error, Result};
use crate::client::metrics::{BrokerMetrics, Histogram, InFlight, Metrics};
use crate::messages::ApiKey;
use crate::net::BoxStream;

/// Pieces that one vectored write takes at most; more wait for the next.
const PIECES_PER_WRITE: usize = 64;

/// What handles ask of the task.
pub(super) enum Command {
    Send(Outgoing),
    /// Write nothing until then (KIP-219).
    Mute(Instant),
    /// It turned out which broker this is.
    Rename(Arc<str>, Arc<BrokerMetrics>),
    /// End now; whatever is unanswered fails.
    Close,
}

/// A request, ready to be written.
pub(super) struct Outgoing {
    pub(super) key: ApiKey,
    pub(super) correlation: i32,
    pub(super) pieces: Vec<Bytes>,
    pub(super) len: usize,
    pub(super) queued: Instant,
    pub(super) timeout: Duration,
    pub(super) reply: Reply,
}

/// Where an answer goes.
pub(super) enum Reply {
    /// There will be none (`acks=0`); an empty one is given once the request is written.
    Written(Box<dyn FnOnce(Result<Bytes>) + Send>),
    /// To the one who waits.
    Once(oneshot::Sender<Result<Bytes>>),
    /// To a queue that takes the answers of many requests, with the caller's own number for this one.
    Queue(Box<dyn FnOnce(Result<Bytes>) + Send>),
}

impl Reply {
    fn give(self, answer: Result<Bytes>) {
        match self {
            // Who dropped the future no longer wants to know.
            Self::Once(sender) => drop(sender.send(answer)),
            Self::Queue(give) | Self::Written(give) => give(answer),
        }
    }
}

struct Unanswered {
    key: ApiKey,
    correlation: i32,
    deadline: Instant,
    timeout: Duration,
    reply: Reply,
    _in_flight: InFlight,
    /// When writing it began, and its last byte among all that this connection writes.
    taken: Instant,
    last_byte: u64,
    /// When that byte was written.
    written: Option<Instant>,
}

pub(super) struct Task {
    pub(super) name: Arc<str>,
    pub(super) stream: BoxStream,
    pub(super) frames: FrameReader,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    /// Why the connection ended, for those who come later.
    pub(super) ended: Arc<OnceLock<Error>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) of_broker: Arc<BrokerMetrics>,
    pub(super) idle_max: Duration,
    pub(super) state: State,
}

/// What is under way.
pub(super) struct State {
    writing: VecDeque<Bytes>,
    /// Bytes taken to be written, and bytes written, since the connection was made.
    bytes_taken: u64,
    bytes_written: u64,
    /// Requests were left in the queue because `writing` was long enough.
    full: bool,
    unflushed: bool,
    unanswered: VecDeque<Unanswered>,
    /// Requests that get no answer and are not written yet.
    unwritten: VecDeque<Unanswered>,
    /// What came while the connection was muted. The queue of commands is read on, so that a connection that may not write still closes.
    held_back: VecDeque<Outgoing>,
    muted_until: Option<Instant>,
    last_used: Instant,
    timer: Pin<Box<Sleep>>,
    /// What `timer` is set to.
    armed: Instant,
    /// No handle is left; end when nothing is unanswered.
    abandoned: bool,
}

impl State {
    pub(super) fn new(idle_max: Duration) -> Self {
        let now = Instant::now();
        let armed = now + idle_max;
        Self {
            writing: VecDeque::new(),
            bytes_taken: 0,
            bytes_written: 0,
            full: false,
            unflushed: false,
            unanswered: VecDeque::new(),
            unwritten: VecDeque::new(),
            held_back: VecDeque::new(),
            muted_until: None,
            last_used: now,
            timer: Box::pin(sleep_until(armed)),
            armed,
            abandoned: false,
        }
    }

    fn arm(&mut self, at: Instant) {
        if at < self.armed {
            self.armed = at;
            self.timer.as_mut().reset(at);
        }
    }
}

/// How a connection ended.
enum End {
    /// We closed it: nobody needs it any more.
    Ours(&'static str),
    Lost(String),
    Failed(Error),
}

impl Task {
    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let error = match end {
            End::Ours(reason) => {
                tracing::debug!(broker = %self.name, %reason, "connection ended");
                Error::Disconnected {
                    broker: Arc::clone(&self.name),
                    reason: reason.into(),
                }
            }
            End::Lost(reason) => {
                self.count_lost();
                tracing::debug!(broker = %self.name, %reason, "connection lost");
                Error::Disconnected {
                    broker: Arc::clone(&self.name),
                    reason: reason.into(),
                }
            }
            End::Failed(error) => {
                self.count_lost();
                tracing::debug!(broker = %self.name, %error, "connection closed");
                error
            }
        };
        let error = self.ended.get_or_init(|| error).clone();
        let state = &mut self.state;
        for request in state.unanswered.drain(..).chain(state.unwritten.drain(..)) {
            request.reply.give(Err(error.clone()));
        }
        for request in self.state.held_back.drain(..) {
            request.reply.give(Err(error.clone()));
        }
        // What was queued and never written: the same fate. The channel closes first, so that nothing slips in behind.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Send(outgoing) = command {
                outgoing.reply.give(Err(error.clone()));
            }
        }
    }

    fn count_lost(&self) {
        self.metrics.connections_lost.add(1);
        self.of_broker.connections_lost.add(1);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Poll::Ready(end) = self.poll_commands(cx) {
                return Poll::Ready(end);
            }
            if let Err(error) = self.poll_write(cx) {
                return Poll::Ready(End::Lost(format!("writing failed: {error}")));
            }
            if self.state.full && self.state.writing.is_empty() {
                continue;
            }
            if let Poll::Ready(end) = self.poll_read(cx) {
                return Poll::Ready(end);
            }
            if self.state.abandoned
                && self.state.unanswered.is_empty()
                && self.state.writing.is_empty()
                && self.state.held_back.is_empty()
            {
                return Poll::Ready(End::Ours("it was no longer needed"));
            }
            if self.state.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if let Poll::Ready(end) = self.on_timer() {
                return Poll::Ready(end);
            }
            // A mute may have ended: look at the commands again.
        }
    }

    /// Takes requests from the queue into the write buffer, unless muted or still writing a good deal.
    fn poll_commands(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let now = Instant::now();
        if self.state.muted_until.is_some_and(|until| until <= now) {
            self.state.muted_until = None;
        }
        self.state.full = false;
        loop {
            let is_muted = self.state.muted_until.is_some();
            if !is_muted && self.state.writing.len() >= PIECES_PER_WRITE {
                self.state.full = true;
                break;
            }
            if !is_muted && let Some(outgoing) = self.state.held_back.pop_front() {
                self.take(outgoing, now);
                continue;
            }
            if self.state.abandoned {
                break;
            }
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(Command::Send(outgoing))) if is_muted => {
                    self.state.held_back.push_back(outgoing);
                }
                Poll::Ready(Some(Command::Send(outgoing))) => self.take(outgoing, now),
                Poll::Ready(Some(Command::Mute(until))) => self.mute(until, now),
                Poll::Ready(Some(Command::Rename(name, of_broker))) => {
                    (self.name, self.of_broker) = (name, of_broker);
                }
                Poll::Ready(Some(Command::Close)) => {
                    return Poll::Ready(End::Ours("it was closed"));
                }
                Poll::Ready(None) => self.state.abandoned = true,
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    /// Of several throttle times the latest end counts, not their sum.
    fn mute(&mut self, until: Instant, now: Instant) {
        let begin = self.state.muted_until.unwrap_or(now).max(now);
        let longer = until.saturating_duration_since(begin);
        if longer.is_zero() {
            return;
        }
        self.metrics.throttle_ms.add(longer.as_millis() as u64);
        self.of_broker.throttle_ms.add(longer.as_millis() as u64);
        tracing::debug!(broker = %self.name, time = ?longer, "throttled");
        self.state.muted_until = Some(until);
        // What is on its way already is not answered late by its own fault.
        for request in &mut self.state.unanswered {
            request.deadline += longer;
        }
        self.state.arm(until);
    }

    fn take(&mut self, outgoing: Outgoing, now: Instant) {
        self.metrics.requests.add(1);
        self.metrics.bytes_out.add(outgoing.len as u64);
        self.of_broker.requests.add(1);
        self.of_broker.bytes_out.add(outgoing.len as u64);
        self.of_broker
            .queue_us
            .record_time(now.saturating_duration_since(outgoing.queued));
        tracing::trace!(broker = %self.name, api = %outgoing.key, correlation = outgoing.correlation, bytes = outgoing.len, "request");
        self.state.last_used = now;
        self.state.bytes_taken += outgoing.len as u64;
        self.state.writing.extend(outgoing.pieces);
        let deadline = now + outgoing.timeout;
        self.state.arm(deadline);
        let queue = match outgoing.reply {
            Reply::Written(_) => &mut self.state.unwritten,
            _ => &mut self.state.unanswered,
        };
        queue.push_back(Unanswered {
            key: outgoing.key,
            correlation: outgoing.correlation,
            deadline,
            timeout: outgoing.timeout,
            reply: outgoing.reply,
            _in_flight: InFlight::to(&self.of_broker),
            taken: now,
            last_byte: self.state.bytes_taken,
            written: None,
        });
    }

    /// Notes which requests were written to their end; those that get no answer are done then.
    fn count_written(&mut self) {
        let now = Instant::now();
        let written = self.state.bytes_written;
        let is_written = |request: &mut Unanswered| request.last_byte <= written;
        while let Some(request) = self.state.unwritten.pop_front_if(is_written) {
            request.reply.give(Ok(Bytes::new()));
        }
        let unanswered = self.state.unanswered.iter_mut().rev();
        for request in unanswered.take_while(|request| request.written.is_none()) {
            if request.last_byte <= written {
                request.written = Some(now);
                let took = now.saturating_duration_since(request.taken);
                self.of_broker.write_us.record_time(took);
            }
        }
    }

    fn count_answered(&self, request: &Unanswered, bytes: usize, now: Instant) {
        self.metrics.responses.add(1);
        self.metrics.bytes_in.add(bytes as u64);
        let of_broker = &self.of_broker;
        of_broker.responses.add(1);
        of_broker.bytes_in.add(bytes as u64);
        let histogram: &Histogram = match request.key {
            ApiKey::PRODUCE => &of_broker.produce_us,
            ApiKey::FETCH => &of_broker.fetch_us,
            _ => &of_broker.request_us,
        };
        let took = now.saturating_duration_since(request.written.unwrap_or(request.taken));
        histogram.record_time(took);
        tracing::trace!(broker = %self.name, api = %request.key, correlation = request.correlation, bytes, ?took, "response");
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        let before = self.state.bytes_written;
        let result = self.write(cx);
        if self.state.bytes_written > before {
            self.count_written();
        }
        result
    }

    fn write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        let writing = &mut self.state.writing;
        while !writing.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
            let mut count = 0;
            for (slot, piece) in slices.iter_mut().zip(writing.iter()) {
                *slot = IoSlice::new(piece);
                count += 1;
            }
            let stream = Pin::new(&mut *self.stream);
            let mut written = match stream.poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(written) => written?,
                Poll::Pending => return Ok(()),
            };
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            self.state.unflushed = true;
            self.state.bytes_written += written as u64;
            while let Some(piece) = writing.front_mut() {
                if piece.len() > written {
                    piece.advance(written);
                    break;
                }
                written -= piece.len();
                writing.pop_front();
            }
        }
        // A no-op for TCP; a stream that buffers (TLS) sends now.
        if self.state.unflushed && Pin::new(&mut *self.stream).poll_flush(cx)?.is_ready() {
            self.state.unflushed = false;
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let frame = match self.frames.poll_frame(&mut *self.stream, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(frame)) => frame,
                Poll::Ready(Err(FrameError::Io(error))) => {
                    return Poll::Ready(End::Lost(error.to_string()));
                }
                Poll::Ready(Err(FrameError::Length(size, seen))) => {
                    return Poll::Ready(End::Failed(self.not_a_frame(size, seen)));
                }
            };
            let now = Instant::now();
            self.state.last_used = now;
            let correlation = frame
                .first_chunk::<4>()
                .map(|bytes| i32::from_be_bytes(*bytes));
            // Brokers answer in order: any other number means that one of us lost count.
            match self.state.unanswered.pop_front() {
                Some(request) if correlation == Some(request.correlation) => {
                    self.count_answered(&request, frame.len() + 4, now);
                    request.reply.give(Ok(frame));
                }
                other => {
                    let expected = other.as_ref().map_or_else(
                        || "nothing".to_owned(),
                        |request| format!("{} to {}", request.correlation, request.key),
                    );
                    if let Some(request) = other {
                        self.state.unanswered.push_front(request);
                    }
                    let got = correlation
                        .map_or_else(|| "a frame without one".to_owned(), |n| n.to_string());
                    return Poll::Ready(End::Lost(format!(
                        "it answered out of order (correlation id {got}, expected {expected})"
                    )));
                }
            }
        }
    }

    fn not_a_frame(&self, size: i32, seen: [u8; 4]) -> Error {
        let looks = match &seen {
            b"HTTP" => ", an HTTP answer".to_owned(),
            [0x15, 3, _, _] => ", a TLS alert: the listener expects TLS".to_owned(),
            bytes if bytes.iter().all(u8::is_ascii_graphic) => {
                format!(", the text `{}`", bytes.escape_ascii())
            }
            _ => String::new(),
        };
        Error::NotKafka {
            address: Arc::clone(&self.name),
            reason: format!(
                "it announced a frame of {size} bytes{looks} (`receive.message.max.bytes` bounds frames)"
            )
            .into(),
        }
    }

    /// Something may be overdue: the first unanswered request, or the whole connection is idle.
    fn on_timer(&mut self) -> Poll<End> {
        let now = Instant::now();
        let state = &mut self.state;
        if let Some(late) = state
            .unanswered
            .iter()
            .chain(&state.unwritten)
            .find(|request| request.deadline <= now)
        {
            self.metrics.timeouts.add(1);
            self.of_broker.timeouts.add(1);
            return Poll::Ready(End::Failed(Error::Timeout {
                what: format!("{} by {}", late.key, self.name).into(),
                after: late.timeout,
                setting: "`request.timeout.ms`, plus what the request itself may wait",
            }));
        }
        let idle_until = state.last_used + self.idle_max;
        let is_idle =
            state.unanswered.is_empty() && state.writing.is_empty() && state.held_back.is_empty();
        if is_idle && idle_until <= now {
            return Poll::Ready(End::Ours("it was idle for `connections.max.idle.ms`"));
        }
        let next = state
            .unanswered
            .iter()
            .chain(&state.unwritten)
            .map(|request| request.deadline)
            .chain(state.muted_until.filter(|until| *until > now))
            .min()
            .unwrap_or(idle_until);
        state.armed = next;
        state.timer.as_mut().reset(next);
        Poll::Pending
    }
}
