//! The run loop over a cluster in memory: nothing is lost, nothing is committed too early, and everything ends.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::{Config, process};
use crate::Error;
use crate::checkpoint::changelog::{IDENTITY_KEY, Identity};
use crate::checkpoint::log::{Change, Place, Share};
use crate::connectors::memory_cluster::Memory;
use crate::flow::Scope;
use crate::inspect::Inspector;
use crate::plan::App;

pub(super) fn wordcount(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| line.split_ascii_whitespace())
        .key_by(|w| w)
        .count()
        .sink("counts");
}

/// How many words have which count: two keyed operators, one behind the other.
fn histogram(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| line.split_ascii_whitespace())
        .key_by(|w| w)
        .count()
        .map(|(_, n)| n)
        .key_by(|n| n)
        .count()
        .map(|(n, words)| {
            (
                &*s.scratch().alloc_str(&n.to_string()),
                &*s.scratch().alloc_str(&words.to_string()),
            )
        })
        .sink("histogram");
}

pub(super) fn config(threads: usize) -> Config {
    let mut config = Config::default().until_end(true);
    config.threads = threads;
    config.commit_interval = Duration::from_millis(5);
    config
}

pub(super) async fn run_plan(
    memory: &Memory,
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
    config: &Config,
    stop: impl Future<Output = ()>,
) -> Result<Inspector, Error> {
    let job = Arc::new(Job::new("app".to_owned(), None, App::new("app", plan)?)?);
    let inspector = Inspector::new();
    let stop = std::pin::pin!(stop);
    let run = process::run(
        job,
        config,
        memory.clone(),
        super::Stop::new(stop),
        &inspector,
        Instant::now(),
    );
    tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("the run hangs")?;
    Ok(inspector)
}

pub(super) async fn run(memory: &Memory, config: &Config) -> Result<Inspector, Error> {
    run_plan(memory, wordcount, config, std::future::pending()).await
}

/// Lines of 3 words over 40, `batches` batches of 10 lines in each of 4 partitions; also what they count up to.
fn fill(memory: &Memory, batches: usize, truth: &mut BTreeMap<String, u64>) {
    let mut n = truth.values().sum::<u64>();
    for batch in 0..batches {
        for partition in 0..4 {
            let lines: Vec<String> = (0..10)
                .map(|line| {
                    let words: Vec<String> = (0..3)
                        .map(|_| {
                            n += 1;
                            format!("w{}", (n * n + (batch + line) as u64) % 40)
                        })
                        .collect();
                    for word in &words {
                        *truth.entry(word.clone()).or_default() += 1;
                    }
                    words.join(" ")
                })
                .collect();
            memory.produce(
                "lines",
                partition,
                lines.iter().map(|line| Some(line.as_bytes())),
            );
        }
    }
}

pub(super) fn filled(batches: usize) -> (Memory, BTreeMap<String, u64>) {
    let memory = Memory::new("app");
    memory.create("lines", 4);
    let mut truth = BTreeMap::new();
    fill(&memory, batches, &mut truth);
    (memory, truth)
}

/// The last count written for each word.
pub(super) fn counts(memory: &Memory) -> BTreeMap<String, u64> {
    let last = |(key, value): (Option<Vec<u8>>, Option<Vec<u8>>)| {
        (
            String::from_utf8(key.unwrap()).unwrap(),
            u64::from_be_bytes(value.unwrap().try_into().unwrap()),
        )
    };
    memory.records("counts").into_iter().map(last).collect()
}

#[tokio::test]
async fn the_last_count_of_every_word_is_the_truth_with_any_number_of_threads() {
    for threads in [1, 2, 3, 16] {
        let (memory, truth) = filled(20);
        let inspector = run(&memory, &config(threads)).await.unwrap();
        assert_eq!(counts(&memory), truth, "{threads} threads");
        for partition in 0..4 {
            assert_eq!(memory.committed_at("lines", partition), Some(200));
        }
        let snapshot = inspector.snapshot();
        assert_eq!(snapshot.records_in, 800);
        assert_eq!(snapshot.lag, 0);
        assert!(snapshot.first_record.is_some() && snapshot.commits > 0);
        let [state] = &snapshot.state[..] else {
            panic!("one keyed operator, not {:?}", snapshot.state);
        };
        assert_eq!(
            (state.operator.as_str(), state.keys),
            ("count-1", truth.len() as u64)
        );
        assert!(state.bytes > state.keys * 32);
    }
}

