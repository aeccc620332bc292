//! One call of a plan: what goes in, how far it may go, and where it stopped.

use std::cell::{Cell, RefCell};

use bumpalo::Bump;

use super::{Error, Graph, Onces, Placement, Slot};
use crate::batch::{Cursor, Frame, Rows, WalkPlace};
use crate::time::PartOf;

/// What a call of the plan works on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'b> {
    /// Nothing: operators that wait for time look at the clock.
    Tick,
    /// A fetched batch, for the source with this index.
    Frame {
        /// The source operator.
        source: usize,
        /// The batch.
        frame: Frame<'b>,
    },
    /// Rows for the second half of an operator.
    Rows {
        /// The operator.
        operator: usize,
        /// Which of its entrances.
        port: Port,
        /// The rows.
        rows: &'b Rows,
    },
}

impl Input<'_> {
    /// Whose timestamps its records or rows have; `None`: there are none.
    pub(crate) fn part(&self) -> Option<PartOf> {
        match *self {
            Self::Tick => None,
            Self::Frame { source, frame } => Some(PartOf::Input {
                source,
                partition: frame.partition(),
            }),
            Self::Rows { operator, .. } => Some(PartOf::Rows { operator }),
        }
    }
}

/// Entrance of an operator's second half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Port {
    /// Rows that its first half has sent.
    Sent,
    /// Results that it gives out: changed keys at a commit, windows that have closed.
    Fired,
    /// Rows that came too late for it.
    Late,
    /// Timers of keys that are due.
    Due,
}

/// A place in an input: where a call stopped, and where the next one goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// First record (or row) that is not done.
    pub(crate) index: u32,
    /// Of a batch: where the walk stood there, so that the records before are not walked over again.
    pub(crate) place: Option<WalkPlace>,
    /// Rows made from it that are written already.
    pub(crate) skip: u64,
}

impl Position {
    /// The beginning of an input.
    pub const START: Self = Self {
        index: 0,
        place: None,
        skip: 0,
    };

    /// First record (or row) that is not done.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// Where a walk over the batch stands that goes on there; `None` within what a record has become.
    pub(crate) fn between_records(self) -> Option<WalkPlace> {
        self.place.filter(|_| self.skip == 0)
    }
}

/// How far one call goes before it stops, so that its outputs can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records (or rows) of its input.
    pub records: u32,
    /// Bytes of outgoing rows to one worker.
    pub rows_bytes: usize,
    /// Bytes of full batches in one sink.
    pub sink_bytes: usize,
    /// Keys of other workers whose rows are folded before they are sent, where an operator can do that; 0: each row is sent.
    pub partials: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records: 1 << 16,
            rows_bytes: 512 << 10,
            sink_bytes: 1 << 20,
            partials: 8192,
        }
    }
}

/// Whether the plan is being learned or run.
#[derive(Clone, Copy)]
pub(crate) enum Mode<'b> {
    Learn(&'b RefCell<Graph>),
    Run(&'b Graph),
}

/// All that the operators of one call share.
pub(crate) struct Call<'b> {
    pub(crate) mode: Mode<'b>,
    pub(crate) slots: &'b [RefCell<Slot>],
    pub(crate) onces: &'b Onces,
    pub(crate) bump: &'b Bump,
    pub(crate) placement: &'b Placement,
    pub(crate) input: Input<'b>,
    pub(crate) from: Position,
    pub(crate) limits: Limits,
    /// The wall clock, in milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// A clock that nobody sets, in milliseconds: what is awaited goes by it.
    pub(crate) elapsed_ms: i64,
    /// Times that a topic takes.
    pub(crate) writable: TimeRange,
    /// Rows that `share` may keep.
    pub(crate) share_rows: usize,
    /// Where the last bad record stands in the frame at hand.
    pub(crate) cursor: Cell<Cursor>,
    pub(crate) progress: Progress,
}

/// Times of records that can be written. A broker of Kafka 4 refuses what is more than an hour ahead of its clock
/// (`message.timestamp.after.max.ms`, KIP-1030), and any broker the ends of the range: one row with such a time would stop the job, and
/// stop it again at each restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    least: i64,
    greatest: i64,
}

impl TimeRange {
    /// Every time, as it is.
    pub(crate) const ALL: Self = Self {
        least: i64::MIN,
        greatest: i64::MAX,
    };
    /// How far ahead of the wall clock times stay as they are: half of what brokers allow, whose clocks are others.
    const AHEAD_MS: i64 = 30 * 60 * 1000;

    /// Those that a topic takes when the wall clock says `now_ms`.
    pub(crate) const fn at(now_ms: i64) -> Self {
        Self {
            least: i64::MIN / 2,
            greatest: now_ms.saturating_add(Self::AHEAD_MS),
        }
    }

    /// The nearest time that can be written.
    #[inline]
    pub(crate) fn nearest(self, timestamp: i64) -> i64 {
        timestamp.min(self.greatest).max(self.least)
    }
}

/// What changes while a call runs.
pub(crate) struct Progress {
    /// Index of the next operator.
    pub(crate) operators: Cell<usize>,
    /// Index of the next `once`.
    pub(crate) once: Cell<usize>,
    /// Where the input was left.
    pub(crate) stop: Cell<Option<Position>>,
    /// Rows of the record at hand that were written when a loop's end broke.
    pub(crate) written: Cell<u64>,
    /// An output is full, but its loop could not break there.
    pub(crate) full: Cell<bool>,
    /// The rows at hand were made and written by an earlier call already.
    pub(crate) replaying: Cell<bool>,
    pub(crate) error: RefCell<Option<Error>>,
    pub(crate) has_failed: Cell<bool>,
}

impl Progress {
    pub(crate) fn new(from: Position) -> Self {
        Self {
            operators: Cell::new(0),
            once: Cell::new(0),
            stop: Cell::new(None),
            written: Cell::new(0),
            full: Cell::new(false),
            replaying: Cell::new(from.skip > 0),
            error: RefCell::new(None),
            has_failed: Cell::new(false),
        }
    }
}
