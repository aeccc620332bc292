//! Requests and responses whose API is known at run time only: one frame alone, or both directions of a connection.

use std::collections::VecDeque;

use bytes::Bytes;
use thiserror::Error;

use super::{APIS, ErrorCode, ProduceRequest, RequestHeader, ResponseHeader};
use crate::{
    schema::{AnyMessage, Api, ApiKey, Message as _, MessageType},
    wire::{DecodeError, Reader},
};

/// A frame that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DialogueError {
    /// The header cannot be read.
    #[error("the header cannot be read: {0}")]
    Header(DecodeError),
    /// The body cannot be read. The offset counts from the start of the body.
    #[error("the body of {api} version {version} cannot be read: {error}")]
    Body {
        /// The API.
        api: ApiKey,
        /// Version of the body.
        version: i16,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A response that answers no request, or not the oldest one: a broker answers in order.
    #[error("a response has the correlation id {got}, and {} is due", expected.map_or("none".to_owned(), |id| id.to_string()))]
    Correlation {
        /// What it says.
        got: i32,
        /// What the oldest open request says.
        expected: Option<i32>,
    },
    /// More requests are open than may be.
    #[error("more than {0} requests wait for an answer")]
    TooManyOpen(usize),
}

/// The body of a frame.
#[derive(Debug)]
pub enum Body {
    /// A message that is declared here.
    Message(Box<dyn AnyMessage>),
    /// The bytes of an API or version that is not known here.
    Unknown(Bytes),
}

/// A request with its header.
#[derive(Debug)]
pub struct AnyRequest {
    /// The header.
    pub header: RequestHeader,
    /// The body.
    pub body: Body,
}

/// A response with its header, and what it answers.
#[derive(Debug)]
pub struct AnyResponse {
    /// The API.
    pub api: ApiKey,
    /// Version of the body.
    pub version: i16,
    /// The header.
    pub header: ResponseHeader,
    /// The body.
    pub body: Body,
}

/// The row of the API table with this key.
pub fn api(key: ApiKey) -> Option<&'static Api> {
    APIS.binary_search_by_key(&key, |api| api.key)
        .ok()
        .map(|row| &APIS[row])
}

/// Reads a request: a frame without its size.
///
/// # Errors
/// The header or the body is malformed. An unknown API or version is no error: its body stays bytes.
pub fn decode_request(frame: &Bytes) -> Result<AnyRequest, DialogueError> {
    let mut r = Reader::new(frame.clone());
    // The two numbers that decide how the rest is laid out stand first in every version of the header.
    let (key, version) = {
        let mut ahead = r.clone();
        let key = ahead.i16().map_err(DialogueError::Header)?;
        (ApiKey(key), ahead.i16().map_err(DialogueError::Header)?)
    };
    let api = api(key);
    // Of an API that is not known, the version 1 of the header is all that can be relied on.
    let header_version = api.map_or(1, |api| api.request_header_version(version));
    let header = RequestHeader::decode(&mut r, header_version).map_err(DialogueError::Header)?;
    let body = body(
        api.map(|api| api.request),
        key,
        version,
        frame.slice(r.offset()..),
    )?;
    Ok(AnyRequest { header, body })
}

/// Reads a response to a request of this API and version: a frame without its size.
///
/// # Errors
/// The header or the body is malformed. An unknown API or version is no error: its body stays bytes.
pub fn decode_response(
    frame: &Bytes,
    key: ApiKey,
    version: i16,
) -> Result<AnyResponse, DialogueError> {
    let mut r = Reader::new(frame.clone());
    let api = api(key);
    let header_version = api.map_or(0, |api| api.response_header_version(version));
    let header = ResponseHeader::decode(&mut r, header_version).map_err(DialogueError::Header)?;
    // A broker that does not know the version asked for answers in version 0 (KIP-511).
    let refused = r
        .rest()
        .starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
    let version = if key == ApiKey::API_VERSIONS && refused {
        0
    } else {
        version
    };
    let body = body(
        api.map(|api| api.response),
        key,
        version,
        frame.slice(r.offset()..),
    )?;
    Ok(AnyResponse {
        api: key,
        version,
        header,
        body,
    })
}

fn body(
    known: Option<MessageType>,
    api: ApiKey,
    version: i16,
    bytes: Bytes,
) -> Result<Body, DialogueError> {
    match known.filter(|known| known.schema.versions.contains(version)) {
        None => Ok(Body::Unknown(bytes)),
        Some(known) => {
            let mut r = Reader::new(bytes);
            let message = known.decode(&mut r, version);
            let message = message.and_then(|message| r.finish().map(|()| message));
            message
                .map(Body::Message)
                .map_err(|error| DialogueError::Body {
                    api,
                    version,
                    error,
                })
        }
    }
}

/// Follows both directions of one connection, so that each response is read as what it answers: for inspectors and proxies.
/// No I/O: cut the streams with [`Framer`](crate::wire::Framer) and hand the frames in.
///
/// Not for the bytes after a SaslHandshake of version 0, which are no frames of this protocol.
#[derive(Debug)]
pub struct Dialogue {
    open: VecDeque<(i32, ApiKey, i16)>,
    open_max: usize,
}

