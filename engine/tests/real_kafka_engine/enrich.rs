//! Rows that wait for answers: in order or not, with answers that never come, and what becomes of those.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use engine::operators::AsyncWait;

use super::*;

const ROWS: u64 = 300;

/// Rows without an answer.
fn is_lost(n: u64) -> bool {
    n % 100 == 7
}

#[tokio::test]
async fn every_row_has_its_answer_or_is_a_dead_letter_and_ordered_answers_keep_their_order() {
    let kafka = require_kafka!();
    for (name, wait) in [
        ("unordered", AsyncWait::unordered()),
        ("ordered", AsyncWait::ordered()),
    ] {
        let job = Job::new(kafka, name).await;
        job.create("rows", 3);
        job.create("answers", 1);
        job.create("bad", 1);
        for partition in 0..3 {
            let mine = (0..ROWS).filter(|n| n % 3 == partition);
            let mine: Vec<_> = mine.map(|n| (0, n.to_string())).collect();
            job.write("rows", partition as i32, &mine).await;
        }
        let known = Arc::new(Mutex::new(HashSet::new()));
        let wait = wait
            .capacity(20)
            .timeout(Duration::from_millis(200))
            .retries(1, Duration::from_millis(1));
        let [input, output, bad] = ["rows", "answers", "bad"].map(|what| job.topic(what));
        let plan = move |s: Scope<'_>| {
            let known = Arc::clone(&known);
            s.source(&*input)
                .utf8()
                .try_map(str::parse::<u64>)
                .enrich(wait, move |n| {
                    // Busy when it is asked for the first time, and later ones are answered first.
                    let is_busy = known.lock().unwrap().insert(n);
                    async move {
                        if is_lost(n) {
                            std::future::pending::<()>().await;
                        }
                        for _ in 0..(n * 7) % 10 {
                            tokio::task::yield_now().await;
                        }
                        if is_busy { Err("busy") } else { Ok((n % 3, n)) }
                    }
                })
                .dead_letters(&bad)
                .sink(&*output);
        };
        let seen = run(plan, &job.config()).await.unwrap();
        assert_eq!((seen.records_in, seen.records_skipped), (ROWS, 3));
        let answers: Vec<u64> = job
            .read("answers")
            .await
            .iter()
            .map(broker::Read::number)
            .collect();
        let truth: BTreeSet<u64> = (0..ROWS).filter(|n| !is_lost(*n)).collect();
        assert_eq!(answers.len(), truth.len(), "{name}: each once");
        assert_eq!(answers.iter().copied().collect::<BTreeSet<_>>(), truth);
        if name == "ordered" {
            for partition in 0..3 {
                let of = answers.iter().filter(|n| *n % 3 == partition);
                assert!(of.is_sorted(), "rows of partition {partition}");
            }
        }
        let bad = job.read("bad").await;
        assert_eq!(bad.len(), 3, "{name}");
        for letter in bad {
            let message = &letter.headers["__errors.message"];
            assert!(message.contains("no answer"), "{message}");
            assert!(letter.headers["__errors.operator"].contains("enrich"));
        }
        assert_eq!(job.committed("rows").await.values().sum::<i64>(), 300);
    }
}
