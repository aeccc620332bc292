//! How timestamps become watermarks: a generator for each partition, and the clock of an operator that has several.

use std::{any::Any, time::Duration};

use super::{Mark, millis};
use crate::batch::InputPartition;

/// Makes watermarks of the timestamps of one partition. It sees each row once for each time that its record is read, also where a record
/// makes more rows than an output takes and is begun again.
///
/// ```
/// use engine::time::Generator;
///
/// /// Every thousandth row says how far time has come.
/// #[derive(Default)]
/// struct Thousandth { rows: u64, at: Option<i64> }
///
/// impl Generator for Thousandth {
///     fn observe(&mut self, timestamp: i64) {
///         self.rows += 1;
///         if self.rows % 1000 == 0 { self.at = Some(timestamp) }
///     }
///     fn watermark(&self) -> i64 { self.at.unwrap_or(i64::MIN) }
/// }
/// ```
pub trait Generator: Send + 'static {
    /// A row has this timestamp, in milliseconds since 1970.
    fn observe(&mut self, timestamp: i64);

    /// Nothing more comes with this timestamp or an earlier one; `i64::MIN` while nothing is known. It may fall: what was said before
    /// stays. `i64::MAX` is taken for the last millisecond before the end of time: only the end of the input is the end.
    fn watermark(&self) -> i64;
}

/// A generator behind a box that can be opened again.
pub(crate) trait AnyGenerator: Generator {
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<G: Generator> AnyGenerator for G {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The greatest timestamp so far, less a bound, less one: rows may come out of order by as much as the bound.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    greatest: i64,
    bound_ms: i64,
}

impl Bounded {
    /// Rows come out of order by at most this many milliseconds.
    #[must_use]
    pub fn new(bound_ms: i64) -> Self {
        Self {
            greatest: i64::MIN,
            bound_ms: bound_ms.max(0),
        }
    }
}

impl Generator for Bounded {
    #[inline]
    fn observe(&mut self, timestamp: i64) {
        self.greatest = self.greatest.max(timestamp);
    }

    fn watermark(&self) -> i64 {
        if self.greatest == i64::MIN {
            i64::MIN
        } else {
            // Not below what means "nothing is known", and never the end.
            self.greatest
                .saturating_sub(self.bound_ms)
                .saturating_sub(1)
        }
    }
}

/// How far out of order rows may come, and how far ahead of the wall clock. A `Duration` is the bound alone.
///
/// A partition without anything to read (in Kafka: read to the high watermark, and nothing new for `fetch.max.wait.ms`) is idle, and others
/// do not wait for it; neither do they for one that has brought nothing but rows without a time for as long. When all are idle the watermark stays where it is, also if the last one was behind: silence says nothing of what
/// comes next, so what waits for time waits until one of them goes on, or the input ends.
///
/// ```
/// use std::time::Duration;
/// use engine::time::Watermarks;
///
/// // Two seconds out of order; a timestamp of more than an hour ahead is a bad row, so that it cannot make all others late.
/// let watermarks = Watermarks::bounded(Duration::from_secs(2)).ahead_max(Duration::from_secs(3600));
/// # let _: Watermarks = watermarks;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    pub(crate) bound_ms: i64,
    pub(crate) ahead_max_ms: Option<i64>,
    pub(crate) aligned: Option<Aligned>,
}

/// Partitions that wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aligned {
    /// Those with the same name wait for each other, whatever topics they belong to.
    pub group: &'static str,
    /// How far ahead of the slowest one a partition may be, in milliseconds of event time.
    pub drift_max_ms: i64,
}

impl Watermarks {
    /// Rows come out of order by at most `bound`, within a partition; what comes later still may be late.
    #[must_use]
    pub fn bounded(bound: Duration) -> Self {
        Self {
            bound_ms: millis(bound),
            ahead_max_ms: None,
            aligned: None,
        }
    }

    /// Within a partition timestamps never fall.
    #[must_use]
    pub fn monotonous() -> Self {
        Self::bounded(Duration::ZERO)
    }

    /// Partitions whose watermark is more than `drift_max` ahead of the slowest one of the group are not read until the others have come
    /// nearer: so that windows, joins and their state do not hold what one fast partition has brought. The group may span several
    /// sources, also such as users have written; it is that of one process. Idle partitions and those at their end are not waited for.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::time::Watermarks;
    ///
    /// let watermarks = Watermarks::bounded(Duration::from_secs(2)).aligned("clicks", Duration::from_secs(60));
    /// # let _: Watermarks = watermarks;
    /// ```
    #[must_use]
    pub fn aligned(self, group: &'static str, drift_max: Duration) -> Self {
        Self {
            aligned: Some(Aligned {
                group,
                drift_max_ms: millis(drift_max),
            }),
            ..self
        }
    }

