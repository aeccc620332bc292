//! What one worker does with its plan where a whole run shows it: streams of one topic, watermarks of parcels, counts for the inspector,
//! seeds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::errand::Parcel;
use super::job::{Found, Job, Seat};
use super::work::{At, Fire, Progress, Work};
use super::{Config, process};
use crate::Error;
use crate::batch::{Batch, BatchBuilder, Compression, Frame, InputPartition, OutboxConfig, Stamp};
use crate::checkpoint::changelog::{IDENTITY_KEY, Identity};
use crate::checkpoint::log::{Need, Place};
use crate::connectors::memory_cluster::Memory;
use crate::flow::{Scope, TimeRange};
use crate::inspect::{Inspector, Snapshot};
use crate::operators::{AsyncWait, Event};
use crate::plan::App;
use crate::windows::Tumbling;

/// Runs a plan over what is there, or until `stop` completes.
async fn run_until(
    memory: &Memory,
    threads: usize,
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
    stop: impl Future<Output = ()>,
    inspector: &Inspector,
) -> Result<(), Error> {
    let mut config = Config::default().until_end(true);
    config.threads = threads;
    config.commit_interval = Duration::from_millis(5);
    let job = Arc::new(Job::new("app".to_owned(), None, App::new("app", plan)?)?);
    let run = process::run(
        job,
        &config,
        memory.clone(),
        stop,
        inspector,
        Instant::now(),
    );
    tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("the run hangs")
}

async fn run(
    memory: &Memory,
    threads: usize,
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
) -> Result<Snapshot, Error> {
    let inspector = Inspector::new();
    let never = std::future::pending();
    run_until(memory, threads, plan, never, &inspector).await?;
    Ok(inspector.snapshot())
}

fn last_counts(memory: &Memory, topic: &str) -> BTreeMap<String, u64> {
    let pair = |(key, value): (Option<Vec<u8>>, Option<Vec<u8>>)| {
        let key = String::from_utf8(key.unwrap()).unwrap();
        (key, u64::from_be_bytes(value.unwrap().try_into().unwrap()))
    };
    memory.records(topic).into_iter().map(pair).collect()
}

#[tokio::test]
async fn two_streams_of_one_topic_see_each_record_once_in_batches_larger_than_a_call() {
    fn plan(s: Scope<'_>) {
        for output in ["counts", "others"] {
            s.source("lines").utf8().key_by(|w| w).count().sink(output);
        }
    }
    for threads in [1, 2] {
        let memory = Memory::new("app");
        memory.create("lines", 1);
        // A call takes 65,536 records: each stream is stopped within the batch, at a place of its own.
        let words: Vec<String> = (0..70_000).map(|n| format!("w{}", n % 7)).collect();
        memory.produce("lines", 0, words.iter().map(|w| Some(w.as_bytes())));
        run(&memory, threads, plan).await.unwrap();
        let truth: BTreeMap<String, u64> = (0..7).map(|n| (format!("w{n}"), 10_000)).collect();
        assert_eq!(last_counts(&memory, "counts"), truth);
        assert_eq!(last_counts(&memory, "others"), truth);
    }
}

#[tokio::test]
async fn time_does_not_pass_the_rows_that_wait_for_room_in_front_of_a_service() {
    fn plan(s: Scope<'_>) {
        s.source("lines")
            .utf8()
            .try_map(str::parse::<i64>)
            .with_timestamps(|t| *t, Duration::ZERO)
            .enrich(AsyncWait::unordered().capacity(3), async |t: i64| {
                tokio::task::yield_now().await;
                Ok::<_, String>(t)
            })
            .key_by(|_| "all")
            .window(Tumbling::of(Duration::from_millis(10)))
            .count()
            .map(|(_, window, n)| (window.start.to_string(), n))
            .sink("counts");
    }
    for threads in [1, 2] {
        let memory = Memory::new("app");
        memory.create("lines", 1);
        for batch in 0..5 {
            let lines: Vec<String> = (0..200).map(|n| (batch * 200 + n).to_string()).collect();
            memory.produce("lines", 0, lines.iter().map(|l| Some(l.as_bytes())));
        }
        let snapshot = run(&memory, threads, plan).await.unwrap();
        assert_eq!(snapshot.rows_late, 0);
        let truth = (0..100).map(|n| ((n * 10).to_string(), 10)).collect();
        assert_eq!(last_counts(&memory, "counts"), truth);
    }
}

