//! Which windows there are: their extents, and the arithmetic of time that may be negative.

use std::fmt;
use std::time::Duration;

use super::{lists::Lists, slices::Slices};
use crate::{
    batch::{Decode, Encode, Reader, Rows},
    flow::Emit,
    state::{KeyGroups, KeyedState, State, StorePlace},
    time::millis,
};

/// A stretch of event time, in milliseconds since 1970: from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First millisecond.
    pub start: i64,
    /// First millisecond behind it.
    pub end: i64,
}

impl Window {
    /// The last millisecond that belongs to it: when the watermark reaches it, the window closes. It is the timestamp of its results.
    #[must_use]
    pub fn max_timestamp(self) -> i64 {
        self.end.saturating_sub(1)
    }

    /// Whether a time lies in it.
    #[must_use]
    pub fn contains(self, timestamp: i64) -> bool {
        (self.start..self.end).contains(&timestamp)
    }

    /// Its length.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.end.abs_diff(self.start))
    }
}

impl Encode for Window {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.start.encode(out);
        self.end.encode(out);
    }
}

impl<'b> Decode<'b> for Window {
    #[inline]
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        Some(Self {
            start: i64::decode(r)?,
            end: i64::decode(r)?,
        })
    }
}

/// Timestamps beyond these are taken as these, so that sums of times cannot overflow: 36 million years.
pub(super) const TIME_MAX: i64 = 1 << 60;

/// When windows give out results, and for how long rows may be late.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub(super) lateness_ms: i64,
    pub(super) emit: Emit,
    /// Of [`Emit::Early`]: results of one window come this far apart at least.
    pub(super) early_ms: i64,
}

impl Rules {
    /// How far windows are closed when the watermark is at `watermark`: those with a last millisecond up to this.
    pub(super) fn closed(self, watermark: i64) -> i64 {
        match self.emit {
            Emit::Final => watermark.saturating_sub(self.lateness_ms),
            _ => watermark,
        }
    }

    /// Whether a window with this last millisecond takes no rows any more.
    pub(super) fn is_past(self, max_timestamp: i64, watermark: i64) -> bool {
        max_timestamp.saturating_add(self.lateness_ms) <= watermark
    }
}

/// A kind of windows: [`Tumbling`], [`Hopping`], [`Sliding`], [`Session`].
pub trait WindowSpec: Copy + fmt::Display + Send + 'static {
    /// What is kept for it.
    #[doc(hidden)]
    type State<A: State>: WindowState<A>;

    /// Its empty state.
    #[doc(hidden)]
    fn state<A: State>(
        self,
        keys: KeyGroups,
        initial: A,
        rules: Rules,
        place: StorePlace,
    ) -> Self::State<A>;

    /// Why there can be no such windows.
    #[doc(hidden)]
    fn problem(&self) -> Option<String>;

    /// How time is cut, where windows are made of slices, so that a row belongs to a slice whatever other rows there are.
    #[doc(hidden)]
    fn slicing(&self) -> Option<Slicing> {
        None
    }
}

/// What the operator needs of a state of windows.
#[doc(hidden)]
#[expect(
    private_bounds,
    reason = "users name kinds of windows, not their states"
)]
pub trait WindowState<A>: KeyedState {
    /// Takes rows in, each with a step on the value of its slice or session; the indices of those that are too late go to `late`, and
    /// `None` for one that is nothing but a key. False when a row cannot be read.
    fn take<'r>(
        &mut self,
        rows: &'r Rows,
        watermark: i64,
        merge: &mut dyn FnMut(&mut A, A),
        step: impl FnMut(&mut A, &'r [u8]) -> bool,
        late: impl FnMut(Option<usize>),
    ) -> bool;

    /// Whether it is in the middle of [`WindowState::fire_updates`].
    fn is_updating(&self) -> bool;

    /// Gives out windows that have closed, in pieces of about `limit` bytes.
    fn fire_closed(
        &mut self,
        watermark: i64,
        merge: &mut dyn FnMut(&mut A, A),
        out: &mut Rows,
        limit: usize,
    );

