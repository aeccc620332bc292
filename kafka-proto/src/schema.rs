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

use std::{any::Any, fmt};

use bytes::Bytes;

use crate::wire::{DecodeError, EncodeError, Layout, Reader, Wire, Writer};

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

    /// Reads one body at the cursor. The caller says what may follow it; [`Reader::finish`] refuses bytes left over.
    ///
    /// # Errors
    /// `version` is not one of [`Self::VERSIONS`], or the bytes are no such message.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes one body.
    ///
    /// # Errors
    /// `version` is not one of [`Self::VERSIONS`], or cannot carry a value that is set.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;

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
        let mut w = Writer::new();
        self.encode(&mut w, version)?;
        Ok(w.finish().into_bytes())
    }
}

/// Whether the bracket before it held anything.
macro_rules! present {
    ([]) => {
        false
    };
    ([$($some:tt)+]) => {
        true
    };
}

/// Whether a version lies in a range.
macro_rules! within {
    ($version:expr, [0]) => {
        true
    };
    ($version:expr, [$from:tt]) => {
        $version >= $from
    };
    ($version:expr, [$from:tt $to:tt]) => {
        $version >= $from && $version <= $to
    };
}

/// A range as data.
macro_rules! versions {
    ([]) => {
        $crate::schema::Versions::NONE
    };
    ([$from:tt]) => {
        $crate::schema::Versions::from($from)
    };
    ([$from:tt $to:tt]) => {
        $crate::schema::Versions::new($from, $to)
    };
}

/// The default of a field.
macro_rules! initial {
    ($ty:ty, []) => {
        <$ty as $crate::wire::Wire>::initial()
    };
    ($ty:ty, [$default:expr]) => {
        $default
    };
}

macro_rules! tag {
    ([]) => {
        None
    };
    ([$tag:tt]) => {
        Some($tag)
    };
}

macro_rules! default_text {
    ([]) => {
        None
    };
    ([$default:expr]) => {
        Some(stringify!($default))
    };
}

/// The versions in which a field may be null: what the declaration says, or all that have the field if it is an `Option`.
macro_rules! nullable {
    ($ty:ty, $versions:tt, []) => {
        match <$ty as $crate::wire::Wire>::KIND {
            $crate::schema::Kind::Nullable(_) => versions!($versions),
            _ => $crate::schema::Versions::NONE,
        }
    };
    ($ty:ty, $versions:tt, $null:tt) => {
        versions!($null)
    };
}

/// Reads an untagged field.
macro_rules! read_field {
    ($r:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [], $default:tt) => {
        if within!($l.version, $versions) {
            let start = $r.offset();
            let value = <$ty as $crate::wire::Wire>::read($r, $l)?;
            null_read!(start, $l, value, $null);
            value
        } else {
            initial!($ty, $default)
        }
    };
    ($r:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [$tag:tt], $default:tt) => {
        initial!($ty, $default)
    };
}

macro_rules! null_read {
    ($start:ident, $l:ident, $value:ident, []) => {
        let _ = $start;
    };
    ($start:ident, $l:ident, $value:ident, $null:tt) => {
        if $crate::wire::Wire::is_null(&$value) && !(within!($l.version, $null)) {
            let kind = $crate::wire::DecodeErrorKind::Null;
            return Err($crate::wire::DecodeError {
                kind,
                offset: $start,
            });
        }
    };
}

/// Whether a tagged field was this one, and was read.
macro_rules! read_tagged {
    ($found:ident, $r:ident, $l:ident, $field:ident, $ty:ty, $versions:tt, []) => {
        false
    };
    ($found:ident, $r:ident, $l:ident, $field:ident, $ty:ty, $versions:tt, [$tag:tt]) => {
        $found == $tag && within!($l.version, $versions) && {
            $field = <$ty as $crate::wire::Wire>::read($r, $l)?;
            true
        }
    };
}

/// Writes an untagged field, or sees that a value which the version lacks is not lost.
macro_rules! write_field {
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [], $default:tt, $flag:tt) => {
        if within!($l.version, $versions) {
            null_write!($path, $value, $l, $null);
            $crate::wire::Wire::write(&$value, $w, $l).map_err(|e| e.in_field($path))?;
        } else {
            absent!($path, $value, $l, $ty, $default, $flag);
        }
    };
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [$tag:tt], $default:tt, $flag:tt) => {
        if !(within!($l.version, $versions)) {
            absent!($path, $value, $l, $ty, $default, $flag);
        }
    };
}

