//! Administration: topics, partitions, settings and groups, and what the cluster consists of.

mod configs;
mod groups;
mod partitions;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use configs::{ConfigEntry, ConfigResource};
pub use groups::{GroupDescription, GroupListing, MemberDescription};
pub use topics::NewTopic;

use super::cluster::{Broker, BrokerId, Cluster, Purpose};
use super::config::Config;
use super::connection::Connection;
use super::deadline::Deadline;
use super::error::{Error, Result};
use crate::messages::{DescribeClusterRequest, ErrorCode};

/// Administrative requests to a cluster. Cheap to clone.
///
/// What may pass by itself is tried again for `default.api.timeout.ms`. Dropping a future leaves open whether its request was carried out.
#[derive(Debug, Clone)]
pub struct Admin {
    cluster: Cluster,
    /// Nobody but it and its clones uses the cluster.
    is_own: bool,
    /// When the call ends that this handle was made for; each request of other handles has a time of its own.
    limit: Option<Deadline>,
}

/// What a cluster says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: String,
    /// The controller; with KRaft any broker.
    pub controller: Option<BrokerId>,
    /// Its brokers.
    pub brokers: Vec<Broker>,
}

impl Admin {
    /// Administration over connections of its own.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect(config: Config) -> Result<Self> {
        let cluster = Cluster::connect(config).await?;
        let is_own = true;
        Ok(Self {
            cluster,
            is_own,
            limit: None,
        })
    }

    /// Administration over a cluster's connections.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            is_own: false,
            limit: None,
        }
    }

    /// The cluster that is administered.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Ends it: connections of its own ([`Admin::connect`]) are closed as by [`Cluster::close`], for its clones too; those of a cluster
    /// ([`Admin::new`]) stay.
    ///
    /// # Errors
    /// As [`Cluster::close`].
    pub async fn close(self) -> Result<()> {
        match self.is_own {
            true => self.cluster.close().await,
            false => Ok(()),
        }
    }

    /// As [`Admin::close`], within another time than `default.api.timeout.ms`.
    ///
    /// # Errors
    /// As [`Cluster::close`].
    pub async fn close_within(self, timeout: Duration) -> Result<()> {
        match self.is_own {
            true => self.cluster.close_within(timeout).await,
            false => Ok(()),
        }
    }

    /// The cluster's id and brokers, asked for now.
    ///
    /// # Errors
    /// [`Error::Broker`], or what goes wrong while asking.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.retried(async |connection: Connection| {
            let request = DescribeClusterRequest::default();
            let response = connection.call(&request, self.timeout()).await?;
            if !response.error_code.is_ok() {
                return Err(Error::broker(
                    "describing the cluster",
                    response.error_code,
                    response.error_message.as_deref(),
                ));
            }
            let brokers = response.brokers.iter().filter_map(|broker| {
                let id = BrokerId(broker.broker_id);
                Broker::new(id, &broker.host, broker.port, broker.rack.as_deref())
            });
            Ok(ClusterDescription {
                cluster_id: response.cluster_id.to_string(),
                controller: Some(BrokerId(response.controller_id)).filter(|id| id.0 >= 0),
                brokers: brokers.collect(),
            })
        })
        .await
    }

    /// As [`Admin::retried`], at one broker.
    async fn retried_at<T>(
        &self,
        broker: BrokerId,
        operation: impl AsyncFn(Connection) -> Result<T>,
    ) -> Result<T> {
        self.persist(async |_| {
            let connection = self.cluster.connection(broker, Purpose::Metadata).await?;
            operation(connection).await
        })
        .await
    }

    /// As [`Admin::retried`], at a group's coordinator, wherever it is.
    async fn retried_at_coordinator<T>(
        &self,
        group: &str,
        operation: impl AsyncFn(BrokerId, Connection) -> Result<T>,
    ) -> Result<T> {
        self.persist(async |_| {
            let (coordinator, connection) = self.cluster.coordinator(group).await?;
            let result = operation(coordinator, connection).await;
            if result.as_ref().is_err_and(Error::is_retriable) {
                self.cluster.forget_coordinator(group);
            }
            result
        })
        .await
    }

    /// A handle for one call of several requests: all of them together have the time of one.
    fn for_one_call(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            is_own: false,
            limit: Some(self.limit()),
        }
    }

    fn limit(&self) -> Deadline {
        let begun = self.limit;
        begun.unwrap_or_else(|| Deadline::of_api(self.cluster.config()))
    }

    /// How long one request may take.
    fn timeout(&self) -> Duration {
        self.cluster.config().request_timeout()
    }

    /// Runs an operation until it succeeds, fails for good, or the time is over. It goes to any broker (with KRaft each of them
    /// passes it on), and to the controller once a broker insists on that.
    async fn retried<T>(&self, operation: impl AsyncFn(Connection) -> Result<T>) -> Result<T> {
        self.persist(async |to_controller| {
            let controller = self.cluster.metadata().controller;
            let connection = match controller.filter(|_| to_controller) {
                Some(controller) => {
                    let purpose = Purpose::Metadata;
                    self.cluster.connection(controller, purpose).await?
                }
                None => self.cluster.any_connection().await?,
            };
            operation(connection).await
        })
        .await
    }

    /// Tries until it succeeds, fails for good, or the time is over. Tells the attempt whether a broker has insisted on the controller.
    async fn persist<T>(&self, attempt: impl AsyncFn(bool) -> Result<T>) -> Result<T> {
        let limit = self.limit();
        let begin = Instant::now();
        let mut failures = 0;
        let mut to_controller = false;
        let what = || "the request to a broker".to_owned();
        loop {
            match limit.bound(what, attempt(to_controller)).await {
                Err(error) if error.is_retriable() => {
                    failures += 1;
                    if let Some(code) = error.code() {
                        self.cluster.counters().error(code);
                    }
                    let is_unknown = error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                    let deadline = match is_unknown {
                        true => begin + PROPAGATION,
                        false => limit.at(),
                    };
                    if error.code() == Some(ErrorCode::NOT_CONTROLLER) {
                        to_controller = true;
                        // What fails here shows at the next attempt.
                        drop(limit.bound(what, self.cluster.refresh(&[])).await);
                    }
                    self.cluster.pause(failures, deadline, || error).await?;
                }
                result => return result,
            }
        }
    }
}

/// How long a topic may be unknown to a broker because it was created just now.
const PROPAGATION: Duration = Duration::from_secs(2);

/// The result of one resource of an answer.
fn outcome(what: impl FnOnce() -> Arc<str>, code: ErrorCode, message: Option<&str>) -> Result<()> {
    if code.is_ok() {
        Ok(())
    } else {
        Err(Error::broker(what(), code, message))
    }
}

/// What was found for each thing that was asked about, in its order.
fn collect_results<Q, A>(asked: &[Q], find: impl Fn(&Q) -> Result<A>) -> Vec<Result<A>> {
    asked.iter().map(find).collect()
}

fn no_answer(kind: &str, name: &str) -> Error {
    Error::broker(
        format!("administering {kind} {name}"),
        ErrorCode::UNKNOWN_SERVER_ERROR,
        Some("the answer does not mention it"),
    )
}
