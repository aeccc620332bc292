//! Fuzzes inflating and deflating with gzip.
#![no_main]

#[path = "../src/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|data: &[u8]| records::codec(kafka_proto::records::Codec::Gzip, data));
