//! Where reading begins, what is found on the way, and where it ends.

use std::sync::{Arc, Mutex};

use engine::connectors::{OffsetSpec, Topics};

use super::*;

/// What is read, as `topic-partition@offset`.
fn places(seen: &Mutex<Vec<String>>) -> Vec<String> {
    let mut all = seen.lock().unwrap().clone();
    all.sort();
    all
}

fn noting(
    topics: Topics,
    seen: &Arc<Mutex<Vec<String>>>,
) -> impl Fn(Scope<'_>) + Send + Sync + use<> {
    let seen = Arc::clone(seen);
    move |s| {
        s.source(&topics).record().for_each(|r| {
            let place = format!("{}-{}@{}", r.topic, r.partition.unwrap(), r.offset);
            seen.lock().unwrap().push(place);
        });
    }
}

#[tokio::test]
async fn a_pattern_finds_a_topic_and_a_partition_that_are_made_while_it_runs() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "pattern").await;
    job.create("sensor-1", 2);
    job.create("other", 1);
    job.write("sensor-1", 1, &[(1000, "x")]).await;
    job.write("other", 0, &[(1000, "x")]).await;
    let mut config = job.running();
    config.set("metadata.max.age.ms", "100").unwrap();
    let seen = Arc::default();
    let plan = noting(Topics::pattern("pattern-sensor-.*"), &seen);
    let script = async {
        let wait_for = |n: usize| {
            let seen: Arc<Mutex<Vec<String>>> = Arc::clone(&seen);
            until(move || seen.lock().unwrap().len() >= n)
        };
        wait_for(1).await;
        job.create("sensor-2", 1);
        job.write("sensor-2", 0, &[(1000, "x"), (2000, "x")]).await;
        wait_for(3).await;
        job.add_partitions("sensor-2", 2).await;
        job.write("sensor-2", 1, &[(3000, "x")]).await;
        wait_for(4).await;
    };
    run_until(plan, &config, script).await.unwrap();
    assert_eq!(
        places(&seen),
        [
            "pattern-sensor-1-1@0",
            "pattern-sensor-2-0@0",
            "pattern-sensor-2-0@1",
            "pattern-sensor-2-1@0"
        ]
    );
    assert_eq!(
        job.committed("sensor-2").await,
        BTreeMap::from([(0, 2), (1, 1)])
    );
}

#[tokio::test]
async fn reading_begins_at_a_time_or_at_offsets_and_then_at_what_was_committed() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "starts").await;
    job.create("rows", 2);
    for partition in 0..2 {
        let rows: Vec<_> = (1..=4)
            .map(|n| (i64::from(partition) * 500 + n * 1000, "x"))
            .collect();
        job.write("rows", partition, &rows).await;
    }
    let input = job.topic("rows");
    let given = vec![(input.clone(), 0, 3), (input.clone(), 1, 1)];
    for (n, (start, offsets)) in [
        (OffsetSpec::Timestamp(3200), [3, 2]),
        (OffsetSpec::Offsets(given), [3, 1]),
        (OffsetSpec::Timestamp(9000), [4, 4]),
        (OffsetSpec::Latest, [4, 4]),
        (OffsetSpec::Committed, [0, 0]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut config = job.config();
        config
            .set("application.id", &format!("starts-{n}"))
            .unwrap();
        let truth: Vec<_> = (0..2)
            .flat_map(|p| (offsets[p]..4).map(move |offset| format!("starts-rows-{p}@{offset}")))
            .collect();
        let seen = Arc::default();
        let topics = Topics::list([&*input]).start(start.clone());
        run(noting(topics.clone(), &seen), &config).await.unwrap();
        assert_eq!(places(&seen), truth, "{start:?}");
        // What was committed goes before it.
        run(noting(topics, &seen), &config).await.unwrap();
        assert_eq!(places(&seen), truth, "{start:?} again");
    }
}

/// Behaviour 75: markers of transactions, what was aborted, and what is still open.
#[tokio::test]
async fn a_run_until_the_end_ends_where_control_records_are_the_last_thing() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "markers").await;
    job.create("rows", 4);
    let of = |text: &'static str| [(0, text), (0, text)];
    job.write("rows", 3, &of("plain")).await;
    for (partition, text, committed) in [(0, "committed", true), (1, "aborted", false)] {
        let transaction = Transaction::begin(&job, text).await;
        transaction.write("rows", partition, &of(text)).await;
        transaction.end(committed).await;
    }
    let open = Transaction::begin(&job, "open").await;
    open.write("rows", 3, &of("open")).await;
    let (input, output) = (job.topic("rows"), job.topic("counts"));
    let plan = move |s: Scope<'_>| {
        let words = s.source(&*input).utf8().key_by(|w| w);
        words.count().sink(&*output);
    };
    let seen = run(plan, &job.config()).await.unwrap();
    let truth = [("committed".to_owned(), 2), ("plain".to_owned(), 2)];
    assert_eq!(job.numbers("counts").await, BTreeMap::from(truth));
    let committed = job.committed("rows").await;
    let of = |partition| committed.get(&partition).copied();
    // Two rows and a marker; two that were aborted and a marker; nothing; what was decided.
    assert_eq!([of(0), of(1), of(3)], [Some(3), Some(3), Some(2)]);
    assert!(matches!(of(2), None | Some(0)), "{committed:?}");
    assert_eq!(seen.lag, 0);
    open.end(false).await;
}
