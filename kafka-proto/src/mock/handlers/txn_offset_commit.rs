//! TxnOffsetCommit (28): a group's positions that count once the transaction commits (KIP-98, KIP-447).
//!
//! Version notes:
//! * v3: the group's generation and member are checked
//! * v5: adds the group to the transaction by itself (KIP-890, TV2); before, it must have been added
//! * v6: topic ids (KIP-1319)
use crate::messages::txn_offset_commit::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use crate::messages::{ErrorCode, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use crate::wire::Text;

use super::super::groups::{Committed, MemberOf};
use super::super::state::State;
use super::super::transactions::Identity;
use super::offset_commit::METADATA_BYTES_MAX;
use super::{Context, owned};

pub(super) fn handle(
    context: &Context<'_>,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let mut state = context.state();
    let allowed = check(context, &mut state, &request);
    let group_id = request.group_id.as_str();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let name = if context.version >= 6 {
            state.topics.name_of(&topic.topic_id).map(str::to_owned)
        } else {
            Some(topic.name.as_str().to_owned())
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let index = asked.partition_index;
            let commit = || -> ErrorCode {
                let Some(name) = &name else {
                    return ErrorCode::UNKNOWN_TOPIC_ID;
                };
                if let Err(error) = state.topics.partition(name, index) {
                    return error;
                }
                if let Err(error) = allowed {
                    return error;
                }
                let metadata = asked.committed_metadata.as_ref().map_or("", Text::as_str);
                if metadata.len() > METADATA_BYTES_MAX {
                    return ErrorCode::OFFSET_METADATA_TOO_LARGE;
                }
                let committed = Committed {
                    offset: asked.committed_offset,
                    leader_epoch: asked.committed_leader_epoch,
                    metadata: metadata.to_owned(),
                };
                let of = (name.clone(), index);
                let producer_id = request.producer_id;
                state
                    .groups
                    .commit_in_transaction(group_id, producer_id, of, committed);
                ErrorCode::NONE
            };
            let error_code = match &name {
                Some(name) => context.with_fault_for(name, index, commit),
                None => ErrorCode::UNKNOWN_TOPIC_ID,
            };
            partitions.push(TxnOffsetCommitResponsePartition {
                partition_index: index,
                error_code,
            });
        }
        topics.push(TxnOffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions,
        });
    }
    context.settle(state);
    TxnOffsetCommitResponse {
        throttle_time_ms: context.throttle_ms(),
        topics,
    }
}

fn check(
    context: &Context<'_>,
    state: &mut State,
    request: &TxnOffsetCommitRequest,
) -> Result<(), ErrorCode> {
    let group_id = request.group_id.as_str();
    state.check_coordinator(context.broker, group_id)?;
    let identity = Identity {
        producer_id: request.producer_id,
        epoch: request.producer_epoch,
    };
    let now = context.shared.clock.now();
    let member = MemberOf {
        group_id: group_id.to_owned(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.as_str().to_owned(),
        instance_id: owned(request.group_instance_id.as_ref()),
    };
    state.groups.may_commit(now, &member, true)?;
    let id = request.transactional_id.as_str();
    let entered = if context.version >= 5 && state.settings.transaction_version >= 2 {
        state.transactions.add_group(now, id, identity, group_id)
    } else {
        state.transactions.verify_group(id, identity, group_id)
    };
    // Producers know this one under an older name.
    entered.map_err(|error| {
        if error == ErrorCode::PRODUCER_FENCED {
            ErrorCode::INVALID_PRODUCER_EPOCH
        } else {
            error
        }
    })
}
