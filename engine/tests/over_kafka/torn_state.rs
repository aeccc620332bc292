//! State and positions that do not belong together: they are refused, with the command that helps, and nothing is counted twice in silence.

use engine::connectors::Lines;
use kafka_proto::client::{Admin, OffsetToCommit};

use super::*;

const RESET: &str = "kafka-engine reset --bootstrap-servers HOST:PORT --group-id app";

async fn admin(cluster: &Cluster) -> Admin {
    let properties = [("bootstrap.servers", cluster.bootstrap_servers())];
    let config = kafka_proto::client::Config::from_properties(properties).unwrap();
    Admin::connect(config).await.unwrap()
}

fn lines_counted(s: Scope<'_>) {
    let lines = s.source("lines").utf8();
    lines.key_by(|_| "all").count().sink("counts");
}

async fn refused(
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
    config: &Config,
    words: &[&str],
) {
    let error = run(plan, config).await.unwrap_err();
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[tokio::test]
async fn a_count_whose_group_was_deleted_is_refused_and_not_doubled() {
    for threads in ["1", "2", "4"] {
        let (cluster, _) = filled(10).await;
        let mut config = config(&cluster);
        config.set("num.stream.threads", threads).unwrap();
        run(lines_counted, &config).await.unwrap();
        assert_eq!(counts(&cluster)["all"], 10);
        let deleted = admin(&cluster).await.delete_groups(&["app"]).await;
        deleted.into_iter().for_each(|deleted| deleted.unwrap());
        refused(lines_counted, &config, &["no committed positions", RESET]).await;
        assert_eq!(counts(&cluster)["all"], 10);
    }
}

#[tokio::test]
async fn a_count_whose_positions_a_tool_has_set_is_refused() {
    let (cluster, _) = filled(10).await;
    let config = config(&cluster);
    run(lines_counted, &config).await.unwrap();
    let to: Vec<OffsetToCommit> = (0..4).map(|p| OffsetToCommit::new("lines", p, 0)).collect();
    let admin = admin(&cluster).await;
    admin.alter_group_offsets("app", &to).await.unwrap();
    refused(lines_counted, &config, &["position 0 of lines-", RESET]).await;
    assert_eq!(counts(&cluster)["all"], 10);
}

#[tokio::test]
async fn a_plan_without_state_goes_on_where_a_tool_has_set_its_positions() {
    let (cluster, _) = filled(10).await;
    let config = config(&cluster);
    run(copy, &config).await.unwrap();
    let admin = admin(&cluster).await;
    let to: Vec<OffsetToCommit> = (0..4).map(|p| OffsetToCommit::new("lines", p, 0)).collect();
    admin.alter_group_offsets("app", &to).await.unwrap();
    let again = run(copy, &config).await.unwrap();
    assert_eq!(again.records_in, 10);
    admin.delete_groups(&["app"]).await.remove(0).unwrap();
    assert_eq!(run(copy, &config).await.unwrap().records_in, 10);
}

#[tokio::test]
async fn a_count_of_a_file_is_refused_where_its_positions_are_gone() {
    let folder = Folder::new("torn-file");
    let path = folder.path("lines.txt");
    std::fs::write(&path, "a\nb\nc\n").unwrap();
    let (cluster, _) = filled(0).await;
    let plan = move |s: Scope<'_>| {
        let lines = s.source(Lines::of(path.clone())).utf8();
        lines.key_by(|_| "all").count().sink("counts");
    };
    let config = config(&cluster);
    run(plan.clone(), &config).await.unwrap();
    assert_eq!(counts(&cluster)["all"], 3);
    run(plan.clone(), &config).await.unwrap();
    assert_eq!(counts(&cluster)["all"], 3, "its positions are known");
    cluster.delete_topic("app-positions").unwrap();
    refused(
        plan,
        &config,
        &["0 of the 1 partitions", "lines.txt", RESET],
    )
    .await;
    assert_eq!(counts(&cluster)["all"], 3);
}
