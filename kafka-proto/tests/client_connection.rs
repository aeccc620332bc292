//! One connection against a peer that is scripted frame by frame, over an in-memory network and a paused clock.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/peer.rs"]
mod peer;

use std::time::Duration;

use kafka_proto::client::{Config, Connection, Error};
use kafka_proto::messages::{
    ApiVersionsRequest, FindCoordinatorRequest, FindCoordinatorResponse, Message, MetadataRequest,
    MetadataResponse, Request, RequestHeader,
};
use kafka_proto::net::Memory;
use kafka_proto::wire::Reader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use self::peer::{Peer, offers, unsupported};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> Config {
    Config::new("peer:9092").client_id("test")
}

/// A connection that has agreed on versions, and the peer's end of it.
async fn connected() -> (Connection, Peer) {
    let network = Memory::default();
    let mut listener = network.listen("peer", 9092);
    let peer = tokio::spawn(async move {
        let mut peer = Peer::accept(&mut listener).await;
        peer.agree().await;
        peer
    });
    let connection = Connection::open(&network, "peer", 9092, &config())
        .await
        .unwrap();
    (connection, peer.await.unwrap())
}

/// Opens a connection to a peer that does as `script` says.
async fn open_against<F: Future<Output = ()> + Send + 'static>(
    script: impl FnOnce(Peer) -> F + Send + 'static,
) -> Result<Connection, Error> {
    let network = Memory::default();
    let mut listener = network.listen("peer", 9092);
    tokio::spawn(async move {
        let peer = Peer::accept(&mut listener).await;
        script(peer).await;
    });
    Connection::open(&network, "peer", 9092, &config()).await
}

#[tokio::test(start_paused = true)]
async fn an_unknown_version_is_answered_in_version_0_and_asked_for_again_lower() {
    let connection = open_against(|mut peer| async move {
        let first = peer.request().await;
        assert_eq!(first.version, 5);
        peer.answer::<ApiVersionsRequest>(0, first.correlation, &unsupported(0, 2))
            .await;
        let second = peer.request().await;
        assert_eq!(second.version, 2);
        peer.answer::<ApiVersionsRequest>(2, second.correlation, &offers(0, 2))
            .await;
        peer.request().await;
    })
    .await
    .unwrap();
    assert_eq!(connection.version_for::<MetadataRequest>(), Some(13));
}

