//! When keys want to be looked at again: a queue by time, with the keys' bytes in one arena.
//!
//! It holds hints only. What is true stands in the key's own state: a hint that does not agree with
//! it any more is passed over, and when most of them are such, all of them are let go of at once:
//! so there are about as many hints as there is to wait for, however often that was taken back.
//!
//! ```text
//! in memory: what comes first │ beside a table on disk, above a bound: what comes later, by time, taken back in pieces
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{
    CHUNK, StoreError, StorePlace,
    store::{Cold, Scanned},
};
use crate::batch::Rows;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hint {
    time: i64,
    hash: u64,
    /// Where the key's bytes lie in the arena.
    at: u64,
    len: u32,
}

/// Hints by time; at equal times by the hash of the key, so that their order does not depend on when they were made.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    hints: BinaryHeap<Reverse<Hint>>,
    arena: Vec<u8>,
    /// Bytes in the arena that no hint needs any more.
    dead: usize,
    far: Option<Far>,
}

/// What comes later than all hints in memory, or at the same time and hash as the last of them.
#[derive(Debug)]
struct Far {
    cold: Box<dyn Cold>,
    /// What keys of this queue begin with: none of a table does.
    prefix: [u8; 2],
    limit_bytes: usize,
    count: usize,
    /// Time and hash of the first one, if there is one.
    first: (i64, u64),
    /// Those that are written with the next flush.
    pending: usize,
    error: Option<StoreError>,
    key: Vec<u8>,
}

/// Bytes before a key: prefix, time, hash, and one that makes the first key come behind them.
const BEFORE: usize = 2 + 8 + 8 + 1;

impl Far {
    /// Writes down what all hints of this time and hash begin with.
    fn name(&mut self, time: i64, hash: u64) {
        self.key.clear();
        self.key.extend_from_slice(&self.prefix);
        self.key.extend_from_slice(&(time ^ i64::MIN).to_be_bytes());
        self.key.extend_from_slice(&hash.to_be_bytes());
    }

    fn push(&mut self, time: i64, hash: u64, key: &[u8]) -> Result<(), StoreError> {
        self.name(time, hash);
        self.key.push(0);
        self.key.extend_from_slice(key);
        self.cold.put(&self.key, &[], None)?;
        if self.count == 0 || (time, hash) < self.first {
            self.first = (time, hash);
        }
        self.count += 1;
        self.pending += 1;
        if self.pending >= CHUNK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.pending = 0;
        self.cold.flush()
    }

    /// Takes the first hints, about half of what may be in memory.
    fn take(&mut self, mut each: impl FnMut(i64, u64, &[u8])) -> Result<(), StoreError> {
        self.flush()?;
        self.name(self.first.0, self.first.1);
        let (mut taken, mut bytes, mut next) = (Vec::new(), 0, None);
        // From the first one on: what was taken before is not walked over again.
        for entry in self.cold.scan(&self.prefix, Some(&self.key)) {
            let (time, hash, whole) = read(entry)?;
            if taken.len() >= CHUNK && bytes >= self.limit_bytes / 2 {
                next = Some((time, hash));
                break;
            }
            let key = whole.get(BEFORE..).unwrap_or_default();
            bytes += size_of::<Hint>() + key.len();
            each(time, hash, key);
            taken.push(whole);
        }
        self.count = match next {
            Some(first) => {
                self.first = first;
                self.count.saturating_sub(taken.len()).max(1)
            }
            None => 0,
        };
        taken.iter().for_each(|key| self.cold.remove(key));
        self.flush()
    }
}

fn read(entry: Scanned) -> Result<(i64, u64, Vec<u8>), StoreError> {
    let (whole, _) = entry?;
    let number = |at: usize| {
        let bytes = whole.get(at..).and_then(|b| b.first_chunk());
        bytes.map_or(0, |b| u64::from_be_bytes(*b))
    };
    let (time, hash) = (number(2) as i64 ^ i64::MIN, number(10));
    Ok((time, hash, whole))
}

/// Below this many dead hints the queue is left as it is.
const DEAD_HINTS_MIN: usize = 1024;
/// Below this many dead bytes the arena is left as it is.
const DEAD_MIN: usize = 64 << 10;

impl Timers {
    /// An empty queue beside the table that is to be in this place; `queue` tells it from others there.
    pub(crate) fn placed(place: &StorePlace, queue: u8) -> Self {
        let far = place.for_hints().map(|(cold, limit_bytes)| Far {
            cold,
            // Key groups have small numbers.
            prefix: [u8::MAX, queue],
            limit_bytes,
            count: 0,
            first: (0, 0),
            pending: 0,
            error: None,
            key: Vec::new(),
        });
        Self {
            far,
            ..Self::default()
        }
    }

