//! The engine over the in-process cluster: sockets, the codec, the client, the group, and everything that can go wrong there.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod bad_input;
mod bad_topics;
mod broker_lost;
mod cuts;
mod defaults;
mod end_of_input;
mod enrich;
mod event_time;
mod folds;
mod idle;
mod internal_topics;
mod mixed;
mod no_timestamps;
mod order;
mod own_positions;
mod positions;
mod refused;
mod relay;
mod reset;
#[path = "../support/running.rs"]
mod running;
mod seams;
mod sinks;
mod state;
mod take_over;
mod time;
mod torn_state;
mod truth;
mod two_topics;

use std::collections::BTreeMap;
use std::time::Duration;

use engine::formats::text::words;
use engine::inspect::Inspector;
use engine::plan::{App, Scope};
use engine::{Config, Error};
use kafka_proto::mock::Cluster;
use running::{Folder, GUARD, run, run_until, until};

fn wordcount(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .flat_map(|line| words(line, s.scratch()))
        .key_by(|w| w)
        .count()
        .sink("counts");
}

fn copy(s: Scope<'_>) {
    s.source("lines").record().sink("copies");
}

/// Settings for a cluster, until the end of the input, with quick commits.
fn config(cluster: &Cluster) -> Config {
    config_at(&cluster.bootstrap_servers())
}

fn config_at(bootstrap_servers: &str) -> Config {
    let properties = [
        ("bootstrap.servers", bootstrap_servers),
        ("application.id", "app"),
        ("commit.interval.ms", "10"),
        ("num.stream.threads", "2"),
    ];
    Config::from_properties(properties).unwrap().until_end(true)
}

/// Settings as they are by default, but for the number of workers.
fn by_default(cluster: &Cluster, workers: usize) -> Config {
    let properties = [
        ("bootstrap.servers", cluster.bootstrap_servers()),
        ("application.id", "app".to_owned()),
        ("num.stream.threads", workers.to_string()),
    ];
    Config::from_properties(properties).unwrap()
}

/// A cluster with `lines` lines over 4 partitions of the topic `lines`, and the truth about their words.
async fn filled(lines: usize) -> (Cluster, BTreeMap<String, u64>) {
    let cluster = Cluster::builder()
        .topic("lines", 4)
        .topic("counts", 2)
        .topic("copies", 4)
        .start()
        .await
        .unwrap();
    let mut truth = BTreeMap::new();
    add_lines(&cluster, lines, &mut truth);
    (cluster, truth)
}

fn add_lines(cluster: &Cluster, lines: usize, truth: &mut BTreeMap<String, u64>) {
    for n in 0..lines {
        let line = format!(
            "The {} and a Word_{} of the {}th line",
            n % 7,
            n % 100,
            n % 13
        );
        for word in line.split(' ') {
            *truth.entry(word.to_lowercase()).or_default() += 1;
        }
        cluster
            .append("lines", (n % 4) as i32, [(None, Some(line.as_bytes()))])
            .unwrap();
    }
}

/// The last count written for each word.
fn counts(cluster: &Cluster) -> BTreeMap<String, u64> {
    let mut last = BTreeMap::new();
    for partition in 0..cluster.partition_count("counts") {
        for record in cluster.records("counts", partition).unwrap() {
            let word = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            last.insert(
                word,
                u64::from_be_bytes(record.value.unwrap()[..].try_into().unwrap()),
            );
        }
    }
    last
}

fn committed(cluster: &Cluster) -> Vec<Option<i64>> {
    (0..cluster.partition_count("lines"))
        .map(|partition| cluster.committed_offset("app", "lines", partition))
        .collect()
}
