//! State of process functions: a value for each key, with the timers that it has set, and when it expires.

use super::{
    Key, KeyGroups, KeyedState, RestoreError, State, StoreError, StorePlace, Table, Timers,
};
use crate::batch::{Decode, Encode, Head, Reader, Rows};

/// What a due row is about: its value is this one byte.
pub(crate) const EVENT_TIMER: u8 = 0;
/// See [`EVENT_TIMER`].
pub(crate) const WALL_TIMER: u8 = 1;

/// What is kept for one key.
#[derive(Clone, Debug)]
pub(crate) struct Entry<S> {
    pub(crate) value: S,
    /// The value was set, and not cleared since.
    pub(crate) is_set: bool,
    /// Times of event timers, ascending, each once.
    pub(crate) timers: Vec<i64>,
    /// Times of wall-clock timers, ascending, each once.
    pub(crate) wall_timers: Vec<i64>,
    /// When it was last worked on, by the wall clock.
    pub(crate) touched_ms: i64,
}

impl<S: Encode> Encode for Entry<S> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_set.encode(out);
        self.touched_ms.encode(out);
        self.timers.encode(out);
        self.wall_timers.encode(out);
        self.value.encode_last(out);
    }
}

impl<'b, S: Decode<'b>> Decode<'b> for Entry<S> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        Some(Self {
            is_set: bool::decode(r)?,
            touched_ms: i64::decode(r)?,
            timers: Vec::decode(r)?,
            wall_timers: Vec::decode(r)?,
            value: S::decode_last(r)?,
        })
    }
}

fn is_gone<S>(entry: &Entry<S>) -> bool {
    !entry.is_set && entry.timers.is_empty() && entry.wall_timers.is_empty()
}

/// Adds a time to a list that is ascending; false when it is there already.
pub(crate) fn add(times: &mut Vec<i64>, time: i64) -> bool {
    match times.binary_search(&time) {
        Ok(_) => false,
        Err(at) => {
            times.insert(at, time);
            true
        }
    }
}

/// Takes a time out of a list that is ascending; false when it is not there.
pub(crate) fn take(times: &mut Vec<i64>, time: i64) -> bool {
    let found = times.binary_search(&time);
    found.is_ok_and(|at| {
        times.remove(at);
        true
    })
}

/// The entries of one operator in one worker. The queues hold hints; what is true stands in the entries.
pub(crate) struct Entries<S> {
    table: Table<Entry<S>>,
    initial: S,
    ttl_ms: Option<i64>,
    timers: Timers,
    wall_timers: Timers,
    expiries: Timers,
    removed: Rows,
    /// Keys whose expiry is looked at.
    due: Rows,
    key: Vec<u8>,
}

impl<S: State> Entries<S> {
    pub(crate) fn new(keys: KeyGroups, initial: S, ttl_ms: Option<i64>, place: StorePlace) -> Self {
        let entry = Entry {
            value: initial.clone(),
            is_set: false,
            timers: Vec::new(),
            wall_timers: Vec::new(),
            touched_ms: i64::MIN,
        };
        Self {
            timers: Timers::placed(&place, 0),
            wall_timers: Timers::placed(&place, 1),
            expiries: Timers::placed(&place, 2),
            table: Table::placed(keys, entry, place),
            initial,
            ttl_ms,
            removed: Rows::new(),
            due: Rows::new(),
            key: Vec::new(),
        }
    }

    /// Loads the slots of rows that come next.
    pub(crate) fn touch(&mut self, data: &[u8], heads: &[Head]) {
        self.table
            .warm(|each| heads.iter().for_each(|h| each(h.key_of(data), h.hash)));
        self.table.touch(heads.iter().map(|h| h.hash));
    }

