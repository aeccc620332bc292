//! What of windows is given out beside their closing: at commits, early from time to time, or again because rows came late.

use super::spec::Rules;
use crate::batch::{Head, Rows};
use crate::flow::Emit;

/// Keys that were changed, each with a time that tells its windows, until they have been given out.
pub(super) struct Changes {
    rules: Rules,
    keys: Rows,
    /// How many there were when they were last made unique.
    unique: usize,
    /// The next one to be given out.
    at: usize,
    is_giving_out: bool,
    /// Rows came since changes were last collected.
    has_fresh: bool,
    /// When they may be given out early.
    early_at_ms: i64,
}

/// What a commit has to do.
pub(super) enum AtCommit {
    /// Note what has changed: it will be given out later.
    Collect,
    /// Give out what was noted.
    GiveOut,
    Nothing,
}

impl Changes {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            keys: Rows::new(),
            unique: 0,
            at: 0,
            is_giving_out: false,
            has_fresh: false,
            early_at_ms: i64::MIN,
        }
    }

    /// Rows have come.
    pub(super) fn touch(&mut self) {
        self.has_fresh = true;
    }

    pub(super) fn note(&mut self, hash: u64, time: i64, key: &[u8]) {
        let _ = self.keys.push(hash, time, &[], key);
    }

    /// A key was read back: whether its early result was given out before is not known, so it is, once.
    pub(super) fn restored(&mut self, hash: u64, time: i64, key: &[u8]) {
        if self.rules.emit == Emit::Early {
            self.note(hash, time, key);
            self.compact();
        }
    }

    /// After a collection: what was noted several times is kept once, as soon as that halves them.
    pub(super) fn compact(&mut self) {
        if self.keys.len() > 2 * self.unique + 1024 {
            self.keys.sort_unique();
            self.unique = self.keys.len();
        }
    }

    pub(super) fn any(&self) -> bool {
        match self.rules.emit {
            Emit::ChangedKeys => self.has_fresh,
            _ => !self.keys.is_empty(),
        }
    }

    pub(super) fn is_giving_out(&self) -> bool {
        self.is_giving_out
    }

    /// Whether windows that are open give out too.
    pub(super) fn are_early(&self) -> bool {
        matches!(self.rules.emit, Emit::ChangedKeys | Emit::Early)
    }

    /// Whether what has changed is to be collected just before it is given out; then nothing else is kept.
    pub(super) fn collects_now(&mut self) -> bool {
        let collects = !self.is_giving_out && self.rules.emit == Emit::ChangedKeys;
        if collects {
            self.keys.clear();
        }
        collects
    }

    /// Begins to give out, unless it has begun.
    pub(super) fn begin(&mut self) {
        if !self.is_giving_out {
            self.keys.sort();
            self.is_giving_out = true;
            // Early ones are those of the commits before: what is fresh is still to be noted.
            self.has_fresh &= self.rules.emit == Emit::Early;
            self.at = 0;
        }
    }

    /// The next change, its key, and whether the one before had another key.
    pub(super) fn next(&mut self) -> Option<(Head, &[u8], bool)> {
        let at = self.at;
        let head = *self.keys.heads().get(at)?;
        self.at += 1;
        let key = self.keys.key(at);
        let is_other =
            at == 0 || self.keys.heads()[at - 1].hash != head.hash || self.keys.key(at - 1) != key;
        Some((head, key, is_other))
    }

    /// Forgets them when all have been given out.
    pub(super) fn end_if_done(&mut self) {
        if self.at >= self.keys.len() {
            self.keys.clear();
            self.unique = 0;
            self.is_giving_out = false;
            self.at = 0;
        }
    }

    /// Whether it is time for early results; the next ones come later.
    pub(super) fn is_early_due(&mut self, now_ms: i64) -> bool {
        let is_due = self.next_due_ms().is_some_and(|at| at <= now_ms);
        if is_due {
            self.early_at_ms = now_ms.saturating_add(self.rules.early_ms);
        }
        is_due
    }

    pub(super) fn next_due_ms(&self) -> Option<i64> {
        let is_waiting = self.rules.emit == Emit::Early && !self.keys.is_empty();
        is_waiting.then_some(self.early_at_ms)
    }

    pub(super) fn at_commit(&mut self) -> AtCommit {
        if self.rules.emit == Emit::Early && !self.is_giving_out {
            return match std::mem::take(&mut self.has_fresh) {
                true => AtCommit::Collect,
                false => AtCommit::Nothing,
            };
        }
        match self.is_giving_out || self.any() {
            true => AtCommit::GiveOut,
            false => AtCommit::Nothing,
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.keys.size_bytes()
    }
}
