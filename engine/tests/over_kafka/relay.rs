//! A plan that only copies: whole batches go through untouched where that is possible, and all else is rewritten record by record.

use kafka_proto::records::{BatchBuilder, Codec, Compression, Stamp, batches};

use super::*;

fn batch(compression: Compression, values: std::ops::Range<u32>) -> Vec<u8> {
    let mut builder = BatchBuilder::new(compression, 1024);
    for n in values {
        let value = format!("value {n} {}", "x".repeat(50));
        let headers = [("a", Some(&b"1"[..])), ("a", None), ("b", Some(&b""[..]))];
        let (key, value) = (
            (n % 3 > 0).then_some(value.as_bytes()),
            (n % 5 > 0).then_some(value.as_bytes()),
        );
        builder
            .append(1_000_000 + i64::from(n), key, value, &headers)
            .unwrap();
    }
    builder.finish(Stamp::NONE).unwrap().to_vec()
}

fn same(cluster: &Cluster) {
    for partition in 0..4 {
        let read = cluster.records("lines", partition).unwrap();
        let written = cluster.records("copies", partition).unwrap();
        assert_eq!(read.len(), written.len(), "partition {partition}");
        for (a, b) in read.iter().zip(&written) {
            assert_eq!(
                (&a.key, &a.value, &a.headers, a.timestamp),
                (&b.key, &b.value, &b.headers, b.timestamp)
            );
        }
    }
}

#[tokio::test]
async fn every_record_arrives_unchanged_in_the_partition_of_its_source() {
    let (cluster, _) = filled(0).await;
    for partition in 0..4 {
        cluster
            .append_raw("lines", partition, &batch(Compression::NONE, 0..100))
            .unwrap();
        cluster
            .append_raw(
                "lines",
                partition,
                &batch(Compression::new(Codec::Lz4, None).unwrap(), 100..200),
            )
            .unwrap();
    }
    let snapshot = run(copy, &config(&cluster)).await.unwrap();
    assert_eq!((snapshot.records_in, snapshot.records_out), (800, 800));
    same(&cluster);
    let raw = cluster.raw("copies", 0).unwrap();
    let codecs: Vec<Codec> = raw
        .into_iter()
        .flat_map(batches)
        .map(|b| b.unwrap().compression())
        .collect();
    assert_eq!(
        codecs,
        [Codec::None, Codec::Lz4],
        "batches went through whole"
    );
    assert_eq!(committed(&cluster), [Some(200); 4]);
}

#[tokio::test]
async fn a_batch_that_was_half_read_is_rewritten_and_keeps_its_place() {
    let (cluster, _) = filled(0).await;
    cluster
        .append_raw("lines", 0, &batch(Compression::NONE, 0..10))
        .unwrap();
    cluster
        .append_raw("lines", 0, &batch(Compression::NONE, 10..20))
        .unwrap();
    cluster.delete_records("lines", 0, 4).unwrap();
    run(copy, &config(&cluster)).await.unwrap();
    let written: Vec<i64> = cluster
        .records("copies", 0)
        .unwrap()
        .iter()
        .map(|r| r.timestamp - 1_000_000)
        .collect();
    assert_eq!(written, (4..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn times_that_the_broker_gave_stay() {
    let stamps = [("message.timestamp.type", "LogAppendTime")];
    let cluster = Cluster::builder()
        .topic_with("lines", 4, &stamps)
        .topic("copies", 4)
        .start()
        .await
        .unwrap();
    let mut bytes = BatchBuilder::new(Compression::NONE, 1024);
    bytes.append(5, None, Some(b"a"), &[]).unwrap();
    let placement = kafka_proto::records::Placement {
        log_append_time: Some(1234),
        ..kafka_proto::records::Placement::NONE
    };
    cluster
        .append_raw(
            "lines",
            2,
            &bytes.finish_at(Stamp::NONE, placement).unwrap(),
        )
        .unwrap();
    run(copy, &config(&cluster)).await.unwrap();
    assert_eq!(cluster.records("copies", 2).unwrap()[0].timestamp, 1234);
    same(&cluster);
}

#[tokio::test]
async fn an_output_with_fewer_partitions_is_one_clear_error() {
    let cluster = Cluster::builder()
        .topic("lines", 4)
        .topic("copies", 2)
        .start()
        .await
        .unwrap();
    cluster
        .append("lines", 3, [(None, Some(&b"a"[..]))])
        .unwrap();
    let error = run(copy, &config(&cluster)).await.unwrap_err().to_string();
    assert!(
        error.contains("copies") && error.contains("partition"),
        "{error}"
    );
    assert_eq!(committed(&cluster), [None; 4]);
}

#[tokio::test]
async fn an_output_that_is_missing_is_made_as_wide_as_the_input() {
    let cluster = Cluster::builder().topic("lines", 4).start().await.unwrap();
    cluster
        .append("lines", 3, [(None, Some(&b"a"[..]))])
        .unwrap();
    run(copy, &config(&cluster)).await.unwrap();
    assert_eq!(cluster.partition_count("copies"), 4);
    same(&cluster);
}

#[tokio::test]
async fn by_key_the_partition_is_kafkas() {
    let (cluster, _) = filled(0).await;
    cluster
        .append(
            "lines",
            0,
            (0..50u8).map(|n| {
                (
                    Some(&b"same key"[..]),
                    Some(if n % 2 == 0 { &b"a"[..] } else { b"b" }),
                )
            }),
        )
        .unwrap();
    run(
        |s| {
            s.source("lines")
                .record()
                .map(|r| r.by_key())
                .sink("copies")
        },
        &config(&cluster),
    )
    .await
    .unwrap();
    let expected = kafka_proto::partition::partition_for_key(b"same key", 4);
    assert_eq!(
        cluster.records("copies", expected as i32).unwrap().len(),
        50
    );
}
