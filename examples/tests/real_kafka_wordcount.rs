//! The word count on a real Apache Kafka, as a user runs it: against a truth counted apart from the engine, stopped and
//! killed in the middle, and two processes at once. The long form:
//! `WORDCOUNT_LINES=5000000 cargo test --release -p examples --test real_kafka_wordcount -- --test-threads 1`
//! (`WORDCOUNT_BIN` names another build of the program.)
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/text.rs"]
mod text;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use test_support::kafka::Broker;
use test_support::require_kafka;
use text::{Truth, words};

const PARTITIONS: i32 = 4;
/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(600);

/// One application: its topics, its group and its state folders.
struct Job<'a> {
    kafka: &'a Broker,
    truth: &'static Truth,
    name: &'a str,
}

impl<'a> Job<'a> {
    /// Topics filled by Kafka's own producer: line i is at offset i / 4 of partition i % 4.
    fn new(kafka: &'a Broker, name: &'a str) -> Self {
        let job = Self {
            kafka,
            truth: text::truth(kafka.directory()),
            name,
        };
        kafka.create_topic(&job.input(), PARTITIONS, &[]);
        kafka.create_topic(&job.output(), PARTITIONS, &[]);
        job.fill();
        job
    }

    /// Adds the whole text to the input.
    fn fill(&self) {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka/Lines.java");
        let partitions = PARTITIONS.to_string();
        let file = self.truth.file.to_str().unwrap();
        let sent = self
            .kafka
            .java_source(&source, &[&self.input(), &partitions, file]);
        assert_eq!(
            sent.lines().last().unwrap(),
            self.truth.lines.len().to_string()
        );
    }

    fn input(&self) -> String {
        format!("{}-lines", self.name)
    }

    fn output(&self) -> String {
        format!("{}-counts", self.name)
    }

    fn start(&self, instance: &str, arguments: &[&str]) -> Process {
        let folder = self
            .kafka
            .directory()
            .join(format!("{}-{instance}", self.name));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let ours = || env!("CARGO_BIN_EXE_wordcount").into();
        let child = Command::new(std::env::var_os("WORDCOUNT_BIN").unwrap_or_else(ours))
            .args(["--bootstrap-servers", &self.kafka.bootstrap_servers()])
            .args([
                "--input",
                &self.input(),
                "--output",
                &self.output(),
                "--group-id",
                self.name,
            ])
            .arg("--state-dir")
            .arg(folder.join("state"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Process { child, log }
    }

    /// Runs to the end, which must succeed.
    fn finish(&self, instance: &str) {
        self.start(instance, &["--until-end"]).must_end_well();
    }

    /// Waits until the process has written something while it still runs: then it is in the middle.
    fn wait_until_it_writes(&self, process: &mut Process, already: i64) {
        process.wait_for("its first output", |_| self.written() > already);
    }

    fn written(&self) -> i64 {
        self.kafka
            .end_offsets(&self.output(), PARTITIONS)
            .iter()
            .sum()
    }

    /// Lines whose offsets are committed, by Kafka's own group tool.
    fn committed(&self) -> Vec<i64> {
        let mut offsets = vec![0; PARTITIONS as usize];
        for (partition, offset) in self.kafka.committed(self.name, &self.input()) {
            offsets[partition as usize] = offset;
        }
        offsets
    }

    /// The last value of every word, read by Kafka's console consumer.
    fn counts(&self) -> HashMap<String, u64> {
        let deserializer = "org.apache.kafka.common.serialization.LongDeserializer";
        let options = [
            "--formatter-property",
            "print.key=true",
            "--value-deserializer",
            deserializer,
        ];
        let mut counts = HashMap::new();
        for line in self.kafka.read_all(&self.output(), PARTITIONS, &options) {
            let Some((word, count)) = line.split_once('\t') else {
                panic!("the console consumer printed {line:?}")
            };
            counts.insert(word.to_owned(), count.parse().unwrap());
        }
        counts
    }

    fn must_be_the_truth(&self) {
        self.must_be_the_truth_times(1);
    }

    /// The text was counted so many times.
    fn must_be_the_truth_times(&self, times: u64) {
        let counts = self.truth.counts.iter();
        let truth = counts
            .map(|(word, count)| (word.clone(), count * times))
            .collect();
        let wrong: Vec<_> = differences(&truth, &self.counts());
        assert!(
            wrong.is_empty(),
            "{} words are wrong: {:?} …",
            wrong.len(),
            &wrong[..wrong.len().min(10)]
        );
    }
}

/// Words whose count differs: word, truth, found.
fn differences(
    truth: &HashMap<String, u64>,
    found: &HashMap<String, u64>,
) -> Vec<(String, u64, u64)> {
    let of = |counts: &HashMap<String, u64>, word: &String| counts.get(word).copied().unwrap_or(0);
    let all = truth
        .keys()
        .chain(found.keys().filter(|word| !truth.contains_key(*word)));
    all.filter(|word| of(truth, word) != of(found, word))
        .map(|word| (word.clone(), of(truth, word), of(found, word)))
        .collect()
}

/// A running word count; killed when the test fails.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn wait_for(&mut self, what: &str, mut seen: impl FnMut(&Path) -> bool) {
        let start = Instant::now();
        while !seen(&self.log) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended ({status}) before {what}:\n{}", self.text());
            }
            assert!(
                start.elapsed() < LIMIT,
                "{what} never came:\n{}",
                self.text()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LIMIT, "it does not end:\n{}", self.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn must_end_well(mut self) {
        let status = self.end();
        assert!(status.success(), "{status}:\n{}", self.text());
    }

    fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_words_last_count_is_the_truth() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "whole");
    job.finish("one");
    job.must_be_the_truth();
    let lines = i64::try_from(job.truth.lines.len()).unwrap();
    assert_eq!(
        job.committed().iter().sum::<i64>(),
        lines,
        "everything is committed at the end"
    );
    // Nothing new: a further run changes nothing.
    let written = job.written();
    job.finish("one");
    assert_eq!(job.written(), written);
}