    /// Runs `f` on what is not in memory unless there was an error before, and keeps the error.
    fn with_far(&mut self, f: impl FnOnce(&mut Far, &mut Self) -> Result<(), StoreError>) {
        let Some(mut far) = self.far.take() else {
            return;
        };
        if far.error.is_none()
            && let Err(error) = f(&mut far, self)
        {
            far.error = Some(error);
        }
        self.far = Some(far);
    }

    /// Why hints cannot be read or written, if so.
    pub(crate) fn error(&self) -> Option<StoreError> {
        self.far.as_ref()?.error.clone()
    }

    /// The key wants to be looked at when this time has come.
    pub(crate) fn push(&mut self, time: i64, hash: u64, key: &[u8]) {
        match &self.far {
            None => self.keep(time, hash, key),
            Some(far) if far.count > 0 && (time, hash) >= far.first => {
                self.with_far(|far, _| far.push(time, hash, key));
            }
            Some(far) => {
                let limit_bytes = far.limit_bytes;
                self.keep(time, hash, key);
                if self.held_bytes() > limit_bytes && self.hints.len() > 2 * CHUNK {
                    self.with_far(|far, timers| timers.spill(far));
                }
            }
        }
    }

    /// Bytes that the hints in memory need.
    fn held_bytes(&self) -> usize {
        self.hints.len() * size_of::<Hint>() + self.arena.len() - self.dead
    }

    /// Moves the later half out of memory.
    fn spill(&mut self, far: &mut Far) -> Result<(), StoreError> {
        let mut hints = std::mem::take(&mut self.hints).into_vec();
        hints.sort_unstable_by_key(|Reverse(hint)| *hint);
        for Reverse(hint) in hints.split_off(hints.len().div_ceil(2)) {
            let at = hint.at as usize;
            let key = &self.arena[at..at + hint.len as usize];
            far.push(hint.time, hint.hash, key)?;
            self.dead += key.len();
        }
        self.hints = hints.into();
        self.compact();
        Ok(())
    }

    fn keep(&mut self, time: i64, hash: u64, key: &[u8]) {
        if self.dead > DEAD_MIN && self.dead * 2 > self.arena.len() {
            self.compact();
        }
        let at = self.arena.len() as u64;
        self.arena.extend_from_slice(key);
        // Rows count their bytes in 32 bits.
        let len = key.len() as u32;
        self.hints.push(Reverse(Hint {
            time,
            hash,
            at,
            len,
        }));
    }

    /// Whether most hints are dead, where so many of them are alive; then [`Timers::retain`] is
    /// worth its walk over all of them. Of those on disk nothing is known here.
    #[inline]
    pub(crate) fn is_mostly_dead(&self, alive: usize) -> bool {
        self.hints.len() > 2 * alive + DEAD_HINTS_MIN
    }

    /// Lets go of the hints in memory of which `is_alive` says no, given their times, hashes and
    /// keys, and of all but one of equal ones (`once_a_key`: of all but the first of each key). How
    /// many are left.
    pub(crate) fn retain(
        &mut self,
        once_a_key: bool,
        mut is_alive: impl FnMut(i64, u64, &[u8]) -> bool,
    ) -> usize {
        let arena = std::mem::take(&mut self.arena);
        let key = |hint: &Hint| &arena[hint.at as usize..][..hint.len as usize];
        let hints = std::mem::take(&mut self.hints).into_iter();
        let mut hints: Vec<Hint> = hints.map(|Reverse(hint)| hint).collect();
        hints.sort_unstable_by(|a, b| {
            let by_key = a.hash.cmp(&b.hash).then_with(|| key(a).cmp(key(b)));
            by_key.then(a.time.cmp(&b.time))
        });
        hints.dedup_by(|later, kept| {
            later.hash == kept.hash
                && (once_a_key || later.time == kept.time)
                && key(later) == key(kept)
        });
        hints.retain(|hint| is_alive(hint.time, hint.hash, key(hint)));
        self.arena = Vec::with_capacity(hints.iter().map(|hint| hint.len as usize).sum());
        self.dead = 0;
        let moved = hints.iter().map(|hint| {
            let at = self.arena.len() as u64;
            self.arena.extend_from_slice(key(hint));
            Reverse(Hint { at, ..*hint })
        });
        self.hints = moved.collect();
        self.refill();
        hints.len()
    }

