//! The engine's own format for keys, values and state: compact, and borrowed on reading. Not what lies in users' topics (that is `formats`).
//!
//! Integers are big-endian of fixed width, text and bytes carry their length, except as the last part of a row, where they are what is left.
//! The format is stored in changelogs: a change of it is a change of the state's version.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bumpalo::Bump;

/// A value that can cross a cut, or be kept as state.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross from one worker to another or be kept as state",
    note = "what follows `key_by` must be numbers, text, bytes, tuples or options of them, or implement `engine::batch::Encode` and `Decode`",
    note = "project the row first: `.map(|r| (r.key, r.amount))`"
)]
pub trait Encode {
    /// Appends the value so that its end can be found again when more follows.
    fn encode(&self, out: &mut Vec<u8>);

    /// Appends the value as the last part of a row: its end is the row's.
    #[inline]
    fn encode_last(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    /// Whether this is no key at all: `None`. Keyed operators leave such rows out and count them, as Kafka's aggregations do.
    #[inline]
    fn is_null(&self) -> bool {
        false
    }

    /// Hands `f` what [`Encode::encode_last`] writes, without a copy where the value holds these bytes already. `scratch` is overwritten.
    #[inline]
    fn with_encoded<R>(&self, scratch: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
        scratch.clear();
        self.encode_last(scratch);
        f(scratch)
    }
}

/// The way back from [`Encode`]; may borrow from the row.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read back from a row",
    note = "implement `engine::batch::Decode` beside `Encode`"
)]
pub trait Decode<'b>: Sized {
    /// Reads what [`Encode::encode`] wrote; `None` when the bytes are something else.
    fn decode(r: &mut Reader<'b>) -> Option<Self>;

    /// Reads what [`Encode::encode_last`] wrote.
    #[inline]
    fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
        Self::decode(r)
    }
}

/// Reads a whole row value; `None` also when bytes are left over.
#[inline]
pub fn decode_all<'b, T: Decode<'b>>(bytes: &'b [u8]) -> Option<T> {
    let mut r = Reader(bytes);
    let value = T::decode_last(&mut r)?;
    r.0.is_empty().then_some(value)
}

/// A copy of a value that borrows from `bump`, made of its bytes: for what is wanted beside a closure that consumes the value.
///
/// # Panics
/// When `Decode` does not read what `Encode` has written.
#[inline]
pub(crate) fn copy<'b, T: Encode + Decode<'b>>(
    value: &T,
    bytes: &mut Vec<u8>,
    bump: &'b Bump,
) -> T {
    bytes.clear();
    value.encode_last(bytes);
    let copy: &'b [u8] = bump.alloc_slice_copy(bytes);
    decode_all(copy).expect("`Decode` reads what `Encode` wrote")
}

/// What is left of a row while it is being read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    /// Reads from `bytes`.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// The next `n` bytes, or `None` when fewer are left.
    #[inline]
    pub fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    /// All that is left.
    #[inline]
    pub fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.0)
    }

    fn length(&mut self) -> Option<usize> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }
}

fn put_length(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

macro_rules! fixed_width {
    ($($t:ty),*) => {$(
        impl Encode for $t {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            #[inline]
            fn with_encoded<R>(&self, _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
                f(&self.to_be_bytes())
            }
        }
        impl<'b> Decode<'b> for $t {
            #[inline]
            fn decode(r: &mut Reader<'b>) -> Option<Self> {
                Some(Self::from_be_bytes(r.take(size_of::<Self>())?.try_into().ok()?))
            }
        }
    )*};
}
fixed_width!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64);

impl Encode for bool {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}
impl<'b> Decode<'b> for bool {
    #[inline]
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        match r.take(1)?[0] {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Encode for char {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        u32::from(*self).encode(out);
    }
}
impl<'b> Decode<'b> for char {
    #[inline]
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        Self::from_u32(u32::decode(r)?)
    }
}

impl Encode for &[u8] {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self);
    }
    #[inline]
    fn encode_last(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn with_encoded<R>(&self, _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self)
    }
}
impl<'b> Decode<'b> for &'b [u8] {
    #[inline]
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        let n = r.length()?;
        r.take(n)
    }
    #[inline]
    fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
        Some(r.rest())
    }
}

impl<const N: usize> Encode for [u8; N] {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn with_encoded<R>(&self, _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self)
    }
}
impl<'b, const N: usize> Decode<'b> for [u8; N] {
    #[inline]
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        r.take(N)?.try_into().ok()
    }
}

macro_rules! like_bytes {
    ($($t:ty),*) => {$(
        impl Encode for $t {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                self.as_bytes().encode(out);
            }
            #[inline]
            fn encode_last(&self, out: &mut Vec<u8>) {
                self.as_bytes().encode_last(out);
            }
            #[inline]
            fn with_encoded<R>(&self, _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> R {
                f(self.as_bytes())
            }
        }
    )*};
}
like_bytes!(&str, String);

impl<'b> Decode<'b> for &'b str {
    #[inline]
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        str::from_utf8(<&[u8]>::decode(r)?).ok()
    }
    #[inline]
    fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
        str::from_utf8(r.rest()).ok()
    }
}
impl<'b> Decode<'b> for String {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        <&str>::decode(r).map(Self::from)
    }
    fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
        <&str>::decode_last(r).map(Self::from)
    }
}

impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn is_null(&self) -> bool {
        self.is_none()
    }
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }
    #[inline]
    fn encode_last(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode_last(out);
        }
    }
}
impl<'b, T: Decode<'b>> Decode<'b> for Option<T> {
    #[inline]
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        Some(if bool::decode(r)? {
            Some(T::decode(r)?)
        } else {
            None
        })
    }
    #[inline]
    fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
        Some(if bool::decode(r)? {
            Some(T::decode_last(r)?)
        } else {
            None
        })
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        self.iter().for_each(|item| item.encode(out));
    }
}
impl<'b, T: Decode<'b>> Decode<'b> for Vec<T> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        let n = r.length()?;
        // A count from damaged bytes must not reserve memory: at most what the rest of the row could hold.
        let mut items = Self::with_capacity(n.min(r.0.len()));
        for _ in 0..n {
            items.push(T::decode(r)?);
        }
        Some(items)
    }
}

impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self {
            key.encode(out);
            value.encode(out);
        }
    }
}
impl<'b, K: Decode<'b> + Ord, V: Decode<'b>> Decode<'b> for BTreeMap<K, V> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        let n = r.length()?;
        let mut map = Self::new();
        for _ in 0..n {
            map.insert(K::decode(r)?, V::decode(r)?);
        }
        Some(map)
    }
}

impl<T: Encode> Encode for BTreeSet<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        self.iter().for_each(|item| item.encode(out));
    }
}
impl<'b, T: Decode<'b> + Ord> Decode<'b> for BTreeSet<T> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        Vec::decode(r).map(Self::from_iter)
    }
}

impl<T: Encode> Encode for VecDeque<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        self.iter().for_each(|item| item.encode(out));
    }
}
impl<'b, T: Decode<'b>> Decode<'b> for VecDeque<T> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        Vec::decode(r).map(Self::from)
    }
}

impl Encode for () {
    #[inline]
    fn encode(&self, _: &mut Vec<u8>) {}
}
impl<'b> Decode<'b> for () {
    #[inline]
    fn decode(_: &mut Reader<'b>) -> Option<Self> {
        Some(())
    }
}

macro_rules! tuples {
    ($($first:ident)*; $last:ident) => {
        #[expect(non_snake_case, reason = "one variable for each type")]
        impl<$($first: Encode,)* $last: Encode> Encode for ($($first,)* $last,) {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($first,)* $last,) = self;
                $($first.encode(out);)*
                $last.encode(out);
            }
            #[inline]
            fn encode_last(&self, out: &mut Vec<u8>) {
                let ($($first,)* $last,) = self;
                $($first.encode(out);)*
                $last.encode_last(out);
            }
        }
        impl<'b, $($first: Decode<'b>,)* $last: Decode<'b>> Decode<'b> for ($($first,)* $last,) {
            #[inline]
            fn decode(r: &mut Reader<'b>) -> Option<Self> {
                Some(($($first::decode(r)?,)* $last::decode(r)?,))
            }
            #[inline]
            fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
                Some(($($first::decode(r)?,)* $last::decode_last(r)?,))
            }
        }
    };
}
tuples!(; A);
tuples!(A; B);
tuples!(A B; C);
tuples!(A B C; D);
tuples!(A B C D; E);
tuples!(A B C D E; F);

#[cfg(test)]
mod tests {
    use super::*;

    fn round<'b, T: Encode + Decode<'b> + PartialEq + std::fmt::Debug>(
        value: T,
        buffer: &'b mut Vec<u8>,
    ) {
        value.encode_last(buffer);
        assert_eq!(decode_all(buffer), Some(value));
    }

    #[test]
    fn rows_read_back_what_was_written() {
        round(("key", 7u64, -1i32), &mut vec![]);
        round(("a", "b", "c"), &mut vec![]);
        round((Some("x"), None::<u8>, true, 'ß'), &mut vec![]);
        round(
            (1.5f64, vec![(1u8, "é"), (2, "")], &b"raw"[..]),
            &mut vec![],
        );
        round((String::from("owned"), [1u8, 2, 3], ()), &mut vec![]);
        round("", &mut vec![]);
        let map = BTreeMap::from([("a", vec![1u8]), ("b", vec![])]);
        round((map, VecDeque::from([1i64, -1])), &mut vec![]);
        round(BTreeSet::from(["b", "a", ""]), &mut vec![]);
    }

    #[test]
    fn long_text_inside_a_row_keeps_its_length() {
        let long = "x".repeat(300);
        round((long.as_str(), 1u8), &mut vec![]);
    }

    #[test]
    fn a_lone_text_is_its_bytes() {
        let mut out = vec![];
        "word".encode_last(&mut out);
        assert_eq!(out, b"word");
    }

    #[test]
    fn damaged_rows_are_none_and_reserve_nothing() {
        assert_eq!(decode_all::<(&str, u8)>(&[200, 200, 200, 200, 1, 1]), None);
        assert_eq!(decode_all::<Vec<u64>>(&[0xff; 10]), None);
        assert_eq!(decode_all::<u64>(&[0; 9]), None, "bytes left over");
        assert_eq!(decode_all::<bool>(&[2]), None);
        assert_eq!(decode_all::<&str>(&[0xff]), None);
    }
}