macro_rules! null_write {
    ($path:expr, $value:expr, $l:ident, []) => {};
    ($path:expr, $value:expr, $l:ident, $null:tt) => {
        if $crate::wire::Wire::is_null(&$value) && !(within!($l.version, $null)) {
            let kind = $crate::wire::EncodeErrorKind::Null($l.version);
            return Err($crate::wire::EncodeError::new(kind).in_field($path));
        }
    };
}

macro_rules! absent {
    ($path:expr, $value:expr, $l:ident, $ty:ty, $default:tt, [ignorable]) => {};
    ($path:expr, $value:expr, $l:ident, $ty:ty, $default:tt, []) => {
        if $value != initial!($ty, $default) {
            let kind = $crate::wire::EncodeErrorKind::Absent($l.version);
            return Err($crate::wire::EncodeError::new(kind).in_field($path));
        }
    };
}

/// Whether a tagged field is to be written: it is there, and not at its default.
macro_rules! tagged_is_set {
    ($value:expr, $l:ident, $ty:ty, $versions:tt, [], $default:tt) => {
        false
    };
    ($value:expr, $l:ident, $ty:ty, $versions:tt, [$tag:tt], $default:tt) => {
        within!($l.version, $versions) && $value != initial!($ty, $default)
    };
}

macro_rules! write_tagged {
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, [], $default:tt) => {};
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, [$tag:tt], $default:tt) => {
        if tagged_is_set!($value, $l, $ty, $versions, [$tag], $default) {
            $w.tagged($tag, |w| $crate::wire::Wire::write(&$value, w, $l))
                .map_err(|e: $crate::wire::EncodeError| e.in_field($path))?;
        }
    };
}

#[cfg(feature = "json")]
macro_rules! field_from_json {
    ($object:ident, $l:ident, $name:expr, $ty:ty, $versions:tt, [], $default:tt) => {
        if within!($l.version, $versions) {
            $object.required::<$ty>($name, $l)?
        } else {
            initial!($ty, $default)
        }
    };
    ($object:ident, $l:ident, $name:expr, $ty:ty, $versions:tt, [$tag:tt], $default:tt) => {
        if within!($l.version, $versions) {
            $object
                .field::<$ty>($name, $l)?
                .unwrap_or_else(|| initial!($ty, $default))
        } else {
            initial!($ty, $default)
        }
    };
}

