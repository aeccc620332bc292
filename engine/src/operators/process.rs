//! `process`: a function of one's own over rows and timers of each key; and `deduplicate` and `distinct`, which are made of it.

use std::{any::Any, collections::BTreeSet, marker::PhantomData};

use super::source::without_time;
use crate::{
    batch::{Decode, Encode, row::decode_all},
    flow::{
        Emit, Error, Flow, Keyed, Kind, Meta, OnBad, Pipe, Port, Scope, Slot, Stream, send_keyed,
        undecodable,
    },
    state::{CHUNK, Entries, Entry, SetBy, State, WALL_TIMER},
    time::is_time,
};

/// What a process function is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// A row of the key.
    Row(T),
    /// A timer that was set for this event time; the watermark has reached it.
    Timer(i64),
    /// A timer that was set for this time of the wall clock.
    WallTimer(i64),
}

/// What a process function works with, for one key and one event.
#[derive(Debug)]
pub struct Context<'c, S> {
    /// The key's state: a number, a list, a map, whatever can be kept. A key without one begins with the initial one.
    pub state: &'c mut S,
    timestamp: i64,
    watermark: i64,
    now_ms: i64,
    timers: &'c mut BTreeSet<i64>,
    wall_timers: &'c mut BTreeSet<i64>,
    asked: &'c mut Vec<(bool, i64)>,
    is_new: bool,
    is_cleared: bool,
}

impl<S> Context<'_, S> {
    /// Event time of the row, or of the timer, in milliseconds since 1970; `-1` where the row's record has none and nothing says what time
    /// it has ([`with_timestamps`](crate::flow::Stream::with_timestamps)). Of a wall-clock timer, the time that it was set for.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// The watermark: nothing more is expected with this timestamp or an earlier one. `i64::MIN` while nothing is known. How far it is
    /// when a row comes depends on how batches were cut; behind [`Keyed::in_order`] it is the last millisecond before the row, or the
    /// time of the timer.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Whether the key had no state: this is its first row, or the first since its state was cleared or has expired.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Calls the function with [`Event::Timer`] for this key when the watermark has reached `timestamp`; soon if it has. The same time
    /// twice is one timer.
    ///
    /// A timer that a timer sets is called in the next round, after other rows and a commit had their turn. At the end of
    /// a bounded input all timers are called that were set before it, and none that they set then (after `in_order` those that come
    /// before one that was set already): those stay in the state, and a
    /// run that goes on from there calls them when their time comes. (In Flink a timer that sets the next one keeps the job from its end.)
    pub fn timer_at(&mut self, timestamp: i64) {
        if self.timers.insert(timestamp) {
            self.asked.push((false, timestamp));
        }
    }

    /// Takes a timer back.
    pub fn delete_timer(&mut self, timestamp: i64) {
        self.timers.remove(&timestamp);
    }

    /// Calls the function with [`Event::WallTimer`] for this key at this time of the wall clock. After a restart those that are overdue
    /// come at once. One that a timer sets for now, or for a time that is past, comes in the next round.
    pub fn wall_timer_at(&mut self, at_ms: i64) {
        if self.wall_timers.insert(at_ms) {
            self.asked.push((true, at_ms));
        }
    }

    /// Takes a wall-clock timer back.
    pub fn delete_wall_timer(&mut self, at_ms: i64) {
        self.wall_timers.remove(&at_ms);
    }

    /// Forgets the key: its state, when the function returns, and its timers, now. Timers set after it stay.
    pub fn clear(&mut self) {
        self.timers.clear();
        self.wall_timers.clear();
        self.is_cleared = true;
    }
}

/// Rows that a process function gives out.
#[derive(Debug)]
pub struct Out<O> {
    rows: Vec<(i64, O)>,
    timestamp: i64,
    /// What follows cannot do without times.
    is_timed: bool,
    /// Timestamps of rows that were left out, because they are no times.
    refused: Vec<i64>,
}

impl<O> Out<O> {
    /// Gives out a row with the timestamp of the event: that of the row, or the time of the timer.
    pub fn push(&mut self, row: O) {
        self.push_at(self.timestamp, row);
    }

