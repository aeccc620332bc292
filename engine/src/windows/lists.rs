//! State of sessions and sliding windows: for each key a list of what came when, and a queue of the keys whose windows close next.

use super::changes::{AtCommit, Changes};
use super::{
    slices::{ask, emit},
    spec::{Rules, Session, Sliding, TIME_MAX, Window, WindowState},
};
use crate::{
    batch::{Decode, Encode, Reader, Rows},
    flow::Emit,
    state::{
        CHUNK, Key, KeyGroups, KeyedState, RestoreError, State, StoreError, StorePlace, Table,
        Timers,
    },
};

/// Rows of one key that are kept as one value.
#[derive(Clone, Debug)]
pub struct Part<A> {
    /// Timestamp of its first row.
    first: i64,
    /// Timestamp of its last row.
    last: i64,
    value: A,
}

/// What is kept for one key.
#[derive(Clone, Debug)]
struct Parts<A> {
    /// When the key is looked at next; `i64::MAX`: nothing waits. It is stored because a key may leave memory and come back.
    hint: i64,
    /// By time.
    parts: Vec<Part<A>>,
    /// What went since the last commit but one, and stands before `parts` in the changelog still: until the next positions are committed a
    /// crash goes on before it went. At the committed watermark it is past.
    past: Option<Box<Past<A>>>,
}

#[derive(Clone, Debug)]
struct Past<A> {
    /// The epoch in which it went.
    epoch: u32,
    parts: Vec<Part<A>>,
}

impl<A> Parts<A> {
    fn past(&self) -> &[Part<A>] {
        self.past.as_ref().map_or(&[], |past| &past.parts)
    }

    /// Lets go of the first `count` parts.
    fn let_go(&mut self, count: usize, epoch: u32) {
        let gone = self.parts.drain(..count);
        match &mut self.past {
            Some(past) if past.epoch == epoch => past.parts.extend(gone),
            past if gone.len() > 0 => {
                let parts = gone.collect();
                *past = Some(Box::new(Past { epoch, parts }));
            }
            past => *past = None,
        }
    }
}

impl<A: Encode> Encode for Parts<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        let past = self.past();
        ((past.len() + self.parts.len()) as u32).encode(out);
        for part in past.iter().chain(&self.parts) {
            part.first.encode(out);
            part.last.encode(out);
            part.value.encode(out);
        }
        self.hint.encode(out);
        (past.len() as u32).encode(out);
        self.past.as_ref().map_or(0, |past| past.epoch).encode(out);
    }
}

impl<'b, A: Decode<'b>> Decode<'b> for Parts<A> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        let mut parts = Vec::new();
        for _ in 0..u32::decode(r)? {
            parts.push(Part {
                first: i64::decode(r)?,
                last: i64::decode(r)?,
                value: A::decode(r)?,
            });
        }
        let hint = i64::decode(r)?;
        let (count, epoch) = (u32::decode(r)? as usize, u32::decode(r)?);
        if count > parts.len() {
            return None;
        }
        let live = parts.split_off(count);
        let past = (count > 0).then(|| Box::new(Past { epoch, parts }));
        Some(Self {
            hint,
            parts: live,
            past,
        })
    }
}

/// How lists of parts are windows.
pub trait ListSpec: Copy + Send + 'static {
    /// Finds or makes the part that a row at `ts` belongs to; `None` when it is late. `initial` makes the value of a new one.
    fn place<'p, A>(
        self,
        parts: &'p mut Vec<Part<A>>,
        ts: i64,
        is_past: impl Fn(i64) -> bool,
        initial: impl FnOnce() -> A,
        merge: &mut dyn FnMut(&mut A, A),
    ) -> Option<&'p mut Part<A>>;

    /// Calls `f` with each window whose last millisecond lies behind `after` and not behind `to`, in the order of their ends.
    fn each<A>(self, parts: &[Part<A>], after: i64, to: i64, f: impl FnMut(Window, &[Part<A>]));

    /// The last millisecond of the first window behind `after`.
    fn next<A>(self, parts: &[Part<A>], after: i64) -> Option<i64>;

    /// Whether a row at `ts` changes this window.
    fn changes(self, window: Window, ts: i64) -> bool;

    /// The last millisecond of the last window that needs a part.
    fn needed_until<A>(self, part: &Part<A>) -> i64;
}

