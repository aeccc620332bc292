//! A table whose keys are not all in memory: before a batch of updates those that are elsewhere are brought in (`warm`), and when there
//! are too many in memory, those that were not changed for the longest are moved out.
//!
//! Everything else works on the table in memory, as ever. A key that is moved out between a change and its drain is noted there.

use std::{borrow::Cow, cmp::Reverse, collections::BinaryHeap};

use super::{CHUNK, Segment, Slot, Table};
use crate::{
    batch::{Rows, row::decode_all},
    state::{
        Key, KeyGroups, State,
        segment::{CLEAN, WARM},
        store::{self, Cold, Scanned, StoreError},
    },
};

/// Segments are smaller here than in memory alone: half of one is moved out at once.
const SLOTS_MAX: usize = 1 << 12;

#[derive(Debug)]
pub(super) struct Tier {
    cold: Box<dyn Cold>,
    /// What all keys of this table begin with there, if others have theirs there too.
    prefix: Vec<u8>,
    limit_bytes: usize,
    /// Keys that are not in memory.
    pub(super) keys: usize,
    /// The segment that is looked at next for keys to move out.
    hand: usize,
    samples: usize,
    /// What a value is when it is encoded, on average, in sixteenths of a byte.
    value_bytes: usize,
    /// The first error; the job ends with it.
    pub(super) error: Option<StoreError>,
    missing: Missing,
    value: Vec<u8>,
    key: Vec<u8>,
    /// The last key drained of the group at hand.
    drained: Option<Vec<u8>>,
    /// Keys were moved out whose change is not drained.
    pub(super) has_changed: bool,
    /// It began with the keys of a former life.
    pub(super) is_kept: bool,
    restored: usize,
}

/// Where a walk through all keys of a group goes on.
#[derive(Debug, Default)]
pub(crate) struct Place {
    slot: usize,
    /// Those in memory are done, and of the others those up to this key.
    cold: Option<Vec<u8>>,
}

/// Keys that are not in memory, behind their group's number.
#[derive(Debug, Default)]
struct Missing {
    bytes: Vec<u8>,
    /// Where each one's bytes are, and its hash.
    list: Vec<(usize, usize, u64)>,
}

impl Tier {
    pub(super) fn new(mut cold: Box<dyn Cold>, prefix: Vec<u8>, limit_bytes: usize) -> Self {
        let note = cold.take_note();
        let keys: Option<u64> = note.and_then(|note| decode_all(&note));
        Self {
            is_kept: keys.is_some(),
            cold,
            prefix,
            limit_bytes,
            keys: keys.unwrap_or(0) as usize,
            hand: 0,
            samples: 0,
            value_bytes: 0,
            error: None,
            missing: Missing::default(),
            value: Vec::new(),
            key: Vec::new(),
            drained: None,
            has_changed: false,
            restored: 0,
        }
    }

    /// What keys of a group begin with.
    fn prefix_of(&self, group: u32) -> Vec<u8> {
        [&self.prefix[..], &group.to_be_bytes()].concat()
    }

    /// Bytes before a key.
    fn before(&self) -> usize {
        self.prefix.len() + 4
    }

    /// Writes the key down as it is there.
    fn name(&mut self, group: u32, key: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(&self.prefix);
        self.key.extend_from_slice(&group.to_be_bytes());
        self.key.extend_from_slice(key);
    }

    fn undecodable(&self) -> StoreError {
        StoreError {
            path: format!("{:?}", self.cold),
            reason:
                "a value cannot be read back: its `Decode` does not read what its `Encode` wrote"
                    .into(),
        }
    }

