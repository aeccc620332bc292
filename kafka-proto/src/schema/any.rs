//! Messages whose type is chosen at run time: for inspectors, proxies, fuzzers and tests.

use std::{any::Any, fmt};

#[cfg(feature = "json")]
use super::json::JsonError;
use super::{ApiKey, Message, Schema, request_header_version, response_header_version};
use crate::wire::{
    Cursor, DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Layout, Reader, Writer,
};

/// A message whose type is chosen at run time.
pub trait AnyMessage: Any + Send + Sync {
    /// Its declaration as data.
    fn schema(&self) -> &'static Schema;

    /// For downcasts.
    fn as_any(&self) -> &dyn Any;

    /// Writes the fields; what cannot be written is noted by the writer.
    #[doc(hidden)]
    fn write_fields(&self, w: &mut Writer, layout: Layout);
}

impl<M: Message + Send + Sync + 'static> AnyMessage for M {
    fn schema(&self) -> &'static Schema {
        M::SCHEMA
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn write_fields(&self, w: &mut Writer, layout: Layout) {
        self.write(w, layout);
    }
}

impl dyn AnyMessage {
    /// Writes the body.
    ///
    /// # Errors
    /// As [`Message::encode`].
    pub fn encode_any(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let schema = self.schema();
        if !schema.versions.contains(version) {
            return Err(EncodeError::new(EncodeErrorKind::Version(version)));
        }
        self.write_fields(w, schema.layout(version));
        w.take_fault().map_or(Ok(()), Err)
    }

    /// Whether `other` is of the same type and has the same bytes in every version.
    pub fn equals(&self, other: &Self) -> bool {
        let bytes = |message: &Self, version| {
            let mut w = Writer::new();
            message
                .encode_any(&mut w, version)
                .map(|()| w.finish().into_bytes())
        };
        let versions = self.schema().versions;
        self.as_any().type_id() == other.as_any().type_id()
            && (versions.min..=versions.max)
                .all(|version| bytes(self, version) == bytes(other, version))
    }

    /// As JSON, in the shape of Kafka's own converter.
    ///
    /// # Errors
    /// As [`Message::to_json`].
    #[cfg(feature = "json")]
    pub fn json(&self, version: i16) -> Result<serde_json::Value, EncodeError> {
        let mut w = Writer::new();
        self.encode_any(&mut w, version)?;
        let value = self.schema().to_json(&w.finish().into_bytes(), version);
        Ok(value.expect("what was written can be read"))
    }
}

/// Its name; with the feature `json` also its value, in the latest version that can carry it.
impl fmt::Debug for dyn AnyMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        #[cfg(feature = "json")]
        for version in (schema.versions.min..=schema.versions.max).rev() {
            if let Ok(value) = self.json(version) {
                return write!(f, "{} v{version} {value}", schema.name);
            }
        }
        f.debug_struct(schema.name).finish_non_exhaustive()
    }
}

/// A message type chosen at run time: its declaration, and how to make values of it.
#[derive(Clone, Copy, Debug)]
pub struct MessageType {
    /// The declaration as data.
    pub schema: &'static Schema,
    default: fn() -> Box<dyn AnyMessage>,
    read: fn(&mut Cursor<'_>, Layout) -> Box<dyn AnyMessage>,
}

fn default_of<M: Message + Send + Sync + 'static>() -> Box<dyn AnyMessage> {
    Box::new(M::default())
}

fn read_of<M: Message + Send + Sync + 'static>(
    r: &mut Cursor<'_>,
    l: Layout,
) -> Box<dyn AnyMessage> {
    Box::new(M::read(r, l))
}

impl MessageType {
    /// The type `M`.
    pub const fn of<M: Message + Send + Sync + 'static>() -> Self {
        Self {
            schema: M::SCHEMA,
            default: default_of::<M>,
            read: read_of::<M>,
        }
    }

    /// A value with every field at its default.
    pub fn default_value(&self) -> Box<dyn AnyMessage> {
        (self.default)()
    }

    /// Reads one body at the reader's position.
    ///
    /// # Errors
    /// As [`Message::decode`].
    pub fn decode(&self, r: &mut Reader, version: i16) -> Result<Box<dyn AnyMessage>, DecodeError> {
        if !self.schema.versions.contains(version) {
            return Err(r.fail(DecodeErrorKind::Version(version)));
        }
        r.read(|cursor| (self.read)(cursor, self.schema.layout(version)))
    }

    /// A value from JSON in the shape of Kafka's own converter.
    ///
    /// # Errors
    /// As [`Message::from_json`].
    #[cfg(feature = "json")]
    pub fn from_json(
        &self,
        value: &serde_json::Value,
        version: i16,
    ) -> Result<Box<dyn AnyMessage>, JsonError> {
        let mut r = Reader::new(self.schema.from_json(value, version)?);
        let message = self
            .decode(&mut r, version)
            .and_then(|message| r.finish().map(|()| message));
        message.map_err(|e| JsonError::new(e.to_string()))
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
