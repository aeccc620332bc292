//! `message!` and `api!`, and the small macros they are made of. How to write a declaration stands at the head of
//! [`schema`](super).
//!
//! Each field is expanded once to `let f = if version >= n { read } else { default };`, and the struct literal comes last: that
//! is what keeps decoding as cheap as code written by hand.

/// Whether the bracket before it held anything.
macro_rules! present {
    ([]) => {
        false
    };
    ([$($some:tt)+]) => {
        true
    };
}

/// Whether a version lies in a range.
macro_rules! within {
    ($version:expr, [0]) => {
        true
    };
    ($version:expr, [$from:tt]) => {
        $version >= $from
    };
    ($version:expr, [$from:tt $to:tt]) => {
        matches!($version, $from..=$to)
    };
}

/// A range as data.
macro_rules! versions {
    ([]) => {
        $crate::schema::Versions::NONE
    };
    ([$from:tt]) => {
        $crate::schema::Versions::from($from)
    };
    ([$from:tt $to:tt]) => {
        $crate::schema::Versions::new($from, $to)
    };
}

/// The default of a field.
macro_rules! initial {
    ($ty:ty, []) => {
        <$ty as $crate::wire::Wire>::initial()
    };
    ($ty:ty, [$default:expr]) => {
        $default
    };
}

macro_rules! tag {
    ([]) => {
        None
    };
    ([$tag:tt]) => {
        Some($tag)
    };
}

macro_rules! default_text {
    ([]) => {
        None
    };
    ([$default:expr]) => {
        Some(stringify!($default))
    };
}

/// The versions in which a field may be null: what the declaration says, or all that have the field if it is an `Option`.
macro_rules! nullable {
    ($ty:ty, $versions:tt, []) => {
        match <$ty as $crate::schema::Typed>::KIND {
            $crate::schema::Kind::Nullable(_) => versions!($versions),
            _ => $crate::schema::Versions::NONE,
        }
    };
    ($ty:ty, $versions:tt, $null:tt) => {
        versions!($null)
    };
}

/// Reads an untagged field.
macro_rules! read_field {
    ($r:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [], $default:tt) => {
        if within!($l.version, $versions) {
            let start = $r.offset();
            let value = <$ty as $crate::wire::Wire>::read($r, $l)?;
            null_read!(start, $l, value, $null);
            value
        } else {
            initial!($ty, $default)
        }
    };
    ($r:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [$tag:tt], $default:tt) => {
        initial!($ty, $default)
    };
}

macro_rules! null_read {
    ($start:ident, $l:ident, $value:ident, []) => {
        let _ = $start;
    };
    ($start:ident, $l:ident, $value:ident, $null:tt) => {
        if $crate::wire::Wire::is_null(&$value) && !(within!($l.version, $null)) {
            let kind = $crate::wire::DecodeErrorKind::Null;
            return Err($crate::wire::DecodeError {
                kind,
                offset: $start,
            });
        }
    };
}

/// Whether a tagged field was this one, and was read.
macro_rules! read_tagged {
    ($found:ident, $r:ident, $l:ident, $field:ident, $ty:ty, $versions:tt, []) => {
        false
    };
    ($found:ident, $r:ident, $l:ident, $field:ident, $ty:ty, $versions:tt, [$tag:tt]) => {
        $found == $tag && within!($l.version, $versions) && {
            $field = <$ty as $crate::wire::Wire>::read($r, $l)?;
            true
        }
    };
}

/// Writes an untagged field, or sees that a value which the version lacks is not lost.
macro_rules! write_field {
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [], $default:tt, $flag:tt) => {
        if within!($l.version, $versions) {
            null_write!($path, $value, $l, $null);
            $crate::wire::Wire::write(&$value, $w, $l).map_err(|e| e.in_field($path))?;
        } else {
            absent!($path, $value, $l, $ty, $default, $flag);
        }
    };
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [$tag:tt], $default:tt, $flag:tt) => {
        if !(within!($l.version, $versions)) {
            absent!($path, $value, $l, $ty, $default, $flag);
        }
    };
}

macro_rules! null_write {
    ($path:expr, $value:expr, $l:ident, []) => {};
    ($path:expr, $value:expr, $l:ident, $null:tt) => {
        if $crate::wire::Wire::is_null(&$value) && !(within!($l.version, $null)) {
            let kind = $crate::wire::EncodeErrorKind::Null($l.version);
            return Err($crate::wire::EncodeError::new(kind).in_field($path));
        }
    };
}

