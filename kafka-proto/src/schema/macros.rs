//! `message!` and `api!`, and the small macros they are made of. How to write a declaration stands at the head of
//! [`schema`](super).
//!
//! Each field is expanded once to `let f = if version >= n { read } else { default };`, and the struct literal comes last: that
//! is what keeps decoding as cheap as code written by hand. What is expanded for four hundred structs is compiled four hundred times, so
//! nothing in it may fail (the cursor and the writer remember the first fault) and nothing in it makes JSON (that is led by the
//! declaration as data).

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

/// Whether a field is at its default.
macro_rules! at_default {
    ($value:expr, []) => {
        $crate::wire::Wire::is_initial(&$value)
    };
    ($value:expr, [$default:expr]) => {
        $value == $default
    };
}

/// Reads a tagged field if the tag at hand is its own, and goes on with the next.
macro_rules! read_tagged {
    ($found:ident, $tags:ident, $value:expr, $r:ident, $l:ident, $versions:tt, []) => {};
    ($found:ident, $tags:ident, $value:expr, $r:ident, $l:ident, $versions:tt, [$tag:tt]) => {
        if $found == $tag && within!($l.version, $versions) {
            $value = $crate::wire::Wire::read($r, $l);
            $tags.end($r);
            continue;
        }
    };
}

/// Whether a tagged field is to be written: it is there, and not at its default.
macro_rules! tagged_is_set {
    ($value:expr, $l:ident, $versions:tt, $default:tt) => {
        within!($l.version, $versions) && !at_default!($value, $default)
    };
}

macro_rules! count_tagged {
    ($value:expr, $l:ident, $versions:tt, [], $default:tt) => {
        0
    };
    ($value:expr, $l:ident, $versions:tt, [$tag:tt], $default:tt) => {
        u32::from(tagged_is_set!($value, $l, $versions, $default))
    };
}

macro_rules! write_tagged {
    ($path:expr, $value:expr, $w:ident, $l:ident, $versions:tt, [], $default:tt) => {};
    ($path:expr, $value:expr, $w:ident, $l:ident, $versions:tt, [$tag:tt], $default:tt) => {
        if tagged_is_set!($value, $l, $versions, $default) {
            let start = $w.begin_tagged($tag);
            $w.enter($path);
            $crate::wire::Wire::write(&$value, $w, $l);
            $w.end_tagged(start);
        }
    };
}

/// Reads an untagged field.
macro_rules! read_field {
    ($r:ident, $l:ident, $ty:ty, [0], [], [], $default:tt) => {
        <$ty as $crate::wire::Wire>::read($r, $l)
    };
    ($r:ident, $l:ident, $ty:ty, $versions:tt, [], [], $default:tt) => {
        if within!($l.version, $versions) {
            <$ty as $crate::wire::Wire>::read($r, $l)
        } else {
            initial!($ty, $default)
        }
    };
    ($r:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [], $default:tt) => {
        if within!($l.version, $versions) {
            let start = $r.offset();
            let value = <$ty as $crate::wire::Wire>::read($r, $l);
            if $crate::wire::Wire::is_null(&value) && !(within!($l.version, $null)) {
                $r.null(start);
            }
            value
        } else {
            initial!($ty, $default)
        }
    };
    ($r:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [$tag:tt], $default:tt) => {
        initial!($ty, $default)
    };
}

/// Writes an untagged field, or sees that a value which the version lacks is not lost.
macro_rules! write_field {
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, [0], $null:tt, [], $default:tt, $flag:tt) => {
        write_present!($path, $value, $w, $l, $ty, $null);
    };
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [], $default:tt, $flag:tt) => {
        if within!($l.version, $versions) {
            write_present!($path, $value, $w, $l, $ty, $null);
        } else {
            absent!($path, $value, $w, $l, $default, $flag);
        }
    };
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $versions:tt, $null:tt, [$tag:tt], $default:tt, $flag:tt) => {
        if !(within!($l.version, $versions)) {
            absent!($path, $value, $w, $l, $default, $flag);
        }
    };
}

macro_rules! write_present {
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, []) => {
        if <$ty as $crate::wire::Wire>::CAN_FAIL {
            $w.enter($path);
        }
        $crate::wire::Wire::write(&$value, $w, $l);
    };
    ($path:expr, $value:expr, $w:ident, $l:ident, $ty:ty, $null:tt) => {
        $w.enter($path);
        if $crate::wire::Wire::is_null(&$value) && !(within!($l.version, $null)) {
            $w.fail($crate::wire::EncodeErrorKind::Null($l.version));
        }
        $crate::wire::Wire::write(&$value, $w, $l);
    };
}

macro_rules! absent {
    ($path:expr, $value:expr, $w:ident, $l:ident, $default:tt, [ignorable]) => {};
    ($path:expr, $value:expr, $w:ident, $l:ident, $default:tt, []) => {
        if !at_default!($value, $default) {
            $w.fail_in($path, $crate::wire::EncodeErrorKind::Absent($l.version));
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
            const HAS_TAGS: bool = false $(|| present!([$($tag)?]))*;

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
            // Inlined into the loop over an array, so that elements are built where they stay.
            #[inline]
            #[allow(unused_mut, reason = "only tagged fields are set twice")]
            fn read(r: &mut $crate::wire::Cursor<'_>, l: $crate::wire::Layout) -> Self {
                $(let mut $field = read_field!(
                    r, l, $ty, [$since $($until)?], [$($null_since $($null_until)?)?], [$($tag)?], [$($default)?]
                );)*
                if l.flexible {
                    if Self::HAS_TAGS {
                        let mut tags = r.tags();
                        while let Some(tag) = tags.next(r) {
                            $(read_tagged!(tag, tags, $field, r, l, [$since $($until)?], [$($tag)?]);)*
                            let _ = tag;
                            tags.skip(r);
                        }
                    } else {
                        r.skip_tags();
                    }
                }
                Self { $($field,)* }
            }

            fn write(&self, w: &mut $crate::wire::Writer, l: $crate::wire::Layout) {
                $(write_field!(
                    concat!(stringify!($name), ".", stringify!($field)), self.$field, w, l, $ty,
                    [$since $($until)?], [$($null_since $($null_until)?)?], [$($tag)?], [$($default)?], [$($flag)?]
                );)*
                if l.flexible {
                    if !Self::HAS_TAGS {
                        return w.unsigned_varint(0);
                    }
                    let set = 0 $(+ count_tagged!(self.$field, l, [$since $($until)?], [$($tag)?], [$($default)?]))*;
                    w.unsigned_varint(set);
                    $(write_tagged!(
                        concat!(stringify!($name), ".", stringify!($field)), self.$field, w, l,
                        [$since $($until)?], [$($tag)?], [$($default)?]
                    );)*
                }
            }
        }

        impl $crate::wire::Nullable for $name {}

        $(impl $crate::schema::Message for $name {
            const SCHEMA: &'static $crate::schema::Schema = &$crate::schema::Schema {
                name: stringify!($name),
                versions: $crate::schema::Versions::new($from, $to),
                flexible: versions!([$($flexible)?]),
                unstable: versions!([$($unstable $unstable)?]),
                fields: &Self::STRUCT,
            };
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
