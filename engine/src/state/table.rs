//! The table of a keyed operator: a value for each key, by key group, each group in segments of bounded size.
//!
//! ```text
//! directory  [group, first bits of the rest of the hash] → segment        segments  [slots, long keys, changes] […] …
//! ```
//! A group is what moves between workers and what a changelog partition holds. It grows segment by segment: one that is full doubles,
//! and one that has reached its largest size splits in two, so that no update waits until a whole table has moved. Updates come in
//! chunks: one pass of independent loads warms the slots, the next one probes them.

use std::hint::black_box;

use super::segment::{SLOTS_MAX, Segment, Slot, WARM};
use super::{Key, KeyGroups, KeyedState, RestoreError, StoreError};
use crate::batch::{Decode, Encode, KeyRow, Rows, row::decode_all};

/// What a table holds for each key: cloneable, written to the changelog and read back from it. It owns its parts.
///
/// Implemented by everything that has [`Encode`] and [`Decode`] and borrows nothing: numbers, `String`, tuples and options of them.
pub trait State: Clone + Encode + for<'x> Decode<'x> + Send + 'static {}
impl<A: Clone + Encode + for<'x> Decode<'x> + Send + 'static> State for A {}

mod tier;

use tier::Tier;
pub(crate) use tier::{Place, merge_cold};

/// Updates that are hashed, touched and probed together.
pub(crate) const CHUNK: usize = 256;

/// A value for each key, by key group.
#[derive(Debug)]
pub struct Table<A> {
    segments: Vec<Segment<A>>,
    /// Number of a segment, by key group and so many first bits of what the group leaves of a hash. Neighbours may share one. Empty as
    /// long as each group has one segment, of its own number.
    directory: Vec<u32>,
    bits: u32,
    /// Segments of so many slots split instead of growing.
    slots_max: usize,
    keys: KeyGroups,
    initial: A,
    /// Where the keys are that are not in memory.
    tier: Option<Box<Tier>>,
}

impl<A: State> Table<A> {
    /// An empty table; a new key starts with `initial`.
    #[must_use]
    pub fn new(keys: KeyGroups, initial: A) -> Self {
        Self {
            segments: (0..keys.count()).map(|_| Segment::new(&initial)).collect(),
            directory: Vec::new(),
            bits: 0,
            slots_max: SLOTS_MAX,
            keys,
            initial,
            tier: None,
        }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        let elsewhere = self.tier.as_ref().map_or(0, |tier| tier.keys);
        self.segments.iter().map(|s| s.len).sum::<usize>() + elsewhere
    }

    /// The segment that a hash belongs to, and what is left of the hash to find the slot in it.
    #[inline]
    fn segment_of(&self, hash: u64) -> (usize, u64) {
        let (group, rest) = self.keys.of(hash);
        if self.bits == 0 {
            return (group, rest);
        }
        let place = group << self.bits | (rest >> (64 - self.bits)) as usize;
        (self.directory[place] as usize, rest)
    }

    /// The segment at a place of the directory.
    fn segment_at(&self, place: usize) -> usize {
        self.directory.get(place).map_or(place, |s| *s as usize)
    }

    /// The places of a group in the directory, each segment once.
    fn places(&self, group: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = group << self.bits;
        let mut before = None;
        (first..(group + 1) << self.bits).filter_map(move |place| {
            let segment = self.segment_at(place);
            (before.replace(segment) != Some(segment)).then_some((place - first, segment))
        })
    }

    fn of_group(&self, group: usize) -> impl Iterator<Item = &Segment<A>> {
        self.places(group)
            .map(|(_, segment)| &self.segments[segment])
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held: slots, long keys, and the list of changes. What values own elsewhere is not counted.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(Segment::memory_bytes).sum();
        segments
            + self.segments.capacity() * size_of::<Segment<A>>()
            + self.directory.capacity() * 4
    }

