//! Every message: one file for each API, request and response together, and the table of APIs. What each field is for stands
//! beside it; versions are Kafka 4.4.0's.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod add_raft_voter;
pub mod allocate_producer_ids;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_share_group_offsets;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod assign_replicas_to_dirs;
pub mod begin_quorum_epoch;
pub mod broker_heartbeat;
pub mod broker_registration;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod consumer_protocol;
pub mod control_record;
pub mod controller_registration;
pub mod create_acls;
pub mod create_delegation_token;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_share_group_offsets;
pub mod delete_share_group_state;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_delegation_token;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_share_group_offsets;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod dialogue;
pub mod elect_leaders;
pub mod end_quorum_epoch;
pub mod end_txn;
pub mod envelope;
pub mod error_code;
pub mod expire_delegation_token;
pub mod fetch;
pub mod fetch_snapshot;
pub mod find_coordinator;
pub mod get_telemetry_subscriptions;
pub mod header;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod initialize_share_group_state;
pub mod join_group;
pub mod kraft_version;
pub mod leader_change;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod principal;
pub mod produce;
pub mod push_telemetry;
pub mod read_share_group_state;
pub mod read_share_group_state_summary;
pub mod remove_raft_voter;
pub mod renew_delegation_token;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod share_acknowledge;
pub mod share_fetch;
pub mod share_group_describe;
pub mod share_group_heartbeat;
pub mod snapshot;
pub mod streams_group_describe;
pub mod streams_group_heartbeat;
pub mod streams_group_topology_description_update;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod unregister_broker;
pub mod unregister_controller;
pub mod update_features;
pub mod update_raft_voter;
pub mod vote;
pub mod voters;
pub mod write_share_group_state;
pub mod write_txn_markers;

