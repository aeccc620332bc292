//! Prints captured Kafka traffic as JSON, one line for each frame: what a client sent, and what the broker answered.
//!
//! `inspect REQUESTS [RESPONSES]`: the two directions of one connection, as `tcpflow` or Wireshark's "Follow TCP stream"
//! save them: raw bytes, or hex. Each response is read as what it answers, so responses need their requests.

use std::{
    error::Error,
    fs,
    io::{self, BufWriter, Read as _, Write},
    process::ExitCode,
};

use bytes::{Bytes, BytesMut};
use kafka_proto::{
    messages::{
        ApiKey, Message as _, RequestHeader, ResponseHeader,
        dialogue::{Body, Dialogue, DialogueError, api},
    },
    wire::{EncodeError, Framer},
};
use serde_json::{Value, json};

const HELP: &str = "\
Prints captured Kafka traffic as JSON, one line for each frame.

Usage: inspect REQUESTS [RESPONSES]

REQUESTS   what a client sent on one connection: raw bytes or hex; - reads standard input
RESPONSES  what the broker sent on it

To capture a connection: tcpflow -i lo port 9092";

/// Kafka's own limit for requests is 100 MiB (`socket.request.max.bytes`); a capture is not expected to hold more.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// Requests that wait for an answer: far more than any client keeps open.
const OPEN_MAX: usize = 100_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["-h" | "--help"] => println!("{HELP}"),
        ["-V" | "--version"] => println!("inspect {}", env!("CARGO_PKG_VERSION")),
        [requests] => return finish(inspect(requests, None)),
        [requests, responses] => return finish(inspect(requests, Some(responses))),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn finish(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inspect: {error}");
            ExitCode::FAILURE
        }
    }
}

fn inspect(requests: &str, responses: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut dialogue = Dialogue::new(OPEN_MAX);
    for_each_frame(requests, |offset, frame| {
        let line = match dialogue.request(&frame) {
            Ok(request) => {
                let header = &request.header;
                let key = ApiKey(header.request_api_key);
                line(
                    "request",
                    offset,
                    key,
                    header.request_api_version,
                    header.to_json(1).map_err(io::Error::other)?,
                    &request.body,
                )
                .map_err(io::Error::other)?
            }
            Err(error) => broken("request", offset, &frame, true, &error),
        };
        writeln!(out, "{line}")
    })?;
    if let Some(responses) = responses {
        for_each_frame(responses, |offset, frame| {
            let line = match dialogue.response(&frame) {
                Ok(response) => {
                    let header = response.header.to_json(0).map_err(io::Error::other)?;
                    line(
                        "response",
                        offset,
                        response.api,
                        response.version,
                        header,
                        &response.body,
                    )
                    .map_err(io::Error::other)?
                }
                Err(error) => broken("response", offset, &frame, false, &error),
            };
            writeln!(out, "{line}")
        })?;
    }
    out.flush()?;
    Ok(())
}

fn line(
    kind: &str,
    offset: usize,
    key: ApiKey,
    version: i16,
    header: Value,
    body: &Body,
) -> Result<Value, EncodeError> {
    let body = match body {
        Body::Message(message) => message.json(version)?,
        Body::Unknown(bytes) => {
            json!({ "unknown": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
    };
    Ok(
        json!({ "type": kind, "offset": offset, "api": key.to_string(), "version": version, "header": header, "body": body }),
    )
}

/// A frame that cannot be read: what is wrong, and in which field.
fn broken(
    kind: &str,
    offset: usize,
    frame: &Bytes,
    is_request: bool,
    error: &DialogueError,
) -> Value {
    let mut line =
        json!({ "type": kind, "offset": offset, "bytes": frame.len(), "error": error.to_string() });
    if let DialogueError::Body {
        api: key,
        version,
        error,
    } = error
        && let Some(api) = api(*key)
    {
        let known = if is_request {
            api.request
        } else {
            api.response
        };
        let header = frame.len() - body_len(frame, is_request, *key, *version);
        let body = frame.slice(header..);
        line["field"] = known.schema.path_at(&body, *version, error.offset).into();
    }
    line
}

/// Bytes behind the header.
fn body_len(frame: &Bytes, is_request: bool, key: ApiKey, version: i16) -> usize {
    let mut r = kafka_proto::wire::Reader::new(frame.clone());
    let Some(api) = api(key) else {
        return frame.len();
    };
    let read = if is_request {
        RequestHeader::decode(&mut r, api.request_header_version(version)).map(drop)
    } else {
        ResponseHeader::decode(&mut r, api.response_header_version(version)).map(drop)
    };
    read.map_or(frame.len(), |()| r.remaining())
}

/// Cuts a file into frames; bytes at the end that are no whole frame are named.
fn for_each_frame(
    path: &str,
    mut each: impl FnMut(usize, Bytes) -> io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let framer = Framer::new(FRAME_BYTES_MAX);
    let mut left = BytesMut::from(&read(path).map_err(|error| format!("{path}: {error}"))?[..]);
    let len = left.len();
    loop {
        let offset = len - left.len();
        match framer
            .next(&mut left)
            .map_err(|error| format!("{path}: at byte {offset}: {error}"))?
        {
            Some(frame) => each(offset, frame)?,
            None if left.is_empty() => return Ok(()),
            None => {
                eprintln!(
                    "inspect: {path}: the last {} bytes are no whole frame",
                    left.len()
                );
                return Ok(());
            }
        }
    }
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path {
        "-" => io::stdin().lock().read_to_end(&mut bytes)?,
        _ => fs::File::open(path)?.read_to_end(&mut bytes)?,
    };
    Ok(unhex(&bytes).unwrap_or(bytes))
}

/// Hex with spaces and line ends between the digits; `None` if it is anything else.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let digits = digits
        .iter()
        .map(|&digit| char::from(digit).to_digit(16).map(|digit| digit as u8));
    let digits = digits.collect::<Option<Vec<u8>>>()?;
    (digits.len() % 2 == 0 && !digits.is_empty()).then(|| {
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    })
}
