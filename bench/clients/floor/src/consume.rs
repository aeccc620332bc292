//! Consuming: the next fetch leaves before this one is walked; one reused buffer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::records::{HDR, get_varint};
use crate::wire::{R, W, connect, list_offsets, read_frame};

/// consume TOPIC EXPECTED MODE(walk|nowalk|nocrc) [PART_MAX_BYTES] [serial]
pub(crate) fn consume(a: &[String]) {
    let (topic, mode) = (a[0].clone(), a[2].as_str());
    let pmax: i32 = a.get(3).map(|x| x.parse().unwrap()).unwrap_or(1 << 20);
    let serial = a.get(4).map(|x| x == "serial").unwrap_or(false);
    let parts = 4;
    let t0 = Instant::now();
    let mut s = connect();
    let end = list_offsets(&mut s, &topic, parts, -1);
    let mut pos = list_offsets(&mut s, &topic, parts, -2);
    let mut corr = 100;
    let mut fetch = |s: &mut TcpStream, pos: &[i64]| -> bool {
        let live: Vec<usize> = (0..parts as usize).filter(|&p| pos[p] < end[p]).collect();
        if live.is_empty() {
            return false;
        }
        corr += 1;
        let mut w = W::req(1, 11, corr);
        w.i32(-1);
        w.i32(500);
        w.i32(1);
        w.i32(50 << 20);
        w.i8(0);
        w.i32(0);
        w.i32(-1);
        w.i32(1);
        w.str(&topic);
        w.i32(live.len() as i32);
        for p in live {
            w.i32(p as i32);
            w.i32(-1);
            w.i64(pos[p]);
            w.i64(-1);
            w.i32(pmax);
        }
        w.i32(0);
        w.str("");
        s.write_all(&w.fin()).unwrap();
        true
    };
    let (mut count, mut bytes) = (0u64, 0u64);
    let mut buf: Vec<u8> = Vec::new();
    let mut spare: Vec<u8> = Vec::new();
    let mut more = fetch(&mut s, &pos);
    let mut batches: Vec<(usize, usize)> = Vec::new();
    let mut scratch: Vec<u8> = vec![0; 4 << 20];
    let mut zd = zstd::bulk::Decompressor::new().unwrap();
    while more {
        read_frame(&mut s, &mut buf);
        batches.clear();
        {
            let mut r = R(&buf, 4);
            r.i32();
            assert!(r.i16() == 0);
            r.i32();
            for _ in 0..r.i32() {
                r.str();
                for _ in 0..r.i32() {
                    let p = r.i32() as usize;
                    let e = r.i16();
                    assert!(e == 0, "fetch error {e}");
                    r.i64();
                    r.i64();
                    r.i64();
                    let na = r.i32();
                    for _ in 0..na.max(0) {
                        r.i64();
                        r.i64();
                    }
                    r.i32();
                    let n = r.i32().max(0) as usize;
                    let (mut o, stop) = (r.1, r.1 + n);
                    while stop - o >= HDR {
                        let base = i64::from_be_bytes(buf[o..o + 8].try_into().unwrap());
                        let len = 12
                            + i32::from_be_bytes(buf[o + 8..o + 12].try_into().unwrap()) as usize;
                        if o + len > stop {
                            break;
                        } // partial batch at the end
                        let last = i32::from_be_bytes(buf[o + 23..o + 27].try_into().unwrap());
                        pos[p] = base + last as i64 + 1;
                        batches.push((o, len));
                        o += len;
                    }
                    r.1 = stop;
                }
            }
        }
        if !serial {
            more = fetch(&mut s, &pos);
        }
        for &(o, len) in &batches {
            let b = &buf[o..o + len];
            if mode != "nocrc" {
                let want = u32::from_be_bytes(b[17..21].try_into().unwrap());
                assert!(crc32c::crc32c(&b[21..]) == want, "crc");
            }
            let n = i32::from_be_bytes(b[57..61].try_into().unwrap());
            let codec = b[22] & 7;
            let body: &[u8] = match codec {
                0 => &b[HDR..],
                3 => {
                    let mut d = lz4_flex::frame::FrameDecoder::new(&b[HDR..]);
                    let mut k = 0;
                    loop {
                        if k == scratch.len() {
                            scratch.resize(k * 2, 0);
                        }
                        let m = d.read(&mut scratch[k..]).unwrap();
                        if m == 0 {
                            break;
                        }
                        k += m;
                    }
                    &scratch[..k]
                }
                4 => {
                    let k = zd
                        .decompress_to_buffer(&b[HDR..], &mut scratch[..])
                        .unwrap();
                    &scratch[..k]
                }
                _ => panic!("codec"),
            };
            count += n as u64;
            if mode == "nowalk" {
                bytes += body.len() as u64;
                continue;
            }
            let mut q = 0usize;
            for _ in 0..n {
                let l = get_varint(body, &mut q) as usize;
                let next = q + l;
                q += 1;
                get_varint(body, &mut q);
                get_varint(body, &mut q);
                let kl = get_varint(body, &mut q);
                if kl > 0 {
                    q += kl as usize;
                }
                let vl = get_varint(body, &mut q);
                if vl > 0 {
                    bytes += vl as u64;
                }
                q = next;
            }
            assert!(q == body.len());
        }
        if serial {
            more = fetch(&mut s, &pos);
        }
        std::mem::swap(&mut buf, &mut spare);
    }
    println!(
        "{{\"count\":{count},\"bytes\":{bytes},\"inner_s\":{:.4}}}",
        t0.elapsed().as_secs_f64()
    );
}

/// first TOPIC : prints as soon as the first record is there.
pub(crate) fn first(topic: &str) {
    let mut socket = connect();
    let mut w = W::req(1, 11, 1);
    w.i32(-1);
    w.i32(500);
    w.i32(1);
    w.i32(50 << 20);
    w.i8(0);
    w.i32(0);
    w.i32(-1);
    w.i32(1);
    w.str(topic);
    w.i32(1);
    w.i32(0);
    w.i32(-1);
    w.i64(0);
    w.i64(-1);
    w.i32(1 << 20);
    w.i32(0);
    w.str("");
    socket.write_all(&w.fin()).unwrap();
    let mut frame = Vec::new();
    assert!(read_frame(&mut socket, &mut frame) > 100, "an empty answer");
    println!("FIRST");
}
