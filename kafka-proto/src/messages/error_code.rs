//! The error codes that responses carry.

use std::fmt;

use crate::{
    schema::{Kind, Typed},
    wire::{Cursor, Layout, Wire, Writer},
};

/// A broker's verdict. Any number may arrive: those of newer brokers have no name here.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

/// What Kafka's own client does about an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Nothing: it goes to the caller.
    Fail,
    /// Try again.
    Retry,
    /// Refresh the metadata and try again.
    Metadata,
    /// Find the coordinator and try again.
    Coordinator,
}

macro_rules! error_codes {
    ($($code:literal $name:ident $remedy:ident $message:literal;)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!("`", stringify!($code), "`: ", $message, ".")]
                pub const $name: Self = Self($code);
            )*

            /// Every code with a name, ascending.
            pub const ALL: &[Self] = &[$(Self($code)),*];

            /// Kafka's name of it, as `NOT_LEADER_OR_FOLLOWER`; `None` for a code that is not known here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// What it means, as a phrase.
            pub const fn message(self) -> &'static str {
                match self.0 {
                    $($code => $message,)*
                    _ => "the broker answered an error code that this version does not know",
                }
            }

            const fn remedy(self) -> Remedy {
                match self.0 {
                    $($code => Remedy::$remedy,)*
                    _ => Remedy::Fail,
                }
            }
        }
    };
}

