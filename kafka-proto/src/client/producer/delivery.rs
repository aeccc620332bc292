//! How the end of a batch is told: one completion a batch, shared by all who sent a record in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::state::Outcome;
use crate::client::error::{Error, Result};

/// Where a batch went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset of the first record; the others follow it. `None` with `acks=0`, and when only an earlier attempt was
    /// acknowledged without saying where.
    pub base_offset: Option<i64>,
    /// Records in the batch.
    pub record_count: u32,
    /// The broker's time for all of the records, if the topic is set to that.
    pub log_append_time: Option<i64>,
}

/// Where a record went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordMetadata {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset; `None` as for [`Delivered::base_offset`].
    pub offset: Option<i64>,
    /// The broker's time, if the topic is set to that.
    pub log_append_time: Option<i64>,
}

/// The end of one batch: pending, or told.
#[derive(Debug)]
pub(super) struct Completion {
    topic: Arc<str>,
    partition: i32,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Pending(Vec<Option<Waker>>),
    Told(u32, Outcome),
}

impl Completion {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Arc<Self> {
        Arc::new(Self {
            topic,
            partition,
            state: Mutex::new(State::Pending(Vec::new())),
        })
    }

    /// Tells the end of a batch of `count` records.
    pub(super) fn tell(&self, count: u32, outcome: Outcome) {
        let told = State::Told(count, outcome);
        let before = std::mem::replace(
            &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner),
            told,
        );
        if let State::Pending(wakers) = before {
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }

    fn poll(&self, place: &mut Option<usize>, cx: &Context<'_>) -> Poll<Result<Delivered>> {
        match &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Pending(wakers) => {
                match *place {
                    Some(place) => match &mut wakers[place] {
                        Some(waker) => waker.clone_from(cx.waker()),
                        empty @ None => *empty = Some(cx.waker().clone()),
                    },
                    None => {
                        *place = Some(wakers.len());
                        wakers.push(Some(cx.waker().clone()));
                    }
                }
                Poll::Pending
            }
            State::Told(count, outcome) => Poll::Ready(self.result(*count, outcome)),
        }
    }

    fn result(&self, record_count: u32, outcome: &Outcome) -> Result<Delivered> {
        match outcome {
            Outcome::Acknowledged {
                base_offset,
                log_append_time,
            } => Ok(Delivered {
                topic: Arc::clone(&self.topic),
                partition: self.partition,
                base_offset: *base_offset,
                record_count,
                log_append_time: *log_append_time,
            }),
            Outcome::Failed(error) => Err(error.clone()),
        }
    }

    fn leave(&self, place: usize) {
        if let State::Pending(wakers) =
            &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner)
        {
            wakers[place] = None;
        }
    }
}

/// Whoever was to tell the end is gone: those who wait must not wait for ever.
#[derive(Debug)]
pub(super) struct Ticket {
    completion: Arc<Completion>,
    pub(super) count: u32,
    /// The batch's size on the wire, and what it was before compression.
    pub(super) bytes: usize,
    pub(super) bytes_uncompressed: usize,
    /// When the batch, or its first record, was accepted.
    pub(super) accepted: Instant,
    is_told: bool,
}

impl Ticket {
    pub(super) fn new(
        completion: Arc<Completion>,
        count: u32,
        (bytes, bytes_uncompressed): (usize, usize),
        accepted: Instant,
    ) -> Self {
        Self {
            completion,
            count,
            bytes,
            bytes_uncompressed,
            accepted,
            is_told: false,
        }
    }

    /// Topic and partition.
    pub(super) fn place(&self) -> (&str, i32) {
        (&self.completion.topic, self.completion.partition)
    }

    pub(super) fn tell(mut self, outcome: Outcome) {
        self.is_told = true;
        self.completion.tell(self.count, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_told {
            let error = Error::Delivery {
                topic: Arc::clone(&self.completion.topic),
                partition: self.completion.partition,
                maybe_written: true,
                source: Box::new(Error::Closed { what: "producer" }),
            };
            self.completion.tell(self.count, Outcome::Failed(error));
        }
    }
}

/// A batch on its way: a future of where it went. Dropping it changes nothing, the delivery goes on.
#[derive(Debug)]
#[must_use = "delivery goes on, but only this tells whether it succeeded"]
pub struct Delivery {
    completion: Arc<Completion>,
    place: Option<usize>,
}

impl Delivery {
    pub(super) fn new(completion: Arc<Completion>) -> Self {
        Self {
            completion,
            place: None,
        }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.completion.poll(&mut this.place, cx)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.completion.leave(place);
        }
    }
}

/// A record on its way: a future of where it went. Dropping it changes nothing, the delivery goes on.
#[derive(Debug)]
#[must_use = "delivery goes on, but only this tells whether it succeeded"]
pub struct RecordDelivery {
    batch: Delivery,
    delta: i32,
}

impl RecordDelivery {
    pub(super) fn new(completion: Arc<Completion>, delta: i32) -> Self {
        Self {
            batch: Delivery::new(completion),
            delta,
        }
    }
}

impl Future for RecordDelivery {
    type Output = Result<RecordMetadata>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let delta = i64::from(self.delta);
        Pin::new(&mut self.batch)
            .poll(cx)
            .map_ok(|batch| RecordMetadata {
                topic: batch.topic,
                partition: batch.partition,
                offset: batch.base_offset.map(|base| base + delta),
                log_append_time: batch.log_append_time,
            })
    }
}