    /// Works on the entry of a row's key. What `work` asks for is a new timer: `(is_wall, time)`.
    pub(crate) fn work(
        &mut self,
        data: &[u8],
        head: &Head,
        now_ms: i64,
        work: impl FnOnce(&mut Entry<S>, &S, &mut Vec<(bool, i64)>),
        asked: &mut Vec<(bool, i64)>,
    ) {
        asked.clear();
        let (at, len) = head.key_range();
        let (key, packed) = (head.key_of(data), Key::short_at(data, at, len));
        let (ttl, initial) = (self.ttl_ms, &self.initial);
        let mut expiry = None;
        self.table
            .update_hashed(key, packed, head.hash, head.timestamp, |entry| {
                let was_set = entry.is_set;
                if let Some(ttl) = ttl {
                    if was_set && entry.touched_ms.saturating_add(ttl) <= now_ms {
                        // Hidden before it is removed.
                        (entry.value, entry.is_set) = (initial.clone(), false);
                    }
                    if !was_set {
                        expiry = Some(now_ms.saturating_add(ttl));
                    }
                    entry.touched_ms = now_ms;
                }
                work(entry, initial, asked);
            });
        for (is_wall, time) in asked.drain(..) {
            let timers = if is_wall {
                &mut self.wall_timers
            } else {
                &mut self.timers
            };
            timers.push(time, head.hash, key);
        }
        if let Some(at) = expiry {
            self.expiries.push(at, head.hash, key);
        }
    }

    /// Lets go of values that were not worked on for too long.
    fn expire(&mut self, now_ms: i64) {
        let Some(ttl) = self.ttl_ms else { return };
        while self
            .expiries
            .pop_chunk(now_ms, &mut self.key, &mut self.due)
        {
            let due = &self.due;
            self.table
                .warm(|each| due.iter().for_each(|(h, key, _)| each(key, h.hash)));
            for (head, key, _) in self.due.iter() {
                let Some(entry) = self.table.find_mut(key, head.hash) else {
                    continue;
                };
                if !entry.is_set {
                    continue;
                }
                let at = entry.touched_ms.saturating_add(ttl);
                if at > now_ms {
                    self.expiries.push(at, head.hash, key);
                    continue;
                }
                (entry.value, entry.is_set) = (self.initial.clone(), false);
                let (packed, timestamp) = (Key::short(key), entry.touched_ms);
                self.table
                    .update_hashed(key, packed, head.hash, timestamp, |_| {});
            }
        }
    }
}

fn pop(timers: &mut Timers, now: i64, kind: u8, key: &mut Vec<u8>, rows: &mut Rows, limit: usize) {
    while rows.size_bytes() < limit
        && let Some((time, hash)) = timers.pop(now, key)
    {
        // Far below 4 GiB: `limit`.
        let _ = rows.push(hash, time, &[kind], key);
    }
}

impl<S: State> KeyedState for Entries<S> {
    fn len(&self) -> usize {
        self.table.len()
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
            + self.timers.memory_bytes()
            + self.wall_timers.memory_bytes()
            + self.expiries.memory_bytes()
    }

    fn changed(&self) -> usize {
        self.table.changed()
    }

    fn due(&mut self, watermark: i64, now_ms: i64, rows: &mut Rows, limit: usize) {
        let Self {
            timers,
            wall_timers,
            key,
            ..
        } = self;
        pop(timers, watermark, EVENT_TIMER, key, rows, limit);
        if rows.is_empty() {
            pop(wall_timers, now_ms, WALL_TIMER, key, rows, limit);
        }
        if rows.is_empty() {
            self.expire(now_ms);
        }
    }

    fn next_due_ms(&self) -> Option<i64> {
        let next = [self.wall_timers.next(), self.expiries.next()];
        next.into_iter().flatten().min()
    }

    fn drain_changed(&mut self, group: u32, rows: &mut Rows, limit: usize) -> bool {
        let gone = Some((&mut self.removed, is_gone as fn(&Entry<S>) -> bool));
        self.table.drain(group, &[], rows, limit, gone)
    }

    fn drain_removed(&mut self, rows: &mut Rows, _: usize) -> bool {
        if !self.removed.is_empty() {
            self.table.remove_all(&self.removed, is_gone);
            std::mem::swap(rows, &mut self.removed);
        }
        false
    }

