//! The table of a keyed operator: a value for each key, by key group, each group a linear-probing table of its own.
//!
//! ```text
//! group 0   slots [key 16 B | changed at 8 B | value]…   arena: bytes of keys above 15   changed: slots touched since the last drain
//! group 1   …
//! ```
//! A group is what moves between workers, what a changelog partition holds, and what grows at once. Updates come in batches
//! (`Pending`): one pass of independent loads warms the slots, the next one probes them.

use std::hint::black_box;

use super::{Key, KeyGroups, KeyedState, RestoreError};
use crate::batch::{Decode, Encode, Rows, row::decode_all};

/// What a table holds for each key: cloneable, written to the changelog and read back from it. It owns its parts.
///
/// Implemented by everything that has [`Encode`] and [`Decode`] and borrows nothing: numbers, `String`, tuples and options of them.
pub trait State: Clone + Encode + for<'x> Decode<'x> + Send + 'static {}
impl<A: Clone + Encode + for<'x> Decode<'x> + Send + 'static> State for A {}

/// Not changed since the last drain. No timestamp: those are kept above it.
const CLEAN: i64 = i64::MIN;
const SLOTS_MIN: usize = 16;
/// Below this many bytes of keys that are gone an arena is left as it is.
const ARENA_DEAD_MIN: usize = 64 << 10;
/// Updates that are hashed, touched and probed together.
pub(crate) const CHUNK: usize = 256;

/// A value for each key, by key group.
#[derive(Debug)]
pub struct Table<A> {
    groups: Vec<Group<A>>,
    keys: KeyGroups,
    initial: A,
}

#[derive(Clone, Debug)]
struct Slot<A> {
    key: Key,
    /// Timestamp of the last update, or `CLEAN`.
    changed: i64,
    value: A,
}

#[derive(Debug)]
struct Group<A> {
    /// A power of two of them; at most 5/8 in use.
    slots: Vec<Slot<A>>,
    shift: u32,
    len: usize,
    arena: Vec<u8>,
    /// Bytes in the arena that no key uses any more.
    arena_dead: usize,
    changed: Vec<u32>,
}

/// Updates gathered on their way to the table; at most [`CHUNK`] of them.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    entries: Vec<Update>,
    /// Bytes of the keys above 15.
    long: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Update {
    key: Key,
    hash: u64,
    timestamp: i64,
}

impl Pending {
    /// Notes an update of `key`; true when it is time to apply them.
    #[inline]
    pub(crate) fn push(
        &mut self,
        key: &[u8],
        packed: Option<Key>,
        hash: u64,
        timestamp: i64,
    ) -> bool {
        let key = packed.unwrap_or_else(|| self.keep(key, hash));
        self.entries.push(Update {
            key,
            hash,
            timestamp,
        });
        self.entries.len() >= CHUNK
    }

    #[cold]
    fn keep(&mut self, key: &[u8], hash: u64) -> Key {
        let offset = self.long.len() as u64;
        self.long.extend_from_slice(key);
        // Rows count their bytes in 32 bits and refuse longer keys before.
        Key::long(offset, key.len() as u32, hash)
    }
}

impl<A: State> Table<A> {
    /// An empty table; a new key starts with `initial`.
    #[must_use]
    pub fn new(keys: KeyGroups, initial: A) -> Self {
        Self {
            groups: (0..keys.count()).map(|_| Group::new(&initial)).collect(),
            keys,
            initial,
        }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.iter().map(|g| g.len).sum()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held: slots, long keys, and the list of changes. What values own elsewhere is not counted.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let of = |g: &Group<A>| {
            g.slots.capacity() * size_of::<Slot<A>>()
                + g.arena.capacity()
                + g.changed.capacity() * size_of::<u32>()
        };
        self.groups.iter().map(of).sum()
    }

