//! Producing: every record encoded once into its partition's batch, five requests in flight.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use crate::data::printable;
use crate::records::{HDR, append, now_ms, seal};
use crate::wire::{R, W, connect, init_pid, read_frame};

/// Produce request v8 for one or more (partition, batch).
pub(crate) fn produce_req(corr: i32, topic: &str, parts: &[(i32, &[u8])]) -> (Vec<u8>, usize) {
    let mut w = W::req(0, 8, corr);
    w.i16(-1); // transactional id null
    w.i16(-1); // acks all
    w.i32(30000);
    w.i32(1);
    w.str(topic);
    w.i32(parts.len() as i32);
    for (p, b) in parts {
        w.i32(*p);
        w.i32(b.len() as i32);
        w.0.extend_from_slice(b);
    }
    let n = w.0.len();
    (w.fin(), n)
}
pub(crate) struct Prod {
    pub(crate) s: TcpStream,
    pub(crate) topic: String,
    pub(crate) corr: i32,
    pub(crate) inflight: usize,
    pub(crate) buf: Vec<u8>,
}
impl Prod {
    pub(crate) fn send(&mut self, parts: &[(i32, &[u8])], max: usize) {
        while self.inflight >= max {
            self.ack();
        }
        self.corr += 1;
        if parts.len() == 1 {
            // header and batch written separately: the batch is not copied
            let (p, b) = parts[0];
            let mut w = W::req(0, 8, self.corr);
            w.i16(-1);
            w.i16(-1);
            w.i32(30000);
            w.i32(1);
            w.str(&self.topic);
            w.i32(1);
            w.i32(p);
            w.i32(b.len() as i32);
            let n = (w.0.len() - 4 + b.len()) as i32;
            w.0[0..4].copy_from_slice(&n.to_be_bytes());
            let io = [std::io::IoSlice::new(&w.0), std::io::IoSlice::new(b)];
            let done = self.s.write_vectored(&io).unwrap();
            if done < w.0.len() {
                self.s.write_all(&w.0[done..]).unwrap();
                self.s.write_all(b).unwrap();
            } else {
                self.s.write_all(&b[done - w.0.len()..]).unwrap();
            }
        } else {
            let (q, _) = produce_req(self.corr, &self.topic, parts);
            self.s.write_all(&q).unwrap();
        }
        self.inflight += 1;
    }
    pub(crate) fn ack(&mut self) {
        let mut b = std::mem::take(&mut self.buf);
        read_frame(&mut self.s, &mut b);
        let mut r = R(&b, 4);
        for _ in 0..r.i32() {
            r.str();
            for _ in 0..r.i32() {
                let p = r.i32();
                let e = r.i16();
                if e != 0 {
                    panic!("produce partition {p} error {e}");
                }
                r.i64();
                r.i64();
                r.i64();
                for _ in 0..r.i32() {
                    r.i32();
                    r.str();
                }
                r.str();
            }
        }
        self.buf = b;
        self.inflight -= 1;
    }
}
pub(crate) fn murmur2(d: &[u8]) -> u32 {
    let m = 0x5bd1e995u32;
    let mut h = 0x9747b28cu32 ^ d.len() as u32;
    let mut it = d.chunks_exact(4);
    for c in &mut it {
        let mut k = u32::from_le_bytes(c.try_into().unwrap());
        k = k.wrapping_mul(m);
        k ^= k >> 24;
        k = k.wrapping_mul(m);
        h = h.wrapping_mul(m);
        h ^= k;
    }
    let t = it.remainder();
    if t.len() > 2 {
        h ^= (t[2] as u32) << 16;
    }
    if t.len() > 1 {
        h ^= (t[1] as u32) << 8;
    }
    if !t.is_empty() {
        h ^= t[0] as u32;
        h = h.wrapping_mul(m);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(m);
    h ^= h >> 15;
    h
}
/// produce TOPIC COUNT SIZE MODE(prebuilt|build) : prebuilt reuses 4 ready bodies, patches
/// pid/sequence, computes CRC per send. build encodes every record and partitions by murmur2.
pub(crate) fn produce(a: &[String]) {
    let (topic, count, size, mode) = (
        a[0].clone(),
        a[1].parse::<u64>().unwrap(),
        a[2].parse::<usize>().unwrap(),
        a[3].as_str(),
    );
    let bb = 128 * 1024;
    let mut seed = 0x9E3779B97F4A7C15u64;
    let pool: Vec<Vec<u8>> = (0..4096)
        .map(|_| {
            let mut v = vec![0u8; size];
            printable(&mut seed, &mut v);
            v
        })
        .collect();
    let mut s = connect();
    let (pid, ep) = init_pid(&mut s);
    let mut p = Prod {
        s,
        topic,
        corr: 10,
        inflight: 0,
        buf: vec![],
    };
    let mut seq = [0i32; 4];
    let t0 = Instant::now();
    let mut done = 0u64;
    if mode == "prebuilt" {
        let mut bodies: Vec<(Vec<u8>, i32)> = (0..4)
            .map(|k| {
                let mut b = vec![0u8; HDR];
                let mut n = 0i64;
                while b.len() + size + 24 <= bb {
                    append(
                        &mut b,
                        n,
                        0,
                        format!("{n:08x}").as_bytes(),
                        &pool[(n as usize + k * 977) & 4095],
                    );
                    n += 1;
                }
                (b, n as i32)
            })
            .collect();
        let mut part = 0usize;
        while done < count {
            let (b, n) = &mut bodies[part];
            seal(b, *n, 0, pid, ep, seq[part], now_ms());
            p.send(&[(part as i32, &b[..])], 5);
            seq[part] += *n;
            done += *n as u64;
            part = (part + 1) & 3;
        }
    } else {
        let mut bat: Vec<(Vec<u8>, i32, i64)> =
            (0..4).map(|_| (vec![0u8; HDR], 0, now_ms())).collect();
        let mut key = *b"00000000";
        let hx = b"0123456789abcdef";
        while done < count {
            for k in 0..8 {
                key[7 - k] = hx[(done >> (4 * k)) as usize & 15];
            }
            let part = ((murmur2(&key) & 0x7fffffff) % 4) as usize;
            let (b, n, ts) = &mut bat[part];
            if b.len() + size + 24 > bb {
                seal(b, *n, 0, pid, ep, seq[part], *ts);
                p.send(&[(part as i32, &b[..])], 5);
                seq[part] += *n;
                b.truncate(HDR);
                *n = 0;
                *ts = now_ms();
            }
            append(b, *n as i64, 0, &key, &pool[done as usize & 4095]);
            *n += 1;
            done += 1;
        }
        for part in 0..4 {
            let (b, n, ts) = &mut bat[part];
            if *n > 0 {
                seal(b, *n, 0, pid, ep, seq[part], *ts);
                p.send(&[(part as i32, &b[..])], 5);
            }
        }
    }
    while p.inflight > 0 {
        p.ack();
    }
    println!(
        "{{\"count\":{done},\"bytes\":{},\"inner_s\":{:.4}}}",
        done * size as u64,
        t0.elapsed().as_secs_f64()
    );
}
