//! A fetcher against the in-process cluster with scripted faults: nothing is lost, delivered twice or skipped in silence.
#![cfg(all(feature = "client", feature = "mock", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{
    future::poll_fn,
    ops::Range,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use kafka_proto::{
    client::{
        Cluster, Config, Consumer, Error, OffsetReset, TopicPartition,
        consumer::{FetchBudget, FetchedBatches, Fetcher, Start},
    },
    messages::{ApiKey, ErrorCode, Versions},
    mock,
    records::{
        BatchBuilder, Codec, Compression, ControlType, EndTxnMarker, Placement, RecordError, Stamp,
        end_txn_batch,
    },
};

/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(30);
/// Long enough for an answer that is already on its way.
const SHORT: Duration = Duration::from_millis(50);

fn config(mock: &mock::Cluster, properties: &[(&str, &str)]) -> Config {
    let mut config = Config::new(&mock.bootstrap_servers());
    let quick = [
        ("auto.offset.reset", "earliest"),
        ("fetch.max.wait.ms", "20"),
        ("retry.backoff.ms", "2"),
        ("retry.backoff.max.ms", "20"),
        ("reconnect.backoff.ms", "2"),
        ("reconnect.backoff.max.ms", "20"),
    ];
    for (name, value) in quick.iter().chain(properties) {
        config.set(name, value).unwrap();
    }
    config
}

async fn cluster(mock: &mock::Cluster, properties: &[(&str, &str)]) -> Cluster {
    Cluster::connect(config(mock, properties)).await.unwrap()
}

/// Values that are their own offsets.
fn append(mock: &mock::Cluster, topic: &str, partition: i32, range: Range<i64>) {
    for n in range {
        let value = n.to_string();
        let offset = mock
            .append(topic, partition, [(None, Some(value.as_bytes()))])
            .unwrap();
        assert_eq!(offset, n);
    }
}

/// The offsets that were delivered, each checked against its value.
fn offsets(fetcher: &Fetcher, fetched: FetchedBatches, topic: &str, partition: i32) -> Vec<i64> {
    let mut decompressor = fetcher.decompressor();
    let mut offsets = Vec::new();
    for mut of in fetched {
        if of.topic() != topic || of.partition() != partition {
            continue;
        }
        while let Some(batch) = of.next_batch().unwrap() {
            for record in batch.records(&mut decompressor).unwrap() {
                let record = record.unwrap();
                assert_eq!(record.value.unwrap(), record.offset.to_string().as_bytes());
                offsets.push(record.offset);
            }
        }
    }
    offsets
}

