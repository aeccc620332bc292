//! Questions about records: what may be produced, what is fetched, where offsets are, what is deleted.

use bytes::Bytes;
use kafka_proto::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_proto::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_proto::messages::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_proto::messages::{
    DeleteRecordsRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
};
use kafka_proto::records::{BatchBuilder, Codec, Compression, Stamp};
use kafka_proto::wire::Uuid;

use super::Asker;
use super::raw::{batch_at, fetch, idempotent, produce};
use super::topics::create;

pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis() as i64
}

const DAY_MS: i64 = 86_400_000;

pub(crate) async fn ask(asker: &mut Asker) {
    create(asker, "lines", 2, &[]).await;
    create(asker, "timed", 1, &[]).await;
    create(asker, "compacted", 1, &[("cleanup.policy", "compact")]).await;
    create(asker, "both", 1, &[("cleanup.policy", "compact,delete")]).await;
    create(asker, "neither", 1, &[("cleanup.policy", "")]).await;
    create(asker, "small", 1, &[("max.message.bytes", "100")]).await;
    create(
        asker,
        "recent",
        1,
        &[("message.timestamp.before.max.ms", "1000")],
    )
    .await;
    create(
        asker,
        "appended",
        1,
        &[("message.timestamp.type", "LogAppendTime")],
    )
    .await;
    create(asker, "safe", 1, &[("min.insync.replicas", "2")]).await;
    produced(asker).await;
    spoilt(asker).await;
    records(asker).await;
    idempotence(asker).await;
    fetched(asker).await;
    offsets(asker).await;
    deleted(asker).await;
}

