//! Groups of the newer protocol (KIP-848) against the in-process cluster, under paused time: every wait is as long as it would be, and takes no
//! time.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kafka_proto::{
    client::{
        Assignment, Cluster, Config, Consumer, GroupEvent, GroupMembershipOperation, GroupOptions,
        Membership, OffsetToCommit, Rebalance, Start, TopicPartition,
    },
    messages::{ApiKey, ErrorCode},
    mock,
    net::Memory,
};
use tokio::time::Instant;

/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);

struct Bench {
    mock: mock::Cluster,
    network: Memory,
}

async fn bench_of(build: impl FnOnce(mock::Builder) -> mock::Builder) -> Bench {
    let network = Memory::default();
    let builder = mock::Cluster::builder().brokers(3).topic("t", 4);
    let builder = build(builder).on_this_runtime().in_memory(&network);
    Bench {
        mock: builder.start().await.unwrap(),
        network,
    }
}

async fn bench() -> Bench {
    bench_of(|builder| builder).await
}

impl Bench {
    async fn cluster(&self, properties: &[(&str, &str)]) -> Cluster {
        let mut config = Config::new(&self.mock.bootstrap_servers());
        let all = [
            ("group.id", "g"),
            ("group.protocol", "consumer"),
            ("auto.offset.reset", "earliest"),
        ];
        for (name, value) in all.iter().chain(properties) {
            config.set(name, value).unwrap();
        }
        let connect = Arc::new(self.network.clone());
        Cluster::connect_by(config, connect).await.unwrap()
    }

    async fn member(&self, properties: &[(&str, &str)]) -> Membership {
        let cluster = self.cluster(properties).await;
        let options = GroupOptions::configured(cluster.config(), &["t"]).unwrap();
        Membership::join(&cluster, options).unwrap()
    }

    fn fill(&self, records: usize) {
        for partition in 0..4 {
            for _ in 0..records {
                let value = Some(b"v".as_slice());
                self.mock.append("t", partition, [(None, value)]).unwrap();
            }
        }
    }
}

async fn event(member: &mut Membership) -> GroupEvent {
    tokio::time::timeout(LIMIT, member.next_event())
        .await
        .expect("an event")
        .unwrap()
}

async fn assigned(member: &mut Membership) -> Assignment {
    match event(member).await {
        GroupEvent::Assigned(assignment) => assignment,
        other => panic!("{other:?}"),
    }
}

async fn lost(member: &mut Membership) -> (Vec<TopicPartition>, Arc<str>) {
    match event(member).await {
        GroupEvent::Lost(loss) => (loss.partitions, loss.reason),
        other => panic!("{other:?}"),
    }
}

