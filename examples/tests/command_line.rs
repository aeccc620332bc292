//! The programs as a person or a script calls them: exit status, what stands on which stream, signals, and a kill in the middle.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/programs.rs"]
mod programs;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use kafka_proto::mock::{Builder, Cluster};
use programs::{Running, look, program, run};

const ALL: [&str; 9] = [
    "wordcount",
    "passthrough",
    "uppercase",
    "producer_perf",
    "consumer_perf",
    "verifiable_producer",
    "verifiable_consumer",
    "produce",
    "consume",
];

fn cluster(topics: &[(&str, i32)]) -> Cluster {
    let topic =
        |builder: Builder, (name, partitions): &(&str, i32)| builder.topic(name, *partitions);
    programs::cluster(topics.iter().fold(Cluster::builder(), topic))
}

fn fill(cluster: &Cluster, lines: usize) -> BTreeMap<String, u64> {
    let mut truth: BTreeMap<String, u64> = BTreeMap::new();
    for n in 0..lines {
        let line = format!("Line {} of a Tale", n % 50);
        for word in line.to_lowercase().split(' ') {
            *truth.entry(word.to_owned()).or_default() += 1;
        }
        cluster
            .append("lines", (n % 4) as i32, [(None, Some(line.as_bytes()))])
            .unwrap();
    }
    truth
}

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

fn wordcount(cluster: &Cluster) -> Command {
    let mut command = program("wordcount");
    command.args([
        "--bootstrap-servers",
        &cluster.bootstrap_servers(),
        "--input",
        "lines",
        "--output",
        "counts",
        "--threads",
        "2",
    ]);
    command.args(["--group-id", "app", "--commit-interval-ms", "10"]);
    command
}

fn one_line(err: &str) -> &str {
    assert_eq!(err.trim_end().lines().count(), 1, "one line, not: {err}");
    err
}

#[test]
fn every_program_has_help_and_a_version() {
    for name in ALL {
        let (status, out, _) = run(program(name).arg("--help"));
        assert_eq!(status, Some(0));
        assert!(
            out.contains("Usage:") && out.contains("--stats"),
            "{name}: {out}"
        );
        let (status, out, _) = run(program(name).arg("--version"));
        assert_eq!(
            (status, out.trim()),
            (Some(0), &*format!("{name} {}", env!("CARGO_PKG_VERSION")))
        );
        let (status, _, err) = run(program(name).arg("--no-such-flag"));
        assert_eq!(status, Some(2), "{err}");
    }
}

#[test]
fn without_a_cluster_the_word_count_shows_the_top_words() {
    let (status, out, err) = run(program("wordcount").args(["--until-end", "--stats"]));
    assert_eq!(status, Some(0), "{err}");
    assert!(
        out.contains("the  ") && out.contains('█') && out.contains("Where the workers' time went"),
        "{out}"
    );
    let stats: serde_json::Value =
        serde_json::from_str(out.trim_end().lines().last().unwrap()).unwrap();
    assert_eq!(stats["records_in"], 400_000);
    assert_eq!(stats["in_process_cluster"], true);
    assert!(stats["cpu_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_other_programs_work_without_a_cluster_too() {
    let (status, out, err) = run(program("uppercase").args(["--until-end"]));
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("THE "), "{out}");
    let (status, out, err) = run(program("passthrough").args(["--until-end", "--by-key"]));
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("400,000 records in"), "{out}");
    let (status, out, err) = run(program("producer_perf").args([
        "--topic",
        "t",
        "--num-records",
        "20000",
        "--throughput",
        "-1",
        "--record-size",
        "100",
        "--stats",
    ]));
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("20000 records sent, "), "{out}");
    let (status, out, err) =
        run(program("consumer_perf").args(["--topic", "t", "--num-records", "400000", "--stats"]));
    assert_eq!(status, Some(0), "{err}");
    assert!(
        out.starts_with("start.time, end.time, data.consumed.in.MB") && out.contains(", 400000, "),
        "{out}"
    );
}

#[test]
fn what_cannot_work_is_one_line_and_a_status_of_one() {
    let cluster = cluster(&[("lines", 4), ("counts", 1)]);
    let servers = cluster.bootstrap_servers();
    for (args, wanted) in [
        (
            &["--processing-guarantee", "exactly_once_v2"][..],
            "not built yet",
        ),
        (&["--output", "lines"], "both read and written"),
        (&["--property", "linger.msec=5"], "linger.ms"),
        (&["--config", "/no/such/file"], "/no/such/file"),
        (&["--commit-interval-ms", "0"], "commit.interval.ms"),
    ] {
        let (status, _, err) = run(program("wordcount")
            .args([
                "--bootstrap-servers",
                &servers,
                "--input",
                "lines",
                "--until-end",
            ])
            .args(args));
        assert_eq!(status, Some(1), "{args:?}: {err}");
        assert!(
            one_line(&err).starts_with("wordcount: ") && err.contains(wanted),
            "{args:?}: {err}"
        );
    }
    // A port that was just free: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (status, _, err) = run(program("passthrough").args([
        "--bootstrap-servers",
        &format!("127.0.0.1:{port}"),
        "--until-end",
        "--property",
        "default.api.timeout.ms=500",
    ]));
    assert_eq!(status, Some(1), "{err}");
    // Brokers that start together with it are waited for, and it says so once.
    let (waits, ended) = err.trim_end().split_once('\n').unwrap();
    assert!(waits.contains("waiting for the first broker"), "{err}");
    assert!(one_line(ended).contains(&port.to_string()), "{err}");
}

#[test]
fn sigterm_in_the_middle_is_an_orderly_end_and_the_next_run_goes_on() {
    let cluster = cluster(&[("lines", 4), ("counts", 2)]);
    let truth = fill(&cluster, 20_000);
    let first = Running::start(&mut wordcount(&cluster));
    look("a commit", || {
        cluster
            .committed_offset("app", "lines", 0)
            .is_some_and(|at| at > 0)
    });
    first.signal("-TERM");
    let (status, out, err) = first.end();
    assert_eq!(status, Some(0), "{out}{err}");
    let (status, _, err) = run(wordcount(&cluster).arg("--until-end"));
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(
        counts(&cluster),
        truth,
        "nothing is lost and nothing counted twice"
    );
}

#[test]
fn a_killed_process_comes_back_without_waiting_for_its_former_self() {
    let cluster = cluster(&[("lines", 4), ("counts", 2)]);
    let truth = fill(&cluster, 20_000);
    let state = std::env::temp_dir().join(format!("examples-killed-{}", std::process::id()));
    let with_state = || {
        let mut command = wordcount(&cluster);
        command.args(["--state-dir", &state.display().to_string()]);
        command
    };
    let first = Running::start(&mut with_state());
    look("a commit", || {
        cluster
            .committed_offset("app", "lines", 0)
            .is_some_and(|at| at > 0)
    });
    first.signal("-KILL");
    drop(first);
    let members = cluster.group_members("app");
    assert_eq!(members.len(), 1, "to the group it is still there");
    let begin = Instant::now();
    let (status, _, err) = run(with_state().arg("--until-end"));
    let took = begin.elapsed();
    let _ = std::fs::remove_dir_all(&state);
    assert_eq!(status, Some(0), "{err}");
    assert!(
        took < Duration::from_secs(40),
        "the session timeout of 45 s was waited for: {took:?}"
    );
    let counts = counts(&cluster);
    assert!(
        truth.iter().all(|(word, n)| counts[word] >= *n),
        "nothing is lost"
    );
}
