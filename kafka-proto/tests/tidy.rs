//! The house rules of the whole workspace, checked from its source text: who may import whom, what stays free of
//! sockets and clocks, what every file and every message must have.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use source::{SourceFile, workspace_files};

/// Files longer than this need a line in [`LONG_FILES`].
const LINES_MAX: usize = 800;

/// Crates that cannot do without: the counting allocator, which denies unsafe code everywhere else, and a benchmark's peer in C.
const UNSAFE_ROOTS: &[&str] = &["test-support/", "bench/clients/librdkafka/"];

/// Reviewed: files that are longer and should be, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn must_be_empty(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

#[test]
fn layers_import_only_what_lies_below_them() {
    let files = workspace_files(root());
    assert!(
        files.len() > 20,
        "only {} files found under {}",
        files.len(),
        root().display()
    );
    let violations: Vec<String> = files.iter().flat_map(layers::forbidden_imports).collect();
    must_be_empty(
        "an import against the layers (kafka-proto/tests/tidy/layers.rs has the table)",
        &violations,
    );
}

#[test]
fn pure_code_has_no_sockets_threads_clocks_or_chance() {
    let violations: Vec<String> = workspace_files(root())
        .iter()
        .flat_map(layers::impure_names)
        .collect();
    must_be_empty(
        "time, chance and I/O come in as arguments here",
        &violations,
    );
}

/// Where the engine may ask what time of day it is: what is a duration must not depend on a clock that is set.
const WALL_CLOCKS: &[&str] = &[
    "engine/src/runtime/now.rs",
    "engine/src/connectors/memory.rs",
    "engine/src/inspect/mod.rs",
];

#[test]
fn only_few_places_of_the_engine_ask_the_wall_clock() {
    let violations: Vec<String> = workspace_files(root())
        .iter()
        .filter(|file| file.path.starts_with("engine/src/"))
        .filter(|file| !WALL_CLOCKS.contains(&file.path.as_str()))
        .filter(|file| file.text.contains("SystemTime::now"))
        .map(|file| format!("{}: SystemTime::now", file.path))
        .collect();
    must_be_empty("durations go by the monotonic clock", &violations);
}

#[test]
fn every_file_says_what_it_is() {
    let violations: Vec<String> = workspace_files(root())
        .iter()
        .filter(|file| !file.text.trim_start().starts_with("//!"))
        .map(|file| format!("{}: does not begin with `//!`", file.path))
        .collect();
    must_be_empty("each file begins with what it is", &violations);
}

#[test]
fn every_crate_root_forbids_unsafe_code() {
    let files = workspace_files(root());
    let violations: Vec<String> = files
        .iter()
        .filter(|file| {
            file.is_crate_root() && !UNSAFE_ROOTS.iter().any(|root| file.path.starts_with(root))
        })
        .filter(|file| !file.text.contains("#![forbid(unsafe_code)]"))
        .map(|file| format!("{}: lacks #![forbid(unsafe_code)]", file.path))
        .collect();
    must_be_empty("safe Rust only", &violations);
    assert!(
        files
            .iter()
            .any(|file| file.path == "test-support/src/lib.rs"
                && file.text.contains("#![deny(unsafe_code)]"))
    );
}

#[test]
fn nothing_is_left_to_do() {
    let violations: Vec<String> = workspace_files(root()).iter().flat_map(leftovers).collect();
    must_be_empty("unfinished code", &violations);
}

fn leftovers(file: &SourceFile) -> Vec<String> {
    let macros = ["todo", "unimplemented", "dbg"];
    let tokens = file.tokens();
    let found = tokens
        .windows(2)
        .filter(|pair| pair[1].text == "!" && macros.contains(&pair[0].text.as_str()));
    found
        .map(|pair| format!("{}:{}: {}!", file.path, pair[0].line, pair[0].text))
        .collect()
}

#[test]
fn long_files_are_reviewed() {
    let files = workspace_files(root());
    let mut violations = Vec::new();
    for file in &files {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !LONG_FILES.iter().any(|(path, _)| *path == file.path) {
            violations.push(format!(
                "{}: {lines} lines; find its second noun, or give a reason in tidy.rs",
                file.path
            ));
        }
    }
    for (path, _) in LONG_FILES {
        if !files
            .iter()
            .any(|file| file.path == *path && file.text.lines().count() > LINES_MAX)
        {
            violations.push(format!("{path}: stands in LONG_FILES and is not long"));
        }
    }
    must_be_empty("files past 800 lines", &violations);
}

#[test]
fn every_api_has_a_file_and_golden_vectors() {
    let files = workspace_files(root());
    let apis: Vec<String> = files
        .iter()
        .filter(|file| file.path.starts_with("kafka-proto/src/messages/"))
        .flat_map(|file| api_rows(&file.tokens()))
        .collect();
    assert!(apis.len() >= 16, "the API table has only {apis:?}");
    let goldens = root().join("testdata/goldens/messages");
    let mut violations = Vec::new();
    for api in &apis {
        let file = format!("kafka-proto/src/messages/{}.rs", snake_case(api));
        if !files.iter().any(|known| known.path == file) {
            violations.push(format!("{api}: no {file}"));
        }
        for direction in ["request", "response"] {
            let found = [".jsonl", ".jsonl.gz"]
                .map(|ending| goldens.join(format!("{api}.{direction}{ending}")));
            if !found
                .iter()
                .any(|path| fs::metadata(path).is_ok_and(|file| file.len() > 20))
            {
                violations.push(format!("{api}: no golden vectors {}", found[0].display()));
            }
        }
    }
    must_be_empty(
        "one message, one file, checked by another implementation's bytes",
        &violations,
    );
}

