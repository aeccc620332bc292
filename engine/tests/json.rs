//! JSON: the projection decoder against serde_json, and what happens to documents that are none.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;

use bumpalo::Bump;
use engine::connectors::generated;
use engine::formats::json::{JsonError, Projection, Value};
use engine::formats::{Json, ProducerRecord};
use engine::plan::App;
use engine::testing::{Driver, InRecord};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value as Any;

/// Whether serde_json takes it for an object.
fn is_object(document: &[u8]) -> bool {
    let first = document
        .iter()
        .find(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
    first == Some(&b'{') && serde_json::from_slice::<IgnoredAny>(document).is_ok()
}

/// Reads a document to its end, because what is asked for is not there.
fn pass_over(document: &[u8]) -> Result<(), String> {
    let nowhere = Projection::new(["no such name", "a.no such name"]);
    match nowhere.read::<(Option<bool>, Option<bool>)>(document, &Bump::new()) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn same(ours: Option<Value<'_>>, theirs: Option<&Any>) -> Result<(), TestCaseError> {
    let is_same = match (ours, theirs) {
        (None, None | Some(Any::Null)) => true,
        (Some(Value::Bool(a)), Some(Any::Bool(b))) => a == *b,
        (Some(Value::Number(a)), Some(Any::Number(_))) => {
            Some(&serde_json::from_str::<Any>(a).unwrap()) == theirs
        }
        (Some(Value::Text(a)), Some(Any::String(b))) => a == b,
        (Some(Value::Array(a) | Value::Object(a)), Some(Any::Array(_) | Any::Object(_))) => {
            Some(&serde_json::from_str::<Any>(a).unwrap()) == theirs
        }
        _ => false,
    };
    prop_assert!(is_same, "{ours:?} instead of {theirs:?}");
    Ok(())
}

/// A value, written with blanks and escapes here and there.
fn written() -> impl Strategy<Value = String> {
    let text = prop_oneof!["[a-c]{0,3}", "[ -~]{0,12}", "[a\"\\\\\n\té\u{1f600}]{0,9}",];
    let text = (text, 0usize..3).prop_map(|(text, how)| written_text(&text, how));
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,6})",
        "-?(0|[1-9][0-9]{0,18})\\.[0-9]{1,12}",
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,2}",
    ];
    let leaf = prop_oneof![
        text,
        number,
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
    ];
    let blanks = || prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\n\t ")];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let name = prop_oneof![
            4 => "[ab]",
            1 => Just("some.thing".to_owned()),
            1 => Just("a name of more than sixteen bytes".to_owned()),
            1 => "[a-d\"\\\\é]{0,3}",
        ];
        let member = (name, 0usize..3, blanks(), blanks(), inner.clone())
            .prop_map(|(name, how, a, b, value)| (written_text(&name, how), a, b, value));
        let object = (prop::collection::vec(member, 0..6), blanks()).prop_map(|(members, c)| {
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, a, b, value)| format!("{a}{name}{b}:{a}{value}{b}"))
                .collect();
            format!("{c}{{{c}{}}}{c}", members.join(","))
        });
        let array = (prop::collection::vec(inner, 0..5), blanks())
            .prop_map(|(items, c)| format!("[{c}{}{c}]", items.join(",")));
        prop_oneof![3 => object, 1 => array]
    })
}

