//! A stop is heard wherever a run is, and however it hangs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::tests::{config, counts, fill_times, filled, run, run_plan, windows, wordcount};
use crate::Config;
use crate::batch::sink::{Sink, Writer};
use crate::batch::source::BoxError;
use crate::checkpoint::log::{Change, Place, Share};
use crate::connectors::memory_cluster::Memory;
use crate::connectors::{Collected, elements};
use crate::flow::Scope;
use crate::inspect::Inspector;
use crate::plan::App;

async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// What is promised for 30 seconds, in less.
fn hasty(threads: usize) -> Config {
    let mut config = config(threads);
    config.until_end = false;
    config.stop_timeout = Duration::from_millis(200);
    config
}

fn all() -> Vec<Place> {
    (0..4).map(|number| Place::single(0, number)).collect()
}

#[tokio::test]
async fn a_stop_is_heard_while_state_is_restored() {
    let (memory, _) = filled(5);
    run(&memory, &config(2)).await.unwrap();
    let commits = memory.commits();
    memory.withhold("app-count-1-changelog");
    let mut config = config(2);
    config.until_end = false;
    let (other, stop) = (memory.clone(), memory.clone());
    let is_restoring = until(move || stop.asked() > 0);
    run_plan(&other, wordcount, &config, is_restoring)
        .await
        .unwrap();
    assert_eq!(memory.commits(), commits, "nothing was processed");
}

/// Its flush never ends.
#[derive(Clone, Default)]
struct Stuck(Arc<AtomicBool>);

impl Sink for Stuck {
    type Writer = Self;

    fn name(&self) -> &str {
        "stuck"
    }

    fn open(&self) -> Result<Self, BoxError> {
        Ok(self.clone())
    }
}

impl Writer for Stuck {
    async fn write(&mut self, _: &[crate::batch::Record<'_>]) -> Result<(), BoxError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BoxError> {
        self.0.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_stop_is_heard_and_given_up_when_a_sink_hangs_after_the_end_has_begun() {
    for until_end in [true, false] {
        let stuck = Stuck::default();
        let sink = stuck.clone();
        let app = App::new("app", move |s: Scope<'_>| {
            s.source(elements(["a", "b"]))
                .utf8()
                .map(|l| ((), l))
                .sink(sink.clone());
        })
        .unwrap();
        let mut config = hasty(2);
        config.until_end = until_end;
        let is_stuck = until(move || stuck.0.load(Ordering::SeqCst));
        let inspector = Inspector::new();
        let run = app.run_until(&config, is_stuck, &inspector);
        let guarded = tokio::time::timeout(Duration::from_secs(60), run).await;
        let error = guarded.expect("the stop is not heard").unwrap_err();
        assert!(error.to_string().contains("stopping"), "{error}");
    }
}

#[tokio::test]
async fn a_stop_is_given_up_when_a_users_function_does_not_come_back() {
    let (is_in, is_over) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (entered, over) = (Arc::clone(&is_in), Arc::clone(&is_over));
    let out = Collected::new();
    let app = App::new("app", move |s: Scope<'_>| {
        s.source(elements(["a", "b"]))
            .utf8()
            .inspect(|_| {
                entered.store(true, Ordering::SeqCst);
                while !over.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
            .map(|l| ((), l))
            .sink(&out);
    })
    .unwrap();
    let runs_away = until(|| is_in.load(Ordering::SeqCst));
    let inspector = Inspector::new();
    let config = hasty(1);
    let run = app.run_until(&config, runs_away, &inspector);
    let guarded = tokio::time::timeout(Duration::from_secs(60), run).await;
    // Let the thread go before anything is judged.
    is_over.store(true, Ordering::SeqCst);
    let error = guarded.expect("the stop is not heard").unwrap_err();
    assert!(error.to_string().contains("stopping"), "{error}");
}

#[tokio::test]
async fn a_stop_is_heard_although_the_work_was_lost_meanwhile() {
    let (memory, _) = filled(5);
    memory.change_to(Change::Assigned(Share::Mine(all())));
    memory.hold_acks();
    let mut config = config(2);
    config.until_end = false;
    let script = memory.clone();
    let stop = async move {
        until(|| script.unacknowledged() > 0).await;
        script.change_to(Change::Lost("another has it".to_owned()));
    };
    // It completes once, and is not polled again.
    run_plan(&memory, wordcount, &config, stop).await.unwrap();
}

#[tokio::test]
async fn what_is_revoked_is_committed_before_it_is_given_away() {
    let (memory, truth) = filled(20);
    let all_lines = 800;
    memory.create("copies", 1);
    memory.change_to(Change::Assigned(Share::Mine(all())));
    let mut config = config(2);
    config.until_end = false;
    config.commit_interval = Duration::from_secs(3600);
    let copy = |s: Scope<'_>| s.source("lines").utf8().map(|l| ((), l)).sink("copies");
    let script = memory.clone();
    let stop = async move {
        until(|| script.records("copies").len() >= all_lines).await;
        script.change_to(Change::Revoked);
        until(|| script.commits() == 1).await;
        script.change_to(Change::Assigned(Share::Mine(all())));
        until(|| script.commits() == 1).await;
    };
    run_plan(&memory, copy, &config, stop).await.unwrap();
    assert_eq!(
        memory.records("copies").len(),
        all_lines,
        "none is read again"
    );
    drop(truth);
}

#[tokio::test]
async fn a_bounded_run_does_not_read_partitions_that_were_found_later() {
    let memory = Memory::new("app");
    memory.create("lines", 3);
    let mut truth = BTreeMap::new();
    fill_times(&memory, 0, 300, &mut truth);
    memory.change_to(Change::Assigned(Share::Standby));
    let script = async {
        // It stands by, so the ends are known.
        tokio::task::yield_now().await;
        memory.grow("lines");
        memory.produce("lines", 3, [Some(&b"5000"[..])]);
        memory.change_to(Change::Assigned(Share::Mine(all())));
        std::future::pending::<()>().await;
    };
    let config = config(2);
    tokio::select! {
        biased;
        outcome = run_plan(&memory, windows, &config, std::future::pending()) => drop(outcome.unwrap()),
        () = script => {}
    }
    assert_eq!(counts(&memory), truth);
}

/// Both futures may be spawned.
#[test]
fn runs_are_send() {
    fn is_send<T: Send>(_: T) {}
    let app = App::new("app", |s: Scope<'_>| {
        s.source("lines").utf8().map(|l| ((), l)).sink("out");
    })
    .unwrap();
    let (config, inspector) = (Config::default(), Inspector::new());
    is_send(app.run(&config));
    is_send(app.run_until(&config, std::future::pending(), &inspector));
}