    /// Takes hints back from the disk when there are none in memory any more.
    fn refill(&mut self) {
        if !self.hints.is_empty() {
            return;
        }
        self.arena.clear();
        self.dead = 0;
        if self.far.as_ref().is_some_and(|far| far.count > 0) {
            self.with_far(|far, timers| far.take(|time, hash, key| timers.keep(time, hash, key)));
        }
    }

    /// The first time that somebody waits for.
    pub(crate) fn next(&self) -> Option<i64> {
        self.hints.peek().map(|Reverse(hint)| hint.time)
    }

    /// Takes the hints whose time has come, a chunk of them at most, as rows of key, hash and time. False when there are none.
    pub(crate) fn pop_chunk(&mut self, now: i64, key: &mut Vec<u8>, due: &mut Rows) -> bool {
        due.clear();
        while due.len() < CHUNK
            && let Some((time, hash)) = self.pop(now, key)
        {
            // Far below the size at which a batch is full.
            let _ = due.push(hash, time, &[], key);
        }
        !due.is_empty()
    }

    /// Takes the first hint, if its time has come, and copies its key to `key`; its time and hash.
    pub(crate) fn pop(&mut self, now: i64, key: &mut Vec<u8>) -> Option<(i64, u64)> {
        if self.next().is_none_or(|time| time > now) {
            return None;
        }
        let Reverse(hint) = self.hints.pop()?;
        let at = hint.at as usize;
        key.clear();
        key.extend_from_slice(&self.arena[at..at + hint.len as usize]);
        self.dead += hint.len as usize;
        self.refill();
        Some((hint.time, hint.hash))
    }

