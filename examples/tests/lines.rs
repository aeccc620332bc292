//! `produce` and `consume` as a person calls them, and the small programs that show one interface each, against the in-process cluster.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/programs.rs"]
mod programs;

use std::io::Write;
use std::process::{Command, Stdio};

use kafka_proto::mock::Cluster;
use programs::{Running, cluster, program, run};

fn call(name: &str, cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = program(name);
    command.args(["-b", &cluster.bootstrap_servers(), "-t", "lines"]);
    command.args(arguments);
    command
}

fn produce(cluster: &Cluster, arguments: &[&str], input: &str) {
    let mut command = call("produce", cluster, arguments);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let (status, out, err) = running.end();
    assert_eq!((status, &*out), (Some(0), ""), "{err}");
}

fn consume(cluster: &Cluster, arguments: &[&str]) -> String {
    let (status, out, err) = run(&mut call("consume", cluster, arguments));
    assert_eq!(status, Some(0), "{err}");
    out
}

#[test]
fn keys_headers_and_tombstones_come_back_as_they_went() {
    let cluster = cluster(Cluster::builder().topic("lines", 2));
    let arguments = ["-p", "1", "-K", ":", "-Z", "-H", "colour=blue", "-z", "lz4"];
    produce(&cluster, &arguments, "a:1\nb:\nno key");
    let format = ["-e", "-Z", "-f", "%t[%p]@%o %k=%s (%K %S) %h 100%%\\n"];
    let expected = "lines[1]@0 a=1 (1 1) colour=blue 100%\n\
                    lines[1]@1 b=NULL (1 -1) colour=blue 100%\n\
                    lines[1]@2 NULL=no key (-1 6) colour=blue 100%\n";
    assert_eq!(consume(&cluster, &format), expected);
}

#[test]
fn reading_starts_where_it_was_told_and_ends_at_the_end() {
    let cluster = cluster(Cluster::builder().topic("lines", 1));
    let input: String = (0..100).map(|n| format!("{n}\n")).collect();
    produce(&cluster, &[], &input);
    assert_eq!(consume(&cluster, &["-e"]), input);
    assert_eq!(consume(&cluster, &["-e", "-o", "98"]), "98\n99\n");
    assert_eq!(consume(&cluster, &["-e", "-o", "-1"]), "99\n");
    assert_eq!(consume(&cluster, &["-e", "-o", "end"]), "");
    assert_eq!(consume(&cluster, &["-c", "2"]), "0\n1\n");
    let time = cluster.records("lines", 0).unwrap()[99].timestamp + 1;
    let later = format!("s@{time}");
    assert_eq!(consume(&cluster, &["-e", "-o", &later]), "");
    let (status, _, err) = run(&mut call("consume", &cluster, &["-p", "3", "-e"]));
    assert_eq!(status, Some(1));
    assert!(
        err.contains("1 partitions, there is no partition 3"),
        "{err}"
    );
}

#[test]
fn a_group_goes_on_behind_what_was_printed() {
    let cluster = cluster(Cluster::builder().topic("lines", 1));
    produce(&cluster, &[], "1\n2\n3\n4\n");
    assert_eq!(
        consume(&cluster, &["-G", "readers", "-c", "3"]),
        "1\n2\n3\n"
    );
    assert_eq!(cluster.committed_offset("readers", "lines", 0), Some(3));
    assert_eq!(consume(&cluster, &["-G", "readers", "-e"]), "4\n");
    assert_eq!(consume(&cluster, &["-G", "readers", "-e"]), "");
}

#[test]
fn every_interface_has_a_program_that_shows_it() {
    for (name, wanted) in [
        ("write_send", "ash is tales-"),
        ("write_enqueue", "10,000 records are acknowledged"),
        (
            "write_lent_batch",
            "1000 records are in tales-2 from offset Some(10) on",
        ),
        ("write_relay", "30 records are copied"),
        ("read_records", "tales-2@9 "),
        ("read_stream", "9 "),
        ("read_batches", "30 records, the longest has"),
    ] {
        let (status, out, err) = run(&mut program(name));
        assert_eq!(status, Some(0), "{name}: {err}");
        assert!(out.contains(wanted), "{name}: {out}");
    }
}