/// Reads one partition until `end`.
async fn read_to(fetcher: &mut Fetcher, topic: &str, partition: i32, end: i64) -> Vec<i64> {
    let mut all = Vec::new();
    let reading = async {
        while fetcher
            .position(topic, partition)
            .is_none_or(|position| position < end)
        {
            let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
            all.extend(offsets(fetcher, fetched, topic, partition));
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("the end is reached");
    all
}

#[tokio::test]
async fn a_moved_leader_is_followed_and_nothing_is_read_twice() {
    let mock = mock::Cluster::builder()
        .brokers(3)
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..50);
    let cluster = cluster(&mock, &[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let mut read = read_to(&mut fetcher, "t", 0, 50).await;
    for broker in [2, 3, 1, 2] {
        mock.move_leader("t", 0, broker).unwrap();
        let end = mock.end_offset("t", 0).unwrap();
        append(&mock, "t", 0, end..end + 50);
        read.extend(read_to(&mut fetcher, "t", 0, end + 50).await);
    }
    assert_eq!(read, (0..250).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broker_that_goes_and_comes_back_is_read_on_from_the_position() {
    let mock = mock::Cluster::builder()
        .brokers(1)
        .topic("t", 2)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..20);
    let cluster = cluster(&mock, &[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let mut read = read_to(&mut fetcher, "t", 0, 20).await;
    mock.stop_broker(1).await.unwrap();
    assert!(
        fetcher.poll_batches(SHORT).await.unwrap().is_empty(),
        "a lost broker is no error"
    );
    assert_eq!(fetcher.position("t", 0), Some(20));
    append(&mock, "t", 0, 20..40);
    mock.start_broker(1).await.unwrap();
    read.extend(read_to(&mut fetcher, "t", 0, 40).await);
    assert_eq!(read, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_that_never_come_or_break_off_are_asked_for_again() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..300);
    let cluster = cluster(
        &mock,
        &[
            ("request.timeout.ms", "100"),
            ("max.partition.fetch.bytes", "1000"),
        ],
    )
    .await;
    let faults = mock.faults();
    let hits = [
        faults.on(ApiKey::FETCH).after(1).drop_connection(),
        faults
            .on(ApiKey::FETCH)
            .after(3)
            .applied()
            .drop_connection(),
        faults.on(ApiKey::FETCH).after(5).cut_response(30),
        faults.on(ApiKey::FETCH).after(7).never_answer(),
    ];
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    assert_eq!(
        read_to(&mut fetcher, "t", 0, 300).await,
        (0..300).collect::<Vec<_>>()
    );
    assert!(hits.iter().all(|fault| fault.hits() == 1));
}

#[tokio::test]
async fn errors_of_a_partition_that_pass_are_waited_for() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..10);
    let cluster = cluster(&mock, &[]).await;
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::OFFSET_NOT_AVAILABLE,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ] {
        let fault = mock
            .faults()
            .on(ApiKey::FETCH)
            .partition("t", 0)
            .times(2)
            .error(code);
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(0));
        assert_eq!(
            read_to(&mut fetcher, "t", 0, 10).await,
            (0..10).collect::<Vec<_>>(),
            "{code}"
        );
        assert_eq!(fault.hits(), 2, "{code}");
    }
}

#[tokio::test]
async fn a_lost_session_is_opened_again_without_losing_or_repeating() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..200);
    let cluster = cluster(&mock, &[("max.partition.fetch.bytes", "1000")]).await;
    for code in [
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode::INVALID_FETCH_SESSION_EPOCH,
        ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR,
    ] {
        let fault = mock
            .faults()
            .on(ApiKey::FETCH)
            .after(2)
            .times(3)
            .error(code);
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(0));
        assert_eq!(
            read_to(&mut fetcher, "t", 0, 200).await,
            (0..200).collect::<Vec<_>>(),
            "{code}"
        );
        assert_eq!(fault.hits(), 3, "{code}");
    }
}

#[tokio::test]
async fn every_version_of_fetch_reads_the_same() {
    for last in [4, 6, 7, 11, 12, 13, 18] {
        let mock = mock::Cluster::builder()
            .topic("t", 2)
            .versions(ApiKey::FETCH, Versions::new(4, last))
            .start()
            .await
            .unwrap();
        append(&mock, "t", 0, 0..30);
        append(&mock, "t", 1, 0..30);
        let cluster = cluster(&mock, &[("max.partition.fetch.bytes", "500")]).await;
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Earliest);
        fetcher.assign("t", 1, Start::Offset(30));
        assert_eq!(
            read_to(&mut fetcher, "t", 0, 30).await,
            (0..30).collect::<Vec<_>>(),
            "version {last}"
        );
        append(&mock, "t", 1, 30..40);
        assert_eq!(
            read_to(&mut fetcher, "t", 1, 40).await,
            (30..40).collect::<Vec<_>>(),
            "version {last}"
        );
    }
}