    /// Hash of a key.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.keys.hasher.bytes(key)
    }

    /// The value of a key that is in memory.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<&A> {
        self.find_hashed(key, self.hash(key))
    }

    /// Applies `step` to the value of `key`, which begins as the initial one.
    #[inline]
    pub fn update(&mut self, key: &[u8], timestamp: i64, step: impl FnOnce(&mut A)) {
        let packed = Key::short(key);
        let hash = packed.map_or_else(|| self.keys.hasher.long(key), |k| self.keys.hasher.short(k));
        self.update_hashed(key, packed, hash, timestamp, step);
    }

    /// As [`Table::update`] where the hash is known already.
    #[inline]
    pub(crate) fn update_hashed(
        &mut self,
        key: &[u8],
        packed: Option<Key>,
        hash: u64,
        timestamp: i64,
        step: impl FnOnce(&mut A),
    ) {
        let (segment, slot) = self.slot(key, packed, hash);
        let entry = &mut segment.slots[slot];
        // Listed without a branch: between two commits about every other key is changed for the first time, which nobody foresees.
        let listed = segment.changed.len() + usize::from(entry.changed <= WARM);
        segment.changed.push(slot as u32);
        segment.changed.truncate(listed);
        entry.changed = timestamp.max(WARM + 1);
        step(&mut entry.value);
    }

    /// The slot of a key; made if it is not there. Inlined whatever the compiler thinks: it is the hottest loop of all.
    #[inline(always)]
    fn slot(&mut self, key: &[u8], packed: Option<Key>, hash: u64) -> (&mut Segment<A>, usize) {
        let (mut at, rest) = self.segment_of(hash);
        let mut slot;
        if let Some(packed) = packed {
            let is_there;
            (is_there, slot) = self.segments[at].probe_short(packed, rest);
            if !is_there {
                (at, slot) = self.insert(key, Some(packed), hash, (at, slot));
            }
        } else {
            (at, slot) = self.slot_long(key, hash);
        }
        (&mut self.segments[at], slot)
    }

    #[inline(never)]
    fn slot_long(&mut self, key: &[u8], hash: u64) -> (usize, usize) {
        let (at, rest) = self.segment_of(hash);
        match self.segments[at].probe_long(key, hash, rest) {
            (true, slot) => (at, slot),
            (false, free) => self.insert(key, None, hash, (at, free)),
        }
    }

    /// Puts a key into the slot of a segment that a probe said is free, or makes room first; where it is now.
    #[cold]
    #[inline(never)]
    fn insert(
        &mut self,
        key: &[u8],
        packed: Option<Key>,
        hash: u64,
        (mut at, mut free): (usize, usize),
    ) -> (usize, usize) {
        while self.segments[at].is_full() {
            if self.segments[at].is_largest(self.slots_max) {
                self.split(at, self.keys.of(hash).0);
            } else {
                self.segments[at].grow(&self.keys, &self.initial);
            }
            let rest;
            (at, rest) = self.segment_of(hash);
            let probed = match packed {
                Some(packed) => self.segments[at].probe_short(packed, rest),
                None => self.segments[at].probe_long(key, hash, rest),
            };
            free = probed.1;
        }
        let segment = &mut self.segments[at];
        let key = packed.unwrap_or_else(|| segment.keep(key, hash));
        segment.fill(free, key);
        (at, free)
    }

    fn split(&mut self, at: usize, group: usize) {
        if self.segments[at].depth == self.bits {
            let places = 0..(self.keys.count() as usize) << self.bits;
            let twice = places.flat_map(|place| [self.segment_at(place) as u32; 2]);
            self.directory = twice.collect();
            self.bits += 1;
        }
        let upper = self.segments[at].split(&self.keys, &self.initial);
        // Of the places that name the segment, the second half names the new one.
        let new = self.segments.len() as u32;
        let of_group = &mut self.directory[group << self.bits..(group + 1) << self.bits];
        let named = 1 << (self.bits + 1 - upper.depth);
        let places = of_group.iter_mut().filter(|s| **s == at as u32);
        places.skip(named / 2).for_each(|s| *s = new);
        self.segments.push(upper);
    }

    /// Something of the slot where a hash is at home, for loads ahead of their use.
    #[inline]
    pub(crate) fn home(&self, hash: u64) -> u64 {
        let (at, rest) = self.segment_of(hash);
        let segment = &self.segments[at];
        segment.slots[segment.home(rest)].load()
    }

    /// Loads the home slot of each hash: independent loads, so that the processor waits for all of them at once.
    #[inline]
    pub(crate) fn touch(&self, hashes: impl Iterator<Item = u64>) {
        let mut seen = 0;
        for hash in hashes {
            seen ^= self.home(hash);
        }
        black_box(seen);
    }

    /// Applies `step` to the value of each key: at most [`CHUNK`] of them.
    #[inline]
    pub(crate) fn update_keys(&mut self, rows: &[KeyRow], mut step: impl FnMut(&mut A)) {
        self.warm(|each| {
            for row in rows {
                let (bytes, n) = Key::from(row.key).unpack();
                each(&bytes[..n], row.hash);
            }
        });
        self.touch(rows.iter().map(|row| row.hash));
        for row in rows {
            let key = Some(Key::from(row.key));
            self.update_hashed(&[], key, row.hash, row.timestamp, &mut step);
        }
    }

    /// The value of a key whose hash is known, not noted as changed.
    pub(crate) fn find_hashed(&self, key: &[u8], hash: u64) -> Option<&A> {
        let (at, rest) = self.segment_of(hash);
        let segment = &self.segments[at];
        let slot = segment.find(key, hash, rest)?;
        Some(&segment.slots[slot].value)
    }

    /// As [`Table::find_hashed`], to be changed; [`Table::update_hashed`] notes the change.
    pub(crate) fn find_mut(&mut self, key: &[u8], hash: u64) -> Option<&mut A> {
        let (at, rest) = self.segment_of(hash);
        let segment = &mut self.segments[at];
        let slot = segment.find(key, hash, rest)?;
        Some(&mut segment.slots[slot].value)
    }

    /// Calls `f` with the hash, key and value of the keys of a group from a place on, until it says false; returns where to go on. The
    /// first place is 0; places are good as long as no key comes or goes.
    pub(crate) fn walk(
        &self,
        group: usize,
        from: usize,
        mut f: impl FnMut(u64, &[u8], &A) -> bool,
    ) -> Option<usize> {
        let mut begin = from & PLACE_SLOT;
        for (place, segment) in self.places(group) {
            if place < from >> 32 {
                continue;
            }
            let segment = &self.segments[segment];
            for (at, slot) in segment.slots.iter().enumerate().skip(begin) {
                if slot.key.is_empty() {
                    continue;
                }
                let hash = segment.key_hash(slot.key, &self.keys);
                if !segment.with_key(slot.key, |key| f(hash, key, &slot.value)) {
                    return Some(place << 32 | (at + 1));
                }
            }
            begin = 0;
        }
        None
    }

    /// Makes room in an empty table for the keys of another one with the same hash, unless there is as much. Keys that come in the order of
    /// their hashes would all crowd at the beginning of a table that grows while they come.
    pub(crate) fn make_room_for<B>(&mut self, other: &Table<B>) {
        let has: usize = self.segments.iter().map(|s| s.slots.len()).sum();
        let needs: usize = other.segments.iter().map(|s| s.slots.len()).sum();
        if self.is_empty() && has < needs {
            let like = |segment| Segment::like(segment, &self.initial);
            self.segments = other.segments.iter().map(like).collect();
            self.directory.clone_from(&other.directory);
            self.bits = other.bits;
        }
    }

    /// Forgets all keys and keeps the memory.
    pub(crate) fn clear(&mut self) {
        for segment in &mut self.segments {
            segment.clear(&self.initial);
        }
    }

    /// Takes keys out that are given with their hashes, if `is_gone` says so of their values. None may be noted as changed.
    pub(crate) fn remove_all(&mut self, keys: &Rows, is_gone: impl Fn(&A) -> bool) {
        self.remove_cold(keys, &is_gone);
        for (head, key, _) in keys.iter() {
            let (at, rest) = self.segment_of(head.hash);
            let segment = &mut self.segments[at];
            if let Some(slot) = segment.find(key, head.hash, rest)
                && is_gone(&segment.slots[slot].value)
                && segment.slots[slot].changed <= WARM
            {
                segment.remove(slot, &self.keys, &self.initial);
            }
        }
        for segment in &mut self.segments {
            segment.tidy(&self.keys, &self.initial);
        }
    }

    /// Moves changed keys of a group with their encoded values to `rows`, each key followed by `suffix`, until those hold `limit`
    /// bytes; keys of which `is_gone` says so go to `gone` instead, without a value. True when some are left.
    pub(crate) fn drain(
        &mut self,
        group: u32,
        suffix: &[u8],
        rows: &mut Rows,
        limit: usize,
        mut gone: Option<(&mut Rows, fn(&A) -> bool)>,
    ) -> bool {
        let mut value = Vec::new();
        let (group_at, mut before) = (group as usize, None);
        for place in group_at << self.bits..(group_at + 1) << self.bits {
            let number = self.segment_at(place);
            if before.replace(number) == Some(number) {
                continue;
            }
            let segment = &mut self.segments[number];
            while !segment.changed.is_empty() {
                // As for updates: first load the slots of a chunk, then work on them.
                let from = segment.changed.len().saturating_sub(CHUNK);
                let seen = |seen, at: &u32| seen ^ segment.slots[*at as usize].load();
                black_box(segment.changed[from..].iter().fold(0, seen));
                for i in (from..segment.changed.len()).rev() {
                    if rows.size_bytes() >= limit {
                        return true;
                    }
                    let at = segment.changed[i] as usize;
                    let Slot { key, changed, .. } = segment.slots[at];
                    let hash = segment.key_hash(key, &self.keys);
                    let pushed = match &mut gone {
                        Some((gone, is_gone)) if is_gone(&segment.slots[at].value) => {
                            segment.with_key(key, |key| gone.push(hash, changed, &[], key))
                        }
                        _ => {
                            value.clear();
                            segment.slots[at].value.encode_last(&mut value);
                            let push = |key: &[u8]| {
                                rows.push_parts(hash, changed, [&value, &[]], [key, suffix])
                            };
                            segment.with_key(key, push)
                        }
                    };
                    if pushed.is_err() {
                        assert!(!rows.is_empty(), "a key's value stays below 4 GiB");
                        return true;
                    }
                    segment.slots[at].changed = WARM;
                    segment.changed.pop();
                }
            }
        }
        self.drain_tier(group, suffix, rows, limit, gone)
    }

    /// Calls `f` with each key of a group that is in memory, and its value.
    pub fn each(&self, group: u32, mut f: impl FnMut(&[u8], &A)) {
        for segment in self.of_group(group as usize) {
            for slot in segment.slots.iter().filter(|s| !s.key.is_empty()) {
                segment.with_key(slot.key, |key| f(key, &slot.value));
            }
        }
    }
}