/// Declares messages and the structs inside them; see the head of this module.
macro_rules! message {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident
            $([$from:tt ..= $to:tt $(, unstable $unstable:tt)?] $(flexible [$flexible:tt ..])?)?
        {
            $(
                $(#[$field_meta:meta])*
                $field:ident: $ty:ty [
                    $since:tt $(..)? $(..= $until:tt)?
                    $(, null $null_since:tt $(..)? $(..= $null_until:tt)?)?
                    $(, tag $tag:tt)?
                ] $($flag:ident)? $(= $default:expr)?
            ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: initial!($ty, [$($default)?]),)* }
            }
        }

        impl $name {
            const STRUCT: $crate::schema::Struct = $crate::schema::Struct {
                name: stringify!($name),
                fields: &[$($crate::schema::Field {
                    name: stringify!($field),
                    versions: versions!([$since $($until)?]),
                    nullable: nullable!($ty, [$since $($until)?], [$($null_since $($null_until)?)?]),
                    tag: tag!([$($tag)?]),
                    default: default_text!([$($default)?]),
                    ignorable: present!([$($flag)?]),
                    kind: <$ty as $crate::wire::Wire>::KIND,
                },)*],
            };
        }

        impl $crate::wire::Wire for $name {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Struct(&Self::STRUCT);

            fn initial() -> Self {
                Self::default()
            }

            #[allow(unused_mut, reason = "only tagged fields are set twice")]
            fn read(r: &mut $crate::wire::Reader, l: $crate::wire::Layout) -> Result<Self, $crate::wire::DecodeError> {
                $(let mut $field = read_field!(
                    r, l, $ty, [$since $($until)?], [$($null_since $($null_until)?)?], [$($tag)?], [$($default)?]
                );)*
                if l.flexible {
                    let mut tags = r.tags()?;
                    while let Some((tag, end)) = tags.next(r)? {
                        let start = r.offset();
                        let known = false $(|| read_tagged!(tag, r, l, $field, $ty, [$since $($until)?], [$($tag)?]))*;
                        let _ = tag;
                        tags.end(r, start, end, known)?;
                    }
                }
                Ok(Self { $($field,)* })
            }

            fn write(&self, w: &mut $crate::wire::Writer, l: $crate::wire::Layout) -> Result<(), $crate::wire::EncodeError> {
                $(write_field!(
                    concat!(stringify!($name), ".", stringify!($field)), self.$field, w, l, $ty,
                    [$since $($until)?], [$($null_since $($null_until)?)?], [$($tag)?], [$($default)?], [$($flag)?]
                );)*
                if l.flexible {
                    let set = 0 $(+ u32::from(tagged_is_set!(self.$field, l, $ty, [$since $($until)?], [$($tag)?], [$($default)?])))*;
                    w.unsigned_varint(set);
                    $(write_tagged!(
                        concat!(stringify!($name), ".", stringify!($field)), self.$field, w, l, $ty,
                        [$since $($until)?], [$($tag)?], [$($default)?]
                    );)*
                }
                Ok(())
            }

            #[cfg(feature = "json")]
            fn to_json(&self, l: $crate::wire::Layout) -> serde_json::Value {
                let mut object = $crate::wire::json::ObjectWriter::default();
                $(if (!present!([$($tag)?]) && within!(l.version, [$since $($until)?]))
                    || tagged_is_set!(self.$field, l, $ty, [$since $($until)?], [$($tag)?], [$($default)?])
                {
                    object.field(stringify!($field), &self.$field, l);
                })*
                let _ = l;
                object.finish()
            }

            #[cfg(feature = "json")]
            fn from_json(value: &serde_json::Value, l: $crate::wire::Layout) -> Result<Self, $crate::wire::json::JsonError> {
                let mut object = $crate::wire::json::ObjectReader::new(value)?;
                let message = Self {
                    $($field: field_from_json!(object, l, stringify!($field), $ty, [$since $($until)?], [$($tag)?], [$($default)?]),)*
                };
                let _ = l;
                object.finish()?;
                Ok(message)
            }
        }

        impl $crate::wire::Nullable for $name {
            fn read_nullable(
                r: &mut $crate::wire::Reader,
                l: $crate::wire::Layout,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                if r.present()? { <Self as $crate::wire::Wire>::read(r, l).map(Some) } else { Ok(None) }
            }

            fn write_present(
                &self,
                w: &mut $crate::wire::Writer,
                l: $crate::wire::Layout,
            ) -> Result<(), $crate::wire::EncodeError> {
                w.i8(1);
                $crate::wire::Wire::write(self, w, l)
            }

            fn write_null(w: &mut $crate::wire::Writer, _: $crate::wire::Layout) {
                w.i8(-1);
            }
        }

        $(impl $crate::schema::Message for $name {
            const SCHEMA: &'static $crate::schema::Schema = &$crate::schema::Schema {
                name: stringify!($name),
                versions: $crate::schema::Versions::new($from, $to),
                flexible: versions!([$($flexible)?]),
                unstable: versions!([$($unstable $unstable)?]),
                fields: &Self::STRUCT,
            };

            fn decode(r: &mut $crate::wire::Reader, version: i16) -> Result<Self, $crate::wire::DecodeError> {
                if !Self::VERSIONS.contains(version) {
                    return Err(r.fail($crate::wire::DecodeErrorKind::Version(version)));
                }
                <Self as $crate::wire::Wire>::read(r, Self::SCHEMA.layout(version))
            }

            fn encode(&self, w: &mut $crate::wire::Writer, version: i16) -> Result<(), $crate::wire::EncodeError> {
                if !Self::VERSIONS.contains(version) {
                    return Err($crate::wire::EncodeError::new($crate::wire::EncodeErrorKind::Version(version)));
                }
                $crate::wire::Wire::write(self, w, Self::SCHEMA.layout(version))
            }
        })?
    )*};
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

/// A message whose type is chosen at run time.
pub trait AnyMessage: fmt::Debug + Any + Send + Sync {
    /// Its declaration as data.
    fn schema(&self) -> &'static Schema;

