//! What may stand in a log: holes, markers, aborted records, damage, an end that was cut off.
use kafka_proto::{
    client::{Error, Fetcher, Start},
    messages::{ApiKey, ErrorCode, Versions},
    mock,
    records::{BatchBuilder, Codec, Compression, ControlType, Placement, RecordError, Stamp},
};

use super::rig::{LIMIT, Rig, SHORT, append, marker, offsets, read_to, rig, transactional};

#[tokio::test]
async fn a_corrupt_batch_is_an_error_with_its_place_until_somebody_seeks() {
    let Rig { mock, cluster } = rig(2, &[]).await;
    append(&mock, 0, 0..3);
    append(&mock, 1, 0..3);
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
    assert_eq!(read_to(&mut fetcher, 0, 3).await, [1, 2]);
}

#[tokio::test]
async fn with_check_crcs_off_a_wrong_checksum_is_not_looked_at() {
    let Rig { mock, cluster } = rig(1, &[("check.crcs", "false")]).await;
    append(&mock, 0, 0..1);
    let mut batch = mock.raw("t", 0).unwrap()[0].to_vec();
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
    let Rig { mock, cluster } = rig(1, &[("fetch.buffer.bytes", "1000000")]).await;
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
async fn a_log_that_lost_its_end_is_read_on_from_where_the_logs_part() {
    // Below version 12 a fetch does not say it (brokers before 2.7), and OffsetForLeaderEpoch does.
    for last in [18, 11] {
        let Rig { mock, cluster } = Rig::of(
            mock::Cluster::builder()
                .topic("t", 1)
                .versions(ApiKey::FETCH, Versions::new(4, last)),
            &[],
        )
        .await;
        append(&mock, 0, 0..20);
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Earliest);
        read_to(&mut fetcher, 0, 20).await;
        // An unclean election: the new leader has less, and writes other records at the same offsets.
        mock.truncate("t", 0, 12).unwrap();
        append(&mock, 0, 12..30);
        let mut again = Vec::new();
        let reading = async {
            while again.last() != Some(&29) {
                let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
                again.extend(offsets(&fetcher, fetched, 0));
            }
        };
        tokio::time::timeout(LIMIT, reading).await.unwrap();
        assert_eq!(again, (12..30).collect::<Vec<_>>(), "version {last}");
        let asked = mock.received_count(ApiKey::OFFSET_FOR_LEADER_EPOCH);
        assert_eq!(asked > 0, last < 12, "version {last}");
    }
}

#[tokio::test]
async fn a_leader_that_cannot_say_whether_a_position_is_in_its_log_is_asked_again() {
    let Rig { mock, cluster } = Rig::of(
        mock::Cluster::builder()
            .topic("t", 1)
            .versions(ApiKey::FETCH, Versions::new(4, 11)),
        &[],
    )
    .await;
    append(&mock, 0, 0..20);
    let fault = mock
        .faults()
        .on(ApiKey::OFFSET_FOR_LEADER_EPOCH)
        .times(2)
        .error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::OffsetInEpoch(5, 0));
    assert_eq!(
        read_to(&mut fetcher, 0, 20).await,
        (5..20).collect::<Vec<_>>()
    );
    assert_eq!(fault.hits(), 2);
    // Once is enough, as long as the leader is the same.
    append(&mock, 0, 20..30);
    read_to(&mut fetcher, 0, 30).await;
    assert_eq!(mock.received_count(ApiKey::OFFSET_FOR_LEADER_EPOCH), 3);
    // An epoch that it does not know proves nothing.
    fetcher.seek("t", 0, Start::OffsetInEpoch(7, 9)).unwrap();
    assert_eq!(
        read_to(&mut fetcher, 0, 30).await,
        (7..30).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn gaps_that_compaction_left_do_not_stall_reading() {
    let Rig { mock, cluster } = rig(1, &[]).await;
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
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(5));
    assert_eq!(read_to(&mut fetcher, 0, end).await, [20]);
}

#[tokio::test]
async fn a_partition_of_aborted_records_alone_neither_hangs_nor_spins() {
    let Rig { mock, cluster } = rig(
        1,
        &[
            ("isolation.level", "read_committed"),
            ("fetch.max.wait.ms", "400"),
        ],
    )
    .await;
    mock.append_raw("t", 0, &transactional(7, b"aborted"))
        .unwrap();
    mock.append_raw("t", 0, &marker(ControlType::Abort, 7))
        .unwrap();
    let end = mock.end_offset("t", 0).unwrap();
    assert_eq!((end, mock.last_stable_offset("t", 0).unwrap()), (2, 2));
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
    let Rig { mock, cluster } = rig(1, &[("isolation.level", "read_committed")]).await;
    append(&mock, 0, 0..2);
    mock.append_raw("t", 0, &transactional(7, b"2")).unwrap();
    append(&mock, 0, 3..4);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    assert_eq!(read_to(&mut fetcher, 0, 2).await, [0, 1]);
    let progress = fetcher.progress("t", 0).unwrap();
    assert_eq!(
        (
            progress.end,
            progress.high_watermark,
            progress.last_stable_offset
        ),
        (2, 4, 2)
    );
    mock.append_raw("t", 0, &marker(ControlType::Commit, 7))
        .unwrap();
    assert_eq!(read_to(&mut fetcher, 0, 5).await, [2, 3]);
}

#[tokio::test]
async fn tombstones_null_keys_empty_values_and_repeated_headers_come_as_they_were_written() {
    let rig = rig(1, &[]).await;
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        type Field<'a> = Option<&'a [u8]>;
        let headers: [(&str, Field<'_>); 4] = [
            ("b", Some(b"1")),
            ("a", None),
            ("b", Some(b"")),
            ("b", Some(b"1")),
        ];
        let written: [(Field<'_>, Field<'_>); 4] = [
            (None, Some(b"value")),
            (Some(b""), Some(b"")),
            (Some(b"deleted"), None),
            (None, None),
        ];
        let mut builder = BatchBuilder::new(Compression::from(codec), 1024);
        for (key, value) in written {
            builder.append(-1, key, value, &headers).unwrap();
        }
        let batch = builder.finish(Stamp::NONE).unwrap();
        let first = rig.mock.append_raw("t", 0, &batch).unwrap();
        let mut consumer = rig.consumer(0..1);
        consumer.seek("t", 0, Start::Offset(first)).unwrap();
        for (key, value) in written {
            let record = consumer.recv().await.unwrap();
            assert_eq!((record.key(), record.value()), (key, value), "{codec:?}");
            assert_eq!(record.timestamp(), -1);
            let read: Vec<_> = record
                .headers()
                .map(|h| (h.name_bytes(), h.value()))
                .collect();
            let names = headers.map(|(name, value)| (name.as_bytes(), value));
            assert_eq!(read, names, "{codec:?}");
        }
    }
}
