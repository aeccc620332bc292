//! Word count as a single-purpose loop: fetch, split, count in one hash table, and every 100 ms write the changed words
//! (8 bytes big-endian) and wait for their acknowledgement. No groups, no changelog, no threads.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::Write;
use std::time::{Duration, Instant};

use crate::produce::{Prod, murmur2};
use crate::records::{HDR, append, get_varint, now_ms, seal};
use crate::wire::{R, W, connect, init_pid, list_offsets, read_frame};

const PARTITIONS: i32 = 4;
const BATCH_BYTES: usize = 128 * 1024;

/// Eight bytes a step; good enough for words.
#[derive(Default)]
struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

struct Counts {
    index: HashMap<Box<[u8]>, u32, BuildHasherDefault<Fast>>,
    counts: Vec<(u64, bool)>,
    changed: Vec<u32>,
    words: Vec<Box<[u8]>>,
}

impl Counts {
    fn add(&mut self, word: &[u8]) {
        let at = match self.index.get(word) {
            Some(&at) => at as usize,
            None => {
                let at = self.words.len();
                self.index.insert(word.into(), at as u32);
                self.words.push(word.into());
                self.counts.push((0, false));
                at
            }
        };
        let (count, dirty) = &mut self.counts[at];
        *count += 1;
        if !*dirty {
            *dirty = true;
            self.changed.push(at as u32);
        }
    }

    fn line(&mut self, line: &[u8], scratch: &mut Vec<u8>) {
        scratch.clear();
        scratch.extend(line.iter().map(u8::to_ascii_lowercase));
        for word in scratch.split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_')) {
            if !word.is_empty() {
                self.add(word);
            }
        }
    }
}

struct Output {
    prod: Prod,
    producer: (i64, i16),
    sequences: [i32; PARTITIONS as usize],
    batches: Vec<(Vec<u8>, i32)>,
    written: u64,
}

impl Output {
    fn send(&mut self, partition: usize) {
        let (batch, count) = &mut self.batches[partition];
        if *count > 0 {
            seal(
                batch,
                *count,
                0,
                self.producer.0,
                self.producer.1,
                self.sequences[partition],
                now_ms(),
            );
            self.prod.send(&[(partition as i32, &batch[..])], 5);
            self.sequences[partition] += *count;
            self.written += *count as u64;
            batch.truncate(HDR);
            *count = 0;
        }
    }

    fn commit(&mut self, counts: &mut Counts) {
        for at in std::mem::take(&mut counts.changed) {
            let word = &counts.words[at as usize];
            let (count, dirty) = &mut counts.counts[at as usize];
            *dirty = false;
            let partition = (murmur2(word) & 0x7fff_ffff) as usize % PARTITIONS as usize;
            let (batch, records) = &mut self.batches[partition];
            append(batch, i64::from(*records), 0, word, &count.to_be_bytes());
            *records += 1;
            if batch.len() + 1024 > BATCH_BYTES {
                self.send(partition);
            }
        }
        for partition in 0..PARTITIONS as usize {
            self.send(partition);
        }
        while self.prod.inflight > 0 {
            self.prod.ack();
        }
    }
}

