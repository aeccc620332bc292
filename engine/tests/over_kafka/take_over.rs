//! One process has all of a keyed plan; the others stand by and take over.

use std::sync::{Arc, Mutex};

use kafka_proto::messages::{ApiKey, ErrorCode};

use super::*;

#[tokio::test]
async fn the_second_process_stands_by_and_takes_over_when_the_first_ends() {
    let (cluster, mut truth) = filled(400).await;
    let running = config(&cluster).until_end(false);
    let (one, two) = (Inspector::new(), Inspector::new());
    let app = App::new("app", wordcount).unwrap();
    let (stop_one, stopped_one) = tokio::sync::oneshot::channel::<()>();
    let (stop_two, stopped_two) = tokio::sync::oneshot::channel::<()>();
    let script = async {
        until(|| one.snapshot().records_in == 400 || two.snapshot().records_in == 400).await;
        until(|| one.snapshot().standby != two.snapshot().standby).await;
        let (first, stop_first, second, stop_second) = if two.snapshot().standby {
            (&one, stop_one, &two, stop_two)
        } else {
            (&two, stop_two, &one, stop_one)
        };
        let had = first.snapshot().records_in;
        stop_first.send(()).unwrap();
        until(|| !second.snapshot().standby).await;
        add_lines(&cluster, 100, &mut truth);
        until(|| committed(&cluster).iter().all(|at| *at == Some(125))).await;
        assert_eq!(first.snapshot().records_in, had);
        stop_second.send(()).unwrap();
    };
    let all = async {
        let first = app.run_until(&running, async { drop(stopped_one.await) }, &one);
        let second = app.run_until(&running, async { drop(stopped_two.await) }, &two);
        let (first, second, ()) = tokio::join!(first, second, script);
        first.unwrap();
        second.unwrap();
    };
    tokio::time::timeout(GUARD, all).await.expect("hangs");
    assert_eq!(counts(&cluster), truth);
}

#[tokio::test]
async fn two_processes_at_once_until_the_end_both_end_with_the_truth() {
    let (cluster, truth) = filled(2000).await;
    let config = config(&cluster);
    let (one, two) = tokio::join!(run(wordcount, &config), run(wordcount, &config));
    assert_eq!(one.unwrap().records_in + two.unwrap().records_in, 2000);
    assert_eq!(counts(&cluster), truth);
}

/// The last record of a partition that holds any.
fn last(cluster: &Cluster, topic: &str, partition: i32) -> Vec<u8> {
    let records = cluster.records(topic, partition).unwrap();
    records.last().unwrap().value.clone().unwrap().to_vec()
}

#[tokio::test]
async fn what_a_former_owner_had_queued_is_not_written_over_what_the_next_one_wrote() {
    let cluster = Cluster::builder()
        .topic("lines", 1)
        .topic("counts", 1)
        .start()
        .await
        .unwrap();
    let line: (Option<&[u8]>, Option<&[u8]>) = (None, Some(b"a"));
    cluster.append("lines", 0, [line]).unwrap();
    let mut config = config(&cluster).until_end(false);
    config.set("heartbeat.interval.ms", "50").unwrap();
    config.set("request.timeout.ms", "1000").unwrap();
    let changelog = "app-count-1-changelog";
    let script = async {
        until(|| committed(&cluster) == [Some(1)]).await;
        let of = |partition: &i32| {
            let records = cluster.records(changelog, *partition).unwrap();
            records
                .into_iter()
                .rfind(|r| r.key.as_deref().is_some_and(|key| key[0] == 1))
        };
        let (partition, entry) = (0..16).find_map(|p| Some((p, of(&p)?))).unwrap();
        // A broker takes what it sends and does not answer: the client tries again when request.timeout.ms is over.
        let stuck = cluster.faults().on(ApiKey::PRODUCE).never_answer();
        cluster.append("lines", 0, [line]).unwrap();
        until(|| stuck.hits() == 1).await;
        // Meanwhile its group goes on without it.
        let outside = cluster
            .faults()
            .on(ApiKey::JOIN_GROUP)
            .always()
            .error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        let lost = cluster
            .faults()
            .on(ApiKey::HEARTBEAT)
            .error(ErrorCode::UNKNOWN_MEMBER_ID);
        // The run has heard of it when it writes by another producer.
        let producers = || cluster.received_count(ApiKey::INIT_PRODUCER_ID);
        until(|| lost.hits() == 1 && outside.hits() > 0 && producers() > 1).await;
        // The next owner has counted both, and more.
        let newer: (Option<&[u8]>, Option<&[u8]>) = (entry.key.as_deref(), Some(b"newer"));
        cluster.append(changelog, partition, [newer]).unwrap();
        let newer: (Option<&[u8]>, Option<&[u8]>) = (Some(b"a"), Some(b"newer"));
        cluster.append("counts", 0, [newer]).unwrap();
        partition
    };
    let ended = Arc::new(Mutex::new(None));
    let stop = async {
        *ended.lock().unwrap() = Some(script.await);
    };
    run_until(wordcount, &config, stop).await.unwrap();
    let partition = ended.lock().unwrap().unwrap();
    assert_eq!(last(&cluster, changelog, partition), b"newer");
    assert_eq!(last(&cluster, "counts", 0), b"newer");
}

#[tokio::test]
async fn a_stop_while_the_work_is_being_lost_ends_the_run() {
    let (cluster, _) = filled(8).await;
    let config = config(&cluster).until_end(false);
    let stop = async {
        until(|| committed(&cluster) == [Some(2); 4]).await;
        // The group has gone on without this process: it hears of it when it commits for the last time.
        let _ = cluster
            .faults()
            .on(ApiKey::OFFSET_COMMIT)
            .always()
            .error(ErrorCode::UNKNOWN_MEMBER_ID);
        add_lines(&cluster, 8, &mut BTreeMap::new());
    };
    run_until(wordcount, &config, stop).await.unwrap();
    assert_eq!(committed(&cluster), [Some(2); 4]);
}

#[tokio::test]
async fn a_commit_that_the_group_refuses_to_a_former_owner_is_no_error_and_is_made_up_for() {
    // Before anything is read, and while the workers run.
    for commits_before in [0, 1] {
        let second = Duration::from_secs(1);
        let cluster = Cluster::builder()
            .topic("lines", 4)
            .topic("counts", 2)
            .session_timeouts(second, 60 * second)
            .start()
            .await
            .unwrap();
        let mut truth = BTreeMap::new();
        add_lines(&cluster, 400, &mut truth);
        let mut config = config(&cluster);
        config.set("heartbeat.interval.ms", "20").unwrap();
        // The member that it was is waited for as long.
        config.set("session.timeout.ms", "1000").unwrap();
        let refused = cluster.faults().on(ApiKey::OFFSET_COMMIT);
        let refused = refused
            .after(commits_before)
            .error(ErrorCode::ILLEGAL_GENERATION);
        let hears_of_it = async {
            until(|| refused.hits() == 1).await;
            let _ = cluster
                .faults()
                .on(ApiKey::HEARTBEAT)
                .error(ErrorCode::UNKNOWN_MEMBER_ID);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = run(wordcount, &config) => drop(outcome.unwrap()),
            () = hears_of_it => {}
        }
        assert_eq!(refused.hits(), 1);
        assert_eq!(committed(&cluster), [Some(100); 4]);
        // At least once: nothing is missing.
        let counts = counts(&cluster);
        let is_there = |(word, n): (&String, &u64)| counts[word] >= *n;
        assert!(truth.iter().all(is_there), "{counts:?}");
    }
}