pub use self::{
    add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
    add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse},
    add_raft_voter::{AddRaftVoterRequest, AddRaftVoterResponse},
    allocate_producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse},
    alter_client_quotas::{AlterClientQuotasRequest, AlterClientQuotasResponse},
    alter_configs::{AlterConfigsRequest, AlterConfigsResponse},
    alter_partition::{AlterPartitionRequest, AlterPartitionResponse},
    alter_partition_reassignments::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    },
    alter_replica_log_dirs::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse},
    alter_share_group_offsets::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse},
    alter_user_scram_credentials::{
        AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    },
    api_versions::{ApiVersionsRequest, ApiVersionsResponse},
    assign_replicas_to_dirs::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse},
    begin_quorum_epoch::{BeginQuorumEpochRequest, BeginQuorumEpochResponse},
    broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse},
    broker_registration::{BrokerRegistrationRequest, BrokerRegistrationResponse},
    consumer_group_describe::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse},
    consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse},
    consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription},
    control_record::{ControlRecordTypeSchema, EndTxnMarker},
    controller_registration::{ControllerRegistrationRequest, ControllerRegistrationResponse},
    create_acls::{CreateAclsRequest, CreateAclsResponse},
    create_delegation_token::{CreateDelegationTokenRequest, CreateDelegationTokenResponse},
    create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse},
    create_topics::{CreateTopicsRequest, CreateTopicsResponse},
    delete_acls::{DeleteAclsRequest, DeleteAclsResponse},
    delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse},
    delete_records::{DeleteRecordsRequest, DeleteRecordsResponse},
    delete_share_group_offsets::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse},
    delete_share_group_state::{DeleteShareGroupStateRequest, DeleteShareGroupStateResponse},
    delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse},
    describe_acls::{DescribeAclsRequest, DescribeAclsResponse},
    describe_client_quotas::{DescribeClientQuotasRequest, DescribeClientQuotasResponse},
    describe_cluster::{DescribeClusterRequest, DescribeClusterResponse},
    describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse},
    describe_delegation_token::{DescribeDelegationTokenRequest, DescribeDelegationTokenResponse},
    describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse},
    describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse},
    describe_producers::{DescribeProducersRequest, DescribeProducersResponse},
    describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse},
    describe_share_group_offsets::{
        DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse,
    },
    describe_topic_partitions::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse},
    describe_transactions::{DescribeTransactionsRequest, DescribeTransactionsResponse},
    describe_user_scram_credentials::{
        DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    },
    elect_leaders::{ElectLeadersRequest, ElectLeadersResponse},
    end_quorum_epoch::{EndQuorumEpochRequest, EndQuorumEpochResponse},
    end_txn::{EndTxnRequest, EndTxnResponse},
    envelope::{EnvelopeRequest, EnvelopeResponse},
    error_code::ErrorCode,
    expire_delegation_token::{ExpireDelegationTokenRequest, ExpireDelegationTokenResponse},
    fetch::{FetchRequest, FetchResponse},
    fetch_snapshot::{FetchSnapshotRequest, FetchSnapshotResponse},
    find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse},
    get_telemetry_subscriptions::{
        GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
    },
    header::{RequestHeader, ResponseHeader, encode_request, encode_response},
    heartbeat::{HeartbeatRequest, HeartbeatResponse},
    incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse},
    init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
    initialize_share_group_state::{
        InitializeShareGroupStateRequest, InitializeShareGroupStateResponse,
    },
    join_group::{JoinGroupRequest, JoinGroupResponse},
    kraft_version::KRaftVersionRecord,
    leader_change::LeaderChangeMessage,
    leave_group::{LeaveGroupRequest, LeaveGroupResponse},
    list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse},
    list_groups::{ListGroupsRequest, ListGroupsResponse},
    list_offsets::{ListOffsetsRequest, ListOffsetsResponse},
    list_partition_reassignments::{
        ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    },
    list_transactions::{ListTransactionsRequest, ListTransactionsResponse},
    metadata::{MetadataRequest, MetadataResponse},
    offset_commit::{OffsetCommitRequest, OffsetCommitResponse},
    offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse},
    offset_fetch::{OffsetFetchRequest, OffsetFetchResponse},
    offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse},
    principal::DefaultPrincipalData,
    produce::{ProduceRequest, ProduceResponse},
    push_telemetry::{PushTelemetryRequest, PushTelemetryResponse},
    read_share_group_state::{ReadShareGroupStateRequest, ReadShareGroupStateResponse},
    read_share_group_state_summary::{
        ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse,
    },
    remove_raft_voter::{RemoveRaftVoterRequest, RemoveRaftVoterResponse},
    renew_delegation_token::{RenewDelegationTokenRequest, RenewDelegationTokenResponse},
    sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse},
    sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse},
    share_acknowledge::{ShareAcknowledgeRequest, ShareAcknowledgeResponse},
    share_fetch::{ShareFetchRequest, ShareFetchResponse},
    share_group_describe::{ShareGroupDescribeRequest, ShareGroupDescribeResponse},
    share_group_heartbeat::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse},
    snapshot::{SnapshotFooterRecord, SnapshotHeaderRecord},
    streams_group_describe::{StreamsGroupDescribeRequest, StreamsGroupDescribeResponse},
    streams_group_heartbeat::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse},
    streams_group_topology_description_update::{
        StreamsGroupTopologyDescriptionUpdateRequest, StreamsGroupTopologyDescriptionUpdateResponse,
    },
    sync_group::{SyncGroupRequest, SyncGroupResponse},
    txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse},
    unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse},
    unregister_controller::{UnregisterControllerRequest, UnregisterControllerResponse},
    update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse},
    update_raft_voter::{UpdateRaftVoterRequest, UpdateRaftVoterResponse},
    vote::{VoteRequest, VoteResponse},
    voters::VotersRecord,
    write_share_group_state::{WriteShareGroupStateRequest, WriteShareGroupStateResponse},
    write_txn_markers::{WriteTxnMarkersRequest, WriteTxnMarkersResponse},
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
    MessageType::of::<ConsumerProtocolAssignment>(),
    MessageType::of::<ConsumerProtocolSubscription>(),
    MessageType::of::<ControlRecordTypeSchema>(),
    MessageType::of::<EndTxnMarker>(),
    MessageType::of::<LeaderChangeMessage>(),
    MessageType::of::<SnapshotHeaderRecord>(),
    MessageType::of::<SnapshotFooterRecord>(),
    MessageType::of::<KRaftVersionRecord>(),
    MessageType::of::<VotersRecord>(),
    MessageType::of::<DefaultPrincipalData>(),
];

