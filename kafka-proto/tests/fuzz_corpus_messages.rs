//! The saved corpora of the fuzz targets of messages and frames, each file once more.

#[path = "support/corpus.rs"]
mod corpus;
#[path = "../fuzz/src/messages.rs"]
mod messages;

use std::cell::RefCell;
use std::collections::BTreeSet;

use corpus::each_file_of;
use kafka_proto::messages::APIS;

#[test]
fn messages_that_can_be_read_can_be_written() {
    each_file_of("messages", messages::message);
}

#[test]
fn connections_are_followed_or_refused() {
    each_file_of("frames", messages::frames);
}

/// A version that comes with a new Kafka needs inputs of its own: no fuzzer finds a whole message from nothing.
#[test]
fn every_api_has_saved_inputs_in_its_newest_version() {
    let saved = RefCell::new(BTreeSet::new());
    each_file_of("messages", |data| {
        if let [first, second, ..] = data {
            let (known, version) = messages::chosen(*first, *second);
            saved.borrow_mut().insert((known.schema.name, version));
        }
    });
    let saved = saved.into_inner();
    let missing: Vec<_> = APIS
        .iter()
        .flat_map(|api| [api.request.schema, api.response.schema])
        .map(|schema| (schema.name, schema.versions.max))
        .filter(|newest| !saved.contains(newest))
        .collect();
    assert!(missing.is_empty(), "no saved input for {missing:?}");
}