    /// Hash of a key.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.keys.hasher.bytes(key)
    }

    /// The value of a key.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<&A> {
        let hash = self.keys.hasher.bytes(key);
        let (group, rest) = self.keys.of(hash);
        let group = &self.groups[group];
        group
            .find(key, hash, rest)
            .map(|slot| &group.slots[slot].value)
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
        let (group, rest) = self.keys.of(hash);
        let group = &mut self.groups[group];
        let slot = match packed {
            Some(packed) => group.slot_short(packed, rest, &self.keys, &self.initial),
            None => group.slot_long(key, hash, rest, &self.keys, &self.initial),
        };
        let entry = &mut group.slots[slot];
        if entry.changed == CLEAN {
            group.changed.push(slot as u32);
        }
        entry.changed = timestamp.max(CLEAN + 1);
        step(&mut entry.value);
    }

    /// Something of the slot where a hash is at home, for loads ahead of their use.
    #[inline]
    pub(crate) fn home(&self, hash: u64) -> u64 {
        let (group, rest) = self.keys.of(hash);
        let group = &self.groups[group];
        group.slots[(rest >> group.shift) as usize].key.low
    }

    /// Loads the home slot of each hash: independent loads, so that the processor waits for all of them at once.
    #[inline]
    pub(crate) fn touch(&self, hashes: impl Iterator<Item = u64>) {
        let mut seen = 0;
        for hash in hashes {
            let (group, rest) = self.keys.of(hash);
            let group = &self.groups[group];
            seen ^= group.slots[(rest >> group.shift) as usize].key.low;
        }
        black_box(seen);
    }

    /// Applies gathered updates in their order, and forgets them.
    pub(crate) fn apply(&mut self, pending: &mut Pending, mut step: impl FnMut(&mut A)) {
        self.touch(pending.entries.iter().map(|u| u.hash));
        for u in &pending.entries {
            if u.key.is_long() {
                self.update_hashed(
                    &pending.long[u.key.range()],
                    None,
                    u.hash,
                    u.timestamp,
                    &mut step,
                );
            } else {
                self.update_hashed(&[], Some(u.key), u.hash, u.timestamp, &mut step);
            }
        }
        pending.entries.clear();
        pending.long.clear();
    }

    /// The value of a key whose hash is known, not noted as changed.
    pub(crate) fn find_hashed(&self, key: &[u8], hash: u64) -> Option<&A> {
        let (group, rest) = self.keys.of(hash);
        let group = &self.groups[group];
        let slot = group.find(key, hash, rest)?;
        Some(&group.slots[slot].value)
    }

    /// As [`Table::find_hashed`], to be changed; [`Table::update_hashed`] notes the change.
    pub(crate) fn find_mut(&mut self, key: &[u8], hash: u64) -> Option<&mut A> {
        let (group, rest) = self.keys.of(hash);
        let group = &mut self.groups[group];
        let slot = group.find(key, hash, rest)?;
        Some(&mut group.slots[slot].value)
    }

    /// Calls `f` with the hash, key and value in the slots of a group from `from` on, until it says false; returns where to go on.
    pub(crate) fn walk(
        &self,
        group: usize,
        from: usize,
        mut f: impl FnMut(u64, &[u8], &A) -> bool,
    ) -> Option<usize> {
        let group = &self.groups[group];
        for (at, slot) in group.slots.iter().enumerate().skip(from) {
            if slot.key.is_empty() {
                continue;
            }
            let hash = group.key_hash(slot.key, &self.keys);
            if !group.with_key(slot.key, |key| f(hash, key, &slot.value)) {
                return Some(at + 1);
            }
        }
        None
    }

    /// Calls `f` with the hash, key and value of each key that has changed since it was drained.
    pub(crate) fn each_changed(&self, mut f: impl FnMut(u64, &[u8], &A)) {
        for group in &self.groups {
            for at in &group.changed {
                let slot = &group.slots[*at as usize];
                let hash = group.key_hash(slot.key, &self.keys);
                group.with_key(slot.key, |key| f(hash, key, &slot.value));
            }
        }
    }

    /// Forgets all keys and keeps the memory.
    pub(crate) fn clear(&mut self) {
        for group in &mut self.groups {
            group.slots.fill(Slot::empty(&self.initial));
            group.len = 0;
            group.arena.clear();
            group.arena_dead = 0;
            group.changed.clear();
        }
    }

    /// Takes keys out that are given with their hashes, if `is_gone` says so of their values. None may be noted as changed.
    pub(crate) fn remove_all(&mut self, keys: &Rows, is_gone: impl Fn(&A) -> bool) {
        for (head, key, _) in keys.iter() {
            let (group, rest) = self.keys.of(head.hash);
            let group = &mut self.groups[group];
            if let Some(slot) = group.find(key, head.hash, rest)
                && is_gone(&group.slots[slot].value)
                && group.slots[slot].changed == CLEAN
            {
                group.remove(slot, &self.keys, &self.initial);
            }
        }
        for group in &mut self.groups {
            group.relist_changed_if_any();
            group.compact(&self.keys);
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
        let group = &mut self.groups[group as usize];
        let mut value = Vec::new();
        while !group.changed.is_empty() {
            // As for updates: first load the slots of a chunk, then work on them.
            let from = group.changed.len().saturating_sub(CHUNK);
            let seen = |seen, at: &u32| seen ^ group.slots[*at as usize].key.low;
            black_box(group.changed[from..].iter().fold(0, seen));
            for i in (from..group.changed.len()).rev() {
                if rows.size_bytes() >= limit {
                    return true;
                }
                let at = group.changed[i] as usize;
                let Slot { key, changed, .. } = group.slots[at];
                let hash = group.key_hash(key, &self.keys);
                let pushed = match &mut gone {
                    Some((gone, is_gone)) if is_gone(&group.slots[at].value) => {
                        group.with_key(key, |key| gone.push(hash, changed, &[], key))
                    }
                    _ => {
                        value.clear();
                        group.slots[at].value.encode_last(&mut value);
                        let push = |key: &[u8]| {
                            rows.push_parts(hash, changed, [&value, &[]], [key, suffix])
                        };
                        group.with_key(key, push)
                    }
                };
                if pushed.is_err() {
                    assert!(!rows.is_empty(), "a key's value stays below 4 GiB");
                    return true;
                }
                group.slots[at].changed = CLEAN;
                group.changed.pop();
            }
        }
        false
    }

    /// Calls `f` with each key of a group and its value.
    pub fn each(&self, group: u32, mut f: impl FnMut(&[u8], &A)) {
        let group = &self.groups[group as usize];
        for slot in group.slots.iter().filter(|s| !s.key.is_empty()) {
            group.with_key(slot.key, |key| f(key, &slot.value));
        }
    }
}

