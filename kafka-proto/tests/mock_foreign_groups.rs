//! Other people's clients against the in-process cluster, groups included: Kafka's verifiable clients in both group protocols, librdkafka by
//! Python's confluent-kafka, franz-go. Each client has its test; where one is missing it says so and passes.
#![cfg(all(feature = "mock", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::path::PathBuf;
use std::process::Command;

use kafka_proto::mock::Cluster;
use test_support::kafka::{confluent_kafka, java_tool, run, skip_without_kafka, skipped};

const COUNT: i64 = 1000;

async fn cluster() -> Cluster {
    let builder = Cluster::builder().brokers(3).topic("lines", 4);
    builder.start().await.unwrap()
}

fn committed(cluster: &Cluster, group: &str) -> i64 {
    let partitions = 0..cluster.partition_count("lines");
    partitions
        .filter_map(|partition| cluster.committed_offset(group, "lines", partition))
        .sum()
}

/// Records and transaction markers: all that has an offset.
fn written(cluster: &Cluster) -> i64 {
    (0..4)
        .map(|partition| cluster.end_offset("lines", partition).unwrap())
        .sum()
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/foreign")).join(name)
}

/// Kafka's VerifiableProducer, then two VerifiableConsumers one after the other in the same group.
async fn verifiable(test: &str, protocol: &str) {
    if skip_without_kafka(test).is_none() {
        return;
    }
    let cluster = cluster().await;
    let servers = cluster.bootstrap_servers();
    let call = |class: &str, more: &[&str]| {
        let common = ["--bootstrap-server", &servers, "--topic", "lines"];
        let output = java_tool(
            &format!("org.apache.kafka.tools.{class}"),
            &[&common[..], more].concat(),
            b"",
        );
        assert!(
            output.success,
            "{class}: {}\n{}",
            output.stdout, output.stderr
        );
        output.stdout
    };
    let produced = call(
        "VerifiableProducer",
        &["--max-messages", "1000", "--repeating-keys", "40"],
    );
    assert_eq!(
        produced.matches("producer_send_success").count(),
        1000,
        "{produced}"
    );
    assert_eq!(written(&cluster), COUNT);
    for (most, so_far) in [("300", 300), ("700", COUNT)] {
        let consume = [
            "--group-id",
            "readers",
            "--max-messages",
            most,
            "--group-protocol",
            protocol,
        ];
        let consumed = call("VerifiableConsumer", &consume);
        assert!(consumed.contains("partitions_assigned"), "{consumed}");
        assert_eq!(committed(&cluster, "readers"), so_far, "{consumed}");
    }
}

#[tokio::test]
async fn javas_verifiable_clients_share_a_classic_group() {
    verifiable("javas_verifiable_clients_share_a_classic_group", "classic").await;
}

#[tokio::test]
async fn javas_verifiable_clients_share_a_group_of_the_newer_protocol() {
    let test = "javas_verifiable_clients_share_a_group_of_the_newer_protocol";
    verifiable(test, "consumer").await;
}

/// Two members of one group, and transactions: 1,000 plain records, ten committed, ten aborted.
async fn confluent(test: &str, protocol: &str) {
    let mut python = match confluent_kafka() {
        Ok(python) => python,
        Err(reason) => return skipped(test, &reason),
    };
    let cluster = cluster().await;
    python
        .arg(testdata("confluent.py"))
        .arg(cluster.bootstrap_servers());
    python.args(["lines", "1000", protocol]);
    let output = run(python, b"");
    assert!(output.success, "{}\n{}", output.stdout, output.stderr);
    assert_eq!(
        output.stdout, "group 1000\nshares 2 2\ncommitted 10\n",
        "{}",
        output.stderr
    );
    // The last things in the log may be markers, which nobody reads.
    let read = COUNT + 10..=written(&cluster);
    let committed = committed(&cluster, &format!("confluent-{protocol}"));
    assert!(read.contains(&committed), "{committed}, not {read:?}");
}

#[tokio::test]
async fn librdkafka_shares_a_cooperative_group_and_reads_committed() {
    let test = "librdkafka_shares_a_cooperative_group_and_reads_committed";
    confluent(test, "classic").await;
}

#[tokio::test]
async fn librdkafka_shares_a_group_of_the_newer_protocol_and_reads_committed() {
    let test = "librdkafka_shares_a_group_of_the_newer_protocol_and_reads_committed";
    confluent(test, "consumer").await;
}

#[tokio::test]
async fn franz_go_writes_reads_as_a_group_and_commits_transactions() {
    let test = "franz_go_writes_reads_as_a_group_and_commits_transactions";
    let program = std::env::temp_dir().join(format!("franz-go-{}", std::process::id()));
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(testdata("franz-go"));
    match build.output() {
        Err(error) => return skipped(test, &format!("no `go` on the PATH ({error})")),
        Ok(output) if !output.status.success() => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return skipped(test, &format!("Go cannot build it: {}", text.trim()));
        }
        Ok(_) => {}
    }
    let cluster = cluster().await;
    let mut franz = Command::new(&program);
    franz
        .arg(cluster.bootstrap_servers())
        .args(["lines", "1000"]);
    let output = run(franz, b"");
    std::fs::remove_file(&program).unwrap();
    assert!(output.success, "{}\n{}", output.stdout, output.stderr);
    assert_eq!(output.stdout, "group 1000\ncommitted 10\n");
    assert_eq!(cluster.transaction_state("franz"), Some("CompleteCommit"));
}
