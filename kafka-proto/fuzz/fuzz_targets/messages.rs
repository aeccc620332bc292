//! Fuzzes every message in every version: what can be read can be written, and reads alike.
#![no_main]

#[path = "../src/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::message(data));
