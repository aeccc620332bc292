//! Files of lines as sources and sinks: bounded, followed through rotation, gone on with after a restart.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/running.rs"]
mod running;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use engine::connectors::{Collected, Lines, LinesTo};
use engine::plan::Scope;
use engine::{Config, Error};
use running::{Folder, run, run_until, until};

fn config(folder: &Folder) -> Config {
    let mut config =
        Config::from_properties([("commit.interval.ms", "5"), ("num.stream.threads", "2")])
            .unwrap();
    config.state_dir = Some(folder.path("state"));
    config
}

/// Adds text to a file, which is made if it is not there.
fn append(folder: &Folder, name: &str, text: &str) {
    let mut file = fs::File::options()
        .append(true)
        .create(true)
        .open(folder.path(name))
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A plan that collects lines with their offsets.
fn collect(lines: &Lines, out: &Collected) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let (lines, out) = (lines.clone(), out.clone());
    move |s| {
        s.source(lines.clone())
            .record()
            .map(|r| (r.offset.to_string(), r.value))
            .sink(&out);
    }
}

fn taken(out: &Collected) -> Vec<String> {
    let of = |r: engine::testing::OutRecord| {
        format!("{} {}", r.key_str().unwrap(), r.value_str().unwrap())
    };
    out.take().into_iter().map(of).collect()
}

async fn read(lines: &Lines, config: &Config) -> Result<Vec<String>, Error> {
    let out = Collected::new();
    run(collect(lines, &out), config).await?;
    Ok(taken(&out))
}

#[tokio::test]
async fn lines_are_read_to_the_end_whatever_ends_them_and_counted_in_bytes() {
    let folder = Folder::new("ends");
    append(&folder, "a.csv", "h,h\none\r\n\nthree\nlast");
    let mut config = config(&folder);
    config.state_dir = None;
    let lines = Lines::of(folder.path("a.csv"));
    let all = read(&lines, &config).await.unwrap();
    assert_eq!(all, ["0 h,h", "4 one", "9 ", "10 three", "16 last"]);
    let without = read(&lines.skip_header(), &config).await.unwrap();
    assert_eq!(without, ["4 one", "9 ", "10 three", "16 last"]);
    append(&folder, "empty", "");
    let empty = Lines::of(folder.path("empty"));
    assert!(read(&empty, &config).await.unwrap().is_empty());
}

#[tokio::test]
async fn large_files_come_in_bounded_reads_and_are_whole() {
    let folder = Folder::new("large");
    let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    append(&folder, "large", &text);
    let lines = Lines::of(folder.path("large"));
    let to = LinesTo::file(folder.path("copy"));
    let plan = move |s: Scope<'_>| s.source(lines.clone()).record().sink(to.clone());
    let snapshot = run(plan, &config(&folder)).await;
    assert_eq!(snapshot.unwrap().records_in, 100_000);
    assert!(fs::read_to_string(folder.path("copy")).unwrap() == text);
}

