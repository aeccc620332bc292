//! Commits and committed offsets under answers that stand in the way.
use super::*;

/// Polls until so many records have come.
async fn read_all(consumer: &mut Consumer, records: usize) {
    let mut read = 0;
    while read < records {
        read += consumer.poll(SHORT).await.unwrap().len();
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_fails_if_any_of_its_topics_is_refused() {
    let bench = bench("classic").await;
    let cluster = bench.cluster(&[]).await;
    let offsets = GroupOffsets::new(&cluster, "g");
    let both = [
        OffsetToCommit::new("t", 0, 1),
        OffsetToCommit::new("u", 0, 2),
    ];
    for topic in ["t", "u"] {
        let fault = bench.mock.faults().on(ApiKey::OFFSET_COMMIT).topic(topic);
        fault.error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        let error = offsets.commit(&both).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
        assert!(error.to_string().contains(&format!("{topic}-0")), "{error}");
    }
    offsets.commit(&both).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_neither_coordinator_nor_metadata_know_yet_is_not_given_up_at_once() {
    let bench = bench("classic").await;
    let cluster = bench.cluster(&[]).await;
    let offsets = GroupOffsets::new(&cluster, "g");
    let faults = bench.mock.faults();
    faults
        .on(ApiKey::OFFSET_COMMIT)
        .error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    // All brokers know of it a moment later.
    let lagging = faults.on(ApiKey::METADATA).always();
    let lagging = lagging.error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let commit = offsets.commit(&[OffsetToCommit::new("t", 0, 1)]);
    let heard = async {
        while bench.mock.received_count(ApiKey::OFFSET_COMMIT) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        lagging.remove();
    };
    let (committed, ()) = tokio::join!(commit, heard);
    committed.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_last_commit_has_the_topics_that_one_lagging_broker_does_not_know() {
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        bench.fill(1);
        let cluster = bench.cluster(&[]).await;
        let mut consumer = Consumer::new(&cluster);
        consumer.subscribe(&["t"]).unwrap();
        read_all(&mut consumer, 4).await;
        let lagging = bench.mock.faults().on(ApiKey::METADATA).topic("t");
        let lagging = lagging.error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        cluster.refresh(&["t"]).await.unwrap();
        assert_eq!(lagging.hits(), 1);
        assert!(cluster.metadata().topic("t").is_none());
        consumer.close().await.unwrap();
        let of = [TopicPartition::new("t", 0)];
        let committed = GroupOffsets::new(&cluster, "g").committed(&of).await;
        let committed = committed.unwrap()[0].clone();
        assert_eq!(committed.map(|at| at.offset), Some(1), "{protocol}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_takes_no_other_out_of_the_last_commit() {
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        bench.fill(1);
        let cluster = bench.cluster(&[]).await;
        let mut consumer = Consumer::new(&cluster);
        consumer.subscribe(&["t", "u"]).unwrap();
        let one = [(None, Some(b"v".as_slice()))];
        bench.mock.append("u", 0, one).unwrap();
        read_all(&mut consumer, 5).await;
        bench.mock.delete_topic("u").unwrap();
        let begin = tokio::time::Instant::now();
        consumer.close().await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(5));
        let of = [TopicPartition::new("t", 0)];
        let committed = GroupOffsets::new(&cluster, "g").committed(&of).await;
        let committed = committed.unwrap()[0].clone();
        assert_eq!(committed.map(|at| at.offset), Some(1), "{protocol}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_thrown_out_while_it_asks_for_its_offsets_asks_again() {
    let bench = bench("consumer").await;
    bench.fill(1);
    let fault = bench.mock.faults().on(ApiKey::OFFSET_FETCH).times(3);
    let fault = fault.error(ErrorCode::UNKNOWN_MEMBER_ID);
    let mut consumer = bench.consumer(&[]).await;
    // No poll is an error.
    read_all(&mut consumer, 4).await;
    assert_eq!(fault.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_committed_offset_cannot_be_read_is_an_error_and_not_the_beginning() {
    let bench = bench("classic").await;
    let cluster = bench.cluster(&[("default.api.timeout.ms", "3000")]).await;
    let mut consumer = Consumer::new(&cluster);
    let of = [TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
    consumer.assign(&of).unwrap();
    let offset = OffsetToCommit::new("t", 0, 5);
    consumer.commit_offsets(&[offset]).await.unwrap();
    for code in [
        ErrorCode::UNSTABLE_OFFSET_COMMIT,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ] {
        let fault = bench
            .mock
            .faults()
            .on(ApiKey::OFFSET_FETCH)
            .partition("t", 0);
        let fault = fault.always().error(code);
        let error = consumer.committed(&of).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert!(error.to_string().contains("t-0"), "{error}");
        fault.remove();
    }
    let committed = consumer.committed(&of).await.unwrap();
    let committed: Vec<Option<i64>> = committed
        .iter()
        .map(|at| Some(at.as_ref()?.offset))
        .collect();
    assert_eq!(committed, [Some(5), None]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_refused_for_its_own_sake_leaves_the_assignment_alone() {
    for protocol in PROTOCOLS {
        let bench = bench(protocol).await;
        let mut member = bench.member().await;
        assigned(&mut member).await;
        for code in [
            ErrorCode::OFFSET_METADATA_TOO_LARGE,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            ErrorCode::GROUP_AUTHORIZATION_FAILED,
            ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ] {
            bench.mock.faults().on(ApiKey::OFFSET_COMMIT).error(code);
            let offsets = [OffsetToCommit::new("t", 0, 1)];
            let refused = member.offsets().commit(&offsets).await.unwrap_err();
            assert_eq!(refused.code(), Some(code));
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(member.try_next_event().unwrap().is_none(), "{code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_does_not_hide_that_another_one_was_refused() {
    let bench = bench("classic").await;
    let offsets = GroupOffsets::new(&bench.cluster(&[]).await, "g");
    bench.mock.delete_topic("u").unwrap();
    let fault = bench.mock.faults().on(ApiKey::OFFSET_COMMIT).topic("t");
    fault.always().error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let both = [
        OffsetToCommit::new("u", 0, 1),
        OffsetToCommit::new("t", 0, 2),
    ];
    let error = offsets.commit(&both).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
}
