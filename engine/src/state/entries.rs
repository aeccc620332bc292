//! State of process functions: a value for each key, with the timers that it has set, and when it expires.

use std::collections::BTreeSet;

use super::{
    Key, KeyGroups, KeyedState, RestoreError, State, StoreError, StorePlace, Table, Timers,
};
use crate::batch::{Decode, Encode, Head, Reader, Rows, row::decode_all};

/// What a due row is about: its value is this one byte.
pub(crate) const EVENT_TIMER: u8 = 0;
/// See [`EVENT_TIMER`].
pub(crate) const WALL_TIMER: u8 = 1;

/// Who sets a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetBy {
    Row,
    Timer,
    /// A timer that fires because time has ended.
    TimerAtTheEnd,
}

/// What is kept for one key.
#[derive(Clone, Debug)]
pub(crate) struct Entry<S> {
    pub(crate) value: S,
    /// The value was set, and not cleared since.
    pub(crate) is_set: bool,
    /// Times of event timers. A set, because one key may have very many.
    pub(crate) timers: BTreeSet<i64>,
    /// Times of wall-clock timers.
    pub(crate) wall_timers: BTreeSet<i64>,
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
            timers: BTreeSet::decode(r)?,
            wall_timers: BTreeSet::decode(r)?,
            value: S::decode_last(r)?,
        })
    }
}

fn is_gone<S>(entry: &Entry<S>) -> bool {
    !entry.is_set && entry.timers.is_empty() && entry.wall_timers.is_empty()
}

/// How many of what hints are for is alive: event timers, wall-clock timers, values that expire.
#[derive(Clone, Copy, Debug, Default)]
struct Alive([usize; 3]);

impl Alive {
    fn of<S>(entry: &Entry<S>) -> Self {
        let values = usize::from(entry.is_set);
        Self([entry.timers.len(), entry.wall_timers.len(), values])
    }

    /// One entry holds now what it holds, and no more what it held.
    fn change(&mut self, before: Self, now: Self) {
        for (alive, (before, now)) in self.0.iter_mut().zip(before.0.into_iter().zip(now.0)) {
            *alive = (*alive + now).saturating_sub(before);
        }
    }
}

