//! State against what may have changed around it: the plan, the input's partitions, its retention, the disk.

use std::time::Duration;

use engine::windows::{Session, Tumbling};

use super::*;

#[tokio::test]
async fn an_operator_that_is_new_in_a_plan_begins_empty_and_the_run_says_so() {
    let (cluster, mut truth) = filled(100).await;
    let first = run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(first.warnings, Vec::<String>::new(), "everything is new");
    add_lines(&cluster, 100, &mut truth);
    let two = |s: Scope<'_>| {
        let lines = s.source("lines").utf8().share();
        let all = lines.clone().flat_map(|line| words(line, s.scratch()));
        all.key_by(|w| w).count().sink("counts");
        lines
            .key_by(|line| line.len() as u64)
            .count()
            .named("lengths")
            .for_each(|_| {});
    };
    let second = run(two, &config(&cluster)).await.unwrap();
    assert_eq!(counts(&cluster), truth, "the other operator has its state");
    let [warning] = &second.warnings[..] else {
        panic!("{:?}", second.warnings);
    };
    assert!(
        warning.starts_with("lengths begins without state") && warning.contains(".named("),
        "{warning}"
    );
    let third = run(two, &config(&cluster)).await.unwrap();
    assert_eq!(third.warnings, Vec::<String>::new(), "it is told once");
}

#[tokio::test]
async fn an_operator_that_was_renamed_begins_empty_and_the_run_says_so() {
    let (cluster, _) = filled(100).await;
    run(wordcount, &config(&cluster)).await.unwrap();
    let renamed = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .count()
            .named("words")
            .sink("counts");
    };
    let run = run(renamed, &config(&cluster)).await.unwrap();
    assert!(
        run.warnings[0].starts_with("words begins without state"),
        "{:?}",
        run.warnings
    );
}

#[tokio::test]
async fn state_of_another_type_under_the_same_name_is_refused_at_its_place() {
    let (cluster, _) = filled(20).await;
    let plan = |s: Scope<'_>| {
        let lines = s.source("lines").utf8().map(|l| (l, 1u64)).key_by(|l| l.0);
        lines.aggregate(0u64, |n, l| *n += l.1).sink("counts");
    };
    run(plan, &config(&cluster)).await.unwrap();
    let other = |s: Scope<'_>| {
        let lines = s.source("lines").utf8().map(|l| (l, 1u64)).key_by(|l| l.0);
        lines
            .aggregate((0u64, 0u64), |n, l| n.0 += l.1)
            .map(|(line, n)| (line, n.0))
            .sink("counts");
    };
    let error = run(other, &config(&cluster)).await.unwrap_err().to_string();
    assert!(
        error.contains("app-aggregate-1-changelog")
            && error.contains("offset")
            && error.contains("another version of the plan"),
        "{error}"
    );
}

#[tokio::test]
async fn partitions_added_to_a_keyed_input_leave_its_counts_true() {
    let (cluster, mut truth) = filled(200).await;
    run(wordcount, &config(&cluster)).await.unwrap();
    cluster.add_partitions("lines", 8).unwrap();
    add_lines(&cluster, 100, &mut truth);
    for partition in 4..8 {
        let line = b"The new lines of a new partition";
        cluster
            .append("lines", partition, [(None, Some(&line[..]))])
            .unwrap();
        for word in ["the", "new", "lines", "of", "a", "new", "partition"] {
            *truth.entry(word.to_owned()).or_default() += 1;
        }
    }
    let snapshot = run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(
        snapshot.records_in, 104,
        "new partitions from their first record"
    );
    assert_eq!(counts(&cluster), truth);
}

/// Counts lines in windows of ten years by the wall clock of the records.
fn decades(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .key_by(|_| "all")
        .window(Tumbling::of(Duration::from_secs(10 * 365 * 86_400)))
        .count()
        .map(|(key, _, n)| (key, n))
        .sink("counts");
}

#[tokio::test]
async fn a_window_longer_than_the_inputs_retention_keeps_what_is_not_in_the_input_any_more() {
    let (cluster, mut truth) = filled(400).await;
    let running = config(&cluster).until_end(false);
    let all_committed = async {
        until(|| !committed(&cluster).iter().any(|at| *at != Some(100))).await;
    };
    run_until(decades, &running, all_committed).await.unwrap();
    assert_eq!(counts(&cluster), BTreeMap::new(), "the window is open");
    for partition in 0..4 {
        cluster.delete_records("lines", partition, 100).unwrap();
    }
    add_lines(&cluster, 40, &mut truth);
    run(decades, &config(&cluster)).await.unwrap();
    assert_eq!(counts(&cluster)["all"], 440);
}

