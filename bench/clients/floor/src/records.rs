//! Record batches by hand: varints, one record, the header over a finished body.

#[inline(always)]
pub(crate) fn put_varint(b: &mut Vec<u8>, v: i64) {
    let mut u = ((v << 1) ^ (v >> 63)) as u64;
    while u >= 0x80 {
        b.push(u as u8 | 0x80);
        u >>= 7;
    }
    b.push(u as u8);
}
#[inline(always)]
pub(crate) fn vlen(v: i64) -> usize {
    let u = ((v << 1) ^ (v >> 63)) as u64;
    (((64 - (u | 1).leading_zeros()) + 6) / 7) as usize
}
#[inline(always)]
pub(crate) fn get_varint(b: &[u8], p: &mut usize) -> i64 {
    let mut x = b[*p] as u64;
    *p += 1;
    if x < 0x80 {
        return ((x >> 1) as i64) ^ -((x & 1) as i64);
    }
    x &= 0x7f;
    let mut sh = 7;
    loop {
        let c = b[*p] as u64;
        *p += 1;
        x |= (c & 0x7f) << sh;
        if c < 0x80 {
            break;
        }
        sh += 7;
    }
    ((x >> 1) as i64) ^ -((x & 1) as i64)
}
pub(crate) const HDR: usize = 61;
pub(crate) fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
}
#[inline(always)]
pub(crate) fn append(body: &mut Vec<u8>, delta: i64, tsd: i64, key: &[u8], val: &[u8]) {
    let len = 1
        + vlen(tsd)
        + vlen(delta)
        + vlen(key.len() as i64)
        + key.len()
        + vlen(val.len() as i64)
        + val.len()
        + 1;
    put_varint(body, len as i64);
    body.push(0);
    put_varint(body, tsd);
    put_varint(body, delta);
    put_varint(body, key.len() as i64);
    body.extend_from_slice(key);
    put_varint(body, val.len() as i64);
    body.extend_from_slice(val);
    body.push(0);
}
/// Fill the 61-byte header of a batch whose body already sits behind it.
pub(crate) fn seal(b: &mut [u8], count: i32, codec: i16, pid: i64, epoch: i16, seq: i32, ts: i64) {
    let n = b.len();
    b[0..8].copy_from_slice(&0i64.to_be_bytes());
    b[8..12].copy_from_slice(&((n - 12) as i32).to_be_bytes());
    b[12..16].copy_from_slice(&(-1i32).to_be_bytes());
    b[16] = 2;
    b[21..23].copy_from_slice(&codec.to_be_bytes());
    b[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    b[27..35].copy_from_slice(&ts.to_be_bytes());
    b[35..43].copy_from_slice(&ts.to_be_bytes());
    b[43..51].copy_from_slice(&pid.to_be_bytes());
    b[51..53].copy_from_slice(&epoch.to_be_bytes());
    b[53..57].copy_from_slice(&seq.to_be_bytes());
    b[57..61].copy_from_slice(&count.to_be_bytes());
    let c = crc32c::crc32c(&b[21..]);
    b[17..21].copy_from_slice(&c.to_be_bytes());
}
