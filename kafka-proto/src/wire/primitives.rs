//! How each type stands on the wire.

use bytes::Bytes;

use super::{Cursor, Records, Text, Uuid, Writer};

/// How a message is laid out: its version, and whether that version is flexible (compact lengths, tagged fields; KIP-482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The version of the message.
    pub version: i16,
    /// Whether the version is flexible.
    pub flexible: bool,
}

/// A type that stands in a message.
///
/// Neither direction fails field by field: the cursor and the writer remember the first fault, and [`Message`] asks for it once
/// at the end.
///
/// [`Message`]: crate::schema::Message
pub trait Wire: Sized + Default + PartialEq {
    /// Whether writing one can fail by itself, so that the writer must know in which field it is.
    const CAN_FAIL: bool = false;

    /// What a field of this type holds where nothing else is said: zero or empty. Never null, as in Kafka.
    #[inline]
    fn initial() -> Self {
        Self::default()
    }

    /// Whether it is [`initial`](Self::initial).
    #[inline]
    fn is_initial(&self) -> bool {
        *self == Self::initial()
    }

    /// Reads one; something of no meaning once the cursor has failed.
    fn read(r: &mut Cursor<'_>, layout: Layout) -> Self;

    /// Writes one, or has the writer note why the version cannot carry it.
    fn write(&self, w: &mut Writer, layout: Layout);

    /// Whether it is null.
    #[inline]
    fn is_null(&self) -> bool {
        false
    }
}

/// A type that may be null where a message says so; then it stands there as an `Option`. What is provided is what structs do: a
/// marker of one byte stands before them.
pub trait Nullable: Wire {
    /// Reads one, or null.
    #[inline]
    fn read_nullable(r: &mut Cursor<'_>, layout: Layout) -> Option<Self> {
        r.present().then(|| Self::read(r, layout))
    }

    /// Writes one that is not null, where null might stand.
    #[inline]
    fn write_present(&self, w: &mut Writer, layout: Layout) {
        w.i8(1);
        self.write(w, layout);
    }

    /// Writes null.
    fn write_null(w: &mut Writer, _: Layout) {
        w.i8(-1);
    }
}

/// Elements of an array reserved ahead of reading them: the announced count is the peer's word, memory follows what arrives.
const RESERVED_BYTES_MAX: usize = 64 * 1024;

macro_rules! fixed {
    ($($ty:ident)*) => {$(
        impl Wire for $ty {
            #[inline]
            fn read(r: &mut Cursor<'_>, _: Layout) -> Self {
                r.$ty()
            }

            #[inline]
            fn write(&self, w: &mut Writer, _: Layout) {
                w.$ty(*self);
            }
        }
    )*};
}

fixed! { i8 i16 u16 i32 i64 f64 }

impl Wire for bool {
    #[inline]
    fn read(r: &mut Cursor<'_>, _: Layout) -> Self {
        r.i8() != 0
    }

    #[inline]
    fn write(&self, w: &mut Writer, _: Layout) {
        w.i8(i8::from(*self));
    }
}

impl Wire for Uuid {
    #[inline]
    fn read(r: &mut Cursor<'_>, _: Layout) -> Self {
        Self(r.u128().to_be_bytes())
    }

    #[inline]
    fn write(&self, w: &mut Writer, _: Layout) {
        w.slice(&self.0);
    }
}

impl Wire for Text {
    const CAN_FAIL: bool = true;

    #[inline]
    fn is_initial(&self) -> bool {
        self.as_utf8().is_empty()
    }

    #[inline]
    fn read(r: &mut Cursor<'_>, layout: Layout) -> Self {
        r.required_text(layout.flexible)
    }

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) {
        w.text(self, layout.flexible);
    }
}

impl Nullable for Text {
    #[inline]
    fn read_nullable(r: &mut Cursor<'_>, layout: Layout) -> Option<Self> {
        r.text(layout.flexible)
    }

    #[inline]
    fn write_present(&self, w: &mut Writer, layout: Layout) {
        self.write(w, layout);
    }

