//! A part of a key group's table: a linear-probing table of bounded size, with its long keys. What grows, splits or is tidied is one of
//! these, so that no single update waits for more than the moving of some ten thousand slots.
//!
//! ```text
//! slots [key 16 B | changed at 8 B | value]…   arena: bytes of keys above 15   changed: slots touched since the last drain
//! ```

use super::{Key, KeyGroups};

/// Not changed since the last drain. No timestamp: those are kept above it and `WARM`.
pub(super) const CLEAN: i64 = i64::MIN;
/// Changed before the last drain, and not looked at since by who moves keys out of memory.
pub(super) const WARM: i64 = i64::MIN + 1;
const SLOTS_MIN: usize = 16;
/// More slots than this are two segments.
pub(super) const SLOTS_MAX: usize = 1 << 17;
/// Below this many bytes of keys that are gone an arena is left as it is.
const ARENA_DEAD_MIN: usize = 4 << 10;

#[derive(Clone, Debug)]
pub(super) struct Slot<A> {
    pub(super) key: Key,
    /// Timestamp of the last update, or `CLEAN` or `WARM`.
    pub(super) changed: i64,
    pub(super) value: A,
}

impl<A> Slot<A> {
    /// Something of both of its parts: large allocations begin 16 bytes behind a page's start, so every other slot lies in two cache lines.
    #[inline]
    pub(super) fn load(&self) -> u64 {
        self.key.low ^ self.changed as u64
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

#[derive(Debug)]
pub(super) struct Segment<A> {
    /// A power of two of them; at most 5/8 in use.
    pub(super) slots: Vec<Slot<A>>,
    /// Brings a hash down to the bits behind those of the directory that say where a key is at home.
    shift: u32,
    /// So many first bits of what a group leaves of a hash are the same for all keys here.
    pub(super) depth: u32,
    pub(super) len: usize,
    pub(super) arena: Vec<u8>,
    /// Bytes in the arena that no key uses any more.
    arena_dead: usize,
    pub(super) changed: Vec<u32>,
}

impl<A> Segment<A> {
    /// Where a key is at home.
    #[inline]
    pub(super) fn home(&self, rest: u64) -> usize {
        (rest >> self.shift) as usize & (self.slots.len() - 1)
    }

    pub(super) fn key_hash(&self, key: Key, keys: &KeyGroups) -> u64 {
        if key.is_long() {
            keys.hasher.long(&self.arena[key.range()])
        } else {
            keys.hasher.short(key)
        }
    }

    pub(super) fn with_key<R>(&self, key: Key, f: impl FnOnce(&[u8]) -> R) -> R {
        if key.is_long() {
            f(&self.arena[key.range()])
        } else {
            let (bytes, n) = key.unpack();
            f(&bytes[..n])
        }
    }

    /// Whether a short key is there, and its slot, or the empty one where it would be.
    #[inline(always)]
    pub(super) fn probe_short(&self, key: Key, rest: u64) -> (bool, usize) {
        let mask = self.slots.len() - 1;
        let mut i = (rest >> self.shift) as usize;
        loop {
            let here = self.slots[i & mask].key;
            if here == key {
                return (true, i & mask);
            }
            if here.is_empty() {
                return (false, i & mask);
            }
            i += 1;
        }
    }

    /// As [`Segment::probe_short`], for a key of more than 15 bytes.
    pub(super) fn probe_long(&self, key: &[u8], hash: u64, rest: u64) -> (bool, usize) {
        let tag = Key::long(0, key.len() as u32, hash).tag();
        let mask = self.slots.len() - 1;
        let mut i = (rest >> self.shift) as usize;
        loop {
            let here = self.slots[i & mask].key;
            if here.is_empty() {
                return (false, i & mask);
            }
            if here.is_long() && here.tag() == tag && self.arena[here.range()] == *key {
                return (true, i & mask);
            }
            i += 1;
        }
    }

    pub(super) fn find(&self, key: &[u8], hash: u64, rest: u64) -> Option<usize> {
        let (is_there, slot) = match Key::short(key) {
            Some(packed) => self.probe_short(packed, rest),
            None => self.probe_long(key, hash, rest),
        };
        is_there.then_some(slot)
    }

    /// Keeps the bytes of a long key.
    pub(super) fn keep(&mut self, key: &[u8], hash: u64) -> Key {
        let offset = self.arena.len() as u64;
        self.arena.extend_from_slice(key);
        // Rows count their bytes in 32 bits.
        Key::long(offset, key.len() as u32, hash)
    }

    /// Whether one key more needs more slots.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        (self.len + 1) * 8 > self.slots.len() * 5
    }

    /// Whether it should rather be split than grow.
    pub(super) fn is_largest(&self, slots_max: usize) -> bool {
        // Keys that agree in so many bits are not told apart by some more of them.
        self.slots.len() >= slots_max && self.depth < 40
    }

    /// Bytes of long keys.
    pub(super) fn long_bytes(&self) -> usize {
        self.arena.len() - self.arena_dead
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<A>>()
            + self.arena.capacity()
            + self.changed.capacity() * size_of::<u32>()
    }

    /// Lists the changed slots again after slots have moved.
    fn relist_changed(&mut self) {
        self.changed.clear();
        let slots = self.slots.iter().zip(0..);
        self.changed
            .extend(slots.filter(|(s, _)| s.changed > WARM).map(|(_, i)| i));
    }
}

impl<A: Clone> Segment<A> {
    pub(super) fn new(initial: &A) -> Self {
        Self::with_slots(SLOTS_MIN, 0, initial)
    }

