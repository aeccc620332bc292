//! Sources that users have written, read by one worker: a read under way for each partition, never ahead of what is processed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

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
                    self.state = State::Idle(reader, Records::new(offset).timed_by(Instant::now));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::batch::source::{IntoOrigin, Reader, Source};

    /// Brings records for as long as it is let, a millisecond each.
    struct Slow;

    impl Source for Slow {
        type Reader = Self;

        fn name(&self) -> &str {
            "slow"
        }

        fn open(&self, _: Open) -> Result<Self, BoxError> {
            Ok(Self)
        }
    }

    impl Reader for Slow {
        async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
            while !records.is_full() && records.position() < 2_000 {
                std::thread::sleep(std::time::Duration::from_millis(1));
                records.push(0, None, None)?;
            }
            Ok(Read::More)
        }
    }

    #[test]
    fn a_slow_reader_returns_what_it_has_so_that_a_commit_does_not_wait_for_a_full_batch() {
        let mut sources = OwnSources::default();
        let open = Open {
            partition: 0,
            offset: 0,
            segment: None,
            until_end: false,
        };
        let (origin, segments) = (Slow.into_origin(), Segments::default());
        sources.add(Place::single(0, 0), origin.own().unwrap(), &segments, open);
        // It is looked at the 16th record at the latest, 15 ms behind the first.
        let (_, _, next) = next(&mut sources).unwrap();
        assert!(next <= 16, "{next} records");
        let (_, _, after) = self::next(&mut sources).unwrap();
        assert!(after <= next + 16, "the next read has its own time");
        assert!(after > next);
    }

    /// A source of two partitions; each reads these in turn, and then waits for ever.
    struct Script(&'static [Step]);

    #[derive(Clone, Copy)]
    enum Step {
        /// Brings a record.
        Record,
        /// Brings none, and passes offsets.
        Pass(i64),
        /// Brings nothing at all.
        Nothing,
        Fail,
    }

    impl Source for Script {
        type Reader = std::slice::Iter<'static, Step>;

        fn name(&self) -> &str {
            "script"
        }

        fn open(&self, _: Open) -> Result<Self::Reader, BoxError> {
            Ok(self.0.iter())
        }
    }

    impl Reader for std::slice::Iter<'static, Step> {
        async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
            match self.next() {
                Some(Step::Record) => records.push(0, None, None)?,
                Some(Step::Pass(by)) => records.pass_to(records.position() + by),
                Some(Step::Nothing) => {}
                Some(Step::Fail) => return Err("it is broken".into()),
                None => std::future::pending().await,
            }
            Ok(Read::More)
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sources(script: &'static [Step]) -> OwnSources {
        let mut sources = OwnSources::default();
        let origin = Script(script).into_origin();
        for number in 0..2 {
            let open = Open {
                partition: number,
                offset: 0,
                segment: None,
                until_end: false,
            };
            let (place, segments) = (Place::single(0, number), Segments::default());
            sources.add(place, origin.own().unwrap(), &segments, open);
        }
        sources
    }

    /// Partition and positions of the next arrival.
    fn next(sources: &mut OwnSources) -> Option<(i32, i64, i64)> {
        let arrival = sources.try_next()?.unwrap();
        Some((arrival.place.number(), arrival.position, arrival.next))
    }

    #[test]
    fn partitions_that_always_have_something_take_turns() {
        let mut sources = sources(&[Step::Record; 3]);
        let order: Vec<i32> = std::iter::from_fn(|| next(&mut sources))
            .map(|(number, ..)| number)
            .collect();
        assert_eq!(order, [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn a_read_that_brought_nothing_is_asked_again_without_another_reason_to_wake() {
        let mut sources = sources(&[Step::Nothing, Step::Record]);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        assert!(sources.poll(&mut cx).is_pending());
        assert!(
            wakes.0.load(Ordering::Relaxed) > 0,
            "nobody would poll it again"
        );
        assert!(sources.poll(&mut cx).is_ready());
    }

    #[test]
    fn a_read_that_only_passes_offsets_moves_the_position() {
        let mut sources = sources(&[Step::Pass(7), Step::Record]);
        assert_eq!(next(&mut sources), Some((0, 0, 7)));
        assert_eq!(next(&mut sources), Some((1, 0, 7)));
        assert_eq!(next(&mut sources), Some((0, 7, 8)));
    }

    #[test]
    fn a_held_partition_is_neither_read_nor_quiet_and_goes_on_where_it_stood() {
        let mut sources = sources(&[Step::Record; 2]);
        let held = Place::single(0, 0);
        sources.hold(held, true);
        assert_eq!(next(&mut sources), Some((1, 0, 1)));
        assert_eq!(next(&mut sources), Some((1, 1, 2)));
        assert_eq!(next(&mut sources), None);
        assert_eq!(sources.quiet_at(Place::single(0, 1)), Some(2));
        sources.hold(held, false);
        assert_eq!(next(&mut sources), Some((0, 0, 1)));
        assert_eq!(next(&mut sources), Some((0, 1, 2)));
        assert_eq!(next(&mut sources), None);
        assert_eq!(sources.quiet_at(held), Some(2));
        sources.hold(held, true);
        assert_eq!(
            sources.quiet_at(held),
            None,
            "it waits for others, not for input"
        );
    }

    #[test]
    fn a_source_that_fails_is_named_with_the_position_that_it_had_reached() {
        let mut sources = sources(&[Step::Record, Step::Record, Step::Fail]);
        let error = loop {
            match sources.try_next() {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error.to_string(),
                None => panic!("it waits"),
            }
        };
        assert!(
            error.starts_with("reading script, partition 0 at 2: "),
            "{error}"
        );
    }

    #[test]
    fn a_position_at_the_first_offset_of_a_segment_lies_in_it() {
        let (segments, place) = (Segments::default(), Place::single(0, 0));
        segments.begin(place, None);
        let named = |from, name: &str| Some((from, name.to_owned()));
        segments.add(
            place,
            [named(0, "a"), named(5, "b")]
                .into_iter()
                .flatten()
                .collect(),
        );
        assert_eq!(segments.of(place, 4), named(0, "a"));
        assert_eq!(segments.of(place, 5), named(5, "b"));
        assert_eq!(segments.of(place, 4), None, "what was before is forgotten");
    }
}
