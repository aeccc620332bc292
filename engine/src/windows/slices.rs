//! State of tumbling and hopping windows: a table for each slice of time, so that a row updates one value, and a closed slice is let go
//! of at once. On disk the tables share one place and one bound on memory (`spill.rs`).
//!
//! ```text
//! slices   [start | table: key → value] [start | table] …        window = the slices between its start and end, joined key by key
//! ```

use std::collections::BTreeMap;

use super::changes::Changes;
use super::firing::{Firing, Stage};
use super::near::{Near, UNKNOWN};
use super::spec::{Rules, Slicing, Window, WindowState};
use super::spill::Spill;
use crate::{
    batch::{Encode, Rows},
    flow::Emit,
    state::{CHUNK, Key, KeyGroups, Place, State, StorePlace, Table, merge_cold},
};

mod kept;

pub(super) struct Slice<A> {
    pub(super) table: Table<A>,
    start: i64,
    /// End of the first window that it belongs to.
    first_end: i64,
    last_end: i64,
    /// Something of it is in the changelog.
    is_logged: bool,
    /// Rows came to it since its changes were drained: it is in the list of these.
    has_rows: bool,
    size: Size,
}

/// How much there is, when it was last measured.
#[derive(Clone, Copy, Default)]
struct Size {
    keys: usize,
    bytes: usize,
}

impl Size {
    fn of<A: State>(table: &Table<A>) -> Self {
        Self {
            keys: table.len(),
            bytes: table.memory_bytes(),
        }
    }

    /// A part of it that was of one size is of another one now.
    fn change(&mut self, before: Self, now: Self) {
        self.keys = self.keys + now.keys - before.keys;
        self.bytes = self.bytes + now.bytes - before.bytes;
    }
}

/// See the module's head.
pub struct Slices<A> {
    slicing: Slicing,
    rules: Rules,
    /// As they lie in the changelog.
    groups: KeyGroups,
    initial: A,
    /// By number; the numbers stay while slices come and go.
    slices: Vec<Option<Slice<A>>>,
    free: Vec<usize>,
    /// Numbers by start.
    order: BTreeMap<i64, usize>,
    /// Start and number of those that have changed since they were drained, and of some that are
    /// gone: what a commit looks at, however many are open.
    changed: Vec<(i64, usize)>,
    /// Of all slices, as each was last measured.
    size: Size,
    /// The slice of the last row.
    last: (i64, usize),
    /// Windows with a last millisecond up to this were given out.
    closed: i64,
    /// Slices that were past at this watermark are gone.
    expired: i64,
    /// End of the next window to be given out.
    next_end: i64,
    firing: Option<Firing>,
    /// Where slices of one window are joined.
    joined: Table<Option<A>>,
    /// The time is the slice's start.
    changes: Changes,
    /// Ends of the windows that `changes` have given out for the key at hand.
    seen: Vec<i64>,
    /// Slices that are gone, and stand in the changelog still: start, table, where to go on.
    dead: Vec<(i64, Table<A>, Place)>,
    spare: Vec<Table<A>>,
    buffer: Vec<u8>,
    /// Numbers of the slices of a chunk's rows.
    chunk: Vec<usize>,
    spill: Option<Spill>,
}

const LATE: usize = usize::MAX;
/// Tables kept for slices to come.
const SPARE_MAX: usize = 4;

impl<A: State> Slices<A> {
    pub(super) fn new(
        slicing: Slicing,
        groups: KeyGroups,
        initial: A,
        rules: Rules,
        place: StorePlace,
    ) -> Self {
        Self {
            spill: Spill::new(place),
            slicing,
            rules,
            groups,
            joined: Table::new(groups.single(), None),
            initial,
            slices: Vec::new(),
            free: Vec::new(),
            order: BTreeMap::new(),
            changed: Vec::new(),
            size: Size::default(),
            last: (i64::MAX, 0),
            closed: i64::MIN,
            expired: i64::MIN,
            next_end: i64::MAX,
            firing: None,
            changes: Changes::new(rules),
            seen: Vec::new(),
            dead: Vec::new(),
            spare: Vec::new(),
            buffer: Vec::new(),
            chunk: Vec::new(),
        }
    }

    fn slice(&self, number: usize) -> &Slice<A> {
        self.slices[number]
            .as_ref()
            .expect("only slices that are there are numbered")
    }

    fn slice_mut(&mut self, number: usize) -> &mut Slice<A> {
        self.slices[number]
            .as_mut()
            .expect("only slices that are there are numbered")
    }