    /// Gives out windows that were changed: after they had closed, or, where that is wanted, before too.
    fn fire_updates(&mut self, merge: &mut dyn FnMut(&mut A, A), out: &mut Rows, limit: usize);

    /// Gives out windows that have closed (`for_commit`: what a commit gives out) as rows, until those hold about `limit` bytes.
    fn fire(
        &mut self,
        for_commit: bool,
        watermark: i64,
        merge: &mut dyn FnMut(&mut A, A),
        out: &mut Rows,
        limit: usize,
    ) {
        if for_commit || self.is_updating() {
            self.fire_updates(merge, out, limit);
        } else {
            self.fire_closed(watermark, merge, out, limit);
        }
    }
}

fn text(f: &mut fmt::Formatter<'_>, ms: i64) -> fmt::Result {
    match ms {
        ms if ms != 0 && ms % 3_600_000 == 0 => write!(f, "{} h", ms / 3_600_000),
        ms if ms != 0 && ms % 60_000 == 0 => write!(f, "{} min", ms / 60_000),
        ms if ms != 0 && ms % 1000 == 0 => write!(f, "{} s", ms / 1000),
        ms => write!(f, "{ms} ms"),
    }
}

fn too_short(what: &str, ms: i64) -> Option<String> {
    (!(1..=TIME_MAX / 4).contains(&ms)).then(|| {
        format!("its {what} is {ms} ms: it must be at least one millisecond, and below millions of years")
    })
}

/// Windows of one length, one behind the other.
///
/// ```
/// use std::time::Duration;
/// use engine::windows::Tumbling;
///
/// // Days that begin at 22:00 UTC.
/// let days = Tumbling::of(Duration::from_secs(86_400)).offset_ms(-2 * 3_600_000);
/// assert_eq!(days.to_string(), "tumbling 24 h, offset 79200000 ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    size_ms: i64,
    offset_ms: i64,
}

impl Tumbling {
    /// Windows of this length; one of them begins at 1970.
    #[must_use]
    pub fn of(size: Duration) -> Self {
        Self {
            size_ms: millis(size),
            offset_ms: 0,
        }
    }

    /// One of the windows begins this many milliseconds after 1970.
    #[must_use]
    pub fn offset_ms(self, offset_ms: i64) -> Self {
        let offset_ms = offset_ms.rem_euclid(self.size_ms.max(1));
        Self { offset_ms, ..self }
    }

    fn cut(self) -> Slicing {
        Slicing::new(self.size_ms, self.size_ms, self.offset_ms)
    }
}

impl fmt::Display for Tumbling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tumbling ")?;
        text(f, self.size_ms)?;
        offset(f, self.offset_ms)
    }
}

fn offset(f: &mut fmt::Formatter<'_>, ms: i64) -> fmt::Result {
    if ms == 0 {
        Ok(())
    } else {
        write!(f, ", offset {ms} ms")
    }
}

impl WindowSpec for Tumbling {
    type State<A: State> = Slices<A>;

    fn state<A: State>(
        self,
        keys: KeyGroups,
        initial: A,
        rules: Rules,
        place: StorePlace,
    ) -> Slices<A> {
        Slices::new(self.cut(), keys, initial, rules, place)
    }

    fn slicing(&self) -> Option<Slicing> {
        Some(self.cut())
    }

    fn problem(&self) -> Option<String> {
        too_short("length", self.size_ms)
    }
}

/// Windows of one width, of which one begins at each slide: they overlap.
///
/// They share slices of the greatest common divisor of width and slide: a row updates one slice, whatever the number of its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hopping {
    width_ms: i64,
    slide_ms: i64,
    offset_ms: i64,
}

impl Hopping {
    /// Windows of `width`, one for each `slide`; one of them begins at 1970.
    #[must_use]
    pub fn of(width: Duration, slide: Duration) -> Self {
        Self {
            width_ms: millis(width),
            slide_ms: millis(slide),
            offset_ms: 0,
        }
    }

    /// One of the windows begins this many milliseconds after 1970.
    #[must_use]
    pub fn offset_ms(self, offset_ms: i64) -> Self {
        let offset_ms = offset_ms.rem_euclid(self.slide_ms.max(1));
        Self { offset_ms, ..self }
    }
}

