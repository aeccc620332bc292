//! The cut before a keyed operator: the half that sends rows to the owner of their key group, and the half that takes them in.
//!
//! Where nothing but the key is wanted no row is written at all: packed keys go to the list of their owner ([`Count`]).

use super::{Cache, Error, Flow, Fold, Meta, Pipe, Port, Resume, Scope, Slot, Span};
use crate::{
    batch::{Decode, Encode, KeyRow, RowTooLarge, Rows, Scratch, row::decode_all},
    state::{CHUNK, Key, KeyGroups, State, Table},
};

/// Which worker owns which key group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) keys: KeyGroups,
    /// Where state may be kept on disk; `None`: in the system's folder for temporary files.
    pub(crate) state_dir: Option<std::path::PathBuf>,
    /// By operator: what state on disk must be marked with to be taken up.
    pub(crate) state_marks: Vec<(usize, Vec<u8>)>,
    /// Owner of each group.
    pub(crate) owners: Vec<u16>,
    /// This worker.
    pub(crate) me: u16,
    /// Number of workers.
    pub(crate) workers: u16,
}

impl Placement {
    #[inline]
    pub(crate) fn owner(&self, hash: u64) -> u16 {
        if self.workers == 1 {
            0
        } else {
            self.owners[self.keys.of(hash).0]
        }
    }
}

/// How rows leave the first half.
pub(crate) trait Ship<T> {
    /// Takes one row; true when an output is full.
    fn ship(&mut self, timestamp: i64, item: T) -> Result<bool, Error>;
}

/// Drives `pipe` into `ship`: the first half of a keyed operator.
pub(crate) fn send<'b, T, P: Pipe<T>>(scope: Scope<'b>, pipe: P, ship: &mut impl Ship<T>) {
    if scope.running().is_some() {
        let _ = pipe.drive(ship_step(scope, Resume::new::<T, P>(scope), ship));
    }
}

/// Sends the rows of `pipe` to the owners of their keys, of each row what `value` writes.
pub(crate) fn send_keyed<'b, T, K: Encode>(
    scope: Scope<'b>,
    pipe: impl Pipe<T>,
    operator: usize,
    key: impl FnMut(T) -> K,
    value: impl FnMut(&T, &mut Vec<u8>),
) {
    let mut slot = scope.slot(operator);
    let Slot {
        rows,
        scratch,
        counters,
        ..
    } = &mut *slot;
    let mut ship = Shipped {
        key,
        value,
        placement: scope.call.placement,
        rows,
        scratch,
        limit: scope.call.limits.rows_bytes,
        operator,
        null_keys: &mut counters.null_keys,
    };
    send(scope, pipe, &mut ship);
}

/// Sends the rows of `pipe`, whole, to the other half of an operator in the same worker.
pub(crate) fn send_own<'b, T: Encode>(scope: Scope<'b>, pipe: impl Pipe<T>, operator: usize) {
    let mut slot = scope.slot(operator);
    let Slot { rows, scratch, .. } = &mut *slot;
    let mut ship = Own {
        rows: &mut rows[usize::from(scope.call.placement.me)],
        scratch,
        limit: scope.call.limits.rows_bytes,
        operator,
    };
    send(scope, pipe, &mut ship);
}

struct Own<'s> {
    rows: &'s mut Rows,
    scratch: &'s mut Scratch,
    limit: usize,
    operator: usize,
}

impl<T: Encode> Ship<T> for Own<'_> {
    fn ship(&mut self, timestamp: i64, item: T) -> Result<bool, Error> {
        let value = &mut self.scratch.value;
        value.clear();
        item.encode_last(value);
        match self.rows.push(0, timestamp, value, &[]) {
            Ok(()) => Ok(self.rows.size_bytes() >= self.limit),
            Err(source) => Err(row_error(self.operator, source)),
        }
    }
}

/// Ends the call: a row between two operators is not what it was written as.
#[cold]
pub(crate) fn undecodable(scope: Scope<'_>, operator: usize) -> Flow {
    let operator = scope
        .running()
        .map_or_else(String::new, |g| g.describe(operator));
    scope.broken(Error::Undecodable { operator })
}

// A free function: a closure in `send` would carry the whole chain before it in its type.
#[inline]
fn ship_step<T>(
    scope: Scope<'_>,
    mut resume: Resume,
    ship: &mut impl Ship<T>,
) -> impl FnMut(Meta, T) -> Flow {
    move |meta, item| {
        if !resume.is_new(scope, meta) {
            return Flow::Continue(());
        }
        match ship.ship(meta.timestamp, item) {
            Ok(false) => Flow::Continue(()),
            Ok(true) => resume.full(scope),
            Err(error) => scope.broken(error),
        }
    }
}

