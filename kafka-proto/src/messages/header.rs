//! What stands before every body: the request's header and the response's.
//!
//! Written by hand, because the client id keeps its 16-bit length even in the header version that has tagged fields.

use crate::{
    schema::{Field, Kind, Message, Request, Schema, Struct, Versions},
    wire::{
        Chunks, DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Layout, Reader, Text,
        Wire, Writer,
    },
};

/// Says what the body is, and by which number it will be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestHeader {
    /// The API.
    pub request_api_key: i16,
    /// Version of the body.
    pub request_api_version: i16,
    /// Comes back in the response's header. A broker answers the requests of one connection in their order.
    pub correlation_id: i32,
    /// A name for the broker's logs, metrics and quotas (`client.id`).
    pub client_id: Option<Text>,
}

impl Default for RequestHeader {
    fn default() -> Self {
        Self {
            request_api_key: 0,
            request_api_version: 0,
            correlation_id: 0,
            client_id: Some(Text::EMPTY),
        }
    }
}

/// Says which request the body answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseHeader {
    /// The number the request's header gave.
    pub correlation_id: i32,
}

impl RequestHeader {
    const STRUCT: Struct = Struct {
        name: "RequestHeader",
        fields: &[
            plain("request_api_key", 0, Kind::Int16),
            plain("request_api_version", 0, Kind::Int16),
            plain("correlation_id", 0, Kind::Int32),
            Field {
                nullable: Versions::from(1),
                ..plain("client_id", 1, Kind::Nullable(&Kind::String))
            },
        ],
    };
}

impl ResponseHeader {
    const STRUCT: Struct = Struct {
        name: "ResponseHeader",
        fields: &[plain("correlation_id", 0, Kind::Int32)],
    };
}

const fn plain(name: &'static str, since: i16, kind: Kind) -> Field {
    Field {
        name,
        versions: Versions::from(since),
        nullable: Versions::NONE,
        tag: None,
        default: None,
        ignorable: false,
        kind,
    }
}

/// Passes over the tagged fields of a header: none is known.
fn skip_tags(r: &mut Reader) -> Result<(), DecodeError> {
    let mut tags = r.tags()?;
    while let Some((_, end)) = tags.next(r)? {
        let start = r.offset();
        tags.end(r, start, end, false)?;
    }
    Ok(())
}

const fn rigid(l: Layout) -> Layout {
    Layout {
        flexible: false,
        ..l
    }
}

impl Wire for RequestHeader {
    fn initial() -> Self {
        Self::default()
    }

    fn read(r: &mut Reader, l: Layout) -> Result<Self, DecodeError> {
        let header = Self {
            request_api_key: r.i16()?,
            request_api_version: r.i16()?,
            correlation_id: r.i32()?,
            client_id: Option::read(r, rigid(l))?,
        };
        if l.flexible {
            skip_tags(r)?;
        }
        Ok(header)
    }

    fn write(&self, w: &mut Writer, l: Layout) -> Result<(), EncodeError> {
        w.i16(self.request_api_key);
        w.i16(self.request_api_version);
        w.i32(self.correlation_id);
        self.client_id
            .write(w, rigid(l))
            .map_err(|e| e.in_field("RequestHeader.client_id"))?;
        if l.flexible {
            w.unsigned_varint(0);
        }
        Ok(())
    }

    #[cfg(feature = "json")]
    fn to_json(&self, l: Layout) -> serde_json::Value {
        let mut object = crate::wire::json::ObjectWriter::default();
        object.field("request_api_key", &self.request_api_key, l);
        object.field("request_api_version", &self.request_api_version, l);
        object.field("correlation_id", &self.correlation_id, l);
        object.field("client_id", &self.client_id, l);
        object.finish()
    }

