//! What a message is: `message!` turns one declaration into the struct, its `Default`, its reading and writing in every
//! version, and the same table as data; `api!` joins requests with their responses.
//!
//! ```text
//! message! {
//!     /// What the message is for.
//!     pub struct ExampleResponse [0..=4] flexible [3..] {     // valid versions; first flexible one
//!         /// What the field is for.
//!         throttle_time_ms: i32 [1..] ignorable,              // versions that have the field
//!         host: Text [0..=2] = Text::from_static("x"),        // not zero or empty where nobody sets it
//!         topics: Option<Vec<ExampleTopic>> [0.., null 2..],  // null only from version 2 on
//!         epoch: i64 [3.., tag 0] = -1,                       // a tagged field (KIP-482)
//!     }
//!     pub struct ExampleTopic { … }                           // takes its version from the message around it
//! }
//! ```
//!
//! A field that the version lacks reads as its default. Writing another value there is an error unless the field is
//! `ignorable`, as in Kafka. An `Option` without a `null` range may be null in every version that has the field; its default
//! is the empty value and not null unless `= None` says otherwise, as in Kafka. Unknown tagged fields are passed over.

#[macro_use]
mod macros;
mod any;
#[cfg(feature = "json")]
pub mod json;
mod path;

use std::fmt;

use bytes::Bytes;

pub use self::any::{AnyMessage, Api, MessageType};
use crate::wire::{
    DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Layout, Reader, Records, Text,
    Uuid, Wire, Writer,
};

/// A range of versions, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versions {
    /// The first.
    pub min: i16,
    /// The last; `i16::MAX` if there is no end.
    pub max: i16,
}

impl Versions {
    /// No version at all.
    pub const NONE: Self = Self { min: 0, max: -1 };

    /// From `min` to `max`.
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// From `min` on.
    pub const fn from(min: i16) -> Self {
        Self { min, max: i16::MAX }
    }

    /// Whether `version` is among them.
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.min > self.max
    }

    /// The versions in both ranges.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        let min = if self.min > other.min {
            self.min
        } else {
            other.min
        };
        let max = if self.max < other.max {
            self.max
        } else {
            other.max
        };
        if min > max {
            Self::NONE
        } else {
            Self { min, max }
        }
    }
}

/// As Kafka's schemas write them: `none`, `3`, `3+`, `0-7`.
impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            _ if self.is_empty() => f.write_str("none"),
            Self { min, max: i16::MAX } => write!(f, "{min}+"),
            Self { min, max } if min == max => write!(f, "{min}"),
            Self { min, max } => write!(f, "{min}-{max}"),
        }
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message as data.
#[derive(Debug)]
pub struct Schema {
    /// Its name in Kafka's schema, as `FetchRequest`.
    pub name: &'static str,
    /// Versions that can be read and written.
    pub versions: Versions,
    /// Versions with compact lengths and tagged fields (KIP-482).
    pub flexible: Versions,
    /// Versions that Kafka does not offer by default: readable here, never negotiated.
    pub unstable: Versions,
    /// Its fields in the order of the wire.
    pub fields: &'static Struct,
}

impl Schema {
    /// The layout of one version.
    pub const fn layout(&self, version: i16) -> Layout {
        Layout {
            version,
            flexible: self.flexible.contains(version),
        }
    }
}

/// A struct as data: a message's own fields, or an element's.
#[derive(Debug)]
pub struct Struct {
    /// Its name in Kafka's schema.
    pub name: &'static str,
    /// Its fields in the order of the wire.
    pub fields: &'static [Field],
}

impl Struct {
    /// The fields that a version has in their fixed places.
    pub(crate) fn untagged(&self, version: i16) -> impl Iterator<Item = &'static Field> {
        let fields = self.fields.iter();
        fields.filter(move |field| field.tag.is_none() && field.versions.contains(version))
    }

    /// The tagged field of a number, if a version has one.
    pub(crate) fn tagged(&self, tag: u32, version: i16) -> Option<&'static Field> {
        let mut fields = self.fields.iter();
        fields.find(|field| field.tag == Some(tag) && field.versions.contains(version))
    }
}

/// A field as data.
#[derive(Debug)]
pub struct Field {
    /// Its name in snake case.
    pub name: &'static str,
    /// Versions that have it.
    pub versions: Versions,
    /// Versions in which it may be null.
    pub nullable: Versions,
    /// Its tag, if it is a tagged field (KIP-482).
    pub tag: Option<u32>,
    /// The default as the declaration writes it; `None` for zero or empty.
    pub default: Option<&'static str>,
    /// Whether a version that lacks the field drops its value silently.
    pub ignorable: bool,
    /// Its type.
    pub kind: Kind,
}