    /// Brings in the keys that `each` gives with their hashes and that are elsewhere.
    fn warm<A: State>(
        &mut self,
        table: &mut Table<A>,
        each: impl FnOnce(&mut dyn FnMut(&[u8], u64)),
    ) -> Result<(), StoreError> {
        self.trim(table)?;
        let Missing { bytes, list } = &mut self.missing;
        bytes.clear();
        list.clear();
        each(&mut |key, hash| {
            if table.find_hashed(key, hash).is_none() {
                let at = bytes.len();
                bytes.extend_from_slice(&self.prefix);
                bytes.extend_from_slice(&table.keys.group_of_hash(hash).to_be_bytes());
                bytes.extend_from_slice(key);
                list.push((at, bytes.len(), hash));
            }
        });
        if self.keys == 0 {
            return Ok(());
        }
        // Neighbours there are read together.
        list.sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
        list.dedup_by(|a, b| bytes[a.0..a.1] == bytes[b.0..b.1]);
        for &(from, to, hash) in &self.missing.list {
            let key = &self.missing.bytes[from..to];
            if self.cold.get(key, &mut self.value)? {
                let value = decode_all(&self.value).ok_or_else(|| self.undecodable())?;
                let key = &key[self.before()..];
                let (segment, slot) = table.slot(key, Key::short(key), hash);
                segment.slots[slot].value = value;
                self.keys -= 1;
            }
        }
        Ok(())
    }

    /// Moves keys out until the table is small enough. Between batches only: what a batch needs stays until it is done.
    fn trim<A: State>(&mut self, table: &mut Table<A>) -> Result<(), StoreError> {
        self.sample(table);
        while self.held_bytes(table) > self.limit_bytes {
            self.evict_next(table)?;
        }
        Ok(())
    }

    /// About how many bytes the keys in memory take.
    fn held_bytes<A: State>(&self, table: &Table<A>) -> usize {
        // A slot is in use for between 5/16 and 5/8 of the time.
        let each = size_of::<Slot<A>>() * 16 / 5 + self.value_bytes / 16;
        let long: usize = table.segments.iter().map(Segment::long_bytes).sum();
        table.in_memory() * each + long
    }

    fn evict_next<A: State>(&mut self, table: &mut Table<A>) -> Result<(), StoreError> {
        self.hand = (self.hand + 1) % table.segments.len();
        let half = table.segments[self.hand].len.div_ceil(2);
        self.evict(table, self.hand, half)
    }

    /// Looks how large a value is when it is encoded: values may grow long before the first one is moved out.
    fn sample<A: State>(&mut self, table: &Table<A>) {
        self.samples = self.samples.wrapping_add(1);
        let segment = &table.segments[self.samples % table.segments.len()];
        let from = self.samples.wrapping_mul(7919) % segment.slots.len();
        let near = segment.slots[from..].iter().chain(&segment.slots).take(64);
        if let Some(slot) = near.into_iter().find(|s| !s.key.is_empty()) {
            self.value.clear();
            slot.value.encode_last(&mut self.value);
            self.saw_value();
        }
    }

    /// Takes the encoded value at hand into the average.
    fn saw_value(&mut self) {
        self.value_bytes = self.value_bytes - self.value_bytes / 16 + self.value.len();
    }

    /// Moves so many of a segment's keys out: first those that were not changed lately, last those whose change is not drained.
    fn evict<A: State>(
        &mut self,
        table: &mut Table<A>,
        number: usize,
        wanted: usize,
    ) -> Result<(), StoreError> {
        let segment = &mut table.segments[number];
        let mut victims: Vec<u32> = Vec::with_capacity(wanted);
        let classes: [fn(i64) -> bool; 3] = [|at| at == CLEAN, |at| at == WARM, |at| at > WARM];
        for is_of in classes {
            let left = wanted - victims.len();
            let slots = segment.slots.iter().zip(0..);
            let of_class = slots.filter(|(s, _)| !s.key.is_empty() && is_of(s.changed));
            victims.extend(of_class.map(|(_, at)| at).take(left));
        }
        for at in &victims {
            let slot = &segment.slots[*at as usize];
            let hash = segment.key_hash(slot.key, &table.keys);
            self.value.clear();
            slot.value.encode_last(&mut self.value);
            self.saw_value();
            segment.with_key(slot.key, |key| {
                self.name(table.keys.group_of_hash(hash), key);
            });
            let changed = (slot.changed > WARM).then_some(slot.changed);
            self.has_changed |= changed.is_some();
            self.cold.put(&self.key, &self.value, changed)?;
        }
        self.cold.flush()?;
        self.keys += victims.len();
        segment.take_out(&victims, &table.keys, &table.initial);
        Ok(())
    }

