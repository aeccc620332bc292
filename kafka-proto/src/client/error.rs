//! What can go wrong in a client, by whose fault it is: the network's, the peer's, the broker's answer, or the caller's.
//!
//! The `Debug` text is the readable one: it is what `fn main() -> Result<(), Box<dyn Error>>` prints.

use std::fmt::{self, Debug, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::messages::ErrorCode;
use crate::records::RecordError;
use crate::wire::{DecodeError, EncodeError};

/// The result of a client's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of the client failed. Cheap to clone: one failure may concern many callers.
#[derive(Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// A property or a combination of properties is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// No stream to a broker could be made.
    #[error(
        "cannot connect to {address}: {reason}; check that the broker runs and that `bootstrap.servers` and its `advertised.listeners` are reachable from here"
    )]
    Connect {
        /// `host:port`.
        address: Arc<str>,
        /// What the operating system said.
        reason: Arc<str>,
    },

    /// None of the known brokers nor of the bootstrap servers could be reached. It may pass if `last` may.
    #[error("no broker is reachable; tried {tried}; one failure was: {last}")]
    NoBroker {
        /// The addresses that were tried.
        tried: Arc<str>,
        /// Why: what a broker answered, if one did; else a failure that may pass, if there is one; else the last.
        last: Box<Self>,
    },

    /// The connection ended while something was wanted from it.
    #[error("the connection to {broker} was lost: {reason}")]
    Disconnected {
        /// `host:port`, with the broker's id where known.
        broker: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },

    /// Nothing was answered in time.
    #[error("{what} was not answered within {} ms ({setting})", after.as_millis())]
    Timeout {
        /// What was waited for, and of whom.
        what: Arc<str>,
        /// How long.
        after: Duration,
        /// The setting that bounds it.
        setting: &'static str,
    },

    /// The peer does not speak Kafka's protocol, or not this listener's.
    #[error(
        "{address} does not answer as a Kafka broker: {reason}; check the port and whether the listener expects TLS (`security.protocol`)"
    )]
    NotKafka {
        /// `host:port`.
        address: Arc<str>,
        /// What came instead.
        reason: Arc<str>,
    },

    /// An address of the metadata leads to another broker, or to one of another cluster (KIP-1242). The broker there is not used.
    #[error(
        "the address of {broker} leads to another broker, or to one of another cluster than {cluster_id}: it is not used, and the bootstrap servers are asked for the right one; if all brokers are meant to share an address, set `metadata.cluster.check.enable` to false"
    )]
    Misrouted {
        /// The broker that was expected, with its address.
        broker: Arc<str>,
        /// The cluster that was expected.
        cluster_id: Arc<str>,
    },

    /// The peer sent what the protocol does not allow.
    #[error("{broker} sent a {what} that cannot be read: {source}")]
    Malformed {
        /// Who.
        broker: Arc<str>,
        /// Which message, in which version.
        what: Arc<str>,
        /// What is wrong with it.
        source: DecodeError,
    },

    /// A request cannot be written in the version that was agreed on.
    #[error("{what} cannot be written: {source}")]
    Encode {
        /// Which message, in which version.
        what: Arc<str>,
        /// What is wrong with it.
        source: EncodeError,
    },

    /// The broker lacks an API, or has it only in versions that this client does not speak.
    #[error(
        "{broker} does not support {api} in a version that this client speaks ({ours} here, {theirs} there)"
    )]
    Unsupported {
        /// Who.
        broker: Arc<str>,
        /// The API's name.
        api: Arc<str>,
        /// Our versions.
        ours: Arc<str>,
        /// Its versions.
        theirs: Arc<str>,
    },

    /// The broker answered with an error code.
    #[error("{what} failed with {code}{}", detail(message))]
    Broker {
        /// What was asked, with topic, partition or group where there is one.
        what: Arc<str>,
        /// The broker's answer.
        code: ErrorCode,
        /// The broker's own words, if it had any.
        message: Option<Arc<str>>,
    },

    /// A record or batch was not acknowledged.
    #[error("cannot deliver to {topic}-{partition}: {source} ({})", fate(*maybe_written))]
    Delivery {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Whether what was sent may be in the log all the same: an answer was lost, not necessarily the request.
        maybe_written: bool,
        /// Why.
        source: Box<Self>,
    },

    /// A partition that its topic does not have.
    #[error("topic {topic} has {count} partitions: there is no partition {partition}")]
    NoSuchPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition asked for.
        partition: i32,
        /// How many it has; they are counted from 0.
        count: usize,
    },

    /// A record larger than the settings allow.
    #[error("a record of {size} bytes for topic {topic} is larger than {limit} bytes ({setting})")]
    RecordTooLarge {
        /// The topic.
        topic: Arc<str>,
        /// Bytes of the record as encoded.
        size: usize,
        /// The bound.
        limit: usize,
        /// The setting that sets it.
        setting: &'static str,
    },

    /// Record batches that cannot be used as the caller asked.
    #[error("{what}: {reason}")]
    Records {
        /// What was being done, and where.
        what: Arc<str>,
        /// What is wrong.
        reason: Arc<str>,
    },

    /// Fetched records that cannot be read. The position stays at them.
    #[error(
        "cannot read {topic}-{partition} at offset {offset}: {source}{}; to go on behind it, seek to offset {next_offset}",
        fetch_advice(source)
    )]
    CorruptRecords {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The position: the first record that was not delivered.
        offset: i64,
        /// Behind the bad batch, as far as its header can be believed.
        next_offset: i64,
        /// What is wrong with them.
        source: RecordError,
    },

    /// A position that is not in the log any more, where `auto.offset.reset` is `none`.
    #[error(
        "{topic}-{partition} cannot be read on from offset {offset}: {reason}; seek to another offset, or set `auto.offset.reset` to earliest or latest"
    )]
    PositionLost {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The position, −1 if there was none.
        offset: i64,
        /// What became of it.
        reason: Arc<str>,
    },

    /// The client was closed.
    #[error("the {what} was closed")]
    Closed {
        /// Which part of the client.
        what: &'static str,
    },

    /// [`Producer::purge`](super::producer::Producer::purge) has given it up before it was sent, or sent again.
    #[error("the producer was purged")]
    Purged,

    /// The caller asked for something that makes no sense in this state.
    #[error("{0}")]
    Usage(Arc<str>),
}

