//! Produce (0): batches into logs.
//!
//! Behaviour:
//! * One batch for each partition; its framing, CRC, size and record count are checked as a broker does. Records are
//!   looked at where the topic may refuse one: keys where it is compacted, timestamps far from the clock (KIP-467).
//! * The cluster's own topics take nothing from clients.
//! * Idempotence by Kafka's rules: one of a producer's last five batches sent again is answered as the first time; a
//!   gap is OUT_OF_ORDER_SEQUENCE_NUMBER, an older epoch INVALID_PRODUCER_EPOCH.
//! * acks=-1 needs `min.insync.replicas` brokers up, or all replicas where that is more (KIP-966); everything is "replicated" at once.
//! * acks=0 gets no response, and a closed connection where something failed.
//!
//! Version notes:
//! * v3..: magic 2 only; v7: zstd
//! * v11: TRANSACTION_ABORTABLE where a partition is not in the transaction; before, INVALID_TXN_STATE
//! * v10: the current leader in the answer to a client that asked the wrong broker (KIP-951)
//! * v12: a transactional write adds its partition by itself (KIP-890, TV2); before, it must have been added
//! * v13: topic ids
use crate::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData,
    PartitionProduceResponse, TopicProduceResponse,
};
use crate::messages::{ErrorCode, ProduceRequest, ProduceResponse};
use crate::wire::Text;

use super::super::log::{Header, Refusal};
use super::super::producers::SequenceError;
use super::super::state::State;
use super::super::topics::is_internal;
use super::super::transactions::Identity;
use super::Context;

const ZSTD: i16 = 4;
/// The client that may write to the cluster's own topics.
const ADMIN_CLIENT: &str = "__admin_client";

pub(super) fn handle(context: &Context<'_>, request: ProduceRequest) -> ProduceResponse {
    let mut response = ProduceResponse {
        throttle_time_ms: context.throttle_ms(),
        ..ProduceResponse::default()
    };
    let transactional_id = request.transactional_id.as_ref().map(Text::as_str);
    let mut appended = false;
    let mut state = context.state();
    for topic in request.topic_data {
        let name = if context.version >= 13 {
            state.topics.name_of(&topic.topic_id).map(str::to_owned)
        } else {
            Some(topic.name.as_str().to_owned())
        };
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            let write = Write {
                name: name.as_deref(),
                partition,
                acks: request.acks,
                transactional_id,
            };
            let answer = write.run(context, &mut state);
            appended |= answer.error_code.is_ok();
            if answer.current_leader.leader_id >= 0 {
                add_endpoint(&state, answer.current_leader.leader_id, &mut response);
            }
            partition_responses.push(answer);
        }
        response.responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    drop(state);
    if appended {
        context.shared.notify_changed();
        if transactional_id.is_some() {
            context.shared.rescheduled.notify_one();
        }
    }
    response
}

/// Did any partition fail?
pub(super) fn failed(response: &ProduceResponse) -> bool {
    response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .any(|partition| !partition.error_code.is_ok())
}

/// One partition's part of the request.
struct Write<'a> {
    name: Option<&'a str>,
    partition: PartitionProduceData,
    acks: i16,
    transactional_id: Option<&'a str>,
}

