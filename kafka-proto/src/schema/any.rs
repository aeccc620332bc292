//! Messages whose type is chosen at run time: for inspectors, proxies, fuzzers and tests.

use std::{any::Any, fmt};

#[cfg(feature = "json")]
use super::json::JsonError;
use super::{ApiKey, Message, Schema, request_header_version, response_header_version};
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

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
    ///
    /// # Errors
    /// As [`Message::to_json`].
    #[cfg(feature = "json")]
    fn json(&self, version: i16) -> Result<serde_json::Value, EncodeError> {
        let mut w = Writer::new();
        self.encode_any(&mut w, version)?;
        let value = self.schema().to_json(&w.finish().into_bytes(), version);
        Ok(value.expect("what was written can be read"))
    }
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
}

type Decode = fn(&mut Reader, i16) -> Result<Box<dyn AnyMessage>, DecodeError>;

/// A message type chosen at run time: its declaration, and how to make values of it.
#[derive(Clone, Copy, Debug)]
pub struct MessageType {
    /// The declaration as data.
    pub schema: &'static Schema,
    default: fn() -> Box<dyn AnyMessage>,
    decode: Decode,
}

impl MessageType {
    /// The type `M`.
    pub const fn of<M: Message + Send + Sync + 'static>() -> Self {
        Self {
            schema: M::SCHEMA,
            default: || Box::new(M::default()),
            decode: |r, version| {
                M::decode(r, version).map(|message| Box::new(message) as Box<dyn AnyMessage>)
            },
        }
    }

    /// A value with every field at its default.
    pub fn default_value(&self) -> Box<dyn AnyMessage> {
        (self.default)()
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
