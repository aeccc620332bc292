//! Names and settings of changelogs, as users of Kafka Streams set them.

use engine::Reset;

use super::*;

/// With a folder of the test's own, which a reset removes.
fn with(cluster: &Cluster, folder: &Folder, properties: &[(&str, &str)]) -> Config {
    let mut config = config(cluster);
    config.set("state.dir", folder.0.to_str().unwrap()).unwrap();
    for (key, value) in properties {
        config.set(key, value).unwrap();
    }
    config
}

const CHANGELOG: &str = "app-count-1-changelog";

#[tokio::test]
async fn settings_of_internal_topics_count_when_they_are_created_and_for_no_other_topic() {
    let folder = Folder::new("internal-topics-0");
    let (cluster, _) = filled(4).await;
    let config = with(
        &cluster,
        &folder,
        &[
            ("topic.max.message.bytes", "3000000"),
            ("topic.segment.bytes", "1048576"),
        ],
    );
    let plan = |s: Scope<'_>| {
        let words = s.source("lines").utf8().key_by(|w| w);
        words.count().sink("created");
    };
    let seen = run(plan, &config).await.unwrap();
    assert!(seen.warnings.is_empty(), "{:?}", seen.warnings);
    let of = |topic, name| cluster.topic_config(topic, name).unwrap();
    assert_eq!(of(CHANGELOG, "max.message.bytes"), "3000000");
    assert_eq!(of(CHANGELOG, "segment.bytes"), "1048576");
    assert_eq!(of(CHANGELOG, "cleanup.policy"), "compact");
    assert_ne!(of("created", "max.message.bytes"), "3000000");
}

/// A key's state of two megabytes: more than a topic takes by default, and more than a producer sends.
#[tokio::test]
async fn state_larger_than_a_message_by_default_is_written_where_max_message_bytes_says_so() {
    let folder = Folder::new("internal-topics-1");
    let cluster = Cluster::builder().topic("lines", 1).start().await.unwrap();
    let value: (Option<&[u8]>, Option<&[u8]>) = (None, Some(b"a"));
    cluster.append("lines", 0, [value]).unwrap();
    let plan = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .key_by(|w| w)
            .aggregate(String::new(), |state: &mut String, _| {
                *state = "x".repeat(2 << 20)
            })
            .for_each(|_| {});
    };
    let error = run(plan, &with(&cluster, &folder, &[]))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("max.request.size"), "{error}");
    Reset::look(&with(&cluster, &folder, &[]))
        .await
        .unwrap()
        .execute()
        .await
        .unwrap();
    let large = with(&cluster, &folder, &[("topic.max.message.bytes", "3000000")]);
    run(plan, &large).await.unwrap();
    let seen = run(plan, &large).await.unwrap();
    assert_eq!(seen.state[0].keys, 1, "it is read back");
}

#[tokio::test]
async fn an_internal_topic_that_is_there_with_other_settings_is_said_and_never_changed() {
    let folder = Folder::new("internal-topics-2");
    let (cluster, truth) = filled(40).await;
    run(wordcount, &with(&cluster, &folder, &[])).await.unwrap();
    let other = with(
        &cluster,
        &folder,
        &[
            ("topic.max.message.bytes", "3000000"),
            ("topic.cleanup.policy", "compact"),
            ("max.request.size", "2000000"),
            ("replication.factor", "3"),
        ],
    );
    let seen = run(wordcount, &other).await.unwrap();
    let said = seen.warnings.join("\n");
    for part in [
        "app-count-1-changelog was there with max.message.bytes=1048588",
        "--add-config max.message.bytes=3000000",
        "with 1 replica, and replication.factor=3",
        "max.request.size=2000000 is smaller",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(seen.warnings.len(), 3, "{said}");
    let of = |name| cluster.topic_config(CHANGELOG, name).unwrap();
    assert_eq!(of("max.message.bytes"), "1048588");
    assert_eq!(counts(&cluster), truth);
    let unknown = with(&cluster, &folder, &[("topic.max.mesage.bytes", "1")]);
    let error = run(wordcount, &unknown).await.unwrap_err().to_string();
    assert!(
        error.contains("topic.max.mesage.bytes=1: topics of this cluster have no setting"),
        "{error}"
    );
    for (key, value) in [
        ("topic.cleanup.policy", "delete"),
        ("topic.max.message.bytes", "x"),
        ("topic.", "1"),
    ] {
        let error = Config::from_properties([(key, value)])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("{key}={value}: expected ")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn internal_topics_have_the_prefix_that_was_set_and_a_reset_finds_them_by_it() {
    let folder = Folder::new("internal-topics-3");
    let (cluster, truth) = filled(40).await;
    let prefixed = with(
        &cluster,
        &folder,
        &[("internal.topic.prefix", "team.internal")],
    );
    run(wordcount, &prefixed).await.unwrap();
    let topics = cluster.topics();
    assert!(
        topics.contains(&"team.internal-count-1-changelog".to_owned()),
        "{topics:?}"
    );
    assert!(!topics.contains(&CHANGELOG.to_owned()));
    let seen = run(wordcount, &prefixed).await.unwrap();
    assert_eq!(seen.records_in, 0);
    assert_eq!(counts(&cluster), truth);
    let look = Reset::look(&prefixed).await.unwrap();
    assert_eq!(look.topics(), ["team.internal-count-1-changelog"]);
    look.execute().await.unwrap();
    assert_eq!(cluster.topics(), ["copies", "counts", "lines"]);
}

#[tokio::test]
async fn names_that_are_too_long_together_are_refused_before_anything_is_asked_of_a_broker() {
    // Nobody listens there.
    let id = "x".repeat(235);
    let config = Config::from_properties([
        ("bootstrap.servers", "127.0.0.1:1"),
        ("application.id", &*id),
    ]);
    let error = run(wordcount, &config.unwrap())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("would have a name of 253 characters"),
        "{error}"
    );
    for (key, value) in [
        ("application.id", ".."),
        ("group.id", ""),
        ("internal.topic.prefix", "a/b"),
    ] {
        let error = Config::from_properties([(key, value)])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("{key}={value}: expected ")),
            "{error}"
        );
    }
}