    /// The number of the slice that begins at `start`; made if it is not there.
    fn number(&mut self, start: i64) -> usize {
        if self.last.0 == start {
            return self.last.1;
        }
        let number = match self.order.get(&start) {
            Some(number) => *number,
            None => self.open(start),
        };
        self.last = (start, number);
        number
    }

    fn note_changed(&mut self, start: i64, number: usize) {
        if !std::mem::replace(&mut self.slice_mut(number).has_rows, true) {
            self.changed.push((start, number));
        }
    }

    /// Of all that a commit has to look at: the slices whose changes are not drained.
    fn changed_slices(&self) -> impl Iterator<Item = &Slice<A>> {
        let slices = self.changed.iter().map(|(start, number)| {
            let slice = self.slices[*number].as_ref();
            slice.filter(|slice| slice.start == *start && slice.has_rows)
        });
        slices.flatten()
    }

    /// The number of the slice of a row, or that the row is late. Each batch of rows asks once at
    /// least for each of its slices, so this is the place where those are noted that have changed.
    #[inline(never)]
    fn find(&mut self, timestamp: i64, watermark: i64, near: &mut Near) -> usize {
        let start = self.slicing.slice(timestamp);
        let last_end = self.slicing.last_end(start);
        let number = if self.rules.is_past(last_end - 1, watermark) {
            LATE
        } else {
            let number = self.number(start);
            self.note_changed(start, number);
            number
        };
        near.note(start, number);
        number
    }

    /// The numbers of the slices of rows.
    fn find_all(
        &mut self,
        times: impl Iterator<Item = i64>,
        watermark: i64,
        near: &mut Near,
    ) -> Vec<usize> {
        let mut numbers = std::mem::take(&mut self.chunk);
        numbers.clear();
        numbers.extend(times.map(|timestamp| match near.of(timestamp) {
            UNKNOWN => self.find(timestamp, watermark, near),
            number => number,
        }));
        numbers
    }

    /// As in a plain table: first the loads, all at once, then the probes.
    fn touch(&self, hashes: impl Iterator<Item = u64>, numbers: &[usize]) {
        let mut seen = 0;
        for (hash, number) in hashes.zip(numbers) {
            if let Some(Some(slice)) = self.slices.get(*number) {
                seen ^= slice.table.home(hash);
            }
        }
        std::hint::black_box(seen);
    }

