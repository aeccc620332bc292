//! Every golden vector in `testdata/goldens`, checked as the example `check_goldens` checks them.

#[path = "../examples/check_goldens/check/mod.rs"]
mod check;

use std::path::Path;

#[test]
fn every_golden_vector_is_read_and_written_as_kafka_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/goldens");
    let mut tally = check::Tally::default();
    for file in check::files_below(&folder)
        .iter()
        .filter(|file| file.to_string_lossy().contains(".jsonl"))
    {
        check::check_file(file, &mut tally);
    }
    for (what, count) in &tally.skipped {
        println!("SKIPPED {count} of {what}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    assert_eq!(tally.failed, 0, "{}", tally.failures.join("\n"));
    assert!(tally.passed > 0, "no vectors below {}", folder.display());
}
