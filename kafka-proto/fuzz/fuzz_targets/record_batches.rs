//! Fuzzes reading record batches of every version, relaying them, and writing their records again.
#![no_main]

#[path = "../src/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|data: &[u8]| records::record_batches(data));
