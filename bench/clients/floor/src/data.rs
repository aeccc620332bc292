//! The shared data sets: whole batches, to the partitions in turn.

use std::io::Write;

use crate::produce::Prod;
use crate::records::{HDR, append, now_ms, seal};
use crate::wire::{connect, create};

pub(crate) fn xs(s: &mut u64) -> u64 {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    *s
}
pub(crate) fn printable(s: &mut u64, out: &mut [u8]) {
    for c in out.chunks_mut(8) {
        let mut r = xs(s);
        for b in c {
            *b = b' ' + 1 + ((r & 0xff) * 93 / 256) as u8;
            r >>= 8;
        }
    }
}
pub(crate) fn jsonish(s: &mut u64, i: u64, out: &mut [u8]) {
    const EV: [&str; 8] = [
        "click", "view", "buy", "login", "logout", "search", "share", "error",
    ];
    const PG: [&str; 8] = [
        "home", "cart", "item", "help", "search", "account", "orders", "news",
    ];
    let r = xs(s);
    let t = format!(
        "{{\"id\":{:08},\"user\":\"u-{:05}\",\"event\":\"{}\",\"page\":\"/{}\",\"amount\":{}.{:02},\"ok\":true,\"ts\":17636{:08}}}",
        i,
        r % 50000,
        EV[(r >> 20) as usize & 7],
        PG[(r >> 24) as usize & 7],
        (r >> 30) % 90 + 10,
        (r >> 40) % 100,
        i / 10
    );
    let t = t.as_bytes();
    let n = t.len().min(out.len());
    out[..n].copy_from_slice(&t[..n]);
    out[n..].fill(b' ');
}
pub(crate) fn compress(codec: i16, body: &[u8]) -> Vec<u8> {
    match codec {
        3 => {
            let mut fi = lz4_flex::frame::FrameInfo::new();
            fi.block_size = lz4_flex::frame::BlockSize::Max64KB;
            let mut e = lz4_flex::frame::FrameEncoder::with_frame_info(fi, Vec::new());
            e.write_all(body).unwrap();
            e.finish().unwrap()
        }
        4 => zstd::bulk::compress(body, 3).unwrap(),
        _ => unreachable!(),
    }
}
/// gen TOPIC COUNT SIZE CODEC(0|3|4) BATCH_BYTES [PARTITIONS = 4] : whole batches go to partitions in turn.
pub(crate) fn generate(a: &[String]) {
    let (topic, count, size, codec, bb) = (
        a[0].clone(),
        a[1].parse::<u64>().unwrap(),
        a[2].parse::<usize>().unwrap(),
        a[3].parse::<i16>().unwrap(),
        a[4].parse::<usize>().unwrap(),
    );
    let parts: i32 = a.get(5).map_or(4, |count| count.parse().unwrap());
    create(&topic, parts);
    let mut p = Prod {
        s: connect(),
        topic,
        corr: 0,
        inflight: 0,
        buf: vec![],
    };
    let mut seed = 0x9E3779B97F4A7C15u64;
    let mut val = vec![0u8; size];
    let (mut i, mut part) = (0u64, 0i32);
    let (mut raw, mut stored) = (0usize, 0usize);
    let mut b: Vec<u8> = Vec::with_capacity(bb + 2048);
    while i < count {
        b.clear();
        b.resize(HDR, 0);
        let mut n = 0;
        while b.len() < bb && i < count {
            if codec == 0 {
                printable(&mut seed, &mut val)
            } else {
                jsonish(&mut seed, i, &mut val)
            }
            let key = format!("{i:08x}");
            append(&mut b, n, 0, key.as_bytes(), &val);
            n += 1;
            i += 1;
        }
        raw += b.len();
        if codec != 0 {
            let c = compress(codec, &b[HDR..]);
            b.truncate(HDR);
            b.extend_from_slice(&c);
        }
        stored += b.len();
        seal(&mut b, n as i32, codec, -1, -1, -1, now_ms());
        p.send(&[(part, &b)], 5);
        part = (part + 1) % parts;
    }
    while p.inflight > 0 {
        p.ack();
    }
    println!(
        "{{\"count\":{count},\"bytes\":{},\"raw\":{raw},\"stored\":{stored},\"ratio\":{:.2}}}",
        count * size as u64,
        raw as f64 / stored as f64
    );
}
