//! The view of a cluster and the connections to it, over an in-memory network of scripted brokers and a paused clock: what is asked of
//! whom, how often, and what a broker that moves, vanishes or lies can do.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/peer.rs"]
mod peer;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use kafka_proto::client::{BrokerId, Cluster, Config, Error, Fetcher, Purpose, Start};
use kafka_proto::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_proto::messages::{ApiKey, ErrorCode, MetadataRequest, MetadataResponse};
use kafka_proto::net::{Connect, ConnectFuture, Memory};
use kafka_proto::wire::Uuid;
use tokio::time::{Instant, sleep, timeout};

use self::peer::{Answer, Seen, serve};

const SECOND: Duration = Duration::from_secs(1);

/// Brokers at these hosts, and topic `t` with one partition led by the first of them.
fn brokers(hosts: &[(i32, &str)]) -> MetadataResponse {
    MetadataResponse {
        brokers: hosts
            .iter()
            .map(|(id, host)| MetadataResponseBroker {
                node_id: *id,
                host: (*host).into(),
                port: 9092,
                ..Default::default()
            })
            .collect(),
        topics: vec![MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: Uuid([1; 16]),
            partitions: vec![MetadataResponsePartition {
                leader_id: hosts.first().map_or(-1, |(id, _)| *id),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// What all scripted brokers answer to a question for metadata, to be changed by the test.
#[derive(Clone)]
struct Script {
    metadata: Arc<Mutex<MetadataResponse>>,
    asked: Arc<AtomicUsize>,
    /// The topics of the last question.
    topics: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(hosts: &[(i32, &str)]) -> Self {
        Self {
            metadata: Arc::new(Mutex::new(brokers(hosts))),
            asked: Arc::default(),
            topics: Arc::default(),
        }
    }

    fn set(&self, response: MetadataResponse) {
        *self.metadata.lock().unwrap() = response;
    }

    fn serve(&self, network: &Memory, host: &str) {
        let script = self.clone();
        serve(network, host, 9092, move |seen| script.answer(seen));
    }

    fn answer(&self, seen: &Seen) -> Answer {
        match seen.key {
            ApiKey::METADATA => {
                self.asked.fetch_add(1, Relaxed);
                let topics = seen.read::<MetadataRequest>().topics.unwrap_or_default();
                let names = topics.into_iter().flat_map(|topic| topic.name);
                *self.topics.lock().unwrap() = names.map(|name| name.to_string()).collect();
                seen.answer::<MetadataRequest>(&self.metadata.lock().unwrap())
            }
            _ => Answer::Silence,
        }
    }
}

/// A network whose addresses may be slow, and which counts attempts.
#[derive(Debug, Clone, Default)]
struct Slow {
    network: Memory,
    slow: Arc<Mutex<Vec<(String, Duration)>>>,
    attempts: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Slow {
    fn delay(&self, host: &str, by: Duration) {
        self.slow.lock().unwrap().push((host.to_owned(), by));
    }

    /// When connecting to a host was tried.
    fn attempts(&self, host: &str) -> Vec<Instant> {
        let attempts = self.attempts.lock().unwrap();
        let of_host = attempts.iter().filter(|(to, _)| to == host);
        of_host.map(|(_, at)| *at).collect()
    }
}

impl Connect for Slow {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> ConnectFuture<'a> {
        Box::pin(async move {
            let now = Instant::now();
            self.attempts.lock().unwrap().push((host.to_owned(), now));
            let slow = self.slow.lock().unwrap().clone();
            if let Some((_, by)) = slow.iter().find(|(slow, _)| slow == host) {
                sleep(*by).await;
            }
            self.network.connect(host, port).await
        })
    }
}

async fn connect(network: &Slow, servers: &str) -> Result<Cluster, Error> {
    Cluster::connect_by(Config::new(servers), Arc::new(network.clone())).await
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_end_the_attempt_that_others_wait_for() {
    let network = Slow::default();
    Script::new(&[(1, "a"), (2, "b")]).serve(&network.network, "a");
    Script::new(&[]).serve(&network.network, "b");
    let cluster = connect(&network, "a:9092").await.unwrap();
    network.delay("b", SECOND);
    let open = || cluster.connection(BrokerId(2), Purpose::Produce);
    let begin = Instant::now();
    assert!(timeout(SECOND / 2, open()).await.is_err());
    open().await.unwrap();
    assert_eq!(begin.elapsed(), SECOND);
    assert_eq!(network.attempts("b").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_not_polled_any_more_holds_nobody_up() {
    let network = Slow::default();
    Script::new(&[(1, "a"), (2, "b")]).serve(&network.network, "a");
    Script::new(&[]).serve(&network.network, "b");
    let cluster = connect(&network, "a:9092").await.unwrap();
    network.delay("b", SECOND);
    let mut stuck = pin!(cluster.connection(BrokerId(2), Purpose::Produce));
    let mut context = Context::from_waker(Waker::noop());
    assert!(stuck.as_mut().poll(&mut context).is_pending());
    let other = cluster.connection(BrokerId(2), Purpose::Produce);
    assert!(timeout(2 * SECOND, other).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_bootstrap_server_that_never_answers_delays_the_next_by_a_second_only() {
    let network = Slow::default();
    Script::new(&[(1, "a")]).serve(&network.network, "a");
    serve(&network.network, "mute", 9092, |_| Answer::Silence);
    network.delay("hole", 3600 * SECOND);
    let begin = Instant::now();
    connect(&network, "hole:9092,a:9092").await.unwrap();
    assert!(begin.elapsed() <= SECOND, "{:?}", begin.elapsed());
    // It was given up for good.
    sleep(60 * SECOND).await;
    assert!(network.attempts("hole").len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_broker_holds_up_nobody_who_wants_another() {
    let network = Slow::default();
    let script = Script::new(&[(1, "a"), (2, "hole"), (3, "c")]);
    script.serve(&network.network, "a");
    script.serve(&network.network, "c");
    network.delay("hole", 3600 * SECOND);
    let cluster = connect(&network, "a:9092").await.unwrap();
    let begin = Instant::now();
    let slow = cluster.connection(BrokerId(2), Purpose::Produce);
    let fast = async {
        cluster
            .connection(BrokerId(3), Purpose::Produce)
            .await
            .unwrap();
        cluster.refresh(&["t"]).await.unwrap();
        begin.elapsed()
    };
    let (slow, fast) = tokio::join!(slow, fast);
    assert_eq!(fast, Duration::ZERO);
    assert!(matches!(slow, Err(Error::Timeout { .. })), "{slow:?}");
    assert_eq!(begin.elapsed(), 10 * SECOND);
}

#[test]
fn an_attempt_whose_runtime_ended_is_begun_again() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let network = Slow::default();
    let script = Script::new(&[(1, "a"), (2, "b")]);
    let home = runtime();
    let cluster = home.block_on(async {
        script.serve(&network.network, "a");
        script.serve(&network.network, "b");
        connect(&network, "a:9092").await.unwrap()
    });
    network.delay("b", 3600 * SECOND);
    let other = runtime();
    other.block_on(async {
        let mut open = pin!(cluster.connection(BrokerId(2), Purpose::Produce));
        let mut context = Context::from_waker(Waker::noop());
        assert!(open.as_mut().poll(&mut context).is_pending());
    });
    drop(other);
    network.slow.lock().unwrap().clear();
    home.block_on(async {
        let again = cluster.connection(BrokerId(2), Purpose::Produce);
        assert!(timeout(10 * SECOND, again).await.unwrap().is_ok());
    });
}

#[tokio::test(start_paused = true)]
async fn reconnects_wait_longer_and_longer_with_jitter() {
    let network = Slow::default();
    Script::new(&[(1, "a"), (2, "gone")]).serve(&network.network, "a");
    let cluster = connect(&network, "a:9092").await.unwrap();
    for _ in 0..12 {
        let error = cluster
            .connection(BrokerId(2), Purpose::Produce)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }
    let attempts = network.attempts("gone");
    let waits: Vec<u128> = attempts
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis())
        .collect();
    // `reconnect.backoff.ms` to `reconnect.backoff.max.ms`, each a fifth more or less.
    for (wait, middle) in waits
        .iter()
        .zip([50, 100, 200, 400, 800, 1000, 1000, 1000, 1000])
    {
        assert!(
            (middle * 8 / 10..=middle * 12 / 10 + 1).contains(wait),
            "{waits:?}"
        );
    }
    let last: std::collections::HashSet<_> = waits[5..].iter().collect();
    assert!(last.len() > 1, "no jitter in {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_moved_is_connected_at_its_new_address_under_its_old_id() {
    let network = Slow::default();
    let script = Script::new(&[(1, "a"), (2, "old")]);
    for host in ["a", "old", "new"] {
        script.serve(&network.network, host);
    }
    let cluster = connect(&network, "a:9092").await.unwrap();
    let old = cluster
        .connection(BrokerId(2), Purpose::Produce)
        .await
        .unwrap();
    assert!(old.name().contains("old:9092"));
    script.set(brokers(&[(1, "a"), (2, "new")]));
    cluster.refresh(&[]).await.unwrap();
    let new = cluster
        .connection(BrokerId(2), Purpose::Produce)
        .await
        .unwrap();
    assert!(new.name().contains("new:9092"), "{}", new.name());
    // Another broker at an address that is known is another broker.
    script.set(brokers(&[(1, "a"), (3, "new")]));
    cluster.refresh(&[]).await.unwrap();
    let third = cluster
        .connection(BrokerId(3), Purpose::Produce)
        .await
        .unwrap();
    assert!(
        third.name().contains("broker 3 (new:9092)"),
        "{}",
        third.name()
    );
    let gone = cluster.connection(BrokerId(2), Purpose::Produce).await;
    assert!(gone.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_demands_it_has_the_bootstrap_servers_asked_again() {
    let network = Slow::default();
    let known = Script::new(&[(1, "a")]);
    known.serve(&network.network, "a");
    let cluster = connect(&network, "a:9092,b:9092").await.unwrap();
    // The old cluster is shut down in favour of the one that the other bootstrap server knows (KIP-1102).
    Script::new(&[(7, "b")]).serve(&network.network, "b");
    known.set(MetadataResponse {
        error_code: ErrorCode::REBOOTSTRAP_REQUIRED,
        ..brokers(&[(1, "a")])
    });
    let mut found = cluster.refresh(&[]).await;
    for _ in 0..20 {
        // Which server is asked first is left to chance.
        if found.is_ok() {
            break;
        }
        found = cluster.refresh(&[]).await;
    }
    assert!(found.unwrap().broker(BrokerId(7)).is_some());
}

#[tokio::test(start_paused = true)]
async fn brokers_that_give_no_metadata_for_too_long_are_forgotten_for_the_bootstrap_servers() {
    for (strategy, recovers) in [("rebootstrap", true), ("none", false)] {
        let network = Slow::default();
        let known = Script::new(&[(1, "a")]);
        known.serve(&network.network, "boot");
        known.serve(&network.network, "a");
        let mut config = Config::new("boot:9092");
        config.set("metadata.recovery.strategy", strategy).unwrap();
        let cluster = Cluster::connect_by(config, Arc::new(network.clone()))
            .await
            .unwrap();
        // The known one stays connectable and useless; the bootstrap server belongs to the new cluster.
        serve(&network.network, "a", 9092, |_| Answer::Silence);
        Script::new(&[(7, "boot")]).serve(&network.network, "boot");
        cluster.any_connection().await.unwrap().close();
        sleep(SECOND).await;
        let deadline = Instant::now() + 600 * SECOND;
        while Instant::now() < deadline && cluster.metadata().broker(BrokerId(7)).is_none() {
            drop(cluster.refresh(&[]).await);
        }
        let is_found = cluster.metadata().broker(BrokerId(7)).is_some();
        assert_eq!(is_found, recovers, "{strategy}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_is_old_is_asked_for_again_by_itself() {
    let network = Slow::default();
    let script = Script::new(&[(1, "a")]);
    script.serve(&network.network, "a");
    let cluster = connect(&network, "a:9092").await.unwrap();
    cluster.refresh(&["t"]).await.unwrap();
    let mut changes = cluster.changes();
    let begin = Instant::now();
    script.set(brokers(&[(2, "b")]));
    changes.changed().await.unwrap();
    assert_eq!(begin.elapsed(), 300 * SECOND, "metadata.max.age.ms");
    assert_eq!(cluster.metadata().leader("t", 0), Some((BrokerId(2), -1)));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_missing_for_ever_is_asked_for_at_the_pace_of_the_back_off() {
    let network = Slow::default();
    let script = Script::new(&[(1, "a")]);
    script.serve(&network.network, "a");
    let cluster = connect(&network, "a:9092").await.unwrap();
    let before = script.asked.load(Relaxed);
    let error = cluster.topic("missing", 20 * SECOND).await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    let asked = script.asked.load(Relaxed) - before;
    // 0.1 + 0.2 + 0.4 + 0.8 s, then once a second.
    assert!((15..=30).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn topics_are_asked_for_with_the_first_question_if_they_are_named_then() {
    let mock = kafka_proto::mock::Cluster::builder()
        .topic("t", 1)
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    let config = Config::new(&mock.bootstrap_servers());
    let cluster = Cluster::connect_for(config, &["t"]).await.unwrap();
    assert!(cluster.metadata().topic("t").is_some());
    cluster.topic("t", SECOND).await.unwrap();
    assert_eq!(mock.received_count(ApiKey::METADATA), 1);
}

#[tokio::test(start_paused = true)]
async fn fetching_goes_on_over_the_first_connection_unless_somebody_uses_it() {
    for is_used in [false, true] {
        let network = Slow::default();
        Script::new(&[(1, "a")]).serve(&network.network, "a");
        let cluster = connect(&network, "a:9092").await.unwrap();
        let first = cluster.any_connection().await.unwrap();
        let used = is_used.then(|| first.clone());
        drop(first);
        let fetch = cluster.connection(BrokerId(1), Purpose::Fetch(0)).await;
        let fetch = fetch.unwrap();
        assert!(fetch.name().starts_with("broker 1"), "{}", fetch.name());
        assert_eq!(network.attempts("a").len(), if is_used { 2 } else { 1 });
        // Another fetcher, and questions, have their own.
        let other = cluster.connection(BrokerId(1), Purpose::Fetch(1)).await;
        drop(other.unwrap());
        let begin = Instant::now();
        cluster.refresh(&["t"]).await.unwrap();
        assert_eq!(begin.elapsed(), Duration::ZERO, "it need not wait");
        assert!(network.attempts("a").len() >= 2);
        drop(used);
        // What is fetched is counted as the broker's.
        let request = MetadataRequest::default();
        fetch.call(&request, SECOND).await.unwrap();
        let metrics = cluster.metrics();
        assert!(metrics.brokers["broker 1 (a:9092)"].requests >= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nobody_needs_any_more_is_not_asked_for() {
    let network = Slow::default();
    let script = Script::new(&[(1, "a")]);
    script.serve(&network.network, "a");
    let cluster = connect(&network, "a:9092").await.unwrap();
    let mut fetcher = Fetcher::new(&cluster);
    let mut other = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(0));
    other.assign("t", 0, Start::Offset(0));
    sleep(SECOND).await;
    assert_eq!(*script.topics.lock().unwrap(), ["t"]);
    assert!(cluster.metadata().topic("t").is_some());
    fetcher.unassign("t", 0);
    sleep(300 * SECOND).await;
    assert_eq!(
        *script.topics.lock().unwrap(),
        ["t"],
        "the other one reads it"
    );
    drop(other);
    sleep(300 * SECOND).await;
    assert!(script.topics.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_does_not_make_a_topic_again_that_was_deleted() {
    let mock = kafka_proto::mock::Cluster::builder()
        .topic("t", 1)
        .on_this_runtime()
        .start()
        .await
        .unwrap();
    let config = Config::new(&mock.bootstrap_servers());
    let cluster = Cluster::connect(config).await.unwrap();
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    // One that was never there is made for whoever needs it.
    fetcher.assign("new", 0, Start::Earliest);
    drop(fetcher.poll_batches(SECOND).await.unwrap());
    assert!(cluster.metadata().topic("new").is_some());
    mock.delete_topic("t").unwrap();
    for _ in 0..3 {
        cluster.request_refresh();
        sleep(2 * SECOND).await;
    }
    assert!(cluster.metadata().topic("t").is_none());
    assert_eq!(mock.topics(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_dropped_at_any_await_leaves_the_next_one_a_full_answer() {
    for polls in 0..12 {
        let network = Slow::default();
        let script = Script::new(&[(1, "a")]);
        script.serve(&network.network, "a");
        let cluster = connect(&network, "a:9092").await.unwrap();
        {
            let mut refresh = pin!(cluster.refresh(&["t"]));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if refresh.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let metadata = timeout(SECOND, cluster.refresh(&["t"]))
            .await
            .unwrap()
            .unwrap();
        assert!(metadata.topic("t").is_some(), "{polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_dropped_while_it_connects_stops_trying() {
    let network = Slow::default();
    Script::new(&[(1, "a"), (2, "gone")]).serve(&network.network, "a");
    let cluster = connect(&network, "a:9092").await.unwrap();
    let open = cluster.connection(BrokerId(2), Purpose::Produce);
    assert!(timeout(SECOND, open).await.unwrap().is_err());
    // The next attempt is waiting for its time.
    let open = cluster.connection(BrokerId(2), Purpose::Produce);
    assert!(timeout(Duration::from_millis(1), open).await.is_err());
    let attempts = network.attempts("gone").len();
    drop(cluster);
    sleep(60 * SECOND).await;
    assert_eq!(network.attempts("gone").len(), attempts);
}

#[tokio::test(start_paused = true)]
async fn a_closed_cluster_ends_its_connections_and_attempts_and_opens_no_more() {
    let network = Slow::default();
    Script::new(&[(1, "a"), (2, "gone")]).serve(&network.network, "a");
    let cluster = connect(&network, "a:9092").await.unwrap();
    let open = cluster.connection(BrokerId(1), Purpose::Produce).await;
    let open = open.unwrap();
    let other = cluster.clone();
    let waiting = tokio::spawn(async move {
        other.connection(BrokerId(2), Purpose::Produce).await.err();
        other.connection(BrokerId(2), Purpose::Produce).await.err()
    });
    sleep(Duration::from_millis(1)).await;
    cluster.close().await.unwrap();
    assert!(open.is_closed());
    let error = waiting.await.unwrap().unwrap();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    let attempts = network.attempts("gone").len();
    let error = cluster.refresh(&[]).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    sleep(600 * SECOND).await;
    assert_eq!(network.attempts("gone").len(), attempts);
    cluster.close_within(SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_network_is_the_error_of_the_caller() {
    #[derive(Debug)]
    struct Broken;
    impl Connect for Broken {
        fn connect<'a>(&'a self, _: &'a str, _: u16) -> ConnectFuture<'a> {
            Box::pin(async { Err(io::Error::other("no cable")) })
        }
    }
    let error = Cluster::connect_by(Config::new("a:1,b:2"), Arc::new(Broken))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NoBroker { .. }), "{text}");
    for part in ["a:1", "b:2", "no cable"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_65_537th_fetcher_has_connections_of_its_own() {
    let network = Memory::default();
    let builder = kafka_proto::mock::Cluster::builder().topic("t", 1);
    let builder = builder.on_this_runtime().in_memory(&network);
    let mock = builder.start().await.unwrap();
    mock.append("t", 0, [(None, Some(b"v".as_slice()))])
        .unwrap();
    let config = Config::new(&mock.bootstrap_servers());
    let cluster = Cluster::connect_by(config, Arc::new(network))
        .await
        .unwrap();
    let reading = async || {
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Earliest);
        while fetcher.position("t", 0) != Some(1) {
            fetcher.poll_batches(SECOND).await.unwrap();
        }
        fetcher
    };
    let first = reading().await;
    for _ in 1..65_536 {
        drop(Fetcher::new(&cluster));
    }
    let opened = cluster.metrics().connections_opened;
    let other = reading().await;
    assert!(cluster.metrics().connections_opened > opened);
    drop((other, first));
}
