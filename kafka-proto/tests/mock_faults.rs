//! The in-process cluster's scripted faults, seen from the wire.
#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod raw;

use std::time::Duration;

use kafka_proto::messages::*;
use kafka_proto::mock::Cluster;
use kafka_proto::records::{Stamp, batches};
use raw::{GUARD, Raw, batch, fetch, idempotent, produce, produced, values};
use tokio::io::AsyncReadExt;

async fn cluster() -> Cluster {
    let builder = Cluster::builder().topic("lines", 2).topic("others", 1);
    builder.start().await.unwrap()
}

fn one(topic: &str, partition: i32) -> ProduceRequest {
    produce(topic, partition, batch(&["a"], Stamp::NONE))
}

#[tokio::test]
async fn a_partition_fails_as_often_as_was_said() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let code = ErrorCode::NOT_ENOUGH_REPLICAS;
    let faults = cluster.faults();
    let fault = faults
        .on(ApiKey::PRODUCE)
        .partition("lines", 1)
        .times(2)
        .error(code);
    let mut result =
        async |topic, partition| produced(&client.call(one(topic, partition), 9).await).0;
    assert_eq!(result("lines", 0).await, ErrorCode::NONE);
    assert_eq!(result("lines", 1).await, code);
    assert_eq!(result("others", 0).await, ErrorCode::NONE);
    assert_eq!(result("lines", 1).await, code);
    assert_eq!(result("lines", 1).await, ErrorCode::NONE);
    assert_eq!(fault.hits(), 2);
    assert_eq!(cluster.end_offset("lines", 1).unwrap(), 1);
}

#[tokio::test]
async fn an_applied_write_may_still_be_answered_with_an_error() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let faults = cluster.faults();
    let code = ErrorCode::REQUEST_TIMED_OUT;
    faults
        .on(ApiKey::PRODUCE)
        .topic("lines")
        .applied()
        .error(code);
    let send = || produce("lines", 0, batch(&["a"], idempotent(5, 0)));
    assert_eq!(produced(&client.call(send(), 9).await), (code, -1));
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 1);
    // The producer sends it again: it is there once.
    assert_eq!(
        produced(&client.call(send(), 9).await),
        (ErrorCode::NONE, 0)
    );
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 1);
}

#[tokio::test]
async fn a_connection_drops_before_or_after_the_write() {
    let cluster = cluster().await;
    let faults = cluster.faults();
    faults.on(ApiKey::PRODUCE).drop_connection();
    let mut client = Raw::connect(&cluster).await;
    client.send(&one("lines", 0), 9).await;
    assert!(client.is_closed().await);
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 0);
    faults.on(ApiKey::PRODUCE).applied().drop_connection();
    let mut client = Raw::connect(&cluster).await;
    client.send(&one("lines", 0), 9).await;
    assert!(client.is_closed().await);
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 1);
}

#[tokio::test]
async fn a_response_is_cut_in_the_middle() {
    let cluster = cluster().await;
    let faults = cluster.faults();
    faults.on(ApiKey::PRODUCE).cut_response(10);
    let mut client = Raw::connect(&cluster).await;
    client.send(&one("lines", 0), 9).await;
    let mut received = Vec::new();
    let read = client.stream.read_to_end(&mut received);
    tokio::time::timeout(GUARD, read).await.unwrap().unwrap();
    assert_eq!(received.len(), 10);
}

