//! What comes out is the truth: at once, after a stop in the middle, after a crash, with more input.

use super::*;

#[tokio::test]
async fn the_last_count_of_every_word_is_the_truth() {
    let (cluster, truth) = filled(2000).await;
    let snapshot = run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(counts(&cluster), truth);
    assert_eq!(committed(&cluster), [Some(500); 4]);
    assert_eq!(snapshot.records_in, 2000);
    assert_eq!(cluster.partition_count("app-count-1-changelog"), 16);
    assert_eq!(
        cluster
            .topic_config("app-count-1-changelog", "cleanup.policy")
            .as_deref(),
        Some("compact")
    );
}

#[tokio::test]
async fn counts_go_on_where_the_run_before_ended() {
    let (cluster, mut truth) = filled(500).await;
    run(wordcount, &config(&cluster)).await.unwrap();
    add_lines(&cluster, 500, &mut truth);
    let snapshot = run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(counts(&cluster), truth);
    assert_eq!(
        snapshot.records_in, 500,
        "what was committed is not read again"
    );
    assert!(snapshot.records_restored > 0);
}

#[tokio::test]
async fn a_stop_in_the_middle_is_committed_and_nothing_is_counted_twice() {
    let (cluster, truth) = filled(8000).await;
    let running = config(&cluster).until_end(false);
    let some_commits = until(|| committed(&cluster).iter().any(Option::is_some));
    let first = run_until(wordcount, &running, some_commits).await.unwrap();
    let second = run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(first.records_in + second.records_in, 8000);
    assert_eq!(counts(&cluster), truth);
}

#[tokio::test]
async fn after_a_crash_nothing_is_lost_and_only_what_was_replayed_is_counted_twice() {
    let (cluster, truth) = filled(8000).await;
    let running = config(&cluster).until_end(false);
    // Dropping the run in the middle of its work is the crash.
    let crashed = tokio::time::timeout(GUARD, async {
        tokio::select! {
            _ = run(wordcount, &running) => panic!("it runs until it is dropped"),
            () = until(|| !counts(&cluster).is_empty()) => {}
        }
    });
    crashed.await.unwrap();
    let replayed: i64 = committed(&cluster)
        .iter()
        .map(|at| 2000 - at.unwrap_or(0))
        .sum();
    run(wordcount, &config(&cluster)).await.unwrap();
    let counts = counts(&cluster);
    assert_eq!(counts.len(), truth.len());
    for (word, n) in &truth {
        // Each line holds a word at most twice.
        assert!(
            (*n..=n + 2 * replayed as u64).contains(&counts[word]),
            "{word}: {n} became {}",
            counts[word]
        );
    }
    assert_eq!(committed(&cluster), [Some(2000); 4]);
}