#[tokio::test]
async fn rows_without_a_key_are_counted_once() {
    fn plan(s: Scope<'_>) {
        let keyed = s.source("lines").utf8().key_by(|w| (w != "-").then_some(w));
        keyed.count().sink("counts");
    }
    let memory = Memory::new("app");
    memory.create("lines", 2);
    for partition in [0, 1, 0, 1, 0] {
        memory.produce(
            "lines",
            partition,
            ["a", "-", "-"].map(|w| Some(w.as_bytes())),
        );
    }
    let snapshot = run(&memory, 2, plan).await.unwrap();
    assert_eq!(snapshot.rows_without_key, 10);
    assert_eq!(last_counts(&memory, "counts"), [("a".to_owned(), 5)].into());
}

#[tokio::test]
async fn lag_is_seen_while_input_waits_and_is_gone_with_the_workers() {
    let memory = Memory::new("app");
    memory.create("lines", 2);
    for n in 0..20_000 {
        memory.produce("lines", n % 2, [Some(&b"line"[..])]);
    }
    let inspector = Inspector::new();
    let seen_by_plan = inspector.clone();
    let plan = move |s: Scope<'_>| {
        // Time for some commits while there is input left.
        let pace = |_| {
            if seen_by_plan.snapshot().commits < 8 {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        s.source("lines").utf8().for_each(pace);
    };
    let mut seen = Vec::new();
    let stop = async {
        let mut commits = 0;
        while seen.len() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let snapshot = inspector.snapshot();
            // Nothing may have been read yet at the first commits.
            if snapshot.commits > commits && snapshot.lag != 0 {
                commits = snapshot.commits;
                seen.push(snapshot.lag);
            }
        }
    };
    run_until(&memory, 2, plan, stop, &inspector).await.unwrap();
    let is_lag = |lag: &i64| (1..=20_000).contains(lag);
    assert!(seen.len() == 3 && seen.iter().all(is_lag), "{seen:?}");
    let committed: i64 = (0..2).filter_map(|p| memory.committed_at("lines", p)).sum();
    assert!(committed < 20_000, "there was input left");
    assert_eq!(inspector.snapshot().lag, 0, "nobody reads it any more");
}

