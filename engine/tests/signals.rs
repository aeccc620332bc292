//! `App::run` ends in order at SIGTERM from its first moment on. Signals are a process's, so each run here is a process of its own: this
//! program again, with the one test that is ignored.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/running.rs"]
mod running;

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use engine::Config;
use engine::operators::Event;
use engine::plan::{App, Scope};
use kafka_proto::mock::Cluster;
use running::{GUARD, run, until};

/// Where the child finds its cluster.
const SERVERS: &str = "ENGINE_TEST_BOOTSTRAP_SERVERS";

/// Numbers the lines.
fn numbered(s: Scope<'_>) {
    let lines = s.source("lines").utf8().key_by(|_| 0u64);
    let numbers = lines.process(0u64, |cx, _, event, out| {
        if let Event::Row(_) = event {
            *cx.state += 1;
            out.push(*cx.state);
        }
    });
    numbers.map(|n| ((), n.to_string())).sink("numbers");
}

fn config(servers: &str) -> Config {
    Config::from_properties([("bootstrap.servers", servers), ("application.id", "app")]).unwrap()
}

#[tokio::test]
#[ignore = "what the other tests run as a process of its own"]
async fn child() {
    let config = config(&std::env::var(SERVERS).unwrap());
    App::new("app", numbered)
        .unwrap()
        .run(&config)
        .await
        .unwrap();
}

/// A run in a process of its own; it goes with the test.
struct Process(Child);

impl Process {
    fn start(servers: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(SERVERS, servers)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn terminate(&self) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(status.unwrap().success());
    }

    async fn end(&mut self) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(GUARD, ended).await.expect("it hangs")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_sigterm_before_kafka_has_answered_anything_is_an_orderly_end() {
    // It accepts connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut process = Process::start(&silent.local_addr().unwrap().to_string());
    let accepted = tokio::time::timeout(GUARD, silent.accept()).await;
    let _connection = accepted.expect("it connects").unwrap();
    process.terminate();
    let status = process.end().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_sigterm_under_traffic_commits_what_was_read_and_the_next_run_goes_on_behind_it() {
    let builder = Cluster::builder().topic("lines", 4).topic("numbers", 1);
    let cluster = builder.start().await.unwrap();
    let mut lines = 0;
    let mut add = || {
        for _ in 0..8 {
            let record: (Option<&[u8]>, Option<&[u8]>) = (None, Some(b"line"));
            cluster.append("lines", lines % 4, [record]).unwrap();
            lines += 1;
        }
    };
    let committed = || {
        let of = |partition| cluster.committed_offset("app", "lines", partition);
        (0..4).filter_map(of).sum::<i64>()
    };
    for _ in 0..2 {
        let before = committed();
        let mut process = Process::start(&cluster.bootstrap_servers());
        let mut ticks = 0;
        let moves = until(|| {
            ticks += 1;
            if ticks % 10 == 0 {
                add();
            }
            committed() > before
        });
        tokio::time::timeout(GUARD, moves).await.expect("no commit");
        add();
        process.terminate();
        add();
        let status = process.end().await;
        assert!(status.success(), "{status}");
    }
    let last = config(&cluster.bootstrap_servers()).until_end(true);
    run(numbered, &last).await.unwrap();
    let numbers = cluster.records("numbers", 0).unwrap().into_iter();
    let numbers: Vec<String> = numbers
        .map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap())
        .collect();
    let all: Vec<String> = (1..=lines).map(|n| n.to_string()).collect();
    assert_eq!(numbers, all, "each line once");
}