    /// As [`Table::walk_all`], for the keys that are not in memory.
    fn walk<A: State>(
        &self,
        table: &Table<A>,
        group: u32,
        place: &mut Place,
        mut f: impl FnMut(u64, &[u8], &A) -> bool,
    ) -> Result<bool, StoreError> {
        if self.keys == 0 {
            return Ok(true);
        }
        let after = place.cold.take().filter(|key| !key.is_empty());
        for entry in self.cold.scan(&self.prefix_of(group), after.as_deref()) {
            let (whole, value) = entry?;
            let key = &whole[self.before()..];
            let hash = table.hash(key);
            if table.find_hashed(key, hash).is_some() {
                continue;
            }
            let value = decode_all(&value).ok_or_else(|| self.undecodable())?;
            if !f(hash, key, &value) {
                place.cold = Some(whole);
                return Ok(false);
            }
        }
        place.cold = Some(Vec::new());
        Ok(true)
    }

    /// As [`Table::drain`], for the keys that were moved out before.
    fn drain<A: State>(
        &mut self,
        table: &Table<A>,
        group: u32,
        suffix: &[u8],
        rows: &mut Rows,
        limit: usize,
        mut gone: Option<(&mut Rows, fn(&A) -> bool)>,
    ) -> Result<bool, StoreError> {
        let (prefix, before) = (self.prefix_of(group), self.before());
        let (mut is_more, mut done, mut removed) = (false, Vec::new(), Vec::new());
        let (cold, value, mut last) = (&self.cold, &mut self.value, self.drained.take());
        let after = last.clone();
        cold.each_changed(&prefix, after.as_deref(), &mut |key, time| {
            let name = &key[before..];
            if rows.size_bytes() >= limit {
                is_more = true;
                return Ok(false);
            }
            let hash = table.hash(name);
            let is_here = table.find_slot(name, hash);
            let is_wanted = match is_here {
                // One that came back and was changed again was drained from memory.
                Some(slot) if slot.changed != CLEAN => false,
                Some(slot) => {
                    value.clear();
                    slot.value.encode_last(value);
                    true
                }
                None => cold.get(key, value)?,
            };
            if is_wanted {
                let pushed = match &mut gone {
                    Some((gone, is_gone)) if decode_all(value).is_some_and(|v| is_gone(&v)) => {
                        if is_here.is_none() {
                            removed.push(key.to_vec());
                        }
                        gone.push(hash, time, &[], name)
                    }
                    _ => rows.push_parts(hash, time, [value, &[]], [name, suffix]),
                };
                if pushed.is_err() {
                    is_more = true;
                    return Ok(false);
                }
            }
            last = Some(key.to_vec());
            done.push(key.to_vec());
            Ok(true)
        })?;
        done.iter().for_each(|key| self.cold.drained(key));
        removed.iter().for_each(|key| self.cold.remove(key));
        self.keys -= removed.len();
        self.cold.flush()?;
        self.drained = if is_more { last } else { None };
        Ok(is_more)
    }
}

/// Calls `f` with each key of tables of one group that share a place, and its value in each of them that has it, in the order of the
/// tables: from behind a key on, until it says false. No key of them may be in memory. True when there are no more.
pub(crate) fn merge_cold<A: State>(
    tables: &mut [&mut Table<A>],
    after: &mut Option<Vec<u8>>,
    mut f: impl FnMut(&[u8], &mut dyn Iterator<Item = A>) -> bool,
) -> bool {
    let merged = merge_tiers(tables, after, &mut f);
    merged.unwrap_or_else(|(at, error)| {
        if let Some(tier) = &mut tables[at].tier {
            tier.error = Some(error);
        }
        true
    })
}

