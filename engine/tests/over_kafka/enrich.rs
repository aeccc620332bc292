//! Rows that wait for answers, in the run loop: nothing is lost, commits wait for them, and a service that is slow or gone does not hang it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use engine::flow::OnBad;
use engine::operators::AsyncWait;

use super::*;

/// Each line goes to a service that takes its time, and fails for each line when it is asked for the first time; then words are counted.
fn asking(wait: AsyncWait) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let known = Arc::new(Mutex::new(HashSet::new()));
    move |s| {
        let known = Arc::clone(&known);
        let ask = move |line: String| {
            let is_known = !known.lock().unwrap().insert(line.clone());
            async move {
                for _ in 0..line.len() % 5 {
                    tokio::task::yield_now().await;
                }
                is_known.then_some(line).ok_or("busy")
            }
        };
        s.source("lines")
            .utf8()
            .map(str::to_owned)
            .enrich(wait, ask)
            .flat_map(|line| {
                let words = line.split(' ').map(str::to_lowercase);
                words.collect::<Vec<_>>()
            })
            .key_by(|word| word)
            .count()
            .sink("counts");
    }
}

#[tokio::test]
async fn every_row_is_answered_once_whatever_the_service_does_and_counts_go_on_after_a_restart() {
    let (cluster, mut truth) = filled(1500).await;
    for wait in [AsyncWait::unordered().capacity(20), AsyncWait::ordered()] {
        let wait = wait.retries(1, Duration::from_millis(1));
        run(asking(wait), &config(&cluster)).await.unwrap();
        assert_eq!(counts(&cluster), truth);
        assert_eq!(
            committed(&cluster).iter().flatten().sum::<i64>(),
            cluster_lines(&cluster)
        );
        add_lines(&cluster, 400, &mut truth);
    }
}

fn cluster_lines(cluster: &Cluster) -> i64 {
    (0..cluster.partition_count("lines"))
        .map(|partition| cluster.records("lines", partition).unwrap().len() as i64)
        .sum()
}

#[tokio::test]
async fn a_service_that_never_answers_costs_the_time_out_and_not_the_run() {
    let (cluster, _) = filled(40).await;
    let plan = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .map(str::to_owned)
            .enrich(
                AsyncWait::ordered()
                    .capacity(15)
                    .timeout(Duration::from_millis(20)),
                |_| std::future::pending::<Result<String, &str>>(),
            )
            .on_bad(OnBad::Skip)
            .map(|line| (line, 1u64))
            .sink("counts");
    };
    let seen = run(plan, &config(&cluster)).await.unwrap();
    assert_eq!((seen.records_in, seen.records_skipped), (40, 40));
    assert_eq!(committed(&cluster), [Some(10); 4]);
}

#[tokio::test]
async fn a_service_that_fails_stops_the_run_and_nothing_behind_it_is_committed() {
    let (cluster, _) = filled(40).await;
    let plan = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .map(str::to_owned)
            .enrich(AsyncWait::unordered(), async |line: String| {
                if line.contains("12th") {
                    Err("the 12th is not known")
                } else {
                    Ok(line)
                }
            })
            .map(|line| (line, 1u64))
            .sink("counts");
    };
    let error = run(plan, &config(&cluster)).await.unwrap_err().to_string();
    assert!(error.contains("the 12th is not known"), "{error}");
    let before: Vec<Option<i64>> = committed(&cluster);
    assert!(
        before.iter().all(|at| at.is_none_or(|at| at < 10)),
        "{before:?}"
    );
}
