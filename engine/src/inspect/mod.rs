//! What a run has done so far, for progress lines and statistics. Counted a batch at a time; reading it costs the workers nothing, and
//! nothing in a result depends on it.

pub mod prometheus;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

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
    pub(crate) dead_letters_lost: AtomicU64,
    pub(crate) rows_late: AtomicU64,
    pub(crate) rows_without_key: AtomicU64,
    commits: AtomicU64,
    /// When the last epoch was complete, whether it had anything to commit or not.
    completed: Mutex<Option<Instant>>,
    pub(crate) standby: AtomicBool,
    pub(crate) lag: AtomicI64,
    /// Nanoseconds from the start of the run to the first record; 0: none yet.
    pub(crate) first_record: AtomicU64,
    pub(crate) time: [AtomicU64; ACTIVITIES.len()],
    warnings: Mutex<Vec<String>>,
    /// Operators of which something was said to be wrong with their input.
    warned_of: Mutex<BTreeSet<usize>>,
    /// One for each keyed operator, once a run knows them.
    state: OnceLock<Box<[StateCounters]>>,
}

/// More warnings than these go to the log only.
const WARNINGS_MAX: usize = 100;

/// Sizes of one operator's state, over all workers: each adds what its own part has changed by.
#[derive(Debug)]
struct StateCounters {
    operator: String,
    keys: AtomicI64,
    bytes: AtomicI64,
    /// By worker, in milliseconds since 1970; `i64::MIN`: none yet.
    watermarks: Box<[AtomicI64]>,
}

impl StateCounters {
    /// The least watermark of the workers, `None` until each has one.
    fn watermark_ms(&self) -> Option<i64> {
        let all = self.watermarks.iter().map(|at| at.load(Ordering::Relaxed));
        all.min().filter(|at| *at != i64::MIN)
    }
}

