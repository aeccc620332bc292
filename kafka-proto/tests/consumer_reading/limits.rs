//! Sessions, versions, budgets, pauses and portions.
use std::time::Instant;

use kafka_proto::{
    client::{FetchBudget, Fetcher, GroupEvent, GroupOptions, Membership, OffsetToCommit, Start},
    messages::{ApiKey, ErrorCode, Versions},
    mock,
};

use super::rig::{LIMIT, Rig, SHORT, append, read_to, rig};

#[tokio::test]
async fn a_lost_session_is_opened_again_without_losing_or_repeating() {
    let Rig { mock, cluster } = rig(1, &[("max.partition.fetch.bytes", "1000")]).await;
    append(&mock, 0, 0..200);
    for code in [
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode::INVALID_FETCH_SESSION_EPOCH,
        ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR,
    ] {
        let fault = mock
            .faults()
            .on(ApiKey::FETCH)
            .after(2)
            .times(3)
            .error(code);
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Offset(0));
        assert_eq!(
            read_to(&mut fetcher, 0, 200).await,
            (0..200).collect::<Vec<_>>(),
            "{code}"
        );
        assert_eq!(fault.hits(), 3, "{code}");
    }
}

#[tokio::test]
async fn every_version_of_fetch_reads_the_same() {
    for last in [4, 6, 7, 11, 12, 13, 18] {
        let Rig { mock, cluster } = Rig::of(
            mock::Cluster::builder()
                .topic("t", 2)
                .versions(ApiKey::FETCH, Versions::new(4, last)),
            &[("max.partition.fetch.bytes", "500")],
        )
        .await;
        append(&mock, 0, 0..30);
        append(&mock, 1, 0..30);
        let mut fetcher = Fetcher::new(&cluster);
        fetcher.assign("t", 0, Start::Earliest);
        fetcher.assign("t", 1, Start::Offset(30));
        assert_eq!(
            read_to(&mut fetcher, 0, 30).await,
            (0..30).collect::<Vec<_>>(),
            "version {last}"
        );
        append(&mock, 1, 30..40);
        assert_eq!(
            read_to(&mut fetcher, 1, 40).await,
            (30..40).collect::<Vec<_>>(),
            "version {last}"
        );
    }
}

