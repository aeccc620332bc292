//! What fields are read as.

use bumpalo::Bump;

use super::{
    number,
    projection::{JsonError, Projection},
    scan::{Kind, TENS, Token, unescape},
};

/// A field, where it stands in a document.
#[derive(Clone, Copy)]
pub struct Place<'b, 'p> {
    token: Token,
    document: &'b [u8],
    path: &'p str,
    scratch: &'b Bump,
}

/// What a field of a document can be read as.
///
/// | type | what it takes |
/// |---|---|
/// | `&str`, `String` | text; borrowed where it has no escapes |
/// | `i8` … `i64`, `u8` … `u64` | numbers without fraction and exponent that fit |
/// | `f64` | numbers, to the nearest one |
/// | `bool` | `true`, `false` |
/// | `Option` | null and missing fields are `None` |
/// | [`Value`] | anything |
#[diagnostic::on_unimplemented(
    message = "a field of JSON cannot be read as `{Self}`",
    note = "text, numbers, `bool`, options of them and `json::Value` can; `.json::<T>()` reads what serde can"
)]
pub trait Field<'b>: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When it is missing, or something else.
    fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>>;
}

/// A tuple of [`Field`]s, up to twelve.
#[diagnostic::on_unimplemented(
    message = "the fields of a document cannot be read as `{Self}`",
    note = "name a tuple of types, one for each path: `.json_fields::<(&str, i64)>([\"name\", \"at\"])`, `<(i64,)>` for a single one"
)]
pub trait Fields<'b>: Sized {
    /// Their paths: an array of as many texts.
    type Paths<'p>;
    /// How they are found.
    type Projection: Send + 'static;

    /// See [`Projection::new`].
    fn projection(paths: Self::Paths<'_>) -> Self::Projection;

    /// See [`Projection::read`].
    ///
    /// # Errors
    /// As there.
    fn read<'p>(
        projection: &'p Self::Projection,
        document: &'b [u8],
        scratch: &'b Bump,
    ) -> Result<Self, JsonError<'p>>;
}

macro_rules! tuples {
    ($($count:literal: $($field:ident $at:tt)*;)*) => {$(
        impl<'b, $($field: Field<'b>),*> Fields<'b> for ($($field,)*) {
            type Paths<'p> = [&'p str; $count];
            type Projection = Projection<$count>;

            fn projection(paths: [&str; $count]) -> Projection<$count> {
                Projection::new(paths)
            }

            #[inline]
            fn read<'p>(
                projection: &'p Projection<$count>,
                document: &'b [u8],
                scratch: &'b Bump,
            ) -> Result<Self, JsonError<'p>> {
                let found = projection.find(document)?;
                Ok(($($field::read(Place {
                    token: found[$at],
                    document,
                    path: projection.path($at),
                    scratch,
                })?,)*))
            }
        }
    )*};
}
tuples! {
    1: A 0;
    2: A 0 B 1;
    3: A 0 B 1 C 2;
    4: A 0 B 1 C 2 D 3;
    5: A 0 B 1 C 2 D 3 E 4;
    6: A 0 B 1 C 2 D 3 E 4 F 5;
    7: A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    8: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
    9: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8;
    10: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9;
    11: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10;
    12: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11;
}

impl<'b, 'p> Place<'b, 'p> {
    #[cold]
    fn is_no<T>(self, wanted: &'static str) -> Result<T, JsonError<'p>> {
        let field = self.path;
        let found = match self.token.kind {
            Kind::Missing => return Err(JsonError::Missing { field }),
            Kind::Null => "null",
            Kind::True | Kind::False => "true or false",
            Kind::Whole | Kind::Negative | Kind::LongWhole => "a whole number",
            Kind::Fraction | Kind::NegativeFraction | Kind::Number => {
                "a number with a fraction or an exponent"
            }
            Kind::Text | Kind::EscapedText => "text",
            Kind::Array => "an array",
            Kind::Object => "an object",
        };
        Err(JsonError::Type {
            field,
            found,
            wanted,
        })
    }

    #[cold]
    fn does_not_fit<T>(self, wanted: &'static str) -> Result<T, JsonError<'p>> {
        let field = self.path;
        Err(JsonError::Range { field, wanted })
    }

    #[inline]
    fn bytes(self) -> &'b [u8] {
        let range = self.token.start as usize..self.token.end as usize;
        self.document.get(range).unwrap_or_default()
    }

    #[inline]
    fn utf8(self, bytes: &'b [u8]) -> Result<&'b str, JsonError<'p>> {
        match str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => Err(JsonError::Text { field: self.path }),
        }
    }

