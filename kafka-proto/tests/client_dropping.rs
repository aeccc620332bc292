//! Dropping any future of the client at any await: before a record is accepted nothing is queued, after it delivery goes on; and whatever
//! was dropped, the next call works and nothing stays taken. Each future is polled once, twice, … and dropped, until it is done.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use kafka_proto::client::{
    BrokerId, Cluster, Config, Connection, IsolationLevel, OffsetSpec, Producer, ProducerRecord,
    Purpose,
};
use kafka_proto::messages::{ApiKey, MetadataRequest};
use kafka_proto::mock;
use kafka_proto::net::Tcp;
use kafka_proto::records::{Batch, batches};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

async fn mock() -> mock::Cluster {
    mock::Cluster::builder()
        .topic("t", 1)
        .topic("source", 1)
        .on_this_runtime()
        .start()
        .await
        .unwrap()
}

fn config(mock: &mock::Cluster) -> Config {
    Config::new(&mock.bootstrap_servers()).linger_ms(1_u64)
}

fn record(value: &[u8]) -> ProducerRecord<'_> {
    ProducerRecord {
        topic: "t",
        partition: Some(0),
        value: Some(value),
        ..Default::default()
    }
}

/// Polls a future so often, with time for everybody else in between, and drops it. What it gave, if it was done.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        tokio::time::sleep(MS).await;
    }
    None
}

fn stored(mock: &mock::Cluster) -> usize {
    mock.records("t", 0).unwrap().len()
}

fn taken(producer: &Producer) -> u64 {
    producer.cluster().metrics().budgets[0].taken
}

