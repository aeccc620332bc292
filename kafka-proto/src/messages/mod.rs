//! Every message: one file for each API, request and response together, and the table of APIs.
#![allow(missing_docs, reason = "the fields are being documented")]

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod api_versions;
pub mod consumer_protocol;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod end_txn;
pub mod error_code;
pub mod fetch;
pub mod find_coordinator;
pub mod header;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;
pub mod txn_offset_commit;

pub use self::{
    add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
    add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse},
    api_versions::{ApiVersionsRequest, ApiVersionsResponse},
    consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription},
    create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse},
    create_topics::{CreateTopicsRequest, CreateTopicsResponse},
    delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse},
    delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse},
    describe_cluster::{DescribeClusterRequest, DescribeClusterResponse},
    describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse},
    describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse},
    end_txn::{EndTxnRequest, EndTxnResponse},
    error_code::ErrorCode,
    fetch::{FetchRequest, FetchResponse},
    find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse},
    header::{RequestHeader, ResponseHeader, encode_request, encode_response},
    heartbeat::{HeartbeatRequest, HeartbeatResponse},
    incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse},
    init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
    join_group::{JoinGroupRequest, JoinGroupResponse},
    leave_group::{LeaveGroupRequest, LeaveGroupResponse},
    list_groups::{ListGroupsRequest, ListGroupsResponse},
    list_offsets::{ListOffsetsRequest, ListOffsetsResponse},
    metadata::{MetadataRequest, MetadataResponse},
    offset_commit::{OffsetCommitRequest, OffsetCommitResponse},
    offset_fetch::{OffsetFetchRequest, OffsetFetchResponse},
    offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse},
    produce::{ProduceRequest, ProduceResponse},
    sync_group::{SyncGroupRequest, SyncGroupResponse},
    txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse},
};
use crate::schema::MessageType;
pub use crate::schema::{ApiKey, Message, Request, Versions};

/// The headers, as types that can be chosen at run time.
pub static HEADERS: &[MessageType] = &[
    MessageType::of::<RequestHeader>(),
    MessageType::of::<ResponseHeader>(),
];

/// What is embedded in messages or stored in logs, as types that can be chosen at run time.
pub static DATA: &[MessageType] = &[
    MessageType::of::<ConsumerProtocolSubscription>(),
    MessageType::of::<ConsumerProtocolAssignment>(),
];

api! {
    PRODUCE Produce = 0: ProduceRequest => ProduceResponse;
    FETCH Fetch = 1: FetchRequest => FetchResponse;
    LIST_OFFSETS ListOffsets = 2: ListOffsetsRequest => ListOffsetsResponse;
    METADATA Metadata = 3: MetadataRequest => MetadataResponse;
    OFFSET_COMMIT OffsetCommit = 8: OffsetCommitRequest => OffsetCommitResponse;
    OFFSET_FETCH OffsetFetch = 9: OffsetFetchRequest => OffsetFetchResponse;
    FIND_COORDINATOR FindCoordinator = 10: FindCoordinatorRequest => FindCoordinatorResponse;
    JOIN_GROUP JoinGroup = 11: JoinGroupRequest => JoinGroupResponse;
    HEARTBEAT Heartbeat = 12: HeartbeatRequest => HeartbeatResponse;
    LEAVE_GROUP LeaveGroup = 13: LeaveGroupRequest => LeaveGroupResponse;
    SYNC_GROUP SyncGroup = 14: SyncGroupRequest => SyncGroupResponse;
    DESCRIBE_GROUPS DescribeGroups = 15: DescribeGroupsRequest => DescribeGroupsResponse;
    LIST_GROUPS ListGroups = 16: ListGroupsRequest => ListGroupsResponse;
    API_VERSIONS ApiVersions = 18: ApiVersionsRequest => ApiVersionsResponse;
    CREATE_TOPICS CreateTopics = 19: CreateTopicsRequest => CreateTopicsResponse;
    DELETE_TOPICS DeleteTopics = 20: DeleteTopicsRequest => DeleteTopicsResponse;
    INIT_PRODUCER_ID InitProducerId = 22: InitProducerIdRequest => InitProducerIdResponse;
    OFFSET_FOR_LEADER_EPOCH OffsetForLeaderEpoch = 23: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
    ADD_PARTITIONS_TO_TXN AddPartitionsToTxn = 24: AddPartitionsToTxnRequest => AddPartitionsToTxnResponse;
    ADD_OFFSETS_TO_TXN AddOffsetsToTxn = 25: AddOffsetsToTxnRequest => AddOffsetsToTxnResponse;
    END_TXN EndTxn = 26: EndTxnRequest => EndTxnResponse;
    TXN_OFFSET_COMMIT TxnOffsetCommit = 28: TxnOffsetCommitRequest => TxnOffsetCommitResponse;
    DESCRIBE_CONFIGS DescribeConfigs = 32: DescribeConfigsRequest => DescribeConfigsResponse;
    CREATE_PARTITIONS CreatePartitions = 37: CreatePartitionsRequest => CreatePartitionsResponse;
    DELETE_GROUPS DeleteGroups = 42: DeleteGroupsRequest => DeleteGroupsResponse;
    INCREMENTAL_ALTER_CONFIGS IncrementalAlterConfigs = 44: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    DESCRIBE_CLUSTER DescribeCluster = 60: DescribeClusterRequest => DescribeClusterResponse;
}
