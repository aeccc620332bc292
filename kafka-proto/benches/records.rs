//! Walking and building record batches against hand-written floors, and each codec against a second implementation.
//!
//! `cargo bench -p kafka-proto --bench records` takes some seconds; `-- --rounds 31` measures longer, `-- walk` only what is named so.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops where it is surprised"
)]

use std::hint::black_box;

use bytes::Bytes;
use kafka_proto::records::{
    Batch, BatchBuilder, Codec, Compression, Compressor, Decompressor, Stamp, relay,
};
use test_support::{CountingAllocator, SplitMix64, measure::Paired};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let rounds = arguments
        .iter()
        .position(|arg| arg == "--rounds")
        .map_or(9, |at| arguments[at + 1].parse().unwrap());
    let only = arguments
        .first()
        .filter(|arg| !arg.starts_with('-'))
        .cloned()
        .unwrap_or_default();
    for (name, bench) in [
        ("walk", walk as fn(usize)),
        ("build", build),
        ("relay", relayed),
        ("codecs", codecs),
    ] {
        if name.starts_with(only.as_str()) {
            bench(rounds);
        }
    }
}

/// Records whose values are `size` bytes of words, as many as 4 MiB hold.
fn values(size: usize) -> Vec<Vec<u8>> {
    let mut random = SplitMix64::new(7);
    let words = [
        "stream",
        "table",
        "offset",
        "the",
        "of",
        "broker",
        "window",
        "a",
        "key",
        "watermark",
    ];
    let value = |_| {
        let mut value = Vec::new();
        while value.len() < size {
            value.extend_from_slice(words[(random.next_u64() % 10) as usize].as_bytes());
            value.push(b' ' + (random.next_u64() % 16) as u8);
        }
        value.truncate(size);
        value
    };
    (0..(4 << 20) / size).map(value).collect()
}

fn append_all(builder: &mut BatchBuilder, values: &[Vec<u8>]) {
    for (index, value) in values.iter().enumerate() {
        builder
            .append(1_700_000_000_000 + index as i64 / 8, None, Some(value), &[])
            .unwrap();
    }
}

/// Batches of about 128 KiB, as brokers hand them out.
fn batches_of(values: &[Vec<u8>], compression: Compression) -> Vec<Batch> {
    let mut builder = BatchBuilder::new(compression, 128 << 10);
    let batch = |values: &[Vec<u8>]| {
        append_all(&mut builder, values);
        Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap()
    };
    values
        .chunks((128 << 10) / values[0].len())
        .map(batch)
        .collect()
}

/// The least a walk can do: find key and value of each record and trust the bytes.
fn floor_walk(mut body: &[u8], sum: &mut u64) {
    fn varint(bytes: &mut &[u8]) -> i64 {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return (value >> 1) as i64 ^ -((value & 1) as i64);
            }
            shift += 7;
        }
    }
    while !body.is_empty() {
        let len = varint(&mut body) as usize;
        let (mut record, rest) = body.split_at(len);
        body = rest;
        record = &record[1..];
        let timestamp = varint(&mut record);
        let offset = varint(&mut record);
        let key_len = varint(&mut record).max(0) as usize;
        let (key, mut record) = record.split_at(key_len);
        let value_len = varint(&mut record).max(0) as usize;
        let value = &record[..value_len];
        *sum = sum.wrapping_add(touch(offset, timestamp, key, value));
    }
}

#[inline(always)]
fn touch(offset: i64, timestamp: i64, key: &[u8], value: &[u8]) -> u64 {
    offset as u64
        ^ timestamp as u64
        ^ (key.len() + value.len()) as u64
        ^ u64::from(value.first().copied().unwrap_or(0))
}

fn walk(rounds: usize) {
    for size in [100, 1024] {
        let values = values(size);
        // Half a MiB, as a frame that has just come from the socket: the walk is measured, not the memory behind it.
        let mut batches = batches_of(&values, Compression::NONE);
        batches.truncate(4);
        let repeat = 32 * size / 100;
        let per_pass: u64 = batches
            .iter()
            .map(|batch| u64::from(batch.record_count()))
            .sum();
        let count = per_pass * repeat as u64;
        let floor = || {
            let mut sum = 0;
            for _ in 0..repeat {
                batches
                    .iter()
                    .for_each(|batch| floor_walk(batch.body(), &mut sum));
            }
            black_box(sum);
            count
        };
        let ours = |crc: bool| {
            let mut sum = 0_u64;
            for _ in 0..repeat {
                for batch in &batches {
                    if crc {
                        batch.verify_crc().unwrap();
                    }
                    for record in batch.records(batch.body()) {
                        let record = record.unwrap();
                        let (key, value) = (
                            record.key.unwrap_or_default(),
                            record.value.unwrap_or_default(),
                        );
                        sum = sum.wrapping_add(touch(record.offset, record.timestamp, key, value));
                    }
                }
            }
            black_box(sum);
            count
        };
        let table = Paired::new(&format!("walk records of {size} B"), rounds)
            .arm("floor", floor)
            .arm("ours", || ours(false))
            .arm("ours and CRC", || ours(true));
        println!("{}", table.run());
    }
}

