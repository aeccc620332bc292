//! One file for each API: what a broker does with the request. Here: which handler serves which request, and what
//! all of them need.
use std::io;
use std::sync::MutexGuard;

use bytes::Bytes;

use crate::messages::header::encode_response;
use crate::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiKey,
    ApiVersionsRequest, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeProducersRequest, DescribeTransactionsRequest, ElectLeadersRequest, EndTxnRequest,
    ErrorCode, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListGroupsRequest, ListOffsetsRequest, ListTransactionsRequest, Message, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
    ProduceRequest, Request, RequestHeader, SyncGroupRequest, TxnOffsetCommitRequest, Versions,
};
use crate::schema::Api;
use crate::wire::{Chunks, Reader, Text};

use super::Received;
use super::faults::{Connection as Faulty, Injected, RequestFaults};
use super::server::Shared;
use super::state::{Settings, State};

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_producers;
mod describe_transactions;
mod elect_leaders;
mod end_txn;
mod fetch;
pub(crate) mod fetch_session;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod txn_offset_commit;

/// Who is connected to whom.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) broker: i32,
    pub(crate) connection: u64,
    pub(crate) host: String,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Chunks),
    /// acks=0: there is no response.
    Nothing,
    Close,
    /// So many bytes of the response, then the end of the connection.
    Cut(Chunks, usize),
    /// Behind the next response.
    Held(Chunks),
    /// No response at all.
    Bytes(Bytes),
    /// Neither an answer nor an end.
    Silence,
}

/// One request's surroundings.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) broker: i32,
    pub(crate) peer: &'a Peer,
    pub(crate) version: i16,
    pub(crate) client_id: &'a str,
    faults: RequestFaults,
}

impl Context<'_> {
    /// Never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    pub(crate) fn throttle_ms(&self) -> i32 {
        self.faults.throttle_ms()
    }

    /// The scripted error for a request without partitions.
    pub(crate) fn injected(&self) -> Option<Injected> {
        self.faults.error()
    }

    /// The scripted error for one partition.
    pub(crate) fn injected_for(&self, topic: &str, partition: i32) -> Option<Injected> {
        self.faults.partition_error(topic, partition)
    }

    pub(crate) fn corrupts(&self, topic: &str, partition: i32) -> bool {
        self.faults.corrupts(topic, partition)
    }

    /// Runs what a request without partitions asks for, unless a scripted error forbids or replaces its result.
    pub(crate) fn with_fault(&self, run: impl FnOnce() -> ErrorCode) -> ErrorCode {
        self.faulted(self.injected(), run)
    }

    /// The same for one partition.
    pub(crate) fn with_fault_for(
        &self,
        topic: &str,
        partition: i32,
        run: impl FnOnce() -> ErrorCode,
    ) -> ErrorCode {
        self.faulted(self.injected_for(topic, partition), run)
    }

    fn faulted(&self, injected: Option<Injected>, run: impl FnOnce() -> ErrorCode) -> ErrorCode {
        match injected {
            None => run(),
            Some(injected) => {
                if injected.applied {
                    run();
                }
                injected.error
            }
        }
    }

    /// The group coordinator has something to say, and its deadlines may have changed.
    pub(crate) fn settle(&self, state: MutexGuard<'_, State>) {
        self.shared.settle(state);
    }
}

pub(crate) fn error_of(result: Result<(), ErrorCode>) -> ErrorCode {
    match result {
        Ok(()) => ErrorCode::NONE,
        Err(error) => error,
    }
}

pub(crate) fn owned(text: Option<&Text>) -> Option<String> {
    text.map(|text| text.as_str().to_owned())
}

/// The versions of an API that this cluster speaks; an empty range if it does not have it.
pub(crate) fn versions(settings: &Settings, api: &Api) -> Versions {
    if !SERVED.contains(&api.key) {
        return Versions::NONE;
    }
    let stable = stable_versions(api);
    settings
        .versions
        .get(&api.key)
        .map_or(stable, |range| stable.intersect(*range))
}

fn stable_versions(api: &Api) -> Versions {
    let schema = api.request.schema;
    if schema.unstable.is_empty() {
        schema.versions
    } else {
        Versions::new(schema.versions.min, schema.unstable.min - 1)
    }
}