    /// Gives out a row with a timestamp of its own, in milliseconds since 1970.
    ///
    /// Where windows or [`in_order`](Keyed::in_order) follow, with no [`with_timestamps`](Stream::with_timestamps) between, a timestamp
    /// that is no time (`-1`, `i64::MIN`, `i64::MAX`) makes a bad row: it is left out, and goes by [`Stream::on_bad`].
    pub fn push_at(&mut self, timestamp: i64, row: O) {
        if self.is_timed && !is_time(timestamp) {
            self.refused.push(timestamp);
        } else {
            self.rows.push((timestamp, row));
        }
    }
}

/// The stream of what a process function gives out.
pub type Outputs<'b, K, T, S, O, G> = Stream<'b, O, Processed<'b, K, T, S, O, G>>;

/// What a process function gives out; see [`Keyed::process`].
pub struct Processed<'b, K, T, S, O, G> {
    scope: Scope<'b>,
    operator: usize,
    f: G,
    /// Rows come by time, and timers between them.
    is_in_order: bool,
    item: PhantomData<fn() -> (K, T, S, O)>,
}

impl<'b, T, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>> Keyed<'b, T, P, F, K> {
    /// Calls a function of your own for each row of a key, and for each timer that it has set: with the key's state, which begins as
    /// `initial`, and a place for what it gives out. State and timers survive restarts.
    ///
    /// Rows come in the order in which they were read, which over several partitions is another one on each run, and timers when the
    /// watermark is found to have passed them. If results depend on that, put [`Keyed::in_order`] before it: then rows and timers come by time.
    ///
    /// Side outputs: give out `Result`s and [`split`](Stream::split) them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::{operators::Event, testing::Driver};
    ///
    /// // Tells which sensors were silent for ten seconds.
    /// let mut driver = Driver::new(|s| {
    ///     s.source("readings").utf8()
    ///         .try_map(|l| l.split_once(' ').and_then(|(id, ts)| Some((id, ts.parse::<i64>().ok()?))).ok_or("no reading"))
    ///         .with_timestamps(|r| r.1, Duration::ZERO)
    ///         .key_by(|r| r.0)
    ///         .process(0i64, |cx, sensor, event, out| match event {
    ///             Event::Row((_, ts)) => {
    ///                 cx.delete_timer(*cx.state + 10_000);
    ///                 *cx.state = ts;
    ///                 cx.timer_at(ts + 10_000);
    ///             }
    ///             Event::Timer(_) => { out.push((sensor, "silent")); cx.clear() }
    ///             Event::WallTimer(_) => {}
    ///         })
    ///         .sink("silent");
    /// });
    /// driver.feed("readings", ["a 1000", "b 2000", "a 9000"]);
    /// driver.feed("readings", ["c 12001"]);
    /// assert_eq!(driver.read("silent")[0].key_str(), Some("b"));
    /// ```
    pub fn process<S, O, G>(self, initial: S, f: G) -> Outputs<'b, K, T, S, O, G>
    where
        T: Encode + Decode<'b>,
        S: State,
        G: FnMut(&mut Context<'_, S>, K, Event<T>, &mut Out<O>),
    {
        self.process_part(Kind::Process, initial, T::encode_last, f)
    }

    /// Lets the first row of each key pass, and leaves out the others. Without [`Keyed::state_ttl`] every key is remembered for ever.
    ///
    /// The first row is the one that comes first; behind [`Keyed::in_order`], the one with the earliest event time, on every run the same.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("orders").utf8().key_by(|l| &l[..2]).state_ttl(Duration::from_secs(3600)).deduplicate().map(|l| ((), l)).sink("out");
    /// });
    /// driver.feed("orders", ["a1 first", "a1 again", "b2 first"]);
    /// assert_eq!(driver.read("out").len(), 2);
    /// ```
    pub fn deduplicate(self) -> Stream<'b, T, impl Pipe<T>>
    where
        T: Encode + Decode<'b>,
    {
        self.process_part(
            Kind::Deduplicate,
            (),
            T::encode_last,
            |cx: &mut Context<'_, ()>, _, event, out: &mut Out<T>| {
                if let Event::Row(row) = event
                    && cx.is_new()
                {
                    out.push(row);
                }
            },
        )
    }

