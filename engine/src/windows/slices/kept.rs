//! What the runtime sees of slices: what is due, what a commit logs, and how they come back from
//! the changelog.

use super::super::changes::AtCommit;
use super::{Size, Slice, Slices, ask};
use crate::{
    batch::Rows,
    state::{KeyedState, Place, RestoreError, State, StoreError, Table},
};

impl<A: State> Slices<A> {
    /// How much there is now. Slices that have not changed are not looked at, however many are
    /// open: only on disk, where keys leave memory at any time.
    fn size_now(&self) -> Size {
        let mut size = self.size;
        let mut measure = |slice: &Slice<A>| size.change(slice.size, Size::of(&slice.table));
        if self.spill.is_some() {
            let numbers = self.order.values();
            numbers.for_each(|number| measure(self.slice(*number)));
        } else {
            self.changed_slices().for_each(measure);
        }
        size
    }
}

impl<A: State> KeyedState for Slices<A> {
    fn len(&self) -> usize {
        self.size_now().keys
    }

    fn memory_bytes(&self) -> usize {
        let live = self.size_now().bytes;
        let spare: usize = self.spare.iter().map(Table::memory_bytes).sum();
        let dead: usize = self.dead.iter().map(|(_, t, _)| t.memory_bytes()).sum();
        live + spare + dead + self.joined.memory_bytes() + self.changes.size_bytes()
    }

    fn changed(&self) -> usize {
        let tables = self.changed_slices().map(|slice| &slice.table);
        tables.map(Table::changed).sum()
    }

    fn due(&mut self, watermark: i64, now_ms: i64, rows: &mut Rows, _: usize) {
        if self.changes.is_giving_out() {
            ask(rows, watermark, true);
        } else if self.is_closing(watermark) {
            ask(rows, watermark, false);
        } else if self.must_update_first(watermark) {
            ask(rows, watermark, true);
        } else {
            self.closed = self.closed.max(self.rules.closed(watermark));
            self.expire(watermark);
            if self.changes.is_early_due(now_ms) {
                ask(rows, watermark, true);
            }
        }
    }

    fn next_due_ms(&self) -> Option<i64> {
        self.changes.next_due_ms()
    }

    fn measures_durations(&self) -> bool {
        true
    }

    fn updates(&mut self, rows: &mut Rows, _: usize) {
        match self.changes.at_commit() {
            AtCommit::Collect => self.collect(),
            AtCommit::GiveOut => ask(rows, self.closed, true),
            AtCommit::Nothing => {}
        }
    }

    fn drain_changed(&mut self, _: u32, rows: &mut Rows, limit: usize) -> bool {
        while let Some((start, number)) = self.changed.last() {
            if let Some(slice) = &mut self.slices[*number]
                && slice.start == *start
            {
                if slice.table.has_changed() {
                    slice.is_logged = true;
                    let suffix = start.to_be_bytes();
                    if slice.table.drain(0, &suffix, rows, limit, None) {
                        return true;
                    }
                }
                slice.has_rows = false;
                let now = Size::of(&slice.table);
                self.size
                    .change(std::mem::replace(&mut slice.size, now), now);
            }
            self.changed.pop();
        }
        false
    }

    fn drain_removed(&mut self, rows: &mut Rows, limit: usize) -> bool {
        while let Some((start, table, place)) = self.dead.last_mut() {
            let (start, suffix) = (*start, start.to_be_bytes());
            let is_done = table.walk_all(0, place, |hash, key, _| {
                let _ = rows.push_parts(hash, start, [&[], &[]], [key, &suffix]);
                rows.size_bytes() < limit
            });
            if !is_done {
                return true;
            }
            if let Some((_, table, _)) = self.dead.pop() {
                self.keep(table);
            }
        }
        self.sweep();
        false
    }

