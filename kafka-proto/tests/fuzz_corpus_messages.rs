//! The saved corpora of the fuzz targets of messages and frames, each file once more.

#[path = "../fuzz/src/messages.rs"]
mod messages;

use std::{fs, path::Path};

fn each_file_of(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.expect("the folder can be read").path();
        println!("{}", path.display());
        check(&fs::read(path).expect("the file can be read"));
        count += 1;
    }
    assert!(count >= 10, "only {count} files in {}", folder.display());
}

#[test]
fn messages_that_can_be_read_can_be_written() {
    each_file_of("messages", messages::message);
}

#[test]
fn connections_are_followed_or_refused() {
    each_file_of("frames", messages::frames);
}
