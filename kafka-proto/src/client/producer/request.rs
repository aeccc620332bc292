//! Produce requests out of plans, and answers out of responses.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Loaded;
use super::delivery::Ticket;
use super::memory::Share;
use super::state::{Answer, Plan, Sender};
use crate::client::cluster::{BrokerId, Cluster, Metadata};
use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use crate::messages::{ErrorCode, ProduceRequest, ProduceResponse};
use crate::records::{
    Batch, BatchBuilder, Compression, Decompressor, HEADER_BYTES, Stamp, restamp,
};
use crate::wire::{Records, Text, Uuid};

/// What the producer's state carries for each batch.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) records: Records,
    /// When it was accepted, until it is sent for the first time.
    pub(super) waiting_since: Option<Instant>,
    /// What the bytes carry now.
    pub(super) stamp: Option<Stamp>,
    /// The share of `buffer.memory`; free again when this is dropped.
    pub(super) share: Option<Share>,
    /// Counts in its partition's load, if records are sent there one at a time.
    pub(super) loaded: Option<Loaded>,
}

impl Load {
    /// The bytes under this stamp; rewritten only if they carry another one.
    fn stamped(&mut self, stamp: Option<Stamp>) -> Records {
        if let Some(stamp) = stamp.filter(|stamp| self.stamp != Some(*stamp)) {
            let body = self.records.len().saturating_sub(HEADER_BYTES);
            let head = std::mem::take(&mut self.records.head);
            self.records.head = restamp(head, body, stamp);
            self.stamp = Some(stamp);
        }
        self.records.clone()
    }
}

/// A batch that was too large, as two: each with its records, their count and their size before compression. `None` if it holds only one
/// record, or cannot be read.
pub(super) fn halves(records: &Records) -> Option<[(Records, u32, usize); 2]> {
    let whole = if records.tail.is_empty() {
        records.head.clone()
    } else {
        [&records.head[..], &records.tail[..]].concat().into()
    };
    let batch = Batch::new(whole).ok()?;
    let first_count = batch.record_count() / 2;
    if first_count == 0 {
        return None;
    }
    let mut decompressor = Decompressor::new(UNCOMPRESSED_MAX);
    let body = batch.uncompressed(&mut decompressor).ok()?;
    let compression = Compression::new(batch.compression(), None).ok()?;
    let mut all = batch.records(body);
    let mut half = |count: u32| {
        let mut builder = BatchBuilder::new(compression, records.len() / 2);
        for _ in 0..count {
            builder.append_record(&all.next()?.ok()?).ok()?;
        }
        let uncompressed = builder.size_bytes();
        let bytes = builder.finish(Stamp::NONE).ok()?;
        Some((Records::from(bytes), count, uncompressed))
    };
    let first = half(first_count)?;
    let second = half(batch.record_count() - first_count)?;
    Some([first, second])
}

/// What a batch may inflate to when it is split.
const UNCOMPRESSED_MAX: usize = 64 << 20;

/// The highest version that names topics instead of giving their ids.
const LAST_WITH_NAMES: i16 = 12;

/// The topics that a request names, with the ids that it gives them. Its answer is read with these, whatever the metadata says by then.
#[derive(Debug)]
pub(super) struct Asked(Vec<(Arc<str>, Uuid)>);

impl Asked {
    /// The topic that an answer is about.
    fn topic(&self, answer: &TopicProduceResponse) -> Option<&Arc<str>> {
        let is_it = |(name, id): &&(Arc<str>, Uuid)| match answer.name.is_empty() {
            true => *id == answer.topic_id,
            false => answer.name == **name,
        };
        self.0.iter().find(is_it).map(|(name, _)| name)
    }
}

