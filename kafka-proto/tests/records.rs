//! What readers and writers of record batches get wrong first: each test names the symptom.
#![cfg(feature = "compression")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use bytes::Bytes;
use kafka_proto::records::{
    AbortedFilter, AbortedTransaction, Batch, BatchBuilder, BuildError, Codec, Compression,
    ControlType, Decompressor, EndTxnMarker, Fault, NotRelayable, Placement, RecordError, Stamp,
    TimestampType, Verdict, batches, end_txn_batch, relay, restamp, rewrite,
};

const TIME: i64 = 1_700_000_000_000;

fn transactional(producer_id: i64) -> Stamp {
    Stamp {
        producer_id,
        producer_epoch: 3,
        base_sequence: 0,
        transactional: true,
    }
}

fn at(base_offset: i64) -> Placement {
    Placement {
        base_offset,
        ..Placement::NONE
    }
}

/// A batch of `values` that stands at `base_offset`.
fn batch(base_offset: i64, stamp: Stamp, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE, 256);
    for value in values {
        builder
            .append(TIME, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    builder.finish_at(stamp, at(base_offset)).unwrap()
}

fn marker(base_offset: i64, kind: ControlType, producer_id: i64) -> Bytes {
    end_txn_batch(
        kind,
        EndTxnMarker {
            coordinator_epoch: 1,
        },
        producer_id,
        3,
        TIME,
        at(base_offset),
    )
}

fn one(bytes: Bytes) -> Batch {
    let batch = Batch::new(bytes).unwrap();
    batch.verify_crc().unwrap();
    batch
}

type Owned = (
    i64,
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn records(batch: &Batch) -> Vec<Owned> {
    let mut decompressor = Decompressor::new(1 << 24);
    let body = batch.uncompressed_bytes(&mut decompressor).unwrap();
    let owned = |record: kafka_proto::records::Record<'_>| {
        let headers = record
            .headers
            .map(|header| {
                (
                    header.name_bytes().to_vec(),
                    header.value().map(<[u8]>::to_vec),
                )
            })
            .collect();
        (
            record.offset,
            record.timestamp,
            record.key.map(<[u8]>::to_vec),
            record.value.map(<[u8]>::to_vec),
            headers,
        )
    };
    batch
        .records(&body)
        .map(|record| owned(record.unwrap()))
        .collect()
}

/// What an application sees of a field under read_committed, and where its position ends.
fn deliver(field: &[Bytes], aborted: &[(i64, i64)]) -> (Vec<String>, i64) {
    let aborted = aborted
        .iter()
        .map(|&(producer_id, first_offset)| AbortedTransaction {
            producer_id,
            first_offset,
        });
    let mut filter = AbortedFilter::new(aborted);
    let (mut seen, mut position) = (Vec::new(), 0);
    for batch in batches(field.concat().into()) {
        let batch = batch.unwrap();
        if filter.judge(&batch).unwrap() == Verdict::Deliver {
            seen.extend(
                records(&batch)
                    .into_iter()
                    .map(|record| String::from_utf8(record.3.unwrap()).unwrap()),
            );
        }
        position = batch.next_offset();
    }
    (seen, position)
}

#[test]
fn the_position_moves_past_a_compacted_batch_whose_last_records_are_gone() {
    let mut builder = BatchBuilder::new(Compression::NONE, 256);
    builder.append(TIME, Some(b"k"), Some(b"v"), &[]).unwrap();
    let placement = Placement {
        last_offset_delta: Some(40),
        ..at(100)
    };
    let compacted = one(builder.finish_at(Stamp::NONE, placement).unwrap());
    assert_eq!(
        (compacted.last_offset(), compacted.next_offset()),
        (140, 141)
    );
    assert_eq!(records(&compacted)[0].0, 100);

    let empty = one(builder
        .finish_at(
            transactional(9),
            Placement {
                last_offset_delta: Some(4),
                ..at(50)
            },
        )
        .unwrap());
    assert_eq!((empty.record_count(), empty.next_offset()), (0, 55));
    assert!(records(&empty).is_empty());
}

#[test]
fn a_commit_marker_of_an_earlier_transaction_does_not_end_an_aborted_one() {
    let field = [
        batch(0, transactional(7), &["void 0"]),
        marker(1, ControlType::Commit, 7),
        batch(2, transactional(7), &["void 2"]),
        marker(3, ControlType::Abort, 7),
        batch(4, transactional(7), &["good 4"]),
        marker(5, ControlType::Commit, 7),
    ];
    assert_eq!(deliver(&field, &[(7, 0)]), (vec!["good 4".to_owned()], 6));
}

#[test]
fn an_unsorted_list_of_aborted_transactions_hides_the_right_batches() {
    let field = [
        batch(0, transactional(1), &["void"]),
        batch(1, transactional(2), &["good before its abort"]),
        batch(2, Stamp::NONE, &["not transactional"]),
        marker(3, ControlType::Abort, 1),
        marker(4, ControlType::Commit, 2),
        batch(5, transactional(2), &["void", "void"]),
        batch(7, transactional(1), &["good after its abort"]),
        marker(8, ControlType::Abort, 2),
    ];
    let good = [
        "good before its abort",
        "not transactional",
        "good after its abort",
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!(deliver(&field, &[(2, 5), (1, 0)]), (good.clone(), 9));
    assert_eq!(deliver(&field, &[(1, 0), (2, 5)]), (good, 9));
}

#[test]
fn a_fetch_of_nothing_but_aborted_data_delivers_nothing_and_moves_on() {
    let field = [
        batch(10, transactional(4), &["a", "b"]),
        batch(12, transactional(4), &["c"]),
    ];
    assert_eq!(deliver(&field, &[(4, 10)]), (Vec::new(), 13));
    // The range may have begun before this fetch.
    assert_eq!(deliver(&field, &[(4, 2)]), (Vec::new(), 13));
}

#[test]
fn markers_are_never_delivered_even_of_a_kind_that_nobody_knows() {
    let field = [
        batch(0, transactional(1), &["x"]),
        marker(1, ControlType::Unknown(42), 1),
        marker(2, ControlType::Commit, 1),
    ];
    assert_eq!(deliver(&field, &[]), (vec!["x".to_owned()], 3));
    let mut uncommitted = AbortedFilter::read_uncommitted();
    assert_eq!(
        uncommitted.judge(&one(field[0].clone())),
        Ok(Verdict::Deliver)
    );
    assert_eq!(
        uncommitted.judge(&one(field[1].clone())),
        Ok(Verdict::Control)
    );
    let value = batches(field[2].clone()).next().unwrap().unwrap();
    let marker = records(&value)[0].3.clone().unwrap();
    assert_eq!(
        EndTxnMarker::from_value(&marker),
        Some(EndTxnMarker {
            coordinator_epoch: 1
        })
    );
}

#[test]
fn a_cut_last_batch_is_no_error_at_any_length() {
    let (first, second) = (batch(0, Stamp::NONE, &["a"]), batch(1, Stamp::NONE, &["b"]));
    for cut in 0..second.len() {
        let mut all = batches([&first[..], &second[..cut]].concat().into());
        assert_eq!(all.next(), Some(Ok(one(first.clone()))));
        assert_eq!(all.next(), None, "cut to {cut}");
        assert_eq!(all.partial_bytes(), cut);
    }
}

#[test]
fn a_bad_length_is_refused_in_any_batch_of_the_field() {
    let good = batch(0, Stamp::NONE, &["a"]);
    for length in [-1, i32::MIN, 0, 13, 14, 48] {
        let mut bad = good.to_vec();
        bad[8..12].copy_from_slice(&i32::to_be_bytes(length));
        let mut all = batches([&good[..], &bad].concat().into());
        assert!(all.next().unwrap().is_ok());
        assert!(
            matches!(all.next(), Some(Err(RecordError::BatchLength { length: found, .. })) if found == length)
        );
        assert_eq!(all.next(), None, "it ends after an error");
    }
}

#[test]
fn a_negative_count_or_delta_is_refused_before_anything_relies_on_it() {
    for (at, field) in [(57, "record count"), (23, "last offset delta")] {
        let mut bad = batch(0, Stamp::NONE, &["a"]).to_vec();
        bad[at] = 0x80;
        let error = batches(bad.into()).next().unwrap().unwrap_err();
        assert!(
            matches!(error, RecordError::Header { field: found, .. } if found == field),
            "{error}"
        );
    }
}

#[test]
fn fewer_or_more_records_than_the_header_says_are_errors() {
    for (count, is_right) in [(1, false), (2, true), (3, false), (i32::MAX, false)] {
        let mut bytes = batch(0, Stamp::NONE, &["a", "b"]).to_vec();
        bytes[57..61].copy_from_slice(&i32::to_be_bytes(count));
        let batch = Batch::new(bytes.into()).unwrap();
        let last = batch.records(batch.body()).last().unwrap();
        match count {
            1 => assert!(
                matches!(last, Err(RecordError::TrailingBytes { bytes: 8, .. })),
                "{last:?}"
            ),
            2 => assert!(last.is_ok() == is_right),
            _ => assert!(
                matches!(last, Err(RecordError::MissingRecords { found: 2, .. })),
                "{last:?}"
            ),
        }
        assert!(
            batch.records(batch.body()).size_hint().1.unwrap() < 5,
            "nobody may reserve by the count"
        );
    }
}

#[test]
fn an_error_ends_the_walk_and_names_the_record() {
    let mut bytes = batch(70, Stamp::NONE, &["a", "b", "c"]).to_vec();
    let second = 61 + 8;
    bytes[second + 5] = 60; // value length 30
    let batch = Batch::new(bytes.into()).unwrap();
    let mut walk = batch.records(batch.body());
    assert!(walk.next().unwrap().is_ok());
    let error = walk.next().unwrap().unwrap_err();
    assert_eq!(
        error,
        RecordError::Record {
            base_offset: 70,
            index: 1,
            fault: Fault::Value
        }
    );
    assert_eq!(
        error.to_string(),
        "record 1 of the batch at offset 70 is malformed: its value runs past its end"
    );
    assert_eq!(walk.next(), None);
}

/// `SnappyOutputStream`'s header and blocks of `parts`, with a header before each.
fn xerial_with_header_before_each(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        let block = snap::raw::Encoder::new().compress_vec(part).unwrap();
        out.extend_from_slice(&(block.len() as i32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

#[test]
fn snappy_of_java_and_of_librdkafka_and_with_repeated_headers_is_read() {
    let mut decompressor = Decompressor::new(1 << 20);
    let bare = snap::raw::Encoder::new()
        .compress_vec(b"abcabcabc")
        .unwrap();
    assert_eq!(
        decompressor.decompress(Codec::Snappy, &bare).unwrap(),
        b"abcabcabc"
    );
    let repeated = xerial_with_header_before_each(&[b"abc", b"", b"abcabc"]);
    assert_eq!(
        decompressor.decompress(Codec::Snappy, &repeated).unwrap(),
        b"abcabcabc"
    );
}

/// An LZ4 frame as `lz4_flex`'s own frame type writes it.
fn lz4_frame(info: lz4_flex::frame::FrameInfo, text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lz4_frames_with_linked_blocks_and_every_checksum_are_read_and_checked() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let text: Vec<u8> = (0..300_000_u32)
        .map(|n| (n / 7 % 251) as u8 ^ (n / 4000) as u8)
        .collect();
    let mut decompressor = Decompressor::new(1 << 20);
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [
            BlockSize::Max64KB,
            BlockSize::Max256KB,
            BlockSize::Max1MB,
            BlockSize::Max4MB,
        ] {
            let info = FrameInfo::new()
                .block_mode(mode)
                .block_size(size)
                .block_checksums(true)
                .content_checksum(true)
                .content_size(Some(text.len() as u64));
            let frame = lz4_frame(info, &text);
            assert!(
                decompressor.decompress(Codec::Lz4, &frame).unwrap() == text,
                "{mode:?} {size:?}"
            );
            let twice = [
                frame.clone(),
                b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(),
                frame.clone(),
            ]
            .concat();
            assert!(
                decompressor.decompress(Codec::Lz4, &twice).unwrap() == [&text[..], &text].concat()
            );
            for at in [6, 12, frame.len() / 2, frame.len() - 1] {
                let mut bad = frame.clone();
                bad[at] ^= 1;
                assert!(
                    decompressor.decompress(Codec::Lz4, &bad).is_err(),
                    "byte {at} is covered by a checksum"
                );
            }
        }
    }
}

#[test]
fn what_is_written_is_read_by_other_readers() {
    use std::io::Read;
    let text: Vec<u8> = (0..200_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 9) as u8)
        .collect();
    let mut compressor = kafka_proto::records::Compressor::default();
    for size in [0, 1, 100, 65_534, 65_535, 65_536, 65_537, 200_000] {
        let (mut frame, mut out) = (Vec::new(), Vec::new());
        compressor
            .compress(Codec::Lz4.into(), &text[..size], &mut frame)
            .unwrap();
        lz4_flex::frame::FrameDecoder::new(&frame[..])
            .read_to_end(&mut out)
            .unwrap();
        assert!(out == text[..size], "lz4 {size}");
        for level in [-1, 1, 6, 9] {
            let (mut frame, mut out) = (Vec::new(), Vec::new());
            let gzip = Compression::new(Codec::Gzip, Some(level)).unwrap();
            compressor
                .compress(gzip, &text[..size], &mut frame)
                .unwrap();
            flate2::read::GzDecoder::new(&frame[..])
                .read_to_end(&mut out)
                .unwrap();
            assert!(out == text[..size], "gzip {size}");
        }
        for level in [-7, -1, 0, 1, 3, 9, 19] {
            let (mut frame, mut out) = (Vec::new(), Vec::new());
            let zstd = Compression::new(Codec::Zstd, Some(level)).unwrap();
            compressor
                .compress(zstd, &text[..size], &mut frame)
                .unwrap();
            ruzstd::decoding::StreamingDecoder::new(&frame[..])
                .unwrap()
                .read_to_end(&mut out)
                .unwrap();
            assert!(out == text[..size], "zstd {size} level {level}");
        }
    }
}

#[test]
fn what_others_write_is_read_whatever_size_they_declare() {
    use std::io::Write;
    let text: Vec<u8> = (0..400_000_u32)
        .map(|n| (n / 3 % 97) as u8 ^ (n >> 12) as u8 ^ (n.wrapping_mul(n) >> 27) as u8)
        .collect();
    let mut decompressor = Decompressor::new(1 << 20);
    for size in [1, 100, 5000, 65_536, 131_072, 131_073, 400_000] {
        let text = &text[..size];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(text).unwrap();
        assert!(
            decompressor.decompress(Codec::Gzip, &gzip.finish().unwrap()) == Ok(text),
            "gzip {size}"
        );
        let snappy = snap::raw::Encoder::new().compress_vec(text).unwrap();
        assert!(
            decompressor.decompress(Codec::Snappy, &snappy) == Ok(text),
            "snappy {size}"
        );
        let zstd =
            ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest);
        assert!(
            decompressor.decompress(Codec::Zstd, &zstd) == Ok(text),
            "zstd {size}"
        );
        // As Java streams it: no size declared.
        for level in [1, 3, 9] {
            let level = structured_zstd::encoding::CompressionLevel::from_level(level);
            let mut zstd = structured_zstd::encoding::StreamingEncoder::new(Vec::new(), level);
            text.chunks(777)
                .for_each(|chunk| zstd.write_all(chunk).unwrap());
            let zstd = zstd.finish().unwrap();
            assert!(
                Decompressor::new(1 << 20).decompress(Codec::Zstd, &zstd) == Ok(text),
                "zstd stream {size}"
            );
            assert_eq!(
                Decompressor::new(size - 1).decompress(Codec::Zstd, &zstd),
                Err(RecordError::TooLarge {
                    codec: Codec::Zstd,
                    limit: size - 1
                })
            );
        }
    }
}

#[test]
fn log_append_time_overrides_the_timestamps_of_the_records() {
    let mut builder = BatchBuilder::new(Compression::NONE, 256);
    builder.append(5, None, None, &[]).unwrap();
    builder.append(9, None, None, &[]).unwrap();
    let placement = Placement {
        log_append_time: Some(TIME),
        ..Placement::NONE
    };
    let batch = one(builder.finish_at(Stamp::NONE, placement).unwrap());
    assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(
        records(&batch)
            .iter()
            .map(|record| record.1)
            .collect::<Vec<_>>(),
        [TIME, TIME]
    );
}

#[test]
fn timestamps_of_minus_one_and_of_both_ends_of_time_come_back() {
    let mut builder = BatchBuilder::new(Compression::NONE, 256);
    let times = [-1, i64::MAX, i64::MIN, 0, TIME];
    for time in times {
        builder.append(time, None, None, &[]).unwrap();
    }
    let batch = one(builder.finish(Stamp::NONE).unwrap());
    assert_eq!(
        records(&batch)
            .iter()
            .map(|record| record.1)
            .collect::<Vec<_>>(),
        times
    );
    assert_eq!(batch.max_timestamp(), i64::MAX);
}

#[test]
fn null_and_empty_stay_apart_and_duplicate_headers_keep_their_order() {
    let mut builder = BatchBuilder::new(Compression::NONE, 256);
    builder
        .append(
            TIME,
            None,
            Some(b""),
            &[
                ("h", None),
                ("h", Some(b"")),
                ("a", Some(b"x")),
                ("h", Some(b"y")),
            ],
        )
        .unwrap();
    builder.append(TIME, Some(b""), None, &[]).unwrap();
    let batch = one(builder.finish(Stamp::NONE).unwrap());
    let found = records(&batch);
    let header = |key: &str, value: Option<&str>| {
        (
            key.as_bytes().to_vec(),
            value.map(|value| value.as_bytes().to_vec()),
        )
    };
    let headers = vec![
        header("h", None),
        header("h", Some("")),
        header("a", Some("x")),
        header("h", Some("y")),
    ];
    assert_eq!(found[0], (0, TIME, None, Some(Vec::new()), headers));
    assert_eq!(found[1], (1, TIME, Some(Vec::new()), None, Vec::new()));
    let first = batch.records(batch.body()).next().unwrap().unwrap();
    assert_eq!(first.headers.first("h"), Some(None));
    assert_eq!(first.headers.first("a"), Some(Some(b"x".as_slice())));
    assert_eq!(first.headers.first("none"), None);
}

#[test]
fn a_full_batch_refuses_the_record_and_stays_as_it_was() {
    let mut builder = BatchBuilder::new(Compression::NONE, 64).with_limit(200);
    let big = vec![b'x'; 500];
    assert_eq!(
        builder.append(TIME, None, Some(&big), &[]),
        Ok(0),
        "the first record always fits"
    );
    assert!(matches!(
        builder.append(TIME, None, Some(b"y"), &[]),
        Err(BuildError::Full { .. })
    ));
    let batch = one(builder.finish(Stamp::NONE).unwrap());
    assert_eq!(records(&batch).len(), 1);
    while builder.append(TIME, None, Some(b"0123456789"), &[]).is_ok() {}
    assert!(
        (180..=200).contains(&builder.size_bytes()),
        "{}",
        builder.size_bytes()
    );
    let size = builder.size_bytes();
    let batch = one(builder.finish(Stamp::NONE).unwrap());
    assert_eq!(
        (batch.size_bytes(), records(&batch).len() as u32),
        (size, batch.record_count())
    );
}

#[test]
fn a_recycled_buffer_leaves_nothing_of_its_old_batch() {
    let mut builder = BatchBuilder::new(Compression::NONE, 4096);
    let fresh = batch(0, Stamp::NONE, &["second"]);
    for _ in 0..3 {
        builder
            .append(
                TIME,
                Some(b"first"),
                Some(&[0xff; 1000]),
                &[("h", Some(b"v"))],
            )
            .unwrap();
        let first = builder.finish(transactional(3)).unwrap();
        builder.recycle(first);
        builder.append(TIME, None, Some(b"second"), &[]).unwrap();
        let second = builder.finish(Stamp::NONE).unwrap();
        assert_eq!(second, fresh);
        let held = second.clone();
        builder.recycle(second);
        assert_eq!(
            held, fresh,
            "bytes that somebody holds are not written into"
        );
    }
}

#[test]
fn a_restamped_batch_has_the_new_producer_and_a_right_checksum() {
    let old = batch(0, transactional(7), &["a", "b"]);
    let body = old.len() - 61;
    let stamp = Stamp {
        producer_id: 7,
        producer_epoch: 4,
        base_sequence: 1 << 20,
        transactional: false,
    };
    let new = one(restamp(old.clone(), body, stamp));
    assert_eq!(
        (
            new.producer_epoch(),
            new.base_sequence(),
            new.is_transactional()
        ),
        (4, 1 << 20, false)
    );
    assert_eq!(records(&new), records(&one(old)));
}

#[test]
fn a_relayed_batch_is_restamped_and_its_records_are_not_copied() {
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new(codec.into(), 256);
        builder
            .append(TIME, Some(b"k"), Some(b"v"), &[("h", None)])
            .unwrap();
        builder.append(TIME - 5, None, None, &[]).unwrap();
        let placement = Placement {
            base_offset: 1 << 40,
            partition_leader_epoch: 12,
            ..Placement::NONE
        };
        let old = one(builder.finish_at(transactional(7), placement).unwrap());
        let stamp = Stamp {
            producer_id: 99,
            producer_epoch: 0,
            base_sequence: 17,
            transactional: false,
        };
        let pieces = relay(&old, 0, stamp).unwrap();
        assert_eq!(
            pieces.tail.as_ptr(),
            old.body().as_ptr(),
            "the records are the frame's own"
        );
        let new = one([pieces.head, pieces.tail].concat().into());
        assert_eq!(
            (
                new.base_offset(),
                new.partition_leader_epoch(),
                new.is_transactional()
            ),
            (0, -1, false)
        );
        assert_eq!(
            (new.producer_id(), new.producer_epoch(), new.base_sequence()),
            (99, 0, 17)
        );
        let moved: Vec<_> = records(&old)
            .into_iter()
            .map(|record| (record.0 - (1 << 40), record.1, record.2, record.3, record.4))
            .collect();
        assert_eq!(records(&new), moved);
    }
}

#[test]
fn a_batch_that_cannot_go_whole_is_rewritten_with_the_same_records() {
    let mut builder = BatchBuilder::new(Codec::Lz4.into(), 256);
    builder
        .append(5, Some(b"k"), Some(b"v"), &[("h", Some(b"x")), ("h", None)])
        .unwrap();
    builder.append(9, None, None, &[]).unwrap();
    let append_time = Placement {
        log_append_time: Some(TIME),
        ..at(10)
    };
    let append_time = one(builder.finish_at(Stamp::NONE, append_time).unwrap());
    assert_eq!(
        relay(&append_time, 0, Stamp::NONE),
        Err(NotRelayable::LogAppendTime)
    );

    builder
        .append(5, Some(b"k"), Some(b"v"), &[("h", Some(b"x")), ("h", None)])
        .unwrap();
    builder.append(9, None, None, &[]).unwrap();
    let compacted = one(builder
        .finish_at(
            Stamp::NONE,
            Placement {
                last_offset_delta: Some(7),
                ..at(10)
            },
        )
        .unwrap());
    assert_eq!(
        relay(&compacted, 0, Stamp::NONE),
        Err(NotRelayable::Compacted { count: 2, span: 8 })
    );

    let whole = one(batch(10, Stamp::NONE, &["a", "b", "c"]));
    assert_eq!(
        relay(&whole, 12, Stamp::NONE),
        Err(NotRelayable::PartlyConsumed(12))
    );
    let control = one(marker(0, ControlType::Commit, 1));
    assert_eq!(relay(&control, 0, Stamp::NONE), Err(NotRelayable::Control));

    let mut out = BatchBuilder::new(Codec::Zstd.into(), 256);
    let mut decompressor = Decompressor::new(1 << 20);
    for (batch, position) in [(append_time, 0), (compacted, 0), (whole, 12)] {
        let count = rewrite(&batch, position, &mut decompressor, &mut out).unwrap();
        let new = one(out.finish(transactional(1)).unwrap());
        let expected = records(&batch)
            .into_iter()
            .filter(|record| record.0 >= position)
            .enumerate();
        let expected: Vec<_> = expected
            .map(|(n, record)| (n as i64, record.1, record.2, record.3, record.4))
            .collect();
        assert_eq!((records(&new), count), (expected, new.record_count()));
        assert!(
            relay(&new, 0, Stamp::NONE).is_ok(),
            "what was rewritten can go whole"
        );
    }
}

#[test]
fn an_unknown_compression_name_or_level_is_refused_with_what_there_is() {
    let error = "lzma".parse::<Codec>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown compression type `lzma`: valid are none, gzip, snappy, lz4 and zstd"
    );
    let error = Compression::new(Codec::Gzip, Some(10))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "gzip has no compression level 10: valid are 1 to 9, and -1 for the default"
    );
    assert!(
        Compression::new(Codec::Lz4, Some(0)).is_err()
            && Compression::new(Codec::Lz4, Some(17)).is_ok()
    );
    assert!(
        Compression::new(Codec::Zstd, Some(23)).is_err()
            && Compression::new(Codec::Zstd, Some(-131_072)).is_ok()
    );
    assert!(Compression::new(Codec::Snappy, Some(1)).is_err());
    for codec in Codec::ALL {
        assert_eq!(codec.name().parse(), Ok(codec));
        assert_eq!(Compression::from(codec).codec(), codec);
    }
}

#[test]
fn builders_and_decompressors_move_between_threads() {
    fn sends<T: Send>() {}
    sends::<BatchBuilder>();
    sends::<Decompressor>();
    sends::<Batch>();
}
