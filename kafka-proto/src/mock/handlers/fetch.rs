//! Fetch (1): batches out of logs.
//!
//! Behaviour:
//! * Waits until `min_bytes` are there, something fails, or `max_wait_ms` is over (by tokio's time).
//! * Whole batches only, as slices of the log; the first batch of a response always fits, whatever the limits say.
//! * read_committed ends at the last stable offset and brings the aborted transactions.
//! * A client with a rack is sent from the leader to a replica there, which serves it (KIP-392); replicas never lag.
//! * Sessions: see [`fetch_session`](super::fetch_session).
//!
//! Version notes:
//! * v4: isolation levels; v7: sessions; v9: the client's leader epoch is checked (KIP-320)
//! * v11: the client's rack
//! * v12: a diverging epoch instead of records where the log was truncated (KIP-595)
//! * v13: topic ids; v16: endpoints of new leaders (KIP-951)
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use crate::messages::{ErrorCode, FetchRequest, FetchResponse};
use crate::wire::{Records, Text};

use super::super::log::HEADER_BYTES;
use super::super::state::State;
use super::super::topics::Partition;
use super::Context;
use super::fetch_session::{Plan, Wanted};

pub(super) async fn handle(context: &Context<'_>, request: FetchRequest) -> FetchResponse {
    let refuse = |error_code| FetchResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code,
        ..FetchResponse::default()
    };
    let planned = context
        .state()
        .fetch_sessions
        .plan(context.broker, context.version, &request);
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => return refuse(error),
    };
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait;
    let bytes_min = u64::try_from(request.min_bytes).unwrap_or(0);
    let terms = Terms {
        committed_only: request.isolation_level == 1,
        rack: &request.rack_id,
    };
    let mut changes = context.shared.changes();
    loop {
        let ready = {
            let mut state = context.state();
            is_ready(context, &mut state, &plan, bytes_min, terms)
        };
        if ready {
            break;
        }
        match tokio::time::timeout_at(deadline, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0);
    respond(context, plan, bytes_max, terms)
}

/// What a request says of all its partitions.
#[derive(Clone, Copy)]
struct Terms<'a> {
    committed_only: bool,
    rack: &'a str,
}

fn bound(partition: &Partition, committed_only: bool) -> i64 {
    if committed_only {
        partition.log.last_stable_offset()
    } else {
        partition.log.high_watermark()
    }
}

fn topic_name(state: &State, version: i16, wanted: &Wanted) -> Option<String> {
    if version >= 13 {
        state.topics.name_of(&wanted.topic_id).map(str::to_owned)
    } else {
        Some(wanted.topic.as_str().to_owned())
    }
}

/// Is there enough to answer with? Errors are always enough.
fn is_ready(
    context: &Context<'_>,
    state: &mut State,
    plan: &Plan,
    bytes_min: u64,
    terms: Terms<'_>,
) -> bool {
    let mut bytes = 0;
    if bytes_min == 0 || (plan.wanted.is_empty() && !plan.incremental) {
        return true;
    }
    for wanted in &plan.wanted {
        if preferred(context, state, wanted, terms).is_some() {
            return true;
        }
        match check(context, state, wanted, terms) {
            Ok(partition) => {
                if diverges(partition, wanted).is_some() {
                    return true;
                }
                let up_to = bound(partition, terms.committed_only);
                bytes += partition
                    .log
                    .bytes_between(wanted.offset, up_to)
                    .min(wanted.bytes_max.max(1) as u64);
            }
            Err(_) => return true,
        }
        if bytes >= bytes_min {
            return true;
        }
    }
    false
}

/// The partition, if it may be read here at this offset.
fn check<'a>(
    context: &Context<'_>,
    state: &'a mut State,
    wanted: &Wanted,
    terms: Terms<'_>,
) -> Result<&'a mut Partition, ErrorCode> {
    let name = topic_name(state, context.version, wanted).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
    if let Some(injected) = context.injected_for(&name, wanted.partition) {
        return Err(injected.error);
    }
    let is_near = is_in(state, context.broker, terms.rack);
    let partition = state.topics.partition(&name, wanted.partition)?;
    let serves = partition.replicas.contains(&context.broker) && is_near;
    let asked = if serves {
        partition.leader
    } else {
        context.broker
    };
    partition.check_leader(asked, wanted.leader_epoch)?;
    // Nobody can have read what was written under a leader to come.
    if wanted.last_fetched_epoch > partition.leader_epoch {
        return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    let log = &partition.log;
    if wanted.offset < log.start_offset() || wanted.offset > log.end_offset() {
        // A client behind a truncation is told where its log parted from ours.
        if diverges(partition, wanted).is_none() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
    }
    Ok(partition)
}

fn is_in(state: &State, broker: i32, rack: &str) -> bool {
    let of = state
        .broker(broker)
        .and_then(|broker| broker.rack.as_deref());
    !rack.is_empty() && of == Some(rack)
}

/// The replica that the leader sends this client to (KIP-392), if there is a nearer one.
fn preferred(
    context: &Context<'_>,
    state: &mut State,
    wanted: &Wanted,
    terms: Terms<'_>,
) -> Option<i32> {
    if context.version < 11 || is_in(state, context.broker, terms.rack) {
        return None;
    }
    let partition = check(context, state, wanted, terms).ok()?;
    let replicas = partition.replicas.clone();
    let is_up = |id: &i32| state.broker(*id).is_some_and(|broker| broker.up);
    let mut near = replicas
        .into_iter()
        .filter(|id| is_up(id) && is_in(state, *id, terms.rack));
    near.next()
}

