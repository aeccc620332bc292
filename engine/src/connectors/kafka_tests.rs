//! What a member of a group keeps and says of itself, over the in-process cluster.

use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;

use super::*;
use crate::batch::source::IntoOrigin;

/// A member that owns the work of a plan with state.
async fn owner(state_dir: &std::path::Path) -> (mock::Cluster, Kafka) {
    let cluster = mock::Cluster::builder().topic("lines", 1);
    let cluster = cluster.start().await.unwrap();
    let client = [
        ("bootstrap.servers", cluster.bootstrap_servers()),
        ("heartbeat.interval.ms", "20".to_owned()),
    ];
    let settings = Settings {
        application_id: "app".to_owned(),
        client: client.map(|(key, value)| (key.to_owned(), value)).into(),
        state_dir: Some(state_dir.to_owned()),
        replication_factor: -1,
        internal_prefix: None,
        internal_configs: BTreeMap::new(),
        until_end: true,
    };
    let mut log = Kafka::connect(settings).await.unwrap();
    let lines = [("lines".to_owned(), Need::Input("lines".into_origin()))];
    log.open(&lines).await.unwrap();
    log.join(&[0], true).await.unwrap();
    let change = log.change().await.unwrap();
    assert!(
        matches!(change, Change::Assigned(Share::Mine(_))),
        "{change:?}"
    );
    (cluster, log)
}

/// Generations begin anew when a coordinator has lost a group: what a former owner says must not outdo the owner of today.
#[tokio::test]
async fn who_has_lost_the_work_does_not_say_that_it_is_the_owner() {
    let folder = crate::state::temporary_folder("lost-owner");
    let (cluster, log) = owner(&folder).await;
    let says = || log.owner.userdata(None).unwrap();
    assert_ne!(says()[..], (-1i32).to_be_bytes());
    let _ = cluster
        .faults()
        .on(ApiKey::HEARTBEAT)
        .error(ErrorCode::UNKNOWN_MEMBER_ID);
    let change = log.change().await.unwrap();
    assert!(matches!(change, Change::Lost(_)), "{change:?}");
    assert_eq!(says()[..], (-1i32).to_be_bytes());
    log.close().await;
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn the_member_id_of_a_killed_process_is_found_by_the_next_one_and_that_of_one_that_left_is_not()
 {
    let folder = crate::state::temporary_folder("member-id");
    let (_cluster, killed) = owner(&folder).await;
    drop(killed);
    let next = Home::enter(&folder, "app").unwrap();
    assert!(next.member_id().is_some());
    drop(next);
    let (_cluster, left) = owner(&folder).await;
    left.close().await;
    let next = Home::enter(&folder, "app").unwrap();
    assert_eq!(next.member_id(), None);
    let _ = std::fs::remove_dir_all(folder);
}
