//! Bytes to values and back: the primitive types of the Kafka protocol.
//!
//! Knows no message. Strings, bytes and records that are read are slices of the one refcounted frame; large byte fields that
//! are written stay chunks of their own, for one vectored write.

mod cursor;
mod error;
mod frame;
mod primitives;
mod reader;
mod records;
mod text;
mod uuid;
pub mod varint;
mod writer;

pub use self::{
    cursor::{Cursor, Tags},
    error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind},
    frame::{FrameError, Framer},
    primitives::{Layout, Nullable, Wire},
    reader::Reader,
    records::Records,
    text::Text,
    uuid::Uuid,
    writer::{Chunks, Writer},
};
