//! Slices that share a place on disk and one bound on memory: which of their keys leave it.
//!
//! ```text
//! key there: [start of the slice, so that earlier ones come first][key group: 0][key]       a slice that is past goes as a range
//! ```

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
    /// The last slice that was let go of, of those with something on disk.
    gone: Option<i64>,
    restored: usize,
    error: Option<StoreError>,
    /// Numbers of the slices of a chunk, each once.
    numbers: Vec<usize>,
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
            slice.touched = self.chunks;
            slice.table.warm(|each| {
                let rows = chunk.iter().zip(numbers).filter(|(_, n)| *n == number);
                rows.for_each(|(head, _)| each(head.key_of(data), head.hash));
            });
        }
    }

    /// Moves keys out until the slices are small enough: first those of slices to which no rows came for the longest.
    fn trim<A: State>(&mut self, slices: &mut [Option<Slice<A>>]) {
        let mut live: Vec<(u64, usize, &mut Table<A>)> = slices
            .iter_mut()
            .flatten()
            .map(|slice| (slice.touched, slice.table.held_bytes(), &mut slice.table))
            .filter(|(_, bytes, _)| *bytes > 0)
            .collect();
        let mut total: usize = live.iter().map(|(_, bytes, _)| bytes).sum();
        if total <= self.limit_bytes {
            return;
        }
        live.sort_unstable_by_key(|(touched, ..)| *touched);
        for (_, bytes, table) in live {
            let mut left = bytes;
            while total > self.limit_bytes && left > 0 {
                table.evict_some();
                let now = table.held_bytes();
                total = total - left + now;
                // An error of the disk: nothing moves any more, and the call will end with it.
                if now >= left {
                    break;
                }
                left = now;
            }
        }
    }

    /// An entry of the changelog was taken.
    pub(super) fn restored<A: State>(&mut self, slices: &mut [Option<Slice<A>>]) {
        self.restored += 1;
        if self.restored.is_multiple_of(CHUNK) {
            self.trim(slices);
        }
    }

    /// A slice was let go of.
    pub(super) fn is_gone<A: State>(&mut self, start: i64, table: &Table<A>) {
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