    fn take_error(&mut self) -> Option<StoreError> {
        let spill = self.spill.as_mut()?;
        let live = self.slices.iter_mut().flatten().map(|s| &mut s.table);
        let dead = self.dead.iter_mut().map(|(_, table, _)| table);
        let of_tables = live.chain(dead).find_map(KeyedState::take_error);
        spill.error().or(of_tables)
    }

    fn restore_watermark(&mut self, at: i64) {
        self.closed = self.closed.max(self.rules.closed(at));
        self.expired = self.expired.max(at);
        self.next_end = self.find_next_end();
    }

    fn restore(
        &mut self,
        group: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), RestoreError> {
        let Some((key, start)) = key.split_last_chunk::<8>() else {
            return Err(RestoreError::Value { bytes: key.len() });
        };
        let hash = self.groups.check(group, key)?;
        let start = i64::from_be_bytes(*start);
        let number = self.number(start);
        self.note_changed(start, number);
        self.changes.restored(hash, start, key);
        let slice = self.slice_mut(number);
        slice.is_logged = true;
        slice.table.restore(0, key, value)?;
        if let Some(spill) = &mut self.spill {
            spill.restored(&mut self.slices, number);
        }
        Ok(())
    }

    fn drop_group(&mut self, group: u32) {
        let groups = self.groups;
        for slice in self.slices.iter_mut().flatten() {
            let mut keys = Rows::new();
            slice
                .table
                .walk_all(0, &mut Place::default(), |hash, key, _| {
                    if groups.group_of_hash(hash) == group {
                        let _ = keys.push(hash, 0, &[], key);
                    }
                    true
                });
            for (_, key, _) in keys.iter() {
                // Taking a key out of a table of one group cannot fail.
                let _ = slice.table.restore(0, key, None);
            }
            let now = Size::of(&slice.table);
            self.size
                .change(std::mem::replace(&mut slice.size, now), now);
        }
    }

