//! Brokers that throttle, stand still, move, or answer without saying anything new, under paused time: every time limit holds, interest in a topic
//! does not depend on who else looks at it, and who does not get on asks ever more seldom.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{sync::Arc, time::Duration};

use kafka_proto::{
    client::{
        Admin, Cluster, Config, Consumer, Fetcher, GroupOffsets, IsolationLevel, OffsetSpec,
        OffsetToCommit, Producer, ProducerRecord, Purpose, Start, TopicPartition,
    },
    messages::{ApiKey, ErrorCode},
    mock,
    net::Memory,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    mock: mock::Cluster,
    network: Memory,
}

async fn bench(brokers: i32) -> Bench {
    let network = Memory::default();
    let builder = mock::Cluster::builder().brokers(brokers as _);
    let builder = builder.topic("t", 4).topic("u", 1);
    let builder = builder.on_this_runtime().in_memory(&network);
    Bench {
        mock: builder.start().await.unwrap(),
        network,
    }
}

impl Bench {
    async fn cluster(&self, properties: &[(&str, &str)]) -> Cluster {
        let mut config = Config::new(&self.mock.bootstrap_servers());
        let all = [("group.id", "g"), ("auto.offset.reset", "earliest")];
        for (name, value) in all.iter().chain(properties) {
            config.set(name, value).unwrap();
        }
        let connect = Arc::new(self.network.clone());
        Cluster::connect_by(config, connect).await.unwrap()
    }

    fn fill(&self, partition: i32, records: usize) {
        let values = std::iter::repeat_n((None, Some(b"v".as_slice())), records);
        self.mock.append("t", partition, values).unwrap();
    }
}

fn record(partition: i32) -> ProducerRecord<'static> {
    ProducerRecord {
        topic: "t",
        partition: Some(partition),
        value: Some(b"v"),
        ..ProducerRecord::default()
    }
}

