//! The first moment of a client, and addresses that others stand behind for a while: who is started before its brokers waits for them. Paused time.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{sync::Arc, time::Duration};

use kafka_proto::{
    client::{Cluster, Config, Consumer, Error, Producer, ProducerRecord, address},
    mock,
    net::Memory,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{Instant, sleep},
};

const SECOND: Duration = Duration::from_secs(1);

/// Accepts connections at an address and answers the first request with these bytes, or hangs up if there are none; until somebody else listens there.
fn impostor(network: &Memory, server: &str, answer: &'static [u8]) -> JoinHandle<()> {
    let (host, port) = address(server).unwrap();
    let mut listener = network.listen(host, port);
    tokio::spawn(async move {
        while let Some(mut stream) = listener.accept().await {
            let mut request = [0; 32];
            if answer.is_empty() || stream.read(&mut request).await.is_err() {
                continue;
            }
            drop(stream.write_all(answer).await);
        }
    })
}

async fn connect(network: &Memory, config: Config) -> Result<Cluster, Error> {
    Cluster::connect_by(config, Arc::new(network.clone())).await
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_started_before_its_brokers_waits_for_them() {
    let network = Memory::default();
    let builder = mock::Cluster::builder().topic("t", 1).on_this_runtime();
    let mock = builder.in_memory(&network).start().await.unwrap();
    let (server, broker) = (mock.bootstrap_servers(), mock.broker_ids()[0]);
    mock.stop_broker(broker).await.unwrap();
    let begin = Instant::now();
    let later = async {
        // Nobody is there, then a proxy without its backend, then a broker.
        sleep(10 * SECOND).await;
        let proxy = impostor(&network, &server, b"");
        sleep(20 * SECOND).await;
        proxy.abort();
        mock.start_broker(broker).await.unwrap();
    };
    let (cluster, ()) = tokio::join!(connect(&network, Config::new(&server)), later);
    assert_eq!(cluster.unwrap().metadata().brokers().count(), 1);
    let took = begin.elapsed();
    assert!((30..33).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_first_broker_ends_with_the_time_and_says_why() {
    for (way, reason) in [("nobody", "cannot connect"), ("hangs up", "hung up")] {
        let network = Memory::default();
        let proxy = (way == "hangs up").then(|| impostor(&network, "a:9092", b""));
        let begin = Instant::now();
        let error = connect(&network, Config::new("a:9092")).await.unwrap_err();
        let took = begin.elapsed();
        assert!((54..=67).contains(&took.as_secs()), "{way}: {took:?}");
        let text = error.to_string();
        assert!(text.contains("a:9092"), "{text}");
        assert!(text.contains(reason) || way == "hangs up", "{text}");
        drop(proxy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_another_protocol_is_no_reason_to_wait() {
    let network = Memory::default();
    let _http = impostor(&network, "a:9092", b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let begin = Instant::now();
    let error = connect(&network, Config::new("a:9092")).await.unwrap_err();
    assert!(matches!(error, Error::NotKafka { .. }), "{error}");
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_no_broker_for_a_while_ends_neither_memberships_nor_producers() {
    for answer in [&b""[..], b"HTTP/1.1 503 Service Unavailable\r\n\r\n"] {
        for protocol in ["classic", "consumer"] {
            let network = Memory::default();
            let builder = mock::Cluster::builder().topic("t", 1).on_this_runtime();
            let mock = builder.in_memory(&network).start().await.unwrap();
            let (server, broker) = (mock.bootstrap_servers(), mock.broker_ids()[0]);
            let mut config = Config::new(&server);
            for (name, value) in [
                ("group.id", "g"),
                ("group.protocol", protocol),
                ("auto.offset.reset", "earliest"),
                ("metadata.recovery.rebootstrap.trigger.ms", "1000"),
            ] {
                config.set(name, value).unwrap();
            }
            let cluster = connect(&network, config).await.unwrap();
            let mut consumer = Consumer::new(&cluster);
            consumer.subscribe(&["t"]).unwrap();
            while consumer.assignment().is_empty() {
                consumer.poll(SECOND).await.unwrap();
            }
            mock.stop_broker(broker).await.unwrap();
            let proxy = impostor(&network, &server, answer);
            // Begun while the address is somebody else's.
            let producer = Producer::new(&cluster).unwrap();
            let begin = Instant::now();
            while begin.elapsed() < 40 * SECOND {
                drop(consumer.poll(SECOND).await);
            }
            proxy.abort();
            mock.start_broker(broker).await.unwrap();
            let record = ProducerRecord {
                topic: "t",
                value: Some(b"v"),
                ..ProducerRecord::default()
            };
            producer.send(record).await.unwrap();
            let (mut read, begin) = (0, Instant::now());
            while read == 0 {
                read += consumer
                    .poll(SECOND)
                    .await
                    .map_or(0, |records| records.len());
                assert!(
                    begin.elapsed() < 120 * SECOND,
                    "{protocol}: the member is gone"
                );
            }
        }
    }
}
