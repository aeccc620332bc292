#!/usr/bin/env bash
# How much of a small program is the codec: the stripped size of examples/three_apis.rs (ApiVersions, Metadata and Fetch, both
# directions), of the same program without the codec, and what the linker kept of this crate. Needs binutils.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=${CARGO_TARGET_DIR:-target}
cargo build -q --release -p kafka-proto --no-default-features --example three_apis
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/without.rs" <<'RUST'
use std::{error::Error, io::{Read as _, Write as _}};
fn main() -> Result<(), Box<dyn Error>> {
    std::io::stdout().write_all(b"request")?;
    let mut received = Vec::new();
    std::io::stdin().read_to_end(&mut received)?;
    eprintln!("{} bytes", received.len());
    Ok(())
}
RUST
rustc --edition 2024 -C opt-level=3 -C codegen-units=1 -o "$work/without" "$work/without.rs"
for program in "$target/release/examples/three_apis" "$work/without"; do
  strip -o "$work/stripped" "$program"
  printf '%-12s %9d bytes stripped\n' "$(basename "$program")" "$(stat -c %s "$work/stripped")"
done
nm --print-size --radix=d --demangle "$target/release/examples/three_apis" |
  awk '$3 ~ /^[tTrRdDbB]$/ && /kafka_proto/ { sum += $2; count++ } END { printf "%-12s %9d bytes in %d symbols\n", "kafka_proto", sum, count }'
