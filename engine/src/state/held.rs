//! Rows that wait for their time: what `in_order` holds until the watermark has passed them, a queue by time for each key group.
//!
//! ```text
//! row in      [tie][row][key]               tie: who gave the row out, and where that one had it from (`Tie`)
//! changelog   key [key][time][number]       value [tie][row]
//! ```
//! A row that is let go of before a commit never touches the changelog; one that was there at a commit is written once and deleted once.
//! On disk (`held_cold.rs`) are the rows that have the longest to wait, where there is a bound on memory.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use super::held_cold::{ColdRow, ColdRows};
use super::store::Place;
use super::{CHUNK, KeyGroups, KeyedState, RestoreError, StoreError};
use crate::batch::{InputPartition, Rows};

/// Below this many dead bytes an arena is left as it is.
const DEAD_MIN: usize = 64 << 10;
/// Deletions for the changelog that are handed out together.
const REMOVED_BYTES: usize = 256 << 10;

/// Which of two rows of the same time comes first: what stands before each row. Source, partition and offset of its record; or, behind
/// another keyed operator, that operator alone, and then the bytes of the rows decide (as they do of a source with thousands of topics).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tie {
    /// The source, or the cut, by its place in the plan.
    pub(crate) origin: usize,
    /// The record's partition among all that the source reads, and its offset: one that orders as it does is enough.
    pub(crate) record: Option<(InputPartition, i64)>,
}

impl Tie {
    const LEN: usize = 14;
    /// In the place of a partition.
    const NO_RECORD: u32 = u32::MAX;

    /// Written so that bytes compare as what they stand for.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        // A plan has fewer operators; partitions and offsets are not negative.
        out.extend_from_slice(&(self.origin as u16).to_be_bytes());
        let (partition, offset) = match self.record {
            Some((partition, offset)) => (partition.order(), offset),
            None => (Self::NO_RECORD, 0),
        };
        out.extend_from_slice(&partition.to_be_bytes());
        out.extend_from_slice(&offset.to_be_bytes());
    }

    /// Whether the bytes of the rows decide.
    fn is_by_bytes(tie: &[u8]) -> bool {
        tie[2..6] >= InputPartition::ORDER_UNKNOWN.to_be_bytes()[..]
    }
}

/// Where a row lies in its group's arena, and when its time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    time: i64,
    /// Counts the rows of the group as they came; with the key it is the row's name in the changelog.
    number: u64,
    hash: u64,
    at: u64,
    /// Of tie and row.
    value_len: u32,
    key_len: u32,
}

impl Held {
    fn value<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let at = self.at as usize;
        &arena[at..at + self.value_len as usize]
    }

    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let at = self.at as usize + self.value_len as usize;
        &arena[at..at + self.key_len as usize]
    }

    fn len(&self) -> usize {
        self.value_len as usize + self.key_len as usize
    }

    /// Which of two rows of one time comes first. Rows of one record come as they came: from one worker, one behind the other.
    fn tie(&self, other: &Self, arena: &[u8]) -> Ordering {
        let (a, b) = (self.value(arena), other.value(arena));
        let ties = a[..Tie::LEN].cmp(&b[..Tie::LEN]);
        ties.then_with(|| {
            if Tie::is_by_bytes(a) {
                a[Tie::LEN..].cmp(&b[Tie::LEN..])
            } else {
                Ordering::Equal
            }
        })
        .then(self.number.cmp(&other.number))
    }
}

/// Where a row in memory is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Young,
    Logged,
    Restored,
}

