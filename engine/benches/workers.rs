//! Wall time by number of workers: word count over lines in memory, state and exchange included, and without a broker that would want
//! cores of its own.
//!
//! On a machine that does other things too the wall says little; the CPU time of the busiest worker is what the wall would be if it did not.
//!
//! Run: `cargo bench -p engine --bench workers [-- ROUNDS]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use engine::{Config, connectors::generated, formats::text::words, plan::App};
use test_support::{
    cpu,
    random::{SplitMix64, Zipf},
};

const PARTITIONS: i32 = 8;
const LINES: usize = 4_000_000;
const VOCABULARY: usize = 50_000;

fn main() {
    let rounds = std::env::args()
        .filter_map(|a| a.parse().ok())
        .next()
        .unwrap_or(3);
    let lines: Arc<[String]> = lines().into();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("{LINES} lines of about 10 words in {PARTITIONS} partitions, best of {rounds}");
    println!(
        "| workers | wall, s | CPU, s | busiest worker, s | wall to one worker | busiest worker to one |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut one = (Duration::ZERO, Duration::ZERO);
    for workers in (0..).map(|n| 1 << n).take_while(|n| *n <= cores * 2) {
        let mut best = (Duration::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..rounds {
            let (start, cpu) = (Instant::now(), cpu::process());
            let busiest = run(&runtime, &lines, workers);
            best.0 = best.0.min(start.elapsed());
            best.1 = best.1.min(cpu::process() - cpu);
            best.2 = best.2.min(busiest);
        }
        if workers == 1 {
            one = (best.0, best.2);
        }
        println!(
            "| {workers} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            best.0.as_secs_f64(),
            best.1.as_secs_f64(),
            best.2.as_secs_f64(),
            best.0.as_secs_f64() / one.0.as_secs_f64(),
            best.2.as_secs_f64() / one.1.as_secs_f64()
        );
    }
}

/// CPU time of the busiest worker.
fn run(runtime: &tokio::runtime::Runtime, lines: &Arc<[String]>, workers: usize) -> Duration {
    let busiest = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&busiest);
    let main = std::thread::current().id();
    let mut config = Config::default().until_end(true);
    config.threads = workers;
    let lines = Arc::clone(lines);
    let source = Arc::new(generated(PARTITIONS, move |partition| {
        let lines = Arc::clone(&lines);
        let each = LINES / PARTITIONS as usize;
        (0..each).map(move |n| {
            (
                (),
                lines[(n * 8 + partition as usize) % lines.len()].clone(),
            )
        })
    }));
    let app = App::new("workers", move |s| {
        // The plan runs in the worker's thread, for each batch; it is learned in this one.
        if std::thread::current().id() != main {
            seen.fetch_max(cpu::thread().as_nanos() as u64, Ordering::Relaxed);
        }
        s.source(Arc::clone(&source))
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .count()
            .for_each(|row| {
                black_box(row);
            });
    });
    runtime.block_on(app.unwrap().run(&config)).unwrap();
    Duration::from_nanos(busiest.load(Ordering::Relaxed))
}

fn lines() -> Vec<String> {
    let mut random = SplitMix64::new(2);
    let vocabulary: Vec<String> = (0..VOCABULARY)
        .map(|_| {
            let letters = 0..3 + random.below(6);
            letters
                .map(|_| char::from(b'a' + random.below(26) as u8))
                .collect()
        })
        .collect();
    let zipf = Zipf::new(VOCABULARY, 1.0);
    let mut line = || {
        let words: Vec<&str> = (0..8 + random.below(5))
            .map(|_| &*vocabulary[zipf.draw(&mut random)])
            .collect();
        words.join(" ")
    };
    (0..100_000).map(|_| line()).collect()
}
