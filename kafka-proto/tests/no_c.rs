//! Not one line of C: nothing in the tree of normal and build dependencies compiles or links any, whatever is switched on.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::process::Command;

/// Crates that compile C, find C libraries, or are C.
fn brings_c(name: &str) -> bool {
    let known = ["cc", "cmake", "bindgen", "pkg-config", "vcpkg", "ring"];
    // linux-raw-sys is Rust: the kernel's numbers and layouts.
    known.contains(&name)
        || name.starts_with("aws-lc")
        || (name.ends_with("-sys") && name != "linux-raw-sys")
}

fn tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "-e",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo tree {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[test]
fn no_c_in_the_tree_of_any_feature_set() {
    for target in [
        "x86_64-unknown-linux-gnu",
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-gnu",
    ] {
        for features in [
            &["--workspace"][..],
            &["--workspace", "--all-features"],
            &["-p", "kafka-proto", "--no-default-features"],
            &[
                "-p",
                "kafka-proto",
                "--no-default-features",
                "--features",
                "client",
            ],
            &[
                "-p",
                "kafka-proto",
                "--no-default-features",
                "--features",
                "compression",
            ],
            &["-p", "kafka-proto", "--all-features"],
            &["-p", "engine"],
            &["-p", "examples"],
        ] {
            let names = tree(&[features, &["--target", target]].concat());
            assert!(
                names.iter().any(|name| name == "bytes"),
                "cargo tree {features:?} listed only {names:?}"
            );
            let c: Vec<&String> = names.iter().filter(|name| brings_c(name)).collect();
            assert!(c.is_empty(), "{features:?} on {target} brings C: {c:?}");
        }
    }
}

#[test]
fn the_codec_alone_needs_no_async_runtime() {
    let names = tree(&["-p", "kafka-proto", "--no-default-features"]);
    assert!(
        !names.iter().any(|name| name == "tokio" || name == "mio"),
        "{names:?}"
    );
}

#[test]
fn names_that_bring_c_are_told_from_names_that_do_not() {
    assert!(
        [
            "cc",
            "ring",
            "aws-lc-rs",
            "aws-lc-sys",
            "zstd-sys",
            "libz-sys",
            "openssl-sys"
        ]
        .into_iter()
        .all(brings_c)
    );
    assert!(
        ![
            "linux-raw-sys",
            "zlib-rs",
            "structured-zstd",
            "syn",
            "systest"
        ]
        .into_iter()
        .any(brings_c)
    );
}
