//! What a membership says of itself: events for `tracing`, with group, member and generation, and the group's counters.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::client::{
    Cluster,
    error::{Error, Result},
    metrics::GroupMetrics,
};

use super::{GroupEvent, state::Identity};

#[derive(Debug)]
pub(super) struct Notes {
    group: Arc<str>,
    metrics: Arc<GroupMetrics>,
    /// Since when partitions are on the move.
    rebalancing: Option<Instant>,
}

impl Notes {
    pub(super) fn new(cluster: &Cluster, group: &Arc<str>) -> Self {
        Self {
            group: Arc::clone(group),
            metrics: cluster.counters().groups.entry(group),
            rebalancing: None,
        }
    }

    /// The member joins, for the first time or again.
    pub(super) fn joins(&mut self, identity: &Identity) {
        self.rebalancing.get_or_insert_with(Instant::now);
        self.metrics.joins.add(1);
        let (member, generation) = (&identity.member_id, identity.generation);
        tracing::debug!(group = %self.group, %member, generation, "joining the group");
    }

    /// A heartbeat was answered after so long, and well or not.
    pub(super) fn heartbeat(&self, took: Duration, well: bool) {
        if well {
            self.metrics.heartbeats.add(1);
            self.metrics.heartbeat_us.record_time(took);
            self.metrics.last_heartbeat.now();
        } else {
            self.metrics.heartbeats_failed.add(1);
        }
    }

    /// A request got no answer. Said aloud for the first of several in a row.
    pub(super) fn unanswered(&self, error: &Error, first: bool) {
        let group = &self.group;
        match first {
            true => {
                tracing::warn!(%group, %error, "no answer from the coordinator; trying again, later each time");
            }
            false => tracing::debug!(%group, %error, "no answer from the coordinator again"),
        }
    }

    /// The application is told this.
    pub(super) fn told(&mut self, event: &Result<GroupEvent>, identity: &Identity) {
        if let Err(_) | Ok(GroupEvent::Lost(_)) = event
            && self.rebalancing.take().is_some()
        {
            // Partitions that were on the move come to no assignment for now.
            self.metrics.rebalances_failed.add(1);
        }
        let (group, member, generation) = (&self.group, &identity.member_id, identity.generation);
        match event {
            Ok(GroupEvent::Assigned(assignment)) => {
                self.metrics.rebalances.add(1);
                self.metrics.last_rebalance.now();
                self.metrics
                    .partitions_assigned
                    .add(assignment.added.len() as u64);
                if let Some(begin) = self.rebalancing.take() {
                    self.metrics.rebalance_us.record_time(begin.elapsed());
                }
                tracing::info!(%group, %member, generation, partitions = assignment.partitions.len(), added = ?assignment.added, "partitions are assigned");
            }
            Ok(GroupEvent::Revoked(revocation)) => {
                self.rebalancing.get_or_insert_with(Instant::now);
                let partitions = revocation.partitions();
                self.metrics.partitions_revoked.add(partitions.len() as u64);
                tracing::info!(%group, %member, generation, ?partitions, "partitions are given up");
            }
            Ok(GroupEvent::Lost(loss)) => {
                self.metrics
                    .partitions_lost
                    .add(loss.partitions.len() as u64);
                tracing::warn!(%group, %member, generation, partitions = ?loss.partitions, reason = %loss.reason, "partitions are lost");
            }
            Err(error) => {
                tracing::error!(%group, %member, generation, %error, "the group refuses this member");
            }
        }
    }
}