/// The part of a place in a group that says which slot of a segment.
const PLACE_SLOT: usize = 0xffff_ffff;

impl<A: State> KeyedState for Table<A> {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn memory_bytes(&self) -> usize {
        Self::memory_bytes(self)
    }

    fn changed(&self) -> usize {
        self.segments.iter().map(|s| s.changed.len()).sum()
    }

    fn drain_changed(&mut self, group: u32, rows: &mut Rows, limit: usize) -> bool {
        self.drain(group, &[], rows, limit, None)
    }

    fn restore(
        &mut self,
        group: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), RestoreError> {
        let hash = self.keys.check(group, key)?;
        if self.tier.is_some() {
            self.warm_restored(key, hash, value.is_none());
        }
        let Some(value) = value else {
            let (at, rest) = self.segment_of(hash);
            let segment = &mut self.segments[at];
            if let Some(slot) = segment.find(key, hash, rest) {
                segment.remove(slot, &self.keys, &self.initial);
                segment.tidy(&self.keys, &self.initial);
            }
            return Ok(());
        };
        let bytes = value.len();
        let value = decode_all(value).ok_or(RestoreError::Value { bytes })?;
        let (segment, slot) = self.slot(key, Key::short(key), hash);
        segment.slots[slot].value = value;
        Ok(())
    }

    fn drop_group(&mut self, group: u32) {
        self.drop_cold(group);
        let numbers: Vec<usize> = self.places(group as usize).map(|(_, s)| s).collect();
        for number in numbers {
            self.segments[number].reset(&self.initial);
        }
    }

    fn each_encoded(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        let mut bytes = Vec::new();
        self.each(group, |key, value| {
            bytes.clear();
            value.encode_last(&mut bytes);
            f(key, &bytes);
        });
        self.each_cold(group, f);
    }

    fn keep(&mut self, mark: &[u8]) -> bool {
        self.keep_tier(mark)
    }

    fn is_kept(&self) -> bool {
        self.tier.as_ref().is_some_and(|tier| tier.is_kept)
    }

    fn take_error(&mut self) -> Option<StoreError> {
        self.tier.as_mut()?.error.clone()
    }
}

#[cfg(test)]
mod tests;