/// Writes each row for the owner of its key.
struct Shipped<'s, F, V> {
    key: F,
    /// Writes what crosses beside the key. Before the key, so that the key's closure may consume the item.
    value: V,
    placement: &'s Placement,
    rows: &'s mut [Rows],
    scratch: &'s mut Scratch,
    limit: usize,
    operator: usize,
    null_keys: &'s mut u64,
}

impl<T, K: Encode, F: FnMut(T) -> K, V: FnMut(&T, &mut Vec<u8>)> Ship<T> for Shipped<'_, F, V> {
    #[inline]
    fn ship(&mut self, timestamp: i64, item: T) -> Result<bool, Error> {
        let Scratch { value, key } = &mut *self.scratch;
        value.clear();
        (self.value)(&item, value);
        let (placement, rows, limit) = (self.placement, &mut *self.rows, self.limit);
        let item = (self.key)(item);
        if item.is_null() {
            *self.null_keys += 1;
            return Ok(false);
        }
        item.with_encoded(key, |key| {
            let (hash, packed) = placement.keys.hasher.pack(key);
            let rows = &mut rows[usize::from(placement.owner(hash))];
            match rows.push_packed(hash, timestamp, value, key, packed.map(Key::bytes)) {
                Ok(()) => Ok(rows.size_bytes() >= limit),
                Err(source) => Err(row_error(self.operator, source)),
            }
        })
    }
}

#[cold]
pub(crate) fn row_error(operator: usize, source: RowTooLarge) -> Error {
    Error::Row {
        operator: format!("operator {operator}"),
        source,
    }
}

/// Sorts keys by their owners: for operators that need nothing else. Keys that this worker owns are applied a chunk at a time.
pub(crate) struct Count<'s, F, A, S> {
    pub(crate) key: F,
    pub(crate) scratch: &'s mut Scratch,
    pub(crate) owners: Owners<'s, A, S>,
    pub(crate) null_keys: u64,
}

/// The rows of each owner, and the table of this one.
pub(crate) struct Owners<'s, A, S> {
    pub(crate) step: S,
    pub(crate) table: &'s mut Table<A>,
    pub(crate) placement: &'s Placement,
    pub(crate) rows: &'s mut [Rows],
    /// Where keys probably lie.
    pub(crate) body: &'s [u8],
    pub(crate) limit: usize,
    pub(crate) operator: usize,
    pub(crate) taken: u64,
}

impl<T, K: Encode, F: FnMut(T) -> K, A: State, S: FnMut(&mut A)> Ship<T> for Count<'_, F, A, S> {
    #[inline]
    fn ship(&mut self, timestamp: i64, item: T) -> Result<bool, Error> {
        let item = (self.key)(item);
        if item.is_null() {
            self.null_keys += 1;
            return Ok(false);
        }
        let owners = &mut self.owners;
        item.with_encoded(&mut self.scratch.key, |key| owners.push(timestamp, key))
    }
}

impl<A: State, S: FnMut(&mut A)> Owners<'_, A, S> {
    // Without a branch on the owner, which nobody could foresee.
    #[inline]
    fn push(&mut self, timestamp: i64, key: &[u8]) -> Result<bool, Error> {
        let Some(packed) = Key::short_within(self.body, key) else {
            return self.push_long(timestamp, key);
        };
        let hash = self.placement.keys.hasher.short(packed);
        let owner = self.placement.owner(hash);
        let held = self.rows[usize::from(owner)].push_key(KeyRow {
            key: [packed.low, packed.high],
            hash,
            timestamp,
        });
        Ok(held.is_multiple_of(CHUNK) && self.is_full(owner))
    }

    #[inline(never)]
    fn push_long(&mut self, timestamp: i64, key: &[u8]) -> Result<bool, Error> {
        let hash = self.placement.keys.hasher.long(key);
        let owner = self.placement.owner(hash);
        let rows = &mut self.rows[usize::from(owner)];
        match rows.push(hash, timestamp, &[], key) {
            Ok(()) if owner == self.placement.me && rows.heads().len() < CHUNK => Ok(false),
            Ok(()) => Ok(self.is_full(owner)),
            Err(source) => Err(row_error(self.operator, source)),
        }
    }

    /// Applies the rows of this worker; of another one's, whether it is time to send them.
    #[inline(never)]
    fn is_full(&mut self, owner: u16) -> bool {
        if owner == self.placement.me {
            self.apply();
            return false;
        }
        self.rows[usize::from(owner)].size_bytes() >= self.limit
    }

    fn apply(&mut self) {
        let (rows, step) = (
            &mut self.rows[usize::from(self.placement.me)],
            &mut self.step,
        );
        self.taken += rows.len() as u64;
        receive(rows, self.table, |a, _| {
            step(a);
            true
        });
        rows.clear();
    }
}

