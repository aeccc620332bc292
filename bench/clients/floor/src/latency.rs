//! Latency at a steady rate: one record a request, one fetch always waiting at the broker.

use std::io::Write;
use std::time::Instant;

use crate::produce::{Prod, murmur2};
use crate::records::{HDR, append, get_varint, now_ms, seal};
use crate::wire::{R, W, connect, init_pid, list_offsets, read_frame};

/// latency TOPIC RATE SECS : one single-record batch per record on one connection (5 in flight),
/// one consumer connection that always has one Fetch waiting at the broker.
pub(crate) fn latency(a: &[String]) {
    let (topic, rate, secs) = (
        a[0].clone(),
        a[1].parse::<u64>().unwrap(),
        a[2].parse::<u64>().unwrap(),
    );
    let total = rate * (secs + 2);
    let t0 = Instant::now();
    let mut s = connect();
    let mut pos = list_offsets(&mut s, &topic, 4, -2);
    let tp = topic.clone();
    let h = std::thread::spawn(move || {
        let mut c = connect();
        let (pid, ep) = init_pid(&mut c);
        let mut p = Prod {
            s: c,
            topic: tp,
            corr: 10,
            inflight: 0,
            buf: vec![],
        };
        let mut seq = [0i32; 4];
        std::thread::sleep(std::time::Duration::from_secs(1));
        let start = Instant::now();
        let mut v = [b'x'; 100];
        let mut b = Vec::new();
        for i in 0..total {
            let due = start + std::time::Duration::from_nanos(i * 1_000_000_000 / rate);
            let now = Instant::now();
            if due > now {
                std::thread::sleep(due - now);
            }
            let k = format!("{i:08x}");
            let part = ((murmur2(k.as_bytes()) & 0x7fffffff) % 4) as usize;
            v[..8].copy_from_slice(&(t0.elapsed().as_nanos() as u64).to_be_bytes());
            b.clear();
            b.resize(HDR, 0);
            append(&mut b, 0, 0, k.as_bytes(), &v);
            seal(&mut b, 1, 0, pid, ep, seq[part], now_ms());
            seq[part] += 1;
            p.send(&[(part as i32, &b[..])], 5);
        }
        while p.inflight > 0 {
            p.ack();
        }
    });
    let (mut n, mut out, mut buf, mut corr) = (0u64, Vec::new(), Vec::new(), 500);
    while n < total {
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
        w.i32(4);
        for p in 0..4 {
            w.i32(p);
            w.i32(-1);
            w.i64(pos[p as usize]);
            w.i64(-1);
            w.i32(1 << 20);
        }
        w.i32(0);
        w.str("");
        s.write_all(&w.fin()).unwrap();
        read_frame(&mut s, &mut buf);
        let mut r = R(&buf, 4);
        r.i32();
        assert!(r.i16() == 0);
        r.i32();
        for _ in 0..r.i32() {
            r.str();
            for _ in 0..r.i32() {
                let p = r.i32() as usize;
                assert!(r.i16() == 0);
                r.i64();
                r.i64();
                r.i64();
                for _ in 0..r.i32().max(0) {
                    r.i64();
                    r.i64();
                }
                r.i32();
                let len = r.i32().max(0) as usize;
                let (mut o, stop) = (r.1, r.1 + len);
                while stop - o >= HDR {
                    let base = i64::from_be_bytes(buf[o..o + 8].try_into().unwrap());
                    let bl =
                        12 + i32::from_be_bytes(buf[o + 8..o + 12].try_into().unwrap()) as usize;
                    if o + bl > stop {
                        break;
                    }
                    pos[p] = base + 1;
                    assert!(
                        u32::from_be_bytes(buf[o + 17..o + 21].try_into().unwrap())
                            == crc32c::crc32c(&buf[o + 21..o + bl])
                    );
                    let mut q = o + HDR;
                    get_varint(&buf, &mut q);
                    q += 1;
                    get_varint(&buf, &mut q);
                    get_varint(&buf, &mut q);
                    q += get_varint(&buf, &mut q) as usize;
                    get_varint(&buf, &mut q);
                    let sent = u64::from_be_bytes(buf[q..q + 8].try_into().unwrap());
                    n += 1;
                    if n > 2 * rate {
                        out.push(t0.elapsed().as_nanos() as u64 - sent);
                    }
                    o += bl;
                }
                r.1 = stop;
            }
        }
    }
    h.join().unwrap();
    out.sort();
    let q = |f: f64| out[((out.len() - 1) as f64 * f) as usize] as f64 / 1e6;
    println!(
        "{{\"count\":{},\"bytes\":0,\"p50_ms\":{:.3},\"p99_ms\":{:.3},\"max_ms\":{:.3}}}",
        out.len(),
        q(0.5),
        q(0.99),
        q(1.0)
    );
}
