//! What is left when a process dies: at each append, acknowledgement and commit, and what the next one makes of it. And what is refused because
//! state and positions are not of the same commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::{Config, process};
use crate::Error;
use crate::checkpoint::changelog::{IDENTITY_KEY, Identity};
use crate::checkpoint::log::{Committed, Log as _, Place};
use crate::checkpoint::offset_metadata::OffsetMetadata;
use crate::connectors::memory_cluster::Memory;
use crate::flow::Scope;
use crate::inspect::{Inspector, Snapshot};
use crate::operators::Event;
use crate::plan::App;
use crate::windows::{Session, Sliding, Tumbling};

const MS: Duration = Duration::from_millis(1);

fn config(threads: usize) -> Config {
    let mut config = Config::default().until_end(true);
    config.threads = threads;
    config.commit_interval = 3 * MS;
    config
}

/// A run of this plan; `None`: it was killed.
async fn run_or_die<P: Fn(Scope<'_>) + Send + Sync + 'static>(
    memory: &Memory,
    plan: P,
    config: &Config,
    stop: impl Future<Output = ()>,
) -> Option<Result<Snapshot, Error>> {
    let app = App::new("app", plan).unwrap();
    let job = Arc::new(Job::new("app".to_owned(), None, app).unwrap());
    let inspector = Inspector::new();
    let started = Instant::now();
    let stop = std::pin::pin!(stop);
    let stop = super::Stop::new(stop);
    let run = process::run(job, config, memory.clone(), stop, &inspector, started);
    let guard = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::select! {
            outcome = run => Some(outcome),
            () = memory.killed() => None,
        }
    });
    let outcome = guard.await.expect("the run hangs")?;
    Some(outcome.map(|()| inspector.snapshot()))
}