    #[inline(never)]
    fn unescaped(self) -> Result<&'b str, JsonError<'p>> {
        let text = self.bytes();
        // An escape is longer than what it stands for.
        let mut out = bumpalo::collections::Vec::with_capacity_in(text.len(), self.scratch);
        if !unescape(text, |part| out.extend_from_slice(part)) {
            return Err(JsonError::Text { field: self.path });
        }
        self.utf8(out.into_bump_slice())
    }
}

impl<'b> Field<'b> for &'b str {
    #[inline]
    fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>> {
        match place.token.kind {
            Kind::Text => place.utf8(place.bytes()),
            Kind::EscapedText => place.unescaped(),
            _ => place.is_no("text"),
        }
    }
}

impl<'b> Field<'b> for String {
    fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>> {
        <&str>::read(place).map(Self::from)
    }
}

macro_rules! whole_numbers {
    ($($t:ident)*) => {$(
        impl<'b> Field<'b> for $t {
            #[inline]
            fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>> {
                let digits = place.token.digits;
                let (is_negative, value) = match place.token.kind {
                    Kind::Whole => (false, digits),
                    Kind::Negative => (true, digits),
                    Kind::LongWhole => match number::whole(place.bytes()) {
                        Some(value) => value,
                        None => return place.does_not_fit(stringify!($t)),
                    },
                    _ => return place.is_no("a whole number"),
                };
                let value = if is_negative {
                    0i64.checked_sub_unsigned(value).and_then(|v| v.try_into().ok())
                } else {
                    value.try_into().ok()
                };
                match value {
                    Some(value) => Ok(value),
                    None => place.does_not_fit(stringify!($t)),
                }
            }
        }
    )*};
}
whole_numbers!(i8 i16 i32 i64 u8 u16 u32 u64);

/// A number that is exact, divided by a power of ten that is exact too: one rounding, the right one.
#[inline]
fn fraction(digits: u64, places: u32) -> f64 {
    digits as f64 / TENS[places as usize] as f64
}

impl<'b> Field<'b> for f64 {
    #[inline]
    fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>> {
        let Token { digits, places, .. } = place.token;
        let is_exact = digits <= 1 << Self::MANTISSA_DIGITS;
        let exact = match place.token.kind {
            Kind::Fraction if is_exact => Some(fraction(digits, places)),
            Kind::NegativeFraction if is_exact => Some(-fraction(digits, places)),
            Kind::Whole => Some(digits as Self),
            Kind::Negative => Some(-(digits as Self)),
            Kind::Fraction | Kind::NegativeFraction | Kind::LongWhole | Kind::Number => None,
            _ => return place.is_no("a number"),
        };
        match exact.or_else(|| number::nearest(place.bytes())) {
            Some(value) => Ok(value),
            None => place.does_not_fit("f64"),
        }
    }
}

impl<'b> Field<'b> for bool {
    #[inline]
    fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>> {
        match place.token.kind {
            Kind::True => Ok(true),
            Kind::False => Ok(false),
            _ => place.is_no("true or false"),
        }
    }
}

impl<'b, T: Field<'b>> Field<'b> for Option<T> {
    #[inline]
    fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>> {
        match place.token.kind {
            Kind::Missing | Kind::Null => Ok(None),
            _ => T::read(place).map(Some),
        }
    }
}

/// A value of any kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'b> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(&'b str),
    /// Text, without its escapes.
    Text(&'b str),
    /// An array, as it is written.
    Array(&'b str),
    /// An object, as it is written.
    Object(&'b str),
}

impl<'b> Field<'b> for Value<'b> {
    fn read<'p>(place: Place<'b, 'p>) -> Result<Self, JsonError<'p>> {
        let text = match place.token.kind {
            Kind::Missing => return place.is_no("a value"),
            Kind::Null => return Ok(Self::Null),
            Kind::True => return Ok(Self::Bool(true)),
            Kind::False => return Ok(Self::Bool(false)),
            Kind::EscapedText => place.unescaped()?,
            _ => place.utf8(place.bytes())?,
        };
        Ok(match place.token.kind {
            Kind::Array => Self::Array(text),
            Kind::Object => Self::Object(text),
            Kind::Text | Kind::EscapedText => Self::Text(text),
            _ => Self::Number(text),
        })
    }
}
