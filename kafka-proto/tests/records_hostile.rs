//! Random and hostile bytes: round trips of anything, nothing panics, and memory stays near what is at hand. A binary of its own, because
//! it counts the allocations of its whole process.
#![cfg(feature = "compression")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{fs::File, io::Read, path::Path, sync::Mutex};

use bytes::Bytes;
use kafka_proto::records::{
    BatchBuilder, Codec, Compression, Compressor, Decompressor, Placement, RecordError, Stamp,
    batches,
};
use proptest::{collection::vec, option, prelude::*};
use test_support::{CountingAllocator, SplitMix64, alloc};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Tests here run one at a time: the peak is the process's.
static ALONE: Mutex<()> = Mutex::new(());

type AnyRecord = (
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(String, Option<Vec<u8>>)>,
);

fn any_record() -> impl Strategy<Value = AnyRecord> {
    let time = prop_oneof![
        any::<i64>(),
        Just(-1),
        1_700_000_000_000_i64..1_700_000_100_000
    ];
    let header = (".{0,8}", option::of(vec(any::<u8>(), 0..20)));
    (
        time,
        option::of(vec(any::<u8>(), 0..40)),
        option::of(vec(any::<u8>(), 0..300)),
        vec(header, 0..4),
    )
}

fn any_codec() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::NONE),
        (1..=9).prop_map(|level| Compression::new(Codec::Gzip, Some(level)).unwrap()),
        Just(Codec::Snappy.into()),
        Just(Codec::Lz4.into()),
        (-5..=9).prop_map(|level| Compression::new(Codec::Zstd, Some(level)).unwrap()),
    ]
}

fn build(compression: Compression, records: &[AnyRecord], base_offset: i64) -> Bytes {
    let mut builder = BatchBuilder::new(compression, 256);
    for (time, key, value, headers) in records {
        let headers: Vec<_> = headers
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
            .collect();
        builder
            .append(*time, key.as_deref(), value.as_deref(), &headers)
            .unwrap();
    }
    builder
        .finish_at(
            Stamp::NONE,
            Placement {
                base_offset,
                ..Placement::NONE
            },
        )
        .unwrap()
}

/// Reads a field to its end or its first error.
fn read_all(field: &Bytes, decompressor: &mut Decompressor) -> Result<Vec<AnyRecord>, RecordError> {
    let mut found = Vec::new();
    for batch in batches(field.clone()).with_legacy_limit(decompressor.limit()) {
        let batch = batch?;
        for record in batch.records(batch.uncompressed(decompressor)?) {
            let record = record?;
            let headers = record.headers.map(|header| {
                (
                    header.name().into_owned(),
                    header.value().map(<[u8]>::to_vec),
                )
            });
            found.push((
                record.timestamp,
                record.key.map(<[u8]>::to_vec),
                record.value.map(<[u8]>::to_vec),
                headers.collect(),
            ));
        }
    }
    Ok(found)
}

/// Walks a field to its end or its first error and keeps nothing.
fn walk_all(field: &Bytes, decompressor: &mut Decompressor) -> Result<u64, RecordError> {
    let mut sum = 0;
    for batch in batches(field.clone()).with_legacy_limit(decompressor.limit()) {
        let batch = batch?;
        if batch.is_control() {
            let _ = batch.control_type();
        }
        for record in batch.records(batch.uncompressed(decompressor)?) {
            let record = record?;
            sum += record
                .headers
                .map(|header| header.name_bytes().len() as u64)
                .sum::<u64>();
            sum += (record.key.unwrap_or_default().len() + record.value.unwrap_or_default().len())
                as u64;
        }
    }
    Ok(sum)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_records_come_back_from_any_codec(compression in any_codec(), records in vec(any_record(), 1..40)) {
        let field = build(compression, &records, 0);
        let batch = batches(field.clone()).next().unwrap().unwrap();
        prop_assert!(batch.verify_crc().is_ok());
        prop_assert_eq!(batch.record_count() as usize, records.len());
        prop_assert_eq!(read_all(&field, &mut Decompressor::new(1 << 20)), Ok(records));
    }

    #[test]
    fn a_flipped_bit_behind_the_crc_is_noticed_and_never_panics(
        compression in any_codec(), records in vec(any_record(), 1..8), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut bytes = build(compression, &records, 0).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let field = Bytes::from(bytes);
        let is_whole = batches(field.clone()).next().is_some_and(|batch| batch.is_ok_and(|batch| batch.verify_crc().is_ok()));
        prop_assert!(!is_whole || at < 16, "byte {at}");
        let _ = read_all(&field, &mut Decompressor::new(1 << 20));
    }

    #[test]
    fn any_bytes_inflate_to_what_was_deflated(compression in any_codec(), bytes in vec(any::<u8>(), 0..5000), repeat in 1..40_usize) {
        let text = bytes.repeat(repeat);
        let mut out = Vec::new();
        Compressor::default().compress(compression, &text, &mut out).unwrap();
        let mut exact = Decompressor::new(text.len());
        prop_assert_eq!(exact.decompress(compression.codec(), &out), Ok(text.as_slice()));
        if !text.is_empty() && compression.codec() != Codec::None {
            let codec = compression.codec();
            let limit = text.len() - 1;
            let refused = Decompressor::new(limit).decompress(codec, &out) == Err(RecordError::TooLarge { codec, limit });
            prop_assert!(refused, "one byte less is too little");
        }
    }
}

