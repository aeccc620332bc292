//! The few requests the harness needs, by hand and in old versions without flexible fields: the code under test has
//! no part in deciding whether the broker is up.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::SplitMix64;

const LIMIT: Duration = Duration::from_secs(10);

/// A fresh cluster id in Kafka's form: 16 bytes as base64 for URLs, without padding, never beginning with a dash.
pub(super) fn cluster_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut random = SplitMix64::new(now.as_nanos() as u64 ^ u64::from(std::process::id()) << 40);
    let mut digits: Vec<u8> = (0..22).map(|_| DIGITS[random.below(64) as usize]).collect();
    digits[0] = b'K';
    // 22 digits hold 132 bits: the last four of them must be zero.
    digits[21] = DIGITS[random.below(4) as usize * 16];
    String::from_utf8(digits).expect("base64 is ASCII")
}

/// Cluster id and number of live brokers, as a broker sees them (Metadata v2, no topics).
pub(super) fn cluster(address: SocketAddr) -> Result<(String, usize)> {
    let mut body = Vec::new();
    int32(&mut body, 0);
    let answer = call(address, 3, 2, &body)?;
    let mut answer = Cursor(&answer);
    let brokers = skip_brokers(&mut answer)?;
    Ok((answer.string()?.unwrap_or_default(), brokers))
}

/// A partition as a broker knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partition {
    pub(super) leader: i32,
    pub(super) replicas: i32,
    pub(super) in_sync: i32,
}

/// How many partitions of a topic have a leader.
pub(super) fn partitions_with_leader(address: SocketAddr, topic: &str) -> Result<usize> {
    let partitions = partitions(address, topic)?;
    Ok(partitions.iter().filter(|of| of.leader >= 0).count())
}

/// The partitions of a topic (Metadata v2), in their order; none while it is not there.
pub(super) fn partitions(address: SocketAddr, topic: &str) -> Result<Vec<Partition>> {
    let mut body = Vec::new();
    int32(&mut body, 1);
    string(&mut body, topic);
    let answer = call(address, 3, 2, &body)?;
    let mut answer = Cursor(&answer);
    skip_brokers(&mut answer)?;
    answer.string()?;
    answer.int32()?;
    answer.int32()?;
    let error = answer.int16()?;
    if error != 0 {
        return Ok(Vec::new());
    }
    answer.string()?;
    answer.take(1)?;
    let mut partitions = Vec::new();
    for _ in 0..answer.int32()? {
        let error = answer.int16()?;
        let index = answer.int32()?;
        let leader = answer.int32()?;
        let mut counts = [0; 2];
        for count in &mut counts {
            *count = answer.int32()?;
            answer.take(usize::try_from(*count).unwrap_or(0) * 4)?;
        }
        let [replicas, in_sync] = counts;
        let leader = if error == 0 { leader } else { -1 };
        partitions.push((
            index,
            Partition {
                leader,
                replicas,
                in_sync,
            },
        ));
    }
    partitions.sort_unstable_by_key(|(index, _)| *index);
    Ok(partitions
        .into_iter()
        .map(|(_, partition)| partition)
        .collect())
}

/// The offset after the last record of each partition (ListOffsets v1, read_uncommitted), from the one broker there is.
pub(super) fn end_offsets(address: SocketAddr, topic: &str, partitions: i32) -> Result<Vec<i64>> {
    let mut body = Vec::new();
    int32(&mut body, -1);
    int32(&mut body, 1);
    string(&mut body, topic);
    int32(&mut body, partitions);
    for partition in 0..partitions {
        int32(&mut body, partition);
        body.extend((-1i64).to_be_bytes());
    }
    let answer = call(address, 2, 1, &body)?;
    let mut answer = Cursor(&answer);
    let mut ends = vec![0; usize::try_from(partitions).unwrap_or(0)];
    answer.int32()?;
    answer.string()?;
    for _ in 0..answer.int32()? {
        let partition = usize::try_from(answer.int32()?).unwrap_or(usize::MAX);
        let error = answer.int16()?;
        answer.take(8)?;
        let offset =
            i64::from_be_bytes(answer.take(8)?.try_into().expect("eight bytes were taken"));
        if error != 0 {
            return Err(Error::other(format!(
                "partition {partition} answers error code {error}"
            )));
        }
        if let Some(end) = ends.get_mut(partition) {
            *end = offset;
        }
    }
    Ok(ends)
}

/// Creates a topic (CreateTopics v2) and returns the error code.
pub(super) fn create_topic(
    address: SocketAddr,
    topic: &str,
    partitions: i32,
    replication: i16,
    configs: &[(&str, &str)],
) -> Result<i16> {
    let mut body = Vec::new();
    int32(&mut body, 1);
    string(&mut body, topic);
    int32(&mut body, partitions);
    body.extend(replication.to_be_bytes());
    int32(&mut body, 0);
    int32(
        &mut body,
        i32::try_from(configs.len()).expect("few settings"),
    );
    for (name, value) in configs {
        string(&mut body, name);
        string(&mut body, value);
    }
    int32(&mut body, 10_000);
    body.push(0);
    let answer = call(address, 19, 2, &body)?;
    let mut answer = Cursor(&answer);
    answer.int32()?;
    answer.int32()?;
    answer.string()?;
    answer.int16()
}

fn skip_brokers(answer: &mut Cursor<'_>) -> Result<usize> {
    let brokers = answer.int32()?;
    for _ in 0..brokers {
        answer.int32()?;
        answer.string()?;
        answer.int32()?;
        answer.string()?;
    }
    Ok(usize::try_from(brokers).unwrap_or(0))
}

fn call(address: SocketAddr, key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    int32(&mut request, 1);
    string(&mut request, "test-support");
    request.extend(body);
    let mut socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_nodelay(true)?;
    let length = u32::try_from(request.len()).expect("a small request");
    socket.write_all(&[&length.to_be_bytes()[..], &request].concat())?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if !(4..1 << 20).contains(&length) {
        return Err(Error::new(ErrorKind::InvalidData, "not Kafka"));
    }
    let mut answer = vec![0; length as usize];
    socket.read_exact(&mut answer)?;
    Ok(answer.split_off(4))
}

fn int32(out: &mut Vec<u8>, value: i32) {
    out.extend(value.to_be_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend(
        i16::try_from(text.len())
            .expect("a short text")
            .to_be_bytes(),
    );
    out.extend(text.as_bytes());
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self, bytes: usize) -> Result<&[u8]> {
        let (head, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or_else(|| Error::new(ErrorKind::UnexpectedEof, "a cut answer"))?;
        self.0 = rest;
        Ok(head)
    }

    fn int16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(
            self.take(2)?.try_into().expect("two bytes were taken"),
        ))
    }

    fn int32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(
            self.take(4)?.try_into().expect("four bytes were taken"),
        ))
    }

    fn string(&mut self) -> Result<Option<String>> {
        let length = self.int16()?;
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        Ok(Some(
            String::from_utf8_lossy(self.take(length)?).into_owned(),
        ))
    }
}