#[tokio::test]
async fn changelogs_of_different_seeds_are_refused() {
    fn plan(s: Scope<'_>) {
        let words = s.source("lines").utf8().key_by(|w| w).count();
        words
            .key_by(|(_, n)| n)
            .count()
            .map(|(n, m)| (n.to_string(), m))
            .sink("counts");
    }
    // Of two operators; of two partitions of one.
    let cases = [
        ("count-2", 0, "another hash seed than the other changelogs"),
        ("count-1", 3, "another hash seed than its other partitions"),
    ];
    for (second, partition, text) in cases {
        let memory = Memory::new("app");
        memory.create("lines", 1);
        for operator in ["count-1", "count-2"] {
            memory.create(&format!("app-{operator}-changelog"), 16);
        }
        let of = |operator: &str, hash_seed| Identity {
            application_id: "app".to_owned(),
            operator: operator.to_owned(),
            kind: "count".to_owned(),
            key_groups: 16,
            hash_seed,
        };
        for (operator, partition, seed) in [("count-1", 0, 1), (second, partition, 2)] {
            let (topic, identity) = (format!("app-{operator}-changelog"), of(operator, seed));
            memory.produce_record(
                &topic,
                partition,
                Some(IDENTITY_KEY),
                Some(&identity.encode()),
            );
        }
        for threads in [1, 4] {
            let error = run(&memory, threads, plan).await.unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}

/// The work of one worker that owns all keys.
fn work_of(plan: impl Fn(Scope<'_>) + Send + Sync + 'static) -> Work {
    let job = Job::new("app".to_owned(), None, App::new("app", plan).unwrap());
    let job = Arc::new(job.unwrap());
    let count = |(_, need): &(String, Need)| match need {
        Need::Changelog { partitions } => *partitions,
        Need::Input(_) | Need::Output(_) => 1,
    };
    let partitions: Vec<i32> = job.topics.iter().map(count).collect();
    let seat = Seat {
        me: 0,
        workers: 1,
        seed: 1,
    };
    let found = Found {
        record_bytes_max: 1 << 20,
        ..Found::default()
    };
    let outbox = OutboxConfig::default();
    job.work(seat, &partitions, outbox, None, found).unwrap()
}

/// Reads one record of partition 0.
fn read_line(work: &mut Work, topic: usize, line: &[u8]) {
    let mut builder = BatchBuilder::new(Compression::NONE, 64);
    builder.append(0, None, Some(line), &[]).unwrap();
    let batch = Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap();
    let frame = Frame::new(InputPartition::single(0), &batch, batch.body(), 0);
    let read = work.records(topic, frame, At::START, u32::MAX);
    assert_eq!(read.unwrap(), Progress::Done);
}

/// Takes the rows that a worker has for itself, level by level.
fn handle_rows(work: &mut Work) {
    loop {
        let mut parcels = Vec::new();
        work.take_rows(true, |_, _, operator, mark, rows| {
            let rows = std::mem::take(rows);
            parcels.push(Parcel {
                operator,
                rows,
                mark,
            });
        });
        if parcels.is_empty() {
            return;
        }
        for parcel in parcels {
            assert_eq!(work.rows(0, &parcel, At::START).unwrap(), Progress::Done);
        }
        for level in (0..work.levels()).rev() {
            while work.fire_due(level).unwrap() {}
        }
    }
}

/// While a worker waits for others at a barrier no rows come to it.
#[test]
fn rows_that_do_not_come_are_not_silence_while_work_stands_still() {
    let mut work = work_of(|s: Scope<'_>| {
        let rows = s.source("lines").utf8().try_map(str::parse::<i64>);
        let first = rows.with_timestamps(|t| *t, Duration::ZERO).key_by(|_| 0);
        let again = first.process(0, |_, _, event, out| {
            if let Event::Row(t) = event {
                out.push(t);
            }
        });
        let windows = again
            .with_timestamps(|t| *t, Duration::ZERO)
            .key_by(|_| 0)
            .window(Tumbling::of(Duration::from_millis(10)));
        windows.count().map(|(_, _, n)| ((), n)).sink("counts");
    });
    let topic = 0;
    work.assign(Place::single(topic, 0));
    read_line(&mut work, topic, b"5");
    handle_rows(&mut work);
    let idle_after = Duration::from_millis(4);
    let mut look = |goes_on| {
        std::thread::sleep(Duration::from_millis(1));
        work.look_for_quiet(idle_after, goes_on)
    };
    for _ in 0..20 {
        assert!(look(false).is_some(), "it goes on looking");
    }
    // Nor is one long call.
    std::thread::sleep(3 * idle_after);
    assert!(look(true).is_some() && look(true).is_some());
    while look(true).is_some() {}
}

/// Brokers refuse records that lie further ahead of their clock, and a run that writes one ends with that.
#[test]
fn a_changelog_has_times_that_topics_take() {
    let mut work = work_of(|s: Scope<'_>| {
        let rows = s.source("lines").utf8().try_map(str::parse::<i64>);
        let rows = rows.with_timestamps(|t| *t, Duration::ZERO);
        rows.key_by(|_| 0).count().sink("counts");
    });
    let (topic, now_ms) = (0, 1_000_000);
    work.assign(Place::single(topic, 0));
    work.set_writable(TimeRange::at(now_ms));
    read_line(&mut work, topic, b"1000000000000");
    handle_rows(&mut work);
    while work.fire(0).unwrap() != Fire::Done {}
    let mut times = Vec::new();
    for index in 0..work.outboxes() {
        let (_, outbox, is_changelog, _) = work.outbox(index);
        for (_, mut batch) in outbox.unwrap().take_all() {
            let batch = Batch::new(batch.finish(Stamp::NONE).unwrap()).unwrap();
            times.push((is_changelog, batch.max_timestamp()));
        }
    }
    let taken = TimeRange::at(now_ms).nearest(i64::MAX);
    assert_eq!(times, [(false, taken), (true, taken)]);
}

/// A run that goes on in the middle of a batch passes over what is before its position: a commit meanwhile must not go back there.
#[test]
fn a_place_before_the_position_in_a_batch_is_that_position() {
    let mut work = work_of(|s: Scope<'_>| {
        let lines = s.source("lines").utf8().key_by(|l| l);
        lines.count().sink("counts");
    });
    let mut builder = BatchBuilder::new(Compression::NONE, 64);
    for _ in 0..200 {
        builder.append(0, None, Some(b"line"), &[]).unwrap();
    }
    let batch = Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap();
    let frame = Frame::new(InputPartition::single(0), &batch, batch.body(), 100);
    let (mut at, mut offsets) = (At::START, Vec::new());
    while let Progress::More(next) = work.records(0, frame, at, 10).unwrap() {
        offsets.extend(work.offset_at(0, frame, next));
        at = next;
    }
    assert!(offsets.is_sorted() && offsets[0] >= 100, "{offsets:?}");
}