/// The rows of one key group.
#[derive(Debug)]
struct Group {
    arena: Vec<u8>,
    /// Bytes in the arena that no row needs any more.
    dead: usize,
    /// Rows that are not in the changelog.
    young: BinaryHeap<Reverse<Held>>,
    /// Rows that are.
    logged: BinaryHeap<Reverse<Held>>,
    /// Rows read back, by time and number, as long as deletions of them may follow.
    restored: BTreeMap<(i64, u64), Held>,
    /// Rows whose time has come and whether they are in the changelog, the last one first.
    ready: Vec<(Held, bool)>,
    next_number: u64,
    /// Rows on disk, and those of them that are not in the changelog.
    cold: usize,
    cold_young: usize,
    /// On disk is nothing before this time.
    cold_next: i64,
    /// What is on disk comes behind this time.
    cold_after: i64,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            arena: Vec::new(),
            dead: 0,
            young: BinaryHeap::new(),
            logged: BinaryHeap::new(),
            restored: BTreeMap::new(),
            ready: Vec::new(),
            next_number: 0,
            cold: 0,
            cold_young: 0,
            cold_next: i64::MAX,
            cold_after: i64::MIN,
        }
    }
}

impl Group {
    fn push(&mut self, time: i64, hash: u64, value: &[u8], key: &[u8]) {
        if self.dead > DEAD_MIN && self.dead * 2 > self.arena.len() {
            self.compact();
        }
        let held = self.keep(self.next_number, time, hash, value, key);
        self.next_number = self.next_number.wrapping_add(1);
        self.young.push(Reverse(held));
    }

    fn keep(&mut self, number: u64, time: i64, hash: u64, value: &[u8], key: &[u8]) -> Held {
        let at = self.arena.len() as u64;
        self.arena.extend_from_slice(value);
        self.arena.extend_from_slice(key);
        Held {
            time,
            number,
            hash,
            at,
            // Rows count their bytes in 32 bits.
            value_len: value.len() as u32,
            key_len: key.len() as u32,
        }
    }

    /// What was read back is logged: nothing more is read back.
    fn settle(&mut self) {
        if !self.restored.is_empty() {
            let restored = std::mem::take(&mut self.restored);
            self.logged.extend(restored.into_values().map(Reverse));
        }
    }

    fn next_time(&self) -> Option<i64> {
        let first = |heap: &BinaryHeap<Reverse<Held>>| heap.peek().map(|Reverse(held)| held.time);
        let next = [first(&self.young), first(&self.logged)];
        next.into_iter().flatten().min()
    }

    /// Gets rows ready whose time has come: `limit` bytes of them, and then the rest of that millisecond.
    fn make_ready(&mut self, watermark: i64, limit: usize) {
        let mut bytes = 0;
        while let Some(time) = self.next_time() {
            if time > watermark || bytes >= limit {
                break;
            }
            for (heap, is_logged) in [(&mut self.young, false), (&mut self.logged, true)] {
                while let Some(Reverse(held)) = heap.peek()
                    && held.time == time
                {
                    bytes += held.len();
                    self.ready.push((*held, is_logged));
                    heap.pop();
                }
            }
        }
        let arena = &self.arena;
        self.ready.sort_unstable_by(|(a, _), (b, _)| {
            let order = a.time.cmp(&b.time).then_with(|| a.tie(b, arena));
            order.reverse()
        });
    }

    /// Moves rows whose time has come to `out`, in their order, until it holds `limit` bytes; `removed` is called with those that the
    /// changelog must forget. What was given out before, at a watermark of `released`, is not again.
    fn release(
        &mut self,
        (watermark, released): (i64, i64),
        (out, limit): (&mut Rows, usize),
        (cold, number): (&mut Option<ColdRows>, u32),
        mut removed: impl FnMut(&Held, &[u8]),
    ) {
        self.settle();
        while out.size_bytes() < limit {
            let Some((held, is_logged)) = self.ready.pop() else {
                let mut until = watermark;
                if self.cold > 0 && self.cold_next <= watermark {
                    self.warm(watermark, limit, cold, number);
                    // From there on something is on disk.
                    until = until.min(self.cold_next.saturating_sub(1));
                }
                self.make_ready(until, limit);
                if self.ready.is_empty() {
                    break;
                }
                continue;
            };
            let (value, key) = (held.value(&self.arena), held.key(&self.arena));
            if held.time > released {
                // Far below 4 GiB: `limit`, and a row that did fit.
                let _ = out.push(held.hash, held.time, &value[Tie::LEN..], key);
            }
            if is_logged {
                removed(&held, key);
            }
            self.dead += held.len();
        }
        if self.len() == self.cold {
            self.arena.clear();
            self.dead = 0;
        }
    }