    #[cold]
    fn open(&mut self, start: i64) -> usize {
        let (keys, initial) = (self.groups.single(), &self.initial);
        let make = || match &self.spill {
            Some(spill) => spill.table(start, keys, initial.clone()),
            None => Table::new(keys, initial.clone()),
        };
        let table = self.spare.pop().unwrap_or_else(make);
        let last_end = self.slicing.last_end(start);
        let slice = Slice {
            table,
            start,
            first_end: self.slicing.first_end(start),
            last_end,
            is_logged: false,
            has_rows: false,
            size: Size::default(),
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.slices.push(None);
            self.slices.len() - 1
        });
        self.slices[number] = Some(slice);
        self.order.insert(start, number);
        let next = self.slicing.next_end(start, self.closed);
        self.next_end = self.next_end.min(next.unwrap_or(i64::MAX));
        number
    }

    /// The end of the first window over any slice that is not closed. Later slices have no earlier
    /// windows, so the first slice that has such a window has this one; those before it are not
    /// looked at.
    fn find_next_end(&self) -> i64 {
        let from = self.slicing.first_after(self.closed);
        let mut slices = self.order.range(from..);
        let next = slices.find_map(|(start, _)| self.slicing.next_end(*start, self.closed));
        next.unwrap_or(i64::MAX)
    }

    /// The slices of a window, by start.
    fn of_window(&self, window: Window) -> impl Iterator<Item = usize> {
        let slices = self.order.range(window.start..window.end);
        slices.map(|(_, number)| *number)
    }

    /// Lets go of slices that no window needs any more.
    fn expire(&mut self, watermark: i64) {
        self.expired = self.expired.max(watermark);
        while let Some(first) = self.order.first_entry()
            && let number = *first.get()
            && let Some(slice) = &self.slices[number]
            && self.rules.is_past(slice.last_end - 1, watermark)
        {
            first.remove();
            self.free.push(number);
            self.last = (i64::MAX, 0);
            if let Some(slice) = self.slices[number].take() {
                self.size.change(slice.size, Size::default());
                if let Some(spill) = &mut self.spill {
                    spill.is_gone(number, slice.start, &slice.table);
                }
                if slice.is_logged {
                    let from = Place::default();
                    self.dead.push((slice.start, slice.table, from));
                } else {
                    self.keep(slice.table);
                }
            }
        }
        self.sweep();
    }

    /// Lets the disk go of slices that nobody needs any more.
    fn sweep(&mut self) {
        if let Some(spill) = &mut self.spill
            && self.dead.is_empty()
        {
            spill.sweep();
        }
    }

    /// Keeps a table for a slice to come.
    fn keep(&mut self, mut table: Table<A>) {
        if self.spare.len() < SPARE_MAX && self.spill.is_none() {
            table.clear();
            self.spare.push(table);
        }
    }

    /// Notes what has changed since the last commit.
    fn collect(&mut self) {
        let (slices, changes) = (&mut self.slices, &mut self.changes);
        for (start, number) in &self.changed {
            if let Some(slice) = &mut slices[*number]
                && slice.start == *start
            {
                slice.table.each_changed(|hash, key, _| {
                    changes.note(hash, *start, key);
                });
            }
        }
        self.changes.compact();
    }

    /// Whether a slice would be let go of whose changes were not given out.
    fn must_update_first(&self, watermark: i64) -> bool {
        let is_past = |number: usize| {
            self.rules
                .is_past(self.slice(number).last_end - 1, watermark)
        };
        self.rules.lateness_ms > 0
            && self
                .order
                .first_key_value()
                .is_some_and(|(_, n)| is_past(*n))
            && self.changes.any()
    }

    fn is_closing(&self, watermark: i64) -> bool {
        // At the end of time everything is closed; `i64::MAX` is no window's end.
        let is_next = self.next_end != i64::MAX
            && self.next_end.saturating_sub(1) <= self.rules.closed(watermark);
        self.firing.is_some() || is_next
    }

    /// One piece of a window. True when it is given out.
    fn fire_window(
        &mut self,
        firing: &mut Firing,
        merge: &mut dyn FnMut(&mut A, A),
        out: &mut Rows,
        limit: usize,
    ) -> bool {
        let window = self.slicing.window(firing.end);
        loop {
            let (is_done, next) = match &mut firing.stage {
                Stage::Join => (
                    self.join_slices(window, firing, merge, limit),
                    Some(Stage::Emit),
                ),
                Stage::Emit => (self.emit_window(window, firing, out, limit), None),
                Stage::Settle => (self.settle_slices(window, limit), Some(Stage::Merge(None))),
                Stage::Merge(after) => (self.merge_slices(window, after, merge, out, limit), None),
            };
            match next {
                _ if !is_done => return false,
                Some(next) => firing.stage = next,
                None => return true,
            }
        }
    }

    /// How a window is given out.
    fn first_stage(&self, window: Window) -> Stage {
        let slices = || self.of_window(window).map(|number| self.slice(number));
        if self.slicing.is_tumbling() || slices().count() == 1 {
            // Nothing to join.
            Stage::Emit
        } else if slices().any(|slice| slice.table.has_cold()) {
            Stage::Settle
        } else {
            Stage::Join
        }
    }

    fn join_slices(
        &mut self,
        window: Window,
        firing: &mut Firing,
        merge: &mut dyn FnMut(&mut A, A),
        limit: usize,
    ) -> bool {
        if firing.joined == 0 && self.joined.is_empty() {
            let largest = self
                .of_window(window)
                .max_by_key(|n| self.slice(*n).table.len());
            if let Some(Some(slice)) = largest.and_then(|n| self.slices.get(n)) {
                self.joined.make_room_for(&slice.table);
            }
        }
        let numbers: Vec<usize> = self.of_window(window).skip(firing.joined).collect();
        for number in numbers {
            let slice = self.slices[number].as_mut().expect("it is in the order");
            let (joined, mut left) = (&mut self.joined, limit / 64 + 1);
            let step = |hash, key: &[u8], value: &A| {
                joined.update_hashed(key, Key::short(key), hash, 0, |sum| join(sum, value, merge));
                left -= 1;
                left > 0
            };
            if !slice.table.walk_all(0, &mut firing.place, step) {
                return false;
            }
            (firing.joined, firing.place) = (firing.joined + 1, Place::default());
        }
        true
    }

    fn emit_window(
        &mut self,
        window: Window,
        firing: &mut Firing,
        out: &mut Rows,
        limit: usize,
    ) -> bool {
        let (buffer, place) = (&mut self.buffer, &mut firing.place);
        if firing.joined > 0 {
            let is_done = self.joined.walk_all(0, place, |hash, key, value| {
                if let Some(value) = value {
                    emit(out, hash, key, window, value, buffer);
                }
                out.size_bytes() < limit
            });
            if is_done {
                self.joined.clear();
            }
            return is_done;
        }
        let Some(number) = self.of_window(window).next() else {
            return true;
        };
        let (slices, buffer) = (&mut self.slices, &mut self.buffer);
        let slice = slices[number].as_mut().expect("it is in the order");
        slice.table.walk_all(0, place, |hash, key, value| {
            emit(out, hash, key, window, value, buffer);
            out.size_bytes() < limit
        })
    }

    /// Moves the window's slices to the disk, a piece at a time. True when all are there.
    fn settle_slices(&mut self, window: Window, limit: usize) -> bool {
        let numbers: Vec<usize> = self.of_window(window).collect();
        let mut left = limit / (16 << 10) + 1;
        for number in numbers {
            let table = &mut self.slices[number]
                .as_mut()
                .expect("it is in the order")
                .table;
            let mut is_more = true;
            while left > 0 && is_more {
                is_more = table.evict_segment();
                left -= usize::from(is_more);
            }
            if let Some(spill) = &mut self.spill {
                spill.measure(number, table);
            }
            if is_more {
                return false;
            }
        }
        true
    }

    fn merge_slices(
        &mut self,
        window: Window,
        after: &mut Option<Vec<u8>>,
        merge: &mut dyn FnMut(&mut A, A),
        out: &mut Rows,
        limit: usize,
    ) -> bool {
        // Out of their places and back, so that no other slice is looked at.
        let numbers: Vec<usize> = self.of_window(window).collect();
        let take = |number: &usize| self.slices[*number].take();
        let mut of_window: Vec<Option<Slice<A>>> = numbers.iter().map(take).collect();
        let (hasher, buffer) = (self.groups.hasher, &mut self.buffer);
        let slices = of_window.iter_mut().flatten();
        let mut tables: Vec<&mut Table<A>> = slices.map(|slice| &mut slice.table).collect();
        let is_done = merge_cold(&mut tables, after, |key, values| {
            if let Some(mut sum) = values.next() {
                values.for_each(|value| merge(&mut sum, value));
                emit(out, hasher.bytes(key), key, window, &sum, buffer);
            }
            out.size_bytes() < limit
        });
        for (number, slice) in numbers.into_iter().zip(of_window) {
            self.slices[number] = slice;
        }
        is_done
    }

    /// Gives out one key's value in one window.
    fn emit_key(
        &mut self,
        hash: u64,
        key: &[u8],
        window: Window,
        merge: &mut dyn FnMut(&mut A, A),
        out: &mut Rows,
    ) {
        let mut sum = None;
        for (_, number) in self.order.range(window.start..window.end) {
            let slice = self.slices[*number].as_mut().expect("it is in the order");
            if let Some(value) = slice.table.peek(key, hash) {
                match &mut sum {
                    Some(sum) => merge(sum, value.into_owned()),
                    None => sum = Some(value.into_owned()),
                }
            }
        }
        if let Some(sum) = sum {
            emit(out, hash, key, window, &sum, &mut self.buffer);
        }
    }
}