    fn compact(&mut self) {
        let old = std::mem::take(&mut self.arena);
        let mut arena = Vec::with_capacity(old.len() - self.dead);
        let hints = std::mem::take(&mut self.hints).into_vec();
        let moved = hints.into_iter().map(|Reverse(hint)| {
            let at = arena.len() as u64;
            let from = hint.at as usize;
            arena.extend_from_slice(&old[from..from + hint.len as usize]);
            Reverse(Hint { at, ..hint })
        });
        self.hints = moved.collect();
        (self.arena, self.dead) = (arena, 0);
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.arena.capacity() + self.hints.capacity() * size_of::<Hint>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_in_the_order_of_time_whatever_the_order_they_were_made_in() {
        in_order(Timers::default(), 20_000);
    }

    #[cfg(feature = "fjall")]
    #[test]
    fn hints_that_are_not_in_memory_come_in_the_order_of_time_too() {
        for bytes in [0, 200 << 10] {
            let path = crate::state::temporary_folder("hints");
            let disk: Box<dyn Cold> = Box::new(crate::state::Disk::open(&path, None).unwrap());
            in_order(Timers::placed(&StorePlace(Some((disk, bytes))), 0), 5_000);
        }
    }

    #[cfg(feature = "fjall")]
    #[test]
    fn nothing_is_left_on_disk_of_hints_that_were_taken() {
        let path = crate::state::temporary_folder("taken-hints");
        let disk: Box<dyn Cold> = Box::new(crate::state::Disk::open(&path, None).unwrap());
        let mut timers = Timers::placed(&StorePlace(Some((disk, 0))), 0);
        let on_disk = |timers: &Timers| {
            let far = timers.far.as_ref().unwrap();
            far.cold.scan(&far.prefix, None).count()
        };
        for n in 0..5_000u64 {
            timers.push(n as i64, n, b"key");
        }
        assert!(on_disk(&timers) > 1_000);
        let mut key = Vec::new();
        while timers.pop(i64::MAX, &mut key).is_some() {}
        assert_eq!(on_disk(&timers), 0);
        assert_eq!(timers.error(), None);
    }

    #[cfg(feature = "fjall")]
    #[test]
    fn memory_of_hints_stays_within_its_bound() {
        let path = crate::state::temporary_folder("many-hints");
        let disk: Box<dyn Cold> = Box::new(crate::state::Disk::open(&path, None).unwrap());
        let mut timers = Timers::placed(&StorePlace(Some((disk, 512 << 10))), 0);
        let mut key = Vec::new();
        for n in 0..100_000u64 {
            let time = (n * 7919 % 100_003) as i64;
            timers.push(time, n, format!("a key of some length {n}").as_bytes());
            assert!(timers.memory_bytes() < 256 << 10, "{n}");
        }
        let mut last = i64::MIN;
        for n in 0..100_000 {
            let (time, _) = timers.pop(i64::MAX, &mut key).unwrap();
            assert!(time >= last && timers.memory_bytes() < 256 << 10, "{n}");
            last = time;
        }
        assert_eq!(timers.pop(i64::MAX, &mut key), None);
        assert_eq!(timers.error(), None);
    }

    #[test]
    fn of_hints_only_those_are_kept_that_are_alive_and_of_equal_ones_one() {
        let mut timers = Timers::default();
        for round in 0..3 {
            for n in 0..1000u64 {
                let time = (n % 10) as i64 + if n % 2 == 0 { 0 } else { round };
                timers.push(time, n % 7, format!("key-{n}").as_bytes());
            }
        }
        assert!(timers.is_mostly_dead(900) && !timers.is_mostly_dead(1000));
        let number = |key: &[u8]| str::from_utf8(&key[4..]).unwrap().parse::<u64>().unwrap();
        let kept = timers.retain(false, |_, _, key| number(key) < 100);
        // Of 50 keys the same time three times, of 50 three times.
        assert_eq!(kept, 50 + 150);
        assert_eq!(
            timers.retain(true, |_, _, _| true),
            100,
            "the first of each key"
        );
        let (mut key, mut last, mut count) = (Vec::new(), 0, 0);
        while let Some((time, hash)) = timers.pop(100, &mut key) {
            let n = number(&key);
            assert_eq!((time, hash), ((n % 10) as i64, n % 7));
            assert!(n < 100 && time >= last, "{n}");
            (last, count) = (time, count + 1);
        }
        assert_eq!(count, 100);
        timers.push(5, 1, b"key-1");
        assert_eq!(timers.retain(false, |_, _, _| false), 0);
        assert_eq!(timers.pop(100, &mut key), None);
    }

    #[cfg(feature = "fjall")]
    #[test]
    fn a_hint_before_those_that_came_back_from_the_disk_comes_before_them() {
        let path = crate::state::temporary_folder("first-hint");
        let disk: Box<dyn Cold> = Box::new(crate::state::Disk::open(&path, None).unwrap());
        let mut timers = Timers::placed(&StorePlace(Some((disk, 0))), 0);
        for n in 0..4000 {
            timers.push(10 * n, n as u64, b"key");
        }
        let (mut key, mut last) = (Vec::new(), -10);
        for _ in 0..4000 {
            // One just before the next one, wherever that is.
            timers.push(last + 11, 0, b"other");
            let next = timers.pop(i64::MAX, &mut key).unwrap().0;
            assert_eq!(next, last + 10);
            last = next;
            let other = timers.pop(i64::MAX, &mut key).unwrap().0;
            assert_eq!((other, &key[..]), (last + 1, &b"other"[..]));
        }
        assert_eq!(timers.pop(i64::MAX, &mut key), None);
    }

    #[cfg(feature = "fjall")]
    #[test]
    fn when_all_hints_in_memory_are_dead_those_on_disk_come_back() {
        let path = crate::state::temporary_folder("dead-hints");
        let disk: Box<dyn Cold> = Box::new(crate::state::Disk::open(&path, None).unwrap());
        let mut timers = Timers::placed(&StorePlace(Some((disk, 0))), 0);
        for n in 0..2000 {
            timers.push(n, n as u64, b"key");
        }
        assert!(timers.hints.len() < 2000, "some are on disk");
        timers.retain(false, |_, _, _| false);
        let first = timers.next().expect("those on disk come next");
        assert!(first > 0, "{first}");
    }

    fn in_order(mut timers: Timers, count: u64) {
        let mut want = Vec::new();
        for i in 0..count {
            let (time, hash) = ((i * 7919 % 1000) as i64 - 500, i * i % 97);
            let key = format!("key-{i}");
            timers.push(time, hash, key.as_bytes());
            want.push((time, hash, key));
            if i % 3 == 0 {
                // Some leave in between, so that the arena is compacted.
                let mut key = Vec::new();
                let (time, hash) = timers.pop(i64::MAX, &mut key).unwrap();
                let key = String::from_utf8(key).unwrap();
                let at = want.iter().position(|w| *w == (time, hash, key.clone()));
                want.remove(at.unwrap());
            }
        }
        want.sort_by_key(|(time, hash, _)| (*time, *hash));
        let mut key = Vec::new();
        assert_eq!(
            timers.pop(want[0].0 - 1, &mut key),
            None,
            "its time has not come"
        );
        let mut got = Vec::new();
        while let Some((time, hash)) = timers.pop(1000, &mut key) {
            got.push((time, hash, String::from_utf8(key.clone()).unwrap()));
        }
        assert!(got.is_sorted_by_key(|(time, hash, _)| (*time, *hash)));
        got.sort();
        want.sort();
        assert_eq!(got, want);
    }
}
