//! State on disk, and input that grows wider.

use super::*;

#[cfg(feature = "fjall")]
#[tokio::test]
async fn state_on_disk_goes_on_after_a_restart_with_much_less_memory_than_keys() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "disk").await;
    job.create("rows", 2);
    job.create("counts", 2);
    let (input, output) = (job.topic("rows"), job.topic("counts"));
    let plan = move |s: Scope<'_>| {
        // The least there is: not all of the keys fit in.
        let store = engine::state::Store::Disk {
            cache_bytes: 64 << 10,
        };
        let words = s.source(&*input).utf8().key_by(|w| w);
        words.state_store(store).count().sink(&*output);
    };
    let mut truth: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..2 {
        for partition in 0..2 {
            let words: Vec<_> = (0..6000u64)
                .map(|n| (0, format!("word-{}", (n * n + partition + round) % 8191)))
                .collect();
            for (_, word) in &words {
                *truth.entry(word.clone()).or_default() += 1;
            }
            job.write("rows", partition as i32, &words).await;
        }
        let seen = run(plan.clone(), &job.config()).await.unwrap();
        assert_eq!(seen.records_in, 12_000);
        assert_eq!(seen.state[0].keys, truth.len() as u64);
        assert_eq!(job.numbers("counts").await, truth, "round {round}");
    }
}

/// Behaviour 54, as documented: keys have their groups whatever partition they come from.
#[tokio::test]
async fn a_partition_added_to_a_keyed_source_while_it_runs_is_read_from_its_first_record() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "wider").await;
    job.create("rows", 2);
    job.create("counts", 1);
    let (input, output) = (job.topic("rows"), job.topic("counts"));
    let plan = move |s: Scope<'_>| {
        let words = s.source(&*input).utf8().key_by(|w| w);
        words.count().sink(&*output);
    };
    let words: Vec<_> = (0..300).map(|n| (0, format!("w{}", n % 17))).collect();
    let mut config = job.running();
    config.set("metadata.max.age.ms", "100").unwrap();
    let script = async {
        for partition in 0..2 {
            job.write("rows", partition, &words).await;
        }
        job.until_committed("rows", 600).await;
        job.add_partitions("rows", 3).await;
        job.write("rows", 2, &words).await;
        job.write("rows", 0, &words).await;
        job.until_committed("rows", 1200).await;
    };
    let seen = run_until(plan, &config, script).await.unwrap();
    assert_eq!(seen.records_in, 1200);
    let mut truth: BTreeMap<String, u64> = BTreeMap::new();
    for (_, word) in &words {
        *truth.entry(word.clone()).or_default() += 4;
    }
    assert_eq!(job.numbers("counts").await, truth);
}

#[tokio::test]
async fn a_reset_removes_the_state_of_one_application_and_it_counts_from_the_beginning_again() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "reset").await;
    // Its name begins with the first one's.
    let other = Job::new(kafka, "reset-other").await;
    for job in [&job, &other] {
        job.create("rows", 2);
        job.create("counts", 1);
        job.write("rows", 0, &[(0, "a"), (0, "b")]).await;
        job.write("rows", 1, &[(0, "a")]).await;
    }
    let plan = |job: &Job| {
        let (input, output) = (job.topic("rows"), job.topic("counts"));
        move |s: Scope<'_>| {
            let words = s.source(&*input).utf8().key_by(|w| w);
            words.count().sink(&*output);
        }
    };
    let mut config = job.config();
    config.set("topic.segment.bytes", "2097152").unwrap();
    let seen = run(plan(&job), &config).await.unwrap();
    assert!(seen.warnings.is_empty(), "{:?}", seen.warnings);
    run(plan(&other), &other.config()).await.unwrap();
    let script = async {
        job.until_committed("rows", 3).await;
        let error = engine::Reset::look(&job.config()).await.unwrap_err();
        assert!(error.to_string().contains("stop"), "{error}");
    };
    run_until(plan(&job), &job.running(), script).await.unwrap();
    for _ in 0..2 {
        let reset = engine::Reset::look(&job.config()).await.unwrap();
        assert!(
            reset
                .topics()
                .iter()
                .all(|name| *name == "reset-count-1-changelog")
        );
        reset.execute().await.unwrap();
        assert!(job.committed("rows").await.is_empty());
    }
    let seen = run(plan(&job), &job.config()).await.unwrap();
    assert_eq!(seen.records_in, 3);
    let truth = BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(job.numbers("counts").await, truth);
    let seen = run(plan(&other), &other.config()).await.unwrap();
    assert_eq!((seen.records_in, seen.state[0].keys), (0, 2));
}
