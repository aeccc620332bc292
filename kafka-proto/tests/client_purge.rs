//! What a producer has accepted is given up on request: nothing of it is delivered later, and what comes after it is.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::time::Duration;

use kafka_proto::client::{Config, Error, Producer, ProducerRecord, RecordDelivery};
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;

async fn mock() -> mock::Cluster {
    let builder = mock::Cluster::builder().topic("t", 1).on_this_runtime();
    builder.start().await.unwrap()
}

async fn producer(mock: &mock::Cluster, linger_ms: u64) -> Producer {
    let config = Config::new(&mock.bootstrap_servers()).linger_ms(linger_ms);
    Producer::connect(config).await.unwrap()
}

async fn enqueue(producer: &Producer, value: &str) -> RecordDelivery {
    let record = ProducerRecord {
        topic: "t",
        value: Some(value.as_bytes()),
        ..Default::default()
    };
    producer.enqueue(record).await.unwrap()
}

fn values(mock: &mock::Cluster) -> Vec<String> {
    let records = mock.records("t", 0).unwrap().into_iter();
    records
        .map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap())
        .collect()
}

/// Whether it was purged, and whether it may be in the log.
async fn purged(delivery: RecordDelivery) -> (bool, bool) {
    match delivery.await.unwrap_err() {
        Error::Delivery {
            source,
            maybe_written,
            ..
        } => (matches!(*source, Error::Purged), maybe_written),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_request_is_never_sent_and_the_request_is_waited_for() {
    let mock = mock().await;
    let producer = producer(&mock, 0).await;
    enqueue(&producer, "before").await.await.unwrap();
    let slow = mock
        .faults()
        .on(ApiKey::PRODUCE)
        .delay(Duration::from_secs(5));
    // With an attempt at a broker before them, batches wait until it is answered.
    let first = enqueue(&producer, "on the wire").await;
    while slow.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut waiting = Vec::new();
    for n in 0..20 {
        waiting.push(enqueue(&producer, &format!("waits {n}")).await);
    }
    producer.purge().await.unwrap();
    assert!(first.await.is_ok(), "purge waits for it");
    let mut sent = 0;
    for delivery in waiting {
        match delivery.await {
            Ok(_) => sent += 1,
            Err(Error::Delivery { maybe_written, .. }) => assert!(!maybe_written),
            Err(other) => panic!("{other}"),
        }
    }
    let so_far = values(&mock).len();
    assert_eq!(
        so_far,
        2 + sent,
        "what is told to be delivered is, and nothing else"
    );
    enqueue(&producer, "after").await.await.unwrap();
    producer.flush().await.unwrap();
    assert_eq!(values(&mock)[so_far..], ["after"]);
    let clear = producer.purge();
    clear.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn records_whose_batch_is_still_being_filled_are_purged() {
    let mock = mock().await;
    let producer = producer(&mock, 60_000).await;
    let one = enqueue(&producer, "one").await;
    let two = enqueue(&producer, "two").await;
    // It happens at once, whoever waits for it.
    drop(producer.purge());
    assert_eq!(purged(one).await, (true, false));
    assert_eq!(purged(two).await, (true, false));
    let three = enqueue(&producer, "three").await;
    producer.flush().await.unwrap();
    assert_eq!(three.await.unwrap().offset, Some(0));
    assert_eq!(values(&mock), ["three"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_to_be_sent_again_is_not() {
    let mock = mock().await;
    let producer = producer(&mock, 0).await;
    enqueue(&producer, "before").await.await.unwrap();
    let refused = mock
        .faults()
        .on(ApiKey::PRODUCE)
        .always()
        .error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let old = enqueue(&producer, "old").await;
    while refused.hits() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    producer.purge().await.unwrap();
    old.await.unwrap_err();
    refused.remove();
    for n in 0..3 {
        enqueue(&producer, &format!("new {n}")).await.await.unwrap();
    }
    assert_eq!(values(&mock), ["before", "new 0", "new 1", "new 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_written_batch_whose_answer_was_lost_may_be_written_and_is_not_written_again() {
    let mock = mock().await;
    let producer = producer(&mock, 0).await;
    enqueue(&producer, "before").await.await.unwrap();
    // The answer never comes; the request is lost after request.timeout.ms.
    let lost = mock.faults().on(ApiKey::PRODUCE).applied().never_answer();
    let old = enqueue(&producer, "old").await;
    while lost.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    producer.purge().await.unwrap();
    match old.await {
        Err(Error::Delivery { maybe_written, .. }) => assert!(maybe_written),
        other => panic!("{other:?}"),
    }
    enqueue(&producer, "new").await.await.unwrap();
    let written = values(&mock);
    assert_eq!(written.iter().filter(|value| *value == "old").count(), 1);
    assert_eq!(written.last().unwrap(), "new");
}