/// A type as data.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// 8 signed bits.
    Int8,
    /// 16 signed bits.
    Int16,
    /// 16 unsigned bits.
    Uint16,
    /// 32 signed bits.
    Int32,
    /// 64 signed bits.
    Int64,
    /// IEEE 754, 64 bits.
    Float64,
    /// 128 bits.
    Uuid,
    /// UTF-8 with a length of 16 bits, or a compact one.
    String,
    /// UTF-8 with a length of 16 bits even where everything else is compact: the client id.
    ShortString,
    /// Bytes with a length of 32 bits, or a compact one.
    Bytes,
    /// Record batches; on the wire as `Bytes`.
    Records,
    /// A count of 32 bits, or a compact one, and elements.
    Array(&'static Self),
    /// Fields one after another.
    Struct(&'static Struct),
    /// The same, or null.
    Nullable(&'static Self),
}

/// A type that says what it is, as data.
pub trait Typed {
    /// The type as data.
    const KIND: Kind;
}

macro_rules! kinds {
    ($($ty:ty => $kind:ident;)*) => {$(
        impl Typed for $ty {
            const KIND: Kind = Kind::$kind;
        }
    )*};
}

kinds! {
    bool => Bool;
    i8 => Int8;
    i16 => Int16;
    u16 => Uint16;
    i32 => Int32;
    i64 => Int64;
    f64 => Float64;
    Uuid => Uuid;
    Text => String;
    Bytes => Bytes;
    Records => Records;
}

impl<T: Typed> Typed for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);
}

impl<T: Typed> Typed for Option<T> {
    const KIND: Kind = Kind::Nullable(&T::KIND);
}

/// A message: one body that has versions.
pub trait Message: Wire + Default + Clone + fmt::Debug + PartialEq {
    /// Its name in Kafka's schema.
    const NAME: &'static str = Self::SCHEMA.name;
    /// Versions that can be read and written.
    const VERSIONS: Versions = Self::SCHEMA.versions;
    /// The first flexible version (KIP-482), if there is one.
    const FLEXIBLE: Option<i16> = if Self::SCHEMA.flexible.is_empty() {
        None
    } else {
        Some(Self::SCHEMA.flexible.min)
    };
    /// Versions that may be negotiated: all but the unstable ones.
    const STABLE: Versions = if Self::SCHEMA.unstable.is_empty() {
        Self::SCHEMA.versions
    } else {
        Versions::new(Self::SCHEMA.versions.min, Self::SCHEMA.unstable.min - 1)
    };
    /// The declaration as data.
    const SCHEMA: &'static Schema;

    /// Reads one body at the reader's position. The caller says what may follow it; [`Reader::finish`] refuses bytes left over.
    ///
    /// # Errors
    /// `version` is not one of [`Self::VERSIONS`], or the bytes are no such message.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(r.fail(DecodeErrorKind::Version(version)));
        }
        r.read(|cursor| Self::read(cursor, Self::SCHEMA.layout(version)))
    }

    /// Writes one body.
    ///
    /// # Errors
    /// `version` is not one of [`Self::VERSIONS`], or cannot carry a value that is set.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::new(EncodeErrorKind::Version(version)));
        }
        self.write(w, Self::SCHEMA.layout(version));
        w.take_fault().map_or(Ok(()), Err)
    }

    /// Reads a body that fills `bytes`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and if bytes are left over.
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = Self::decode(&mut r, version)?;
        r.finish()?;
        Ok(message)
    }

    /// The body in one piece.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::contiguous();
        self.encode(&mut w, version)?;
        Ok(w.finish().into_bytes())
    }

    /// The value as JSON, in the shape of Kafka's own converter.
    ///
    /// # Errors
    /// As [`encode`](Self::encode): only what a version can carry has a shape in it.
    #[cfg(feature = "json")]
    fn to_json(&self, version: i16) -> Result<serde_json::Value, EncodeError> {
        let body = self.to_bytes(version)?;
        let value = Self::SCHEMA.to_json(&body, version);
        Ok(value.expect("what was written can be read"))
    }

    /// The value that JSON in the shape of Kafka's own converter stands for.
    ///
    /// # Errors
    /// The JSON is no such value, or `version` is not one of [`Self::VERSIONS`].
    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, version: i16) -> Result<Self, json::JsonError> {
        let body = Self::SCHEMA.from_json(value, version)?;
        Self::from_bytes(body, version).map_err(|e| json::JsonError::new(e.to_string()))
    }
}

/// The number of an API, as request headers name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

/// A request that has a response.
pub trait Request: Message {
    /// The API's number.
    const KEY: ApiKey;
    /// What answers it.
    type Response: Message;

    /// Version of the request header that stands before a body of `version` (KIP-482: 2 before flexible bodies).
    fn header_version(version: i16) -> i16 {
        request_header_version(Self::SCHEMA, version)
    }

    /// Version of the response header that stands before the answer to a request of `version`.
    fn response_header_version(version: i16) -> i16 {
        response_header_version(Self::KEY, <Self::Response as Message>::SCHEMA, version)
    }
}

pub(crate) fn request_header_version(request: &Schema, version: i16) -> i16 {
    if request.flexible.contains(version) {
        2
    } else {
        1
    }
}

// A client must be able to read the answer to a version it guessed too high, so ApiVersions never has tagged fields in its
// header (KIP-511).
pub(crate) fn response_header_version(key: ApiKey, response: &Schema, version: i16) -> i16 {
    i16::from(key != ApiKey::API_VERSIONS && response.flexible.contains(version))
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "API {}", self.0),
        }
    }
}
