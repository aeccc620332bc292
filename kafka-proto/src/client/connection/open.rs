//! How a connection begins: a stream is made, both sides agree on versions, and the peer says that it is the broker that is meant.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::frame::FrameReader;
use super::task::{Reply, State, Task};
use super::versions::{self, Spoken};
use super::{BrokerVersions, Connection, Shared};
use crate::client::config::Config;
use crate::client::error::{Error, Result};
use crate::client::metrics::Metrics;
use crate::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, ErrorCode, Message, ResponseHeader,
};
use crate::net::Connect;
use crate::wire::{Reader, Text};

/// What this client calls itself (KIP-511); must match `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
const SOFTWARE_NAME: &str = "kafka-proto";
const SOFTWARE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first version of ApiVersions that carries an [`Identity`].
const IDENTITY_SINCE: i16 = 5;

/// Which broker of which cluster a connection is meant for (KIP-1242).
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) cluster_id: Arc<str>,
    pub(crate) node_id: i32,
}

/// What it takes to open a connection.
pub(crate) struct Opening<'a> {
    pub(crate) connect: &'a dyn Connect,
    pub(crate) config: &'a Config,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) spoken: &'a Mutex<Spoken>,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// The broker, for messages.
    pub(crate) name: Arc<str>,
    /// Whom the address must lead to; `None` where any broker will do, as a bootstrap server.
    pub(crate) identity: Option<&'a Identity>,
    /// For the stream and the agreement together.
    pub(crate) timeout: Duration,
}

impl Connection {
    /// Connects to `host:port`, and agrees on versions within `socket.connection.setup.timeout.ms`.
    ///
    /// Safe to drop: the attempt is given up. The connection's task runs on the runtime that this is polled on.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Timeout`], or [`Error::NotKafka`] if the peer answers anything but Kafka's protocol.
    pub async fn open(
        connect: &dyn Connect,
        host: &str,
        port: u16,
        config: &Config,
    ) -> Result<Self> {
        Self::open_as(&Opening {
            connect,
            config,
            metrics: &Arc::default(),
            spoken: &Mutex::default(),
            host,
            port,
            name: format!("{host}:{port}").into(),
            identity: None,
            timeout: Duration::from_millis(config.socket_connection_setup_timeout_ms),
        })
        .await
    }

    pub(crate) async fn open_as(opening: &Opening<'_>) -> Result<Self> {
        let &Opening {
            metrics, timeout, ..
        } = opening;
        let name = &opening.name;
        let of_broker = metrics.broker(name);
        let result = tokio::time::timeout(timeout, Self::meet(opening))
            .await
            .unwrap_or_else(|_| {
                Err(Error::Timeout {
                    what: format!("the connection to {name}").into(),
                    after: timeout,
                    setting: "`socket.connection.setup.timeout.ms`",
                })
            });
        match &result {
            Ok(_) => {
                metrics.connections_opened.add(1);
                of_broker.connections_opened.add(1);
                tracing::debug!(broker = %name, "connected");
            }
            Err(error) => {
                metrics.connections_failed.add(1);
                of_broker.connections_failed.add(1);
                tracing::debug!(broker = %name, %error, "cannot connect");
            }
        }
        result
    }

