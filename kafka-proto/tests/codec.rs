//! What holds for every message in every version, whatever its value: round trips, cut and flipped bytes, hostile lengths,
//! unknown tagged fields. Every failure names the seed that repeats it.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/random_values.rs"]
mod random_values;

use bytes::Bytes;
use kafka_proto::{
    messages::{
        APIS, DATA, ErrorCode, FetchResponse, HEADERS, Message, MetadataRequest, ProduceRequest,
        fetch::FetchableTopicResponse,
    },
    schema::{AnyMessage, MessageType},
    wire::{DecodeError, DecodeErrorKind, EncodeErrorKind, Reader, Text, Writer},
};
use test_support::{SplitMix64, alloc};

#[global_allocator]
static ALLOCATOR: test_support::CountingAllocator = test_support::CountingAllocator;

/// Every message type with each of its versions.
fn everything() -> impl Iterator<Item = (MessageType, i16)> {
    let apis = APIS.iter().flat_map(|api| [api.request, api.response]);
    let all = apis
        .chain(HEADERS.iter().copied())
        .chain(DATA.iter().copied());
    all.flat_map(|known| {
        (known.schema.versions.min..=known.schema.versions.max).map(move |version| (known, version))
    })
}

fn encode(message: &dyn AnyMessage, version: i16) -> Bytes {
    let mut w = Writer::new();
    let written = message.encode_any(&mut w, version);
    written.unwrap_or_else(|e| panic!("{} v{version}: {e}", message.schema().name));
    w.finish().into_bytes()
}

fn decode(
    known: MessageType,
    version: i16,
    bytes: &Bytes,
) -> Result<Box<dyn AnyMessage>, DecodeError> {
    let mut r = Reader::new(bytes.clone());
    let message = known.decode(&mut r, version)?;
    r.finish()?;
    Ok(message)
}

/// A few random values of every message in every version, encoded, with the seed that draws them.
fn for_random_bytes(
    rounds: u64,
    mut check: impl FnMut(MessageType, i16, &dyn AnyMessage, &Bytes, &mut SplitMix64, &str),
) {
    for seed in 0..rounds {
        for (known, version) in everything() {
            let mut random = SplitMix64::new(seed);
            let name = format!("{} v{version} seed {seed}", known.schema.name);
            let json = random_values::value(known.schema, version, &mut random);
            let value = known
                .from_json(&json, version)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let bytes = encode(&*value, version);
            check(known, version, &*value, &bytes, &mut random, &name);
        }
    }
}

#[test]
fn random_values_come_back_in_every_version() {
    for_random_bytes(4, |known, version, value, bytes, _, name| {
        let again = decode(known, version, bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(again.equals(value), "{name}: {again:?}\nis not\n{value:?}");
        assert_eq!(encode(&*again, version), bytes, "{name}");
        assert_eq!(again.json(version), value.json(version), "{name}");
    });
}

#[test]
fn every_prefix_of_an_encoding_is_an_error() {
    for_random_bytes(1, |known, version, _, bytes, _, name| {
        for len in 0..bytes.len().min(400) {
            let cut = decode(known, version, &bytes.slice(..len));
            assert!(
                cut.is_err(),
                "{name}: {len} of {} bytes were enough",
                bytes.len()
            );
        }
    });
}

#[test]
fn bytes_left_over_are_an_error() {
    for_random_bytes(1, |known, version, _, bytes, _, name| {
        let longer: Bytes = [bytes, &[0u8][..]].concat().into();
        let error = decode(known, version, &longer).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::Trailing(1), "{name}");
        assert_eq!(error.offset, bytes.len(), "{name}");
    });
}

#[test]
fn flipped_bytes_never_panic_and_what_is_read_can_be_written() {
    for_random_bytes(2, |known, version, _, bytes, random, name| {
        for _ in 0..20 {
            let mut flipped = bytes.to_vec();
            for _ in 0..=random.below(3) {
                if let Some(byte) = flipped.get_mut(random.below(bytes.len() as u64 + 1) as usize) {
                    *byte = random.below(256) as u8;
                }
            }
            if let Ok(value) = decode(known, version, &flipped.into()) {
                let once = encode(&*value, version);
                let again = decode(known, version, &once).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(encode(&*again, version), once, "{name}");
            }
        }
    });
}

#[test]
fn random_bytes_never_panic() {
    let mut random = SplitMix64::new(7);
    for (known, version) in everything() {
        for _ in 0..20 {
            let mut bytes = vec![0; random.below(200) as usize];
            random.fill(&mut bytes);
            let _ = decode(known, version, &bytes.into());
        }
    }
}

#[test]
fn hostile_lengths_allocate_no_more_than_a_small_multiple_of_the_input() {
    // The greatest lengths: plain ones of 32 and 16 bits, and a compact one.
    let hostile: [&[u8]; 4] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x7f, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &[0x80, 0x80, 0x80, 0x01],
    ];
    for_random_bytes(1, |known, version, _, bytes, _, name| {
        for at in 0..bytes.len().min(120) {
            for lengths in hostile {
                let mut bytes = bytes.to_vec();
                let end = (at + lengths.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&lengths[..end - at]);
                let bytes = Bytes::from(bytes);
                let (_, counted) = alloc::count_thread(|| decode(known, version, &bytes).is_ok());
                // An element of some bytes may be a struct of some hundred; each array also reserves a little ahead.
                let most = 600 * bytes.len() as u64 + 256 * 1024;
                assert!(
                    counted.bytes <= most,
                    "{name}: {} bytes for {} at {at}",
                    counted.bytes,
                    bytes.len()
                );
            }
        }
    });
}