macro_rules! absent {
    ($path:expr, $value:expr, $l:ident, $ty:ty, $default:tt, [ignorable]) => {};
    ($path:expr, $value:expr, $l:ident, $ty:ty, $default:tt, []) => {
        if $value != initial!($ty, $default) {
            let kind = $crate::wire::EncodeErrorKind::Absent($l.version);
            return Err($crate::wire::EncodeError::new(kind).in_field($path));
        }
    };
}

/// Whether a tagged field is to be written: it is there, and not at its default.
macro_rules! tagged_is_set {
    ($value:expr, $l:ident, $ty:ty, $versions:tt, [], $default:tt) => {
        false
    };
    ($value:expr, $l:ident, $ty:ty, $versions:tt, [$tag:tt], $default:tt) => {
        within!($l.version, $versions) && $value != initial!($ty, $default)
    };
}

macro_rules! write_tagged {
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, [], $default:tt) => {};
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, [$tag:tt], $default:tt) => {
        if tagged_is_set!($value, $l, $ty, $versions, [$tag], $default) {
            $w.tagged($tag, |w| $crate::wire::Wire::write(&$value, w, $l))
                .map_err(|e: $crate::wire::EncodeError| e.in_field($path))?;
        }
    };
}

#[cfg(feature = "json")]
macro_rules! field_from_json {
    ($object:ident, $l:ident, $name:expr, $ty:ty, $versions:tt, [], $default:tt) => {
        if within!($l.version, $versions) {
            $object.required::<$ty>($name, $l)?
        } else {
            initial!($ty, $default)
        }
    };
    ($object:ident, $l:ident, $name:expr, $ty:ty, $versions:tt, [$tag:tt], $default:tt) => {
        if within!($l.version, $versions) {
            $object
                .field::<$ty>($name, $l)?
                .unwrap_or_else(|| initial!($ty, $default))
        } else {
            initial!($ty, $default)
        }
    };
}