    /// Gives out each key once. Without [`Keyed::state_ttl`] every key is remembered for ever. Nothing but the key crosses to its owner.
    pub fn distinct(self) -> Stream<'b, K, impl Pipe<K>> {
        self.process_part(
            Kind::Distinct,
            (),
            |_: &T, _: &mut Vec<u8>| {},
            |cx: &mut Context<'_, ()>, key, event: Event<()>, out: &mut Out<K>| {
                if matches!(event, Event::Row(())) && cx.is_new() {
                    out.push(key);
                }
            },
        )
    }

    fn process_part<V, S, O, G>(
        self,
        kind: Kind,
        initial: S,
        part: impl FnMut(&T, &mut Vec<u8>),
        f: G,
    ) -> Outputs<'b, K, V, S, O, G>
    where
        V: Decode<'b>,
        S: State,
        G: FnMut(&mut Context<'_, S>, K, Event<V>, &mut Out<O>),
    {
        let Self {
            scope,
            pipe,
            node,
            key,
            kept,
            is_in_order,
            ..
        } = self;
        let operator = scope.operator(kind, &[node], None);
        scope.keeps_state(operator, kept);
        if kind == Kind::Process {
            // Where time is needed, a row that is given none.
            scope.refuses(operator, OnBad::Skip);
        }
        let ttl_ms = kept.ttl_ms;
        scope.learn(operator, |n| {
            n.emit = Emit::EveryUpdate;
            n.note = ttl_ms.map(|ms| format!("forgets after {ms} ms"));
        });
        if let Some(graph) = scope.running() {
            let state = &mut scope.slot(operator).state;
            scope.state(graph, operator, state, |keys, place| {
                Entries::new(keys, initial, ttl_ms, place)
            });
        }
        if scope.running().is_some() {
            send_keyed(scope, pipe, operator, key, part);
        }
        let pipe = Processed {
            scope,
            operator,
            f,
            is_in_order,
            item: PhantomData,
        };
        Stream::new(scope, operator, pipe)
    }
}

