//! The ways to read: records in portions, one by one, as a stream, batches; mixed, paused, sought.
use std::{future::poll_fn, pin::Pin, sync::Arc};

use futures_core::Stream;
use kafka_proto::{
    client::{Consumer, ConsumerRecord, Error, Result, Start, TopicPartition},
    messages::{ApiKey, ErrorCode},
    records::{BatchBuilder, Codec, Compression, Stamp},
};

use super::rig::{LIMIT, Rig, SHORT, append, read_to, rig};

async fn next(consumer: &mut Consumer) -> Option<Result<ConsumerRecord>> {
    let item = poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx));
    tokio::time::timeout(LIMIT, item)
        .await
        .expect("a stream does not stop silently")
}

/// One batch of so many records, whose values are their offsets.
fn append_batch(rig: &Rig, partition: i32, count: i64, compression: Compression) {
    let from = rig.mock.end_offset("t", partition).unwrap();
    let mut builder = BatchBuilder::new(compression, 1 << 16);
    for n in from..from + count {
        let value = n.to_string();
        builder
            .append(0, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    let batch = builder.finish(Stamp::NONE).unwrap();
    rig.mock.append_raw("t", partition, &batch).unwrap();
}

fn checked(records: &[ConsumerRecord]) -> Vec<i64> {
    let check = |record: &ConsumerRecord| {
        let offset = record.offset();
        assert_eq!(record.value().unwrap(), offset.to_string().as_bytes());
        offset
    };
    records.iter().map(check).collect()
}

#[tokio::test]
async fn records_come_as_values_in_portions_of_max_poll_records() {
    let rig = rig(1, &[("max.poll.records", "30")]).await;
    append_batch(&rig, 0, 100, Compression::NONE);
    let mut consumer = rig.consumer(0..1);
    let mut portions = Vec::new();
    while portions.iter().sum::<usize>() < 100 {
        let records = consumer.poll(LIMIT).await.unwrap();
        checked(&records);
        assert!(
            records
                .iter()
                .all(|r| r.key().is_none() && r.headers().count() == 0)
        );
        portions.push(records.len());
        assert_eq!(
            consumer.position("t", 0),
            Some(portions.iter().sum::<usize>() as i64)
        );
    }
    assert_eq!(portions, [30, 30, 30, 10]);
    consumer.seek("t", 0, Start::Offset(98)).unwrap();
    assert_eq!(consumer.recv().await.unwrap().offset(), 98);
    assert_eq!(consumer.recv().await.unwrap().offset(), 99);
}

#[tokio::test]
async fn a_stream_gives_every_record_and_goes_on_when_more_are_written() {
    let rig = rig(2, &[]).await;
    let mut consumer = rig.consumer(0..2);
    let mut read = [Vec::new(), Vec::new()];
    for round in 0..3 {
        append(&rig.mock, 0, round * 20..round * 20 + 20);
        append(&rig.mock, 1, round * 20..round * 20 + 20);
        for _ in 0..40 {
            let record = next(&mut consumer).await.unwrap().unwrap();
            read[record.partition() as usize].push(record.offset());
        }
    }
    assert!(read.iter().all(|of| *of == (0..60).collect::<Vec<_>>()));
}

#[tokio::test]
async fn a_stream_says_what_keeps_records_from_coming_and_goes_on_behind_it() {
    let rig = rig(1, &[]).await;
    append(&rig.mock, 0, 0..3);
    let mut consumer = rig.consumer(0..1);
    let fault = rig
        .mock
        .faults()
        .on(ApiKey::FETCH)
        .partition("t", 0)
        .always()
        .corrupt_records();
    for _ in 0..2 {
        let error = next(&mut consumer).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::CorruptRecords { offset: 0, .. }));
    }
    fault.remove();
    consumer.seek("t", 0, Start::Offset(1)).unwrap();
    assert_eq!(next(&mut consumer).await.unwrap().unwrap().offset(), 1);
}