/// Declares messages and the structs inside them; see the head of this module.
macro_rules! message {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident
            $([$from:tt ..= $to:tt $(, unstable $unstable:tt)?] $(flexible [$flexible:tt ..])?)?
        {
            $(
                $(#[$field_meta:meta])*
                $field:ident: $ty:ty [
                    $since:tt $(..)? $(..= $until:tt)?
                    $(, null $null_since:tt $(..)? $(..= $null_until:tt)?)?
                    $(, tag $tag:tt)?
                ] $($flag:ident)? $(= $default:expr)?
            ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: initial!($ty, [$($default)?]),)* }
            }
        }

        impl $name {
            const STRUCT: $crate::schema::Struct = $crate::schema::Struct {
                name: stringify!($name),
                fields: &[$($crate::schema::Field {
                    name: stringify!($field),
                    versions: versions!([$since $($until)?]),
                    nullable: nullable!($ty, [$since $($until)?], [$($null_since $($null_until)?)?]),
                    tag: tag!([$($tag)?]),
                    default: default_text!([$($default)?]),
                    ignorable: present!([$($flag)?]),
                    kind: <$ty as $crate::schema::Typed>::KIND,
                },)*],
            };
        }

        impl $crate::schema::Typed for $name {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Struct(&Self::STRUCT);
        }

        impl $crate::wire::Wire for $name {
            fn initial() -> Self {
                Self::default()
            }

            #[allow(unused_mut, reason = "only tagged fields are set twice")]
            fn read(r: &mut $crate::wire::Reader, l: $crate::wire::Layout) -> Result<Self, $crate::wire::DecodeError> {
                $(let mut $field = read_field!(
                    r, l, $ty, [$since $($until)?], [$($null_since $($null_until)?)?], [$($tag)?], [$($default)?]
                );)*
                if l.flexible {
                    let mut tags = r.tags()?;
                    while let Some((tag, end)) = tags.next(r)? {
                        let start = r.offset();
                        let known = false $(|| read_tagged!(tag, r, l, $field, $ty, [$since $($until)?], [$($tag)?]))*;
                        let _ = tag;
                        tags.end(r, start, end, known)?;
                    }
                }
                Ok(Self { $($field,)* })
            }

            fn write(&self, w: &mut $crate::wire::Writer, l: $crate::wire::Layout) -> Result<(), $crate::wire::EncodeError> {
                $(write_field!(
                    concat!(stringify!($name), ".", stringify!($field)), self.$field, w, l, $ty,
                    [$since $($until)?], [$($null_since $($null_until)?)?], [$($tag)?], [$($default)?], [$($flag)?]
                );)*
                if l.flexible {
                    let set = 0 $(+ u32::from(tagged_is_set!(self.$field, l, $ty, [$since $($until)?], [$($tag)?], [$($default)?])))*;
                    w.unsigned_varint(set);
                    $(write_tagged!(
                        concat!(stringify!($name), ".", stringify!($field)), self.$field, w, l, $ty,
                        [$since $($until)?], [$($tag)?], [$($default)?]
                    );)*
                }
                Ok(())
            }

            #[cfg(feature = "json")]
            fn to_json(&self, l: $crate::wire::Layout) -> serde_json::Value {
                let mut object = $crate::wire::json::ObjectWriter::default();
                $(if (!present!([$($tag)?]) && within!(l.version, [$since $($until)?]))
                    || tagged_is_set!(self.$field, l, $ty, [$since $($until)?], [$($tag)?], [$($default)?])
                {
                    object.field(stringify!($field), &self.$field, l);
                })*
                let _ = l;
                object.finish()
            }

            #[cfg(feature = "json")]
            fn from_json(value: &serde_json::Value, l: $crate::wire::Layout) -> Result<Self, $crate::wire::json::JsonError> {
                let mut object = $crate::wire::json::ObjectReader::new(value)?;
                let message = Self {
                    $($field: field_from_json!(object, l, stringify!($field), $ty, [$since $($until)?], [$($tag)?], [$($default)?]),)*
                };
                let _ = l;
                object.finish()?;
                Ok(message)
            }
        }

        impl $crate::wire::Nullable for $name {
            fn read_nullable(
                r: &mut $crate::wire::Reader,
                l: $crate::wire::Layout,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                if r.present()? { <Self as $crate::wire::Wire>::read(r, l).map(Some) } else { Ok(None) }
            }

            fn write_present(
                &self,
                w: &mut $crate::wire::Writer,
                l: $crate::wire::Layout,
            ) -> Result<(), $crate::wire::EncodeError> {
                w.i8(1);
                $crate::wire::Wire::write(self, w, l)
            }

            fn write_null(w: &mut $crate::wire::Writer, _: $crate::wire::Layout) {
                w.i8(-1);
            }
        }

        $(impl $crate::schema::Message for $name {
            const SCHEMA: &'static $crate::schema::Schema = &$crate::schema::Schema {
                name: stringify!($name),
                versions: $crate::schema::Versions::new($from, $to),
                flexible: versions!([$($flexible)?]),
                unstable: versions!([$($unstable $unstable)?]),
                fields: &Self::STRUCT,
            };

            fn decode(r: &mut $crate::wire::Reader, version: i16) -> Result<Self, $crate::wire::DecodeError> {
                if !Self::VERSIONS.contains(version) {
                    return Err(r.fail($crate::wire::DecodeErrorKind::Version(version)));
                }
                <Self as $crate::wire::Wire>::read(r, Self::SCHEMA.layout(version))
            }

            fn encode(&self, w: &mut $crate::wire::Writer, version: i16) -> Result<(), $crate::wire::EncodeError> {
                if !Self::VERSIONS.contains(version) {
                    return Err($crate::wire::EncodeError::new($crate::wire::EncodeErrorKind::Version(version)));
                }
                $crate::wire::Wire::write(self, w, Self::SCHEMA.layout(version))
            }
        })?
    )*};
}

/// Declares the table of APIs: for each the `ApiKey` constant, and which response answers which request.
macro_rules! api {
    ($($(#[$meta:meta])* $constant:ident $name:ident = $key:literal: $request:ident => $response:ident;)*) => {
        impl $crate::schema::ApiKey {
            $($(#[$meta])* pub const $constant: Self = Self($key);)*

            /// The API's name, as `Fetch`; `None` for a number that is not known here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($key => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        $(impl $crate::schema::Request for $request {
            const KEY: $crate::schema::ApiKey = $crate::schema::ApiKey::$constant;
            type Response = $response;
        })*

        /// Every API, ascending by key.
        pub static APIS: &[$crate::schema::Api] = &[$($crate::schema::Api {
            key: $crate::schema::ApiKey::$constant,
            name: stringify!($name),
            request: $crate::schema::MessageType::of::<$request>(),
            response: $crate::schema::MessageType::of::<$response>(),
        },)*];
    };
}
