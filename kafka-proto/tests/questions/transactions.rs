//! Questions about transactions of both versions, and what an administrator sees of them.

use kafka_proto::messages::add_partitions_to_txn::AddPartitionsToTxnTopic;
use kafka_proto::messages::describe_producers::TopicRequest;
use kafka_proto::messages::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_proto::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest,
    ListTransactionsRequest, TxnOffsetCommitRequest,
};
use kafka_proto::records::Stamp;

use super::Asker;
use super::groups::committed;
use super::raw::{batch_at, fetch, produce};
use super::topics::create;

const ID: &str = "transfer";

/// Producer id and epoch.
type Producer = (i64, i16);

pub(crate) async fn ask(asker: &mut Asker) {
    create(asker, "moved", 1, &[]).await;
    let producer = begun(asker).await;
    too_early(asker, producer).await;
    added(asker, producer).await;
    seen(asker, "while it is open").await;
    ended(asker, producer).await;
    seen(asker, "when it is over").await;
    second_version(asker).await;
    coordinators(asker).await;
}

fn init(id: Option<&str>, timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: id.map(Into::into),
        transaction_timeout_ms: timeout_ms,
        ..Default::default()
    }
}

async fn begun(asker: &mut Asker) -> Producer {
    asker
        .ask("init without a transactional id", init(None, 60_000), 5)
        .await;
    asker
        .ask(
            "init with an empty transactional id",
            init(Some(""), 60_000),
            5,
        )
        .await;
    asker
        .ask("init with a timeout of zero", init(Some(ID), 0), 5)
        .await;
    asker
        .ask(
            "init with a timeout that is too long",
            init(Some(ID), i32::MAX),
            5,
        )
        .await;
    let first = asker.ask("init", init(Some(ID), 60_000), 5).await;
    let mut recover = init(Some(ID), 60_000);
    (recover.producer_id, recover.producer_epoch) = (first.producer_id, 9);
    asker.ask("init as somebody else", recover, 5).await;
    let again = asker.ask("init again", init(Some(ID), 60_000), 5).await;
    (again.producer_id, again.producer_epoch)
}

fn add(id: &str, (producer_id, epoch): Producer, topic: &str) -> AddPartitionsToTxnRequest {
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.into(),
        v3_and_below_producer_id: producer_id,
        v3_and_below_producer_epoch: epoch,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic {
            name: topic.into(),
            partitions: vec![0],
        }],
        ..Default::default()
    }
}

fn end(id: &str, (producer_id, producer_epoch): Producer, committed: bool) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: id.into(),
        producer_id,
        producer_epoch,
        committed,
    }
}

fn write(
    id: Option<&str>,
    (producer_id, producer_epoch): Producer,
    base_sequence: i32,
) -> kafka_proto::messages::ProduceRequest {
    let stamp = Stamp {
        producer_id,
        producer_epoch,
        base_sequence,
        transactional: true,
    };
    let mut request = produce("moved", 0, batch_at(&["a"], 1_000, stamp));
    request.transactional_id = id.map(Into::into);
    request
}

