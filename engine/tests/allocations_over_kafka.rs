//! From fetch to sink, over sockets: twice the records in the same number of batches cost the same number of allocations.
//!
//! Counted over the whole process, so the in-process cluster's own are in it too. It is a test program of its own with one test at a time:
//! nothing else may allocate meanwhile.

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::time::Duration;

use engine::formats::text::words;
use engine::inspect::Inspector;
use engine::plan::{App, Scope};
use engine::{Config, Error};
use kafka_proto::mock::Cluster;
use kafka_proto::records::{BatchBuilder, Compression, Stamp};
use test_support::alloc::{CountingAllocator, count_process};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PARTITIONS: i32 = 2;
const BATCHES: usize = 4;
/// Records of the smaller run. Less than one allocation for ten more records is noise: a timer, a buffer that grew once more.
const RECORDS: usize = 20_000;
const NOISE: u64 = RECORDS as u64 / 10;

/// The same number of batches, however many records.
async fn filled(records: usize) -> Cluster {
    let cluster = Cluster::builder()
        .topic("lines", PARTITIONS)
        .topic("out", PARTITIONS)
        .start()
        .await
        .unwrap();
    let words = ["the", "quick", "brown", "fox", "and_a_word_beyond_15_bytes"];
    for partition in 0..PARTITIONS {
        for _ in 0..BATCHES {
            let mut batch = BatchBuilder::new(Compression::NONE, 1 << 16);
            for n in 0..records / BATCHES / PARTITIONS as usize {
                let line = format!("{} {}", words[n % 5], words[n % 3]);
                batch.append(1, None, Some(line.as_bytes()), &[]).unwrap();
            }
            let batch = batch.finish(Stamp::NONE).unwrap();
            cluster.append_raw("lines", partition, &batch).unwrap();
        }
    }
    cluster
}

fn allocations(plan: fn(Scope<'_>), records: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cluster = runtime.block_on(filled(records));
    let servers = cluster.bootstrap_servers();
    let properties = [
        ("bootstrap.servers", servers.as_str()),
        ("application.id", "app"),
        // Only the commit at the end: how many fall into a run depends on how fast it is.
        ("commit.interval.ms", "60000"),
        ("num.stream.threads", "1"),
    ];
    let config = Config::from_properties(properties).unwrap().until_end(true);
    let inspector = Inspector::new();
    let (outcome, counted) = count_process(|| {
        runtime.block_on(async {
            let run = App::new("app", plan)?;
            let run = run.run_until(&config, std::future::pending(), &inspector);
            let guarded = tokio::time::timeout(Duration::from_secs(120), run).await;
            guarded.expect("the run hangs")?;
            Ok::<(), Error>(())
        })
    });
    outcome.unwrap();
    assert_eq!(inspector.snapshot().records_in, records as u64);
    counted.count
}

/// How many more allocations the doubled run took.
fn growth(plan: fn(Scope<'_>)) -> u64 {
    // What a process allocates once is allocated before the comparison.
    allocations(plan, RECORDS / 10);
    allocations(plan, 2 * RECORDS).saturating_sub(allocations(plan, RECORDS))
}

fn stateless(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .filter(|line| !line.is_empty())
        .map(|line| (line, line.len() as u64))
        .sink("out");
}

fn wordcount(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| words(line, s.scratch()))
        .key_by(|word| word)
        .count()
        .sink("out");
}

fn relay(s: Scope<'_>) {
    s.source("lines").record().sink("out");
}

fn wasteful(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .map(|line| (line, std::hint::black_box(line.to_owned()).len() as u64))
        .sink("out");
}

#[test]
fn allocations_do_not_grow_with_the_records_from_fetch_to_sink() {
    for (name, plan) in [
        ("a stateless pipeline", stateless as fn(Scope<'_>)),
        ("a word count over known words", wordcount),
        ("the relay of whole batches", relay),
    ] {
        let growth = growth(plan);
        assert!(
            growth < NOISE,
            "{name}: {RECORDS} more records took {growth} more allocations"
        );
    }
    // The measure itself: a plan that allocates for each record is seen.
    let seen = growth(wasteful);
    assert!(
        seen > RECORDS as u64 / 2,
        "one allocation a record was not seen: {seen}"
    );
}
