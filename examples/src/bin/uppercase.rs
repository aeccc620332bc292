//! Shouts: the value of every record in upper case; key, headers, timestamp and partition stay.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use engine::inspect::Snapshot;
use engine::plan::App;
use examples::cli::Common;
use examples::demo::Demo;
use examples::run::{self, Program};
use examples::screen;

/// Copies every record with its value in upper case. A null value stays null; of bytes that are not UTF-8 the ASCII letters are changed.
#[derive(Debug, Parser)]
#[command(name = "uppercase", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = Program {
        name: "uppercase",
        input: "input",
        output: "output",
        show,
    };
    run::run(&program, &args.common, |input, output| {
        let (input, output) = (input.to_owned(), output.to_owned());
        App::new("uppercase", move |s| {
            s.source(&input)
                .record()
                .map(|record| {
                    let value = record.value.map(|value| match str::from_utf8(value) {
                        // ß becomes SS: only a new text can hold that.
                        Ok(text) if !text.is_ascii() => {
                            s.scratch().alloc_str(&text.to_uppercase()).as_bytes()
                        }
                        _ => {
                            let copy = s.scratch().alloc_slice_copy(value);
                            copy.make_ascii_uppercase();
                            &*copy
                        }
                    });
                    record.with_value(value)
                })
                .sink(&output);
        })
    })
}

/// The first lines, shouted.
fn show(demo: &Demo, _: &Snapshot) -> Result<(), String> {
    for record in demo
        .output()
        .map_err(|error| error.to_string())?
        .iter()
        .take(8)
    {
        screen::print(&format!(
            "  {}",
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default())
        ));
    }
    screen::print("  …\n");
    Ok(())
}
