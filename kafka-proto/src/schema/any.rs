//! Messages whose type is chosen at run time: for inspectors, proxies, fuzzers and tests.

use std::{any::Any, fmt};

use super::{ApiKey, Message, Schema, request_header_version, response_header_version};
#[cfg(feature = "json")]
use crate::wire::Layout;
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

type Decode = fn(&mut Reader, i16) -> Result<Box<dyn AnyMessage>, DecodeError>;
#[cfg(feature = "json")]
type FromJson =
    fn(&serde_json::Value, Layout) -> Result<Box<dyn AnyMessage>, crate::wire::json::JsonError>;

/// A message type chosen at run time: its declaration, and how to make values of it.
#[derive(Clone, Copy, Debug)]
pub struct MessageType {
    /// The declaration as data.
    pub schema: &'static Schema,
    default: fn() -> Box<dyn AnyMessage>,
    decode: Decode,
    #[cfg(feature = "json")]
    from_json: FromJson,
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
            #[cfg(feature = "json")]
            from_json: |value, layout| {
                M::from_json(value, layout).map(|message| Box::new(message) as Box<dyn AnyMessage>)
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
