//! Rows for windows that are made of slices, on their way to the workers that own their keys: those of one key and slice are folded
//! before they leave, as far as that saves rows, and leave as one value with their number.
//!
//! ```text
//! nothing       a row of which only the key is wanted
//! 0, item       a row (its item alone, where nothing is folded)
//! 1, u32, value so many rows, folded
//! ```
//! The number is there for `late`: a value that comes too late, as after a restart, was so many rows.

use std::marker::PhantomData;

use bumpalo::Bump;

use super::spec::Slicing;
use crate::{
    batch::{Decode, Encode, KeyRow, Reader, Rows, Scratch, row::copy, row::decode_all},
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

/// What of a row is folded.
pub(super) trait Item<T, V> {
    /// There is nothing to it but that there is a row: nothing is written.
    const IS_NOTHING: bool = false;

    /// What is folded of it.
    fn of(&mut self, row: &T) -> V;
    /// Writes the same.
    fn write(&mut self, row: &T, out: &mut Vec<u8>);
}

/// Nothing but that there is a row.
pub(super) struct Nothing;

impl<T> Item<T, ()> for Nothing {
    const IS_NOTHING: bool = true;

    #[inline]
    fn of(&mut self, _: &T) {}
    #[inline]
    fn write(&mut self, _: &T, _: &mut Vec<u8>) {}
}

/// What a closure makes of a row.
pub(super) struct Made<I>(pub(super) I);

impl<T, V: Encode, I: FnMut(&T) -> V> Item<T, V> for Made<I> {
    #[inline]
    fn of(&mut self, row: &T) -> V {
        (self.0)(row)
    }
    #[inline]
    fn write(&mut self, row: &T, out: &mut Vec<u8>) {
        (self.0)(row).encode_last(out);
    }
}

/// The row itself. The key's closure may consume it, so what is folded is read back from its bytes, in the batch's arena.
pub(super) struct Whole<'b> {
    pub(super) bump: &'b Bump,
    pub(super) bytes: Vec<u8>,
}

impl<'b, T: Encode + Decode<'b>> Item<T, T> for Whole<'b> {
    fn of(&mut self, row: &T) -> T {
        copy(row, &mut self.bytes, self.bump)
    }
    #[inline]
    fn write(&mut self, row: &T, out: &mut Vec<u8>) {
        row.encode_last(out);
    }
}

/// Sends rows to the owners of their keys.
pub(super) struct Sending<'s, K, I, G, A> {
    pub(super) key: K,
    /// Before the key, so that the key's closure may consume the row.
    pub(super) item: I,
    pub(super) fold: &'s mut G,
    /// Where rows are folded before they leave, as far as that saves rows. This worker's own too: a hit in the cache costs less than a row on
    /// its way to the other half, and nobody foresees whose the next key is.
    pub(super) folds: Option<(Spans, &'s mut Cache<Part<A>>)>,
    /// Nothing but the key is wanted: rows go as packed keys.
    pub(super) keys_only: bool,
    /// Where keys probably lie.
    pub(super) body: &'s [u8],
    pub(super) placement: &'s Placement,
    pub(super) rows: &'s mut [Rows],
    pub(super) scratch: &'s mut Scratch,
    pub(super) limit: usize,
    pub(super) operator: usize,
    pub(super) null_keys: &'s mut u64,
}

/// As [`Sending`], and what is folded is a `V`.
pub(super) struct Of<S, V>(pub(super) S, pub(super) PhantomData<fn() -> V>);

impl<T, V, N, K, I, G> Ship<T> for Of<Sending<'_, K, I, G, G::State>, V>
where
    V: Encode,
    N: Encode,
    K: FnMut(T) -> N,
    I: Item<T, V>,
    G: Merge<V>,
{
    #[inline]
    fn ship(&mut self, timestamp: i64, row: T) -> Result<bool, Error> {
        let of = &mut self.0;
        let (placement, limit, body, keys_only) = (of.placement, of.limit, of.body, of.keys_only);
        let Scratch {
            value,
            key: key_bytes,
        } = &mut *of.scratch;
        let mut folded = None;
        let is_tagged = of.folds.is_some();
        if let Some((spans, cache)) = &mut of.folds {
            let span = spans.of(timestamp);
            if cache.takes(span) {
                folded = Some((of.item.of(&row), span, cache));
            }
        }
        if folded.is_none() && !keys_only {
            value.clear();
            if is_tagged {
                value.push(ROW);
            }
            of.item.write(&row, value);
        }
        let key = (of.key)(row);
        if key.is_null() {
            *of.null_keys += 1;
            return Ok(false);
        }
        let size_bytes = key.with_encoded(key_bytes, |key| {
            let (hash, packed) = placement.keys.hasher.pack_within(body, key);
            if let Some((item, span, cache)) = folded {
                if let Some(packed) = packed {
                    let (to, fold) = ((placement, &mut *of.rows), &mut *of.fold);
                    return cache.fold(packed, hash, (timestamp, span), to, |part| {
                        part.rows = part.rows.saturating_add(1);
                        fold.step(&mut part.value, item);
                    });
                }
                value.clear();
                value.push(ROW);
                item.encode_last(value);
            }
            let rows = &mut of.rows[usize::from(placement.owner(hash))];
            match packed {
                Some(packed) if keys_only => {
                    rows.push_key(KeyRow {
                        key: [packed.low, packed.high],
                        hash,
                        timestamp,
                    });
                }
                _ => {
                    let value = if keys_only { &[] } else { &value[..] };
                    rows.push_packed(hash, timestamp, value, key, packed.map(Key::bytes))?;
                }
            }
            Ok(rows.size_bytes())
        });
        match size_bytes {
            Ok(size_bytes) => Ok(size_bytes >= limit),
            Err(source) => Err(row_error(of.operator, source)),
        }
    }
}