impl Session {
    /// The last millisecond at which a row still belongs to a session that ends with a row at `last`.
    fn until(self, last: i64) -> i64 {
        last + self.gap_ms
    }
}

impl ListSpec for Session {
    fn place<'p, A>(
        self,
        parts: &'p mut Vec<Part<A>>,
        ts: i64,
        is_past: impl Fn(i64) -> bool,
        initial: impl FnOnce() -> A,
        merge: &mut dyn FnMut(&mut A, A),
    ) -> Option<&'p mut Part<A>> {
        // Sessions that reach to the row, and those that the gap behind it reaches.
        let from = parts.partition_point(|p| self.until(p.last) < ts);
        let to = parts.partition_point(|p| p.first <= self.until(ts));
        if from >= to {
            // Its lateness is that of the session which it would make: here, its own.
            if is_past(self.until(ts)) {
                return None;
            }
            let part = Part {
                first: ts,
                last: ts,
                value: initial(),
            };
            parts.insert(from, part);
            return parts.get_mut(from);
        }
        for part in parts.drain(from + 1..to).collect::<Vec<_>>() {
            let into = &mut parts[from];
            into.last = into.last.max(part.last);
            merge(&mut into.value, part.value);
        }
        let part = &mut parts[from];
        part.first = part.first.min(ts);
        part.last = part.last.max(ts);
        Some(part)
    }

    fn each<A>(
        self,
        parts: &[Part<A>],
        after: i64,
        to: i64,
        mut f: impl FnMut(Window, &[Part<A>]),
    ) {
        for part in parts {
            let until = self.until(part.last);
            if until > after && until <= to {
                let window = Window {
                    start: part.first,
                    end: until + 1,
                };
                f(window, std::slice::from_ref(part));
            }
        }
    }

    fn next<A>(self, parts: &[Part<A>], after: i64) -> Option<i64> {
        let closes = parts.iter().map(|p| self.until(p.last));
        closes.filter(|at| *at > after).min()
    }

    fn changes(self, window: Window, ts: i64) -> bool {
        window.contains(ts)
    }

    fn needed_until<A>(self, part: &Part<A>) -> i64 {
        self.until(part.last)
    }
}

impl Sliding {
    /// The window whose last millisecond is this.
    fn ending(self, last: i64) -> Window {
        Window {
            start: last - self.length_ms,
            end: last + 1,
        }
    }

    /// Last milliseconds of all windows: those that end at a row, and those that begin right behind one and hold another.
    fn lasts<A>(self, parts: &[Part<A>]) -> impl Iterator<Item = i64> {
        let length = self.length_ms;
        let at = parts.iter().map(|p| p.first);
        let behind = parts.windows(2).filter_map(move |pair| {
            // Where the two are equal it is also the window that ends at the row.
            let last = pair[0].first + 1 + length;
            (pair[1].first <= last).then_some(last)
        });
        at.chain(behind)
    }
}

impl ListSpec for Sliding {
    fn place<'p, A>(
        self,
        parts: &'p mut Vec<Part<A>>,
        ts: i64,
        is_past: impl Fn(i64) -> bool,
        initial: impl FnOnce() -> A,
        _: &mut dyn FnMut(&mut A, A),
    ) -> Option<&'p mut Part<A>> {
        if is_past(ts + self.length_ms) {
            return None;
        }
        let at = parts.partition_point(|p| p.first < ts);
        if parts.get(at).is_none_or(|p| p.first != ts) {
            let part = Part {
                first: ts,
                last: ts,
                value: initial(),
            };
            parts.insert(at, part);
        }
        parts.get_mut(at)
    }

    fn each<A>(
        self,
        parts: &[Part<A>],
        after: i64,
        to: i64,
        mut f: impl FnMut(Window, &[Part<A>]),
    ) {
        let wanted = self
            .lasts(parts)
            .filter(|last| *last > after && *last <= to);
        let mut lasts: Vec<i64> = wanted.collect();
        lasts.sort_unstable();
        lasts.dedup();
        for last in lasts {
            let window = self.ending(last);
            let from = parts.partition_point(|p| p.first < window.start);
            let until = parts.partition_point(|p| p.first < window.end);
            f(window, &parts[from..until]);
        }
    }

    fn next<A>(self, parts: &[Part<A>], after: i64) -> Option<i64> {
        self.lasts(parts).filter(|last| *last > after).min()
    }

    fn changes(self, window: Window, ts: i64) -> bool {
        // The one that begins right behind it is there because of it.
        window.contains(ts) || window.start == ts + 1
    }

    fn needed_until<A>(self, part: &Part<A>) -> i64 {
        part.first + 1 + self.length_ms
    }
}

