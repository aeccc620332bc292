//! The checking itself, shared by the program and the test: which kind of vector a line is, and the tally.

mod assignors;
mod messages;
mod murmur2;
mod records;
mod scram;

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Failures kept for printing; all are counted.
const SHOWN_MAX: usize = 200;

/// What came of the checks so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Vectors that agree in everything.
    pub(crate) passed: usize,
    /// Vectors that do not.
    pub(crate) failed: usize,
    /// The first failures: file, line, and what is wrong where.
    pub(crate) failures: Vec<String>,
    /// What was not checked and why, with a count.
    pub(crate) skipped: BTreeMap<String, usize>,
}

/// What came of one vector.
pub(crate) enum Outcome {
    Passed,
    /// What was skipped and why.
    Skipped(String),
}

/// What is wrong with a vector.
pub(crate) type Check = Result<Outcome, String>;

impl Tally {
    fn fail(&mut self, failure: String) {
        self.failed += 1;
        if self.failures.len() < SHOWN_MAX {
            self.failures.push(failure);
        }
    }
}

/// Checks every line of one file.
pub(crate) fn check_file(path: &Path, tally: &mut Tally) {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => return tally.fail(format!("{}: {error}", path.display())),
    };
    if path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("manifest.json"))
    {
        *tally
            .skipped
            .entry("manifest: it holds no vectors".to_owned())
            .or_default() += 1;
        return;
    }
    let mut lines = 0;
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        lines += 1;
        let outcome = match serde_json::from_str(line) {
            Ok(vector) => check(&vector),
            Err(error) => Err(format!("no JSON: {error}")),
        };
        match outcome {
            Ok(Outcome::Passed) => tally.passed += 1,
            Ok(Outcome::Skipped(what)) => *tally.skipped.entry(what).or_default() += 1,
            Err(failure) => tally.fail(format!("{}:{}: {failure}", path.display(), index + 1)),
        }
    }
    if lines == 0 {
        tally.fail(format!("{}: holds no vector", path.display()));
    }
}

/// Every file below a folder, in order.
#[allow(dead_code, reason = "the program is given its files")]
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return String::from_utf8(bytes).map_err(|_| "is neither gzip nor UTF-8".to_owned());
    }
    let mut text = String::new();
    let read = flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text);
    read.map(|_| text)
        .map_err(|error| format!("cannot be inflated: {error}"))
}

/// Vectors say what they are by the fields they have.
fn check(vector: &Value) -> Check {
    let has = |name: &str| vector.get(name).is_some();
    if has("murmur2") {
        murmur2::check(vector)
    } else if has("expected") && has("why") {
        records::check_corrupt(vector)
    } else if has("bytesExact") {
        records::check_good(vector)
    } else if has("headerBytes") {
        messages::check_frame(vector)
    } else if has("variant") {
        messages::check_message(vector)
    } else if has("mechanism") {
        scram::check(vector)
    } else if has("assignor") {
        assignors::check(vector)
    } else {
        Err("a kind of vector that is not known here".to_owned())
    }
}

/// The bytes of a field in hex.
pub(crate) fn hex(vector: &Value, name: &str) -> Result<Vec<u8>, String> {
    let text = vector[name]
        .as_str()
        .ok_or_else(|| format!("{name} is missing"))?;
    let digits = text.as_bytes().chunks(2);
    let bytes = digits.map(|pair| {
        std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    bytes
        .collect::<Option<_>>()
        .ok_or_else(|| format!("{name} is no hex"))
}

/// A field that holds a number.
pub(crate) fn number(vector: &Value, name: &str) -> Result<i64, String> {
    vector[name]
        .as_i64()
        .ok_or_else(|| format!("{name} is missing"))
}

/// Compares two values; the error names the first difference.
pub(crate) fn expect(what: &str, got: &Value, wanted: &Value) -> Result<(), String> {
    match difference(got, wanted, String::new()) {
        None => Ok(()),
        Some(difference) => Err(format!("{what}{difference}")),
    }
}

fn difference(got: &Value, wanted: &Value, path: String) -> Option<String> {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) => {
            let extra = got.keys().find(|key| !wanted.contains_key(*key));
            if let Some(key) = extra {
                return Some(format!("{path}.{key}: there should be no such field"));
            }
            wanted.iter().find_map(|(key, wanted)| match got.get(key) {
                Some(got) => difference(got, wanted, format!("{path}.{key}")),
                None => Some(format!("{path}.{key}: is missing")),
            })
        }
        (Value::Array(got), Value::Array(wanted)) if got.len() == wanted.len() => {
            let pairs = got.iter().zip(wanted).enumerate();
            pairs.into_iter().find_map(|(index, (got, wanted))| {
                difference(got, wanted, format!("{path}[{index}]"))
            })
        }
        (Value::Number(got), Value::Number(wanted))
            if got.as_f64() == wanted.as_f64() && got.is_f64() != wanted.is_f64() =>
        {
            None
        }
        _ if got == wanted => None,
        _ => Some(format!(
            "{path}: is {}, should be {}",
            short(got),
            short(wanted)
        )),
    }
}

fn short(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > 80 {
        text.truncate(text.floor_char_boundary(80));
        text.push('…');
    }
    text
}
