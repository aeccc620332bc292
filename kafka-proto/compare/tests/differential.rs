//! Two independent codecs read and write the same bytes: ours, and the generated crate `kafka-protocol`, for random values of
//! every request and response in the versions both know.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "../../tests/support/random_values.rs"]
mod random_values;

use bytes::{Bytes, BytesMut};
use kafka_proto::{
    messages::APIS,
    schema::{Api, MessageType},
    wire::{Reader, Writer},
};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use test_support::SplitMix64;

/// Requests of which the other codec has the latest version in its table of APIs and in the response, and refuses it in the
/// request. It was generated while these versions were unstable; the mark stands in the request's schema alone, and its
/// generator takes a marked version off that type (`OffsetCommitRequest::VERSIONS` ends at 9, `OffsetCommitResponse::VERSIONS`
/// and `ApiKey::valid_versions` at 10). There is nothing to compare with until it is generated anew: then the test below fails.
const NOT_THERE: &[(&str, i16)] = &[
    ("OffsetCommitRequest", 10),
    ("OffsetFetchRequest", 10),
    ("InitProducerIdRequest", 6),
];

/// Values drawn for each version and direction.
const ROUNDS: u64 = 8;

/// Decodes and encodes with the other codec.
fn theirs(key: ApiKey, version: i16, is_request: bool, bytes: &Bytes) -> Result<Bytes, String> {
    let mut left = bytes.clone();
    let mut out = BytesMut::new();
    if is_request {
        let decoded =
            RequestKind::decode(key, &mut left, version).map_err(|e| format!("decode: {e:#}"))?;
        decoded
            .encode(&mut out, version)
            .map_err(|e| format!("encode: {e:#}"))?;
    } else {
        let decoded =
            ResponseKind::decode(key, &mut left, version).map_err(|e| format!("decode: {e:#}"))?;
        decoded
            .encode(&mut out, version)
            .map_err(|e| format!("encode: {e:#}"))?;
    }
    if left.is_empty() {
        Ok(out.freeze())
    } else {
        Err(format!("{} bytes left over", left.len()))
    }
}

fn check(
    api: &Api,
    known: MessageType,
    version: i16,
    is_request: bool,
    seed: u64,
) -> Result<(), String> {
    let key = ApiKey::try_from(api.key.0).map_err(|()| "is not known there".to_owned())?;
    let json = random_values::value(known.schema, version, &mut SplitMix64::new(seed));
    let value = known.from_json(&json, version).map_err(|e| e.to_string())?;
    let mut w = Writer::new();
    value
        .encode_any(&mut w, version)
        .map_err(|e| e.to_string())?;
    let ours = w.finish().into_bytes();
    let theirs = theirs(key, version, is_request, &ours)?;
    if theirs == ours {
        return Ok(());
    }
    // The order of tagged fields and of map entries aside, the value must be the same.
    let again = known
        .decode(&mut Reader::new(theirs.clone()), version)
        .map_err(|e| format!("read back: {e:#}"))?;
    let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    if again.equals(&*value) {
        Ok(())
    } else {
        Err(format!(
            "differs at byte {at}, in {}",
            known.schema.path_at(&ours, version, at)
        ))
    }
}

#[test]
fn the_versions_that_are_left_out_are_refused_by_the_other_codec() {
    for &(name, version) in NOT_THERE {
        let api = APIS.iter().find(|api| api.request.schema.name == name);
        let api = api.unwrap();
        let their_key = ApiKey::try_from(api.key.0).unwrap();
        assert_eq!(their_key.valid_versions().max, version, "{name}");
        let error = check(api, api.request, version, true, 0).unwrap_err();
        assert!(
            error.contains("specified version not supported"),
            "{name} v{version}: {error}"
        );
        assert!(check(api, api.request, version - 1, true, 0).is_ok());
        assert!(check(api, api.response, version, false, 0).is_ok());
    }
}

#[test]
fn both_codecs_read_and_write_the_same_bytes() {
    let (mut compared, mut failures, mut skipped) = (0, Vec::new(), Vec::new());
    for api in APIS {
        let Ok(key) = ApiKey::try_from(api.key.0) else {
            skipped.push(api.name.to_owned());
            continue;
        };
        let theirs = key.valid_versions();
        for (known, is_request) in [(api.request, true), (api.response, false)] {
            for version in known.schema.versions.min..=known.schema.versions.max {
                if version < theirs.min
                    || version > theirs.max
                    || NOT_THERE.contains(&(known.schema.name, version))
                {
                    skipped.push(format!("{} v{version}", known.schema.name));
                    continue;
                }
                for seed in 0..ROUNDS {
                    match check(api, known, version, is_request, seed) {
                        Ok(()) => compared += 1,
                        Err(error) => failures.push(format!(
                            "{} v{version} seed {seed}: {error}",
                            known.schema.name
                        )),
                    }
                }
            }
        }
    }
    println!(
        "SKIPPED what the other codec does not know: {}",
        skipped.join(", ")
    );
    println!("{compared} values compared");
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        compared + failures.len(),
        failures.join("\n")
    );
    assert!(compared > 1000);
}
