//! Whether positions are still in the log, asked before the first fetch from a leader whose fetches do not say it: brokers before 2.7 (KIP-320).

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Instant;

use crate::{
    client::error::{Error, Result},
    messages::{
        ErrorCode, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    },
};

use super::{
    super::{session::Key, state::Check},
    Checking, Fetcher,
};

impl Fetcher {
    /// Takes out of what a broker is to be asked for the partitions whose position is to be checked there first, and asks.
    pub(super) fn ask_checks(&mut self, broker: i32, now: Instant) -> Result<()> {
        let Some(link) = self.links.get_mut(&broker) else {
            return Ok(());
        };
        let Some(connection) = link.must_check().cloned() else {
            return Ok(());
        };
        let mut asked: Vec<(Key, Check)> = Vec::new();
        let partitions = &mut self.partitions;
        link.wanted.retain(|(key, _)| {
            let Some(assigned) = partitions.get_mut(key) else {
                return true;
            };
            let Some(check) = assigned.state.needs_check() else {
                return true;
            };
            assigned.resetting = true;
            asked.push((*key, check));
            false
        });
        if asked.is_empty() {
            return Ok(());
        }
        tracing::debug!(
            broker,
            partitions = asked.len(),
            "are the positions in the log"
        );
        let mut topics: BTreeMap<u32, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
        for (key, check) in &asked {
            let partitions = topics.entry(key.topic).or_default();
            partitions.push(OffsetForLeaderPartition {
                partition: key.partition,
                current_leader_epoch: check.leader_epoch,
                leader_epoch: check.epoch,
            });
        }
        let request = OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: topics
                .into_iter()
                .map(|(topic, partitions)| OffsetForLeaderTopic {
                    topic: self.topics[topic as usize].0.clone(),
                    partitions,
                })
                .collect(),
        };
        match connection.send(&request, self.settings.terms.request_timeout) {
            Ok(answer) => {
                self.checks.push(Checking {
                    broker,
                    since: now,
                    asked,
                    answer,
                });
                Ok(())
            }
            Err(error) => {
                self.checked(asked, &Err(error.clone()), now);
                Err(error)
            }
        }
    }

    /// Whether an answer came.
    pub(super) fn poll_checks(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let (mut index, mut came) = (0, false);
        while let Some(checking) = self.checks.get_mut(index) {
            let Poll::Ready(answer) = Pin::new(&mut checking.answer).poll(cx) else {
                index += 1;
                continue;
            };
            came = true;
            let Checking { asked, .. } = self.checks.swap_remove(index);
            self.checked(asked, &answer, now);
        }
        came
    }

    fn checked(
        &mut self,
        asked: Vec<(Key, Check)>,
        answer: &Result<OffsetForLeaderEpochResponse>,
        now: Instant,
    ) {
        for (key, check) in asked {
            let Some(assigned) = self.partitions.get_mut(&key) else {
                continue;
            };
            assigned.resetting = false;
            let state = &mut assigned.state;
            let found = answer.iter().flat_map(|answer| &answer.topics);
            let found = found
                .filter(|of| of.topic == state.topic)
                .flat_map(|of| &of.partitions)
                .find(|of| of.partition == key.partition);
            let code = found.map_or(ErrorCode::LEADER_NOT_AVAILABLE, |found| found.error_code);
            if let Some(found) = found
                && code.is_ok()
            {
                let lost = state.check_answered(&check, found.leader_epoch, found.end_offset);
                if let Some(lost) = lost {
                    self.lost(key, lost);
                }
                continue;
            }
            state.back_off(now.into_std(), &self.settings.patience);
            self.cluster.request_refresh();
            if !code.is_retriable() {
                let what = format!("checking the position of {}-{}", state.topic, key.partition);
                self.errors.push_back(Error::broker(what, code, None));
            }
        }
    }
}
