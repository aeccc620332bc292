//! The fetch budget in bytes of the allocator: an application that stands still holds no more than `fetch.buffer.bytes`, and goes on where
//! it stopped.
#![cfg(all(feature = "client", feature = "mock", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/rig.rs"]
mod rig;

use kafka_proto::{
    client::{Consumer, Fetcher, Start},
    messages::ApiKey,
    records::{BatchBuilder, Codec, Compression, Stamp},
};
use rig::{LIMIT, Rig, SHORT};
use test_support::{CountingAllocator, alloc};
use tokio::sync::Mutex;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// The allocator counts for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const BUDGET: usize = 6 << 20;
const BATCH: usize = 256 << 10;
const BATCHES: usize = 200;
/// One batch may come on top of the budget, with the buffer it is inflated in; and the connections' own buffers.
const SLACK: usize = 2 * BATCH + (2 << 20);

async fn full(compression: Compression) -> Rig {
    let budget = BUDGET.to_string();
    let limits = [("fetch.buffer.bytes", &*budget), ("max.poll.records", "64")];
    let rig = rig::rig(2, &limits).await;
    let mut builder = BatchBuilder::new(compression, BATCH).with_limit(1 << 30);
    for _ in 0..64 {
        builder
            .append(0, None, Some(&[b'x'; BATCH / 64]), &[])
            .unwrap();
    }
    let batch = builder.finish(Stamp::NONE).unwrap();
    for number in 0..BATCHES {
        rig.mock.append_raw("t", number as i32 % 2, &batch).unwrap();
    }
    rig
}

/// Keeps all that comes until the budget is full and nothing more comes; how many bytes that took.
async fn hold_until_it_stops<T>(
    rig: &Rig,
    held: &mut Vec<T>,
    mut poll: impl AsyncFnMut() -> Option<T>,
) -> usize {
    let before = alloc::live_bytes();
    let is_full = || {
        let budget = &rig.cluster.metrics().budgets[0];
        // No room for another partition's `max.partition.fetch.bytes`.
        budget.taken + (1 << 20) > budget.limit
    };
    let holding = async {
        loop {
            match poll().await {
                Some(more) => held.push(more),
                None if is_full() => break,
                None => {}
            }
        }
    };
    tokio::time::timeout(LIMIT, holding)
        .await
        .expect("a full budget stops delivery");
    (alloc::live_bytes() as usize).saturating_sub(before as usize)
}

#[tokio::test]
async fn an_application_that_keeps_inflated_records_holds_no_more_than_the_budget() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for codec in [Codec::Lz4, Codec::Zstd, Codec::Gzip, Codec::Snappy] {
        let rig = full(Compression::from(codec)).await;
        let mut consumer = rig.consumer(0..2);
        let mut held = Vec::new();
        let taken = hold_until_it_stops(&rig, &mut held, async || {
            let records = consumer.poll(SHORT).await.unwrap();
            (!records.is_empty()).then_some(records)
        })
        .await;
        let counted = held.len() * BATCH;
        assert!(counted > BUDGET / 4, "{codec:?}: only {counted} bytes came");
        assert!(taken < BUDGET + SLACK, "{codec:?}: {taken} bytes");
        let mut count: usize = held.iter().map(Vec::len).sum();
        held.clear();
        while count < BATCHES * 64 {
            let records = consumer.poll(LIMIT).await.unwrap();
            assert!(!records.is_empty(), "{codec:?}: reading goes on");
            count += records.len();
        }
    }
}

#[tokio::test]
async fn an_application_that_keeps_batches_holds_no_more_than_the_budget() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rig = full(Compression::NONE).await;
    let mut fetcher = Fetcher::new(&rig.cluster);
    fetcher.assign("t", 0, Start::Earliest);
    fetcher.assign("t", 1, Start::Earliest);
    let mut held = Vec::new();
    let taken = hold_until_it_stops(&rig, &mut held, async || {
        let fetched = fetcher.poll_batches(SHORT).await.unwrap();
        (!fetched.is_empty()).then_some(fetched)
    })
    .await;
    assert!(taken > BUDGET / 2, "only {taken} bytes came");
    assert!(taken < BUDGET + SLACK, "{taken} bytes");
    held.clear();
    let end = (BATCHES / 2 * 64) as i64;
    while fetcher.position("t", 0) != Some(end) || fetcher.position("t", 1) != Some(end) {
        fetcher.poll_batches(LIMIT).await.unwrap();
    }
}

#[tokio::test]
async fn a_broker_that_stands_still_costs_no_memory_and_reading_goes_on_with_it() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rig = full(Compression::from(Codec::Lz4)).await;
    let mut consumer = Consumer::new(&rig.cluster);
    consumer
        .assign(&[0, 1].map(|p| kafka_proto::client::TopicPartition::new("t", p)))
        .unwrap();
    let mut count = consumer.poll(LIMIT).await.unwrap().len();
    rig.mock.pause_broker(1);
    // What is on its way already still comes.
    for _ in 0..10 {
        count += consumer.poll(SHORT).await.unwrap().len();
    }
    let (before, asked) = (alloc::live_bytes(), rig.mock.received_count(ApiKey::FETCH));
    for _ in 0..20 {
        count += consumer.poll(SHORT).await.unwrap().len();
    }
    let grown = alloc::live_bytes().saturating_sub(before);
    assert!(grown < 100_000, "{grown} bytes");
    assert!(rig.mock.received_count(ApiKey::FETCH) <= asked + 1);
    rig.mock.resume_broker(1);
    while count < BATCHES * 64 {
        count += consumer.poll(LIMIT).await.unwrap().len();
    }
}