/// See the module's head.
pub struct Lists<A, S> {
    spec: S,
    rules: Rules,
    table: Table<Parts<A>>,
    initial: A,
    timers: Timers,
    /// Windows with a last millisecond up to this were given out.
    closed: i64,
    /// What was past at this watermark is gone.
    expired: i64,
    /// Grows with each commit.
    epoch: u32,
    /// The time is a row's.
    changes: Changes,
    seen: Vec<Window>,
    removed: Rows,
    /// Hints whose time has come.
    due: Rows,
    key: Vec<u8>,
    buffer: Vec<u8>,
}

fn is_gone<A>(parts: &Parts<A>) -> bool {
    parts.parts.is_empty()
}

impl<A: State, S: ListSpec> Lists<A, S> {
    pub(super) fn new(
        spec: S,
        keys: KeyGroups,
        initial: A,
        rules: Rules,
        place: StorePlace,
    ) -> Self {
        let none = Parts {
            hint: i64::MAX,
            parts: Vec::new(),
            past: None,
        };
        Self {
            spec,
            rules,
            epoch: 0,
            timers: Timers::placed(&place, 0),
            table: Table::placed(keys, none, place),
            initial,
            closed: i64::MIN,
            expired: i64::MIN,
            changes: Changes::new(rules),
            seen: Vec::new(),
            removed: Rows::new(),
            due: Rows::new(),
            key: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Lets go of hints when most of them are not the one that their key waits for.
    fn tidy(&mut self) {
        if self.timers.is_mostly_dead(self.table.len()) {
            let table = &mut self.table;
            self.timers.retain(false, |time, hash, key| {
                table
                    .peek(key, hash)
                    .is_some_and(|entry| entry.hint == time)
            });
        }
    }

    /// Notes what has changed since the last commit.
    fn collect(&mut self) {
        let changes = &mut self.changes;
        self.table.each_changed(|hash, key, entry| {
            for part in &entry.parts {
                changes.note(hash, part.first, key);
            }
        });
        self.changes.compact();
    }
}

fn emit_parts<A: State>(
    hash: u64,
    key: &[u8],
    window: Window,
    parts: &[Part<A>],
    merge: &mut dyn FnMut(&mut A, A),
    out: &mut Rows,
    buffer: &mut Vec<u8>,
) {
    let [first, rest @ ..] = parts else { return };
    if rest.is_empty() {
        return emit(out, hash, key, window, &first.value, buffer);
    }
    let mut sum = first.value.clone();
    for part in rest {
        merge(&mut sum, part.value.clone());
    }
    emit(out, hash, key, window, &sum, buffer);
}

/// When a key is to be looked at next: a window closes, or a part is not needed any more.
fn next_look<A, S: ListSpec>(spec: S, rules: Rules, parts: &[Part<A>], closed: i64) -> i64 {
    let lateness = if rules.emit == Emit::Final {
        rules.lateness_ms
    } else {
        0
    };
    let closes = spec
        .next(parts, closed)
        .map(|at| at.saturating_add(lateness));
    let first = parts
        .first()
        .map(|p| spec.needed_until(p).saturating_add(rules.lateness_ms));
    closes.into_iter().chain(first).min().unwrap_or(i64::MAX)
}

impl<A: State, S: ListSpec> WindowState<A> for Lists<A, S> {
    fn take<'r>(
        &mut self,
        rows: &'r Rows,
        watermark: i64,
        merge: &mut dyn FnMut(&mut A, A),
        mut step: impl FnMut(&mut A, &'r [u8]) -> bool,
        mut late: impl FnMut(Option<usize>),
    ) -> bool {
        let data = rows.data();
        let (mut is_ok, mut index) = (true, 0);
        let notes_late = self.rules.lateness_ms > 0 && self.rules.emit == Emit::OnClose;
        self.changes.touch();
        let (rules, spec, closed) = (self.rules, self.spec, self.closed);
        for chunk in rows.heads().chunks(CHUNK) {
            self.table
                .warm(|each| chunk.iter().for_each(|h| each(h.key_of(data), h.hash)));
            self.table.touch(chunk.iter().map(|h| h.hash));
            for head in chunk {
                let (at, len) = head.key_range();
                let packed = Key::short_at(data, at, len);
                let key = head.key_of(data);
                let ts = head.timestamp.clamp(-TIME_MAX, TIME_MAX);
                let (mut look, mut is_late, mut is_changed_after) = (None, false, false);
                let initial = &self.initial;
                self.table
                    .update_hashed(key, packed, head.hash, head.timestamp, |entry| {
                        let is_past = |last| rules.is_past(last, watermark);
                        let place =
                            spec.place(&mut entry.parts, ts, is_past, || initial.clone(), merge);
                        let Some(part) = place else {
                            is_late = true;
                            return;
                        };
                        is_ok &= step(&mut part.value, head.value_of(data));
                        let next = next_look(spec, rules, &entry.parts, closed);
                        if next < entry.hint {
                            entry.hint = next;
                            look = Some(next);
                        }
                        is_changed_after = notes_late
                            && spec
                                .next(&entry.parts, i64::MIN)
                                .is_some_and(|at| at <= closed);
                    });
                if is_late {
                    late(Some(index));
                }
                if let Some(at) = look {
                    self.timers.push(at, head.hash, key);
                    self.tidy();
                }
                if is_changed_after {
                    self.changes.note(head.hash, ts, key);
                }
                index += 1;
            }
        }
        is_ok
    }

    fn is_updating(&self) -> bool {
        self.changes.is_giving_out()
    }

    fn fire_closed(
        &mut self,
        watermark: i64,
        merge: &mut dyn FnMut(&mut A, A),
        out: &mut Rows,
        limit: usize,
    ) {
        let (after, to, rules, spec) = (
            self.closed,
            self.rules.closed(watermark),
            self.rules,
            self.spec,
        );
        while out.size_bytes() < limit {
            if !self
                .timers
                .pop_chunk(watermark, &mut self.key, &mut self.due)
            {
                return;
            }
            let due = &self.due;
            self.table
                .warm(|each| due.iter().for_each(|(h, key, _)| each(key, h.hash)));
            for (head, key, _) in self.due.iter() {
                let (time, hash) = (head.timestamp, head.hash);
                if out.size_bytes() >= limit {
                    // For the next piece.
                    self.timers.push(time, hash, key);
                    continue;
                }
                let Some(entry) = self.table.find_mut(key, hash) else {
                    continue;
                };
                if entry.hint != time {
                    continue;
                }
                let buffer = &mut self.buffer;
                spec.each(&entry.parts, after, to, |window, parts| {
                    emit_parts(hash, key, window, parts, merge, out, buffer);
                });
                let before = entry.parts.len();
                // Sliding windows need their parts in order: only those at the front go.
                let is_past = |p: &Part<A>| rules.is_past(spec.needed_until(p), watermark);
                let past = entry.parts.iter().take_while(|p| is_past(p)).count();
                entry.let_go(past, self.epoch);
                entry.hint = next_look(spec, rules, &entry.parts, to);
                let (hint, has_changed) = (entry.hint, entry.parts.len() != before);
                if hint != i64::MAX {
                    self.timers.push(hint, hash, key);
                }
                if has_changed {
                    self.table
                        .update_hashed(key, Key::short(key), hash, time, |_| {});
                }
            }
        }
    }

    fn fire_updates(&mut self, merge: &mut dyn FnMut(&mut A, A), out: &mut Rows, limit: usize) {
        if self.changes.collects_now() {
            self.collect();
        }
        self.changes.begin();
        let is_early = self.changes.are_early();
        let to = if is_early { TIME_MAX * 2 } else { self.closed };
        while out.size_bytes() < limit
            && let Some((head, key, is_other)) = self.changes.next()
        {
            if is_other {
                self.seen.clear();
            }
            if let Some(entry) = self.table.peek(key, head.hash) {
                let (seen, buffer, spec) = (&mut self.seen, &mut self.buffer, self.spec);
                // Of a window that is past some parts may be gone.
                let (rules, expired) = (self.rules, self.expired);
                spec.each(&entry.parts, i64::MIN, to, |window, parts| {
                    let is_wanted = spec.changes(window, head.timestamp)
                        && !rules.is_past(window.max_timestamp(), expired);
                    if is_wanted && !seen.contains(&window) {
                        seen.push(window);
                        emit_parts(head.hash, key, window, parts, merge, out, buffer);
                    }
                });
            }
        }
        self.changes.end_if_done();
    }
}

impl<A: State, S: ListSpec> KeyedState for Lists<A, S> {
    fn len(&self) -> usize {
        self.table.len()
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.timers.memory_bytes() + self.changes.size_bytes()
    }

    fn changed(&self) -> usize {
        self.table.changed()
    }

    fn due(&mut self, watermark: i64, now_ms: i64, rows: &mut Rows, _: usize) {
        let is_due = self.timers.next().is_some_and(|at| at <= watermark);
        if self.changes.is_giving_out()
            || is_due && self.rules.lateness_ms > 0 && self.changes.any()
        {
            // What was changed must be given out before it is let go of.
            ask(rows, watermark, true);
        } else if is_due {
            ask(rows, watermark, false);
        } else {
            self.closed = self.closed.max(self.rules.closed(watermark));
            self.expired = self.expired.max(watermark);
            if self.changes.is_early_due(now_ms) {
                ask(rows, watermark, true);
            }
        }
    }

    fn next_due_ms(&self) -> Option<i64> {
        self.changes.next_due_ms()
    }

    fn measures_durations(&self) -> bool {
        true
    }

    fn updates(&mut self, rows: &mut Rows, _: usize) {
        match self.changes.at_commit() {
            AtCommit::Collect => self.collect(),
            AtCommit::GiveOut => ask(rows, self.closed, true),
            AtCommit::Nothing => {}
        }
    }

    fn drain_changed(&mut self, group: u32, rows: &mut Rows, limit: usize) -> bool {
        let gone = Some((&mut self.removed, is_gone as fn(&Parts<A>) -> bool));
        self.table.drain(group, &[], rows, limit, gone)
    }

    fn drain_removed(&mut self, rows: &mut Rows, _: usize) -> bool {
        self.epoch = self.epoch.wrapping_add(1);
        if !self.removed.is_empty() {
            self.table.remove_all(&self.removed, is_gone);
            std::mem::swap(rows, &mut self.removed);
        }
        false
    }

    fn restore_watermark(&mut self, at: i64) {
        self.closed = self.closed.max(self.rules.closed(at));
        self.expired = self.expired.max(at);
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
            if let Some(past) = entry.past.take() {
                // What has gone after the committed watermark has not gone yet; the rest goes at once.
                entry.parts.splice(..0, past.parts);
            }
            // Windows that were given out already are not again: `closed` says so when it is looked at.
            entry.hint = next_look(self.spec, self.rules, &entry.parts, i64::MIN);
            if entry.hint != i64::MAX {
                self.timers.push(entry.hint, hash, key);
            }
            for part in &entry.parts {
                self.changes.restored(hash, part.first, key);
            }
        }
        // A changelog has an entry of a key more than once.
        self.tidy();
        Ok(())
    }

    fn take_error(&mut self) -> Option<StoreError> {
        self.table.take_error().or_else(|| self.timers.error())
    }

    fn drop_group(&mut self, group: u32) {
        self.table.drop_group(group);
    }

    fn each_encoded(&self, group: u32, f: &mut dyn FnMut(&[u8], &[u8])) {
        self.table.each_encoded(group, f);
    }
}