impl Error {
    /// Whether the same operation may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self.cause() {
            Self::Connect { .. }
            | Self::Disconnected { .. }
            | Self::Misrouted { .. }
            | Self::Timeout { .. } => true,
            Self::Broker { code, .. } => code.is_retriable(),
            _ => false,
        }
    }

    /// Whether the client that gave this error can no longer be used.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self.cause() {
            Self::Closed { .. } | Self::Config(_) => true,
            Self::Broker { code, .. } => matches!(
                *code,
                ErrorCode::PRODUCER_FENCED
                    | ErrorCode::FENCED_INSTANCE_ID
                    | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
                    | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                    | ErrorCode::UNSUPPORTED_VERSION
            ),
            _ => false,
        }
    }

    /// The error code that a broker answered, if that is what this error is about.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self.cause() {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What an error is about that only says where something went wrong.
    fn cause(&self) -> &Self {
        match self {
            Self::NoBroker { last: cause, .. } | Self::Delivery { source: cause, .. } => {
                cause.cause()
            }
            _ => self,
        }
    }

    /// Whether records may be in the log although their delivery failed; `None` if this is not about delivery.
    #[must_use]
    pub fn maybe_written(&self) -> Option<bool> {
        match self {
            Self::Delivery { maybe_written, .. } => Some(*maybe_written),
            _ => None,
        }
    }

    /// An error code that a broker answered to `what`, with its own words if there are any.
    pub(crate) fn broker(
        what: impl Into<Arc<str>>,
        code: ErrorCode,
        message: Option<&str>,
    ) -> Self {
        Self::Broker {
            what: what.into(),
            code,
            message: message.filter(|text| !text.is_empty()).map(Arc::from),
        }
    }

    /// The caller's mistake.
    pub(crate) fn usage(text: impl Into<Arc<str>>) -> Self {
        Self::Usage(text.into())
    }
}

impl Debug for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Debug for ConfigError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

fn detail(message: &Option<Arc<str>>) -> String {
    message
        .as_ref()
        .map_or_else(String::new, |text| format!(": {text}"))
}

fn fetch_advice(source: &RecordError) -> &'static str {
    match source {
        RecordError::TooLarge { .. } => " (`fetch.buffer.bytes`)",
        _ => "",
    }
}

fn fate(maybe_written: bool) -> &'static str {
    if maybe_written {
        "it may be in the log all the same"
    } else {
        "it is not in the log"
    }
}

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No such property.
    #[error("unknown property `{name}`{}", nearest.map_or_else(String::new, |known| format!("; did you mean `{known}`?")))]
    Unknown {
        /// As it was given.
        name: String,
        /// The known property that looks most like it.
        nearest: Option<&'static str>,
    },

    /// A value that the property cannot have.
    #[error("`{name}` cannot be `{value}`: expected {expected}")]
    Invalid {
        /// The property.
        name: &'static str,
        /// As it was given.
        value: String,
        /// What it may be.
        expected: String,
    },

    /// Two properties that cannot hold at once.
    #[error("{0}")]
    Contradiction(String),

    /// A line or a file of properties that cannot be read.
    #[error("{0}")]
    File(String),

    /// A property that must be given was not.
    #[error("`{0}` is not set")]
    Missing(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_shows_the_advice_and_not_the_fields() {
        let shown = |error: Box<dyn std::error::Error>| format!("Error: {error:?}");
        let connect = Error::Connect {
            address: "localhost:9092".into(),
            reason: "connection refused".into(),
        };
        let text = shown(connect.into());
        assert!(
            text.starts_with("Error: cannot connect to localhost:9092: connection refused; check"),
            "{text}"
        );
        let missing = ConfigError::Missing("group.id");
        assert_eq!(shown(missing.into()), "Error: `group.id` is not set");
    }
}
