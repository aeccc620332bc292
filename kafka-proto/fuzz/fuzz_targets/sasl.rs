//! Fuzzes both sides of the SASL mechanisms.
#![no_main]

#[path = "../src/sasl.rs"]
mod sasl;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sasl::sasl(data));
