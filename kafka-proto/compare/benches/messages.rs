//! Decoding and encoding messages: ours, the generated crate `kafka-protocol`, and a floor written by hand for the one layout.
//!
//! `cargo bench --manifest-path kafka-proto/compare/Cargo.toml`. CPU time of one thread, arms in turn, ratios to the floor.

use std::hint::black_box;

use bytes::{Buf, Bytes, BytesMut};
use kafka_proto::{
    messages::{
        FetchResponse, Message as _, ProduceRequest,
        fetch::{FetchableTopicResponse, PartitionData},
        produce::{PartitionProduceData, TopicProduceData},
    },
    wire::{Records, Text, Writer},
};
use kafka_protocol::protocol::{Decodable, Encodable};
use test_support::measure::Paired;

#[global_allocator]
static ALLOCATOR: test_support::CountingAllocator = test_support::CountingAllocator;

const VERSION: i16 = 12;
const ROUNDS: usize = 21;

fn topics(partitions: usize) -> impl Iterator<Item = (Text, std::ops::Range<i32>)> {
    let each = partitions.min(16);
    (0..partitions / each)
        .map(move |topic| (Text::from(format!("orders-eu-{topic:03}")), 0..each as i32))
}

fn fetch_response(partitions: usize, records_bytes: usize) -> FetchResponse {
    let partition = |index| PartitionData {
        partition_index: index,
        high_watermark: 1_000_000,
        last_stable_offset: 1_000_000,
        log_start_offset: 0,
        aborted_transactions: None,
        records: Some(Records::from(Bytes::from(vec![7; records_bytes]))),
        ..Default::default()
    };
    let responses = topics(partitions).map(|(topic, indexes)| FetchableTopicResponse {
        topic,
        partitions: indexes.map(partition).collect(),
        ..Default::default()
    });
    FetchResponse {
        session_id: 5,
        responses: responses.collect(),
        ..Default::default()
    }
}

fn produce_request(partitions: usize, records_bytes: usize) -> ProduceRequest {
    let partition = |index| PartitionProduceData {
        index,
        records: Some(Records::from(Bytes::from(vec![7; records_bytes]))),
    };
    let topic_data = topics(partitions).map(|(name, indexes)| TopicProduceData {
        name,
        partition_data: indexes.map(partition).collect(),
        ..Default::default()
    });
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: topic_data.collect(),
        transactional_id: None,
    }
}

/// What a reader of this one layout needs, written by hand: Fetch version 12.
mod floor {
    use super::{Buf, Bytes};

    #[expect(dead_code, reason = "filled, and read by nobody")]
    pub(super) struct Partition {
        index: i32,
        error_code: i16,
        high_watermark: i64,
        last_stable_offset: i64,
        log_start_offset: i64,
        preferred_read_replica: i32,
        records: Bytes,
    }

    fn varint(bytes: &mut Bytes) -> Option<usize> {
        let (mut value, mut shift) = (0usize, 0);
        loop {
            if !bytes.has_remaining() || shift > 28 {
                return None;
            }
            let byte = bytes.get_u8();
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }

    fn take(bytes: &mut Bytes) -> Option<Bytes> {
        let len = varint(bytes)?.checked_sub(1)?;
        (len <= bytes.len()).then(|| bytes.split_to(len))
    }

    pub(super) fn fetch(mut bytes: Bytes) -> Option<Vec<(Bytes, Vec<Partition>)>> {
        if bytes.remaining() < 10 {
            return None;
        }
        bytes.advance(10);
        let count = varint(&mut bytes)?.checked_sub(1)?;
        let mut topics = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            let topic = take(&mut bytes)?;
            std::str::from_utf8(&topic).ok()?;
            let count = varint(&mut bytes)?.checked_sub(1)?;
            let mut partitions = Vec::with_capacity(count.min(1024));
            for _ in 0..count {
                if bytes.remaining() < 35 {
                    return None;
                }
                let (index, error_code) = (bytes.get_i32(), bytes.get_i16());
                let (high_watermark, last_stable_offset, log_start_offset) =
                    (bytes.get_i64(), bytes.get_i64(), bytes.get_i64());
                // No transactions were aborted.
                (bytes.get_u8() == 0).then_some(())?;
                let preferred_read_replica = bytes.get_i32();
                let records = take(&mut bytes)?;
                (varint(&mut bytes)? == 0).then_some(())?;
                partitions.push(Partition {
                    index,
                    error_code,
                    high_watermark,
                    last_stable_offset,
                    log_start_offset,
                    preferred_read_replica,
                    records,
                });
            }
            (varint(&mut bytes)? == 0).then_some(())?;
            topics.push((topic, partitions));
        }
        (varint(&mut bytes)? == 0).then_some(topics)
    }

