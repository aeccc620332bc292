//! `in_order`: the rows of each key in the order of event time, whatever order they came in.

use std::marker::PhantomData;

use crate::{
    batch::{Decode, Encode, InputPartition, Rows},
    flow::{
        Emit, Error, Flow, Graph, Input, Keyed, Kind, Meta, Pipe, Port, Scope, Slot, Stream,
        each_row, send_keyed,
    },
    state::{HeldRows, Tie},
};

/// Rows in the order of their times; see [`Keyed::in_order`].
pub struct InOrder<'b, T> {
    scope: Scope<'b>,
    operator: usize,
    item: PhantomData<fn() -> T>,
}

/// Rows that came after their time had passed; see [`Keyed::with_late`].
pub struct OutOfTime<'b, T> {
    scope: Scope<'b>,
    operator: usize,
    item: PhantomData<fn() -> T>,
}

impl<'b, T, P, F, K> Keyed<'b, T, P, F, K> {
    /// The rows of each key in the order of their event times. They are held until the watermark has passed them, so what follows sees
    /// each key's rows in the same order on every run, however partitions were read, batches cut and workers numbered: for what depends
    /// on the order ([`process`](Keyed::process), [`reduce`](Keyed::reduce), [`aggregate`](Keyed::aggregate),
    /// [`deduplicate`](Keyed::deduplicate), the ties of [`top_n`](Keyed::top_n), also in windows). It works on every fold the same;
    /// those that do not depend on the order (`count`, `sum` of whole numbers, `min`, `max`) do not need it. Between two keys there is no order.
    ///
    /// Rows of the same time are ordered by source (as the plan names them), partition and offset, and rows of one record as they were
    /// made from it. Behind another keyed operator, a window or `enrich` there is no record any more: there the bytes of the rows as
    /// they cross decide. Topics of one source count in the order of
    /// their names, and those that are found later in the order in which they are found.
    ///
    /// A row that comes when the watermark has passed its time is late: left out and counted, and on the side with [`Keyed::with_late`].
    /// Without [`with_timestamps`](Stream::with_timestamps) the time of a row is its record's, and within a partition it must not fall.
    ///
    /// A run that ends with its input gives out everything: what the next run reads comes behind it, whatever its time.
    ///
    /// In a process function behind it timers are part of that order: before a row come all timers of its key that are set for an
    /// earlier time, and [`Context::watermark`](crate::operators::Context::watermark) is the last millisecond before the row.
    ///
    /// Held rows are state: kept in the changelog from the first commit that they live through; in memory, or where a
    /// [`Keyed::state_store`] before this says (one behind it is for what follows alone). How many there are follows from how far rows come
    /// out of order, and from how far the slowest partition is behind: where that is much, let the others wait
    /// ([`aligned`](crate::time::Watermarks::aligned)).
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::with_workers(2, |s| {
    ///     s.source("in").utf8()
    ///         .try_map(|l| l.split_once(' ').and_then(|(at, text)| Some((at.parse::<i64>().ok()?, text))).ok_or("no row"))
    ///         .with_timestamps(|r| r.0, Duration::from_millis(10))
    ///         .map(|r| r.1.to_owned())
    ///         .key_by(|_| "all")
    ///         .in_order()
    ///         .reduce(|all, text| all + &text)
    ///         .sink("texts");
    /// });
    /// driver.feed("in", ["3 c", "1 a", "2 b", "9 d"]);
    /// driver.finish();
    /// assert_eq!(driver.read("texts")[0].value_str(), Some("abcd"));
    /// ```
    pub fn in_order(self) -> Keyed<'b, T, InOrder<'b, T>, F, K>
    where
        T: Encode + Decode<'b>,
        P: Pipe<T>,
        F: FnMut(T) -> K + Clone,
        K: Encode,
    {
        let Self {
            scope,
            pipe,
            node,
            mut key,
            kept,
            ..
        } = self;
        let rest = (key.clone(), kept);
        let operator = scope.operator(Kind::InOrder, &[node], None);
        scope.keeps_state(operator, kept);
        scope.learn(operator, |n| n.emit = Emit::EveryUpdate);
        if let Some(graph) = scope.running() {
            take_in(scope, graph, operator);
            let tie = Ties::of(scope.call.input);
            send_keyed(
                scope,
                Numbered(pipe),
                operator,
                move |(_, row)| key(row),
                move |(record, row): &(u32, T), out: &mut Vec<u8>| {
                    tie.of_record(*record).write(out);
                    row.encode_last(out);
                },
            );
        }
        let pipe = InOrder {
            scope,
            operator,
            item: PhantomData,
        };
        Keyed::of_ordered(scope, operator, pipe, rest)
    }
}

impl<'b, T, F, K> Keyed<'b, T, InOrder<'b, T>, F, K> {
    /// The rows in order, and beside them those that came when their time had passed, in no order. Without it they are counted only.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     let (rows, late) = s.source("in").utf8()
    ///         .try_map(str::parse::<i64>)
    ///         .with_timestamps(|n| *n, Duration::ZERO)
    ///         .key_by(|_| "all")
    ///         .in_order()
    ///         .with_late();
    ///     rows.reduce(|sum, n| sum * 10 + n).sink("digits");
    ///     late.map(|n| ((), n)).sink("late");
    /// });
    /// driver.feed("in", ["3", "5"]);
    /// driver.feed("in", ["4", "6"]);
    /// driver.feed("in", ["1"]);
    /// driver.finish();
    /// assert_eq!(driver.read("digits").last().unwrap().value_u64(), Some(356));
    /// assert_eq!(driver.read("late").len(), 2);
    /// assert_eq!(driver.counters("in_order-1").late, 2);
    /// ```
    pub fn with_late(self) -> (Self, Stream<'b, T, OutOfTime<'b, T>>) {
        let (scope, operator) = (self.scope, self.pipe.operator);
        scope.learn(operator, |n| n.reads_late = true);
        let node = scope.operator(Kind::Late, &[operator], None);
        let late = OutOfTime {
            scope,
            operator,
            item: PhantomData,
        };
        (self, Stream::new(scope, node, late))
    }
}

/// What the rows of this call are ordered by where their times are the same.
#[derive(Clone, Copy)]
struct Ties {
    origin: usize,
    /// Partition and first offset of the batch.
    batch: Option<(InputPartition, i64)>,
}

impl Ties {
    fn of(input: Input<'_>) -> Self {
        match input {
            Input::Frame { source, frame } => Self {
                origin: source,
                batch: Some((frame.partition(), frame.batch().base_offset())),
            },
            Input::Rows { operator, .. } => Self {
                origin: operator,
                batch: None,
            },
            Input::Tick => Self {
                origin: 0,
                batch: None,
            },
        }
    }

