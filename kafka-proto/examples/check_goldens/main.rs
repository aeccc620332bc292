//! Checks this crate against golden vectors made by Apache Kafka's own code: `check_goldens FILE…`, plain or gzip.
//!
//! Each vector is read and compared with the value it stands for, and written and compared with its bytes. What cannot be
//! checked is named with a count, never passed over in silence.

mod check;

use std::{path::PathBuf, process::ExitCode};

const HELP: &str = "\
Checks this crate against golden vectors made by Apache Kafka's own code.

Usage: check_goldens FILE…

FILE is a file of JSON lines, plain or gzip: messages, headers, data structures, frames, record batches (good and corrupt),
murmur2, SCRAM. What is skipped is named with a count. The last line is `N passed, N failed`; the status is 0 only if something
passed and nothing failed.";

fn main() -> ExitCode {
    let mut files = Vec::new();
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("-h" | "--help") => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            Some("-V" | "--version") => {
                println!("check_goldens {}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
            Some(flag) if flag.starts_with('-') && flag.len() > 1 => {
                eprintln!(
                    "check_goldens: unknown option {flag}; there is only --help and --version"
                );
                return ExitCode::from(2);
            }
            _ => files.push(PathBuf::from(argument)),
        }
    }
    if files.is_empty() {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    }
    let mut tally = check::Tally::default();
    for file in &files {
        check::check_file(file, &mut tally);
    }
    for failure in &tally.failures {
        println!("FAILED {failure}");
    }
    if tally.failed > tally.failures.len() {
        println!(
            "FAILED and not shown: {}",
            tally.failed - tally.failures.len()
        );
    }
    for (what, count) in &tally.skipped {
        println!("SKIPPED {count} of {what}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 && tally.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
