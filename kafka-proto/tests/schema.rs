//! The hand-written declarations against Kafka's own schemas, field by field, and the error codes against its table.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{collections::BTreeMap, fs, path::Path};

use kafka_proto::{
    messages::{APIS, DATA, ErrorCode, HEADERS},
    schema::{Field, Kind, Schema, Struct, Versions},
};
use serde_json::Value;

fn testdata(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/protocol")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Kafka's table, by name; without the APIs that have no valid version any more.
fn table() -> BTreeMap<String, Value> {
    let messages = testdata("messages-4.4.0.jsonl");
    let messages = messages
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let valid = messages.filter(|message| message["validVersions"] != "none");
    valid
        .map(|message| (text(&message, "name").to_owned(), message))
        .collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("")
}

fn declared() -> impl Iterator<Item = (Option<i16>, &'static Schema, bool)> {
    let requests = APIS
        .iter()
        .map(|api| (Some(api.key.0), api.request.schema, true));
    let responses = APIS
        .iter()
        .map(|api| (Some(api.key.0), api.response.schema, false));
    let others = HEADERS
        .iter()
        .chain(DATA)
        .map(|known| (None, known.schema, false));
    requests.chain(responses).chain(others)
}

fn versions(text: &str) -> Versions {
    match text.split_once('-') {
        _ if text == "none" || text.is_empty() => Versions::NONE,
        Some((min, max)) => Versions::new(min.parse().unwrap(), max.parse().unwrap()),
        None => match text.strip_suffix('+') {
            Some(min) => Versions::from(min.parse().unwrap()),
            None => Versions::new(text.parse().unwrap(), text.parse().unwrap()),
        },
    }
}

/// `ThrottleTimeMs` from `throttle_time_ms`.
fn kafka_name(name: &str) -> String {
    let words = name.trim_start_matches("r#").split('_');
    words
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

/// Kafka writes a few names with a small first letter; in JSON all are.
fn capitalised(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

/// The words in which Kafka writes a type.
fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Nullable(inner) => kind_name(inner),
        Kind::Array(element) => format!("[]{}", kind_name(element)),
        Kind::Struct(of) => of.name.to_owned(),
        Kind::ShortString => "string".to_owned(),
        plain => format!("{plain:?}").to_lowercase(),
    }
}

fn struct_of(kind: &Kind) -> Option<&'static Struct> {
    match kind {
        Kind::Nullable(inner) | Kind::Array(inner) => struct_of(inner),
        Kind::Struct(of) => Some(of),
        _ => None,
    }
}

/// The default in Kafka's words.
fn default_name(field: &Field) -> String {
    match (field.default, field.kind) {
        (Some("None"), _) => "null".to_owned(),
        (Some("i32::MAX"), _) => i32::MAX.to_string(),
        (Some("i32::MIN"), _) => i32::MIN.to_string(),
        (Some("i64::MAX"), _) => i64::MAX.to_string(),
        (Some(number), _) => number.to_owned(),
        (None, _) => String::new(),
    }
}

fn wanted_default(field: &Value) -> String {
    let default = match &field["default"] {
        Value::String(text) => text.to_lowercase(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    match default.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).unwrap().to_string(),
        // Zero and empty are what a field holds without being told.
        None if default == "0" || default == "false" => String::new(),
        None => default,
    }
}

struct Comparison<'a> {
    message: &'a Value,
    versions: Versions,
    differences: Vec<String>,
}

impl Comparison<'_> {
    fn expect(&mut self, path: &str, what: &str, got: impl ToString, wanted: impl ToString) {
        let (got, wanted) = (got.to_string(), wanted.to_string());
        if got != wanted {
            self.differences
                .push(format!("{path}: {what} is {got:?}, should be {wanted:?}"));
        }
    }

    /// `present` are the versions that have this struct at all: what a field inside says of others means nothing.
    fn fields(&mut self, path: &str, present: Versions, got: &Struct, wanted: &[Value]) {
        let names: Vec<String> = got
            .fields
            .iter()
            .map(|field| kafka_name(field.name))
            .collect();
        let wanted_names: Vec<String> = wanted
            .iter()
            .map(|field| capitalised(text(field, "name")))
            .collect();
        self.expect(
            path,
            "list of fields",
            names.join(" "),
            wanted_names.join(" "),
        );
        let tags: Vec<_> = got.fields.iter().filter_map(|field| field.tag).collect();
        assert!(
            tags.is_sorted(),
            "{path}: tagged fields are written in the order of their declaration"
        );
        for (field, wanted) in got.fields.iter().zip(wanted) {
            self.field(&format!("{path}.{}", field.name), present, field, wanted);
        }
    }

    fn field(&mut self, path: &str, present: Versions, field: &Field, wanted: &Value) {
        let wanted_type = text(wanted, "type");
        // Two structs of one API that Kafka gives one name have the direction before it here.
        let kind = kind_name(&field.kind);
        let plain = kind.replace("[]Request", "[]").replace("[]Response", "[]");
        self.expect(
            path,
            "type",
            if kind == wanted_type { kind } else { plain },
            wanted_type,
        );
        let got = field.versions.intersect(present);
        let declared = versions(text(wanted, "versions")).intersect(present);
        self.expect(path, "versions", got, declared);
        let nullable = versions(text(wanted, "nullableVersions"))
            .intersect(got)
            .intersect(self.versions);
        let declared = field.nullable.intersect(got).intersect(self.versions);
        self.expect(path, "nullable versions", declared, nullable);
        self.expect(
            path,
            "tag",
            format!("{:?}", field.tag),
            format!("{:?}", wanted["tag"].as_u64()),
        );
        self.expect(
            path,
            "tagged versions",
            if field.tag.is_some() {
                field.versions
            } else {
                Versions::NONE
            },
            versions(text(wanted, "taggedVersions")),
        );
        self.expect(
            path,
            "ignorable",
            field.ignorable,
            wanted["ignorable"] == true,
        );
        self.expect(path, "default", default_name(field), wanted_default(wanted));
        if let Some(of) = struct_of(&field.kind) {
            let name = wanted_type.trim_start_matches("[]");
            let common = self.message["commonStructs"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|common| text(common, "name") == name);
            let wanted = wanted["fields"]
                .as_array()
                .or_else(|| common?["fields"].as_array());
            self.fields(
                path,
                got,
                of,
                wanted.unwrap_or_else(|| panic!("{path}: no struct {name} in Kafka's table")),
            );
        }
    }
}

