//! What stands before every body: the request's header and the response's.
//!
//! Written by hand, because the client id keeps its 16-bit length even in the header version that has tagged fields.

use crate::{
    schema::{Field, Kind, Message, Request, Schema, Struct, Versions},
    wire::{Chunks, Cursor, EncodeError, EncodeErrorKind, Layout, Text, Wire, Writer},
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
                ..plain("client_id", 1, Kind::Nullable(&Kind::ShortString))
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

impl Wire for RequestHeader {
    fn read(r: &mut Cursor<'_>, l: Layout) -> Self {
        let header = Self {
            request_api_key: r.i16(),
            request_api_version: r.i16(),
            correlation_id: r.i32(),
            client_id: r.text(false),
        };
        if l.flexible {
            r.skip_tags();
        }
        header
    }

    fn write(&self, w: &mut Writer, l: Layout) {
        w.i16(self.request_api_key);
        w.i16(self.request_api_version);
        w.i32(self.correlation_id);
        w.enter("RequestHeader.client_id");
        match &self.client_id {
            Some(client_id) => w.text(client_id, false),
            None => w.null_text(false),
        }
        if l.flexible {
            w.unsigned_varint(0);
        }
    }
}

impl Wire for ResponseHeader {
    fn read(r: &mut Cursor<'_>, l: Layout) -> Self {
        let header = Self {
            correlation_id: r.i32(),
        };
        if l.flexible {
            r.skip_tags();
        }
        header
    }

    fn write(&self, w: &mut Writer, l: Layout) {
        w.i32(self.correlation_id);
        if l.flexible {
            w.unsigned_varint(0);
        }
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