/// In quotes: 0 as short as it gets, 1 and 2 with characters escaped that need not be.
fn written_text(text: &str, how: usize) -> String {
    if how == 0 {
        return serde_json::to_string(text).unwrap();
    }
    let escaped = |c: char| {
        let units = |c: char| {
            let mut units = [0; 2];
            c.encode_utf16(&mut units)
                .iter()
                .map(|u| format!("\\u{u:04x}"))
                .collect::<String>()
        };
        match c {
            '/' => "\\/".to_owned(),
            '"' | '\\' | '\0'..' ' => units(c),
            'a' | '\u{e0}'.. if how == 2 => units(c),
            _ => c.to_string(),
        }
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// The members of an object in their order, doubles included.
struct Members(Vec<(String, Any)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        from.deserialize_map(Visit)
    }
}

impl Members {
    fn first(&self, name: &str) -> Option<&Any> {
        Some(&self.0.iter().find(|(n, _)| n == name)?.1)
    }
}

/// Each field that serde_json finds is found, with the same value.
fn compare(document: &[u8]) -> Result<(), TestCaseError> {
    let Ok(members) = serde_json::from_slice::<Members>(document) else {
        return Ok(());
    };
    let scratch = Bump::new();
    let flat = Projection::new([
        "a",
        "b",
        "some\\.thing",
        "a name of more than sixteen bytes",
    ]);
    type Four<'b> = (
        Option<Value<'b>>,
        Option<Value<'b>>,
        Option<Value<'b>>,
        Option<Value<'b>>,
    );
    let got = flat.read::<Four<'_>>(document, &scratch);
    prop_assert!(got.is_ok(), "{:?}", got);
    let Ok((a, b, dot, long)) = got else {
        return Ok(());
    };
    same(a, members.first("a"))?;
    same(b, members.first("b"))?;
    same(dot, members.first("some.thing"))?;
    same(long, members.first("a name of more than sixteen bytes"))?;
    // Fields within: the first `a`, read again by itself.
    let deep = Projection::new(["a.b.a", "a", "a.a", "b"]);
    let (aba, whole, aa, b) = deep.read::<Four<'_>>(document, &scratch).unwrap();
    same(whole, members.first("a"))?;
    same(b, members.first("b"))?;
    let within = |text: Option<Value<'_>>| match text {
        Some(Value::Object(text)) => serde_json::from_str(text).ok(),
        _ => None,
    };
    let inner: Option<Members> = within(whole);
    let inner_a = inner.as_ref().and_then(|i| i.first("a").cloned());
    same(aa, inner_a.as_ref())?;
    let ab = Projection::new(["a.b"]);
    let (ab,) = ab.read::<(Option<Value<'_>>,)>(document, &scratch).unwrap();
    let innermost: Option<Members> = within(ab);
    same(aba, innermost.as_ref().and_then(|i| i.first("a")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fields_are_those_that_serde_json_finds(document in written()) {
        compare(document.as_bytes())?;
        let verdict = pass_over(document.as_bytes());
        prop_assert_eq!(verdict.is_ok(), is_object(document.as_bytes()), "{:?}", verdict);
    }

    #[test]
    fn damaged_documents_are_refused_where_serde_json_refuses_them(
        document in written(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..3, prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\":,\\ue-+.0127 tn\n\x1f"[..])]), 1..4),
    ) {
        let mut bytes = document.into_bytes();
        for (at, what, byte) in damage {
            let at = at.index(bytes.len() + 1);
            match what {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => { bytes.remove(at); }
                _ => bytes.truncate(at / 2),
            }
        }
        compare(&bytes)?;
        let verdict = pass_over(&bytes);
        prop_assert_eq!(verdict.is_ok(), is_object(&bytes), "{:?}", verdict);
        // A document that breaks off gives no half numbers: the value that is found last has an end.
        let scratch = Bump::new();
        for end in 0..bytes.len().min(40) {
            let _ = Projection::new(["a"]).read::<(Option<Value<'_>>,)>(&bytes[..end], &scratch);
        }
    }

    #[test]
    fn numbers_are_what_the_standard_library_reads(
        text in "-?[0-9]{1,22}(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?",
        behind in prop_oneof![Just(""), Just(" "), Just(",\"x\":12345678901234567890")],
    ) {
        let document = format!("{{\"n\":{text}{behind}}}");
        let is_number = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let (scratch, n) = (Bump::new(), Projection::new(["n"]));
        let whole = n.read::<(i64,)>(document.as_bytes(), &scratch).ok().map(|n| n.0);
        prop_assert_eq!(whole, text.parse().ok().filter(|_| is_number));
        let whole = n.read::<(u64,)>(document.as_bytes(), &scratch).ok().map(|n| n.0);
        let want = if text == "-0" { Some(0) } else { text.parse().ok() };
        prop_assert_eq!(whole, want.filter(|_| is_number));
        let small = n.read::<(i16,)>(document.as_bytes(), &scratch).ok().map(|n| n.0);
        prop_assert_eq!(small, text.parse().ok().filter(|_| is_number));
        let float = n.read::<(f64,)>(document.as_bytes(), &scratch).ok().map(|n| n.0.to_bits());
        let want = text.parse().ok().filter(|n: &f64| is_number && n.is_finite());
        prop_assert_eq!(float, want.map(f64::to_bits));
    }

    #[test]
    fn text_is_what_was_written(text in any::<String>(), how in 0usize..3) {
        let document = format!("{{\"t\":{}}}", written_text(&text, how));
        let scratch = Bump::new();
        let t = Projection::new(["t"]);
        let got = t.read::<(&str,)>(document.as_bytes(), &scratch);
        prop_assert_eq!(got, Ok((text.as_str(),)));
    }
}

