//! Removing the state of an application: all of it, nobody else's, and never under a process that runs.

use engine::Reset;
use kafka_proto::client::{GroupOptions, Membership};
use kafka_proto::messages::{ApiKey, ErrorCode};

use super::*;

fn config_in(cluster: &Cluster, folder: &Folder, id: &str) -> Config {
    let mut config = config(cluster);
    config.set("application.id", id).unwrap();
    config.set("state.dir", folder.0.to_str().unwrap()).unwrap();
    config
}

fn changelogs(cluster: &Cluster) -> Vec<String> {
    let topics = cluster.topics().into_iter();
    topics.filter(|name| name.ends_with("-changelog")).collect()
}

async fn reset(config: &Config) {
    Reset::look(config).await.unwrap().execute().await.unwrap();
}

#[tokio::test]
async fn after_a_reset_everything_is_counted_once_and_from_the_beginning() {
    let (cluster, truth) = filled(400).await;
    let folder = Folder::new("reset-once");
    let config = config_in(&cluster, &folder, "app");
    run(wordcount, &config).await.unwrap();
    let (lines, results) = (
        cluster.end_offset("lines", 0).unwrap(),
        cluster.end_offset("counts", 0).unwrap(),
    );
    let look = Reset::look(&config).await.unwrap();
    assert_eq!(look.topics(), ["app-count-1-changelog"]);
    assert_eq!(look.positions(), [("lines", 4)]);
    assert!(look.kept_topics().is_empty() && !look.files().is_empty());
    drop(look);
    assert_eq!(
        committed(&cluster),
        [Some(100); 4],
        "looking removes nothing"
    );
    assert_eq!(changelogs(&cluster), ["app-count-1-changelog"]);
    reset(&config).await;
    assert_eq!(committed(&cluster), [None; 4]);
    assert!(changelogs(&cluster).is_empty());
    assert!(!folder.path("app").exists());
    // What is read and written stays as it is.
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), lines);
    assert_eq!(cluster.end_offset("counts", 0).unwrap(), results);
    assert!(Reset::look(&config).await.unwrap().is_empty());
    reset(&config).await;
    let seen = run(wordcount, &config).await.unwrap();
    assert_eq!(seen.records_in, 400);
    assert_eq!(counts(&cluster), truth);
}

#[tokio::test]
async fn an_application_whose_id_begins_with_another_one_keeps_its_state() {
    let (cluster, _) = filled(40).await;
    let folder = Folder::new("reset-prefix");
    let ids = ["app", "app-b", "app-count", "ap"];
    for id in ids {
        run(wordcount, &config_in(&cluster, &folder, id))
            .await
            .unwrap();
    }
    // Nobody has written there: nothing says whose it is.
    cluster.create_topic("app-empty-changelog", 1).unwrap();
    // Somebody else's, by name alone.
    cluster.create_topic("app-store-changelog", 1).unwrap();
    let value: (Option<&[u8]>, Option<&[u8]>) = (Some(b"k"), Some(b"v"));
    cluster.append("app-store-changelog", 0, [value]).unwrap();
    let config = config_in(&cluster, &folder, "app");
    let look = Reset::look(&config).await.unwrap();
    assert_eq!(look.topics(), ["app-count-1-changelog"]);
    let kept = look.kept_topics();
    let of = |topic: &str| kept.iter().find(|(name, _)| *name == topic).unwrap().1;
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert_eq!(
        of("app-b-count-1-changelog"),
        "it belongs to application app-b"
    );
    assert!(of("app-empty-changelog").contains("no record"));
    look.execute().await.unwrap();
    assert_eq!(
        changelogs(&cluster),
        [
            "ap-count-1-changelog",
            "app-b-count-1-changelog",
            "app-count-count-1-changelog",
            "app-empty-changelog",
            "app-store-changelog"
        ]
    );
    for other in ["app-b", "app-count", "ap"] {
        assert_eq!(cluster.committed_offset(other, "lines", 0), Some(10));
        assert!(folder.path(other).exists());
    }
}

