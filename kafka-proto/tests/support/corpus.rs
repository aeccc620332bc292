//! The saved inputs of the fuzz targets.

use std::{fs, path::Path};

/// Calls `check` with every saved input of a target.
pub(crate) fn each_file_of(target: &str, check: impl Fn(&[u8])) {
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