/// The request of a plan, what it asks for, and the highest version that it may have: topic ids are all or nothing (KIP-516).
pub(super) fn build(
    plan: &Plan,
    sender: &mut Sender<Load, (Ticket, u64)>,
    cluster: &Cluster,
    metadata: &Metadata,
    acks: i16,
) -> (ProduceRequest, Asked, i16) {
    let mut topics: Vec<(Arc<str>, TopicProduceData)> = Vec::new();
    let mut version_max = i16::MAX;
    let now = Instant::now();
    let timeout = cluster.config().request_timeout();
    for at in &plan.partitions {
        let Some((topic, index, load, stamp)) = sender.sending(*at) else {
            continue;
        };
        if let Some(accepted) = load.waiting_since.take() {
            let waited = now.saturating_duration_since(accepted);
            cluster.counters().batch_queue_us.record_time(waited);
        }
        if let Some(loaded) = &mut load.loaded {
            loaded.sent();
        }
        let data = PartitionProduceData {
            index,
            records: Some(load.stamped(stamp)),
        };
        if let Some((_, known)) = topics.iter_mut().find(|(name, _)| name == topic) {
            known.partition_data.push(data);
            continue;
        }
        let topic_id = metadata
            .topic(topic)
            .map_or_else(Uuid::default, |topic| topic.id);
        if topic_id == Uuid::default() {
            version_max = LAST_WITH_NAMES;
        }
        let entry = TopicProduceData {
            name: Text::from(&**topic),
            topic_id,
            partition_data: vec![data],
        };
        topics.push((Arc::clone(topic), entry));
    }
    let asked = topics.iter();
    let asked = asked.map(|(name, data)| (Arc::clone(name), data.topic_id));
    let asked = Asked(asked.collect());
    let request = ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_iter().map(|(_, topic)| topic).collect(),
    };
    (request, asked, version_max)
}

/// What a response says about one partition.
pub(super) fn answer(
    response: &Result<ProduceResponse>,
    asked: &Asked,
    topic: &str,
    partition: i32,
) -> Answer {
    let response = match response {
        Ok(response) => response,
        Err(error) => return Answer::Lost(error.clone()),
    };
    let Some(found) = find(response, asked, topic, partition) else {
        return Answer::Lost(Error::broker(
            format!("producing to {topic}-{partition}"),
            ErrorCode::UNKNOWN_SERVER_ERROR,
            Some("the answer does not mention the partition"),
        ));
    };
    if found.error_code.is_ok() {
        return Answer::Acknowledged {
            base_offset: (found.base_offset >= 0).then_some(found.base_offset),
            log_append_time: (found.log_append_time_ms >= 0).then_some(found.log_append_time_ms),
        };
    }
    let about_records = found.record_errors.first().and_then(|error| {
        let text = error.batch_index_error_message.as_deref()?;
        Some(format!("record {} of the batch: {text}", error.batch_index))
    });
    let message = match (found.error_message.as_deref(), about_records) {
        (Some(message), Some(record)) => Some(format!("{message} ({record})")),
        (message, record) => message.map(str::to_owned).or(record),
    };
    Answer::Refused {
        code: found.error_code,
        message: message.map(Arc::from),
        moved: false,
    }
}

fn find<'a>(
    response: &'a ProduceResponse,
    asked: &Asked,
    topic: &str,
    partition: i32,
) -> Option<&'a PartitionProduceResponse> {
    response
        .responses
        .iter()
        .filter(|answer| asked.topic(answer).is_some_and(|name| **name == *topic))
        .flat_map(|answer| &answer.partition_responses)
        .find(|answer| answer.index == partition)
}

/// Heeds what a response says besides: throttling (KIP-219) and newer leaders (KIP-951). Returns the partitions whose new leader is known.
pub(super) fn heed(
    response: &ProduceResponse,
    cluster: &Cluster,
    asked: &Asked,
    connection: Option<&Connection>,
) -> Vec<(Arc<str>, i32)> {
    if let Ok(time @ 1..) = u64::try_from(response.throttle_time_ms)
        && let Some(connection) = connection
    {
        connection.throttle(Duration::from_millis(time));
    }
    for node in &response.node_endpoints {
        cluster.learn_broker(node.node_id, &node.host, node.port, node.rack.as_deref());
    }
    let mut moved = Vec::new();
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            let leader = &partition.current_leader;
            if leader.leader_epoch < 0 || partition.error_code.is_ok() {
                continue;
            }
            let Some(name) = asked.topic(topic) else {
                continue;
            };
            let (id, epoch) = (BrokerId(leader.leader_id), leader.leader_epoch);
            if cluster.learn_leader(name, partition.index, id, epoch) {
                moved.push((Arc::clone(name), partition.index));
            }
        }
    }
    moved
}
