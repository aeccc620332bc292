//! The changelogs of a driver: the last value of each key, or batches as a worker writes them, which nobody reads.

use std::collections::BTreeMap;

use super::Driver;
use crate::batch::{Outbox, OutboxConfig, Rows, produce::Target};
use crate::state::KeyGroups;

/// Entries of one operator and key group.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Changelogs {
    kept: BTreeMap<(String, u32), Entries>,
}

impl Changelogs {
    pub(super) fn entries(&self, id: &str, group: u32) -> impl Iterator<Item = (&[u8], &[u8])> {
        let entries = self.kept.get(&(id.to_owned(), group)).into_iter().flatten();
        entries.map(|(key, value)| (&key[..], &value[..]))
    }

    pub(super) fn len(&self, id: &str) -> usize {
        let of_it = self.kept.iter().filter(|((of, _), _)| of == id);
        of_it.map(|(_, entries)| entries.len()).sum()
    }

    fn log(&mut self, id: &str, keys: KeyGroups, rows: &Rows, removed: bool) {
        for (head, key, value) in rows.iter() {
            let group = keys.group_of_hash(head.hash);
            let log = self.kept.entry((id.to_owned(), group)).or_default();
            if removed {
                log.remove(key);
            } else {
                log.insert(key.to_vec(), value.to_vec());
            }
        }
    }
}

impl Driver {
    /// Writes changelogs as a worker does, in batches, and forgets them: for measuring what state
    /// costs without what it costs to keep its changelogs here. [`Driver::restarted`] then finds
    /// none.
    pub fn forget_changelogs(&mut self) {
        let partitions = self.keys.count() as i32;
        self.written = Some(Outbox::new(OutboxConfig {
            partitions,
            ..OutboxConfig::default()
        }));
    }

    /// Notes what a commit has drained of an operator.
    pub(super) fn log(&mut self, id: &str, rows: &Rows, removed: bool) {
        let Some(written) = &mut self.written else {
            return self.changelogs.log(id, self.keys, rows, removed);
        };
        for (head, key, value) in rows.iter() {
            let group = self.keys.group_of_hash(head.hash) as i32;
            let (to, value) = (Target::Partition(group), (!removed).then_some(value));
            let appended = written.append(to, head.timestamp, Some(key), value);
            appended.expect("every key group has a partition, and a key's value stays below 1 MiB");
        }
        // Emptied, not finished: a finished one takes its memory along.
        let batches: Vec<_> = written.take_all().collect();
        for (_, batch) in batches {
            written.lend(batch);
        }
    }
}
