//! The operator of windows: its sending half, its receiving half, and the streams of results and of late rows.

use std::marker::PhantomData;

use super::{
    folding::{self, Item, Of, Part, Sending, Spans},
    spec::{Rules, Slicing, Window, WindowSpec, WindowState},
};
use crate::{
    batch::{Decode, Encode, row::decode_all},
    flow::{
        Error, Flow, Fold, Graph, Keyed, Kind, Merge, Meta, OnBad, Pipe, Port, Scope, Slot, Stream,
        each_row, send, undecodable,
    },
    state::Store,
};

/// Bytes of results that are made before they are taken.
const FIRED_BYTES: usize = 256 << 10;

/// Results of windows; see [`Windowed`](super::Windowed).
pub struct Fired<'b, K, V, G> {
    scope: Scope<'b>,
    operator: usize,
    item: PhantomData<fn() -> (K, V, G)>,
}

/// The stream of results: key, window, value.
pub type Results<'b, K, V, G> = Stream<'b, (K, Window, <G as Fold<V>>::Out), Fired<'b, K, V, G>>;

/// Rows that came too late; see [`Results::with_late`].
pub struct Late<'b, K, V> {
    scope: Scope<'b>,
    operator: usize,
    item: PhantomData<fn() -> (K, V)>,
}

impl<'b, K, V, O, G> Stream<'b, (K, Window, O), Fired<'b, K, V, G>> {
    /// The results, and beside them the rows that came too late for all of their windows: with their keys, what the windows would have
    /// made of them, and their timestamps. Without it they are counted only.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::{testing::Driver, windows::Tumbling};
    ///
    /// let mut driver = Driver::new(|s| {
    ///     let (sums, late) = s.source("in").utf8()
    ///         .try_map(|l| l.parse::<i64>())
    ///         .with_timestamps(|n| *n, Duration::ZERO)
    ///         .key_by(|_| "all")
    ///         .window(Tumbling::of(Duration::from_millis(10)))
    ///         .sum(|n| *n)
    ///         .with_late();
    ///     sums.map(|(key, _, sum)| (key, sum)).sink("sums");
    ///     late.map(|(key, n)| (key, n)).sink("late");
    /// });
    /// driver.feed("in", ["1", "2", "15"]);
    /// driver.feed("in", ["3"]);
    /// driver.finish();
    /// assert_eq!(driver.read("sums").len(), 2);
    /// assert_eq!(driver.read("late")[0].value_u64(), Some(3));
    /// assert_eq!(driver.counters("window-1").late, 1);
    /// ```
    pub fn with_late(self) -> (Self, Stream<'b, (K, V), Late<'b, K, V>>) {
        let scope = self.scope;
        let operator = self.pipe.operator;
        scope.learn(operator, |n| n.reads_late = true);
        let node = scope.operator(Kind::Late, &[operator], None);
        let late = Late {
            scope,
            operator,
            item: PhantomData,
        };
        (self, Stream::new(scope, node, late))
    }
}

/// What a keyed stream, a kind of windows and a fold are together. `merges`: values of the fold can be joined.
pub(super) fn windowed<'b, T, P, F, K, W, V, G>(
    keyed: Keyed<'b, T, P, F, K>,
    spec: W,
    rules: Rules,
    mut fold: G,
    merges: bool,
    item: impl Item<T, V>,
) -> Results<'b, K, V, G>
where
    P: Pipe<T>,
    F: FnMut(T) -> K,
    K: Encode,
    W: WindowSpec,
    V: Encode + Decode<'b>,
    G: Merge<V>,
{
    let Keyed {
        scope,
        pipe,
        node,
        key,
        kept,
        ..
    } = keyed;
    let operator = scope.operator(Kind::Window, &[node], None);
    scope.keeps_state(operator, kept);
    scope.learn(operator, |n| {
        n.emit = rules.emit;
        n.note = Some(note(&spec, rules));
        n.state_of = Some(spec.to_string());
    });
    if G::REFUSES {
        scope.refuses(operator, OnBad::Skip);
    }
    if let Some(problem) = spec.problem() {
        scope.fail(Error::Window { problem });
    }
    if let Some(graph) = scope.running() {
        let how = How::of(scope, graph, operator, &spec, merges);
        let is_folded = how.folded_by.is_some();
        take_in(scope, graph, operator, spec, rules, &mut fold, is_folded);
        send_rows(scope, pipe, operator, key, item, how, &mut fold);
    }
    let pipe = Fired {
        scope,
        operator,
        item: PhantomData,
    };
    Stream::new(scope, operator, pipe)
}

/// How rows go to the other half.
struct How {
    /// How time is cut where rows are folded before they leave.
    folded_by: Option<Slicing>,
    /// Rows of which nothing but the key is wanted may go as packed keys.
    keys_only: bool,
}

impl How {
    /// Folded are rows for slices, whose values can be joined, and of which nobody wants to see the single ones that come too late.
    fn of(
        scope: Scope<'_>,
        graph: &Graph,
        operator: usize,
        spec: &impl WindowSpec,
        merges: bool,
    ) -> Self {
        let node = graph.node(operator);
        let slicing = spec.slicing();
        let reads_late = node.is_none_or(|n| n.reads_late);
        let folds = merges && !reads_late && scope.folds_before();
        let in_memory = node.is_some_and(|n| n.store == Store::Memory);
        Self {
            keys_only: slicing.is_some() && !reads_late && in_memory,
            folded_by: slicing.filter(|_| folds),
        }
    }
}

