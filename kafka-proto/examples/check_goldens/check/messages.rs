//! Vectors of messages, headers, data structures and whole frames.

use bytes::Bytes;
use kafka_proto::{
    messages::{APIS, ApiKey, DATA, HEADERS, RequestHeader, ResponseHeader},
    schema::{AnyMessage, Api, MessageType},
    wire::{Reader, Writer},
};
use serde_json::Value;

use super::{Check, Outcome, expect, hex, number};

fn find(name: &str) -> Option<MessageType> {
    let apis = APIS.iter().flat_map(|api| [api.request, api.response]);
    apis.chain(HEADERS.iter().copied())
        .chain(DATA.iter().copied())
        .find(|known| known.schema.name == name)
}

fn api(vector: &Value) -> Option<&'static Api> {
    let key = ApiKey(number(vector, "key").ok()?.try_into().ok()?);
    APIS.iter().find(|api| api.key == key)
}

fn version(vector: &Value) -> Result<i16, String> {
    number(vector, "version")?
        .try_into()
        .map_err(|_| "version is out of range".to_owned())
}

/// A body: its bytes and its value, both ways.
pub(crate) fn check_message(vector: &Value) -> Check {
    let kind = vector["type"].as_str().unwrap_or("?");
    let name = vector["name"]
        .as_str()
        .or_else(|| vector["api"].as_str())
        .ok_or("name is missing")?;
    let Some(known) = find(name) else {
        return Ok(Outcome::Skipped(format!("{kind}: {name} is not declared")));
    };
    let version = version(vector)?;
    let variant = vector["variant"].as_str().unwrap_or("?");
    check_body(vector, known, version, variant == "unknown-tags")
        .map_err(|e| format!("{name} v{version} {variant}: {e}"))?;
    if variant == "default" {
        let default = encode(&*known.default_value(), version)?;
        same_bytes(
            "the default value",
            known,
            version,
            &default,
            &hex(vector, "hex")?.into(),
        )?;
    }
    check_layout(vector, known, version, kind).map_err(|e| format!("{name} v{version}: {e}"))?;
    Ok(Outcome::Passed)
}

fn check_body(
    vector: &Value,
    known: MessageType,
    version: i16,
    unknown_tags: bool,
) -> Result<(), String> {
    let bytes = Bytes::from(hex(vector, "hex")?);
    let wanted = &vector["json"];

    let decoded = decode(known, version, &bytes)?;
    if !unknown_tags {
        let value = decoded.json(version).map_err(|e| e.to_string())?;
        expect("decoded", &value, wanted)?;
    }

    let built = known
        .from_json(wanted, version)
        .map_err(|e| format!("cannot be built from its json: {e}"))?;
    if !built.equals(&*decoded) {
        return Err("the value built from json is not the one decoded".to_owned());
    }
    let encoded = encode(&*built, version)?;
    if unknown_tags {
        // Unknown tagged fields are passed over, so the bytes are fewer; what they say must be the same. Kafka's converter
        // writes a tagged struct that has nothing but unknown fields, so its text is compared as a value only.
        let again = decode(known, version, &encoded)?;
        return if again.equals(&*decoded) {
            Ok(())
        } else {
            Err("the value changed when it was written again".to_owned())
        };
    }
    same_bytes("encoded", known, version, &encoded, &bytes)
}

/// What the vector says of its version besides the value.
fn check_layout(
    vector: &Value,
    known: MessageType,
    version: i16,
    kind: &str,
) -> Result<(), String> {
    if let Some(flexible) = vector.get("flexible") {
        expect(
            "flexible",
            &known.schema.flexible.contains(version).into(),
            flexible,
        )?;
    }
    if let Some(unstable) = vector.get("unstable") {
        // Only requests are negotiated, so only their declarations carry the mark.
        let declared = api(vector).map_or(known.schema, |api| api.request.schema);
        expect(
            "unstable",
            &declared.unstable.contains(version).into(),
            unstable,
        )?;
    }
    if let (Some(wanted), Some(api)) = (vector.get("headerVersion"), api(vector)) {
        let header = if kind == "request" {
            api.request_header_version(version)
        } else {
            api.response_header_version(version)
        };
        expect("headerVersion", &header.into(), wanted)?;
        expect("api", &api.name.into(), &vector["api"])?;
    }
    Ok(())
}