fn merge_tiers<A: State>(
    tables: &[&mut Table<A>],
    after: &mut Option<Vec<u8>>,
    f: &mut dyn FnMut(&[u8], &mut dyn Iterator<Item = A>) -> bool,
) -> Result<bool, (usize, StoreError)> {
    let tiers: Vec<&Tier> = tables.iter().filter_map(|t| t.tier.as_deref()).collect();
    let mut scans = Vec::with_capacity(tiers.len());
    // The next key of each, without what comes before it; the smallest first, and of equal ones the first table's.
    let mut heads = BinaryHeap::new();
    for (at, tier) in tiers.iter().enumerate() {
        let prefix = tier.prefix_of(0);
        let from = after.as_ref().map(|key| [&prefix[..], key].concat());
        let mut scan = tier.cold.scan(&prefix, from.as_deref());
        if let Some(entry) = scan.next() {
            heads.push(Reverse(head(entry, at, tier)?));
        }
        scans.push(scan);
    }
    let mut values = Vec::new();
    while let Some(Reverse((key, at, value))) = heads.pop() {
        let is_last = heads.peek().is_none_or(|Reverse(next)| next.0 != key);
        let value = decode_all(&value).ok_or_else(|| (at, tiers[at].undecodable()))?;
        values.push(value);
        if let Some(entry) = scans[at].next() {
            heads.push(Reverse(head(entry, at, tiers[at])?));
        }
        if is_last {
            let goes_on = f(&key, &mut values.drain(..));
            values.clear();
            if !goes_on {
                *after = Some(key);
                return Ok(false);
            }
        }
    }
    Ok(true)
}

type Merging = (Vec<u8>, usize, Vec<u8>);

fn head(entry: Scanned, at: usize, tier: &Tier) -> Result<Merging, (usize, StoreError)> {
    let (mut key, value) = entry.map_err(|error| (at, error))?;
    key.drain(..tier.before());
    Ok((key, at, value))
}

impl<A: State> Table<A> {
    /// An empty table in its place: of one that is not memory alone, about as many bytes as given are in memory.
    pub(crate) fn placed(keys: KeyGroups, initial: A, place: store::Place) -> Self {
        match place.0 {
            Some((cold, bytes)) => Self::tiered(keys, initial, Tier::new(cold, Vec::new(), bytes)),
            None => Self::new(keys, initial),
        }
    }

    /// An empty table that shares `cold` with others: its keys have a prefix of their own there. Nothing leaves memory by itself.
    pub(crate) fn part(keys: KeyGroups, initial: A, cold: &dyn Cold, prefix: Vec<u8>) -> Self {
        let tier = Tier::new(cold.share(), prefix, usize::MAX);
        Self::tiered(keys, initial, tier)
    }

    fn tiered(keys: KeyGroups, initial: A, tier: Tier) -> Self {
        Self {
            slots_max: SLOTS_MAX,
            tier: Some(Box::new(tier)),
            ..Self::new(keys, initial)
        }
    }

    /// Before updates: makes sure that the keys which `each` gives, with their hashes, are in memory if they are anywhere.
    #[inline]
    pub(crate) fn warm(&mut self, each: impl FnOnce(&mut dyn FnMut(&[u8], u64))) {
        if self.tier.is_some() {
            self.with_tier((), |tier, table| tier.warm(table, each));
        }
    }

    /// Runs `f` unless there was an error before, and keeps the error.
    fn with_tier<R>(
        &mut self,
        otherwise: R,
        f: impl FnOnce(&mut Tier, &mut Self) -> Result<R, StoreError>,
    ) -> R {
        let Some(mut tier) = self.tier.take() else {
            return otherwise;
        };
        let mut outcome = otherwise;
        if tier.error.is_none() {
            match f(&mut tier, self) {
                Ok(done) => outcome = done,
                Err(error) => tier.error = Some(error),
            }
        }
        self.tier = Some(tier);
        outcome
    }

    /// About how many bytes of memory the keys there take.
    pub(crate) fn held_bytes(&mut self) -> usize {
        self.with_tier(0, |tier, table| {
            tier.sample(table);
            Ok(tier.held_bytes(table))
        })
    }

    /// Moves about half of a segment's keys out of memory.
    pub(crate) fn evict_some(&mut self) {
        self.with_tier((), |tier, table| {
            let is_empty = |t: &Self, hand: usize| t.segments[hand].len == 0;
            for _ in 0..table.segments.len() {
                if !is_empty(table, (tier.hand + 1) % table.segments.len()) {
                    break;
                }
                tier.hand += 1;
            }
            tier.evict_next(table)
        });
    }