#[tokio::test]
async fn counts_survive_a_restart_with_another_number_of_threads() {
    let (memory, mut truth) = filled(5);
    run(&memory, &config(2)).await.unwrap();
    fill(&memory, 5, &mut truth);
    let inspector = run(&memory, &config(3)).await.unwrap();
    assert_eq!(counts(&memory), truth);
    assert_eq!(
        inspector.snapshot().records_in,
        200,
        "only what was new was read"
    );
    assert!(inspector.snapshot().records_restored >= truth.len() as u64);
}

#[tokio::test]
async fn two_keyed_operators_behind_each_other_see_whole_epochs() {
    let (memory, truth) = filled(10);
    // One epoch only: every word is emitted once, with its final count.
    let mut config = config(3);
    config.commit_interval = Duration::from_secs(3600);
    run_plan(&memory, histogram, &config, std::future::pending())
        .await
        .unwrap();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for n in truth.values() {
        *expected.entry(n.to_string()).or_default() += 1;
    }
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let found: BTreeMap<String, u64> = memory
        .records("histogram")
        .into_iter()
        .map(|(k, v)| (text(k), text(v).parse().unwrap()))
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn nothing_is_committed_before_outputs_and_changelog_are_acknowledged() {
    let (memory, truth) = filled(3);
    // The changelogs' identities are acknowledged; then nothing more is.
    run(&memory, &config(1)).await.unwrap();
    let mut truth = truth;
    fill(&memory, 1, &mut truth);
    memory.hold_acks();
    let before = memory.committed_at("lines", 0);
    let other = memory.clone();
    let looks = async {
        while memory.unacknowledged() == 0 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            memory.committed_at("lines", 0),
            before,
            "an epoch without outputs may be committed"
        );
        memory.acknowledge();
    };
    let config = config(2);
    let (outcome, ()) = tokio::join!(run(&other, &config), looks);
    outcome.unwrap();
    assert_eq!(counts(&memory), truth);
    assert_eq!(memory.committed_at("lines", 0), Some(40));
}

#[tokio::test]
async fn a_stop_in_the_middle_commits_and_the_next_run_goes_on_from_there() {
    let (memory, truth) = filled(200);
    let mut config = config(2);
    config.until_end = false;
    let other = memory.clone();
    let some_done = async move {
        while other.commits() == 0 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    };
    run_plan(&memory, wordcount, &config, some_done)
        .await
        .unwrap();
    config.until_end = true;
    run(&memory, &config).await.unwrap();
    assert_eq!(counts(&memory), truth);
}

#[tokio::test]
async fn a_panic_in_the_plan_ends_the_run_with_its_text_and_commits_nothing_behind_it() {
    let (memory, _) = filled(2);
    let plan = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .map(|line| {
                assert!(line.is_empty(), "no line pleases me");
                (line, 1u64)
            })
            .sink("counts");
    };
    let error = run_plan(&memory, plan, &config(2), std::future::pending())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Panic { message, .. } if message.contains("no line pleases me")),
        "{error}"
    );
    // Where it begins may be committed: the first barrier may come before the first record.
    let committed = memory.committed_at("lines", 0);
    assert!(committed.is_none_or(|at| at == 0), "{committed:?}");
}

#[tokio::test]
async fn a_process_that_stands_by_takes_over_when_the_work_is_given_to_it() {
    let (memory, truth) = filled(2);
    let all: Vec<Place> = (0..4).map(|number| Place::single(0, number)).collect();
    memory.change_to(Change::Assigned(Share::Standby));
    memory.change_to(Change::Revoked);
    memory.change_to(Change::Assigned(Share::Mine(all)));
    let inspector = run(&memory, &config(2)).await.unwrap();
    assert_eq!(counts(&memory), truth);
    assert!(!inspector.snapshot().standby);
}

#[tokio::test]
async fn a_process_that_stands_by_ends_when_another_has_reached_the_ends() {
    let (memory, truth) = filled(2);
    run(&memory, &config(1)).await.unwrap();
    memory.change_to(Change::Assigned(Share::Standby));
    let inspector = run(&memory, &config(1)).await.unwrap();
    assert_eq!(inspector.snapshot().records_in, 0);
    assert_eq!(counts(&memory), truth);
}