impl<'b, K, T, S, O, G> Pipe<O> for Processed<'b, K, T, S, O, G>
where
    K: Decode<'b>,
    T: Decode<'b>,
    S: State,
    G: FnMut(&mut Context<'_, S>, K, Event<T>, &mut Out<O>),
{
    // What one event gives out cannot be left in the middle: the state has changed, and calling again would change it again.
    const SHARED: bool = true;

    fn drive(self, next: impl FnMut(Meta, O) -> Flow) -> Flow {
        let (scope, operator) = (self.scope, self.operator);
        let mut refused = Vec::new();
        let flow = self.each(&mut refused, next);
        // What is done with them needs the slot, which the state is borrowed from.
        for (record, timestamp) in refused {
            without_time(scope, operator, record, timestamp)?;
        }
        flow
    }
}

impl<'b, K, T, S, O, G> Processed<'b, K, T, S, O, G>
where
    K: Decode<'b>,
    T: Decode<'b>,
    S: State,
    G: FnMut(&mut Context<'_, S>, K, Event<T>, &mut Out<O>),
{
    /// Calls the function with each event and `next` with what it gives out. `refused`: rows whose timestamp is no time, by the number
    /// of their event.
    fn each(
        mut self,
        refused: &mut Vec<(u32, i64)>,
        mut next: impl FnMut(Meta, O) -> Flow,
    ) -> Flow {
        let (scope, operator) = (self.scope, self.operator);
        let (rows, is_due) = match (
            scope.rows(operator, Port::Sent),
            scope.rows(operator, Port::Due),
        ) {
            (Some(rows), _) => (rows, false),
            (_, Some(rows)) => (rows, true),
            _ => return Flow::Continue(()),
        };
        let mut slot = scope.slot(operator);
        let Slot {
            state,
            counters,
            watermark,
            is_timed_for,
            ..
        } = &mut *slot;
        let Some(state) = state else {
            return Flow::Continue(());
        };
        let state: &mut dyn Any = &mut **state;
        let Some(entries) = state.downcast_mut::<Entries<S>>() else {
            let operator = scope
                .running()
                .map_or_else(String::new, |g| g.describe(operator));
            return scope.broken(Error::StateType { operator });
        };
        let watermark = watermark.unwrap_or(i64::MIN);
        let now_ms = scope.call.now_ms;
        let (data, heads) = (rows.data(), rows.heads());
        let first = scope.call.from.index as usize;
        let mut out = Out {
            rows: Vec::new(),
            timestamp: 0,
            is_timed: is_timed_for.is_some(),
            refused: Vec::new(),
        };
        let mut asked = Vec::new();
        let set_by = match (is_due, watermark) {
            (false, _) => SetBy::Row,
            (true, i64::MAX) => SetBy::TimerAtTheEnd,
            (true, _) => SetBy::Timer,
        };
        let mut fired = 0;
        for (index, head) in heads.iter().enumerate().skip(first) {
            if scope.is_enough((index - first) as u32) {
                return scope.stopped_before(index as u32);
            }
            if (index - first).is_multiple_of(CHUNK) {
                entries.touch(data, &heads[index..heads.len().min(index + CHUNK)]);
            }
            let mut event = Some(if is_due {
                if head.value_of(data) == [WALL_TIMER] {
                    Event::WallTimer(head.timestamp)
                } else {
                    Event::Timer(head.timestamp)
                }
            } else {
                counters.records += 1;
                match decode_all(head.value_of(data)) {
                    Some(row) => Event::Row(row),
                    None => return undecodable(scope, operator),
                }
            });
            // In order: timers for an earlier time first, also those that timers set.
            let first_timers = self.is_in_order && !matches!(event, Some(Event::WallTimer(_)));
            while event.is_some() {
                if fired > 0 && scope.is_enough(fired + (index - first) as u32) {
                    // What has fired is out of the key's state: the rest goes on with the same row.
                    counters.records -= u64::from(!is_due);
                    return scope.stopped_before(index as u32);
                }
                let Some(key) = decode_all::<K>(head.key_of(data)) else {
                    return undecodable(scope, operator);
                };
                let f = &mut self.f;
                let work = |entry: &mut Entry<S>, initial: &S, asked: &mut Vec<(bool, i64)>| {
                    let earlier = entry.timers.first().copied();
                    let earlier = earlier.filter(|at| first_timers && *at < head.timestamp);
                    let event = earlier.map(Event::Timer).or_else(|| event.take());
                    let Some(event) = event else { return };
                    fired += u32::from(earlier.is_some());
                    let is_wanted = match &event {
                        Event::Row(_) => true,
                        // A timer that was deleted, or fired already: its hint is all that is left.
                        Event::Timer(at) => entry.timers.remove(at),
                        Event::WallTimer(at) => entry.wall_timers.remove(at),
                    };
                    if !is_wanted {
                        return;
                    }
                    out.timestamp = earlier.unwrap_or(head.timestamp);
                    let watermark = match &event {
                        Event::Row(_) if first_timers => head.timestamp.saturating_sub(1),
                        Event::Timer(at) if first_timers => *at,
                        _ => watermark,
                    };
                    let mut context = Context {
                        is_new: !entry.is_set,
                        state: &mut entry.value,
                        timestamp: out.timestamp,
                        watermark,
                        now_ms,
                        timers: &mut entry.timers,
                        wall_timers: &mut entry.wall_timers,
                        asked,
                        is_cleared: false,
                    };
                    f(&mut context, key, event, &mut out);
                    let is_cleared = context.is_cleared;
                    if is_cleared {
                        entry.value = initial.clone();
                    }
                    entry.is_set = !is_cleared;
                };
                entries.work(data, head, now_ms, set_by, work, &mut asked);
                let record = index as u32;
                refused.extend(out.refused.drain(..).map(|at| (record, at)));
                for (timestamp, row) in out.rows.drain(..) {
                    next(Meta { timestamp, record }, row)?;
                }
            }
        }
        Flow::Continue(())
    }
}