    /// A row with a timestamp of more than this ahead of the wall clock is a bad row (`on_bad`). Without it one wrong clock moves the
    /// watermark ahead, and everything behind it is late.
    #[must_use]
    pub fn ahead_max(self, ahead: Duration) -> Self {
        Self {
            ahead_max_ms: Some(millis(ahead)),
            ..self
        }
    }
}

impl From<Duration> for Watermarks {
    fn from(bound: Duration) -> Self {
        Self::bounded(bound)
    }
}

/// Whose timestamps a part of a clock sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartOf {
    /// Records of a partition of a source.
    Input {
        source: usize,
        partition: InputPartition,
    },
    /// Rows that a keyed operator emits.
    Rows { operator: usize },
}

impl PartOf {
    /// The source, or the keyed operator.
    pub(crate) fn operator(self) -> usize {
        match self {
            Self::Input { source, .. } => source,
            Self::Rows { operator } => operator,
        }
    }
}

/// How long rows with a time have not come, and when that makes idle what they should come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet {
    /// Since the last look, as far as work went on: what stands still is not quiet.
    pub(crate) passed_ms: i64,
    /// Idle after this.
    pub(crate) after_ms: i64,
    /// Where no row has ever come.
    pub(crate) first_after_ms: i64,
}

struct Part {
    of: PartOf,
    generator: Option<Box<dyn AnyGenerator>>,
    idle: bool,
    ended: bool,
    /// One row with a time has come.
    has_rows: bool,
    /// Where what came last of a partition has no time: how long none with a time had come by then.
    timeless_ms: Option<i64>,
    /// No row with a time has come for so long.
    quiet_ms: i64,
    is_quiet: bool,
}

impl Part {
    /// Whether it may turn out that it has nothing to say of time.
    fn is_watched(&self) -> bool {
        let may_be_quiet = self.timeless_ms.is_some() || matches!(self.of, PartOf::Rows { .. });
        may_be_quiet && !self.is_quiet && !self.ended
    }

    fn mark(&self) -> Mark {
        if self.ended {
            return Mark::END;
        }
        let watermark = self.generator.as_ref().map_or(i64::MIN, |g| g.watermark());
        Mark {
            // The end of time is no watermark of a partition that goes on.
            at: watermark.min(i64::MAX - 1),
            idle: self.idle || self.is_quiet,
        }
    }
}

/// The clock of one operator in one worker: a generator for each partition that the worker reads.
#[derive(Default)]
pub(crate) struct Clock {
    /// The operators whose timestamps it hears: sources, or keyed operators.
    origins: Vec<usize>,
    parts: Vec<Part>,
    /// No more partitions are to come.
    ended: bool,
}

