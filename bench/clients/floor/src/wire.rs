//! Hand-made requests over a blocking socket: one buffer out, one buffer in.

use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) fn env(k: &str, d: &str) -> String {
    std::env::var(k).unwrap_or_else(|_| d.into())
}

pub(crate) struct W(pub(crate) Vec<u8>);
impl W {
    pub(crate) fn req(api: i16, ver: i16, corr: i32) -> W {
        let mut w = W(Vec::with_capacity(512));
        w.i32(0);
        w.i16(api);
        w.i16(ver);
        w.i32(corr);
        w.str("floor");
        w
    }
    pub(crate) fn i8(&mut self, v: i8) {
        self.0.push(v as u8)
    }
    pub(crate) fn i16(&mut self, v: i16) {
        self.0.extend_from_slice(&v.to_be_bytes())
    }
    pub(crate) fn i32(&mut self, v: i32) {
        self.0.extend_from_slice(&v.to_be_bytes())
    }
    pub(crate) fn i64(&mut self, v: i64) {
        self.0.extend_from_slice(&v.to_be_bytes())
    }
    pub(crate) fn str(&mut self, s: &str) {
        self.i16(s.len() as i16);
        self.0.extend_from_slice(s.as_bytes())
    }
    pub(crate) fn fin(mut self) -> Vec<u8> {
        let n = (self.0.len() - 4) as i32;
        self.0[0..4].copy_from_slice(&n.to_be_bytes());
        self.0
    }
}
pub(crate) struct R<'a>(pub(crate) &'a [u8], pub(crate) usize);
impl<'a> R<'a> {
    pub(crate) fn i16(&mut self) -> i16 {
        let v = i16::from_be_bytes(self.0[self.1..self.1 + 2].try_into().unwrap());
        self.1 += 2;
        v
    }
    pub(crate) fn i32(&mut self) -> i32 {
        let v = i32::from_be_bytes(self.0[self.1..self.1 + 4].try_into().unwrap());
        self.1 += 4;
        v
    }
    pub(crate) fn i64(&mut self) -> i64 {
        let v = i64::from_be_bytes(self.0[self.1..self.1 + 8].try_into().unwrap());
        self.1 += 8;
        v
    }
    pub(crate) fn str(&mut self) -> &'a str {
        let n = self.i16();
        if n < 0 {
            return "";
        }
        let s = &self.0[self.1..self.1 + n as usize];
        self.1 += n as usize;
        std::str::from_utf8(s).unwrap()
    }
}
pub(crate) fn connect() -> TcpStream {
    let s = TcpStream::connect(env("BOOTSTRAP", "127.0.0.1:9092")).expect("connect");
    s.set_nodelay(true).unwrap();
    s
}
pub(crate) fn read_frame(s: &mut TcpStream, buf: &mut Vec<u8>) -> usize {
    let mut h = [0u8; 4];
    s.read_exact(&mut h).unwrap();
    let n = i32::from_be_bytes(h) as usize;
    if buf.len() < n {
        buf.resize(n, 0);
    } // grows once, then reused
    s.read_exact(&mut buf[..n]).unwrap();
    n
}
pub(crate) fn call(s: &mut TcpStream, req: Vec<u8>) -> Vec<u8> {
    s.write_all(&req).unwrap();
    let mut b = Vec::new();
    read_frame(s, &mut b);
    b
}
pub(crate) fn create(t: &str, parts: i32) {
    let mut s = connect();
    let mut w = W::req(19, 2, 1);
    w.i32(1);
    w.str(t);
    w.i32(parts);
    w.i16(1);
    w.i32(0);
    w.i32(0);
    w.i32(30000);
    w.i8(0);
    let b = call(&mut s, w.fin());
    let mut r = R(&b, 4);
    r.i32();
    r.i32();
    let n = r.str().to_string();
    let e = r.i16();
    println!("create {n}: error {e}");
    if e == 0 {
        while try_list_offsets(&mut connect(), t, parts, -1).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        std::thread::sleep(std::time::Duration::from_millis(800));
    }
}
pub(crate) fn delete(t: &str) {
    let mut s = connect();
    let mut w = W::req(20, 1, 1);
    w.i32(1);
    w.str(t);
    w.i32(30000);
    let b = call(&mut s, w.fin());
    let mut r = R(&b, 4);
    r.i32();
    r.i32();
    let n = r.str().to_string();
    let e = r.i16();
    println!("delete {n}: error {e}");
}
pub(crate) fn init_pid(s: &mut TcpStream) -> (i64, i16) {
    loop {
        let mut w = W::req(22, 1, 2);
        w.i16(-1);
        w.i32(60000);
        let b = call(s, w.fin());
        let mut r = R(&b, 4);
        r.i32();
        let e = r.i16();
        let p = r.i64();
        let ep = r.i16();
        if e == 0 {
            return (p, ep);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
pub(crate) fn list_offsets(s: &mut TcpStream, topic: &str, parts: i32, ts: i64) -> Vec<i64> {
    try_list_offsets(s, topic, parts, ts).unwrap_or_else(|e| panic!("list offsets {e}"))
}
/// The error code of a partition that has no leader yet, if there is one.
fn try_list_offsets(s: &mut TcpStream, topic: &str, parts: i32, ts: i64) -> Result<Vec<i64>, i16> {
    let mut w = W::req(2, 2, 3);
    w.i32(-1);
    w.i8(0);
    w.i32(1);
    w.str(topic);
    w.i32(parts);
    for p in 0..parts {
        w.i32(p);
        w.i64(ts);
    }
    let b = call(s, w.fin());
    let mut r = R(&b, 4);
    r.i32();
    let mut out = vec![0; parts as usize];
    for _ in 0..r.i32() {
        r.str();
        for _ in 0..r.i32() {
            let p = r.i32();
            let e = r.i16();
            if e != 0 {
                return Err(e);
            }
            r.i64();
            out[p as usize] = r.i64();
        }
    }
    Ok(out)
}