#[tokio::test]
async fn the_next_fetch_is_on_its_way_while_the_application_works() {
    let Rig { mock, cluster } = rig(1, &[("max.partition.fetch.bytes", "500")]).await;
    append(&mock, 0, 0..200);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
    assert!(!fetched.is_empty());
    // The application computes: this thread does nothing else, also not the connection's task.
    let deadline = Instant::now() + LIMIT;
    while mock.received_count(ApiKey::FETCH) < 2 {
        assert!(Instant::now() < deadline, "the next fetch did not leave");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_full_buffer_stops_fetching_until_batches_are_dropped() {
    let Rig { mock, cluster } = rig(1, &[("max.partition.fetch.bytes", "4000")]).await;
    for _ in 0..40 {
        let value = vec![b'x'; 1000];
        mock.append("t", 0, [(None, Some(&value[..]))]).unwrap();
    }
    let budget = FetchBudget::new(10_000);
    let mut fetcher = Fetcher::with_budget(&cluster, &budget);
    fetcher.assign("t", 0, Start::Earliest);
    let mut held = Vec::new();
    let filling = async {
        loop {
            let fetched = fetcher.poll_batches(SHORT).await.unwrap();
            if fetched.is_empty() {
                break;
            }
            held.push(fetched);
            assert!(budget.used() <= 10_000, "{}", budget.used());
        }
    };
    tokio::time::timeout(LIMIT, filling)
        .await
        .expect("the buffer is full");
    let position = fetcher.position("t", 0).unwrap();
    assert!(position < 40, "more was fetched than the buffer holds");
    let asked = mock.received_count(ApiKey::FETCH);
    assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
    assert_eq!(
        mock.received_count(ApiKey::FETCH),
        asked,
        "a full buffer asks for nothing"
    );
    held.clear();
    let emptying = async {
        while fetcher.position("t", 0) != Some(40) {
            fetcher.poll_batches(LIMIT).await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, emptying)
        .await
        .expect("reading goes on");
}

#[tokio::test]
async fn a_batch_larger_than_every_limit_is_delivered() {
    let limits = [
        ("max.partition.fetch.bytes", "100"),
        ("fetch.max.bytes", "100"),
        ("fetch.buffer.bytes", "5000"),
    ];
    let Rig { mock, cluster } = rig(1, &limits).await;
    let value = vec![b'x'; 100_000];
    mock.append("t", 0, [(None, Some(&value[..]))]).unwrap();
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    let fetched = fetcher.poll_batches(LIMIT).await.unwrap();
    assert_eq!(fetched.partitions()[0].position(), 1);
}

#[tokio::test]
async fn a_paused_partition_is_not_delivered_and_keeps_its_position() {
    let Rig { mock, cluster } = rig(2, &[]).await;
    append(&mock, 0, 0..10);
    append(&mock, 1, 0..10);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Offset(0));
    fetcher.assign("t", 1, Start::Offset(0));
    fetcher.pause("t", 0).unwrap();
    assert_eq!(read_to(&mut fetcher, 1, 10).await.len(), 10);
    assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
    assert_eq!(fetcher.position("t", 0), Some(0));
    fetcher.resume("t", 0).unwrap();
    assert_eq!(read_to(&mut fetcher, 0, 10).await.len(), 10);
}

#[tokio::test]
async fn a_fetch_names_only_what_changed_and_opens_no_session_anew() {
    let Rig { mock, cluster } = rig(200, &[]).await;
    let mut fetcher = Fetcher::new(&cluster);
    for partition in 0..200 {
        fetcher.assign("t", partition, Start::Offset(0));
    }
    for n in 0..20 {
        append(&mock, 0, n..n + 1);
        assert_eq!(read_to(&mut fetcher, 0, n + 1).await, [n]);
    }
    let sizes = |mock: &mock::Cluster| -> Vec<usize> {
        let received = mock.received();
        let fetches = received.iter().filter(|seen| seen.api == ApiKey::FETCH);
        fetches.map(|seen| seen.size_bytes).collect()
    };
    let seen = sizes(&mock);
    assert!(seen[0] > 200 * 20, "the first names all: {}", seen[0]);
    assert!(seen[1..].iter().all(|size| *size < 150), "{seen:?}");
    // What is given up is named once, to be forgotten; the session goes on.
    mock.clear_received();
    fetcher.unassign("t", 7);
    fetcher.pause("t", 8).unwrap();
    append(&mock, 0, 20..21);
    read_to(&mut fetcher, 0, 21).await;
    append(&mock, 7, 0..1);
    append(&mock, 8, 0..1);
    assert!(fetcher.poll_batches(SHORT).await.unwrap().is_empty());
    assert!(sizes(&mock).iter().all(|size| *size < 150));
    fetcher.resume("t", 8).unwrap();
    assert_eq!(read_to(&mut fetcher, 8, 1).await, [0]);
}

#[tokio::test]
async fn several_fetchers_under_one_membership_read_their_own_partitions_from_one_budget() {
    let Rig { mock, cluster } = rig(4, &[("group.id", "g")]).await;
    let mut member = Membership::join(&cluster, GroupOptions::new("g", &["t"])).unwrap();
    let GroupEvent::Assigned(assignment) = member.next_event().await.unwrap() else {
        panic!("a new group assigns");
    };
    assert_eq!(assignment.partitions.len(), 4);
    let budget = FetchBudget::new(1 << 20);
    let mut fetchers: Vec<Fetcher> = (0..4)
        .map(|_| Fetcher::with_budget(&cluster, &budget))
        .collect();
    for (place, of) in assignment.partitions.iter().enumerate() {
        append(&mock, of.partition, 0..10);
        fetchers[place].assign(&of.topic, of.partition, Start::Earliest);
    }
    for (place, of) in assignment.partitions.iter().enumerate() {
        let fetcher = &mut fetchers[place];
        assert_eq!(read_to(fetcher, of.partition, 10).await.len(), 10);
        let done = OffsetToCommit::new("t", of.partition, 10);
        member.offsets().commit(&[done]).await.unwrap();
        assert_eq!(mock.committed_offset("g", "t", of.partition), Some(10));
    }
    assert!(budget.used() > 0, "fetches are under way");
    drop(fetchers);
    assert_eq!(budget.used(), 0, "everything is given back");
    member.leave().await;
}
