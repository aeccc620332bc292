//! Random values of any message, drawn as JSON from its schema: arrays of 0 to 3, strings with all that hurts, edge integers,
//! nulls where they may be, tagged fields set or not.

use kafka_proto::schema::{Field, Kind, Schema, Struct};
use serde_json::{Map, Value};
use test_support::SplitMix64;

/// A random value of this version.
pub(crate) fn value(schema: &Schema, version: i16, random: &mut SplitMix64) -> Value {
    fields(schema.fields, version, random, 0)
}

fn fields(of: &Struct, version: i16, random: &mut SplitMix64, depth: u64) -> Value {
    let mut object = Map::new();
    for field in of
        .fields
        .iter()
        .filter(|field| field.versions.contains(version))
    {
        if field.tag.is_none() || random.chance(0.5) {
            object.insert(
                camel_case(field.name),
                field_value(field, version, random, depth),
            );
        }
    }
    object.into()
}

fn field_value(field: &Field, version: i16, random: &mut SplitMix64, depth: u64) -> Value {
    match field.kind {
        Kind::Nullable(_) if field.nullable.contains(version) && random.chance(0.2) => Value::Null,
        Kind::Nullable(kind) => of_kind(kind, version, random, depth),
        kind => of_kind(&kind, version, random, depth),
    }
}

fn of_kind(kind: &Kind, version: i16, random: &mut SplitMix64, depth: u64) -> Value {
    match kind {
        Kind::Bool => random.chance(0.5).into(),
        Kind::Int8 => (integer(random) as i8).into(),
        Kind::Int16 => (integer(random) as i16).into(),
        Kind::Uint16 => (integer(random) as u16).into(),
        Kind::Int32 => (integer(random) as i32).into(),
        Kind::Int64 => integer(random).into(),
        Kind::Float64 => (random.unit() * 1e9 - 5e8).into(),
        Kind::Uuid => uuid(random).into(),
        Kind::String | Kind::ShortString => string(random).into(),
        Kind::Bytes | Kind::Records => base64(random).into(),
        Kind::Array(element) => {
            let count = random.below(4u64.saturating_sub(depth).max(2));
            (0..count)
                .map(|_| of_kind(element, version, random, depth + 1))
                .collect()
        }
        Kind::Struct(of) => fields(of, version, random, depth),
        Kind::Nullable(inner) => of_kind(inner, version, random, depth),
    }
}

fn integer(random: &mut SplitMix64) -> i64 {
    match random.below(4) {
        0 => [
            0,
            1,
            -1,
            i64::MAX,
            i64::MIN,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
        ][random.below(7) as usize],
        1 => random.below(300) as i64,
        _ => random.below(u64::MAX) as i64,
    }
}

fn uuid(random: &mut SplitMix64) -> String {
    let mut bytes = [0; 16];
    if random.chance(0.8) {
        random.fill(&mut bytes);
    }
    kafka_proto::wire::Uuid(bytes).to_string()
}

fn string(random: &mut SplitMix64) -> String {
    match random.below(5) {
        0 => String::new(),
        1 => "quote \" nul \0 \u{10ffff}".to_owned(),
        // Around the length at which a compact length takes a second byte.
        2 => "x".repeat(120 + random.below(16) as usize),
        _ => "topic-".to_owned() + &random.below(1000).to_string(),
    }
}

/// Random bytes as base64: three at a time, so that no padding is needed, and now and then some that are padded.
fn base64(random: &mut SplitMix64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let len = if random.chance(0.05) {
        600
    } else {
        random.below(10)
    };
    let mut text: String = (0..4 * len)
        .map(|_| char::from(ALPHABET[random.below(64) as usize]))
        .collect();
    if random.chance(0.3) {
        text.push_str("AA==");
    }
    text
}

fn camel_case(name: &str) -> String {
    let mut words = name.trim_start_matches("r#").split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        camel + &word[..1].to_uppercase() + &word[1..]
    })
}