#[tokio::test(start_paused = true)]
async fn a_downgrade_does_not_loop() {
    let error = open_against(|mut peer| async move {
        for _ in 0..3 {
            let seen = peer.request().await;
            peer.answer::<ApiVersionsRequest>(0, seen.correlation, &unsupported(0, 9))
                .await;
        }
    })
    .await
    .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_client_names_itself_as_kip_511_demands() {
    let connection = open_against(|mut peer| async move {
        let seen = peer.request().await;
        let mut reader = Reader::new(seen.frame.clone());
        let header_version = ApiVersionsRequest::header_version(seen.version);
        let header = RequestHeader::decode(&mut reader, header_version).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("test"));
        let request = ApiVersionsRequest::decode(&mut reader, seen.version).unwrap();
        for name in [
            &request.client_software_name,
            &request.client_software_version,
        ] {
            let edge = |c: char| c.is_ascii_alphanumeric();
            assert!(name.starts_with(edge) && name.ends_with(edge), "{name}");
            assert!(name.chars().all(|c| edge(c) || "-.".contains(c)), "{name}");
        }
        peer.answer::<ApiVersionsRequest>(seen.version, seen.correlation, &offers(0, 5))
            .await;
    })
    .await;
    assert!(connection.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_not_kafka_is_named_as_such() {
    for (answer, hint) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP"),
        (&b"\x15\x03\x03\x00\x02\x02\x46"[..], "TLS"),
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "SSH-"),
        (
            &b"\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00"[..],
            "cannot be read",
        ),
    ] {
        let error = open_against(move |mut peer| async move {
            peer.request().await;
            peer.0.write_all(answer).await.unwrap();
        })
        .await
        .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::NotKafka { .. }), "{text}");
        assert!(text.contains(hint) && text.contains("peer:9092"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_may_be_a_broker_later() {
    let error = open_against(|mut peer| async move { drop(peer.request().await) });
    let error = error.await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_retriable(), "{text}");
    assert!(
        text.contains("closed the connection") && text.contains("TLS"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_and_never_answers_times_out_after_the_connection_setup_timeout() {
    let begin = Instant::now();
    let error = open_against(|mut peer| async move {
        peer.request().await;
        std::future::pending::<()>().await;
    })
    .await
    .unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(begin.elapsed(), 10 * SECOND);
    assert!(
        error
            .to_string()
            .contains("socket.connection.setup.timeout.ms"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_broker_is_a_connect_error_with_its_address() {
    let error = Connection::open(&Memory::default(), "nowhere", 9092, &config())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Connect { .. }));
    assert!(error.to_string().contains("nowhere:9092"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_another_correlation_id_ends_the_connection() {
    let (connection, mut peer) = connected().await;
    let first = connection
        .send(&MetadataRequest::default(), SECOND)
        .unwrap();
    let second = connection
        .send(&MetadataRequest::default(), SECOND)
        .unwrap();
    let seen = peer.request().await;
    let response = MetadataResponse::default();
    peer.answer::<MetadataRequest>(seen.version, seen.correlation + 1, &response)
        .await;
    for pending in [first, second] {
        let error = pending.await.unwrap_err();
        assert!(error.to_string().contains("out of order"), "{error}");
    }
    connection.closed().await;
    let late = connection
        .send(&MetadataRequest::default(), SECOND)
        .unwrap_err();
    assert!(matches!(late, Error::Disconnected { .. }), "{late}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let (connection, mut peer) = connected().await;
    peer.answer::<MetadataRequest>(13, 77, &MetadataResponse::default())
        .await;
    connection.closed().await;
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_request_never_answered_times_out_and_closes_the_connection() {
    let (connection, mut peer) = connected().await;
    let begin = Instant::now();
    let long = connection
        .send(&MetadataRequest::default(), 60 * SECOND)
        .unwrap();
    let short = connection
        .send(&MetadataRequest::default(), 5 * SECOND)
        .unwrap();
    peer.request().await;
    let error = short.await.unwrap_err();
    assert_eq!(begin.elapsed(), 5 * SECOND);
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    // The other one cannot be answered any more either, for brokers answer in order.
    assert!(long.await.is_err());
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn throttled_requests_are_held_back_and_do_not_expire() {
    let (connection, mut peer) = connected().await;
    let begin = Instant::now();
    let first = connection
        .send(&FindCoordinatorRequest::default(), 2 * SECOND)
        .unwrap();
    let seen = peer.request().await;
    let throttled = FindCoordinatorResponse {
        throttle_time_ms: 10_000,
        ..Default::default()
    };
    peer.answer::<FindCoordinatorRequest>(seen.version, seen.correlation, &throttled)
        .await;
    first.await.unwrap();
    let held = connection
        .send(&FindCoordinatorRequest::default(), 2 * SECOND)
        .unwrap();
    let seen = peer.request().await;
    assert_eq!(begin.elapsed(), 10 * SECOND);
    let response = FindCoordinatorResponse::default();
    peer.answer::<FindCoordinatorRequest>(seen.version, seen.correlation, &response)
        .await;
    held.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_throttle_moves_the_deadline_of_what_was_sent_before_it() {
    let (connection, mut peer) = connected().await;
    let request = FindCoordinatorRequest::default();
    let first = connection.send(&request, 2 * SECOND).unwrap();
    let second = connection.send(&request, 2 * SECOND).unwrap();
    let (one, two) = (peer.request().await, peer.request().await);
    let throttled = FindCoordinatorResponse {
        throttle_time_ms: 10_000,
        ..Default::default()
    };
    peer.answer::<FindCoordinatorRequest>(one.version, one.correlation, &throttled)
        .await;
    first.await.unwrap();
    // The broker reads on only when the time is over.
    tokio::time::sleep(10 * SECOND).await;
    let response = FindCoordinatorResponse::default();
    peer.answer::<FindCoordinatorRequest>(two.version, two.correlation, &response)
        .await;
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_the_order_of_answers_alone() {
    let (connection, mut peer) = connected().await;
    let dropped = connection
        .send(&MetadataRequest::default(), SECOND)
        .unwrap();
    let kept = connection
        .send(&FindCoordinatorRequest::default(), SECOND)
        .unwrap();
    drop(dropped);
    let seen = peer.request().await;
    peer.answer::<MetadataRequest>(seen.version, seen.correlation, &MetadataResponse::default())
        .await;
    let seen = peer.request().await;
    let response = FindCoordinatorResponse::default();
    peer.answer::<FindCoordinatorRequest>(seen.version, seen.correlation, &response)
        .await;
    assert_eq!(kept.await.unwrap(), response);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_and_a_used_one_does_not() {
    let (connection, mut peer) = connected().await;
    tokio::time::advance(300 * SECOND).await;
    let pending = connection
        .send(&MetadataRequest::default(), SECOND)
        .unwrap();
    let seen = peer.request().await;
    peer.answer::<MetadataRequest>(seen.version, seen.correlation, &MetadataResponse::default())
        .await;
    pending.await.unwrap();
    let begin = Instant::now();
    connection.closed().await;
    assert_eq!(begin.elapsed(), 540 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closes_when_its_last_handle_is_gone() {
    let (connection, mut peer) = connected().await;
    let pending = connection
        .send(&MetadataRequest::default(), SECOND)
        .unwrap();
    drop(connection);
    let seen = peer.request().await;
    peer.answer::<MetadataRequest>(seen.version, seen.correlation, &MetadataResponse::default())
        .await;
    assert!(pending.await.is_ok());
    assert_eq!(peer.0.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_connection_that_nobody_needs_closes_all_the_same() {
    let (connection, mut peer) = connected().await;
    connection.throttle(3600 * SECOND);
    let begin = Instant::now();
    drop(connection);
    assert_eq!(peer.0.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(begin.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_the_broker_lacks_is_named_with_both_ranges() {
    let (connection, _peer) = connected().await;
    let request = kafka_proto::messages::DescribeClusterRequest::default();
    let error = connection.call(&request, SECOND).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }));
    assert!(error.to_string().contains("DescribeCluster"), "{error}");
}