/// The entries of one operator in one worker. The queues hold hints; what is true stands in the entries.
pub(crate) struct Entries<S> {
    table: Table<Entry<S>>,
    initial: S,
    ttl_ms: Option<i64>,
    timers: Timers,
    wall_timers: Timers,
    /// Hints of timers that timers have set in this round, each with its kind.
    fresh: Rows,
    expiries: Timers,
    alive: Alive,
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
            timers: BTreeSet::new(),
            wall_timers: BTreeSet::new(),
            touched_ms: i64::MIN,
        };
        Self {
            timers: Timers::placed(&place, 0),
            wall_timers: Timers::placed(&place, 1),
            expiries: Timers::placed(&place, 2),
            fresh: Rows::new(),
            table: Table::placed(keys, entry, place),
            initial,
            ttl_ms,
            alive: Alive::default(),
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

    /// Works on the entry of a row's key. What `work` asks for is a new timer: `(is_wall, time)`. Those that a timer asks for are not due
    /// before the next round, and those of event time that it asks for at the end of time not in this run: else one that sets itself again
    /// would never let anything else have its turn.
    pub(crate) fn work(
        &mut self,
        data: &[u8],
        head: &Head,
        now_ms: i64,
        set_by: SetBy,
        work: impl FnOnce(&mut Entry<S>, &S, &mut Vec<(bool, i64)>),
        asked: &mut Vec<(bool, i64)>,
    ) {
        asked.clear();
        let (at, len) = head.key_range();
        let (key, packed) = (head.key_of(data), Key::short_at(data, at, len));
        let (ttl, initial, alive) = (self.ttl_ms, &self.initial, &mut self.alive);
        let mut expiry = None;
        self.table
            .update_hashed(key, packed, head.hash, head.timestamp, |entry| {
                let (was_set, before) = (entry.is_set, Alive::of(entry));
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
                alive.change(before, Alive::of(entry));
            });
        for (is_wall, time) in asked.drain(..) {
            match set_by {
                SetBy::Row => {}
                SetBy::TimerAtTheEnd if !is_wall => continue,
                SetBy::Timer | SetBy::TimerAtTheEnd => {
                    let kind = if is_wall { WALL_TIMER } else { EVENT_TIMER };
                    // Keys are far below 4 GiB.
                    let _ = self.fresh.push(head.hash, time, &[kind], key);
                    continue;
                }
            }
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
        self.tidy();
    }

    /// Lets go of hints when most of them are for nothing that is alive.
    #[inline]
    fn tidy(&mut self) {
        let Alive([timers, wall_timers, values]) = self.alive;
        if self.timers.is_mostly_dead(timers)
            || self.wall_timers.is_mostly_dead(wall_timers)
            || self.expiries.is_mostly_dead(values)
        {
            self.retain();
        }
    }

    #[cold]
    #[inline(never)]
    fn retain(&mut self) {
        let Alive([timers, wall_timers, values]) = self.alive;
        let table = &mut self.table;
        if self.timers.is_mostly_dead(timers) {
            self.timers.retain(false, |time, hash, key| {
                let entry = table.peek(key, hash);
                entry.is_some_and(|entry| entry.timers.contains(&time))
            });
        }
        if self.wall_timers.is_mostly_dead(wall_timers) {
            self.wall_timers.retain(false, |time, hash, key| {
                let entry = table.peek(key, hash);
                entry.is_some_and(|entry| entry.wall_timers.contains(&time))
            });
        }
        if self.expiries.is_mostly_dead(values) {
            // Its time may be too early: then the key is looked at again when it should be.
            self.expiries.retain(true, |_, hash, key| {
                table.peek(key, hash).is_some_and(|entry| entry.is_set)
            });
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
                let before = Alive::of(entry);
                (entry.value, entry.is_set) = (self.initial.clone(), false);
                self.alive.change(before, Alive::of(entry));
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
            + self.fresh.size_bytes()
            + self.expiries.memory_bytes()
    }

    fn changed(&self) -> usize {
        self.table.changed()
    }

    fn begin_round(&mut self) -> bool {
        for (head, key, kind) in self.fresh.iter() {
            let timers = if kind == [WALL_TIMER] {
                &mut self.wall_timers
            } else {
                &mut self.timers
            };
            timers.push(head.timestamp, head.hash, key);
        }
        let is_any = !self.fresh.is_empty();
        self.fresh.clear();
        is_any
    }

    fn holds_time(&self, watermark: i64) -> bool {
        let is_due = |(head, _, kind): (&Head, &[u8], &[u8])| {
            kind == [EVENT_TIMER] && head.timestamp <= watermark
        };
        self.fresh.iter().any(is_due)
    }

    fn due(&mut self, watermark: i64, now_ms: i64, rows: &mut Rows, limit: usize) {
        if watermark == i64::MAX {
            // What was set before the end is due at the end.
            self.begin_round();
        }
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
        let hash = self.table.hash(key);
        let of = |entry: Option<std::borrow::Cow<'_, Entry<S>>>| {
            entry.map_or_else(Alive::default, |entry| Alive::of(&*entry))
        };
        let before = of(self.table.peek(key, hash));
        self.table.restore(group, key, value)?;
        let now = of(self.table.peek(key, hash));
        self.alive.change(before, now);
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
        // A changelog has an entry of a key more than once.
        self.tidy();
        Ok(())
    }

    fn take_error(&mut self) -> Option<StoreError> {
        let queues = [&self.timers, &self.wall_timers, &self.expiries];
        let of_queues = queues.into_iter().find_map(Timers::error);
        self.table.take_error().or(of_queues)
    }

    fn drop_group(&mut self, group: u32) {
        let mut gone = Alive::default();
        self.table.each_encoded(group, &mut |_, value| {
            if let Some(entry) = decode_all::<Entry<S>>(value) {
                gone.change(Alive::default(), Alive::of(&entry));
            }
        });
        self.table.drop_group(group);
        self.alive.change(gone, Alive::default());
        self.tidy();
    }

    fn each_encoded(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        self.table.each_encoded(group, f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(ttl_ms: Option<i64>) -> Entries<u64> {
        Entries::new(KeyGroups::new(1, 1), 0, ttl_ms, StorePlace(None))
    }

    /// Works on a key at a time of the wall clock; whether its value was set before.
    fn work(
        entries: &mut Entries<u64>,
        key: &[u8],
        now_ms: i64,
        mut f: impl FnMut(&mut Entry<u64>, &mut Vec<(bool, i64)>),
    ) -> bool {
        let (mut rows, mut asked, mut was_set) = (Rows::new(), Vec::new(), false);
        let hash = entries.table.hash(key);
        rows.push(hash, 0, &[], key).unwrap();
        let work = |entry: &mut Entry<u64>, _: &u64, asked: &mut Vec<(bool, i64)>| {
            was_set = entry.is_set;
            entry.is_set = true;
            f(entry, asked);
        };
        entries.work(
            rows.data(),
            &rows.heads()[0],
            now_ms,
            SetBy::Row,
            work,
            &mut asked,
        );
        was_set
    }

    #[test]
    fn an_expired_value_is_hidden_from_the_next_row_also_before_it_is_removed() {
        let mut entries = entries(Some(10));
        assert!(!work(&mut entries, b"a", 0, |entry, _| entry.value = 7));
        assert!(work(&mut entries, b"a", 9, |entry, _| assert_eq!(
            entry.value,
            7
        )));
        // Nobody has asked what is due.
        assert!(!work(&mut entries, b"a", 19, |entry, _| assert_eq!(
            entry.value,
            0
        )));
    }

    #[test]
    fn hints_are_about_as_many_as_there_are_timers_however_often_these_were_set_and_taken_back() {
        let mut entries = entries(None);
        for round in 0..1000 {
            for key in 0..10u8 {
                work(&mut entries, &[key], 0, |entry, asked| {
                    entry.timers.remove(&(round + 99));
                    entry.timers.insert(round + 100);
                    entry.wall_timers.clear();
                    entry.wall_timers.insert(round);
                    asked.extend([(false, round + 100), (true, round)]);
                });
            }
        }
        assert_eq!(entries.alive.0, [10, 10, 10]);
        let bytes = entries.timers.memory_bytes() + entries.wall_timers.memory_bytes();
        assert!(bytes < 400_000, "20,000 hints are a megabyte: {bytes}");
        let mut rows = Rows::new();
        entries.due(i64::MAX, 0, &mut rows, usize::MAX);
        let live = rows.heads().iter().filter(|head| head.timestamp == 1099);
        assert_eq!(live.count(), 10, "none that is alive is lost");
    }

    #[test]
    fn a_changelog_with_many_entries_of_a_key_makes_hints_for_the_last_one_only() {
        let (mut entries, mut value) = (entries(Some(1000)), Vec::new());
        for round in 0..20_000 {
            let entry = Entry {
                value: 1u64,
                is_set: true,
                timers: BTreeSet::from([round, round + 1]),
                wall_timers: BTreeSet::new(),
                touched_ms: round,
            };
            value.clear();
            entry.encode_last(&mut value);
            entries.restore(0, b"key", Some(&value)).unwrap();
        }
        assert_eq!(entries.alive.0, [2, 0, 1]);
        let bytes = entries.timers.memory_bytes() + entries.expiries.memory_bytes();
        assert!(bytes < 400_000, "{bytes}");
        entries.restore(0, b"key", None).unwrap();
        assert_eq!(entries.alive.0, [0; 3]);
    }

    #[test]
    fn values_that_are_cleared_and_set_again_leave_one_expiry_each() {
        let mut entries = entries(Some(1 << 40));
        for _ in 0..20_000 {
            work(&mut entries, b"key", 0, |entry, _| entry.is_set = false);
            work(&mut entries, b"key", 0, |_, _| {});
            work(&mut entries, b"key", 0, |entry, _| entry.is_set = false);
        }
        work(&mut entries, b"key", 5, |_, _| {});
        assert!(entries.expiries.memory_bytes() < 200_000);
        entries.expire((1 << 40) + 4);
        assert_eq!(entries.alive.0, [0, 0, 1], "its time has not come");
        entries.expire((1 << 40) + 5);
        assert_eq!(entries.alive.0, [0; 3]);
    }

    /// Sets the value of a key, and a timer of the wall clock if there is one.
    fn set(entries: &mut Entries<u64>, key: &[u8], now_ms: i64, value: u64, timer: Option<i64>) {
        let mut rows = Rows::new();
        rows.push(entries.table.hash(key), 0, &[], key).unwrap();
        let work = |entry: &mut Entry<u64>, _: &u64, asked: &mut Vec<(bool, i64)>| {
            (entry.value, entry.is_set) = (value, true);
            if let Some(time) = timer
                && entry.wall_timers.insert(time)
            {
                asked.push((true, time));
            }
        };
        entries.work(
            rows.data(),
            &rows.heads()[0],
            now_ms,
            SetBy::Row,
            work,
            &mut Vec::new(),
        );
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
        let mut entries = entries(Some(100));
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
        let mut first = entries(Some(100));
        set(&mut first, b"k", 10, 1, Some(50));
        let mut again = entries(Some(100));
        let restore = &mut |key: &[u8], state: &[u8]| again.restore(0, key, Some(state)).unwrap();
        first.each_encoded(0, restore);
        assert_eq!(again.next_due_ms(), Some(50));
        assert_eq!(due(&mut again, 50), [50]);
        assert_eq!(again.next_due_ms(), Some(110));
        assert!(due(&mut again, 110).is_empty());
        assert_eq!(value(&again, b"k"), None);
    }

    #[test]
    fn time_stands_while_a_timer_that_a_timer_has_set_is_due() {
        let mut entries = entries(None);
        let mut rows = Rows::new();
        rows.push(entries.table.hash(b"k"), 0, &[], b"k").unwrap();
        let head = rows.heads()[0];
        let set = |_: &mut Entry<u64>, _: &u64, asked: &mut Vec<(bool, i64)>| {
            asked.extend([(false, 10), (true, 5)]);
        };
        let by = SetBy::Timer;
        entries.work(rows.data(), &head, 0, by, set, &mut Vec::new());
        assert!(!entries.holds_time(9), "the other one is of the wall clock");
        assert!(entries.holds_time(10));
        assert!(entries.begin_round() && !entries.holds_time(10));
    }
}
