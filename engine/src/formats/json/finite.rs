//! Whether a value holds a number that JSON has no word for: NaN or an infinity, for which serde_json writes null.

use std::{fmt, io};

use serde::{
    Serialize, Serializer,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

/// Writes compact JSON, and notes whether there is a null in it: only then has somebody to look for what it was.
pub(crate) struct NotingNull<'n>(pub(crate) &'n mut bool);

impl serde_json::ser::Formatter for NotingNull<'_> {
    #[inline]
    fn write_null<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        *self.0 = true;
        writer.write_all(b"null")
    }
}

/// Whether all of the value's numbers are finite.
#[cold]
pub(crate) fn is_finite(value: &impl Serialize) -> bool {
    value.serialize(Finite).is_ok()
}

/// A serializer that writes nothing and fails at a number that is not finite.
#[derive(Clone, Copy)]
struct Finite;

#[derive(Debug)]
struct NotFinite;

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number is not finite")
    }
}

impl std::error::Error for NotFinite {}

impl serde::ser::Error for NotFinite {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

fn fraction(is_finite: bool) -> Result<(), NotFinite> {
    if is_finite { Ok(()) } else { Err(NotFinite) }
}

macro_rules! nothing_to_see {
    ($($name:ident($t:ty)),*) => {$(
        fn $name(self, _: $t) -> Result<(), NotFinite> {
            Ok(())
        }
    )*};
}

impl Serializer for Finite {
    type Ok = ();
    type Error = NotFinite;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    nothing_to_see!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_u128(u128),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
        serialize_unit_struct(&'static str)
    );

    fn serialize_f32(self, number: f32) -> Result<(), NotFinite> {
        fraction(number.is_finite())
    }
    fn serialize_f64(self, number: f64) -> Result<(), NotFinite> {
        fraction(number.is_finite())
    }
    fn serialize_none(self) -> Result<(), NotFinite> {
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NotFinite> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), NotFinite> {
        Ok(())
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), NotFinite> {
        Ok(())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NotFinite> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), NotFinite> {
        value.serialize(self)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self, NotFinite> {
        Ok(self)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self, NotFinite> {
        Ok(self)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, NotFinite> {
        Ok(self)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotFinite> {
        Ok(self)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self, NotFinite> {
        Ok(self)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, NotFinite> {
        Ok(self)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotFinite> {
        Ok(self)
    }
}

macro_rules! each_part {
    ($($of:ident: $name:ident($($skipped:ty)?)),*) => {$(
        impl $of for Finite {
            type Ok = ();
            type Error = NotFinite;
            fn $name<T: Serialize + ?Sized>(
                &mut self,
                $(_: $skipped,)?
                value: &T,
            ) -> Result<(), NotFinite> {
                value.serialize(*self)
            }
            fn end(self) -> Result<(), NotFinite> {
                Ok(())
            }
        }
    )*};
}
each_part!(
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(&'static str),
    SerializeStructVariant: serialize_field(&'static str)
);

impl SerializeMap for Finite {
    type Ok = ();
    type Error = NotFinite;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), NotFinite> {
        // serde_json refuses those by itself.
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotFinite> {
        value.serialize(*self)
    }
    fn end(self) -> Result<(), NotFinite> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    enum Reading {
        None,
        One(f64),
        Two(f32, f32),
        Named { degrees: Option<f64> },
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_wherever_it_stands_and_nulls_are_no_numbers() {
        assert!(is_finite(&(1.0, None::<f64>, (), "NaN", f64::MAX)));
        assert!(is_finite(&[Reading::None, Reading::One(1.0)]));
        assert!(is_finite(&Reading::Named { degrees: None }));
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!is_finite(&number));
            assert!(!is_finite(&(number as f32)));
            assert!(!is_finite(&(1, "two", Some(number))));
            assert!(!is_finite(&vec![vec![0.0], vec![number]]));
            assert!(!is_finite(&BTreeMap::from([("a", number)])));
            assert!(!is_finite(&Reading::One(number)));
            assert!(!is_finite(&Reading::Two(0.0, number as f32)));
            let degrees = Some(number);
            assert!(!is_finite(&Reading::Named { degrees }));
        }
    }
}
