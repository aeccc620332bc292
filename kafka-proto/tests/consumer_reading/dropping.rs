//! Futures that are dropped at each of their awaits: nothing is lost, nothing comes twice.
use std::{future::poll_fn, pin::Pin, time::Duration};

use futures_core::Stream;
use kafka_proto::{
    client::{Consumer, FetchedBatches, Fetcher, Start, TopicPartition},
    mock,
};

use super::rig::{LIMIT, Rig, append, polled, rig};

/// Every future is polled up to so many times before it is dropped; few are polled more often before they are done.
const POLLS: std::ops::RangeInclusive<usize> = 1..=8;
const RECORDS: i64 = 60;

/// Fetches are small, so that a reading takes many of them.
const SMALL: (&str, &str) = ("max.partition.fetch.bytes", "700");

/// What was read of two partitions, in order.
#[derive(Default)]
struct Seen([Vec<i64>; 2]);

impl Seen {
    fn add(&mut self, partition: i32, offset: i64) {
        let of = &mut self.0[partition as usize];
        assert_eq!(offset, of.len() as i64, "{partition}: lost or repeated");
        of.push(offset);
    }

    fn add_batches(&mut self, fetched: FetchedBatches) {
        for mut of in fetched {
            let partition = of.partition();
            while let Some(batch) = of.next_batch().unwrap() {
                let batch = batch.batch();
                (batch.base_offset()..batch.next_offset())
                    .for_each(|offset| self.add(partition, offset));
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.0.iter().all(|of| of.len() as i64 == RECORDS)
    }
}

async fn two_partitions(properties: &[(&str, &str)]) -> Rig {
    let builder = mock::Cluster::builder().brokers(2).topic("t", 2);
    let rig = Rig::of(builder, properties).await;
    append(&rig.mock, 0, 0..RECORDS);
    append(&rig.mock, 1, 0..RECORDS);
    rig
}

/// One try at reading something, dropped after so many polls.
async fn try_read(consumer: &mut Consumer, way: usize, polls: usize, seen: &mut Seen) {
    match way {
        0 => {
            let records = polled(polls, consumer.poll(LIMIT)).await;
            for record in records.into_iter().flat_map(Result::unwrap) {
                seen.add(record.partition(), record.offset());
            }
        }
        1 => {
            if let Some(fetched) = polled(polls, consumer.poll_batches(LIMIT)).await {
                seen.add_batches(fetched.unwrap());
            }
        }
        2 => {
            if let Some(record) = polled(polls, consumer.recv()).await {
                let record = record.unwrap();
                seen.add(record.partition(), record.offset());
            }
        }
        _ => {
            let item = poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx));
            if let Some(record) = polled(polls, item).await {
                let record = record.unwrap().unwrap();
                seen.add(record.partition(), record.offset());
            }
        }
    }
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn dropping_a_poll_anywhere_neither_loses_nor_repeats() {
    let rig = two_partitions(&[SMALL]).await;
    for polls in POLLS {
        let mut fetcher = Fetcher::new(&rig.cluster);
        fetcher.assign("t", 0, Start::Earliest);
        fetcher.assign("t", 1, Start::Earliest);
        let mut seen = Seen::default();
        let reading = async {
            while !seen.is_whole() {
                if let Some(fetched) = polled(polls, fetcher.poll_batches(LIMIT)).await {
                    seen.add_batches(fetched.unwrap());
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, reading).await.unwrap();
    }
}

#[tokio::test]
async fn dropping_any_way_to_read_anywhere_neither_loses_nor_repeats() {
    let rig = two_partitions(&[SMALL, ("max.poll.records", "7")]).await;
    for way in 0..5 {
        for polls in POLLS {
            let mut consumer = rig.consumer(0..2);
            let (mut seen, mut turn) = (Seen::default(), 0);
            let reading = async {
                while !seen.is_whole() {
                    turn += 1;
                    // The fifth way is all of them by turns.
                    let way = if way == 4 { turn % 4 } else { way };
                    try_read(&mut consumer, way, polls, &mut seen).await;
                }
            };
            tokio::time::timeout(LIMIT, reading).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_member_whose_polls_are_dropped_joins_reads_everything_and_commits_it() {
    for polls in POLLS {
        let properties = [SMALL, ("group.id", "g"), ("auto.commit.interval.ms", "1")];
        let rig = two_partitions(&properties).await;
        let mut consumer = Consumer::new(&rig.cluster);
        consumer.subscribe(&["t"]).unwrap();
        let mut seen = Seen::default();
        let committed = |partition| rig.mock.committed_offset("g", "t", partition);
        let reading = async {
            while !seen.is_whole() || [0, 1].map(committed) != [Some(RECORDS); 2] {
                try_read(&mut consumer, polls % 4, polls, &mut seen).await;
            }
        };
        tokio::time::timeout(LIMIT, reading).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_lands_and_never_behind_a_newer_one() {
    let rig = rig(1, &[("group.id", "g"), ("enable.auto.commit", "false")]).await;
    append(&rig.mock, 0, 0..RECORDS);
    let mut consumer = rig.consumer(0..1);
    let mut last = 0;
    for polls in 0..=8 {
        let offset = consumer.recv().await.unwrap().offset() + 1;
        drop(polled(polls, consumer.commit()).await);
        let landing = async {
            loop {
                let committed = rig.mock.committed_offset("g", "t", 0).unwrap_or(0);
                assert!(committed >= last, "an older commit came later");
                last = committed;
                if committed == offset {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, landing).await.unwrap();
    }
}

#[tokio::test]
async fn questions_that_are_dropped_can_be_asked_again_and_move_nothing() {
    let rig = rig(1, &[("group.id", "g")]).await;
    append(&rig.mock, 0, 0..RECORDS);
    let mut consumer = rig.consumer(0..1);
    consumer.recv().await.unwrap();
    consumer.commit().await.unwrap();
    let of = [TopicPartition::new("t", 0)];
    let time = [(of[0].clone(), 0)];
    for polls in POLLS {
        drop(polled(polls, consumer.committed(&of)).await);
        drop(polled(polls, consumer.end_offsets(&of)).await);
        drop(polled(polls, consumer.beginning_offsets(&of)).await);
        drop(polled(polls, consumer.offsets_for_times(&time)).await);
        let position = consumer.position("t", 0).unwrap();
        let committed = consumer.committed(&of).await.unwrap();
        assert_eq!(committed[0].as_ref().unwrap().offset, 1);
        assert_eq!(consumer.end_offsets(&of).await.unwrap(), [RECORDS]);
        assert_eq!(consumer.beginning_offsets(&of).await.unwrap(), [0]);
        assert!(consumer.offsets_for_times(&time).await.unwrap()[0].is_some());
        assert_eq!(consumer.recv().await.unwrap().offset(), position);
    }
}

#[tokio::test]
async fn a_close_that_is_dropped_leaves_the_group_and_commits_no_more_than_was_delivered() {
    for polls in POLLS {
        let properties = [("group.id", "g"), ("max.poll.records", "5")];
        let rig = two_partitions(&properties).await;
        let mut consumer = Consumer::new(&rig.cluster);
        consumer.subscribe(&["t"]).unwrap();
        let first = tokio::time::timeout(LIMIT, consumer.recv()).await.unwrap();
        let (partition, next) = first.map(|r| (r.partition(), r.offset() + 1)).unwrap();
        drop(polled(polls, consumer.close()).await);
        let leaving = async {
            while !rig.mock.group_members("g").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, leaving).await.unwrap();
        let committed = rig.mock.committed_offset("g", "t", partition);
        assert!(committed.is_none() || committed == Some(next));
    }
}

#[tokio::test]
async fn a_seek_between_dropped_polls_is_where_reading_goes_on() {
    let rig = rig(1, &[SMALL]).await;
    append(&rig.mock, 0, 0..RECORDS);
    for polls in POLLS {
        let mut consumer = rig.consumer(0..1);
        for to in [30, 5, 50] {
            drop(polled(polls, consumer.recv()).await);
            consumer.seek("t", 0, Start::Offset(to)).unwrap();
            let read = loop {
                if let Some(record) = polled(polls, consumer.recv()).await {
                    break record.unwrap().offset();
                }
                tokio::task::yield_now().await;
            };
            assert_eq!(read, to);
        }
    }
}