/// Sends the rows of `pipe` to the owners of their keys.
fn send_rows<'b, T, V: Encode, K: Encode, G: Merge<V>, I: Item<T, V>>(
    scope: Scope<'b>,
    pipe: impl Pipe<T>,
    operator: usize,
    key: impl FnMut(T) -> K,
    item: I,
    how: How,
    fold: &mut G,
) {
    let mut slot = scope.slot(operator);
    let Slot {
        rows,
        scratch,
        counters,
        partials,
        ..
    } = &mut *slot;
    let initial = || Part::none(fold.initial());
    let folds = how.folded_by.and_then(|slicing| {
        let cache = partials.cache(scope.call.limits.partials, initial)?;
        Some((Spans::new(slicing), cache))
    });
    let sending = Sending {
        key,
        item,
        fold,
        folds,
        keys_only: how.keys_only && I::IS_NOTHING,
        body: scope.body(),
        placement: scope.call.placement,
        rows,
        scratch,
        limit: scope.call.limits.rows_bytes,
        operator,
        null_keys: &mut counters.null_keys,
    };
    send(scope, pipe, &mut Of(sending, PhantomData::<fn() -> V>));
    counters.fold(partials.take_saved());
}

fn note(spec: &impl WindowSpec, rules: Rules) -> String {
    if rules.lateness_ms > 0 {
        format!("{spec}; allowed lateness {} ms", rules.lateness_ms)
    } else {
        spec.to_string()
    }
}

/// Makes sure that the state is there, takes in rows that came for it, and gives out what is due.
fn take_in<'b, W: WindowSpec, V: Decode<'b>, G: Merge<V>>(
    scope: Scope<'b>,
    graph: &Graph,
    operator: usize,
    spec: W,
    rules: Rules,
    fold: &mut G,
    is_folded: bool,
) {
    let mut slot = scope.slot(operator);
    let Slot {
        state,
        counters,
        watermark,
        late,
        fired,
        ..
    } = &mut *slot;
    let make = |keys, place| spec.state::<G::State>(keys, fold.initial(), rules, place);
    let Some(state) = scope.state(graph, operator, state, make) else {
        return;
    };
    let watermark = watermark.unwrap_or(i64::MIN);
    if let Some(rows) = scope.rows(operator, Port::Sent) {
        counters.records += rows.len() as u64;
        let reads_late = graph.node(operator).is_some_and(|n| n.reads_late);
        let mut too_late = 0;
        // Two closures need the fold, one after the other and never at once.
        let fold = std::cell::RefCell::new(fold);
        let is_ok = state.take(
            rows,
            watermark,
            &mut |state, other| fold.borrow_mut().merge(state, other),
            |state, value| {
                let mut fold = fold.borrow_mut();
                if is_folded {
                    return folding::step(&mut **fold, state, value);
                }
                let item = decode_all(value);
                item.map(|item| fold.step(state, item)).is_some()
            },
            |index| {
                too_late += match index {
                    Some(index) if is_folded => folding::rows_of(rows.value(index)),
                    _ => 1,
                };
                if let Some(index) = index.filter(|_| reads_late) {
                    let head = &rows.heads()[index];
                    let (value, key) = (rows.value(index), rows.key(index));
                    // A part of rows that did fit.
                    let _ = late.push(head.hash, head.timestamp, value, key);
                }
            },
        );
        counters.late += too_late;
        if !is_ok {
            let operator = graph.describe(operator);
            scope.fail(Error::Undecodable { operator });
        }
    } else if let Some(rows) = scope.rows(operator, Port::Due) {
        let for_commit = rows.heads().first().is_some_and(|h| h.hash == 1);
        let mut merge = |state: &mut G::State, other| fold.merge(state, other);
        let limit = FIRED_BYTES.min(scope.call.limits.rows_bytes);
        state.fire(for_commit, watermark, &mut merge, fired, limit);
    }
}

impl<'b, K: Decode<'b>, V, O, G: Fold<V, Out = O>> Pipe<(K, Window, O)> for Fired<'b, K, V, G> {
    const SHARED: bool = false;

    #[inline]
    fn drive(self, mut f: impl FnMut(Meta, (K, Window, O)) -> Flow) -> Flow {
        let Self {
            scope, operator, ..
        } = self;
        each_row::<(Window, G::State)>(
            scope,
            operator,
            Port::Fired,
            |meta, key, (window, state)| {
                let Some(key) = decode_all(key) else {
                    return undecodable(scope, operator);
                };
                match G::checked(state) {
                    Ok(Some(out)) => f(meta, (key, window, out)),
                    Ok(None) => Flow::Continue(()),
                    Err(why) => scope.bad(operator, meta.record, || why.to_string()),
                }
            },
        )
    }
}

impl<'b, K: Decode<'b>, V: Decode<'b>> Pipe<(K, V)> for Late<'b, K, V> {
    const SHARED: bool = false;

    #[inline]
    fn drive(self, mut f: impl FnMut(Meta, (K, V)) -> Flow) -> Flow {
        let Self {
            scope, operator, ..
        } = self;
        each_row(
            scope,
            operator,
            Port::Late,
            |meta, key, value| match decode_all(key) {
                Some(key) => f(meta, (key, value)),
                None => undecodable(scope, operator),
            },
        )
    }
}
