//! `kafka-engine` as a person calls it: what it prints, what it removes, and its status.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/running.rs"]
mod running;

use std::process::Output;

use engine::Config;
use engine::plan::Scope;
use kafka_proto::mock::Cluster;
use running::{Folder, run};

fn count(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .key_by(|w| w)
        .count()
        .sink("counts");
}

async fn kafka_engine(args: Vec<String>) -> Output {
    let run = move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_kafka-engine"))
            .args(args)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn reset_shows_what_it_would_remove_and_removes_it_with_execute() {
    let cluster = Cluster::builder()
        .topic("lines", 1)
        .topic("counts", 1)
        .start()
        .await
        .unwrap();
    let value: (Option<&[u8]>, Option<&[u8]>) = (None, Some(b"a"));
    cluster.append("lines", 0, [value]).unwrap();
    let folder = Folder::new("command-line");
    let properties = folder.path("app.properties");
    let servers = cluster.bootstrap_servers();
    let state = folder.path("state");
    let lines = [
        format!("bootstrap.servers={servers}"),
        "application.id=app".to_owned(),
        format!("state.dir={}", state.display()),
    ];
    std::fs::write(&properties, lines.join("\n")).unwrap();
    let config = Config::from_properties(Config::properties_of(&properties).unwrap()).unwrap();
    run(count, &config.until_end(true)).await.unwrap();
    let args = |more: &[&str]| -> Vec<String> {
        let config = properties.to_str().unwrap();
        let all = ["reset", "--config", config].into_iter();
        let all = all.chain(more.iter().copied());
        all.map(str::to_owned).collect()
    };
    let dry = kafka_engine(args(&[])).await;
    assert!(dry.status.success(), "{dry:?}");
    let shown = text(&dry.stdout);
    for part in [
        "group app in lines",
        "topic      app-count-1-changelog",
        "member-0",
        "--execute",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(
        cluster
            .topics()
            .contains(&"app-count-1-changelog".to_owned())
    );
    assert!(cluster.committed_offset("app", "lines", 0).is_some());
    let done = kafka_engine(args(&["--execute"])).await;
    assert!(done.status.success(), "{done:?}");
    assert!(
        text(&done.stdout).contains("removed: application app"),
        "{done:?}"
    );
    assert_eq!(cluster.topics(), ["counts", "lines"]);
    assert_eq!(cluster.committed_offset("app", "lines", 0), None);
    assert!(!state.join("app").exists());
    let again = kafka_engine(args(&["--execute"])).await;
    assert!(again.status.success(), "{again:?}");
    assert!(
        text(&again.stdout).contains("nothing to remove"),
        "{again:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_reset_ends_with_one_line_and_status_one() {
    for (args, expected) in [
        (&["reset", "--group-id", "app"][..], "--bootstrap-servers"),
        (&["reset", "--state-dir", "/tmp/none"][..], "--group-id"),
        (
            &["reset", "--state-dir", "/tmp/none", "--group-id", ".."][..],
            "application.id=..: expected",
        ),
        (
            &["reset", "--config", "/tmp/none/at-all"][..],
            "/tmp/none/at-all",
        ),
    ] {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let output = kafka_engine(args).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("kafka-engine reset: ") && said.contains(expected),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}
