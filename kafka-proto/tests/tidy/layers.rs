//! Who may import whom, and what must stay pure: the tables, and how they are applied to one file.

use super::source::SourceFile;

/// For each area of `kafka-proto` the areas it may name besides itself.
const KAFKA_PROTO: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("schema", &["wire"]),
    ("messages", &["schema", "wire"]),
    ("records", &["wire"]),
    ("sasl", &["wire"]),
    ("partition", &[]),
    ("net", &[]),
    (
        "client",
        &[
            "messages",
            "records",
            "sasl",
            "partition",
            "net",
            "schema",
            "wire",
        ],
    ),
    (
        "mock",
        &[
            "messages",
            "records",
            "sasl",
            "partition",
            "net",
            "schema",
            "wire",
        ],
    ),
];

/// The same for `engine`.
const ENGINE: &[(&str, &[&str])] = &[
    ("batch", &[]),
    ("formats", &["batch"]),
    ("time", &["batch"]),
    ("state", &["batch"]),
    ("flow", &["state", "time", "formats", "batch"]),
    ("operators", &["flow", "state", "time", "formats", "batch"]),
    ("windows", &["flow", "state", "time", "formats", "batch"]),
    ("joins", &["flow", "state", "time", "formats", "batch"]),
    ("columns", &["flow", "state", "time", "formats", "batch"]),
    (
        "plan",
        &[
            "operators",
            "windows",
            "joins",
            "flow",
            "state",
            "time",
            "formats",
            "batch",
        ],
    ),
    ("checkpoint", &["state", "batch"]),
    ("inspect", &[]),
    (
        "runtime",
        &[
            "plan",
            "checkpoint",
            "inspect",
            "operators",
            "windows",
            "joins",
            "flow",
            "state",
            "time",
            "formats",
            "batch",
        ],
    ),
    ("connectors", &["formats", "checkpoint", "time", "batch"]),
    (
        "testing",
        &[
            "plan",
            "operators",
            "windows",
            "joins",
            "flow",
            "state",
            "time",
            "formats",
            "batch",
        ],
    ),
    (
        "sql",
        &[
            "plan",
            "columns",
            "operators",
            "windows",
            "joins",
            "flow",
            "state",
            "time",
            "formats",
            "batch",
        ],
    ),
];

/// What lies at a crate's root and belongs to every layer.
const SHARED: &[&str] = &["Error"];

/// Workspace crates that each crate may name.
const CRATES: &[(&str, &[&str])] = &[
    ("kafka-proto", &[]),
    ("engine", &["kafka_proto"]),
    ("examples", &["engine", "kafka_proto"]),
    ("test-support", &[]),
];

/// Every import of one file that goes against the tables.
pub(crate) fn forbidden_imports(file: &SourceFile) -> Vec<String> {
    let Some((package, module)) = file.module() else {
        return Vec::new();
    };
    if file.is_test() {
        return Vec::new();
    }
    let layers = match package {
        "kafka-proto" => KAFKA_PROTO,
        "engine" => ENGINE,
        _ => &[],
    };
    // The root ties all layers together; binaries stand on top.
    let area = module.first().copied().filter(|&area| area != "bin");
    let mut violations = Vec::new();
    for path in file.paths() {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let mut complain =
            |what: String| violations.push(format!("{}:{}: {what}", file.path, path.line));
        if let (Some(area), Some(target)) = (area, within_crate(&module, &segments))
            && !layers.is_empty()
        {
            let Some((_, allowed)) = layers.iter().find(|(name, _)| *name == area) else {
                complain(format!("the area `{area}` stands in no table"));
                continue;
            };
            if target != area && !allowed.contains(&target) && !SHARED.contains(&target) {
                complain(format!("`{area}` names crate::{target}"));
            }
        }
        if let Some(foreign) = foreign_crate(package, &segments) {
            complain(foreign);
        }
        if package == "engine" && segments[0] == "kafka_proto" {
            let area = area.unwrap_or("");
            let file_name = module.last().copied().unwrap_or("");
            match segments.get(1).copied().unwrap_or("") {
                // The driver makes the batches that it feeds.
                "records" if !matches!(area, "batch" | "formats" | "testing") => {
                    complain(format!(
                        "only batch and formats name kafka_proto::records, not `{area}`"
                    ));
                }
                "client" if !(area == "connectors" && file_name.starts_with("kafka")) => {
                    complain(format!(
                        "only connectors/kafka_* name kafka_proto::client, not `{}`",
                        module.join("::")
                    ));
                }
                _ => {}
            }
        }
    }
    violations
}

/// The area of this crate that a path names, seen from a module.
fn within_crate<'a>(module: &[&'a str], path: &[&'a str]) -> Option<&'a str> {
    match path[0] {
        "crate" | "$crate" => path.get(1).copied(),
        "super" => {
            let up = path
                .iter()
                .take_while(|&&segment| segment == "super")
                .count();
            let base = module.get(..module.len().saturating_sub(up))?;
            base.first().copied().or_else(|| path.get(up).copied())
        }
        _ => None,
    }
}

fn foreign_crate(package: &str, path: &[&str]) -> Option<String> {
    let (_, allowed) = CRATES.iter().find(|(name, _)| *name == package)?;
    let ours = ["kafka_proto", "engine", "examples", "test_support"];
    let named = path[0];
    // A single segment may be a variable of that name.
    let foreign = path.len() > 1 && ours.contains(&named) && named != package.replace('-', "_");
    (foreign && !allowed.contains(&named)).then(|| format!("`{package}` names the crate {named}"))
}

/// Sockets, threads, clocks and chance, where there must be none.
pub(crate) fn impure_names(file: &SourceFile) -> Vec<String> {
    let Some((package, module)) = file.module() else {
        return Vec::new();
    };
    if file.is_test() || !is_pure(package, &module) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for path in file.paths() {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let impure = match *segments.as_slice() {
            ["tokio", _, ..] | ["rand" | "fastrand" | "getrandom", _, ..] => Some("I/O or chance"),
            ["std", "net" | "thread" | "process" | "fs", ..] => Some("the system"),
            ["thread", "spawn" | "sleep" | "scope"] => Some("threads"),
            [.., "Instant" | "SystemTime", "now"] => Some("a clock"),
            [.., "TcpStream" | "TcpListener" | "UdpSocket"] => Some("sockets"),
            [.., "RandomState"] => Some("chance"),
            _ => None,
        };
        if let Some(what) = impure {
            violations.push(format!(
                "{}:{}: {}: {what}",
                file.path,
                path.line,
                segments.join("::")
            ));
        }
    }
    violations
}

fn is_pure(package: &str, module: &[&str]) -> bool {
    let area = module.first().copied().unwrap_or("");
    if module.last() == Some(&"state") {
        return true;
    }
    match package {
        "kafka-proto" => {
            matches!(
                area,
                "wire" | "schema" | "messages" | "records" | "sasl" | "partition"
            ) || (area == "mock"
                && matches!(module.get(1), Some(&("log" | "groups" | "transactions"))))
        }
        "engine" => {
            let pure = [
                "batch",
                "state",
                "flow",
                "operators",
                "windows",
                "joins",
                "columns",
                "plan",
            ];
            // The clock trait's real implementation is the one place that reads the clock, the store on disk the one that has files.
            let within = module.get(1).copied();
            pure.contains(&area) && (area, within) != ("state", Some("disk"))
                || (area == "time" && within != Some("clock"))
        }
        _ => false,
    }
}
