//! Answers that bring nobody any further, whatever they say: who gets them asks ever more seldom, however many partitions are bad; what is healthy
//! beside them loses nothing, and progress sets the pace back at once. Paused time, an in-process cluster with scripted faults.
#![cfg(all(feature = "client", feature = "mock"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{sync::Arc, time::Duration};

use kafka_proto::{
    client::{Cluster, Config, Consumer, Fetcher, Producer, ProducerRecord, Start},
    messages::{ApiKey, ErrorCode},
    mock,
    net::Memory,
};
use tokio::time::{Instant, sleep, sleep_until};

const SECOND: Duration = Duration::from_secs(1);
/// Partitions of the topic that is bad.
const BAD: i32 = 16;

/// One broker; topic `good` is always well, topic `bad` is what faults are scripted for.
async fn bench() -> (mock::Cluster, Memory) {
    let network = Memory::default();
    let builder = mock::Cluster::builder().topic("good", 1).topic("bad", BAD);
    let builder = builder.on_this_runtime().in_memory(&network);
    (builder.start().await.unwrap(), network)
}

async fn connect(mock: &mock::Cluster, network: &Memory, set: &[(&str, &str)]) -> Cluster {
    let mut config = Config::new(&mock.bootstrap_servers());
    for (name, value) in set {
        config.set(name, value).unwrap();
    }
    let network = Arc::new(network.clone());
    Cluster::connect_by(config, network).await.unwrap()
}

fn record(topic: &str, partition: i32) -> ProducerRecord<'_> {
    ProducerRecord {
        topic,
        partition: Some(partition),
        value: Some(b"a value of some length"),
        ..ProducerRecord::default()
    }
}

/// So many seconds are looked at: the first, and those from the tenth on.
const SECONDS: u32 = 14;

/// What a count grows by in each of the seconds.
async fn seconds(count: impl Fn() -> u64) -> Vec<u64> {
    let mut seconds = Vec::new();
    for _ in 0..SECONDS {
        let before = count();
        sleep(SECOND).await;
        seconds.push(count() - before);
    }
    seconds
}

fn is_paced(what: &str, seconds: &[u64]) {
    assert!(seconds[0] <= 10, "{what}: {seconds:?}");
    assert!(seconds[10..].iter().all(|n| *n <= 2), "{what}: {seconds:?}");
    let late: u64 = seconds[10..].iter().sum();
    assert!(late > 0, "nobody tries any more, {what}: {seconds:?}");
}

/// Sends to all bad partitions for ever, one record after the other.
fn send_on(producer: &Producer) -> Vec<tokio::task::JoinHandle<()>> {
    let one = |partition| {
        let producer = producer.clone();
        tokio::spawn(async move {
            loop {
                drop(producer.send(record("bad", partition)).await);
            }
        })
    };
    (0..BAD).map(one).collect()
}

/// The longest that a record of the good partition took, of one every half second.
async fn healthy(producer: &Producer) -> Duration {
    let mut longest = Duration::ZERO;
    let begin = Instant::now();
    for n in 0..2 * SECONDS {
        sleep_until(begin + n * SECOND / 2).await;
        let sent = Instant::now();
        producer.send(record("good", 0)).await.unwrap();
        longest = longest.max(sent.elapsed());
    }
    longest
}

