//! What a small program carries of the codec: three requests go to standard output, their answers come from standard input.
//!
//! `three_apis < ANSWERS > REQUESTS` speaks ApiVersions, Metadata and Fetch, without I/O of its own beyond that. It is there to be
//! weighed: `kafka-proto/compare/size.sh` says how much of its stripped binary is the codec.

use std::{
    error::Error,
    io::{Read as _, Write as _},
};

use bytes::{Bytes, BytesMut};
use kafka_proto::{
    messages::{
        ApiVersionsRequest, FetchRequest, Message as _, MetadataRequest, Request, ResponseHeader,
        encode_request,
        fetch::{FetchPartition, FetchTopic},
    },
    wire::{Framer, Reader, Text},
};

/// Kafka's own limit for requests (`socket.request.max.bytes`).
const FRAME_BYTES_MAX: usize = 100 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let topic = Text::from_static("orders");
    let fetch = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic,
            partitions: vec![FetchPartition {
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    send(&ApiVersionsRequest::default(), 3, 1)?;
    send(&MetadataRequest::default(), 12, 2)?;
    send(&fetch, 12, 3)?;

    let mut received = Vec::new();
    std::io::stdin().read_to_end(&mut received)?;
    let mut received = BytesMut::from(&received[..]);
    let versions = answer::<ApiVersionsRequest>(&mut received, 3)?;
    let metadata = answer::<MetadataRequest>(&mut received, 12)?;
    let records = answer::<FetchRequest>(&mut received, 12)?;
    let partitions = records.responses.iter().flat_map(|topic| &topic.partitions);
    eprintln!(
        "{} APIs, {} brokers, {} bytes of records",
        versions.api_keys.len(),
        metadata.brokers.len(),
        partitions
            .filter_map(|partition| partition.records.as_ref())
            .map(|records| records.len())
            .sum::<usize>()
    );
    Ok(())
}

fn send<R: Request>(request: &R, version: i16, correlation_id: i32) -> Result<(), Box<dyn Error>> {
    let frame = encode_request(request, version, correlation_id, None)?;
    Ok(std::io::stdout().write_all(&frame.into_bytes())?)
}

fn answer<R: Request>(
    received: &mut BytesMut,
    version: i16,
) -> Result<R::Response, Box<dyn Error>> {
    let frame: Bytes = Framer::new(FRAME_BYTES_MAX)
        .next(received)?
        .ok_or("an answer is missing")?;
    let mut r = Reader::new(frame);
    ResponseHeader::decode(&mut r, R::response_header_version(version))?;
    let response = R::Response::decode(&mut r, version)?;
    r.finish()?;
    Ok(response)
}