    /// Moves a segment's keys out of memory; false when there were none any more.
    pub(crate) fn evict_segment(&mut self) -> bool {
        self.with_tier(false, |tier, table| {
            let filled = table.segments.iter().position(|s| s.len > 0);
            let Some(number) = filled else {
                // They were as many as the most that was in memory.
                let groups = 0..table.keys.count();
                table.segments = groups.map(|_| Segment::new(&table.initial)).collect();
                (table.directory, table.bits) = (Vec::new(), 0);
                return Ok(false);
            };
            let all = table.segments[number].len;
            tier.evict(table, number, all)?;
            Ok(true)
        })
    }

    /// See [`KeyedState::keep`](super::KeyedState::keep).
    pub(super) fn keep_tier(&mut self, mark: &[u8]) -> bool {
        if self.tier.is_none() || self.segments.iter().any(|s| !s.changed.is_empty()) {
            return false;
        }
        while self.evict_segment() {}
        self.with_tier(false, |tier, _| {
            let mut is_drained = true;
            tier.cold.each_changed(&tier.prefix, None, &mut |_, _| {
                is_drained = false;
                Ok(false)
            })?;
            if is_drained {
                tier.cold.seal(mark, &(tier.keys as u64).to_be_bytes())?;
            }
            Ok(is_drained)
        })
    }

    /// Whether some keys are not in memory.
    pub(crate) fn has_cold(&self) -> bool {
        self.tier.as_ref().is_some_and(|tier| tier.keys > 0)
    }

    /// Whether it has changed since it was drained.
    pub(crate) fn has_changed(&self) -> bool {
        self.segments.iter().any(|s| !s.changed.is_empty())
            || self.tier.as_ref().is_some_and(|tier| tier.has_changed)
    }

    pub(super) fn drain_tier(
        &mut self,
        group: u32,
        suffix: &[u8],
        rows: &mut Rows,
        limit: usize,
        gone: Option<(&mut Rows, fn(&A) -> bool)>,
    ) -> bool {
        self.with_tier(false, |tier, table| {
            let is_more = tier.drain(table, group, suffix, rows, limit, gone)?;
            if table.keys.count() == 1 {
                tier.has_changed &= is_more;
            }
            Ok(is_more)
        })
    }

