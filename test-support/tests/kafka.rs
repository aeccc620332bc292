//! The harness itself: what it starts is what answers, it ends with its owner, and its tools work.

use std::path::Path;
use std::process::Command;

use test_support::kafka::Options;
use test_support::require_kafka;

#[test]
fn a_shared_broker_answers_under_its_own_cluster_id_and_runs_kafkas_tools() {
    let kafka = require_kafka!();
    kafka.create_topic("harness", 3, &[("retention.ms", "3600000")]);
    let described = kafka.tool("TopicCommand", &["--describe", "--topic", "harness"]);
    assert!(
        described.contains("PartitionCount: 3") && described.contains("retention.ms=3600000"),
        "{described}"
    );
    kafka.tool_with_input(
        "ConsoleProducer",
        &["--topic", "harness"],
        b"one\ntwo\nthree\n",
    );
    assert_eq!(kafka.end_offsets("harness", 3).iter().sum::<i64>(), 3);
    let mut lines = kafka.read_all(
        "harness",
        3,
        &[
            "--group",
            "harness",
            "--command-property",
            "enable.auto.commit=true",
        ],
    );
    lines.sort_unstable();
    assert_eq!(lines, ["one", "three", "two"]);
    let committed: i64 = kafka
        .committed("harness", "harness")
        .iter()
        .map(|(_, offset)| offset)
        .sum();
    assert_eq!(committed, 3);
}

#[test]
fn a_node_comes_back_on_its_old_port_with_its_old_topics() {
    let kafka = require_kafka!(Options::default());
    kafka.create_topic("kept", 2, &[]);
    let (address, pid) = (kafka.address(1), kafka.pid(1));
    kafka.kill(1);
    assert_eq!(kafka.pid(1), None);
    kafka.restart(1);
    assert_eq!(kafka.address(1), address);
    assert_ne!(kafka.pid(1), pid);
    // Answers at once with "exists already", and with a leader for both partitions.
    kafka.create_topic("kept", 2, &[]);
    let directory = kafka.directory().to_owned();
    drop(kafka);
    assert!(
        !directory.exists(),
        "the broker's files stay behind in {}",
        directory.display()
    );
}

/// Not a test of its own: the process that the next test kills in the middle.
#[test]
#[ignore = "run by a_broker_ends_when_its_test_process_is_killed"]
fn starts_a_broker_and_waits_for_ever() {
    let kafka = require_kafka!();
    // Something of the test's own is in the way when its directory is removed.
    std::fs::write(kafka.directory().join("kept"), "x").unwrap();
    let text = format!("{} {}", kafka.pid(1).unwrap(), kafka.directory().display());
    std::fs::write(std::env::var("PID_FILE").unwrap(), text).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_broker_ends_when_its_test_process_is_killed() {
    let Some(()) =
        test_support::kafka::skip_without_kafka("a_broker_ends_when_its_test_process_is_killed")
    else {
        return;
    };
    let pid_file = std::env::temp_dir().join(format!("test-support-{}.pid", std::process::id()));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "starts_a_broker_and_waits_for_ever"])
        .env("PID_FILE", &pid_file)
        .spawn()
        .unwrap();
    let wait = || std::thread::sleep(std::time::Duration::from_millis(20));
    let (pid, directory) = loop {
        let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
        if let Some((pid, directory)) = text.split_once(' ')
            && !directory.is_empty()
        {
            break (pid.to_owned(), directory.to_owned());
        }
        assert!(child.try_wait().unwrap().is_none(), "the child ended early");
        wait();
    };
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    while Path::new(&format!("/proc/{pid}")).exists() || Path::new(&directory).exists() {
        wait();
    }
    std::fs::remove_file(pid_file).unwrap();
}

#[test]
fn three_nodes_form_one_cluster() {
    let kafka = require_kafka!(Options::nodes(3));
    kafka.create_topic("replicated", 3, &[]);
    let described = kafka.tool("TopicCommand", &["--describe", "--topic", "replicated"]);
    assert!(described.contains("ReplicationFactor: 3"), "{described}");
    kafka.kill(2);
    kafka.create_topic("created-with-two", 1, &[("min.insync.replicas", "1")]);
}
