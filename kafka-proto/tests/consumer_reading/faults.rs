//! Leaders that move, brokers that go, topics that vanish: reading goes on from the position, or says why not.
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kafka_proto::{
    client::{Cluster, Error, Fetcher, MetricsSnapshot, OffsetReset, Start},
    messages::{ApiKey, ErrorCode},
    mock,
    records::{BatchBuilder, Compression, Stamp},
};

use super::rig::{LIMIT, Rig, SHORT, append, config, offsets, read_to, rig};

#[tokio::test]
async fn a_moved_leader_is_followed_and_nothing_is_read_twice() {
    let Rig { mock, cluster } =
        Rig::of(mock::Cluster::builder().brokers(3).topic("t", 1), &[]).await;
    append(&mock, 0, 0..50);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let mut read = read_to(&mut fetcher, 0, 50).await;
    for broker in [2, 3, 1, 2] {
        mock.move_leader("t", 0, broker).unwrap();
        let end = mock.end_offset("t", 0).unwrap();
        append(&mock, 0, end..end + 50);
        read.extend(read_to(&mut fetcher, 0, end + 50).await);
    }
    assert_eq!(read, (0..250).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broker_that_goes_and_comes_back_is_read_on_from_the_position() {
    let Rig { mock, cluster } =
        Rig::of(mock::Cluster::builder().brokers(1).topic("t", 2), &[]).await;
    append(&mock, 0, 0..20);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let mut read = read_to(&mut fetcher, 0, 20).await;
    mock.stop_broker(1).await.unwrap();
    assert!(
        fetcher.poll_batches(SHORT).await.unwrap().is_empty(),
        "a lost broker is no error"
    );
    assert_eq!(fetcher.position("t", 0), Some(20));
    append(&mock, 0, 20..40);
    mock.start_broker(1).await.unwrap();
    read.extend(read_to(&mut fetcher, 0, 40).await);
    assert_eq!(read, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_that_never_come_or_break_off_are_asked_for_again() {
    let Rig { mock, cluster } = rig(
        1,
        &[
            ("request.timeout.ms", "100"),
            ("max.partition.fetch.bytes", "1000"),
        ],
    )
    .await;
    append(&mock, 0, 0..300);
    let faults = mock.faults();
    let hits = [
        faults.on(ApiKey::FETCH).after(1).drop_connection(),
        faults
            .on(ApiKey::FETCH)
            .after(3)
            .applied()
            .drop_connection(),
        faults.on(ApiKey::FETCH).after(5).cut_response(30),
        faults.on(ApiKey::FETCH).after(7).never_answer(),
    ];
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    assert_eq!(
        read_to(&mut fetcher, 0, 300).await,
        (0..300).collect::<Vec<_>>()
    );
    assert!(hits.iter().all(|fault| fault.hits() == 1));
}

#[tokio::test]
async fn errors_of_a_partition_that_pass_are_waited_for() {
    let Rig { mock, cluster } = rig(1, &[]).await;
    append(&mock, 0, 0..10);
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::OFFSET_NOT_AVAILABLE,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ] {
        let fault = mock
            .faults()
            .on(ApiKey::FETCH)
            .partition("t", 0)
            .times(2)
            .error(code);
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(0));
        assert_eq!(
            read_to(&mut fetcher, 0, 10).await,
            (0..10).collect::<Vec<_>>(),
            "{code}"
        );
        assert_eq!(fault.hits(), 2, "{code}");
    }
}

#[tokio::test]
async fn a_topic_that_is_made_anew_follows_the_reset_policy() {
    let Rig { mock, cluster } = rig(1, &[("metadata.max.age.ms", "20")]).await;
    append(&mock, 0, 0..10);
    let mut earliest = Fetcher::new(&cluster);
    let mut none = Fetcher::new(&cluster).with_reset(OffsetReset::None);
    earliest.assign("t", 0, Start::Earliest);
    none.assign("t", 0, Start::Offset(0));
    read_to(&mut earliest, 0, 10).await;
    read_to(&mut none, 0, 10).await;
    mock.delete_topic("t").unwrap();
    mock.create_topic("t", 1).unwrap();
    append(&mock, 0, 0..25);
    let mut again = Vec::new();
    let reading = async {
        while again.last() != Some(&24) {
            let fetched = earliest.poll_batches(LIMIT).await.unwrap();
            again.extend(offsets(&earliest, fetched, 0));
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap();
    assert_eq!(again, (0..25).collect::<Vec<_>>());
    let error = loop {
        if let Err(error) = none.poll_batches(LIMIT).await {
            break error;
        }
    };
    assert!(
        matches!(&error, Error::PositionLost { offset: 10, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("created again"), "{error}");
    // Said again until somebody seeks; the new log is not read from the old position.
    let again = none.poll_batches(LIMIT).await.unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
    none.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(read_to(&mut none, 0, 25).await.len(), 25);
}

#[tokio::test]
async fn without_a_start_every_poll_says_so_until_somebody_seeks() {
    let Rig { mock, cluster } = rig(1, &[]).await;
    append(&mock, 0, 0..3);
    let mut fetcher = Fetcher::new(&cluster).with_reset(OffsetReset::None);
    fetcher.assign("t", 0, Start::Reset);
    for _ in 0..3 {
        let error = fetcher.poll_batches(LIMIT).await.unwrap_err();
        assert!(
            matches!(error, Error::PositionLost { offset: -1, .. }),
            "{error}"
        );
    }
    fetcher.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(read_to(&mut fetcher, 0, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_deleted_topic_is_an_error_after_a_while() {
    let Rig { mock, cluster } = Rig::of(
        mock::Cluster::builder()
            .topic("t", 1)
            .no_auto_create_topics(),
        &[
            ("metadata.max.age.ms", "20"),
            ("default.api.timeout.ms", "100"),
        ],
    )
    .await;
    append(&mock, 0, 0..10);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    read_to(&mut fetcher, 0, 10).await;
    mock.delete_topic("t").unwrap();
    let error = loop {
        if let Err(error) = fetcher.poll_batches(LIMIT).await {
            break error;
        }
    };
    assert_eq!(
        error.code(),
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        "{error}"
    );
    assert!(error.to_string().contains("topic t"), "{error}");
}

#[tokio::test]
async fn records_deleted_under_the_position_follow_the_reset_policy() {
    let Rig { mock, cluster } = rig(1, &[("max.partition.fetch.bytes", "300")]).await;
    append(&mock, 0, 0..100);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    read_to(&mut fetcher, 0, 5).await;
    mock.delete_records("t", 0, 60).unwrap();
    let rest = read_to(&mut fetcher, 0, 100).await;
    assert_eq!(rest[rest.len() - 40..], (60..100).collect::<Vec<_>>());
    let error = {
        let mut none = Fetcher::new(&cluster).with_reset(OffsetReset::None);
        none.assign("t", 0, Start::Offset(7));
        none.poll_batches(LIMIT).await.unwrap_err().to_string()
    };
    assert!(
        error.contains("t-0") && error.contains("offset 7"),
        "{error}"
    );
}

/// Three brokers, each in a rack of its own; the client sits where broker 3 is, broker 1 leads.
async fn racks(properties: &[(&str, &str)]) -> Rig {
    let builder = mock::Cluster::builder()
        .brokers(3)
        .racks(&["a", "b", "c"])
        .topic("t", 1);
    let properties = [&[("client.rack", "c")], properties].concat();
    let rig = Rig::of(builder, &properties).await;
    assert_eq!(rig.mock.leader("t", 0).unwrap(), 1);
    rig
}

fn fetches(mock: &mock::Cluster, broker: i32) -> usize {
    let received = mock.received();
    let fetch = |request: &&mock::Received| request.api == ApiKey::FETCH;
    received
        .iter()
        .filter(fetch)
        .filter(|request| request.broker == broker)
        .count()
}

#[tokio::test]
async fn a_client_with_a_rack_reads_from_the_replica_there_until_it_is_time_to_ask_the_leader_again()
 {
    let rig = racks(&[]).await;
    append(&rig.mock, 0, 0..100);
    let mut fetcher = rig.fetcher();
    let mut read = read_to(&mut fetcher, 0, 100).await;
    append(&rig.mock, 0, 100..200);
    read.extend(read_to(&mut fetcher, 0, 200).await);
    assert_eq!(read, (0..200).collect::<Vec<_>>());
    assert_eq!(
        fetches(&rig.mock, 1),
        1,
        "the leader names the replica once"
    );
    assert!(fetches(&rig.mock, 3) >= 2 && fetches(&rig.mock, 2) == 0);
    // What the leader said holds for `metadata.max.age.ms`.
    let rig = racks(&[("metadata.max.age.ms", "5")]).await;
    let mut fetcher = rig.fetcher();
    let mut end = 0;
    while fetches(&rig.mock, 1) < 4 || fetches(&rig.mock, 3) < 3 {
        append(&rig.mock, 0, end..end + 1);
        end += 1;
        assert_eq!(read_to(&mut fetcher, 0, end).await, [end - 1]);
    }
}

#[tokio::test]
async fn a_replica_that_lags_vanishes_or_refuses_sends_reading_back_to_the_leader() {
    let rig = racks(&[]).await;
    append(&rig.mock, 0, 0..10);
    let mut fetcher = Fetcher::new(&rig.cluster).with_reset(OffsetReset::None);
    fetcher.assign("t", 0, Start::Offset(0));
    let mut read = read_to(&mut fetcher, 0, 10).await;
    for (round, code) in [
        ErrorCode::OFFSET_OUT_OF_RANGE,
        ErrorCode::OFFSET_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ]
    .into_iter()
    .enumerate()
    {
        let faults = rig.mock.faults();
        let fault = faults.on(ApiKey::FETCH).broker(3).partition("t", 0);
        let fault = fault.times(1).error(code);
        let (before, end) = (fetches(&rig.mock, 1), 10 + round as i64 * 10);
        append(&rig.mock, 0, end..end + 10);
        // The position is not lost, though there is no reset policy.
        read.extend(read_to(&mut fetcher, 0, end + 10).await);
        while fault.hits() == 0 {
            assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
        }
        while fetches(&rig.mock, 1) == before {
            assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
        }
    }
    rig.mock.stop_broker(3).await.unwrap();
    append(&rig.mock, 0, 40..50);
    read.extend(read_to(&mut fetcher, 0, 50).await);
    assert_eq!(read, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broker_that_stands_still_is_a_timeout_and_one_that_is_gone_a_refusal_and_neither_a_flood()
 {
    for stands_still in [true, false] {
        let timeouts = [
            ("request.timeout.ms", "60"),
            ("socket.connection.setup.timeout.ms", "60"),
        ];
        let Rig { mock, cluster } = rig(1, &timeouts).await;
        append(&mock, 0, 0..10);
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(0));
        read_to(&mut fetcher, 0, 10).await;
        let before = cluster.metrics();
        if stands_still {
            mock.pause_broker(1);
        } else {
            mock.stop_broker(1).await.unwrap();
        }
        let begin = Instant::now();
        let failed = |since: &MetricsSnapshot| since.timeouts + since.connections_failed;
        while failed(&cluster.metrics().since(&before)) < 3 {
            assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
        }
        let since = cluster.metrics().since(&before);
        // Back-offs of 2 to 20 ms: a broker that is gone is not asked as fast as it refuses.
        let tries = since.connections_failed + since.connections_opened;
        let most = 10 + begin.elapsed().as_millis() as u64;
        assert!(tries <= most, "{tries} in {:?}", begin.elapsed());
        assert_eq!(since.timeouts > 0, stands_still);
        append(&mock, 0, 10..20);
        if stands_still {
            mock.resume_broker(1);
        } else {
            mock.start_broker(1).await.unwrap();
        }
        assert_eq!(
            read_to(&mut fetcher, 0, 20).await,
            (10..20).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn each_reset_policy_starts_where_it_says() {
    let Rig { mock, .. } = rig(1, &[]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // Records of three hours ago, of two, of one.
    for n in 0..3 {
        let mut builder = BatchBuilder::new(Compression::NONE, 1024);
        let timestamp = now.as_millis() as i64 - (3 - n) * 3_600_000;
        builder
            .append(timestamp, None, Some(n.to_string().as_bytes()), &[])
            .unwrap();
        let batch = builder.finish(Stamp::NONE).unwrap();
        mock.append_raw("t", 0, &batch).unwrap();
    }
    for (policy, first) in [
        ("earliest", 0),
        ("by_duration:PT150M", 1),
        ("by_duration:PT30M", 3),
        ("latest", 3),
    ] {
        let properties = config(&mock, &[("auto.offset.reset", policy)]);
        let cluster = Cluster::connect(properties).await.unwrap();
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Reset);
        while fetcher.position("t", 0).is_none() {
            drop(fetcher.poll_batches(SHORT).await.unwrap());
        }
        let position = fetcher.position("t", 0).unwrap();
        assert!(position == first || position == 3, "{policy}: {position}");
        fetcher.seek("t", 0, Start::Offset(70)).unwrap();
        // Out of range: the same policy.
        let read = loop {
            let fetched = fetcher.poll_batches(SHORT).await.unwrap();
            let read = offsets(&fetcher, fetched, 0);
            if !read.is_empty() || fetcher.position("t", 0) == Some(3) {
                break read;
            }
        };
        assert_eq!(read, (first..3).collect::<Vec<_>>(), "{policy}");
    }
}
