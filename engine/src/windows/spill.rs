//! Slices that share a place on disk and one bound on memory: which of their keys leave it.
//!
//! ```text
//! key there: [start of the slice, so that earlier ones come first][key group: 0][key]       a slice that is past goes as a range
//! ```

use std::collections::BTreeSet;
use std::ops::Bound;

use super::slices::Slice;
use crate::{
    batch::Head,
    state::{CHUNK, Cold, KeyGroups, State, StoreError, StorePlace, Table},
};

pub(super) struct Spill {
    cold: Box<dyn Cold>,
    limit_bytes: usize,
    /// Chunks of rows so far.
    chunks: u64,
    /// By the numbers of slices.
    held: Vec<Held>,
    /// All of them together, in bytes.
    total: usize,
    /// The slices with keys in memory, those first to which no row came for the longest: when, and
    /// number.
    oldest: BTreeSet<(u64, usize)>,
    /// The last slice that was let go of, of those with something on disk.
    gone: Option<i64>,
    restored: usize,
    error: Option<StoreError>,
    /// Numbers of the slices of a chunk, each once: they have grown since they were measured.
    numbers: Vec<usize>,
}

/// How much of a slice is in memory, when it was last measured.
#[derive(Clone, Copy, Default)]
struct Held {
    bytes: usize,
    /// When rows last came to it, counted in chunks.
    touched: u64,
}

/// What keys of a slice begin with: as bytes, times are in their order.
fn prefix(start: i64) -> [u8; 8] {
    (start ^ i64::MIN).to_be_bytes()
}

impl Spill {
    pub(super) fn new(place: StorePlace) -> Option<Self> {
        let (cold, limit_bytes) = place.0?;
        Some(Self {
            cold,
            limit_bytes,
            chunks: 0,
            held: Vec::new(),
            total: 0,
            oldest: BTreeSet::new(),
            gone: None,
            restored: 0,
            error: None,
            numbers: Vec::new(),
        })
    }

    pub(super) fn table<A: State>(&self, start: i64, keys: KeyGroups, initial: A) -> Table<A> {
        Table::part(keys, initial, &*self.cold, prefix(start).to_vec())
    }

    /// Makes sure that the keys of a chunk of rows, given with the numbers of their slices, are in memory if they are anywhere.
    pub(super) fn warm<A: State>(
        &mut self,
        slices: &mut [Option<Slice<A>>],
        chunk: &[Head],
        numbers: &[usize],
        data: &[u8],
    ) {
        self.trim(slices);
        self.chunks += 1;
        self.numbers.clear();
        self.numbers.extend_from_slice(numbers);
        self.numbers.sort_unstable();
        self.numbers.dedup();
        for number in &self.numbers {
            // Late rows have no slice.
            let Some(Some(slice)) = slices.get_mut(*number) else {
                continue;
            };
            slice.table.warm(|each| {
                let rows = chunk.iter().zip(numbers).filter(|(_, n)| *n == number);
                rows.for_each(|(head, _)| each(head.key_of(data), head.hash));
            });
        }
    }

    /// Notes how much of a slice is in memory now.
    fn note(&mut self, number: usize, now: Held) {
        if self.held.len() <= number {
            self.held.resize(number + 1, Held::default());
        }
        let before = std::mem::replace(&mut self.held[number], now);
        self.oldest.remove(&(before.touched, number));
        if now.bytes > 0 {
            self.oldest.insert((now.touched, number));
        }
        self.total = self.total + now.bytes - before.bytes;
    }

    /// Measures a slice anew that may have changed its size otherwise than by rows.
    pub(super) fn measure<A: State>(&mut self, number: usize, table: &mut Table<A>) {
        let touched = self.held.get(number).map_or(0, |held| held.touched);
        let bytes = table.held_bytes();
        self.note(number, Held { bytes, touched });
    }

    /// Moves keys out until the slices are small enough: first those of slices to which no row came
    /// for the longest. Only the slices of the chunk before are measured, and only those are walked
    /// that lose keys, however many are open.
    fn trim<A: State>(&mut self, slices: &mut [Option<Slice<A>>]) {
        let mut numbers = std::mem::take(&mut self.numbers);
        for number in numbers.drain(..) {
            if let Some(Some(slice)) = slices.get_mut(number) {
                let (bytes, touched) = (slice.table.held_bytes(), self.chunks);
                self.note(number, Held { bytes, touched });
            }
        }
        self.numbers = numbers;
        let mut after = Bound::Unbounded;
        while self.total > self.limit_bytes
            && let Some(next) = self.oldest.range((after, Bound::Unbounded)).next()
        {
            let (touched, number) = *next;
            after = Bound::Excluded((touched, number));
            let Some(Some(slice)) = slices.get_mut(number) else {
                continue;
            };
            while self.total > self.limit_bytes && self.held[number].bytes > 0 {
                let before = self.held[number].bytes;
                slice.table.evict_some();
                let bytes = slice.table.held_bytes();
                self.note(number, Held { bytes, touched });
                // An error of the disk: nothing moves any more, and the call will end with it.
                if bytes >= before {
                    break;
                }
            }
        }
    }

    /// An entry of the changelog was taken, for this slice.
    pub(super) fn restored<A: State>(&mut self, slices: &mut [Option<Slice<A>>], number: usize) {
        self.restored += 1;
        if self.numbers.last() != Some(&number) {
            self.numbers.push(number);
        }
        if self.restored.is_multiple_of(CHUNK) {
            self.trim(slices);
        }
    }

    /// A slice was let go of.
    pub(super) fn is_gone<A: State>(&mut self, number: usize, start: i64, table: &Table<A>) {
        self.note(number, Held::default());
        if table.has_cold() {
            self.gone = self.gone.max(Some(start));
        }
    }

    /// Nobody needs what was let go of.
    pub(super) fn sweep(&mut self) {
        if let Some(start) = self.gone.take()
            && let Err(error) = self.cold.drop_until(&prefix(start))
        {
            self.error.get_or_insert(error);
        }
    }

    pub(super) fn error(&self) -> Option<StoreError> {
        self.error.clone()
    }
}
