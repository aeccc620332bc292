//! Fuzzes the two directions of a connection, from the cutting into frames on.
#![no_main]

#[path = "../src/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::frames(data));
