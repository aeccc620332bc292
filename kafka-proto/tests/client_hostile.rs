//! Brokers that stall, lie or send garbage: what they can cost is an error, and bounded memory and work. Memory is counted by the
//! allocator, work by the requests that arrive while a paused clock runs.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/peer.rs"]
mod peer;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_proto::client::{Cluster, Config, Delivery, Error, Producer, ProducerRecord};
use kafka_proto::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_proto::messages::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_proto::messages::{
    ApiKey, ErrorCode, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse,
};
use kafka_proto::net::Memory;
use test_support::alloc::{live_bytes, peak_bytes, reset_peak};
use tokio::time::Instant;

use self::peer::{Answer, Seen, serve};

#[global_allocator]
static ALLOCATOR: test_support::CountingAllocator = test_support::CountingAllocator;

/// The allocator counts for the whole process: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

thread_local! {
    /// Given back when the test's thread ends: what its runtime held is freed by then.
    static TURN: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

fn take_turn() {
    TURN.with_borrow_mut(|turn| {
        // With one thread for all tests the last one's is still there.
        *turn = None;
        let lock = ONE_AT_A_TIME.lock();
        *turn = Some(lock.unwrap_or_else(PoisonError::into_inner));
    });
}

const MIB: u64 = 1 << 20;

/// Brokers 1 and 2 at `a` and `b`; topic `t` has one partition, led by broker 1.
fn metadata() -> MetadataResponse {
    let broker = |node_id, host: &str| MetadataResponseBroker {
        node_id,
        host: host.into(),
        port: 9092,
        ..Default::default()
    };
    MetadataResponse {
        brokers: vec![broker(1, "a"), broker(2, "b")],
        topics: vec![MetadataResponseTopic {
            name: Some("t".into()),
            partitions: vec![MetadataResponsePartition {
                leader_id: 1,
                leader_epoch: 1,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Two brokers that behave, but for what `odd` answers; counts the requests they get.
fn brokers(
    odd: impl Fn(i32, &Seen) -> Option<Answer> + Clone + Send + 'static,
) -> (Memory, Arc<AtomicUsize>) {
    let network = Memory::default();
    let requests: Arc<AtomicUsize> = Arc::default();
    for (id, host) in [(1, "a"), (2, "b")] {
        let (odd, requests) = (odd.clone(), Arc::clone(&requests));
        serve(&network, host, 9092, move |seen| {
            requests.fetch_add(1, Relaxed);
            odd(id, seen).unwrap_or_else(|| match seen.key {
                ApiKey::METADATA => seen.answer::<MetadataRequest>(&metadata()),
                ApiKey::INIT_PRODUCER_ID => {
                    let identity = InitProducerIdResponse {
                        producer_id: 7,
                        ..Default::default()
                    };
                    seen.answer::<InitProducerIdRequest>(&identity)
                }
                _ => Answer::Silence,
            })
        });
    }
    (network, requests)
}

async fn producer(network: &Memory, config: Config) -> Result<Producer, Error> {
    let cluster = Cluster::connect_by(config, Arc::new(network.clone())).await?;
    Producer::new(&cluster)
}

fn config() -> Config {
    let mut config = Config::new("a:9092");
    for (name, value) in [
        ("delivery.timeout.ms", "30000"),
        ("request.timeout.ms", "10000"),
        ("max.block.ms", "1000"),
    ] {
        config.set(name, value).unwrap();
    }
    config
}

fn record(value: &[u8]) -> ProducerRecord<'_> {
    ProducerRecord {
        topic: "t",
        value: Some(value),
        ..Default::default()
    }
}

/// The answer to a produce request for partition 0 of `t`.
fn refused(code: ErrorCode, leader_id: i32, leader_epoch: i32) -> ProduceResponse {
    ProduceResponse {
        responses: vec![TopicProduceResponse {
            name: "t".into(),
            partition_responses: vec![PartitionProduceResponse {
                error_code: code,
                base_offset: -1,
                current_leader: LeaderIdAndEpoch {
                    leader_id,
                    leader_epoch,
                },
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn brokers_that_name_each_other_as_leader_for_ever_are_followed_at_the_pace_of_the_back_off()
{
    take_turn();
    let epoch = Arc::new(AtomicUsize::new(1));
    let (network, requests) = brokers(move |id, seen| {
        (seen.key == ApiKey::PRODUCE).then(|| {
            let epoch = epoch.fetch_add(1, Relaxed) as i32 + 1;
            let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            seen.answer::<ProduceRequest>(&refused(code, 3 - id, epoch))
        })
    });
    let producer = producer(&network, config()).await.unwrap();
    let begin = Instant::now();
    let error = producer.send(record(b"a")).await.unwrap_err();
    // A leader that is replaced while it waits for its replicas says the same.
    assert_eq!(error.maybe_written(), Some(true), "{error}");
    assert!(begin.elapsed() <= Duration::from_secs(31));
    // Thirty seconds at one a second, the first few faster, and metadata asked for with each.
    let requests = requests.load(Relaxed);
    assert!((20..120).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_metadata_does_not_know_yet_is_reached_where_the_answer_says_it_is() {
    take_turn();
    let (network, _) = brokers(|_, seen| {
        (seen.key == ApiKey::PRODUCE).then(|| {
            let mut response = refused(ErrorCode::NOT_LEADER_OR_FOLLOWER, 3, 5);
            response.node_endpoints = vec![NodeEndpoint {
                node_id: 3,
                host: "c".into(),
                port: 9092,
                ..Default::default()
            }];
            seen.answer::<ProduceRequest>(&response)
        })
    });
    serve(&network, "c", 9092, |seen| {
        let mut response = refused(ErrorCode::NONE, -1, -1);
        response.responses[0].partition_responses[0].base_offset = 42;
        seen.answer::<ProduceRequest>(&response)
    });
    let producer = producer(&network, config().linger_ms(0_u64)).await.unwrap();
    let begin = Instant::now();
    let sent = producer.send(record(b"a")).await.unwrap();
    assert_eq!(sent.offset, Some(42));
    // Without waiting for metadata or a back-off (KIP-951).
    assert!(
        begin.elapsed() < Duration::from_millis(50),
        "{:?}",
        begin.elapsed()
    );
}

/// An answer that is framed and numbered as it should be, and garbage behind that.
fn garbage(seen: &Seen, len: usize, byte: u8) -> Answer {
    let mut bytes = ((len + 4) as u32).to_be_bytes().to_vec();
    bytes.extend(seen.correlation.to_be_bytes());
    bytes.resize(bytes.len() + len, byte);
    Answer::Bytes(bytes)
}

#[tokio::test(start_paused = true)]
async fn garbage_for_an_answer_is_an_error_and_costs_no_more_than_it_weighs() {
    take_turn();
    for byte in [0x00, 0x7f, 0xff] {
        for len in [0, 1, 7, 1000, 100_000] {
            reset_peak();
            let before = live_bytes();
            let (network, requests) = brokers(move |_, seen| Some(garbage(seen, len, byte)));
            let begin = Instant::now();
            let error = producer(&network, config()).await.unwrap_err();
            assert!(begin.elapsed() < Duration::from_secs(60), "{error}");
            assert!(requests.load(Relaxed) < 50, "{error}");
            let cost = peak_bytes().saturating_sub(before);
            assert!(
                cost < 4 * MIB + 20 * len as u64,
                "{len} of {byte:#x} cost {cost}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_for_an_acknowledgement_ends_with_the_delivery_and_it_may_be_in_the_log() {
    take_turn();
    for len in [0, 3, 5000] {
        let (network, requests) =
            brokers(move |_, seen| (seen.key == ApiKey::PRODUCE).then(|| garbage(seen, len, 0xff)));
        let producer = producer(&network, config()).await.unwrap();
        let error = producer.send(record(b"a")).await.unwrap_err();
        assert_eq!(error.maybe_written(), Some(true), "{error}");
        assert!(error.to_string().contains("Produce"), "{error}");
        assert!(requests.load(Relaxed) < 200);
    }
}

#[tokio::test(start_paused = true)]
async fn absurd_lengths_and_floods_are_an_error_before_they_cost_memory() {
    take_turn();
    for announced in [99_999_999_i32, 100_000_001, i32::MAX, -1] {
        reset_peak();
        let before = live_bytes();
        let (network, requests) = brokers(move |_, seen| {
            (seen.key == ApiKey::PRODUCE).then(|| Answer::Bytes(announced.to_be_bytes().to_vec()))
        });
        let producer = producer(&network, config()).await.unwrap();
        let error = producer.send(record(b"a")).await.unwrap_err();
        assert_eq!(error.maybe_written(), Some(true), "{error}");
        let cost = peak_bytes().saturating_sub(before);
        assert!(cost < 16 * MIB, "{announced} cost {cost}");
        assert!(requests.load(Relaxed) < 200);
    }
    // Answers that nobody asked for, as many as there is room for.
    let (network, _) = brokers(|_, seen| {
        let one = [&12_u32.to_be_bytes()[..], &[0x55; 12]].concat();
        (seen.key == ApiKey::PRODUCE).then(|| Answer::Bytes(one.repeat(10_000)))
    });
    reset_peak();
    let before = live_bytes();
    let producer = producer(&network, config()).await.unwrap();
    assert!(producer.send(record(b"a")).await.is_err());
    let cost = peak_bytes().saturating_sub(before);
    assert!(cost < 16 * MIB, "the flood cost {cost}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_up_on_every_request_is_connected_to_at_the_pace_of_the_back_off() {
    take_turn();
    let (network, requests) =
        brokers(|_, seen| (seen.key == ApiKey::PRODUCE).then_some(Answer::HangUp));
    let producer = producer(&network, config()).await.unwrap();
    assert!(producer.send(record(b"a")).await.is_err());
    let opened = producer.cluster().metrics().connections_opened;
    assert!(opened < 100, "{opened}");
    assert!(requests.load(Relaxed) < 200);
}

/// Ways to fill the producer until it takes no more.
async fn fill(producer: &Producer, way: &str) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    match way {
        // One small record a batch, each a batch of its own.
        "tiny batches" => loop {
            let mut batch = producer.open_batch("t", 0);
            batch.append(1, None, Some(b"0123456789"), &[]).unwrap();
            match producer.try_submit(batch) {
                Ok(delivery) => deliveries.push(delivery),
                Err(_) => return deliveries,
            }
        },
        "full batches" => loop {
            let mut batch = producer.open_batch("t", 0);
            while batch.size_bytes() < 16_384 {
                batch.append(1, None, Some(&[7; 100]), &[]).unwrap();
            }
            match producer.try_submit(batch) {
                Ok(delivery) => deliveries.push(delivery),
                Err(_) => return deliveries,
            }
        },
        "records" => {
            while let Ok(delivery) = producer.enqueue(record(&[7; 50])).await {
                drop(delivery);
            }
            deliveries
        }
        _ => {
            while let Ok(delivery) = producer.enqueue(record(&[7; 10_000])).await {
                drop(delivery);
            }
            deliveries
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_with_a_paused_or_stopped_broker_holds_no_more_than_its_budget() {
    take_turn();
    const BUDGET: u64 = 4 * MIB;
    for is_stopped in [false, true] {
        for way in ["tiny batches", "full batches", "records", "large records"] {
            let (network, _) = brokers(|_, _| None);
            let config = config().buffer_memory(BUDGET);
            let producer = producer(&network, config).await.unwrap();
            producer.partition_count("t").await.unwrap();
            if is_stopped {
                // Nobody listens there any more.
                drop(network.listen("a", 9092));
                drop(network.listen("b", 9092));
            }
            reset_peak();
            let before = live_bytes();
            let deliveries = fill(&producer, way).await;
            let taken = producer.cluster().metrics().budgets[0].taken;
            let held = live_bytes().saturating_sub(before);
            let peak = peak_bytes().saturating_sub(before);
            // Pipes of the network in memory and the pool's one batch come on top.
            let bound = BUDGET + BUDGET / 4 + MIB;
            assert!(peak <= bound, "{way}, stopped {is_stopped}: {peak} at peak");
            assert!(
                taken <= BUDGET && taken > BUDGET * 9 / 10,
                "{way}: {taken} taken"
            );
            assert!(
                held > BUDGET / 5,
                "{way}: {held} held: the test fills nothing"
            );
            drop(deliveries);
            producer.close_within(Duration::ZERO).await.unwrap_err();
            drop(producer);
            tokio::time::sleep(Duration::from_secs(60)).await;
            let left = live_bytes().saturating_sub(before);
            assert!(
                left < MIB,
                "{way}, stopped {is_stopped}: {left} left behind"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_is_faster_than_its_broker_takes_a_quarter_of_its_budget_and_not_all_of_it()
{
    take_turn();
    let (network, _) = brokers(|_, seen| {
        (seen.key == ApiKey::PRODUCE).then(|| {
            let mut response = refused(ErrorCode::NONE, -1, -1);
            response.responses[0].partition_responses[0].base_offset = 0;
            let answer = seen.answer::<ProduceRequest>(&response);
            let Answer::Bytes(bytes) = answer else {
                unreachable!()
            };
            Answer::Later(Duration::from_millis(5), bytes)
        })
    });
    // Default settings, but for the batches: 128 KiB, lent and filled to the brim.
    let config = Config::new("a:9092").batch_size(131_072_usize);
    let producer = producer(&network, config).await.unwrap();
    reset_peak();
    let before = live_bytes();
    let value = [7; 1024];
    for _ in 0..1000 {
        let mut batch = producer.open_batch("t", 0);
        while batch.size_bytes() + value.len() + 24 < 131_072 {
            batch.append(1, None, Some(&value), &[]).unwrap();
        }
        drop(producer.submit(batch).await.unwrap());
    }
    producer.flush().await.unwrap();
    let metrics = producer.cluster().metrics();
    assert_eq!(metrics.batches_sent, 1000);
    let peak = peak_bytes().saturating_sub(before);
    assert!(peak < 14 * MIB, "{peak} bytes at peak");
    // The broker never had to wait for us: five requests of one batch each.
    assert!(peak > 5 * 131_072, "{peak} bytes at peak");
}