impl Clock {
    fn part(&mut self, of: PartOf) -> &mut Part {
        let at = self.parts.iter().position(|p| p.of == of);
        let at = at.unwrap_or_else(|| {
            self.parts.push(Part {
                of,
                generator: None,
                idle: false,
                ended: false,
                has_rows: false,
                timeless_ms: None,
                quiet_ms: 0,
                is_quiet: false,
            });
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }

    /// A clock that hears these operators.
    pub(crate) fn new(origins: Vec<usize>) -> Self {
        Self {
            origins,
            ..Self::default()
        }
    }

    pub(crate) fn hears(&self, of: PartOf) -> bool {
        self.origins.contains(&of.operator())
    }

    pub(crate) fn origins(&self) -> &[usize] {
        &self.origins
    }

    /// The partition is read from now on; it starts with the lowest watermark.
    pub(crate) fn assign(&mut self, of: PartOf) {
        self.part(of);
    }

    /// Something came from the partition.
    pub(crate) fn wake(&mut self, of: PartOf) {
        self.part(of).idle = false;
    }

    pub(crate) fn set(&mut self, of: PartOf, idle: bool, ended: bool) {
        let part = self.part(of);
        (part.idle, part.ended) = (idle, ended);
    }

    /// What comes of a keyed operator is idle and ended as the operator is. It is also idle when no row comes of it: a worker may own no
    /// keys that have something to say, and others must not wait for it.
    pub(crate) fn follow(&mut self, of: PartOf, mark: Mark) {
        let part = self.part(of);
        (part.idle, part.ended) = (mark.idle, mark.is_end());
    }

    /// Rows with a time have come.
    pub(crate) fn came(&mut self, of: PartOf) {
        let part = self.part(of);
        (part.has_rows, part.timeless_ms) = (true, None);
        (part.quiet_ms, part.is_quiet, part.idle) = (0, false, false);
    }

    /// Something has come, and nothing of it has a time. (Rows of keyed operators are looked at in any case.)
    pub(crate) fn came_timeless(&mut self, of: PartOf) {
        let part = self.part(of);
        part.timeless_ms = matches!(of, PartOf::Input { .. }).then_some(part.quiet_ms);
    }

    /// Looks whether rows still come of a keyed operator, which says this of its time; true when they do not any more. That begins when
    /// something is known of the operator's time: before, rows may be on their way to it.
    pub(crate) fn look(&mut self, of: PartOf, mark: Mark, quiet: Quiet) -> bool {
        let part = self.part(of);
        if part.is_quiet || mark.is_end() || mark.at == i64::MIN {
            return false;
        }
        part.quiet_ms = part.quiet_ms.saturating_add(quiet.passed_ms);
        part.is_quiet = part.quiet_ms
            >= if part.has_rows {
                quiet.after_ms
            } else {
                quiet.first_after_ms
            };
        part.is_quiet
    }

    /// Looks whether nothing but records without a time has come from a partition for so long that others need not wait for it any more;
    /// true when there is a new one. What counts is how long such records have come: one that is not read meanwhile says nothing.
    pub(crate) fn look_at_timeless(&mut self, quiet: Quiet) -> bool {
        let mut is_any = false;
        for part in self.parts.iter_mut().filter(|part| part.is_watched()) {
            if let Some(timeless_ms) = part.timeless_ms {
                part.quiet_ms = part.quiet_ms.saturating_add(quiet.passed_ms);
                part.is_quiet = timeless_ms >= quiet.after_ms;
                is_any |= part.is_quiet;
            }
        }
        is_any
    }

    /// Whether a look may find something that is quiet: [`Self::look`], [`Self::look_at_timeless`].
    pub(crate) fn is_watched(&self) -> bool {
        self.parts.iter().any(Part::is_watched)
    }

    /// Every partition is at its end, and no other will come.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The partition's generator, made when it is first asked for. `None`: there is one of another type.
    pub(crate) fn generator<G: Generator>(
        &mut self,
        of: PartOf,
        make: impl FnOnce() -> G,
    ) -> Option<&mut G> {
        let part = self.part(of);
        let generator = part.generator.get_or_insert_with(|| Box::new(make()));
        (**generator).as_any().downcast_mut()
    }

    pub(crate) fn mark(&self) -> Mark {
        if self.ended {
            return Mark::END;
        }
        Mark::least(self.parts.iter().map(Part::mark))
    }

    /// What is known of one partition.
    pub(crate) fn mark_of(&self, of: PartOf) -> Option<Mark> {
        self.parts.iter().find(|p| p.of == of).map(Part::mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(partition: i32) -> PartOf {
        PartOf::Input {
            source: 0,
            partition: InputPartition::single(partition),
        }
    }

    fn see(clock: &mut Clock, partition: i32, timestamp: i64) {
        let generator = clock.generator(of(partition), || Bounded::new(10));
        generator.unwrap().observe(timestamp);
    }

    #[test]
    fn bounded_out_of_orderness_says_greatest_less_bound_less_one() {
        let mut generator = Bounded::new(10);
        assert_eq!(generator.watermark(), i64::MIN);
        generator.observe(100);
        generator.observe(90);
        assert_eq!(generator.watermark(), 89);
        let mut monotonous = Bounded::new(0);
        monotonous.observe(5);
        assert_eq!(monotonous.watermark(), 4, "another row of 5 may come");
        monotonous.observe(-7);
        assert_eq!(monotonous.watermark(), 4);
    }

    #[test]
    fn timestamps_at_the_ends_of_time_do_not_wrap_round() {
        let mut generator = Bounded::new(i64::MAX);
        generator.observe(i64::MIN + 1);
        assert_eq!(generator.watermark(), i64::MIN);
        let mut clock = Clock::default();
        see(&mut clock, 0, i64::MAX);
        assert!(!clock.mark().is_end());
    }

    #[test]
    fn a_partition_found_later_starts_at_the_lowest_watermark() {
        let mut clock = Clock::default();
        see(&mut clock, 0, 100);
        assert_eq!(clock.mark().at, 89);
        clock.assign(of(1));
        assert_eq!(clock.mark().at, i64::MIN);
        clock.set(of(1), true, false);
        assert_eq!(clock.mark().at, 89, "unless it is known to hold nothing");
        clock.set(of(0), false, true);
        assert!(clock.mark().idle, "the other one is at its end");
        clock.end();
        assert!(clock.mark().is_end());
    }
}