/// Reads a request. What stands behind its last field is not looked at, as in Kafka: librdkafka leaves bytes there.
fn decode<R: Request>(mut reader: Reader, header: &RequestHeader) -> io::Result<R> {
    let version = header.request_api_version;
    R::decode(&mut reader, version).map_err(|error| {
        tracing::warn!(api = %R::KEY, version, %error, "mock: a request could not be read");
        io::Error::other(error)
    })
}

/// Reads one request, has it served, and gives what goes back.
pub(crate) async fn answer(shared: &Shared, peer: &Peer, frame: Bytes) -> io::Result<Answer> {
    let Some(&[key_high, key_low, version_high, version_low]) = frame.first_chunk::<4>() else {
        return Err(io::Error::other("a request has at least four bytes"));
    };
    let key = ApiKey(i16::from_be_bytes([key_high, key_low]));
    let version = i16::from_be_bytes([version_high, version_low]);
    let api = crate::messages::APIS.iter().find(|api| api.key == key);
    let allowed = api.map_or(Versions::NONE, |api| {
        versions(&shared.state().settings, api)
    });
    if !allowed.contains(version) {
        if key == ApiKey::API_VERSIONS
            && let Some(correlation) = frame.get(4..8).and_then(|bytes| bytes.first_chunk::<4>())
        {
            let response = api_versions::unsupported(shared);
            let correlation_id = i32::from_be_bytes(*correlation);
            let chunks = encode_response::<ApiVersionsRequest>(&response, 0, correlation_id);
            return chunks.map(Answer::Response).map_err(io::Error::other);
        }
        tracing::warn!(api = %key, version, "mock: an API or version that this cluster does not have");
        return Err(io::Error::other(format!(
            "{key} version {version} is not served here"
        )));
    }
    let header_version = api.map_or(1, |api| api.request_header_version(version));
    let size_bytes = frame.len();
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader, header_version).map_err(io::Error::other)?;
    let client_id = header.client_id.as_ref().map_or("", Text::as_str);
    shared.note(Received {
        broker: peer.broker,
        connection: peer.connection,
        api: key,
        version,
        client_id: client_id.to_owned(),
        size_bytes,
    });
    let faults = shared.faults.begin(key, peer.broker);
    let first = faults.first().clone();
    if !first.delay.is_zero() {
        tokio::time::sleep(first.delay).await;
    }
    if first.drop_before {
        return Ok(Answer::Close);
    }
    if first.ignore {
        return Ok(Answer::Silence);
    }
    let context = Context {
        shared,
        broker: peer.broker,
        peer,
        version,
        client_id,
        faults,
    };
    let answer = dispatch(&context, key, &header, reader).await?;
    let last = context.faults.last();
    if !last.delay.is_zero() {
        tokio::time::sleep(last.delay).await;
    }
    Ok(match answer {
        _ if last.drop_after => Answer::Close,
        _ if last.swallow_answer => Answer::Silence,
        Answer::Response(chunks) => spoilt(chunks, last),
        other => other,
    })
}

/// The response, with what was to go wrong with it.
fn spoilt(chunks: Chunks, faults: Faulty) -> Answer {
    if let Some(bytes) = faults.cut {
        return Answer::Cut(chunks, bytes);
    }
    if let Some(bytes) = faults.instead {
        return Answer::Bytes(bytes);
    }
    if faults.reorder {
        return Answer::Held(chunks);
    }
    if faults.wrong_correlation {
        // Behind the size.
        let mut bytes = chunks.into_bytes().to_vec();
        if let Some(id) = bytes.get_mut(4..8) {
            id.iter_mut().for_each(|byte| *byte = !*byte);
        }
        return Answer::Bytes(bytes.into());
    }
    Answer::Response(chunks)
}

fn encoded<R: Request>(
    response: &R::Response,
    header: &RequestHeader,
    context: &Context<'_>,
) -> io::Result<Answer> {
    encode_response::<R>(response, context.version, header.correlation_id)
        .map(Answer::Response)
        .map_err(|error| {
            tracing::error!(api = %R::KEY, version = context.version, %error, "mock: a response could not be written");
            io::Error::other(error)
        })
}