impl Counters {
    /// An epoch is complete: its positions are committed, or they were those of the one before.
    pub(crate) fn epoch_complete(&self, has_committed: bool) {
        if has_committed {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        let mut completed = self
            .completed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *completed = Some(Instant::now());
    }

    /// Notes something that a person should know although the run goes on.
    pub(crate) fn warn(&self, text: String) {
        tracing::warn!("{text}");
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < WARNINGS_MAX {
            warnings.push(text);
        }
    }

    /// As [`Self::warn`], of the input of an operator: what the first worker says. The others have the same.
    pub(crate) fn warn_of(&self, operator: usize, text: String) {
        let warned_of = self.warned_of.lock();
        if (warned_of.unwrap_or_else(PoisonError::into_inner)).insert(operator) {
            self.warn(text);
        }
    }

    /// Names the operators whose state [`Self::state_changed`] counts from now on, beginning with nothing: the workers are new ones.
    pub(crate) fn begin_states(&self, operators: impl Iterator<Item = String>, workers: usize) {
        let all = self.state.get_or_init(|| {
            let named = |operator| StateCounters {
                operator,
                keys: AtomicI64::new(0),
                bytes: AtomicI64::new(0),
                watermarks: (0..workers).map(|_| AtomicI64::new(i64::MIN)).collect(),
            };
            operators.map(named).collect()
        });
        for of in all {
            of.keys.store(0, Ordering::Relaxed);
            of.bytes.store(0, Ordering::Relaxed);
            for at in &of.watermarks {
                at.store(i64::MIN, Ordering::Relaxed);
            }
        }
    }

    /// A worker's part of an operator has acted upon all rows before this time.
    pub(crate) fn watermark(&self, operator: usize, worker: usize, at_ms: i64) {
        let of = self.state.get().and_then(|all| all.get(operator));
        if let Some(of) = of.and_then(|of| of.watermarks.get(worker)) {
            of.store(at_ms, Ordering::Relaxed);
        }
    }

    /// One worker's part of an operator's state has changed its size by so much.
    pub(crate) fn state_changed(&self, operator: usize, keys: i64, bytes: i64) {
        if let Some(of) = self.state.get().and_then(|all| all.get(operator)) {
            of.keys.fetch_add(keys, Ordering::Relaxed);
            of.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

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
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Snapshot {
            taken_at_ms: since_1970.map_or(0, |d| d.as_millis() as i64),
            records_in: read(&c.records_in),
            bytes_in: read(&c.bytes_in),
            records_out: read(&c.records_out),
            bytes_out: read(&c.bytes_out),
            changelog_records: read(&c.changelog_records),
            records_restored: read(&c.records_restored),
            records_skipped: read(&c.records_skipped),
            dead_letters_lost: read(&c.dead_letters_lost),
            rows_late: read(&c.rows_late),
            rows_without_key: read(&c.rows_without_key),
            commits: read(&c.commits),
            since_commit: c
                .completed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .map(|at| at.elapsed()),
            standby: c.standby.load(Ordering::Relaxed),
            lag: c.lag.load(Ordering::Relaxed),
            first_record: match read(&c.first_record) {
                0 => None,
                nanos => Some(Duration::from_nanos(nanos)),
            },
            time: ACTIVITIES.map(|a| (a, Duration::from_nanos(read(&c.time[a as usize])))),
            warnings: c
                .warnings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            state: c.state.get().map_or_else(Vec::new, |all| {
                let size = |n: &AtomicI64| u64::try_from(n.load(Ordering::Relaxed)).unwrap_or(0);
                let of = |of: &StateCounters| OperatorState {
                    operator: of.operator.clone(),
                    keys: size(&of.keys),
                    bytes: size(&of.bytes),
                    watermark_ms: of.watermark_ms(),
                };
                all.iter().map(of).collect()
            }),
        }
    }
}

/// Counts of one moment, over all workers of this process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// When it was taken, by the wall clock, in milliseconds since 1970.
    pub taken_at_ms: i64,
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
    /// Records and rows that were refused (by a decoder, a function, a sink or its topic) and left out, or became dead letters, as
    /// the policy says.
    pub records_skipped: u64,
    /// Of those the dead letters that their topic did not take, not even cut: they are nowhere.
    pub dead_letters_lost: u64,
    /// Rows that came after all of their windows, and the allowed lateness, had passed.
    pub rows_late: u64,
    /// Rows left out of keyed operators because their key is null.
    pub rows_without_key: u64,
    /// Epochs committed.
    pub commits: u64,
    /// Time since the last epoch was complete: committed, or found to have nothing new to commit. A
    /// run that works has a small one, also without input: at most some times `commit.interval.ms`.
    /// `None` before the first. It grows while the process stands by and after the run has ended.
    pub since_commit: Option<Duration>,
    /// Whether another process of this application has the work and this one waits to take over.
    pub standby: bool,
    /// Records between the positions and the ends of the input, as last seen.
    pub lag: i64,
    /// From the start of the run to the first record at hand.
    pub first_record: Option<Duration>,
    /// Wall time of all workers by what they did; with several workers it exceeds the time passed.
    pub time: [(Activity, Duration); ACTIVITIES.len()],
    /// What a person should know although the run went on; it stands in the log too.
    pub warnings: Vec<String>,
    /// State of each keyed operator, in the order of the plan, as of the last commit.
    pub state: Vec<OperatorState>,
}

/// Size of one operator's state, over all workers of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperatorState {
    /// The operator's identity, as in the name of its changelog: `count-1`, or what `named` gave it.
    pub operator: String,
    /// Number of keys; of windows, of keys and slices of time.
    pub keys: u64,
    /// Bytes of memory, without what values own elsewhere.
    pub bytes: u64,
    /// The watermark that the operator had acted upon at the last commit, in milliseconds since 1970, of
    /// the worker that is furthest back. `None` for operators that do not wait for time, and until all
    /// workers have one.
    pub watermark_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_state_are_summed_over_workers_and_begin_anew_with_new_ones() {
        let inspector = Inspector::new();
        let counters = &inspector.counters;
        counters.state_changed(0, 1, 1);
        assert_eq!(inspector.snapshot().state, [], "nothing is named yet");
        let names = || ["count-1".to_owned(), "sum-1".to_owned()].into_iter();
        counters.begin_states(names(), 2);
        counters.state_changed(1, 5, 500);
        counters.state_changed(1, 2, 100);
        counters.state_changed(1, -5, -500);
        let state = inspector.snapshot().state;
        assert_eq!(state[1].operator, "sum-1");
        assert_eq!((state[0].keys, state[1].keys, state[1].bytes), (0, 2, 100));
        counters.begin_states(names(), 2);
        assert_eq!(inspector.snapshot().state[1].keys, 0);
    }

    #[test]
    fn the_watermark_of_an_operator_is_that_of_its_slowest_worker() {
        let inspector = Inspector::new();
        let counters = &inspector.counters;
        let seen = || inspector.snapshot().state[0].watermark_ms;
        counters.begin_states(["window-1".to_owned()].into_iter(), 2);
        assert_eq!(seen(), None);
        counters.watermark(0, 0, 5_000);
        assert_eq!(seen(), None, "nothing is known of the other worker");
        counters.watermark(0, 1, -3);
        assert_eq!(seen(), Some(-3));
        counters.watermark(0, 1, 7_000);
        assert_eq!(seen(), Some(5_000));
        counters.begin_states(["window-1".to_owned()].into_iter(), 2);
        assert_eq!(seen(), None, "the workers are new ones");
    }

    #[test]
    fn an_epoch_without_anything_to_commit_is_seen_too() {
        let inspector = Inspector::new();
        assert_eq!(inspector.snapshot().since_commit, None);
        inspector.counters.epoch_complete(false);
        let snapshot = inspector.snapshot();
        assert_eq!(snapshot.commits, 0);
        assert!(snapshot.since_commit.is_some());
        inspector.counters.epoch_complete(true);
        assert_eq!(inspector.snapshot().commits, 1);
    }

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
