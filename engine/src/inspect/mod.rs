//! What a run has done so far, for progress lines and statistics. Counted a batch at a time; reading it costs the workers nothing, and
//! nothing in a result depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a worker spends its time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Activity {
    /// The plan on fetched records: decoding and what comes before the first keyed operator.
    Records,
    /// Keyed operators on rows.
    Rows,
    /// Writing changed results and the changelog at commits.
    Commit,
    /// Handing batches to the producer, waits for its buffer included.
    Send,
    /// Reading state back at the start.
    Restore,
    /// Waiting for something to do, and the rest.
    Wait,
}

const ACTIVITIES: [Activity; 6] = [
    Activity::Records,
    Activity::Rows,
    Activity::Commit,
    Activity::Send,
    Activity::Restore,
    Activity::Wait,
];

impl Activity {
    /// The word for a person.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Records => "reading records",
            Self::Rows => "keyed operators",
            Self::Commit => "writing results",
            Self::Send => "sending",
            Self::Restore => "restoring state",
            Self::Wait => "waiting",
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) records_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) changelog_records: AtomicU64,
    pub(crate) records_restored: AtomicU64,
    pub(crate) records_skipped: AtomicU64,
    pub(crate) rows_late: AtomicU64,
    pub(crate) rows_without_key: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) standby: AtomicBool,
    pub(crate) lag: AtomicI64,
    /// Nanoseconds from the start of the run to the first record; 0: none yet.
    pub(crate) first_record: AtomicU64,
    pub(crate) time: [AtomicU64; ACTIVITIES.len()],
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        if n > 0 {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Notes the time from `started` once.
    pub(crate) fn seen_first_record(&self, started: Option<Instant>) {
        if self.first_record.load(Ordering::Relaxed) == 0
            && let Some(started) = started
        {
            let nanos = started.elapsed().as_nanos().max(1) as u64;
            // Another worker may have been first.
            let _ =
                self.first_record
                    .compare_exchange(0, nanos, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    pub(crate) fn spent(&self, on: Activity, time: Duration) {
        Self::add(&self.time[on as usize], time.as_nanos() as u64);
    }
}

/// Splits a worker's time among activities: one reading of the clock at each change.
#[derive(Debug)]
pub(crate) struct Clock {
    counters: Arc<Counters>,
    now: Activity,
    since: Instant,
}

impl Clock {
    pub(crate) fn start(counters: Arc<Counters>) -> Self {
        Self {
            counters,
            now: Activity::Wait,
            since: Instant::now(),
        }
    }

    /// From here on the worker does `next`. Returns what it did before.
    pub(crate) fn turn_to(&mut self, next: Activity) -> Activity {
        let before = self.now;
        if next != before {
            let now = Instant::now();
            self.counters.spent(self.now, now - self.since);
            (self.now, self.since) = (next, now);
        }
        before
    }
}

/// A view into a running application; cheap to clone, outlives the run.
#[derive(Debug, Clone, Default)]
pub struct Inspector {
    pub(crate) counters: Arc<Counters>,
}

impl Inspector {
    /// One that is not looked into yet; give it to the run.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let c = &*self.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            records_in: read(&c.records_in),
            bytes_in: read(&c.bytes_in),
            records_out: read(&c.records_out),
            bytes_out: read(&c.bytes_out),
            changelog_records: read(&c.changelog_records),
            records_restored: read(&c.records_restored),
            records_skipped: read(&c.records_skipped),
            rows_late: read(&c.rows_late),
            rows_without_key: read(&c.rows_without_key),
            commits: read(&c.commits),
            standby: c.standby.load(Ordering::Relaxed),
            lag: c.lag.load(Ordering::Relaxed),
            first_record: match read(&c.first_record) {
                0 => None,
                nanos => Some(Duration::from_nanos(nanos)),
            },
            time: ACTIVITIES.map(|a| (a, Duration::from_nanos(read(&c.time[a as usize])))),
        }
    }
}

/// Counts of one moment, over all workers of this process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Records read from sources.
    pub records_in: u64,
    /// Bytes of the batches read, as fetched.
    pub bytes_in: u64,
    /// Records handed to the producer for sinks.
    pub records_out: u64,
    /// Bytes of the batches handed to the producer for sinks, before compression.
    pub bytes_out: u64,
    /// Records written to changelogs.
    pub changelog_records: u64,
    /// Changelog records read back at the start.
    pub records_restored: u64,
    /// Records that could not be decoded or processed and were skipped, as the policy says.
    pub records_skipped: u64,
    /// Rows that came after all of their windows, and the allowed lateness, had passed.
    pub rows_late: u64,
    /// Rows left out of keyed operators because their key is null.
    pub rows_without_key: u64,
    /// Epochs committed.
    pub commits: u64,
    /// Whether another process of this application has the work and this one waits to take over.
    pub standby: bool,
    /// Records between the positions and the ends of the input, as last seen.
    pub lag: i64,
    /// From the start of the run to the first record at hand.
    pub first_record: Option<Duration>,
    /// Wall time of all workers by what they did; with several workers it exceeds the time passed.
    pub time: [(Activity, Duration); ACTIVITIES.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_to_the_activity_that_was_on() {
        let inspector = Inspector::new();
        let mut clock = Clock::start(Arc::clone(&inspector.counters));
        clock.turn_to(Activity::Records);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(2) {}
        clock.turn_to(Activity::Wait);
        let snapshot = inspector.snapshot();
        assert!(snapshot.time[Activity::Records as usize].1 >= Duration::from_millis(2));
        assert_eq!(snapshot.time[Activity::Rows as usize].1, Duration::ZERO);
        for (i, (activity, _)) in snapshot.time.iter().enumerate() {
            assert_eq!(*activity as usize, i);
        }
    }
}