impl<A> Group<A> {
    fn key_hash(&self, key: Key, keys: &KeyGroups) -> u64 {
        if key.is_long() {
            keys.hasher.long(&self.arena[key.range()])
        } else {
            keys.hasher.short(key)
        }
    }

    fn with_key<R>(&self, key: Key, f: impl FnOnce(&[u8]) -> R) -> R {
        if key.is_long() {
            f(&self.arena[key.range()])
        } else {
            let (bytes, n) = key.unpack();
            f(&bytes[..n])
        }
    }

    fn find(&self, key: &[u8], hash: u64, rest: u64) -> Option<usize> {
        let packed = Key::short(key);
        let tag = Key::long(0, key.len() as u32, hash).tag();
        let mask = self.slots.len() - 1;
        let mut i = (rest >> self.shift) as usize;
        loop {
            let here = self.slots[i & mask].key;
            let found = match packed {
                Some(packed) => here == packed,
                None => here.tag() == tag && self.arena[here.range()] == *key,
            };
            if found {
                return Some(i & mask);
            }
            if here.is_empty() {
                return None;
            }
            i += 1;
        }
    }
}

impl<A: Clone> Group<A> {
    fn new(initial: &A) -> Self {
        Self {
            slots: vec![Slot::empty(initial); SLOTS_MIN],
            shift: 64 - SLOTS_MIN.trailing_zeros(),
            len: 0,
            arena: Vec::new(),
            arena_dead: 0,
            changed: Vec::new(),
        }
    }

    #[inline]
    fn slot_short(&mut self, key: Key, rest: u64, keys: &KeyGroups, initial: &A) -> usize {
        let mask = self.slots.len() - 1;
        let mut i = (rest >> self.shift) as usize;
        loop {
            let here = self.slots[i & mask].key;
            if here == key {
                return i & mask;
            }
            if here.is_empty() {
                return self.insert(key, rest, keys, initial);
            }
            i += 1;
        }
    }

    #[inline(never)]
    fn slot_long(
        &mut self,
        key: &[u8],
        hash: u64,
        rest: u64,
        keys: &KeyGroups,
        initial: &A,
    ) -> usize {
        if let Some(slot) = self.find(key, hash, rest) {
            return slot;
        }
        let offset = self.arena.len() as u64;
        self.arena.extend_from_slice(key);
        self.insert(
            Key::long(offset, key.len() as u32, hash),
            rest,
            keys,
            initial,
        )
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, key: Key, rest: u64, keys: &KeyGroups, initial: &A) -> usize {
        if (self.len + 1) * 8 > self.slots.len() * 5 {
            self.grow(keys, initial);
        }
        self.len += 1;
        let slot = self.free_slot(rest);
        self.slots[slot].key = key;
        slot
    }

    fn free_slot(&self, rest: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut i = (rest >> self.shift) as usize;
        while !self.slots[i & mask].key.is_empty() {
            i += 1;
        }
        i & mask
    }