/// Behaviours 31 and 32.
#[tokio::test(start_paused = true)]
async fn partitions_move_one_by_one_and_only_after_they_were_given_up() {
    let bench = bench().await;
    let mut first = bench.member(&[]).await;
    let one = assigned(&mut first).await;
    assert_eq!((one.generation, one.partitions.len()), (1, 4));
    assert_eq!(first.member_id().unwrap().len(), 22, "made by the client");

    let mut second = bench.member(&[]).await;
    assert_eq!(
        assigned(&mut second).await.partitions,
        [],
        "nothing is free yet"
    );
    let GroupEvent::Revoked(revocation) = event(&mut first).await else {
        panic!("two partitions are to be given up")
    };
    let given_up = revocation.partitions().to_vec();
    assert_eq!(given_up.len(), 2);
    // The application takes a minute: heartbeats go on, nobody else gets them, and it may commit.
    let nobody = tokio::time::timeout(Duration::from_secs(60), second.next_event()).await;
    assert!(nobody.is_err(), "{nobody:?}");
    let last = OffsetToCommit {
        partition: given_up[0].clone(),
        ..OffsetToCommit::new("t", 0, 7)
    };
    first.offsets().commit(&[last]).await.unwrap();
    revocation.done();
    let two = assigned(&mut second).await;
    let set = |of: &[TopicPartition]| of.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&two.added), set(&given_up));
    let committed = second.offsets().committed(&given_up[..1]).await.unwrap();
    assert_eq!(committed[0].as_ref().unwrap().offset, 7);

    second.leave().await;
    let one = assigned(&mut first).await;
    assert_eq!((one.partitions.len(), set(&one.added)), (4, set(&given_up)));
    first.leave().await;
    assert_eq!(bench.mock.group_members("g"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_one_gives_up_reaches_the_other_within_a_heartbeat() {
    let bench = bench().await;
    let mut first = bench.member(&[]).await;
    assigned(&mut first).await;
    let begin = Instant::now();
    let mut second = bench.member(&[]).await;
    assigned(&mut second).await;
    let GroupEvent::Revoked(revocation) = event(&mut first).await else {
        panic!("a rebalance")
    };
    revocation.done();
    assert_eq!(assigned(&mut second).await.added.len(), 2);
    assert!(
        begin.elapsed() <= Duration::from_secs(11),
        "{:?}",
        begin.elapsed()
    );
}

/// Behaviour 32.
#[tokio::test(start_paused = true)]
async fn a_fenced_member_loses_everything_and_joins_anew_at_epoch_0() {
    for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
        let bench = bench().await;
        let mut member = bench.member(&[]).await;
        assigned(&mut member).await;
        let id = member.member_id();
        bench
            .mock
            .faults()
            .on(ApiKey::CONSUMER_GROUP_HEARTBEAT)
            .error(code);
        let (partitions, reason) = lost(&mut member).await;
        assert_eq!(partitions.len(), 4);
        assert!(reason.contains(&code.to_string()), "{reason}");
        assert_eq!(assigned(&mut member).await.added.len(), 4);
        assert_eq!(member.member_id(), id, "the same member");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_cannot_reach_its_coordinator_keeps_its_partitions_until_the_group_says_otherwise()
 {
    let bench = bench().await;
    let mut member = bench.member(&[("request.timeout.ms", "5000")]).await;
    assigned(&mut member).await;
    let coordinator = bench.mock.coordinator("g").unwrap();
    let elsewhere = bench
        .mock
        .broker_ids()
        .into_iter()
        .find(|id| *id != coordinator)
        .unwrap();
    bench.mock.move_coordinator("g", elsewhere).unwrap();
    bench.mock.pause_broker(coordinator);
    let nothing = tokio::time::timeout(Duration::from_secs(120), member.next_event()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    assert_eq!(bench.mock.group_members("g").len(), 1);
    let metrics = member.offsets().cluster().metrics();
    let of_group = &metrics.groups["g"];
    assert_eq!(
        (
            of_group.joins,
            of_group.rebalances,
            of_group.partitions_assigned
        ),
        (1, 1, 4)
    );
    assert!(
        of_group.heartbeats > 10 && of_group.heartbeats_failed > 0,
        "{of_group}"
    );
    assert!(of_group.last_heartbeat.is_some() && of_group.rebalance_us.count() == 1);
    assert!(member.generation().is_some());

    // Longer than its session: the coordinator has forgotten it.
    for id in bench.mock.broker_ids() {
        bench.mock.pause_broker(id);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for id in bench.mock.broker_ids() {
        bench.mock.resume_broker(id);
    }
    assert_eq!(lost(&mut member).await.0.len(), 4);
    assert_eq!(assigned(&mut member).await.added.len(), 4);
}

/// Behaviour 32.
#[tokio::test(start_paused = true)]
async fn a_commit_with_a_stale_epoch_is_repeated_with_the_present_one() {
    let bench = bench().await;
    let mut member = bench.member(&[]).await;
    assigned(&mut member).await;
    let fault = bench
        .mock
        .faults()
        .on(ApiKey::OFFSET_COMMIT)
        .times(3)
        .error(ErrorCode::STALE_MEMBER_EPOCH);
    let offset = OffsetToCommit::new("t", 2, 5);
    member.offsets().commit(&[offset]).await.unwrap();
    assert_eq!(fault.hits(), 3);
    assert_eq!(bench.mock.committed_offset("g", "t", 2), Some(5));
    let committed = bench.mock.received();
    let last = committed
        .iter()
        .rfind(|received| received.api == ApiKey::OFFSET_COMMIT);
    assert_eq!(last.unwrap().version, 10, "topics by their ids");
}

#[tokio::test(start_paused = true)]
async fn a_commit_with_a_stale_epoch_for_partitions_that_were_given_up_is_refused() {
    let bench = bench().await;
    let mut first = bench.member(&[]).await;
    assigned(&mut first).await;
    let mut second = bench.member(&[]).await;
    assigned(&mut second).await;
    let GroupEvent::Revoked(revocation) = event(&mut first).await else {
        panic!("a rebalance")
    };
    let of = revocation.partitions()[0].clone();
    let fault = bench
        .mock
        .faults()
        .on(ApiKey::OFFSET_COMMIT)
        .always()
        .error(ErrorCode::STALE_MEMBER_EPOCH);
    let offset = |offset| OffsetToCommit {
        partition: of.clone(),
        ..OffsetToCommit::new("t", 0, offset)
    };
    let late = first.offsets().commit(&[offset(3)]);
    revocation.done();
    assert_eq!(assigned(&mut second).await.added.len(), 2);
    fault.remove();
    second.offsets().commit(&[offset(9)]).await.unwrap();
    let refused = late.await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::STALE_MEMBER_EPOCH));
    assert_eq!(bench.mock.committed_offset("g", "t", of.partition), Some(9));
}

/// Behaviour 35.
#[tokio::test(start_paused = true)]
async fn a_static_member_comes_back_to_its_partitions_and_nobody_else_notices() {
    let bench = bench().await;
    let named = [("group.instance.id", "one")];
    let mut first = bench.member(&named).await;
    assigned(&mut first).await;
    let mut second = bench.member(&[]).await;
    assigned(&mut second).await;
    let GroupEvent::Revoked(revocation) = event(&mut first).await else {
        panic!("a rebalance")
    };
    revocation.done();
    assigned(&mut second).await;
    first.leave().await;
    assert_eq!(bench.mock.group_members("g").len(), 2, "it keeps its place");
    let mut again = bench.member(&named).await;
    assert_eq!(assigned(&mut again).await.partitions.len(), 2);
    let nothing = tokio::time::timeout(Duration::from_secs(60), second.next_event()).await;
    assert!(nothing.is_err(), "{nothing:?}");

    let mut double = bench.member(&named).await;
    let refused = double.next_event().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::UNRELEASED_INSTANCE_ID));
    assert!(
        refused.to_string().contains("group.instance.id"),
        "{refused}"
    );
    // It would go on trying, and get in when the name is free.
    drop(double);

    again.leave_with(GroupMembershipOperation::Leave).await;
    assert_eq!(bench.mock.group_members("g").len(), 1, "for good");
    assert_eq!(assigned(&mut second).await.added.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_member_that_remains_is_missed_only_when_its_session_ends() {
    let bench = bench().await;
    let mut first = bench.member(&[]).await;
    assigned(&mut first).await;
    first.leave_with(GroupMembershipOperation::Remain).await;
    assert_eq!(bench.mock.group_members("g").len(), 1);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(bench.mock.group_members("g").len(), 0);
}

/// Behaviour 32: the coordinator assigns a topic that the client's metadata has never seen.
#[tokio::test(start_paused = true)]
async fn a_pattern_is_matched_by_the_coordinator_also_with_topics_made_later() {
    let bench = bench().await;
    let cluster = bench.cluster(&[]).await;
    let options = GroupOptions {
        pattern: Some("t|late.*".to_owned()),
        ..GroupOptions::configured(cluster.config(), &[]).unwrap()
    };
    let mut member = Membership::join(&cluster, options).unwrap();
    let one = assigned(&mut member).await;
    assert_eq!(one.added.len(), 4);
    bench.mock.create_topic("later", 2).unwrap();
    let two = assigned(&mut member).await;
    let later = [
        TopicPartition::new("later", 0),
        TopicPartition::new("later", 1),
    ];
    assert_eq!(
        (two.partitions.len(), two.added.as_slice()),
        (6, later.as_slice())
    );
    assert!(cluster.metadata().topic("later").is_some());
    member.subscribe(&["t"]);
    let GroupEvent::Revoked(revocation) = event(&mut member).await else {
        panic!("the pattern is gone")
    };
    assert_eq!(revocation.partitions(), later);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_that_cannot_be_read_and_an_assignor_that_is_not_there_are_errors_with_words() {
    let bench = bench().await;
    let cluster = bench.cluster(&[]).await;
    let broken = GroupOptions {
        pattern: Some("(".to_owned()),
        ..GroupOptions::configured(cluster.config(), &[]).unwrap()
    };
    let mut member = Membership::join(&cluster, broken).unwrap();
    let refused = member.next_event().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::INVALID_REGULAR_EXPRESSION));
    let mut member = bench.member(&[("group.remote.assignor", "sticky")]).await;
    let refused = member.next_event().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::UNSUPPORTED_ASSIGNOR));
    let text = refused.to_string();
    assert!(
        text.contains("uniform, range") && text.contains("group.remote.assignor"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_speak_the_protocol_is_joined_by_the_classic_one() {
    let bench = bench_of(|builder| builder.without(ApiKey::CONSUMER_GROUP_HEARTBEAT)).await;
    let mut member = bench.member(&[]).await;
    assert_eq!(assigned(&mut member).await.added.len(), 4);
    assert!(bench.mock.received_count(ApiKey::JOIN_GROUP) > 0);
    let offset = OffsetToCommit::new("t", 0, 1);
    member.offsets().commit(&[offset]).await.unwrap();
    member.leave().await;
    assert_eq!(bench.mock.group_members("g").len(), 0);

    let cluster = bench.cluster(&[]).await;
    let options = GroupOptions {
        pattern: Some("t".to_owned()),
        ..GroupOptions::configured(cluster.config(), &[]).unwrap()
    };
    let mut member = Membership::join(&cluster, options).unwrap();
    let refused = member.next_event().await.unwrap_err();
    assert!(refused.to_string().contains("patterns"), "{refused}");
}

/// As Kafka 3.7 to 3.9 by default: the API is offered, the protocol is turned off.
#[tokio::test(start_paused = true)]
async fn a_broker_that_has_the_protocol_turned_off_is_joined_by_the_classic_one() {
    let bench = bench().await;
    let heartbeats = bench.mock.faults().on(ApiKey::CONSUMER_GROUP_HEARTBEAT);
    heartbeats.always().error(ErrorCode::UNSUPPORTED_VERSION);
    let mut member = bench.member(&[]).await;
    assert_eq!(assigned(&mut member).await.added.len(), 4);
    assert!(bench.mock.received_count(ApiKey::JOIN_GROUP) > 0);
    member.leave().await;
}

/// Behaviour 33.
#[tokio::test(start_paused = true)]
async fn who_polls_too_seldom_leaves_is_told_once_and_joins_at_the_next_poll() {
    let bench = bench().await;
    let cluster = bench.cluster(&[("max.poll.interval.ms", "10000")]).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe(&["t"]).unwrap();
    while consumer.assignment().is_empty() {
        consumer.poll_batches(SHORT).await.unwrap();
    }
    assert!(matches!(
        consumer.next_rebalance(),
        Some(Rebalance::Assigned(_))
    ));
    // A poll that waits longer than the interval is no silence.
    consumer
        .poll_batches(Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(
        (
            bench.mock.group_members("g").len(),
            consumer.next_rebalance()
        ),
        (1, None)
    );
    // Nor is slow processing that ends in time: heartbeats go on.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(bench.mock.group_members("g").len(), 1);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(bench.mock.group_members("g").len(), 0);
    let (partitions, reason) = loop {
        consumer.poll_batches(SHORT).await.unwrap();
        match consumer.next_rebalance() {
            Some(Rebalance::Lost(partitions, reason)) => break (partitions, reason),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    };
    assert_eq!(partitions.len(), 4);
    assert!(reason.contains("max.poll.interval.ms"), "{reason}");
    while consumer.assignment().is_empty() {
        consumer.poll_batches(SHORT).await.unwrap();
    }
    assert!(matches!(
        consumer.next_rebalance(),
        Some(Rebalance::Assigned(_))
    ));
    assert_eq!(consumer.next_rebalance(), None, "lost once");
}

#[tokio::test(start_paused = true)]
async fn consumers_of_one_group_read_every_record_once_while_members_come_and_go() {
    let bench = bench().await;
    bench.fill(200);
    let properties = [
        ("max.poll.records", "3"),
        ("auto.commit.interval.ms", "1000"),
    ];
    let mut delivered = BTreeSet::new();
    let mut double = 0;
    let mut consumers: Vec<Consumer> = Vec::new();
    for round in 0..6 {
        // The third one leaves in the middle, with a commit of what it has.
        if round == 3 {
            consumers.pop().unwrap().close().await.unwrap();
        } else if consumers.len() < 3 {
            let mut consumer = Consumer::new(&bench.cluster(&properties).await);
            consumer.subscribe(&["t"]).unwrap();
            consumers.push(consumer);
        }
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            for consumer in &mut consumers {
                for record in consumer.poll(SHORT).await.unwrap() {
                    if !delivered.insert((record.partition(), record.offset())) {
                        double += 1;
                    }
                }
            }
        }
    }
    assert_eq!((delivered.len(), double), (800, 0));
}

/// Behaviour 34.
#[tokio::test(start_paused = true)]
async fn a_coordinator_that_loads_or_moved_delays_a_member_and_its_commits_and_loses_nothing() {
    let bench = bench().await;
    let loading = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    for api in [
        ApiKey::CONSUMER_GROUP_HEARTBEAT,
        ApiKey::OFFSET_COMMIT,
        ApiKey::OFFSET_FETCH,
    ] {
        bench.mock.faults().on(api).times(3).error(loading);
    }
    let mut member = bench.member(&[]).await;
    assert_eq!(assigned(&mut member).await.added.len(), 4);
    let of = TopicPartition::new("t", 1);
    member
        .offsets()
        .commit(&[OffsetToCommit::new("t", 1, 4)])
        .await
        .unwrap();
    let coordinator = bench.mock.coordinator("g").unwrap();
    let elsewhere = bench
        .mock
        .broker_ids()
        .into_iter()
        .find(|id| *id != coordinator)
        .unwrap();
    bench.mock.move_coordinator("g", elsewhere).unwrap();
    member
        .offsets()
        .commit(&[OffsetToCommit::new("t", 1, 5)])
        .await
        .unwrap();
    let committed = member.offsets().committed(&[of]).await.unwrap();
    assert_eq!(committed[0].as_ref().unwrap().offset, 5);
    let nothing = tokio::time::timeout(Duration::from_secs(60), member.next_event()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

/// Behaviour 19.
#[tokio::test(start_paused = true)]
async fn heartbeats_and_commits_wait_neither_for_a_long_poll_nor_for_each_other() {
    let bench = bench_of(|builder| builder.brokers(1)).await;
    let cluster = bench.cluster(&[("fetch.max.wait.ms", "20000")]).await;
    let mut consumer = Consumer::new(&cluster);
    consumer.subscribe(&["t"]).unwrap();
    while consumer.assignment().len() < 4 {
        consumer.poll_batches(SHORT).await.unwrap();
    }
    let begin = Instant::now();
    let heartbeats = bench.mock.received_count(ApiKey::CONSUMER_GROUP_HEARTBEAT);
    let commit = consumer.commit_offsets(&[OffsetToCommit::new("t", 0, 0)]);
    let (polled, committed) = tokio::join!(consumer.poll_batches(Duration::from_secs(18)), async {
        commit.await.unwrap();
        begin.elapsed()
    });
    assert!(polled.unwrap().is_empty());
    assert!(committed < Duration::from_secs(1), "{committed:?}");
    let heartbeats = bench.mock.received_count(ApiKey::CONSUMER_GROUP_HEARTBEAT) - heartbeats;
    assert!(heartbeats >= 3, "{heartbeats} in 18 s");
}

/// KIP-848 needs no session timeouts of its own: the coordinator's interval is kept to.
#[tokio::test(start_paused = true)]
async fn the_coordinator_names_the_interval_of_heartbeats() {
    let timing = |builder: mock::Builder| {
        builder.consumer_group_timing(Duration::from_secs(1), Duration::from_secs(10))
    };
    let bench = bench_of(timing).await;
    let mut member = bench.member(&[]).await;
    assigned(&mut member).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = bench.mock.received_count(ApiKey::CONSUMER_GROUP_HEARTBEAT);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let count = bench.mock.received_count(ApiKey::CONSUMER_GROUP_HEARTBEAT) - before;
    assert!((18..=22).contains(&count), "{count} in 20 s");
}

/// What a callback saw, in order.
type Log = Arc<std::sync::Mutex<Vec<String>>>;

fn log_into(log: &Log, consumer: &mut Consumer) {
    let log = Arc::clone(log);
    consumer.on_rebalance(move |rebalancing| {
        let log = Arc::clone(&log);
        async move {
            // As long as a slow database takes.
            tokio::time::sleep(Duration::from_secs(7)).await;
            let committed = rebalancing.commit().await.map_err(|error| error.code());
            let what = match rebalancing.what() {
                Rebalance::Assigned(_) => "assigned",
                Rebalance::Revoked(_) => "revoked",
                Rebalance::Lost(..) => "lost",
                _ => "?",
            };
            let positions: i64 = rebalancing.positions().iter().map(|of| of.offset).sum();
            let count = rebalancing.partitions().len();
            log.lock()
                .unwrap()
                .push(format!("{what} {count} at {positions}: {committed:?}"));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_awaited_and_may_commit_before_partitions_go_to_others() {
    for protocol in ["classic", "consumer"] {
        let bench = bench().await;
        bench.fill(10);
        let properties = [
            ("group.protocol", protocol),
            ("enable.auto.commit", "false"),
        ];
        let log = Log::default();
        let mut first = Consumer::new(&bench.cluster(&properties).await);
        log_into(&log, &mut first);
        first.subscribe(&["t"]).unwrap();
        let mut count = 0;
        while count < 40 {
            count += first.poll(SHORT).await.unwrap().len();
        }
        assert_eq!(*log.lock().unwrap(), ["assigned 4 at 0: Ok(())"]);
        log.lock().unwrap().clear();

        let mut second = Consumer::new(&bench.cluster(&properties).await);
        second.subscribe(&["t"]).unwrap();
        while second.assignment().len() < 2 {
            // Dropped while the callback sleeps: the next poll goes on with it.
            first.poll(SHORT).await.unwrap();
            assert!(
                second.poll(SHORT).await.unwrap().is_empty(),
                "committed before it moved"
            );
        }
        let committed: i64 = (0..4)
            .filter_map(|partition| bench.mock.committed_offset("g", "t", partition))
            .sum();
        let (revoked, assigned) = match protocol {
            "classic" => (4, "assigned 2 at 0: Ok(())"),
            _ => (2, ""),
        };
        assert_eq!(committed, revoked * 10);
        let revoked = format!("revoked {revoked} at {committed}: Ok(())");
        assert_eq!(log.lock().unwrap()[0], revoked);
        while first.assignment().len() != 2 {
            first.poll(SHORT).await.unwrap();
        }
        assert_eq!(
            log.lock().unwrap().get(1).map_or("", String::as_str),
            assigned
        );
        log.lock().unwrap().clear();
        first.close().await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["revoked 2 at 20: Ok(())"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_says_where_assigned_partitions_start_and_learns_what_is_lost() {
    let bench = bench().await;
    bench.fill(10);
    let mut consumer = Consumer::new(&bench.cluster(&[]).await);
    let log = Log::default();
    let seen = Arc::clone(&log);
    consumer.on_rebalance(move |rebalancing| {
        let seen = Arc::clone(&seen);
        async move {
            if let Rebalance::Lost(..) = rebalancing.what() {
                let code = rebalancing.commit().await.unwrap_err().code();
                seen.lock().unwrap().push(format!("{code:?}"));
            }
            for of in rebalancing.partitions() {
                rebalancing.seek(&of.topic, of.partition, Start::Offset(8));
            }
        }
    });
    consumer.subscribe(&["t"]).unwrap();
    let mut offsets = Vec::new();
    while offsets.len() < 8 {
        let records = consumer.poll(SHORT).await.unwrap();
        offsets.extend(records.iter().map(|record| record.offset()));
    }
    assert!(offsets.iter().all(|offset| *offset >= 8), "{offsets:?}");
    let heartbeat = bench.mock.faults().on(ApiKey::CONSUMER_GROUP_HEARTBEAT);
    heartbeat.error(ErrorCode::UNKNOWN_MEMBER_ID);
    while log.lock().unwrap().is_empty() {
        consumer.poll(SHORT).await.unwrap();
    }
    assert_eq!(*log.lock().unwrap(), ["Some(UNKNOWN_MEMBER_ID)"]);
}
