//! Sources that users have written, read by one worker: a read under way for each partition, never ahead of what is processed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Error;
use crate::batch::Batch;
use crate::batch::source::{AnyReader, AnySource, BoxError, Open, Read, Reading, Records};
use crate::checkpoint::log::Place;

/// Parts of partitions, as their readers named them, until positions behind them are committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments(Arc<Mutex<HashMap<Place, Vec<(i64, String)>>>>);

impl Segments {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<Place, Vec<(i64, String)>>) -> T) -> T {
        // Each holder leaves a whole value behind.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a partition begins with.
    pub(super) fn begin(&self, place: Place, segment: Option<(i64, String)>) {
        self.with(|all| all.insert(place, segment.into_iter().collect()));
    }

    fn add(&self, place: Place, segments: Vec<(i64, String)>) {
        if !segments.is_empty() {
            self.with(|all| all.entry(place).or_default().extend(segments));
        }
    }

    /// The part that an offset lies in; those before are forgotten.
    pub(super) fn of(&self, place: Place, offset: i64) -> Option<(i64, String)> {
        self.with(|all| {
            let segments = all.get_mut(&place)?;
            let before = segments.iter().filter(|(from, _)| *from <= offset).count();
            segments.drain(..before.saturating_sub(1));
            segments
                .first()
                .filter(|(from, _)| *from <= offset)
                .cloned()
        })
    }
}

/// The partitions of users' sources that one worker reads.
#[derive(Default)]
pub(super) struct OwnSources {
    parts: Vec<Part>,
    /// Which one is asked first: each in turn.
    turn: usize,
}

struct Part {
    place: Place,
    source: Arc<dyn AnySource>,
    segments: Segments,
    /// Behind what was given out last.
    position: i64,
    /// It is ahead of others: its next read does not begin, and one that is under way waits.
    is_held: bool,
    state: State,
}

enum State {
    Closed(Open),
    Idle(Box<dyn AnyReader>, Records),
    Reading(Reading),
    /// At its end, or failed.
    Ended,
}

/// What one read brought.
pub(crate) struct OwnArrival {
    pub(super) place: Place,
    pub(super) name: Arc<dyn AnySource>,
    pub(super) position: i64,
    pub(super) next: i64,
    pub(super) batch: Option<Batch>,
    pub(super) is_last: bool,
}

impl OwnSources {
    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }

    pub(super) fn add(
        &mut self,
        place: Place,
        source: &Arc<dyn AnySource>,
        segments: &Segments,
        open: Open,
    ) {
        self.parts.push(Part {
            place,
            source: Arc::clone(source),
            segments: segments.clone(),
            position: open.offset,
            is_held: false,
            state: State::Closed(open),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Stops reading a partition, or goes on with it. Readers cannot go back: what one has read comes once.
    pub(super) fn hold(&mut self, place: Place, is_held: bool) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.place == place) {
            part.is_held = is_held;
        }
    }

    /// What has come, the partitions in turn.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<OwnArrival, Error>> {
        for i in 0..self.parts.len() {
            let at = (self.turn + i) % self.parts.len();
            if !self.parts[at].is_held
                && let Poll::Ready(arrival) = self.parts[at].poll(cx)
            {
                self.turn = at + 1;
                return Poll::Ready(arrival);
            }
        }
        Poll::Pending
    }

    /// What is here already.
    pub(super) fn try_next(&mut self) -> Option<Result<OwnArrival, Error>> {
        // Whoever waits afterwards polls again, with a waker.
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(arrival) => Some(arrival),
            Poll::Pending => None,
        }
    }

    /// The position of a partition that has nothing to read at present.
    pub(super) fn quiet_at(&self, place: Place) -> Option<i64> {
        let part = self.parts.iter().find(|part| part.place == place)?;
        let is_waiting = !part.is_held && matches!(part.state, State::Reading(_));
        is_waiting.then_some(part.position)
    }
}

impl Part {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<OwnArrival, Error>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Closed(open) => {
                    let offset = open.offset;
                    let reader = match self.source.open(open) {
                        Ok(reader) => reader,
                        Err(error) => return Poll::Ready(Err(self.failed("opening", error))),
                    };
                    self.state = State::Idle(reader, Records::new(offset));
                }
                State::Idle(reader, records) => {
                    self.state = State::Reading(reader.read(records));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready((reader, records, outcome)) = reading.as_mut().poll(cx) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    return match outcome.and_then(|read| self.arrived(reader, records, read)) {
                        Ok(Some(arrival)) => Poll::Ready(Ok(arrival)),
                        Ok(None) => {
                            // Nothing came and it is not the end: others have their turn, then it is asked again.
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        }
                        Err(error) => Poll::Ready(Err(self.failed("reading", error))),
                    };
                }
                State::Ended => return Poll::Pending,
            }
        }
    }

    fn arrived(
        &mut self,
        reader: Box<dyn AnyReader>,
        mut records: Records,
        read: Read,
    ) -> Result<Option<OwnArrival>, BoxError> {
        self.segments.add(self.place, records.take_segments());
        let (position, batch) = records.take()?;
        let next = records.position();
        let is_last = read == Read::End;
        if !is_last {
            self.state = State::Idle(reader, records);
            if batch.is_none() && next == position {
                return Ok(None);
            }
        }
        self.position = next;
        Ok(Some(OwnArrival {
            place: self.place,
            name: Arc::clone(&self.source),
            position,
            next,
            batch,
            is_last,
        }))
    }

    fn failed(&self, doing: &str, source: BoxError) -> Error {
        Error::Connector {
            doing: format!(
                "{doing} {}, partition {} at {}",
                self.source.name(),
                self.place.number(),
                self.position
            ),
            source,
        }
    }
}
