//! Windows on a real Apache Kafka, as a user runs them: the program `window_counts`, stopped and killed in the middle and started again,
//! against a truth counted apart from the engine.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/programs.rs"]
mod programs;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kafka_proto::client::{Config, Consumer, TopicPartition};
use programs::{Running, program};
use test_support::kafka::Broker;
use test_support::require_kafka;

const PARTITIONS: i32 = 4;
const READINGS: i64 = 120_000;
const WINDOW_MS: i64 = 10_000;
/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// A sensor and the start of a window.
type Place = (String, i64);

/// Sensor and time of the reading with this number: up to five seconds out of order.
fn reading(n: i64) -> (String, i64) {
    let ts = 1_800_000_000_000 + n * 10 - n * 7919 % 5000;
    (format!("s-{}", n * n % 23), ts)
}

fn place(n: i64) -> Place {
    let (sensor, ts) = reading(n);
    (sensor, ts / WINDOW_MS * WINDOW_MS)
}

struct Job {
    kafka: &'static Broker,
    name: &'static str,
}

impl Job {
    /// Readings written by Kafka's own producer: reading n is at offset n / 4 of partition n % 4.
    fn new(kafka: &'static Broker, name: &'static str) -> Self {
        let job = Self { kafka, name };
        // They are of another year than the broker's clock.
        let kept = [("retention.ms", "-1")];
        kafka.create_topic(&job.input(), PARTITIONS, &kept);
        kafka.create_topic(&job.output(), PARTITIONS, &kept);
        let file = kafka.directory().join(format!("{name}.jsonl"));
        let mut text = String::new();
        for n in 0..READINGS {
            let (sensor, ts) = reading(n);
            text += &format!(
                "{{\"sensor\":\"{sensor}\",\"temp\":{}.5,\"ts\":{ts}}}\n",
                n % 30
            );
        }
        fs::write(&file, text).unwrap();
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka/Lines.java");
        let arguments = [
            &job.input(),
            &PARTITIONS.to_string(),
            file.to_str().unwrap(),
        ];
        kafka.java_source(&source, &arguments);
        job
    }

    fn input(&self) -> String {
        format!("{}-readings", self.name)
    }

    fn output(&self) -> String {
        format!("{}-counts", self.name)
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = program("window_counts");
        command
            .args(["--bootstrap-servers", &self.kafka.bootstrap_servers()])
            .args(["--input", &self.input(), "--output", &self.output()])
            .args(["--group-id", self.name, "--threads", "2", "--stats"])
            .args(["--commit-interval-ms", "20", "--state-dir"])
            .arg(self.kafka.directory().join(self.name))
            .args(arguments);
        Running::start(&mut command)
    }

    fn written(&self) -> i64 {
        let ends = self.kafka.end_offsets(&self.output(), PARTITIONS);
        ends.iter().sum()
    }

    /// Starts it, and waits until it has written more while it still runs: then it is in the middle. (Or until nothing is left to read.)
    fn start_until_it_writes(&self) -> Running {
        let (before, begin) = (self.written(), Instant::now());
        let mut run = self.start(&[]);
        while self.written() == before {
            if run.child().try_wait().unwrap().is_some() {
                panic!("it has ended: {:?}", run.end());
            }
            assert!(begin.elapsed() < LIMIT, "it writes nothing");
            // Asking costs a second: not before it is unlikely that there is more.
            if begin.elapsed() > LIMIT / 20 && self.not_committed().is_empty() {
                break;
            }
        }
        run
    }

    /// Runs to the end, which must succeed; its statistics.
    fn finish(&self) -> String {
        let (status, out, err) = self.start(&["--until-end"]).end();
        assert_eq!(status, Some(0), "{err}");
        out
    }

    /// Readings that are not committed, by the place they count for.
    fn not_committed(&self) -> BTreeMap<Place, u64> {
        let committed: BTreeMap<i32, i64> = self
            .kafka
            .committed(self.name, &self.input())
            .into_iter()
            .collect();
        let is_done = |n: &i64| {
            let partition = (n % i64::from(PARTITIONS)) as i32;
            n / i64::from(PARTITIONS) < committed.get(&partition).copied().unwrap_or(0)
        };
        counted((0..READINGS).filter(|n| !is_done(n)))
    }

    /// All counts of each window, in the order in which they were written.
    fn counts(&self) -> BTreeMap<Place, Vec<u64>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut config = Config::new(&self.kafka.bootstrap_servers());
            config.set("auto.offset.reset", "earliest").unwrap();
            let mut consumer = Consumer::connect(config).await.unwrap();
            let topic = self.output();
            let places = (0..PARTITIONS).map(|p| TopicPartition::new(topic.as_str(), p));
            consumer.assign(&places.collect::<Vec<_>>()).unwrap();
            let mut left = self.written();
            let mut counts: BTreeMap<Place, Vec<u64>> = BTreeMap::new();
            while left > 0 {
                let polled = tokio::time::timeout(LIMIT, consumer.poll(LIMIT)).await;
                for record in polled.expect("the results can be read").unwrap() {
                    let sensor = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
                    let (start, count) = record.value().unwrap().split_at(8);
                    let start = i64::from_be_bytes(start.try_into().unwrap());
                    let count = u64::from_be_bytes(count.try_into().unwrap());
                    counts.entry((sensor, start)).or_default().push(count);
                    left -= 1;
                }
            }
            counts
        })
    }
}

fn counted(numbers: impl Iterator<Item = i64>) -> BTreeMap<Place, u64> {
    let mut counts = BTreeMap::new();
    for n in numbers {
        *counts.entry(place(n)).or_default() += 1;
    }
    counts
}

#[test]
fn after_sigterm_in_the_middle_each_window_comes_out_once_with_the_truth() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "windows-stopped");
    let first = job.start_until_it_writes();
    first.signal("-TERM");
    let (status, _, err) = first.end();
    assert_eq!(status, Some(0), "{err}");
    let before = job.written();
    let stats = job.finish();
    assert!(stats.contains("\"rows_late\":0"), "{stats}");
    let truth = counted(0..READINGS);
    assert!(before < truth.len() as i64, "not in the middle");
    let once = truth.into_iter().map(|(place, n)| (place, vec![n]));
    assert_eq!(job.counts(), once.collect());
}

/// At least once: no reading is lost, and none counts more often than it was read.
#[test]
fn after_sigkill_no_window_is_lost_and_only_replayed_readings_count_again() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "windows-killed");
    let truth = counted(0..READINGS);
    let mut most = truth.clone();
    for kill in 0..3 {
        let run = job.start_until_it_writes();
        run.signal("-KILL");
        run.end();
        let again = job.not_committed();
        // Later ones may come when everything is read, on a fast machine: windows are open then too.
        assert!(kill > 0 || !again.is_empty(), "it was killed after the end");
        for (place, n) in again {
            *most.get_mut(&place).unwrap() += n;
        }
    }
    job.finish();
    let counts = job.counts();
    assert_eq!(counts.len(), truth.len(), "windows are lost or invented");
    let mut wrong = Vec::new();
    for (place, truth) in &truth {
        let last = *counts[place].last().unwrap();
        if !(*truth..=most[place]).contains(&last) {
            wrong.push((place, truth, most[place], &counts[place]));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} windows, such as {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
}
