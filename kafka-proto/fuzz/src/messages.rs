//! What the fuzz targets of messages do with a piece of data; `tests/fuzz_corpus_messages.rs` does the same with the saved ones.
#![allow(dead_code, reason = "each target uses a part")]

use bytes::{Bytes, BytesMut};
use kafka_proto::{
    messages::{APIS, DATA, HEADERS, dialogue::Dialogue},
    schema::{AnyMessage, MessageType},
    wire::{Framer, Reader, Writer},
};

/// Larger than anything a fuzzer finds.
const FRAME_BYTES_MAX: usize = 1 << 16;

/// The type that the first byte chooses, and whether it is a request where it matters.
pub(crate) fn chosen(first: u8, second: u8) -> (MessageType, i16) {
    let apis = APIS.iter().flat_map(|api| [api.request, api.response]);
    let all: Vec<MessageType> = apis
        .chain(HEADERS.iter().copied())
        .chain(DATA.iter().copied())
        .collect();
    let known = all[usize::from(first) % all.len()];
    let versions = known.schema.versions;
    (
        known,
        versions.min + i16::from(second) % (versions.max - versions.min + 1),
    )
}

/// The first two bytes choose message and version, the rest is its body. What can be read can be written, and then reads alike.
pub(crate) fn message(data: &[u8]) {
    let [first, second, body @ ..] = data else {
        return;
    };
    let (known, version) = chosen(*first, *second);
    let body = Bytes::copy_from_slice(body);
    let mut r = Reader::new(body.clone());
    match known.decode(&mut r, version) {
        Ok(message) => {
            let once = encode(&*message, version);
            let mut r = Reader::new(once.clone());
            let again = known
                .decode(&mut r, version)
                .expect("what was written can be read");
            assert_eq!(r.remaining(), 0, "what was written is read to its end");
            assert_eq!(
                encode(&*again, version),
                once,
                "written again it is the same"
            );
        }
        Err(error) => {
            assert!(error.offset <= body.len());
            let _ = known.schema.path_at(&body, version, error.offset);
        }
    }
}

fn encode(message: &dyn AnyMessage, version: i16) -> Bytes {
    let mut w = Writer::new();
    message
        .encode_any(&mut w, version)
        .expect("what was read can be written");
    w.finish().into_bytes()
}

/// Both directions of a connection: the first byte says how much of the rest the client sent.
pub(crate) fn frames(data: &[u8]) {
    let [cut, rest @ ..] = data else { return };
    let (requests, responses) = rest.split_at(rest.len() * usize::from(*cut) / 255);
    let framer = Framer::new(FRAME_BYTES_MAX);
    let mut dialogue = Dialogue::new(16);
    let mut left = BytesMut::from(requests);
    while let Ok(Some(frame)) = framer.next(&mut left) {
        let _ = dialogue.request(&frame);
        assert!(dialogue.open() <= 16);
    }
    let mut left = BytesMut::from(responses);
    while let Ok(Some(frame)) = framer.next(&mut left) {
        let _ = dialogue.response(&frame);
    }
}