    /// Connects and agrees on versions. A peer that hangs up on a version that it does not know, instead of saying so, is asked
    /// again in the next lower one over another connection.
    async fn meet(opening: &Opening<'_>) -> Result<Self> {
        let address = format!("{}:{}", opening.host, opening.port);
        let spoken = || {
            opening
                .spoken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let remembered = spoken().at(&address, Instant::now());
        let mut version = remembered.unwrap_or(versions::HIGHEST);
        let mut hung_up = None;
        loop {
            let met = async {
                let connection = Self::dial(opening).await?;
                let agreed = connection.agree(version, opening).await?;
                Ok::<_, Error>((connection, agreed))
            };
            let error = match met.await {
                Ok((connection, agreed)) => {
                    let offered = connection
                        .versions()
                        .and_then(|v| v.range(ApiKey::API_VERSIONS));
                    spoken().agreed(&address, agreed, offered, Instant::now());
                    return Ok(connection);
                }
                Err(error) => error,
            };
            if !matches!(error, Error::Disconnected { .. }) {
                return Err(not_kafka(hung_up.unwrap_or(error), &opening.name));
            }
            let next = spoken().hung_up(&address, version, Instant::now());
            let error = hung_up.unwrap_or(error);
            // Whoever has hung up on everything lately is asked once in each attempt: attempts are spaced by back-off.
            if remembered.is_some() || next > version {
                return Err(not_kafka(error, &opening.name));
            }
            tracing::debug!(broker = %opening.name, asked = version, next, "it hung up on a version of ApiVersions");
            hung_up = Some(error);
            version = next;
        }
    }

    /// Makes the stream and begins the task.
    async fn dial(opening: &Opening<'_>) -> Result<Self> {
        let &Opening { host, port, .. } = opening;
        let address: Arc<str> = format!("{host}:{port}").into();
        let stream = opening
            .connect
            .connect(host, port)
            .await
            .map_err(|error| Error::Connect {
                address: Arc::clone(&address),
                reason: error.to_string().into(),
            })?;
        let config = opening.config;
        let idle_max = Duration::from_millis(config.connections_max_idle_ms);
        let (commands, receiver) = mpsc::unbounded_channel();
        let ended = Arc::new(OnceLock::new());
        let task = Task {
            name: Arc::clone(&opening.name),
            stream,
            frames: FrameReader::new(config.receive_message_max_bytes),
            commands: receiver,
            ended: Arc::clone(&ended),
            metrics: Arc::clone(opening.metrics),
            of_broker: opening.metrics.broker(&opening.name),
            idle_max,
            state: State::new(idle_max),
        };
        let span = tracing::debug_span!("connection", broker = %opening.name);
        tokio::spawn(task.run().instrument(span));
        Ok(Self {
            name: Arc::clone(&opening.name),
            shared: Arc::new(Shared {
                address,
                client_id: Text::from(config.client_id.as_str()),
                versions: OnceLock::new(),
                correlation: Mutex::new(0),
                commands,
                ended,
            }),
        })
    }

    /// Asks for the broker's versions, downwards until both understand each other (KIP-35, KIP-511), and whether it is the one that
    /// is meant. Gives the version of ApiVersions in which that was answered.
    async fn agree(&self, first: i16, opening: &Opening<'_>) -> Result<i16> {
        let request = request(opening.identity);
        let mut version = first;
        let response = loop {
            let frame = self.send_frame(&request, version, opening.timeout)?.await?;
            if frame.get(4..6) != Some(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes()) {
                break self.decode::<ApiVersionsRequest>(frame, version)?;
            }
            let offered = offered(frame);
            version = versions::downgrade(version, offered).ok_or_else(|| Error::Unsupported {
                broker: Arc::clone(&self.name),
                api: "ApiVersions".into(),
                ours: format!("0 to {version}").into(),
                theirs: offered
                    .map_or_else(
                        || "unknown".to_owned(),
                        |(min, max)| format!("{min} to {max}"),
                    )
                    .into(),
            })?;
        };
        match (response.error_code, opening.identity) {
            (ErrorCode::NONE, _) => {}
            (ErrorCode::REBOOTSTRAP_REQUIRED, Some(identity)) => {
                return Err(Error::Misrouted {
                    broker: Arc::clone(&self.name),
                    cluster_id: Arc::clone(&identity.cluster_id),
                });
            }
            (code, _) => {
                let what = format!("agreeing on versions with {}", self.name);
                return Err(Error::broker(what, code, None));
            }
        }
        // The only writer: a connection is handed out after this.
        drop(
            self.shared
                .versions
                .set(BrokerVersions::from_response(&response)),
        );
        Ok(version)
    }

    /// Has the peer say whether it is the broker that is meant, without waiting for it: if it is not, the connection ends (KIP-1242).
    pub(crate) fn confirm(&self, identity: &Identity, timeout: Duration) {
        let version = self.version_for::<ApiVersionsRequest>();
        let Some(version) = version.filter(|version| *version >= IDENTITY_SINCE) else {
            return;
        };
        let connection = self.clone();
        let give = move |answer: Result<Bytes>| {
            let name = &connection.name;
            let answer =
                answer.and_then(|frame| Self::read::<ApiVersionsRequest>(frame, version, name));
            if answer.is_ok_and(|answer| answer.error_code == ErrorCode::REBOOTSTRAP_REQUIRED) {
                tracing::warn!(broker = %name, "another broker is at this address: the connection is closed");
                connection.close();
            }
        };
        let reply = Reply::Queue(Box::new(give));
        // A connection that has ended is not used either.
        drop(self.queue(&request(Some(identity)), version, timeout, reply));
    }
}

fn request(identity: Option<&Identity>) -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: Text::from_static(SOFTWARE_NAME),
        client_software_version: Text::from_static(SOFTWARE_VERSION),
        cluster_id: identity.map(|identity| Text::from(&*identity.cluster_id)),
        node_id: identity.map_or(-1, |identity| identity.node_id),
    }
}

/// The versions of ApiVersions that the answer UNSUPPORTED_VERSION offers. It is written in version 0 whatever was asked; what is not
/// exactly that (old brokers leave the ranges out, others answer in the version of the request) offers nothing.
fn offered(frame: Bytes) -> Option<(i16, i16)> {
    let mut reader = Reader::new(frame);
    ResponseHeader::decode(&mut reader, 0).ok()?;
    let response = ApiVersionsResponse::decode(&mut reader, 0).ok()?;
    reader.finish().ok()?;
    BrokerVersions::from_response(&response).range(ApiKey::API_VERSIONS)
}

/// What went wrong before the peer proved to be a broker, seen as what it most likely is.
fn not_kafka(error: Error, name: &Arc<str>) -> Error {
    match error {
        // A broker that is about to stop or just started, a proxy without its backend, or no broker at all: that is not known yet.
        Error::Disconnected { reason, .. } => Error::Disconnected {
            broker: Arc::clone(name),
            reason: format!(
                "it was asked for its versions, and then: {reason}; is it a broker's listener, without TLS?"
            )
            .into(),
        },
        Error::Malformed { source, .. } => Error::NotKafka {
            address: Arc::clone(name),
            reason: format!("its answer cannot be read: {source}").into(),
        },
        other => other,
    }
}
