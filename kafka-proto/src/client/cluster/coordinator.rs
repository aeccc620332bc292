//! Finding the coordinator of a group or a transaction.

use std::sync::Arc;

use super::state::{Broker, BrokerId};
use super::{Cluster, Purpose, lock};
use crate::client::connection::Connection;
use crate::client::deadline::Deadline;
use crate::client::error::{Error, Result};
use crate::messages::{ErrorCode, FindCoordinatorRequest};
use crate::wire::Text;

/// What a coordinator coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CoordinatorKind {
    /// A consumer group.
    Group,
    /// A transactional producer.
    Transaction,
}

impl CoordinatorKind {
    fn finding(self, key: &str) -> String {
        match self {
            Self::Group => format!("finding the coordinator of group {key}"),
            Self::Transaction => format!("finding the coordinator of transaction {key}"),
        }
    }
}

impl Cluster {
    /// The coordinator of a consumer group and a connection to it for that purpose alone, looked up if it is not known.
    ///
    /// Tries again for `default.api.timeout.ms`. Safe to drop.
    ///
    /// # Errors
    /// [`Error::Broker`] if the group has no coordinator (`GROUP_AUTHORIZATION_FAILED` at once), or what connecting says.
    pub async fn coordinator(&self, group: &str) -> Result<(BrokerId, Connection)> {
        self.coordinator_of(CoordinatorKind::Group, group).await
    }

    /// As [`Cluster::coordinator`], for groups and transactions.
    ///
    /// # Errors
    /// As [`Cluster::coordinator`].
    pub async fn coordinator_of(
        &self,
        kind: CoordinatorKind,
        key: &str,
    ) -> Result<(BrokerId, Connection)> {
        self.coordinator_by(kind, key, Deadline::of_api(&self.inner.config))
            .await
    }

    /// As [`Cluster::coordinator_of`], within the time of a larger operation.
    pub(crate) async fn coordinator_by(
        &self,
        kind: CoordinatorKind,
        key: &str,
        deadline: Deadline,
    ) -> Result<(BrokerId, Connection)> {
        let trying = async {
            let mut failures = 0;
            loop {
                match self.try_coordinator(kind, key).await {
                    Err(error) if error.is_retriable() => {
                        self.forget(kind, key);
                        failures += 1;
                        self.pause(failures, deadline.at(), || error).await?;
                    }
                    result => return result,
                }
            }
        };
        deadline.bound(|| kind.finding(key), trying).await
    }

    async fn try_coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
    ) -> Result<(BrokerId, Connection)> {
        let known = lock(&self.inner.coordinators)
            .get(&(kind, key.to_owned()))
            .map(Arc::clone);
        let broker = match known {
            Some(broker) => broker,
            None => {
                let broker = Arc::new(self.find_coordinator(kind, key).await?);
                lock(&self.inner.coordinators).insert((kind, key.to_owned()), Arc::clone(&broker));
                broker
            }
        };
        let connection = self.connection_to(&broker, Purpose::Coordinator).await?;
        Ok((broker.id, connection))
    }

    /// Forgets a group's coordinator: for when it answered that it is not, or did not answer.
    pub fn forget_coordinator(&self, group: &str) {
        self.forget(CoordinatorKind::Group, group);
    }

    fn forget(&self, kind: CoordinatorKind, key: &str) {
        lock(&self.inner.coordinators).remove(&(kind, key.to_owned()));
    }

    async fn find_coordinator(&self, kind: CoordinatorKind, key: &str) -> Result<Broker> {
        let connection = self.any_connection().await?;
        let key_type = match kind {
            CoordinatorKind::Group => 0,
            CoordinatorKind::Transaction => 1,
        };
        // Several keys at once from version 4 on (KIP-699).
        let many = connection.version_for::<FindCoordinatorRequest>() >= Some(4);
        let text = Text::from(key);
        let request = if many {
            FindCoordinatorRequest {
                key_type,
                coordinator_keys: vec![text],
                ..Default::default()
            }
        } else {
            FindCoordinatorRequest {
                key_type,
                key: text,
                ..Default::default()
            }
        };
        let response = connection
            .call(&request, self.inner.config.request_timeout())
            .await?;
        let what = || kind.finding(key);
        let (code, message, id, host, port) = if many {
            let Some(found) = response.coordinators.iter().find(|found| found.key == *key) else {
                return Err(Error::broker(
                    what(),
                    ErrorCode::COORDINATOR_NOT_AVAILABLE,
                    Some("the answer is about another key"),
                ));
            };
            let message = found.error_message.as_deref();
            (
                found.error_code,
                message,
                found.node_id,
                &found.host,
                found.port,
            )
        } else {
            let message = response.error_message.as_deref();
            (
                response.error_code,
                message,
                response.node_id,
                &response.host,
                response.port,
            )
        };
        if !code.is_ok() {
            return Err(Error::broker(what(), code, message));
        }
        Broker::new(BrokerId(id), host, port, None).ok_or_else(|| {
            Error::broker(
                what(),
                ErrorCode::COORDINATOR_NOT_AVAILABLE,
                Some("the answer names no usable broker"),
            )
        })
    }
}