fn join<A: Clone>(sum: &mut Option<A>, value: &A, merge: &mut dyn FnMut(&mut A, A)) {
    match sum {
        Some(sum) => merge(sum, value.clone()),
        None => *sum = Some(value.clone()),
    }
}

/// Writes a result as a row: the window before the value, the window's last millisecond as timestamp.
pub(super) fn emit<A: Encode>(
    out: &mut Rows,
    hash: u64,
    key: &[u8],
    window: Window,
    value: &A,
    buffer: &mut Vec<u8>,
) {
    buffer.clear();
    window.encode(buffer);
    value.encode_last(buffer);
    // Results are taken away long before they reach 4 GiB.
    let pushed = out.push(hash, window.max_timestamp(), buffer, key);
    assert!(pushed.is_ok(), "a key and its value stay below 4 GiB");
}

impl<A: State> WindowState<A> for Slices<A> {
    fn take<'r>(
        &mut self,
        rows: &'r Rows,
        watermark: i64,
        _: &mut dyn FnMut(&mut A, A),
        mut step: impl FnMut(&mut A, &'r [u8]) -> bool,
        mut late: impl FnMut(Option<usize>),
    ) -> bool {
        let data = rows.data();
        let (mut is_ok, mut index) = (true, 0);
        self.changes.touch();
        // A key evicted between two pieces of a window would be given out twice.
        debug_assert!(
            self.firing.is_none(),
            "no row comes in the middle of a window"
        );
        let notes_late = self.rules.lateness_ms > 0 && self.rules.emit == Emit::OnClose;
        let mut near = Near::new(self.slicing.size);
        for chunk in rows.keys().chunks(CHUNK) {
            let times = chunk.iter().map(|row| row.timestamp);
            let numbers = self.find_all(times, watermark, &mut near);
            self.touch(chunk.iter().map(|row| row.hash), &numbers);
            for (row, number) in chunk.iter().zip(&numbers) {
                if *number == LATE {
                    late(None);
                    continue;
                }
                let key = Key::from(row.key);
                let closed = self.closed;
                let slice = self.slice_mut(*number);
                let table = &mut slice.table;
                table.update_hashed(&[], Some(key), row.hash, row.timestamp, |value| {
                    is_ok &= step(value, &[]);
                });
                if notes_late && slice.first_end - 1 <= closed {
                    let (start, (bytes, len)) = (slice.start, key.unpack());
                    self.changes.note(row.hash, start, &bytes[..len]);
                }
            }
            self.chunk = numbers;
        }
        for chunk in rows.heads().chunks(CHUNK) {
            let times = chunk.iter().map(|head| head.timestamp);
            let numbers = self.find_all(times, watermark, &mut near);
            if let Some(spill) = &mut self.spill {
                spill.warm(&mut self.slices, chunk, &numbers, data);
            }
            self.touch(chunk.iter().map(|head| head.hash), &numbers);
            for (head, number) in chunk.iter().zip(&numbers) {
                index += 1;
                if *number == LATE {
                    late(Some(index - 1));
                    continue;
                }
                let (at, len) = head.key_range();
                let packed = Key::short_at(data, at, len);
                let key = head.key_of(data);
                let closed = self.closed;
                let slice = self.slice_mut(*number);
                slice
                    .table
                    .update_hashed(key, packed, head.hash, head.timestamp, |value| {
                        is_ok &= step(value, head.value_of(data));
                    });
                if notes_late && slice.first_end - 1 <= closed {
                    let start = slice.start;
                    self.changes.note(head.hash, start, key);
                }
            }
            self.chunk = numbers;
        }
        is_ok
    }

