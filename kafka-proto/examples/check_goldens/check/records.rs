//! Vectors of record batches: good ones are read, compared and written again; of corrupt ones the verdict is compared.

use bytes::Bytes;
use kafka_proto::records::{
    Batch, BatchBuilder, Codec, ControlType, Decompressor, Placement, Record, RecordError, Stamp,
    TimestampType, batches,
};
use serde_json::{Value, json};

use super::{Check, Outcome, expect, hex};

/// More than any good vector inflates to.
const INFLATED_MAX: usize = 64 << 20;
/// Less than those inflate to that a reader with a limit must stop at.
const INFLATED_MAX_OF_CORRUPT: usize = 8 << 20;

/// Everything a reader finds in one vector.
#[derive(Default)]
struct Found {
    batches: Vec<Batch>,
    batch_fields: Vec<Value>,
    records: Vec<Value>,
    partial_bytes: usize,
}

/// Batches that a reader must accept.
pub(crate) fn check_good(vector: &Value) -> Check {
    let name = vector["name"].as_str().unwrap_or("?");
    let mut found = Found::default();
    match read(hex(vector, "hex")?.into(), INFLATED_MAX, &mut found) {
        Ok(()) => {}
        Err(RecordError::CodecNotBuilt(codec)) => return Ok(not_built(codec)),
        Err(error) => return Err(format!("{name}: {error}")),
    }
    compare(vector, &found).map_err(|e| format!("{name}: {e}"))?;
    // Versions 0 and 1 are read, never written.
    for (index, batch) in found
        .batches
        .iter()
        .enumerate()
        .filter(|(_, batch)| batch.magic() == 2)
    {
        write_again(batch, vector["bytesExact"] == true)
            .map_err(|e| format!("{name}: batch {index}: {e}"))?;
    }
    Ok(Outcome::Passed)
}

fn not_built(codec: Codec) -> Outcome {
    Outcome::Skipped(format!(
        "records: {codec} is not built in; build with the feature `compression`"
    ))
}

fn compare(vector: &Value, found: &Found) -> Result<(), String> {
    expect(
        "trailingPartialBytes",
        &found.partial_bytes.into(),
        &vector["trailingPartialBytes"],
    )?;
    expect("records", &found.records.clone().into(), &vector["records"])?;
    let wanted = match &vector["batches"] {
        Value::Array(all) => all.clone(),
        _ if vector["batch"].is_null() => Vec::new(),
        _ => vec![vector["batch"].clone()],
    };
    expect(
        "number of batches",
        &found.batches.len().into(),
        &wanted.len().into(),
    )?;
    for (index, (found, wanted)) in found.batch_fields.iter().zip(&wanted).enumerate() {
        let what = format!("batches[{index}]");
        if wanted["magic"] == 2 {
            expect(&what, found, wanted)?;
            continue;
        }
        // Older versions are handed out in the shape of version 2: what both have is compared.
        for field in [
            "magic",
            "baseOffset",
            "lastOffset",
            "maxTimestamp",
            "timestampType",
            "records",
        ] {
            expect(&format!("{what}.{field}"), &found[field], &wanted[field])?;
        }
    }
    Ok(())
}

/// Batches with something wrong in them.
pub(crate) fn check_corrupt(vector: &Value) -> Check {
    let name = vector["name"].as_str().unwrap_or("?");
    let mut found = Found::default();
    let outcome = read(
        hex(vector, "hex")?.into(),
        INFLATED_MAX_OF_CORRUPT,
        &mut found,
    );
    if let Err(RecordError::CodecNotBuilt(codec)) = outcome {
        return Ok(not_built(codec));
    }
    let verdict = match vector["expected"].as_str() {
        Some("reject") => match outcome {
            Ok(()) => Err(format!(
                "was accepted with {} records, should be refused",
                found.records.len()
            )),
            Err(_) => Ok(()),
        },
        Some("limit") => match outcome {
            Err(RecordError::TooLarge { .. }) => Ok(()),
            Ok(()) => Err("was accepted whole, should stop at the limit".to_owned()),
            Err(error) => Err(format!("should stop at the limit: {error}")),
        },
        Some("accept") => match outcome {
            Ok(()) => expect(
                "recordsRead",
                &found.records.len().into(),
                &vector["kafka"]["recordsRead"],
            ),
            Err(error) => Err(format!("should be accepted: {error}")),
        },
        Some("incomplete") => match outcome {
            Ok(()) if found.records.is_empty() => Ok(()),
            Ok(()) => Err(format!(
                "{} records came out of an incomplete batch",
                found.records.len()
            )),
            Err(error) => Err(format!("an incomplete batch is no error: {error}")),
        },
        Some("any") => Ok(()),
        other => Err(format!("expected {other:?} is not known here")),
    };
    verdict
        .map(|()| Outcome::Passed)
        .map_err(|e| format!("{name}: {e}"))
}

