//! A table whose keys are not all in memory: before a batch of updates those that are elsewhere are brought in (`warm`), and when there
//! are too many in memory, those that were not changed for the longest are moved out.
//!
//! Everything else works on the table in memory, as ever. A key that is moved out between a change and its drain is noted there.

use super::{CHUNK, Segment, Slot, Table};
use crate::{
    batch::{Rows, row::decode_all},
    state::{
        Key, State,
        segment::{CLEAN, WARM},
        store::{Cold, StoreError},
    },
};

/// Segments are smaller here than in memory alone: half of one is moved out at once.
const SLOTS_MAX: usize = 1 << 12;

#[derive(Debug)]
pub(super) struct Tier {
    cold: Box<dyn Cold>,
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
    restored: usize,
}

/// Keys that are not in memory, behind their group's number.
#[derive(Debug, Default)]
struct Missing {
    bytes: Vec<u8>,
    /// Where each one's bytes are, and its hash.
    list: Vec<(usize, usize, u64)>,
}

impl Tier {
    pub(super) fn new(cold: Box<dyn Cold>, limit_bytes: usize) -> Self {
        Self {
            cold,
            limit_bytes: limit_bytes.max(1 << 16),
            keys: 0,
            hand: 0,
            samples: 0,
            value_bytes: 0,
            error: None,
            missing: Missing::default(),
            value: Vec::new(),
            key: Vec::new(),
            drained: None,
            restored: 0,
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
                let Some(value) = decode_all(&self.value) else {
                    return Err(StoreError {
                        path: format!("{:?}", self.cold),
                        reason: "a value cannot be read back: its `Decode` does not read what its `Encode` wrote".into(),
                    });
                };
                let (segment, slot) = table.slot(&key[4..], Key::short(&key[4..]), hash);
                segment.slots[slot].value = value;
                self.keys -= 1;
            }
        }
        Ok(())
    }

    /// Moves keys out until the table is small enough. Between batches only: what a batch needs stays until it is done.
    fn trim<A: State>(&mut self, table: &mut Table<A>) -> Result<(), StoreError> {
        self.sample(table);
        loop {
            // A slot is in use for between 5/16 and 5/8 of the time.
            let each = size_of::<Slot<A>>() * 16 / 5 + self.value_bytes / 16;
            let long: usize = table.segments.iter().map(Segment::long_bytes).sum();
            if table.in_memory() * each + long <= self.limit_bytes {
                return Ok(());
            }
            self.hand = (self.hand + 1) % table.segments.len();
            self.evict(table, self.hand)?;
        }
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

    /// Moves about half of a segment's keys out: first those that were not changed lately, last those whose change is not drained.
    fn evict<A: State>(&mut self, table: &mut Table<A>, number: usize) -> Result<(), StoreError> {
        let segment = &mut table.segments[number];
        let wanted = segment.len.div_ceil(2);
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
            self.key.clear();
            self.key
                .extend_from_slice(&table.keys.group_of_hash(hash).to_be_bytes());
            segment.with_key(slot.key, |key| self.key.extend_from_slice(key));
            let changed = (slot.changed > WARM).then_some(slot.changed);
            self.cold.put(&self.key, &self.value, changed)?;
        }
        self.cold.flush()?;
        self.keys += victims.len();
        segment.take_out(&victims, &table.keys, &table.initial);
        Ok(())
    }

    /// As [`Table::drain`], for the keys that were moved out before.
    fn drain<A: State>(
        &mut self,
        table: &Table<A>,
        group: u32,
        rows: &mut Rows,
        limit: usize,
        mut gone: Option<(&mut Rows, fn(&A) -> bool)>,
    ) -> Result<bool, StoreError> {
        let (mut is_more, mut done, mut removed) = (false, Vec::new(), Vec::new());
        let (cold, value, mut last) = (&self.cold, &mut self.value, self.drained.take());
        let after = last.clone();
        cold.each_changed(&group.to_be_bytes(), after.as_deref(), &mut |key, time| {
            if rows.size_bytes() >= limit {
                is_more = true;
                return Ok(false);
            }
            let hash = table.hash(&key[4..]);
            // One that came back was drained from memory.
            if table.find_hashed(&key[4..], hash).is_none() && cold.get(key, value)? {
                let pushed = match &mut gone {
                    Some((gone, is_gone)) if decode_all(value).is_some_and(|v| is_gone(&v)) => {
                        removed.push(key.to_vec());
                        gone.push(hash, time, &[], &key[4..])
                    }
                    _ => rows.push(hash, time, value, &key[4..]),
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

impl<A: State> Table<A> {
    #[cfg_attr(
        not(feature = "fjall"),
        expect(dead_code, reason = "what it needs comes with a feature")
    )]
    /// An empty table that keeps about as many bytes in memory as given, and the rest in `cold`.
    pub(crate) fn tiered(
        keys: super::KeyGroups,
        initial: A,
        cold: Box<dyn Cold>,
        memory_bytes: usize,
    ) -> Self {
        Self {
            slots_max: SLOTS_MAX,
            tier: Some(Box::new(Tier::new(cold, memory_bytes))),
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

    pub(super) fn drain_tier(
        &mut self,
        group: u32,
        rows: &mut Rows,
        limit: usize,
        gone: Option<(&mut Rows, fn(&A) -> bool)>,
    ) -> bool {
        self.with_tier(false, |tier, table| {
            tier.drain(table, group, rows, limit, gone)
        })
    }

    /// Of keys that were taken out of memory earlier values may be left elsewhere.
    pub(super) fn remove_cold(&mut self, keys: &Rows) {
        self.with_tier((), |tier, table| {
            for (head, key, _) in keys.iter() {
                if table.find_hashed(key, head.hash).is_none() {
                    tier.key.clear();
                    tier.key
                        .extend_from_slice(&table.keys.group_of_hash(head.hash).to_be_bytes());
                    tier.key.extend_from_slice(key);
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
            tier.key.clear();
            tier.key
                .extend_from_slice(&table.keys.group_of_hash(hash).to_be_bytes());
            tier.key.extend_from_slice(key);
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
            let prefix = group.to_be_bytes();
            tier.cold
                .each(&prefix, &mut |key, _| keys.push(key.to_vec()))?;
            for key in keys {
                if table.find(&key[4..]).is_none() {
                    tier.keys = tier.keys.saturating_sub(1);
                }
                tier.cold.remove(&key);
                tier.cold.drained(&key);
            }
            tier.cold.flush()
        });
    }

    /// Calls `f` with the keys of a group that are not in memory, and their encoded values.
    pub(super) fn each_cold(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        if let Some(tier) = &self.tier {
            let each = tier.cold.each(&group.to_be_bytes(), &mut |key, value| {
                if self.find(&key[4..]).is_none() {
                    f(&key[4..], value);
                }
            });
            // Told when it is next written to: this only looks.
            let _ = each;
        }
    }

    fn in_memory(&self) -> usize {
        self.segments.iter().map(|s| s.len).sum()
    }
}

impl<A: Clone> Segment<A> {
    /// Takes keys out that are given by their slots.
    fn take_out(&mut self, victims: &[u32], keys: &super::KeyGroups, initial: &A) {
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