fn golden_fields(name: &str) -> Vec<(String, Bytes)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/goldens")
        .join(name);
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let vector = |line| {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        let hex = vector["hex"].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        (vector["name"].as_str().unwrap().to_owned(), bytes.into())
    };
    text.lines().map(vector).collect()
}

#[test]
fn flipped_cut_and_grown_vectors_of_kafka_never_panic() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut random = SplitMix64::new(11);
    let mut decompressor = Decompressor::new(1 << 18);
    for (_, field) in golden_fields("records.jsonl.gz")
        .into_iter()
        .chain(golden_fields("records-corrupt.jsonl.gz"))
    {
        if field.len() > 10_000 {
            continue;
        }
        for _ in 0..60 {
            let mut bytes = field.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len().max(1) as u64) as usize;
                match (bytes.get_mut(at), random.below(4)) {
                    (Some(byte), 0) => *byte = random.next_u64() as u8,
                    (Some(byte), 1) => *byte ^= 1 << random.below(8),
                    (Some(_), 2) => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at.min(bytes.len()), random.next_u64() as u8),
                }
            }
            let _ = walk_all(&bytes.into(), &mut decompressor);
        }
    }
}

#[test]
fn hostile_batches_take_no_more_memory_than_the_limit_and_a_small_multiple_of_their_bytes() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    const LIMIT: usize = 1 << 20;
    // What the codecs' own states take, whatever the input: windows, tables, entropy tables.
    const STATES: u64 = 1 << 20;
    for (name, field) in golden_fields("records-corrupt.jsonl.gz") {
        let before = alloc::live_bytes();
        alloc::reset_peak();
        let result = walk_all(&field, &mut Decompressor::new(LIMIT));
        let peak = alloc::peak_bytes() - before;
        let most = 2 * LIMIT as u64 + STATES + 4 * field.len() as u64;
        assert!(peak <= most, "{name}: {peak} bytes, {result:?}");
        if name.starts_with("bomb/") {
            assert!(result.is_err(), "{name} inflates to more than the limit");
        } else if field.len() < 1000 {
            assert!(
                peak <= STATES,
                "{name}: {peak} bytes for {} bytes of input",
                field.len()
            );
        }
    }
}

#[test]
fn walking_twice_the_records_allocates_nothing_more() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    for codec in Codec::ALL {
        let field = |count| {
            let record: AnyRecord = (
                5,
                Some(b"key".to_vec()),
                Some(vec![7; 100]),
                vec![("h".to_owned(), None)],
            );
            build(codec.into(), &vec![record; count], 0)
        };
        let (small, large) = (field(1000), field(2000));
        let mut decompressor = Decompressor::new(1 << 20);
        for field in [&small, &large, &small] {
            walk_all(field, &mut decompressor).unwrap();
        }
        let (_, of_small) = alloc::count_thread(|| walk_all(&small, &mut decompressor).unwrap());
        let (_, of_large) = alloc::count_thread(|| walk_all(&large, &mut decompressor).unwrap());
        assert_eq!(of_small.count, of_large.count, "{codec}");
        if codec != Codec::Zstd {
            assert_eq!(
                of_large.count, 0,
                "{codec}: with warm buffers nothing is allocated"
            );
        }
    }
}

#[test]
fn building_twice_the_records_allocates_nothing_more() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new(codec.into(), 1 << 18);
        let mut build = |count| {
            for _ in 0..count {
                builder
                    .append(5, Some(b"key"), Some(&[7; 100]), &[("h", None)])
                    .unwrap();
            }
            let batch = builder.finish(Stamp::NONE).unwrap();
            builder.recycle(batch);
        };
        [1000, 2000, 1000].into_iter().for_each(&mut build);
        let (_, of_small) = alloc::count_thread(|| build(1000));
        let (_, of_large) = alloc::count_thread(|| build(2000));
        // The zstd encoder allocates a few times for each block of 128 KiB.
        let blocks = if codec == Codec::Zstd { 8 } else { 0 };
        assert!(
            of_large.count <= of_small.count.max(2) + blocks,
            "{codec}: {of_small:?} {of_large:?}"
        );
    }
}