fn offsets(producer: Producer, group: &str) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        transactional_id: ID.into(),
        group_id: group.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: "moved".into(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                committed_offset: 3,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn too_early(asker: &mut Asker, producer: Producer) {
    let (producer_id, epoch) = producer;
    asker
        .ask(
            "write before the partition is added",
            write(Some(ID), producer, 0),
            11,
        )
        .await;
    asker
        .ask(
            "write without a transactional id",
            write(None, producer, 0),
            11,
        )
        .await;
    asker
        .ask("end what has not begun", end(ID, producer, true), 4)
        .await;
    asker
        .ask(
            "add a partition of an unknown topic",
            add(ID, producer, "unknown"),
            3,
        )
        .await;
    asker
        .ask(
            "add a partition to an unknown id",
            add("nobody", producer, "moved"),
            3,
        )
        .await;
    asker
        .ask(
            "add a partition in an old epoch",
            add(ID, (producer_id, epoch - 1), "moved"),
            3,
        )
        .await;
    asker
        .ask(
            "add a partition in a later epoch",
            add(ID, (producer_id, epoch + 1), "moved"),
            3,
        )
        .await;
    asker
        .ask(
            "add a partition as another producer",
            add(ID, (producer_id + 9, epoch), "moved"),
            3,
        )
        .await;
}

async fn added(asker: &mut Asker, producer: Producer) {
    let (producer_id, epoch) = producer;
    let group = |producer: Producer| AddOffsetsToTxnRequest {
        transactional_id: ID.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        group_id: "mover".into(),
    };
    asker
        .ask("add a partition", add(ID, producer, "moved"), 3)
        .await;
    asker
        .ask("add a partition again", add(ID, producer, "moved"), 3)
        .await;
    asker.ask("write", write(Some(ID), producer, 0), 11).await;
    asker
        .ask(
            "write in a later epoch",
            write(Some(ID), (producer_id, epoch + 1), 0),
            11,
        )
        .await;
    asker
        .ask(
            "add a group in a later epoch",
            group((producer_id, epoch + 1)),
            3,
        )
        .await;
    asker.ask("add a group", group(producer), 3).await;
    asker
        .ask(
            "commit offsets in the transaction",
            offsets(producer, "mover"),
            3,
        )
        .await;
    asker
        .ask(
            "offsets of an open transaction",
            committed("mover", Some("moved")),
            9,
        )
        .await;
    let mut stable = committed("mover", Some("moved"));
    stable.require_stable = true;
    asker
        .ask("stable offsets of an open transaction", stable, 9)
        .await;
    let mut reader = fetch("moved", 0, 0);
    reader.isolation_level = 1;
    asker
        .ask("fetch committed data of an open transaction", reader, 12)
        .await;
}

async fn seen(asker: &mut Asker, when: &str) {
    for id in [ID, "nobody", ""] {
        let request = DescribeTransactionsRequest {
            transactional_ids: vec![id.into()],
        };
        asker
            .ask(
                &format!("describe the transaction {id:?} {when}"),
                request,
                0,
            )
            .await;
    }
    for (topic, partition) in [("moved", 0), ("moved", 9), ("unknown", 0)] {
        let request = DescribeProducersRequest {
            topics: vec![TopicRequest {
                name: topic.into(),
                partition_indexes: vec![partition],
            }],
        };
        asker
            .ask(
                &format!("producers of {topic} {partition} {when}"),
                request,
                0,
            )
            .await;
    }
    let all = ListTransactionsRequest::default;
    let with = |change: &dyn Fn(&mut ListTransactionsRequest)| {
        let mut request = all();
        change(&mut request);
        request
    };
    for (what, request) in [
        ("all", all()),
        (
            "ongoing",
            with(&|of| of.state_filters = vec!["Ongoing".into()]),
        ),
        (
            "of an unknown state",
            with(&|of| of.state_filters = vec!["Nonsense".into()]),
        ),
        (
            "of an unknown producer",
            with(&|of| of.producer_id_filters = vec![999_999]),
        ),
        (
            "that run for an hour",
            with(&|of| of.duration_filter = 3_600_000),
        ),
        (
            "by a pattern",
            with(&|of| of.transactional_id_pattern = Some("trans.*".into())),
        ),
        (
            "by half a pattern",
            with(&|of| of.transactional_id_pattern = Some("trans".into())),
        ),
        (
            "by a pattern that is none",
            with(&|of| of.transactional_id_pattern = Some("[".into())),
        ),
    ] {
        asker
            .ask(&format!("list transactions {what} {when}"), request, 2)
            .await;
    }
}

async fn ended(asker: &mut Asker, producer: Producer) {
    let (producer_id, epoch) = producer;
    asker
        .ask(
            "end in a later epoch",
            end(ID, (producer_id, epoch + 1), true),
            4,
        )
        .await;
    asker
        .ask("end for an unknown id", end("nobody", producer, true), 4)
        .await;
    asker.ask("end", end(ID, producer, true), 4).await;
    asker.ask("end again", end(ID, producer, true), 4).await;
    asker
        .ask("abort what is committed", end(ID, producer, false), 4)
        .await;
    asker
        .ask(
            "offsets when it is over",
            committed("mover", Some("moved")),
            9,
        )
        .await;
}

async fn second_version(asker: &mut Asker) {
    let first = asker.settled(init(Some("second"), 60_000), 5).await;
    let mut producer = (first.producer_id, first.producer_epoch);
    asker
        .ask(
            "TV2: commit what has not begun",
            end("second", producer, true),
            5,
        )
        .await;
    asker
        .ask("TV2: write", write(Some("second"), producer, 0), 12)
        .await;
    let ended = asker
        .ask("TV2: abort", end("second", producer, false), 5)
        .await;
    asker
        .ask("TV2: abort again", end("second", producer, false), 5)
        .await;
    asker
        .ask(
            "TV2: commit what is aborted",
            end("second", producer, true),
            5,
        )
        .await;
    asker
        .ask(
            "TV2: write in the old epoch",
            write(Some("second"), producer, 1),
            12,
        )
        .await;
    producer = (ended.producer_id, ended.producer_epoch);
    let empty = asker
        .ask("TV2: abort nothing", end("second", producer, false), 5)
        .await;
    assert_eq!(empty.producer_epoch, producer.1 + 1);
}

async fn coordinators(asker: &mut Asker) {
    for (what, key, key_type) in [
        ("of a group", "g", 0),
        ("of a transaction", "t", 1),
        ("of an empty group", "", 0),
        ("of an empty transaction", "", 1),
        ("of nothing known", "x", 9),
    ] {
        let request = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec![key.into()],
            ..Default::default()
        };
        asker.ask(&format!("coordinator {what}"), request, 6).await;
    }
}