impl Hopping {
    fn cut(self) -> Slicing {
        Slicing::new(self.width_ms, self.slide_ms, self.offset_ms)
    }
}

impl fmt::Display for Hopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hopping ")?;
        text(f, self.width_ms)?;
        f.write_str(" each ")?;
        text(f, self.slide_ms)?;
        offset(f, self.offset_ms)
    }
}

impl WindowSpec for Hopping {
    type State<A: State> = Slices<A>;

    fn state<A: State>(
        self,
        keys: KeyGroups,
        initial: A,
        rules: Rules,
        place: StorePlace,
    ) -> Slices<A> {
        Slices::new(self.cut(), keys, initial, rules, place)
    }

    fn slicing(&self) -> Option<Slicing> {
        Some(self.cut())
    }

    fn problem(&self) -> Option<String> {
        let Self {
            width_ms, slide_ms, ..
        } = *self;
        too_short("width", width_ms)
            .or_else(|| too_short("slide", slide_ms))
            .or_else(|| {
                (slide_ms > width_ms).then(|| {
                    format!("it slides by {slide_ms} ms, more than its width of {width_ms} ms: rows between two windows would be in none")
                })
            })
    }
}

/// Kafka Streams' sliding windows: for each key, every stretch of this length that ends at a row, or begins right behind one and holds
/// another. A row is in every window that reaches over it, whatever the alignment.
///
/// Cost: each row with a time of its own is kept apart until the length has passed, and with `n` of
/// them within the length a row costs a walk over `n` times, a window that closes `n` merges, and a
/// commit writes all `n` values of a key that has changed. So one key with `n` rows within the
/// length costs the square of `n`: for hot keys take [`Hopping`] windows, which cost a row one
/// update.
///
/// Both ends belong to the window: rows that are exactly the length apart are together. (So `end`, which is exclusive, is the length and
/// one millisecond behind `start`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    pub(super) length_ms: i64,
}

impl Sliding {
    /// Windows in which rows are at most this far apart.
    #[must_use]
    pub fn of(length: Duration) -> Self {
        Self {
            length_ms: millis(length),
        }
    }
}

impl fmt::Display for Sliding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sliding ")?;
        text(f, self.length_ms)
    }
}

impl WindowSpec for Sliding {
    type State<A: State> = Lists<A, Self>;

    fn state<A: State>(
        self,
        keys: KeyGroups,
        initial: A,
        rules: Rules,
        place: StorePlace,
    ) -> Lists<A, Self> {
        Lists::new(self, keys, initial, rules, place)
    }

    fn problem(&self) -> Option<String> {
        too_short("length", self.length_ms)
    }
}

/// Sessions: rows of a key belong together while no more than the gap lies between one and the next: exactly the gap apart is together,
/// as in Kafka Streams and Flink. A row that comes out of order between two sessions makes them one.
///
/// The gap behind the last row belongs to the session with both of its ends, so `end`, which is exclusive, lies one millisecond behind
/// it: a row that comes in time finds every session that it belongs to still open, whatever the order. (Flink's `end` is one millisecond
/// less, and there it depends on the watermark whether a row exactly the gap later finds the session. Kafka Streams calls the last row
/// the end.)
///
/// Cost: a session of a key is one value, whatever its rows; a row costs a search among the
/// sessions of its key that are open, and a commit writes all of these.
///
/// Results that were given out for a session before it grew (because of allowed lateness, or at commits) stay: the grown session has
/// another start or end, and is another result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub(super) gap_ms: i64,
}

impl Session {
    /// Sessions that end when nothing came for longer than this.
    #[must_use]
    pub fn gap(gap: Duration) -> Self {
        Self {
            gap_ms: millis(gap),
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("session, gap ")?;
        text(f, self.gap_ms)
    }
}

impl WindowSpec for Session {
    type State<A: State> = Lists<A, Self>;

    fn state<A: State>(
        self,
        keys: KeyGroups,
        initial: A,
        rules: Rules,
        place: StorePlace,
    ) -> Lists<A, Self> {
        Lists::new(self, keys, initial, rules, place)
    }

