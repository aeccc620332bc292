//! What can be wrong with bytes that are read, and with values that are written. Both errors are `Copy` and allocate nothing.

use thiserror::Error;

/// Bytes that are not what the protocol says: the peer's fault, or the wrong version was assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct DecodeError {
    /// What was wrong.
    pub kind: DecodeErrorKind,
    /// Where, in bytes from the start of what the reader was given. [`Schema::path_at`](crate::schema::Schema::path_at)
    /// turns it into the field's path.
    pub offset: usize,
}

/// What was wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end inside a value.
    #[error("{needed} bytes were needed and {left} are left")]
    Truncated {
        /// Bytes the value needs.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// Bytes are left after the last field.
    #[error("{0} bytes are left after the last field")]
    Trailing(usize),
    /// A length or count below -1, or beyond what the protocol allows.
    #[error("{0} is no valid length")]
    Length(i64),
    /// A count of elements that the bytes left cannot hold.
    #[error("{count} elements were announced with {left} bytes left")]
    Count {
        /// Elements announced.
        count: usize,
        /// Bytes left.
        left: usize,
    },
    /// Null where this version allows none.
    #[error("null where this version allows none")]
    Null,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A varint that does not fit its type.
    #[error("a varint is longer than its type")]
    Varint,
    /// Tagged fields that do not ascend strictly (KIP-482).
    #[error("tagged field {0} is out of order")]
    TagOrder(u32),
    /// A tagged field whose value does not fill its size.
    #[error("tagged field {tag} announced {announced} bytes and its value takes {taken}")]
    TagSize {
        /// The field's tag.
        tag: u32,
        /// Bytes it announced.
        announced: usize,
        /// Bytes its value takes.
        taken: usize,
    },
    /// A version of the message that is not known here.
    #[error("version {0} of this message is not known")]
    Version(i16),
    /// The marker before a nullable struct is neither -1 nor 1.
    #[error("{0} marks neither a struct nor null")]
    Marker(i8),
}

/// A value that the chosen version cannot carry: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind}{}{field}", if field.is_empty() { "" } else { " in " })]
pub struct EncodeError {
    /// What was wrong.
    pub kind: EncodeErrorKind,
    /// The innermost field concerned, as `Struct.field`; empty where there is none.
    pub field: &'static str,
}

/// What was wrong with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// A field has a value, and this version has no such field.
    #[error("version {0} cannot carry a value")]
    Absent(i16),
    /// Null where this version allows none.
    #[error("version {0} allows no null")]
    Null(i16),
    /// A string, byte field or array too long for its length prefix.
    #[error("{0} bytes or elements are too many")]
    TooLong(usize),
    /// A version of the message that is not known here.
    #[error("version {0} of this message is not known")]
    Version(i16),
}

impl EncodeError {
    /// An error in no particular field yet.
    pub const fn new(kind: EncodeErrorKind) -> Self {
        Self { kind, field: "" }
    }
}