    #[cfg(feature = "json")]
    fn from_json(
        value: &serde_json::Value,
        l: Layout,
    ) -> Result<Self, crate::wire::json::JsonError> {
        let mut object = crate::wire::json::ObjectReader::new(value)?;
        let header = Self {
            request_api_key: object.required("request_api_key", l)?,
            request_api_version: object.required("request_api_version", l)?,
            correlation_id: object.required("correlation_id", l)?,
            client_id: object.required("client_id", l)?,
        };
        object.finish()?;
        Ok(header)
    }
}

impl Wire for ResponseHeader {
    fn initial() -> Self {
        Self::default()
    }

    fn read(r: &mut Reader, l: Layout) -> Result<Self, DecodeError> {
        let header = Self {
            correlation_id: r.i32()?,
        };
        if l.flexible {
            skip_tags(r)?;
        }
        Ok(header)
    }

    fn write(&self, w: &mut Writer, l: Layout) -> Result<(), EncodeError> {
        w.i32(self.correlation_id);
        if l.flexible {
            w.unsigned_varint(0);
        }
        Ok(())
    }

    #[cfg(feature = "json")]
    fn to_json(&self, l: Layout) -> serde_json::Value {
        let mut object = crate::wire::json::ObjectWriter::default();
        object.field("correlation_id", &self.correlation_id, l);
        object.finish()
    }

    #[cfg(feature = "json")]
    fn from_json(
        value: &serde_json::Value,
        l: Layout,
    ) -> Result<Self, crate::wire::json::JsonError> {
        let mut object = crate::wire::json::ObjectReader::new(value)?;
        let header = Self {
            correlation_id: object.required("correlation_id", l)?,
        };
        object.finish()?;
        Ok(header)
    }
}

macro_rules! header {
    ($name:ident [$from:literal ..= $to:literal] flexible $flexible:literal) => {
        impl Message for $name {
            const SCHEMA: &'static Schema = &Schema {
                name: stringify!($name),
                versions: Versions::new($from, $to),
                flexible: Versions::from($flexible),
                unstable: Versions::NONE,
                fields: &Self::STRUCT,
            };

            fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
                if !Self::VERSIONS.contains(version) {
                    return Err(r.fail(DecodeErrorKind::Version(version)));
                }
                Self::read(r, Self::SCHEMA.layout(version))
            }

            fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                if !Self::VERSIONS.contains(version) {
                    return Err(EncodeError::new(EncodeErrorKind::Version(version)));
                }
                self.write(w, Self::SCHEMA.layout(version))
            }
        }
    };
}

header!(RequestHeader [1..=2] flexible 2);
header!(ResponseHeader [0..=1] flexible 1);

/// A whole request as it goes on the wire: 4 bytes of size, header, body.
///
/// # Errors
/// As [`Message::encode`]; also if it is larger than a size can say (2 GiB).
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&Text>,
) -> Result<Chunks, EncodeError> {
    let header = RequestHeader {
        request_api_key: R::KEY.0,
        request_api_version: version,
        correlation_id,
        client_id: client_id.cloned(),
    };
    encode_frame(&header, R::header_version(version), request, version)
}

/// A whole response as it goes on the wire: 4 bytes of size, header, body.
///
/// # Errors
/// As [`encode_request`].
pub fn encode_response<R: Request>(
    response: &R::Response,
    version: i16,
    correlation_id: i32,
) -> Result<Chunks, EncodeError> {
    encode_frame(
        &ResponseHeader { correlation_id },
        R::response_header_version(version),
        response,
        version,
    )
}

fn encode_frame<H: Message, M: Message>(
    header: &H,
    header_version: i16,
    body: &M,
    version: i16,
) -> Result<Chunks, EncodeError> {
    let mut w = Writer::with_capacity(256);
    w.i32(0);
    header.encode(&mut w, header_version)?;
    body.encode(&mut w, version)?;
    let size = w.len() - 4;
    let Ok(size) = i32::try_from(size) else {
        return Err(EncodeError::new(EncodeErrorKind::TooLong(size)));
    };
    w.patch_i32(0, size);
    Ok(w.finish())
}
