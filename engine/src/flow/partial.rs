//! Rows for other workers are folded before they leave, as far as that saves rows: what crosses is one partial value for several rows.
//!
//! A small cache that stays near the processor, one place for each key: a key that finds another one in its place sends that one's value
//! off. So the frequent keys stay and the rare ones pass through. What is held here is sent when there is nothing else to do and at every
//! barrier: it is never there when an epoch ends.
//!
//! Windows that are made of slices of time are folded by key and slice ([`Span`]). Their values leave before a mark does that would
//! close a window over them, and rows that lie behind such a mark are not taken: so nothing becomes late in here.

use std::any::Any;

use super::Placement;
use crate::{
    batch::{RowTooLarge, Rows},
    state::{Key, State},
    time::Mark,
};

/// After so many rows it is looked whether folding pays.
const SAMPLE_ROWS: u64 = 1 << 16;
/// Rows that are sent as they are before folding is tried again; doubled each time that it does not pay.
const REST_ROWS: u64 = 1 << 20;
const REST_DOUBLED_MAX: u32 = 6;

/// Partial values for other workers, of one keyed operator.
#[derive(Default)]
pub(crate) struct Partials(Option<Box<dyn Hold>>);

/// What the runtime sees of them.
trait Hold: Any + Send {
    fn send(&mut self, placement: &Placement, rows: &mut [Rows]) -> bool;
    fn before(&mut self, mark: Mark, placement: &Placement, rows: &mut [Rows]) -> bool;
    fn take_saved(&mut self) -> i64;
}

/// A stretch of time of which the rows of a key make one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: i64,
    /// Its last millisecond, counted from its start.
    last: u64,
    /// The watermark that closes the first window over it.
    closes: i64,
    /// What tells the places of a key in one span from those in others.
    salt: usize,
}

impl Span {
    /// All of time, which nothing closes.
    pub(crate) const ALL: Self = Self {
        start: i64::MIN,
        last: u64::MAX,
        closes: i64::MAX,
        salt: 0,
    };

    /// No time that any row has: it begins and ends with the first millisecond of all.
    pub(crate) const NONE: Self = Self {
        start: i64::MIN,
        last: 0,
        closes: i64::MIN,
        salt: 0,
    };