#[test]
fn a_count_beyond_the_bytes_left_reserves_nothing() {
    let bytes = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let (result, counted) = alloc::count_thread(|| MetadataRequest::from_bytes(bytes, 1));
    let kind = DecodeErrorKind::Count {
        count: i32::MAX as usize,
        left: 4,
    };
    assert_eq!(result, Err(DecodeError { kind, offset: 0 }));
    assert_eq!(counted.bytes, 0);
}

#[test]
fn unknown_tagged_fields_are_passed_over() {
    for (known, version) in
        everything().filter(|(known, version)| known.schema.flexible.contains(*version))
    {
        let default = known.default_value();
        let mut bytes = encode(&*default, version).to_vec();
        // No tagged field is set in the default value, so it ends in their count.
        assert_eq!(bytes.pop(), Some(0));
        bytes.extend([2, 0xf0, 0x01, 3, 1, 2, 3, 0xf1, 0x01, 0]);
        let again = decode(known, version, &bytes.into()).unwrap();
        assert!(again.equals(&*default), "{} v{version}", known.schema.name);
    }
}

#[test]
fn tagged_fields_out_of_order_or_of_wrong_size_are_errors() {
    let body = |tags: &[u8]| {
        let mut bytes = FetchResponse::default().to_bytes(16).unwrap().to_vec();
        bytes.pop();
        bytes.extend(tags);
        FetchResponse::from_bytes(bytes.into(), 16).map_err(|e| e.kind)
    };
    assert_eq!(body(&[2, 5, 0, 4, 0]), Err(DecodeErrorKind::TagOrder(4)));
    assert_eq!(body(&[2, 5, 0, 5, 0]), Err(DecodeErrorKind::TagOrder(5)));
    // Tag 0 is node_endpoints: an empty array takes one byte.
    assert!(body(&[1, 0, 1, 1]).is_ok());
    assert_eq!(
        body(&[1, 0, 2, 1, 0]),
        Err(DecodeErrorKind::TagSize {
            tag: 0,
            announced: 2,
            taken: 1
        })
    );
    assert!(matches!(
        body(&[1, 9, 100]),
        Err(DecodeErrorKind::Truncated { .. })
    ));
}

#[test]
fn a_value_that_the_version_cannot_carry_is_an_error_unless_the_field_is_ignorable() {
    let mut request = MetadataRequest {
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let error = request.to_bytes(3).unwrap_err();
    assert_eq!(error.kind, EncodeErrorKind::Absent(3));
    assert_eq!(error.field, "MetadataRequest.allow_auto_topic_creation");
    assert!(request.to_bytes(4).is_ok());

    request.allow_auto_topic_creation = true;
    request.topics = None;
    assert_eq!(
        request.to_bytes(0).unwrap_err().kind,
        EncodeErrorKind::Null(0)
    );
    assert!(request.to_bytes(1).is_ok());

    // The error of a whole fetch is ignorable and vanishes; the session is not.
    let mut response = FetchResponse {
        error_code: ErrorCode::UNKNOWN_SERVER_ERROR,
        ..Default::default()
    };
    let again = FetchResponse::from_bytes(response.to_bytes(4).unwrap(), 4).unwrap();
    assert_eq!(again.error_code, ErrorCode::NONE);
    response.session_id = 3;
    assert_eq!(
        response.to_bytes(4).unwrap_err().field,
        "FetchResponse.session_id"
    );
}

#[test]
fn null_where_a_version_allows_none_is_an_error() {
    let null = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let error = MetadataRequest::from_bytes(null.clone(), 0).unwrap_err();
    assert_eq!(
        error,
        DecodeError {
            kind: DecodeErrorKind::Null,
            offset: 0
        }
    );
    assert_eq!(MetadataRequest::from_bytes(null, 1).unwrap().topics, None);
}

#[test]
fn a_version_that_is_not_known_is_an_error_both_ways() {
    assert_eq!(
        ProduceRequest::from_bytes(Bytes::new(), 2)
            .unwrap_err()
            .kind,
        DecodeErrorKind::Version(2)
    );
    assert_eq!(
        ProduceRequest::default().to_bytes(14).unwrap_err().kind,
        EncodeErrorKind::Version(14)
    );
}

#[test]
fn text_longer_than_its_length_can_say_is_an_error() {
    let request = ProduceRequest {
        transactional_id: Some(Text::from("x".repeat(32_768))),
        ..Default::default()
    };
    for version in [3, 9] {
        let error = request.to_bytes(version).unwrap_err();
        assert_eq!(error.kind, EncodeErrorKind::TooLong(32_768));
        assert_eq!(error.field, "ProduceRequest.transactional_id");
    }
}

#[test]
fn an_offset_leads_to_the_path_of_its_field() {
    let topic = |name| FetchableTopicResponse {
        topic: Text::from_static(name),
        ..Default::default()
    };
    let response = FetchResponse {
        responses: vec![topic("t"), topic("größe")],
        ..Default::default()
    };
    let bytes = response.to_bytes(12).unwrap();
    let at = bytes
        .windows(2)
        .position(|window| window == "ö".as_bytes())
        .unwrap();
    assert_eq!(
        FetchResponse::SCHEMA.path_at(&bytes, 12, at),
        "responses[1].topic"
    );

    let mut broken = bytes.to_vec();
    broken[at] = 0xff;
    let error = FetchResponse::from_bytes(broken.clone().into(), 12).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::Utf8);
    assert_eq!(
        FetchResponse::SCHEMA.path_at(&broken.into(), 12, error.offset),
        "responses[1].topic"
    );
}
