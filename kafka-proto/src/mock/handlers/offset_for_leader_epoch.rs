//! OffsetForLeaderEpoch (23): where a leader epoch ended in this log (KIP-279, KIP-320).
//!
//! Behaviour:
//! * −1 and −1 for an epoch later than any in the log, and for −1.
use crate::messages::offset_for_leader_epoch::{EpochEndOffset, OffsetForLeaderTopicResult};
use crate::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut state = context.state();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let mut answer = EpochEndOffset {
                partition: asked.partition,
                ..EpochEndOffset::default()
            };
            if let Some(injected) = context.injected_for(&topic.topic, asked.partition) {
                answer.error_code = injected.error;
                return answer;
            }
            let found = state
                .topics
                .partition(&topic.topic, asked.partition)
                .and_then(|partition| {
                    partition.check_leader(context.broker, asked.current_leader_epoch)?;
                    if asked.leader_epoch < 0 {
                        return Ok(None);
                    }
                    // The current epoch has its end at the end of the log, also while nothing was written in it.
                    if asked.leader_epoch == partition.leader_epoch {
                        return Ok(Some((asked.leader_epoch, partition.log.end_offset())));
                    }
                    Ok(partition.log.end_of_epoch(asked.leader_epoch))
                });
            match found {
                Ok(Some((epoch, end_offset))) => {
                    answer.leader_epoch = epoch;
                    answer.end_offset = end_offset;
                }
                Ok(None) => {}
                Err(error) => answer.error_code = error,
            }
            answer
        });
        OffsetForLeaderTopicResult {
            partitions: partitions.collect(),
            topic: topic.topic.clone(),
        }
    });
    OffsetForLeaderEpochResponse {
        throttle_time_ms: context.throttle_ms(),
        topics: topics.collect(),
    }
}
