//! Topics beside sources that users have written, in one plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::connectors::{BoxError, Open, Read, Reader, Records, Source, Topics, generated};

use super::*;

#[tokio::test]
async fn a_source_that_always_has_something_leaves_topics_their_turn() {
    let (cluster, _) = filled(400).await;
    let seen = Arc::new(AtomicU64::new(0));
    let seen_by_plan = Arc::clone(&seen);
    let plan = move |s: Scope<'_>| {
        let endless = generated(1, |_| (0_u64..).map(|n| ((), n.to_string())));
        s.source(endless).utf8().for_each(|_| ());
        let seen = &seen_by_plan;
        let lines = s.source("lines").utf8();
        lines.for_each(|_| {
            seen.fetch_add(1, Ordering::Relaxed);
        });
    };
    let config = config(&cluster).until_end(false);
    let stop = until(|| seen.load(Ordering::Relaxed) == 400);
    run_until(plan, &config, stop).await.unwrap();
    assert_eq!(committed(&cluster).iter().flatten().sum::<i64>(), 400);
}

#[tokio::test]
async fn a_pattern_without_topics_is_reported_beside_another_source_too() {
    let (cluster, _) = filled(0).await;
    let plan = |s: Scope<'_>| {
        s.source(engine::connectors::elements(["a"]))
            .utf8()
            .for_each(|_| ());
        s.source(Topics::pattern("nothing-.*"))
            .utf8()
            .for_each(|_| ());
    };
    let error = run(plan, &config(&cluster)).await.unwrap_err().to_string();
    assert!(error.contains("nothing-.*"), "{error}");
}

/// A record each millisecond, without end.
struct Ticks;

struct Ticking;

impl Source for Ticks {
    type Reader = Ticking;

    fn name(&self) -> &str {
        "ticks"
    }

    fn open(&self, _: Open) -> Result<Ticking, BoxError> {
        Ok(Ticking)
    }
}

impl Reader for Ticking {
    async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        records.push(1_767_254_400_000, None, Some(b"tick"))?;
        Ok(Read::More)
    }
}

#[tokio::test]
async fn records_leave_after_linger_while_more_keep_coming() {
    let (cluster, _) = filled(0).await;
    let properties = [
        ("bootstrap.servers", &*cluster.bootstrap_servers()),
        ("application.id", "app"),
        // Nothing but linger sends what fills no batch.
        ("commit.interval.ms", "3600000"),
        ("batch.size", "1000000"),
        ("linger.ms", "1000"),
    ];
    let config = Config::from_properties(properties).unwrap();
    let plan = |s: Scope<'_>| s.source(Ticks).record().sink("copies");
    let written = || (0..4).any(|p| !cluster.records("copies", p).unwrap().is_empty());
    let snapshot = run_until(plan, &config, until(written)).await.unwrap();
    assert!(snapshot.records_in > 0);
}
