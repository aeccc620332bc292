//! The producer against the in-process cluster with scripted faults and a paused clock.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use kafka_proto::client::{
    Cluster, CompressionType, Config, Error, Producer, ProducerRecord, Purpose,
};
use kafka_proto::messages::{ApiKey, ErrorCode};
use kafka_proto::mock;
use kafka_proto::records::batches;
use tokio::time::Instant;

async fn mock(brokers: u16, partitions: i32) -> mock::Cluster {
    mock::Cluster::builder()
        .brokers(brokers)
        .topic("t", partitions)
        .no_auto_create_topics()
        .on_this_runtime()
        .start()
        .await
        .unwrap()
}

fn config(mock: &mock::Cluster) -> Config {
    Config::new(&mock.bootstrap_servers())
}

async fn producer(mock: &mock::Cluster) -> Producer {
    Producer::connect(config(mock)).await.unwrap()
}

fn record(partition: i32, value: &str) -> ProducerRecord<'_> {
    ProducerRecord {
        topic: "t",
        partition: Some(partition),
        value: Some(value.as_bytes()),
        ..Default::default()
    }
}

/// The values of a partition as text.
fn values(mock: &mock::Cluster, partition: i32) -> Vec<String> {
    let records = mock.records("t", partition).unwrap();
    let text = |record: &mock::Record| {
        String::from_utf8(record.value.as_deref().unwrap_or_default().to_vec()).unwrap()
    };
    records.iter().map(text).collect()
}

