//! Event time over two topics of one source under traffic, at default settings: windows close although one partition is idle, each is
//! counted exactly, and the delay from the end of a window to its result in the output topic is printed.

use std::cell::{Cell, RefCell};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use engine::connectors::Topics;
use engine::time::Watermarks;
use engine::windows::Tumbling;

use super::*;

/// Partitions with traffic: all of the two topics but the idle one.
const FLOWING: [(&str, i32); 5] = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)];
/// The partition with one old row and nothing after it.
const IDLE: (&str, i32) = ("b", 2);
const WINDOW_MS: i64 = 1000;
/// Milliseconds of traffic from the first commit on; until then the application is starting.
const MEASURED_MS: i64 = 8000;
/// Only a guard, since machines are shared: at rest results come within a second of the end of their window.
const DELAY_MAX_MS: i64 = 10_000;

/// Milliseconds of the wall clock that never step back.
struct Clock {
    base_ms: i64,
    since: Instant,
}

impl Clock {
    fn new() -> Self {
        let base = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            base_ms: base.as_millis() as i64,
            since: Instant::now(),
        }
    }

    fn now_ms(&self) -> i64 {
        self.base_ms + self.since.elapsed().as_millis() as i64
    }
}

/// Counts by key and start of the window, as the output writes them.
type Counts = BTreeMap<(String, i64), u64>;

/// Rows and results so far.
#[derive(Default)]
struct Seen {
    written: RefCell<Counts>,
    counted: RefCell<Counts>,
    /// By start of a window: when the last of its results was seen.
    at_ms: RefCell<BTreeMap<i64, i64>>,
    /// When the first commit was seen.
    started_ms: Cell<Option<i64>>,
}

impl Seen {
    /// Writes a row of now; its window has it before the broker does.
    async fn write(&self, job: &Job, place: (&str, i32), key: u64, ms: i64) {
        let key = format!("k{key}");
        let row = (ms, format!("{key} {ms}"));
        let window = (key, ms / WINDOW_MS * WINDOW_MS);
        *self.written.borrow_mut().entry(window).or_default() += 1;
        job.write(place.0, place.1, &[row]).await;
    }

    /// The rows written to windows that end by this time.
    fn truth(&self, end_ms: i64) -> Counts {
        up_to(&self.written.borrow(), end_ms)
    }

    /// End of the last window that is measured.
    fn end_ms(&self) -> Option<i64> {
        let started = self.started_ms.get()?;
        Some((started + MEASURED_MS) / WINDOW_MS * WINDOW_MS)
    }

    /// Every window has come, or is so late that nobody need wait for it.
    fn is_over(&self, now_ms: i64) -> bool {
        self.end_ms().is_some_and(|end| {
            let all = || up_to(&self.counted.borrow(), end) == self.truth(end);
            now_ms > end && (all() || now_ms > end + 2 * DELAY_MAX_MS)
        })
    }
}

fn up_to(counts: &Counts, end_ms: i64) -> Counts {
    let of = counts.iter();
    of.filter(|((_, start), _)| start + WINDOW_MS <= end_ms)
        .map(|(window, n)| (window.clone(), *n))
        .collect()
}

fn plan(topics: Topics, output: String) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    move |s| {
        let watermarks = Watermarks::monotonous().aligned("all", Duration::from_secs(1));
        s.source(&topics)
            .utf8()
            .try_map(|line| {
                let (key, ts) = line.split_once(' ').ok_or("no time")?;
                Ok::<_, &str>((key, ts.parse::<i64>().map_err(|_| "no number")?))
            })
            .with_timestamps(|r| r.1, watermarks)
            .key_by(|r| r.0)
            .window(Tumbling::of(Duration::from_millis(WINDOW_MS as u64)))
            .count()
            .map(|(key, window, n)| (format!("{key} {}", window.start), n))
            .sink(&*output);
    }
}

/// A row to each partition but the idle one, each 50 ms: the traffic, not a synchronisation.
async fn traffic(job: &Job, clock: &Clock, seen: &Seen) {
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 0u64.. {
        if seen.is_over(clock.now_ms()) {
            break;
        }
        pace.tick().await;
        for (n, place) in (0u64..).zip(FLOWING) {
            let key = (tick + n) % 7;
            seen.write(job, place, key, clock.now_ms()).await;
        }
    }
}

/// Reads the output while it is written, and takes the time at which each result is there.
async fn watch(job: &Job, clock: &Clock, seen: &Seen) {
    let mut consumer = job.consumer(&job.topic("counts"), 2).await;
    while !seen.is_over(clock.now_ms()) {
        let records = consumer.poll(Duration::from_millis(100)).await.unwrap();
        let now = clock.now_ms();
        for record in records {
            let name = std::str::from_utf8(record.key().unwrap()).unwrap();
            let (key, start) = name.split_once(' ').unwrap();
            let start = start.parse().unwrap();
            let n = u64::from_be_bytes(record.value().unwrap().try_into().unwrap());
            let before = seen.counted.borrow_mut().insert((key.to_owned(), start), n);
            assert!(before.is_none_or(|before| before == n), "{name} twice");
            seen.at_ms.borrow_mut().insert(start, now);
        }
    }
}

/// Sees the first commit: from then on the application runs.
async fn see_start(job: &Job, clock: &Clock, seen: &Seen) {
    while job.committed(IDLE.0).await.get(&IDLE.1) != Some(&1) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen.started_ms.set(Some(clock.now_ms()));
}

#[tokio::test]
async fn windows_of_two_topics_close_in_time_at_default_settings_although_a_partition_is_idle() {
    let kafka = require_kafka!();
    for (workers, name) in [(1, "flowing-1"), (2, "flowing-2"), (4, "flowing-4")] {
        let job = Job::new(kafka, name).await;
        job.create("a", 3);
        job.create("b", 3);
        job.create("counts", 2);
        let (clock, seen) = (Clock::new(), Seen::default());
        let old_ms = clock.now_ms() - 10_000;
        seen.write(&job, IDLE, 0, old_ms).await;
        let script = async {
            tokio::join!(
                traffic(&job, &clock, &seen),
                watch(&job, &clock, &seen),
                see_start(&job, &clock, &seen)
            );
        };
        let topics = Topics::list([job.topic("a"), job.topic("b")]);
        let plan = plan(topics, job.topic("counts"));
        let snapshot = run_until(plan, &job.defaults(workers), script).await;
        assert_eq!(snapshot.unwrap().rows_late, 0, "{workers} workers");
        let end = seen.end_ms().unwrap();
        let counted = up_to(&seen.counted.borrow(), end);
        assert_eq!(counted, seen.truth(end), "{workers} workers");
        let started = seen.started_ms.get().unwrap();
        let mut delays: Vec<i64> = seen
            .at_ms
            .borrow()
            .iter()
            .map(|(start, at)| (start + WINDOW_MS, at))
            .filter(|(window_end, _)| (started + 1..=end).contains(window_end))
            .map(|(window_end, at)| at - window_end)
            .collect();
        delays.sort_unstable();
        let (median, max) = (delays[delays.len() / 2], *delays.last().unwrap());
        println!(
            "{workers} workers: {} windows, delay from their end to their result: median {median} ms, maximum {max} ms",
            delays.len()
        );
        assert!(delays.iter().all(|ms| *ms >= 0), "too early: {delays:?}");
        assert!(max < DELAY_MAX_MS, "{workers} workers: {delays:?}");
    }
}