    fn put_varint(out: &mut Vec<u8>, mut value: usize) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    pub(super) fn produce(request: &kafka_proto::messages::ProduceRequest) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(0);
        out.extend(request.acks.to_be_bytes());
        out.extend(request.timeout_ms.to_be_bytes());
        put_varint(&mut out, request.topic_data.len() + 1);
        for topic in &request.topic_data {
            put_varint(&mut out, topic.name.as_utf8().len() + 1);
            out.extend_from_slice(topic.name.as_utf8());
            put_varint(&mut out, topic.partition_data.len() + 1);
            for partition in &topic.partition_data {
                out.extend(partition.index.to_be_bytes());
                let records = partition
                    .records
                    .as_ref()
                    .map(|records| &records.head[..])
                    .unwrap_or_default();
                put_varint(&mut out, records.len() + 1);
                out.extend_from_slice(records);
                out.push(0);
            }
            out.push(0);
        }
        out.push(0);
        out
    }
}

fn bench_fetch(partitions: usize, records_bytes: usize) {
    let frame = fetch_response(partitions, records_bytes)
        .to_bytes(VERSION)
        .expect("it fits");
    assert!(floor::fetch(frame.clone()).is_some());
    let repeat = 200_000 / partitions;
    let table = Paired::new(
        &format!("decode Fetch v12, {partitions} partitions of {records_bytes} B: ns a partition"),
        ROUNDS,
    )
    .arm("by hand", || {
        for _ in 0..repeat {
            black_box(floor::fetch(black_box(frame.clone())));
        }
        (repeat * partitions) as u64
    })
    .arm("kafka-proto", || {
        for _ in 0..repeat {
            let _ = black_box(FetchResponse::from_bytes(black_box(frame.clone()), VERSION));
        }
        (repeat * partitions) as u64
    })
    .arm("kafka-protocol", || {
        for _ in 0..repeat {
            let mut bytes = black_box(frame.clone());
            let _ = black_box(kafka_protocol::messages::FetchResponse::decode(
                &mut bytes, VERSION,
            ));
        }
        (repeat * partitions) as u64
    })
    .run();
    println!("{table}");
}

fn bench_produce(partitions: usize, records_bytes: usize) {
    let request = produce_request(partitions, records_bytes);
    let bytes = request.to_bytes(VERSION).expect("it fits");
    assert_eq!(floor::produce(&request), bytes);
    let theirs = kafka_protocol::messages::ProduceRequest::decode(&mut bytes.clone(), VERSION)
        .expect("it decodes");
    let repeat = (100_000 / partitions).max(1).min((1 << 28) / bytes.len());
    let table = Paired::new(
        &format!(
            "encode Produce v12, {partitions} partitions of {records_bytes} B: ns a partition"
        ),
        ROUNDS,
    )
    .arm("by hand, copied", || {
        for _ in 0..repeat {
            black_box(floor::produce(black_box(&request)));
        }
        (repeat * partitions) as u64
    })
    .arm("kafka-proto, pieces", || {
        for _ in 0..repeat {
            let mut w = Writer::new();
            let _ = black_box(&request).encode(&mut w, VERSION);
            black_box(w.finish());
        }
        (repeat * partitions) as u64
    })
    .arm("kafka-proto, copied", || {
        for _ in 0..repeat {
            let _ = black_box(black_box(&request).to_bytes(VERSION));
        }
        (repeat * partitions) as u64
    })
    .arm("kafka-protocol", || {
        for _ in 0..repeat {
            let mut out = BytesMut::new();
            let _ = black_box(&theirs).encode(&mut out, VERSION);
            black_box(out);
        }
        (repeat * partitions) as u64
    })
    .run();
    println!("{table}");
}

fn main() {
    bench_fetch(256, 1024);
    bench_fetch(1024, 100);
    bench_fetch(16, 65_536);
    bench_produce(256, 1024);
    bench_produce(256, 100);
    bench_produce(16, 65_536);
}
