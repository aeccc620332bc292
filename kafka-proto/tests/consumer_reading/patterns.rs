//! Subscriptions by pattern: topics appear and vanish by themselves.
use std::collections::BTreeSet;

use kafka_proto::{
    client::{Consumer, Error},
    mock,
};

use super::rig::{LIMIT, Rig};

async fn subscribed(pattern: &str) -> (Rig, Consumer) {
    let rig = with_topics("classic").await;
    let mut consumer = Consumer::new(&rig.cluster);
    consumer.subscribe_pattern(pattern).unwrap();
    (rig, consumer)
}

async fn with_topics(protocol: &str) -> Rig {
    let mut builder = mock::Cluster::builder().no_auto_create_topics();
    for topic in ["orders-1", "orders-2", "other-orders-3", "__internal"] {
        builder = builder.topic(topic, 2);
    }
    let properties = [
        ("group.id", "g"),
        ("group.protocol", protocol),
        ("metadata.max.age.ms", "20"),
    ];
    Rig::of(builder, &properties).await
}

fn write(rig: &Rig, topic: &str) {
    for partition in [0, 1] {
        rig.mock
            .append(topic, partition, [(None, Some(topic.as_bytes()))])
            .unwrap();
    }
}

/// Reads so many records, and says which topics they were of.
async fn topics_of(consumer: &mut Consumer, count: usize) -> BTreeSet<String> {
    let mut topics = Vec::new();
    let reading = async {
        while topics.len() < count {
            let record = consumer.recv().await.unwrap();
            topics.push(record.topic().as_str().to_owned());
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap();
    topics.into_iter().collect()
}

fn set(topics: &[&str]) -> BTreeSet<String> {
    topics.iter().map(|topic| (*topic).to_owned()).collect()
}

#[tokio::test]
async fn a_pattern_matches_whole_names_and_topics_made_later_join() {
    let (rig, mut consumer) = subscribed(r"orders-\d").await;
    write(&rig, "other-orders-3");
    write(&rig, "orders-1");
    write(&rig, "orders-2");
    let read = topics_of(&mut consumer, 4).await;
    assert_eq!(read, set(&["orders-1", "orders-2"]));
    assert_eq!(consumer.subscription(), ["orders-1", "orders-2"]);
    rig.mock.create_topic("orders-7", 2).unwrap();
    write(&rig, "orders-7");
    assert_eq!(topics_of(&mut consumer, 2).await, set(&["orders-7"]));
    consumer.unsubscribe().await.unwrap();
    assert!(consumer.subscription().is_empty() && consumer.assignment().is_empty());
}

#[tokio::test]
async fn a_deleted_topic_leaves_the_subscription_without_an_error() {
    let (rig, mut consumer) = subscribed("orders.*").await;
    write(&rig, "orders-1");
    topics_of(&mut consumer, 2).await;
    rig.mock.delete_topic("orders-2").unwrap();
    let leaving = async {
        while consumer.assignment().len() != 2 || consumer.subscription().len() != 1 {
            let records = consumer.poll(std::time::Duration::from_millis(20)).await;
            assert!(records.unwrap().is_empty());
        }
    };
    tokio::time::timeout(LIMIT, leaving).await.unwrap();
    write(&rig, "orders-1");
    assert_eq!(topics_of(&mut consumer, 2).await, set(&["orders-1"]));
}

#[tokio::test]
async fn a_pattern_that_is_none_is_refused_and_excludes_other_subscriptions() {
    let (_rig, mut consumer) = subscribed(".*").await;
    let again = consumer.subscribe(&["orders-1"]).unwrap_err();
    assert!(matches!(again, Error::Usage { .. }), "{again}");
    consumer.unsubscribe().await.unwrap();
    let error = consumer.subscribe_pattern("orders-(").unwrap_err();
    assert!(error.to_string().contains("orders-("), "{error}");
    consumer.subscribe(&["orders-1"]).unwrap();
}

#[tokio::test]
async fn with_the_newer_protocol_either_side_may_match_the_pattern() {
    for by_coordinator in [true, false] {
        let rig = with_topics("consumer").await;
        let mut consumer = Consumer::new(&rig.cluster);
        if by_coordinator {
            consumer.subscribe_server_pattern(r"orders-\d").unwrap();
        } else {
            consumer.subscribe_pattern(r"orders-\d").unwrap();
        }
        for topic in ["orders-1", "orders-2", "other-orders-3"] {
            write(&rig, topic);
        }
        let read = topics_of(&mut consumer, 4).await;
        assert_eq!(read, set(&["orders-1", "orders-2"]));
        consumer.unsubscribe().await.unwrap();
    }
    let rig = with_topics("classic").await;
    let mut consumer = Consumer::new(&rig.cluster);
    let error = consumer.subscribe_server_pattern(".*").unwrap_err();
    assert!(
        error.to_string().contains("group.protocol=consumer"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_that_is_a_pattern_of_librdkafka_is_refused_with_the_method_to_use() {
    let (_rig, mut consumer) = subscribed("none").await;
    consumer.unsubscribe().await.unwrap();
    let error = consumer.subscribe(&["orders-1", "^orders.*"]).unwrap_err();
    assert!(matches!(error, Error::Usage { .. }), "{error}");
    for part in ["`^orders.*`", "`subscribe_pattern`"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(consumer.subscription().is_empty());
    consumer.subscribe(&["orders-1"]).unwrap();
    assert_eq!(consumer.subscription(), ["orders-1"]);
    consumer.subscribe(&["orders-2"]).unwrap();
    assert_eq!(consumer.subscription(), ["orders-2"]);
    consumer.unsubscribe().await.unwrap();
    assert!(consumer.subscription().is_empty());
}
