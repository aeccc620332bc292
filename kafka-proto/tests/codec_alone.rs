//! The codec without features: what fuzzers and proxies build needs no runtime and nothing else that it does not use.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::process::Command;

#[test]
fn the_codec_alone_needs_bytes_crc32c_and_thiserror_and_no_more() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "-p",
            "kafka-proto",
            "--no-default-features",
            "-e",
            "normal",
            "--depth",
            "1",
        ])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let text = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, ["kafka-proto", "bytes", "crc32c", "thiserror"]);
}