impl<F, A: State, S: FnMut(&mut A)> Count<'_, F, A, S> {
    /// Applies what is still gathered; the numbers of rows taken, and of those without a key.
    pub(crate) fn finish(mut self) -> (u64, u64) {
        self.owners.apply();
        (self.owners.taken, self.null_keys)
    }
}

/// Sends values instead of rows: those of rows for other workers are folded before, as far as that saves rows.
pub(crate) struct Folded<'s, K, I, G, A> {
    pub(crate) key: K,
    /// What is folded of a row. Before the key, so that the key's closure may consume the row.
    pub(crate) item: I,
    pub(crate) fold: &'s mut G,
    /// Of keys that others own; `None`: each row's value is sent.
    pub(crate) partials: Option<&'s mut Cache<A>>,
    pub(crate) placement: &'s Placement,
    pub(crate) rows: &'s mut [Rows],
    pub(crate) scratch: &'s mut Scratch,
    pub(crate) limit: usize,
    pub(crate) operator: usize,
    pub(crate) null_keys: &'s mut u64,
}

impl<T, V, N: Encode, K: FnMut(T) -> N, I: FnMut(&T) -> V, G: Fold<V>> Ship<T>
    for Folded<'_, K, I, G, G::State>
{
    fn ship(&mut self, timestamp: i64, row: T) -> Result<bool, Error> {
        let item = (self.item)(&row);
        let key = (self.key)(row);
        if key.is_null() {
            *self.null_keys += 1;
            return Ok(false);
        }
        let Scratch {
            value,
            key: key_bytes,
        } = &mut *self.scratch;
        let (fold, placement) = (&mut *self.fold, self.placement);
        let (rows, limit) = (&mut *self.rows, self.limit);
        let operator = self.operator;
        let cache = &mut self.partials;
        key.with_encoded(key_bytes, |key| {
            let (hash, packed) = placement.keys.hasher.pack(key);
            let owner = placement.owner(hash);
            if owner != placement.me
                && let (Some(packed), Some(cache)) = (packed, cache)
                && cache.takes(&Span::ALL)
            {
                let (to, when) = ((placement, &mut *rows), (timestamp, &Span::ALL));
                return match cache.fold(packed, hash, when, to, |a| fold.step(a, item)) {
                    Ok(size_bytes) => Ok(size_bytes >= limit),
                    Err(source) => Err(row_error(operator, source)),
                };
            }
            let mut state = fold.initial();
            fold.step(&mut state, item);
            value.clear();
            state.encode_last(value);
            let rows = &mut rows[usize::from(owner)];
            match rows.push_packed(hash, timestamp, value, key, packed.map(Key::bytes)) {
                Ok(()) => Ok(rows.size_bytes() >= limit),
                Err(source) => Err(row_error(operator, source)),
            }
        })
    }
}

/// Takes rows into a table: the second half of a keyed operator whose results leave later. False when a row cannot be read.
pub(crate) fn receive<'b, A: State>(
    rows: &'b Rows,
    table: &mut Table<A>,
    mut step: impl FnMut(&mut A, &'b [u8]) -> bool,
) -> bool {
    let data = rows.data();
    let mut is_ok = true;
    for chunk in rows.keys().chunks(CHUNK) {
        table.update_keys(chunk, |a| is_ok &= step(a, &[]));
    }
    for chunk in rows.heads().chunks(CHUNK) {
        table.warm(|each| chunk.iter().for_each(|h| each(h.key_of(data), h.hash)));
        table.touch(chunk.iter().map(|h| h.hash));
        for head in chunk {
            let (at, len) = head.key_range();
            let packed = Key::short_at(data, at, len);
            table.update_hashed(head.key_of(data), packed, head.hash, head.timestamp, |a| {
                is_ok &= step(a, head.value_of(data));
            });
        }
    }
    is_ok
}

/// Calls `f` with each row that came for an entrance, its value decoded.
#[inline]
pub(crate) fn each_row<'b, V: Decode<'b>>(
    scope: Scope<'b>,
    operator: usize,
    port: Port,
    mut f: impl FnMut(Meta, &'b [u8], V) -> Flow,
) -> Flow {
    let Some(rows) = scope.rows(operator, port) else {
        return Flow::Continue(());
    };
    let (data, first) = (rows.data(), scope.call.from.index as usize);
    for (index, head) in rows.heads().iter().enumerate().skip(first) {
        if scope.is_enough((index - first) as u32) {
            return scope.stopped_before(index as u32);
        }
        let Some(value) = decode_all(head.value_of(data)) else {
            return undecodable(scope, operator);
        };
        let meta = Meta {
            timestamp: head.timestamp,
            record: index as u32,
        };
        if f(meta, head.key_of(data), value).is_break() {
            return scope.stopped_at(index as u32);
        }
    }
    Flow::Continue(())
}
