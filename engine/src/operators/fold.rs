//! What `count`, `aggregate` and `reduce` have in common: a value for each key that rows are folded into.

use std::{any::Any, cell::RefMut, marker::PhantomData};

use crate::{
    batch::{Decode, Encode, Rows, row::decode_all},
    flow::{
        Emit, Error, Flow, Fold, Folded, Graph, Keyed, Kind, Merge, Meta, OnBad, OutOfRange, Pipe,
        Port, Position, Scope, Slot, Stream, receive, send, send_keyed, undecodable,
    },
    state::{CHUNK, Key, State, Table},
};

/// The stream of a fold's results.
pub type Results<'b, K, T, F> = Stream<'b, (K, <F as Fold<T>>::Out), Totals<'b, K, T, F>>;

/// Results by key; see [`Keyed::count`], [`Keyed::aggregate`], [`Keyed::reduce`].
pub struct Totals<'b, K, T, F> {
    scope: Scope<'b>,
    operator: usize,
    fold: F,
    item: PhantomData<fn() -> (K, T)>,
}

impl<'b, K, O, T, F> Stream<'b, (K, O), Totals<'b, K, T, F>> {
    /// Gives out a result after each row, instead of the changed keys once at each commit. It costs a record for each row.
    pub fn emit_every_update(self) -> Self {
        let mut is_there = false;
        self.scope.learn(self.node, |n| {
            is_there = n.emit == Emit::EveryUpdate;
            n.emit = Emit::EveryUpdate;
        });
        self.scope.only_once("`emit_every_update`", is_there);
        self
    }
}

/// The table in an operator's slot; see [`Scope::state`].
pub(crate) fn table<'s, A: State>(
    scope: Scope<'_>,
    graph: &Graph,
    operator: usize,
    state: &'s mut Option<Box<dyn crate::state::KeyedState>>,
    initial: impl FnOnce() -> A,
) -> Option<&'s mut Table<A>> {
    scope.state(graph, operator, state, |keys, place| {
        Table::placed(keys, initial(), place)
    })
}

impl<'b, T, P: Pipe<T>, F: FnMut(T) -> K, K: Encode> Keyed<'b, T, P, F, K> {
    /// A keyed operator to which the rows themselves are sent.
    pub(crate) fn fold<G: Fold<T>>(self, kind: Kind, fold: G) -> Results<'b, K, T, G>
    where
        T: Encode + Decode<'b>,
    {
        self.fold_part(kind, fold, T::encode_last)
    }

    /// A keyed operator to which a part of each row is sent: what `part` writes.
    pub(crate) fn fold_part<V: Decode<'b>, G: Fold<V>>(
        self,
        kind: Kind,
        mut fold: G,
        part: impl FnMut(&T, &mut Vec<u8>),
    ) -> Results<'b, K, V, G> {
        let Self {
            scope,
            pipe,
            key,
            node,
            kept,
            ..
        } = self;
        let operator = scope.operator(kind, &[node], None);
        scope.keeps_state(operator, kept);
        if let Some(graph) = scope.running() {
            take_in_items(scope, graph, operator, &mut fold);
            send_keyed(scope, pipe, operator, key, part);
        }
        totals(scope, operator, fold)
    }

    /// A keyed operator whose values can be joined: `item` is what it folds of each row. Among several workers values cross instead of
    /// rows, and rows for another worker are folded before they do.
    pub(crate) fn fold_merging<V: Encode + Decode<'b>, G: Merge<V>>(
        self,
        kind: Kind,
        mut fold: G,
        mut item: impl FnMut(&T) -> V,
    ) -> Results<'b, K, V, G> {
        let Self {
            scope,
            pipe,
            key,
            node,
            kept,
            ..
        } = self;
        let operator = scope.operator(kind, &[node], None);
        scope.keeps_state(operator, kept);
        if let Some(graph) = scope.running() {
            let placement = scope.call.placement;
            if placement.workers == 1 || emits_every_update(graph, operator) {
                take_in_items(scope, graph, operator, &mut fold);
                let part = |row: &T, out: &mut Vec<u8>| item(row).encode_last(out);
                send_keyed(scope, pipe, operator, key, part);
                return totals(scope, operator, fold);
            }
            let initial = fold.initial();
            take_in(
                scope,
                graph,
                operator,
                || initial,
                |state, value| {
                    let part = decode_all::<G::State>(value);
                    part.map(|part| fold.merge(state, part)).is_some()
                },
            );
            let mut slot = scope.slot(operator);
            let Slot {
                rows,
                scratch,
                counters,
                partials,
                ..
            } = &mut *slot;
            let places = scope.call.limits.partials;
            let cache = scope
                .folds_before()
                .then(|| partials.cache(places, || fold.initial()));
            let mut ship = Folded {
                key,
                item,
                fold: &mut fold,
                partials: cache.flatten(),
                placement,
                rows,
                scratch,
                limit: scope.call.limits.rows_bytes,
                operator,
                null_keys: &mut counters.null_keys,
            };
            send(scope, pipe, &mut ship);
            counters.fold(partials.take_saved());
        }
        totals(scope, operator, fold)
    }
}