#[tokio::test]
async fn records_arrive_damaged_and_the_log_stays_good() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    client.call(one("lines", 0), 9).await;
    let faults = cluster.faults();
    faults
        .on(ApiKey::FETCH)
        .partition("lines", 0)
        .corrupt_records();
    let response = client.call(fetch("lines", 0, 0), 12).await;
    let records = response.responses[0].partitions[0].records.clone();
    let batch = batches(records.unwrap().into_bytes()).next().unwrap();
    assert!(batch.unwrap().verify_crc().is_err());
    let response = client.call(fetch("lines", 0, 0), 12).await;
    assert_eq!(values(&response.responses[0].partitions[0]), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_or_are_never_answered() {
    let builder = Cluster::builder().topic("lines", 1).on_this_runtime();
    let cluster = builder.start().await.unwrap();
    let faults = cluster.faults();
    let mut client = Raw::connect(&cluster).await;
    faults.on(ApiKey::PRODUCE).delay(Duration::from_secs(7));
    let before = tokio::time::Instant::now();
    client.call(one("lines", 0), 9).await;
    assert_eq!(before.elapsed().as_secs(), 7);
    faults.on(ApiKey::PRODUCE).never_answer();
    client.send(&one("lines", 0), 9).await;
    // Nor is what comes behind it on the same connection.
    client.send(&one("lines", 0), 9).await;
    let silence = tokio::time::timeout(Duration::from_secs(3600), client.frame());
    assert!(silence.await.is_err());
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 1);
    // Other connections are served.
    let mut client = Raw::connect(&cluster).await;
    assert!(produced(&client.call(one("lines", 0), 9).await).0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_paused_broker_accepts_and_answers_once_it_is_resumed() {
    let builder = Cluster::builder().topic("lines", 1).on_this_runtime();
    let cluster = builder.start().await.unwrap();
    cluster.pause_broker(1);
    let mut client = Raw::connect(&cluster).await;
    client.send(&one("lines", 0), 9).await;
    let silence = tokio::time::timeout(Duration::from_secs(3600), client.frame());
    assert!(silence.await.is_err());
    cluster.resume_broker(1);
    assert!(client.frame().await.is_some());
}

#[tokio::test]
async fn a_throttle_time_is_named() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let faults = cluster.faults();
    faults
        .on(ApiKey::FETCH)
        .throttle(Duration::from_millis(250));
    let response = client.call(fetch("lines", 0, 0), 12).await;
    assert_eq!(response.throttle_time_ms, 250);
    let response = client.call(fetch("lines", 0, 0), 12).await;
    assert_eq!(response.throttle_time_ms, 0);
}

#[tokio::test]
async fn connections_are_dropped_and_the_broker_listens_on() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    client.call(one("lines", 0), 9).await;
    cluster.drop_connections(1).await.unwrap();
    assert!(client.is_closed().await);
    let mut client = Raw::connect(&cluster).await;
    assert!(produced(&client.call(one("lines", 0), 9).await).0.is_ok());
}

#[tokio::test]
async fn what_was_received_can_be_looked_at() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    client.call(one("lines", 0), 9).await;
    client.call(fetch("lines", 0, 0), 11).await;
    let received = cluster.received();
    let seen: Vec<_> = received.iter().map(|of| (of.api, of.version)).collect();
    assert_eq!(seen, [(ApiKey::PRODUCE, 9), (ApiKey::FETCH, 11)]);
    assert_eq!(received[0].client_id, "raw");
    assert_eq!(received[0].connection, received[1].connection);
}

#[tokio::test]
async fn a_response_comes_behind_the_next_one() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    cluster.faults().on(ApiKey::PRODUCE).reorder();
    client.send(&one("lines", 0), 9).await;
    client.send(&fetch("others", 0, 0), 12).await;
    let ids = [client.frame().await, client.frame().await]
        .map(|frame| i32::from_be_bytes(*frame.unwrap().first_chunk().unwrap()));
    assert_eq!(ids[0], ids[1] + 1, "the second request is answered first");
    assert_eq!(cluster.end_offset("lines", 0).unwrap(), 1);
}

#[tokio::test]
async fn a_response_carries_another_requests_id() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    cluster.faults().on(ApiKey::PRODUCE).wrong_correlation_id();
    client.send(&one("lines", 0), 9).await;
    let wrong = client.frame().await.unwrap();
    client.send(&one("lines", 0), 9).await;
    let right = client.frame().await.unwrap();
    assert!(i32::from_be_bytes(*wrong.first_chunk().unwrap()) < 0);
    assert!(i32::from_be_bytes(*right.first_chunk().unwrap()) > 0);
    assert_eq!(wrong.len(), right.len());
}

#[tokio::test]
async fn any_bytes_may_stand_for_a_response() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    let garbage = [0, 0, 0, 6, 1, 2, 3, 4, 5, 6];
    let faults = cluster.faults();
    faults.on(ApiKey::PRODUCE).answer_bytes(garbage.to_vec());
    client.send(&one("lines", 0), 9).await;
    assert_eq!(client.frame().await.unwrap(), garbage[4..]);
    assert!(produced(&client.call(one("lines", 0), 9).await).0.is_ok());
}

#[tokio::test]
async fn a_broker_that_comes_back_has_its_log_and_its_port() {
    let cluster = cluster().await;
    let mut client = Raw::connect(&cluster).await;
    client.call(one("lines", 0), 9).await;
    let servers = cluster.bootstrap_servers();
    cluster.stop_broker(1).await.unwrap();
    assert!(client.is_closed().await);
    cluster.start_broker(1).await.unwrap();
    assert_eq!(cluster.bootstrap_servers(), servers);
    let mut client = Raw::connect(&cluster).await;
    let response = client.call(fetch("lines", 0, 0), 12).await;
    assert_eq!(values(&response.responses[0].partitions[0]), ["a"]);
    assert_eq!(
        produced(&client.call(one("lines", 0), 9).await),
        (ErrorCode::NONE, 1)
    );
}