#[tokio::test]
async fn a_corrupt_batch_is_an_error_with_its_place_until_somebody_seeks() {
    let mock = mock::Cluster::builder()
        .topic("t", 2)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..3);
    append(&mock, "t", 1, 0..3);
    let cluster = cluster(&mock, &[]).await;
    let fault = mock
        .faults()
        .on(ApiKey::FETCH)
        .partition("t", 0)
        .always()
        .corrupt_records();
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    fetcher.assign("t", 1, Start::Earliest);
    let (mut errors, mut others) = (0, 0);
    let looking = async {
        while errors < 3 || others < 3 {
            match fetcher.poll_batches(LIMIT).await {
                Ok(fetched) => {
                    for mut of in fetched {
                        loop {
                            match of.next_batch() {
                                Ok(None) => break,
                                Ok(Some(_)) => others += of.partition(),
                                Err(error) => {
                                    errors += 1;
                                    let text = error.to_string();
                                    assert!(
                                        text.contains("t-0 at offset 0") && text.contains("seek"),
                                        "{text}"
                                    );
                                    assert!(matches!(
                                        error,
                                        Error::CorruptRecords {
                                            source: RecordError::Crc { .. },
                                            ..
                                        }
                                    ));
                                }
                            }
                        }
                    }
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(
                fetcher.position("t", 0).filter(|position| *position > 0),
                None,
                "not skipped"
            );
        }
    };
    tokio::time::timeout(LIMIT, looking)
        .await
        .expect("the error comes again and the other partition goes on");
    fault.remove();
    fetcher.seek("t", 0, Start::Offset(1)).unwrap();
    assert_eq!(read_to(&mut fetcher, "t", 0, 3).await, [1, 2]);
}

#[tokio::test]
async fn with_check_crcs_off_a_wrong_checksum_is_not_looked_at() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..1);
    let mut batch = mock.raw("t", 0).unwrap()[0].to_vec();
    let cluster = cluster(&mock, &[("check.crcs", "false")]).await;
    let fault = mock
        .faults()
        .on(ApiKey::FETCH)
        .partition("t", 0)
        .always()
        .corrupt_records();
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let mut of = fetcher
        .poll_batches(LIMIT)
        .await
        .unwrap()
        .into_iter()
        .next()
        .unwrap();
    let delivered = of.next_batch().unwrap().expect("delivered all the same");
    assert_ne!(delivered.batch().bytes(), &batch.split_off(0)[..]);
    assert!(fault.hits() >= 1);
}

#[tokio::test]
async fn a_decompression_bomb_is_an_error_that_names_the_setting() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    let cluster = cluster(&mock, &[("fetch.buffer.bytes", "1000000")]).await;
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new(Compression::from(codec), 1024).with_limit(1 << 30);
        builder
            .append(0, None, Some(&vec![0; 3_000_000]), &[])
            .unwrap();
        let offset = mock
            .append_raw("t", 0, &builder.finish(Stamp::NONE).unwrap())
            .unwrap();
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(offset));
        let mut of = fetcher
            .poll_batches(LIMIT)
            .await
            .unwrap()
            .into_iter()
            .next()
            .unwrap();
        let batch = of.next_batch().unwrap().unwrap();
        let mut decompressor = fetcher.decompressor();
        let text = batch.records(&mut decompressor).unwrap_err().to_string();
        assert!(text.contains(&format!("t-0 at offset {offset}")), "{text}");
        assert!(text.contains("fetch.buffer.bytes"), "{text}");
        assert_eq!(fetcher.position("t", 0), Some(offset), "not skipped");
    }
}