/// Holds within 10 % and 100 ms.
fn holds(what: &str, limit: Duration, begin: Instant) {
    let took = begin.elapsed();
    let most = limit + limit / 10 + Duration::from_millis(100);
    assert!(took <= most, "{what} took {took:?} instead of {limit:?}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_somebody_has_looked_at_is_looked_after_by_who_uses_it() {
    for look in ["list", "describe", "all", "offsets", "given up"] {
        let bench = bench(3).await;
        let cluster = bench.cluster(&[("delivery.timeout.ms", "60000")]).await;
        let admin = Admin::new(&cluster);
        match look {
            "list" => drop(admin.list_topics().await.unwrap()),
            "describe" => drop(admin.describe_topic("t").await.unwrap()),
            "all" => drop(cluster.refresh_all().await.unwrap()),
            "offsets" => {
                let questions = [("t", 0, OffsetSpec::Latest)];
                let level = IsolationLevel::ReadUncommitted;
                drop(admin.list_offsets(&questions, level).await.unwrap());
            }
            _ => {}
        }
        let producer = Producer::new(&cluster).unwrap();
        producer.send(record(0)).await.unwrap();
        if look == "given up" {
            // Somebody else gives the same topic up.
            let metadata = bench.mock.faults().on(ApiKey::METADATA).always();
            let metadata = metadata.error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            drop(cluster.refresh(&["t"]).await);
            assert!(cluster.topic("t", SECOND).await.is_err());
            metadata.remove();
        }
        let old = bench.mock.leader("t", 0).unwrap();
        let new = bench.mock.broker_ids().into_iter().find(|id| *id != old);
        bench.mock.move_leader("t", 0, new.unwrap()).unwrap();
        bench.mock.stop_broker(old).await.unwrap();
        let begin = Instant::now();
        let sent = producer.send(record(0)).await;
        assert!(sent.is_ok(), "{look}: {sent:?}");
        assert!(
            begin.elapsed() < 5 * SECOND,
            "{look}: {:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_throttle_times_the_latest_end_counts_and_not_their_sum() {
    let bench = bench(1).await;
    let cluster = bench.cluster(&[]).await;
    let broker = cluster.metadata().brokers().next().unwrap().id;
    let connection = cluster.connection(broker, Purpose::Metadata).await.unwrap();
    let begin = Instant::now();
    for _ in 0..5 {
        connection.throttle(2 * SECOND);
    }
    let request = kafka_proto::messages::DescribeClusterRequest::default();
    connection.call(&request, SECOND).await.unwrap();
    assert_eq!(begin.elapsed(), 2 * SECOND);
    // One that may not write still closes.
    connection.throttle(3600 * SECOND);
    let waiting = connection.send(&request, SECOND).unwrap();
    connection.close();
    let closed = tokio::time::timeout(SECOND, waiting).await;
    assert!(closed.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn time_limits_hold_with_brokers_that_stop_stand_still_or_throttle() {
    const API: Duration = Duration::from_secs(8);
    const BLOCK: Duration = Duration::from_secs(1);
    for trouble in ["stopped", "paused", "throttling"] {
        for protocol in ["classic", "consumer"] {
            let bench = bench(1).await;
            bench.fill(0, 10);
            let properties = [
                ("default.api.timeout.ms", "8000"),
                ("max.block.ms", "1000"),
                ("group.protocol", protocol),
            ];
            let cluster = bench.cluster(&properties).await;
            let mut consumer = Consumer::new(&cluster);
            consumer.subscribe(&["t"]).unwrap();
            while consumer.poll(SECOND).await.unwrap().is_empty() {}
            let producer = Producer::new(&cluster).unwrap();
            match trouble {
                "stopped" => bench
                    .mock
                    .stop_broker(bench.mock.broker_ids()[0])
                    .await
                    .unwrap(),
                "paused" => bench.mock.pause_broker(bench.mock.broker_ids()[0]),
                _ => {
                    for connection in [Purpose::Coordinator, Purpose::Metadata, Purpose::Produce] {
                        let broker = cluster.metadata().brokers().next().unwrap().id;
                        let connection = cluster.connection(broker, connection).await.unwrap();
                        connection.throttle(120 * SECOND);
                    }
                    cluster
                        .any_connection()
                        .await
                        .unwrap()
                        .throttle(120 * SECOND);
                }
            }
            let what = |call: &str| format!("{call}, {trouble}, {protocol}");
            let begin = Instant::now();
            let committed = consumer.commit().await;
            assert!(committed.is_err(), "{}: {committed:?}", what("commit"));
            holds(&what("commit"), API, begin);
            let begin = Instant::now();
            let of = [TopicPartition::new("t", 0)];
            assert!(consumer.committed(&of).await.is_err());
            holds(&what("committed"), API, begin);
            let begin = Instant::now();
            let ends = consumer.end_offsets(&of).await;
            assert!(ends.is_err(), "{}: {ends:?}", what("end_offsets"));
            holds(&what("end_offsets"), API, begin);
            let begin = Instant::now();
            assert!(cluster.coordinator("other").await.is_err());
            holds(&what("coordinator"), API, begin);
            let begin = Instant::now();
            assert!(Admin::new(&cluster).describe_cluster().await.is_err());
            holds(&what("describe_cluster"), API, begin);
            let begin = Instant::now();
            let record = ProducerRecord {
                topic: "u",
                ..record(0)
            };
            assert!(producer.enqueue(record).await.is_err());
            holds(&what("enqueue"), BLOCK, begin);
            let begin = Instant::now();
            drop(consumer.close().await);
            holds(&what("close"), API, begin);
            let mut consumer = Consumer::new(&cluster);
            consumer.subscribe(&["t"]).unwrap();
            let begin = Instant::now();
            drop(consumer.close_within(SECOND).await);
            holds(&what("close_within"), SECOND, begin);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn commits_that_wait_for_one_another_end_within_their_own_time() {
    let bench = bench(1).await;
    let cluster = bench.cluster(&[("default.api.timeout.ms", "8000")]).await;
    let offsets = GroupOffsets::new(&cluster, "g");
    offsets
        .commit(&[OffsetToCommit::new("t", 0, 1)])
        .await
        .unwrap();
    bench.mock.pause_broker(bench.mock.broker_ids()[0]);
    let begin = Instant::now();
    let commit = |offset| offsets.commit(&[OffsetToCommit::new("t", 0, offset)]);
    let all = tokio::join!(commit(2), commit(3), commit(4), commit(5));
    assert!(all.0.is_err() && all.3.is_err());
    holds("four commits", 8 * SECOND, begin);
}

/// Requests of an API in each second, while a fetcher polls.
async fn pace(bench: &Bench, fetcher: &mut Fetcher, apis: &[ApiKey]) -> Vec<usize> {
    let count = || -> usize { apis.iter().map(|api| bench.mock.received_count(*api)).sum() };
    let mut seconds = Vec::new();
    for _ in 0..20 {
        let (before, end) = (count(), Instant::now() + SECOND);
        while Instant::now() < end {
            let left = end - Instant::now();
            drop(fetcher.poll_batches(left).await);
        }
        seconds.push(count() - before);
    }
    seconds
}

fn is_paced(what: &str, seconds: &[usize]) {
    assert!(seconds[0] <= 10, "{what}: {seconds:?}");
    assert!(seconds[10..].iter().all(|n| *n <= 3), "{what}: {seconds:?}");
    assert!(
        seconds[10..].iter().sum::<usize>() > 0,
        "{what}: {seconds:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_does_not_get_on_is_asked_for_ever_more_seldom() {
    let codes = [
        ErrorCode::OFFSET_OUT_OF_RANGE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::OFFSET_NOT_AVAILABLE,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::UNKNOWN_TOPIC_ID,
        ErrorCode::CORRUPT_MESSAGE,
        ErrorCode::INVALID_REQUEST,
    ];
    for code in codes {
        let bench = bench(1).await;
        bench.fill(0, 10);
        let cluster = bench.cluster(&[]).await;
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(0));
        let fault = bench.mock.faults().on(ApiKey::FETCH).partition("t", 0);
        let fault = fault.always().error(code);
        let apis = [ApiKey::FETCH, ApiKey::LIST_OFFSETS];
        let seconds = pace(&bench, &mut fetcher, &apis).await;
        is_paced(&format!("fetch, {code}"), &seconds);
        // Progress sets the pace back at once.
        fault.remove();
        while fetcher.position("t", 0) != Some(10) {
            drop(fetcher.poll_batches(SECOND).await);
        }
        bench.fill(0, 1);
        let begin = Instant::now();
        while fetcher.position("t", 0) != Some(11) {
            fetcher.poll_batches(SECOND).await.unwrap();
        }
        assert!(begin.elapsed() < SECOND, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_names_is_asked_for_ever_more_seldom_and_holds_up_no_other_partition() {
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode::OFFSET_NOT_AVAILABLE,
    ] {
        let bench = bench(1).await;
        (0..4).for_each(|partition| bench.fill(partition, 10));
        let cluster = bench.cluster(&[]).await;
        let mut fetcher = Fetcher::new(&cluster);
        (0..4).for_each(|partition| fetcher.assign("t", partition, Start::Earliest));
        let fault = bench
            .mock
            .faults()
            .on(ApiKey::LIST_OFFSETS)
            .partition("t", 0);
        fault.always().error(code);
        let begin = Instant::now();
        while (1..4).any(|partition| fetcher.position("t", partition) != Some(10)) {
            drop(fetcher.poll_batches(SECOND).await);
        }
        assert!(begin.elapsed() < SECOND, "{code}: {:?}", begin.elapsed());
        let seconds = pace(&bench, &mut fetcher, &[ApiKey::LIST_OFFSETS]).await;
        is_paced(&format!("list offsets, {code}"), &seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_consumer_of_assigned_partitions_commits_its_place_again_before_it_is_forgotten() {
    let bench = bench(1).await;
    bench.fill(0, 10);
    let cluster = bench.cluster(&[]).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.assign(&[TopicPartition::new("t", 0)]).unwrap();
    while bench.mock.committed_offset("g", "t", 0) != Some(10) {
        consumer.poll(SECOND).await.unwrap();
    }
    let commits = || bench.mock.received_count(ApiKey::OFFSET_COMMIT);
    let before = commits();
    let begin = Instant::now();
    while begin.elapsed() < 1500 * SECOND {
        consumer.poll(30 * SECOND).await.unwrap();
    }
    assert_eq!(commits() - before, 2);
}

#[tokio::test(start_paused = true)]
async fn metadata_that_says_nothing_new_is_asked_for_ever_more_seldom() {
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_TOPIC_ID,
    ] {
        let bench = bench(1).await;
        (0..4).for_each(|partition| bench.fill(partition, 10));
        let cluster = bench.cluster(&[]).await;
        let mut fetcher = Fetcher::new(&cluster);
        (0..4).for_each(|partition| fetcher.assign("t", partition, Start::Offset(0)));
        let fault = bench.mock.faults().on(ApiKey::FETCH).topic("t").always();
        fault.error(code);
        let seconds = pace(&bench, &mut fetcher, &[ApiKey::METADATA]).await;
        is_paced(&format!("metadata, {code}"), &seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_call_of_several_requests_has_the_time_of_one() {
    const API: Duration = Duration::from_secs(8);
    let bench = bench(1).await;
    let cluster = bench.cluster(&[("default.api.timeout.ms", "8000")]).await;
    let admin = Admin::new(&cluster);
    for group in ["a", "b", "c"] {
        let offset = OffsetToCommit::new("t", 0, 1);
        let offsets = GroupOffsets::new(&cluster, group);
        offsets.commit(&[offset]).await.unwrap();
    }
    admin.describe_topic("t").await.unwrap();
    // Each first answer takes most of the time, and then there is none.
    let faults = bench.mock.faults();
    let begin = Instant::now();
    for api in [ApiKey::METADATA, ApiKey::OFFSET_FETCH, ApiKey::LIST_OFFSETS] {
        faults.on(api).times(1).delay(6 * SECOND);
        faults.on(api).after(1).always().never_answer();
    }
    for api in [ApiKey::LIST_GROUPS, ApiKey::DELETE_GROUPS] {
        faults.on(api).always().never_answer();
    }
    faults.on(ApiKey::DELETE_RECORDS).always().never_answer();
    let listed = admin.list_groups().await;
    assert!(listed.is_err());
    holds("list_groups", API, begin);
    let begin = Instant::now();
    let deleted = admin.delete_groups(&["a", "b", "c"]).await;
    assert!(deleted.iter().all(Result::is_err));
    holds("delete_groups", API, begin);
    let begin = Instant::now();
    assert!(admin.group_offsets("a").await.is_err());
    holds("group_offsets", API, begin);
    let begin = Instant::now();
    let before = [("t", 0, -1), ("u", 0, -1)];
    let deleted = admin.delete_records(&before).await;
    assert!(deleted.is_err() || deleted.unwrap().iter().all(Result::is_err));
    holds("delete_records", API, begin);
    let begin = Instant::now();
    let questions = [("t", 0, OffsetSpec::Latest)];
    let listed = admin.list_offsets(&questions, IsolationLevel::ReadUncommitted);
    assert!(listed.await.is_err());
    holds("list_offsets", API, begin);
}

#[tokio::test(start_paused = true)]
async fn records_for_a_broker_that_does_not_take_them_fail_at_once() {
    let network = Memory::default();
    let builder = mock::Cluster::builder().topic("t", 4);
    let builder = builder.without(ApiKey::PRODUCE).on_this_runtime();
    let mock = builder.in_memory(&network).start().await.unwrap();
    let bench = Bench { mock, network };
    let producer = Producer::new(&bench.cluster(&[]).await).unwrap();
    let begin = Instant::now();
    let error = producer.send(record(0)).await.unwrap_err();
    assert!(error.to_string().contains("Produce"), "{error}");
    assert_eq!(error.maybe_written(), Some(false));
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}