fn differences(
    schema: &Schema,
    key: Option<i16>,
    is_request: bool,
    message: &Value,
) -> Vec<String> {
    let mut comparison = Comparison {
        message,
        versions: schema.versions,
        differences: Vec::new(),
    };
    comparison.expect(
        schema.name,
        "versions",
        schema.versions,
        versions(text(message, "validVersions")),
    );
    comparison.expect(
        schema.name,
        "flexible versions",
        schema.flexible,
        versions(text(message, "flexibleVersions")),
    );
    if is_request {
        let latest = Versions::new(schema.versions.max, schema.versions.max);
        let unstable = if message["latestVersionUnstable"] == true {
            latest
        } else {
            Versions::NONE
        };
        comparison.expect(schema.name, "unstable versions", schema.unstable, unstable);
    }
    comparison.expect(
        schema.name,
        "api key",
        format!("{key:?}"),
        format!("{:?}", message["apiKey"].as_i64()),
    );
    comparison.fields(
        schema.name,
        Versions::from(0),
        schema.fields,
        message["fields"].as_array().unwrap(),
    );
    comparison.differences
}

#[test]
fn declarations_are_kafkas_own() {
    let mut table = table();
    let mut all = Vec::new();
    for (key, schema, is_request) in declared() {
        let message = table
            .remove(schema.name)
            .unwrap_or_else(|| panic!("Kafka has no {}, or it is declared twice", schema.name));
        all.extend(differences(schema, key, is_request, &message));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    if !table.is_empty() {
        let missing: Vec<_> = table.into_keys().collect();
        println!(
            "SKIPPED {} messages that are not declared: {}",
            missing.len(),
            missing.join(" ")
        );
    }
}

#[test]
fn a_wrong_declaration_is_seen() {
    let table = table();
    let wrong = |change: fn(&mut Value)| {
        let mut message = table["FetchRequest"].clone();
        change(&mut message);
        let fetch = declared()
            .find(|(_, schema, _)| schema.name == "FetchRequest")
            .unwrap();
        differences(fetch.1, fetch.0, fetch.2, &message).len()
    };
    assert_eq!(wrong(|_| {}), 0);
    assert_eq!(wrong(|m| m["validVersions"] = "4-19".into()), 1);
    assert_eq!(wrong(|m| m["fields"][0]["tag"] = 3.into()), 1);
    assert_eq!(
        wrong(|m| m["fields"][0]["nullableVersions"] = "none".into()),
        1
    );
    assert_eq!(wrong(|m| m["fields"][1]["default"] = "0".into()), 1);
    assert_eq!(
        wrong(|m| m["fields"][2]["fields"][1]["type"] = "int32".into()),
        1
    );
    assert_eq!(wrong(|m| m["fields"][3]["name"] = "Other".into()), 1);
    assert_eq!(wrong(|m| m["fields"][5]["ignorable"] = false.into()), 1);
    assert_eq!(wrong(|m| m["fields"][9]["versions"] = "1+".into()), 1);
}

#[test]
fn api_keys_ascend_and_have_their_names() {
    assert!(APIS.is_sorted_by_key(|api| api.key));
    for api in APIS {
        assert_eq!(api.request.schema.name, format!("{}Request", api.name));
        assert_eq!(api.response.schema.name, format!("{}Response", api.name));
        assert_eq!(
            api.request.schema.versions, api.response.schema.versions,
            "{}",
            api.name
        );
        assert_eq!(api.key.to_string(), api.name);
    }
}

#[test]
fn error_codes_are_kafkas_own() {
    let table = testdata("errors-4.4.0.tsv");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(ErrorCode::ALL.len(), rows.len());
    for row in rows {
        let [code, name, retriable, metadata, refresh] = row[..] else {
            panic!("{row:?}")
        };
        let code = ErrorCode(code.parse().unwrap());
        assert_eq!(code.name(), Some(name));
        assert_eq!(code.is_retriable().to_string(), retriable, "{name}");
        assert_eq!(code.refreshes_metadata().to_string(), metadata, "{name}");
        assert_eq!(
            (code.refreshes_metadata() || code.refreshes_coordinator()).to_string(),
            refresh,
            "{name}"
        );
        assert!(ErrorCode::ALL.contains(&code) && !code.message().is_empty());
    }
}
