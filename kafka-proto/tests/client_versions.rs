//! The first request on a connection: versions that both sides agree on, peers that hang up or answer oddly, and brokers that are not
//! the ones that are meant. Over in-memory networks and a paused clock.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/peer.rs"]
mod peer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_proto::client::{
    BrokerId, Cluster, Config, Connection, Error, Producer, ProducerRecord, Purpose,
};
use kafka_proto::messages::metadata::MetadataResponseBroker;
use kafka_proto::messages::{ApiKey, ApiVersionsRequest, MetadataRequest, MetadataResponse};
use kafka_proto::messages::{ErrorCode, header::encode_response};
use kafka_proto::mock;
use kafka_proto::net::{Connect, ConnectFuture, Memory};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use self::peer::{Peer, Seen, offers, unsupported};

const SECOND: Duration = Duration::from_secs(1);

/// The versions of ApiVersions that a peer was asked in.
type Asked = Arc<Mutex<Vec<i16>>>;

/// The bytes of an answer to this request in some version.
fn written<R: kafka_proto::messages::Request>(
    seen: &Seen,
    version: i16,
    response: &R::Response,
) -> Option<Vec<u8>> {
    let frame = encode_response::<R>(response, version, seen.correlation).unwrap();
    Some(frame.into_bytes().to_vec())
}

/// A broker at `peer:9092` that answers ApiVersions as `script` says, or hangs up; questions for metadata are answered with itself.
fn serve(
    network: &Memory,
    script: impl Fn(&Seen) -> Option<Vec<u8>> + Clone + Send + 'static,
) -> Asked {
    let asked = Asked::default();
    let (mut listener, seen_versions) = (network.listen("peer", 9092), Arc::clone(&asked));
    let metadata = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: "peer".into(),
            port: 9092,
            ..Default::default()
        }],
        ..Default::default()
    };
    tokio::spawn(async move {
        while let Some(stream) = listener.accept().await {
            let (script, asked) = (script.clone(), Arc::clone(&seen_versions));
            let metadata = metadata.clone();
            tokio::spawn(async move {
                let mut peer = Peer(stream);
                while let Some(seen) = peer.next().await {
                    let answer = if seen.key == ApiKey::API_VERSIONS {
                        asked.lock().unwrap().push(seen.version);
                        script(&seen)
                    } else {
                        written::<MetadataRequest>(&seen, seen.version, &metadata)
                    };
                    let Some(bytes) = answer else { return };
                    peer.0.write_all(&bytes).await.unwrap();
                }
            });
        }
    });
    asked
}

fn taken(asked: &Asked) -> Vec<i16> {
    std::mem::take(&mut asked.lock().unwrap())
}