    /// Offsets in a batch may have gaps: counting its records on from its first offset orders them as their offsets do, in the batch and
    /// beyond it, and costs nothing.
    fn of_record(self, record: u32) -> Tie {
        Tie {
            origin: self.origin,
            record: self
                .batch
                .map(|(partition, first)| (partition, first + i64::from(record))),
        }
    }
}

/// Rows with the number of their record in the batch.
struct Numbered<P>(P);

impl<T, P: Pipe<T>> Pipe<(u32, T)> for Numbered<P> {
    const SHARED: bool = P::SHARED;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, (u32, T)) -> Flow) -> Flow {
        self.0.drive(number(f))
    }
}

#[inline]
fn number<T>(mut next: impl FnMut(Meta, (u32, T)) -> Flow) -> impl FnMut(Meta, T) -> Flow {
    move |meta, row| next(meta, (meta.record, row))
}

/// Makes sure that the state is there, and takes in rows that came for it.
fn take_in(scope: Scope<'_>, graph: &Graph, operator: usize) {
    let mut slot = scope.slot(operator);
    let Slot {
        state,
        counters,
        watermark,
        late,
        ..
    } = &mut *slot;
    let Some(state) = scope.state(graph, operator, state, HeldRows::new) else {
        return;
    };
    let Some(rows) = scope.rows(operator, Port::Sent) else {
        return;
    };
    let reads_late = graph.node(operator).is_some_and(|n| n.reads_late);
    let mut too_late = 0;
    let is_ok = state.take(rows, watermark.unwrap_or(i64::MIN), |index| {
        too_late += 1;
        if reads_late {
            keep_late(rows, index, late);
        }
    });
    counters.late += too_late;
    counters.records += rows.len() as u64;
    if !is_ok {
        let operator = graph.describe(operator);
        scope.fail(Error::Undecodable { operator });
    }
}

fn keep_late(rows: &Rows, index: usize, late: &mut Rows) {
    let head = &rows.heads()[index];
    let value = HeldRows::without_tie(rows.value(index));
    // A part of rows that did fit.
    let _ = late.push(head.hash, head.timestamp, value, rows.key(index));
}

impl<'b, T: Decode<'b>> Pipe<T> for InOrder<'b, T> {
    const SHARED: bool = false;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, T) -> Flow) -> Flow {
        each_row(self.scope, self.operator, Port::Due, without_key(f))
    }
}

impl<'b, T: Decode<'b>> Pipe<T> for OutOfTime<'b, T> {
    const SHARED: bool = false;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, T) -> Flow) -> Flow {
        each_row(self.scope, self.operator, Port::Late, without_key(f))
    }
}

#[inline]
fn without_key<'b, T>(mut f: impl FnMut(Meta, T) -> Flow) -> impl FnMut(Meta, &'b [u8], T) -> Flow {
    move |meta, _, row| f(meta, row)
}
