//! ListOffsets (2): where a partition begins and ends, and what was written when.
//!
//! Behaviour:
//! * Latest is the last stable offset under read_committed, else the high watermark.
//! * By time: the first record with that timestamp or a later one; −1 and −1 if there is none.
//!
//! Version notes:
//! * v2: isolation levels; v4: leader epochs
//! * v7: largest timestamp (−3); v8: earliest local (−4), as earliest here; v9: latest tiered (−5), there is none;
//!   v11: earliest pending upload (−6), there is none
use bytes::Bytes;

use crate::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::messages::{ErrorCode, ListOffsetsRequest, ListOffsetsResponse};
use crate::records::{Batch, Decompressor};

use super::super::topics::Partition;
use super::Context;

/// A batch that inflates to more is not looked into.
const INFLATED_BYTES_MAX: usize = 64 << 20;

pub(super) fn handle(context: &Context<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed_only = request.isolation_level == 1;
    let mut state = context.state();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let mut answer = ListOffsetsPartitionResponse {
                partition_index: index,
                ..ListOffsetsPartitionResponse::default()
            };
            if let Some(injected) = context.injected_for(&topic.name, index) {
                answer.error_code = injected.error;
                return answer;
            }
            let found = state
                .topics
                .partition(&topic.name, index)
                .and_then(|partition| {
                    partition.check_leader(context.broker, asked.current_leader_epoch)?;
                    find(partition, asked, committed_only)
                });
            match found {
                Ok(Found {
                    offset,
                    timestamp,
                    leader_epoch,
                }) => {
                    answer.offset = offset;
                    answer.timestamp = timestamp;
                    answer.leader_epoch = if context.version >= 4 {
                        leader_epoch
                    } else {
                        -1
                    };
                }
                Err(error) => answer.error_code = error,
            }
            answer
        });
        ListOffsetsTopicResponse {
            partitions: partitions.collect(),
            name: topic.name.clone(),
        }
    });
    ListOffsetsResponse {
        throttle_time_ms: context.throttle_ms(),
        topics: topics.collect(),
    }
}

struct Found {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

impl Found {
    const NONE: Self = Self {
        offset: -1,
        timestamp: -1,
        leader_epoch: -1,
    };
}

fn find(
    partition: &mut Partition,
    asked: &ListOffsetsPartition,
    committed_only: bool,
) -> Result<Found, ErrorCode> {
    let leader_epoch = partition.leader_epoch;
    let log = &mut partition.log;
    let end = if committed_only {
        log.last_stable_offset()
    } else {
        log.high_watermark()
    };
    let at_time = |(offset, timestamp), leader_epoch| Found {
        offset,
        timestamp,
        leader_epoch,
    };
    match asked.timestamp {
        -1 => Ok(Found {
            offset: end,
            timestamp: -1,
            leader_epoch,
        }),
        -2 | -4 => {
            let offset = log.start_offset();
            Ok(Found {
                offset,
                timestamp: -1,
                leader_epoch: log.epoch_of(offset),
            })
        }
        -3 => {
            let newest = log.batch_with_max_timestamp();
            let found = newest.and_then(|batch| {
                let batch = Batch::new(batch).ok()?;
                first_record_from(&batch, batch.max_timestamp())
            });
            Ok(found.map_or(Found::NONE, |(offset, timestamp)| {
                at_time((offset, timestamp), log.epoch_of(offset))
            }))
        }
        -5 | -6 => Ok(Found::NONE),
        timestamp if timestamp >= 0 => {
            let found = log
                .batch_for_timestamp(timestamp)
                .and_then(|batch: Bytes| first_record_from(&Batch::new(batch).ok()?, timestamp))
                .filter(|&(offset, _)| offset < end);
            Ok(found.map_or(Found::NONE, |(offset, timestamp)| {
                at_time((offset, timestamp), log.epoch_of(offset))
            }))
        }
        _ => Err(ErrorCode::UNSUPPORTED_VERSION),
    }
}

/// Offset and timestamp of the batch's first record that is not older; of the batch itself where it cannot be read.
fn first_record_from(batch: &Batch, timestamp: i64) -> Option<(i64, i64)> {
    let mut decompressor = Decompressor::new(INFLATED_BYTES_MAX);
    let Ok(body) = batch.uncompressed(&mut decompressor) else {
        return Some((batch.base_offset(), batch.max_timestamp()));
    };
    batch
        .records(body)
        .filter_map(Result::ok)
        .find(|record| record.timestamp >= timestamp)
        .map(|record| (record.offset, record.timestamp))
}
