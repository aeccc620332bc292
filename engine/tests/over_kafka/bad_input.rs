//! Bytes, settings and places that are not what they should be: one clear line each, nothing hangs, nothing behind it is committed.

use kafka_proto::records::{BatchBuilder, Codec, Compression, Stamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn a_corrupt_batch_stops_the_run_at_its_place() {
    let (cluster, _) = filled(8).await;
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    builder.append(1, None, Some(b"damaged"), &[]).unwrap();
    let mut batch = builder.finish(Stamp::NONE).unwrap().to_vec();
    *batch.last_mut().unwrap() ^= 1;
    cluster.append_raw("lines", 1, &batch).unwrap();
    let error = run(wordcount, &config(&cluster))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("lines-1") && error.contains("offset 2"),
        "{error}"
    );
    assert!(committed(&cluster)[1].is_none_or(|at| at <= 2));
}

#[tokio::test]
async fn a_decompression_bomb_stops_the_run_within_bounded_memory() {
    let (cluster, _) = filled(8).await;
    let zeros = vec![0u8; 90 << 20];
    let mut builder = BatchBuilder::new(Compression::new(Codec::Zstd, None).unwrap(), 1024);
    builder.append(1, None, Some(&zeros), &[]).unwrap();
    let bomb = builder.finish(Stamp::NONE).unwrap();
    assert!(bomb.len() < 1 << 20);
    cluster.append_raw("lines", 3, &bomb).unwrap();
    let error = run(wordcount, &config(&cluster))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("lines-3") || error.contains("lines"),
        "{error}"
    );
    assert!(committed(&cluster)[3].is_none_or(|at| at <= 2));
}

#[tokio::test]
async fn null_values_and_values_that_are_no_text_are_skipped_and_counted() {
    let (cluster, truth) = filled(8).await;
    cluster
        .append(
            "lines",
            0,
            [(None, None), (Some(&b"key"[..]), Some(&b"\xff\xfe"[..]))],
        )
        .unwrap();
    let snapshot = run(wordcount, &config(&cluster)).await.unwrap();
    assert_eq!(snapshot.records_skipped, 2);
    assert_eq!(counts(&cluster), truth);
    assert_eq!(committed(&cluster), [Some(4), Some(2), Some(2), Some(2)]);
}

#[tokio::test]
async fn reading_the_topic_that_is_written_is_refused() {
    let (cluster, _) = filled(8).await;
    let error = run(
        |s| s.source("lines").record().sink("lines"),
        &config(&cluster),
    )
    .await
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("topic lines is both read and written"),
        "{error}"
    );
}

#[tokio::test]
async fn an_unknown_property_names_the_nearest_known_one() {
    let mut config = config_at("127.0.0.1:1");
    config.set("linger.msec", "5").unwrap();
    let error = run(wordcount, &config).await.unwrap_err();
    assert!(matches!(error, Error::Settings(_)), "{error}");
    assert!(error.to_string().contains("linger.ms"), "{error}");
}

#[tokio::test]
async fn an_unreachable_broker_is_one_error_with_its_address() {
    // A port that was just free: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut config = config_at(&format!("127.0.0.1:{port}"));
    // It waits so long for a broker.
    config.set("default.api.timeout.ms", "500").unwrap();
    let error = run(wordcount, &config).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
}

#[tokio::test]
async fn a_port_that_does_not_speak_kafka_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let web_server = async {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = socket.read(&mut request).await;
            let _ = socket
                .write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                .await;
        }
    };
    let config = config_at(&address.to_string());
    let error = tokio::select! {
        outcome = run(wordcount, &config) => outcome.unwrap_err().to_string(),
        () = web_server => unreachable!("it serves without end"),
    };
    assert!(
        error.contains(&address.to_string()) && error.contains("Kafka"),
        "{error}"
    );
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_is_named() {
    let (cluster, _) = filled(8).await;
    let folder = Folder::new("file");
    let file = folder.path("state");
    std::fs::write(&file, "").unwrap();
    let mut config = config(&cluster);
    config
        .set("state.dir", &file.display().to_string())
        .unwrap();
    let error = run(wordcount, &config).await.unwrap_err();
    assert!(matches!(error, Error::Disk { .. }), "{error}");
    assert!(
        error.to_string().contains(&*file.display().to_string()),
        "{error}"
    );
}
