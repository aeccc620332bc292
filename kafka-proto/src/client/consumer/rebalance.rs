//! Callbacks of rebalances: futures that are driven by polls, with what a consumer may do meanwhile.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    client::{
        Cluster,
        error::{ConfigError, Error, Result},
        group::{CommittedOffset, GroupOffsets, OffsetToCommit, TopicPartition},
    },
    messages::ErrorCode,
};

use super::{
    consumer::{Consumer, Rebalance},
    driving::Kept,
    fetcher::Start,
    link::BoxFuture,
};

/// Where partitions are to be read on from, when the callback has ended.
type Seeks = Arc<Mutex<Vec<(TopicPartition, Start)>>>;

/// What a callback of [`Consumer::on_rebalance`] is given: what happened, and the consumer as far as it may be used meanwhile.
#[derive(Debug)]
pub struct Rebalancing {
    what: Rebalance,
    positions: Vec<OffsetToCommit>,
    offsets: Option<GroupOffsets>,
    cluster: Cluster,
    seeks: Seeks,
}

impl Rebalancing {
    /// What happened.
    pub const fn what(&self) -> &Rebalance {
        &self.what
    }

    /// The partitions that it happened to.
    pub fn partitions(&self) -> &[TopicPartition] {
        match &self.what {
            Rebalance::Assigned(partitions)
            | Rebalance::Revoked(partitions)
            | Rebalance::Lost(partitions, _) => partitions,
        }
    }

    /// How far these partitions were delivered; none when they have just been assigned.
    pub fn positions(&self) -> &[OffsetToCommit] {
        &self.positions
    }

    /// The cluster that is read.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Commits how far these partitions were delivered, behind all commits that were started before. The group waits for it when partitions
    /// are being revoked. When they are lost it is refused: they are another's already.
    ///
    /// # Errors
    /// As [`GroupOffsets::commit`].
    pub async fn commit(&self) -> Result<()> {
        self.commit_offsets(&self.positions).await
    }

    /// Commits these offsets.
    ///
    /// # Errors
    /// As [`GroupOffsets::commit`].
    pub async fn commit_offsets(&self, offsets: &[OffsetToCommit]) -> Result<()> {
        if let Rebalance::Lost(..) = self.what {
            // The member may have joined anew by now, and its commit would be accepted.
            let hint = Some("these partitions are lost: their new owner commits for them");
            let what = "committing offsets in a callback";
            return Err(Error::broker(what, ErrorCode::UNKNOWN_MEMBER_ID, hint));
        }
        self.group()?.commit(offsets).await
    }

    /// What the group has committed for partitions.
    ///
    /// # Errors
    /// As [`GroupOffsets::committed`].
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>> {
        self.group()?.committed(partitions).await
    }

    /// Has a partition read on from elsewhere once the callback has ended: one that was assigned starts there, whatever is committed.
    pub fn seek(&self, topic: &str, partition: i32, start: Start) {
        let of = TopicPartition::new(topic, partition);
        let mut seeks = self.seeks.lock().unwrap_or_else(PoisonError::into_inner);
        seeks.push((of, start));
    }

    fn group(&self) -> Result<&GroupOffsets> {
        Ok(self
            .offsets
            .as_ref()
            .ok_or(ConfigError::Missing("group.id"))?)
    }
}

/// The callback, with what the one under way asked for.
pub(super) struct Listener {
    call: Box<dyn FnMut(Rebalancing) -> BoxFuture<()> + Send + Sync>,
    seeks: Seeks,
    /// Of what was assigned or lost; a revocation waits in the consumer's last commit.
    pub(super) running: Kept<()>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener(running: {})", self.running.is_running())
    }
}

impl Consumer {
    /// Has `callback` called whenever partitions are assigned, revoked or lost. It may await: polls drive it, no other partitions are
    /// taken or given up meanwhile, and those that are being revoked go to others only when it has ended (within `max.poll.interval.ms`, else the
    /// group goes on without this member). Commits by themselves (`enable.auto.commit`) come before it.
    ///
    /// [`Consumer::unsubscribe`] and [`Consumer::close`] call it too. A poll that is dropped does not drop the callback: the next one goes on
    /// with it. With a callback, polls no longer return early to announce a revocation.
    ///
    /// ```no_run
    /// # async fn example(mut consumer: kafka_proto::client::Consumer) -> kafka_proto::client::Result<()> {
    /// use kafka_proto::client::Rebalance;
    ///
    /// consumer.on_rebalance(|rebalancing| async move {
    ///     if let Rebalance::Revoked(partitions) = rebalancing.what() {
    ///         println!("gives up {partitions:?}");
    ///         if let Err(error) = rebalancing.commit().await {
    ///             eprintln!("the last commit failed, records will be read again: {error}");
    ///         }
    ///     }
    /// });
    /// consumer.subscribe(&["lines"])?;
    /// # Ok(()) }
    /// ```
    pub fn on_rebalance<F, R>(&mut self, mut callback: F)
    where
        F: FnMut(Rebalancing) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.listener = Some(Listener {
            call: Box::new(move |rebalancing| Box::pin(callback(rebalancing))),
            seeks: Seeks::default(),
            running: Kept::none(),
        });
    }

    /// The callback's future for what happens now, if there is a callback.
    pub(super) fn called(&mut self, what: &Rebalance) -> Option<BoxFuture<()>> {
        self.listener.as_ref()?;
        let mut rebalancing = Rebalancing {
            what: what.clone(),
            positions: Vec::new(),
            offsets: self.offsets.clone(),
            cluster: self.cluster.clone(),
            seeks: Seeks::default(),
        };
        let mut positions = self.positions();
        positions.retain(|of| rebalancing.partitions().contains(&of.partition));
        rebalancing.positions = positions;
        let listener = self.listener.as_mut()?;
        listener.seeks = Arc::clone(&rebalancing.seeks);
        Some((listener.call)(rebalancing))
    }

    /// The callback has ended: what it asked for is done.
    pub(super) fn called_back(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        let seeks = Arc::clone(&listener.seeks);
        let seeks = std::mem::take(&mut *seeks.lock().unwrap_or_else(PoisonError::into_inner));
        for (of, start) in seeks {
            if let Err(error) = self.seek(&of.topic, of.partition, start) {
                tracing::warn!(topic = %of.topic, partition = of.partition, %error, "a callback of a rebalance seeks where nothing is assigned");
            }
        }
    }

    /// Whether a callback is under way, so that nothing else may happen to the assignment.
    pub(super) fn is_calling(&self) -> bool {
        self.listener
            .as_ref()
            .is_some_and(|listener| listener.running.is_running() || self.last_commit.is_running())
    }
}