    fn grow(&mut self, keys: &KeyGroups, initial: &A) {
        let doubled = vec![Slot::empty(initial); self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, doubled);
        self.shift -= 1;
        self.changed.clear();
        for entry in old.into_iter().filter(|s| !s.key.is_empty()) {
            let rest = keys.of(self.key_hash(entry.key, keys)).1;
            let slot = self.free_slot(rest);
            if entry.changed != CLEAN {
                self.changed.push(slot as u32);
            }
            self.slots[slot] = entry;
        }
    }

    /// Takes a key out and closes the gap, so that no probe ends too early.
    fn remove(&mut self, mut gap: usize, keys: &KeyGroups, initial: &A) {
        let removed = self.slots[gap].key;
        if removed.is_long() {
            self.arena_dead += removed.range().len();
        }
        let mask = self.slots.len() - 1;
        let mut i = gap;
        loop {
            i = (i + 1) & mask;
            let key = self.slots[i].key;
            if key.is_empty() {
                break;
            }
            let home = (keys.of(self.key_hash(key, keys)).1 >> self.shift) as usize;
            // It may move back only if its home does not lie behind the gap, counted around the end.
            if i.wrapping_sub(home) & mask >= i.wrapping_sub(gap) & mask {
                self.slots.swap(gap, i);
                gap = i;
            }
        }
        self.slots[gap] = Slot::empty(initial);
        self.len -= 1;
    }

    fn relist_changed_if_any(&mut self) {
        if !self.changed.is_empty() {
            self.relist_changed();
        }
    }

    /// Gives back what long keys that are gone have left in the arena, once it is more than half.
    fn compact(&mut self, keys: &KeyGroups) {
        if self.arena_dead < ARENA_DEAD_MIN || self.arena_dead * 2 < self.arena.len() {
            return;
        }
        let mut arena = Vec::with_capacity(self.arena.len() - self.arena_dead);
        for slot in self.slots.iter_mut().filter(|s| s.key.is_long()) {
            let bytes = &self.arena[slot.key.range()];
            let (offset, hash) = (arena.len() as u64, keys.hasher.long(bytes));
            slot.key = Key::long(offset, bytes.len() as u32, hash);
            arena.extend_from_slice(bytes);
        }
        (self.arena, self.arena_dead) = (arena, 0);
    }

    /// Lists the changed slots again after slots have moved.
    fn relist_changed(&mut self) {
        self.changed.clear();
        let slots = self.slots.iter().zip(0..);
        self.changed
            .extend(slots.filter(|(s, _)| s.changed != CLEAN).map(|(_, i)| i));
    }
}

impl<A: Clone> Slot<A> {
    fn empty(initial: &A) -> Self {
        Self {
            key: Key::EMPTY,
            changed: CLEAN,
            value: initial.clone(),
        }
    }
}

impl<A: State> KeyedState for Table<A> {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn memory_bytes(&self) -> usize {
        Self::memory_bytes(self)
    }

    fn changed(&self) -> usize {
        self.groups.iter().map(|g| g.changed.len()).sum()
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
        let hash = self.keys.hasher.bytes(key);
        let (actual, rest) = self.keys.of(hash);
        if actual != group as usize {
            return Err(RestoreError::WrongGroup {
                group,
                actual: actual as u32,
            });
        }
        let entries = &mut self.groups[actual];
        let Some(value) = value else {
            if let Some(slot) = entries.find(key, hash, rest) {
                entries.remove(slot, &self.keys, &self.initial);
                entries.relist_changed();
            }
            return Ok(());
        };
        let bytes = value.len();
        let value = decode_all(value).ok_or(RestoreError::Value { bytes })?;
        let slot = match Key::short(key) {
            Some(key) => entries.slot_short(key, rest, &self.keys, &self.initial),
            None => entries.slot_long(key, hash, rest, &self.keys, &self.initial),
        };
        entries.slots[slot].value = value;
        Ok(())
    }

    fn drop_group(&mut self, group: u32) {
        self.groups[group as usize] = Group::new(&self.initial);
    }

