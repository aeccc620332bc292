//! A real Apache Kafka for tests: fetched by Maven once, started on free loopback ports in a directory of its own,
//! and gone with the test process however that ends.
//!
//! ```no_run
//! // In a test: returns early, saying so loudly, where Java or Maven is missing; fails there when `CI` is set.
//! let kafka = test_support::require_kafka!();
//! kafka.create_topic("lines", 3, &[]);
//! let listed = kafka.tool("TopicCommand", &["--list"]);
//! assert!(listed.contains("lines"));
//! ```

mod broker;
mod jars;
mod python;
mod tools;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

pub use broker::{Broker, Options};
pub use python::confluent_kafka;
pub use tools::{ToolOutput, java_command, java_tool, run};

/// Whether a real broker can be had here: the folder of its jars, or why not.
///
/// # Errors
/// A phrase that says what is missing.
pub fn available() -> Result<PathBuf, String> {
    static JARS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    JARS.get_or_init(|| {
        if std::env::var_os("KAFKA_TESTS").is_some_and(|value| value == "skip") {
            return Err("KAFKA_TESTS=skip is set".to_owned());
        }
        for (program, argument) in [("sh", "-c :"), ("java", "-version")] {
            let found = Command::new(program)
                .arg(argument)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if found.is_err() {
                return Err(format!("no `{program}` on the PATH"));
            }
        }
        jars::fetch()
    })
    .clone()
}

/// One broker for the whole test binary, started by the first test that asks. `None` where it cannot be had: then
/// `SKIPPED` and the reason went to standard error past the test harness, and a machine with `CI` set panics instead.
///
/// Tests share it, so each uses topics and groups of its own name.
pub fn shared(test: &str) -> Option<&'static Broker> {
    static BROKER: OnceLock<Mutex<Option<&'static Broker>>> = OnceLock::new();
    skip_without_kafka(test)?;
    let slot = BROKER.get_or_init(Mutex::default);
    // A panic while starting poisons the lock; the next test tries again and reports the same trouble.
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = Some(Box::leak(Box::new(Broker::start())));
    }
    *slot
}

/// `Some(())` where a broker can be had; else says `SKIPPED`, or panics when `CI` is set.
pub fn skip_without_kafka(test: &str) -> Option<()> {
    let Err(reason) = available() else {
        return Some(());
    };
    if std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false") {
        panic!("{test} needs a real Kafka and CI is set: {reason}");
    }
    skipped(test, &reason);
    None
}

/// Says that a test did not run, past the test harness, which would swallow what a passing test prints.
pub fn skipped(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {reason}");
}

/// The broker shared by this test binary, or an early return from the test where there can be none.
/// With arguments, [`Options`] for a broker of the test's own.
#[macro_export]
macro_rules! require_kafka {
    () => {{
        let Some(kafka) =
            $crate::kafka::shared(concat!(module_path!(), " at ", file!(), ":", line!()))
        else {
            return;
        };
        kafka
    }};
    ($options:expr) => {{
        let test = concat!(module_path!(), " at ", file!(), ":", line!());
        let Some(()) = $crate::kafka::skip_without_kafka(test) else {
            return;
        };
        $crate::kafka::Broker::start_with(&$options)
    }};
}