fn build(rounds: usize) {
    for size in [100, 1024] {
        let values = values(size);
        let per_batch = (128 << 10) / size;
        let repeat = 4;
        let count = (values.len() * repeat) as u64;
        let mut buffer: Vec<u8> = Vec::with_capacity(256 << 10);
        let floor = || {
            for _ in 0..repeat {
                for chunk in values.chunks(per_batch) {
                    buffer.clear();
                    for value in chunk {
                        buffer.extend_from_slice(&[0; 10]);
                        buffer.extend_from_slice(value);
                    }
                    black_box(crc32c::crc32c(&buffer));
                }
            }
            count
        };
        let mut builder = BatchBuilder::new(Compression::NONE, 160 << 10);
        let ours = || {
            for _ in 0..repeat {
                for chunk in values.chunks(per_batch) {
                    append_all(&mut builder, chunk);
                    let batch = builder.finish(Stamp::NONE).unwrap();
                    builder.recycle(black_box(batch));
                }
            }
            count
        };
        let table = Paired::new(&format!("build batches of records of {size} B"), rounds)
            .arm("memcpy and CRC", floor)
            .arm("ours", ours);
        println!("{}", table.run());
    }
}

fn relayed(rounds: usize) {
    let batches = batches_of(&values(100), Compression::NONE);
    let repeat = 200;
    let count = (batches.len() * repeat) as u64;
    let full_pass = || {
        for _ in 0..repeat / 10 {
            for batch in &batches {
                black_box(batch.verify_crc()).unwrap();
            }
        }
        count / 10
    };
    let ours = || {
        for _ in 0..repeat {
            for batch in &batches {
                black_box(relay(batch, 0, Stamp::NONE)).unwrap();
            }
        }
        count
    };
    let table = Paired::new("relay batches of 128 KiB", rounds)
        .arm("one pass of the CRC", full_pass)
        .arm("ours", ours);
    println!("{}", table.run());
}

fn codecs(rounds: usize) {
    let text: Vec<u8> = values(1000).concat();
    for size in [1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20] {
        let chunks: Vec<&[u8]> = text.chunks_exact(size).take((2 << 20) / size).collect();
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            codec_both_ways(codec, &chunks, rounds);
        }
    }
}

fn codec_both_ways(codec: Codec, chunks: &[&[u8]], rounds: usize) {
    let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
    let title = |what| {
        format!(
            "{what} {codec}, chunks of {} KiB; items are bytes",
            chunks[0].len() >> 10
        )
    };
    let mut compressor = Compressor::default();
    let mut out = Vec::new();
    let compress = || {
        for chunk in chunks {
            out.clear();
            compressor
                .compress(codec.into(), black_box(chunk), &mut out)
                .unwrap();
            black_box(&out);
        }
        bytes
    };
    let other = || {
        for chunk in chunks {
            black_box(other_compress(codec, black_box(chunk)));
        }
        bytes
    };
    let table = Paired::new(&title("compress"), rounds)
        .arm(other_name(codec), other)
        .arm("ours", compress);
    println!("{}", table.run());

    let packed: Vec<Bytes> = chunks
        .iter()
        .map(|chunk| {
            let mut out = Vec::new();
            Compressor::default()
                .compress(codec.into(), chunk, &mut out)
                .unwrap();
            out.into()
        })
        .collect();
    let others: Vec<Vec<u8>> = chunks
        .iter()
        .map(|chunk| other_compress(codec, chunk))
        .collect();
    let share = |sizes: usize| 100.0 * sizes as f64 / bytes as f64;
    println!(
        "size: ours {:.1} %, {} {:.1} %",
        share(packed.iter().map(Bytes::len).sum()),
        other_name(codec),
        share(others.iter().map(Vec::len).sum())
    );
    let mut decompressor = Decompressor::new(64 << 20);
    let inflate = || {
        for packed in &packed {
            black_box(decompressor.decompress(codec, black_box(packed)).unwrap());
        }
        bytes
    };
    let other = || {
        for packed in &others {
            black_box(other_decompress(codec, black_box(packed)));
        }
        bytes
    };
    let table = Paired::new(&title("decompress"), rounds)
        .arm(other_name(codec), other)
        .arm("ours", inflate);
    println!("{}", table.run());
}

fn other_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Gzip => "flate2's gzip types",
        Codec::Snappy => "snap's frame types",
        Codec::Lz4 => "lz4_flex's frame types",
        _ => "ruzstd",
    }
}

fn other_compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    match codec {
        Codec::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.into_inner().unwrap()
        }
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        _ => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
    }
}

fn other_decompress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut out = Vec::new();
    match codec {
        Codec::Gzip => flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut out)
            .unwrap(),
        Codec::Snappy => snap::read::FrameDecoder::new(bytes)
            .read_to_end(&mut out)
            .unwrap(),
        Codec::Lz4 => lz4_flex::frame::FrameDecoder::new(bytes)
            .read_to_end(&mut out)
            .unwrap(),
        _ => ruzstd::decoding::StreamingDecoder::new(bytes)
            .unwrap()
            .read_to_end(&mut out)
            .unwrap(),
    };
    out
}
