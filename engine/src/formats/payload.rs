//! How values become the key or the value of a record, as Kafka's own serializers write them.

use super::json::finite::{NotingNull, is_finite};
use crate::batch::{
    Outbox, Record, Scratch,
    produce::{SinkError, Target},
};

/// A value that can be a record's key or value.
///
/// | type | bytes |
/// |---|---|
/// | `&str`, `String` | UTF-8 (StringSerializer) |
/// | `&[u8]`, `Vec<u8>`, `[u8; N]` | as they are (ByteArraySerializer) |
/// | `i16`, `i32`, `i64`, `u16`, `u32`, `u64` | big-endian (Short-, Integer-, LongSerializer) |
/// | `f32`, `f64` | IEEE 754, big-endian (Float-, DoubleSerializer) |
/// | `bool` | one byte (BooleanSerializer) |
/// | `Option` | `None` is null |
/// | `()` | null |
/// | [`Json`] | JSON, written by serde |
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key or value of a record",
    note = "text, bytes, numbers, options of them and `()` (null) can; `formats::Json(x)` writes anything that serde can serialize"
)]
pub trait Payload {
    /// The bytes, `None` for null. `scratch` is empty; what must be made anew is written there.
    ///
    /// # Errors
    /// When the value cannot be written: the sink then fails, for null would mean something else.
    fn payload<'s>(&'s self, scratch: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError>;
}

impl Scratch {
    /// The bytes of key and value; buffers that were used before are cleared first.
    ///
    /// # Errors
    /// When one of them cannot be written.
    #[inline]
    pub(crate) fn pair<'s>(
        &'s mut self,
        key: &'s impl Payload,
        value: &'s impl Payload,
    ) -> Result<(Option<&'s [u8]>, Option<&'s [u8]>), SinkError> {
        self.key.clear();
        self.value.clear();
        Ok((key.payload(&mut self.key)?, value.payload(&mut self.value)?))
    }
}

macro_rules! as_they_are {
    ($($t:ty),*) => {$(
        impl Payload for $t {
            #[inline]
            fn payload<'s>(&'s self, _: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError> {
                Ok(Some(self.as_ref()))
            }
        }
    )*};
}
as_they_are!(&str, String, &[u8], Vec<u8>, &String, &Vec<u8>);

impl<const N: usize> Payload for [u8; N] {
    #[inline]
    fn payload<'s>(&'s self, _: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError> {
        Ok(Some(self))
    }
}

macro_rules! big_endian {
    ($($t:ty),*) => {$(
        impl Payload for $t {
            #[inline]
            fn payload<'s>(&'s self, scratch: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError> {
                scratch.extend_from_slice(&self.to_be_bytes());
                Ok(Some(scratch))
            }
        }
    )*};
}
big_endian!(i16, i32, i64, u16, u32, u64, f32, f64);

impl Payload for bool {
    fn payload<'s>(&'s self, scratch: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError> {
        scratch.push(u8::from(*self));
        Ok(Some(scratch))
    }
}

impl Payload for () {
    #[inline]
    fn payload<'s>(&'s self, _: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError> {
        Ok(None)
    }
}

impl<T: Payload> Payload for Option<T> {
    #[inline]
    fn payload<'s>(&'s self, scratch: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError> {
        match self {
            Some(value) => value.payload(scratch),
            None => Ok(None),
        }
    }
}

/// Written as JSON, by serde, once, into the buffer that the sink copies from into its batch.
///
/// What serde refuses (a map whose keys are no text, a `Serialize` that fails) ends the job: null
/// would be a tombstone. So do NaN and infinities, which JSON cannot write; serde_json alone writes
/// null for them. Where they mean that there is no number, write an `Option`:
/// `x.is_finite().then_some(x)`.
///
/// ```
/// use engine::{formats::Json, testing::Driver};
///
/// #[derive(serde::Serialize)]
/// struct Alarm<'a> { sensor: &'a str, degrees: f64 }
///
/// let mut driver = Driver::new(|s| {
///     s.source("in").json_fields::<(&str, f64)>(["s", "t"])
///         .map(|(sensor, degrees)| (sensor, Json(Alarm { sensor, degrees })))
///         .sink("alarms");
/// });
/// driver.feed("in", [r#"{"s":"attic","t":41}"#]);
/// assert_eq!(driver.read("alarms")[0].value_str(), Some(r#"{"sensor":"attic","degrees":41.0}"#));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: serde::Serialize> Payload for Json<T> {
    fn payload<'s>(&'s self, scratch: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, SinkError> {
        let mut has_null = false;
        let noting = NotingNull(&mut has_null);
        let mut serializer = serde_json::Serializer::with_formatter(&mut *scratch, noting);
        let written = self.0.serialize(&mut serializer);
        written.map_err(|_| SinkError::NoJson)?;
        if has_null && !is_finite(&self.0) {
            return Err(SinkError::NotFinite);
        }
        Ok(Some(scratch))
    }
}

/// A row that a sink can write: a pair of key and value, or a whole [`Record`].
#[diagnostic::on_unimplemented(
    message = "a sink writes pairs of key and value, or whole records, not `{Self}`",
    note = "make a pair: `.map(|x| (key, x))`; `()` is a null key: `.map(|x| ((), x))`"
)]
pub trait ToRecord {
    /// Appends the row to the batches of a sink.
    ///
    /// # Errors
    /// When it does not fit, or its partition does not exist.
    fn write(
        &self,
        timestamp: i64,
        scratch: &mut Scratch,
        outbox: &mut Outbox,
    ) -> Result<(), SinkError>;
}

impl<K: Payload, V: Payload> ToRecord for (K, V) {
    #[inline]
    fn write(
        &self,
        timestamp: i64,
        scratch: &mut Scratch,
        outbox: &mut Outbox,
    ) -> Result<(), SinkError> {
        let (key, value) = scratch.pair(&self.0, &self.1)?;
        outbox.append(Target::Key, timestamp, key, value)
    }
}

impl ToRecord for Record<'_> {
    #[inline]
    fn write(&self, _: i64, _: &mut Scratch, outbox: &mut Outbox) -> Result<(), SinkError> {
        let target = self.partition.map_or(Target::Key, Target::Partition);
        outbox.append_record(target, &self.raw())
    }
}
