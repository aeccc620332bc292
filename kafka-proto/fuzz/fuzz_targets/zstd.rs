//! Fuzzes inflating and deflating with zstd.
#![no_main]

#[path = "../src/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|data: &[u8]| records::codec(kafka_proto::records::Codec::Zstd, data));