    fn len(&self) -> usize {
        let here = self.young.len() + self.logged.len() + self.restored.len() + self.ready.len();
        here + self.cold
    }

    /// Takes rows back from the disk whose time has come.
    fn warm(&mut self, watermark: i64, limit: usize, cold: &mut Option<ColdRows>, group: u32) {
        let Some(cold) = cold else { return };
        let after = self.cold_after;
        let next = cold.take(group, after, watermark, limit, |row| {
            let held = self.keep(row.number, row.time, row.hash, row.value, row.key);
            self.cold -= 1;
            self.cold_after = row.time;
            if row.is_logged {
                self.logged.push(Reverse(held));
            } else {
                self.cold_young -= 1;
                self.young.push(Reverse(held));
            }
        });
        self.cold_next = next.unwrap_or(i64::MAX);
    }

    /// Moves the half of the rows that has the longest to wait to the disk; false when there is nothing to move.
    fn chill(&mut self, cold: &mut ColdRows, number: u32) -> bool {
        let of = |heap: &mut BinaryHeap<Reverse<Held>>| std::mem::take(heap).into_vec();
        let (young, logged) = (of(&mut self.young), of(&mut self.logged));
        let young = young.into_iter().map(|Reverse(held)| (held, Kept::Young));
        let logged = logged.into_iter().map(|Reverse(held)| (held, Kept::Logged));
        let restored = std::mem::take(&mut self.restored).into_values();
        let restored = restored.map(|held| (held, Kept::Restored));
        let mut all: Vec<(Held, Kept)> = young.chain(logged).chain(restored).collect();
        all.sort_unstable_by_key(|(held, _)| *held);
        let half = all.iter().map(|(held, _)| held.len()).sum::<usize>() / 2;
        let mut bytes = 0;
        let stays = all.iter().take_while(|(held, _)| {
            let is_before = bytes <= half;
            bytes += held.len();
            is_before
        });
        let gone = all.split_off(stays.count());
        for (held, kept) in &gone {
            let row = ColdRow {
                time: held.time,
                number: held.number,
                hash: held.hash,
                is_logged: *kept != Kept::Young,
                value: held.value(&self.arena),
                key: held.key(&self.arena),
            };
            cold.put(number, &row);
            self.dead += held.len();
            self.cold += 1;
            self.cold_young += usize::from(!row.is_logged);
            self.cold_next = self.cold_next.min(held.time);
            // It may have been there before.
            self.cold_after = self.cold_after.min(held.time.saturating_sub(1));
        }
        cold.flush();
        for (held, kept) in all {
            match kept {
                Kept::Young => self.young.push(Reverse(held)),
                Kept::Logged => self.logged.push(Reverse(held)),
                Kept::Restored => drop(self.restored.insert((held.time, held.number), held)),
            }
        }
        self.compact();
        !gone.is_empty()
    }

    /// Bytes of rows in memory.
    fn held_bytes(&self) -> usize {
        self.arena.len() - self.dead + (self.len() - self.cold) * size_of::<Held>()
    }

    fn compact(&mut self) {
        let old = std::mem::take(&mut self.arena);
        let mut arena = Vec::with_capacity(old.len() - self.dead);
        let mut moved = |held: &mut Held| {
            let from = held.at as usize;
            held.at = arena.len() as u64;
            arena.extend_from_slice(&old[from..from + held.len()]);
        };
        for heap in [&mut self.young, &mut self.logged] {
            // Places do not count in the order: what was a heap is one.
            let mut all = std::mem::take(heap).into_vec();
            all.iter_mut().for_each(|Reverse(held)| moved(held));
            *heap = all.into();
        }
        self.restored.values_mut().for_each(&mut moved);
        self.ready.iter_mut().for_each(|(held, _)| moved(held));
        (self.arena, self.dead) = (arena, 0);
    }

