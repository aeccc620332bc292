//! Values as JSON, in the shape of Kafka's own `JsonConverter`: camel case names, base64 bytes, ids as 22 characters; a field
//! that a version lacks is absent, and so is a tagged field at its default.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Layout, Wire};

/// JSON that is not the value asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    /// The field, as `topics[0].partitions[1].index`; empty for the whole value.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.path, self.problem)
        }
    }
}

impl JsonError {
    /// An error at the value itself.
    pub fn new(problem: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            problem: problem.into(),
        }
    }

    /// Something else was found than what was expected.
    pub fn expected(what: &str, found: &Value) -> Self {
        let mut found = found.to_string();
        if found.len() > 60 {
            found.truncate(found.floor_char_boundary(60));
            found.push('…');
        }
        Self::new(format!("expected {what}, found {found}"))
    }

    /// The same error, seen from the value around it.
    #[must_use]
    pub fn within(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

/// A number on its way to and from JSON.
pub(crate) trait Number: Sized {
    fn to_json(self) -> Value;
    fn from_json(value: &Value) -> Result<Self, JsonError>;
}

macro_rules! integers {
    ($($ty:ident)*) => {$(
        impl Number for $ty {
            fn to_json(self) -> Value {
                self.into()
            }

            fn from_json(value: &Value) -> Result<Self, JsonError> {
                let number = value.as_i64().and_then(|number| Self::try_from(number).ok());
                number.ok_or_else(|| JsonError::expected(concat!("an ", stringify!($ty)), value))
            }
        }
    )*};
}

integers!(i8 i16 u16 i32 i64);

impl Number for f64 {
    fn to_json(self) -> Value {
        serde_json::Number::from_f64(self).map_or_else(
            || Value::String(format!("{self:?}").replace("inf", "Infinity")),
            Value::Number,
        )
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let number = match value.as_str() {
            Some("Infinity") => Some(Self::INFINITY),
            Some("-Infinity") => Some(Self::NEG_INFINITY),
            Some("NaN") => Some(Self::NAN),
            _ => value.as_f64(),
        };
        number.ok_or_else(|| JsonError::expected("a number", value))
    }
}

/// Bytes as base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

/// Base64 with padding as bytes.
pub(crate) fn from_base64(value: &Value) -> Result<Bytes, JsonError> {
    let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
    bytes
        .map(Bytes::from)
        .ok_or_else(|| JsonError::expected("base64", value))
}

/// `throttle_time_ms` as `throttleTimeMs`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.trim_start_matches("r#").chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                camel.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

/// A struct on its way to JSON, field by field.
#[derive(Debug, Default)]
pub(crate) struct ObjectWriter(Map<String, Value>);

impl ObjectWriter {
    pub(crate) fn field<T: Wire>(&mut self, name: &str, value: &T, layout: Layout) {
        self.0.insert(camel_case(name), value.to_json(layout));
    }

    pub(crate) fn finish(self) -> Value {
        Value::Object(self.0)
    }
}

/// A struct on its way from JSON, field by field.
#[derive(Debug)]
pub(crate) struct ObjectReader<'a> {
    object: &'a Map<String, Value>,
    taken: Vec<String>,
}

impl<'a> ObjectReader<'a> {
    pub(crate) fn new(value: &'a Value) -> Result<Self, JsonError> {
        let object = value
            .as_object()
            .ok_or_else(|| JsonError::expected("an object", value))?;
        Ok(Self {
            object,
            taken: Vec::new(),
        })
    }

    /// The field, or `None` if the object lacks it.
    pub(crate) fn field<T: Wire>(
        &mut self,
        name: &str,
        layout: Layout,
    ) -> Result<Option<T>, JsonError> {
        let name = camel_case(name);
        let Some(value) = self.object.get(&name) else {
            return Ok(None);
        };
        let value = T::from_json(value, layout).map_err(|e| e.within(&name))?;
        self.taken.push(name);
        Ok(Some(value))
    }

    /// A field that the object must have.
    pub(crate) fn required<T: Wire>(&mut self, name: &str, layout: Layout) -> Result<T, JsonError> {
        self.field(name, layout)?
            .ok_or_else(|| JsonError::new("is missing").within(&camel_case(name)))
    }

    /// Refuses fields that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), JsonError> {
        match self.object.keys().find(|key| !self.taken.contains(key)) {
            Some(key) => Err(JsonError::new("is no field of this version").within(key)),
            None => Ok(()),
        }
    }
}