async fn run<P: Fn(Scope<'_>) + Send + Sync + 'static>(
    memory: &Memory,
    plan: P,
    config: &Config,
) -> Result<Snapshot, Error> {
    let whole = memory.for_steps(i64::MAX);
    let never = std::future::pending();
    run_or_die(&whole, plan, config, never).await.unwrap()
}

/// Runs until all that is there is committed, without an end of time.
async fn run_on<P: Fn(Scope<'_>) + Send + Sync + 'static>(
    memory: &Memory,
    plan: P,
    threads: usize,
    records: i64,
) {
    let mut config = config(threads);
    config.until_end = false;
    let committed = |partition| memory.committed_at("rows", partition).unwrap_or(0);
    let all = async {
        while (0..3).map(committed).sum::<i64>() < records {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    };
    let whole = memory.for_steps(i64::MAX);
    let outcome = run_or_die(&whole, plan, &config, all).await;
    outcome.unwrap().unwrap();
}

/// Rows of these times, in turn over three partitions: the text is the time.
fn produce(memory: &Memory, times: impl IntoIterator<Item = i64>) -> i64 {
    let mut count = 0;
    for (nth, time) in times.into_iter().enumerate() {
        let text = time.to_string();
        memory.produce("rows", nth % 3, [Some(text.as_bytes())]);
        count += 1;
    }
    count
}

fn results(memory: &Memory) -> Vec<(String, u64)> {
    let of = |(key, value): (Option<Vec<u8>>, Option<Vec<u8>>)| {
        let value = u64::from_be_bytes(value.unwrap().try_into().unwrap());
        (String::from_utf8(key.unwrap()).unwrap(), value)
    };
    memory.records("results").into_iter().map(of).collect()
}

fn last(memory: &Memory) -> BTreeMap<String, u64> {
    results(memory).into_iter().collect()
}

/// Times of the first run, and of the second. Eight keys, the time's remainder; silence of 100 ms between two bursts in each.
fn first_times() -> impl Iterator<Item = i64> {
    (0..120).chain(220..300)
}

fn second_times() -> impl Iterator<Item = i64> {
    (300..340).chain(440..520)
}

fn key_of(time: i64) -> u64 {
    (time % 8) as u64
}

/// By key, how many rows of both runs no commit covers.
fn uncommitted(memory: &Memory) -> BTreeMap<String, u64> {
    let mut left = BTreeMap::new();
    for partition in 0..3 {
        let of = |times: Vec<i64>| times.into_iter().skip(partition).step_by(3);
        let first = of(first_times().collect());
        let rows = first.chain(of(second_times().collect()));
        let committed = memory.committed_at("rows", partition as i32).unwrap_or(0);
        for time in rows.skip(committed as usize) {
            *left.entry(key_of(time).to_string()).or_default() += 1;
        }
    }
    left
}

/// What a plan gives for these rows in one run without a crash.
async fn truth<P: Fn(Scope<'_>) + Copy + Send + Sync + 'static>(
    plan: P,
    times: impl Iterator<Item = i64>,
) -> BTreeMap<String, u64> {
    let memory = Memory::new("app");
    memory.create("rows", 3);
    produce(&memory, times);
    run(&memory, plan, &config(1)).await.unwrap();
    last(&memory)
}

/// Runs, is killed after each number of steps in a second run, runs again; what came out must have every result, with no row missing and
/// none counted more often than it was read. The end stops time, so all comes out.
async fn no_crash_loses_a_row<P: Fn(Scope<'_>) + Copy + Send + Sync + 'static>(
    plan: P,
    threads: usize,
    holds_rows: bool,
) {
    let once = truth(plan, first_times().chain(second_times())).await;
    let mut steps = 0;
    loop {
        let memory = Memory::new("app");
        memory.create("rows", 3);
        let mut records = produce(&memory, first_times());
        run_on(&memory, plan, threads, records).await;
        records += produce(&memory, second_times());
        let killed = memory.for_steps(steps);
        let never = std::future::pending();
        let outcome = run_or_die(&killed, plan, &config(threads), never).await;
        let is_done = outcome.is_some();
        let again = uncommitted(&memory);
        if !is_done {
            run(&memory, plan, &config(threads)).await.unwrap();
        }
        let committed: i64 = (0..3).filter_map(|p| memory.committed_at("rows", p)).sum();
        assert_eq!(committed, records, "killed after {steps} steps");
        let found = last(&memory);
        let keys = |of: &BTreeMap<String, u64>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&once), "killed after {steps} steps");
        for (key, n) in &found {
            // What was not committed may be read twice; what was may not.
            let again = again.get(key.split(' ').next().unwrap()).unwrap_or(&0);
            // A row that was held has come out, and been counted, in the epoch that was not committed.
            let again = if holds_rows { once[key] } else { *again };
            let at_most = once[key] + again.min(once[key]);
            assert!(
                (once[key]..=at_most).contains(n),
                "{key} is {n}, not {} to {at_most}: {threads} workers, killed after {steps} steps; {:?}",
                once[key],
                results(&memory)
            );
        }
        if is_done {
            return;
        }
        // All of the first steps, and then some.
        steps += if steps < 40 { 1 } else { 5 };
    }
}

fn rows<'s>(s: Scope<'s>) -> crate::flow::Stream<'s, i64, impl crate::flow::Pipe<i64>> {
    s.source("rows")
        .utf8()
        .try_map(str::parse::<i64>)
        .with_timestamps(|t| *t, 2 * MS)
}

fn counts(s: Scope<'_>) {
    let keyed = rows(s).key_by(key_of);
    keyed
        .count()
        .map(|(k, n)| (k.to_string(), n))
        .sink("results");
}

fn tumbling(s: Scope<'_>) {
    let keyed = rows(s).key_by(key_of);
    let windows = keyed.window(Tumbling::of(40 * MS)).count();
    windows
        .map(|(k, w, n)| (format!("{k} {}", w.start), n))
        .sink("results");
}

fn sessions(s: Scope<'_>) {
    let keyed = rows(s).key_by(key_of);
    let windows = keyed.window(Session::gap(30 * MS)).count();
    windows
        .map(|(k, w, n)| (format!("{k} {}", w.start), n))
        .sink("results");
}

fn sliding(s: Scope<'_>) {
    let keyed = rows(s).key_by(key_of);
    let windows = keyed.window(Sliding::of(20 * MS)).count();
    windows
        .map(|(k, w, n)| (format!("{k} {}", w.start), n))
        .sink("results");
}

/// Windows over what windows have given out.
fn twice(s: Scope<'_>) {
    let keyed = rows(s).key_by(key_of);
    let short = keyed.window(Tumbling::of(10 * MS)).count();
    let long = short
        .key_by(|(k, _, _)| k)
        .window(Tumbling::of(80 * MS))
        .sum(|(_, _, n)| *n);
    long.map(|(k, w, n)| (format!("{k} {}", w.start), n))
        .sink("results");
}

#[tokio::test]
async fn counts_lose_no_row_wherever_a_process_dies() {
    for threads in [1, 2] {
        no_crash_loses_a_row(counts, threads, false).await;
    }
}

#[tokio::test]
async fn tumbling_windows_lose_no_row_wherever_a_process_dies() {
    for threads in [1, 2] {
        no_crash_loses_a_row(tumbling, threads, false).await;
    }
}

#[tokio::test]
async fn sessions_lose_no_row_wherever_a_process_dies() {
    for threads in [1, 2] {
        no_crash_loses_a_row(sessions, threads, false).await;
    }
}

#[tokio::test]
async fn sliding_windows_lose_no_row_wherever_a_process_dies() {
    no_crash_loses_a_row(sliding, 2, false).await;
}

#[tokio::test]
async fn windows_of_windows_lose_no_row_wherever_a_process_dies() {
    no_crash_loses_a_row(twice, 2, true).await;
}

/// An alarm for each key that is silent for 40 ms.
fn alarms(s: Scope<'_>) {
    let keyed = rows(s).key_by(key_of).in_order();
    let alarms = keyed.process(0i64, |cx, key, event, out| match event {
        Event::Row(t) if t + 40 > *cx.state => {
            let before = std::mem::replace(cx.state, t + 40);
            cx.delete_timer(before);
            cx.timer_at(t + 40);
        }
        Event::Timer(at) => out.push((format!("{key} {at}"), 1u64)),
        _ => {}
    });
    alarms.sink("results");
}

#[tokio::test]
async fn timers_fire_when_they_must_and_never_else_wherever_a_process_dies() {
    for threads in [1, 2] {
        no_crash_loses_a_row(alarms, threads, false).await;
    }
}

fn in_order(s: Scope<'_>) {
    let keyed = rows(s).key_by(key_of).in_order();
    keyed
        .count()
        .map(|(k, n)| (k.to_string(), n))
        .sink("results");
}

#[tokio::test]
async fn rows_in_order_are_lost_nowhere_wherever_a_process_dies() {
    no_crash_loses_a_row(in_order, 2, true).await;
}

#[tokio::test]
async fn a_process_that_dies_in_its_first_moments_is_no_dead_application() {
    let once = truth(counts, first_times()).await;
    let mut steps = 0;
    loop {
        let memory = Memory::new("app");
        memory.create("rows", 3);
        produce(&memory, first_times());
        let killed = memory.for_steps(steps);
        let outcome = run_or_die(&killed, counts, &config(2), std::future::pending()).await;
        if outcome.is_some() {
            break;
        }
        run(&memory, counts, &config(2)).await.unwrap();
        for (key, n) in last(&memory) {
            let once = once[&key];
            assert!((once..=2 * once).contains(&n), "{key} {n}: {steps} steps");
        }
        steps += 1;
    }
    assert!(steps > 32, "identities, and then state");
}

/// A cluster after an orderly run of a plan over the first times.
async fn ran<P: Fn(Scope<'_>) + Copy + Send + Sync + 'static>(plan: P) -> Memory {
    let memory = Memory::new("app");
    memory.create("rows", 3);
    let records = produce(&memory, first_times());
    run_on(&memory, plan, 2, records).await;
    memory
}

async fn refused<P: Fn(Scope<'_>) + Copy + Send + Sync + 'static>(
    memory: &Memory,
    plan: P,
    words: &[&str],
) {
    let before = results(memory).len();
    let error = run(memory, plan, &config(2)).await.unwrap_err();
    assert!(matches!(error, Error::State(_)), "{error}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    assert_eq!(results(memory).len(), before, "nothing was given out");
}

const RESET: &str = "kafka-engine reset --bootstrap-servers HOST:PORT --group-id app";

#[tokio::test]
async fn state_without_positions_is_refused_with_the_command_that_helps() {
    for plan in [counts as fn(Scope<'_>), tumbling, alarms] {
        let memory = ran(plan).await;
        for partition in 0..3 {
            memory.set_committed("rows", partition, None);
        }
        refused(&memory, plan, &["no committed positions", RESET]).await;
    }
}

#[tokio::test]
async fn state_without_the_position_of_one_partition_is_refused() {
    let memory = ran(counts).await;
    memory.set_committed("rows", 1, None);
    refused(&memory, counts, &["2 of the 3 partitions of rows", RESET]).await;
}

#[tokio::test]
async fn positions_that_a_tool_has_set_are_refused_beside_state() {
    for partitions in [0..3, 1..2] {
        let memory = ran(tumbling).await;
        for partition in partitions {
            let to = Committed {
                offset: 5,
                metadata: String::new(),
            };
            memory.set_committed("rows", partition, Some(to));
        }
        refused(&memory, tumbling, &["position 5 of rows-", "a tool", RESET]).await;
    }
}

#[tokio::test]
async fn positions_of_another_state_are_refused() {
    for (partitions, why) in [
        (0..3, "positions of another state"),
        (1..2, "positions of two different states"),
    ] {
        let memory = ran(counts).await;
        let text = memory.committed_metadata("rows", 0).unwrap();
        let mut metadata = OffsetMetadata::decode(&text).unwrap().unwrap();
        metadata.seed += 1;
        for partition in partitions {
            let to = Committed {
                offset: 5,
                metadata: metadata.encode(),
            };
            memory.set_committed("rows", partition, Some(to));
        }
        refused(&memory, counts, &[why, RESET]).await;
    }
}

#[tokio::test]
async fn positions_set_before_there_is_state_are_where_it_begins() {
    let memory = Memory::new("app");
    memory.create("rows", 3);
    produce(&memory, first_times());
    for partition in 0..3 {
        let to = Committed {
            offset: 50,
            metadata: "by hand".into(),
        };
        memory.set_committed("rows", partition, Some(to));
    }
    run(&memory, counts, &config(2)).await.unwrap();
    assert_eq!(last(&memory).values().sum::<u64>(), 200 - 150);
}

#[tokio::test]
async fn an_operator_that_was_away_is_refused_with_what_it_has_missed() {
    let memory = ran(counts).await;
    produce(&memory, second_times());
    run(&memory, tumbling, &config(2)).await.unwrap();
    refused(
        &memory,
        counts,
        &["count-1", "without it meanwhile", "app-count-1-changelog"],
    )
    .await;
}

#[tokio::test]
async fn two_processes_that_begin_an_application_at_once_have_one_seed() {
    let memory = Memory::new("app");
    memory.create("rows", 3);
    let records = produce(&memory, first_times());
    let app = App::new("app", twice).unwrap();
    let job = Job::new("app".to_owned(), None, app).unwrap();
    let mut one = memory.for_steps(i64::MAX);
    let mut other = memory.for_steps(i64::MAX);
    let partitions = one.open(&job.topics).await.unwrap();
    other.open(&job.topics).await.unwrap();
    let mine: Vec<Place> = (0..3).map(|number| Place::single(0, number)).collect();
    let (one, other) = tokio::join!(
        job.settle(&one, &partitions, &mine),
        job.settle(&other, &partitions, &mine)
    );
    let (one, other) = (one.unwrap().seed, other.unwrap().seed);
    assert_eq!(one, other);
    let mut is_twice = false;
    for changelog in &job.changelogs {
        let topic = &job.topics[changelog.topic].0;
        for partition in 0..16 {
            let identities: Vec<u64> = memory
                .records_of(topic, partition)
                .iter()
                .map(|(_, value)| Identity::decode(topic, value.as_ref().unwrap()).unwrap())
                .map(|identity| identity.hash_seed)
                .collect();
            // Compaction may leave any of them, and the last at least.
            assert_eq!(identities.first(), Some(&one), "{topic} {partition}");
            assert_eq!(identities.last(), Some(&one), "{topic} {partition}");
            is_twice |= identities.iter().any(|seed| *seed != one);
        }
    }
    assert!(is_twice, "both have drawn one");
    run_on(&memory, twice, 2, records).await;
    run(&memory, twice, &config(3)).await.unwrap();
    assert_eq!(last(&memory), truth(twice, first_times()).await);
}

#[tokio::test]
async fn an_identity_that_came_second_is_followed_by_the_first_again() {
    let memory = ran(counts).await;
    let topic = "app-count-1-changelog";
    let first = memory.records_of(topic, 3)[0].1.clone().unwrap();
    let mut late = Identity::decode(topic, &first).unwrap();
    late.hash_seed += 1;
    memory.produce_record(topic, 3, Some(IDENTITY_KEY), Some(&late.encode()));
    produce(&memory, second_times());
    run(&memory, counts, &config(2)).await.unwrap();
    let records = memory.records_of(topic, 3);
    let mut identities = records
        .iter()
        .filter(|(k, _)| k.as_deref() == Some(IDENTITY_KEY));
    assert_eq!(identities.next_back().unwrap().1, Some(first));
    let whole = truth(counts, first_times().chain(second_times())).await;
    assert_eq!(last(&memory), whole);
}

#[tokio::test]
async fn time_that_moves_while_positions_stand_still_is_committed() {
    // Two partitions go on; the third has had its rows and is idle only later, which moves time and no position.
    let memory = Memory::new("app");
    memory.create("rows", 3);
    let mut config = config(2);
    config.until_end = false;
    config.client.insert("fetch.max.wait.ms".into(), "5".into());
    produce(&memory, [10, 500, 500]);
    let watermark = || {
        let text = memory.committed_metadata("rows", 1)?;
        let metadata = OffsetMetadata::decode(&text).unwrap().unwrap();
        metadata.operators[0]
            .watermarks
            .iter()
            .copied()
            .max()
            .flatten()
    };
    let moved = async {
        while watermark().is_none_or(|at| at < 400) {
            tokio::time::sleep(MS).await;
        }
    };
    let whole = memory.for_steps(i64::MAX);
    let outcome = run_or_die(&whole, tumbling, &config, moved).await;
    outcome.unwrap().unwrap();
}

#[tokio::test]
async fn after_an_orderly_stop_nothing_is_counted_or_given_out_twice() {
    let gives_once = [tumbling as fn(Scope<'_>), sessions, alarms];
    for plan in gives_once
        .into_iter()
        .chain([counts as fn(Scope<'_>), in_order])
    {
        let memory = ran(plan).await;
        produce(&memory, second_times());
        run(&memory, plan, &config(2)).await.unwrap();
        let whole = truth(plan, first_times().chain(second_times())).await;
        assert_eq!(last(&memory), whole);
        if gives_once.iter().any(|of| std::ptr::fn_addr_eq(*of, plan)) {
            assert_eq!(results(&memory).len(), whole.len());
        }
    }
}

#[tokio::test]
async fn the_latest_commit_counts_where_one_partition_has_an_older_one() {
    let memory = ran(tumbling).await;
    for partition in [0, 2] {
        let text = memory.committed_metadata("rows", partition).unwrap();
        let mut metadata = OffsetMetadata::decode(&text).unwrap().unwrap();
        metadata.epoch -= 1;
        metadata.operators[0].watermarks = vec![None; 16];
        let to = Committed {
            offset: memory.committed_at("rows", partition).unwrap(),
            metadata: metadata.encode(),
        };
        memory.set_committed("rows", partition, Some(to));
    }
    // Late at the latest watermark, and not at none.
    memory.produce("rows", 0, [Some(&b"10"[..])]);
    produce(&memory, second_times());
    run(&memory, tumbling, &config(2)).await.unwrap();
    let whole = truth(tumbling, first_times().chain(second_times())).await;
    assert_eq!(last(&memory), whole);
    assert_eq!(
        results(&memory).len(),
        whole.len(),
        "none is given out twice"
    );
}