    #[inline]
    fn write_null(w: &mut Writer, layout: Layout) {
        w.null_text(layout.flexible);
    }
}

impl Wire for Bytes {
    const CAN_FAIL: bool = true;

    #[inline]
    fn is_initial(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn read(r: &mut Cursor<'_>, layout: Layout) -> Self {
        r.required_bytes(layout.flexible)
    }

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) {
        w.count(self.len(), layout.flexible);
        w.bytes(self);
    }
}

impl Nullable for Bytes {
    #[inline]
    fn read_nullable(r: &mut Cursor<'_>, layout: Layout) -> Option<Self> {
        r.bytes(layout.flexible)
    }

    #[inline]
    fn write_present(&self, w: &mut Writer, layout: Layout) {
        self.write(w, layout);
    }

    #[inline]
    fn write_null(w: &mut Writer, layout: Layout) {
        w.null_count(layout.flexible);
    }
}

impl Wire for Records {
    const CAN_FAIL: bool = true;

    #[inline]
    fn is_initial(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn read(r: &mut Cursor<'_>, layout: Layout) -> Self {
        Self::from(r.required_bytes(layout.flexible))
    }

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) {
        w.count(self.len(), layout.flexible);
        w.bytes(&self.head);
        w.bytes(&self.tail);
    }
}

impl Nullable for Records {
    #[inline]
    fn read_nullable(r: &mut Cursor<'_>, layout: Layout) -> Option<Self> {
        r.bytes(layout.flexible).map(Self::from)
    }

    #[inline]
    fn write_present(&self, w: &mut Writer, layout: Layout) {
        self.write(w, layout);
    }

    #[inline]
    fn write_null(w: &mut Writer, layout: Layout) {
        w.null_count(layout.flexible);
    }
}

fn elements<T: Wire>(r: &mut Cursor<'_>, layout: Layout, count: usize) -> Vec<T> {
    let mut elements = Vec::with_capacity(count.min(RESERVED_BYTES_MAX / size_of::<T>().max(1)));
    for _ in 0..count {
        elements.push(T::read(r, layout));
        if r.failed() {
            break;
        }
    }
    elements
}

impl<T: Wire> Wire for Vec<T> {
    const CAN_FAIL: bool = true;

    #[inline]
    fn is_initial(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn read(r: &mut Cursor<'_>, layout: Layout) -> Self {
        let count = r.required_count(layout.flexible);
        elements(r, layout, count)
    }

    fn write(&self, w: &mut Writer, layout: Layout) {
        w.count(self.len(), layout.flexible);
        // Less code than an iterator, once for each type of element.
        let mut left = self.as_slice();
        while let [element, rest @ ..] = left {
            element.write(w, layout);
            left = rest;
        }
    }
}

impl<T: Wire> Nullable for Vec<T> {
    #[inline]
    fn read_nullable(r: &mut Cursor<'_>, layout: Layout) -> Option<Self> {
        let count = r.count(layout.flexible)?;
        Some(elements(r, layout, count))
    }

    #[inline]
    fn write_present(&self, w: &mut Writer, layout: Layout) {
        self.write(w, layout);
    }

    #[inline]
    fn write_null(w: &mut Writer, layout: Layout) {
        w.null_count(layout.flexible);
    }
}

impl<T: Nullable> Wire for Option<T> {
    const CAN_FAIL: bool = T::CAN_FAIL;

    #[inline]
    fn initial() -> Self {
        Some(T::initial())
    }

    #[inline]
    fn is_initial(&self) -> bool {
        self.as_ref().is_some_and(T::is_initial)
    }

    #[inline]
    fn read(r: &mut Cursor<'_>, layout: Layout) -> Self {
        T::read_nullable(r, layout)
    }

    #[inline]
    fn write(&self, w: &mut Writer, layout: Layout) {
        match self {
            Some(value) => value.write_present(w, layout),
            None => T::write_null(w, layout),
        }
    }

    #[inline]
    fn is_null(&self) -> bool {
        self.is_none()
    }
}
