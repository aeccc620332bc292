//! Runs without a broker: sources and sinks in memory and written by users, on several workers, to their end.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use engine::batch::Record;
use engine::connectors::{
    BoxError, Collected, Open, Read, Reader, Records, Sink, Source, Writer, elements, generated,
};
use engine::formats::text::words;
use engine::inspect::{Inspector, Snapshot};
use engine::plan::{App, Scope};
use engine::time::Watermarks;
use engine::windows::Tumbling;
use engine::{Config, Error};

/// Everything here ends within this time, however busy the machine is: only a guard against hanging.
const GUARD: Duration = Duration::from_secs(120);

fn config(threads: usize) -> Config {
    let threads = threads.to_string();
    let properties = [
        ("commit.interval.ms", "5"),
        ("num.stream.threads", &*threads),
    ];
    Config::from_properties(properties).unwrap()
}

async fn run(
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
    config: &Config,
) -> Result<Snapshot, Error> {
    let inspector = Inspector::new();
    let app = App::new("app", plan)?;
    let outcome = app.run_until(config, std::future::pending(), &inspector);
    let outcome = tokio::time::timeout(GUARD, outcome).await;
    outcome.expect("the run hangs")?;
    Ok(inspector.snapshot())
}

/// The last number written for each key.
fn last(collected: &Collected) -> BTreeMap<String, u64> {
    let of =
        |r: engine::testing::OutRecord| (r.key_str().unwrap().to_owned(), r.value_u64().unwrap());
    collected.take().into_iter().map(of).collect()
}

#[tokio::test]
async fn words_in_memory_are_counted_without_a_broker_on_any_number_of_workers() {
    for threads in [1, 2, 3] {
        let out = Collected::new();
        let to = out.clone();
        let lines = Arc::new(generated(4, |partition| {
            (0..500).map(move |n| ((), format!("a w{} of partition {partition}", n % 50)))
        }));
        let plan = move |s: Scope<'_>| {
            s.source(Arc::clone(&lines))
                .utf8()
                .flat_map(|line| words(line, s.scratch()))
                .key_by(|w| w)
                .count()
                .sink(&to);
        };
        let snapshot = run(plan, &config(threads)).await.unwrap();
        assert_eq!(snapshot.records_in, 2000);
        let counts = last(&out);
        assert_eq!(counts["a"], 2000, "{threads} threads");
        assert_eq!(counts["w7"], 40);
        assert_eq!(counts["3"], 500);
        assert_eq!(counts.len(), 50 + 3 + 4);
    }
}

#[tokio::test]
async fn a_bounded_source_closes_every_window_at_its_end_on_workers_that_read_nothing_too() {
    let out = Collected::new();
    let to = out.clone();
    let plan = move |s: Scope<'_>| {
        s.source(elements((0..100).map(|n| format!("{n}"))))
            .utf8()
            .try_map(|n| n.parse::<i64>())
            .with_timestamps(|n| *n * 1000, Duration::ZERO)
            .key_by(|n| if n % 2 == 0 { "even" } else { "odd" })
            .window(Tumbling::of(Duration::from_secs(10)))
            .count()
            .map(|(key, window, n)| (key, format!("{} {n}", window.start)))
            .sink(&to);
    };
    run(plan, &config(3)).await.unwrap();
    let mut got: Vec<String> = out
        .take()
        .iter()
        .map(|r| format!("{} {}", r.key_str().unwrap(), r.value_str().unwrap()))
        .collect();
    got.sort();
    assert_eq!(got.len(), 20);
    assert!(got.contains(&"odd 90000 5".to_owned()), "{got:?}");
}

/// Numbers that come one by one, each after a turn of the runtime; a failure where it is told.
struct Slow {
    end: i64,
    fails_at: i64,
    keeps: bool,
    opened_at: AtomicI64,
    reads: AtomicUsize,
}

impl Slow {
    fn new(end: i64) -> Self {
        Self {
            end,
            fails_at: i64::MAX,
            keeps: true,
            opened_at: AtomicI64::new(-1),
            reads: AtomicUsize::new(0),
        }
    }
}

struct SlowReader {
    of: Arc<Slow>,
    next: i64,
}

struct SlowSource(Arc<Slow>);

impl Source for SlowSource {
    type Reader = SlowReader;

    fn name(&self) -> &str {
        "slow numbers"
    }

    fn open(&self, open: Open) -> Result<SlowReader, BoxError> {
        self.0.opened_at.store(open.offset, Ordering::Relaxed);
        Ok(SlowReader {
            of: Arc::clone(&self.0),
            next: open.offset,
        })
    }