    /// The value of a key, wherever it is; it stays there.
    pub(crate) fn peek(&mut self, key: &[u8], hash: u64) -> Option<Cow<'_, A>> {
        let mut found = None;
        if self.has_cold() && self.find_hashed(key, hash).is_none() {
            found = self.with_tier(None, |tier, table| {
                tier.name(table.keys.group_of_hash(hash), key);
                if !tier.cold.get(&tier.key, &mut tier.value)? {
                    return Ok(None);
                }
                let value = decode_all(&tier.value).ok_or_else(|| tier.undecodable())?;
                Ok(Some(value))
            });
        }
        match found {
            Some(value) => Some(Cow::Owned(value)),
            None => self.find_hashed(key, hash).map(Cow::Borrowed),
        }
    }

    /// Calls `f` with the hash, key and value of the keys of a group, wherever they are, from a place on, until it says false. True when
    /// there are no more. A place is good as long as no key comes or goes.
    pub(crate) fn walk_all(
        &mut self,
        group: u32,
        place: &mut Place,
        mut f: impl FnMut(u64, &[u8], &A) -> bool,
    ) -> bool {
        if place.cold.is_none() {
            if let Some(slot) = self.walk(group as usize, place.slot, &mut f) {
                place.slot = slot;
                return false;
            }
            place.cold = Some(Vec::new());
        }
        self.with_tier(true, |tier, table| tier.walk(table, group, place, f))
    }

    /// Calls `f` with the hash, key and value of each key that has changed since it was drained.
    pub(crate) fn each_changed(&mut self, mut f: impl FnMut(u64, &[u8], &A)) {
        for segment in &self.segments {
            for at in &segment.changed {
                let slot = &segment.slots[*at as usize];
                let hash = segment.key_hash(slot.key, &self.keys);
                segment.with_key(slot.key, |key| f(hash, key, &slot.value));
            }
        }
        self.with_tier((), |tier, table| {
            let (cold, mut bytes, before) = (&tier.cold, Vec::new(), tier.before());
            cold.each_changed(&tier.prefix, None, &mut |key, _| {
                let name = &key[before..];
                let hash = table.hash(name);
                match table.find_slot(name, hash) {
                    Some(slot) if slot.changed > WARM => {}
                    Some(slot) => f(hash, name, &slot.value),
                    None if cold.get(key, &mut bytes)? => {
                        let value = decode_all(&bytes).ok_or_else(|| tier.undecodable())?;
                        f(hash, name, &value);
                    }
                    None => {}
                }
                Ok(true)
            })
        });
    }

    fn find_slot(&self, key: &[u8], hash: u64) -> Option<&Slot<A>> {
        let (at, rest) = self.segment_of(hash);
        let segment = &self.segments[at];
        let slot = segment.find(key, hash, rest)?;
        Some(&segment.slots[slot])
    }

    /// As [`Table::remove_all`], elsewhere: of keys that are in memory earlier values may be left there.
    pub(super) fn remove_cold(&mut self, keys: &Rows, is_gone: &impl Fn(&A) -> bool) {
        self.with_tier((), |tier, table| {
            for (head, key, _) in keys.iter() {
                tier.name(table.keys.group_of_hash(head.hash), key);
                let is_gone = match table.find_hashed(key, head.hash) {
                    Some(value) => is_gone(value),
                    None if tier.cold.get(&tier.key, &mut tier.value)? => {
                        // It has left memory since it was drained.
                        let is_gone = decode_all(&tier.value).is_some_and(|v| is_gone(&v));
                        tier.keys -= usize::from(is_gone);
                        is_gone
                    }
                    None => false,
                };
                if is_gone {
                    tier.cold.remove(&tier.key);
                }
            }
            tier.cold.flush()
        });
    }

    /// Before an entry of the changelog is taken: as [`Table::warm`], for one key; a deleted one is removed elsewhere.
    pub(super) fn warm_restored(&mut self, key: &[u8], hash: u64, is_deleted: bool) {
        self.with_tier((), |tier, table| {
            tier.restored += 1;
            if tier.restored.is_multiple_of(CHUNK) {
                tier.trim(table)?;
            }
            tier.name(table.keys.group_of_hash(hash), key);
            // The value will be another one: all that matters is whether the key is new.
            if tier.keys > 0
                && table.find_hashed(key, hash).is_none()
                && tier.cold.get(&tier.key, &mut tier.value)?
            {
                tier.keys -= 1;
            }
            if is_deleted {
                // An earlier value may be there although a later one is in memory.
                tier.cold.remove(&tier.key);
                tier.cold.flush()?;
            }
            Ok(())
        });
    }

    /// Forgets the keys of a group that are not in memory.
    pub(super) fn drop_cold(&mut self, group: u32) {
        self.with_tier((), |tier, table| {
            let mut keys = Vec::new();
            for entry in tier.cold.scan(&tier.prefix_of(group), None) {
                keys.push(entry?.0);
            }
            for key in keys {
                if table.find(&key[tier.before()..]).is_none() {
                    tier.keys = tier.keys.saturating_sub(1);
                }
                tier.cold.remove(&key);
                tier.cold.drained(&key);
            }
            tier.cold.flush()
        });
    }

    /// Calls `f` with the keys of a group that are not in memory, and their encoded values.
    pub(crate) fn each_cold(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        if let Some(tier) = &self.tier {
            // An error is told when it is next written to: this only looks.
            let entries = tier.cold.scan(&tier.prefix_of(group), None);
            for (key, value) in entries.map_while(Result::ok) {
                let key = &key[tier.before()..];
                if self.find(key).is_none() {
                    f(key, &value);
                }
            }
        }
    }

    fn in_memory(&self) -> usize {
        self.segments.iter().map(|s| s.len).sum()
    }
}

impl<A: Clone> Segment<A> {
    /// Takes keys out that are given by their slots.
    fn take_out(&mut self, victims: &[u32], keys: &KeyGroups, initial: &A) {
        for at in victims {
            let key = self.slots[*at as usize].key;
            self.forget(key);
            self.slots[*at as usize].key = Key::EMPTY;
        }
        // Those that stay have had their second chance.
        for slot in self.slots.iter_mut().filter(|s| s.changed == WARM) {
            slot.changed = CLEAN;
        }
        self.rebuild(keys, initial);
    }
}