    fn memory_bytes(&self) -> usize {
        let rows = self.young.capacity() + self.logged.capacity() + self.restored.len();
        self.arena.capacity()
            + rows * size_of::<Held>()
            + self.ready.capacity() * size_of::<(Held, bool)>()
    }

    fn each(&self, mut f: impl FnMut(&Held)) {
        let heaps = self.young.iter().chain(&self.logged);
        heaps.for_each(|Reverse(held)| f(held));
        self.restored.values().for_each(&mut f);
        self.ready.iter().for_each(|(held, _)| f(held));
    }
}

/// The rows that one operator holds in one worker.
pub(crate) struct HeldRows {
    keys: KeyGroups,
    groups: Vec<Group>,
    /// Rows that the changelog must forget, in pieces.
    removed: Vec<Rows>,
    cold: Option<ColdRows>,
    /// Rows up to this watermark were given out by a run before, although the changelog may still have them.
    released: i64,
}

impl HeldRows {
    pub(crate) fn new(keys: KeyGroups, place: Place) -> Self {
        Self {
            keys,
            cold: ColdRows::new(place),
            groups: (0..keys.count()).map(|_| Group::default()).collect(),
            removed: Vec::new(),
            released: i64::MIN,
        }
    }

    /// Takes rows in, each with its tie before it; `late` is called with those whose time has passed. False: one is no such row.
    pub(crate) fn take(
        &mut self,
        rows: &Rows,
        watermark: i64,
        mut late: impl FnMut(usize),
    ) -> bool {
        for (index, (head, key, value)) in rows.iter().enumerate() {
            if index.is_multiple_of(CHUNK) {
                self.trim();
            }
            if value.len() < Tie::LEN {
                return false;
            }
            if head.timestamp <= watermark {
                late(index);
                continue;
            }
            let (group, _) = self.keys.of(head.hash);
            self.groups[group].push(head.timestamp, head.hash, value, key);
        }
        true
    }

    /// Moves rows to the disk until those in memory are few enough.
    fn trim(&mut self) {
        let Some(cold) = &mut self.cold else { return };
        let mut total: usize = self.groups.iter().map(Group::held_bytes).sum();
        while total > cold.limit_bytes {
            let groups = (0..).zip(&mut self.groups);
            let Some((number, largest)) = groups.max_by_key(|(_, g)| g.held_bytes()) else {
                return;
            };
            let before = largest.held_bytes();
            if !largest.chill(cold, number) {
                return;
            }
            total = total + largest.held_bytes() - before;
        }
    }

    /// What a row was before its tie was written before it.
    pub(crate) fn without_tie(value: &[u8]) -> &[u8] {
        value.get(Tie::LEN..).unwrap_or_default()
    }
}

/// What stands behind the key in the changelog.
fn name(time: i64, number: u64) -> [u8; 16] {
    let mut name = [0; 16];
    name[..8].copy_from_slice(&time.to_be_bytes());
    name[8..].copy_from_slice(&number.to_be_bytes());
    name
}

impl KeyedState for HeldRows {
    fn len(&self) -> usize {
        self.groups.iter().map(Group::len).sum()
    }

    fn memory_bytes(&self) -> usize {
        let removed: usize = self.removed.iter().map(Rows::size_bytes).sum();
        self.groups.iter().map(Group::memory_bytes).sum::<usize>() + removed
    }

    fn changed(&self) -> usize {
        let of = |g: &Group| g.young.len() + g.cold_young;
        self.groups.iter().map(of).sum()
    }

    fn due(&mut self, watermark: i64, _: i64, rows: &mut Rows, limit: usize) {
        let Self {
            groups,
            removed,
            cold,
            released,
            ..
        } = self;
        let released = *released;
        for (number, group) in (0..).zip(groups) {
            let bounds = (watermark, released);
            group.release(bounds, (rows, limit), (cold, number), |held, key| {
                if removed
                    .last()
                    .is_none_or(|r| r.size_bytes() > REMOVED_BYTES)
                {
                    removed.push(Rows::new());
                }
                if let Some(removed) = removed.last_mut() {
                    let name = name(held.time, held.number);
                    // Far below 4 GiB.
                    let _ = removed.push_parts(held.hash, held.time, [&[], &[]], [key, &name]);
                }
            });
            if rows.size_bytes() >= limit {
                return;
            }
        }
    }

