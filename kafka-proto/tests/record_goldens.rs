//! Record batches made by Apache Kafka: read to the same records, and written to the same bytes. Broken ones: refused or survived.
#![cfg(feature = "compression")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{fs::File, io::Read, path::Path};

use bytes::Bytes;
use kafka_proto::records::{
    Batch, BatchBuilder, Codec, Compression, ControlType, Decompressor, Placement, RecordError,
    Stamp, TimestampType, batches,
};
use serde_json::{Value, json};

/// Far above every good vector, below what the bombs inflate to.
const LIMIT: usize = 8 << 20;

fn vectors(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/goldens")
        .join(name);
    let mut text = String::new();
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> Value {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

fn hex_or_null(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, hex)
}

fn header_fields(batch: &Batch, position: usize) -> Value {
    let timestamp_type = match batch.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
        TimestampType::NoTimestamp => "NoTimestampType",
    };
    let mut fields = json!({
        "magic": batch.magic(), "baseOffset": batch.base_offset(), "lastOffset": batch.last_offset(),
        "maxTimestamp": batch.max_timestamp(), "timestampType": timestamp_type, "records": batch.record_count(),
    });
    if batch.magic() == 2 {
        let more = json!({
            "position": position, "sizeInBytes": batch.size_bytes(), "batchLength": batch.size_bytes() - 12,
            "partitionLeaderEpoch": batch.partition_leader_epoch(), "crc": batch.crc(),
            "attributes": batch.attributes(), "lastOffsetDelta": batch.last_offset_delta(),
            "baseTimestamp": batch.base_timestamp(), "producerId": batch.producer_id(),
            "producerEpoch": batch.producer_epoch(), "baseSequence": batch.base_sequence(),
            "lastSequence": batch.last_sequence(), "recordCount": batch.record_count(),
            "isTransactional": batch.is_transactional(), "isControl": batch.is_control(),
            "deleteHorizonMs": batch.delete_horizon_ms(), "compression": batch.compression().name(),
        });
        fields
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
    }
    fields
}

fn record_fields(batch: &Batch, body: &[u8]) -> Result<Vec<Value>, RecordError> {
    let mut found = Vec::new();
    for record in batch.records(body) {
        let record = record?;
        let headers: Vec<Value> = record
            .headers
            .map(|header| json!([header.name(), hex_or_null(header.value())]))
            .collect();
        let mut fields = json!({
            "offset": record.offset, "timestamp": record.timestamp, "keyHex": hex_or_null(record.key),
            "valueHex": hex_or_null(record.value), "headers": headers,
        });
        if batch.base_sequence() >= 0 {
            let delta = (record.offset - batch.base_offset()) as i32;
            fields["sequence"] = (batch.base_sequence().wrapping_add(delta) & i32::MAX).into();
        }
        if batch.is_control() {
            let name = match ControlType::from_key(record.key.unwrap()).unwrap() {
                ControlType::Abort => "ABORT",
                ControlType::Commit => "COMMIT",
                ControlType::LeaderChange => "LEADER_CHANGE",
                ControlType::SnapshotHeader => "SNAPSHOT_HEADER",
                ControlType::SnapshotFooter => "SNAPSHOT_FOOTER",
                ControlType::KraftVersion => "KRAFT_VERSION",
                ControlType::KraftVoters => "KRAFT_VOTERS",
                _ => "UNKNOWN",
            };
            fields["controlType"] = name.into();
        }
        found.push(fields);
    }
    Ok(found)
}

fn written_again(batch: &Batch, body: &[u8], compression: Compression) -> Bytes {
    let horizon = batch.delete_horizon_ms().is_some();
    let log_append = batch.timestamp_type() == TimestampType::LogAppendTime;
    let mut builder = BatchBuilder::new(compression, body.len());
    if batch.base_timestamp() != -1 {
        builder = builder.with_base_timestamp(batch.base_timestamp());
    }
    // Log-append time hides the deltas, so the records of such a batch are read as if it had none.
    let mut plain = batch.bytes().to_vec();
    plain[22] &= !0x08;
    for record in Batch::new(plain.into()).unwrap().records(body) {
        let record = record.unwrap();
        builder
            .append_at((record.offset - batch.base_offset()) as i32, &record)
            .unwrap();
    }
    let stamp = Stamp {
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
        transactional: batch.is_transactional(),
    };
    let placement = Placement {
        base_offset: batch.base_offset(),
        partition_leader_epoch: batch.partition_leader_epoch(),
        last_offset_delta: Some(batch.last_offset_delta()),
        log_append_time: log_append.then(|| batch.max_timestamp()),
        delete_horizon: horizon,
        max_timestamp: Some(batch.max_timestamp()),
        control: batch.is_control(),
    };
    builder.finish_at(stamp, placement).unwrap()
}

