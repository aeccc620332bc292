//! How each type stands on the wire.

use bytes::Bytes;

use super::{
    DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Reader, Records, Text, Uuid, Writer,
};

/// How a message is laid out: its version, and whether that version is flexible (compact lengths, tagged fields; KIP-482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The version of the message.
    pub version: i16,
    /// Whether the version is flexible.
    pub flexible: bool,
}

/// A type that stands in a message.
pub trait Wire: Sized {
    /// What a field of this type holds where nothing else is said: zero or empty. Never null, as in Kafka.
    fn initial() -> Self;

    /// Reads one.
    ///
    /// # Errors
    /// The bytes are no such value.
    fn read(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError>;

    /// Writes one.
    ///
    /// # Errors
    /// The version cannot carry it.
    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError>;

    /// Whether it is null.
    fn is_null(&self) -> bool {
        false
    }

    /// As JSON, in the shape of Kafka's own converter.
    #[cfg(feature = "json")]
    fn to_json(&self, layout: Layout) -> serde_json::Value;

    /// From JSON, in the shape of Kafka's own converter.
    ///
    /// # Errors
    /// The JSON is no such value.
    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, layout: Layout)
    -> Result<Self, super::json::JsonError>;
}

/// A type that may be null where a message says so; then it stands there as an `Option`.
pub trait Nullable: Wire {
    /// Reads one, or null.
    ///
    /// # Errors
    /// The bytes are neither.
    fn read_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError>;

    /// Writes one that is not null, where null might stand.
    ///
    /// # Errors
    /// The version cannot carry it.
    #[inline]
    fn write_present(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        self.write(w, layout)
    }

    /// Writes null.
    fn write_null(w: &mut Writer, layout: Layout);
}

/// Elements of an array reserved ahead of reading them: the announced count is the peer's word, memory follows what arrives.
const RESERVED_BYTES_MAX: usize = 64 * 1024;

macro_rules! fixed {
    ($($ty:ident)*) => {$(
        impl Wire for $ty {
                    fn initial() -> Self {
                Self::default()
            }

            #[inline]
            fn read(r: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
                r.$ty()
            }

            #[inline]
            fn write(&self, w: &mut Writer, _: Layout) -> Result<(), EncodeError> {
                w.$ty(*self);
                Ok(())
            }

            #[cfg(feature = "json")]
            fn to_json(&self, _: Layout) -> serde_json::Value {
                super::json::Number::to_json(*self)
            }

            #[cfg(feature = "json")]
            fn from_json(value: &serde_json::Value, _: Layout) -> Result<Self, super::json::JsonError> {
                super::json::Number::from_json(value)
            }
        }
    )*};
}

fixed! { i8 i16 u16 i32 i64 f64 }

impl Wire for bool {
    fn initial() -> Self {
        false
    }

    #[inline]
    fn read(r: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
        Ok(r.i8()? != 0)
    }

    #[inline]
    fn write(&self, w: &mut Writer, _: Layout) -> Result<(), EncodeError> {
        w.i8(i8::from(*self));
        Ok(())
    }

    #[cfg(feature = "json")]
    fn to_json(&self, _: Layout) -> serde_json::Value {
        (*self).into()
    }

    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, _: Layout) -> Result<Self, super::json::JsonError> {
        value
            .as_bool()
            .ok_or_else(|| super::json::JsonError::expected("true or false", value))
    }
}

impl Wire for Uuid {
    fn initial() -> Self {
        Self::ZERO
    }

    #[inline]
    fn read(r: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
        Ok(Self(r.u128()?.to_be_bytes()))
    }

    #[inline]
    fn write(&self, w: &mut Writer, _: Layout) -> Result<(), EncodeError> {
        w.slice(&self.0);
        Ok(())
    }

    #[cfg(feature = "json")]
    fn to_json(&self, _: Layout) -> serde_json::Value {
        self.to_string().into()
    }

    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, _: Layout) -> Result<Self, super::json::JsonError> {
        let id = value.as_str().and_then(|text| text.parse().ok());
        id.ok_or_else(|| super::json::JsonError::expected("an id of 22 characters", value))
    }
}

#[inline]
fn write_length_16(w: &mut Writer, length: usize, compact: bool) -> Result<(), EncodeError> {
    match i16::try_from(length) {
        Ok(short) if !compact => w.i16(short),
        Ok(short) => w.unsigned_varint(short as u32 + 1),
        Err(_) => return Err(EncodeError::new(EncodeErrorKind::TooLong(length))),
    }
    Ok(())
}

#[inline]
fn write_length_32(w: &mut Writer, length: usize, compact: bool) -> Result<(), EncodeError> {
    match i32::try_from(length) {
        Ok(length) if !compact => w.i32(length),
        Ok(length) => w.unsigned_varint(length as u32 + 1),
        Err(_) => return Err(EncodeError::new(EncodeErrorKind::TooLong(length))),
    }
    Ok(())
}

#[inline]
fn write_null_32(w: &mut Writer, compact: bool) {
    if compact { w.u8(0) } else { w.i32(-1) }
}