    fn each_encoded(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        let (mut bytes, mut whole) = (Vec::new(), Vec::new());
        for (start, number) in &self.order {
            let table = &self.slice(*number).table;
            let mut each = |hash, key: &[u8], value: &[u8]| {
                if self.groups.group_of_hash(hash) == group {
                    whole.clear();
                    whole.extend_from_slice(key);
                    whole.extend_from_slice(&start.to_be_bytes());
                    f(&whole, value);
                }
            };
            let _ = table.walk(0, 0, |hash, key, value| {
                bytes.clear();
                value.encode_last(&mut bytes);
                each(hash, key, &bytes);
                true
            });
            table.each_cold(0, &mut |key, value| each(table.hash(key), key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        flow::Emit,
        state::{KeyGroups, StorePlace},
        windows::spec::{Hopping, Rules, Tumbling, WindowSpec, WindowState},
    };

    fn rules() -> Rules {
        Rules {
            lateness_ms: 1 << 40,
            emit: Emit::OnClose,
            early_ms: 0,
        }
    }

    /// Counts a row of each of these times.
    fn take(slices: &mut Slices<u64>, times: impl IntoIterator<Item = i64>) {
        let mut rows = Rows::new();
        for time in times {
            let hash = slices.groups.hasher.bytes(b"key");
            rows.push(hash, time, &[], b"key").unwrap();
        }
        let count = |n: &mut u64, _: &[u8]| {
            *n += 1;
            true
        };
        let merge = &mut |sum: &mut u64, n| *sum += n;
        let closed = slices.closed;
        assert!(slices.take(&rows, closed, merge, count, |_| panic!("a late row")));
    }

    fn drained(slices: &mut Slices<u64>) -> usize {
        let mut rows = Rows::new();
        assert!(!slices.drain_changed(0, &mut rows, usize::MAX));
        rows.len()
    }

    /// Emits what has closed, and corrections that must come before windows are past; how many results there are.
    fn fire(slices: &mut Slices<u64>, watermark: i64) -> usize {
        let (mut due, mut out) = (Rows::new(), Rows::new());
        slices.due(watermark, 0, &mut due, usize::MAX);
        while !due.is_empty() {
            due.clear();
            let merge = &mut |sum: &mut u64, n| *sum += n;
            if slices.is_closing(watermark) {
                slices.fire_closed(watermark, merge, &mut out, usize::MAX);
            } else {
                slices.fire_updates(merge, &mut out, usize::MAX);
            }
            slices.due(watermark, 0, &mut due, usize::MAX);
        }
        out.len()
    }

    #[test]
    fn a_commit_looks_at_the_slices_that_have_changed_and_not_at_all_that_are_open() {
        let spec = Tumbling::of(Duration::from_millis(10));
        let place = StorePlace(None);
        let mut slices = spec.state(KeyGroups::new(1, 1), 0u64, rules(), place);
        take(&mut slices, (0..1000).map(|n| 10 * n));
        assert_eq!((slices.changed.len(), slices.changed()), (1000, 1000));
        assert_eq!(slices.len(), 1000);
        assert_eq!(drained(&mut slices), 1000);
        let all = slices.size_now().bytes;
        assert_eq!(fire(&mut slices, 4999), 500);
        assert_eq!(
            (slices.order.len(), slices.changed.len()),
            (1000, 0),
            "all are open"
        );
        take(&mut slices, [123, 7000, 125]);
        take(&mut slices, [7001]);
        assert_eq!((slices.changed.len(), slices.changed()), (2, 2));
        assert_eq!(drained(&mut slices), 2);
        assert_eq!(drained(&mut slices), 0);
        assert_eq!(fire(&mut slices, 9999), 500);
        assert_eq!((slices.len(), slices.size_now().bytes), (1000, all));
        let corrected = fire(&mut slices, 4999 + (1 << 40));
        assert_eq!(corrected, 1, "the window of the rows that were late");
        assert_eq!(slices.len(), 500, "the others are past");
        assert_eq!(fire(&mut slices, 1 << 41), 0);
        assert_eq!((slices.len(), slices.size.bytes), (0, 0));
    }

    #[test]
    fn the_next_window_to_close_is_found_among_any_slices() {
        for (width, slide, offset) in [(10, 10, 0), (30, 10, 0), (25, 10, 3), (7, 3, -2)] {
            let ms = |n: u64| Duration::from_millis(n);
            let spec = Hopping::of(ms(width), ms(slide)).offset_ms(offset);
            let place = StorePlace(None);
            let mut slices = spec.state(KeyGroups::new(1, 1), 0u64, rules(), place);
            take(&mut slices, [-55, -31, 0, 4, 38, 39, 40, 200, 1000]);
            let starts: Vec<i64> = slices.order.keys().copied().collect();
            for closed in (-200..1200).chain([i64::MIN, i64::MAX]) {
                slices.closed = closed;
                let ends = starts.iter().map(|s| slices.slicing.next_end(*s, closed));
                let want = ends.flatten().min().unwrap_or(i64::MAX);
                assert_eq!(
                    slices.find_next_end(),
                    want,
                    "{width} {slide} after {closed}"
                );
            }
        }
    }

    /// Some of its slices are gone: what would be given out again is not all of it.
    #[test]
    fn a_window_that_was_past_before_a_restart_is_not_given_out_again_beside_its_neighbour() {
        let (width, slide) = (Duration::from_millis(10), Duration::from_millis(5));
        let rules = Rules {
            lateness_ms: 3,
            ..rules()
        };
        let keys = KeyGroups::new(1, 1);
        let spec = Hopping::of(width, slide);
        let mut slices = spec.state(keys, 0u64, rules, StorePlace(None));
        slices.restore_watermark(20);
        // In the windows from 5, which is past, and from 10, which is closed and may still be corrected.
        take(&mut slices, [12]);
        let mut out = Rows::new();
        slices.fire_updates(&mut |sum: &mut u64, n| *sum += n, &mut out, usize::MAX);
        assert_eq!(out.len(), 1);
    }
}
