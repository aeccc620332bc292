//! Time from Kafka's own truth: what is idle, what is only held up, and what is found later.

use engine::connectors::Collected;
use engine::windows::Tumbling;
use kafka_proto::messages::ApiKey;
use kafka_proto::records::{
    BatchBuilder, Compression, ControlType, EndTxnMarker, Placement, Stamp, end_txn_batch,
};

use super::*;

const TRANSACTION: Stamp = Stamp {
    producer_id: 7,
    producer_epoch: 0,
    base_sequence: 0,
    transactional: true,
};

/// Appends one record with a timestamp in seconds.
fn at(cluster: &Cluster, partition: i32, second: i64, stamp: Stamp) {
    let mut builder = BatchBuilder::new(Compression::NONE, 64);
    builder
        .append(second * 1000, None, Some(b"x"), &[])
        .unwrap();
    let bytes = builder.finish(stamp).unwrap();
    cluster.append_raw("lines", partition, &bytes).unwrap();
}

/// Rows of ten seconds, counted.
fn counting(out: &Collected) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    let out = out.clone();
    move |s| {
        s.source("lines")
            .utf8()
            .key_by(|_| "all")
            .window(Tumbling::of(Duration::from_secs(10)))
            .count()
            .map(|(_, window, n)| ((), format!("{}: {n}", window.start / 1000)))
            .sink(&out);
    }
}

fn values(out: &Collected) -> Vec<String> {
    let of = |r: engine::testing::OutRecord| r.value_str().unwrap().to_owned();
    out.take().into_iter().map(of).collect()
}

/// Behaviour 44.
#[tokio::test]
async fn a_partition_held_up_by_an_open_transaction_is_not_idle() {
    let cluster = Cluster::builder().topic("lines", 2).start().await.unwrap();
    for second in [1, 2, 15] {
        at(&cluster, 0, second, Stamp::NONE);
    }
    // Undecided: it may still turn out to belong to the first window.
    at(&cluster, 1, 3, TRANSACTION);
    let mut config = config(&cluster).until_end(false);
    config.set("fetch.max.wait.ms", "10").unwrap();
    let out = Collected::new();
    let script = async {
        until(|| cluster.committed_offset("app", "lines", 0) == Some(3)).await;
        // Long enough for a partition that is idle to be seen as such many times over.
        let before = cluster.received_count(ApiKey::FETCH);
        until(|| cluster.received_count(ApiKey::FETCH) > before + 40).await;
        assert!(out.is_empty(), "the window has closed: {:?}", out.take());
        let marker = EndTxnMarker {
            coordinator_epoch: 0,
        };
        let (id, epoch) = (TRANSACTION.producer_id, TRANSACTION.producer_epoch);
        let marker = end_txn_batch(ControlType::Commit, marker, id, epoch, 1, Placement::NONE);
        cluster.append_raw("lines", 1, &marker).unwrap();
        until(|| cluster.committed_offset("app", "lines", 1) == Some(2)).await;
        // Now it is at its end, and idle. While the other one is idle too, time stands (behaviour 43): it has to go on.
        for second in 16.. {
            if !out.is_empty() {
                break;
            }
            assert!(second < 20_000, "idle, and the window stays open");
            at(&cluster, 0, second, Stamp::NONE);
            let before = cluster.received_count(ApiKey::FETCH);
            until(|| cluster.received_count(ApiKey::FETCH) > before).await;
        }
    };
    run_until(counting(&out), &config, script).await.unwrap();
    assert_eq!(values(&out)[0], "0: 3", "with the row that was undecided");
}

/// The other half of behaviour 44: without the transaction the same partition holds nothing up.
#[tokio::test]
async fn an_empty_partition_is_idle_and_holds_no_window_up() {
    let cluster = Cluster::builder().topic("lines", 2).start().await.unwrap();
    for second in [1, 2, 15] {
        at(&cluster, 0, second, Stamp::NONE);
    }
    let mut config = config(&cluster).until_end(false);
    config.set("fetch.max.wait.ms", "10").unwrap();
    let out = Collected::new();
    let script = until(|| !out.is_empty());
    run_until(counting(&out), &config, script).await.unwrap();
    assert_eq!(values(&out), ["0: 2"]);
}

/// Behaviour 45.
#[tokio::test]
async fn a_partition_found_later_starts_at_the_lowest_watermark_and_nothing_of_it_is_late() {
    let cluster = Cluster::builder().topic("lines", 1).start().await.unwrap();
    for second in [1, 2, 12] {
        at(&cluster, 0, second, Stamp::NONE);
    }
    let mut config = config(&cluster).until_end(false);
    config.set("metadata.max.age.ms", "20").unwrap();
    // Nothing is idle in this test.
    config.set("fetch.max.wait.ms", "60000").unwrap();
    config.set("request.timeout.ms", "120000").unwrap();
    config.set("default.api.timeout.ms", "120000").unwrap();
    config.set("delivery.timeout.ms", "180000").unwrap();
    let out = Collected::new();
    let script = async {
        until(|| out.len() == 1).await;
        cluster.add_partitions("lines", 2).unwrap();
        until(|| cluster.committed_offset("app", "lines", 1).is_some()).await;
        // The old partition goes far ahead; of the new one nothing is known yet, so time waits for it.
        at(&cluster, 0, 40, Stamp::NONE);
        until(|| cluster.committed_offset("app", "lines", 0) == Some(4)).await;
        assert_eq!(values(&out), ["0: 2"]);
        at(&cluster, 1, 13, Stamp::NONE);
        at(&cluster, 1, 40, Stamp::NONE);
        until(|| !out.is_empty()).await;
    };
    let snapshot = run_until(counting(&out), &config, script).await.unwrap();
    assert_eq!(values(&out), ["10: 2"], "one row of each partition");
    assert_eq!(snapshot.rows_late, 0);
}
