//! `until_end` ends at the ends seen at the start, whatever lies there.

use kafka_proto::records::{
    BatchBuilder, Compression, ControlType, EndTxnMarker, Placement, Stamp, end_txn_batch,
};

use super::*;

const TRANSACTIONAL: Stamp = Stamp {
    producer_id: 7,
    producer_epoch: 0,
    base_sequence: 0,
    transactional: true,
};

fn transactional(values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for value in values {
        builder
            .append(1, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    builder.finish(TRANSACTIONAL).unwrap().to_vec()
}

fn marker(kind: ControlType) -> Vec<u8> {
    let Stamp {
        producer_id,
        producer_epoch,
        ..
    } = TRANSACTIONAL;
    let marker = EndTxnMarker {
        coordinator_epoch: 0,
    };
    end_txn_batch(
        kind,
        marker,
        producer_id,
        producer_epoch,
        1,
        Placement::NONE,
    )
    .to_vec()
}

#[tokio::test]
async fn a_marker_or_an_aborted_batch_at_the_end_does_not_keep_it_running() {
    let (cluster, mut truth) = filled(8).await;
    cluster
        .append_raw("lines", 0, &transactional(&["and more"]))
        .unwrap();
    cluster
        .append_raw("lines", 0, &marker(ControlType::Commit))
        .unwrap();
    cluster
        .append_raw("lines", 1, &transactional(&["never said"]))
        .unwrap();
    cluster
        .append_raw("lines", 1, &marker(ControlType::Abort))
        .unwrap();
    for word in ["and", "more"] {
        *truth.entry(word.to_owned()).or_default() += 1;
    }
    run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(counts(&cluster), truth);
    assert_eq!(
        committed(&cluster),
        [Some(4), Some(4), Some(2), Some(2)],
        "markers count as passed"
    );
}

#[tokio::test]
async fn an_open_transaction_is_behind_the_end() {
    let (cluster, truth) = filled(8).await;
    cluster
        .append_raw("lines", 0, &transactional(&["undecided"]))
        .unwrap();
    run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(counts(&cluster), truth);
    assert_eq!(committed(&cluster), [Some(2); 4]);
}

#[tokio::test]
async fn an_empty_topic_ends_at_once() {
    let (cluster, _) = filled(0).await;
    let snapshot = run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(snapshot.records_in, 0);
}