/// A batch of one record with the CRC that its bytes have after a change.
fn changed(change: impl FnOnce(&mut [u8])) -> Bytes {
    let mut bytes = batch_at(&["x"], 1_000, Stamp::NONE).to_vec();
    change(&mut bytes);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// Bit by bit: a test needs no more.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

fn keyed(records: &[(Option<&str>, &str)], compression: Compression, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(compression, 1024);
    for (key, value) in records {
        let key = key.map(str::as_bytes);
        builder
            .append(timestamp, key, Some(value.as_bytes()), &[])
            .unwrap();
    }
    builder.finish(Stamp::NONE).unwrap()
}

async fn produced(asker: &mut Asker) {
    let good = || batch_at(&["a", "b", "c"], 1_000, Stamp::NONE);
    asker.ask("produce", produce("lines", 0, good()), 12).await;
    asker
        .ask("produce in version 3", produce("lines", 0, good()), 3)
        .await;
    asker
        .ask(
            "produce to an unknown topic",
            produce("unknown", 0, good()),
            12,
        )
        .await;
    asker
        .ask(
            "produce to an unknown partition",
            produce("lines", 9, good()),
            12,
        )
        .await;
    asker
        .ask("produce to an unknown id", produce("", 0, good()), 13)
        .await;
    asker
        .ask(
            "produce to a topic of the cluster",
            produce("__consumer_offsets", 0, good()),
            12,
        )
        .await;
    asker
        .ask(
            "produce to a topic with a small limit",
            produce(
                "small",
                0,
                keyed(&[(None, &"x".repeat(100))], Compression::NONE, 1),
            ),
            12,
        )
        .await;
    asker
        .ask(
            "produce to a topic with log append time",
            produce("appended", 0, good()),
            12,
        )
        .await;
    asker
        .ask(
            "produce where more in-sync replicas are asked for than there are",
            produce("safe", 0, good()),
            12,
        )
        .await;
    let mut acks = produce("lines", 0, good());
    acks.acks = 2;
    asker.ask("produce with acks=2", acks, 12).await;
    let two = [good(), good()].concat();
    asker
        .ask("produce two batches", produce("lines", 0, two.into()), 12)
        .await;
}

async fn spoilt(asker: &mut Asker) {
    let mut spoilt = batch_at(&["a", "b", "c"], 1_000, Stamp::NONE).to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    asker
        .ask(
            "produce with a wrong checksum",
            produce("lines", 0, spoilt.into()),
            12,
        )
        .await;
    for (what, batch) in [
        ("a control batch", changed(|bytes| bytes[22] |= 0x20)),
        ("an unknown codec", changed(|bytes| bytes[22] |= 7)),
        ("a wrong count", changed(|bytes| bytes[60] = 2)),
        ("a wrong last offset delta", changed(|bytes| bytes[26] = 5)),
        ("no records", changed(|bytes| bytes[60] = 0)),
        ("an offset of its own", changed(|bytes| bytes[7] = 9)),
        (
            "an epoch without a producer",
            changed(|bytes| bytes[51..53].fill(0)),
        ),
        (
            "a transaction without a producer",
            changed(|bytes| bytes[22] |= 0x10),
        ),
        ("magic 1", changed(|bytes| bytes[16] = 1)),
        ("magic 9", changed(|bytes| bytes[16] = 9)),
    ] {
        asker
            .ask(&format!("produce {what}"), produce("lines", 1, batch), 12)
            .await;
    }
}

async fn records(asker: &mut Asker) {
    let all: [(&str, &[(Option<&str>, &str)]); 4] = [
        ("with keys", &[(Some("a"), "1"), (Some("b"), "2")]),
        ("without a key", &[(None, "1")]),
        (
            "with and without keys",
            &[(Some("a"), "1"), (None, "2"), (None, "3")],
        ),
        ("with an empty key", &[(Some(""), "1")]),
    ];
    for topic in ["compacted", "both", "neither"] {
        for (what, records) in all {
            let batch = keyed(records, Compression::NONE, 1_000);
            asker
                .ask(
                    &format!("produce {what} to {topic}"),
                    produce(topic, 0, batch),
                    12,
                )
                .await;
        }
    }
    for codec in [Codec::Gzip, Codec::Zstd] {
        let compression = Compression::new(codec, None).unwrap();
        let batch = keyed(all[2].1, compression, 1_000);
        let question = format!("produce {codec:?} records without keys to a compacted topic");
        asker
            .ask(&question, produce("compacted", 0, batch), 12)
            .await;
    }
    for (what, topic, timestamp) in [
        ("two hours ahead", "timed", now_ms() + DAY_MS / 12),
        ("half an hour ahead", "timed", now_ms() + DAY_MS / 48),
        ("at the end of time", "timed", i64::MAX),
        ("without a timestamp", "timed", -1),
        ("of 1969", "timed", -2),
        ("of yesterday", "recent", now_ms() - DAY_MS),
        (
            "without a timestamp where old ones are refused",
            "recent",
            -1,
        ),
        (
            "ahead where the broker stamps",
            "appended",
            now_ms() + DAY_MS,
        ),
        ("ahead and without a key", "compacted", now_ms() + DAY_MS),
    ] {
        let batch = keyed(&[(None, "x")], Compression::NONE, timestamp);
        asker
            .ask(&format!("produce {what}"), produce(topic, 0, batch), 12)
            .await;
    }
}

async fn idempotence(asker: &mut Asker) {
    create(asker, "sequenced", 1, &[]).await;
    let of = |base| batch_at(&["a", "b"], 1_000, idempotent(7, base));
    for (what, base) in [
        ("the first", 0),
        ("the next", 2),
        ("the first again", 0),
        ("a gap", 9),
        ("an overlap", 3),
        ("the one after", 4),
    ] {
        let request = produce("sequenced", 0, of(base));
        asker
            .ask(&format!("produce in sequence: {what}"), request, 12)
            .await;
    }
    let late = batch_at(&["a"], 1_000, idempotent(8, 5));
    asker
        .ask(
            "produce in sequence: a new producer in the middle",
            produce("sequenced", 0, late),
            12,
        )
        .await;
    let epoch = |producer_epoch, base_sequence| {
        let stamp = Stamp {
            producer_epoch,
            ..idempotent(7, base_sequence)
        };
        produce("sequenced", 0, batch_at(&["a"], 1_000, stamp))
    };
    asker
        .ask(
            "produce in sequence: a new epoch in the middle",
            epoch(1, 6),
            12,
        )
        .await;
    asker
        .ask("produce in sequence: a new epoch", epoch(1, 0), 12)
        .await;
    asker
        .ask("produce in sequence: the old epoch", epoch(0, 6), 12)
        .await;
}

async fn fetched(asker: &mut Asker) {
    asker
        .ask("fetch from the beginning", fetch("lines", 0, 0), 12)
        .await;
    asker
        .ask("fetch from the middle of a batch", fetch("lines", 0, 4), 12)
        .await;
    asker
        .ask("fetch behind the end", fetch("lines", 0, 999), 12)
        .await;
    asker
        .ask("fetch before the beginning", fetch("lines", 0, -1), 12)
        .await;
    asker
        .ask("fetch of an unknown partition", fetch("lines", 9, 0), 12)
        .await;
    asker
        .ask("fetch of an unknown topic", fetch("unknown", 0, 0), 12)
        .await;
    let mut by_id = fetch("", 0, 0);
    by_id.topics[0].topic_id = Uuid([7; 16]);
    asker.ask("fetch of an unknown id", by_id, 16).await;
    let mut little = fetch("lines", 0, 0);
    little.max_bytes = 1;
    asker.ask("fetch one byte", little, 12).await;
    let mut session = fetch("lines", 0, 0);
    (session.session_id, session.session_epoch) = (12_345, 1);
    asker.ask("fetch in an unknown session", session, 12).await;
    for epoch in [0, 5] {
        let mut led = fetch("lines", 0, 0);
        led.topics[0].partitions[0].current_leader_epoch = epoch;
        asker
            .ask(&format!("fetch under leader epoch {epoch}"), led, 12)
            .await;
    }
    let mut diverged = fetch("lines", 0, 2);
    diverged.topics[0].partitions[0].last_fetched_epoch = 9;
    asker
        .ask("fetch behind an epoch that never was", diverged, 12)
        .await;
}

async fn offsets(asker: &mut Asker) {
    let at = |topic: &str, partition_index, timestamp, current_leader_epoch| ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index,
                current_leader_epoch,
                timestamp,
            }],
        }],
        ..Default::default()
    };
    for timestamp in [-1, -2, -3, -4, -5, -9, 0, 1_001, now_ms() + DAY_MS] {
        let question = if timestamp > DAY_MS {
            "tomorrow".to_owned()
        } else {
            timestamp.to_string()
        };
        asker
            .ask(
                &format!("offset at {question}"),
                at("lines", 0, timestamp, -1),
                10,
            )
            .await;
    }
    asker
        .ask("offset of an unknown partition", at("lines", 9, -1, -1), 10)
        .await;
    asker
        .ask("offset of an unknown topic", at("unknown", 0, -1, -1), 10)
        .await;
    asker
        .ask(
            "offset under the leader epoch there is",
            at("lines", 0, -1, 0),
            10,
        )
        .await;
    asker
        .ask(
            "offset under a later leader epoch",
            at("lines", 0, -1, 5),
            10,
        )
        .await;
    for (topic, epoch) in [
        ("lines", 0),
        ("lines", 5),
        ("lines", -1),
        ("neither", 0),
        ("unknown", 0),
    ] {
        let request = OffsetForLeaderEpochRequest {
            replica_id: -2,
            topics: vec![OffsetForLeaderTopic {
                topic: topic.into(),
                partitions: vec![OffsetForLeaderPartition {
                    partition: 0,
                    leader_epoch: epoch,
                    ..Default::default()
                }],
            }],
        };
        asker
            .ask(
                &format!("end of leader epoch {epoch} of {topic}"),
                request,
                4,
            )
            .await;
    }
}

async fn deleted(asker: &mut Asker) {
    for (topic, partition, offset) in [
        ("lines", 0, 2),
        ("lines", 0, 1),
        ("lines", 0, -2),
        ("lines", 0, 999),
        ("lines", 9, 0),
        ("unknown", 0, 0),
        ("compacted", 0, 1),
        ("both", 0, 1),
        ("neither", 0, 1),
        ("__consumer_offsets", 0, 0),
        ("lines", 0, -1),
    ] {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: topic.into(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: partition,
                    offset,
                }],
            }],
            timeout_ms: 10_000,
        };
        let question = format!("delete records of {topic} {partition} before {offset}");
        asker.ask(&question, request, 2).await;
    }
    asker
        .ask("fetch what was deleted", fetch("lines", 0, 0), 12)
        .await;
}