#[tokio::test]
async fn work_that_is_revoked_is_committed_and_taken_up_again() {
    let (memory, truth) = filled(50);
    let all: Vec<Place> = (0..4).map(|number| Place::single(0, number)).collect();
    memory.change_to(Change::Assigned(Share::Mine(all.clone())));
    memory.change_to(Change::Revoked);
    memory.change_to(Change::Assigned(Share::Mine(all)));
    run(&memory, &config(2)).await.unwrap();
    assert_eq!(counts(&memory), truth);
}

#[tokio::test]
async fn state_of_another_application_is_refused() {
    let (memory, _) = filled(1);
    let foreign = Identity {
        application_id: "billing".into(),
        operator: "count-1".into(),
        kind: "count".into(),
        key_groups: 16,
        hash_seed: 1,
    };
    memory.create("app-count-1-changelog", 16);
    memory.produce_record(
        "app-count-1-changelog",
        3,
        Some(IDENTITY_KEY),
        Some(&foreign.encode()),
    );
    let error = run(&memory, &config(1)).await.unwrap_err();
    assert!(matches!(error, Error::State(_)), "{error}");
    assert!(
        error.to_string().contains("application.id is billing"),
        "{error}"
    );
    assert_eq!(memory.committed_at("lines", 0), None);
}

#[tokio::test]
async fn a_changelog_that_holds_something_else_is_refused() {
    let (memory, _) = filled(1);
    memory.create("app-count-1-changelog", 16);
    memory.produce_record("app-count-1-changelog", 0, Some(b"hello"), Some(b"world"));
    let error = run(&memory, &config(1)).await.unwrap_err();
    assert!(matches!(error, Error::State(_)), "{error}");
}

#[tokio::test]
async fn reading_what_is_written_is_refused_before_anything_starts() {
    let plan = |s: Scope<'_>| s.source("lines").utf8().map(|l| (l, l)).sink("lines");
    let (memory, _) = filled(1);
    let error = run_plan(&memory, plan, &config(1), std::future::pending())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("both read and written"),
        "{error}"
    );
}

#[tokio::test]
async fn null_values_and_bytes_that_are_no_text_are_skipped_and_counted() {
    let (memory, truth) = filled(1);
    memory.produce("lines", 0, [None, Some(&b"\xff\xfe"[..])]);
    let inspector = run(&memory, &config(2)).await.unwrap();
    assert_eq!(counts(&memory), truth);
    assert_eq!(inspector.snapshot().records_skipped, 2);
    assert_eq!(memory.committed_at("lines", 0), Some(12));
}

#[tokio::test]
async fn an_empty_input_ends_at_once() {
    let memory = Memory::new("app");
    memory.create("lines", 2);
    run(&memory, &config(2)).await.unwrap();
    assert!(counts(&memory).is_empty());
}

#[tokio::test]
async fn one_record_that_fans_out_a_million_fold_goes_through_in_pieces() {
    let memory = Memory::new("app");
    memory.create("lines", 2);
    for partition in 0..2 {
        memory.produce("lines", partition, [Some(&b"x"[..])]);
    }
    let plan = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .flat_map(|_| 0..1_000_000u64)
            .key_by(|n| n % 1000)
            .aggregate(0u64, |sum, n| *sum += n % 2 + 1)
            .map(|(_, n)| n)
            .key_by(|_| 0u64)
            .aggregate(0u64, |sum, n| *sum += n)
            .map(|(_, n)| ((), n))
            .sink("counts");
    };
    let mut config = config(3);
    // The two levels emit once, at the end.
    config.commit_interval = Duration::from_secs(3600);
    run_plan(&memory, plan, &config, std::future::pending())
        .await
        .unwrap();
    let sums: Vec<u64> = memory
        .records("counts")
        .into_iter()
        .map(|(_, n)| u64::from_be_bytes(n.unwrap().try_into().unwrap()))
        .collect();
    assert_eq!(sums, [2 * 1_500_000]);
}