#[tokio::test(start_paused = true)]
async fn a_producer_whose_batches_are_refused_asks_ever_more_seldom_whatever_the_code() {
    // Every code but those that say that a batch is written.
    let ends = [ErrorCode::NONE, ErrorCode::DUPLICATE_SEQUENCE_NUMBER];
    let codes = (-1..=130).map(ErrorCode);
    for code in codes.filter(|code| !ends.contains(code)) {
        let (mock, network) = bench().await;
        let cluster = connect(&mock, &network, &[("linger.ms", "0")]).await;
        let producer = Producer::new(&cluster).unwrap();
        let rule = mock.faults().on(ApiKey::PRODUCE).topic("bad").always();
        let fault = rule.error(code);
        let sending = send_on(&producer);
        let (bad, longest) = tokio::join!(seconds(|| fault.hits()), healthy(&producer));
        is_paced(&format!("produce, {code}"), &bad);
        assert!(longest < Duration::from_millis(20), "{code}: {longest:?}");
        // Progress sets the pace back at once: within the last wait, and then without any.
        fault.remove();
        sending.into_iter().for_each(|task| task.abort());
        sleep(2 * SECOND).await;
        let begin = Instant::now();
        for _ in 0..2 {
            for partition in 0..BAD {
                producer.send(record("bad", partition)).await.unwrap();
            }
        }
        assert!(begin.elapsed() < SECOND, "{code}: {:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_are_too_large_however_small_are_split_ever_more_seldom() {
    let (mock, network) = bench().await;
    let set = [("linger.ms", "100"), ("delivery.timeout.ms", "60000")];
    let cluster = connect(&mock, &network, &set).await;
    let producer = Producer::new(&cluster).unwrap();
    let rule = mock.faults().on(ApiKey::PRODUCE).topic("bad").always();
    let fault = rule.error(ErrorCode::MESSAGE_TOO_LARGE);
    let mut deliveries = Vec::new();
    for n in 0..BAD * 256 {
        deliveries.push(producer.enqueue(record("bad", n % BAD)).await.unwrap());
    }
    is_paced("too large", &seconds(|| fault.hits()).await);
    fault.remove();
    let mut sent = 0;
    for delivery in deliveries {
        sent += u64::from(delivery.await.is_ok());
    }
    assert!(sent > 0);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_gets_no_id_asks_ever_more_seldom() {
    for code in [
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::CONCURRENT_TRANSACTIONS,
        ErrorCode::REQUEST_TIMED_OUT,
    ] {
        let (mock, network) = bench().await;
        let rule = mock.faults().on(ApiKey::INIT_PRODUCER_ID).always();
        let fault = rule.error(code);
        let cluster = connect(&mock, &network, &[]).await;
        let producer = Producer::new(&cluster).unwrap();
        is_paced(&format!("id, {code}"), &seconds(|| fault.hits()).await);
        fault.remove();
        producer.send(record("good", 0)).await.unwrap();
    }
}

/// Codes of all kinds: what passes, what does not, what nobody knows.
const CODES: [ErrorCode; 12] = [
    ErrorCode::UNKNOWN_SERVER_ERROR,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::NOT_COORDINATOR,
    ErrorCode::TOPIC_AUTHORIZATION_FAILED,
    ErrorCode::INVALID_REQUEST,
    ErrorCode::UNKNOWN_TOPIC_ID,
    ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode(12345),
];

#[tokio::test(start_paused = true)]
async fn bad_partitions_are_read_ever_more_seldom_and_a_good_one_beside_them_at_once() {
    for api in [ApiKey::FETCH, ApiKey::LIST_OFFSETS, ApiKey::METADATA] {
        for code in CODES {
            let (mock, network) = bench().await;
            let cluster = connect(&mock, &network, &[]).await;
            let mut fetcher = Fetcher::new(&cluster);
            fetcher.assign("good", 0, Start::Earliest);
            while fetcher.position("good", 0).is_none() {
                drop(fetcher.poll_batches(SECOND).await);
            }
            let fault = mock.faults().on(api).topic("bad").always().error(code);
            let start = match api {
                ApiKey::LIST_OFFSETS => Start::Earliest,
                _ => Start::Offset(0),
            };
            (0..BAD).for_each(|partition| fetcher.assign("bad", partition, start));
            let (mut seconds, mut next) = (Vec::new(), 0);
            for _ in 0..SECONDS {
                let (before, end) = (fault.hits(), Instant::now() + SECOND);
                while Instant::now() < end {
                    let values = [(None, Some(b"v".as_slice()))];
                    mock.append("good", 0, values).unwrap();
                    next += 1;
                    let sent = Instant::now();
                    while fetcher.position("good", 0) != Some(next) {
                        drop(fetcher.poll_batches(SECOND).await);
                    }
                    let took = sent.elapsed();
                    assert!(took < SECOND / 5, "{api}, {code}: {took:?}");
                    sleep(SECOND / 4).await;
                }
                seconds.push(fault.hits() - before);
            }
            is_paced(&format!("{api}, {code}"), &seconds);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_refused_is_asked_ever_more_seldom() {
    let classic = [
        ApiKey::FIND_COORDINATOR,
        ApiKey::JOIN_GROUP,
        ApiKey::SYNC_GROUP,
        ApiKey::HEARTBEAT,
        ApiKey::OFFSET_FETCH,
    ];
    let modern = [ApiKey::CONSUMER_GROUP_HEARTBEAT, ApiKey::OFFSET_FETCH];
    let all = classic.map(|api| ("classic", api)).into_iter();
    for (protocol, api) in all.chain(modern.map(|api| ("consumer", api))) {
        let of_members = [
            ErrorCode::UNKNOWN_MEMBER_ID,
            ErrorCode::ILLEGAL_GENERATION,
            ErrorCode::REBALANCE_IN_PROGRESS,
            ErrorCode::GROUP_AUTHORIZATION_FAILED,
            ErrorCode::FENCED_MEMBER_EPOCH,
            ErrorCode::STALE_MEMBER_EPOCH,
        ];
        for code in CODES.into_iter().chain(of_members) {
            let (mock, network) = bench().await;
            let set = [("group.id", "g"), ("group.protocol", protocol)];
            let cluster = connect(&mock, &network, &set).await;
            let fault = mock.faults().on(api).always().error(code);
            let mut consumer = Consumer::new(&cluster);
            consumer.subscribe(&["bad"]).unwrap();
            let polling = async {
                loop {
                    if consumer.poll(SECOND).await.is_err() {
                        sleep(SECOND / 100).await;
                    }
                }
            };
            let seconds = tokio::select! {
                seconds = seconds(|| fault.hits()) => seconds,
                () = polling => unreachable!(),
            };
            let what = format!("{protocol}, {api}, {code}");
            assert!(seconds[0] <= 10, "{what}: {seconds:?}");
            assert!(seconds[10..].iter().all(|n| *n <= 2), "{what}: {seconds:?}");
            // A member goes on with its heartbeats whatever else is refused; none of them is given up for good.
            fault.remove();
            let begin = Instant::now();
            while consumer.assignment().len() != BAD as usize {
                if consumer.poll(SECOND).await.is_err() {
                    sleep(SECOND / 100).await;
                }
                assert!(begin.elapsed() < 60 * SECOND, "{what}: never again");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_read_although_the_topic_is_forgotten_meanwhile() {
    let (mock, network) = bench().await;
    let set = [("enable.idempotence", "false"), ("linger.ms", "0")];
    let cluster = connect(&mock, &network, &set).await;
    let producer = Producer::new(&cluster).unwrap();
    producer.send(record("good", 0)).await.unwrap();
    let late = Duration::from_millis(1500);
    mock.faults().on(ApiKey::PRODUCE).delay(late);
    let sent = producer.enqueue(record("good", 0)).await.unwrap();
    sleep(SECOND).await;
    let rule = mock.faults().on(ApiKey::METADATA);
    rule.error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let metadata = cluster.refresh(&["good"]).await.unwrap();
    assert!(metadata.topic("good").is_none());
    assert_eq!(sent.await.unwrap().offset, Some(1));
    sleep(5 * SECOND).await;
    assert_eq!(mock.records("good", 0).unwrap().len(), 2, "written twice");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_in_the_log_is_not_said_to_be_missing_there() {
    for code in [
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode(12345),
    ] {
        let (mock, network) = bench().await;
        let set = [("retries", "0"), ("enable.idempotence", "false")];
        let cluster = connect(&mock, &network, &set).await;
        let producer = Producer::new(&cluster).unwrap();
        mock.faults().on(ApiKey::PRODUCE).applied().error(code);
        let error = producer.send(record("good", 0)).await.unwrap_err();
        assert_eq!(mock.records("good", 0).unwrap().len(), 1);
        assert_eq!(error.maybe_written(), Some(true), "{error}");
        // What is refused before it is appended is not in the log.
        let rule = mock.faults().on(ApiKey::PRODUCE);
        rule.error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        let error = producer.send(record("good", 0)).await.unwrap_err();
        assert_eq!(error.maybe_written(), Some(false), "{error}");
    }
}

#[test]
fn a_batch_that_is_being_filled_when_the_runtime_ends_tells_its_waiters() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (brokers, ending, after) = (runtime(), runtime(), runtime());
    let mock = brokers.block_on(mock::Cluster::builder().topic("good", 1).start());
    let mock = mock.unwrap();
    let (producer, delivery) = ending.block_on(async {
        let config = Config::new(&mock.bootstrap_servers()).linger_ms(600_000_u64);
        let producer = Producer::connect(config.delivery_timeout_ms(900_000_u64));
        let producer = producer.await.unwrap();
        let delivery = producer.enqueue(record("good", 0)).await.unwrap();
        (producer, delivery)
    });
    drop(ending);
    let waited = after.block_on(async { tokio::time::timeout(30 * SECOND, delivery).await });
    let error = waited.expect("nobody tells it").unwrap_err();
    assert_eq!(error.maybe_written(), Some(false), "{error}");
    let again = after.block_on(producer.enqueue(record("good", 0)));
    assert!(again.is_err(), "there is nobody to send it");
    drop(mock);
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgements_buffer_memory_is_the_bound_and_a_dead_broker_is_noticed() {
    for way in ["stands still", "is gone"] {
        let (mock, network) = bench().await;
        let set = [
            ("acks", "0"),
            ("enable.idempotence", "false"),
            ("linger.ms", "0"),
            ("buffer.memory", "2000000"),
            ("max.block.ms", "1000"),
            ("request.timeout.ms", "5000"),
            ("delivery.timeout.ms", "20000"),
        ];
        let cluster = connect(&mock, &network, &set).await;
        let producer = Producer::new(&cluster).unwrap();
        producer.send(record("good", 0)).await.unwrap();
        let broker = mock.broker_ids()[0];
        match way {
            "stands still" => mock.pause_broker(broker),
            _ => mock.stop_broker(broker).await.unwrap(),
        }
        let value = vec![0; 100_000];
        let mut accepted = Vec::new();
        let refused = loop {
            let large = ProducerRecord {
                value: Some(&value),
                ..record("good", 0)
            };
            match producer.enqueue(large).await {
                Ok(delivery) => accepted.push(delivery),
                Err(error) => break error,
            }
            assert!(accepted.len() < 60, "{way}: nothing is bounded");
        };
        assert!(refused.to_string().contains("buffer.memory"), "{refused}");
        let begin = Instant::now();
        let mut failed = 0;
        for delivery in accepted {
            failed += u32::from(delivery.await.is_err());
        }
        assert!(failed > 10, "{way}: {failed}");
        assert!(
            begin.elapsed() < 25 * SECOND,
            "{way}: {:?}",
            begin.elapsed()
        );
    }
}