#[test]
fn text_without_escapes_is_borrowed() {
    let scratch = Bump::new();
    let document = br#"{"t":"plain, and longer than eight bytes"}"#;
    let (t,) = Projection::new(["t"])
        .read::<(&str,)>(document, &scratch)
        .unwrap();
    assert_eq!(t.as_ptr(), document[6..].as_ptr());
    assert_eq!(scratch.allocated_bytes(), 0);
}

#[test]
fn halves_of_surrogate_pairs_are_no_text() {
    let (scratch, t) = (Bump::new(), Projection::new(["t"]));
    for text in [
        r"\ud800",
        r"\udc00",
        r"\ud800x",
        r"\ud800\u0041",
        r"\ud800\ud800",
    ] {
        let document = format!("{{\"t\":\"{text}\"}}");
        let got = t.read::<(&str,)>(document.as_bytes(), &scratch);
        assert_eq!(got, Err(JsonError::Text { field: "t" }), "{text}");
        assert!(serde_json::from_str::<Any>(&document).is_err());
    }
    let got = t.read::<(&str,)>(b"{\"t\":\"\xff\"}", &scratch);
    assert_eq!(got, Err(JsonError::Text { field: "t" }));
}

#[test]
fn of_a_name_that_comes_twice_the_first_counts() {
    let scratch = Bump::new();
    let document = br#"{"n":1,"n":2,"o":{"p":3},"o":{"q":4}}"#;
    let all = Projection::new(["n", "o.p", "o.q"]);
    let got = all.read::<(i64, Option<i64>, Option<i64>)>(document, &scratch);
    assert_eq!(got, Ok((1, Some(3), None)));
}

#[test]
fn nothing_is_read_behind_the_comma_after_the_last_field() {
    let scratch = Bump::new();
    let n = Projection::new(["n", "o.p"]);
    let document = br#"{"o":{"p":1,"x":[]},"n":2, no JSON"#;
    assert_eq!(n.read::<(i64, i64)>(document, &scratch), Ok((2, 1)));
    // But what stands before it is JSON, and a value has an end.
    for document in [
        r#"{"o":{"p":1,"x":[},"n":2,"#,
        r#"{"o":{"p":1},"n":2"#,
        r#"{"o":{"p":1},"n":2]"#,
    ] {
        assert!(
            n.read::<(i64, i64)>(document.as_bytes(), &scratch).is_err(),
            "{document}"
        );
    }
}

