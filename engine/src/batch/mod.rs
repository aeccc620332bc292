//! What crosses from one loop to the next: row batches, the row format, views of fetched batches, and batches being produced.
//!
//! The only place beside `formats` that names `kafka_proto::records`. It knows no operator and no plan.

pub(crate) mod by_topic;
pub mod frame;
pub(crate) mod letter;
pub(crate) mod names;
mod out_record;
mod partition;
pub mod produce;
pub mod row;
pub mod rows;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod topics;

pub(crate) use frame::Cursor;
pub use frame::{Frame, Record};
pub use out_record::OutRecord;
pub use partition::InputPartition;
pub use produce::{Outbox, OutboxConfig, Scratch};
pub use row::{Decode, Encode, Reader};
pub(crate) use rows::KeyRow;
pub use rows::{Head, RowTooLarge, Rows};
pub(crate) use topics::Topics;

// So that those who carry batches need not name where they come from.
#[cfg(test)]
pub(crate) use kafka_proto::records::Placement;
pub(crate) use kafka_proto::records::Stamp;
pub(crate) use kafka_proto::records::WalkPlace;
pub use kafka_proto::records::{Batch, BatchBuilder, Compression, Decompressor, RecordError};