    fn keeps_positions(&self) -> bool {
        self.0.keeps
    }
}

impl Reader for SlowReader {
    async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
        self.of.reads.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        if self.next == self.of.fails_at {
            return Err("the service says no".into());
        }
        if self.next == self.of.end {
            return Ok(Read::End);
        }
        records.push(0, None, Some(self.next.to_string().as_bytes()))?;
        self.next += 1;
        Ok(Read::More)
    }
}

fn slow_plan(slow: &Arc<Slow>, out: &Collected) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let (slow, out) = (Arc::clone(slow), out.clone());
    move |s| {
        s.source(SlowSource(Arc::clone(&slow)))
            .utf8()
            .map(|n| ((), n))
            .sink(&out);
    }
}

fn values(out: &Collected) -> Vec<String> {
    let of = |r: &engine::testing::OutRecord| r.value_str().unwrap().to_owned();
    out.take().iter().map(of).collect()
}

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("engine-without-kafka-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_plan_without_state_goes_on_at_its_positions_where_a_state_dir_is_named() {
    let folder = Folder::new("positions");
    let mut config = config(2);
    config.state_dir = Some(folder.0.clone());
    let out = Collected::new();
    let slow = Arc::new(Slow::new(5));
    run(slow_plan(&slow, &out), &config).await.unwrap();
    assert_eq!(values(&out), ["0", "1", "2", "3", "4"]);
    let slow = Arc::new(Slow::new(7));
    run(slow_plan(&slow, &out), &config).await.unwrap();
    assert_eq!(slow.opened_at.load(Ordering::Relaxed), 5);
    assert_eq!(values(&out), ["5", "6"]);
    // Without a folder each run begins anew.
    config.state_dir = None;
    run(slow_plan(&slow, &out), &config).await.unwrap();
    assert_eq!(values(&out).len(), 7);
}

#[tokio::test]
async fn state_that_dies_with_the_run_does_not_meet_positions_that_do_not() {
    let folder = Folder::new("whole");
    let mut config = config(2);
    config.state_dir = Some(folder.0.clone());
    for _ in 0..2 {
        let out = Collected::new();
        let (slow, to) = (Arc::new(Slow::new(5)), out.clone());
        let plan = move |s: Scope<'_>| {
            s.source(SlowSource(Arc::clone(&slow)))
                .utf8()
                .key_by(|_| "all")
                .count()
                .sink(&to);
        };
        run(plan, &config).await.unwrap();
        assert_eq!(last(&out)["all"], 5);
    }
}

#[tokio::test]
async fn a_source_that_fails_ends_the_run_with_its_name_its_position_and_its_own_words() {
    let slow = Arc::new(Slow {
        fails_at: 3,
        ..Slow::new(5)
    });
    let out = Collected::new();
    let error = run(slow_plan(&slow, &out), &config(2)).await.unwrap_err();
    let error = error.to_string();
    for part in ["slow numbers", "partition 0 at 3", "the service says no"] {
        assert!(error.contains(part), "{error}");
    }
}

/// Counts what is written and flushed; may refuse.
#[derive(Default)]
struct Strict {
    refuses: bool,
    cannot_open: bool,
    written: AtomicUsize,
    flushed: AtomicUsize,
}

struct StrictSink(Arc<Strict>);
struct StrictWriter(Arc<Strict>);

impl Sink for StrictSink {
    type Writer = StrictWriter;

    fn name(&self) -> &str {
        "strict"
    }

    fn open(&self) -> Result<StrictWriter, BoxError> {
        if self.0.cannot_open {
            return Err("no permission".into());
        }
        Ok(StrictWriter(Arc::clone(&self.0)))
    }
}