#[test]
fn batches_of_kafka_are_read_to_the_same_records_and_written_to_the_same_bytes() {
    let mut exact = 0;
    for vector in vectors("records.jsonl.gz") {
        let name = vector["name"].as_str().unwrap();
        let bytes = Bytes::from(unhex(vector["hex"].as_str().unwrap()));
        let expected = match &vector["batches"] {
            Value::Array(all) => all.clone(),
            _ => vec![vector["batch"].clone()],
        };
        let mut decompressor = Decompressor::new(LIMIT);
        let (mut records, mut headers, mut again) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = batches(bytes.clone());
        let mut position = 0;
        while let Some(batch) = all.next() {
            let batch = batch.unwrap_or_else(|error| panic!("{name}: {error}"));
            batch.verify_crc().unwrap();
            headers.push(header_fields(&batch, position));
            position = bytes.len() - all.partial_bytes();
            let body = batch
                .uncompressed(&mut decompressor)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            records.extend(
                record_fields(&batch, body).unwrap_or_else(|error| panic!("{name}: {error}")),
            );
            let copy = written_again(&batch, body, batch.compression().into());
            if batch.compression() == Codec::None && batch.magic() == 2 {
                again.extend_from_slice(&copy);
            }
            let copy = Batch::new(copy).unwrap();
            copy.verify_crc().unwrap();
            let mut other = Decompressor::new(LIMIT);
            assert_eq!(
                copy.uncompressed(&mut other).unwrap(),
                body,
                "{name}: compressed and inflated"
            );
        }
        assert_eq!(
            all.partial_bytes(),
            vector["trailingPartialBytes"].as_u64().unwrap() as usize,
            "{name}"
        );
        assert_eq!(Value::from(records), vector["records"], "{name}");
        assert_eq!(headers.len(), expected.len(), "{name}");
        for (found, expected) in headers.iter().zip(&expected) {
            for (field, value) in found.as_object().unwrap() {
                assert_eq!(value, &expected[field], "{name}: {field}");
            }
        }
        if vector["bytesExact"] == true && expected[0]["magic"] == 2 {
            assert_eq!(again, bytes[..again.len()], "{name}: written again");
            assert_eq!(again.len() + all.partial_bytes(), bytes.len(), "{name}");
            exact += 1;
        }
    }
    assert!(exact > 80, "only {exact} vectors were written again");
}

/// Reads everything there is; the records read, and the error that ended it.
fn read(bytes: &Bytes) -> (usize, Option<RecordError>) {
    let mut decompressor = Decompressor::new(LIMIT);
    let mut count = 0;
    for batch in batches(bytes.clone()).with_legacy_limit(LIMIT) {
        let result = batch.and_then(|batch| {
            batch.verify_crc()?;
            for record in batch.records(batch.uncompressed(&mut decompressor)?) {
                record?;
                count += 1;
            }
            Ok(())
        });
        if let Err(error) = result {
            return (count, Some(error));
        }
    }
    (count, None)
}

#[test]
fn broken_batches_are_refused_or_survived_as_kafka_does() {
    let mut wrong = Vec::new();
    for vector in vectors("records-corrupt.jsonl.gz") {
        let name = vector["name"].as_str().unwrap();
        let (count, error) = read(&Bytes::from(unhex(vector["hex"].as_str().unwrap())));
        let records = vector["kafka"]["recordsRead"].as_u64().unwrap() as usize;
        let is_right = match vector["expected"].as_str().unwrap() {
            "reject" => error.is_some(),
            "incomplete" => error.is_none() && count == 0,
            "accept" => error.is_none() && count == records,
            "limit" => matches!(error, Some(RecordError::TooLarge { .. })),
            "any" => true,
            other => panic!("{name}: unknown verdict {other}"),
        };
        if !is_right {
            wrong.push(format!(
                "{name}: expected {}, found {count} records and {error:?}",
                vector["expected"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn old_messages_that_inflate_to_more_than_the_limit_are_refused() {
    let mut refused = 0;
    for vector in vectors("records.jsonl.gz") {
        let name = vector["name"].as_str().unwrap();
        let bytes = Bytes::from(unhex(vector["hex"].as_str().unwrap()));
        let is_old = bytes.len() > 17 && bytes[16] < 2 && bytes[17] & 7 != 0;
        if is_old {
            let first = batches(bytes).with_legacy_limit(1).next().unwrap();
            assert!(
                matches!(first, Err(RecordError::TooLarge { .. })),
                "{name}: {first:?}"
            );
            refused += 1;
        }
    }
    assert!(refused > 3, "only {refused} vectors");
}

#[test]
fn the_content_checksum_of_a_zstd_frame_is_checked() {
    let vectors = vectors("records.jsonl.gz");
    let vector = vectors
        .iter()
        .find(|vector| vector["name"] == "foreign/zstd-with-checksum");
    let bytes = unhex(vector.unwrap()["hex"].as_str().unwrap());
    let batch = Batch::new(bytes.into()).unwrap();
    let mut decompressor = Decompressor::new(LIMIT);
    let inflated = batch.uncompressed(&mut decompressor).unwrap();
    assert!(!inflated.is_empty());
    for from_end in 1..=4 {
        let mut body = batch.body().to_vec();
        let at = body.len() - from_end;
        body[at] ^= 1;
        let error = decompressor.decompress(Codec::Zstd, &body).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}
