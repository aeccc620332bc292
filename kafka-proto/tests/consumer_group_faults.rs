//! Groups under answers that stand in the way, both protocols, under paused time: what is buffered never outlives the group's word, and what one
//! request is refused is that request's business.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "consumer_group_faults/commits.rs"]
mod commits;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_core::Stream;
use kafka_proto::{
    client::{
        Cluster, Config, Consumer, CoordinatorKind, Fetcher, GroupEvent, GroupOffsets,
        GroupOptions, Membership, OffsetToCommit, Rebalance, Start, TopicPartition,
    },
    messages::{
        ApiKey, EndTxnRequest, ErrorCode, InitProducerIdRequest, TxnOffsetCommitRequest,
        txn_offset_commit::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
    },
    mock,
    net::Memory,
};

/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(100);

struct Bench {
    mock: mock::Cluster,
    network: Memory,
    protocol: &'static str,
}

async fn bench(protocol: &'static str) -> Bench {
    let network = Memory::default();
    let builder = mock::Cluster::builder().topic("t", 4).topic("u", 1);
    let builder = builder.on_this_runtime().in_memory(&network);
    Bench {
        mock: builder.start().await.unwrap(),
        network,
        protocol,
    }
}

impl Bench {
    async fn cluster(&self, properties: &[(&str, &str)]) -> Cluster {
        let mut config = Config::new(&self.mock.bootstrap_servers());
        let all = [
            ("group.id", "g"),
            ("group.protocol", self.protocol),
            ("auto.offset.reset", "earliest"),
        ];
        for (name, value) in all.iter().chain(properties) {
            config.set(name, value).unwrap();
        }
        let connect = Arc::new(self.network.clone());
        Cluster::connect_by(config, connect).await.unwrap()
    }

    async fn consumer(&self, properties: &[(&str, &str)]) -> Consumer {
        let mut consumer = Consumer::new(&self.cluster(properties).await);
        consumer.subscribe(&["t"]).unwrap();
        consumer
    }

    async fn member(&self) -> Membership {
        let cluster = self.cluster(&[]).await;
        let options = GroupOptions::configured(cluster.config(), &["t"]).unwrap();
        Membership::join(&cluster, options).unwrap()
    }

    fn fill(&self, records: usize) {
        for partition in 0..4 {
            let values = std::iter::repeat_n((None, Some(b"v".as_slice())), records);
            self.mock.append("t", partition, values).unwrap();
        }
    }

    fn heartbeat(&self) -> ApiKey {
        match self.protocol {
            "classic" => ApiKey::HEARTBEAT,
            _ => ApiKey::CONSUMER_GROUP_HEARTBEAT,
        }
    }