async fn connect(network: &Memory) -> Result<Cluster, Error> {
    Cluster::connect_by(Config::new("peer:9092"), Arc::new(network.clone())).await
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_on_high_versions_is_met_lower_and_not_for_ever() {
    let network = Memory::default();
    let asked = serve(&network, |seen| {
        let answer = written::<ApiVersionsRequest>(seen, seen.version, &offers(0, 3));
        answer.filter(|_| seen.version <= 3)
    });
    let cluster = connect(&network).await.unwrap();
    assert_eq!(taken(&asked), [5, 4, 3]);
    cluster
        .connection(BrokerId(1), Purpose::Produce)
        .await
        .unwrap();
    assert_eq!(taken(&asked), [3]);
    // A newer broker may be there by now.
    sleep(301 * SECOND).await;
    cluster
        .connection(BrokerId(1), Purpose::Coordinator)
        .await
        .unwrap();
    assert_eq!(taken(&asked), [5, 4, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_was_about_to_stop_when_it_hung_up_is_asked_in_the_highest_version_again() {
    let network = Memory::default();
    let stopping = Arc::new(Mutex::new(true));
    let asked = serve(&network, move |seen| {
        let stops = std::mem::take(&mut *stopping.lock().unwrap());
        written::<ApiVersionsRequest>(seen, seen.version, &offers(0, 5)).filter(|_| !stops)
    });
    let cluster = connect(&network).await.unwrap();
    cluster
        .connection(BrokerId(1), Purpose::Produce)
        .await
        .unwrap();
    assert_eq!(taken(&asked), [5, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_on_everything_is_connected_to_once_in_each_attempt() {
    let network = Memory::default();
    let hangs_up = Arc::new(Mutex::new(false));
    let does_now = Arc::clone(&hangs_up);
    let asked = serve(&network, move |seen| {
        let answer = written::<ApiVersionsRequest>(seen, seen.version, &offers(0, 5));
        answer.filter(|_| !*does_now.lock().unwrap())
    });
    let cluster = connect(&network).await.unwrap();
    assert_eq!(taken(&asked), [5]);
    *hangs_up.lock().unwrap() = true;
    for _ in 0..4 {
        let error = cluster
            .connection(BrokerId(1), Purpose::Produce)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    }
    assert_eq!(taken(&asked), [5, 4, 3, 2, 1, 0, 5, 4, 3]);
    *hangs_up.lock().unwrap() = false;
    for purpose in [Purpose::Produce, Purpose::Coordinator] {
        cluster.connection(BrokerId(1), purpose).await.unwrap();
    }
    assert_eq!(taken(&asked), [2, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_second_connection_to_an_old_broker_does_not_ask_twice() {
    let network = Memory::default();
    let asked = serve(&network, |seen| match seen.version {
        4.. => written::<ApiVersionsRequest>(seen, 0, &unsupported(0, 3)),
        version => written::<ApiVersionsRequest>(seen, version, &offers(0, 3)),
    });
    let cluster = connect(&network).await.unwrap();
    cluster
        .connection(BrokerId(1), Purpose::Produce)
        .await
        .unwrap();
    assert_eq!(taken(&asked), [5, 3, 3]);
    sleep(301 * SECOND).await;
    cluster
        .connection(BrokerId(1), Purpose::Coordinator)
        .await
        .unwrap();
    assert_eq!(taken(&asked), [5, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_unsupported_version_said_in_whatever_form_is_asked_again_in_version_0() {
    let forms: [fn(&Seen) -> Option<Vec<u8>>; 4] = [
        // As librdkafka's cluster for tests: in the version of the request.
        |seen| written::<ApiVersionsRequest>(seen, seen.version, &unsupported(0, 3)),
        // The error code alone.
        |seen| {
            let mut bytes = vec![0, 0, 0, 6];
            bytes.extend(seen.correlation.to_be_bytes());
            bytes.extend(ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
            Some(bytes)
        },
        // As brokers before 2.4: without ranges.
        |seen| {
            let mut bytes = vec![0, 0, 0, 10];
            bytes.extend(seen.correlation.to_be_bytes());
            bytes.extend(ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
            bytes.extend([0; 4]);
            Some(bytes)
        },
        // Version 0 with bytes behind it is not exactly version 0.
        |seen| {
            let mut bytes = written::<ApiVersionsRequest>(seen, 0, &unsupported(9, 9))?;
            bytes.extend([0; 2]);
            let size = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&size.to_be_bytes());
            Some(bytes)
        },
    ];
    for form in forms {
        let network = Memory::default();
        let asked = serve(&network, move |seen| match seen.version {
            1.. => form(seen),
            version => written::<ApiVersionsRequest>(seen, version, &offers(0, 3)),
        });
        connect(&network).await.unwrap();
        assert_eq!(taken(&asked), [5, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_the_last_field_of_an_answer_are_not_looked_at() {
    let network = Memory::default();
    let longer = |mut frame: Vec<u8>| {
        frame.extend([0; 3]);
        let size = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&size.to_be_bytes());
        frame
    };
    let mut listener = network.listen("peer", 9092);
    tokio::spawn(async move {
        let mut peer = Peer::accept(&mut listener).await;
        let seen = peer.request().await;
        let versions = written::<ApiVersionsRequest>(&seen, seen.version, &offers(0, 5));
        peer.0.write_all(&longer(versions.unwrap())).await.unwrap();
        let seen = peer.request().await;
        let nothing = MetadataResponse::default();
        let metadata = written::<MetadataRequest>(&seen, seen.version, &nothing);
        peer.0.write_all(&longer(metadata.unwrap())).await.unwrap();
    });
    let config = Config::new("peer:9092");
    let connection = Connection::open(&network, "peer", 9092, &config)
        .await
        .unwrap();
    let answer = connection.call(&MetadataRequest::default(), SECOND).await;
    assert_eq!(answer.unwrap(), MetadataResponse::default());
}

/// The network of a cluster, with addresses that lead elsewhere.
#[derive(Debug, Clone, Default)]
struct Routes {
    home: Memory,
    detours: Arc<Mutex<HashMap<&'static str, (Memory, &'static str)>>>,
}

impl Routes {
    fn lead(&self, host: &'static str, network: &Memory, to: &'static str) {
        let mut detours = self.detours.lock().unwrap();
        detours.insert(host, (network.clone(), to));
    }

    fn mend(&self) {
        self.detours.lock().unwrap().clear();
    }
}

impl Connect for Routes {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> ConnectFuture<'a> {
        Box::pin(async move {
            let detour = self.detours.lock().unwrap().get(host).cloned();
            match detour {
                Some((network, host)) => network.connect(host, port).await,
                None => self.home.connect(host, port).await,
            }
        })
    }
}

/// Two brokers, of which the second leads the only partition of `t`.
async fn two_brokers(id: &str, network: &Memory) -> mock::Cluster {
    let builder = mock::Cluster::builder()
        .brokers(2)
        .topic("t", 1)
        .cluster_id(id);
    let cluster = builder
        .in_memory(network)
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    cluster.move_leader("t", 0, 2).unwrap();
    cluster
}

async fn client(routes: &Routes, properties: &[(&str, &str)]) -> Cluster {
    let mut config = Config::new("broker-1:9092");
    for (name, value) in properties {
        config.set(name, value).unwrap();
    }
    Cluster::connect_by(config, Arc::new(routes.clone()))
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_address_that_leads_to_another_broker_is_said_and_not_used() {
    let routes = Routes::default();
    let _brokers = two_brokers("ours", &routes.home).await;
    let cluster = client(&routes, &[]).await;
    routes.lead("broker-2", &routes.home, "broker-1");
    let error = cluster
        .connection(BrokerId(2), Purpose::Produce)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Misrouted { .. }) && error.is_retriable(),
        "{error}"
    );
    let text = error.to_string();
    for said in [
        "broker 2 (broker-2:9092)",
        "than ours",
        "metadata.cluster.check.enable",
    ] {
        assert!(text.contains(said), "{text}");
    }
    // What is known of the brokers is not believed any more; the bootstrap servers say it anew.
    assert_eq!(cluster.metadata().brokers().count(), 0);
    routes.mend();
    sleep(10 * SECOND).await;
    cluster
        .connection(BrokerId(2), Purpose::Produce)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn records_do_not_go_to_another_cluster_that_has_taken_an_address_over() {
    for (properties, is_checked) in [
        (&[][..], true),
        (&[("metadata.cluster.check.enable", "false")], false),
        (&[("metadata.recovery.strategy", "none")], false),
    ] {
        let (routes, elsewhere) = (Routes::default(), Memory::default());
        let ours = two_brokers("ours", &routes.home).await;
        let theirs = two_brokers("theirs", &elsewhere).await;
        let cluster = client(&routes, properties).await;
        routes.lead("broker-2", &elsewhere, "broker-2");
        let producer = Producer::new(&cluster).unwrap();
        let record = ProducerRecord {
            topic: "t",
            value: Some(b"ours"),
            ..Default::default()
        };
        let sending = tokio::spawn(async move { producer.send(record).await });
        sleep(5 * SECOND).await;
        let reached = theirs.received_count(ApiKey::PRODUCE) > 0;
        assert_eq!(reached, !is_checked, "{properties:?}");
        if is_checked {
            assert_eq!(
                theirs.received().len(),
                theirs.received_count(ApiKey::API_VERSIONS)
            );
            routes.mend();
            sending.await.unwrap().unwrap();
            assert_eq!(ours.records("t", 0).unwrap().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_connection_is_fetched_over_only_if_it_leads_to_the_broker_that_is_meant() {
    for leads_elsewhere in [false, true] {
        let routes = Routes::default();
        let _brokers = two_brokers("ours", &routes.home).await;
        if leads_elsewhere {
            routes.lead("broker-1", &routes.home, "broker-2");
        }
        let cluster = client(&routes, &[]).await;
        let connection = cluster
            .connection(BrokerId(1), Purpose::Fetch(0))
            .await
            .unwrap();
        let closed = timeout(SECOND, connection.closed()).await.is_ok();
        assert_eq!(closed, leads_elsewhere);
    }
}