#[test]
fn a_field_asked_for_twice_is_given_twice() {
    let scratch = Bump::new();
    let n = Projection::new(["n", "n", "n"]);
    let got = n.read::<(i64, f64, Value<'_>)>(br#"{"n":7}"#, &scratch);
    assert_eq!(got, Ok((7, 7.0, Value::Number("7"))));
}

#[test]
fn hostile_nesting_ends_with_an_error_and_needs_no_stack() {
    for bracket in ["[", "{\"a\":"] {
        let deep = format!("{{\"x\":{}", bracket.repeat(200_000));
        let error = pass_over(deep.as_bytes()).unwrap_err();
        assert!(
            error.contains("more than 128 arrays and objects"),
            "{error}"
        );
        let close = if bracket == "[" { "]" } else { "}" };
        let fits = format!("{{\"x\":{}1{}}}", bracket.repeat(128), close.repeat(128));
        assert_eq!(pass_over(fits.as_bytes()), Ok(()));
    }
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    let scratch = Bump::new();
    let all = Projection::new(["name", "at.ms"]);
    let error = |document: &str| {
        let got = all.read::<(&str, i32)>(document.as_bytes(), &scratch);
        got.unwrap_err().to_string()
    };
    assert_eq!(error(r#"{"at":{"ms":1}}"#), "field name is missing");
    assert_eq!(error(r#"{"name":"x","at":7}"#), "field at.ms is missing");
    assert_eq!(
        error(r#"{"name":7,"at":{"ms":1}}"#),
        "field name is a whole number, expected text"
    );
    assert_eq!(
        error(r#"{"name":"x","at":{"ms":1.5}}"#),
        "field at.ms is a number with a fraction or an exponent, expected a whole number"
    );
    assert_eq!(
        error(r#"{"name":"x","at":{"ms":3000000000}}"#),
        "field at.ms does not fit into i32"
    );
    assert_eq!(
        error("[1]"),
        "no JSON object: at byte 0 stands something else than '{'"
    );
    assert_eq!(
        error(r#"{"name":"x" "at":1}"#),
        "no JSON object: at byte 12 stands something else than ',' or '}'"
    );
}

fn plan(s: engine::flow::Scope<'_>) {
    s.source("in")
        .json_fields::<(&str, i64)>(["k", "n"])
        .sink("out");
}

#[test]
fn a_document_that_is_none_is_a_bad_record_with_offset_and_reason() {
    let bad = [r#"{"k":"a","n":1}"#, r#"{"k":"a","n":}"#];
    let mut skipping = Driver::new(plan);
    skipping.feed("in", bad);
    assert_eq!(skipping.read("out").len(), 1);
    assert_eq!(skipping.counters("source-1").bad, 1);

    let mut lettered = Driver::new(|s| {
        s.source("in")
            .json_fields::<(&str, i64)>(["k", "n"])
            .dead_letters("dead")
            .sink("out");
    });
    lettered.feed("in", bad);
    let dead = lettered.read("dead");
    assert_eq!(dead[0].value_str(), Some(bad[1]));
    let header = |name: &str| {
        let all = &dead[0].headers;
        let found = all.iter().find(|(n, _)| n == name);
        String::from_utf8(found.unwrap().1.clone().unwrap()).unwrap()
    };
    assert_eq!(header("__errors.offset"), "1");
    assert_eq!(
        header("__errors.message"),
        "no JSON object: at byte 13 stands something else than a value"
    );
}

/// A map whose keys are no text: serde_json refuses it.
fn no_json() -> Json<BTreeMap<[u64; 1], u64>> {
    Json(BTreeMap::from([([1], 1)]))
}

#[test]
fn what_serde_cannot_write_ends_the_job_and_is_no_tombstone() {
    let refused = |mut driver: Driver| {
        let record = InRecord {
            value: Some(b"x"),
            ..InRecord::default()
        };
        let error = driver.try_feed_records("in", 0, &[record]).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("serde cannot write the row as JSON"),
            "{error}"
        );
    };
    refused(Driver::new(|s| {
        s.source("in").utf8().map(|v| (v, no_json())).sink("out");
    }));
    refused(Driver::new(|s| {
        let records = s
            .source("in")
            .utf8()
            .map(|v| ProducerRecord::new(v, Some(no_json())));
        records.sink("out");
    }));
}

#[tokio::test]
async fn what_serde_cannot_write_is_no_null_in_a_source_of_memory_either() {
    let app = App::new("generated", |s| {
        s.source(generated(1, |_| std::iter::once(((), no_json()))))
            .bytes()
            .for_each(drop);
    });
    let ended = app.unwrap().run(&engine::Config::default()).await;
    let error = ended.unwrap_err().to_string();
    assert!(
        error.contains("serde cannot write the row as JSON"),
        "{error}"
    );
}
