//! Topics that are missing, go away, or are not what this application left behind: one clear line each, nothing hangs.

use super::*;

#[tokio::test]
async fn a_missing_input_where_creation_is_off_names_the_topic_and_the_setting() {
    let cluster = Cluster::builder()
        .no_auto_create_topics()
        .start()
        .await
        .unwrap();
    let error = run(wordcount, &config(&cluster))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("topic lines does not exist") && error.contains("auto.create.topics.enable"),
        "{error}"
    );
    assert!(
        cluster.topics().iter().all(|topic| topic.starts_with("__")),
        "nothing was made: {:?}",
        cluster.topics()
    );
}

#[tokio::test]
async fn a_missing_input_is_created_where_the_brokers_do_that() {
    let cluster = Cluster::builder().start().await.unwrap();
    run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(cluster.partition_count("lines"), 1);
}

#[tokio::test]
async fn a_missing_topic_is_not_created_against_the_clients_own_setting() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut config = config(&cluster);
    config.set("allow.auto.create.topics", "false").unwrap();
    let error = run(wordcount, &config).await.unwrap_err().to_string();
    assert!(
        error.contains("topic lines does not exist") && error.contains("allow.auto.create.topics"),
        "{error}"
    );
}

#[tokio::test]
async fn a_changelog_with_another_number_of_partitions_is_refused() {
    let (cluster, _) = filled(8).await;
    cluster
        .create_topic_with("app-count-1-changelog", 5, &[("cleanup.policy", "compact")])
        .unwrap();
    let error = run(wordcount, &config(&cluster)).await.unwrap_err();
    assert!(matches!(error, Error::State(_)), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("app-count-1-changelog has 5 partitions") && error.contains("16"),
        "{error}"
    );
    assert_eq!(committed(&cluster), [None; 4]);
}

#[tokio::test]
async fn a_changelog_that_is_not_compacted_is_refused_with_the_command_that_helps() {
    for policy in ["delete", "compact,delete"] {
        let (cluster, _) = filled(8).await;
        cluster
            .create_topic_with("app-count-1-changelog", 16, &[("cleanup.policy", policy)])
            .unwrap();
        let error = run(wordcount, &config(&cluster))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("cleanup.policy={policy}"))
                && error.contains("--add-config cleanup.policy=compact"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn state_of_another_plan_under_the_same_id_is_refused() {
    let (cluster, _) = filled(8).await;
    run(wordcount, &config(&cluster)).await.unwrap();
    // Its changelog is taken for that of an operator with the same name and another kind.
    let other = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .map(|l| (l, 1u64))
            .key_by(|l| l.0)
            .aggregate(0u64, |n, l| *n += l.1)
            .named("count-1")
            .sink("counts");
    };
    let error = run(other, &config(&cluster)).await.unwrap_err().to_string();
    assert!(
        error.contains("holds state of another application") && error.contains("operator kind"),
        "{error}"
    );
}

#[tokio::test]
async fn an_input_that_is_deleted_while_running_ends_the_run_with_its_name() {
    let (cluster, _) = filled(400).await;
    let running = config(&cluster).until_end(false);
    let script = async {
        until(|| !committed(&cluster).iter().any(Option::is_none)).await;
        cluster.delete_topic("lines").unwrap();
        std::future::pending::<()>().await;
    };
    let error = run_until(wordcount, &running, script)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("lines"), "{error}");
}

#[tokio::test]
async fn an_input_that_is_made_anew_while_running_ends_the_run_and_is_not_read_from_the_middle() {
    let (cluster, _) = filled(400).await;
    let running = config(&cluster).until_end(false);
    let script = async {
        until(|| !committed(&cluster).iter().any(|at| *at != Some(100))).await;
        cluster.delete_topic("lines").unwrap();
        cluster.create_topic("lines", 4).unwrap();
        std::future::pending::<()>().await;
    };
    let error = run_until(wordcount, &running, script)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("lines"), "{error}");
}

#[tokio::test]
async fn a_committed_position_that_is_gone_is_lost_data_and_stops_the_run() {
    let (cluster, mut truth) = filled(400).await;
    run(wordcount, &config(&cluster)).await.unwrap();
    add_lines(&cluster, 400, &mut truth);
    cluster.delete_records("lines", 2, 150).unwrap();
    let error = run(wordcount, &config(&cluster))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("lines-2") && error.contains("100"),
        "{error}"
    );
}