    /// The member is thrown out, and joins again by itself.
    async fn throw_out(&self) {
        let fault = self.mock.faults().on(self.heartbeat());
        let fault = fault.error(ErrorCode::UNKNOWN_MEMBER_ID);
        while fault.hits() == 0 {
            tokio::time::sleep(SHORT).await;
        }
        // A classic group waits until the session of the member that it had has ended.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

const PROTOCOLS: [&str; 2] = ["classic", "consumer"];

/// The ways to take records out of a consumer.
#[derive(Clone, Copy, Debug)]
enum Way {
    Poll,
    Recv,
    Stream,
    Batches,
}

const WAYS: [Way; 4] = [Way::Poll, Way::Recv, Way::Stream, Way::Batches];

/// One call: the partitions and offsets that it delivered.
async fn call(way: Way, consumer: &mut Consumer) -> Vec<(i32, i64)> {
    let one =
        |record: kafka_proto::client::ConsumerRecord| vec![(record.partition(), record.offset())];
    match way {
        Way::Poll => {
            let records = consumer.poll(SHORT).await.unwrap();
            records
                .iter()
                .map(|record| (record.partition(), record.offset()))
                .collect()
        }
        Way::Recv => {
            let next = tokio::time::timeout(SHORT, consumer.recv()).await;
            next.map_or_else(|_| Vec::new(), |record| one(record.unwrap()))
        }
        Way::Stream => {
            let next = poll_fn(|cx| pin!(&mut *consumer).poll_next(cx));
            let next = tokio::time::timeout(SHORT, next).await;
            next.map_or_else(|_| Vec::new(), |record| one(record.unwrap().unwrap()))
        }
        Way::Batches => {
            let mut decompressor = consumer.decompressor();
            let mut delivered = Vec::new();
            for mut partition in consumer.poll_batches(SHORT).await.unwrap() {
                let of = partition.partition();
                while let Some(batch) = partition.next_batch().unwrap() {
                    for record in batch.records(&mut decompressor).unwrap() {
                        delivered.push((of, record.unwrap().offset));
                    }
                }
            }
            delivered
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_taken_up_at_the_first_call_whatever_is_queued() {
    for protocol in PROTOCOLS {
        for way in WAYS {
            for auto_commit in ["true", "false"] {
                let bench = bench(protocol).await;
                bench.fill(3000);
                let properties = [
                    ("max.poll.records", "10"),
                    ("enable.auto.commit", auto_commit),
                ];
                let mut first = bench.consumer(&properties).await;
                // The queue is full of the rest.
                while call(Way::Poll, &mut first).await.is_empty() {}
                assert!(matches!(
                    first.next_rebalance(),
                    Some(Rebalance::Assigned(_))
                ));
                let _second = bench.member().await;
                tokio::time::sleep(Duration::from_secs(20)).await;
                call(way, &mut first).await;
                let told = first.next_rebalance();
                assert!(
                    matches!(told, Some(Rebalance::Revoked(_))),
                    "{protocol}, {way:?}, {auto_commit}: {told:?}"
                );
            }
        }
    }
}

/// Two members, the second of which comes while the first works through a full queue, slowly.
async fn two_slow_members(bench: &Bench, way: Way, auto_commit: bool) {
    const RECORDS: usize = 200;
    let what = format!("{}, {way:?}, auto commit {auto_commit}", bench.protocol);
    bench.fill(RECORDS);
    let properties = [
        ("max.poll.records", "10"),
        ("max.poll.interval.ms", "10000"),
        ("session.timeout.ms", "9000"),
        ("auto.commit.interval.ms", "1000"),
        (
            "enable.auto.commit",
            if auto_commit { "true" } else { "false" },
        ),
    ];
    let delivered: Mutex<BTreeMap<(i32, i64), usize>> = Mutex::default();
    let work = async |number: u64| {
        tokio::time::sleep(Duration::from_secs(3 * number)).await;
        let mut consumer = bench.consumer(&properties).await;
        while delivered.lock().unwrap().len() < 4 * RECORDS {
            let records = call(way, &mut consumer).await;
            let slow = match way {
                Way::Recv | Way::Stream => 100,
                Way::Poll | Way::Batches => 1000,
            };
            if !records.is_empty() {
                tokio::time::sleep(Duration::from_millis(slow)).await;
            }
            for of in records {
                *delivered.lock().unwrap().entry(of).or_default() += 1;
            }
            while let Some(rebalance) = consumer.next_rebalance() {
                assert!(!matches!(rebalance, Rebalance::Lost(..)), "{what}");
            }
            if !auto_commit {
                consumer.commit().await.unwrap();
            }
        }
        consumer.close().await.unwrap();
    };
    let watch = async {
        let mut before = [None; 4];
        loop {
            for (partition, before) in before.iter_mut().enumerate() {
                let now = bench.mock.committed_offset("g", "t", partition as i32);
                assert!(now >= *before, "{what}: {before:?} became {now:?}");
                *before = now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let both = async { tokio::join!(work(0), work(1)) };
    tokio::select! {
        _ = both => {}
        () = watch => {}
        () = tokio::time::sleep(LIMIT) => panic!("{what}: hangs"),
    }
    for partition in 0..4 {
        let committed = bench.mock.committed_offset("g", "t", partition);
        assert_eq!(committed, Some(RECORDS as i64), "{what}");
    }
    let twice = delivered
        .lock()
        .unwrap()
        .values()
        .filter(|n| **n > 1)
        .count();
    assert_eq!(twice, 0, "{what}: delivered twice");
}

#[tokio::test(start_paused = true)]
async fn slow_members_with_full_queues_deliver_nothing_twice_and_no_commit_goes_back() {
    for protocol in PROTOCOLS {
        for way in WAYS {
            for auto_commit in [true, false] {
                two_slow_members(&bench(protocol).await, way, auto_commit).await;
            }
        }
    }
}

async fn assigned(member: &mut Membership) -> Vec<TopicPartition> {
    loop {
        if let GroupEvent::Assigned(assignment) = member.next_event().await.unwrap() {
            return assignment.partitions;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_loss_is_not_committed_by_a_member_that_joined_again_unseen() {
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        let mut member = bench.member().await;
        assert_eq!(assigned(&mut member).await.len(), 4);
        let offset = |offset| [OffsetToCommit::new("t", 1, offset)];
        member.offsets().commit(&offset(7)).await.unwrap();
        bench.throw_out().await;
        // It is a member again and has all partitions; who had them in between may have committed more.
        let refused = member.offsets().commit(&offset(3)).await;
        assert!(refused.is_err(), "{protocol}");
        assert_eq!(bench.mock.committed_offset("g", "t", 1), Some(7));
        let sent = bench.mock.received_count(ApiKey::OFFSET_COMMIT);
        let GroupEvent::Lost(_) = member.next_event().await.unwrap() else {
            panic!("lost")
        };
        // Outside, also if the next assignment waits to be taken.
        let refused = member.offsets().commit(&offset(3)).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::UNKNOWN_MEMBER_ID));
        assert_eq!(bench.mock.received_count(ApiKey::OFFSET_COMMIT), sent);
        assigned(&mut member).await;
        member.offsets().commit(&offset(9)).await.unwrap();
        assert_eq!(bench.mock.committed_offset("g", "t", 1), Some(9));
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_under_way_while_the_member_is_thrown_out_and_comes_back_is_refused() {
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        // The commit is still tried when the member is back.
        let cluster = bench.cluster(&[("default.api.timeout.ms", "600000")]).await;
        let options = GroupOptions::configured(cluster.config(), &["t"]).unwrap();
        let mut member = Membership::join(&cluster, options).unwrap();
        assigned(&mut member).await;
        let fault = bench.mock.faults().on(ApiKey::OFFSET_COMMIT).always();
        let fault = fault.error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        let commit = member.offsets().commit(&[OffsetToCommit::new("t", 1, 3)]);
        bench.throw_out().await;
        // Taken up before the commit has got through.
        assigned(&mut member).await;
        if protocol == "consumer" {
            // To the coordinator it was never gone, and its epoch is still that of the commit: another subscription moves it.
            member.subscribe(&["t", "u"]);
            assigned(&mut member).await;
        }
        fault.remove();
        let error = commit.await.unwrap_err();
        assert_ne!(error.code(), Some(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
        assert_eq!(bench.mock.committed_offset("g", "t", 1), None, "{protocol}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_member_keeps_in_a_rebalance_can_be_committed_before_it_has_taken_that_up() {
    let bench = bench("classic").await;
    let cooperative = [("partition.assignment.strategy", "cooperative-sticky")];
    let cluster = bench.cluster(&cooperative).await;
    let join = || {
        let options = GroupOptions::configured(cluster.config(), &["t"]).unwrap();
        Membership::join(&cluster, options).unwrap()
    };
    let mut first = join();
    assert_eq!(assigned(&mut first).await.len(), 4);
    let _second = join();
    while bench.mock.group_generation("g") < Some(2) {
        tokio::time::sleep(SHORT).await;
    }
    tokio::time::sleep(10 * SHORT).await;
    for partition in 0..4 {
        let offset = OffsetToCommit::new("t", partition, 5);
        first.offsets().commit(&[offset]).await.unwrap();
    }
}

/// Codes that say that another member has taken this one's place.
fn ends(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NONE | ErrorCode::FENCED_INSTANCE_ID)
}

#[tokio::test(start_paused = true)]
async fn no_error_code_of_one_answer_ends_a_membership() {
    let classic = [
        ApiKey::JOIN_GROUP,
        ApiKey::SYNC_GROUP,
        ApiKey::HEARTBEAT,
        ApiKey::OFFSET_COMMIT,
        ApiKey::OFFSET_FETCH,
        ApiKey::FIND_COORDINATOR,
    ];
    let modern = [
        ApiKey::CONSUMER_GROUP_HEARTBEAT,
        ApiKey::OFFSET_COMMIT,
        ApiKey::OFFSET_FETCH,
        ApiKey::FIND_COORDINATOR,
    ];
    for (protocol, apis) in [("classic", &classic[..]), ("consumer", &modern[..])] {
        for &api in apis {
            let bench = bench(protocol).await;
            bench.fill(1);
            let properties = [("enable.auto.commit", "false")];
            let mut consumer = bench.consumer(&properties).await;
            for &code in ErrorCode::ALL.iter().filter(|code| !ends(**code)) {
                let what = format!("{protocol}, {api:?}, {code}");
                let fault = bench.mock.faults().on(api).error(code);
                let mut works = async || {
                    let mut round = 0_u32;
                    loop {
                        // Whatever is said of it: the next poll goes on.
                        let polled = consumer.poll(SHORT).await;
                        let is_closed =
                            matches!(polled, Err(kafka_proto::client::Error::Closed { .. }));
                        assert!(!is_closed, "{what}");
                        let all = consumer.assignment().len() == 4;
                        let offset = [OffsetToCommit::new("t", 0, 1)];
                        if all
                            && consumer.commit_offsets(&offset).await.is_ok()
                            && fault.hits() == 1
                        {
                            return;
                        }
                        round += 1;
                        if all && round.is_multiple_of(4) && fault.hits() == 0 {
                            provoke(&bench, api, &mut consumer, round).await;
                        }
                    }
                };
                let works = tokio::time::timeout(LIMIT, works()).await;
                assert!(works.is_ok(), "{what}: it does not come back");
            }
        }
    }
}

/// Has the client use an API.
async fn provoke(bench: &Bench, api: ApiKey, consumer: &mut Consumer, round: u32) {
    match api {
        ApiKey::JOIN_GROUP | ApiKey::SYNC_GROUP => {
            let topics: &[&str] = if round.is_multiple_of(8) {
                &["t"]
            } else {
                &["t", "u"]
            };
            consumer.subscribe(topics).unwrap();
            consumer.subscribe(&["t"]).unwrap();
        }
        ApiKey::FIND_COORDINATOR => {
            let fault = bench.mock.faults().on(bench.heartbeat());
            fault.error(ErrorCode::NOT_COORDINATOR);
        }
        ApiKey::OFFSET_FETCH => {
            drop(consumer.committed(&[TopicPartition::new("t", 0)]).await);
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_refused_asks_ever_more_seldom() {
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        let api = match protocol {
            "classic" => ApiKey::JOIN_GROUP,
            _ => ApiKey::CONSUMER_GROUP_HEARTBEAT,
        };
        for code in [
            ErrorCode::GROUP_AUTHORIZATION_FAILED,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode::UNKNOWN_MEMBER_ID,
            ErrorCode::NOT_COORDINATOR,
        ] {
            bench.mock.clear_received();
            let fault = bench.mock.faults().on(api).always().error(code);
            let mut consumer = bench.consumer(&[]).await;
            let polling = async {
                loop {
                    drop(consumer.poll(SHORT).await);
                }
            };
            let count = || bench.mock.received_count(api);
            let asked = async {
                let mut seconds = Vec::new();
                for _ in 0..20 {
                    let before = count();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    seconds.push(count() - before);
                }
                seconds
            };
            let seconds = tokio::select! {
                () = polling => unreachable!(),
                seconds = asked => seconds,
            };
            assert!(seconds[0] <= 10, "{protocol}, {code}: {seconds:?}");
            let later = seconds[10..].iter().max().unwrap();
            assert!(
                *later <= 2 && seconds[10..].iter().sum::<usize>() > 0,
                "{protocol}, {code}: {seconds:?}"
            );
            fault.remove();
            drop(consumer);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn committed_offsets_wait_for_a_transaction_that_is_not_decided_whatever_the_isolation_level()
{
    for isolation in ["read_uncommitted", "read_committed"] {
        let bench = bench("classic").await;
        let cluster = bench.cluster(&[("isolation.level", isolation)]).await;
        let (_, connection) = cluster
            .coordinator_of(CoordinatorKind::Transaction, "writer")
            .await
            .unwrap();
        let init = InitProducerIdRequest {
            transactional_id: Some("writer".into()),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let producer = connection.call(&init, LIMIT).await.unwrap();
        let offsets = TxnOffsetCommitRequest {
            transactional_id: "writer".into(),
            group_id: "g".into(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            generation_id_or_member_epoch: -1,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: 7,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        // Version 6 names topics by their ids.
        let answer = connection.call_at_most(&offsets, 5, LIMIT).await.unwrap();
        assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
        let mut consumer = Consumer::new(&cluster);
        consumer.assign(&[TopicPartition::new("t", 0)]).unwrap();
        let of = [TopicPartition::new("t", 0)];
        let undecided =
            tokio::time::timeout(Duration::from_secs(10), consumer.committed(&of)).await;
        assert!(undecided.is_err(), "{isolation}: {undecided:?}");
        let end = EndTxnRequest {
            transactional_id: "writer".into(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            committed: true,
        };
        let ended = connection.call(&end, LIMIT).await.unwrap();
        assert_eq!(ended.error_code, ErrorCode::NONE);
        let committed = consumer.committed(&of).await.unwrap();
        assert_eq!(committed[0].as_ref().map(|at| at.offset), Some(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_known_after_a_seek_says_nothing_of_what_was_delivered() {
    let bench = bench("classic").await;
    bench.fill(10);
    let cluster = bench.cluster(&[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    while fetcher.position("t", 0) != Some(10) {
        fetcher.poll_batches(SHORT).await.unwrap();
    }
    // The connection is busy with a long poll, so that the question does not hold up fetches.
    let faults = bench.mock.faults();
    let late = faults
        .on(ApiKey::LIST_OFFSETS)
        .delay(Duration::from_secs(5));
    fetcher.assign("t", 1, Start::Latest);
    while late.hits() == 0 {
        fetcher.poll_batches(SHORT).await.unwrap();
    }
    fetcher.seek("t", 1, Start::Offset(0)).unwrap();
    let fetch = faults.on(ApiKey::FETCH).always();
    let fetch = fetch.delay(Duration::from_secs(1));
    while fetch.hits() == 0 {
        fetcher
            .poll_batches(Duration::from_millis(1))
            .await
            .unwrap();
    }
    // Fetched, and kept for when it goes on.
    fetcher.pause("t", 1).unwrap();
    fetcher.poll_batches(Duration::from_secs(10)).await.unwrap();
    fetcher.poll_batches(Duration::from_secs(10)).await.unwrap();
    assert_eq!(fetcher.position("t", 1), Some(0), "nothing was delivered");
    fetcher.resume("t", 1).unwrap();
    let fetched = fetcher.poll_batches(Duration::from_secs(10)).await.unwrap();
    assert!(fetched.into_iter().any(|of| of.partition() == 1));
    assert_eq!(fetcher.position("t", 1), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_to_what_is_no_topic_or_may_not_be_read_is_an_error_of_one_poll() {
    for protocol in PROTOCOLS {
        for code in [
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ] {
            let bench = bench(protocol).await;
            bench.fill(1);
            let fault = bench.mock.faults().on(ApiKey::METADATA).topic("u");
            fault.always().error(code);
            let mut consumer = Consumer::new(&bench.cluster(&[]).await);
            consumer.subscribe(&["t", "u"]).unwrap();
            let (mut errors, mut records) = (Vec::new(), 0);
            for _ in 0..600 {
                match consumer.poll(SHORT).await {
                    Ok(polled) => records += polled.len(),
                    Err(error) => errors.push(error),
                }
            }
            let codes: Vec<_> = errors.iter().map(|error| error.code()).collect();
            assert_eq!(codes, [Some(code)], "{protocol}");
            assert!(errors[0].to_string().contains("topic u"), "{}", errors[0]);
            assert_eq!(records, 4, "{protocol}: the others are read");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_too_long_to_be_written_is_an_error_and_stops_no_other_topic() {
    let long = "x".repeat(40_000);
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        bench.fill(1);
        let cluster = bench.cluster(&[]).await;
        let mut consumer = Consumer::new(&cluster);
        consumer.subscribe(&["t", &long]).unwrap();
        let (mut codes, mut records) = (Vec::new(), 0);
        for _ in 0..600 {
            match consumer.poll(SHORT).await {
                Ok(polled) => records += polled.len(),
                Err(error) => codes.push(error.code()),
            }
        }
        assert_eq!(codes, [Some(ErrorCode::INVALID_TOPIC_EXCEPTION)]);
        assert_eq!(records, 4, "{protocol}: the others are read");
        let metadata = cluster.refresh(&[&long, "u"]).await.unwrap();
        assert!(metadata.topic("u").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_none_is_an_error_that_says_what_names_are() {
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        let mut consumer = Consumer::new(&bench.cluster(&[]).await);
        consumer.subscribe(&["t.*"]).unwrap();
        let polling = async {
            loop {
                if let Err(error) = consumer.poll(SHORT).await {
                    return error;
                }
            }
        };
        let error = tokio::time::timeout(LIMIT, polling).await.unwrap();
        assert!(error.to_string().contains("subscribe_pattern"), "{error}");
    }
}

#[test]
fn a_member_whose_application_never_waits_takes_part_in_a_rebalance() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    for protocol in PROTOCOLS {
        for way in [Way::Poll, Way::Recv, Way::Stream] {
            let brokers = runtime();
            let mock = mock::Cluster::builder().topic("t", 2);
            let mock = mock
                .initial_rebalance_delay(Duration::ZERO)
                .session_timeouts(Duration::from_millis(1), Duration::from_secs(600));
            let mock = brokers.block_on(mock.start()).unwrap();
            for partition in 0..2 {
                let values = std::iter::repeat_n((None, Some(b"v".as_slice())), 5000);
                mock.append("t", partition, values).unwrap();
            }
            let mut config = Config::new(&mock.bootstrap_servers());
            for (name, value) in [
                ("group.id", "g"),
                ("group.protocol", protocol),
                ("auto.offset.reset", "earliest"),
                ("heartbeat.interval.ms", "10"),
                ("max.poll.records", "1"),
            ] {
                config.set(name, value).unwrap();
            }
            let mut first = Vec::new();
            let reading = runtime();
            let mut consumer = reading.block_on(async {
                let mut consumer = Consumer::connect(config.clone()).await.unwrap();
                consumer.subscribe(&["t"]).unwrap();
                while first.is_empty() {
                    first = consumer.poll(SHORT).await.unwrap();
                }
                consumer
            });
            let (joined, waits) = std::sync::mpsc::channel::<()>();
            let other = std::thread::spawn(move || {
                runtime().block_on(async {
                    let cluster = Cluster::connect(config).await.unwrap();
                    let options = GroupOptions::configured(cluster.config(), &["t"]).unwrap();
                    let _member = Membership::join(&cluster, options).unwrap();
                    // Until the test is through.
                    while waits.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                });
            });
            let is_revoked = reading.block_on(async {
                while mock.group_members("g").len() < 2 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let mut polls = 0;
                while polls < 4000 {
                    call(way, &mut consumer).await;
                    // Work that waits for nothing.
                    std::thread::sleep(Duration::from_millis(2));
                    while let Some(rebalance) = consumer.next_rebalance() {
                        if matches!(rebalance, Rebalance::Revoked(_)) {
                            return true;
                        }
                    }
                    polls += 1;
                }
                false
            });
            drop(joined);
            other.join().unwrap();
            assert!(is_revoked, "{protocol}, {way:?}");
        }
    }
}
