//! Values as JSON, in the shape of Kafka's own `JsonConverter`: camel case names, base64 bytes, ids as 22 characters; a field
//! that a version lacks is absent, and so is a tagged field at its default.
//!
//! Both directions go over the bytes, led by the declaration as data: no message has code for it.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Field, Kind, Schema, Struct};
use crate::wire::{Cursor, DecodeError, Layout, Reader, Text, Uuid, Wire, Writer};

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

    fn expected(what: &str, found: &Value) -> Self {
        let mut found = found.to_string();
        if found.len() > 60 {
            found.truncate(found.floor_char_boundary(60));
            found.push('…');
        }
        Self::new(format!("expected {what}, found {found}"))
    }

    /// The same error, seen from the value around it.
    fn within(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

impl Schema {
    /// The value of a body that fills `body`, as JSON.
    ///
    /// # Errors
    /// The bytes are no such message.
    pub fn to_json(&self, body: &Bytes, version: i16) -> Result<Value, DecodeError> {
        let mut r = Reader::new(body.clone());
        let value = r.read(|cursor| fields_to_json(cursor, self.fields, self.layout(version)))?;
        r.finish()?;
        Ok(value)
    }

    /// The body whose value the JSON says.
    ///
    /// # Errors
    /// The JSON is no such value.
    pub fn from_json(&self, value: &Value, version: i16) -> Result<Bytes, JsonError> {
        let mut w = Writer::new();
        fields_from_json(&mut w, self.fields, value, self.layout(version))?;
        match w.take_fault() {
            None => Ok(w.finish().into_bytes()),
            Some(fault) => Err(JsonError::new(fault.to_string())),
        }
    }
}

fn fields_to_json(r: &mut Cursor<'_>, of: &Struct, l: Layout) -> Value {
    let mut object = Map::new();
    for field in of.untagged(l.version) {
        object.insert(camel_case(field.name), to_json(r, &field.kind, l));
    }
    if l.flexible {
        let mut tags = r.tags();
        while let Some(tag) = tags.next(r) {
            if let Some(field) = of.tagged(tag, l.version) {
                object.insert(camel_case(field.name), to_json(r, &field.kind, l));
                tags.end(r);
            } else {
                tags.skip(r);
            }
        }
    }
    object.into()
}

fn to_json(r: &mut Cursor<'_>, kind: &Kind, l: Layout) -> Value {
    match kind {
        Kind::Bool => (r.i8() != 0).into(),
        Kind::Int8 => r.i8().into(),
        Kind::Int16 => r.i16().into(),
        Kind::Uint16 => r.u16().into(),
        Kind::Int32 => r.i32().into(),
        Kind::Int64 => r.i64().into(),
        Kind::Float64 => double_to_json(r.f64()),
        Kind::Uuid => Uuid::read(r, l).to_string().into(),
        Kind::String => r.text(l.flexible).map_or(Value::Null, text_to_json),
        Kind::ShortString => r.text(false).map_or(Value::Null, text_to_json),
        Kind::Bytes | Kind::Records => {
            let bytes = r.bytes(l.flexible);
            bytes.map_or(Value::Null, |bytes| STANDARD.encode(bytes).into())
        }
        Kind::Array(element) => match r.count(l.flexible) {
            None => Value::Null,
            Some(count) => {
                let mut elements = Vec::new();
                for _ in 0..count {
                    elements.push(to_json(r, element, l));
                    if r.failed() {
                        break;
                    }
                }
                elements.into()
            }
        },
        Kind::Struct(of) => fields_to_json(r, of, l),
        Kind::Nullable(Kind::Struct(of)) if r.present() => fields_to_json(r, of, l),
        Kind::Nullable(Kind::Struct(_)) => Value::Null,
        Kind::Nullable(inner) => to_json(r, inner, l),
    }
}

fn text_to_json(text: Text) -> Value {
    text.as_str().into()
}

/// JSON has no numbers beyond the finite ones: Java writes them as words.
fn double_to_json(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(
        || Value::String(format!("{number:?}").replace("inf", "Infinity")),
        Value::Number,
    )
}

fn fields_from_json(
    w: &mut Writer,
    of: &Struct,
    value: &Value,
    l: Layout,
) -> Result<(), JsonError> {
    let object = value
        .as_object()
        .ok_or_else(|| JsonError::expected("an object", value))?;
    let mut known = 0;
    for field in of.untagged(l.version) {
        let name = camel_case(field.name);
        let value = object
            .get(&name)
            .ok_or_else(|| JsonError::new("is missing").within(&name))?;
        field_from_json(w, field, value, l).map_err(|e| e.within(&name))?;
        known += 1;
    }
    if l.flexible {
        let tagged = of.fields.iter().filter(|field| {
            field.tag.is_some()
                && field.versions.contains(l.version)
                && object.contains_key(&camel_case(field.name))
        });
        w.unsigned_varint(tagged.clone().count() as u32);
        for field in tagged {
            let name = camel_case(field.name);
            let start = w.begin_tagged(field.tag.unwrap_or_default());
            field_from_json(w, field, &object[&name], l).map_err(|e| e.within(&name))?;
            w.end_tagged(start);
            known += 1;
        }
    }
    if known == object.len() {
        return Ok(());
    }
    let of_this_version = |key: &&String| {
        let mut there = of.fields.iter();
        there.any(|field| field.versions.contains(l.version) && camel_case(field.name) == **key)
    };
    match object.keys().find(|key| !of_this_version(key)) {
        Some(key) => Err(JsonError::new("is no field of this version").within(key)),
        None => Ok(()),
    }
}

fn field_from_json(
    w: &mut Writer,
    field: &Field,
    value: &Value,
    l: Layout,
) -> Result<(), JsonError> {
    match field.kind {
        Kind::Nullable(kind) if value.is_null() => {
            if !field.nullable.contains(l.version) {
                return Err(JsonError::new("may not be null in this version"));
            }
            match kind {
                Kind::Struct(_) => w.i8(-1),
                Kind::String => w.null_text(l.flexible),
                Kind::ShortString => w.null_text(false),
                _ => w.null_count(l.flexible),
            }
            Ok(())
        }
        Kind::Nullable(kind) => {
            if matches!(kind, Kind::Struct(_)) {
                w.i8(1);
            }
            from_json(w, kind, value, l)
        }
        kind => from_json(w, &kind, value, l),
    }
}

fn from_json(w: &mut Writer, kind: &Kind, value: &Value, l: Layout) -> Result<(), JsonError> {
    match kind {
        Kind::Bool => {
            let flag = value.as_bool();
            w.i8(i8::from(flag.ok_or_else(|| {
                JsonError::expected("true or false", value)
            })?));
        }
        Kind::Int8 => w.i8(integer(value, "an int8")?),
        Kind::Int16 => w.i16(integer(value, "an int16")?),
        Kind::Uint16 => w.u16(integer(value, "a uint16")?),
        Kind::Int32 => w.i32(integer(value, "an int32")?),
        Kind::Int64 => w.i64(integer(value, "an int64")?),
        Kind::Float64 => w.f64(double_from_json(value)?),
        Kind::Uuid => {
            let id: Option<Uuid> = value.as_str().and_then(|text| text.parse().ok());
            id.ok_or_else(|| JsonError::expected("an id of 22 characters", value))?
                .write(w, l);
        }
        Kind::String => w.text(&text(value)?, l.flexible),
        Kind::ShortString => w.text(&text(value)?, false),
        Kind::Bytes | Kind::Records => {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            let bytes = bytes.ok_or_else(|| JsonError::expected("base64", value))?;
            Bytes::from(bytes).write(w, l);
        }
        Kind::Array(element) => {
            let elements = value
                .as_array()
                .ok_or_else(|| JsonError::expected("an array", value))?;
            w.count(elements.len(), l.flexible);
            for (index, value) in elements.iter().enumerate() {
                from_json(w, element, value, l).map_err(|e| e.within(&format!("[{index}]")))?;
            }
        }
        Kind::Struct(of) => fields_from_json(w, of, value, l)?,
        Kind::Nullable(inner) => from_json(w, inner, value, l)?,
    }
    Ok(())
}

fn integer<T: TryFrom<i64>>(value: &Value, what: &str) -> Result<T, JsonError> {
    let number = value.as_i64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| JsonError::expected(what, value))
}

fn double_from_json(value: &Value) -> Result<f64, JsonError> {
    let number = match value.as_str() {
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some("NaN") => Some(f64::NAN),
        _ => value.as_f64(),
    };
    number.ok_or_else(|| JsonError::expected("a number", value))
}

fn text(value: &Value) -> Result<Text, JsonError> {
    let text = value.as_str().map(Text::from);
    text.ok_or_else(|| JsonError::expected("a string", value))
}

/// `throttle_time_ms` as `throttleTimeMs`.
fn camel_case(name: &str) -> String {
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
