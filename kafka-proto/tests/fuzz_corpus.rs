//! The saved corpora of the fuzz targets of records and of SASL, each file once more.
#![cfg(feature = "compression")]

#[path = "support/corpus.rs"]
mod corpus;
#[path = "../fuzz/src/records.rs"]
mod records;
#[cfg(feature = "sasl")]
#[path = "../fuzz/src/sasl.rs"]
mod sasl;

use corpus::each_file_of;
use kafka_proto::records::Codec;

#[test]
fn record_batches_read_alike_when_relayed_and_rewritten() {
    each_file_of("record_batches", records::record_batches);
}

#[test]
fn gzip_data_inflates_as_another_decoder_does() {
    each_file_of("gzip", |data| records::codec(Codec::Gzip, data));
}

#[test]
fn snappy_data_inflates_as_another_decoder_does() {
    each_file_of("snappy", |data| records::codec(Codec::Snappy, data));
}

#[test]
fn lz4_data_inflates_as_another_decoder_does() {
    each_file_of("lz4", |data| records::codec(Codec::Lz4, data));
}

#[test]
fn zstd_data_inflates_as_another_decoder_does() {
    each_file_of("zstd", |data| records::codec(Codec::Zstd, data));
}

#[cfg(feature = "sasl")]
#[test]
fn sasl_messages_are_read_or_refused() {
    each_file_of("sasl", sasl::sasl);
}