    fn problem(&self) -> Option<String> {
        too_short("gap", self.gap_ms)
    }
}

/// How time is cut into slices, and which windows a slice belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Slicing {
    width: i64,
    slide: i64,
    offset: i64,
    /// Length of a slice.
    pub(super) size: i64,
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Slicing {
    fn new(width: i64, slide: i64, offset: i64) -> Self {
        // What is out of range is refused before anything runs.
        let (width, slide) = (width.clamp(1, TIME_MAX), slide.clamp(1, TIME_MAX));
        Self {
            width,
            slide,
            offset,
            size: gcd(width, slide),
        }
    }

    /// Start of the slice that a time lies in: rounded down, also before 1970.
    #[inline]
    pub(super) fn slice(&self, timestamp: i64) -> i64 {
        let timestamp = timestamp.clamp(-TIME_MAX, TIME_MAX);
        timestamp - (timestamp - self.offset).rem_euclid(self.size)
    }

    /// Whether each window is one slice.
    pub(super) fn is_tumbling(&self) -> bool {
        self.size == self.width
    }

    /// End of the first window that a slice belongs to.
    pub(super) fn first_end(&self, slice: i64) -> i64 {
        let last = self.last_end(slice);
        if self.is_tumbling() {
            last
        } else {
            self.next_end(slice, i64::MIN).unwrap_or(last)
        }
    }

    /// End of the last window that a slice belongs to.
    #[inline]
    pub(super) fn last_end(&self, slice: i64) -> i64 {
        slice - (slice - self.offset).rem_euclid(self.slide) + self.width
    }

    /// End of the first window that a slice belongs to and whose last millisecond lies behind `after`; `None` when there is none.
    pub(super) fn next_end(&self, slice: i64, after: i64) -> Option<i64> {
        let last = self.last_end(slice);
        let least = (slice + self.size).max(after.min(last).saturating_add(2));
        // Ends lie at whole slides before the last one.
        let before = (last - least).div_euclid(self.slide);
        (before >= 0).then(|| last - before * self.slide)
    }

    /// No slice that begins before this belongs to a window whose last millisecond lies after
    /// `after`.
    pub(super) fn first_after(&self, after: i64) -> i64 {
        after.saturating_add(2).saturating_sub(self.width)
    }

    pub(super) fn window(&self, end: i64) -> Window {
        Window {
            start: end - self.width,
            end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_before_1970_begin_at_the_floor() {
        let slicing = Slicing::new(10, 10, 0);
        assert_eq!(
            [-1, -10, -11, 0, 9].map(|t| slicing.slice(t)),
            [-10, -10, -20, 0, 0]
        );
        let slicing = Slicing::new(10, 10, 3);
        assert_eq!([-7, -8, 2, 3].map(|t| slicing.slice(t)), [-7, -17, -7, 3]);
        let all = [i64::MIN, i64::MAX].map(|t| slicing.slice(t));
        assert!(all[0] < all[1], "the ends of time do not wrap round");
    }

    #[test]
    fn hopping_windows_share_slices_of_the_greatest_common_divisor() {
        for (width, slide, offset) in [(10, 4, 0), (6, 6, 1), (9, 3, 2), (7, 1, 0), (25, 10, 3)] {
            let slicing = Slicing::new(width, slide, offset);
            assert_eq!(slicing.size, gcd(width, slide));
            for t in -60..60 {
                let slice = slicing.slice(t);
                assert!(slice <= t && t < slice + slicing.size);
                // The truth: every start that is a multiple of the slide, and whose window holds the row.
                let truth: Vec<i64> = (-200..200)
                    .map(|k| offset + k * slide)
                    .filter(|start| *start <= t && t < start + width)
                    .map(|start| start + width)
                    .collect();
                let (mut got, mut after) = (Vec::new(), -1000);
                while let Some(end) = slicing.next_end(slice, after) {
                    got.push(end);
                    after = end - 1;
                }
                assert_eq!(got, truth, "row at {t} in windows of {width} each {slide}");
                assert_eq!(slicing.last_end(slice), *truth.last().unwrap());
            }
        }
    }
}