/// Which handler serves which request: those that answer now, and those whose answer may have to wait.
macro_rules! handlers {
    (
        now { $($key:ident $request:ident => $module:ident;)* }
        later { $($late_key:ident $late_request:ident => $late_module:ident;)* }
    ) => {
        /// The APIs that this cluster has.
        const SERVED: &[ApiKey] = &[ApiKey::PRODUCE, $(ApiKey::$key,)* $(ApiKey::$late_key,)*];

        async fn dispatch(
            context: &Context<'_>,
            key: ApiKey,
            header: &RequestHeader,
            reader: Reader,
        ) -> io::Result<Answer> {
            match key {
                ApiKey::PRODUCE => produced(context, header, reader),
                $(ApiKey::$key => {
                    let request = decode::<$request>(reader, header)?;
                    encoded::<$request>(&$module::handle(context, request), header, context)
                })*
                $(ApiKey::$late_key => {
                    let request = decode::<$late_request>(reader, header)?;
                    let response = $late_module::handle(context, request).await;
                    encoded::<$late_request>(&response, header, context)
                })*
                key => Err(io::Error::other(format!("{key} is not served here"))),
            }
        }
    };
}

handlers! {
    now {
    LIST_OFFSETS ListOffsetsRequest => list_offsets;
    METADATA MetadataRequest => metadata;
    OFFSET_COMMIT OffsetCommitRequest => offset_commit;
    OFFSET_FETCH OffsetFetchRequest => offset_fetch;
    FIND_COORDINATOR FindCoordinatorRequest => find_coordinator;
    HEARTBEAT HeartbeatRequest => heartbeat;
    LEAVE_GROUP LeaveGroupRequest => leave_group;
    CONSUMER_GROUP_HEARTBEAT ConsumerGroupHeartbeatRequest => consumer_group_heartbeat;
    CONSUMER_GROUP_DESCRIBE ConsumerGroupDescribeRequest => consumer_group_describe;
    DESCRIBE_GROUPS DescribeGroupsRequest => describe_groups;
    LIST_GROUPS ListGroupsRequest => list_groups;
    API_VERSIONS ApiVersionsRequest => api_versions;
    CREATE_TOPICS CreateTopicsRequest => create_topics;
    DELETE_TOPICS DeleteTopicsRequest => delete_topics;
    DELETE_RECORDS DeleteRecordsRequest => delete_records;
    INIT_PRODUCER_ID InitProducerIdRequest => init_producer_id;
    OFFSET_FOR_LEADER_EPOCH OffsetForLeaderEpochRequest => offset_for_leader_epoch;
    ADD_PARTITIONS_TO_TXN AddPartitionsToTxnRequest => add_partitions_to_txn;
    ADD_OFFSETS_TO_TXN AddOffsetsToTxnRequest => add_offsets_to_txn;
    END_TXN EndTxnRequest => end_txn;
    TXN_OFFSET_COMMIT TxnOffsetCommitRequest => txn_offset_commit;
    DESCRIBE_CONFIGS DescribeConfigsRequest => describe_configs;
    CREATE_PARTITIONS CreatePartitionsRequest => create_partitions;
    DESCRIBE_PRODUCERS DescribeProducersRequest => describe_producers;
    DESCRIBE_TRANSACTIONS DescribeTransactionsRequest => describe_transactions;
    LIST_TRANSACTIONS ListTransactionsRequest => list_transactions;
    ALTER_CONFIGS AlterConfigsRequest => alter_configs;
    OFFSET_DELETE OffsetDeleteRequest => offset_delete;
    ELECT_LEADERS ElectLeadersRequest => elect_leaders;
    DELETE_GROUPS DeleteGroupsRequest => delete_groups;
    INCREMENTAL_ALTER_CONFIGS IncrementalAlterConfigsRequest => incremental_alter_configs;
    DESCRIBE_CLUSTER DescribeClusterRequest => describe_cluster;
    }
    later {
    FETCH FetchRequest => fetch;
    JOIN_GROUP JoinGroupRequest => join_group;
    SYNC_GROUP SyncGroupRequest => sync_group;
    }
}

fn produced(context: &Context<'_>, header: &RequestHeader, reader: Reader) -> io::Result<Answer> {
    let request = decode::<ProduceRequest>(reader, header)?;
    let acks = request.acks;
    let response = produce::handle(context, request);
    if acks != 0 {
        return encoded::<ProduceRequest>(&response, header, context);
    }
    // The only way to tell of a failure is to hang up.
    Ok(if produce::failed(&response) {
        Answer::Close
    } else {
        Answer::Nothing
    })
}