impl Dialogue {
    /// A connection on which at most `open_max` requests wait for an answer.
    pub const fn new(open_max: usize) -> Self {
        Self {
            open: VecDeque::new(),
            open_max,
        }
    }

    /// Requests that wait for an answer.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Reads the next frame of the client.
    ///
    /// # Errors
    /// As [`decode_request`]; also if too many requests are open.
    pub fn request(&mut self, frame: &Bytes) -> Result<AnyRequest, DialogueError> {
        let request = decode_request(frame)?;
        let unanswered = match &request.body {
            // acks=0: the broker stays silent.
            Body::Message(body) => body
                .as_any()
                .downcast_ref::<ProduceRequest>()
                .is_some_and(|produce| produce.acks == 0),
            Body::Unknown(_) => false,
        };
        if !unanswered {
            if self.open.len() >= self.open_max {
                return Err(DialogueError::TooManyOpen(self.open_max));
            }
            let header = &request.header;
            self.open.push_back((
                header.correlation_id,
                ApiKey(header.request_api_key),
                header.request_api_version,
            ));
        }
        Ok(request)
    }

    /// Reads the next frame of the broker.
    ///
    /// # Errors
    /// As [`decode_response`]; also if it does not answer the oldest open request.
    pub fn response(&mut self, frame: &Bytes) -> Result<AnyResponse, DialogueError> {
        let got = Reader::new(frame.clone())
            .i32()
            .map_err(DialogueError::Header)?;
        match self.open.front() {
            Some(&(expected, api, version)) if expected == got => {
                self.open.pop_front();
                decode_response(frame, api, version)
            }
            other => Err(DialogueError::Correlation {
                got,
                expected: other.map(|(id, ..)| *id),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};
    use crate::wire::Text;

    fn sent<R: Request>(request: &R, version: i16, id: i32) -> Bytes {
        let frame = encode_request(request, version, id, Some(&Text::from_static("me"))).unwrap();
        frame.into_bytes().slice(4..)
    }

    fn answered<R: Request>(response: &R::Response, version: i16, id: i32) -> Bytes {
        encode_response::<R>(response, version, id)
            .unwrap()
            .into_bytes()
            .slice(4..)
    }

    #[test]
    fn a_response_is_read_as_what_it_answers() {
        let mut dialogue = Dialogue::new(8);
        let fetch = FetchRequest {
            max_wait_ms: 500,
            ..Default::default()
        };
        let request = dialogue.request(&sent(&fetch, 12, 1)).unwrap();
        let Body::Message(body) = request.body else {
            panic!("unknown")
        };
        assert_eq!(body.as_any().downcast_ref(), Some(&fetch));
        assert_eq!(request.header.client_id.as_deref(), Some("me"));
        dialogue
            .request(&sent(&HeartbeatRequest::default(), 4, 2))
            .unwrap();

        let response = FetchResponse {
            session_id: 7,
            ..Default::default()
        };
        let answer = dialogue
            .response(&answered::<FetchRequest>(&response, 12, 1))
            .unwrap();
        let Body::Message(body) = answer.body else {
            panic!("unknown")
        };
        assert_eq!(body.as_any().downcast_ref(), Some(&response));
        assert_eq!(dialogue.open(), 1);
        let late = dialogue.response(&answered::<FetchRequest>(&response, 12, 9));
        assert_eq!(
            late.unwrap_err(),
            DialogueError::Correlation {
                got: 9,
                expected: Some(2)
            }
        );
    }

    #[test]
    fn a_refused_api_versions_request_is_answered_in_version_0() {
        let refusal = ApiVersionsResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            ..Default::default()
        };
        let mut dialogue = Dialogue::new(8);
        let mut request = sent(&ApiVersionsRequest::default(), 4, 1).to_vec();
        request[3] = 99;
        let request = dialogue.request(&request.into()).unwrap();
        assert!(matches!(request.body, Body::Unknown(_)));
        let answer = dialogue
            .response(&answered::<ApiVersionsRequest>(&refusal, 0, 1))
            .unwrap();
        assert_eq!(answer.version, 0);
    }

    #[test]
    fn produce_without_acknowledgement_waits_for_no_answer() {
        let mut dialogue = Dialogue::new(1);
        let silent = ProduceRequest {
            acks: 0,
            ..Default::default()
        };
        dialogue.request(&sent(&silent, 9, 1)).unwrap();
        assert_eq!(dialogue.open(), 0);
        dialogue
            .request(&sent(
                &ProduceRequest {
                    acks: -1,
                    ..silent.clone()
                },
                9,
                2,
            ))
            .unwrap();
        let third = dialogue.request(&sent(&ProduceRequest { acks: 1, ..silent }, 9, 3));
        assert_eq!(third.unwrap_err(), DialogueError::TooManyOpen(1));
    }

    #[test]
    fn bytes_left_over_in_a_body_are_an_error() {
        let mut frame = sent(&HeartbeatRequest::default(), 4, 2).to_vec();
        frame.push(0);
        assert!(matches!(
            decode_request(&frame.into()),
            Err(DialogueError::Body { .. })
        ));
    }
}