    fn drain_changed(&mut self, number: u32, rows: &mut Rows, limit: usize) -> bool {
        let Some(group) = self.groups.get_mut(number as usize) else {
            return false;
        };
        group.settle();
        while rows.size_bytes() < limit
            && let Some(Reverse(held)) = group.young.pop()
        {
            let (value, key) = (held.value(&group.arena), held.key(&group.arena));
            let name = name(held.time, held.number);
            // Far below 4 GiB, here and below: `limit`.
            let _ = rows.push_parts(held.hash, held.time, [&[], value], [key, &name]);
            group.logged.push(Reverse(held));
        }
        while rows.size_bytes() < limit
            && group.cold_young > 0
            && let Some(cold) = &mut self.cold
        {
            let drained = cold.drain(number, group.cold_after, |row| {
                let name = name(row.time, row.number);
                let _ = rows.push_parts(row.hash, row.time, [&[], row.value], [row.key, &name]);
            });
            // None: the disk has failed, and the call ends with that.
            group.cold_young = if drained > 0 {
                group.cold_young - drained
            } else {
                0
            };
        }
        !group.young.is_empty() || group.cold_young > 0
    }

    fn drain_removed(&mut self, rows: &mut Rows, _: usize) -> bool {
        if let Some(removed) = self.removed.pop() {
            *rows = removed;
        }
        !self.removed.is_empty()
    }

    fn restore_watermark(&mut self, at: i64) {
        self.released = self.released.max(at);
    }

    fn restore(
        &mut self,
        group: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), RestoreError> {
        let Some((key, name)) = key.split_last_chunk::<16>() else {
            return Err(RestoreError::Value { bytes: key.len() });
        };
        let hash = self.keys.check(group, key)?;
        let name = u128::from_be_bytes(*name);
        let (time, row) = ((name >> 64) as i64, name as u64);
        let of = &mut self.groups[group as usize];
        of.next_number = of.next_number.max(row.wrapping_add(1));
        if let Some(gone) = of.restored.remove(&(time, row)) {
            of.dead += gone.len();
        } else if value.is_none()
            && of.cold > 0
            && let Some(cold) = &mut self.cold
            && cold.remove(group, time, row)
        {
            of.cold -= 1;
        }
        let Some(value) = value else { return Ok(()) };
        if value.len() < Tie::LEN {
            return Err(RestoreError::Value { bytes: value.len() });
        }
        let held = of.keep(row, time, hash, value, key);
        of.restored.insert((time, row), held);
        if of.restored.len().is_multiple_of(CHUNK) {
            self.trim();
        }
        Ok(())
    }

    fn take_error(&mut self) -> Option<StoreError> {
        self.cold.as_ref().and_then(ColdRows::error)
    }

    fn drop_group(&mut self, number: u32) {
        let Some(group) = self.groups.get_mut(number as usize) else {
            return;
        };
        let was_cold = std::mem::take(group).cold > 0;
        if let Some(cold) = self.cold.as_mut().filter(|_| was_cold) {
            let mut left = Some(i64::MIN);
            while left.is_some() {
                left = cold.take(number, i64::MIN, i64::MAX, REMOVED_BYTES, |_| ());
            }
        }
    }

