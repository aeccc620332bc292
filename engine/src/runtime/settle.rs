//! Positions and state tied together, before anything is read: the one identity of the state, and that it is the state which the committed
//! positions were committed with. Two stores that are right only together are compared here, and nowhere is a difference passed over.
//!
//! The first commit of an application is made here, of the positions where it begins and before its first record is read. So entries in a
//! changelog without a committed position are never those of a run that was killed early: the positions are gone.

use std::collections::BTreeMap;

use super::job::{Changelog, Job};
use crate::Error;
use crate::batch::{BatchBuilder, Compression, Decompressor, Frame};
use crate::checkpoint::changelog::{self, Entry, Identity};
use crate::checkpoint::home;
use crate::checkpoint::log::{
    Arrival as _, Committed, Log, Need, Place, Position, Sink as _, Source, Worker as _,
};
use crate::checkpoint::offset_metadata::{
    OffsetMetadata, OperatorTime, Reached, reset_command, short,
};

/// What a run begins with.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) seed: u64,
    /// Where each place of the input goes on.
    pub(super) positions: Vec<Position>,
    /// Operators that had no state, while input was committed: how to say so.
    pub(super) warning: Option<String>,
    pub(super) tie: Tie,
}

/// What is committed beside positions.
#[derive(Debug, Default)]
pub(super) struct Tie {
    /// As of the last commit.
    metadata: OffsetMetadata,
    /// A plan without state commits positions alone.
    is_needed: bool,
    /// Where it is committed when no input is a topic: a changelog partition, of which nobody needs a position.
    anchor: Option<Position>,
}

impl Tie {
    /// How far time had come at the last commit, by changelog, for the worker that owns these key groups. Where the groups have had different
    /// watermarks the greatest counts: a worker has acted upon it.
    pub(super) fn reached(&self, owns: impl Fn(usize) -> bool) -> Vec<Reached> {
        let of = |operator: &OperatorTime| {
            let mine = operator.watermarks.iter().enumerate();
            let mine = mine.filter_map(|(group, at)| at.filter(|_| owns(group)));
            Reached {
                watermark: mine.max(),
                is_at_end: operator.is_at_end,
            }
        };
        self.metadata.operators.iter().map(of).collect()
    }

    /// What goes beside the positions of an epoch at which time has come so far, by worker and changelog; `owners` has the worker of each
    /// key group. False: it says what was committed before.
    pub(super) fn move_to(&mut self, reached: &[Vec<Reached>], owners: &[usize]) -> bool {
        let mut next = self.metadata.clone();
        for (changelog, operator) in next.operators.iter_mut().enumerate() {
            for (at, owner) in operator.watermarks.iter_mut().zip(owners) {
                *at = reached[*owner][changelog].watermark;
            }
            operator.is_at_end = reached.iter().any(|of| of[changelog].is_at_end);
        }
        let is_new = !next.says_as(&self.metadata);
        self.metadata = next;
        is_new
    }

    /// What is to be committed with these positions: all positions, and the text.
    pub(super) fn begin_commit(&mut self, mut positions: Vec<Position>) -> (Vec<Position>, String) {
        if !self.is_needed {
            return (positions, String::new());
        }
        self.metadata.epoch += 1;
        positions.extend(self.anchor);
        (positions, self.metadata.encode())
    }
}

/// What was found of the changelogs.
struct FoundState {
    seed: Option<u64>,
    /// Operators without any.
    empty: Vec<usize>,
    /// Partitions without an identity, by changelog.
    missing: Vec<(usize, Place)>,
    /// Partitions that may hold more than an identity, by changelog: from where, and their end.
    more: Vec<(usize, Position, i64)>,
}

