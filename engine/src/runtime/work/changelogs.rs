//! What a worker writes into the changelogs of its key groups, and reads back from them.

use std::sync::Arc;

use super::Work;
use crate::Error;
use crate::batch::produce::Target;
use crate::batch::{Frame, Rows};
use crate::checkpoint::changelog::{self, ENTRY, Entry, Identity};
use crate::checkpoint::offset_metadata::reset_command;

/// A record beside its key and value at most: the header of a batch of its own, and its own fields at their longest.
const RECORD_OVERHEAD_BYTES: usize = 100;
/// Bytes of a key that are shown.
const KEY_BYTES_SHOWN: usize = 64;

impl Work {
    /// Looks at an entry that is more than half of what a record may have: once for each operator it is warned of.
    ///
    /// # Errors
    /// When it is too large for certain. Compressed it may fit: then the producer knows.
    #[cold]
    fn look_at_large(&mut self, changelog: usize, key: &[u8], bytes: usize) -> Result<(), Error> {
        let is_known = self.large[changelog].is_some();
        if self.large[changelog]
            .as_ref()
            .is_none_or(|(_, largest)| *largest < bytes)
        {
            self.large[changelog] = Some((key.into(), bytes));
        }
        if bytes > self.record_bytes_max && !self.is_compressed {
            return Err(Error::State(self.say_large(changelog)));
        }
        if !is_known {
            self.warnings.push(self.say_large(changelog));
        }
        Ok(())
    }

    /// Of which operator the largest entry is, of which key, how large, and what to do about it.
    fn say_large(&self, changelog: usize) -> String {
        let of = &self.job.changelogs[changelog];
        let (key, bytes) = match &self.large[changelog] {
            Some((key, bytes)) => (&key[..], *bytes),
            None => (&[][..], 0),
        };
        let shown = &key[..key.len().min(KEY_BYTES_SHOWN)];
        let cut = if shown.len() < key.len() { "…" } else { "" };
        let limit = self.record_bytes_max;
        let relation = if bytes > limit {
            "more than"
        } else {
            "more than half of"
        };
        format!(
            "{}: the state of key \"{}{cut}\" is {bytes} bytes in {}, {relation} the {limit} that a record may have (max.request.size). All that is kept for a key is one \
             record: keep less for each key, or raise topic.max.message.bytes, which max.request.size follows",
            of.id,
            shown.escape_ascii(),
            self.job.topics[of.topic].0
        )
    }

    /// What to say when the records of a changelog topic are not taken: an error that is about the size of one names it.
    pub(crate) fn not_taken(&self, topic: usize, error: Error) -> Error {
        let changelog = self.job.changelogs.iter().position(|c| c.topic == topic);
        match changelog.filter(|at| self.large[*at].is_some()) {
            Some(at) => Error::State(format!("{error}; {}", self.say_large(at))),
            None => error,
        }
    }

    /// What the user is to be shown since the last call.
    pub(crate) fn take_size_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn cannot_log(&self, changelog: usize, error: &dyn std::fmt::Display) -> Error {
        let topic = self.job.changelogs[changelog].topic;
        Error::State(format!(
            "cannot write to {}: {error}",
            self.job.topics[topic].0
        ))
    }

    pub(super) fn log(
        &mut self,
        changelog: usize,
        rows: &Rows,
        removed: bool,
    ) -> Result<(), Error> {
        let deletes_later = removed && self.job.changelogs[changelog].forgets_by_time;
        let large_bytes = self.record_bytes_max / 2;
        for (head, key, value) in rows.iter() {
            self.key.clear();
            self.key.push(ENTRY);
            self.key.extend_from_slice(key);
            // The changelog has a partition for each key group.
            let group = self.keys.group_of_hash(head.hash);
            let bytes = key.len() + value.len() + RECORD_OVERHEAD_BYTES;
            if bytes > large_bytes && !removed {
                self.look_at_large(changelog, key, bytes)?;
            }
            let value = (!removed).then_some(value);
            let outbox = match deletes_later {
                true => &mut self.deletions[changelog],
                false => &mut self.changelogs[changelog],
            };
            outbox
                .append(
                    Target::Partition(group as i32),
                    self.writable.nearest(head.timestamp),
                    Some(&self.key),
                    value,
                )
                .map_err(|e| self.cannot_log(changelog, &e))?;
            self.logged[group as usize] += 1;
        }
        self.count_logged(changelog);
        Ok(())
    }

    /// More records lie in changelog partitions, or will before the epoch is durable.
    fn count_logged(&mut self, changelog: usize) {
        let topic = self.job.changelogs[changelog].topic;
        let of_it = self.changelog_ends.iter_mut();
        for (place, end) in of_it.filter(|(place, _)| place.topic == topic) {
            let group = usize::try_from(place.number()).ok();
            let logged = group.and_then(|group| self.logged.get(group));
            *end += logged.copied().unwrap_or(0);
        }
        self.logged.fill(0);
    }

    /// Reads back the records of a changelog batch; returns how many.
    pub(crate) fn restore(&mut self, topic: usize, frame: Frame<'_>) -> Result<u64, Error> {
        let job = Arc::clone(&self.job);
        let Some(at) = job.changelogs.iter().position(|c| c.topic == topic) else {
            return Ok(0);
        };
        let changelog = &job.changelogs[at];
        let name = &job.topics[topic].0;
        let (operator, group) = (changelog.operator, frame.partition().number() as u32);
        let mut count = 0;
        for record in frame.records() {
            let record = record.map_err(|e| {
                Error::State(format!(
                    "topic {name} partition {group} cannot be read: {e}"
                ))
            })?;
            let (key, state) = match changelog::entry(
                name,
                record.offset,
                record.key,
                record.value,
            )? {
                Entry::Put { key, state } => (key, Some(state)),
                Entry::Delete { key } => (key, None),
                Entry::Identity(bytes) => {
                    let (mine, theirs) = (
                        self.job.identity(changelog, self.seat.seed),
                        Identity::decode(name, bytes)?,
                    );
                    theirs.check(name, &mine)?;
                    let is_first = !self.identified.contains(&(at, group));
                    if theirs != mine && is_first {
                        return Err(Error::State(format!(
                            "topic {name} partition {group} was created with another hash seed than its other partitions; to begin anew: {}",
                            reset_command(&self.job.application_id)
                        )));
                    }
                    if is_first {
                        self.identified.push((at, group));
                    } else if theirs != mine {
                        // Of a process that came second, when the application was new. Compaction keeps the last: it must be the first again.
                        let outbox = match changelog.forgets_by_time {
                            true => &mut self.deletions[at],
                            false => &mut self.changelogs[at],
                        };
                        outbox
                            .append(
                                Target::Partition(group as i32),
                                record.timestamp,
                                Some(changelog::IDENTITY_KEY),
                                Some(&mine.encode()),
                            )
                            .map_err(|e| self.cannot_log(at, &e))?;
                    }
                    continue;
                }
            };
            if changelog.forgets_by_time && self.reached[at].is_at_end {
                // It ended with time, in a run that died before it could say so.
                if state.is_some() {
                    self.deletions[at]
                        .append(
                            Target::Partition(group as i32),
                            record.timestamp,
                            record.key,
                            None,
                        )
                        .map_err(|e| self.cannot_log(at, &e))?;
                }
                continue;
            }
            self.task
                .restore(operator, group, key, state)
                .map_err(|e| {
                    Error::State(format!(
                        "topic {name} partition {group} offset {}: {e}",
                        record.offset
                    ))
                })?;
            count += 1;
        }
        self.task.check_state()?;
        Ok(count)
    }
}