    fn each_encoded(&self, number: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        let Some(group) = self.groups.get(number as usize) else {
            return;
        };
        let mut whole = Vec::new();
        let mut each = |key: &[u8], name: [u8; 16], value: &[u8]| {
            whole.clear();
            whole.extend_from_slice(key);
            whole.extend_from_slice(&name);
            f(&whole, value);
        };
        group.each(|held| {
            let name = name(held.time, held.number);
            each(held.key(&group.arena), name, held.value(&group.arena));
        });
        if let Some(cold) = &self.cold {
            cold.each(number, &mut |row| {
                each(row.key, name(row.time, row.number), row.value);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(partition: i32, offset: i64, text: &str) -> Vec<u8> {
        let mut value = Vec::new();
        let record = Some((InputPartition::single(partition), offset));
        Tie { origin: 0, record }.write(&mut value);
        value.extend_from_slice(text.as_bytes());
        value
    }

    fn held() -> HeldRows {
        HeldRows::new(KeyGroups::new(7, 4), Place::default())
    }

    fn take(held: &mut HeldRows, rows: &[(i64, i32, i64, &str)], watermark: i64) -> usize {
        let mut batch = Rows::new();
        let key = b"k";
        for (time, partition, offset, text) in rows {
            let value = row(*partition, *offset, text);
            let hash = held.keys.hasher.bytes(key);
            batch.push(hash, *time, &value, key).unwrap();
        }
        let mut late = 0;
        assert!(held.take(&batch, watermark, |_| late += 1));
        late
    }

    /// What comes out up to a watermark, in pieces of one row.
    fn out(held: &mut HeldRows, watermark: i64) -> String {
        let (mut all, mut rows) = (String::new(), Rows::new());
        loop {
            rows.clear();
            held.due(watermark, 0, &mut rows, 1);
            if rows.is_empty() {
                return all;
            }
            for (head, key, value) in rows.iter() {
                assert!(head.timestamp <= watermark && key == b"k");
                all.push_str(std::str::from_utf8(value).unwrap());
            }
        }
    }

    #[test]
    fn rows_come_out_by_time_then_partition_then_offset_then_as_they_came() {
        let mut held = held();
        let rows = [
            (5, 1, 0, "e"),
            (7, 0, 1, "f"),
            (5, 0, 300, "d"),
            (5, 0, 2, "b"),
            (4, 3, 9, "a"),
            (5, 0, 2, "c"),
        ];
        assert_eq!(take(&mut held, &rows, 3), 0);
        assert_eq!(out(&mut held, 4), "a");
        assert_eq!(take(&mut held, &[(4, 0, 0, "late"), (6, 0, 4, "-")], 4), 1);
        assert_eq!(out(&mut held, 6), "bcde-");
        assert_eq!(held.len(), 1);
    }

    #[test]
    fn behind_a_cut_the_bytes_of_rows_decide() {
        let mut held = held();
        let mut rows = Rows::new();
        for text in ["b", "a", "ab"] {
            let mut value = Vec::new();
            let (origin, record) = (3, None);
            Tie { origin, record }.write(&mut value);
            value.extend_from_slice(text.as_bytes());
            let hash = held.keys.hasher.bytes(b"k");
            rows.push(hash, 1, &value, b"k").unwrap();
        }
        assert!(held.take(&rows, 0, |_| ()));
        assert_eq!(out(&mut held, 1), "aabb");
    }

    #[test]
    fn the_changelog_hears_once_of_what_outlives_a_commit_and_never_of_the_rest() {
        let mut held = held();
        take(&mut held, &[(1, 0, 0, "a"), (2, 0, 1, "b")], 0);
        assert_eq!(out(&mut held, 1), "a");
        let group = held.keys.group(b"k");
        let mut rows = Rows::new();
        assert!(!held.drain_changed(group, &mut rows, 1 << 20));
        assert_eq!(rows.len(), 1);
        let (key, value) = (rows.key(0).to_vec(), rows.value(0).to_vec());
        rows.clear();
        assert!(!held.drain_changed(group, &mut rows, 1 << 20) && rows.is_empty());
        assert!(!held.drain_removed(&mut rows, 1 << 20) && rows.is_empty());
        assert_eq!(out(&mut held, 2), "b");
        assert!(!held.drain_removed(&mut rows, 1 << 20));
        assert_eq!((rows.len(), rows.key(0)), (1, &key[..]));

        let mut again = self::held();
        again.restore(group, &key, Some(&value)).unwrap();
        // Numbers go on behind the greatest that was seen.
        take(&mut again, &[(2, 0, 0, "before")], 1);
        assert_eq!(again.len(), 2);
        assert_eq!(out(&mut again, 2), "beforeb");
        again.restore(group, &key, Some(&value)).unwrap();
        again.restore(group, &key, None).unwrap();
        assert_eq!((again.len(), out(&mut again, 2)), (0, String::new()));
        let other = (group + 1) % 4;
        assert!(again.restore(other, &key, Some(&value)).is_err());
        assert!(again.restore(group, &key, Some(&value[..13])).is_err());
        assert!(again.restore(group, b"short", None).is_err());
    }

    #[cfg(feature = "fjall")]
    #[test]
    fn restored_rows_that_went_to_disk_are_deleted_from_the_changelog_once_they_are_out() {
        let mut first = held();
        let rows: Vec<_> = (0..2_000).map(|n| (n, 0, n, "a row")).collect();
        take(&mut first, &rows, -1);
        let (group, mut logged) = (first.keys.group(b"k"), Rows::new());
        assert!(!first.drain_changed(group, &mut logged, 1 << 20));
        let path = crate::state::temporary_folder("restored-rows");
        let disk = Box::new(crate::state::Disk::open(&path, None).unwrap());
        let mut again = HeldRows::new(KeyGroups::new(7, 4), Place(Some((disk, 1024))));
        for (_, key, value) in logged.iter() {
            again.restore(group, key, Some(value)).unwrap();
        }
        assert!(again.groups[group as usize].cold > 1_000);
        for (_, key, _) in logged.iter().step_by(4) {
            again.restore(group, key, None).unwrap();
        }
        assert_eq!(again.len(), 1_500);
        let mut rows = Rows::new();
        assert!(!again.drain_changed(group, &mut rows, 1 << 20));
        assert!(rows.is_empty(), "the changelog has them");
        assert_eq!(out(&mut again, 2_000).len(), 1_500 * "a row".len());
        let mut deleted = 0;
        loop {
            let is_more = again.drain_removed(&mut rows, 1 << 20);
            deleted += rows.len();
            rows.clear();
            if !is_more {
                break;
            }
        }
        assert_eq!((deleted, again.len()), (1_500, 0));
        assert!(again.take_error().is_none());
    }

    #[test]
    fn what_came_out_before_a_restart_does_not_again_and_leaves_the_changelog() {
        let mut held = held();
        let rows = [(2, 0, 0, "a"), (5, 0, 1, "at it"), (9, 0, 2, "b")];
        take(&mut held, &rows, 0);
        let group = held.keys.group(b"k");
        let (mut logged, mut removed) = (Rows::new(), Rows::new());
        held.drain_changed(group, &mut logged, 1 << 20);
        let mut again = self::held();
        again.restore_watermark(5);
        for (_, key, value) in logged.iter() {
            again.restore(group, key, Some(value)).unwrap();
        }
        assert_eq!(out(&mut again, 5), "");
        again.drain_removed(&mut removed, 1 << 20);
        assert_eq!((removed.len(), removed.key(0)), (2, logged.key(0)));
        assert_eq!(out(&mut again, 9), "b");
    }

    #[test]
    fn memory_does_not_grow_with_rows_that_came_and_went() {
        let mut held = held();
        let (mut peak, mut texts) = (0, Vec::new());
        for i in 0..200_000i64 {
            // One in a hundred stays for long.
            let time = if i % 100 == 0 { i + 20_000 } else { i + 100 };
            take(&mut held, &[(time, 0, i, "some text of a row")], i - 1);
            let mut rows = Rows::new();
            held.due(i, 0, &mut rows, 1 << 20);
            texts.extend(rows.heads().iter().map(|h| h.timestamp));
            if i == 30_000 {
                peak = held.memory_bytes();
            }
        }
        assert!(texts.is_sorted());
        assert!(held.len() < 400, "{}", held.len());
        assert!(held.memory_bytes() < peak * 2, "{peak}");
    }
}
