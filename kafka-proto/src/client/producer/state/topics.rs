//! The partitions that something was sent to: found when they are new, forgotten when their topic is not used any more.

use std::sync::Arc;

use super::{Effects, Identity, Partition, Sender};

impl<R, T> Sender<R, T> {
    /// The place of a partition that has none yet.
    pub(super) fn place(&mut self, topic: &Arc<str>, partition: i32) -> usize {
        let new = Partition::new(Arc::clone(topic), partition);
        let at = match self.vacant.pop() {
            Some(at) => {
                self.partitions[at] = new;
                at
            }
            None => {
                self.partitions.push(new);
                self.partitions.len() - 1
            }
        };
        let of_topic = self.index.entry(Arc::clone(topic)).or_default();
        of_topic.insert(partition, at);
        at
    }

    /// Forgets a topic, unless something of it is on its way; whether it is forgotten. Its sequence numbers go with it, and a broker would take the
    /// first batch under the same epoch that begins at 0 again for an old one: so the epoch is raised.
    pub(in super::super) fn forget(&mut self, topic: &str, effects: &mut Effects<R, T>) -> bool {
        let Some(places) = self.index.get(topic) else {
            return true;
        };
        let is_idle = |at: &usize| {
            let partition = &self.partitions[*at];
            partition.queue.is_empty() && partition.unanswered.is_empty()
        };
        if !places.values().all(is_idle) {
            return false;
        }
        let places: Vec<usize> = places.values().copied().collect();
        let is_numbered = places.iter().any(|at| {
            let identity = self.partitions[*at].identity;
            identity.is_some() && identity == self.identity
        });
        if is_numbered {
            self.identity = self.identity.and_then(Identity::next);
            effects.bumps += 1;
        }
        self.index.remove(topic);
        self.ready.retain(|at| !places.contains(at));
        for at in &places {
            self.partitions[*at] = Partition::new("".into(), -1);
        }
        self.vacant.extend(places);
        true
    }
}
