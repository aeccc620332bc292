//! `verifiable_producer` and `verifiable_consumer` as Kafka's system tests would call them, against the in-process cluster: what they say is what
//! the log holds, and their lines have the members of the Java tools' lines.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/programs.rs"]
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};

use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock::Cluster;
use programs::{Running, cluster, look, program, run};
use serde_json::Value;
use test_support::kafka::{java_tool, skip_without_kafka};

fn events(out: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    out.lines().map(parse).collect()
}

fn of<'a>(events: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["name"] == name)
}

fn names(events: &[Value]) -> BTreeSet<&str> {
    let names = events.iter().map(|event| event["name"].as_str().unwrap());
    names.collect()
}

/// Names of events, and of the members of each; behind the first two Java's order is that of its reflection.
fn members(out: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut members = BTreeMap::new();
    for line in out.lines().filter(|line| line.starts_with('{')) {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(line.starts_with("{\"timestamp\":") && line.contains(",\"name\":\""));
        let of = event.as_object().unwrap().keys().cloned().collect();
        members.insert(event["name"].as_str().unwrap().to_owned(), of);
    }
    members
}

fn value(record: &kafka_proto::mock::Record) -> &str {
    std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()
}

fn produce(cluster: &Cluster, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = program("verifiable_producer");
    command.args(["--bootstrap-server", &cluster.bootstrap_servers()]);
    run(command.args(["--topic", "numbers"]).args(arguments))
}

#[test]
fn every_acknowledged_number_is_where_the_producer_said() {
    let cluster = cluster(Cluster::builder().topic("numbers", 3));
    let arguments = [
        "--max-messages",
        "2000",
        "--repeating-keys",
        "7",
        "--value-prefix",
        "4",
        "--stats",
    ];
    let (status, out, err) = produce(&cluster, &arguments);
    assert_eq!(status, Some(0), "{err}");
    let (out, stats) = out.trim_end().rsplit_once('\n').unwrap();
    let events = events(out);
    assert_eq!(events[0]["name"], "startup_complete");
    let mut seen = BTreeSet::new();
    for sent in of(&events, "producer_send_success") {
        let partition = sent["partition"].as_i64().unwrap() as i32;
        let offset = sent["offset"].as_u64().unwrap() as usize;
        let records = cluster.records("numbers", partition).unwrap();
        assert_eq!(sent["value"], value(&records[offset]));
        let n: u64 = sent["value"].as_str().unwrap()[2..].parse().unwrap();
        assert_eq!(sent["key"], (n % 7).to_string());
        seen.insert(n);
    }
    assert_eq!(seen, (0..2000).collect());
    let last = events.last().unwrap();
    assert_eq!(
        (&last["sent"], &last["acked"]),
        (&2000.into(), &2000.into())
    );
    assert_eq!(last["target_throughput"], -1);
    let stats: Value = serde_json::from_str(stats).unwrap();
    assert_eq!(stats["records_out"], 2000);
}

#[test]
fn a_failed_number_is_told_with_its_error() {
    let cluster = cluster(Cluster::builder().topic("numbers", 1));
    let faults = cluster.faults();
    let refuse = || faults.on(ApiKey::PRODUCE).topic("numbers");
    refuse().error(ErrorCode::NOT_ENOUGH_REPLICAS);
    // No retries, as in Kafka's tool: one batch fails.
    let (status, out, err) = produce(&cluster, &["--max-messages", "10", "--throughput", "1000"]);
    assert_eq!(status, Some(0), "{err}");
    let events = events(&out);
    let failed: Vec<_> = of(&events, "producer_send_error").collect();
    assert!(!failed.is_empty(), "{out}");
    assert_eq!(failed[0]["exception"], "NOT_ENOUGH_REPLICAS");
    assert_eq!(failed[0]["topic"], "numbers");
    let acked = of(&events, "producer_send_success").count();
    assert_eq!(acked + failed.len(), 10);
    assert_eq!(acked as i64, cluster.end_offset("numbers", 0).unwrap());
}

#[test]
fn a_stopped_producer_tells_of_everything_it_accepted() {
    let cluster = cluster(Cluster::builder().topic("numbers", 2));
    let mut command = program("verifiable_producer");
    command.args(["--bootstrap-server", &cluster.bootstrap_servers()]);
    let producer = Running::start(command.args(["--topic", "numbers", "--throughput", "2000"]));
    // Records without a key stay with one partition for a while.
    look("a record", || {
        (0..2).any(|partition| cluster.end_offset("numbers", partition).unwrap() > 0)
    });
    producer.signal("-TERM");
    let (status, out, err) = producer.end();
    assert_eq!(status, Some(0), "{err}");
    let events = events(&out);
    let ends = (0..2).map(|partition| cluster.end_offset("numbers", partition).unwrap());
    let acked = of(&events, "producer_send_success").count();
    assert_eq!(acked as i64, ends.sum::<i64>());
    let last = events.last().unwrap();
    assert_eq!(
        (&last["name"], &last["acked"]),
        (&"tool_data".into(), &acked.into())
    );
    assert_eq!(last["sent"], acked);
}

fn consumer(cluster: &Cluster, arguments: &[&str]) -> std::process::Command {
    let mut command = program("verifiable_consumer");
    command.args(["--bootstrap-server", &cluster.bootstrap_servers()]);
    command
        .args(["--topic", "numbers", "--group-id", "readers"])
        .args(arguments);
    command
}

