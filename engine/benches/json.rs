//! Fields of JSON documents: the projection decoder against serde_json reading a borrowing struct of the same fields.
//!
//! Run: `cargo bench -p engine --bench json [-- ROUNDS]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use bumpalo::Bump;
use engine::formats::json::Projection;
use serde::Deserialize;
use test_support::{alloc::CountingAllocator, measure::Paired, random::SplitMix64};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const DOCUMENTS: u64 = 2000;
const TIMES: u64 = 20;

#[derive(Deserialize)]
struct Three<'a> {
    sensor: &'a str,
    ts: i64,
    temp: f64,
}

#[derive(Deserialize)]
struct Two<'a> {
    sensor: &'a str,
    ts: i64,
}

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(15);
    let mut random = SplitMix64::new(1);
    let mut make = |write: fn(u64, i64, u64, u64) -> String| -> Vec<String> {
        (0..DOCUMENTS as i64)
            .map(|n| {
                let (sensor, ts) = (random.below(100_000), 1_700_000_000_000 + n);
                write(sensor, ts, random.below(20), random.below(1_000_000_000))
            })
            .collect()
    };
    let three_fields = make(|sensor, ts, a, b| {
        format!("{{\"sensor\":\"s-{sensor}\",\"ts\":{ts},\"temp\":1{a}.{b}}}")
    });
    let in_front = make(|sensor, ts, a, b| {
        format!(
            "{{\"sensor\":\"s-{sensor}\",\"ts\":{ts},\"temp\":1{a}.5,\"id\":{b},\"unit\":\"C\",\"ok\":true,\"site\":\"hall {a}\"}}"
        )
    });
    let among_others = make(|sensor, ts, a, b| {
        format!(
            "{{\"id\":{b},\"sensor\":\"s-{sensor}\",\"unit\":\"C\",\"ok\":true,\"site\":\"hall {a}\",\"ts\":{ts},\"temp\":1{a}.5}}"
        )
    });
    let nested = make(|sensor, ts, a, b| {
        format!(
            "{{\"meta\": {{\"version\": 1, \"tags\": [\"a\", \"bc\", {b}]}}, \"sensor\": \"s-{sensor}\", \"ts\": {ts}, \"temp\": 1{a}.5}}"
        )
    });
    for (what, documents) in [
        ("three fields, nothing else", three_fields),
        ("three fields and four behind them", in_front),
        ("three fields among four others", among_others),
        ("three fields behind an object, with blanks", nested),
    ] {
        compare(what, &documents, rounds);
    }
}

fn compare(what: &str, documents: &[String], rounds: usize) {
    let bytes: usize = documents.iter().map(String::len).sum();
    let title = format!("{what}; {} bytes a document", bytes / documents.len());
    let scratch = Bump::new();
    let (two, three) = (
        Projection::new(["sensor", "ts"]),
        Projection::new(["sensor", "ts", "temp"]),
    );
    let all = |read: &mut dyn FnMut(&[u8])| {
        for _ in 0..TIMES {
            for document in documents {
                read(black_box(document.as_bytes()));
            }
        }
        TIMES * DOCUMENTS
    };
    let table = Paired::new(&title, rounds)
        .arm("serde_json, all three", || {
            all(&mut |document| {
                let Three { sensor, ts, temp } = serde_json::from_slice(document).unwrap();
                black_box((sensor, ts, temp));
            })
        })
        .arm("projection, all three", || {
            all(&mut |document| {
                let fields: (&str, i64, f64) = three.read(document, &scratch).unwrap();
                black_box(fields);
            })
        })
        .arm("serde_json, two", || {
            all(&mut |document| {
                let Two { sensor, ts } = serde_json::from_slice(document).unwrap();
                black_box((sensor, ts));
            })
        })
        .arm("projection, two", || {
            all(&mut |document| {
                let fields: (&str, i64) = two.read(document, &scratch).unwrap();
                black_box(fields);
            })
        })
        .run();
    println!("{table}");
}