    fn restore(
        &mut self,
        group: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), RestoreError> {
        self.table.restore(group, key, value)?;
        let hash = self.table.hash(key);
        if let Some(entry) = self.table.find_mut(key, hash) {
            for time in &entry.timers {
                self.timers.push(*time, hash, key);
            }
            for time in &entry.wall_timers {
                self.wall_timers.push(*time, hash, key);
            }
            if let Some(ttl) = self.ttl_ms
                && entry.is_set
            {
                let at = entry.touched_ms.saturating_add(ttl);
                self.expiries.push(at, hash, key);
            }
        }
        Ok(())
    }

    fn take_error(&mut self) -> Option<StoreError> {
        let queues = [&self.timers, &self.wall_timers, &self.expiries];
        let of_queues = queues.into_iter().find_map(Timers::error);
        self.table.take_error().or(of_queues)
    }

    fn drop_group(&mut self, group: u32) {
        self.table.drop_group(group);
    }

    fn each_encoded(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        self.table.each_encoded(group, f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Entries<u64> {
        Entries::new(KeyGroups::new(7, 1), 0, Some(100), StorePlace::default())
    }

    /// Sets the value of a key, and a timer of the wall clock if there is one.
    fn set(entries: &mut Entries<u64>, key: &[u8], now_ms: i64, value: u64, timer: Option<i64>) {
        let mut rows = Rows::new();
        rows.push(entries.table.hash(key), 0, &[], key).unwrap();
        let work = |entry: &mut Entry<u64>, _: &u64, asked: &mut Vec<(bool, i64)>| {
            (entry.value, entry.is_set) = (value, true);
            if let Some(time) = timer
                && add(&mut entry.wall_timers, time)
            {
                asked.push((true, time));
            }
        };
        entries.work(rows.data(), &rows.heads()[0], now_ms, work, &mut Vec::new());
    }

    fn due(entries: &mut Entries<u64>, now_ms: i64) -> Vec<i64> {
        let mut rows = Rows::new();
        entries.due(i64::MIN, now_ms, &mut rows, 1 << 20);
        rows.heads().iter().map(|head| head.timestamp).collect()
    }

    fn value(entries: &Entries<u64>, key: &[u8]) -> Option<u64> {
        let entry = entries.table.find(key).filter(|entry| entry.is_set);
        entry.map(|entry| entry.value)
    }

    #[test]
    fn a_value_expires_when_it_was_not_touched_for_its_time_and_somebody_wakes_for_it() {
        let mut entries = entries();
        set(&mut entries, b"k", 0, 1, None);
        assert_eq!(entries.next_due_ms(), Some(100));
        set(&mut entries, b"k", 60, 2, None);
        assert!(due(&mut entries, 100).is_empty());
        assert_eq!(
            (value(&entries, b"k"), entries.next_due_ms()),
            (Some(2), Some(160))
        );
        assert!(due(&mut entries, 159).is_empty());
        assert_eq!(value(&entries, b"k"), Some(2));
        assert!(due(&mut entries, 160).is_empty());
        assert_eq!((value(&entries, b"k"), entries.next_due_ms()), (None, None));
        let mut rows = Rows::new();
        assert!(!entries.drain_changed(0, &mut rows, 1 << 20) && rows.is_empty());
        assert!(!entries.drain_removed(&mut rows, 1 << 20));
        assert_eq!((rows.len(), entries.len()), (1, 0));
    }

    #[test]
    fn expiries_and_timers_of_the_wall_clock_go_on_after_a_restore() {
        let mut first = entries();
        set(&mut first, b"k", 10, 1, Some(50));
        let mut again = entries();
        let restore = &mut |key: &[u8], state: &[u8]| again.restore(0, key, Some(state)).unwrap();
        first.each_encoded(0, restore);
        assert_eq!(again.next_due_ms(), Some(50));
        assert_eq!(due(&mut again, 50), [50]);
        assert_eq!(again.next_due_ms(), Some(110));
        assert!(due(&mut again, 110).is_empty());
        assert_eq!(value(&again, b"k"), None);
    }
}
