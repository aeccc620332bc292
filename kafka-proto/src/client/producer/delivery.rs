//! How the end of a batch is told: one completion a batch, shared by all who sent a record in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// The offset of the first record; the others follow it, unless the batch was too large for the topic and had to be split: then
    /// other producers' records may lie between. `None` with `acks=0`, and when only an earlier attempt was
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
    /// The record's time as it stands in the log, in milliseconds since 1970: the broker's if the topic is set to that, else the record's own.
    pub timestamp: i64,
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
struct State {
    wakers: Vec<Option<Waker>>,
    /// Parts of the batch that are on their way: one, unless it had to be split.
    open: u32,
    told: Option<Part>,
    /// Further parts, if there is more than one.
    more: Vec<Part>,
}

/// What became of some of a batch's records.
#[derive(Debug)]
struct Part {
    /// The first of them, counted from the batch's first.
    first: u32,
    count: u32,
    outcome: Outcome,
}

impl Completion {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Arc<Self> {
        Arc::new(Self {
            topic,
            partition,
            state: Mutex::new(State {
                wakers: Vec::new(),
                open: 1,
                told: None,
                more: Vec::new(),
            }),
        })
    }

    /// Tells the end of a batch of `count` records.
    pub(super) fn tell(&self, count: u32, outcome: Outcome) {
        let first = 0;
        self.tell_part(Part {
            first,
            count,
            outcome,
        });
    }

    fn tell_part(&self, part: Part) {
        let mut state = self.lock();
        match &state.told {
            None => state.told = Some(part),
            Some(_) => state.more.push(part),
        }
        state.open -= 1;
        if state.open > 0 {
            return;
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end, as `read` sees it, or a place among those who are woken then.
    fn poll<T>(
        &self,
        place: &mut Option<usize>,
        cx: &Context<'_>,
        read: impl FnOnce(&Self, &State) -> Result<T>,
    ) -> Poll<Result<T>> {
        let mut state = self.lock();
        if state.open == 0 {
            return Poll::Ready(read(self, &state));
        }
        match *place {
            Some(place) => match &mut state.wakers[place] {
                Some(waker) => waker.clone_from(cx.waker()),
                empty @ None => *empty = Some(cx.waker().clone()),
            },
            None => {
                *place = Some(state.wakers.len());
                state.wakers.push(Some(cx.waker().clone()));
            }
        }
        Poll::Pending
    }

    /// Where the whole batch went: to its first record's offset, if all of it went.
    fn delivered(&self, state: &State) -> Result<Delivered> {
        let parts = || state.told.iter().chain(&state.more);
        let failed = parts().find_map(|part| match &part.outcome {
            Outcome::Failed(error) => Some(error.clone()),
            Outcome::Acknowledged { .. } => None,
        });
        if let Some(mut error) = failed {
            let other_went = parts().any(|p| matches!(p.outcome, Outcome::Acknowledged { .. }));
            if let Error::Delivery { maybe_written, .. } = &mut error {
                *maybe_written |= other_went;
            }
            return Err(error);
        }
        let record_count = parts().map(|part| part.count).sum();
        match parts().min_by_key(|part| part.first) {
            Some(first) => self.went(&first.outcome, record_count),
            None => Err(Error::Closed { what: "producer" }),
        }
    }

    /// Where one of its records went.
    fn record(&self, state: &State, delta: u32, timestamp: i64) -> Result<RecordMetadata> {
        let mut parts = state.told.iter().chain(&state.more);
        let part = parts.find(|part| delta.wrapping_sub(part.first) < part.count);
        let Some(part) = part else {
            return Err(Error::Closed { what: "producer" });
        };
        let at = i64::from(delta - part.first);
        self.went(&part.outcome, part.count)
            .map(|went| RecordMetadata {
                topic: went.topic,
                partition: went.partition,
                offset: went.base_offset.map(|base| base + at),
                timestamp: went.log_append_time.unwrap_or(timestamp),
                log_append_time: went.log_append_time,
            })
    }

    fn went(&self, outcome: &Outcome, record_count: u32) -> Result<Delivered> {
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
        if let Some(waker) = self.lock().wakers.get_mut(place) {
            *waker = None;
        }
    }
}

/// Whoever was to tell the end is gone: those who wait must not wait for ever.
#[derive(Debug)]
pub(super) struct Ticket {
    completion: Arc<Completion>,
    first: u32,
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
            first: 0,
            count,
            bytes,
            bytes_uncompressed,
            accepted,
            is_told: false,
        }
    }

    /// Two tickets for the two parts of a batch that is split before its record number `at`, with the sizes of the parts.
    pub(super) fn split(mut self, at: u32, sizes: [(usize, usize); 2]) -> [Self; 2] {
        self.completion.lock().open += 1;
        let second = Self {
            completion: Arc::clone(&self.completion),
            first: self.first + at,
            count: self.count - at,
            bytes: sizes[1].0,
            bytes_uncompressed: sizes[1].1,
            accepted: self.accepted,
            is_told: false,
        };
        self.count = at;
        (self.bytes, self.bytes_uncompressed) = sizes[0];
        [self, second]
    }

    /// Topic and partition.
    pub(super) fn place(&self) -> (&Arc<str>, i32) {
        (&self.completion.topic, self.completion.partition)
    }

    /// The end as those see it who watch all batches.
    pub(super) fn result(&self, outcome: &Outcome) -> Result<Delivered> {
        self.completion.went(outcome, self.count)
    }

    pub(super) fn tell(mut self, outcome: Outcome) {
        self.is_told = true;
        self.completion.tell_part(Part {
            first: self.first,
            count: self.count,
            outcome,
        });
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
            self.completion.tell_part(Part {
                first: self.first,
                count: self.count,
                outcome: Outcome::Failed(error),
            });
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
        this.completion
            .poll(&mut this.place, cx, Completion::delivered)
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
    delta: u32,
    timestamp: i64,
}

impl RecordDelivery {
    pub(super) fn new(completion: Arc<Completion>, delta: i32, timestamp: i64) -> Self {
        Self {
            batch: Delivery::new(completion),
            delta: delta.unsigned_abs(),
            timestamp,
        }
    }
}

impl Future for RecordDelivery {
    type Output = Result<RecordMetadata>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (delta, timestamp) = (self.delta, self.timestamp);
        let batch = &mut self.batch;
        let read =
            |completion: &Completion, state: &State| completion.record(state, delta, timestamp);
        batch.completion.poll(&mut batch.place, cx, read)
    }
}