    /// `size_ms` milliseconds, at least one, from `start` on; a window over them closes when the watermark reaches `closes`.
    pub(crate) fn new(start: i64, size_ms: i64, closes: i64) -> Self {
        Self {
            start,
            last: (size_ms as u64).wrapping_sub(1),
            closes,
            salt: ((start as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize,
        }
    }

    #[inline]
    pub(crate) fn contains(&self, timestamp: i64) -> bool {
        timestamp.wrapping_sub(self.start) as u64 <= self.last
    }
}

/// Partial values by key; each key of up to 15 bytes has one place in each span, which it shares with others.
pub(crate) struct Cache<A> {
    places: Vec<Held<A>>,
    initial: A,
    buffer: Vec<u8>,
    /// Numbers of the places that are taken.
    taken: Vec<u32>,
    /// The least watermark that closes a window over anything held.
    closes: i64,
    /// The watermark that was last sent to others.
    passed: i64,
    /// Rows folded, and values sent.
    rows: u64,
    sent: u64,
    /// The same when it was last looked whether that pays.
    judged: (u64, u64),
    /// Rows less values, as last told.
    told: u64,
    /// Rows that are still to be sent as they are.
    rest: u64,
    /// How often in a row it did not pay.
    misses: u32,
}

#[derive(Clone)]
struct Held<A> {
    key: Key,
    /// Of the last row; it lies in the value's span.
    timestamp: i64,
    value: A,
}

impl<A: State> Cache<A> {
    fn new(places: usize, initial: A) -> Self {
        let none = Held {
            key: Key::EMPTY,
            timestamp: 0,
            value: initial.clone(),
        };
        Self {
            places: vec![none; places.next_power_of_two()],
            initial,
            buffer: Vec::new(),
            taken: Vec::new(),
            closes: i64::MAX,
            passed: i64::MIN,
            rows: 0,
            sent: 0,
            judged: (0, 0),
            told: 0,
            rest: 0,
            misses: 0,
        }
    }

    /// Whether the next row is to be folded, if it lies in this span.
    #[inline]
    pub(crate) fn takes(&mut self, span: &Span) -> bool {
        if self.rest == 0 {
            return span.closes > self.passed;
        }
        self.rest -= 1;
        false
    }

    /// Folds a row of another worker's key: `step` is applied to the partial value of its key and span. If other values had to go for it:
    /// the size of the rows that they went to, in bytes.
    ///
    /// # Errors
    /// When a value does not fit into the batch of its owner.
    #[inline]
    pub(crate) fn fold(
        &mut self,
        key: Key,
        hash: u64,
        (timestamp, span): (i64, &Span),
        (placement, rows): (&Placement, &mut [Rows]),
        step: impl FnOnce(&mut A),
    ) -> Result<usize, RowTooLarge> {
        // Other bits than those that say the group and the slot in a table.
        let at = ((hash >> 16) as usize).wrapping_add(span.salt) & (self.places.len() - 1);
        let mut size_bytes = 0;
        if self.places[at].key != key || !span.contains(self.places[at].timestamp) {
            size_bytes = self.replace(at, key, placement, rows)?;
            self.closes = self.closes.min(span.closes);
        }
        let held = &mut self.places[at];
        held.timestamp = timestamp;
        step(&mut held.value);
        self.rows += 1;
        if self.rest > 0 {
            // It begins to rest: rows that are sent as they are must not overtake what is held.
            size_bytes = size_bytes.max(self.send_all(placement, rows)?);
        }
        Ok(size_bytes)
    }

    #[inline(never)]
    fn replace(
        &mut self,
        at: usize,
        key: Key,
        placement: &Placement,
        rows: &mut [Rows],
    ) -> Result<usize, RowTooLarge> {
        let mut size_bytes = 0;
        if self.places[at].key.is_empty() {
            self.taken.push(at as u32);
        } else {
            size_bytes = self.send_one(at, placement, rows)?;
        }
        if self.rows - self.judged.0 >= SAMPLE_ROWS {
            self.judge();
        }
        let held = &mut self.places[at];
        held.key = key;
        held.value.clone_from(&self.initial);
        Ok(size_bytes)
    }

    /// Sends all that is held; the size of the largest rows that it went to.
    #[inline(never)]
    fn send_all(&mut self, placement: &Placement, rows: &mut [Rows]) -> Result<usize, RowTooLarge> {
        let (mut taken, mut size_bytes) = (std::mem::take(&mut self.taken), 0);
        for at in taken.drain(..) {
            size_bytes = size_bytes.max(self.send_one(at as usize, placement, rows)?);
            self.places[at as usize].key = Key::EMPTY;
        }
        self.taken = taken;
        self.closes = i64::MAX;
        Ok(size_bytes)
    }

    fn send_one(
        &mut self,
        at: usize,
        placement: &Placement,
        rows: &mut [Rows],
    ) -> Result<usize, RowTooLarge> {
        let held = &self.places[at];
        let (bytes, len) = held.key.unpack();
        let hash = placement.keys.hasher.short(held.key);
        self.buffer.clear();
        held.value.encode_last(&mut self.buffer);
        let rows = &mut rows[usize::from(placement.owner(hash))];
        rows.push(hash, held.timestamp, &self.buffer, &bytes[..len])?;
        self.sent += 1;
        Ok(rows.size_bytes())
    }

    /// Two rows in three at least must be saved, or folding stops for a while: below that a value sent off costs what it saves (measured).
    fn judge(&mut self) {
        let (rows, sent) = (self.rows - self.judged.0, self.sent - self.judged.1);
        self.judged = (self.rows, self.sent);
        if sent * 3 > rows {
            self.rest = REST_ROWS << self.misses.min(REST_DOUBLED_MAX);
            self.misses += 1;
        } else {
            self.misses = 0;
        }
    }
}

impl<A: State> Hold for Cache<A> {
    fn send(&mut self, placement: &Placement, rows: &mut [Rows]) -> bool {
        let is_any = !self.taken.is_empty();
        // Far below 4 GiB: their number is bounded, and a call ends at a bound of bytes.
        let sent = self.send_all(placement, rows);
        assert!(sent.is_ok(), "partial values stay below 4 GiB");
        is_any
    }

    fn before(&mut self, mark: Mark, placement: &Placement, rows: &mut [Rows]) -> bool {
        self.passed = self.passed.max(mark.at);
        // Time goes on without one who is idle.
        let is_timed = self.closes < i64::MAX;
        is_timed && (mark.idle || mark.at >= self.closes) && self.send(placement, rows)
    }

    fn take_saved(&mut self) -> i64 {
        // The owner counts each value that it gets as a row.
        let saved = self.rows - self.sent;
        saved.wrapping_sub(std::mem::replace(&mut self.told, saved)) as i64
    }
}

impl Partials {
    /// The cache of values that begin as `initial`; made when it is first asked for. `None` when there is one of another type.
    pub(crate) fn cache<A: State>(
        &mut self,
        places: usize,
        initial: impl FnOnce() -> A,
    ) -> Option<&mut Cache<A>> {
        let make = || Box::new(Cache::new(places.max(1), initial())) as Box<dyn Hold>;
        let hold: &mut dyn Any = &mut **self.0.get_or_insert_with(make);
        hold.downcast_mut()
    }

    /// Sends what is held; true when that was something.
    pub(crate) fn send(&mut self, placement: &Placement, rows: &mut [Rows]) -> bool {
        self.0.as_mut().is_some_and(|h| h.send(placement, rows))
    }

    /// Says what mark leaves next: values that it would make late are sent before it. True when there were some.
    pub(crate) fn before(&mut self, mark: Mark, placement: &Placement, rows: &mut [Rows]) -> bool {
        let hold = self.0.as_mut();
        hold.is_some_and(|h| h.before(mark, placement, rows))
    }

    /// Rows that were folded since this was last asked, less values that were sent for them: what their owners do not count.
    pub(crate) fn take_saved(&mut self) -> i64 {
        self.0.as_mut().map_or(0, |h| h.take_saved())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::KeyGroups;

    /// The other one of two workers owns everything.
    fn all_elsewhere() -> Placement {
        Placement {
            keys: KeyGroups::new(1, 4),
            owners: vec![1; 4],
            me: 0,
            workers: 2,
            state_dir: None,
            state_marks: Vec::new(),
        }
    }

    #[test]
    fn folding_stops_for_a_while_when_it_saves_less_than_two_rows_in_three() {
        let placement = all_elsewhere();
        let mut rows = [Rows::new(), Rows::new()];
        let mut partials = Partials::default();
        let mut fold = |different: u64| {
            let cache = partials.cache(64, || 0u64).unwrap();
            let (mut folded, mut sum, mut is_resting) = (0, 0, false);
            for n in 0..3 * SAMPLE_ROWS {
                is_resting = !cache.takes(&Span::ALL);
                if !is_resting {
                    folded += 1;
                    let key = Key::short(&(n % different).to_be_bytes()).unwrap();
                    let hash = placement.keys.hasher.short(key);
                    let to = (&placement, &mut rows[..]);
                    let when = (0, &Span::ALL);
                    cache.fold(key, hash, when, to, |sum| *sum += 1).unwrap();
                }
            }
            let is_held = partials.send(&placement, &mut rows);
            assert_eq!(is_held, !is_resting, "it rests with empty hands");
            assert!(rows[0].is_empty());
            for (_, _, value) in rows[1].iter() {
                sum += u64::from_be_bytes(value.try_into().unwrap());
            }
            let saved = folded as i64 - rows[1].len() as i64;
            assert_eq!(partials.take_saved(), saved);
            rows[1].clear();
            assert_eq!(sum, folded, "every row is in some value");
            folded
        };
        assert_eq!(fold(10), 3 * SAMPLE_ROWS);
        let folded = fold(100_000);
        assert!((SAMPLE_ROWS..2 * SAMPLE_ROWS).contains(&folded), "{folded}");
        assert_eq!(fold(10), 0, "it rests");
    }

    #[test]
    fn values_of_slices_leave_before_a_mark_that_closes_a_window_over_them() {
        let placement = all_elsewhere();
        let mut rows = [Rows::new(), Rows::new()];
        let mut partials = Partials::default();
        let at = |at| Mark { at, idle: false };
        let spans = [Span::new(0, 10, 19), Span::new(10, 10, 29)];
        let fold = |partials: &mut Partials, rows: &mut [Rows], timestamp: i64| {
            let cache = partials.cache(64, || 0u64).unwrap();
            let span = spans.iter().find(|s| s.contains(timestamp)).unwrap();
            let key = Key::short(b"a").unwrap();
            let (hash, to) = (placement.keys.hasher.short(key), (&placement, rows));
            cache.takes(span)
                && cache
                    .fold(key, hash, (timestamp, span), to, |n| *n += 1)
                    .is_ok()
        };
        for timestamp in [3, 12, 9, 19] {
            assert!(fold(&mut partials, &mut rows, timestamp));
        }
        assert!(!partials.before(at(18), &placement, &mut rows));
        assert!(partials.before(at(19), &placement, &mut rows));
        let of = |rows: &Rows| {
            let mut values: Vec<_> = rows.iter().map(|(h, _, v)| (h.timestamp, v[7])).collect();
            values.sort();
            values
        };
        assert_eq!(of(&rows[1]), [(9, 2), (19, 2)], "one value for each slice");
        assert!(
            !fold(&mut partials, &mut rows, 4),
            "a row behind the mark is not kept"
        );
        assert!(fold(&mut partials, &mut rows, 14));
        let idle = Mark {
            at: i64::MIN,
            idle: true,
        };
        assert!(
            partials.before(idle, &placement, &mut rows),
            "time goes on without one who is idle"
        );
    }
}