#[tokio::test]
async fn nothing_is_committed_again_while_nothing_is_read() {
    let (memory, truth) = filled(1);
    let mut config = config(2);
    config.until_end = false;
    let other = memory.clone();
    let some_intervals_later = async move {
        while other.committed_at("lines", 3) != Some(10) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    run_plan(&memory, wordcount, &config, some_intervals_later)
        .await
        .unwrap();
    assert_eq!(counts(&memory), truth);
    assert!(
        memory.commits() <= 8,
        "{} commits for one batch in each of 4 partitions",
        memory.commits()
    );
}

#[tokio::test]
async fn nothing_is_written_behind_the_last_commit() {
    let (memory, _) = filled(500);
    let copy = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .map(|line| ((), line))
            .sink("copies")
    };
    memory.create("copies", 1);
    let mut config = config(2);
    config.until_end = false;
    config.commit_interval = Duration::from_secs(3600);
    // The last epoch waits for its acknowledgements, long enough to read much more.
    memory.hold_acks();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let script = async {
        while memory.unacknowledged() == 0 {
            tokio::time::sleep(Duration::from_micros(20)).await;
        }
        stop.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        memory.acknowledge();
    };
    let run = run_plan(&memory, copy, &config, async { drop(stopped.await) });
    let (outcome, ()) = tokio::join!(run, script);
    outcome.unwrap();
    let committed: i64 = (0..4)
        .filter_map(|partition| memory.committed_at("lines", partition))
        .sum();
    assert_eq!(
        memory.records("copies").len() as i64,
        committed,
        "what is written and not committed is written again by the next run"
    );
}

/// Counts of numbers by their last digit in windows of 10 ms, the number being the time.
pub(super) fn windows(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .try_map(str::parse::<i64>)
        .with_timestamps(|t| *t, Duration::from_millis(5))
        .key_by(|t| (t as u64) % 3)
        .window(crate::windows::Tumbling::of(Duration::from_millis(10)))
        .count()
        .map(|(key, w, n)| (format!("{key} {}", w.start), n))
        .sink("counts");
}

pub(super) fn fill_times(memory: &Memory, from: i64, to: i64, truth: &mut BTreeMap<String, u64>) {
    let times: Vec<i64> = (from..to).collect();
    for (nth, batch) in times.chunks(7).enumerate() {
        let lines: Vec<String> = batch.iter().rev().map(ToString::to_string).collect();
        for t in batch {
            let window = format!("{} {}", t % 3, t - t % 10);
            *truth.entry(window).or_default() += 1;
        }
        let values = lines.iter().map(|line| Some(line.as_bytes()));
        memory.produce("lines", nth % 3, values);
    }
}

#[tokio::test]
async fn windows_over_threads_and_restarts_are_those_of_a_batch_computation() {
    for threads in [1, 2, 4] {
        let memory = Memory::new("app");
        // The fourth partition is empty: it is at its end at once.
        memory.create("lines", 4);
        let mut truth = BTreeMap::new();
        fill_times(&memory, 0, 3000, &mut truth);
        let mut config = config(threads);
        config.commit_interval = Duration::from_millis(1);
        let inspector = run_plan(&memory, windows, &config, std::future::pending())
            .await
            .unwrap();
        assert_eq!(counts(&memory), truth, "{threads} threads");
        // A window is given out once; 100 rows of 7 ms in turn over three partitions stay within the bound of each.
        assert_eq!(memory.records("counts").len(), truth.len());
        assert!(inspector.snapshot().records_out >= truth.len() as u64);
    }
}

/// Sums of the counts of [`windows`] in windows of 100 ms.
fn windows_of_windows(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .try_map(str::parse::<i64>)
        .with_timestamps(|t| *t, Duration::from_millis(5))
        .key_by(|t| (t as u64) % 3)
        .window(crate::windows::Tumbling::of(Duration::from_millis(10)))
        .count()
        .named("short")
        .key_by(|(key, _, _)| key)
        .window(crate::windows::Tumbling::of(Duration::from_millis(100)))
        .sum(|(_, _, n)| *n)
        .named("long")
        .map(|(key, w, n)| (format!("{key} {}", w.start), n))
        .sink("counts");
}

#[tokio::test]
async fn a_changelog_forgets_a_result_only_when_what_became_of_it_is_written() {
    let memory = Memory::new("app");
    memory.create("lines", 3);
    fill_times(&memory, 0, 1500, &mut BTreeMap::new());
    let mut config = config(2);
    // Windows are open when it stops, and their changelogs know them.
    config.until_end = false;
    let committed = |partition| memory.committed_at("lines", partition).unwrap_or(0);
    let all_committed = async {
        while (0..3).map(committed).sum::<i64>() < 1500 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    };
    run_plan(&memory, windows_of_windows, &config, all_committed)
        .await
        .unwrap();
    let entries = |name: &str| memory.records(&format!("app-{name}-changelog")).len();
    let (short, long) = (entries("short"), entries("long"));
    assert!(short > 16 && long > 16, "more than identities");
    // The rest in one epoch, the last, at whose end all windows close and are forgotten.
    config.until_end = true;
    config.commit_interval = Duration::from_secs(3600);
    memory.hold_acks();
    let script = async {
        while entries("long") == long {
            assert_eq!(entries("short"), short, "before what follows it");
            memory.acknowledge_one();
            tokio::time::sleep(Duration::from_micros(20)).await;
        }
        assert_eq!(memory.records("counts").len(), 45, "before all results");
        assert_eq!(
            entries("short"),
            short,
            "before what follows it is acknowledged"
        );
        memory.acknowledge();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = run_plan(&memory, windows_of_windows, &config, std::future::pending()) => drop(outcome.unwrap()),
        () = script => {}
    }
    assert!(entries("long") > long && entries("short") > short);
}