    fn with_slots(slots: usize, depth: u32, initial: &A) -> Self {
        Self {
            slots: vec![Slot::empty(initial); slots],
            shift: 64 - depth - slots.trailing_zeros(),
            depth,
            len: 0,
            arena: Vec::new(),
            arena_dead: 0,
            // Of one with few keys all may change at once, and no second allocation is to be made.
            changed: Vec::with_capacity(SLOTS_MIN),
        }
    }

    /// An empty one with as many slots as another has, for the same keys.
    pub(super) fn like<B>(other: &Segment<B>, initial: &A) -> Self {
        Self::with_slots(other.slots.len(), other.depth, initial)
    }

    /// Puts a key that is not there into a slot of which a probe said that it is empty.
    pub(super) fn fill(&mut self, slot: usize, key: Key) {
        self.slots[slot].key = key;
        self.len += 1;
    }

    fn free_slot(&self, rest: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut i = (rest >> self.shift) as usize;
        while !self.slots[i & mask].key.is_empty() {
            i += 1;
        }
        i & mask
    }

    /// Moves all keys into as many slots as given. The bytes of long keys stay where they are.
    fn resize(&mut self, slots: usize, keys: &KeyGroups, initial: &A) {
        let resized = vec![Slot::empty(initial); slots];
        let old = std::mem::replace(&mut self.slots, resized);
        self.shift = 64 - self.depth - slots.trailing_zeros();
        self.changed.clear();
        for entry in old.into_iter().filter(|s| !s.key.is_empty()) {
            let rest = keys.of(self.key_hash(entry.key, keys)).1;
            let slot = self.free_slot(rest);
            if entry.changed > WARM {
                self.changed.push(slot as u32);
            }
            self.slots[slot] = entry;
        }
    }

    pub(super) fn grow(&mut self, keys: &KeyGroups, initial: &A) {
        self.resize(self.slots.len() * 2, keys, initial);
    }

    /// Moves the keys whose next bit is set into a segment of their own.
    pub(super) fn split(&mut self, keys: &KeyGroups, initial: &A) -> Self {
        let (slots, depth) = (self.slots.len(), self.depth + 1);
        let mut halves = [
            Self::with_slots(slots, depth, initial),
            Self::with_slots(slots, depth, initial),
        ];
        for entry in std::mem::take(&mut self.slots) {
            if entry.key.is_empty() {
                continue;
            }
            let hash = self.key_hash(entry.key, keys);
            let rest = keys.of(hash).1;
            let half = &mut halves[(rest >> (64 - depth) & 1) as usize];
            let key = if entry.key.is_long() {
                half.keep(&self.arena[entry.key.range()], hash)
            } else {
                entry.key
            };
            let slot = half.free_slot(rest);
            if entry.changed > WARM {
                half.changed.push(slot as u32);
            }
            half.slots[slot] = Slot { key, ..entry };
            half.len += 1;
        }
        let [lower, upper] = halves;
        *self = lower;
        upper
    }

    /// Takes a key out and closes the gap, so that no probe ends too early.
    pub(super) fn remove(&mut self, mut gap: usize, keys: &KeyGroups, initial: &A) {
        self.forget(self.slots[gap].key);
        let mask = self.slots.len() - 1;
        let mut i = gap;
        loop {
            i = (i + 1) & mask;
            let key = self.slots[i].key;
            if key.is_empty() {
                break;
            }
            let home = self.home(keys.of(self.key_hash(key, keys)).1);
            // It may move back only if its home does not lie behind the gap, counted around the end.
            if i.wrapping_sub(home) & mask >= i.wrapping_sub(gap) & mask {
                self.slots.swap(gap, i);
                gap = i;
            }
        }
        self.slots[gap] = Slot::empty(initial);
    }

    /// Notes that a key is not there any more.
    pub(super) fn forget(&mut self, key: Key) {
        self.len -= 1;
        if key.is_long() {
            self.arena_dead += key.range().len();
        }
    }

    /// Closes all gaps after keys were taken out of their slots.
    pub(super) fn rebuild(&mut self, keys: &KeyGroups, initial: &A) {
        self.resize(self.slots.len(), keys, initial);
        self.tidy(keys, initial);
    }

    /// After keys were taken out: lists what has changed again, and gives back memory of which little is in use.
    pub(super) fn tidy(&mut self, keys: &KeyGroups, initial: &A) {
        if self.slots.len() > SLOTS_MIN && self.len * 8 < self.slots.len() {
            let slots = (self.len * 4).next_power_of_two().max(SLOTS_MIN);
            self.resize(slots, keys, initial);
            self.changed.shrink_to_fit();
        } else if !self.changed.is_empty() {
            self.relist_changed();
        }
        let is_half_dead = self.arena_dead * 2 >= self.arena.len();
        if self.len == 0 || self.arena_dead >= ARENA_DEAD_MIN && is_half_dead {
            self.compact(keys);
        }
    }

    /// Gives back what long keys that are gone have left in the arena.
    fn compact(&mut self, keys: &KeyGroups) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.arena_dead);
        for slot in self.slots.iter_mut().filter(|s| s.key.is_long()) {
            let bytes = &self.arena[slot.key.range()];
            let (offset, hash) = (arena.len() as u64, keys.hasher.long(bytes));
            slot.key = Key::long(offset, bytes.len() as u32, hash);
            arena.extend_from_slice(bytes);
        }
        (self.arena, self.arena_dead) = (arena, 0);
    }

    /// Forgets all keys and their memory.
    pub(super) fn reset(&mut self, initial: &A) {
        *self = Self::with_slots(SLOTS_MIN, self.depth, initial);
    }

    /// Forgets all keys and keeps the memory.
    pub(super) fn clear(&mut self, initial: &A) {
        self.slots.fill(Slot::empty(initial));
        self.len = 0;
        self.arena.clear();
        self.arena_dead = 0;
        self.changed.clear();
    }
}