api! {
    /// Writes record batches to the ends of partitions.
    PRODUCE Produce = 0: ProduceRequest => ProduceResponse;
    /// Reads record batches from partitions, for consumers and for followers.
    FETCH Fetch = 1: FetchRequest => FetchResponse;
    /// Finds offsets by time, and the two ends of a partition.
    LIST_OFFSETS ListOffsets = 2: ListOffsetsRequest => ListOffsetsResponse;
    /// Which brokers and topics there are, and who leads what.
    METADATA Metadata = 3: MetadataRequest => MetadataResponse;
    /// Stores how far a group has come.
    OFFSET_COMMIT OffsetCommit = 8: OffsetCommitRequest => OffsetCommitResponse;
    /// Reads how far groups have come.
    OFFSET_FETCH OffsetFetch = 9: OffsetFetchRequest => OffsetFetchResponse;
    /// Which broker coordinates a group or a transactional id.
    FIND_COORDINATOR FindCoordinator = 10: FindCoordinatorRequest => FindCoordinatorResponse;
    /// Enters a group of the classic protocol, or begins its next generation.
    JOIN_GROUP JoinGroup = 11: JoinGroupRequest => JoinGroupResponse;
    /// Keeps a member in its group, and tells it of a rebalance.
    HEARTBEAT Heartbeat = 12: HeartbeatRequest => HeartbeatResponse;
    /// Takes members out of a group.
    LEAVE_GROUP LeaveGroup = 13: LeaveGroupRequest => LeaveGroupResponse;
    /// The leader hands in the assignment, and every member gets its part.
    SYNC_GROUP SyncGroup = 14: SyncGroupRequest => SyncGroupResponse;
    /// State and members of groups of the classic protocol.
    DESCRIBE_GROUPS DescribeGroups = 15: DescribeGroupsRequest => DescribeGroupsResponse;
    /// The groups that this broker coordinates.
    LIST_GROUPS ListGroups = 16: ListGroupsRequest => ListGroupsResponse;
    /// Chooses the SASL mechanism.
    SASL_HANDSHAKE SaslHandshake = 17: SaslHandshakeRequest => SaslHandshakeResponse;
    /// What the broker speaks. The first request on every connection.
    API_VERSIONS ApiVersions = 18: ApiVersionsRequest => ApiVersionsResponse;
    /// Creates topics.
    CREATE_TOPICS CreateTopics = 19: CreateTopicsRequest => CreateTopicsResponse;
    /// Deletes topics.
    DELETE_TOPICS DeleteTopics = 20: DeleteTopicsRequest => DeleteTopicsResponse;
    /// Moves the start of partitions forward (KIP-107).
    DELETE_RECORDS DeleteRecords = 21: DeleteRecordsRequest => DeleteRecordsResponse;
    /// Gives a producer its id and epoch (KIP-98).
    INIT_PRODUCER_ID InitProducerId = 22: InitProducerIdRequest => InitProducerIdResponse;
    /// Where an epoch ends, to find out whether the log was truncated (KIP-101, KIP-320).
    OFFSET_FOR_LEADER_EPOCH OffsetForLeaderEpoch = 23: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
    /// Announces partitions to a transaction, and lets brokers verify them (KIP-98, KIP-890).
    ADD_PARTITIONS_TO_TXN AddPartitionsToTxn = 24: AddPartitionsToTxnRequest => AddPartitionsToTxnResponse;
    /// Announces a group's offsets to a transaction (KIP-98).
    ADD_OFFSETS_TO_TXN AddOffsetsToTxn = 25: AddOffsetsToTxnRequest => AddOffsetsToTxnResponse;
    /// Commits or aborts a transaction (KIP-98).
    END_TXN EndTxn = 26: EndTxnRequest => EndTxnResponse;
    /// The coordinator has brokers mark the end of transactions in their logs (KIP-98).
    WRITE_TXN_MARKERS WriteTxnMarkers = 27: WriteTxnMarkersRequest => WriteTxnMarkersResponse;
    /// Stores a group's offsets as part of a transaction (KIP-98).
    TXN_OFFSET_COMMIT TxnOffsetCommit = 28: TxnOffsetCommitRequest => TxnOffsetCommitResponse;
    /// Lists access rules (KIP-140).
    DESCRIBE_ACLS DescribeAcls = 29: DescribeAclsRequest => DescribeAclsResponse;
    /// Creates access rules (KIP-140).
    CREATE_ACLS CreateAcls = 30: CreateAclsRequest => CreateAclsResponse;
    /// Deletes access rules (KIP-140).
    DELETE_ACLS DeleteAcls = 31: DeleteAclsRequest => DeleteAclsResponse;
    /// Reads the settings of topics, brokers and groups.
    DESCRIBE_CONFIGS DescribeConfigs = 32: DescribeConfigsRequest => DescribeConfigsResponse;
    /// Replaces all settings of resources; IncrementalAlterConfigs changes single ones.
    ALTER_CONFIGS AlterConfigs = 33: AlterConfigsRequest => AlterConfigsResponse;
    /// Moves replicas between the directories of a broker (KIP-113).
    ALTER_REPLICA_LOG_DIRS AlterReplicaLogDirs = 34: AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse;
    /// What lies in a broker's directories (KIP-113).
    DESCRIBE_LOG_DIRS DescribeLogDirs = 35: DescribeLogDirsRequest => DescribeLogDirsResponse;
    /// Carries the steps of a SASL mechanism (KIP-152).
    SASL_AUTHENTICATE SaslAuthenticate = 36: SaslAuthenticateRequest => SaslAuthenticateResponse;
    /// Adds partitions to topics (KIP-195).
    CREATE_PARTITIONS CreatePartitions = 37: CreatePartitionsRequest => CreatePartitionsResponse;
    /// Makes a token that stands for a login (KIP-48).
    CREATE_DELEGATION_TOKEN CreateDelegationToken = 38: CreateDelegationTokenRequest => CreateDelegationTokenResponse;
    /// Lets a token live longer (KIP-48).
    RENEW_DELEGATION_TOKEN RenewDelegationToken = 39: RenewDelegationTokenRequest => RenewDelegationTokenResponse;
    /// Lets a token end earlier (KIP-48).
    EXPIRE_DELEGATION_TOKEN ExpireDelegationToken = 40: ExpireDelegationTokenRequest => ExpireDelegationTokenResponse;
    /// Lists tokens (KIP-48).
    DESCRIBE_DELEGATION_TOKEN DescribeDelegationToken = 41: DescribeDelegationTokenRequest => DescribeDelegationTokenResponse;
    /// Deletes empty groups with their offsets (KIP-229).
    DELETE_GROUPS DeleteGroups = 42: DeleteGroupsRequest => DeleteGroupsResponse;
    /// Elects leaders (KIP-183, KIP-460).
    ELECT_LEADERS ElectLeaders = 43: ElectLeadersRequest => ElectLeadersResponse;
    /// Changes single settings of resources (KIP-339).
    INCREMENTAL_ALTER_CONFIGS IncrementalAlterConfigs = 44: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    /// Moves replicas to other brokers, or stops moving them (KIP-455).
    ALTER_PARTITION_REASSIGNMENTS AlterPartitionReassignments = 45: AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse;
    /// Which replicas are being moved (KIP-455).
    LIST_PARTITION_REASSIGNMENTS ListPartitionReassignments = 46: ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse;
    /// Deletes committed offsets of a group (KIP-496).
    OFFSET_DELETE OffsetDelete = 47: OffsetDeleteRequest => OffsetDeleteResponse;
    /// Reads quotas (KIP-546).
    DESCRIBE_CLIENT_QUOTAS DescribeClientQuotas = 48: DescribeClientQuotasRequest => DescribeClientQuotasResponse;
    /// Changes quotas (KIP-546).
    ALTER_CLIENT_QUOTAS AlterClientQuotas = 49: AlterClientQuotasRequest => AlterClientQuotasResponse;
    /// Which users can log in with SCRAM (KIP-554).
    DESCRIBE_USER_SCRAM_CREDENTIALS DescribeUserScramCredentials = 50: DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse;
    /// Sets and deletes SCRAM credentials (KIP-554).
    ALTER_USER_SCRAM_CREDENTIALS AlterUserScramCredentials = 51: AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse;
    /// A candidate of the KRaft quorum asks for a vote (KIP-595).
    VOTE Vote = 52: VoteRequest => VoteResponse;
    /// A new leader of the KRaft quorum makes itself known (KIP-595).
    BEGIN_QUORUM_EPOCH BeginQuorumEpoch = 53: BeginQuorumEpochRequest => BeginQuorumEpochResponse;
    /// A leader of the KRaft quorum steps down (KIP-595).
    END_QUORUM_EPOCH EndQuorumEpoch = 54: EndQuorumEpochRequest => EndQuorumEpochResponse;
    /// How the KRaft quorum stands (KIP-595).
    DESCRIBE_QUORUM DescribeQuorum = 55: DescribeQuorumRequest => DescribeQuorumResponse;
    /// A leader tells the controller which replicas are in sync (KIP-497).
    ALTER_PARTITION AlterPartition = 56: AlterPartitionRequest => AlterPartitionResponse;
    /// Raises and lowers feature levels of the cluster (KIP-584).
    UPDATE_FEATURES UpdateFeatures = 57: UpdateFeaturesRequest => UpdateFeaturesResponse;
    /// A broker forwards a client's request to the controller (KIP-590).
    ENVELOPE Envelope = 58: EnvelopeRequest => EnvelopeResponse;
    /// Reads a snapshot of the cluster's metadata (KIP-630).
    FETCH_SNAPSHOT FetchSnapshot = 59: FetchSnapshotRequest => FetchSnapshotResponse;
    /// The cluster and its brokers or controllers (KIP-700).
    DESCRIBE_CLUSTER DescribeCluster = 60: DescribeClusterRequest => DescribeClusterResponse;
    /// The producers whose state a partition leader keeps (KIP-664).
    DESCRIBE_PRODUCERS DescribeProducers = 61: DescribeProducersRequest => DescribeProducersResponse;
    /// A broker makes itself known to the controller (KIP-631).
    BROKER_REGISTRATION BrokerRegistration = 62: BrokerRegistrationRequest => BrokerRegistrationResponse;
    /// A broker's sign of life to the controller (KIP-631).
    BROKER_HEARTBEAT BrokerHeartbeat = 63: BrokerHeartbeatRequest => BrokerHeartbeatResponse;
    /// Removes a broker that is gone (KIP-631).
    UNREGISTER_BROKER UnregisterBroker = 64: UnregisterBrokerRequest => UnregisterBrokerResponse;
    /// The state of transactions (KIP-664).
    DESCRIBE_TRANSACTIONS DescribeTransactions = 65: DescribeTransactionsRequest => DescribeTransactionsResponse;
    /// The transactions that this broker coordinates (KIP-664).
    LIST_TRANSACTIONS ListTransactions = 66: ListTransactionsRequest => ListTransactionsResponse;
    /// The controller hands a broker a range of producer ids (KIP-730).
    ALLOCATE_PRODUCER_IDS AllocateProducerIds = 67: AllocateProducerIdsRequest => AllocateProducerIdsResponse;
    /// Everything a member of the newer group protocol says and hears (KIP-848).
    CONSUMER_GROUP_HEARTBEAT ConsumerGroupHeartbeat = 68: ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse;
    /// Groups of the newer protocol with their members (KIP-848).
    CONSUMER_GROUP_DESCRIBE ConsumerGroupDescribe = 69: ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse;
    /// A controller makes itself known to the active one (KIP-919).
    CONTROLLER_REGISTRATION ControllerRegistration = 70: ControllerRegistrationRequest => ControllerRegistrationResponse;
    /// Which metrics the broker wants from this client (KIP-714).
    GET_TELEMETRY_SUBSCRIPTIONS GetTelemetrySubscriptions = 71: GetTelemetrySubscriptionsRequest => GetTelemetrySubscriptionsResponse;
    /// Hands the broker the client's metrics (KIP-714).
    PUSH_TELEMETRY PushTelemetry = 72: PushTelemetryRequest => PushTelemetryResponse;
    /// A broker tells the controller which directory holds which replica (KIP-858).
    ASSIGN_REPLICAS_TO_DIRS AssignReplicasToDirs = 73: AssignReplicasToDirsRequest => AssignReplicasToDirsResponse;
    /// Which resources have settings (KIP-1142).
    LIST_CONFIG_RESOURCES ListConfigResources = 74: ListConfigResourcesRequest => ListConfigResourcesResponse;
    /// Partitions of topics page by page (KIP-966).
    DESCRIBE_TOPIC_PARTITIONS DescribeTopicPartitions = 75: DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
    /// Everything a member of a share group says and hears (KIP-932).
    SHARE_GROUP_HEARTBEAT ShareGroupHeartbeat = 76: ShareGroupHeartbeatRequest => ShareGroupHeartbeatResponse;
    /// Share groups with their members (KIP-932).
    SHARE_GROUP_DESCRIBE ShareGroupDescribe = 77: ShareGroupDescribeRequest => ShareGroupDescribeResponse;
    /// Acquires records of share partitions, and acknowledges earlier ones (KIP-932).
    SHARE_FETCH ShareFetch = 78: ShareFetchRequest => ShareFetchResponse;
    /// Says what became of acquired records (KIP-932).
    SHARE_ACKNOWLEDGE ShareAcknowledge = 79: ShareAcknowledgeRequest => ShareAcknowledgeResponse;
    /// Adds a voter to the KRaft quorum (KIP-853).
    ADD_RAFT_VOTER AddRaftVoter = 80: AddRaftVoterRequest => AddRaftVoterResponse;
    /// Removes a voter from the KRaft quorum (KIP-853).
    REMOVE_RAFT_VOTER RemoveRaftVoter = 81: RemoveRaftVoterRequest => RemoveRaftVoterResponse;
    /// A voter tells the leader where it listens and what it supports (KIP-853).
    UPDATE_RAFT_VOTER UpdateRaftVoter = 82: UpdateRaftVoterRequest => UpdateRaftVoterResponse;
    /// The group coordinator has share state set up (KIP-932).
    INITIALIZE_SHARE_GROUP_STATE InitializeShareGroupState = 83: InitializeShareGroupStateRequest => InitializeShareGroupStateResponse;
    /// A partition leader reads its share state (KIP-932).
    READ_SHARE_GROUP_STATE ReadShareGroupState = 84: ReadShareGroupStateRequest => ReadShareGroupStateResponse;
    /// A partition leader stores its share state (KIP-932).
    WRITE_SHARE_GROUP_STATE WriteShareGroupState = 85: WriteShareGroupStateRequest => WriteShareGroupStateResponse;
    /// The group coordinator has share state deleted (KIP-932).
    DELETE_SHARE_GROUP_STATE DeleteShareGroupState = 86: DeleteShareGroupStateRequest => DeleteShareGroupStateResponse;
    /// Reads the outline of share state (KIP-932).
    READ_SHARE_GROUP_STATE_SUMMARY ReadShareGroupStateSummary = 87: ReadShareGroupStateSummaryRequest => ReadShareGroupStateSummaryResponse;
    /// Everything a member of a streams group says and hears (KIP-1071).
    STREAMS_GROUP_HEARTBEAT StreamsGroupHeartbeat = 88: StreamsGroupHeartbeatRequest => StreamsGroupHeartbeatResponse;
    /// Streams groups with their members (KIP-1071).
    STREAMS_GROUP_DESCRIBE StreamsGroupDescribe = 89: StreamsGroupDescribeRequest => StreamsGroupDescribeResponse;
    /// Where share groups stand (KIP-932).
    DESCRIBE_SHARE_GROUP_OFFSETS DescribeShareGroupOffsets = 90: DescribeShareGroupOffsetsRequest => DescribeShareGroupOffsetsResponse;
    /// Moves share groups to other offsets (KIP-932).
    ALTER_SHARE_GROUP_OFFSETS AlterShareGroupOffsets = 91: AlterShareGroupOffsetsRequest => AlterShareGroupOffsetsResponse;
    /// Forgets where a share group stood (KIP-932).
    DELETE_SHARE_GROUP_OFFSETS DeleteShareGroupOffsets = 92: DeleteShareGroupOffsetsRequest => DeleteShareGroupOffsetsResponse;
    /// A member of a streams group describes the topology (KIP-1331).
    STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE StreamsGroupTopologyDescriptionUpdate = 93: StreamsGroupTopologyDescriptionUpdateRequest => StreamsGroupTopologyDescriptionUpdateResponse;
    /// Removes a controller that is gone.
    UNREGISTER_CONTROLLER UnregisterController = 94: UnregisterControllerRequest => UnregisterControllerResponse;
}