pub(crate) fn totals<'b, K, T, F: Fold<T>>(
    scope: Scope<'b>,
    operator: usize,
    fold: F,
) -> Results<'b, K, T, F> {
    if F::REFUSES {
        scope.refuses(operator, OnBad::Skip);
    }
    let pipe = Totals {
        scope,
        operator,
        fold,
        item: PhantomData,
    };
    Stream::new(scope, operator, pipe)
}

/// Makes sure that the table is there, and takes in rows that came for it; not those that go on at once (`emit_every_update`).
pub(crate) fn take_in<'b, A: State>(
    scope: Scope<'b>,
    graph: &Graph,
    operator: usize,
    initial: impl FnOnce() -> A,
    step: impl FnMut(&mut A, &'b [u8]) -> bool,
) {
    let mut slot = scope.slot(operator);
    let Slot {
        state, counters, ..
    } = &mut *slot;
    let Some(table) = table(scope, graph, operator, state, initial) else {
        return;
    };
    if emits_every_update(graph, operator) {
        return;
    }
    let Some(rows) = scope.rows(operator, Port::Sent) else {
        return;
    };
    counters.records += rows.len() as u64;
    if !receive(rows, table, step) {
        let _ = undecodable(scope, operator);
    }
}

/// As [`take_in`] for rows of which each is one item.
fn take_in_items<'b, T: Decode<'b>, F: Fold<T>>(
    scope: Scope<'b>,
    graph: &Graph,
    operator: usize,
    fold: &mut F,
) {
    let initial = fold.initial();
    take_in(
        scope,
        graph,
        operator,
        || initial,
        |state, value| match decode_all(value) {
            Some(item) => {
                fold.step(state, item);
                true
            }
            None => false,
        },
    );
}

pub(crate) fn emits_every_update(graph: &Graph, operator: usize) -> bool {
    graph
        .node(operator)
        .is_some_and(|n| n.emit == Emit::EveryUpdate)
}