impl Write<'_> {
    fn run(self, context: &Context<'_>, state: &mut State) -> PartitionProduceResponse {
        let index = self.partition.index;
        let injected = self.name.and_then(|name| context.injected_for(name, index));
        let mut answer = PartitionProduceResponse {
            index,
            base_offset: -1,
            ..PartitionProduceResponse::default()
        };
        if let Some(injected) = injected {
            if injected.applied {
                let _ = self.append(context, state, &mut answer);
                answer.base_offset = -1;
            }
            answer.error_code = injected.error;
            return answer;
        }
        if let Err((error, message)) = self.append(context, state, &mut answer) {
            answer.error_code = error;
            answer.base_offset = -1;
            answer.error_message = message.map(Text::from);
        }
        answer
    }

    fn append(
        &self,
        context: &Context<'_>,
        state: &mut State,
        answer: &mut PartitionProduceResponse,
    ) -> Result<(), (ErrorCode, Option<String>)> {
        if !matches!(self.acks, -1..=1) {
            return Err((ErrorCode::INVALID_REQUIRED_ACKS, None));
        }
        let name = self.name.ok_or((ErrorCode::UNKNOWN_TOPIC_ID, None))?;
        let index = self.partition.index;
        if is_internal(name) && context.client_id != ADMIN_CLIENT {
            return Err((ErrorCode::INVALID_TOPIC_EXCEPTION, None));
        }
        let replicas = {
            let partition = state
                .topics
                .partition(name, index)
                .map_err(|error| (error, None))?;
            if let Err(error) = partition.check_leader(context.broker, -1) {
                if context.version >= 10 {
                    answer.current_leader = LeaderIdAndEpoch {
                        leader_id: partition.leader,
                        leader_epoch: partition.leader_epoch,
                    };
                }
                return Err((error, None));
            }
            partition.replicas.clone()
        };
        let in_sync = replicas
            .iter()
            .filter(|id| state.broker(**id).is_some_and(|broker| broker.up))
            .count() as i64;
        let records = match &self.partition.records {
            Some(records) if !records.is_empty() => &records.head,
            _ => {
                let text = String::from("there are no records");
                return Err((ErrorCode::INVALID_RECORD, Some(text)));
            }
        };
        let header = Header::read(records);
        if let Ok(header) = &header {
            if header.codec() == ZSTD && context.version < 7 {
                return Err((ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, None));
            }
            if header.is_transactional() {
                self.enter_transaction(context, state, name, header)
                    .map_err(|error| (error, None))?;
            }
        }
        let now_ms = context.shared.clock.unix_ms();
        let retention_bytes = state.settings.retention_bytes;
        let (Some(topic), Ok(at)) = (state.topics.get_mut(name), usize::try_from(index)) else {
            return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None));
        };
        let needed = topic.configs.number("min.insync.replicas").unwrap_or(1);
        if self.acks == -1 && in_sync < needed.min(replicas.len() as i64) {
            return Err((ErrorCode::NOT_ENOUGH_REPLICAS, None));
        }
        let terms = topic.terms(&topic.partitions[at], now_ms, retention_bytes);
        let log = &mut topic.partitions[at].log;
        let appended = log.append(records, terms).map_err(|refusal| {
            explain(answer, &refusal, log.start_offset());
            refused(refusal)
        })?;
        // As Kafka has it: what is there already was stamped in the end.
        let sent_again = header.ok().filter(|_| appended.duplicate);
        let stamped = sent_again.map(|header| header.max_timestamp);
        answer.base_offset = appended.base_offset;
        answer.log_append_time_ms = terms.log_append_time_ms.or(stamped).unwrap_or(-1);
        answer.log_start_offset = log.start_offset();
        Ok(())
    }

    fn enter_transaction(
        &self,
        context: &Context<'_>,
        state: &mut State,
        name: &str,
        header: &Header,
    ) -> Result<(), ErrorCode> {
        let Some(transactional_id) = self.transactional_id else {
            return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        };
        let identity = Identity {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
        };
        let partition = (name.to_owned(), self.partition.index);
        let entered = if context.version >= 12 && state.settings.transaction_version >= 2 {
            let now = context.shared.clock.now();
            state
                .transactions
                .add_partitions(now, transactional_id, identity, [partition])
        } else {
            state
                .transactions
                .verify_partition(transactional_id, identity, &partition)
        };
        // Producers know this one under an older name.
        entered.map_err(|error| match error {
            ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::INVALID_TXN_STATE if context.version >= 11 => {
                ErrorCode::TRANSACTION_ABORTABLE
            }
            error => error,
        })
    }
}

/// Which records were refused, and where the log begins if it was the log that refused them.
fn explain(answer: &mut PartitionProduceResponse, refusal: &Refusal, start_offset: i64) {
    if let Refusal::Records(records) = refusal {
        let errors = records.errors.iter();
        let errors = errors.map(|(index, text)| BatchIndexAndErrorMessage {
            batch_index: *index,
            batch_index_error_message: Some(Text::from(text)),
        });
        answer.record_errors = errors.collect();
    }
    if matches!(
        refusal,
        Refusal::Records(_) | Refusal::Sequence(_) | Refusal::Invalid(_)
    ) {
        answer.log_start_offset = start_offset;
    }
}

fn refused(refusal: Refusal) -> (ErrorCode, Option<String>) {
    match refusal {
        Refusal::Corrupt(text) => (ErrorCode::CORRUPT_MESSAGE, Some(text.to_owned())),
        Refusal::Invalid(text) => (ErrorCode::INVALID_RECORD, Some(text.to_owned())),
        Refusal::NotOne => {
            let text = "a produce request holds exactly one batch for a partition";
            (ErrorCode::INVALID_RECORD, Some(text.to_owned()))
        }
        Refusal::UnsupportedMagic(magic) => {
            let error_code = match magic {
                0 | 1 => ErrorCode::INVALID_RECORD,
                _ => ErrorCode::CORRUPT_MESSAGE,
            };
            let text = format!("batches have magic 2 here, not {magic}");
            (error_code, Some(text))
        }
        Refusal::TooLarge => (ErrorCode::MESSAGE_TOO_LARGE, None),
        Refusal::Records(records) if records.timestamps => {
            let text = "One or more records have been rejected due to invalid timestamp";
            (ErrorCode::INVALID_TIMESTAMP, Some(text.to_owned()))
        }
        Refusal::Records(records) => {
            let count = records.errors.len();
            let text =
                format!("One or more records have been rejected due to {count} record errors");
            (ErrorCode::INVALID_RECORD, Some(text))
        }
        Refusal::Sequence(SequenceError::InvalidEpoch { known, got }) => (
            ErrorCode::INVALID_PRODUCER_EPOCH,
            Some(format!("epoch {got} is older than {known}")),
        ),
        Refusal::Sequence(SequenceError::OutOfOrder { last, got }) => (
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            Some(format!("sequence {got} does not follow {last}")),
        ),
    }
}

fn add_endpoint(state: &State, leader: i32, response: &mut ProduceResponse) {
    let known = response
        .node_endpoints
        .iter()
        .any(|node| node.node_id == leader);
    if let (false, Some(broker)) = (known, state.broker(leader)) {
        response.node_endpoints.push(NodeEndpoint {
            node_id: broker.id,
            host: Text::from(&broker.host),
            port: broker.port.into(),
            rack: None,
        });
    }
}
