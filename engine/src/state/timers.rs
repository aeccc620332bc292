//! When keys want to be looked at again: a queue by time, with the keys' bytes in one arena.
//!
//! It holds hints only. What is true stands in the key's own state: a hint that does not agree with it any more is passed over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
}

/// Below this many dead bytes the arena is left as it is.
const DEAD_MIN: usize = 64 << 10;

impl Timers {
    /// The key wants to be looked at when this time has come.
    pub(crate) fn push(&mut self, time: i64, hash: u64, key: &[u8]) {
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

    /// The first time that somebody waits for.
    pub(crate) fn next(&self) -> Option<i64> {
        self.hints.peek().map(|Reverse(hint)| hint.time)
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
        if self.hints.is_empty() {
            self.arena.clear();
            self.dead = 0;
        }
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
        let mut timers = Timers::default();
        let mut want = Vec::new();
        for i in 0..20_000u64 {
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