impl Writer for StrictWriter {
    async fn write(&mut self, records: &[Record<'_>]) -> Result<(), BoxError> {
        if self.0.refuses {
            return Err("507 insufficient storage".into());
        }
        self.0.written.fetch_add(records.len(), Ordering::Relaxed);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BoxError> {
        self.0
            .flushed
            .store(self.0.written.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }
}

fn strict_plan(strict: &Arc<Strict>) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let strict = Arc::clone(strict);
    move |s| {
        s.source(elements(["a", "b", "c"]))
            .utf8()
            .map(|l| ((), l))
            .sink(StrictSink(Arc::clone(&strict)));
    }
}

#[tokio::test]
async fn a_sink_is_flushed_before_the_run_ends() {
    let strict = Arc::new(Strict::default());
    run(strict_plan(&strict), &config(1)).await.unwrap();
    assert_eq!(strict.flushed.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_sink_that_refuses_or_cannot_be_opened_ends_the_run_with_its_name_and_words() {
    let refusing = Strict {
        refuses: true,
        ..Strict::default()
    };
    let closed = Strict {
        cannot_open: true,
        ..Strict::default()
    };
    for (strict, words) in [
        (refusing, "writing to strict: 507 insufficient storage"),
        (closed, "opening strict: no permission"),
    ] {
        let error = run(strict_plan(&Arc::new(strict)), &config(1))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

/// Says that its first write has begun, and waits there for ever.
struct Stuck(Arc<tokio::sync::Notify>);

impl Sink for Stuck {
    type Writer = Self;

    fn name(&self) -> &str {
        "stuck"
    }

    fn open(&self) -> Result<Self, BoxError> {
        Ok(Self(Arc::clone(&self.0)))
    }
}

impl Writer for Stuck {
    async fn write(&mut self, _: &[Record<'_>]) -> Result<(), BoxError> {
        self.0.notify_one();
        std::future::pending().await
    }

    async fn flush(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_slow_sink_holds_its_source_back_and_memory_stays_bounded() {
    let slow = Arc::new(Slow::new(i64::MAX));
    let began = Arc::new(tokio::sync::Notify::new());
    let (source, to) = (Arc::clone(&slow), Arc::clone(&began));
    let plan = move |s: Scope<'_>| {
        // Large rows: a few reads fill a batch, and the sink takes none.
        s.source(SlowSource(Arc::clone(&source)))
            .utf8()
            .map(|n| ((), format!("{n:>60000}")))
            .sink(Stuck(Arc::clone(&to)));
    };
    let app = App::new("app", plan).unwrap();
    let config = config(1);
    let inspector = Inspector::new();
    let run = app.run_until(&config, std::future::pending(), &inspector);
    let looks = async {
        began.notified().await;
        let reads = slow.reads.load(Ordering::Relaxed);
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slow.reads.load(Ordering::Relaxed), reads, "it reads on");
        reads
    };
    let reads = tokio::select! {
        _ = run => unreachable!("it never ends"),
        reads = looks => reads,
    };
    assert!(reads < 50, "{reads} reads while nothing is written");
}

/// Numbers in steps, one a read.
struct Steps {
    step: i64,
    count: i64,
}

struct Step {
    next: i64,
    of: (i64, i64),
}

impl Source for Steps {
    type Reader = Step;

    fn name(&self) -> &str {
        if self.step == 1 { "slow" } else { "fast" }
    }

    fn open(&self, open: Open) -> Result<Step, BoxError> {
        Ok(Step {
            next: open.offset,
            of: (self.step, self.count),
        })
    }
}

impl Reader for Step {
    async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
        tokio::task::yield_now().await;
        let (step, count) = self.of;
        let at = (self.next * step).to_string();
        records.push(0, None, Some(at.as_bytes()))?;
        self.next += 1;
        // The last one comes with the end.
        Ok(if self.next == count {
            Read::End
        } else {
            Read::More
        })
    }
}

#[tokio::test]
async fn a_source_of_ones_own_waits_for_a_slower_one_and_everything_is_read() {
    for threads in [1, 2] {
        let seen = Arc::new(std::sync::Mutex::new(Vec::<i64>::new()));
        let log = Arc::clone(&seen);
        let plan = move |s: Scope<'_>| {
            let rows = |step: i64| {
                let log = Arc::clone(&log);
                s.source(Steps { step, count: 60 })
                    .utf8()
                    .try_map(str::parse::<i64>)
                    .with_timestamps(
                        |ts| *ts,
                        Watermarks::monotonous().aligned("all", Duration::from_millis(1000)),
                    )
                    .inspect(move |ts| log.lock().unwrap().push(*ts))
            };
            rows(100).union(rows(1)).for_each(|_| ());
        };
        let mut config = config(threads);
        // However long a read takes here, it does not make its source idle.
        let idle_after = ("fetch.max.wait.ms".to_owned(), "120000".to_owned());
        config.client.extend([idle_after]);
        run(plan, &config).await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 120, "{threads} threads");
        let last_slow = seen.iter().rposition(|ts| *ts < 60 && *ts > 0).unwrap();
        let ahead = *seen[..last_slow].iter().max().unwrap();
        assert!(ahead <= 60 + 1000 + 100, "{threads} threads: {ahead}");
    }
}
