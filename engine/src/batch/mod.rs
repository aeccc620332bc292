//! What crosses from one loop to the next: row batches, the row format, views of fetched batches, and batches being produced.
//!
//! The only place beside `formats` that names `kafka_proto::records`. It knows no operator and no plan.

pub mod frame;
pub mod produce;
pub mod row;
pub mod rows;

pub use frame::{Frame, Record};
pub use produce::{Outbox, OutboxConfig, Scratch};
pub use row::{Decode, Encode, Reader};
pub use rows::{Head, RowTooLarge, Rows};

// So that those who carry batches need not name where they come from.
pub use kafka_proto::records::{Batch, BatchBuilder, Compression, Decompressor, RecordError};
#[cfg(test)]
pub(crate) use kafka_proto::records::{Placement, Stamp};
