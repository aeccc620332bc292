//! Event time after operators that send rows from worker to worker, at default settings: a worker without rows holds nobody back.

use engine::connectors::Collected;
use engine::flow::{Pipe, Stream};
use engine::operators::{AsyncWait, Event};
use engine::windows::Tumbling;

use super::*;

/// Key and time.
type Row = (String, i64);

fn rows(s: Scope<'_>) -> Stream<'_, Row, impl Pipe<Row>> {
    s.source("lines").utf8().try_map(|line| {
        let (key, ts) = line.split_once(' ').ok_or("no time")?;
        Ok::<_, &str>((key.to_owned(), ts.parse().map_err(|_| "no number")?))
    })
}

/// Rows get their times here, and are counted by the second.
fn count<'b>(rows: Stream<'b, Row, impl Pipe<Row>>, out: &Collected) {
    rows.with_timestamps(|row| row.1, Duration::from_secs(1))
        .key_by(|_| "all")
        .window(Tumbling::of(Duration::from_secs(1)))
        .count()
        .map(|(_, window, n)| (window.start.to_string(), n))
        .sink(out);
}

#[derive(Clone, Copy, Debug)]
enum Before {
    Process,
    InOrder,
    Reduce,
    Enrich,
    TwoCuts,
}

fn plan(before: Before, out: &Collected) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let out = out.clone();
    move |s| {
        let keyed = || rows(s).key_by(|row| row.0.clone());
        match before {
            Before::Process => count(
                keyed().process((), |_, _, event, out| {
                    if let Event::Row(row) = event {
                        out.push(row);
                    }
                }),
                &out,
            ),
            Before::InOrder => count(
                keyed().in_order().process((), |_, _, event, out| {
                    if let Event::Row(row) = event {
                        out.push(row);
                    }
                }),
                &out,
            ),
            Before::Reduce => count(
                keyed()
                    .reduce(|_, row| row)
                    .emit_every_update()
                    .map(|(_, row)| row),
                &out,
            ),
            Before::Enrich => count(
                rows(s)
                    .map(|row| row)
                    .enrich(AsyncWait::ordered(), |row| async { Ok::<_, String>(row) }),
                &out,
            ),
            Before::TwoCuts => count(
                keyed()
                    .process((), |_, _, event, out| {
                        if let Event::Row(row) = event {
                            out.push(row);
                        }
                    })
                    .with_timestamps(|row| row.1, Duration::from_secs(1))
                    .key_by(|row| row.0.clone())
                    .reduce(|_, row| row)
                    .emit_every_update()
                    .map(|(_, row)| row),
                &out,
            ),
        }
    }
}

/// Appends rows of these keys, a hundred milliseconds of event time every few of the clock, until so many windows have closed.
async fn flow(cluster: &Cluster, keys: &[&str], ts: &mut i64, out: &Collected, windows: usize) {
    while out.len() < windows {
        for (n, key) in keys.iter().enumerate() {
            let line = format!("{key} {ts}");
            let row = [(None, Some(line.as_bytes()))];
            let partition = (*ts / 100 + n as i64) % 2;
            cluster.append("lines", partition as i32, row).unwrap();
        }
        *ts += 100;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn windows_close(before: Before, workers: usize) {
    let cluster = Cluster::builder().topic("lines", 2).start().await.unwrap();
    let properties = [
        ("bootstrap.servers", cluster.bootstrap_servers()),
        ("application.id", "app".to_owned()),
        ("num.stream.threads", workers.to_string()),
    ];
    let config = Config::from_properties(properties).unwrap();
    let out = Collected::new();
    let script = async {
        // One key: it lives on one worker alone.
        let mut ts = 1_700_000_000_000;
        flow(&cluster, &["a"], &mut ts, &out, 2).await;
        // Keys on all workers, of which all but one stop.
        let all: Vec<String> = (0..16).map(|n| format!("key {n}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let end = ts + 2000;
        while ts < end {
            flow(&cluster, &all, &mut ts, &out, 0).await;
            for key in &all {
                let line = format!("{key} {ts}");
                let row = [(None, Some(line.as_bytes()))];
                cluster.append("lines", 0, row).unwrap();
            }
            ts += 100;
        }
        let so_far = out.len();
        flow(&cluster, &["a"], &mut ts, &out, so_far + 5).await;
    };
    let snapshot = run_until(plan(before, &out), &config, script).await;
    assert_eq!(
        snapshot.unwrap().rows_late,
        0,
        "{before:?}, {workers} workers"
    );
}

#[tokio::test]
async fn a_worker_without_rows_of_a_process_function_holds_no_window_up() {
    for workers in [1, 2, 4] {
        windows_close(Before::Process, workers).await;
    }
}

#[tokio::test]
async fn a_worker_without_rows_in_order_or_updates_or_answers_holds_no_window_up() {
    for before in [
        Before::InOrder,
        Before::Reduce,
        Before::Enrich,
        Before::TwoCuts,
    ] {
        windows_close(before, 2).await;
    }
}