impl Job {
    /// Compares what is committed with the state there is, settles the state's identity, and commits where the input begins if that is not
    /// committed yet.
    ///
    /// # Errors
    /// When state and positions do not belong together, with the command that helps; when a changelog holds the state of something else.
    pub(super) async fn settle<L: Log>(
        &self,
        log: &L,
        partitions: &[i32],
        mine: &[Place],
    ) -> Result<Settled, Error> {
        if !self.is_keyed() {
            return Ok(Settled {
                seed: home::drawn(),
                positions: log.positions(mine).await?,
                warning: None,
                tie: Tie::default(),
            });
        }
        let anchor = Place::single(self.changelogs[0].topic, 0);
        let places: Vec<Place> = mine.iter().copied().chain([anchor]).collect();
        let mut committed = log.committed_with_metadata(&places).await?;
        let last = self.last_metadata(&committed)?;
        let found = self.look_at_changelogs(log, partitions).await?;
        committed.truncate(mine.len());
        let last = self.check_tie(log, &found, last, mine, &committed).await?;
        let has_positions = committed.iter().any(Option::is_some);
        let warning = (has_positions && !found.empty.is_empty()).then(|| {
            let ids = found
                .empty
                .iter()
                .map(|at| self.changelogs[*at].id.as_str());
            self.begins_empty(&ids.collect::<Vec<_>>())
        });
        let known = found.seed.or_else(|| last.as_ref().map(|last| last.seed));
        let seed = self.settle_identity(log, known, found.missing).await?;
        let positions = log.positions(mine).await?;
        let is_topic =
            |p: &Place| matches!(&self.topics[p.topic].1, Need::Input(of) if of.own().is_none());
        let mut tie = Tie {
            metadata: self.metadata(log, seed, mine, last.as_ref()),
            is_needed: true,
            anchor: (!mine.iter().any(is_topic)).then_some(Position {
                place: anchor,
                offset: 0,
            }),
        };
        let is_whole = mine
            .iter()
            .zip(&committed)
            .all(|(place, at)| at.is_some() || !log.keeps_position(*place));
        if !is_whole || last.is_none_or(|last| !last.says_as(&tie.metadata)) {
            let (positions, metadata) = tie.begin_commit(positions.clone());
            log.commit(&positions, &metadata).await?;
        }
        Ok(Settled {
            seed,
            positions,
            warning,
            tie,
        })
    }

    /// The metadata of the latest commit, whichever partitions have it.
    fn last_metadata(
        &self,
        committed: &[Option<Committed>],
    ) -> Result<Option<OffsetMetadata>, Error> {
        let mut last: Option<OffsetMetadata> = None;
        for at in committed.iter().flatten() {
            let Some(metadata) = OffsetMetadata::decode(&at.metadata)? else {
                continue;
            };
            if let Some(last) = &last
                && last.seed != metadata.seed
            {
                return Err(self.is_torn("committed positions of two different states"));
            }
            if last.as_ref().is_none_or(|last| last.epoch < metadata.epoch) {
                last = Some(metadata);
            }
        }
        Ok(last)
    }

    /// What the next commit says, beside its epoch; watermarks are those of the last one.
    fn metadata<L: Log>(
        &self,
        log: &L,
        seed: u64,
        mine: &[Place],
        last: Option<&OffsetMetadata>,
    ) -> OffsetMetadata {
        let operators = self.changelogs.iter().map(|changelog| {
            let before = last.and_then(|last| last.operator(&changelog.id));
            OperatorTime {
                id: short(&changelog.id),
                is_at_end: before.is_some_and(|of| of.is_at_end),
                watermarks: match before {
                    _ if !changelog.waits_for_time => Vec::new(),
                    Some(of) if of.watermarks.len() == self.key_groups as usize => {
                        of.watermarks.clone()
                    }
                    _ => vec![None; self.key_groups as usize],
                },
            }
        });
        let inputs = partitions_by_name(log, mine.iter());
        OffsetMetadata {
            seed,
            epoch: last.map_or(0, |last| last.epoch),
            inputs: inputs
                .into_iter()
                .map(|(name, partitions)| (short(&name), partitions))
                .collect(),
            operators: operators.collect(),
        }
    }

    /// An error for state and positions that do not belong together.
    fn is_torn(&self, what: &str) -> Error {
        Error::State(format!(
            "group {} has {what}, so results would count records twice or not at all; to begin anew with all of the input, or where \
             auto.offset.reset says: {}",
            self.application_id,
            reset_command(&self.application_id)
        ))
    }

