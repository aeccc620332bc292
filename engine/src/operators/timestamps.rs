//! `with_timestamps`: gives rows their event time, and makes watermarks of it.

use crate::{
    flow::{Error, Flow, Kind, Meta, OnBad, Pipe, Scope, Stream},
    time::{Bounded, Generator, Watermarks, is_time, meaning, misread},
};

/// Rows with a timestamp of their own; see [`Stream::with_timestamps`].
pub struct Timestamped<'b, P, F, M> {
    scope: Scope<'b>,
    operator: usize,
    pipe: P,
    timestamp: F,
    make: M,
    ahead_max_ms: Option<i64>,
}

/// A stream whose rows have timestamps of their own.
pub type WithTimestamps<'b, T, P, F, M> = Stream<'b, T, Timestamped<'b, P, F, M>>;

impl<'b, T, P> Stream<'b, T, P> {
    /// Gives each row the event time that `timestamp` reads from it, in milliseconds since 1970, and makes a watermark of it for each
    /// partition: the greatest timestamp so far, less how far rows may come out of order, less one.
    ///
    /// Behind it, time is that of the slowest partition which has something to read; when none has, it stays where it is ([`Watermarks`]).
    ///
    /// Numbers that are no times make a bad row, which goes by [`Stream::on_bad`] and moves no watermark: `-1` (in Kafka a record without a
    /// timestamp), `i64::MIN` and `i64::MAX`. Other times before 1970 are times. What looks like seconds, microseconds or nanoseconds is
    /// taken as it is, and warned of once, with what would make milliseconds of it.
    ///
    /// After a keyed operator or [`enrich`](Stream::enrich) there are no partitions any more, but the rows that each worker emits. A worker
    /// whose operator emits none is idle as an empty partition is: after `fetch.max.wait.ms`, once something is known of the operator's
    /// own time.
    ///
    /// Without this operator the time of a row is its record's, and within a partition it must not fall ([`Watermarks::monotonous`]). Then
    /// records without a timestamp are bad at their source, if windows or [`in_order`](crate::flow::Keyed::in_order) go by it; elsewhere
    /// they pass.
    /// Place it as early as you can: rows that a filter before it takes away do not move the watermark. The new timestamp is also that
    /// of the records that sinks write.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("in").utf8()
    ///         .try_map(|l| l.parse::<i64>())
    ///         .with_timestamps(|ts| *ts, Duration::from_secs(2))
    ///         .map(|ts| ((), ts)).sink("out");
    /// });
    /// driver.feed("in", ["5000", "9000"]);
    /// assert_eq!(driver.read("out")[1].timestamp, 9000);
    /// assert_eq!(driver.watermark("with_timestamps-1"), 9000 - 2000 - 1);
    /// ```
    pub fn with_timestamps<F: FnMut(&T) -> i64>(
        self,
        timestamp: F,
        watermarks: impl Into<Watermarks>,
    ) -> WithTimestamps<'b, T, P, F, impl Fn() -> Bounded> {
        let Watermarks {
            bound_ms,
            ahead_max_ms,
            aligned,
        } = watermarks.into();
        let scope = self.scope;
        let mut stream = self.with_generator(timestamp, move || Bounded::new(bound_ms));
        stream.pipe.ahead_max_ms = ahead_max_ms;
        scope.learn(stream.node, |n| {
            n.aligned = aligned;
            n.note = aligned.map(|a| {
                format!(
                    "at most {} ms ahead of others in \"{}\"",
                    a.drift_max_ms, a.group
                )
            });
        });
        stream
    }

    /// As [`Stream::with_timestamps`], with watermarks made in your own way: `make` gives a generator for each partition.
    pub fn with_generator<G: Generator, F: FnMut(&T) -> i64, M: Fn() -> G>(
        self,
        timestamp: F,
        make: M,
    ) -> WithTimestamps<'b, T, P, F, M> {
        let operator = self.scope.operator(Kind::Timestamps, &[self.node], None);
        self.scope.refuses(operator, OnBad::Skip);
        let pipe = Timestamped {
            scope: self.scope,
            operator,
            pipe: self.pipe,
            timestamp,
            make,
            ahead_max_ms: None,
        };
        Stream::new(self.scope, operator, pipe)
    }
}

/// A row whose timestamp cannot be its time is bad.
/// What a call has seen of rows.
#[derive(Default)]
struct Seen {
    /// The time of the last one that has one.
    last: Option<i64>,
    has_refused: bool,
}

#[cold]
fn refused(scope: Scope<'_>, operator: usize, record: u32, at: i64, ahead_max: i64) -> Flow {
    scope.bad(operator, record, || {
        if !is_time(at) {
            return format!("its timestamp is {at}, which means {}", meaning(at));
        }
        let unit = misread(at).map_or_else(String::new, |unit| {
            format!("; it looks like {}: {}", unit.name, unit.remedy)
        });
        format!(
            "its timestamp {at} is too far ahead of the wall clock: {} ms more than `ahead_max` allows{unit}",
            at.saturating_sub(ahead_max)
        )
    })
}

#[inline]
fn step<T, G: Generator>(
    scope: Scope<'_>,
    operator: usize,
    ahead_max: i64,
    generator: &mut G,
    seen: &mut Seen,
    mut timestamp: impl FnMut(&T) -> i64,
    mut next: impl FnMut(Meta, T) -> Flow,
) -> impl FnMut(Meta, T) -> Flow {
    // Only a call that begins in the middle of a record makes rows again.
    let may_replay = scope.call.from.skip > 0;
    move |meta, item| {
        let at = timestamp(&item);
        if at > ahead_max || !is_time(at) {
            seen.has_refused = true;
            return refused(scope, operator, meta.record, at, ahead_max);
        }
        if !(may_replay && scope.call.progress.replaying.get()) {
            generator.observe(at);
            seen.last = Some(at);
        }
        next(
            Meta {
                timestamp: at,
                ..meta
            },
            item,
        )
    }
}

impl<T, G: Generator, P: Pipe<T>, F: FnMut(&T) -> i64, M: Fn() -> G> Pipe<T>
    for Timestamped<'_, P, F, M>
{
    const SHARED: bool = P::SHARED;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, T) -> Flow) -> Flow {
        let Self {
            scope, operator, ..
        } = self;
        let Some(of) = scope.call.input.part() else {
            return Flow::Continue(());
        };
        if scope.running().is_none() || !scope.slot(operator).clock.hears(of) {
            return Flow::Continue(());
        }
        // Taken out, because counting a bad row borrows the slot.
        let mut clock = std::mem::take(&mut scope.slot(operator).clock);
        let Some(generator) = clock.generator(of, self.make) else {
            let operator = scope
                .running()
                .map_or_else(String::new, |g| g.describe(operator));
            return scope.broken(Error::StateType { operator });
        };
        let ahead_max = self
            .ahead_max_ms
            .map_or(i64::MAX, |ahead| scope.call.now_ms.saturating_add(ahead));
        let mut seen = Seen::default();
        let flow = self.pipe.drive(step(
            scope,
            operator,
            ahead_max,
            generator,
            &mut seen,
            self.timestamp,
            f,
        ));
        let mut slot = scope.slot(operator);
        slot.clock = clock;
        if seen.last.is_none() && seen.has_refused {
            slot.clock.came_timeless(of);
        }
        if let Some(last) = seen.last {
            slot.clock.came(of);
            let name = || {
                scope
                    .running()
                    .map_or_else(String::new, |g| g.describe(operator))
            };
            slot.units.look(last, name);
        }
        flow
    }
}