error_codes! {
    -1 UNKNOWN_SERVER_ERROR Fail "the broker met an error it has no code for";
    0 NONE Fail "no error";
    1 OFFSET_OUT_OF_RANGE Fail "the offset is outside the range of the partition's log";
    2 CORRUPT_MESSAGE Retry "the records failed their checksum or are malformed";
    3 UNKNOWN_TOPIC_OR_PARTITION Metadata "this broker does not host the topic or partition, or there is none";
    4 INVALID_FETCH_SIZE Fail "the fetch size is not valid";
    5 LEADER_NOT_AVAILABLE Metadata "the partition has no leader for now";
    6 NOT_LEADER_OR_FOLLOWER Metadata "this broker is not, or no longer, the partition's leader or follower";
    7 REQUEST_TIMED_OUT Retry "the request took longer than its own timeout";
    8 BROKER_NOT_AVAILABLE Fail "the broker is not available";
    9 REPLICA_NOT_AVAILABLE Metadata "the replica is not available for now";
    10 MESSAGE_TOO_LARGE Fail "the record batch is larger than the broker or topic accepts (max.message.bytes)";
    11 STALE_CONTROLLER_EPOCH Fail "the controller was succeeded by another";
    12 OFFSET_METADATA_TOO_LARGE Fail "the metadata stored with an offset is too large";
    13 NETWORK_EXCEPTION Metadata "the connection was lost before the answer came";
    14 COORDINATOR_LOAD_IN_PROGRESS Retry "the coordinator is still loading its state";
    15 COORDINATOR_NOT_AVAILABLE Coordinator "there is no coordinator to be had for now";
    16 NOT_COORDINATOR Coordinator "this broker is not the coordinator of the group or transaction";
    17 INVALID_TOPIC_EXCEPTION Fail "the topic's name is not valid, or the topic is internal";
    18 RECORD_LIST_TOO_LARGE Fail "the record batch is larger than a log segment";
    19 NOT_ENOUGH_REPLICAS Retry "too few replicas are in sync to accept the records (min.insync.replicas)";
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND Retry "the records were written, but too few replicas are in sync";
    21 INVALID_REQUIRED_ACKS Fail "acks must be -1, 0 or 1";
    22 ILLEGAL_GENERATION Fail "the group has another generation by now";
    23 INCONSISTENT_GROUP_PROTOCOL Fail "the member shares no protocol or protocol type with the group";
    24 INVALID_GROUP_ID Fail "the group id is not valid";
    25 UNKNOWN_MEMBER_ID Fail "the group does not know this member";
    26 INVALID_SESSION_TIMEOUT Fail "the session timeout lies outside what the broker allows (group.min.session.timeout.ms to group.max.session.timeout.ms)";
    27 REBALANCE_IN_PROGRESS Fail "the group is rebalancing: join again";
    28 INVALID_COMMIT_OFFSET_SIZE Fail "the commit is too large for the offsets topic";
    29 TOPIC_AUTHORIZATION_FAILED Fail "access to the topic is denied";
    30 GROUP_AUTHORIZATION_FAILED Fail "access to the group is denied";
    31 CLUSTER_AUTHORIZATION_FAILED Fail "access to the cluster is denied";
    32 INVALID_TIMESTAMP Fail "a record's timestamp lies outside what the topic allows";
    33 UNSUPPORTED_SASL_MECHANISM Fail "the broker does not offer this SASL mechanism";
    34 ILLEGAL_SASL_STATE Fail "the request does not fit the state of authentication";
    35 UNSUPPORTED_VERSION Fail "the broker does not support this version of the API";
    36 TOPIC_ALREADY_EXISTS Fail "a topic of this name exists already";
    37 INVALID_PARTITIONS Fail "the number of partitions is not valid";
    38 INVALID_REPLICATION_FACTOR Fail "the replication factor is below 1 or above the number of brokers";
    39 INVALID_REPLICA_ASSIGNMENT Fail "the replica assignment is not valid";
    40 INVALID_CONFIG Fail "a configuration value is not valid";
    41 NOT_CONTROLLER Retry "this broker is not the controller";
    42 INVALID_REQUEST Fail "the request contradicts itself or the broker's state; the broker's log says how";
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT Fail "the topic's message format does not support this";
    44 POLICY_VIOLATION Fail "the cluster's policy forbids the request";
    45 OUT_OF_ORDER_SEQUENCE_NUMBER Fail "the batch's sequence number does not follow the last one";
    46 DUPLICATE_SEQUENCE_NUMBER Fail "the batch was written before";
    47 INVALID_PRODUCER_EPOCH Fail "a newer producer uses this producer id: this one is fenced";
    48 INVALID_TXN_STATE Fail "the transaction is in a state that does not allow this";
    49 INVALID_PRODUCER_ID_MAPPING Fail "the producer id does not belong to this transactional id";
    50 INVALID_TRANSACTION_TIMEOUT Fail "the transaction timeout exceeds the broker's limit (transaction.max.timeout.ms)";
    51 CONCURRENT_TRANSACTIONS Retry "another transaction of this producer is still being completed";
    52 TRANSACTION_COORDINATOR_FENCED Fail "the transaction coordinator was succeeded by another";
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED Fail "access to the transactional id is denied";
    54 SECURITY_DISABLED Fail "security features are switched off in this cluster";
    55 OPERATION_NOT_ATTEMPTED Fail "the operation was not attempted, because another part of the request failed";
    56 KAFKA_STORAGE_ERROR Metadata "the broker cannot reach the log's disk";
    57 LOG_DIR_NOT_FOUND Fail "the log directory is not in the broker's configuration";
    58 SASL_AUTHENTICATION_FAILED Fail "authentication failed";
    59 UNKNOWN_PRODUCER_ID Fail "the broker has no state for this producer id, for instance because its records were deleted";
    60 REASSIGNMENT_IN_PROGRESS Fail "the partition is being reassigned already";
    61 DELEGATION_TOKEN_AUTH_DISABLED Fail "delegation tokens are switched off in this cluster";
    62 DELEGATION_TOKEN_NOT_FOUND Fail "there is no such delegation token";
    63 DELEGATION_TOKEN_OWNER_MISMATCH Fail "the delegation token belongs to someone else";
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED Fail "delegation tokens cannot be requested over this kind of connection";
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED Fail "access to the delegation token is denied";
    66 DELEGATION_TOKEN_EXPIRED Fail "the delegation token has expired";
    67 INVALID_PRINCIPAL_TYPE Fail "the principal's type is not supported";
    68 NON_EMPTY_GROUP Fail "the group still has members";
    69 GROUP_ID_NOT_FOUND Fail "there is no such group";
    70 FETCH_SESSION_ID_NOT_FOUND Retry "the broker does not know the fetch session";
    71 INVALID_FETCH_SESSION_EPOCH Retry "the fetch session has another epoch";
    72 LISTENER_NOT_FOUND Metadata "the leader has no listener of the name this connection uses";
    73 TOPIC_DELETION_DISABLED Fail "deleting topics is switched off in this cluster (delete.topic.enable)";
    74 FENCED_LEADER_EPOCH Metadata "the leader epoch is older than the broker's";
    75 UNKNOWN_LEADER_EPOCH Retry "the leader epoch is newer than the broker's";
    76 UNSUPPORTED_COMPRESSION_TYPE Fail "the client does not support the records' compression";
    77 STALE_BROKER_EPOCH Fail "the broker epoch is out of date";
    78 OFFSET_NOT_AVAILABLE Retry "the leader's high watermark has not caught up after its election";
    79 MEMBER_ID_REQUIRED Fail "the group needs a member id before joining: join again with the one in this answer";
    80 PREFERRED_LEADER_NOT_AVAILABLE Metadata "the preferred leader is not available";
    81 GROUP_MAX_SIZE_REACHED Fail "the group has as many members as it may (group.max.size)";
    82 FENCED_INSTANCE_ID Fail "another member with the same group.instance.id took over: this one is fenced";
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE Metadata "no eligible leader is available";
    84 ELECTION_NOT_NEEDED Metadata "the partition needs no election";
    85 NO_REASSIGNMENT_IN_PROGRESS Fail "no reassignment is under way";
    86 GROUP_SUBSCRIBED_TO_TOPIC Fail "the group still consumes the topic";
    87 INVALID_RECORD Fail "a record is not valid, and with it the batch";
    88 UNSTABLE_OFFSET_COMMIT Retry "transactions on these offsets are still pending";
    89 THROTTLING_QUOTA_EXCEEDED Retry "the quota for such changes is used up for now";
    90 PRODUCER_FENCED Fail "a newer producer has the same transactional id: this one is fenced";
    91 RESOURCE_NOT_FOUND Fail "there is no such resource";
    92 DUPLICATE_RESOURCE Fail "the request names a resource twice";
    93 UNACCEPTABLE_CREDENTIAL Fail "the credential is not acceptable";
    94 INCONSISTENT_VOTER_SET Fail "the voter sets do not agree";
    95 INVALID_UPDATE_VERSION Fail "the feature version is not valid";
    96 FEATURE_UPDATE_FAILED Fail "the feature could not be updated";
    97 PRINCIPAL_DESERIALIZATION_FAILURE Fail "the forwarded principal could not be read";
    98 SNAPSHOT_NOT_FOUND Fail "there is no such snapshot";
    99 POSITION_OUT_OF_RANGE Fail "the position is not in the snapshot";
    100 UNKNOWN_TOPIC_ID Metadata "this broker does not know the topic id";
    101 DUPLICATE_BROKER_REGISTRATION Fail "another broker is registered with this id";
    102 BROKER_ID_NOT_REGISTERED Fail "no broker is registered with this id";
    103 INCONSISTENT_TOPIC_ID Metadata "the topic id in the log is not the one in the request";
    104 INCONSISTENT_CLUSTER_ID Fail "the cluster id is not this cluster's";
    105 TRANSACTIONAL_ID_NOT_FOUND Fail "there is no such transactional id";
    106 FETCH_SESSION_TOPIC_ID_ERROR Retry "the fetch session and the request disagree on topic ids";
    107 INELIGIBLE_REPLICA Fail "the replica is not eligible for the in-sync set";
    108 NEW_LEADER_ELECTED Fail "the change made another replica the leader";
    109 OFFSET_MOVED_TO_TIERED_STORAGE Fail "the offset was moved to tiered storage";
    110 FENCED_MEMBER_EPOCH Fail "the member epoch is not the coordinator's: this member is fenced";
    111 UNRELEASED_INSTANCE_ID Fail "the group.instance.id is still in use by another member";
    112 UNSUPPORTED_ASSIGNOR Fail "the group coordinator does not offer this assignor";
    113 STALE_MEMBER_EPOCH Fail "the member epoch is out of date";
    114 MISMATCHED_ENDPOINT_TYPE Fail "the request went to a broker where a controller was meant, or the reverse";
    115 UNSUPPORTED_ENDPOINT_TYPE Fail "this kind of endpoint is not supported here";
    116 UNKNOWN_CONTROLLER_ID Fail "the controller id is not known";
    117 UNKNOWN_SUBSCRIPTION_ID Fail "the telemetry subscription is out of date";
    118 TELEMETRY_TOO_LARGE Fail "the telemetry is larger than the broker accepts";
    119 INVALID_REGISTRATION Fail "the controller found the registration not valid";
    120 TRANSACTION_ABORTABLE Fail "the transaction must be aborted; the producer may go on with a new one";
    121 INVALID_RECORD_STATE Fail "the record's delivery state does not allow this acknowledgement";
    122 SHARE_SESSION_NOT_FOUND Retry "the broker does not know the share session";
    123 INVALID_SHARE_SESSION_EPOCH Retry "the share session has another epoch";
    124 FENCED_STATE_EPOCH Fail "the share state has a newer epoch: this request is fenced";
    125 INVALID_VOTER_KEY Fail "the voter's key is not the one registered";
    126 DUPLICATE_VOTER Fail "the voter is in the set already";
    127 VOTER_NOT_FOUND Fail "the voter is not in the set";
    128 INVALID_REGULAR_EXPRESSION Fail "the regular expression is not valid";
    129 REBOOTSTRAP_REQUIRED Fail "the client should begin again from its bootstrap servers";
    130 STREAMS_INVALID_TOPOLOGY Fail "the topology of the streams group is not valid";
    131 STREAMS_INVALID_TOPOLOGY_EPOCH Fail "the topology epoch is not the group's";
    132 STREAMS_TOPOLOGY_FENCED Fail "the topology is older than the group's";
    133 SHARE_SESSION_LIMIT_REACHED Retry "the broker has as many share sessions as it may";
    134 GROUP_DELETION_FAILED Fail "the group could not be deleted";
    135 STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED Fail "the description of the topology could not be stored";
    136 CONTROLLER_ID_NOT_REGISTERED Fail "no controller is registered with this id";
}

