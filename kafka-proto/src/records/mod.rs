//! Record batches: what stands in the `records` field of Produce and Fetch and in Kafka's log files.
//!
//! Reading is lazy and borrows: [`batches`] cuts the bytes of a field into [`Batch`]es (slices of the same frame), and
//! [`Batch::records`] walks one of them without allocating. Writing encodes each record once, straight into the bytes that go on
//! the wire ([`BatchBuilder`]). A fetched batch that goes out unchanged is not walked at all ([`relay`]).
//!
//! Three rules for readers: go on at [`Batch::next_offset`] whatever compaction left of a batch; let [`AbortedFilter`] say which batches
//! are the application's; give the [`Decompressor`] a limit that memory can bear.
//!
//! Nothing here knows a request or a response: records cross that border as bytes.

mod aborted;
mod batch;
mod builder;
mod compression;
mod control;
mod crc;
mod error;
mod legacy;
mod record;
mod relay;
mod varint;

pub use aborted::{AbortedFilter, AbortedTransaction, Verdict};
pub use batch::{Batch, Batches, HEADER_BYTES, TimestampType, batches};
pub use builder::{BatchBuilder, Placement, Stamp, restamp};
pub use compression::{Codec, Compression, CompressionError, Compressor, Decompressor};
pub use control::{ControlType, EndTxnMarker, end_txn_batch};
pub use error::{BuildError, Fault, RecordError};
pub use record::{Header, Headers, Record, RecordIter, WalkPlace};
pub use relay::{NotRelayable, RewriteError, can_relay, relay, rewrite};