    /// Whether state and positions are of the same commit. Returns the metadata that counts.
    async fn check_tie<L: Log>(
        &self,
        log: &L,
        found: &FoundState,
        last: Option<OffsetMetadata>,
        mine: &[Place],
        committed: &[Option<Committed>],
    ) -> Result<Option<OffsetMetadata>, Error> {
        let is_ours = |at: &&Committed| matches!(OffsetMetadata::decode(&at.metadata), Ok(Some(_)));
        let is_topic =
            |p: &Place| matches!(&self.topics[p.topic].1, Need::Input(of) if of.own().is_none());
        let foreign = mine.iter().zip(committed).find_map(|(place, at)| {
            let at = at.as_ref().filter(|at| is_topic(place) && !is_ours(at))?;
            Some((place, at.offset))
        });
        let Some(last) = last else {
            // Of sources whose positions nobody keeps nothing can be said.
            if !mine.iter().any(|place| log.keeps_position(*place)) {
                return Ok(None);
            }
            if let Some(with_state) = self.first_with_entries(log, found, |_| true).await? {
                let what = match foreign {
                    None => format!(
                        "no committed positions, although there is state of {with_state}: they were deleted, or have expired (offsets.retention.minutes)"
                    ),
                    Some(at) => self.set_by_others(log, at, with_state),
                };
                return Err(self.is_torn(&what));
            }
            return Ok(None);
        };
        if let Some(seed) = found.seed
            && seed != last.seed
        {
            return Err(self.is_torn(
                "committed positions of another state than the one in its changelog topics",
            ));
        }
        if let Some(at) = foreign
            && let Some(with_state) = self.first_with_entries(log, found, |_| true).await?
        {
            return Err(self.is_torn(&self.set_by_others(log, at, with_state)));
        }
        let all = partitions_by_name(log, mine.iter());
        let with_position = mine.iter().zip(committed).filter(|(_, at)| at.is_some());
        let now = partitions_by_name(log, with_position.map(|(place, _)| place));
        for (name, partitions) in all {
            let of = last.inputs.iter().find(|(of, _)| *of == short(&name));
            let expected = of.map_or(0, |(_, expected)| *expected).min(partitions);
            let found_now = now.get(&name).copied().unwrap_or(0);
            if found_now < expected
                && let Some(with_state) = self.first_with_entries(log, found, |_| true).await?
            {
                return Err(self.is_torn(&format!(
                    "positions for {found_now} of the {expected} partitions of {name} that the state of {with_state} was made from: they were deleted, or \
                     have expired, or {name} was deleted and created anew"
                )));
            }
        }
        let is_unknown = |changelog: &Changelog| last.operator(&changelog.id).is_none();
        if let Some(id) = self.first_with_entries(log, found, is_unknown).await? {
            return Err(Error::State(format!(
                "{id} has state that the last commit of group {} does not know: the plan was run without it meanwhile, so the state lacks what was \
                 read then. To begin with empty state, give the operator another name (`.named(…)`) or delete topic {}",
                self.application_id,
                self.topic_of(id)
            )));
        }
        Ok(Some(last))
    }

    fn topic_of(&self, id: &str) -> &str {
        let of = self.changelogs.iter().find(|changelog| changelog.id == id);
        of.map_or("", |changelog| &self.topics[changelog.topic].0)
    }

    fn set_by_others<L: Log>(&self, log: &L, at: (&Place, i64), with_state: &str) -> String {
        format!(
            "position {} of {}-{} committed by another program than this version of the engine (a tool that sets offsets, or an earlier version), beside \
             the state of {with_state}, which is of another epoch",
            at.1,
            log.name_of(*at.0),
            at.0.number()
        )
    }

    /// The first operator with entries in its changelog, of those that are `wanted`.
    async fn first_with_entries<L: Log>(
        &self,
        log: &L,
        found: &FoundState,
        wanted: impl Fn(&Changelog) -> bool,
    ) -> Result<Option<&str>, Error> {
        for (at, changelog) in self.changelogs.iter().enumerate() {
            let of = found.more.iter().filter(|(of, ..)| *of == at);
            let places: Vec<(Position, i64)> = of.map(|(_, from, end)| (*from, *end)).collect();
            if wanted(changelog)
                && !places.is_empty()
                && has_entries(log, &self.topics[changelog.topic].0, places).await?
            {
                return Ok(Some(&changelog.id));
            }
        }
        Ok(None)
    }