#[tokio::test]
async fn what_was_read_before_a_bad_record_of_a_batch_comes_once() {
    let rig = rig(1, &[]).await;
    let mut builder = BatchBuilder::new(Compression::NONE, 1 << 16);
    for n in 0..5 {
        builder
            .append(0, None, Some(n.to_string().as_bytes()), &[])
            .unwrap();
    }
    let batch = builder.finish(Stamp::NONE).unwrap();
    // The header promises a record more than there is, under a checksum that says it is right.
    let mut batch = batch.to_vec();
    batch[57..61].copy_from_slice(&6_i32.to_be_bytes());
    batch[23..27].copy_from_slice(&5_i32.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    rig.mock.append_raw("t", 0, &batch).unwrap();
    let mut consumer = rig.consumer(0..1);
    assert_eq!(
        checked(&consumer.poll(LIMIT).await.unwrap()),
        [0, 1, 2, 3, 4]
    );
    for _ in 0..3 {
        let error = consumer.poll(LIMIT).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::CorruptRecords {
                    offset: 5,
                    next_offset: 6,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(consumer.position("t", 0), Some(5));
}

#[tokio::test]
async fn the_ways_to_read_can_be_mixed_and_nothing_is_fetched_twice() {
    let rig = rig(1, &[("max.poll.records", "7")]).await;
    for compression in [Compression::NONE, Compression::from(Codec::Lz4)] {
        for _ in 0..20 {
            append_batch(&rig, 0, 50, compression);
        }
    }
    let mut consumer = rig.consumer(0..1);
    let mut decompressor = consumer.decompressor();
    let (mut read, mut turn) = (Vec::new(), 0);
    while read.len() < 2000 {
        turn += 1;
        match turn % 4 {
            0 => {
                for mut of in consumer.poll_batches(LIMIT).await.unwrap() {
                    assert_eq!(of.start(), read.len() as i64);
                    // Of the first batch a part may be taken already.
                    while let Some(batch) = of.next_batch().unwrap() {
                        let records = batch.records(&mut decompressor).unwrap();
                        read.extend(records.map(|record| record.unwrap().offset));
                    }
                }
            }
            1 => read.push(consumer.recv().await.unwrap().offset()),
            2 => read.push(next(&mut consumer).await.unwrap().unwrap().offset()),
            _ => read.extend(checked(&consumer.poll(LIMIT).await.unwrap())),
        }
        assert_eq!(consumer.position("t", 0), Some(read.len() as i64));
    }
    assert_eq!(read, (0..2000).collect::<Vec<_>>());
    assert_eq!(rig.cluster.metrics().records_fetched, 2000);
}

#[tokio::test]
async fn what_was_fetched_of_a_paused_partition_is_neither_lost_nor_fetched_again() {
    let rig = rig(2, &[("max.poll.records", "7")]).await;
    append_batch(&rig, 0, 50, Compression::NONE);
    append_batch(&rig, 0, 50, Compression::NONE);
    let mut consumer = rig.consumer(0..2);
    let mut read = checked(&consumer.poll(LIMIT).await.unwrap());
    consumer.pause("t", 0).unwrap();
    assert!(consumer.is_paused("t", 0));
    append_batch(&rig, 1, 5, Compression::NONE);
    let other = consumer.poll(LIMIT).await.unwrap();
    assert!(other.len() == 5 && other.iter().all(|record| record.partition() == 1));
    assert!(consumer.poll(SHORT).await.unwrap().is_empty());
    assert_eq!(consumer.position("t", 0), Some(7));
    consumer.resume("t", 0).unwrap();
    while read.len() < 100 {
        read.extend(checked(&consumer.poll(LIMIT).await.unwrap()));
    }
    assert_eq!(read, (0..100).collect::<Vec<_>>());
    assert_eq!(rig.cluster.metrics().records_fetched, 105);
}

#[tokio::test]
async fn a_paused_partition_gives_its_room_up_when_others_need_it() {
    let limits = [
        ("fetch.buffer.bytes", "3000"),
        ("max.partition.fetch.bytes", "1000"),
    ];
    let rig = rig(2, &limits).await;
    let value = "x".repeat(950);
    let two = [(None, Some(value.as_bytes())); 2];
    for partition in [0, 1] {
        for _ in 0..10 {
            rig.mock.append("t", partition, two).unwrap();
        }
    }
    let mut consumer = rig.consumer(0..2);
    consumer.seek("t", 1, Start::Latest).unwrap();
    // Half of a batch is taken, the next batch is on its way: together they are more than the buffer.
    assert_eq!(consumer.recv().await.unwrap().offset(), 0);
    consumer.pause("t", 0).unwrap();
    consumer.seek("t", 1, Start::Earliest).unwrap();
    let mut others = 0;
    let reading = async {
        while others < 20 {
            let records = consumer.poll(LIMIT).await.unwrap();
            assert!(records.iter().all(|record| record.partition() == 1));
            others += records.len();
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap();
    assert_eq!(consumer.position("t", 0), Some(1));
    consumer.resume("t", 0).unwrap();
    for offset in 1..20 {
        assert_eq!(consumer.recv().await.unwrap().offset(), offset);
    }
}

#[tokio::test]
async fn a_seek_drops_what_was_fetched_for_the_old_position() {
    let rig = rig(1, &[("max.poll.records", "3")]).await;
    append(&rig.mock, 0, 0..50);
    let mut consumer = rig.consumer(0..1);
    assert_eq!(checked(&consumer.poll(LIMIT).await.unwrap()), [0, 1, 2]);
    for to in [40, 1, 10] {
        consumer.seek("t", 0, Start::Offset(to)).unwrap();
        assert_eq!(consumer.position("t", 0), Some(to));
        let read = checked(&consumer.poll(LIMIT).await.unwrap());
        assert_eq!(read[0], to, "nothing of what was fetched before");
    }
    // Also while the old fetch is under way.
    let mut fetcher = rig.fetcher();
    read_to(&mut fetcher, 0, 50).await;
    for to in [45, 0, 20] {
        fetcher.seek("t", 0, Start::Offset(to)).unwrap();
        assert_eq!(
            read_to(&mut fetcher, 0, 50).await,
            (to..50).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn offsets_are_listed_by_place_and_by_time_and_lag_is_known() {
    let rig = rig(2, &[]).await;
    for n in 0..10 {
        let mut builder = BatchBuilder::new(Compression::NONE, 1024);
        let value = n.to_string();
        builder
            .append(1000 + n * 10, None, Some(value.as_bytes()), &[])
            .unwrap();
        let batch = builder.finish(Stamp::NONE).unwrap();
        rig.mock.append_raw("t", 0, &batch).unwrap();
    }
    rig.mock.delete_records("t", 0, 2).unwrap();
    let mut consumer = rig.consumer(0..1);
    let both = [TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
    assert_eq!(consumer.beginning_offsets(&both).await.unwrap(), [2, 0]);
    assert_eq!(consumer.end_offsets(&both).await.unwrap(), [10, 0]);
    let times = [(both[0].clone(), 1045), (both[1].clone(), 0)];
    let listed = consumer.offsets_for_times(&times).await.unwrap();
    let found = listed[0].unwrap();
    assert_eq!((found.offset, found.timestamp), (Some(5), 1050));
    assert_eq!(listed[1], None);
    let late = consumer.offsets_for_times(&[(both[0].clone(), 5000)]).await;
    assert_eq!(late.unwrap(), [None]);
    let twice = [times[0].clone(), (both[0].clone(), 5000)];
    let error = consumer.offsets_for_times(&twice).await.unwrap_err();
    assert!(
        error.to_string().contains("t-0 is asked for twice"),
        "{error}"
    );
    let missing = [TopicPartition::new("t", 7)];
    let error = consumer.end_offsets(&missing).await.unwrap_err();
    assert!(
        matches!(error, Error::NoSuchPartition { count: 2, .. }),
        "{error}"
    );
    assert_eq!(consumer.lag("t", 0), None, "nothing is known before a poll");
    assert_eq!(consumer.recv().await.unwrap().offset(), 2);
    assert_eq!(consumer.lag("t", 0), Some(7));
}

#[tokio::test]
async fn metrics_tell_records_lag_budget_errors_and_the_time_of_fetches() {
    let rig = rig(2, &[("max.poll.records", "10")]).await;
    append_batch(&rig, 0, 30, Compression::NONE);
    let fault = rig.mock.faults().on(ApiKey::FETCH).partition("t", 1);
    let fault = fault.times(2).error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let mut consumer = rig.consumer(0..2);
    consumer.poll(LIMIT).await.unwrap();
    append_batch(&rig, 1, 5, Compression::NONE);
    let mut left = 25;
    while left > 0 {
        left -= consumer.poll(LIMIT).await.unwrap().len();
    }
    let seen = rig.cluster.metrics();
    assert_eq!((seen.records_fetched, seen.batches_fetched), (35, 2));
    let of = |partition| &seen.partitions[&(Arc::from("t"), partition)];
    assert_eq!((of(0).records_fetched, of(0).lag()), (30, Some(0)));
    assert_eq!((of(1).records_fetched, of(1).lag()), (5, Some(0)));
    assert_eq!(
        seen.errors[&ErrorCode::NOT_LEADER_OR_FOLLOWER],
        fault.hits()
    );
    let budget = &seen.budgets[0];
    assert_eq!(
        (budget.property, budget.limit),
        ("fetch.buffer.bytes", 64 << 20)
    );
    assert!(
        seen.brokers
            .values()
            .any(|broker| broker.fetch_us.count() >= 2)
    );
    drop(consumer);
    let seen = rig.cluster.metrics();
    assert!(seen.partitions.is_empty() && seen.budgets.is_empty());
}