    /// Writes the body.
    ///
    /// # Errors
    /// As [`Message::encode`].
    fn encode_any(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Whether `other` is the same type with the same value.
    fn equals(&self, other: &dyn AnyMessage) -> bool;

    /// For downcasts.
    fn as_any(&self) -> &dyn Any;

    /// As JSON, in the shape of Kafka's own converter.
    #[cfg(feature = "json")]
    fn json(&self, version: i16) -> serde_json::Value;
}

impl<M: Message + Send + Sync + 'static> AnyMessage for M {
    fn schema(&self) -> &'static Schema {
        M::SCHEMA
    }

    fn encode_any(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        self.encode(w, version)
    }

    fn equals(&self, other: &dyn AnyMessage) -> bool {
        other.as_any().downcast_ref::<M>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    #[cfg(feature = "json")]
    fn json(&self, version: i16) -> serde_json::Value {
        self.to_json(M::SCHEMA.layout(version))
    }
}

/// A message type chosen at run time: its declaration, and how to make values of it.
#[derive(Clone, Copy, Debug)]
pub struct MessageType {
    /// The declaration as data.
    pub schema: &'static Schema,
    decode: fn(&mut Reader, i16) -> Result<Box<dyn AnyMessage>, DecodeError>,
    #[cfg(feature = "json")]
    from_json:
        fn(&serde_json::Value, Layout) -> Result<Box<dyn AnyMessage>, crate::wire::json::JsonError>,
}

impl MessageType {
    /// The type `M`.
    pub const fn of<M: Message + Send + Sync + 'static>() -> Self {
        Self {
            schema: M::SCHEMA,
            decode: |r, version| {
                M::decode(r, version).map(|message| Box::new(message) as Box<dyn AnyMessage>)
            },
            #[cfg(feature = "json")]
            from_json: |value, layout| {
                M::from_json(value, layout).map(|message| Box::new(message) as Box<dyn AnyMessage>)
            },
        }
    }

    /// Reads one body at the cursor.
    ///
    /// # Errors
    /// As [`Message::decode`].
    pub fn decode(&self, r: &mut Reader, version: i16) -> Result<Box<dyn AnyMessage>, DecodeError> {
        (self.decode)(r, version)
    }

    /// A value from JSON in the shape of Kafka's own converter.
    ///
    /// # Errors
    /// The JSON is no such value.
    #[cfg(feature = "json")]
    pub fn from_json(
        &self,
        value: &serde_json::Value,
        version: i16,
    ) -> Result<Box<dyn AnyMessage>, crate::wire::json::JsonError> {
        (self.from_json)(value, self.schema.layout(version))
    }
}

/// One row of the API table.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Its number.
    pub key: ApiKey,
    /// Its name, as `Fetch`.
    pub name: &'static str,
    /// The request's type.
    pub request: MessageType,
    /// The response's type.
    pub response: MessageType,
}

impl Api {
    /// Version of the request header that stands before a body of `version`.
    pub fn request_header_version(&self, version: i16) -> i16 {
        request_header_version(self.request.schema, version)
    }

    /// Version of the response header that stands before a body of `version`.
    pub fn response_header_version(&self, version: i16) -> i16 {
        response_header_version(self.key, self.response.schema, version)
    }
}

/// Declares the table of APIs: for each the `ApiKey` constant, and which response answers which request.
macro_rules! api {
    ($($(#[$meta:meta])* $constant:ident $name:ident = $key:literal: $request:ident => $response:ident;)*) => {
        impl $crate::schema::ApiKey {
            $($(#[$meta])* pub const $constant: Self = Self($key);)*

            /// The API's name, as `Fetch`; `None` for a number that is not known here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($key => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        $(impl $crate::schema::Request for $request {
            const KEY: $crate::schema::ApiKey = $crate::schema::ApiKey::$constant;
            type Response = $response;
        })*

        /// Every API, ascending by key.
        pub static APIS: &[$crate::schema::Api] = &[$($crate::schema::Api {
            key: $crate::schema::ApiKey::$constant,
            name: stringify!($name),
            request: $crate::schema::MessageType::of::<$request>(),
            response: $crate::schema::MessageType::of::<$response>(),
        },)*];
    };
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "API {}", self.0),
        }
    }
}