/// The names of `api! { Name = key: Request => Response … }`.
fn api_rows(tokens: &[source::Token]) -> Vec<String> {
    let mut names = Vec::new();
    for start in tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0].text == "api" && pair[1].text == "!")
    {
        let body = &tokens[start.0 + 2..];
        let end = source::matching_brace(body).unwrap_or(body.len());
        for row in body[..end].windows(3) {
            let key = row[2].text.chars().all(|digit| digit.is_ascii_digit());
            if row[1].text == "="
                && key
                && row[0]
                    .text
                    .starts_with(|first: char| first.is_ascii_uppercase())
            {
                names.push(row[0].text.clone());
            }
        }
    }
    names
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The rules can fail: each is shown a text that breaks it, and one that looks alike and does not.
mod the_rules_themselves {
    use super::*;

    fn imports(path: &str, text: &str) -> Vec<String> {
        layers::forbidden_imports(&SourceFile::new(path, text))
    }

    #[test]
    fn an_import_upwards_is_found_in_use_lines_groups_and_paths() {
        let path = "kafka-proto/src/messages/fetch.rs";
        assert_eq!(imports(path, "use crate::wire::Text;").len(), 0);
        assert_eq!(imports(path, "use crate::records::Batch;").len(), 1);
        assert_eq!(
            imports(path, "use crate::{wire::{Text, Uuid}, client::Config};").len(),
            1
        );
        assert_eq!(
            imports(path, "fn f() { super::super::records::batches(b) }").len(),
            1
        );
        assert_eq!(
            imports(
                path,
                "// use crate::records::Batch;\nconst S: &str = \"crate::records\";"
            )
            .len(),
            0
        );
        let test = "#[cfg(test)]\nmod tests { use crate::records::Batch; }\n";
        assert_eq!(imports(path, test).len(), 0);
        assert_eq!(
            imports(path, &format!("{test} use crate::mock::Cluster;")).len(),
            1
        );
        assert_eq!(
            imports(
                "kafka-proto/src/client/config.rs",
                "use crate::mock::Cluster;"
            )
            .len(),
            1
        );
        assert_eq!(
            imports("kafka-proto/src/wire/mod.rs", "use super::messages;").len(),
            1
        );
    }

    #[test]
    fn in_the_engine_kafka_is_named_only_where_it_may_be() {
        let records = "use kafka_proto::records::Batch;";
        let client = "fn f(p: kafka_proto::client::Producer) {}";
        assert_eq!(imports("engine/src/batch/view.rs", records).len(), 0);
        assert_eq!(imports("engine/src/operators/map.rs", records).len(), 1);
        assert_eq!(
            imports("engine/src/connectors/kafka_source.rs", client).len(),
            0
        );
        assert_eq!(imports("engine/src/runtime/worker.rs", client).len(), 1);
        assert_eq!(
            imports("engine/src/flow/stream.rs", "use crate::runtime::Worker;").len(),
            1
        );
        assert_eq!(
            imports("engine/src/operators/count.rs", "use crate::state::Table;").len(),
            0
        );
    }

    #[test]
    fn impure_names_are_found_in_pure_files_only() {
        let names =
            |path: &str, text: &str| layers::impure_names(&SourceFile::new(path, text)).len();
        assert_eq!(
            names(
                "kafka-proto/src/client/producer/state.rs",
                "use tokio::sync::Notify;"
            ),
            1
        );
        assert_eq!(
            ["table", "disk"]
                .map(|m| names(&format!("engine/src/state/{m}.rs"), "use std::fs::File;")),
            [1, 0]
        );
        assert_eq!(
            names(
                "kafka-proto/src/client/producer/task.rs",
                "use tokio::sync::Notify;"
            ),
            0
        );
        assert_eq!(
            names(
                "kafka-proto/src/wire/reader.rs",
                "let t = std::time::Instant::now();"
            ),
            1
        );
        assert_eq!(
            names(
                "kafka-proto/src/client/group/state.rs",
                "fn f(now: Instant) { Instant::now() }"
            ),
            1
        );
        assert_eq!(
            names(
                "kafka-proto/src/client/group/state.rs",
                "fn f(now: std::time::Instant) {}"
            ),
            0
        );
        assert_eq!(
            names(
                "engine/src/state/table.rs",
                "use std::collections::HashMap;"
            ),
            0
        );
        assert_eq!(
            names(
                "engine/src/state/table.rs",
                "use std::net::TcpStream; std::thread::sleep(d);"
            ),
            2
        );
    }

    #[test]
    fn leftovers_and_api_rows_are_read_from_code_not_from_text() {
        let left = |text: &str| leftovers(&SourceFile::new("a.rs", text)).len();
        assert_eq!(left(concat!("fn f() { to", "do!() }")), 1);
        assert_eq!(
            left("// dbg!(x)\nlet s = r#\"dbg!(\"x\")\"#; let c = '\"'; let l: &'static str;"),
            0
        );
        let rows = api_rows(
            &SourceFile::new("a.rs", "api! { Fetch = 1: FetchRequest => FetchResponse }").tokens(),
        );
        assert_eq!(rows, ["Fetch"]);
        assert_eq!(snake_case("InitProducerId"), "init_producer_id");
    }
}
