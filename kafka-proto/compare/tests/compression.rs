//! Each compression against a second implementation: what ours writes, others read. gzip by `miniz_oxide` (ours is zlib-rs), zstd
//! by `ruzstd` (ours is structured-zstd), Snappy and LZ4 by readers written here from their specifications, because the only
//! crates without C are the ones ours uses. The other way round stand Kafka's own golden batches, whose streams Java's
//! libraries wrote, and gzip by `miniz_oxide` below.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::io::Read as _;

use kafka_proto::records::{Codec, Compression, Compressor, Decompressor};
use test_support::SplitMix64;

/// Texts from empty to several blocks of every format: repetitive, random, and in between.
fn texts() -> Vec<Vec<u8>> {
    let mut random = SplitMix64::new(11);
    let mut texts = Vec::new();
    for len in [0, 1, 15, 100, 4095, 32_768, 32_769, 65_536, 65_537, 300_000] {
        let mut noise = vec![0; len];
        random.fill(&mut noise);
        texts.push((0..len).map(|at| (at / 7 % 251) as u8).collect());
        texts.push(
            noise
                .iter()
                .map(|byte| b"etaoin shr"[usize::from(*byte % 10)])
                .collect(),
        );
        texts.push(noise);
    }
    texts
}

fn compressed(compression: Compression, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::default()
        .compress(compression, text, &mut out)
        .unwrap();
    out
}

/// Copies `len` bytes from `distance` back, which may overlap what they write.
fn copy_back(out: &mut Vec<u8>, distance: usize, len: usize) {
    let start = out.len().checked_sub(distance).unwrap();
    assert!(distance > 0);
    (start..start + len).for_each(|at| out.push(out[at]));
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}

fn little_endian(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// A bare Snappy block: google/snappy, format_description.txt.
fn snappy_block(mut bytes: &[u8]) -> Vec<u8> {
    let mut declared = 0;
    for shift in (0..35).step_by(7) {
        let byte = take(&mut bytes, 1)[0];
        declared |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let tag = usize::from(take(&mut bytes, 1)[0]);
        match tag & 3 {
            0 => {
                let len = match tag >> 2 {
                    short @ 0..60 => short,
                    long => little_endian(take(&mut bytes, long - 59)),
                };
                out.extend_from_slice(take(&mut bytes, len + 1));
            }
            1 => {
                let low = usize::from(take(&mut bytes, 1)[0]);
                copy_back(&mut out, (tag >> 5) << 8 | low, 4 + (tag >> 2 & 7));
            }
            wide => {
                let distance = little_endian(take(&mut bytes, if wide == 2 { 2 } else { 4 }));
                copy_back(&mut out, distance, 1 + (tag >> 2));
            }
        }
    }
    assert_eq!(out.len(), declared);
    out
}

/// What snappy-java frames blocks with, and Kafka expects: a header of 16 bytes, then blocks behind their sizes.
fn snappy(mut bytes: &[u8]) -> Vec<u8> {
    assert_eq!(take(&mut bytes, 8), b"\x82SNAPPY\0");
    assert_eq!(take(&mut bytes, 8), [0, 0, 0, 1, 0, 0, 0, 1]);
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(take(&mut bytes, 4).try_into().unwrap()) as usize;
        out.extend(snappy_block(take(&mut bytes, size)));
    }
    out
}

/// An LZ4 frame with blocks that do not depend on each other: lz4_Frame_format.md and lz4_Block_format.md.
fn lz4(mut bytes: &[u8]) -> Vec<u8> {
    assert_eq!(take(&mut bytes, 4), [0x04, 0x22, 0x4d, 0x18]);
    let flags = take(&mut bytes, 2)[0];
    assert_eq!(flags >> 6, 1, "version");
    assert_eq!(flags & 0x20, 0x20, "independent blocks");
    if flags & 8 != 0 {
        take(&mut bytes, 8);
    }
    take(&mut bytes, 1);
    let mut out = Vec::new();
    loop {
        let size = little_endian(take(&mut bytes, 4));
        if size == 0 {
            break;
        }
        let block = take(&mut bytes, size & 0x7fff_ffff);
        if size >> 31 == 1 {
            out.extend_from_slice(block);
        } else {
            lz4_block(block, &mut out);
        }
        if flags & 0x10 != 0 {
            take(&mut bytes, 4);
        }
    }
    if flags & 4 != 0 {
        take(&mut bytes, 4);
    }
    assert!(bytes.is_empty());
    out
}

fn lz4_block(mut bytes: &[u8], out: &mut Vec<u8>) {
    let length = |bytes: &mut &[u8], start: usize| {
        let mut len = start;
        while start == 15 {
            let byte = take(bytes, 1)[0];
            len += usize::from(byte);
            if byte < 255 {
                break;
            }
        }
        len
    };
    loop {
        let token = usize::from(take(&mut bytes, 1)[0]);
        let literals = length(&mut bytes, token >> 4);
        out.extend_from_slice(take(&mut bytes, literals));
        if bytes.is_empty() {
            return;
        }
        let distance = little_endian(take(&mut bytes, 2));
        let len = length(&mut bytes, token & 15);
        copy_back(out, distance, len + 4);
    }
}

#[test]
fn snappy_of_ours_is_read_by_the_specification() {
    for text in texts() {
        assert!(
            snappy(&compressed(Codec::Snappy.into(), &text)) == text,
            "{} bytes",
            text.len()
        );
    }
}

#[test]
fn lz4_of_ours_is_read_by_the_specification() {
    for text in texts() {
        assert!(
            lz4(&compressed(Codec::Lz4.into(), &text)) == text,
            "{} bytes",
            text.len()
        );
    }
}

#[test]
fn gzip_of_ours_is_read_by_miniz_at_every_level() {
    for text in texts() {
        for level in [-1, 1, 3, 6, 9] {
            let frame = compressed(Compression::new(Codec::Gzip, Some(level)).unwrap(), &text);
            // A header without optional parts, and CRC and length behind.
            assert_eq!(frame[..4], [0x1f, 0x8b, 8, 0]);
            let (body, trailer) = frame[10..].split_at(frame.len() - 18);
            let out = miniz_oxide::inflate::decompress_to_vec(body).unwrap();
            assert!(out == text, "{} bytes at level {level}", text.len());
            assert_eq!(little_endian(&trailer[4..]), text.len());
        }
    }
}

#[test]
fn deflate_of_miniz_is_read_by_ours() {
    let mut decompressor = Decompressor::new(1 << 20);
    for text in texts().into_iter().filter(|text| !text.is_empty()) {
        for level in [0, 1, 6, 10] {
            let ours = compressed(Codec::Gzip.into(), &text);
            let mut frame = ours[..10].to_vec();
            frame.extend(miniz_oxide::deflate::compress_to_vec(&text, level));
            frame.extend(&ours[ours.len() - 8..]);
            let out = decompressor.decompress(Codec::Gzip, &frame);
            assert!(
                out == Ok(&text[..]),
                "{} bytes at level {level}",
                text.len()
            );
        }
    }
}

#[test]
fn zstd_of_ours_is_read_by_ruzstd_at_every_level() {
    for text in texts() {
        for level in [-7, 1, 3, 9] {
            let frame = compressed(Compression::new(Codec::Zstd, Some(level)).unwrap(), &text);
            let mut out = Vec::new();
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(&frame[..]).unwrap();
            decoder.read_to_end(&mut out).unwrap();
            assert!(out == text, "{} bytes at level {level}", text.len());
        }
    }
}
