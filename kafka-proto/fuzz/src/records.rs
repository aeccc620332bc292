//! What the fuzz targets of records do with a piece of data; `tests/fuzz_corpus.rs` does the same with the saved ones.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each target uses a part, and stops where it is surprised"
)]

use std::io::Read;

use bytes::Bytes;
use kafka_proto::records::{
    AbortedFilter, Batch, BatchBuilder, Codec, Compression, Compressor, Decompressor, RecordError,
    Stamp, batches, relay, rewrite,
};

/// What anything may inflate to.
const LIMIT: usize = 1 << 18;

const STAMP: Stamp = Stamp {
    producer_id: 1 << 40,
    producer_epoch: 3,
    base_sequence: i32::MAX,
    transactional: true,
};

/// Reads a `records` field to its end; each batch that reads well is relayed and rewritten, and must read alike.
pub(crate) fn record_batches(data: &[u8]) {
    let mut decompressor = Decompressor::new(LIMIT);
    let mut filter = AbortedFilter::read_uncommitted();
    let mut all = batches(Bytes::copy_from_slice(data)).with_legacy_limit(LIMIT);
    for batch in &mut all {
        let Ok(batch) = batch else { break };
        assert!(
            batch.next_offset() >= batch.base_offset(),
            "a position never goes backwards"
        );
        let _ = filter.judge(&batch);
        let Ok(count) = walk(&batch, &mut decompressor) else {
            continue;
        };
        assert_eq!(count, batch.record_count());
        if let Ok(pieces) = relay(&batch, i64::MIN, STAMP) {
            let whole = Batch::new([pieces.head, pieces.tail].concat().into()).unwrap();
            assert_eq!(
                whole.verify_crc().is_ok(),
                batch.verify_crc().is_ok(),
                "a relayed batch is as right as it was"
            );
        }
        let mut builder = BatchBuilder::new(Compression::NONE, 1 << 12);
        rewrite(&batch, i64::MIN, &mut decompressor, &mut builder).unwrap();
        let again = Batch::new(builder.finish(STAMP).unwrap()).unwrap();
        again.verify_crc().unwrap();
        let body = batch.uncompressed(&mut decompressor).unwrap();
        for (old, new) in batch.records(body).zip(again.records(again.body())) {
            let (old, new) = (old.unwrap(), new.unwrap());
            assert_eq!(
                (old.timestamp, old.key, old.value),
                (new.timestamp, new.key, new.value)
            );
            assert!(old.headers.eq(new.headers));
        }
    }
    assert!(all.partial_bytes() <= data.len());
}

fn walk(batch: &Batch, decompressor: &mut Decompressor) -> Result<u32, RecordError> {
    let body = batch.uncompressed(decompressor)?;
    assert!(batch.compression() == Codec::None || body.len() <= LIMIT);
    let mut count = 0;
    for record in batch.records(body) {
        let record = record?;
        assert_eq!(record.headers.len(), record.headers.count());
        count += 1;
    }
    Ok(count)
}

/// Inflates the data; deflates it and inflates that. Another decoder that accepts the same bytes must find the same in them.
pub(crate) fn codec(codec: Codec, data: &[u8]) {
    let mut decompressor = Decompressor::new(LIMIT);
    if let Ok(inflated) = decompressor.decompress(codec, data) {
        assert!(inflated.len() <= LIMIT);
        if let Some(other) = other(codec, data) {
            assert!(
                other == inflated,
                "another decoder finds {} bytes, not {}",
                other.len(),
                inflated.len()
            );
        }
    }
    let level = data
        .first()
        .map(|byte| i32::from(byte % 9) + 1)
        .filter(|_| codec != Codec::Snappy);
    let compression = Compression::new(codec, level).unwrap();
    let mut packed = Vec::new();
    Compressor::default()
        .compress(compression, data, &mut packed)
        .unwrap();
    assert!(Decompressor::new(data.len()).decompress(codec, &packed) == Ok(data));
}

fn other(codec: Codec, data: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let take = 2 * LIMIT as u64;
    match codec {
        Codec::Gzip => flate2::read::MultiGzDecoder::new(data)
            .take(take)
            .read_to_end(&mut out)
            .ok()?,
        // Bare blocks only: nobody else reads Java's framing.
        Codec::Snappy if snap::raw::decompress_len(data).is_ok_and(|len| len <= LIMIT) => {
            out = snap::raw::Decoder::new().decompress_vec(data).ok()?;
            out.len()
        }
        Codec::Lz4 => lz4(data, &mut out)?,
        Codec::Zstd => zstd(data, &mut out)?,
        _ => return None,
    };
    Some(out)
}

/// `lz4_flex` stops after each frame, so it begins again at the next.
fn lz4(data: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut rest = data;
    while !rest.is_empty() {
        lz4_flex::frame::FrameDecoder::new(&mut rest)
            .take(2 * LIMIT as u64)
            .read_to_end(out)
            .ok()?;
    }
    Some(out.len())
}

/// `ruzstd` stops after one frame, so only data of a single one is compared.
fn zstd(data: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut rest = data;
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest).ok()?;
    let len = (&mut decoder)
        .take(2 * LIMIT as u64)
        .read_to_end(out)
        .ok()?;
    drop(decoder);
    rest.is_empty().then_some(len)
}