#[tokio::test]
async fn a_reset_is_refused_while_a_process_of_the_application_runs() {
    let (cluster, truth) = filled(40).await;
    let folder = Folder::new("reset-running");
    let config = config_in(&cluster, &folder, "app").until_end(false);
    // Another machine's folder: only the group knows of the process.
    let elsewhere = Folder::new("reset-elsewhere");
    let other = config_in(&cluster, &elsewhere, "app");
    let script = async {
        until(|| committed(&cluster) == [Some(10); 4]).await;
        let error = Reset::look(&other).await.unwrap_err().to_string();
        assert!(error.contains("group app has a member ("), "{error}");
        let local: Vec<(&str, &str)> = vec![
            ("application.id", "app"),
            ("state.dir", folder.0.to_str().unwrap()),
        ];
        let local = Config::from_properties(local).unwrap();
        let error = Reset::look(&local).await.unwrap_err().to_string();
        assert!(error.contains("is running on this machine"), "{error}");
    };
    run_until(wordcount, &config, script).await.unwrap();
    assert_eq!(counts(&cluster), truth);
    assert_eq!(changelogs(&cluster), ["app-count-1-changelog"]);
    // One that starts between the look and the removal.
    let look = Reset::look(&other).await.unwrap();
    let script = async {
        until(|| cluster.group_members("app").len() == 1).await;
        let error = look.execute().await.unwrap_err().to_string();
        assert!(error.contains("nothing was removed"), "{error}");
    };
    run_until(wordcount, &config, script).await.unwrap();
    assert_eq!(committed(&cluster), [Some(10); 4]);
    assert_eq!(changelogs(&cluster), ["app-count-1-changelog"]);
}

#[tokio::test]
async fn a_reset_is_refused_while_the_group_has_a_member_of_the_newer_protocol() {
    let (cluster, _) = filled(4).await;
    let folder = Folder::new("reset-newer");
    let mut client = kafka_proto::client::Config::new(&cluster.bootstrap_servers());
    client.set("group.protocol", "consumer").unwrap();
    client.set("group.id", "app").unwrap();
    let client = kafka_proto::client::Cluster::connect(client).await.unwrap();
    let options = GroupOptions::new("app", &["lines"]);
    let mut member = Membership::join(&client, options).unwrap();
    member.next_event().await.unwrap();
    let config = config_in(&cluster, &folder, "app");
    let error = Reset::look(&config).await.unwrap_err().to_string();
    assert!(error.contains("group app has a member ("), "{error}");
    member.leave().await;
    assert!(Reset::look(&config).await.is_ok());
}

#[tokio::test]
async fn a_reset_that_was_interrupted_is_completed_by_the_next() {
    let (cluster, truth) = filled(400).await;
    let folder = Folder::new("reset-torn");
    let config = config_in(&cluster, &folder, "app");
    let plan = |s: Scope<'_>| {
        let lines = s.source("lines").utf8();
        let all = lines.flat_map(|line| words(line, s.scratch())).share();
        all.clone().key_by(|w| w).count().sink("counts");
        all.key_by(|w| w).count().named("again").for_each(|_| {});
    };
    run(plan, &config).await.unwrap();
    assert_eq!(changelogs(&cluster).len(), 2);
    let refused = cluster
        .faults()
        .on(ApiKey::DELETE_TOPICS)
        .topic("app-count-1-changelog")
        .always()
        .error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let look = Reset::look(&config).await.unwrap();
    let error = look.execute().await.unwrap_err().to_string();
    assert!(
        error.contains("app-count-1-changelog") && error.contains("repeat the reset"),
        "{error}"
    );
    // State without positions is what may be left, never positions without state.
    assert_eq!(committed(&cluster), [None; 4]);
    assert_eq!(changelogs(&cluster), ["app-count-1-changelog"]);
    refused.remove();
    reset(&config).await;
    assert!(changelogs(&cluster).is_empty() && !folder.path("app").exists());
    run(plan, &config).await.unwrap();
    assert_eq!(counts(&cluster), truth);
}

#[tokio::test]
async fn files_that_are_not_the_engines_stay_and_no_other_folder_is_touched() {
    let (cluster, _) = filled(4).await;
    let folder = Folder::new("reset-files");
    let config = config_in(&cluster, &folder, "app");
    run(wordcount, &config).await.unwrap();
    std::fs::write(folder.path("app/notes.txt"), "mine").unwrap();
    std::fs::create_dir_all(folder.path("other/member-0")).unwrap();
    reset(&config).await;
    let left = std::fs::read_dir(folder.path("app")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    assert!(folder.path("other/member-0").exists());
    for id in ["..", ".", "", "a/../b", "/"] {
        let mut config = config.clone();
        config.application_id = Some(id.to_owned());
        let error = Reset::look(&config).await.unwrap_err().to_string();
        assert!(error.starts_with("application.id="), "{error}");
    }
}