/// Where the client's log and this one part, if they do.
fn diverges(partition: &Partition, wanted: &Wanted) -> Option<EpochEndOffset> {
    if wanted.last_fetched_epoch < 0 {
        return None;
    }
    let (epoch, end_offset) = partition.log.end_of_epoch(wanted.last_fetched_epoch)?;
    (epoch < wanted.last_fetched_epoch || end_offset < wanted.offset)
        .then_some(EpochEndOffset { epoch, end_offset })
}

fn respond(context: &Context<'_>, plan: Plan, bytes_max: usize, terms: Terms<'_>) -> FetchResponse {
    let mut state = context.state();
    let mut left = bytes_max.min(state.settings.fetch_bytes_max);
    let mut empty = true;
    let mut answers = Vec::with_capacity(plan.wanted.len());
    for wanted in plan.wanted {
        let data = read(context, &mut state, &wanted, left, empty, terms);
        let bytes = data.records.as_ref().map_or(0, Records::len);
        left = left.saturating_sub(bytes);
        empty &= bytes == 0;
        answers.push((wanted, data));
    }
    let worth = state
        .fetch_sessions
        .told(context.broker, plan.session_id, &answers);
    let mut response = FetchResponse {
        throttle_time_ms: context.throttle_ms(),
        session_id: plan.session_id,
        ..FetchResponse::default()
    };
    for ((wanted, data), worth) in answers.into_iter().zip(worth) {
        if plan.incremental && !worth {
            continue;
        }
        if context.version >= 16 && data.current_leader.leader_id >= 0 {
            add_endpoint(&state, data.current_leader.leader_id, &mut response);
        }
        match response.responses.last_mut() {
            Some(topic) if topic.topic == wanted.topic && topic.topic_id == wanted.topic_id => {
                topic.partitions.push(data);
            }
            _ => response.responses.push(FetchableTopicResponse {
                topic: wanted.topic,
                topic_id: wanted.topic_id,
                partitions: vec![data],
            }),
        }
    }
    response
}

fn read(
    context: &Context<'_>,
    state: &mut State,
    wanted: &Wanted,
    bytes_left: usize,
    first: bool,
    terms: Terms<'_>,
) -> PartitionData {
    let mut data = PartitionData {
        partition_index: wanted.partition,
        high_watermark: -1,
        aborted_transactions: None,
        records: Some(Records::default()),
        ..PartitionData::default()
    };
    let corrupts = topic_name(state, context.version, wanted)
        .is_some_and(|name| context.corrupts(&name, wanted.partition));
    let preferred = preferred(context, state, wanted, terms);
    let partition = match check(context, state, wanted, terms) {
        Ok(partition) => partition,
        Err(error) => {
            let is_unknown = matches!(
                error,
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID
            );
            data.aborted_transactions = is_unknown.then(Vec::new);
            data.error_code = error;
            data.current_leader = leader(context, state, wanted, error);
            return data;
        }
    };
    let up_to = bound(partition, terms.committed_only);
    let log = &mut partition.log;
    data.high_watermark = log.high_watermark();
    data.last_stable_offset = log.last_stable_offset();
    data.log_start_offset = log.start_offset();
    if let Some(parted) = diverges(partition, wanted) {
        data.diverging_epoch = parted;
        return data;
    }
    if let Some(replica) = preferred {
        data.preferred_read_replica = replica;
        return data;
    }
    let bytes_max = wanted.bytes_max.min(bytes_left);
    let log = &mut partition.log;
    let slice = log.read(wanted.offset, up_to, bytes_max, first);
    if terms.committed_only {
        let aborted = log.aborted_between(wanted.offset, slice.end_offset);
        let aborted = aborted.iter().map(|aborted| AbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        });
        data.aborted_transactions = Some(aborted.collect());
    }
    let bytes = if corrupts {
        damaged(&slice.bytes)
    } else {
        slice.bytes
    };
    data.records = Some(Records::from(bytes));
    data
}

/// Who leads, for a client that asked the wrong broker or with an old epoch.
fn leader(
    context: &Context<'_>,
    state: &mut State,
    wanted: &Wanted,
    error: ErrorCode,
) -> LeaderIdAndEpoch {
    let asks_elsewhere = context.version >= 12
        && (error == ErrorCode::NOT_LEADER_OR_FOLLOWER || error == ErrorCode::FENCED_LEADER_EPOCH);
    let name = topic_name(state, context.version, wanted);
    match name.filter(|_| asks_elsewhere) {
        Some(name) => match state.topics.partition(&name, wanted.partition) {
            Ok(partition) if partition.leader >= 0 => LeaderIdAndEpoch {
                leader_id: partition.leader,
                leader_epoch: partition.leader_epoch,
            },
            _ => LeaderIdAndEpoch::default(),
        },
        None => LeaderIdAndEpoch::default(),
    }
}

/// A copy with one byte of the first batch's records flipped.
fn damaged(bytes: &Bytes) -> Bytes {
    let mut copy = BytesMut::from(&bytes[..]);
    if let Some(byte) = copy.get_mut(HEADER_BYTES + 1) {
        *byte ^= 0x55;
    }
    copy.freeze()
}

fn add_endpoint(state: &State, leader: i32, response: &mut FetchResponse) {
    let known = response
        .node_endpoints
        .iter()
        .any(|node| node.node_id == leader);
    if let (false, Some(broker)) = (known, state.broker(leader)) {
        response.node_endpoints.push(NodeEndpoint {
            node_id: broker.id,
            host: Text::from(&broker.host),
            port: broker.port.into(),
            rack: broker.rack.as_ref().map(Text::from),
        });
    }
}
