//! Positions of files are beside the state that was made from them: a process with an empty state directory goes on.

use std::io::Write as _;

use engine::Reset;
use engine::connectors::Lines;
use kafka_proto::messages::{ApiKey, ErrorCode};

use super::*;

fn append(folder: &Folder, text: &str) {
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(folder.path("lines.txt"))
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn count(folder: &Folder) -> impl Fn(Scope<'_>) + Send + Sync + Clone + 'static {
    let lines = Lines::of(folder.path("lines.txt"));
    move |s| {
        let words = s.source(lines.clone()).utf8().key_by(|w| w);
        words.count().sink("counts");
    }
}

/// Settings of a container that has just been made: nothing of the last one's disk is there.
fn fresh(cluster: &Cluster, folder: &Folder, n: usize) -> Config {
    let mut config = config(cluster);
    let state = folder.path(format!("state-{n}"));
    config.set("state.dir", state.to_str().unwrap()).unwrap();
    config
}

async fn cluster() -> Cluster {
    Cluster::builder().topic("counts", 1).start().await.unwrap()
}

#[tokio::test]
async fn lines_of_a_file_are_counted_once_although_each_run_has_an_empty_state_directory() {
    let cluster = cluster().await;
    let folder = Folder::new("own-positions");
    let mut truth: BTreeMap<String, u64> = BTreeMap::new();
    for n in 0..4 {
        // The last run has nothing new to read.
        if n < 3 {
            append(&folder, "a\nb\na\n");
            *truth.entry("a".to_owned()).or_default() += 2;
            *truth.entry("b".to_owned()).or_default() += 1;
        }
        let seen = run(count(&folder), &fresh(&cluster, &folder, n))
            .await
            .unwrap();
        assert_eq!(seen.records_in, if n < 3 { 3 } else { 0 }, "run {n}");
        assert_eq!(counts(&cluster), truth, "run {n}");
    }
    assert_eq!(cluster.partition_count("app-positions"), 1);
    let policy = cluster.topic_config("app-positions", "cleanup.policy");
    assert_eq!(policy.as_deref(), Some("compact"));
    // They are a part of the application.
    let config = fresh(&cluster, &folder, 9);
    let look = Reset::look(&config).await.unwrap();
    assert_eq!(look.topics(), ["app-count-1-changelog", "app-positions"]);
    look.execute().await.unwrap();
    assert_eq!(cluster.topics(), ["counts"]);
    run(count(&folder), &config).await.unwrap();
    assert_eq!(counts(&cluster), truth, "from the beginning");
}

#[tokio::test]
async fn of_two_processes_that_count_one_file_each_line_is_counted_by_one() {
    let cluster = cluster().await;
    let folder = Folder::new("own-two");
    append(&folder, "a\n");
    run(count(&folder), &fresh(&cluster, &folder, 0))
        .await
        .unwrap();
    append(&folder, "a\na\n");
    let (one, two) = (fresh(&cluster, &folder, 1), fresh(&cluster, &folder, 2));
    let (one, two) = tokio::join!(run(count(&folder), &one), run(count(&folder), &two));
    assert_eq!(one.unwrap().records_in + two.unwrap().records_in, 2);
    assert_eq!(counts(&cluster), BTreeMap::from([("a".to_owned(), 3)]));
}

#[tokio::test]
async fn beside_a_topic_both_go_on_where_they_were() {
    let cluster = filled(8).await.0;
    let folder = Folder::new("own-and-topic");
    let file = count(&folder);
    let plan = move |s: Scope<'_>| {
        file(s);
        let words = s.source("lines").utf8().key_by(|w| w);
        words.count().named("lines").for_each(|_| {});
    };
    append(&folder, "a\n");
    for (n, read) in [9, 0].into_iter().enumerate() {
        let config = fresh(&cluster, &folder, n);
        let seen = run(plan.clone(), &config).await.unwrap();
        assert_eq!(seen.records_in, read, "run {n}");
    }
    assert_eq!(counts(&cluster), BTreeMap::from([("a".to_owned(), 1)]));
}

#[tokio::test]
async fn positions_of_another_application_and_of_another_writer_are_refused() {
    let cluster = cluster().await;
    let folder = Folder::new("own-foreign");
    append(&folder, "a\n");
    let plan = |name: &'static str| {
        let lines = Lines::of(folder.path("lines.txt"));
        move |s: Scope<'_>| {
            let words = s.source(lines.clone()).utf8().key_by(|w| w);
            words.count().named(name).sink("counts");
        }
    };
    let mut config = fresh(&cluster, &folder, 0);
    config.set("internal.topic.prefix", "team").unwrap();
    run(plan("one"), &config).await.unwrap();
    config.set("application.id", "other").unwrap();
    let error = run(plan("two"), &config).await.unwrap_err().to_string();
    assert!(
        error.contains("team-positions holds the positions of application app"),
        "{error}"
    );
    cluster
        .create_topic_with("other-positions", 1, &[("cleanup.policy", "compact")])
        .unwrap();
    let record: (Option<&[u8]>, Option<&[u8]>) = (Some(b"k"), Some(b"v"));
    cluster.append("other-positions", 0, [record]).unwrap();
    config.set("internal.topic.prefix", "other").unwrap();
    let error = run(plan("three"), &config).await.unwrap_err().to_string();
    assert!(
        error.contains("other-positions was not written by this engine"),
        "{error}"
    );
}

/// While another process has the work, or may have it, its positions go on: here they go back, so that lines come again.
#[tokio::test]
async fn when_the_work_comes_back_lines_go_on_where_the_kept_positions_are_now() {
    for gone in [
        ErrorCode::UNKNOWN_MEMBER_ID,
        ErrorCode::REBALANCE_IN_PROGRESS,
    ] {
        let second = Duration::from_secs(1);
        let cluster = Cluster::builder().topic("counts", 1).topic("lines", 1);
        let cluster = cluster.session_timeouts(second, 60 * second);
        let cluster = cluster.start().await.unwrap();
        let folder = Folder::new(&format!("own-back-{gone:?}"));
        append(&folder, "a\n");
        let file = count(&folder);
        let plan = move |s: Scope<'_>| {
            file(s);
            // A topic does not end, so neither does the run.
            s.source("lines").utf8().for_each(|_| {});
        };
        let mut config = fresh(&cluster, &folder, 0).until_end(false);
        config.set("heartbeat.interval.ms", "20").unwrap();
        // The member that it was is waited for as long.
        config.set("session.timeout.ms", "1000").unwrap();
        let kept = || {
            let records = cluster.records("app-positions", 0).unwrap().into_iter();
            let positions = records.filter(|record| record.key.as_deref() == Some(&[1]));
            let values = positions.map(|record| record.value.unwrap().to_vec());
            values.collect::<Vec<_>>()
        };
        let counted = |n| counts(&cluster) == BTreeMap::from([("a".to_owned(), n)]);
        let script = async {
            until(|| counted(1) && kept().len() > 1).await;
            let outside = cluster
                .faults()
                .on(ApiKey::JOIN_GROUP)
                .always()
                .error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
            let _ = cluster.faults().on(ApiKey::HEARTBEAT).error(gone);
            until(|| outside.hits() > 0).await;
            let first: (Option<&[u8]>, Option<&[u8]>) = (Some(&[1]), Some(&kept()[0]));
            cluster.append("app-positions", 0, [first]).unwrap();
            outside.remove();
            until(|| counted(2)).await;
        };
        run_until(plan, &config, script).await.unwrap();
    }
}