    /// What there is of state, and that it is this application's.
    async fn look_at_changelogs<L: Log>(
        &self,
        log: &L,
        partitions: &[i32],
    ) -> Result<FoundState, Error> {
        let mut state = FoundState {
            seed: None,
            empty: Vec::new(),
            missing: Vec::new(),
            more: Vec::new(),
        };
        for (at, changelog) in self.changelogs.iter().enumerate() {
            let name = &self.topics[changelog.topic].0;
            let places: Vec<Place> = (0..partitions[changelog.topic])
                .map(|number| Place::single(changelog.topic, number))
                .collect();
            let bounds = log.bounds(&places, false).await?;
            let mut first = None;
            for (place, (start, end)) in places.into_iter().zip(bounds) {
                let from = Position {
                    place,
                    offset: start,
                };
                if start == end {
                    state.missing.push((at, place));
                } else if first.is_none() {
                    // One partition speaks for the topic here; each worker checks those that it restores.
                    first = Some(first_identity(log, name, from).await?);
                }
                if end - start > 1 || start > 0 && end > start {
                    state.more.push((at, from, end));
                }
            }
            let Some(first) = first else {
                state.empty.push(at);
                continue;
            };
            first.check(name, &self.identity(changelog, 0))?;
            if *state.seed.get_or_insert(first.hash_seed) != first.hash_seed {
                return Err(Error::State(format!(
                    "topic {name} was created with another hash seed than the other changelogs of {0}; to begin anew: {1}",
                    self.application_id,
                    reset_command(&self.application_id)
                )));
            }
        }
        Ok(state)
    }

    /// Makes sure that every changelog partition begins with the identity of the state, and returns its seed.
    ///
    /// Where there is none yet, two processes may be at this at once (one that has lost the work knows it later). What stands first in one
    /// partition decides: each reads it back after it has written, and all others get that one.
    async fn settle_identity<L: Log>(
        &self,
        log: &L,
        known: Option<u64>,
        mut missing: Vec<(usize, Place)>,
    ) -> Result<u64, Error> {
        let seed = match known {
            Some(seed) => seed,
            None => {
                let (at, place) = missing.remove(0);
                let drawn = home::drawn();
                self.write_identities(log, drawn, [(at, place)]).await?;
                let bounds = log.bounds(&[place], false).await?;
                match bounds.first() {
                    Some((start, end)) if start < end => {
                        let name = &self.topics[place.topic].0;
                        let from = Position {
                            place,
                            offset: *start,
                        };
                        let first = first_identity(log, name, from).await?;
                        first.check(name, &self.identity(&self.changelogs[at], 0))?;
                        if first.hash_seed != drawn {
                            // Compaction keeps the last record of a key.
                            self.write_identities(log, first.hash_seed, [(at, place)])
                                .await?;
                        }
                        first.hash_seed
                    }
                    // Nobody keeps changelogs.
                    _ => drawn,
                }
            }
        };
        self.write_identities(log, seed, missing).await?;
        Ok(seed)
    }

    async fn write_identities<L: Log>(
        &self,
        log: &L,
        seed: u64,
        places: impl IntoIterator<Item = (usize, Place)>,
    ) -> Result<(), Error> {
        let mut sink = log.worker().sink();
        let mut acks = Vec::new();
        for (at, place) in places {
            let mut builder = BatchBuilder::new(Compression::NONE, 512);
            let identity = self.identity(&self.changelogs[at], seed).encode();
            let appended = builder.append(0, Some(changelog::IDENTITY_KEY), Some(&identity), &[]);
            appended.map_err(|e| {
                Error::State(format!(
                    "cannot write the identity of {}: {e}",
                    self.topics[place.topic].0
                ))
            })?;
            acks.push(sink.append(place, builder).await?);
        }
        for ack in acks {
            ack.await?;
        }
        Ok(())
    }

    /// What to say of operators that have no state although input was committed: the plan is another one than it was.
    fn begins_empty(&self, operators: &[&str]) -> String {
        format!(
            "{} begins without state, although {} has committed input before: what was read until then is not in its results. If the operator had \
             state under another name, give it that name again (`.named(…)`): without one it is its kind and its place in the plan. If it is \
             new and should see all input, use another application id (--group-id)",
            operators.join(", "),
            self.application_id
        )
    }
}