impl ErrorCode {
    /// Whether there was no error.
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// Whether the same request may succeed later, perhaps at another broker.
    pub const fn is_retriable(self) -> bool {
        !matches!(self.remedy(), Remedy::Fail)
    }

    /// Whether what is known of the cluster is out of date: refresh the metadata before trying again.
    pub const fn refreshes_metadata(self) -> bool {
        matches!(self.remedy(), Remedy::Metadata)
    }

    /// Whether the coordinator has moved: find it before trying again.
    pub const fn refreshes_coordinator(self) -> bool {
        matches!(self.remedy(), Remedy::Coordinator)
    }

    /// Nothing, or the code as an error.
    ///
    /// # Errors
    /// The code is not [`ErrorCode::NONE`].
    pub const fn ok(self) -> Result<(), Self> {
        if self.is_ok() { Ok(()) } else { Err(self) }
    }
}

impl std::error::Error for ErrorCode {}

/// The phrase and the name: `the group is rebalancing: join again (REBALANCE_IN_PROGRESS)`.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.message()),
            None => write!(f, "{} ({})", self.message(), self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "ErrorCode({})", self.0),
        }
    }
}

impl Typed for ErrorCode {
    const KIND: Kind = Kind::Int16;
}

impl Wire for ErrorCode {
    #[inline]
    fn read(r: &mut Cursor<'_>, _: Layout) -> Self {
        Self(r.i16())
    }

    #[inline]
    fn write(&self, w: &mut Writer, _: Layout) {
        w.i16(self.0);
    }
}