#[cfg(feature = "fjall")]
#[tokio::test]
async fn state_on_disk_is_taken_up_after_an_orderly_end_and_else_filled_from_its_changelog() {
    let folder = Folder::new("on-disk");
    let plan = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .state_store(engine::state::Store::disk())
            .count()
            .sink("counts");
    };
    let (cluster, mut truth) = filled(200).await;
    let mut config = config(&cluster);
    config.set("state.dir", folder.0.to_str().unwrap()).unwrap();
    run(plan, &config).await.unwrap();
    add_lines(&cluster, 200, &mut truth);
    let taken_up = run(plan, &config).await.unwrap();
    assert_eq!(counts(&cluster), truth);
    assert_eq!(taken_up.records_restored, 0);
    assert_eq!(taken_up.state[0].keys, truth.len() as u64);
    std::fs::remove_dir_all(folder.0.join("app/store-0.d")).unwrap();
    add_lines(&cluster, 200, &mut truth);
    let filled = run(plan, &config).await.unwrap();
    assert_eq!(counts(&cluster), truth);
    assert!(filled.records_restored >= truth.len() as u64);
    assert_eq!(filled.state[0].keys, truth.len() as u64);
}

#[cfg(feature = "fjall")]
#[tokio::test]
async fn state_on_disk_where_nothing_can_be_written_ends_the_run_with_the_path() {
    let folder = Folder::new("no-store");
    std::fs::create_dir_all(folder.0.join("app")).unwrap();
    // A file where the folder of the store should be.
    std::fs::write(folder.0.join("app/store-0.d"), "").unwrap();
    let plan = |s: Scope<'_>| {
        let keyed = s.source("lines").utf8().key_by(|l| l);
        let counts = keyed.state_store(engine::state::Store::disk()).count();
        counts.sink("counts");
    };
    let (cluster, _) = filled(10).await;
    let mut config = config(&cluster);
    config.set("state.dir", folder.0.to_str().unwrap()).unwrap();
    let error = run(plan, &config).await.unwrap_err().to_string();
    assert!(error.contains("app/store-0.d"), "{error}");
}

/// Counts lines in windows of this kind.
fn windowed<W: engine::windows::WindowSpec + Sync>(
    spec: W,
) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    move |s| {
        let windows = s.source("lines").utf8().key_by(|_| "all").window(spec);
        windows.count().map(|(key, _, n)| (key, n)).sink("counts");
    }
}

#[tokio::test]
async fn windows_that_were_changed_do_not_go_on_with_the_state_of_others() {
    let (cluster, _) = filled(100).await;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let running = config(&cluster).until_end(false);
    let all = until(|| committed(&cluster) == [Some(25); 4]);
    run_until(windowed(Tumbling::of(minutes(60))), &running, all)
        .await
        .unwrap();
    let refused = |error: Error, now: &str| {
        let error = error.to_string();
        assert!(
            error.contains("app-window-1-changelog")
                && error.contains("window (tumbling 1 h)")
                && error.contains(now)
                && error.contains("--group-id"),
            "{error}"
        );
    };
    let config = config(&cluster);
    let session = run(windowed(Session::gap(minutes(5))), &config).await;
    refused(session.unwrap_err(), "window (session, gap 5 min)");
    let wider = run(windowed(Tumbling::of(minutes(120))), &config).await;
    refused(wider.unwrap_err(), "window (tumbling 2 h)");
    let same = run(windowed(Tumbling::of(minutes(60))), &config).await;
    assert!(same.unwrap().records_restored > 0);
}

/// Keeps all lines of a key.
fn all_lines(s: Scope<'_>) {
    let lines = s.source("lines").utf8().map(|line| (line, line));
    let keyed = lines.key_by(|_| "tab\tkey");
    keyed
        .aggregate(Vec::<u8>::new(), |all, (line, _)| {
            all.extend_from_slice(line.as_bytes());
        })
        .map(|(key, all)| (key, all.len() as u64))
        .sink("counts");
}

#[tokio::test]
async fn a_key_whose_state_outgrows_a_record_is_named_with_its_operator_and_size_and_warned_of_at_half()
 {
    let (cluster, _) = filled(0).await;
    let line = "x".repeat(100_000);
    let add = |lines: usize| {
        for _ in 0..lines {
            let records = [(None, Some(line.as_bytes()))];
            cluster.append("lines", 0, records).unwrap();
        }
    };
    add(5);
    let small = run(all_lines, &config(&cluster)).await.unwrap();
    assert_eq!(small.warnings, Vec::<String>::new());
    add(1);
    let half = run(all_lines, &config(&cluster)).await.unwrap();
    let [warning] = &half.warnings[..] else {
        panic!("{:?}", half.warnings);
    };
    for words in [
        "aggregate-1",
        "tab\\tkey",
        "more than half of the 1048576",
        "topic.max.message.bytes",
    ] {
        assert!(warning.contains(words), "no {words:?} in {warning}");
    }
    add(6);
    let error = run(all_lines, &config(&cluster))
        .await
        .unwrap_err()
        .to_string();
    for words in [
        "aggregate-1",
        "tab\\tkey",
        "is 1200",
        "app-aggregate-1-changelog",
        "max.request.size",
    ] {
        assert!(error.contains(words), "no {words:?} in {error}");
    }
    assert_eq!(
        counts(&cluster)["tab\tkey"],
        600_000,
        "nothing of it was committed"
    );
}