fn read(bytes: Bytes, inflated_max: usize, found: &mut Found) -> Result<(), RecordError> {
    let mut decompressor = Decompressor::new(inflated_max);
    let len = bytes.len();
    let mut all = batches(bytes).with_legacy_limit(inflated_max);
    let mut position = 0;
    while let Some(batch) = all.next() {
        let batch = batch?;
        batch.verify_crc()?;
        let body = batch.uncompressed(&mut decompressor)?;
        let before = found.records.len();
        for record in batch.records(body) {
            found.records.push(record_fields(&batch, &record?));
        }
        found
            .batch_fields
            .push(fields(&batch, position, found.records.len() - before));
        found.batches.push(batch);
        position = len - all.partial_bytes();
    }
    found.partial_bytes = all.partial_bytes();
    Ok(())
}

fn record_fields(batch: &Batch, record: &Record<'_>) -> Value {
    let headers = record
        .headers
        .map(|header| json!([header.name(), header.value().map(text)]));
    let mut value = json!({
        "offset": record.offset,
        "timestamp": record.timestamp,
        "keyHex": record.key.map(text),
        "valueHex": record.value.map(text),
        "headers": headers.collect::<Vec<_>>(),
    });
    if batch.base_sequence() >= 0 {
        let delta = (record.offset - batch.base_offset()) as i32;
        // The sequence runs over from the greatest integer to 0.
        value["sequence"] = (batch.base_sequence().wrapping_add(delta) & i32::MAX).into();
    }
    if batch.is_control() {
        let kind = record.key.and_then(ControlType::from_key);
        value["controlType"] = kind.map(control_name).into();
    }
    value
}

fn fields(batch: &Batch, position: usize, records: usize) -> Value {
    json!({
        "position": position,
        "baseOffset": batch.base_offset(),
        "lastOffset": batch.last_offset(),
        "sizeInBytes": batch.size_bytes(),
        "magic": batch.magic(),
        "batchLength": batch.size_bytes() - 12,
        "partitionLeaderEpoch": batch.partition_leader_epoch(),
        "crc": batch.crc(),
        "attributes": batch.attributes(),
        "lastOffsetDelta": batch.last_offset_delta(),
        "baseTimestamp": batch.base_timestamp(),
        "maxTimestamp": batch.max_timestamp(),
        "producerId": batch.producer_id(),
        "producerEpoch": batch.producer_epoch(),
        "baseSequence": batch.base_sequence(),
        "lastSequence": batch.last_sequence(),
        "recordCount": batch.record_count(),
        "isTransactional": batch.is_transactional(),
        "isControl": batch.is_control(),
        "deleteHorizonMs": batch.delete_horizon_ms(),
        "compression": batch.compression().name(),
        "timestampType": match batch.timestamp_type() {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
            TimestampType::NoTimestamp => "NoTimestampType",
        },
        "records": records,
    })
}

fn control_name(kind: ControlType) -> &'static str {
    match kind {
        ControlType::Abort => "ABORT",
        ControlType::Commit => "COMMIT",
        ControlType::LeaderChange => "LEADER_CHANGE",
        ControlType::SnapshotHeader => "SNAPSHOT_HEADER",
        ControlType::SnapshotFooter => "SNAPSHOT_FOOTER",
        ControlType::KraftVersion => "KRAFT_VERSION",
        ControlType::KraftVoters => "KRAFT_VOTERS",
        _ => "UNKNOWN",
    }
}

/// The same records with the same header must give the same bytes where nothing is compressed, and the same records otherwise.
fn write_again(batch: &Batch, exact: bool) -> Result<(), String> {
    let mut decompressor = Decompressor::new(INFLATED_MAX);
    let body = batch
        .uncompressed(&mut decompressor)
        .map_err(|e| e.to_string())?;
    let mut builder = BatchBuilder::new(batch.compression().into(), body.len());
    if batch.base_timestamp() != -1 {
        builder = builder.with_base_timestamp(batch.base_timestamp());
    }
    // Log-append time hides what the records say, so they are read as if there were none.
    let mut plain = batch.bytes().to_vec();
    plain[22] &= !0x08;
    let plain = Batch::new(plain.into()).map_err(|e| e.to_string())?;
    for record in plain.records(body) {
        let record = record.map_err(|e| e.to_string())?;
        let delta = (record.offset - batch.base_offset()) as i32;
        builder
            .append_at(delta, &record)
            .map_err(|e| e.to_string())?;
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
        log_append_time: (batch.timestamp_type() == TimestampType::LogAppendTime)
            .then(|| batch.max_timestamp()),
        delete_horizon: batch.delete_horizon_ms().is_some(),
        max_timestamp: Some(batch.max_timestamp()),
        control: batch.is_control(),
    };
    let again = builder
        .finish_at(stamp, placement)
        .map_err(|e| e.to_string())?;
    let bytes = batch.bytes();
    if exact && again != *bytes {
        let at = again.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        return Err(format!(
            "written again it differs at byte {at} of {} (should be {})",
            again.len(),
            bytes.len()
        ));
    }
    let again = Batch::new(again).map_err(|e| e.to_string())?;
    again.verify_crc().map_err(|e| e.to_string())?;
    let mut other = Decompressor::new(INFLATED_MAX);
    match again.uncompressed(&mut other) {
        Ok(again) if again == body => Ok(()),
        Ok(_) => Err("compressed and inflated again, the records differ".to_owned()),
        Err(error) => Err(format!("what was compressed cannot be inflated: {error}")),
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