    fn is_updating(&self) -> bool {
        self.changes.is_giving_out()
    }

    fn fire_closed(
        &mut self,
        watermark: i64,
        merge: &mut dyn FnMut(&mut A, A),
        out: &mut Rows,
        limit: usize,
    ) {
        while self.is_closing(watermark) {
            let mut firing = self.firing.take().unwrap_or_else(|| Firing {
                end: self.next_end,
                joined: 0,
                place: Place::default(),
                stage: self.first_stage(self.slicing.window(self.next_end)),
            });
            if !self.fire_window(&mut firing, merge, out, limit) {
                self.firing = Some(firing);
                return;
            }
            self.closed = firing.end - 1;
            self.next_end = self.find_next_end();
        }
    }

    fn fire_updates(&mut self, merge: &mut dyn FnMut(&mut A, A), out: &mut Rows, limit: usize) {
        if self.changes.collects_now() {
            self.collect();
        }
        self.changes.begin();
        let is_early = self.changes.are_early();
        let mut changes = std::mem::replace(&mut self.changes, Changes::new(self.rules));
        let mut seen = std::mem::take(&mut self.seen);
        while out.size_bytes() < limit
            && let Some((head, key, is_other)) = changes.next()
        {
            if is_other {
                seen.clear();
            }
            let mut after = i64::MIN;
            while let Some(end) = self.slicing.next_end(head.timestamp, after) {
                after = end - 1;
                // Of a window that is past some slices may be gone.
                let is_wanted = (is_early || end - 1 <= self.closed)
                    && !self.rules.is_past(end - 1, self.expired);
                if is_wanted && !seen.contains(&end) {
                    seen.push(end);
                    self.emit_key(head.hash, key, self.slicing.window(end), merge, out);
                }
            }
        }
        changes.end_if_done();
        (self.changes, self.seen) = (changes, seen);
    }
}

/// The dummy row that asks the plan's half of the operator for what is due; a commit's has another hash.
pub(super) fn ask(rows: &mut Rows, watermark: i64, for_commit: bool) {
    let _ = rows.push(u64::from(for_commit), watermark, &[], &[]);
}