/// Implements `read` of a type that may be null elsewhere: null is an error, at the byte where it stands.
macro_rules! refuse_null {
    () => {
        #[inline]
        fn read(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
            let null = r.fail(DecodeErrorKind::Null);
            Self::read_nullable(r, layout)?.ok_or(null)
        }
    };
}

impl Wire for Text {
    fn initial() -> Self {
        Self::EMPTY
    }

    refuse_null!();

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        let bytes = self.as_utf8();
        write_length_16(w, bytes.len(), layout.flexible)?;
        w.slice(bytes);
        Ok(())
    }

    #[cfg(feature = "json")]
    fn to_json(&self, _: Layout) -> serde_json::Value {
        self.as_str().into()
    }

    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, _: Layout) -> Result<Self, super::json::JsonError> {
        value
            .as_str()
            .map(Self::from)
            .ok_or_else(|| super::json::JsonError::expected("a string", value))
    }
}

impl Nullable for Text {
    #[inline]
    fn read_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        match r.length_16(layout.flexible)? {
            Some(len) => r.text(len).map(Some),
            None => Ok(None),
        }
    }

    fn write_null(w: &mut Writer, layout: Layout) {
        if layout.flexible { w.u8(0) } else { w.i16(-1) }
    }
}

impl Wire for Bytes {
    fn initial() -> Self {
        Self::new()
    }

    refuse_null!();

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        write_length_32(w, self.len(), layout.flexible)?;
        w.bytes(self);
        Ok(())
    }

    #[cfg(feature = "json")]
    fn to_json(&self, _: Layout) -> serde_json::Value {
        super::json::base64(self)
    }

    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, _: Layout) -> Result<Self, super::json::JsonError> {
        super::json::from_base64(value)
    }
}

impl Nullable for Bytes {
    #[inline]
    fn read_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        match r.length_32(layout.flexible)? {
            Some(len) => r.take(len).map(Some),
            None => Ok(None),
        }
    }

    fn write_null(w: &mut Writer, layout: Layout) {
        write_null_32(w, layout.flexible);
    }
}

impl Wire for Records {
    fn initial() -> Self {
        Self::default()
    }

    refuse_null!();

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        write_length_32(w, self.len(), layout.flexible)?;
        w.bytes(&self.head);
        w.bytes(&self.tail);
        Ok(())
    }

    #[cfg(feature = "json")]
    fn to_json(&self, _: Layout) -> serde_json::Value {
        super::json::base64(&self.clone().into_bytes())
    }

    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, _: Layout) -> Result<Self, super::json::JsonError> {
        super::json::from_base64(value).map(Self::from)
    }
}

impl Nullable for Records {
    #[inline]
    fn read_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(r, layout)?.map(Self::from))
    }

    fn write_null(w: &mut Writer, layout: Layout) {
        write_null_32(w, layout.flexible);
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn initial() -> Self {
        Self::new()
    }

    refuse_null!();

    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        write_length_32(w, self.len(), layout.flexible)?;
        self.iter().try_for_each(|element| element.write(w, layout))
    }

    #[cfg(feature = "json")]
    fn to_json(&self, layout: Layout) -> serde_json::Value {
        self.iter().map(|element| element.to_json(layout)).collect()
    }

    #[cfg(feature = "json")]
    fn from_json(
        value: &serde_json::Value,
        layout: Layout,
    ) -> Result<Self, super::json::JsonError> {
        let elements = value
            .as_array()
            .ok_or_else(|| super::json::JsonError::expected("an array", value))?;
        let read = |(index, element)| {
            T::from_json(element, layout).map_err(|e| e.within(&format!("[{index}]")))
        };
        elements.iter().enumerate().map(read).collect()
    }
}

impl<T: Wire> Nullable for Vec<T> {
    fn read_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        let start = r.offset();
        let Some(count) = r.length_32(layout.flexible)? else {
            return Ok(None);
        };
        // No element is shorter than one byte.
        if count > r.remaining() {
            let kind = DecodeErrorKind::Count {
                count,
                left: r.remaining(),
            };
            return Err(DecodeError {
                kind,
                offset: start,
            });
        }
        let mut elements =
            Self::with_capacity(count.min(RESERVED_BYTES_MAX / size_of::<T>().max(1)));
        for _ in 0..count {
            elements.push(T::read(r, layout)?);
        }
        Ok(Some(elements))
    }

    fn write_null(w: &mut Writer, layout: Layout) {
        write_null_32(w, layout.flexible);
    }
}

impl<T: Nullable> Wire for Option<T> {
    fn initial() -> Self {
        Some(T::initial())
    }

    #[inline]
    fn read(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        T::read_nullable(r, layout)
    }

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.write_present(w, layout),
            None => {
                T::write_null(w, layout);
                Ok(())
            }
        }
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }

    #[cfg(feature = "json")]
    fn to_json(&self, layout: Layout) -> serde_json::Value {
        self.as_ref()
            .map_or(serde_json::Value::Null, |value| value.to_json(layout))
    }

    #[cfg(feature = "json")]
    fn from_json(
        value: &serde_json::Value,
        layout: Layout,
    ) -> Result<Self, super::json::JsonError> {
        if value.is_null() {
            Ok(None)
        } else {
            T::from_json(value, layout).map(Some)
        }
    }
}