/// wordcount IN OUT : both topics exist, with 4 partitions; IN is not compressed.
pub(crate) fn wordcount(input: &str, output: &str) {
    let start = Instant::now();
    let mut socket = connect();
    let ends = list_offsets(&mut socket, input, PARTITIONS, -1);
    let mut positions = list_offsets(&mut socket, input, PARTITIONS, -2);
    let mut producing = connect();
    let producer = init_pid(&mut producing);
    let prod = Prod {
        s: producing,
        topic: output.to_owned(),
        corr: 10,
        inflight: 0,
        buf: vec![],
    };
    let batches = (0..PARTITIONS).map(|_| (vec![0; HDR], 0)).collect();
    let mut out = Output {
        prod,
        producer,
        sequences: [0; PARTITIONS as usize],
        batches,
        written: 0,
    };
    let mut counts = Counts {
        index: HashMap::default(),
        counts: vec![],
        changed: vec![],
        words: vec![],
    };
    let (mut correlation, mut lines, mut scratch) = (100, 0u64, Vec::new());
    let (mut frame, mut spare) = (Vec::new(), Vec::new());
    let mut fetch = |socket: &mut std::net::TcpStream, positions: &[i64]| {
        let live: Vec<usize> = (0..positions.len())
            .filter(|&p| positions[p] < ends[p])
            .collect();
        if live.is_empty() {
            return false;
        }
        correlation += 1;
        let mut w = W::req(1, 11, correlation);
        w.i32(-1);
        w.i32(500);
        w.i32(1);
        w.i32(50 << 20);
        w.i8(0);
        w.i32(0);
        w.i32(-1);
        w.i32(1);
        w.str(input);
        w.i32(live.len() as i32);
        for p in live {
            w.i32(p as i32);
            w.i32(-1);
            w.i64(positions[p]);
            w.i64(-1);
            w.i32(1 << 20);
        }
        w.i32(0);
        w.str("");
        socket.write_all(&w.fin()).unwrap();
        true
    };
    let mut more = fetch(&mut socket, &positions);
    let mut committed = Instant::now();
    let mut batches: Vec<(usize, usize)> = Vec::new();
    while more {
        read_frame(&mut socket, &mut frame);
        batches.clear();
        let mut r = R(&frame, 4);
        r.i32();
        assert!(r.i16() == 0);
        r.i32();
        for _ in 0..r.i32() {
            r.str();
            for _ in 0..r.i32() {
                let p = r.i32() as usize;
                assert!(r.i16() == 0, "fetch error");
                r.i64();
                r.i64();
                r.i64();
                for _ in 0..r.i32().max(0) {
                    r.i64();
                    r.i64();
                }
                r.i32();
                let bytes = r.i32().max(0) as usize;
                let (mut at, stop) = (r.1, r.1 + bytes);
                while stop - at >= HDR {
                    let base = i64::from_be_bytes(frame[at..at + 8].try_into().unwrap());
                    let len = 12
                        + i32::from_be_bytes(frame[at + 8..at + 12].try_into().unwrap()) as usize;
                    if at + len > stop {
                        break;
                    }
                    let last = i32::from_be_bytes(frame[at + 23..at + 27].try_into().unwrap());
                    positions[p] = base + i64::from(last) + 1;
                    batches.push((at, len));
                    at += len;
                }
                r.1 = stop;
            }
        }
        more = fetch(&mut socket, &positions);
        for &(at, len) in &batches {
            let batch = &frame[at..at + len];
            assert!(
                crc32c::crc32c(&batch[21..])
                    == u32::from_be_bytes(batch[17..21].try_into().unwrap()),
                "crc"
            );
            let (body, mut q) = (&batch[HDR..], 0);
            for _ in 0..i32::from_be_bytes(batch[57..61].try_into().unwrap()) {
                let record = get_varint(body, &mut q) as usize;
                let next = q + record;
                q += 1;
                get_varint(body, &mut q);
                get_varint(body, &mut q);
                let key = get_varint(body, &mut q);
                q += key.max(0) as usize;
                let value = get_varint(body, &mut q).max(0) as usize;
                counts.line(&body[q..q + value], &mut scratch);
                lines += 1;
                q = next;
            }
        }
        std::mem::swap(&mut frame, &mut spare);
        if committed.elapsed() >= Duration::from_millis(100) {
            out.commit(&mut counts);
            committed = Instant::now();
        }
    }
    out.commit(&mut counts);
    let words: u64 = counts.counts.iter().map(|(count, _)| count).sum();
    println!(
        "{{\"count\":{lines},\"words\":{words},\"keys\":{},\"written\":{},\"inner_s\":{:.4}}}",
        counts.words.len(),
        out.written,
        start.elapsed().as_secs_f64()
    );
}