/// Submits a lent batch that holds one record.
async fn submit(producer: &Producer, value: &str) -> kafka_proto::client::Delivery {
    let mut batch = producer.open_batch("t", 0);
    batch.append(1, None, Some(value.as_bytes()), &[]).unwrap();
    producer.submit(batch).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn records_arrive_with_key_value_headers_and_timestamp() {
    let mock = mock(1, 3).await;
    let producer = producer(&mock).await;
    let headers: [(&str, Option<&[u8]>); 3] = [("a", Some(b"1")), ("a", None), ("b", Some(b""))];
    let sent = producer
        .send(ProducerRecord {
            topic: "t",
            timestamp: Some(1234),
            key: Some(b"key"),
            value: None,
            headers: &headers,
            ..Default::default()
        })
        .await
        .unwrap();
    let partition = kafka_proto::partition::partition_for_key(b"key", 3);
    assert_eq!((sent.partition, sent.offset), (partition, Some(0)));
    let records = mock.records("t", partition).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].timestamp, 1234);
    assert_eq!(records[0].key.as_deref(), Some(&b"key"[..]));
    assert_eq!(records[0].value, None);
    assert_eq!(records[0].headers.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn records_of_one_linger_share_a_batch_and_know_their_offsets() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    let mut deliveries = Vec::new();
    for value in ["a", "b", "c"] {
        deliveries.push(producer.enqueue(record(0, value)).await.unwrap());
    }
    let begin = Instant::now();
    for (offset, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.await.unwrap().offset, Some(offset as i64));
    }
    assert!(begin.elapsed() >= Duration::from_millis(5));
    assert_eq!(mock.received_count(ApiKey::PRODUCE), 1);
    assert_eq!(values(&mock, 0), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_change_partition_with_each_full_batch() {
    let mock = mock(1, 3).await;
    let producer = Producer::connect(config(&mock).batch_size(1000_usize))
        .await
        .unwrap();
    let value = [b'x'; 100];
    for _ in 0..400 {
        let record = ProducerRecord {
            topic: "t",
            value: Some(&value),
            ..Default::default()
        };
        drop(producer.enqueue(record).await.unwrap());
    }
    producer.flush().await.unwrap();
    let counts: Vec<usize> = (0..3)
        .map(|partition| values(&mock, partition).len())
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 400);
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    // Not a batch for each record: eight fit into one.
    assert!(producer.cluster().metrics().batches_sent < 80);
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_linger() {
    let mock = mock(1, 1).await;
    let producer = Producer::connect(config(&mock).linger_ms(10_000_u64))
        .await
        .unwrap();
    let delivery = producer.enqueue(record(0, "a")).await.unwrap();
    let begin = Instant::now();
    producer.flush().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(delivery.await.unwrap().offset, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_fetched_batch_is_relayed_as_it_is() {
    let mock = mock(1, 2).await;
    let producer = producer(&mock).await;
    let mut batch = producer.open_batch("t", 0);
    for value in ["a", "b", "c"] {
        batch
            .append(7, Some(b"k"), Some(value.as_bytes()), &[])
            .unwrap();
    }
    let delivered = producer.submit(batch).await.unwrap().await.unwrap();
    assert_eq!(
        (delivered.base_offset, delivered.record_count),
        (Some(0), 3)
    );
    let raw = mock.raw("t", 0).unwrap().remove(0);
    let fetched = batches(raw).next().unwrap().unwrap();
    for _ in 0..3 {
        producer
            .submit_relay("t", 1, &fetched, 0)
            .await
            .unwrap()
            .await
            .unwrap();
    }
    assert_eq!(
        values(&mock, 1),
        ["a", "b", "c", "a", "b", "c", "a", "b", "c"]
    );
    assert!(producer.submit_relay("t", 1, &fetched, 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_neither_loses_nor_duplicates_nor_reorders() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    submit(&producer, "first").await.await.unwrap();
    for after in 0..5 {
        let lost = mock
            .faults()
            .on(ApiKey::PRODUCE)
            .after(after)
            .applied()
            .drop_connection();
        let mut deliveries = Vec::new();
        for number in 0..5 {
            deliveries.push(submit(&producer, &format!("{after}.{number}")).await);
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        assert_eq!(lost.hits(), 1);
    }
    let expected = (0..5).flat_map(|after| (0..5).map(move |number| format!("{after}.{number}")));
    let expected: Vec<String> = std::iter::once("first".to_owned())
        .chain(expected)
        .collect();
    assert_eq!(values(&mock, 0), expected);
}

#[tokio::test(start_paused = true)]
async fn a_failing_batch_is_not_overtaken_by_the_four_behind_it() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    submit(&producer, "first").await.await.unwrap();
    mock.faults()
        .on(ApiKey::PRODUCE)
        .partition("t", 0)
        .after(1)
        .error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let mut deliveries = Vec::new();
    for value in ["a", "b", "c", "d", "e", "f"] {
        deliveries.push(submit(&producer, value).await);
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    assert_eq!(values(&mock, 0), ["first", "a", "b", "c", "d", "e", "f"]);
    assert_eq!(producer.cluster().metrics().epoch_bumps, 0);
}

#[tokio::test(start_paused = true)]
async fn sequences_go_on_across_a_leader_move() {
    let mock = mock(2, 1).await;
    let producer = producer(&mock).await;
    let mut expected = Vec::new();
    for round in 0..4 {
        let leader = mock.leader("t", 0).unwrap();
        let other = mock
            .broker_ids()
            .into_iter()
            .find(|id| *id != leader)
            .unwrap();
        let mut deliveries = Vec::new();
        for number in 0..3 {
            let value = format!("{round}.{number}");
            deliveries.push(submit(&producer, &value).await);
            expected.push(value);
            if number == 0 {
                mock.move_leader("t", 0, other).unwrap();
            }
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    }
    assert_eq!(values(&mock, 0), expected);
    assert_eq!(producer.cluster().metrics().epoch_bumps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_fails_alone_and_the_epoch_is_raised_once() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    submit(&producer, "first").await.await.unwrap();
    mock.faults()
        .on(ApiKey::PRODUCE)
        .partition("t", 0)
        .after(1)
        .error(ErrorCode::MESSAGE_TOO_LARGE);
    let mut deliveries = Vec::new();
    for value in ["a", "b", "c", "d", "e"] {
        deliveries.push(submit(&producer, value).await);
    }
    let mut results = Vec::new();
    for delivery in deliveries {
        results.push(delivery.await);
    }
    let error = results.remove(1).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
    assert_eq!(error.maybe_written(), Some(false));
    assert!(error.to_string().contains("t-0"), "{error}");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(values(&mock, 0), ["first", "a", "c", "d", "e"]);
    assert_eq!(producer.cluster().metrics().epoch_bumps, 1);
}

#[tokio::test(start_paused = true)]
async fn a_paused_broker_times_a_delivery_out_and_it_may_be_in_the_log() {
    let mock = mock(1, 1).await;
    let config = config(&mock)
        .request_timeout_ms(1000_u64)
        .delivery_timeout_ms(5000_u64);
    let producer = Producer::connect(config).await.unwrap();
    submit(&producer, "first").await.await.unwrap();
    mock.pause_broker(mock.broker_ids()[0]);
    let begin = Instant::now();
    let error = submit(&producer, "second").await.await.unwrap_err();
    assert_eq!(error.maybe_written(), Some(true), "{error}");
    assert!(error.to_string().contains("delivery.timeout.ms"), "{error}");
    assert!(
        begin.elapsed() <= Duration::from_millis(5100),
        "{:?}",
        begin.elapsed()
    );
    assert!(producer.cluster().metrics().timeouts >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_broker_times_a_delivery_out_and_it_is_not_in_the_log() {
    let mock = mock(1, 1).await;
    let config = config(&mock)
        .request_timeout_ms(1000_u64)
        .delivery_timeout_ms(5000_u64);
    let producer = Producer::connect(config).await.unwrap();
    submit(&producer, "first").await.await.unwrap();
    let broker = mock.broker_ids()[0];
    mock.stop_broker(broker).await.unwrap();
    // The connection is gone before the batch is there.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begin = Instant::now();
    let error = submit(&producer, "second").await.await.unwrap_err();
    assert_eq!(error.maybe_written(), Some(false), "{error}");
    assert!(
        begin.elapsed() <= Duration::from_millis(5100),
        "{:?}",
        begin.elapsed()
    );
    // And when it comes back, all goes on.
    mock.start_broker(broker).await.unwrap();
    submit(&producer, "third").await.await.unwrap();
    assert_eq!(values(&mock, 0), ["first", "third"]);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_broker_makes_senders_wait_for_memory_and_no_more_is_retained() {
    let mock = mock(1, 1).await;
    let config = config(&mock)
        .buffer_memory(10_000_u64)
        .batch_size(1000_usize)
        .max_block_ms(2000_u64);
    let producer = Producer::connect(config).await.unwrap();
    submit(&producer, "first").await.await.unwrap();
    let broker = mock.broker_ids()[0];
    mock.pause_broker(broker);
    let value = vec![b'x'; 900];
    let open = || {
        let mut batch = producer.open_batch("t", 0);
        batch.append(1, None, Some(&value), &[]).unwrap();
        batch
    };
    let mut accepted = Vec::new();
    let refused = loop {
        match producer.try_submit(open()) {
            Ok(delivery) => accepted.push(delivery),
            Err(refused) => break refused,
        }
    };
    assert!(refused.error.is_none());
    // Each takes its buffer and what a batch costs besides.
    assert_eq!(accepted.len(), 5);
    assert!(producer.cluster().metrics().budgets[0].taken <= 10_000);
    // Waiting ends in an error only after `max.block.ms`, and goes on as soon as there is room.
    let begin = Instant::now();
    let error = producer.submit(refused.batch.unwrap()).await.unwrap_err();
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
    assert!(error.to_string().contains("max.block.ms"), "{error}");
    let waiting = producer.submit(open());
    mock.resume_broker(broker);
    waiting.await.unwrap().await.unwrap();
    for delivery in accepted {
        delivery.await.unwrap();
    }
    assert_eq!(values(&mock, 0).len(), 7);
}

#[tokio::test(start_paused = true)]
async fn lingering_batches_that_hold_all_memory_are_sent_when_somebody_waits_for_it() {
    let mock = mock(1, 3).await;
    let config = config(&mock)
        .linger_ms(20_000_u64)
        .batch_size(1000_usize)
        .buffer_memory(2000_u64)
        .max_block_ms(5000_u64);
    let producer = Producer::connect(config).await.unwrap();
    let begin = Instant::now();
    for partition in 0..3 {
        drop(producer.enqueue(record(partition, "a")).await.unwrap());
    }
    assert!(
        begin.elapsed() < Duration::from_millis(100),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_submission_dropped_at_any_point_sends_its_batch_wholly_or_not_at_all() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    for polls in 0..4 {
        let mut batch = producer.open_batch("t", 0);
        for _ in 0..3 {
            batch.append(1, None, Some(b"a"), &[]).unwrap();
        }
        let before = values(&mock, 0).len();
        let was_accepted = {
            let mut submitting = pin!(producer.submit(batch));
            let mut context = Context::from_waker(Waker::noop());
            (0..polls).any(|_| submitting.as_mut().poll(&mut context).is_ready())
        };
        producer.flush().await.unwrap();
        let sent = values(&mock, 0).len() - before;
        assert_eq!(sent, if was_accepted { 3 } else { 0 }, "{polls}");
    }
    assert!(!values(&mock, 0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_send_dropped_at_any_point_sends_its_record_wholly_or_not_at_all() {
    let mock = mock(1, 1).await;
    let mut accepted = 0;
    for polls in 0..6 {
        let producer = producer(&mock).await;
        {
            let mut sending = pin!(producer.send(record(0, "dropped")));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if sending.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        // Delivery goes on without the caller.
        producer.flush().await.unwrap();
        let now = values(&mock, 0).len();
        assert!(now == accepted || now == accepted + 1, "{polls}: {now}");
        accepted = now;
        producer.send(record(0, "kept")).await.unwrap();
        accepted += 1;
        assert_eq!(values(&mock, 0).len(), accepted);
    }
    // The last rounds polled often enough to be accepted.
    assert!(accepted > 6, "{accepted}");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_producer_delivers_what_it_accepted() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    let delivery = producer.enqueue(record(0, "a")).await.unwrap();
    drop(producer);
    assert_eq!(delivery.await.unwrap().offset, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_closed_producer_accepts_nothing_and_has_delivered_all() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    let delivery = producer.enqueue(record(0, "a")).await.unwrap();
    producer.close().await.unwrap();
    assert_eq!(delivery.await.unwrap().offset, Some(0));
    let error = producer.send(record(0, "b")).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn closing_against_a_paused_broker_ends_in_time_and_tells_everybody() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    submit(&producer, "first").await.await.unwrap();
    mock.pause_broker(mock.broker_ids()[0]);
    let delivery = submit(&producer, "second").await;
    let begin = Instant::now();
    assert!(producer.close_within(Duration::from_secs(3)).await.is_err());
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert_eq!(delivery.await.unwrap_err().maybe_written(), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_and_a_missing_partition_are_named() {
    let mock = mock(1, 2).await;
    let producer = Producer::connect(config(&mock).max_block_ms(1000_u64))
        .await
        .unwrap();
    let missing = ProducerRecord {
        topic: "missing",
        ..Default::default()
    };
    let begin = Instant::now();
    let text = producer.send(missing).await.unwrap_err().to_string();
    assert!(
        text.contains("missing") && text.contains("does not exist"),
        "{text}"
    );
    assert!(begin.elapsed() <= Duration::from_millis(1100));
    for partition in [-1, 2] {
        let error = producer.send(record(partition, "a")).await.unwrap_err();
        assert!(
            matches!(error, Error::NoSuchPartition { count: 2, .. }),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lent_batch_for_what_is_not_there_says_so() {
    let mock = mock(1, 1).await;
    let config = config(&mock)
        .request_timeout_ms(1000_u64)
        .delivery_timeout_ms(2000_u64);
    let producer = Producer::connect(config).await.unwrap();
    submit(&producer, "known").await.await.unwrap();
    for partition in [-1, 1] {
        let mut batch = producer.open_batch("t", partition);
        batch.append(1, None, Some(b"a"), &[]).unwrap();
        let error = producer.submit(batch).await.unwrap_err();
        assert!(
            matches!(error, Error::NoSuchPartition { count: 1, .. }),
            "{error}"
        );
    }
    let mut batch = producer.open_batch("missing", 0);
    batch.append(1, None, Some(b"a"), &[]).unwrap();
    let error = producer.submit(batch).await.unwrap().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("UNKNOWN_TOPIC_OR_PARTITION") && text.contains("missing-0"),
        "{text}"
    );
    assert_eq!(error.maybe_written(), Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_record_too_large_is_refused_with_the_setting() {
    let mock = mock(1, 1).await;
    let producer = Producer::connect(config(&mock).max_request_size(1000_usize))
        .await
        .unwrap();
    let value = "x".repeat(2000);
    let text = producer
        .send(record(0, &value))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("max.request.size") && text.contains("1000"),
        "{text}"
    );
    // One that is larger than a batch but not than a request goes in a batch of its own.
    let large = "y".repeat(800);
    let producer = Producer::connect(config(&mock).batch_size(100_usize))
        .await
        .unwrap();
    producer.send(record(0, &large)).await.unwrap();
    assert_eq!(values(&mock, 0), [large]);
}

#[tokio::test(start_paused = true)]
async fn partitions_may_be_added_while_running() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    producer.send(record(0, "a")).await.unwrap();
    mock.add_partitions("t", 3).unwrap();
    // A partition that is asked for and not known is looked up, once.
    producer.send(record(2, "b")).await.unwrap();
    assert_eq!(values(&mock, 2), ["b"]);
    assert!(producer.send(record(3, "c")).await.is_err());
    // Others are found with the next metadata.
    mock.add_partitions("t", 4).unwrap();
    producer.cluster().refresh(&["t"]).await.unwrap();
    producer.send(record(3, "c")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_recreated_topic_is_produced_to_under_its_new_id() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    submit(&producer, "old").await.await.unwrap();
    mock.delete_topic("t").unwrap();
    mock.create_topic("t", 1).unwrap();
    submit(&producer, "new").await.await.unwrap();
    assert_eq!(values(&mock, 0), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn keys_go_to_the_partitions_of_a_topic_that_was_made_again_with_fewer() {
    let mock = mock(1, 4).await;
    let producer = producer(&mock).await;
    let send_all = async || {
        for key in 0..24_u8 {
            let record = ProducerRecord {
                topic: "t",
                key: Some(&[key]),
                value: Some(b"v"),
                ..ProducerRecord::default()
            };
            producer.send(record).await.unwrap();
        }
    };
    send_all().await;
    mock.delete_topic("t").unwrap();
    mock.create_topic("t", 1).unwrap();
    producer.cluster().refresh(&["t"]).await.unwrap();
    tokio::task::yield_now().await;
    send_all().await;
    assert_eq!(values(&mock, 0).len(), 24);
}

#[tokio::test(start_paused = true)]
async fn brokers_without_topic_ids_are_produced_to_by_name() {
    let mock = mock::Cluster::builder()
        .topic("t", 1)
        .versions(ApiKey::PRODUCE, kafka_proto::messages::Versions::new(3, 12))
        .versions(ApiKey::METADATA, kafka_proto::messages::Versions::new(0, 9))
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    let producer = producer(&mock).await;
    submit(&producer, "a").await.await.unwrap();
    assert_eq!(values(&mock, 0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn acks_0_has_no_answer_and_no_offset() {
    let mock = mock(1, 1).await;
    let config = config(&mock).acks(kafka_proto::client::Acks::None);
    let producer = Producer::connect(config).await.unwrap();
    let sent = producer.send(record(0, "a")).await.unwrap();
    assert_eq!(sent.offset, None);
    producer.send(record(0, "b")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(values(&mock, 0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn coordinators_have_a_connection_of_their_own() {
    let mock = mock(1, 1).await;
    let cluster = Cluster::connect(config(&mock)).await.unwrap();
    let broker = cluster.metadata().brokers().next().unwrap().id;
    let (coordinator, first) = cluster.coordinator("group").await.unwrap();
    assert_eq!(coordinator, broker);
    let fetch = cluster.connection(broker, Purpose::Fetch(0)).await.unwrap();
    let again = cluster.connection(broker, Purpose::Fetch(0)).await.unwrap();
    let opened = cluster.metrics().connections_opened;
    assert_eq!(
        opened, 2,
        "metadata, which fetching took over, and coordinator"
    );
    cluster.refresh(&[]).await.unwrap();
    let opened = cluster.metrics().connections_opened;
    assert_eq!(opened, 3, "metadata, coordinator, fetch");
    fetch.close();
    again.closed().await;
    // One purpose's connection ends, the others do not.
    assert!(!first.is_closed());
}

#[tokio::test(start_paused = true)]
async fn when_all_known_brokers_are_gone_the_bootstrap_servers_are_asked_again() {
    let mock = mock(2, 1).await;
    let cluster = Cluster::connect(config(&mock)).await.unwrap();
    for broker in mock.broker_ids() {
        mock.stop_broker(broker).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let error = cluster.refresh(&["t"]).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    for broker in mock.broker_ids() {
        mock.start_broker(broker).await.unwrap();
    }
    let topic = cluster.topic("t", Duration::from_secs(5)).await.unwrap();
    assert_eq!(topic.partitions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_where_time_and_memory_go_by_broker_and_batch() {
    let mock = mock(1, 1).await;
    let config = config(&mock).compression_type(CompressionType::Lz4);
    let producer = Producer::connect(config).await.unwrap();
    let value = "a".repeat(2000);
    let first = producer.cluster().metrics();
    let deliveries = [
        producer.enqueue(record(0, &value)).await.unwrap(),
        producer.enqueue(record(0, &value)).await.unwrap(),
    ];
    let taken = producer.cluster().metrics();
    let budget = &taken.budgets[0];
    assert_eq!((budget.property, budget.limit), ("buffer.memory", 32 << 20));
    assert!((16_384..20_000).contains(&budget.taken), "the open batch");
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let sent = producer.cluster().metrics().since(&first);
    assert_eq!((sent.batches_sent, sent.records_sent), (1, 2));
    assert_eq!(
        (sent.batch_records.count(), sent.batch_records.sum()),
        (1, 2)
    );
    assert_eq!(sent.batch_bytes.sum(), sent.batch_bytes_sent);
    assert!(
        sent.compression_rate() > 10.0,
        "{}",
        sent.compression_rate()
    );
    assert_eq!(sent.batch_queue_us.sum() / 1000, 5, "it lingered");
    assert!(sent.delivery_us.sum() >= sent.batch_queue_us.sum());
    let (name, broker) = sent.brokers.last_key_value().unwrap();
    assert!(name.starts_with("broker 1 ("), "{name}");
    assert_eq!((broker.produce_us.count(), broker.fetch_us.count()), (1, 0));
    assert!(broker.requests >= 2 && broker.write_us.count() == broker.queue_us.count());
    assert_eq!(sent.budgets[0].taken, 0);
    mock.faults()
        .on(ApiKey::PRODUCE)
        .error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    producer.send(record(0, "again")).await.unwrap();
    let all = producer.cluster().metrics();
    assert_eq!(all.errors[&ErrorCode::NOT_LEADER_OR_FOLLOWER], 1);
    assert_eq!(all.batch_retries, 1);
    let text = all.to_string();
    assert!(
        text.contains(&**name) && text.contains("delivery_us"),
        "{text}"
    );
}

#[tokio::test]
async fn a_record_from_before_1970_is_refused_and_one_without_a_time_is_not() {
    let mock = mock(1, 1).await;
    let producer = producer(&mock).await;
    for timestamp in [i64::MIN, -2] {
        let old = ProducerRecord {
            timestamp: Some(timestamp),
            ..record(0, "a")
        };
        let error = producer.send(old).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&timestamp.to_string()), "{text}");
        let mut batch = producer.open_batch("t", 0);
        let error = batch.append(timestamp, None, None, &[]).unwrap_err();
        assert!(error.to_string().contains("1970"), "{error}");
    }
    for timestamp in [-1, 0] {
        let timestamp = Some(timestamp);
        let fine = ProducerRecord {
            timestamp,
            ..record(0, "a")
        };
        producer.send(fine).await.unwrap();
    }
}