    fn each_encoded(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        let mut bytes = Vec::new();
        self.each(group, |key, value| {
            bytes.clear();
            value.encode_last(&mut bytes);
            f(key, &bytes);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn table(groups: u32) -> Table<u64> {
        Table::new(KeyGroups::new(7, groups), 0)
    }

    fn drain(table: &mut Table<u64>, limit: usize) -> Vec<(Vec<u8>, u64, i64)> {
        let mut out = vec![];
        for group in 0..table.groups.len() as u32 {
            loop {
                let mut rows = Rows::new();
                let more = table.drain_changed(group, &mut rows, limit);
                out.extend(
                    rows.iter()
                        .map(|(h, k, v)| (k.to_vec(), decode_all(v).unwrap(), h.timestamp)),
                );
                if !more {
                    break;
                }
            }
        }
        out.sort();
        out
    }

    fn key(i: u64) -> Vec<u8> {
        let prefix = ["", "k", "a-rather-long-key-", "exactly-fifteen"][i as usize % 4];
        format!("{prefix}{i}").into_bytes()
    }

    #[test]
    fn counts_agree_with_a_hash_map_while_groups_grow() {
        let (mut table, mut truth) = (table(5), HashMap::new());
        let mut pending = Pending::default();
        for i in 0..60_000u64 {
            let key = key(i * i % 7919);
            *truth.entry(key.clone()).or_insert(0u64) += 1;
            if i % 2 == 0 {
                table.update(&key, 1, |n| *n += 1);
            } else if pending.push(&key, Key::short(&key), table.keys.hasher.bytes(&key), 1) {
                table.apply(&mut pending, |n| *n += 1);
            }
        }
        table.apply(&mut pending, |n| *n += 1);
        assert_eq!(table.len(), truth.len());
        for (key, n) in &truth {
            assert_eq!(table.find(key), Some(n));
        }
        assert_eq!(table.find(b"never seen"), None);
        assert_eq!(table.find(b"never seen, and longer than a slot"), None);
        let mut seen = 0;
        for group in 0..5 {
            table.each(group, |k, n| {
                assert_eq!(truth[k], *n);
                seen += 1;
            });
        }
        assert_eq!(seen, truth.len());
    }

    #[test]
    fn a_key_is_drained_once_with_its_last_value_and_timestamp() {
        let mut table = table(16);
        for i in 0..1000u64 {
            table.update(&key(i % 100), i as i64, |n| *n += 1);
        }
        let mut want: Vec<_> = (0..100).map(|i| (key(i), 10, 900 + i as i64)).collect();
        want.sort();
        assert_eq!(drain(&mut table, 200), want);
        assert_eq!(drain(&mut table, 200), []);
        table.update(b"k1", i64::MIN, |n| *n += 1);
        assert_eq!(drain(&mut table, 200), [(key(1), 11, i64::MIN + 1)]);
    }

    #[test]
    fn what_was_drained_restores_the_same_table() {
        let mut first = table(16);
        for i in 0..5000u64 {
            first.update(&key(i), 0, |n| *n = i);
        }
        let mut second = table(16);
        for group in 0..16 {
            first.each_encoded(group, &mut |k, v| {
                second.restore(group, k, Some(v)).unwrap()
            });
        }
        assert_eq!(second.len(), first.len());
        assert_eq!(
            second.changed(),
            0,
            "what is restored is in the changelog already"
        );
        assert!((0..5000).all(|i| second.find(&key(i)) == Some(&i)));
    }

    #[test]
    fn a_removed_key_leaves_the_others_to_be_found() {
        let mut table = table(1);
        for i in 0..2000u64 {
            table.update(&key(i), 0, |n| *n = i);
        }
        for i in (0..2000).filter(|i| i % 3 == 0) {
            table.restore(0, &key(i), None).unwrap();
        }
        for i in 0..2000 {
            let want = (i % 3 != 0).then_some(i);
            assert_eq!(table.find(&key(i)).copied(), want, "{i}");
        }
        assert_eq!(table.len(), 1333);
        assert_eq!(drain(&mut table, 1 << 20).len(), 1333);
    }

    #[test]
    fn foreign_state_is_refused() {
        let mut table = table(16);
        let (own, _) = table.keys.of(table.keys.hasher.bytes(b"k"));
        let other = (own as u32 + 1) % 16;
        assert_eq!(
            table.restore(other, b"k", Some(&[0; 8])),
            Err(RestoreError::WrongGroup {
                group: other,
                actual: own as u32
            })
        );
        assert_eq!(
            table.restore(own as u32, b"k", Some(&[0; 7])),
            Err(RestoreError::Value { bytes: 7 })
        );
    }

    #[test]
    fn a_slot_of_a_count_takes_32_bytes() {
        assert_eq!(size_of::<Slot<u64>>(), 32);
    }
}
