//! `count`: the number of rows of each key.

use super::fold::{Totals, emits_every_update, table, take_in, totals};
use crate::{
    batch::{Decode, Encode},
    flow::{Count, Counting, Keyed, Kind, Owners, Pipe, Placement, Slot, Stream, send, send_keyed},
};

// Bounds stand at the method: at the `impl`, rustc would not say what `Encode` has to say.
impl<'b, T, P, F, K> Keyed<'b, T, P, F, K> {
    /// Counts the rows of each key. The changed keys come out once at each commit, with their counts; after each row with
    /// `.emit_every_update()`.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("lines").utf8()
    ///         .flat_map(|line| line.split_ascii_whitespace())
    ///         .key_by(|w| w)
    ///         .count()
    ///         .sink("counts");
    /// });
    /// driver.feed("lines", ["to be or", "not to be"]);
    /// driver.commit();
    /// let to = driver.read("counts").into_iter().find(|r| r.key_str() == Some("to")).unwrap();
    /// assert_eq!(to.value_u64(), Some(2));
    /// ```
    pub fn count(self) -> Stream<'b, (K, u64), Totals<'b, K, (), Counting>>
    where
        P: Pipe<T>,
        F: FnMut(T) -> K,
        K: Encode + Decode<'b>,
    {
        let Self {
            scope,
            pipe,
            key,
            node,
            kept,
            ..
        } = self;
        let operator = scope.operator(Kind::Count, &[node], None);
        scope.keeps_state(operator, kept);
        if let Some(graph) = scope.running() {
            let one_more = |n: &mut u64, _: &[u8]| {
                *n += 1;
                true
            };
            take_in(scope, graph, operator, || 0, one_more);
            if emits_every_update(graph, operator) {
                send_keyed(scope, pipe, operator, key, |_: &T, _: &mut Vec<u8>| {});
                return totals(scope, operator, Counting);
            }
            let placement: &Placement = scope.call.placement;
            let limit = scope.call.limits.rows_bytes;
            let mut slot = scope.slot(operator);
            let Slot {
                rows,
                scratch,
                state,
                counters,
                ..
            } = &mut *slot;
            if let Some(table) = table(scope, graph, operator, state, || 0) {
                let step = |n: &mut u64| *n += 1;
                let owners = Owners {
                    step,
                    table,
                    placement,
                    rows,
                    body: scope.body(),
                    limit,
                    operator,
                    taken: 0,
                };
                let mut ship = Count {
                    key,
                    scratch,
                    owners,
                    null_keys: 0,
                };
                send(scope, pipe, &mut ship);
                let (taken, null_keys) = ship.finish();
                counters.records += taken;
                counters.null_keys += null_keys;
            }
        }
        totals(scope, operator, Counting)
    }
}