impl<'b, K: Decode<'b>, T: Decode<'b>, O, F: Fold<T, Out = O>> Pipe<(K, O)>
    for Totals<'b, K, T, F>
{
    const SHARED: bool = false;

    #[inline]
    fn drive(mut self, mut f: impl FnMut(Meta, (K, O)) -> Flow) -> Flow {
        let Self {
            scope, operator, ..
        } = self;
        let Some(graph) = scope.running() else {
            return Flow::Continue(());
        };
        let (rows, is_updating) = if let Some(rows) = scope.rows(operator, Port::Fired) {
            (rows, false)
        } else if let Some(rows) = scope.rows(operator, Port::Sent)
            && emits_every_update(graph, operator)
        {
            if scope.call.from == Position::START {
                scope.slot(operator).counters.records += rows.len() as u64;
            }
            (rows, true)
        } else {
            return Flow::Continue(());
        };
        let mut from = scope.call.from.index as usize;
        loop {
            let mut slot = is_updating.then(|| scope.slot(operator));
            let table = match &mut slot {
                Some(slot) => match updating::<F::State>(scope, graph, operator, slot) {
                    Some(table) => Some(table),
                    None => return Flow::Break(()),
                },
                None => None,
            };
            let refused = match self.each(rows, from, table, &mut f) {
                Ok(flow) => return flow,
                Err(refused) => refused,
            };
            // What is done with it needs the slot.
            drop(slot);
            let (index, why) = refused;
            scope.bad(operator, index, || why.to_string())?;
            from = index as usize + 1;
        }
    }
}

impl<'b, K: Decode<'b>, T: Decode<'b>, F: Fold<T>> Totals<'b, K, T, F> {
    /// Gives out a result for each row from the one at `begin` on: what it holds or, where there is
    /// a table, what its key's value becomes by it. Ends at a result that cannot be given out.
    #[inline]
    fn each(
        &mut self,
        rows: &'b Rows,
        begin: usize,
        mut table: Option<&mut Table<F::State>>,
        mut f: impl FnMut(Meta, (K, F::Out)) -> Flow,
    ) -> Result<Flow, (u32, OutOfRange)> {
        let (scope, operator) = (self.scope, self.operator);
        let (data, heads, from) = (rows.data(), rows.heads(), scope.call.from);
        let first = from.index as usize;
        // One loop for both entrances, so that what follows is compiled once.
        for (index, head) in heads.iter().enumerate().skip(begin) {
            if scope.is_enough((index - first) as u32) {
                return Ok(scope.stopped_before(index as u32));
            }
            let (Some(key), value) = (decode_all::<K>(head.key_of(data)), head.value_of(data))
            else {
                return Ok(undecodable(scope, operator));
            };
            let state = match &mut table {
                None => decode_all(value),
                Some(table) => {
                    if (index - first).is_multiple_of(CHUNK) {
                        let chunk = || heads[index..].iter().take(CHUNK);
                        table.warm(|each| chunk().for_each(|h| each(h.key_of(data), h.hash)));
                        table.touch(chunk().map(|h| h.hash));
                    }
                    let (at, len) = head.key_range();
                    let packed = Key::short_at(data, at, len);
                    // The first row was taken in already if some of what was made from it is written.
                    let item = if index == first && from.skip > 0 {
                        None
                    } else {
                        Some(decode_all(value))
                    };
                    let mut state = None;
                    table.update_hashed(
                        head.key_of(data),
                        packed,
                        head.hash,
                        head.timestamp,
                        |s| {
                            match item {
                                Some(Some(item)) => self.fold.step(s, item),
                                Some(None) => return,
                                None => {}
                            }
                            state = Some(s.clone());
                        },
                    );
                    state
                }
            };
            let Some(state) = state else {
                return Ok(undecodable(scope, operator));
            };
            let out = F::checked(state).map_err(|why| (index as u32, why))?;
            if let Some(out) = out {
                let meta = Meta {
                    timestamp: head.timestamp,
                    record: index as u32,
                };
                if f(meta, (key, out)).is_break() {
                    return Ok(scope.stopped_at(index as u32));
                }
            }
        }
        Ok(Flow::Continue(()))
    }
}

fn updating<'s, A: State>(
    scope: Scope<'_>,
    graph: &Graph,
    operator: usize,
    slot: &'s mut RefMut<'_, Slot>,
) -> Option<&'s mut Table<A>> {
    let state: &mut dyn Any = &mut **slot.state.as_mut()?;
    let table = state.downcast_mut();
    if table.is_none() {
        scope.fail(Error::StateType {
            operator: graph.describe(operator),
        });
    }
    table
}
