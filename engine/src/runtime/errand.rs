//! What a worker is given to do, and what it and the others tell each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alignment::Alignment;
use super::exchange::Weigh;
use super::now::WallClock;
use crate::Error;
use crate::batch::Rows;
use crate::checkpoint::epoch::Epoch;
use crate::checkpoint::log::Position;
use crate::checkpoint::offset_metadata::Reached;
use crate::time::Mark;

/// Rows on their way to a keyed operator of some level.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) operator: usize,
    pub(crate) rows: Rows,
    /// What the sender says of time behind these rows.
    pub(crate) mark: Mark,
}

impl Weigh for Parcel {
    fn weight(&self) -> usize {
        self.rows.size_bytes()
    }
}

/// What the coordinator tells a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command {
    /// Every worker's state is restored: read.
    Start,
    /// Pass this barrier; after the last one, end.
    Barrier { epoch: Epoch, last: bool },
    /// What all have sent for the epoch on its way is acknowledged: send the next of the changelogs that are held back.
    Log,
    /// Every worker has reached its ends: nothing comes any more.
    Finish,
}

/// What a worker tells the coordinator.
#[derive(Debug)]
pub(crate) enum Report {
    /// State is restored; it waits for the others.
    Running,
    /// What was sent before the barrier is acknowledged, and there are changelogs that are held back.
    Written { worker: usize, epoch: Epoch },
    /// Every output and changelog entry before the barrier is acknowledged; this was where it stood there.
    Durable {
        worker: usize,
        epoch: Epoch,
        positions: Vec<Position>,
        /// By changelog, how far time had come for its operator there.
        reached: Vec<Reached>,
    },
    /// The positions have reached the ends that were asked for.
    Reached,
    /// The run must end.
    Failed(Error),
    /// The thread is done; nothing follows.
    Ended,
}

/// What a worker is given to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Errand {
    /// Changelog partitions to read back: from where, and up to which high watermark.
    pub(crate) restore: Vec<(Position, i64)>,
    /// Where to read.
    pub(crate) input: Vec<Position>,
    /// Where each place of `input` ends; `None`: it goes on.
    pub(crate) ends: Vec<Option<i64>>,
    /// The run ends at these offsets: time ends there too.
    pub(crate) is_bounded: bool,
    /// At the end of the input time ends, and with it everything that waits for time.
    pub(crate) drains: bool,
    /// How long a batch that is not full waits for more while there is nothing else to do.
    pub(crate) linger: Duration,
    /// How long a partition must have had nothing to read before others do not wait for its time.
    pub(crate) idle_after: Duration,
    /// Names of the run's topics.
    pub(crate) topics: Arc<[String]>,
    /// When the run began.
    pub(crate) started: Option<Instant>,
    pub(crate) wall_clock: WallClock,
    /// How far the partitions of all workers are.
    pub(crate) alignment: Arc<Alignment>,
}