#[test]
fn after_sigterm_in_the_middle_a_second_run_ends_with_the_truth() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "terminated");
    let mut first = job.start("one", &[]);
    job.wait_until_it_writes(&mut first, 0);
    first.terminate();
    first.must_end_well();
    let (committed, lines) = (
        job.committed().iter().sum::<i64>(),
        i64::try_from(job.truth.lines.len()).unwrap(),
    );
    assert!(
        0 < committed && committed < lines,
        "{committed} of {lines} lines are committed: not in the middle"
    );
    // Another state folder, as on another machine: the counts come from the changelog.
    job.finish("two");
    job.must_be_the_truth();
}

#[test]
fn after_sigkill_in_the_middle_nothing_is_lost_and_only_replayed_lines_count_twice() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "killed");
    let mut first = job.start("one", &[]);
    job.wait_until_it_writes(&mut first, 0);
    // Some commits later: the changelog holds something, and something is under way.
    let written = job.written();
    job.wait_until_it_writes(&mut first, written);
    first.child.kill().unwrap();
    first.end();
    let committed = job.committed();
    let mut replayed: HashMap<String, u64> = HashMap::new();
    for (at, line) in job.truth.lines.iter().enumerate() {
        let (partition, offset) = (
            at % PARTITIONS as usize,
            i64::try_from(at / PARTITIONS as usize).unwrap(),
        );
        if offset >= committed[partition] {
            words(line)
                .into_iter()
                .for_each(|word| *replayed.entry(word).or_default() += 1);
        }
    }
    let (lines, done) = (
        i64::try_from(job.truth.lines.len()).unwrap(),
        committed.iter().sum::<i64>(),
    );
    assert!(done < lines, "it was killed after the end");
    let restarted = Instant::now();
    job.finish("one");
    // The session timeout of the dead member is 45 s: a restart on the same state folder does not wait for it.
    if job.truth.lines.len() <= 200_000 {
        assert!(
            restarted.elapsed() < Duration::from_secs(40),
            "the second run took {:?}",
            restarted.elapsed()
        );
    }
    let counts = job.counts();
    for (word, &truth) in &job.truth.counts {
        let found = counts.get(word).copied().unwrap_or(0);
        let most = truth + replayed.get(word).copied().unwrap_or(0);
        assert!(
            (truth..=most).contains(&found),
            "{word:?}: {found} is not between {truth} and {most}"
        );
    }
    assert_eq!(
        counts.len(),
        job.truth.counts.len(),
        "words that are in no line"
    );
}

#[test]
fn two_processes_at_once_give_the_truth() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "two-at-once");
    let (first, second) = (
        job.start("one", &["--until-end"]),
        job.start("two", &["--until-end"]),
    );
    first.must_end_well();
    second.must_end_well();
    job.must_be_the_truth();
}

#[test]
fn a_process_that_stands_by_says_so_and_takes_over() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "taken-over");
    let mut owner = job.start("one", &["--commit-interval-ms", "20"]);
    job.wait_until_it_writes(&mut owner, 0);
    let mut standby = job.start("two", &[]);
    standby.wait_for("a word about standing by", |log| {
        fs::read_to_string(log)
            .unwrap_or_default()
            .to_lowercase()
            .contains("stand")
    });
    owner.terminate();
    owner.must_end_well();
    // However far the first one came: all of this is for the second, on top of the counts that the first one left.
    job.fill();
    let lines = 2 * i64::try_from(job.truth.lines.len()).unwrap();
    standby.wait_for("the commit of everything", |_| {
        job.committed().iter().sum::<i64>() == lines
    });
    standby.terminate();
    standby.must_end_well();
    job.must_be_the_truth_times(2);
}