#[tokio::test]
async fn a_restart_goes_on_behind_what_was_committed() {
    let folder = Folder::new("restart");
    append(&folder, "a", "one\n\ntwo\n");
    let lines = Lines::of(folder.path("a")).follow();
    let config = config(&folder).until_end(true);
    assert_eq!(
        read(&lines, &config).await.unwrap(),
        ["0 one", "4 ", "5 two"]
    );
    assert!(read(&lines, &config).await.unwrap().is_empty());
    append(&folder, "a", "three\n");
    assert_eq!(read(&lines, &config).await.unwrap(), ["9 three"]);
    // Rotated while nobody was looking: the rest of the old file comes first, where it is still there.
    append(&folder, "a", "four\n");
    fs::rename(folder.path("a"), folder.path("a.1")).unwrap();
    append(&folder, "a", "five\n");
    assert_eq!(read(&lines, &config).await.unwrap(), ["15 four", "20 five"]);
    assert!(read(&lines, &config).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_that_is_followed_is_read_on_through_renaming_and_truncation() {
    let folder = Folder::new("follow");
    let config = config(&folder);
    let lines = Lines::of(folder.path("log"))
        .follow()
        .look_every(Duration::from_millis(1));
    let out = Collected::new();
    let seen = |n: usize| {
        let out = out.clone();
        until(move || out.len() >= n)
    };
    let script = async {
        // It is not there yet.
        append(&folder, "log", "one\ntw");
        seen(1).await;
        append(&folder, "log", "o\n");
        seen(2).await;
        append(&folder, "log", "three\n");
        fs::rename(folder.path("log"), folder.path("log.1")).unwrap();
        append(&folder, "log", "four\n");
        seen(4).await;
        // Emptied is seen as such only while it is shorter: what it holds now, with what is added, is less than was read of it.
        fs::File::create(folder.path("log")).unwrap();
        append(&folder, "log", "5\n");
        seen(5).await;
    };
    run_until(collect(&lines, &out), &config, script)
        .await
        .unwrap();
    let all = ["0 one", "4 two", "8 three", "14 four", "19 5"];
    assert_eq!(taken(&out), all);
    // And the restart knows in which file its position lies.
    append(&folder, "log", "six\n");
    let again = read(&lines, &config.until_end(true)).await.unwrap();
    assert_eq!(again, ["21 six"]);
}

#[tokio::test]
async fn the_header_of_each_file_is_passed_over_while_it_is_followed_and_by_a_restart() {
    let folder = Folder::new("headers");
    let config = config(&folder);
    let lines = Lines::of(folder.path("log"))
        .skip_header()
        .follow()
        .look_every(Duration::from_millis(1));
    let out = Collected::new();
    let script = async {
        append(&folder, "log", "head\none\n");
        until(|| !out.is_empty()).await;
        fs::rename(folder.path("log"), folder.path("log.1")).unwrap();
        append(&folder, "log", "head\ntwo\n");
        until(|| out.len() >= 2).await;
        // Emptied: another file under the same name, as far as lines go.
        fs::File::create(folder.path("log")).unwrap();
        append(&folder, "log", "hd\n3\n");
        until(|| out.len() >= 3).await;
    };
    run_until(collect(&lines, &out), &config, script)
        .await
        .unwrap();
    assert_eq!(taken(&out), ["5 one", "14 two", "21 3"]);
    append(&folder, "log", "four\n");
    fs::rename(folder.path("log"), folder.path("log.2")).unwrap();
    append(&folder, "log", "head\nfive\n");
    let again = read(&lines, &config.until_end(true)).await.unwrap();
    assert_eq!(again, ["23 four", "33 five"]);
}

#[tokio::test]
async fn a_last_line_without_an_end_is_a_line_of_its_own_when_the_next_file_comes() {
    let folder = Folder::new("unended");
    let config = config(&folder);
    let lines = Lines::of(folder.path("log"))
        .follow()
        .look_every(Duration::from_millis(1));
    let out = Collected::new();
    let script = async {
        append(&folder, "log", "one\ntw");
        until(|| out.len() == 1).await;
        fs::rename(folder.path("log"), folder.path("log.1")).unwrap();
        append(&folder, "log", "three\n");
        until(|| out.len() == 3).await;
    };
    run_until(collect(&lines, &out), &config, script)
        .await
        .unwrap();
    assert_eq!(taken(&out), ["0 one", "4 tw", "6 three"]);
}

#[tokio::test]
async fn the_rest_of_a_last_line_that_was_read_already_is_no_line() {
    let folder = Folder::new("rest");
    let config = config(&folder);
    let lines = Lines::of(folder.path("a"));
    append(&folder, "a", "one\ntw");
    assert_eq!(read(&lines, &config).await.unwrap(), ["0 one", "4 tw"]);
    append(&folder, "a", "o\nthree\n");
    assert_eq!(read(&lines, &config).await.unwrap(), ["8 three"]);
}

#[tokio::test]
async fn a_position_in_a_file_that_is_gone_or_shorter_is_lost_data() {
    let folder = Folder::new("gone");
    let config = config(&folder);
    let lines = Lines::of(folder.path("a"));
    append(&folder, "a", "one\ntwo\n");
    read(&lines, &config).await.unwrap();
    fs::File::create(folder.path("a")).unwrap();
    let error = read(&lines, &config).await.unwrap_err().to_string();
    assert!(
        error.contains("is shorter now") && error.contains("state.dir"),
        "{error}"
    );
    fs::remove_file(folder.path("a")).unwrap();
    append(&folder, "b", "another\n");
    fs::rename(folder.path("b"), folder.path("a")).unwrap();
    let error = read(&lines, &config).await.unwrap_err().to_string();
    assert!(
        error.contains("is gone") && error.contains("position 8"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_or_written_is_named() {
    let folder = Folder::new("cannot");
    let config = config(&folder);
    let missing = folder.path("missing");
    let error = read(&Lines::of(&missing), &config)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("opening {}: ", missing.display())),
        "{error}"
    );
    let error = read(&Lines::of(&folder.0), &config)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("this is a folder"), "{error}");
    append(&folder, "a", "one\n");
    let lines = Lines::of(folder.path("a"));
    let to = LinesTo::file(folder.path("no/such/folder"));
    let plan = move |s: Scope<'_>| s.source(lines.clone()).record().sink(to.clone());
    let error = run(plan, &config).await.unwrap_err().to_string();
    assert!(
        error.starts_with("opening ") && error.contains("no/such/folder"),
        "{error}"
    );
}
