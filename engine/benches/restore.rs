//! How long a restart takes until it reads: state read back from its changelog, over sockets from the in-process cluster, which shares the
//! machine's cores with it.
//!
//! Run on an idle machine: `cargo bench -p engine --bench restore [-- KEYS]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::time::{Duration, Instant};

use engine::{
    Config,
    flow::Scope,
    inspect::{Activity, Inspector, Snapshot},
    plan::App,
};
use kafka_proto::mock::Cluster;

const KEYS_PER_LINE: u64 = 20;

fn counts(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| line.split_ascii_whitespace())
        .key_by(|w| w)
        .count()
        .for_each(|_| {});
}

#[cfg(feature = "fjall")]
fn counts_on_disk(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| line.split_ascii_whitespace())
        .key_by(|w| w)
        .state_store(engine::state::Store::disk())
        .count()
        .for_each(|_| {});
}

fn main() {
    let keys = std::env::args()
        .find_map(|a| a.parse().ok())
        .unwrap_or(2_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure("in memory", counts, keys));
    #[cfg(feature = "fjall")]
    runtime.block_on(measure("on disk", counts_on_disk, keys));
}

async fn measure(name: &str, plan: fn(Scope<'_>), keys: u64) {
    let cluster = Cluster::builder().topic("lines", 4).start().await.unwrap();
    for n in 0..keys / KEYS_PER_LINE {
        let words = n * KEYS_PER_LINE..(n + 1) * KEYS_PER_LINE;
        let line: Vec<String> = words.map(|k| format!("key-{k}")).collect();
        add(&cluster, n, &line.join(" "));
    }
    let first = run(&cluster, plan).await;
    assert_eq!(first.0.state[0].keys, keys);
    add(&cluster, 0, "one more");
    let (snapshot, wall) = run(&cluster, plan).await;
    assert!(snapshot.records_restored >= keys && snapshot.records_in == 1);
    let restoring = snapshot.time[Activity::Restore as usize].1;
    println!(
        "{name}: {} entries restored; {:.2} s from the start to the first record, {:.2} s of two workers' time restoring, {:.2} s in all",
        snapshot.records_restored,
        snapshot.first_record.unwrap().as_secs_f64(),
        restoring.as_secs_f64(),
        wall.as_secs_f64(),
    );
}

fn add(cluster: &Cluster, n: u64, line: &str) {
    let record = (None, Some(line.as_bytes()));
    cluster.append("lines", (n % 4) as i32, [record]).unwrap();
}

async fn run(cluster: &Cluster, plan: fn(Scope<'_>)) -> (Snapshot, Duration) {
    let bootstrap = cluster.bootstrap_servers();
    let properties = [
        ("bootstrap.servers", bootstrap.as_str()),
        ("application.id", "restore"),
        ("num.stream.threads", "2"),
    ];
    let config = Config::from_properties(properties).unwrap().until_end(true);
    let (inspector, start) = (Inspector::new(), Instant::now());
    let app = App::new("restore", plan).unwrap();
    app.run_until(&config, std::future::pending(), &inspector)
        .await
        .unwrap();
    (inspector.snapshot(), start.elapsed())
}