/// How many partitions of each topic, or source of another kind, there are whose positions are kept.
fn partitions_by_name<'a, L: Log>(
    log: &L,
    places: impl Iterator<Item = &'a Place>,
) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    for place in places.filter(|place| log.keeps_position(**place)) {
        *all.entry(log.name_of(*place)).or_default() += 1;
    }
    all
}

/// Whether there is anything but identities in these partitions, up to their ends.
async fn has_entries<L: Log>(
    log: &L,
    topic: &str,
    mut left: Vec<(Position, i64)>,
) -> Result<bool, Error> {
    let mut source = log.worker().source()?;
    source.assign(&left.iter().map(|(from, _)| *from).collect::<Vec<_>>());
    let mut decompressor = Decompressor::new(super::DECOMPRESSED_BYTES_MAX);
    while !left.is_empty() {
        let mut arrival = source.next().await?;
        let (place, next) = (arrival.place(), arrival.next_position());
        while let Some(held) = arrival.next_batch()? {
            let batch = held.as_ref();
            let body = batch.uncompressed(&mut decompressor);
            let body = body.map_err(|e| {
                Error::State(format!(
                    "topic {topic} partition {} cannot be read: {e}",
                    place.number()
                ))
            })?;
            let frame = Frame::new(place.partition, batch, body, arrival.position());
            for record in frame.records().flatten() {
                let entry = changelog::entry(topic, record.offset, record.key, record.value)?;
                if !matches!(entry, Entry::Identity(_)) {
                    return Ok(true);
                }
            }
        }
        left.retain(|(from, end)| from.place != place || next < *end);
    }
    Ok(false)
}

/// The identity that stands first in a changelog partition.
async fn first_identity<L: Log>(log: &L, topic: &str, from: Position) -> Result<Identity, Error> {
    let no_identity = || {
        Error::State(format!(
            "topic {topic} holds records but not the identity of this application's state; use another application id (--group-id), or delete the topic to start anew"
        ))
    };
    let mut source = log.worker().source()?;
    source.assign(&[from]);
    let mut arrival = source.next().await?;
    let Some(held) = arrival.next_batch()? else {
        return Err(no_identity());
    };
    let batch = held.as_ref();
    let mut decompressor = Decompressor::new(super::DECOMPRESSED_BYTES_MAX);
    let body = batch
        .uncompressed(&mut decompressor)
        .map_err(|_| no_identity())?;
    let frame = Frame::new(arrival.place().partition, batch, body, arrival.position());
    let Some(Ok(first)) = frame.records().next() else {
        return Err(no_identity());
    };
    match changelog::entry(topic, first.offset, first.key, first.value)? {
        Entry::Identity(bytes) => Identity::decode(topic, bytes),
        Entry::Put { .. } | Entry::Delete { .. } => Err(no_identity()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(watermark: i64) -> Reached {
        Reached {
            watermark: Some(watermark),
            is_at_end: false,
        }
    }

    #[test]
    fn a_worker_goes_on_at_the_greatest_watermark_of_its_key_groups_and_only_news_is_new() {
        let operator = OperatorTime {
            id: 1,
            watermarks: vec![Some(9), Some(5), None, Some(7)],
            is_at_end: false,
        };
        let mut tie = Tie {
            metadata: OffsetMetadata {
                operators: vec![operator],
                ..OffsetMetadata::default()
            },
            ..Tie::default()
        };
        assert_eq!(tie.reached(|group| group < 2), [at(9)]);
        assert_eq!(tie.reached(|group| group >= 2), [at(7)]);
        assert_eq!(tie.reached(|group| group == 2)[0].watermark, None);
        let next = [vec![at(10)], vec![at(8)]];
        assert!(tie.move_to(&next, &[0, 0, 1, 1]));
        let moved = [Some(10), Some(10), Some(8), Some(8)];
        assert_eq!(tie.metadata.operators[0].watermarks, moved);
        assert!(!tie.move_to(&next, &[0, 0, 1, 1]));
        let ended = Reached {
            is_at_end: true,
            ..at(8)
        };
        assert!(tie.move_to(&[vec![at(10)], vec![ended]], &[0, 0, 1, 1]));
        assert!(tie.reached(|_| true)[0].is_at_end);
    }
}
