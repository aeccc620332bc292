//! How far apart commits are under full load, at default settings: one large fetch, a file, a source in memory, two keyed levels whose
//! inboxes are full. Each record costs 20 µs of a user's function.
//!
//! Run: `cargo bench -p engine --bench commits [-- SECONDS]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Config;
use engine::connectors::{Collected, Lines, generated};
use engine::inspect::Inspector;
use engine::operators::Event;
use engine::plan::{App, Scope};
use kafka_proto::mock::Cluster;

const RECORD: Duration = Duration::from_micros(20);
const PARTITIONS: i32 = 16;
const WORKERS: u64 = 2;

fn spin() {
    let began = Instant::now();
    while began.elapsed() < RECORD {
        std::hint::spin_loop();
    }
}

fn main() {
    let seconds = std::env::args()
        .filter_map(|a| a.parse().ok())
        .next()
        .unwrap_or(60);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    println!(
        "| load, {seconds} s | commits | median, ms | 90 % | 99 % | longest | within 200 ms |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    runtime.block_on(async {
        fetch(seconds).await;
        file(seconds).await;
        memory(seconds).await;
        two_levels(seconds).await;
    });
}

/// Records that last for longer than is measured.
fn records(seconds: u64) -> u64 {
    let of_a_worker =
        u64::try_from((Duration::from_secs(seconds + 5)).as_nanos() / RECORD.as_nanos());
    of_a_worker.unwrap() * WORKERS
}

async fn fetch(seconds: u64) {
    let cluster = Cluster::builder()
        .topic("in", PARTITIONS)
        .topic("out", PARTITIONS)
        .start()
        .await
        .unwrap();
    let batch = 20_000u64;
    for n in 0..records(seconds) / batch {
        let values: Vec<[u8; 8]> = (0..batch).map(|i| (n * batch + i).to_be_bytes()).collect();
        let pairs = values.iter().map(|v| (None, Some(&v[..])));
        cluster
            .append("in", (n % PARTITIONS as u64) as i32, pairs)
            .unwrap();
    }
    let servers = cluster.bootstrap_servers();
    let properties = [
        ("bootstrap.servers", servers.as_str()),
        ("max.partition.fetch.bytes", "5000000"),
        ("fetch.max.bytes", "90000000"),
        ("fetch.buffer.bytes", "500000000"),
    ];
    let plan = |s: Scope<'_>| {
        s.source("in")
            .bytes()
            .inspect(|_| spin())
            .map(|v| (v, v))
            .sink("out");
    };
    measure("one fetch of 16 partitions", seconds, &properties, plan).await;
}

async fn file(seconds: u64) {
    let path = std::env::temp_dir().join(format!("engine-commits-{}", std::process::id()));
    let text: String = (0..records(seconds)).map(|n| format!("{n}\n")).collect();
    std::fs::write(&path, text).unwrap();
    let (from, out) = (path.clone(), Collected::new());
    let plan = move |s: Scope<'_>| {
        s.source(Lines::of(&from))
            .utf8()
            .inspect(|_| spin())
            .filter(|line| line.ends_with("000"))
            .map(|line| ((), line))
            .sink(&out);
    };
    measure("a file", seconds, &[], plan).await;
    std::fs::remove_file(path).unwrap();
}

async fn memory(seconds: u64) {
    let out = Collected::new();
    let plan = move |s: Scope<'_>| {
        let numbers = generated(4, |_| (0u64..).map(|n| ((), n)));
        s.source(Arc::new(numbers))
            .bytes()
            .inspect(|_| spin())
            .filter(|n| n[7] == 0)
            .map(|n| ((), n))
            .sink(&out);
    };
    measure("a source in memory", seconds, &[], plan).await;
}

async fn two_levels(seconds: u64) {
    let out = Collected::new();
    let plan = move |s: Scope<'_>| {
        let numbers = generated(4, |_| (0u64..).map(|n| ((), n)));
        s.source(Arc::new(numbers))
            .bytes()
            .map(|n| u64::from_be_bytes(n.try_into().unwrap_or_default()))
            .key_by(|n| n % 1000)
            .process(0u64, |cx, _, event, out| {
                if let Event::Row(n) = event {
                    spin();
                    *cx.state += 1;
                    out.push(n);
                }
            })
            .key_by(|n| n % 777)
            .aggregate(0u64, |sum, n| {
                spin();
                *sum += n % 2;
            })
            .sink(&out);
    };
    measure("two keyed levels", seconds, &[], plan).await;
}

/// Runs a plan for some seconds, and prints how far apart its commits were.
async fn measure(
    name: &str,
    seconds: u64,
    properties: &[(&str, &str)],
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
) {
    let state_dir =
        std::env::temp_dir().join(format!("engine-commits-state-{}", std::process::id()));
    let mut config = Config::from_properties(properties.iter().copied()).unwrap();
    config
        .set("state.dir", state_dir.to_str().unwrap())
        .unwrap();
    config
        .set("num.stream.threads", &WORKERS.to_string())
        .unwrap();
    let inspector = Inspector::new();
    let mut gaps: Vec<Duration> = Vec::new();
    let watch = async {
        let (mut commits, mut last) = (0, None::<Instant>);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let now = inspector.snapshot().commits;
            if now != commits {
                commits = now;
                let at = Instant::now();
                gaps.extend(last.replace(at).map(|before| at - before));
            }
        }
        // What has not ended yet counts, too.
        gaps.extend(last.map(|before| before.elapsed()));
    };
    let app = App::new("commits", plan).unwrap();
    app.run_until(&config, watch, &inspector).await.unwrap();
    let _ = std::fs::remove_dir_all(state_dir);
    gaps.sort_unstable();
    let ms = |of: usize| gaps.get(of).map_or(f64::NAN, |gap| gap.as_secs_f64() * 1e3);
    let at = |part: usize| ms((gaps.len() * part / 100).min(gaps.len().saturating_sub(1)));
    let within = gaps.iter().filter(|gap| gap.as_millis() <= 200).count();
    println!(
        "| {name} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} % |",
        gaps.len(),
        at(50),
        at(90),
        at(99),
        ms(gaps.len().saturating_sub(1)),
        within as f64 * 100.0 / gaps.len().max(1) as f64,
    );
}
