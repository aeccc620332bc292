//! The floor: blocking std sockets, hand-made requests, no client library, nothing that is not needed for the one job.
//! Also creates topics and generates the shared data sets. `BOOTSTRAP` names the broker.
#![forbid(unsafe_code)]

mod consume;
mod data;
mod latency;
mod produce;
mod records;
mod wire;
mod wordcount;

fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    match a.first().map_or("", String::as_str) {
        "create" => wire::create(&a[1], a[2].parse().unwrap()),
        "delete" => wire::delete(&a[1]),
        "gen" => data::generate(&a[1..]),
        "produce" => produce::produce(&a[1..]),
        "consume" => consume::consume(&a[1..]),
        "latency" => latency::latency(&a[1..]),
        "first" => consume::first(&a[1]),
        "wordcount" => wordcount::wordcount(&a[1], &a[2]),
        other => panic!("unknown command {other:?}"),
    }
}