/// Runs a round for one poll, two polls, … until a round says that its future was done; returns how many were dropped before.
async fn until_done(mut round: impl AsyncFnMut(usize) -> bool) -> usize {
    for polls in 0..100 {
        if round(polls).await {
            return polls;
        }
    }
    panic!("a hundred polls are not enough");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_sent_wholly_or_not_at_all_from_the_first_lookup_to_the_acknowledgement() {
    let mock = mock().await;
    let mut before = 0;
    let dropped = until_done(async |polls| {
        // Anew each time, so that the topic is looked up within.
        let producer = Producer::connect(config(&mock)).await.unwrap();
        let done = dropped_after(polls, producer.send(record(b"a"))).await;
        producer.flush().await.unwrap();
        let now = stored(&mock);
        assert!(now == before || now == before + 1, "{polls}: {now}");
        assert!(done.is_none() || now == before + 1, "{polls}: lost");
        assert_eq!(taken(&producer), 0, "{polls}");
        producer.send(record(b"b")).await.unwrap();
        before = now + 1;
        assert_eq!(stored(&mock), before);
        done.is_some()
    })
    .await;
    assert!(dropped >= 4, "only {dropped} places to drop it at");
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_for_memory_leaves_it_to_the_next() {
    let mock = mock().await;
    // Room for one batch at a time.
    let config = config(&mock).batch_size(1000_usize).buffer_memory(2500_u64);
    let producer = Producer::connect(config).await.unwrap();
    producer.send(record(b"first")).await.unwrap();
    let broker = mock.broker_ids()[0];
    let large = [b'x'; 900];
    let mut expected = 1;
    for polls in 0..30 {
        mock.pause_broker(broker);
        let holder = producer.enqueue(record(&large)).await.unwrap();
        let waiting = dropped_after(polls, producer.enqueue(record(&large))).await;
        assert!(waiting.is_none(), "there is no room");
        let mut lent = producer.open_batch("t", 0);
        lent.append(1, None, Some(&large), &[]).unwrap();
        assert!(dropped_after(polls, producer.submit(lent)).await.is_none());
        assert!(dropped_after(polls, producer.ready(2000)).await.is_none());
        mock.resume_broker(broker);
        holder.await.unwrap();
        expected += 1;
        producer.flush().await.unwrap();
        assert_eq!((stored(&mock), taken(&producer)), (expected, 0), "{polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_sends_its_batch_wholly_or_not_at_all() {
    let mock = mock().await;
    let producer = Producer::connect(config(&mock)).await.unwrap();
    let mut lent = producer.open_batch("source", 0);
    for _ in 0..3 {
        lent.append(1, None, Some(b"a"), &[]).unwrap();
    }
    producer.submit(lent).await.unwrap().await.unwrap();
    let raw = mock.raw("source", 0).unwrap();
    let batch: Batch = raw.into_iter().flat_map(batches).next().unwrap().unwrap();
    let mut before = 0;
    let dropped = until_done(async |polls| {
        let relay = producer.submit_relay("t", 0, &batch, 0);
        let done = dropped_after(polls, relay).await;
        producer.flush().await.unwrap();
        let sent = if done.is_some() { 3 } else { 0 };
        assert_eq!(stored(&mock), before + sent, "{polls}");
        assert_eq!(taken(&producer), 0);
        before += sent;
        done.is_some()
    })
    .await;
    assert!(dropped >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_is_dropped_delivers_all_the_same_and_the_next_one_waits_for_it() {
    let mock = mock().await;
    let producer = Producer::connect(config(&mock).linger_ms(60_000_u64))
        .await
        .unwrap();
    let mut expected = 0;
    let dropped = until_done(async |polls| {
        let delivery = producer.enqueue(record(b"a")).await.unwrap();
        let done = dropped_after(polls, producer.flush()).await;
        producer.flush().await.unwrap();
        expected += 1;
        assert_eq!(delivery.await.unwrap().offset, Some(expected - 1));
        done.is_some()
    })
    .await;
    assert!(dropped >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_dropped_leaves_the_producer_closed_and_delivers_what_it_has() {
    let mock = mock().await;
    let mut expected = 0;
    let dropped = until_done(async |polls| {
        let producer = Producer::connect(config(&mock)).await.unwrap();
        let delivery = producer.enqueue(record(b"a")).await.unwrap();
        let done = dropped_after(polls, producer.close_within(SECOND)).await;
        delivery.await.unwrap();
        expected += 1;
        assert_eq!(stored(&mock), expected, "{polls}");
        let is_closed = producer.send(record(b"late")).await.is_err();
        if !is_closed {
            // Never polled: never begun.
            assert_eq!(polls, 0);
            expected += 1;
        }
        done.is_some()
    })
    .await;
    assert!(dropped >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_goes_on_and_wakes_nobody() {
    let mock = mock().await;
    let producer = Producer::connect(config(&mock)).await.unwrap();
    for polls in 0..6 {
        let kept = producer.enqueue(record(b"kept")).await.unwrap();
        let dropped = producer.enqueue(record(b"dropped")).await.unwrap();
        drop(dropped_after(polls, dropped).await);
        assert_eq!(kept.await.unwrap().offset, Some(2 * polls as i64));
    }
    assert_eq!(stored(&mock), 12);
}

#[tokio::test(start_paused = true)]
async fn questions_that_are_dropped_are_answered_when_asked_again() {
    let mock = mock().await;
    let mut places = [0; 8];
    for polls in 0..25 {
        let cluster = Cluster::connect(config(&mock)).await.unwrap();
        let broker = BrokerId(mock.broker_ids()[0]);
        let question = [("t", 0, OffsetSpec::Latest)];
        let offsets = || {
            let isolation = IsolationLevel::ReadUncommitted;
            cluster.list_offsets(&question, isolation, Purpose::Fetch(1))
        };
        let dropped = [
            dropped_after(polls, cluster.refresh(&["t"]))
                .await
                .is_none(),
            dropped_after(polls, cluster.refresh_all()).await.is_none(),
            dropped_after(polls, cluster.topic("source", SECOND))
                .await
                .is_none(),
            dropped_after(polls, cluster.connection(broker, Purpose::Produce))
                .await
                .is_none(),
            dropped_after(polls, cluster.coordinator("group"))
                .await
                .is_none(),
            dropped_after(polls, offsets()).await.is_none(),
            dropped_after(polls, Cluster::connect(config(&mock)))
                .await
                .is_none(),
            dropped_after(polls, Producer::connect(config(&mock)))
                .await
                .is_none(),
        ];
        for (place, was_dropped) in places.iter_mut().zip(dropped) {
            *place += usize::from(was_dropped);
        }
        let again = async {
            assert!(cluster.refresh_all().await.unwrap().topic("t").is_some());
            cluster.topic("source", SECOND).await.unwrap();
            cluster.connection(broker, Purpose::Produce).await.unwrap();
            cluster.coordinator("group").await.unwrap();
            assert_eq!(offsets().await.unwrap().remove(0).unwrap().offset, Some(0));
        };
        tokio::time::timeout(10 * SECOND, again).await.unwrap();
    }
    assert!(
        places.iter().all(|places| (1..25).contains(places)),
        "{places:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_survives_calls_that_are_dropped_and_attempts_end_with_their_future() {
    let mock = mock().await;
    let (host, port) = mock
        .bootstrap_servers()
        .split(',')
        .next()
        .and_then(|server| {
            server
                .rsplit_once(':')
                .map(|(host, port)| (host.to_owned(), port.parse::<u16>().unwrap()))
        })
        .unwrap();
    let settings = config(&mock);
    let opened = until_done(async |polls| {
        dropped_after(
            polls,
            Connection::open(&Tcp::default(), &host, port, &settings),
        )
        .await
        .is_some()
    })
    .await;
    assert!(opened >= 2);
    let connection = Connection::open(&Tcp::default(), &host, port, &settings)
        .await
        .unwrap();
    let request = MetadataRequest::default();
    until_done(async |polls| {
        let done = dropped_after(polls, connection.call(&request, SECOND)).await;
        // The answers that nobody wanted do not stand in the way of the next.
        assert!(connection.call(&request, SECOND).await.is_ok());
        done.is_some()
    })
    .await;
    // Also when the answer comes late.
    mock.faults().on(ApiKey::METADATA).delay(20 * MS);
    assert!(
        dropped_after(3, connection.call(&request, SECOND))
            .await
            .is_none()
    );
    assert!(connection.call(&request, SECOND).await.is_ok());
}