fn fill(cluster: &Cluster, partition: i32, count: usize) {
    for n in 0..count {
        let value = n.to_string();
        let records = [(None, Some(value.as_bytes()))];
        cluster.append("numbers", partition, records).unwrap();
    }
}

#[test]
fn the_consumer_tells_what_it_read_and_committed() {
    let cluster = cluster(Cluster::builder().topic("numbers", 2));
    fill(&cluster, 0, 60);
    fill(&cluster, 1, 40);
    let most = ["--max-messages", "100", "--verbose"];
    let (status, out, err) = run(&mut consumer(&cluster, &most));
    assert_eq!(status, Some(0), "{err}");
    let events = events(&out);
    let expected = [
        "offsets_committed",
        "partitions_assigned",
        "partitions_revoked",
        "record_data",
        "records_consumed",
        "shutdown_complete",
        "shutdown_requested",
        "startup_complete",
    ];
    assert_eq!(names(&events), expected.into());
    assert_eq!(of(&events, "record_data").count(), 100);
    let mut next = [0, 0];
    for consumed in of(&events, "records_consumed") {
        for part in consumed["partitions"].as_array().unwrap() {
            let partition = part["partition"].as_u64().unwrap() as usize;
            assert_eq!(part["minOffset"], next[partition]);
            next[partition] = part["maxOffset"].as_i64().unwrap() + 1;
        }
    }
    assert_eq!(next, [60, 40]);
    assert!(of(&events, "offsets_committed").all(|event| event["success"] == true));
    for (partition, end) in [(0, 60), (1, 40)] {
        let committed = cluster.committed_offset("readers", "numbers", partition);
        assert_eq!(committed, Some(end));
    }
}

#[test]
fn a_limit_in_the_middle_of_a_poll_commits_no_further_than_it_told() {
    let cluster = cluster(Cluster::builder().topic("numbers", 1));
    fill(&cluster, 0, 50);
    for (part, expected) in [("30", 30), ("20", 50)] {
        let (status, out, err) = run(&mut consumer(&cluster, &["--max-messages", part]));
        assert_eq!(status, Some(0), "{err}");
        let committed = cluster.committed_offset("readers", "numbers", 0);
        assert_eq!(committed, Some(expected), "{out}");
    }
}

#[test]
fn two_consumers_share_the_topic_and_the_rest_goes_to_the_one_that_stays() {
    let cluster = cluster(Cluster::builder().topic("numbers", 2));
    let mut first = Running::start(&mut consumer(&cluster, &[]));
    let mut lines = BufReader::new(first.child().stdout.take().unwrap()).lines();
    let mut assigned = |count: usize| {
        loop {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if event["name"] == "partitions_assigned"
                && event["partitions"].as_array().unwrap().len() == count
            {
                break;
            }
        }
    };
    assigned(2);
    let second = Running::start(&mut consumer(&cluster, &[]));
    assigned(1);
    second.signal("-TERM");
    let (status, out, err) = second.end();
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("partitions_revoked"), "{out}");
    assigned(2);
}

#[test]
fn the_group_may_speak_either_protocol_with_kafkas_assignors() {
    for (group, arguments) in [
        (
            "modern",
            [
                "--group-protocol",
                "consumer",
                "--group-remote-assignor",
                "range",
            ],
        ),
        (
            "classic",
            [
                "--group-protocol",
                "CLASSIC",
                "--assignment-strategy",
                "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            ],
        ),
    ] {
        let cluster = cluster(Cluster::builder().topic("numbers", 2));
        fill(&cluster, 1, 40);
        let mut command = program("verifiable_consumer");
        command.args([
            "--bootstrap-server",
            &cluster.bootstrap_servers(),
            "--topic",
            "numbers",
        ]);
        command.args(["--group-id", group, "--max-messages", "40"]);
        let (status, out, err) = run(command.args(arguments));
        assert_eq!(status, Some(0), "{out}{err}");
        assert!(out.contains("partitions_assigned"), "{out}");
        assert_eq!(cluster.committed_offset(group, "numbers", 1), Some(40));
        let modern = cluster.received_count(ApiKey::CONSUMER_GROUP_HEARTBEAT) > 0;
        assert_eq!(modern, group == "modern");
    }
}

#[test]
fn lines_have_the_members_of_the_java_tools_lines() {
    let test = "lines_have_the_members_of_the_java_tools_lines";
    if skip_without_kafka(test).is_none() {
        return;
    }
    let cluster = cluster(Cluster::builder().topic("numbers", 1));
    let servers = cluster.bootstrap_servers();
    let common = [
        "--bootstrap-server",
        &servers,
        "--topic",
        "numbers",
        "--max-messages",
        "20",
    ];
    let java = java_tool("org.apache.kafka.tools.VerifiableProducer", &common, b"");
    assert!(java.success, "{}", java.stderr);
    let (_, ours, _) = run(program("verifiable_producer").args(common));
    assert_eq!(members(&ours), members(&java.stdout));
    assert_eq!(members(&ours).len(), 4);
    let consume = [&common[..], &["--verbose", "--group-id"]].concat();
    let java = [&consume[..], &["java"]].concat();
    let java = java_tool("org.apache.kafka.tools.VerifiableConsumer", &java, b"");
    assert!(java.success, "{}", java.stderr);
    let (_, ours, _) = run(program("verifiable_consumer").args(consume).arg("ours"));
    assert_eq!(members(&ours), members(&java.stdout));
    assert_eq!(members(&ours).len(), 8);
}
