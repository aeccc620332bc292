//! Rows for windows that are made of slices, on their way to the workers that own their keys: those of one key and slice are folded
//! before they cross, as far as that saves rows, and cross as one value with their number.
//!
//! ```text
//! nothing       a row of which only the key is wanted
//! 0, item       a row
//! 1, u32, value so many rows, folded
//! ```
//! The number is there for `late`: a value that comes too late, as after a restart, was so many rows.

use std::marker::PhantomData;

use bumpalo::Bump;

use super::spec::Slicing;
use crate::{
    batch::{Decode, Encode, Reader, Rows, Scratch, row::decode_all},
    flow::{Cache, Error, Merge, Placement, Ship, Span, row_error},
    state::{Key, State},
};

const ROW: u8 = 0;
const PART: u8 = 1;

/// Several rows, folded.
#[derive(Clone)]
pub(super) struct Part<A> {
    pub(super) rows: u32,
    pub(super) value: A,
}

impl<A: State> Part<A> {
    pub(super) fn none(value: A) -> Self {
        Self { rows: 0, value }
    }
}

impl<A: Encode> Encode for Part<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        PART.encode(out);
        self.rows.encode(out);
        self.value.encode(out);
    }
    fn encode_last(&self, out: &mut Vec<u8>) {
        PART.encode(out);
        self.rows.encode(out);
        self.value.encode_last(out);
    }
}

impl<'b, A: Decode<'b>> Decode<'b> for Part<A> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        (u8::decode(r)? == PART).then_some(())?;
        Some(Self {
            rows: u32::decode(r)?,
            value: A::decode(r)?,
        })
    }
    fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
        (u8::decode(r)? == PART).then_some(())?;
        Some(Self {
            rows: u32::decode(r)?,
            value: A::decode_last(r)?,
        })
    }
}

/// Takes in what has crossed. False when it cannot be read.
#[inline]
pub(super) fn step<'b, V: Decode<'b>, G: Merge<V>>(
    fold: &mut G,
    state: &mut G::State,
    crossed: &'b [u8],
) -> bool {
    let row = match crossed {
        [] => crossed,
        [ROW, row @ ..] => row,
        _ => {
            let part = decode_all::<Part<G::State>>(crossed);
            return part.map(|part| fold.merge(state, part.value)).is_some();
        }
    };
    decode_all(row).map(|item| fold.step(state, item)).is_some()
}

/// How many rows something is that has crossed.
pub(super) fn rows_of(crossed: &[u8]) -> u64 {
    match crossed {
        [PART, rows @ ..] => u64::from(u32::decode(&mut Reader::new(rows)).unwrap_or(1)),
        _ => 1,
    }
}

/// The slices that rows lie in: two neighbours are at hand, because rows that are out of order lie now in the one and now in the other.
pub(super) struct Spans {
    slicing: Slicing,
    /// End of the first one, start of the second.
    middle: i64,
    pair: [Span; 2],
}

impl Spans {
    pub(super) fn new(slicing: Slicing) -> Self {
        Self {
            slicing,
            middle: i64::MIN,
            pair: [Span::NONE; 2],
        }
    }

    #[inline]
    fn of(&mut self, timestamp: i64) -> &Span {
        let at = usize::from(timestamp >= self.middle);
        if self.pair[at].contains(timestamp) {
            return &self.pair[at];
        }
        self.find(timestamp)
    }

    #[inline(never)]
    fn find(&mut self, timestamp: i64) -> &Span {
        let (size, start) = (self.slicing.size, self.slicing.slice(timestamp));
        let span = Span::new(start, size, self.slicing.first_end(start) - 1);
        let [before, after] = self.pair;
        if start == self.middle.saturating_sub(size).saturating_sub(size) {
            self.middle = start + size;
            self.pair = [span, before];
            return &self.pair[0];
        }
        let is_next = start == self.middle.saturating_add(size);
        self.middle = start;
        self.pair = [if is_next { after } else { Span::NONE }, span];
        &self.pair[1]
    }
}

/// Sends rows to the owners of their keys; those of other workers' keys are folded as far as that saves rows.
pub(super) struct Folding<'s, 'b, K, P, G, A> {
    pub(super) key: K,
    /// Writes what crosses beside the key. Before the key, so that the key's closure may consume the row.
    pub(super) part: P,
    pub(super) fold: &'s mut G,
    pub(super) spans: Spans,
    pub(super) cache: &'s mut Cache<Part<A>>,
    /// For rows that are read back from what was written of them.
    pub(super) bump: &'b Bump,
    pub(super) placement: &'s Placement,
    pub(super) rows: &'s mut [Rows],
    pub(super) scratch: &'s mut Scratch,
    pub(super) limit: usize,
    pub(super) operator: usize,
    pub(super) null_keys: &'s mut u64,
}

/// As [`Folding`], and what is folded is a `V`.
pub(super) struct Of<S, V>(pub(super) S, pub(super) PhantomData<fn() -> V>);

impl<'b, T, V, N, K, P, G> Ship<T> for Of<Folding<'_, 'b, K, P, G, G::State>, V>
where
    V: Decode<'b>,
    N: Encode,
    K: FnMut(T) -> N,
    P: FnMut(&T, &mut Vec<u8>),
    G: Merge<V>,
{
    fn ship(&mut self, timestamp: i64, row: T) -> Result<bool, Error> {
        let Folding {
            placement, limit, ..
        } = self.0;
        let of = &mut self.0;
        let Scratch {
            value,
            key: key_bytes,
        } = &mut *of.scratch;
        value.clear();
        value.push(ROW);
        (of.part)(&row, value);
        let key = (of.key)(row);
        if key.is_null() {
            *of.null_keys += 1;
            return Ok(false);
        }
        let size_bytes = key.with_encoded(key_bytes, |key| {
            let (packed, hasher) = (Key::short(key), &placement.keys.hasher);
            let hash = packed.map_or_else(|| hasher.long(key), |k| hasher.short(k));
            let owner = placement.owner(hash);
            if owner != placement.me
                && let Some(packed) = packed
                && let span = of.spans.of(timestamp)
                && of.cache.takes(span)
            {
                let item = match &value[1..] {
                    [] => &[],
                    item => &*of.bump.alloc_slice_copy(item),
                };
                let (to, fold) = ((placement, &mut *of.rows), &mut *of.fold);
                return of.cache.fold(packed, hash, (timestamp, span), to, |part| {
                    part.rows = part.rows.saturating_add(1);
                    let item = decode_all(item).expect("`Decode` reads what `Encode` wrote");
                    fold.step(&mut part.value, item);
                });
            }
            let value = if value.len() == 1 {
                &[][..]
            } else {
                &value[..]
            };
            let rows = &mut of.rows[usize::from(owner)];
            rows.push(hash, timestamp, value, key)?;
            Ok(rows.size_bytes())
        });
        match size_bytes {
            Ok(size_bytes) => Ok(size_bytes >= limit),
            Err(source) => Err(row_error(of.operator, source)),
        }
    }
}