/// A frame: size, header, and the body with every field at its default.
pub(crate) fn check_frame(vector: &Value) -> Check {
    let name = vector["api"].as_str().unwrap_or("?");
    let Some(api) = api(vector) else {
        return Ok(Outcome::Skipped(format!("frames: {name} is not declared")));
    };
    let (version, header_version) = (version(vector)?, number(vector, "headerVersion")?);
    let request = vector["type"] == "request";
    check_frame_of(vector, api, request, version)
        .map_err(|e| format!("{name} v{version} header v{header_version}: {e}"))?;
    Ok(Outcome::Passed)
}

fn check_frame_of(vector: &Value, api: &Api, request: bool, version: i16) -> Result<(), String> {
    let frame = Bytes::from(hex(vector, "hex")?);
    let (known, header_type, header_version) = if request {
        (
            api.request,
            MessageType::of::<RequestHeader>(),
            api.request_header_version(version),
        )
    } else {
        (
            api.response,
            MessageType::of::<ResponseHeader>(),
            api.response_header_version(version),
        )
    };
    expect(
        "headerVersion",
        &header_version.into(),
        &vector["headerVersion"],
    )?;

    let mut r = Reader::new(frame.clone());
    let size = r.i32().map_err(|e| e.to_string())?;
    expect("size", &size.into(), &(frame.len() - 4).into())?;
    let header = header_type
        .decode(&mut r, header_version)
        .map_err(|e| format!("header: {e}"))?;
    let value = header.json(header_version).map_err(|e| e.to_string())?;
    expect("header", &value, &vector["header"])?;
    expect(
        "headerBytes",
        &(r.offset() - 4).into(),
        &vector["headerBytes"],
    )?;
    expect("bodyBytes", &r.remaining().into(), &vector["bodyBytes"])?;
    let body = decode(known, version, &frame.slice(r.offset()..))?;
    if !body.equals(&*known.default_value()) {
        return Err("the body is not the default value".to_owned());
    }

    let mut w = Writer::new();
    w.i32(size);
    header
        .encode_any(&mut w, header_version)
        .map_err(|e| e.to_string())?;
    body.encode_any(&mut w, version)
        .map_err(|e| e.to_string())?;
    let again = w.finish().into_bytes();
    if again == frame {
        Ok(())
    } else {
        Err(format!(
            "written again it differs at byte {}",
            first_difference(&again, &frame)
        ))
    }
}

fn decode(known: MessageType, version: i16, bytes: &Bytes) -> Result<Box<dyn AnyMessage>, String> {
    let mut r = Reader::new(bytes.clone());
    let decoded = known
        .decode(&mut r, version)
        .and_then(|message| r.finish().map(|()| message));
    decoded.map_err(|e| {
        format!(
            "cannot be decoded: {e}, in {}",
            known.schema.path_at(bytes, version, e.offset)
        )
    })
}

fn encode(message: &dyn AnyMessage, version: i16) -> Result<Bytes, String> {
    let mut w = Writer::new();
    message
        .encode_any(&mut w, version)
        .map_err(|e| format!("cannot be encoded: {e}"))?;
    Ok(w.finish().into_bytes())
}

fn same_bytes(
    what: &str,
    known: MessageType,
    version: i16,
    got: &Bytes,
    wanted: &Bytes,
) -> Result<(), String> {
    if got == wanted {
        return Ok(());
    }
    let at = first_difference(got, wanted);
    let path = known.schema.path_at(wanted, version, at);
    Err(format!(
        "{what} differs at byte {at} of {} (should be {}), in {path}",
        got.len(),
        wanted.len()
    ))
}

fn first_difference(got: &[u8], wanted: &[u8]) -> usize {
    got.iter().zip(wanted).take_while(|(a, b)| a == b).count()
}