#[tokio::test]
async fn a_topic_that_is_made_anew_follows_the_reset_policy() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..10);
    let cluster = cluster(&mock, &[("metadata.max.age.ms", "20")]).await;
    let mut earliest = Fetcher::new(&cluster);
    let mut none = Fetcher::new(&cluster).with_reset(OffsetReset::None);
    earliest.assign("t", 0, Start::Earliest);
    none.assign("t", 0, Start::Offset(0));
    read_to(&mut earliest, "t", 0, 10).await;
    read_to(&mut none, "t", 0, 10).await;
    mock.delete_topic("t").unwrap();
    mock.create_topic("t", 1).unwrap();
    append(&mock, "t", 0, 0..25);
    let mut again = Vec::new();
    let reading = async {
        while again.last() != Some(&24) {
            let fetched = earliest.poll_batches(LIMIT).await.unwrap();
            again.extend(offsets(&earliest, fetched, "t", 0));
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap();
    assert_eq!(again, (0..25).collect::<Vec<_>>());
    let error = loop {
        if let Err(error) = none.poll_batches(LIMIT).await {
            break error;
        }
    };
    assert!(
        matches!(&error, Error::PositionLost { offset: 10, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("created again"), "{error}");
    // Said again until somebody seeks; the new log is not read from the old position.
    let again = none.poll_batches(LIMIT).await.unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
    none.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(read_to(&mut none, "t", 0, 25).await.len(), 25);
}

#[tokio::test]
async fn without_a_start_every_poll_says_so_until_somebody_seeks() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..3);
    let cluster = cluster(&mock, &[]).await;
    let mut fetcher = Fetcher::new(&cluster).with_reset(OffsetReset::None);
    fetcher.assign("t", 0, Start::Reset);
    for _ in 0..3 {
        let error = fetcher.poll_batches(LIMIT).await.unwrap_err();
        assert!(
            matches!(error, Error::PositionLost { offset: -1, .. }),
            "{error}"
        );
    }
    fetcher.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(read_to(&mut fetcher, "t", 0, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_deleted_topic_is_an_error_after_a_while() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .auto_create_topics(false)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..10);
    let cluster = cluster(
        &mock,
        &[
            ("metadata.max.age.ms", "20"),
            ("default.api.timeout.ms", "100"),
        ],
    )
    .await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    read_to(&mut fetcher, "t", 0, 10).await;
    mock.delete_topic("t").unwrap();
    let error = loop {
        if let Err(error) = fetcher.poll_batches(LIMIT).await {
            break error;
        }
    };
    assert_eq!(
        error.code(),
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        "{error}"
    );
    assert!(error.to_string().contains("topic t"), "{error}");
}

#[tokio::test]
async fn records_deleted_under_the_position_follow_the_reset_policy() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..100);
    let cluster = cluster(&mock, &[("max.partition.fetch.bytes", "300")]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    read_to(&mut fetcher, "t", 0, 5).await;
    mock.delete_records("t", 0, 60).unwrap();
    let rest = read_to(&mut fetcher, "t", 0, 100).await;
    assert_eq!(rest[rest.len() - 40..], (60..100).collect::<Vec<_>>());
    let error = {
        let mut none = Fetcher::new(&cluster).with_reset(OffsetReset::None);
        none.assign("t", 0, Start::Offset(7));
        none.poll_batches(LIMIT).await.unwrap_err().to_string()
    };
    assert!(
        error.contains("t-0") && error.contains("offset 7"),
        "{error}"
    );
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_read_on_from_where_the_logs_part() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..20);
    let cluster = cluster(&mock, &[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    read_to(&mut fetcher, "t", 0, 20).await;
    // An unclean election: the new leader has less, and writes other records at the same offsets.
    mock.truncate("t", 0, 12).unwrap();
    append(&mock, "t", 0, 12..30);
    let mut again = Vec::new();
    let reading = async {
        while again.last() != Some(&29) {
            let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
            again.extend(offsets(&fetcher, fetched, "t", 0));
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap();
    assert_eq!(again, (12..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn gaps_that_compaction_left_do_not_stall_reading() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    let mut end = 0;
    for count in [2, 0, 1] {
        for n in 0..count {
            builder
                .append(0, None, Some((end + n).to_string().as_bytes()), &[])
                .unwrap();
        }
        let placement = Placement {
            base_offset: end,
            last_offset_delta: Some(9),
            ..Placement::NONE
        };
        let batch = builder.finish_at(Stamp::NONE, placement).unwrap();
        mock.append_raw("t", 0, &batch).unwrap();
        end += 10;
    }
    let cluster = cluster(&mock, &[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(5));
    assert_eq!(read_to(&mut fetcher, "t", 0, end).await, [20]);
}

#[tokio::test]
async fn a_partition_of_aborted_records_alone_neither_hangs_nor_spins() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    let stamp = Stamp {
        producer_id: 7,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
    };
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    builder.append(0, None, Some(b"aborted"), &[]).unwrap();
    mock.append_raw("t", 0, &builder.finish(stamp).unwrap())
        .unwrap();
    let marker = end_txn_batch(
        ControlType::Abort,
        EndTxnMarker {
            coordinator_epoch: 0,
        },
        7,
        0,
        0,
        Placement::NONE,
    );
    mock.append_raw("t", 0, &marker).unwrap();
    let end = mock.end_offset("t", 0).unwrap();
    assert_eq!((end, mock.last_stable_offset("t", 0).unwrap()), (2, 2));
    let cluster = cluster(
        &mock,
        &[
            ("isolation.level", "read_committed"),
            ("fetch.max.wait.ms", "400"),
        ],
    )
    .await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
    let of = &fetched.partitions()[0];
    assert_eq!((of.len(), of.position(), of.reached_end()), (0, 2, true));
    let before = mock.received_count(ApiKey::FETCH);
    assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
    assert!(
        mock.received_count(ApiKey::FETCH) <= before + 1,
        "the broker is asked once and waits"
    );
}

#[tokio::test]
async fn an_open_transaction_hides_what_lies_behind_it_and_the_end_says_so() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..2);
    let stamp = Stamp {
        producer_id: 7,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
    };
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    builder.append(0, None, Some(b"2"), &[]).unwrap();
    mock.append_raw("t", 0, &builder.finish(stamp).unwrap())
        .unwrap();
    append(&mock, "t", 0, 3..4);
    let cluster = cluster(&mock, &[("isolation.level", "read_committed")]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    assert_eq!(read_to(&mut fetcher, "t", 0, 2).await, [0, 1]);
    let progress = fetcher.progress("t", 0).unwrap();
    assert_eq!(
        (
            progress.end,
            progress.high_watermark,
            progress.last_stable_offset
        ),
        (2, 4, 2)
    );
    let commit = end_txn_batch(
        ControlType::Commit,
        EndTxnMarker {
            coordinator_epoch: 0,
        },
        7,
        0,
        0,
        Placement::NONE,
    );
    mock.append_raw("t", 0, &commit).unwrap();
    assert_eq!(read_to(&mut fetcher, "t", 0, 5).await, [2, 3]);
}

#[tokio::test]
async fn dropping_a_poll_anywhere_neither_loses_nor_repeats() {
    let mock = mock::Cluster::builder()
        .brokers(2)
        .topic("t", 2)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..300);
    append(&mock, "t", 1, 0..300);
    let cluster = cluster(&mock, &[("max.partition.fetch.bytes", "700")]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    fetcher.assign("t", 1, Start::Earliest);
    let (mut read, mut polls) = ([Vec::new(), Vec::new()], 0_usize);
    let reading = async {
        while read.iter().any(|of| of.len() < 300) {
            polls += 1;
            // Polled so many times, then dropped.
            let mut left = polls % 5 + 1;
            let fetched = {
                let mut poll = pin!(fetcher.poll_batches(LIMIT));
                poll_fn(|cx| {
                    left -= 1;
                    match poll.as_mut().poll(cx) {
                        Poll::Ready(fetched) => Poll::Ready(Some(fetched.unwrap())),
                        Poll::Pending if left == 0 => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await
            };
            let Some(fetched) = fetched else {
                tokio::task::yield_now().await;
                continue;
            };
            for mut of in fetched {
                let partition = of.partition() as usize;
                assert_eq!(
                    of.start(),
                    read[partition].last().map_or(0, |last| last + 1)
                );
                while let Some(batch) = of.next_batch().unwrap() {
                    read[partition]
                        .extend(batch.batch().base_offset()..batch.batch().next_offset());
                }
            }
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("all is read");
    assert!(read.iter().all(|of| *of == (0..300).collect::<Vec<_>>()));
}

#[tokio::test]
async fn the_next_fetch_is_on_its_way_while_the_application_works() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..200);
    let cluster = cluster(&mock, &[("max.partition.fetch.bytes", "500")]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
    assert!(!fetched.is_empty());
    // The application computes: this thread does nothing else, also not the connection's task.
    let deadline = Instant::now() + LIMIT;
    while mock.received_count(ApiKey::FETCH) < 2 {
        assert!(Instant::now() < deadline, "the next fetch did not leave");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_full_buffer_stops_fetching_until_batches_are_dropped() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    for _ in 0..40 {
        let value = vec![b'x'; 1000];
        mock.append("t", 0, [(None, Some(&value[..]))]).unwrap();
    }
    let cluster = cluster(&mock, &[("max.partition.fetch.bytes", "4000")]).await;
    let budget = FetchBudget::new(10_000);
    let mut fetcher = Fetcher::with_budget(&cluster, &budget);
    fetcher.assign("t", 0, Start::Earliest);
    let mut held = Vec::new();
    let filling = async {
        loop {
            let fetched = fetcher.poll_batches(SHORT).await.unwrap();
            if fetched.is_empty() {
                break;
            }
            held.push(fetched);
            assert!(budget.used() <= 10_000, "{}", budget.used());
        }
    };
    tokio::time::timeout(LIMIT, filling)
        .await
        .expect("the buffer is full");
    let position = fetcher.position("t", 0).unwrap();
    assert!(position < 40, "more was fetched than the buffer holds");
    let asked = mock.received_count(ApiKey::FETCH);
    assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
    assert_eq!(
        mock.received_count(ApiKey::FETCH),
        asked,
        "a full buffer asks for nothing"
    );
    held.clear();
    let emptying = async {
        while fetcher.position("t", 0) != Some(40) {
            fetcher.poll_batches(LIMIT).await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, emptying)
        .await
        .expect("reading goes on");
}

#[tokio::test]
async fn a_batch_larger_than_every_limit_is_delivered() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    let value = vec![b'x'; 100_000];
    mock.append("t", 0, [(None, Some(&value[..]))]).unwrap();
    let limits = [
        ("max.partition.fetch.bytes", "100"),
        ("fetch.max.bytes", "100"),
        ("fetch.buffer.bytes", "5000"),
    ];
    let cluster = cluster(&mock, &limits).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
    assert_eq!(fetched.partitions()[0].position(), 1);
}

#[tokio::test]
async fn a_paused_partition_is_not_delivered_and_keeps_its_position() {
    let mock = mock::Cluster::builder()
        .topic("t", 2)
        .start()
        .await
        .unwrap();
    append(&mock, "t", 0, 0..10);
    append(&mock, "t", 1, 0..10);
    let cluster = cluster(&mock, &[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(0));
    fetcher.assign("t", 1, Start::Offset(0));
    fetcher.pause("t", 0).unwrap();
    assert_eq!(read_to(&mut fetcher, "t", 1, 10).await.len(), 10);
    assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
    assert_eq!(fetcher.position("t", 0), Some(0));
    fetcher.resume("t", 0).unwrap();
    assert_eq!(read_to(&mut fetcher, "t", 0, 10).await.len(), 10);
}

#[tokio::test]
async fn records_come_as_values_in_portions_of_max_poll_records() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    mock.append(
        "t",
        0,
        values.iter().map(|value| (None, Some(value.as_bytes()))),
    )
    .unwrap();
    let mut consumer = Consumer::connect(config(&mock, &[("max.poll.records", "30")]))
        .await
        .unwrap();
    consumer.assign(&[TopicPartition::new("t", 0)]).unwrap();
    let mut portions = Vec::new();
    while portions.iter().sum::<usize>() < 100 {
        let records = consumer.poll(LIMIT).await.unwrap();
        for record in &records {
            assert_eq!(record.value_bytes().unwrap(), record.offset().to_string());
            assert_eq!((record.key(), record.headers().count()), (None, 0));
        }
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
