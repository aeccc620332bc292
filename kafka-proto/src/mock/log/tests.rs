//! The log's rules, on batches built by hand.
use super::*;

/// A batch of `count` records of one byte each, as a producer would send it.
pub(crate) fn batch(count: i32, timestamp: i64) -> Vec<u8> {
    sequenced(count, timestamp, -1, -1, -1, false)
}

pub(crate) fn sequenced(
    count: i32,
    timestamp: i64,
    producer_id: i64,
    epoch: i16,
    base_sequence: i32,
    transactional: bool,
) -> Vec<u8> {
    let mut batch = marker(producer_id, epoch, false, timestamp);
    batch.truncate(HEADER_BYTES);
    for delta in 0..count {
        assert!(delta < 64, "one-byte varints");
        batch.extend_from_slice(&[14, 0, 0, delta as u8 * 2, 1, 2, b'v', 0]);
    }
    let attributes = if transactional {
        ATTRIBUTE_TRANSACTIONAL
    } else {
        0
    };
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[53..57].copy_from_slice(&base_sequence.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let counted = (batch.len() - LENGTH_PREFIX_BYTES) as i32;
    batch[8..12].copy_from_slice(&counted.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

pub(crate) const TERMS: Terms = Terms {
    leader_epoch: 0,
    max_message_bytes: 1 << 20,
    timestamps: Timestamps {
        now_ms: 0,
        before_max_ms: None,
        after_max_ms: None,
    },
    keys_needed: false,
    log_append_time_ms: None,
    retention_bytes: None,
};

fn bases(bytes: impl AsRef<[u8]>) -> Vec<i64> {
    let mut bases = Vec::new();
    let mut bytes = bytes.as_ref();
    while !bytes.is_empty() {
        let header = Header::read(bytes).unwrap();
        assert_eq!(
            crc32c::crc32c(&bytes[CRC_START..header.size_bytes]),
            header.crc
        );
        bases.push(header.base_offset);
        bytes = &bytes[header.size_bytes..];
    }
    bases
}

#[test]
fn batches_get_consecutive_offsets_and_keep_their_crc() {
    let mut log = Log::default();
    for count in [3, 1, 5] {
        log.append(&batch(count, 10), TERMS).unwrap();
    }
    assert_eq!((log.start_offset(), log.end_offset()), (0, 9));
    let all = log.read(0, 9, usize::MAX, false);
    assert_eq!((bases(&all.bytes), all.end_offset), (vec![0, 3, 4], 9));
    // From the middle of a batch: the whole batch.
    assert_eq!(bases(log.read(5, 9, 1 << 20, false).bytes), [4]);
    assert!(log.read(9, 9, 1 << 20, true).bytes.is_empty());
}

#[test]
fn a_read_ends_at_the_limit_but_the_first_batch_is_always_whole() {
    let mut log = Log::default();
    let one = batch(2, 0);
    for _ in 0..4 {
        log.append(&one, TERMS).unwrap();
    }
    assert_eq!(bases(log.read(0, 8, one.len() * 2, false).bytes), [0, 2]);
    assert_eq!(
        bases(log.read(0, 8, one.len() * 3 - 1, false).bytes),
        [0, 2]
    );
    assert_eq!(bases(log.read(2, 8, 1, true).bytes), [2]);
    assert!(log.read(2, 8, 1, false).bytes.is_empty());
    // Nothing at or above the bound, also not a batch that begins below it.
    assert_eq!(bases(log.read(0, 5, 1 << 20, true).bytes), [0, 2]);
    assert_eq!(log.bytes_between(2, 8), 3 * one.len() as u64);
}

#[test]
fn batches_read_one_by_one_are_later_read_together() {
    let mut log = Log::default();
    for n in 0..10 {
        log.append(&batch(1, 0), TERMS).unwrap();
        assert_eq!(bases(log.read(n, n + 1, 1 << 20, true).bytes), [n]);
    }
    assert_eq!(log.pieces.len(), 10);
    assert_eq!(
        bases(log.read(2, 10, 1 << 20, true).bytes),
        (2..10).collect::<Vec<_>>()
    );
    assert_eq!(
        bases(log.read(0, 10, 1 << 20, true).bytes),
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(log.pieces.len(), 1);
}

#[test]
fn what_a_producer_may_not_send_is_refused() {
    let mut log = Log::default();
    let good = batch(2, 0);
    let mut bad_crc = good.clone();
    *bad_crc.last_mut().unwrap() ^= 1;
    assert!(matches!(
        log.append(&bad_crc, TERMS),
        Err(Refusal::Corrupt(_))
    ));
    let two = [good.clone(), good.clone()].concat();
    assert_eq!(log.append(&two, TERMS), Err(Refusal::NotOne));
    for cut in 0..good.len() {
        assert!(log.append(&good[..cut], TERMS).is_err(), "cut at {cut}");
    }
    let mut magic = good.clone();
    magic[16] = 1;
    assert_eq!(log.append(&magic, TERMS), Err(Refusal::UnsupportedMagic(1)));
    let small = Terms {
        max_message_bytes: good.len() - 1,
        ..TERMS
    };
    assert_eq!(log.append(&good, small), Err(Refusal::TooLarge));
    let control = marker(1, 0, true, 0);
    assert!(matches!(
        log.append(&control, TERMS),
        Err(Refusal::Invalid(_))
    ));
    assert_eq!(log.end_offset(), 0);
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset_until_its_marker() {
    let mut log = Log::default();
    log.append(&batch(1, 0), TERMS).unwrap();
    log.append(&sequenced(2, 0, 7, 0, 0, true), TERMS).unwrap();
    log.append(&sequenced(1, 0, 8, 0, 0, true), TERMS).unwrap();
    log.append(&batch(1, 0), TERMS).unwrap();
    assert_eq!((log.last_stable_offset(), log.high_watermark()), (1, 5));
    assert_eq!(log.append_marker(7, 0, false, 0, TERMS), 5);
    assert_eq!(log.last_stable_offset(), 3);
    log.append_marker(8, 0, true, 0, TERMS);
    assert_eq!(log.last_stable_offset(), 7);
    let aborted = Aborted {
        producer_id: 7,
        first_offset: 1,
        last_offset: 5,
    };
    assert_eq!(log.aborted_between(0, 7), [aborted]);
    assert_eq!(log.aborted_between(5, 7), [aborted]);
    assert_eq!(log.aborted_between(6, 7), []);
    assert_eq!(log.aborted_between(0, 1), []);
}

#[test]
fn an_injected_marker_ends_a_transaction_too() {
    let mut log = Log::default();
    let bytes = [sequenced(2, 0, 7, 0, 0, true), marker(7, 0, false, 0)].concat();
    assert_eq!(log.append_raw(&bytes, TERMS), Ok(0));
    assert_eq!(log.last_stable_offset(), 3);
    assert_eq!(log.aborted_between(0, 3).len(), 1);
}

#[test]
fn log_append_time_is_stamped_with_a_new_crc() {
    let mut log = Log::default();
    let terms = Terms {
        log_append_time_ms: Some(99),
        ..TERMS
    };
    log.append(&batch(2, 10), terms).unwrap();
    let bytes = log.read(0, 2, 1 << 20, true).bytes;
    bases(&bytes);
    let header = Header::read(&bytes).unwrap();
    assert_eq!(header.max_timestamp, 99);
    assert_eq!(header.attributes, ATTRIBUTE_LOG_APPEND_TIME);
}

#[test]
fn retention_bounds_the_bytes_kept() {
    let mut log = Log::default();
    let terms = Terms {
        retention_bytes: Some(200 << 10),
        ..TERMS
    };
    let one = batch(60, 0);
    for _ in 0..5_000 {
        log.append(&one, terms).unwrap();
    }
    assert!(log.size_bytes() <= 200 << 10, "{}", log.size_bytes());
    assert!(log.size_bytes() > 60 << 10);
    assert!(log.start_offset() > 0);
    let first = bases(
        log.read(log.start_offset(), log.end_offset(), 1 << 20, true)
            .bytes,
    )[0];
    assert_eq!(first, log.start_offset());
}

#[test]
fn a_truncated_log_goes_on_from_the_cut() {
    let mut log = Log::default();
    for epoch in 0..3 {
        let terms = Terms {
            leader_epoch: epoch,
            ..TERMS
        };
        log.append(&batch(2, 0), terms).unwrap();
    }
    assert_eq!(log.end_of_epoch(1), Some((1, 4)));
    assert_eq!(log.end_of_epoch(2), Some((2, 6)));
    assert_eq!(log.end_of_epoch(3), None);
    log.truncate(3);
    assert_eq!(log.end_offset(), 2);
    assert_eq!(log.end_of_epoch(0), Some((0, 2)));
    log.append(&batch(1, 0), TERMS).unwrap();
    assert_eq!(bases(log.read(0, 3, 1 << 20, true).bytes), [0, 2]);
}

#[test]
fn deleted_records_raise_the_start_of_the_log() {
    let mut log = Log::default();
    for _ in 0..3 {
        log.append(&batch(2, 0), TERMS).unwrap();
    }
    assert_eq!(log.delete_before(3), 3);
    assert_eq!(bases(log.read(3, 6, 1 << 20, true).bytes), [2, 4]);
    assert_eq!(log.delete_before(6), 6);
    assert_eq!(log.delete_before(0), 6);
    assert!(log.read(6, 6, 1 << 20, true).bytes.is_empty());
    log.append(&batch(1, 0), TERMS).unwrap();
    assert_eq!(bases(log.read(6, 7, 1 << 20, true).bytes), [6]);
}

#[test]
fn batches_are_found_by_time() {
    let mut log = Log::default();
    for timestamp in [10, 30, 20] {
        log.append(&batch(1, timestamp), TERMS).unwrap();
    }
    let base = |bytes: Option<Bytes>| bytes.map(|bytes| bases(&bytes)[0]);
    assert_eq!(base(log.batch_for_timestamp(11)), Some(1));
    assert_eq!(base(log.batch_for_timestamp(0)), Some(0));
    assert_eq!(base(log.batch_for_timestamp(31)), None);
    assert_eq!(base(log.batch_with_max_timestamp()), Some(1));
}