#[tokio::test]
async fn an_empty_partition_does_not_hold_windows_open_once_kafka_says_that_it_has_nothing() {
    let memory = Memory::new("app");
    memory.create("lines", 4);
    let mut truth = BTreeMap::new();
    fill_times(&memory, 0, 300, &mut truth);
    let mut config = config(2);
    config.until_end = false;
    config
        .client
        .insert("fetch.max.wait.ms".to_owned(), "5".to_owned());
    let other = memory.clone();
    let some_windows = async move {
        while other.records("counts").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    run_plan(&memory, windows, &config, some_windows)
        .await
        .unwrap();
    // A stop is no end of time: what is open stays open, and the next run closes it.
    assert!(counts(&memory).len() < truth.len());
    config.until_end = true;
    run_plan(&memory, windows, &config, std::future::pending())
        .await
        .unwrap();
    assert_eq!(counts(&memory), truth);
    assert_eq!(
        memory.records("counts").len(),
        truth.len(),
        "none is given out twice"
    );
}

/// Two partitions of hours, one of which has all of its rows at once; what is read of them, in its order.
#[tokio::test]
async fn fast_partitions_wait_for_slow_ones_and_everything_is_read() {
    for (threads, topics) in [
        (1, ["clicks", "clicks"]),
        (2, ["clicks", "clicks"]),
        (2, ["clicks", "views"]),
    ] {
        let memory = Memory::new("app");
        let partitions = if topics[0] == topics[1] { 3 } else { 2 };
        for topic in topics {
            memory.create(topic, partitions);
        }
        memory.create("counts", 1);
        // One partition walks in steps of 100 ms, the other in steps of 1 ms: read in turn, they would be hours apart. The last is empty.
        for n in 0..60 {
            let fast = (n * 100).to_string();
            let slow = n.to_string();
            memory.produce(topics[0], 0, [Some(fast.as_bytes())]);
            memory.produce(topics[1], 1, [Some(slow.as_bytes())]);
        }
        let seen = Arc::new(std::sync::Mutex::new(Vec::<i64>::new()));
        let log = Arc::clone(&seen);
        let plan = move |s: Scope<'_>| {
            let watermarks = || {
                crate::time::Watermarks::monotonous().aligned("all", Duration::from_millis(1000))
            };
            let log = Arc::clone(&log);
            let rows = |topic: &str| {
                let times = s.source(topic).utf8().try_map(str::parse::<i64>);
                times.with_timestamps(|ts| *ts, watermarks())
            };
            let other = if topics[0] == topics[1] {
                None
            } else {
                Some(rows(topics[1]))
            };
            let first = rows(topics[0]).inspect(|ts| log.lock().unwrap().push(*ts));
            match other {
                None => first
                    .key_by(|_| ())
                    .count()
                    .map(|((), n)| ((), n))
                    .sink("counts"),
                Some(other) => {
                    let log = Arc::clone(&log);
                    let other = other.inspect(move |ts| log.lock().unwrap().push(*ts));
                    first
                        .union(other)
                        .key_by(|_| ())
                        .count()
                        .map(|((), n)| ((), n))
                        .sink("counts");
                }
            }
        };
        run_plan(&memory, plan, &config(threads), std::future::pending())
            .await
            .unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(
            seen.len(),
            120,
            "{threads} threads: all of it is read, also what had to wait"
        );
        // While the slow one (below 60) goes on, the fast one is no more than the drift and a batch ahead of it.
        let last_slow = seen.iter().rposition(|ts| *ts < 60 && *ts > 0).unwrap();
        let ahead = seen[..last_slow].iter().max().unwrap();
        assert!(*ahead <= 60 + 1000 + 100, "{threads} threads: {ahead}");
    }
}
